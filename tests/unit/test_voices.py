# SPDX-License-Identifier: Apache-2.0
"""Other voices: each factor does what its name says, and nothing else."""

import numpy as np
import parselmouth
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wav2small_micro.audio import RATE
from wav2small_micro.data.manifest import Row
from wav2small_micro.distillation import augment, voices
from wav2small_micro.distillation.augment import Sound
from wav2small_micro.distillation.views import View, draw_voices, make
from wav2small_micro.distillation.voices import Voice
from wav2small_micro.errors import W2sError

PITCH, SWING, RESONANCE = 140.0, 0.25, 900.0


@pytest.fixture(scope="module")
def vowel() -> Sound:
    """1.5 s of pulses whose pitch swings by a quarter octave either way, through one resonance."""
    time = np.arange(int(1.5 * RATE)) / RATE
    phase = np.cumsum(PITCH * 2 ** (SWING * np.sin(2 * np.pi * 2 * time))) / RATE
    pulses = np.diff(np.floor(phase), prepend=0.0).astype(np.float32)
    decay = np.exp(-2 * np.pi * 60 * time[:800]) * np.sin(2 * np.pi * RESONANCE * time[:800])
    return 0.3 * augment.convolve(pulses, decay.astype(np.float32))


def octaves(x: Sound) -> np.ndarray:
    """The pitch where there is one, octaves over 1 Hz."""
    found = parselmouth.Sound(x.astype(float), RATE).to_pitch(0.01, 60, 600)
    hertz = found.selected_array["frequency"]
    return np.asarray(np.log2(hertz[hertz > 0]))


def resonance(x: Sound) -> float:
    """Where the spectrum has its centre between 300 Hz and 2 kHz, Hz."""
    power = np.abs(np.fft.rfft(x)) ** 2
    hertz = np.fft.rfftfreq(len(x), 1 / RATE)
    inside = (hertz > 300) & (hertz < 2000)
    return float(np.sum(power[inside] * hertz[inside]) / np.sum(power[inside]))


@pytest.mark.parametrize("factor", [0.8, 1.25])
@pytest.mark.parametrize("name", ["formants", "pitch", "intonation", "tempo"])
def test_a_factor_changes_what_it_is_named_after(vowel: Sound, name: str, factor: float) -> None:
    changed = voices.change(vowel, Voice(**{name: factor}))
    by = dict.fromkeys(("formants", "pitch", "intonation", "tempo"), 1.0) | {name: factor}
    before, after = octaves(vowel), octaves(changed)
    assert len(vowel) / len(changed) == pytest.approx(by["tempo"], rel=0.01)
    assert 2 ** (np.median(after) - np.median(before)) == pytest.approx(by["pitch"], rel=0.02)
    assert after.std() / before.std() == pytest.approx(by["intonation"], rel=0.05)
    assert resonance(changed) / resonance(vowel) == pytest.approx(by["formants"], rel=0.06)


def test_a_voice_is_drawn_within_its_ranges_and_is_the_same_again(vowel: Sound) -> None:
    drawn = draw_voices(Row("a.wav"), 40)
    assert drawn == draw_voices(Row("a.wav"), 40)
    assert drawn[:9] == draw_voices(Row("a.wav"), 9)
    assert not set(drawn) & set(draw_voices(Row("b.wav"), 40))
    for name, (low, high) in voices.RANGES.items():
        found = [getattr(view.voice, name) for view in drawn]
        assert low <= min(found) < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < max(found) <= high
    pcm = augment.to_pcm(vowel)
    for view in drawn[:3]:
        assert View.read(view.spec) == view
        np.testing.assert_array_equal(make(view, pcm), make(View.read(view.spec), pcm))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(0, 20_000), st.sampled_from(["noise", "still", "click"])
)
def test_what_is_no_voice_ends_all_the_same(seed: int, samples: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    x = np.zeros(samples, np.float32)
    if kind == "noise":
        x += 0.1 * rng.standard_normal(samples).astype(np.float32)
    elif kind == "click":
        x[: samples // 2 : 100] = 1.0
    voice = voices.draw(rng)
    try:
        changed = voices.change(x, voice)
    except W2sError:
        assert samples < 3 / voices.PITCH_HZ[0] * RATE + 1
        return
    assert np.isfinite(changed).all()
    assert len(changed) == pytest.approx(samples / voice.tempo, abs=50)
