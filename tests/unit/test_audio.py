# SPDX-License-Identifier: Apache-2.0
"""read_clip: bit-exact where it can be, a clear error where it must be."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wav2small_micro.audio import MIN_SECONDS, RATE, read_clip, to_pcm
from wav2small_micro.errors import W2sError


def tone(seconds: float, rate: int, hertz: float = 440, level: float = 0.5) -> np.ndarray:
    """A sine, float64 in [-1, 1]."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
def test_16_bit_mono_at_16_khz_comes_through_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    pcm = np.random.default_rng(1).integers(-32768, 32768, 4000).astype(np.int16)
    clip = read_clip(write(tmp_path / f"a.{suffix}", pcm))
    np.testing.assert_array_equal(clip.pcm, pcm)
    assert clip.pcm.dtype == np.int16
    assert clip.pcm.flags.c_contiguous
    assert clip.seconds == 0.25


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count(tmp_path: Path, rate: int, channels: int) -> None:
    samples = np.repeat(tone(0.5, rate)[:, None], channels, axis=1)
    clip = read_clip(write(tmp_path / "a.wav", samples, rate, "FLOAT"))
    assert abs(len(clip.pcm) - 8000) <= 1
    middle = slice(1000, 7000)  # away from what the resampler does at the ends
    error = clip.pcm[middle] / 32768 - tone(0.6, RATE)[middle]
    assert np.abs(error).max() < 2e-3


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"]
)
def test_any_sample_format(tmp_path: Path, subtype: str) -> None:
    clip = read_clip(write(tmp_path / "a.wav", tone(0.3, RATE), RATE, subtype))
    assert np.abs(clip.pcm / 32768 - tone(0.3, RATE)).max() < 0.03


def test_channels_are_averaged(tmp_path: Path) -> None:
    stereo = np.stack([np.full(4000, 1000), np.full(4000, 3000)], axis=1).astype(np.int16)
    stereo[::2] *= -1
    clip = read_clip(write(tmp_path / "a.wav", stereo))
    assert set(clip.pcm) == {-2000, 2000}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_refused(tmp_path: Path, value: float) -> None:
    samples = tone(0.5, RATE)
    samples[77] = value
    path = write(tmp_path / "a.wav", samples, RATE, "FLOAT")
    with pytest.raises(W2sError, match=r"a\.wav holds 1 samples that are NaN or infinite"):
        read_clip(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="no clip at"):
        read_clip(tmp_path / "nothing.wav")


def test_a_folder_is_not_a_clip(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="no clip at"):
        read_clip(tmp_path)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not audio at all" * 100])
@pytest.mark.parametrize("suffix", ["wav", "flac", "raw", "txt"])
def test_broken_file(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(W2sError, match="cannot be read as audio") as caught:
        read_clip(path)
    assert caught.value.hint


def test_empty_clip(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="holds no samples"):
        read_clip(write(tmp_path / "a.wav", np.zeros(0)))


def test_shortest_clip(tmp_path: Path) -> None:
    shortest = round(MIN_SECONDS * RATE)
    assert len(read_clip(write(tmp_path / "a.wav", tone(MIN_SECONDS, RATE))).pcm) == shortest
    with pytest.raises(W2sError, match=r"0\.200 s long; at least 0\.2 s"):
        read_clip(write(tmp_path / "b.wav", tone(MIN_SECONDS, RATE)[:-1]))


def test_silence_is_answered_with_a_warning(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.wav", np.zeros(RATE)))
    assert not clip.pcm.any()
    assert clip.warnings[0].startswith("silent")


def test_clipping_is_answered_with_a_warning(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.wav", np.clip(tone(1, RATE, level=1.5), -1, 1)))
    assert clip.warnings[0].startswith("clipped")


def test_the_shipped_clips_are_what_the_tests_need(clips: list) -> None:
    assert len(clips) >= 8
    assert min(clip.seconds for clip in clips) < 0.5
    assert max(clip.seconds for clip in clips) > 5


@given(hnp.arrays(np.int16, st.integers(0, 300)))
def test_pcm_to_float_and_back_is_exact(pcm: np.ndarray) -> None:
    np.testing.assert_array_equal(to_pcm(pcm / 32768, RATE), pcm)


@given(hnp.arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e6, 1e6)))
def test_beyond_full_scale_saturates(samples: np.ndarray) -> None:
    pcm = to_pcm(samples, RATE)
    inside = np.clip(samples, -1, 32767 / 32768)
    assert np.abs(pcm / 32768 - inside).max() <= 0.5 / 32768 + 1e-12
