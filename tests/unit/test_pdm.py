# SPDX-License-Identifier: Apache-2.0
"""PDM and I2S microphones: the C library against a reference of its own, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import microphones

from wav2small_micro import codegen, paths
from wav2small_micro.errors import W2sError
from wav2small_micro.pdm import design, library

CLOCKS = library.CLOCKS_HZ
clocks = pytest.mark.parametrize("clock_hz", CLOCKS)


def reference(bits: np.ndarray, clock_hz: int, gain: int) -> np.ndarray:
    multiplier = gain * design.multiplier()
    return microphones.pdm(bits, design.first_taps(clock_hz), design.second_taps(), multiplier)


def random_bits(rng: np.random.Generator, clock_hz: int, ms: int) -> np.ndarray:
    """Bits whose density wanders between none and all."""
    count = clock_hz // 1000 * ms
    density = 0.5 + 0.5 * np.sin(np.cumsum(rng.normal(0, 0.02, count)))
    return (rng.random(count) < density).astype(np.int64)


@clocks
@pytest.mark.parametrize("layout", library.LAYOUTS)
@pytest.mark.parametrize("gain", [1, 256, 4096, 65535])
def test_the_same_bits_as_the_reference(clock_hz: int, layout: str, gain: int) -> None:
    bits = random_bits(np.random.default_rng(gain), clock_hz, 20)
    got = library.Pdm(clock_hz, layout, gain).pcm(microphones.lie(bits, layout))
    assert np.array_equal(got, reference(bits, clock_hz, gain))


@settings(max_examples=60, deadline=None)
@given(
    clock_hz=st.sampled_from(CLOCKS),
    layout=st.sampled_from([*library.LAYOUTS]),
    gain=st.integers(0, 65535),
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, 256), max_size=12),
)
def test_any_split_into_calls(
    clock_hz: int, layout: str, gain: int, seed: int, cuts: list[int]
) -> None:
    """Samples come in blocks of 16, as soon as they are whole, whatever the calls."""
    bits = random_bits(np.random.default_rng(seed), clock_hz, 4)
    words = microphones.lie(bits, layout).reshape(-1, 4)
    stream, got = library.Pdm(clock_hz, layout, gain), []
    for piece in np.split(words, sorted(min(cut, len(words)) for cut in cuts)):
        got.append(stream.pcm(piece.ravel()))
        assert len(got[-1]) % library.BLOCK == 0
    assert np.array_equal(np.concatenate(got), reference(bits, clock_hz, gain))


@clocks
@pytest.mark.parametrize("gain", [256, 65535])
@pytest.mark.parametrize("pattern", ["ones", "zeros", "slow square", "worst"])
def test_extremes(clock_hz: int, gain: int, pattern: str) -> None:
    """The largest sums that bits can make: nothing wraps, the output saturates."""
    count = clock_hz // 1000 * 40
    bits = {
        "ones": np.ones(count, np.int64),
        "zeros": np.zeros(count, np.int64),
        "slow square": (np.arange(count) // (count // 4)) % 2,
        "worst": worst_bits(clock_hz, count),
    }[pattern]
    got = library.Pdm(clock_hz, gain=gain).pcm(microphones.lie(bits, "bytes"))
    assert np.array_equal(got, reference(bits, clock_hz, gain))
    if gain > 256:
        assert {-32768, 32767} & set(got.tolist())


def worst_bits(clock_hz: int, count: int) -> np.ndarray:
    """At one output every bit has the sign of its tap, which is the largest sum there is."""
    step = design.decimation(clock_hz)
    spread = np.zeros(step * design.TAPS, np.int64)
    spread[::step] = design.second_taps()
    both = np.convolve(spread, design.first_taps(clock_hz))
    bits = np.zeros(count, np.int64)
    end = (count // (4 * step) - 1) * 4 * step  # where a sample at 16 kHz ends
    bits[end - len(both) : end] = both[::-1] > 0
    return bits


@clocks
def test_sums_fit_their_words(clock_hz: int) -> None:
    """What pdm.c relies on: lanes of 16 bits, sums of 32."""
    first, second = library.first_taps(clock_hz), library.second_taps()
    assert first.min() >= 0
    assert first.sum() < 2**16
    assert np.abs(second).sum() < 2**16
    assert np.array_equal(second, second[::-1])


def test_tables_are_generated() -> None:
    for path, text in codegen.tables().items():
        assert (paths.repo_root() / path).read_text() == text, "run `w2s generate --tables`"


@clocks
def test_the_c_holds_the_designed_filters(clock_hz: int) -> None:
    assert np.array_equal(library.first_taps(clock_hz), design.first_taps(clock_hz))
    assert np.array_equal(library.second_taps(), design.second_taps())


def test_what_cannot_be() -> None:
    with pytest.raises(W2sError, match="no filter for a clock of 3072000 Hz"):
        library.Pdm(3_072_000)
    with pytest.raises(W2sError, match="no whole words"):
        library.Pdm(CLOCKS[0]).pcm(np.zeros(6, np.uint8))
    with pytest.raises(W2sError, match="no whole frames"):
        library.I2s().pcm(np.zeros(12, np.uint8))


# --- I2S -----------------------------------------------------------------------------------------


def frames(samples: np.ndarray, layout: str, slot: str, rng: np.random.Generator) -> np.ndarray:
    """24-bit samples as slots in memory. What a microphone does not drive is noise."""
    words = rng.integers(0, 2**32, (len(samples), 2), dtype=np.uint32)
    used = words[:, 0 if slot == "left" else 1]
    used[:] = (used & 0xFF) | (samples.astype(np.uint32) << 8)
    if layout == "halfwords":
        words = words << 16 | words >> 16
    return words.astype("<u4").view(np.uint8).ravel()


@pytest.mark.parametrize("layout", library.SLOT_LAYOUTS)
@pytest.mark.parametrize("slot", library.SLOTS)
@pytest.mark.parametrize("gain", [1, 256, 4096, 65535])
def test_i2s_slots(layout: str, slot: str, gain: int) -> None:
    rng = np.random.default_rng(gain)
    samples = rng.integers(-(2**23), 2**23, 5000)
    samples[:600] = 2**23 - 1
    samples[600:1200] = -(2**23)
    samples[1200:1400] >>= 12  # quiet ones
    data = frames(samples, layout, slot, rng)
    expected = microphones.level([int(s) << 6 for s in samples], gain << 10)
    assert np.array_equal(library.I2s(layout, slot, gain).pcm(data), expected)
    stream = library.I2s(layout, slot, gain)
    pieces = [stream.pcm(piece.ravel()) for piece in np.split(data.reshape(-1, 8), [1, 2, 700])]
    assert np.array_equal(np.concatenate(pieces), expected)


def test_unity_gain_of_i2s_keeps_the_upper_bits() -> None:
    """A tone well above the high pass comes through as its upper 16 bits, once that is slow."""
    tone = np.round(2**22 * np.sin(2 * np.pi * 1000 / 16000 * np.arange(16000))).astype(np.int64)
    data = frames(tone, "words", "left", np.random.default_rng(0))
    got = library.I2s("words", "left", library.UNITY).pcm(data)
    assert np.abs(got[8000:] - tone[8000:] / 256).max() < 2**14 * 0.01 + 1
