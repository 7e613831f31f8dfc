# SPDX-License-Identifier: Apache-2.0
"""The verdict over answers: it must see every kind of difference, and only those."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from wav2small_micro import report
from wav2small_micro.engines.base import Answer
from wav2small_micro.report import ClipReport

ENGINES = ["float", "tflite", "c"]


def answer(adv: list[float], *, integer: bool = True) -> Answer:
    """An answer as an engine gives it."""
    rows = np.arange(12, dtype=np.int8).reshape(3, 4)
    q16 = np.round(np.array(adv) * 65536).astype(np.int32)
    return Answer(
        adv=np.array(adv),
        adv_q16=q16 if integer else None,
        lin=rows if integer else None,
        sof=rows + 1 if integer else None,
        logmel=None,
        details={},
    )


def all_answers(i: int, n: int) -> dict[str, Answer]:
    """Answers of all engines to clip i of n, all the same."""
    adv = [0.1 + 0.8 * i / n, 0.5 + 0.4 * i / n, 0.9 - 0.5 * i / n]
    return {name: answer(adv, integer=name != "float") for name in ENGINES}


def clips(n: int = 3, change: Callable[[int, dict[str, Answer]], None] | None = None) -> list:
    """n clips on which everything agrees, but for what `change` does to the answers."""
    made = []
    for i in range(n):
        answers = all_answers(i, n)
        if change:
            change(i, answers)
        made.append(ClipReport(f"{i}.wav", 1.0))
        made[-1].take(answers)
    return made


def test_what_agrees_holds() -> None:
    verdict = report.judge(clips(), ENGINES)
    assert verdict.holds
    assert [(a.engine, a.reference, a.rows, a.adv) for a in verdict.identical] == [
        ("c", "tflite", True, True)
    ]
    assert [c.worst for c in verdict.close] == [0, 0]


def test_one_value_of_one_row_is_seen() -> None:
    def change(i: int, answers: dict[str, Answer]) -> None:
        if i == 1:
            answers["c"].lin[2, 1] += 1

    verdict = report.judge(clips(change=change), ENGINES)
    assert not verdict.holds
    assert verdict.identical[0].rows is False
    assert verdict.identical[0].adv is True
    assert verdict.identical[0].first_difference == (
        "1.wav: lin differs in 1 of 12 values, first at [2, 1]: 9, 10"
    )


def test_one_unit_of_q16_is_seen() -> None:
    def change(i: int, answers: dict[str, Answer]) -> None:
        answers["c"].adv_q16[1] += i == 2

    verdict = report.judge(clips(change=change), ENGINES)
    assert not verdict.holds
    assert verdict.identical[0].adv is False
    assert verdict.identical[0].rows is True


def test_a_row_that_is_missing_is_seen() -> None:
    def change(i: int, answers: dict[str, Answer]) -> None:
        answers["c"] = replace(answers["c"], sof=answers["c"].sof[:-1])

    agreement = report.judge(clips(change=change), ENGINES).identical[0]
    assert agreement.rows is False
    assert "sof has shapes (3, 4) and (2, 4)" in agreement.first_difference


def test_far_from_float_is_seen() -> None:
    def change(i: int, answers: dict[str, Answer]) -> None:
        answers["float"].adv[2] += 0.031 * (i == 0)

    verdict = report.judge(clips(change=change), ENGINES)
    assert not verdict.holds
    assert verdict.close[0].worst == pytest.approx(0.031)
    assert verdict.close[0].worst_clip == "0.wav"


@pytest.mark.parametrize(("n", "holds"), [(19, True), (20, False)])
def test_concordance_is_a_verdict_from_20_clips(n: int, holds: bool) -> None:
    def change(i: int, answers: dict[str, Answer]) -> None:
        for name, found in answers.items():  # where clips hardly differ, .01 moves the CCC
            found.adv[:] = 0.5 + 0.001 * i + 0.01 * (name == "float")

    verdict = report.judge(clips(n, change), ENGINES)
    assert min(verdict.close[0].ccc) < report.CONCORDANCE
    assert verdict.holds == holds


def test_a_clip_that_failed_breaks_the_verdict() -> None:
    found = [*clips(), ClipReport("broken.wav", errors={"clip": "cannot be read"})]
    assert not report.judge(found, ENGINES).holds


def test_json_has_the_promised_shape() -> None:
    found = clips()
    data = json.loads(json.dumps(report.to_json(found, report.judge(found, ENGINES))))
    assert [c["path"] for c in data["clips"]] == ["0.wav", "1.wav", "2.wav"]
    for clip in data["clips"]:
        assert set(clip["engines"]) == set(ENGINES)
        for values in clip["engines"].values():
            assert {"arousal", "dominance", "valence"} <= set(values)
    assert data["holds"] is True


def test_nothing_compared_is_not_called_identical() -> None:
    def change(i: int, answers: dict[str, Answer]) -> None:
        answers["c"] = replace(answers["c"], lin=None, sof=None)

    agreement = report.judge(clips(change=change), ENGINES).identical[0]
    assert agreement.rows is None
    assert agreement.adv is True


def test_rows_are_let_go() -> None:
    assert all(a.lin is None for clip in clips() for a in clip.answers.values())
