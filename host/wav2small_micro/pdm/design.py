# SPDX-License-Identifier: Apache-2.0
"""The two filters of firmware/lib/pdm: their taps, their tables in C, and their response.

The first one is four boxcars convolved, as of a CIC filter, but each turned a little in frequency:
the fourfold zero at every multiple of 64 kHz becomes four, spread over what would fold onto speech.
It has the best rejection there for its length, and taps that are not negative. The second one, at
64 kHz, is the minimax FIR between 7 and 9 kHz: its pass band is the inverse of the first one's.

>>> [round(f) for f in attenuation(1_024_000, np.array([64e3 - 7e3, 64e3 + 1e3]))]
[84, 109]
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.codegen import LICENCE, array

CLOCKS_HZ = (1_024_000, 2_048_000)
MIDDLE_HZ = 64_000
"""Rate between the two filters."""
PASS_HZ, STOP_HZ = 7_000.0, 9_000.0
"""Edges of the second filter: what is above 9 kHz would fold below 7 kHz."""
TAPS = 96
LANES = 4
"""Samples at 64 kHz that one bit counts in."""

_NEARBY = 2  # steps that a tap may be off
_STOP_WEIGHT = 30.0  # of the stop band's ripple against the pass band's
_ITERATIONS = 80
_SUM = 65_500  # below 2^16 by more than the roundings of 128 taps

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def decimation(clock_hz: int) -> int:
    """Bits for a sample at 64 kHz."""
    return clock_hz // MIDDLE_HZ


@cache
def first_taps(clock_hz: int) -> Int:
    """The first filter: four times the decimation, (64,) or (128,); the sum is below 65536."""
    n = np.arange(decimation(clock_hz))
    taps = np.ones(1, complex)
    for node in (np.cos(np.pi / 8), np.cos(3 * np.pi / 8)):  # Chebyshev's: equal ripples
        turn = np.exp(2j * np.pi * node * PASS_HZ / clock_hz * n)
        taps = np.convolve(taps, np.convolve(turn, turn.conj()))
    whole = np.zeros(LANES * len(n))
    whole[1 : 1 + len(taps)] = taps.real
    return _rounded(whole * (_SUM / whole.sum()))


def _rounded(taps: Float) -> Int:
    """Taps as integers, so that what the roundings let through folds elsewhere than onto speech.

    All taps that lie a sample at 64 kHz apart fold with the same signs, so that each such group of
    :data:`LANES` is rounded by itself: to the integers nearby whose error has the least power below
    7 kHz. That beats rounding to the nearest by 12 dB.
    """
    groups = taps.reshape(LANES, -1).T
    lags = np.subtract.outer(np.arange(LANES), np.arange(LANES))
    power = np.sinc(2 * PASS_HZ / MIDDLE_HZ * lags)  # of errors against each other, up to 7 kHz
    steps = np.arange(-_NEARBY, _NEARBY + 1)
    offsets = np.stack(np.meshgrid(*[steps] * LANES, indexing="ij"), axis=-1).reshape(-1, LANES)
    rounded = np.zeros(groups.shape, np.int64)
    for i, group in enumerate(groups):
        tried = np.round(group).astype(np.int64) + offsets
        tried = tried[(tried >= 0).all(axis=1)]
        error = tried - group
        rounded[i] = tried[np.argmin(np.einsum("ni,ij,nj->n", error, power, error))]
    return rounded.T.ravel()


def response(taps: NDArray, rate: int, hz: Float) -> Float:
    """Magnitude of an FIR at frequencies ``hz``, against its sum."""
    turns = np.exp(-2j * np.pi * np.outer(hz, np.arange(len(taps))) / rate)
    return np.abs(turns @ taps) / abs(taps.sum())


@cache
def second_taps() -> Int:
    """The second filter, (96,), at 64 kHz; the sum of magnitudes is below 65536.

    Minimax by iteratively reweighted least squares: C. L. Lawson, 1961; Rice and Usow, Mathematics
    of Computation 22, 1968. Each solution's error is the next one's weight.
    """
    hz = np.concatenate([np.linspace(0, PASS_HZ, 200), np.linspace(STOP_HZ, MIDDLE_HZ / 2, 600)])
    passes = hz <= PASS_HZ
    droop = response(first_taps(CLOCKS_HZ[0]), CLOCKS_HZ[0], hz)
    wanted = np.where(passes, 1 / droop, 0.0)
    scale = np.where(passes, droop, _STOP_WEIGHT)
    delays = (TAPS - 1) / 2 - np.arange(TAPS // 2)
    cosines = 2 * np.cos(2 * np.pi * np.outer(hz, delays) / MIDDLE_HZ)
    weight = np.ones(len(hz))
    for _ in range(_ITERATIONS):
        # einsum: the same everywhere, where products of BLAS differ, and wait for its threads.
        weighted = (weight * scale**2)[:, None] * cosines
        square = np.einsum("fi,fj->ij", weighted, cosines)
        half = np.linalg.solve(square, np.einsum("fi,f->i", weighted, wanted))
        weight = weight * scale * np.abs(np.einsum("fi,i->f", cosines, half) - wanted)
        weight = np.maximum(weight / weight.mean(), 1e-9)
    taps = np.concatenate([half, half[::-1]])
    return np.round(taps * (_SUM / np.abs(taps).sum())).astype(np.int64)


def multiplier() -> int:
    """The second filter's sums to int16 as level.h takes it: halved, Q32, for a gain of 1/256.

    A tone of 1 kHz then keeps its amplitude.
    """
    first, second = first_taps(CLOCKS_HZ[0]), second_taps()
    tone = np.array([1000.0])
    kept = response(first, CLOCKS_HZ[0], tone) * response(second, MIDDLE_HZ, tone)
    gain = float(kept[0]) * int(second.sum()) * int(first.sum()) / 2**16
    return round(2 * 2**32 / 256 / gain)


def attenuation(clock_hz: int, hz: Float) -> Float:
    """Decibels that both filters take from a tone of ``hz`` at the input, wherever it folds to."""
    first, second = first_taps(clock_hz), second_taps()
    both = response(first, clock_hz, hz) * response(second, MIDDLE_HZ, hz)
    return -20 * np.log10(np.maximum(both, 1e-12))


def delay() -> float:
    """Of both filters, in samples at 16 kHz: from a sound to the sample that has its middle.

    Half of the second filter, up to its newest sample, and half of the first one.

    >>> delay()
    11.375
    """
    newest = 3  # of the four samples that a sample at 16 kHz ends
    return ((TAPS - 1) / 2 - newest + 1) / 4


# --- As C ----------------------------------------------------------------------------------------


def bit_weights(clock_hz: int) -> list[list[int]]:
    """What each bit adds to the lanes, by byte of a sample and by bit, the lowest first.

    The first bit in time is a byte's highest. In a lane that is given ``j`` samples later, it has
    aged by ``j`` times the decimation.
    """
    taps, bits = first_taps(clock_hz), decimation(clock_hz)
    weights = [0] * bits
    for time in range(bits):
        ages = [bits - 1 - time + bits * lane for lane in range(LANES)]
        weights[time] = sum(int(taps[age]) << 16 * lane for lane, age in enumerate(ages))
    return [weights[byte : byte + 8][::-1] for byte in range(0, bits, 8)]


def _first_tables(clock_hz: int) -> str:
    rows = bit_weights(clock_hz)
    entries = (", ".join(f"0x{weight:016x}" for weight in row) for row in rows)
    body = "\n".join(f"    {{BYTE({entry})}}," for entry in entries)
    name = f"pdm_table_{clock_hz // 1000}khz"
    return f"static const uint64_t {name}[{len(rows)}][256] = {{\n{body}\n}};\n"


def _macros() -> str:
    """``BYTE(a, .. h)``: the 256 sums of eight weights, the first one of bit 0."""
    names = "abcdefgh"
    lines = [f"#define SUMS1(s, {names[0]}) s, s + {names[0]}"]
    for count in range(2, 9):
        arguments, top = ", ".join(names[: count - 1]), names[count - 1]
        less = f"SUMS{count - 1}"
        lines.append(
            f"#define SUMS{count}(s, {arguments}, {top}) "
            f"{less}(s, {arguments}), {less}(s + {top}, {arguments})"
        )
    lines.append(f"#define BYTE({', '.join(names)}) SUMS8(UINT64_C(0), {', '.join(names)})")
    return "\n".join(lines) + "\n"


def tables() -> str:
    """``pdm_tables.h``."""
    return (
        LICENCE
        + "// pdm_tables.h: constants of the two filters. Generated: `w2s generate --tables`.\n"
        "#ifndef PDM_TABLES_H\n#define PDM_TABLES_H\n\n#include <stdint.h>\n\n"
        "// clang-format off\n\n"
        "// All sums of a byte's bits, by their weights from the lowest bit on.\n"
        + _macros()
        + "\n// First filter: what each byte of a sample adds to the lanes.\n"
        + "".join(_first_tables(clock) for clock in CLOCKS_HZ)
        + "\n// Second filter.\n"
        + array(f"static const int16_t pdm_taps[{TAPS}]", second_taps())
        + "\n// Its sums, halved, to samples at a gain of 1/256, Q32.\n"
        f"#define PDM_MULTIPLIER {multiplier()}\n" + "\n// clang-format on\n\n#endif\n"
    )
