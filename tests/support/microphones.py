# SPDX-License-Identifier: Apache-2.0
"""What firmware/lib/pdm computes, written down a second time: whole streams, Python's integers."""

import numpy as np

MOST, LEAST = 32767, -32768


def level(values: list[int], multiplier: int) -> np.ndarray:
    """level.h: the mean out, then a gain in Q32, rounded and saturated."""
    # 16 kHz: 64 samples at a sixteenth, 128 at half of that and so on; the rest at 1/1024.
    speeds = [part for part in (16, 32, 64, 128, 256, 512) for _ in range(4 * part)]
    mean, out = 0, []
    for i, x in enumerate(values):
        y = x - mean
        assert abs(x) <= 2**30
        assert abs(y) < 2**31
        part = speeds[i] if i < len(speeds) else 1024
        mean += (y + part // 2) // part
        out.append(min(MOST, max(LEAST, (y * multiplier + 2**31) // 2**32)))
    return np.array(out, np.int16)


def pdm(bits: np.ndarray, first: np.ndarray, second: np.ndarray, multiplier: int) -> np.ndarray:
    """One-bit samples (N,) of 0 and 1, the first one first, to PCM in blocks of 1 ms.

    ``first`` and ``second``: the taps. Silence has gone before, as two words of alternating bits.
    """
    each = len(first) // 4
    before = np.tile([0, 1], 64)
    stream = np.concatenate([before, bits]).astype(np.int64)
    # Without a bit before the first, too: those taps see nothing.
    sums = np.convolve(stream, first)[each - 1 : len(stream) : each]
    middle = sums[len(before) // each :] - 2**15
    middle = np.concatenate([np.zeros(len(second) - 4, np.int64), middle])
    blocks = len(bits) // each // 64
    values = [int(middle[4 * i : 4 * i + len(second)] @ second) >> 1 for i in range(16 * blocks)]
    return level(values, multiplier)


def lie(bits: np.ndarray, layout: str) -> np.ndarray:
    """Bits (32 N,) as bytes in memory: the first of each unit is its most significant."""
    dtype = {"bytes": ">u1", "halfwords": "<u2", "words": "<u4"}[layout]
    size = 8 * np.dtype(dtype).itemsize
    places = 1 << np.arange(size, dtype=np.uint64)[::-1]
    return (bits.reshape(-1, size) @ places).astype(dtype).view(np.uint8)
