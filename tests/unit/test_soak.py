# SPDX-License-Identifier: Apache-2.0
"""The plan of a soak, its verdict, its state; and what two ends' counters may say."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import soak
from wav2small_micro.errors import W2sError
from wav2small_micro.link.ledger import Account
from wav2small_micro.soak import Report

CLIPS = [np.arange(-3000, 9000, dtype=np.int16), np.full(5000, 99, np.int16)]
CLEAN = Account(**dict.fromkeys((field.name for field in fields(Account)), 0))
TALK = replace(
    CLEAN, sent=12, received=13, sent_blocks=10, frames_ok=12, blocks_accepted=10, tx_frames=13
)
GOOD = Report("board", "model", seed=1, fault_rate=0.0, sessions=3)


# --- The plan ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_sessions() -> None:
    for number in range(40):
        one, other = (soak.step(CLIPS, 5, number, 7) for _ in range(2))
        assert np.array_equal(one.pcm, other.pcm)
        assert (one.name, one.window_segments, one.taps) == (
            other.name,
            other.window_segments,
            other.taps,
        )
    assert not np.array_equal(soak.step(CLIPS, 5, 0, 7).pcm, soak.step(CLIPS, 6, 0, 7).pcm)


def test_a_soak_holds_clips_streams_rows_and_extremes() -> None:
    steps = [soak.step(CLIPS, 0, number, 3) for number in range(200)]
    assert {step.window_segments for step in steps} == {0, 1, 2, 3}
    assert {layer for step in steps for layer in step.taps} == set(soak.Layer)
    names = set(soak.extreme_audio(10, np.random.default_rng(0))) | {"speech"}
    assert {step.name for step in steps} == names
    assert all(len(step.pcm) >= 3200 and step.pcm.dtype == np.int16 for step in steps)


def test_levels_of_half_seconds() -> None:
    assert soak._levels(CLIPS[0][:100]) == []
    loud = np.full(17_000, -32768, np.int16)
    assert soak._levels(loud) == [32768, 32768]


# --- The verdict ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"wrong": 1},
        {"failed": 1},
        {"contradictions": 1},
        {"lost_to_device": 1},
        {"lost_to_host": 1},
        {"rx_overruns": 1},
        {"crc_errors": 1},
        {"restarts": 1},
        {"sessions": 0},
    ],
)
def test_anything_wrong_or_lost_fails_a_soak(change: dict[str, int]) -> None:
    assert GOOD.holds
    assert not replace(GOOD, **change).holds


def test_on_a_bad_line_losses_are_meant_but_wrong_answers_are_not() -> None:
    bad_line = replace(GOOD, fault_rate=0.1, lost_to_device=5, crc_errors=3, restarts=1)
    assert bad_line.holds
    assert not replace(bad_line, wrong=1).holds


# --- Both ends' counters ------------------------------------------------------------------------


def test_a_clean_account() -> None:
    assert TALK.clean
    assert TALK.contradictions() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames_ok": 13}, "device took 1 frames that were never sent"),
        ({"received": 14}, "host got 1 frames that were never sent"),
        ({"frames_ok": 10, "repeated": 1}, "2 frames were lost, but only 1 were sent again"),
        ({"blocks_repeated": 1}, "11 blocks of 10 sent"),
        ({"blocks_accepted": 10, "resent": 1}, "some of them twice"),
        ({"lost_events": 1}, "1 events are missing, but 0 frames were lost"),
    ],
)
def test_what_cannot_be_is_said(change: dict[str, int], words: str) -> None:
    account = replace(TALK, **change)
    assert not account.clean
    assert any(words in found for found in account.contradictions()), account.contradictions()


def test_losses_that_were_made_good_are_no_contradiction() -> None:
    lossy = replace(TALK, sent=15, repeated=1, resent=2, sent_blocks=12, crc_errors=2, received=11)
    assert (lossy.lost_to_device, lossy.lost_to_host) == (3, 2)
    assert lossy.contradictions() == []
    assert not lossy.clean


def test_a_line_may_repeat_frames_by_itself() -> None:
    account = replace(TALK, frames_ok=14, received=14)
    assert account.contradictions()
    assert account.contradictions(extra_up=2, extra_down=1) == []


# --- State ------------------------------------------------------------------------------------


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = soak.state_path(tmp_path / "new", "board", "model")
    report = replace(GOOD, problems=("session 1: x",), audio_seconds=1.25)
    soak.save(path, report)
    assert soak.load(path) == report


@pytest.mark.parametrize("content", [None, "", "[]", '{"version": 9}', '{"version": 1}'])
def test_no_state_is_an_error_with_a_hint(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "state.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(W2sError) as error:
        soak.load(path)
    assert "--resume" in error.value.hint
