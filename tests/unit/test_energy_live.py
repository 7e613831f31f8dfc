# SPDX-License-Identifier: Apache-2.0
"""Live instruments, each played by a thread behind a pseudo terminal that speaks its protocol."""

import contextlib
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import power
from support.meters import Lpm01a, Meter, Ppk2
from support.peer import Peer
from typer.testing import CliRunner

from wav2small_micro.cli.app import app
from wav2small_micro.energy import align, measure
from wav2small_micro.energy.live import lpm01a, ppk2, session
from wav2small_micro.energy.live.spool import save_csv
from wav2small_micro.energy.options import Options
from wav2small_micro.energy.readers import open_recording
from wav2small_micro.energy.trace import Notes
from wav2small_micro.errors import W2sError
from wav2small_micro.link.messages import BlockTicks

BOUND = 0.005
GIVEN = Options(voltage=3.3)
MADE = power.made(rate=100_000, blocks=20, lead=0.05)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instruments here have said all after a moment."""
    monkeypatch.setattr(ppk2, "_QUIET_SECONDS", 1.2)


# --- PPK2 ----------------------------------------------------------------------------------------


def test_ppk2_gives_back_a_known_energy() -> None:
    with Ppk2(MADE) as kit:
        recording = ppk2.record(kit.port, 20, GIVEN)
        found = measure.by_marker(recording, "D0", audio_seconds=0.02)
    np.testing.assert_allclose(found.inferences.energy, MADE.energy, rtol=BOUND)
    assert found.figures["sleep_ma"].value == pytest.approx(12, rel=BOUND)
    assert any("fell silent" in note for note in found.notes), "it had no more to send"
    again = recording.whole()
    assert again.energy == pytest.approx(MADE.total, rel=BOUND), "it can be gone through again"
    sent = b"".join(kit.heard)
    assert b"\x11\x01" in sent, "ammeter"
    assert kit.supplied == [3 * 256 + 32 + 2500], "3300 mV: 800 mV is 3, 32"
    assert sent.endswith(b"\x07"), "stopped"


def test_ppk2_as_a_supply() -> None:
    with Ppk2(MADE) as kit:
        ppk2.record(kit.port, 20, GIVEN, supply=True)
    sent = b"".join(kit.heard)
    assert sent.index(b"\x11\x02") < sent.index(b"\x0c\x01") < sent.index(b"\x06")
    assert sent.endswith(b"\x07\x0c\x00"), "and switched off at the end"


def test_ppk2_across_ranges() -> None:
    made = power.made(rate=100_000, blocks=10, lead=0.05, sleep=0.0004, noise=0.000002)
    with Ppk2(made) as kit:
        found = ppk2.record(kit.port, 20, GIVEN).whole()
    # The filter for range switches of ppk2-api smears three samples.
    assert found.energy == pytest.approx(made.total, rel=0.01)
    assert float(np.median(found.current)) == pytest.approx(0.0004, rel=0.01)


def test_samples_that_a_ppk2_lost_are_told() -> None:
    with Ppk2(MADE, lose=slice(1000, 1020)) as kit:
        notes = Notes()
        found = ppk2.record(kit.port, 20, GIVEN).whole(notes)
    assert len(found) == len(MADE.current) - 20
    assert len(found.gaps) == 1
    assert found.gaps[0].end - found.gaps[0].start == pytest.approx(20e-5)
    assert any("samples lost" in line and "20 times" in line for line in notes.lines)


def test_what_is_no_ppk2() -> None:
    with Ppk2(MADE, silent=True) as kit, pytest.raises(W2sError, match="does not answer"):
        ppk2.record(kit.port, 1, GIVEN)
    with pytest.raises(W2sError, match="cannot be opened"):
        ppk2.record("/dev/w2s-none", 1, GIVEN)
    with pytest.raises(W2sError, match="does not measure the voltage"):
        ppk2.record(None, 1, Options())
    with pytest.raises(W2sError, match=r"0\.8 to 5 V"):
        ppk2.record(None, 1, Options(voltage=12))


def test_without_ppk2_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ppk2_api.ppk2_api", None)
    with pytest.raises(W2sError, match="needs ppk2-api") as caught:
        ppk2.record("/dev/null", 1, GIVEN)
    assert caught.value.hint == "pip install ppk2-api"


def test_a_ppk2_that_goes_away_keeps_what_it_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    with Ppk2(MADE) as kit:
        device = ppk2._connect(kit.port)
        plain = device.get_data
        calls = iter(range(10**6))

        def unplugged() -> bytes:
            if next(calls) > 100:
                raise OSError("no such device")
            data: bytes = plain()
            return data

        monkeypatch.setattr(device, "get_data", unplugged)
        monkeypatch.setattr(ppk2, "_connect", lambda port: device)
        notes = Notes()
        found = ppk2.record(kit.port, 20, GIVEN).whole(notes)
    assert len(found) > 100
    assert any("went away" in line for line in notes.lines)


def test_words_that_lost_a_byte_are_found_again() -> None:
    data = Ppk2(MADE)._words.tobytes()
    assert [ppk2._misalignment(data[cut:]) for cut in range(4)] == [0, 3, 2, 1]
    assert ppk2._misalignment(b"") == 0


# --- LPM01A --------------------------------------------------------------------------------------


def test_lpm01a_gives_back_a_known_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lpm01a, "_QUIET_SECONDS", 20.0)
    with Lpm01a(MADE) as board:
        recording = lpm01a.record(board.port, 5, replace(GIVEN, rate=100_000))
    timeline = align.Timeline(MADE.start - MADE.start[0], MADE.seconds, 0.02)
    found = measure.by_timeline(recording, timeline)
    assert found.inferences.energy.sum() == pytest.approx(MADE.energy.sum(), rel=BOUND)
    assert recording.whole().energy == pytest.approx(MADE.total, rel=BOUND)
    assert not [note for note in found.notes if "end" in note]
    assert board.commands[:3] == ["htc", "volt 3300m", "freq 100k"]
    assert board.commands[-1] == "hrc", "its buttons work again"


def test_lpm01a_says_what_it_refuses() -> None:
    with Lpm01a(MADE, refuse="freq") as board, pytest.raises(W2sError, match="refuses 'freq 10k'"):
        lpm01a.record(board.port, 1, replace(GIVEN, rate=10_000))
    with Lpm01a(MADE, deaf=True) as board, pytest.raises(W2sError, match="does not confirm 'htc'"):
        lpm01a.record(board.port, 1, GIVEN)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(), "feeds the board"),
        (Options(voltage=5), "1.8 to 3.3 V"),
        (Options(voltage=3, rate=123), "does not take 123"),
        (Options(voltage=3), "which port"),
    ],
)
def test_what_an_lpm01a_cannot(options: Options, says: str) -> None:
    with pytest.raises(W2sError, match=says):
        lpm01a.record(None, 1, options)


# --- Both ----------------------------------------------------------------------------------------


def test_what_was_measured_can_be_kept(tmp_path: Path) -> None:
    with Ppk2(MADE) as kit:
        recording = ppk2.record(kit.port, 20, GIVEN)
    path = tmp_path / "kept" / "a.csv"
    save_csv(path, recording)
    again = open_recording(path)
    assert again.whole().energy == pytest.approx(recording.whole().energy, rel=1e-6)
    assert len(measure.by_marker(again, "D0").inferences) == 20


@pytest.mark.parametrize("name", ["ppk2", "lpm01a"])
def test_the_command(name: str, tmp_path: Path) -> None:
    meters: dict[str, type[Meter]] = {"ppk2": Ppk2, "lpm01a": Lpm01a}
    saved = tmp_path / "a.csv"
    with meters[name](MADE) as meter:  # type: ignore[call-arg]
        arguments = ["--live", name, "--port", meter.port, "--voltage", "3.3", "--seconds", "0.6"]
        result = CliRunner().invoke(app, ["energy", *arguments, "--save", str(saved), "--json"])
    assert result.exit_code == 0, result.output
    [found] = json.loads(result.stdout)["measured"]
    assert found["instrument"] == name
    assert found["figures"]["average_mw"]["kind"] == "measured"
    assert saved.stat().st_size > 100_000


# --- The board meanwhile -------------------------------------------------------------------------


def told(number: int, **ticks: int) -> BlockTicks:
    """What a board tells of a block; what is not said is 0."""
    zero = {field.name: 0 for field in fields(BlockTicks)}
    return BlockTicks(**{**zero, "session": 1, "block": number, **ticks})


def test_a_timeline_from_what_a_board_tells() -> None:
    """7 ms of work, 1 ms of sending after it, 12 ms of sleep: by a clock of 1 MHz."""
    block = {"library": 6000, "answer": 1000, "asleep": 12_000, "elapsed": 20_000}
    found = session.timeline_of([told(i, **block) for i in range(5)], 1e6)
    np.testing.assert_allclose(found.start, 0.02 * np.arange(4))
    np.testing.assert_allclose(found.duration, 0.008)
    assert found.audio_seconds == 0.02


def test_a_timeline_wants_every_block() -> None:
    block = {"library": 6000, "asleep": 12_000, "elapsed": 20_000}
    with pytest.raises(W2sError, match="was lost"):
        session.timeline_of([told(i, **block) for i in (0, 1, 3)], 1e6)
    with pytest.raises(W2sError, match="less than three"):
        session.timeline_of([told(0, **block)], 1e6)


@given(st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 5), min_size=3, max_size=8))
def test_whatever_a_board_tells(blocks: list[tuple[int, ...]]) -> None:
    names = ("library", "answer", "asleep", "interrupts", "elapsed")
    heard = [told(i, **dict(zip(names, block, strict=True))) for i, block in enumerate(blocks)]
    with contextlib.suppress(W2sError):
        found = session.timeline_of(heard, 168e6)
        assert np.all(found.duration > 0)


def test_a_board_that_tells_nothing_costs_only_the_timeline(tmp_path: Path) -> None:
    saved = tmp_path / "a.csv"
    board = Peer()
    board.start()
    with Ppk2(MADE) as kit:
        arguments = ["--live", "ppk2", "--port", kit.port, "--voltage", "3.3", "--seconds", "2.3"]
        arguments += ["--board", board.url, "--save", str(saved)]
        result = CliRunner().invoke(app, ["energy", *arguments])
    board.close()
    assert result.exit_code == 1
    assert "told of less than three blocks" in " ".join(result.output.split())
    assert len(measure.by_marker(open_recording(saved), "D0").inferences) == 20
