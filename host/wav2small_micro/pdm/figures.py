# SPDX-License-Identifier: Apache-2.0
"""What firmware/lib/pdm does to sound: from the integers that it holds, and from its samples.

``response`` is exact: the magnitude of both filters and of the high pass, of the taps that the C's
tables hold. ``tones`` measures the whole of it, modulator, bits and C, a tone at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import RATE
from wav2small_micro.native import lib
from wav2small_micro.pdm import design, library
from wav2small_micro.pdm.modulator import LARGEST, Modulator

LOW_HZ, PASS_HZ = 60.0, 7000.0
"""The band that is promised flat, and free of what folds."""
ALIASES_HZ = (
    9_000, 9_100, 12_345, 16_050, 23_000, 25_000, 31_400, 39_000, 41_000, 57_000, 64_250, 71_000,
    121_000, 135_000, 249_500, 263_000, 448_100, 505_000,
)  # fmt: skip
"""Tones beyond the band that fold into it: the edges of what folds, and some in between."""
PASSED_HZ = (60, 75, 100, 250, 500, 1000, 2000, 3000, 4000, 5000, 6000, 6500, 7000)
AMPLITUDE = 0.5

_SECONDS = 0.5
_SKIPPED_S = 0.3  # until the mean is found
_LEAKAGE = 5  # bins of a tone under the window

Float = NDArray[np.float64]


def response(clock_hz: int, hz: Float) -> Float:
    """Magnitude at ``hz`` in decibels, against 1 kHz: of the C's tables, and of its high pass."""
    reference = np.array([1000.0])
    high_pass = 20 * np.log10(_high_pass(hz) / _high_pass(reference))
    return high_pass - rejection(clock_hz, hz)


def rejection(clock_hz: int, hz: Float) -> Float:
    """What both filters take of ``hz`` more than of 1 kHz, in decibels, without the high pass."""
    first, second = library.first_taps(clock_hz), library.second_taps()

    def magnitude(at: Float) -> Float:
        low = design.response(second, design.MIDDLE_HZ, at)
        return np.maximum(design.response(first, clock_hz, at) * low, 1e-12)

    return 20 * np.log10(magnitude(np.array([1000.0])) / magnitude(hz))


def _high_pass(hz: Float) -> Float:
    """y = x - m, then m += y / 2^shift, at 16 kHz."""
    back = np.exp(-2j * np.pi * hz / RATE)
    return np.abs((1 - back) / (1 - back * (1 - 2.0**-lib.LEVEL_LAST_SHIFT)))


def folded(hz: Float) -> Float:
    """Where a tone lies at 16 kHz.

    >>> folded(np.array([9000.0, 25000.0, 1000.0])).tolist()
    [7000.0, 7000.0, 1000.0]
    """
    return np.abs((hz + RATE / 2) % RATE - RATE / 2)


def exact(clock_hz: int) -> dict[str, float]:
    """Pass band and rejection from the integers of the C: decibels.

    ``ripple``: most and least of the band, from their middle. ``alias``: the least attenuation of
    whatever folds into the band, from 9 kHz up to half of the clock; ``alias_hz``: where.
    """
    band = response(clock_hz, np.linspace(LOW_HZ, PASS_HZ, 2001))
    beyond = np.arange(RATE / 2, clock_hz / 2 + 1, 10.0)
    beyond = beyond[folded(beyond) <= PASS_HZ]
    rejected = rejection(clock_hz, beyond)
    worst = int(np.argmin(rejected))
    return {
        "ripple_db": float(band.max() - band.min()) / 2,
        "at_60_hz_db": float(response(clock_hz, np.array([LOW_HZ]))[0]),
        "at_7_khz_db": float(response(clock_hz, np.array([PASS_HZ]))[0]),
        "alias_db": float(rejected[worst]),
        "alias_hz": float(beyond[worst]),
        "delay_ms": 1000 * design.delay() / RATE,
    }


# --- By signals ----------------------------------------------------------------------------------


def heard(clock_hz: int, hz: float, *, amplitude: float = AMPLITUDE, order: int = 4) -> Float:
    """A tone through modulator and C at unity gain: half a second of samples, full scale 1."""
    count = round((_SKIPPED_S + _SECONDS) * clock_hz) // 32 * 32
    tone = amplitude * np.sin(2 * np.pi * hz / clock_hz * np.arange(count))
    bits = Modulator(clock_hz, order).bits(tone)
    pcm = library.Pdm(clock_hz, gain=library.UNITY).pcm(bits)
    return pcm[-round(_SECONDS * RATE) :] / 32768


def _spectrum(samples: Float) -> Float:
    """Power by bin, of a tone on a bin its square of amplitude / 2 in all."""
    window = np.blackman(len(samples) + 1)[:-1]
    power = np.abs(np.fft.rfft(samples * window)) ** 2
    return 2 * power / (len(samples) * np.sum(window**2))


def _split(samples: Float, hz: float) -> tuple[float, float]:
    """Power of the tone, and of all else above 20 Hz."""
    power = _spectrum(samples)
    at = round(float(folded(np.array([hz]))[0]) * _SECONDS)
    tone = slice(max(0, at - _LEAKAGE), at + _LEAKAGE + 1)
    power[: round(20 * _SECONDS)] *= at < 20 * _SECONDS
    signal = float(power[tone].sum())
    return signal, float(power.sum()) - signal


def tones(clock_hz: int, hz: Sequence[float]) -> Float:
    """What is left of tones, in decibels of their amplitude at the input."""
    powers = [_split(heard(clock_hz, f), f)[0] for f in hz]
    return 10 * np.log10(np.array(powers) / (AMPLITUDE**2 / 2))


def snr(clock_hz: int, order: int = 4, hz: float = 1000.0) -> float:
    """Of the largest tone that the modulator takes, distortion counted as noise: decibels."""
    signal, noise = _split(heard(clock_hz, hz, amplitude=LARGEST, order=order), hz)
    return float(10 * np.log10(signal / noise))


def measured(clock_hz: int) -> dict[str, float]:
    """As :func:`exact`, by signals, and the signal to noise ratio for both modulators."""
    passed, rejected = tones(clock_hz, PASSED_HZ), -tones(clock_hz, ALIASES_HZ)
    worst = int(np.argmin(rejected))
    return {
        "ripple_db": float(passed.max() - passed.min()) / 2,
        "alias_db": float(rejected[worst]),
        "alias_hz": float(ALIASES_HZ[worst]),
        "snr_db": snr(clock_hz, 4),
        "snr_order_2_db": snr(clock_hz, 2),
    }


def all_figures() -> dict[str, Any]:
    """``exact`` and ``measured`` for each clock, in Hz."""
    return {
        str(clock): {"exact": exact(clock), "measured": measured(clock)}
        for clock in library.CLOCKS_HZ
    }
