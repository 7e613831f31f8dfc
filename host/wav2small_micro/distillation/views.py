# SPDX-License-Identifier: Apache-2.0
"""Views of clips: other tempi, mixtures of two, pieces and other voices, which a teacher labels as
clips of their own.

A student that hears the teacher's answer for many sounds learns what the teacher computes, not only
what it says of the clips that there are (Beyer et al., Knowledge distillation: a good teacher is
patient and consistent, CVPR 2022). A view is a pure function of the clips and of its ``spec``.

>>> spec = View(speed=1.25).spec
>>> spec, len(make(View.read(spec), np.ones(16000, np.int16)))
('{"speed":1.25}', 12800)
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import RATE
from wav2small_micro.data.manifest import Row
from wav2small_micro.distillation import augment, voices
from wav2small_micro.distillation.voices import Voice
from wav2small_micro.errors import W2sError

Pcm = NDArray[np.int16]

KINDS = ("speed", "mixture", "speed", "piece")
"""What the views of a clip are, in turn."""

SPEEDS = (0.82, 1.2)
MIXED_SPEEDS = (0.9, 1.1)
LEVEL_DB = (-8.0, 8.0)
"""Of the first voice of a mixture over the second."""
PIECE_S = (0.8, 2.5)
PEAK = 0.9
"""Of full scale, at most: a mixture is not cut."""


@dataclass(frozen=True)
class View:
    """``speed`` as played, higher with it; ``piece`` of the clip, (first sample, samples), before;
    ``other``, the path of a clip in the same manifest that speaks at the same time, ``level_db``
    softer, each from the sample in ``at``; ``voice`` speaks what comes of that."""

    speed: float = 1.0
    piece: tuple[int, int] | None = None
    other: str = ""
    level_db: float = 0.0
    at: tuple[int, int] = (0, 0)
    voice: Voice | None = None

    @property
    def spec(self) -> str:
        """As :attr:`labels.Label.spec` keeps it: JSON of what is not as in the clip."""
        plain = View()
        told = {k: v for k, v in asdict(self).items() if v != getattr(plain, k)}
        return json.dumps(told, separators=(",", ":"))

    @classmethod
    def read(cls, spec: str) -> View:
        """From a label. Raises :class:`W2sError` for what is no view."""
        try:
            told: dict[str, Any] = json.loads(spec)
            for name, value in told.items():
                told[name] = tuple(value) if isinstance(value, list) else value
            if "voice" in told:
                told["voice"] = Voice(**told["voice"])
            return cls(**told)
        except (ValueError, TypeError, AttributeError) as error:
            raise W2sError(
                f"{spec!r} is no view of a clip", "w2s label --views makes them"
            ) from error


def draw(
    row: Row, samples: int, others: Sequence[tuple[Row, int]], count: int, seed: int = 0
) -> list[View]:
    """Up to ``count`` views of a clip of so many samples, each once; ``others`` are clips, with
    their samples, that may be mixed with it. The same for the same clip, seed and others."""
    rng = np.random.default_rng([seed, zlib.crc32(row.path.encode())])
    drawn = (_draw(KINDS[i % len(KINDS)], samples, others, rng) for i in range(count))
    return list(dict.fromkeys(drawn))


def draw_voices(row: Row, count: int, seed: int = 0) -> list[View]:
    """``count`` other voices for a clip; the same for the same clip and seed."""
    rng = np.random.default_rng([seed, zlib.crc32(row.path.encode()), 1])
    return [View(voice=voices.draw(rng)) for _ in range(count)]


def _draw(
    kind: str, samples: int, others: Sequence[tuple[Row, int]], rng: np.random.Generator
) -> View:
    if kind == "piece":
        length = min(samples, int(RATE * rng.uniform(*PIECE_S)))
        start = int(rng.integers(0, samples - length + 1))
        return View(_round(rng.uniform(*MIXED_SPEEDS)), (start, length))
    if kind == "mixture" and others:
        other, length = others[int(rng.integers(len(others)))]
        room = max(samples, length)
        return View(
            _round(rng.uniform(*MIXED_SPEEDS)),
            other=other.path,
            level_db=_round(rng.uniform(*LEVEL_DB)),
            at=(int(rng.integers(room - samples + 1)), int(rng.integers(room - length + 1))),
        )
    return View(_round(float(np.exp(rng.uniform(*np.log(SPEEDS))))))


def _round(x: float) -> float:
    return round(x, 3)


def make(view: View, pcm: Pcm, other: Pcm | None = None) -> Pcm:
    """The view, int16, of a clip and of the other clip that it names."""
    x = augment.to_sound(pcm)
    if view.piece:
        start, length = view.piece
        x = x[start : start + length]
    if other is not None:
        x = _mix(x, augment.to_sound(other), view)
    if view.speed != 1.0:
        x = augment.speed(x, view.speed)
    if view.voice:
        x = voices.change(x, view.voice)
    peak = float(np.abs(x).max(initial=0.0))
    return augment.to_pcm(x * np.float32(min(1.0, PEAK / peak)) if peak > PEAK else x)


def _mix(first: augment.Sound, second: augment.Sound, view: View) -> augment.Sound:
    total = np.zeros(max(len(first), len(second)), np.float32)
    level = augment.rms(first) / max(augment.rms(second), 1e-6)
    second = augment.gain(second, -view.level_db) * np.float32(level)
    for x, start in zip((first, second), view.at, strict=True):
        start = min(start, len(total) - len(x))  # the manifest's lengths are rounded
        total[start : start + len(x)] += x
    return total
