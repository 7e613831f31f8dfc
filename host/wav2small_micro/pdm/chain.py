# SPDX-License-Identifier: Apache-2.0
"""Speech through a PDM microphone: modulator, bits, the C that makes PCM of them.

>>> import numpy as np
>>> tone = np.round(8000 * np.sin(np.arange(1600) / 5)).astype(np.int16)
>>> heard = through(tone)
>>> len(heard), int(np.abs(heard[400:1200] - tone[400:1200]).max()) < 100
(1600, True)
"""

from __future__ import annotations

import numpy as np

from wav2small_micro.audio import RATE
from wav2small_micro.native import Int16
from wav2small_micro.pdm import design, library, modulator

SETTLING = RATE // 4 + 48
"""Samples of silence in front: the time in which level.h finds the mean, whole milliseconds."""
LEVEL_DB = 6.0
"""How far below the clip the sound is at the microphone: its peaks stay below modulator.LARGEST."""
WORST = 0.02
"""Apart at most: A/D/V of speech through a PDM microphone, and of the same speech as PCM."""
_DELAY = 12
_AFTER = 10 * library.BLOCK


def bits(
    pcm: Int16, clock_hz: int = 1_024_000, *, level_db: float = LEVEL_DB, order: int = 4
) -> modulator.Bytes:
    """A clip, int16 (N,) at 16 kHz, as a microphone's bits, with :data:`SETTLING` before it.

    A little more makes the delay of the filters, :func:`design.delay`, 12 whole samples.
    """
    ratio = clock_hz // RATE
    lead = round((_DELAY - design.delay()) * ratio)
    padded = np.pad(pcm, (SETTLING, _AFTER))
    gain = 10 ** (-level_db / 20)
    return modulator.speech(padded, clock_hz, gain=gain, order=order, lead=lead)


def through(
    pcm: Int16, clock_hz: int = 1_024_000, *, level_db: float = LEVEL_DB, order: int = 4
) -> Int16:
    """What becomes of a clip, at the clip's level and in its time: int16 (N,)."""
    stream = library.Pdm(clock_hz, gain=round(library.UNITY * 10 ** (level_db / 20)))
    heard = stream.pcm(bits(pcm, clock_hz, level_db=level_db, order=order))
    begin = SETTLING + _DELAY
    return heard[begin : begin + len(pcm)]


def in_a_room(pcm: Int16, room_db: float) -> Int16:
    """A clip with a room's noise, white, of ``room_db`` against the full scale: the same each time.

    Clips may be silent to the last bit, which no microphone ever hears.
    """
    noise = np.random.default_rng(0).normal(0, 32768 * 10 ** (room_db / 20), len(pcm))
    return np.clip(np.round(pcm + noise), -32768, 32767).astype(np.int16)
