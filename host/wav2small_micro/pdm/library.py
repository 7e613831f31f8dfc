# SPDX-License-Identifier: Apache-2.0
"""firmware/lib/pdm on the host: the bits of a PDM microphone, or the slots of I2S, to PCM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.errors import W2sError
from wav2small_micro.native import Int16, ffi, lib

LAYOUTS = {"bytes": 0, "halfwords": 1, "words": 3}
"""How bits lie in memory: ``pdm_layout``."""
SLOT_LAYOUTS = {"words": 0, "halfwords": 1}
SLOTS = {"left": 0, "right": 1}
UNITY: int = lib.LEVEL_UNITY
SPEECH: int = lib.LEVEL_SPEECH
BLOCK: int = lib.PDM_SAMPLES
"""Samples that come at once."""
STATE_BYTES = ffi.sizeof("pdm_t")

Bytes = NDArray[np.uint8]
CLOCKS_HZ = (1_024_000, 2_048_000)


def _clock(clock_hz: int) -> Any:
    clock = lib.host_pdm_clock(clock_hz) if clock_hz in CLOCKS_HZ else ffi.NULL
    if clock == ffi.NULL:
        raise W2sError(f"no filter for a clock of {clock_hz} Hz", f"use one of {CLOCKS_HZ}")
    return clock


def _bytes(data: Bytes) -> Bytes:
    return np.ascontiguousarray(data, np.uint8)


class Pdm:
    """A stream of bits from a PDM microphone."""

    def __init__(self, clock_hz: int, layout: str = "bytes", gain: int = SPEECH) -> None:
        self._clock_hz = clock_hz
        self._state = ffi.new("pdm_t *")
        lib.pdm_init(self._state, _clock(clock_hz), LAYOUTS[layout], gain)

    def pcm(self, bits: Bytes) -> Int16:
        """The next bits, (4 N,) bytes, as the samples at 16 kHz that they complete, int16."""
        bits = _bytes(bits)
        if bits.ndim != 1 or len(bits) % 4:
            raise W2sError(f"{bits.shape} bytes of bits are no whole words", "give a multiple of 4")
        out = np.empty(len(bits) * 8 // (self._clock_hz // 16_000) + BLOCK, np.int16)
        made = lib.pdm_to_pcm(
            self._state,
            ffi.cast("const uint8_t *", bits.ctypes.data),
            len(bits),
            ffi.cast("int16_t *", out.ctypes.data),
        )
        return out[:made]


class I2s:
    """A stream of frames from an I2S microphone."""

    def __init__(self, layout: str = "words", slot: str = "left", gain: int = SPEECH) -> None:
        self._state = ffi.new("i2s_t *")
        lib.i2s_init(self._state, SLOT_LAYOUTS[layout], SLOTS[slot], gain)

    def pcm(self, frames: Bytes) -> Int16:
        """Frames (8 N,) bytes to samples (N,)."""
        frames = _bytes(frames)
        if frames.ndim != 1 or len(frames) % 8:
            raise W2sError(f"{frames.shape} bytes are no whole frames", "give a multiple of 8")
        out = np.empty(len(frames) // 8, np.int16)
        lib.i2s_to_pcm(
            self._state,
            ffi.cast("const uint8_t *", frames.ctypes.data),
            len(out),
            ffi.cast("int16_t *", out.ctypes.data),
        )
        return out


def first_taps(clock_hz: int) -> NDArray[np.int64]:
    """The first filter as the C's tables hold it, read from their entries of one bit."""
    clock = _clock(clock_hz)
    taps = np.zeros(4 * 8 * clock.bytes, np.int64)
    bits = 8 * clock.bytes
    for time in range(bits):
        entry = lib.host_pdm_entry(clock, time // 8, 1 << (7 - time % 8))
        for lane in range(4):
            taps[bits - 1 - time + bits * lane] = entry >> 16 * lane & 0xFFFF
    return taps


def second_taps() -> NDArray[np.int64]:
    """The second filter as the C holds it."""
    return np.array([lib.host_pdm_tap(i) for i in range(lib.PDM_TAPS)], np.int64)
