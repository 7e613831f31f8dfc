# SPDX-License-Identifier: Apache-2.0
"""Clips with a teacher's answers. Whatever people said of them stays outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import read_clip
from wav2small_micro.data import labels
from wav2small_micro.data.check import content_hash
from wav2small_micro.data.labels import Label
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.distillation.views import View, make
from wav2small_micro.errors import W2sError


@dataclass(frozen=True)
class Taught:
    """A clip or a view of it, int16 (N,), and the teacher's arousal, dominance, valence, (3,)."""

    row: Row
    pcm: NDArray[np.int16]
    adv: NDArray[np.float32]
    spec: str = ""


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
    """The labelled clips of one side of the split; on the train side also the labelled views.

    Raises :class:`W2sError` when there is none, and when a clip is not the one that was labelled.
    """
    rows = {row.path: row for row in manifest.select(split).rows}
    clips: dict[str, NDArray[np.int16]] = {}
    taught = []
    for label in sorted(found, key=lambda label: bool(label.spec)):
        row = rows.get(label.path)
        if row is None or (label.spec and split != "train"):
            continue
        if not label.spec:
            clips[row.path] = _clip(manifest, row, label)
            taught.append(Taught(row, clips[row.path], label.adv))
        elif row.path in clips:
            view = View.read(label.spec)
            if not view.other or view.other in clips:
                pcm = make(view, clips[row.path], clips[view.other] if view.other else None)
                taught.append(Taught(row, pcm, label.adv, label.spec))
    if not taught:
        raise W2sError(
            f"no clip of the {split} side of {manifest.name} has a label",
            "w2s label makes them; its paths must be those of this manifest",
        )
    return taught


def _clip(manifest: Manifest, row: Row, label: Label) -> NDArray[np.int16]:
    pcm = read_clip(manifest.file(row)).pcm
    if content_hash(pcm) != label.audio_sha256:
        raise W2sError(f"{manifest.file(row)} has changed since it was labelled", "label it again")
    return pcm
