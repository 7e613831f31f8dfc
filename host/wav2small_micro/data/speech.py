# SPDX-License-Identifier: Apache-2.0
"""Clips of a manifest in memory, with their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import read_clip
from wav2small_micro.data import emotions
from wav2small_micro.data.manifest import Manifest, Row


@dataclass(frozen=True)
class LabelledClip:
    """One clip: ``target`` is arousal, dominance, valence in 0..1; ``human`` says that listeners
    rated it."""

    row: Row
    target: NDArray[np.float32]
    human: bool
    pcm: NDArray[np.int16]


def load(manifest: Manifest, split: str, corpus: str | None = None) -> list[LabelledClip]:
    """The clips of one side of the split, of all corpora or of one, that are rated or whose emotion
    has a norm.

    Raises :class:`W2sError` when one of the clips cannot be read.
    """
    line = emotions.fit(manifest.select("train").rows)
    clips = []
    for row in manifest.select(split, corpus).rows:
        target = line.target(row)
        if target is not None:
            pcm = read_clip(manifest.file(row)).pcm
            clips.append(LabelledClip(row, target, row.human is not None, pcm))
    return clips
