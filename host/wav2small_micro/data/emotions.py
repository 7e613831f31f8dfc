# SPDX-License-Identifier: Apache-2.0
"""Acted emotions as arousal, dominance, valence, for corpora that nobody has rated.

The word stands for its mean rating in Russell & Mehrabian (1977), carried to the scale of the human
ratings by a straight line fitted on the clips that have both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.data.manifest import Row

NORMS_1977: dict[str, tuple[float, float, float]] = {
    "anger": (0.59, 0.25, -0.51),
    "boredom": (-0.62, -0.33, -0.65),
    "calm": (-0.46, 0.06, 0.68),
    "disgust": (0.35, 0.11, -0.60),
    "fear": (0.60, -0.43, -0.64),
    "happiness": (0.51, 0.46, 0.81),
    "neutral": (0.0, 0.0, 0.0),
    "sadness": (-0.27, -0.33, -0.63),
    "surprise": (0.67, -0.13, 0.40),
}
"""Arousal, dominance, pleasure of emotion words, -1..1: J. A. Russell and A. Mehrabian, "Evidence
for a three-factor theory of emotions", J. Research in Personality 11, 1977 (angry, bored, relaxed,
disgusted, fearful, happy, sad, surprised). Neutral is the origin."""


@dataclass(frozen=True)
class Line:
    """From the norms of 1977 to the scale of human ratings: ``slope`` and ``offset``, (3,)."""

    slope: NDArray[np.float64]
    offset: NDArray[np.float64]

    def target(self, row: Row) -> NDArray[np.float32] | None:
        """Human ratings where there are any, else those that the emotion's word stands for, (3,) in
        0..1; None for a word that has no norm."""
        if row.human is not None:
            return row.human
        word = NORMS_1977.get(row.emotion)
        if word is None:
            return None
        return np.clip(np.array(word) * self.slope + self.offset, 0, 1).astype(np.float32)


def fit(rows: Iterable[Row]) -> Line:
    """The line by least squares over the rows that have a rating and a word; without such rows the
    norms' -1..1 becomes 0..1."""
    rated = [
        (NORMS_1977[row.emotion], row.human)
        for row in rows
        if row.human is not None and row.emotion in NORMS_1977
    ]
    if len({word for word, _ in rated}) < 2:
        return Line(np.full(3, 0.5), np.full(3, 0.5))
    words, humans = (np.array(column, np.float64) for column in zip(*rated, strict=True))
    slope = ((words - words.mean(0)) * (humans - humans.mean(0))).mean(0) / words.var(0)
    return Line(slope, humans.mean(0) - slope * words.mean(0))
