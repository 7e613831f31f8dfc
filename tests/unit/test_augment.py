# SPDX-License-Identifier: Apache-2.0
"""Disturbances reach what they promise: levels, ratios, spectra, decay; the same by seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wav2small_micro.audio import RATE
from wav2small_micro.distillation import augment
from wav2small_micro.distillation.augment import Augmentation

SEEDS = st.integers(0, 2**32 - 1)


def voice(seconds: float = 1.0, seed: int = 0, rms: float = 0.05) -> np.ndarray:
    """Noise that swells and fades like syllables, float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    x = rng.standard_normal(len(time)) * (1.1 + np.sin(2 * np.pi * 4 * time))
    return (x * rms / x.std()).astype(np.float32)


VOICES = [augment.to_pcm(voice(0.7 + 0.2 * i, i)) for i in range(4)]


def band_db(x: np.ndarray, low: float, high: float) -> float:
    """Mean power per bin between two frequencies."""
    power = np.abs(np.fft.rfft(x.astype(np.float64))) ** 2
    frequency = np.fft.rfftfreq(len(x), 1 / RATE)
    return float(10 * np.log10(power[(frequency >= low) & (frequency < high)].mean()))


@given(st.floats(-20, 20))
def test_gain_is_in_decibels(db: float) -> None:
    x = voice()
    assert 20 * np.log10(augment.gain(x, db).std() / x.std()) == pytest.approx(db, abs=1e-3)


def test_a_loud_voice_is_cut_at_full_scale_and_a_soft_one_is_rounded() -> None:
    loud = augment.to_pcm(augment.gain(voice(rms=0.2), 20))
    assert (loud.min(), loud.max()) == (-32768, 32767)
    x = voice(rms=1e-3)
    assert np.abs(augment.to_sound(augment.to_pcm(x)) - x).max() <= 0.5 / 32768


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0, 30), st.sampled_from([*augment.COLOURS, "babble"]))
def test_the_ratio_of_voice_to_noise_is_reached(seed: int, snr: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    x = voice(seed=3)
    noise = (
        augment.babble(len(x), VOICES, rng)
        if kind == "babble"
        else augment.coloured_noise(len(x), kind, rng)  # type: ignore[arg-type]
    )
    assert noise.std() == pytest.approx(1, abs=1e-3)
    found = augment.add_noise(x, noise, snr)
    assert 20 * np.log10(x.std() / (found - x).std()) == pytest.approx(snr, abs=0.05)


@pytest.mark.parametrize(("colour", "fall"), [("white", 0), ("pink", 3), ("brown", 6)])
def test_the_colours_fall_by_octave(colour: augment.Colour, fall: float) -> None:
    noise = augment.coloured_noise(20 * RATE, colour, np.random.default_rng(1))
    levels = [band_db(noise, low, 2 * low) for low in (125, 250, 500, 1000, 2000)]
    assert np.diff(levels) == pytest.approx(-fall, abs=0.5)


def test_silence_stays_silence() -> None:
    silent = np.zeros(RATE, np.float32)
    noise = augment.coloured_noise(RATE, "white", np.random.default_rng(0))
    assert not augment.add_noise(silent, noise, 0).any()
    assert not augment.babble(RATE, [np.zeros(100, np.int16)], np.random.default_rng(0)).any()
    x = voice()
    np.testing.assert_array_equal(augment.add_noise(x, silent, 10), x)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.15, 0.8), st.floats(-3, 12))
def test_a_room_decays_as_it_should(seed: int, t60: float, direct: float) -> None:
    """Schroeder's integral falls by 60 dB in T60, and the direct sound is as strong as said."""
    response = augment.impulse_response(t60, direct, np.random.default_rng(seed))
    energy = response.astype(np.float64) ** 2
    assert energy.sum() == pytest.approx(1, abs=1e-5)
    assert 10 * np.log10(energy[0] / energy[1:].sum()) == pytest.approx(direct, abs=0.01)
    left = 10 * np.log10(np.cumsum(energy[:0:-1])[::-1])
    at = [int(share * t60 * RATE) for share in (0.1, 0.4)]
    assert left[at[0]] - left[at[1]] == pytest.approx(0.3 * 60, abs=2.0)


