# SPDX-License-Identifier: Apache-2.0
"""What a student should not mind: the same speech at another level, in noise, through a narrow
microphone, or cut to a window.

The same clip is always disturbed in the same way, on any machine: answers can be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import RATE
from wav2small_micro.distillation import augment

Pcm = NDArray[np.int16]


@dataclass(frozen=True)
class Disturbance:
    """A change of a clip: its ``kind``, how much of it (``amount``, in ``unit``), and ``apply``,
    which gives None where the clip is too short for it."""

    kind: str
    amount: float
    unit: str
    apply: Callable[[Pcm, np.random.Generator], Pcm | None]

    @property
    def name(self) -> str:
        """For people: ``gain -20 dB``."""
        return f"{self.kind} {self.amount:g} {self.unit}"

    def of(self, pcm: Pcm) -> Pcm | None:
        """The clip, int16 (N,), disturbed; the chance in it is the clip's own."""
        digest = hashlib.sha256(self.name.encode() + pcm.tobytes()).digest()
        return self.apply(pcm, np.random.default_rng(int.from_bytes(digest[:8], "little")))


def _gain(db: float) -> Disturbance:
    def apply(pcm: Pcm, _: np.random.Generator) -> Pcm:
        return augment.to_pcm(augment.gain(augment.to_sound(pcm), db))

    return Disturbance("gain", db, "dB", apply)


def _noise(colour: augment.Colour, snr_db: float) -> Disturbance:
    def apply(pcm: Pcm, rng: np.random.Generator) -> Pcm:
        x = augment.to_sound(pcm)
        noise = augment.coloured_noise(len(x), colour, rng)
        return augment.to_pcm(augment.add_noise(x, noise, snr_db))

    return Disturbance(f"{colour} noise", snr_db, "dB SNR", apply)


def _band(highest_hz: float) -> Disturbance:
    """300 Hz to ``highest_hz``, 24 dB an octave outside: a telephone, or a microphone behind a
    narrow opening."""

    def response(frequency: NDArray[Any]) -> NDArray[Any]:
        octave = np.log2(np.maximum(frequency, 1.0))
        outside = np.maximum(0, np.log2(300) - octave) + np.maximum(0, octave - np.log2(highest_hz))
        return np.asarray(-24 * outside)

    def apply(pcm: Pcm, _: np.random.Generator) -> Pcm:
        return augment.to_pcm(augment.equalise(augment.to_sound(pcm), response))

    return Disturbance("band from 300 Hz to", highest_hz, "Hz", apply)


def _window(seconds: float) -> Disturbance:
    def apply(pcm: Pcm, _: np.random.Generator) -> Pcm | None:
        samples = round(seconds * RATE)
        if len(pcm) <= samples:
            return None
        start = (len(pcm) - samples) // 2
        return pcm[start : start + samples]

    return Disturbance("window", seconds, "s", apply)


DISTURBANCES: tuple[Disturbance, ...] = (
    *(_gain(db) for db in (-30.0, -20.0, -10.0, 10.0, 20.0)),
    *(_noise("white", snr) for snr in (20.0, 10.0, 0.0)),
    *(_noise("pink", snr) for snr in (20.0, 10.0, 0.0)),
    *(_band(hz) for hz in (3400.0, 6000.0)),
    *(_window(seconds) for seconds in (1.0, 2.0, 5.0, 10.0)),
)
"""The sweep of ``w2s evaluate --robustness``. A window is the middle of a longer clip."""
