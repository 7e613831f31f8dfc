# SPDX-License-Identifier: Apache-2.0
"""A sigma-delta modulator: the bits that a PDM microphone would send for a sound.

Order 2 stands for a cheap microphone, order 4 for a good one. The noise transfer function is
Butterworth's high pass with a gain of 1.5 at most above the band, up to which a one-bit loop of any
order is stable in practice (R. Schreier, IEEE Trans. Circuits and Systems II 40, 1993), and with
zeros spread over the band (the same author's *Understanding Delta-Sigma Data Converters*, table
4.1). Stable up to 0.6 of the full scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import RATE
from wav2small_micro.errors import W2sError
from wav2small_micro.native import Int16, ffi, lib

ORDERS = (2, 4)
BAND_HZ = 8_000
LARGEST = 0.6
"""Of the full scale: what the loop of either order takes for ever."""

_MOST_GAIN = {2: 2.0, 4: 1.5}
_ZEROS = {2: (0.577,), 4: (0.340, 0.861)}  # of the band
_ONE = 1 << 24
_CHUNK = 16_000
_WORD = 32  # bits

Bytes = NDArray[np.uint8]


@cache
def loop(order: int, clock_hz: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Coefficients b1 .. b4, a1 .. a4 of modulator.c, in Q24; zeros beyond the order."""
    if order not in ORDERS:
        raise W2sError(f"no modulator of order {order}", f"use one of {ORDERS}")
    angles = np.pi * (1 + (2 * np.arange(order) + 1) / order) / 2  # Butterworth's, left half plane
    zeros = np.exp(2j * np.pi * BAND_HZ / clock_hz * np.array(_ZEROS[order]))
    numerator = np.poly(np.concatenate([zeros, zeros.conj()])).real

    def denominator(corner: float) -> NDArray[np.floating]:
        half = corner / 2 * np.exp(1j * angles)  # the bilinear transform of corner / s
        return np.poly((1 + half) / (1 - half)).real

    low, high = 1e-3, 3.0
    signs = (-1.0) ** np.arange(order + 1)  # polynomials at z = -1
    for _ in range(60):
        corner = (low + high) / 2
        gain = (numerator @ signs) / (denominator(corner) @ signs)
        low, high = (corner, high) if gain < _MOST_GAIN[order] else (low, corner)
    b, a = np.zeros(4), np.zeros(4)
    a[:order] = denominator(low)[1:]
    b[:order] = numerator[1:] - a[:order]
    return tuple(np.round(x * _ONE).astype(np.int32) for x in (b, a))  # type: ignore[return-value]


class Modulator:
    """A stream of samples at the clock's rate, of full scale 1, to bits."""

    def __init__(self, clock_hz: int, order: int = 4) -> None:
        self._b, self._a = loop(order, clock_hz)
        self._state = np.zeros(8, np.int64)

    def bits(self, samples: NDArray[np.floating]) -> Bytes:
        """The next samples, (8 N,), as N bytes in time's order, the first bit highest."""
        if samples.ndim != 1 or len(samples) % 8:
            raise W2sError(f"{samples.shape} samples make no whole bytes", "give a multiple of 8")
        u = np.round(np.clip(samples, -1, 1) * _ONE).astype(np.int32)
        out = np.empty(len(u) // 8, np.uint8)
        lib.host_modulate(
            ffi.cast("const int32_t *", u.ctypes.data),
            len(u),
            ffi.cast("const int32_t *", self._b.ctypes.data),
            ffi.cast("const int32_t *", self._a.ctypes.data),
            ffi.cast("int64_t *", self._state.ctypes.data),
            ffi.cast("uint8_t *", out.ctypes.data),
        )
        return out


def speech_chunks(
    pcm: Int16, clock_hz: int, *, gain: float = 1.0, order: int = 4, lead: int = 0
) -> Iterator[Bytes]:
    """What a PDM microphone would send for a clip, int16 (N,) at 16 kHz, second by second.

    ``gain``: of the sound at the microphone against the clip; peaks beyond :data:`LARGEST` clip.
    ``lead``: bits of silence in front. What makes no whole words at the end is left out.
    """
    import soxr

    up = soxr.ResampleStream(RATE, clock_hz, 1, dtype="float64", quality="HQ")
    modulator = Modulator(clock_hz, order)
    wanted = lead + len(pcm) * (clock_hz // RATE)
    waiting = np.zeros(lead)
    for begin in range(0, max(len(pcm), 1), _CHUNK):
        chunk = pcm[begin : begin + _CHUNK] * (gain / 32768)
        last = begin + _CHUNK >= len(pcm)
        waiting = np.concatenate([waiting, up.resample_chunk(chunk, last=last)])
        if last:  # the resampler may round its end
            waiting = np.pad(waiting, (0, max(0, wanted - len(waiting))))[:wanted]
        whole = len(waiting) // _WORD * _WORD
        wanted -= whole
        yield modulator.bits(np.clip(waiting[:whole], -LARGEST, LARGEST))
        waiting = waiting[whole:]


def speech(pcm: Int16, clock_hz: int, *, gain: float = 1.0, order: int = 4, lead: int = 0) -> Bytes:
    """:func:`speech_chunks` in one piece."""
    return np.concatenate(list(speech_chunks(pcm, clock_hz, gain=gain, order=order, lead=lead)))
