# SPDX-License-Identifier: Apache-2.0
"""The last step of distillation: answers as far apart as the teacher's.

A student is less sure of a voice that it has not learnt from, and its answers keep nearer to the
mean than its teacher's do. CCC, unlike correlation, counts that (Lin, Biometrics 45, 1989: it is
correlation times what differences of mean and spread leave of it). So mean and spread of each
dimension on dev speakers are brought to the teacher's, by the head's weights: nothing is added to
the network, and no rating by people is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wav2small_micro import metrics
from wav2small_micro.distillation import batches
from wav2small_micro.distillation.targets import Taught

SCALES = (0.5, 2.0)
"""How far answers may be brought together or drawn apart: a student that has learnt nothing stays
one."""

LENGTHS = tuple(n / 10 for n in range(5, 101))
"""Seconds of a clip that are heard: nearly all, since answers to less of it are further apart."""

AT_ONCE = 16
"""Clips in a batch."""


@dataclass(frozen=True)
class Answers:
    """A student's answers and its teacher's, (B, 3) each, and how much each counts, (B,)."""

    found: NDArray[Any]
    wanted: NDArray[Any]
    weights: NDArray[Any]

    @classmethod
    def together(cls, some: Sequence[Answers]) -> Answers:
        """All of several."""
        return cls(
            *(np.concatenate([getattr(one, field.name) for one in some]) for field in fields(cls))
        )

    @property
    def agreement(self) -> dict[str, float]:
        """CCC by dimension."""
        found = metrics.ccc_by_dimension(self.found, self.wanted)
        return {dimension: round(value, 4) for dimension, value in found.items()}


@dataclass(frozen=True)
class Calibration:
    """``scale`` and ``offset`` by dimension, (3,) each: an answer x becomes scale x + offset."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def fit(cls, answers: Answers) -> Calibration:
        """What brings the student's mean and standard deviation to its teacher's.

        >>> some = np.array([[0.0] * 3, [0.4] * 3])
        >>> Calibration.fit(Answers(some, 1 - 1.5 * some, np.ones(2)))(some)[:, 0].round(3).tolist()
        [0.4, 1.0]
        """
        (mean, spread), (wanted, wide) = (
            _moments(x, answers.weights) for x in (answers.found, answers.wanted)
        )
        scale = np.clip(wide / np.maximum(spread, 1e-9), *SCALES)
        return cls(scale, wanted - scale * mean)

    def __call__(self, answers: NDArray[Any]) -> NDArray[np.float64]:
        """Answers, (B, 3), calibrated."""
        return np.asarray(answers * self.scale + self.offset)


def calibrate(model: Any, clips: Sequence[Taught], norms: Sequence[str]) -> dict[str, Any]:
    """Calibrates a student's head on clips of speakers that it has not learnt from, every corpus
    counting the same, under every normalisation.

    Says what was done and what it brought, as CCC with the teacher by dimension: ``before``, and
    ``after`` with each speaker's answers calibrated on the other speakers alone.
    """
    sizes = Counter(clip.row.corpus for clip in clips)
    by_speaker: dict[tuple[str, str], list[Taught]] = {}
    for clip in clips:
        by_speaker.setdefault(clip.row.who, []).append(clip)
    speakers = [
        _answers(model, some, norms, 1 / sizes[some[0].row.corpus]) for some in by_speaker.values()
    ]
    everyone = Answers.together(speakers)
    calibration = Calibration.fit(everyone)
    head = model.get_layer("adv")
    kernel, bias = head.get_weights()
    head.set_weights([kernel * calibration.scale, calibration(bias)])
    facts: dict[str, Any] = {
        "clips": len(clips),
        "scale": [round(float(x), 4) for x in calibration.scale],
        "offset": [round(float(x), 4) for x in calibration.offset],
        "before": everyone.agreement,
    }
    if len(speakers) > 1:
        facts["after"] = Answers.together(_left_out(speakers)).agreement
    return facts


def _left_out(speakers: Sequence[Answers]) -> list[Answers]:
    """Each speaker's answers, calibrated on the others."""
    made = []
    for i, one in enumerate(speakers):
        others = Calibration.fit(Answers.together([*speakers[:i], *speakers[i + 1 :]]))
        made.append(replace(one, found=others(one.found)))
    return made


def _answers(model: Any, clips: Sequence[Taught], norms: Sequence[str], weight: float) -> Answers:
    """Under each normalisation in turn."""
    made = [batch for norm in norms for batch in batches.dev(clips, norm, len(clips), LENGTHS)]
    # Not predict_on_batch: TensorFlow would make a graph for each length.
    found = [
        keras.ops.convert_to_numpy(model(rows[i : i + AT_ONCE], training=False))
        for rows, _ in made
        for i in range(0, len(rows), AT_ONCE)
    ]
    wanted = np.concatenate([adv for _, adv in made])
    return Answers(np.concatenate(found), wanted, np.full(len(wanted), weight))


def _moments(x: NDArray[Any], weights: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and standard deviation by dimension."""
    mean = np.average(x, axis=0, weights=weights)
    return mean, np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
