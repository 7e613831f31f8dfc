# SPDX-License-Identifier: Apache-2.0
"""What PDM does to sound: the promised band, rejection and noise, and A/D/V of speech through it.

Held twice: on the integers that the C holds, by arithmetic, and on the C's samples of tones.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wav2small_micro.audio import Clip, read_clip
from wav2small_micro.cli.app import app
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.errors import W2sError
from wav2small_micro.pdm import chain, figures, library, modulator

CLOCKS = library.CLOCKS_HZ
MODELS = ("wav2small-72k", "wav2small-17k")
clocks = pytest.mark.parametrize("clock_hz", CLOCKS)


# --- The filters ---------------------------------------------------------------------------------


@clocks
def test_the_band_is_flat_and_free_of_what_folds(clock_hz: int) -> None:
    found = figures.exact(clock_hz)
    assert found["ripple_db"] < 0.5
    assert abs(found["at_60_hz_db"]) < 0.5
    assert abs(found["at_7_khz_db"]) < 0.5
    assert found["alias_db"] > 60
    assert 9000 <= found["alias_hz"] <= clock_hz / 2
    assert found["delay_ms"] < 1


@clocks
def test_tones_agree_with_the_integers(clock_hz: int) -> None:
    """Each tone comes out as the response says, down to where noise is as large."""
    hz = np.array([*figures.PASSED_HZ, *figures.ALIASES_HZ], float)
    expected = figures.response(clock_hz, hz)
    got = figures.tones(clock_hz, hz.tolist())
    heard = expected > -80
    assert heard.sum() > len(figures.PASSED_HZ) + 5
    assert np.abs(got - expected)[heard].max() < 1.0
    assert np.abs(got - expected)[: len(figures.PASSED_HZ)].max() < 0.02
    assert got[len(figures.PASSED_HZ) :].max() < -60


@clocks
@pytest.mark.parametrize("order", modulator.ORDERS)
def test_signal_to_noise(clock_hz: int, order: int) -> None:
    """Of the largest tone, 0.6 of the full scale."""
    assert figures.snr(clock_hz, order) > 70
    if order == 4:
        assert figures.snr(clock_hz, order) > 90
        assert figures.snr(clock_hz, order, hz=100.0) > 85


@clocks
def test_a_step_of_the_mean_is_gone_soon(clock_hz: int) -> None:
    """A microphone's offset, 5 % of the full scale at a gain of 16: nothing of it after 0.3 s."""
    bits = modulator.Modulator(clock_hz).bits(np.full(clock_hz, 0.05))
    pcm = library.Pdm(clock_hz, gain=library.SPEECH).pcm(bits)
    assert np.abs(pcm[:16].astype(int)).max() > 10_000
    assert np.abs(pcm[800:4800].mean()) < 300
    assert np.abs(pcm[4800:].mean()) < 5


