# SPDX-License-Identifier: Apache-2.0
"""The integer log-mel front end against its float64 definition."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wav2small_micro import native, reference
from wav2small_micro.audio import read_clip
from wav2small_micro.errors import W2sError

# Everywhere, on speech: what `logmel.c` promises is 0.5 dB; this is what it keeps.
SPEECH_BOUND_DB = 0.15
# On anything: extreme levels, tones beside silence, offsets. Bands near the floor are under the
# rounding of 16-bit samples themselves.
ANY_BOUND_DB = 0.5
ABOVE_FLOOR_DB = -95.0


def error_db(pcm: np.ndarray, norm: str) -> float:
    """Worst error where the reference is above the floor; below it, ours must be down there too."""
    ours, reference_db = native.logmel(pcm, norm), reference.logmel(pcm, norm)
    above = reference_db > ABOVE_FLOOR_DB
    assert (ours[~above] <= ABOVE_FLOOR_DB + 1).all()
    return float(np.abs(ours - reference_db)[above].max(initial=0))


@pytest.mark.parametrize("norm", ["utterance", "live"])
def test_speech(clips, norm):
    for clip in clips:
        assert error_db(clip.pcm, norm) < SPEECH_BOUND_DB, clip.path


@pytest.mark.parametrize("norm", ["utterance", "live"])
def test_real_speech(research_clips, norm):
    for path in research_clips[::4]:
        assert error_db(read_clip(path).pcm, norm) < SPEECH_BOUND_DB, path


@st.composite
def signals(draw):
    """Noise, tones and steps of any level, with an offset, in int16."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(64, 3000))
    level = 2.0 ** draw(st.floats(0, 15))
    kind = draw(st.sampled_from(["noise", "tone", "steps", "bursts"]))
    t = np.arange(n)
    x = {
        "noise": rng.normal(0, 1, n),
        "tone": np.sin(2 * np.pi * draw(st.floats(100, 7900)) / 16000 * t),
        "steps": np.sign(np.sin(2 * np.pi * draw(st.floats(1, 4000)) / 16000 * t)),
        "bursts": rng.normal(0, 1, n) * (t // 200 % 2),
    }[kind]
    offset = draw(st.sampled_from([0, 0, 1, -300, 8000]))
    return np.clip(np.round(x * level + offset), -32768, 32767).astype(np.int16)


@settings(max_examples=150, deadline=None)
@given(signals(), st.sampled_from(["utterance", "live"]))
def test_any_signal(pcm, norm):
    # Rounding to 16 bits is a noise of 1/12 of a step squared a sample, 24/12 behind the window. A
    # hundredth of that says nothing of the sound: such bands may differ by more.
    ours, wanted = native.logmel(pcm, norm), reference.logmel(pcm, norm)
    _, variance = reference.statistics(pcm, norm)
    weight = reference.mel_matrix().sum(axis=0)[1:]
    step = 10 * np.log10(weight * 24 / 12 / 2**30 * 1e-2)
    least = np.maximum(ABOVE_FLOOR_DB, step[None] - 10 * np.log10(variance + 1e-7)[:, None])
    audible = wanted[:, 1:] > least
    assert np.abs(ours - wanted)[:, 1:][audible].max(initial=0) < ANY_BOUND_DB
    assert (ours[:, 0] == -100).all()


def test_silence_is_the_floor():
    assert (native.logmel(np.zeros(4000, np.int16)) == -100).all()
    assert (native.logmel(np.full(4000, 1234, np.int16)) <= -95).all()


def test_full_scale_does_not_wrap():
    square = np.where(np.arange(8000) // 8 % 2, 32767, -32768).astype(np.int16)
    assert error_db(square, "utterance") < ANY_BOUND_DB


@given(st.integers(1, 2**64 - 1))
def test_log2(value):
    assert abs(native.log2_q16(value) / 65536 - math.log2(value)) < 1e-4


def test_stats_are_exact():
    pcm = np.random.default_rng(1).integers(-32768, 32768, 100_000).astype(np.int16)
    wide = pcm.astype(object)
    assert native.stats(pcm) == (len(pcm), int(wide.sum()), int((wide * wide).sum()))


def test_a_fragment_is_refused():
    with pytest.raises(W2sError, match="shorter than one frame"):
        native.logmel(np.zeros(63, np.int16))
    with pytest.raises(W2sError, match="int16"):
        native.logmel(np.zeros(6400, np.float32))  # type: ignore[arg-type]
