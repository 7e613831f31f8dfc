# SPDX-License-Identifier: Apache-2.0
"""Labelled emotional speech: clips of the research data with arousal, dominance, valence in 0..1.

EmoTale has human ratings, 1 to 5, mapped by (x - 1) / 4. The other corpora name the emotion that
was acted; it stands for the mean rating of its word in Russell & Mehrabian (1977), carried to the
scale of the human ratings by a straight line fitted on the clips that have both.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import read_clip
from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.paths import research_data

Split = Literal["train", "dev"]

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
class LabelledClip:
    """One clip: ``target`` is arousal, dominance, valence in 0..1; ``human`` says that listeners
    rated it."""

    path: Path
    corpus: str
    speaker: str
    emotion: str
    split: Split
    target: NDArray[np.float32]
    human: bool
    pcm: NDArray[np.int16]


def root() -> Path:
    """The folder of the research data. Raises :class:`W2sError` when it is not there."""
    folder = research_data()
    if folder is None:
        raise W2sError(
            "the research data are not here", "set W2S_DATA to the folder with manifest.csv"
        )
    return folder


def _ratings(row: dict[str, str]) -> NDArray[np.float64] | None:
    values = [row[f"{dimension}_mean_1to5"] for dimension in DIMENSIONS]
    return (np.array(values, np.float64) - 1) / 4 if all(values) else None


def _mapping(rows: list[dict[str, str]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and offset (3,) from the norms of 1977 to the human scale, least squares over the
    training clips."""
    rated = [
        (NORMS_1977[row["emotion"]], human)
        for row in rows
        if row["split"] == "train" and (human := _ratings(row)) is not None
    ]
    if len(rated) < 2:
        return np.full(3, 0.5), np.full(3, 0.5)
    words, humans = (np.array(column) for column in zip(*rated, strict=True))
    slope = ((words - words.mean(0)) * (humans - humans.mean(0))).mean(0) / words.var(0)
    return slope, humans.mean(0) - slope * words.mean(0)


def load(split: Split, folder: Path | None = None, corpus: str | None = None) -> list[LabelledClip]:
    """The clips of one side of the speaker-disjoint split, of all corpora or of one.

    Raises :class:`W2sError` when the data, or one of the clips, cannot be read.
    """
    folder = folder or root()
    try:
        with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        slope, offset = _mapping(rows)
    except (OSError, KeyError) as error:
        raise W2sError(f"{folder}/manifest.csv cannot be used: {error}") from error
    clips = []
    for row in rows:
        if row["split"] != split or corpus not in (None, row["corpus"]):
            continue
        human = _ratings(row)
        target = np.array(NORMS_1977[row["emotion"]]) * slope + offset if human is None else human
        clips.append(
            LabelledClip(
                path=folder / row["path"],
                corpus=row["corpus"],
                speaker=row["speaker"],
                emotion=row["emotion"],
                split=split,
                target=np.clip(target, 0, 1).astype(np.float32),
                human=human is not None,
                pcm=read_clip(folder / row["path"]).pcm,
            )
        )
    return clips
