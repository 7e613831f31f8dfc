# SPDX-License-Identifier: Apache-2.0
"""Clips with a teacher's answers. Whatever people said of them stays outside."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import read_clip
from wav2small_micro.data import labels
from wav2small_micro.data.labels import Label
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.errors import W2sError


@dataclass(frozen=True)
class Taught:
    """A clip, int16 (N,), and the teacher's arousal, dominance, valence, (3,)."""

    row: Row
    pcm: NDArray[np.int16]
    adv: NDArray[np.float32]


def read(paths: Sequence[Path]) -> list[Label]:
    """The labels of several files, which must be of one teacher.

    Raises :class:`W2sError` when they are not.
    """
    found = [label for path in paths for label in labels.read(path)]
    teachers = sorted({(label.teacher, label.revision) for label in found})
    if len(teachers) > 1:
        raise W2sError(
            f"the labels come from {len(teachers)} teachers: "
            + ", ".join(f"{name} {revision}" for name, revision in teachers),
            "distil from one: a mean of teachers is a teacher of its own",
        )
    return found


def join(manifest: Manifest, found: Sequence[Label], split: str) -> list[Taught]:
    """The labelled clips of one side of the split.

    Raises :class:`W2sError` when there is none, and when a clip is not the one that was labelled.
    """
    by_path = labels.by_path(found)
    taught = []
    for row in manifest.select(split).rows:
        label = by_path.get(row.path)
        if label is None:
            continue
        pcm = read_clip(manifest.file(row)).pcm
        if hashlib.sha256(pcm.tobytes()).hexdigest() != label.audio_sha256:
            raise W2sError(
                f"{manifest.file(row)} has changed since it was labelled", "label it again"
            )
        taught.append(Taught(row, pcm, label.adv))
    if not taught:
        raise W2sError(
            f"no clip of the {split} side of {manifest.name} has a label",
            "w2s label makes them; its paths must be those of this manifest",
        )
    return taught
