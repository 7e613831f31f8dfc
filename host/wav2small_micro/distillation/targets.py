# SPDX-License-Identifier: Apache-2.0
"""Clips with a teacher's answers. Whatever people said of them stays outside."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import starmap
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

Progress = Callable[[int, int], None]
"""Labels done and labels in all."""

_CHUNK = 16
"""Views that a process is given at a time."""


@dataclass(frozen=True)
class Taught:
    """A clip or a view of it, int16 (N,), and the teacher's arousal, dominance, valence, (3,)."""

    row: Row
    pcm: NDArray[np.int16]
    adv: NDArray[np.float32]
    spec: str = ""


def read(paths: Sequence[Path]) -> list[Label]:
    """The labels of several files, which must be of one teacher; what two of them label counts
    once.

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
    return list({label.key: label for label in reversed(found)}.values())[::-1]


def join(
    manifests: Sequence[Manifest],
    found: Sequence[Label],
    split: str,
    progress: Progress = lambda done, total: None,
    workers: int = 0,
) -> list[Taught]:
    """The labelled clips of one side of the split; on the train side also the labelled views, and
    clips that have no side. ``progress`` hears of labels done, and of how many there are;
    ``workers`` processes make the views.

    Raises :class:`W2sError` when there is none, when two manifests name a clip alike, and when a
    clip is not the one that was labelled.
    """
    rows: dict[str, tuple[Manifest, Row]] = {}
    for manifest in manifests:
        manifest.require("split")
        for row in manifest.rows:
            if (row.split or "train") != split:
                continue
            if row.path in rows:
                raise W2sError(
                    f"{rows[row.path][0].name} and {manifest.name} both have {row.path}",
                    "a label is its clip's by the path: import one of them from another folder",
                )
            rows[row.path] = manifest, row
    clips: dict[str, NDArray[np.int16]] = {}
    taught: list[Taught] = []
    views: list[tuple[Row, Label, View]] = []
    for label in sorted(found, key=lambda label: bool(label.spec)):
        if label.path not in rows or (label.spec and split != "train"):
            continue
        manifest, row = rows[label.path]
        if not label.spec:
            progress(len(taught), len(found))
            clips[row.path] = _clip(manifest, row, label)
            taught.append(Taught(row, clips[row.path], label.adv))
        elif row.path in clips:
            view = View.read(label.spec)
            if not view.other or view.other in clips:
                views.append((row, label, view))
    sources = [(view, clips[row.path], clips.get(view.other)) for row, _, view in views]
    for (row, label, _), pcm in zip(views, _make(sources, workers), strict=True):
        progress(len(taught), len(found))
        taught.append(Taught(row, pcm, label.adv, label.spec))
    progress(len(found), len(found))
    if not taught:
        names = ", ".join(manifest.name for manifest in manifests)
        raise W2sError(
            f"no clip of the {split} side of {names} has a label",
            "w2s label makes them; its paths must be those of the manifest",
        )
    return taught


Source = tuple[View, NDArray[np.int16], NDArray[np.int16] | None]
"""A view, its clip and the other clip that it names."""


def _make(sources: Sequence[Source], workers: int) -> Iterator[NDArray[np.int16]]:
    """The views in order, made by so many processes, or here where that is 0."""
    if not workers or not sources:
        yield from starmap(make, sources)
        return
    # Not fork: a training library has threads by now.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(make, *zip(*sources, strict=True), chunksize=_CHUNK)


def _clip(manifest: Manifest, row: Row, label: Label) -> NDArray[np.int16]:
    pcm = read_clip(manifest.file(row)).pcm
    if content_hash(pcm) != label.audio_sha256:
        raise W2sError(f"{manifest.file(row)} has changed since it was labelled", "label it again")
    return pcm