def test_a_filter_neither_delays_nor_wraps() -> None:
    x = voice()
    np.testing.assert_allclose(augment.convolve(x, np.array([1, 0], np.float32)), x, atol=1e-6)
    late = augment.convolve(x, np.eye(1, 101, 100, dtype=np.float32)[0])
    np.testing.assert_allclose(late[100:], x[:-100], atol=1e-6)
    np.testing.assert_allclose(late[:100], 0, atol=1e-6)
    same = augment.equalise(x, np.zeros_like)
    np.testing.assert_allclose(same, x, atol=1e-6)


@given(SEEDS)
def test_a_microphone_is_gentle_inside_its_band(seed: int) -> None:
    response = augment.microphone(np.random.default_rng(seed))
    inside = response(np.linspace(300, 3400, 200))
    assert np.abs(inside).max() <= 6 + 1e-9
    assert response(np.array([5.0]))[0] < -30
    assert np.abs(np.diff(response(np.geomspace(20, 8000, 2000)))).max() < 0.5


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    faster = augment.speed(tone, factor)
    assert len(faster) == pytest.approx(RATE / factor, abs=2)
    peak = np.abs(np.fft.rfft(faster)).argmax() * RATE / len(faster)
    assert peak == pytest.approx(1000 * factor, abs=3)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([0.5, 1.0, 3.0]))
def test_a_disturbed_crop_is_the_same_by_seed(seed: int, seconds: float) -> None:
    samples = int(seconds * RATE)
    first, second = (
        augment.disturb(VOICES[0], samples, VOICES, Augmentation(), np.random.default_rng(seed))
        for _ in range(2)
    )
    assert first.dtype == np.int16
    assert first.shape == (samples,)
    np.testing.assert_array_equal(first, second)


def test_a_clean_crop_is_the_clip() -> None:
    rng = np.random.default_rng(0)
    crop = augment.disturb(VOICES[3], 8000, VOICES, Augmentation(clean=1), rng)
    windows = np.lib.stride_tricks.sliding_window_view(VOICES[3], 8000)
    assert (windows == crop).all(axis=1).any()


def test_a_crop_can_begin_as_its_clip_does() -> None:
    """A clip that is too short is said again after a pause; other crops begin anywhere."""
    first, anywhere = Augmentation(clean=1, beginning=1), Augmentation(clean=1, beginning=0)
    clip = VOICES[3]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        np.testing.assert_array_equal(augment.disturb(clip, 8000, [], first, rng), clip[:8000])
        longer = augment.disturb(clip, 2 * len(clip), [], first, rng)
        np.testing.assert_array_equal(longer[: len(clip)], clip)
        again = len(clip) + int(np.flatnonzero(longer[len(clip) :])[0])
        assert again - len(clip) < RATE // 2
        np.testing.assert_array_equal(longer[again:], clip[: len(longer) - again])
    rng = np.random.default_rng(0)
    begun = [augment.disturb(clip, 8000, [], anywhere, rng)[:50].tobytes() for _ in range(50)]
    assert len(set(begun)) > 40


def test_the_loudness_covers_the_range_asked_for() -> None:
    rng = np.random.default_rng(0)
    how = Augmentation(clean=0, noise=0, room=0, colour=0, speed=0)
    steady = [augment.to_pcm(voice(2, rms=0.01))]
    crops = [augment.disturb(steady[0], RATE, steady, how, rng) for _ in range(200)]
    levels = [20 * np.log10(crop.std() / 327.68) for crop in crops]
    assert min(levels) == pytest.approx(-20, abs=1.5)
    assert max(levels) == pytest.approx(20, abs=1.5)