def test_gain_is_exact_and_saturates() -> None:
    quiet, loud = (
        figures.heard(CLOCKS[0], 1000.0, amplitude=amplitude) for amplitude in (0.01, 0.5)
    )
    assert np.std(loud) / np.std(quiet) == pytest.approx(50, rel=1e-3)
    tone = 0.5 * np.sin(2 * np.pi * 1000 / CLOCKS[0] * np.arange(CLOCKS[0] // 2))
    bits = modulator.Modulator(CLOCKS[0]).bits(tone)
    clipped = library.Pdm(CLOCKS[0], gain=library.SPEECH).pcm(bits)
    assert clipped.max() == 32767
    assert clipped.min() == -32768


# --- The modulator -------------------------------------------------------------------------------


@clocks
@pytest.mark.parametrize("order", modulator.ORDERS)
def test_the_loop_against_its_equations(clock_hz: int, order: int) -> None:
    """The C loop, and the same equations in Python's integers."""
    b, a = (list(map(int, x)) for x in modulator.loop(order, clock_hz))
    assert [*b[order:], *a[order:]] == [0] * 2 * (4 - order)
    one = 1 << 24
    samples = np.random.default_rng(order).uniform(-1, 1, 4000)
    u = [round(float(x)) for x in np.round(samples * one)]
    errors, back, bits = [0] * 4, [0] * 4, []
    for x in u:
        total = sum(p * e for p, e in zip(b, errors, strict=True))
        total -= sum(p * w for p, w in zip(a, back, strict=True))
        w = (total + one // 2) >> 24
        y = max(-8 * one, min(8 * one, x + w))
        bits.append(int(y >= 0))
        errors = [(one if y >= 0 else -one) - y, *errors[:3]]
        back = [w, *back[:3]]
    made = modulator.Modulator(clock_hz, order)
    got = np.concatenate([made.bits(samples[:800]), made.bits(samples[800:])])
    assert np.array_equal(np.unpackbits(got), bits)


@clocks
@pytest.mark.parametrize("order", modulator.ORDERS)
def test_the_loop_is_stable(clock_hz: int, order: int) -> None:
    """A second at the largest amplitude, low, and as a square: the density follows, to the end."""
    time = np.arange(clock_hz) / clock_hz
    slow = np.sin(2 * np.pi * 3 * time)
    for wave in (slow, np.sign(slow)):
        bits = np.unpackbits(modulator.Modulator(clock_hz, order).bits(modulator.LARGEST * wave))
        error = (2.0 * bits - 1 - modulator.LARGEST * wave).reshape(-1, 1024).mean(axis=1)
        assert np.abs(error).max() < 0.01


def test_what_is_no_modulator() -> None:
    with pytest.raises(W2sError, match="no modulator of order 3"):
        modulator.Modulator(CLOCKS[0], 3)
    with pytest.raises(W2sError, match="no whole bytes"):
        modulator.Modulator(CLOCKS[0]).bits(np.zeros(7))


# --- Speech --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 0.01, 0.9999, 1, 1.00005, 2.5])
def test_a_clip_of_any_length_keeps_its_length_and_place(seconds: float) -> None:
    count = round(16000 * seconds)
    noise = np.random.default_rng(0).normal(0, 3000, count + 200)
    pcm = np.round(np.convolve(noise, np.hanning(8) / 4, "same"))[:count].astype(np.int16)
    heard = chain.through(pcm)
    assert len(heard) == count
    if count > 1000:
        lags = [
            np.dot(heard[20:-20], np.roll(pcm, lag)[20:-20].astype(float)) for lag in (-1, 0, 1)
        ]
        assert np.argmax(lags) == 1
        difference = (heard - pcm.astype(float))[20:-20]
        assert np.std(difference) < 0.08 * np.std(pcm)


def apart(model: str, pcm: np.ndarray, clock_hz: int = CLOCKS[0]) -> float:
    engine = NativeEngine(Model.load(model))
    answers = [engine.run(heard).adv for heard in (pcm, chain.through(pcm, clock_hz))]
    return float(np.abs(np.subtract(*answers)).max())


@clocks
@pytest.mark.parametrize("model", MODELS)
def test_answers_through_pdm(model: str, clock_hz: int, clips: list[Clip]) -> None:
    """Made speech is silent to the last bit between words: here it is in a quiet room."""
    found = [apart(model, chain.in_a_room(clip.pcm, -45), clock_hz) for clip in clips]
    assert max(found) < chain.WORST, found


@pytest.mark.slow
def test_answers_through_pdm_on_research_clips(research_clips: list[Path]) -> None:
    """Recorded speech, as it is. docs/pdm.md has what it prints."""
    assert len(research_clips) >= 50
    engines = [NativeEngine(Model.load(model)) for model in MODELS]
    found = []
    for path in research_clips:
        pcm = read_clip(path).pcm
        heard = chain.through(pcm)
        found.append([np.subtract(e.run(pcm).adv, e.run(heard).adv) for e in engines])
    apart = np.abs(found).max(axis=2)
    worst = apart.max(axis=0)
    for model, far, mean in zip(MODELS, worst, apart.mean(axis=0), strict=True):
        print(f"{model}: {len(apart)} clips: worst {far:.4f}, mean {mean:.4f} apart")
    assert (worst < chain.WORST).all(), worst


# --- The command ---------------------------------------------------------------------------------


def test_the_command_prints_the_figures(tmp_path: Path) -> None:
    picture = tmp_path / "pdm.png"
    result = CliRunner().invoke(app, ["pdm", "--json", "--plot", str(picture)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found[str(CLOCKS[0])]["exact"]["alias_db"] > 60
    assert found[str(CLOCKS[1])]["measured"]["snr_db"] > 70
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_compares_clips(tmp_path: Path, clip_paths: list[Path]) -> None:
    """Bits and samples that it writes are those of the chain; far below, noise tells."""
    clip = clip_paths[0]
    arguments = ["pdm", str(clip), "--json", "--room", "-45"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    pcm = chain.in_a_room(read_clip(clip).pcm, -45)
    bits = np.fromfile(tmp_path / f"{clip.stem}.pdm", np.uint8)
    assert np.array_equal(bits, chain.bits(pcm))
    assert np.array_equal(read_clip(tmp_path / f"{clip.stem}.wav").pcm, chain.through(pcm))
    far = CliRunner().invoke(app, ["pdm", str(clip), "--json", "--level", "40", "--order", "2"])
    assert far.exit_code == 1, far.output
    assert json.loads(far.stdout)["worst"] > chain.WORST


def test_a_clip_that_cannot_be_read_stops_no_other(tmp_path: Path, clip_paths: list[Path]) -> None:
    arguments = ["pdm", str(tmp_path / "none.wav"), str(clip_paths[0]), "--room", "-45"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "none.wav" in result.output
    assert clip_paths[0].name in result.output
    assert "1 clips" in result.output
