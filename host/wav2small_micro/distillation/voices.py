# SPDX-License-Identifier: Apache-2.0
"""Another voice for a clip: formants, pitch, intonation and tempo changed each by itself.

A few speakers become many, whom a teacher can be asked about. Praat does it, by PSOLA (Moulines and
Charpentier, Speech Communication 9, 1990; Praat manual, Manipulation), as models of
speech have it to forget speakers (Choi et al., NANSY, NeurIPS 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wav2small_micro.audio import RATE
from wav2small_micro.distillation import augment
from wav2small_micro.distillation.augment import Sound
from wav2small_micro.errors import W2sError

FRAME_S = 0.01
PITCH_HZ = (60.0, 600.0)
"""Where a pitch is looked for."""
HIGHEST_HZ = 1000.0
"""Nobody speaks higher."""

RANGES = {
    "formants": (0.82, 1.22),
    "pitch": (0.65, 1.55),
    "intonation": (0.6, 1.6),
    "tempo": (0.75, 1.35),
}
"""From a child's to a tall man's tract, and from flat to lively."""


@dataclass(frozen=True)
class Voice:
    """Factors: ``formants`` of all their frequencies, ``pitch`` of its median, ``intonation`` of
    the excursions about that in octaves, ``tempo`` of the speech."""

    formants: float = 1.0
    pitch: float = 1.0
    intonation: float = 1.0
    tempo: float = 1.0


def draw(rng: np.random.Generator) -> Voice:
    """Every factor by its logarithm, within :data:`RANGES`."""
    found = {
        name: round(float(np.exp(rng.uniform(*np.log(limits)))), 3)
        for name, limits in RANGES.items()
    }
    return Voice(**found)


def change(x: Sound, voice: Voice) -> Sound:
    """The same words by another voice, about N / tempo samples; without pitch, the pitch stays.

    Raises :class:`W2sError` without Praat and for a clip shorter than three periods.
    """
    try:
        import parselmouth
        from parselmouth.praat import call, run
    except ImportError as error:
        raise W2sError(
            "other voices need Praat", "pip install 'wav2small-micro[voices]'"
        ) from error
    moved = augment.speed(x, voice.formants)  # formants, and pitch and tempo with them
    sound = parselmouth.Sound(moved.astype(np.float64), RATE)
    # Where there is no voice PSOLA draws its periods at random.
    run("random_initializeWithSeedUnsafelyButPredictably (1)")
    low, high = (limit * voice.formants for limit in PITCH_HZ)
    if sound.duration < 3 / low:
        raise W2sError("no pitch can be heard in so short a clip", "w2s data check names them")
    speech = call(sound, "To Manipulation", FRAME_S, low, high)
    pitch = call(speech, "Extract pitch tier")
    median = _median(sound, low, high)
    if median:
        wanted = median * voice.pitch / voice.formants
        formula = f"min({HIGHEST_HZ}, {wanted} * (self / {median}) ^ {voice.intonation})"
        call(pitch, "Formula", formula)
        call((pitch, speech), "Replace pitch tier")
    length = call("Create DurationTier", "length", 0, sound.duration)
    call(length, "Add point", 0, voice.formants / voice.tempo)
    call((length, speech), "Replace duration tier")
    return np.asarray(call(speech, "Get resynthesis (overlap-add)").values[0], np.float32)


def _median(sound: Any, low: float, high: float) -> float:
    """Of the pitch, Hz; 0 where there is none."""
    found = sound.to_pitch(FRAME_S, low, high).selected_array["frequency"]
    return float(np.median(found[found > 0])) if (found > 0).any() else 0.0
