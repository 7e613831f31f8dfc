# SPDX-License-Identifier: Apache-2.0
"""The float log-mel against its definition, and the C front end against it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wav2small_micro import reference
from wav2small_micro.errors import W2sError

RATE = reference.SAMPLE_RATE


def noise(samples: int, seed: int = 0, level: float = 3000) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, samples).round().astype(np.int16)


def test_mel_matrix_is_slaney_s() -> None:
    """Every triangle has unit area where the bins sample it finely; band 0 falls between bins."""
    matrix = reference.mel_matrix()
    assert matrix.shape == (33, 26)
    assert np.count_nonzero(matrix) == 59
    assert not matrix[:, 0].any()
    area = matrix.sum(axis=0) * RATE / reference.WINDOW
    np.testing.assert_allclose(area[16:], 1, atol=0.12)


def test_dft_matrices_are_the_windowed_dft() -> None:
    cosine, sine = reference.dft()
    x = noise(64) / 32768
    expected = np.fft.rfft(x * reference.window())
    np.testing.assert_allclose(x @ cosine + 1j * (x @ sine), expected, atol=1e-12)


@pytest.mark.parametrize(("samples", "frames"), [(63, 0), (64, 1), (95, 1), (96, 2), (16000, 499)])
def test_frame_count(samples: int, frames: int) -> None:
    assert reference.frame_count(samples) == frames


def test_a_tone_lands_in_its_band() -> None:
    """A 2 kHz tone: power (amplitude / 2 * sum of window)^2 at bin 8, a quarter of it beside."""
    t = np.arange(RATE)
    pcm = np.round(8000 * np.sin(2 * np.pi * 2000 * t / RATE)).astype(np.int16)
    rows = reference.logmel(pcm)
    amplitude = np.sqrt(2)  # after division by the variance of a sine
    spectrum = np.zeros(33)
    spectrum[[7, 8, 9]] = (amplitude / 2 * np.array([16, 32, 16])) ** 2
    bands = spectrum @ reference.mel_matrix()
    heard = bands > 0
    np.testing.assert_allclose(rows[100, heard], 10 * np.log10(bands[heard]), atol=0.01)
    assert rows[100].argmax() == bands.argmax()


def test_utterance_normalisation_forgets_the_level() -> None:
    quiet, loud = noise(8000, level=500), noise(8000, level=500) * 8
    np.testing.assert_allclose(reference.logmel(quiet), reference.logmel(loud), atol=0.01)


def test_silence_is_the_floor() -> None:
    for norm in reference.NORMS:
        assert (reference.logmel(np.zeros(3200, np.int16), norm) == -100).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(64, 4000))
def test_live_statistics_are_causal_and_start_as_plain_means(seed: int, samples: int) -> None:
    """Up to 2500 hops the state is the mean of all heard; later samples change nothing."""
    pcm = noise(samples, seed)
    mean, variance = reference.statistics(pcm, "live")
    for frame in {0, len(mean) // 2, len(mean) - 1}:
        heard = pcm[: (frame + 2) * 32] / 32768
        np.testing.assert_allclose(mean[frame], heard.mean(), atol=1e-12)
        np.testing.assert_allclose(variance[frame], heard.var(), atol=1e-12)
    cut = pcm[: len(pcm) // 2 + 32]
    if len(cut) >= 64:
        rows = reference.logmel(cut, "live")
        expected = reference.logmel(pcm, "live")[: len(rows)]
        np.testing.assert_allclose(rows, expected, atol=1e-9)


def test_live_statistics_forget_after_five_seconds() -> None:
    """From hop 2500 on, the weight of a hop decays by 1 - 1/2500."""
    loud, silence = noise(2500 * 32), np.zeros(2500 * 32, np.int16)
    _, variance = reference.statistics(np.concatenate([loud, silence]), "live")
    expected = (loud / 32768).var() * (1 - 1 / 2500) ** 2500
    np.testing.assert_allclose(variance[-1], expected, rtol=1e-3)


@pytest.mark.parametrize("norm", reference.NORMS)
def test_c_front_end_is_within_half_a_decibel(clips: list, norm: str) -> None:
    """The integer front end, on speech, wherever it is above the floor."""
    native = pytest.importorskip("wav2small_micro.native")
    for clip in clips:
        expected = reference.logmel(clip.pcm, norm)
        error = np.abs(native.logmel(clip.pcm, norm) - expected)
        assert error[expected > -99].max() <= 0.5, clip.path.name


def test_refusals() -> None:
    with pytest.raises(W2sError, match="shorter than one window"):
        reference.logmel(np.zeros(63, np.int16))
    with pytest.raises(W2sError, match="no normalisation 'loudest'"):
        reference.logmel(np.zeros(64, np.int16), "loudest")
