# SPDX-License-Identifier: Apache-2.0
"""``w2s label``: a teacher's answers for the clips of a manifest, in batches that a kill can cut.

Clips of like length go together. The batches follow from the manifest alone, not from what is done
already, and one that was cut is computed whole again: a clip is answered in the same company
whatever happened, so that the labels are the same to the last bit. The audio is read once, hashed
as it is heard. Beside each clip there may be views of it (:mod:`~.distillation.views`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import RATE, read_clip
from wav2small_micro.data.check import content_hash
from wav2small_micro.data.labels import Key, Label, Store
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.distillation.targets import Progress
from wav2small_micro.distillation.views import View, draw, draw_voices, make
from wav2small_micro.errors import W2sError
from wav2small_micro.teachers.base import Teacher


@dataclass(frozen=True)
class Item:
    """What is labelled: a clip as it is, or the view of it that ``spec`` says."""

    row: Row
    spec: str = ""

    @property
    def key(self) -> Key:
        """As :attr:`Label.key`."""
        return self.row.path, self.spec


Batch = tuple[Item, ...]
Heard = list[tuple[Item, NDArray[np.int16]]]
Specs = Mapping[str, Sequence[str]]
"""Views by the path of the clip."""

Answerer = Callable[
    [Teacher, Manifest, list[Batch]],
    Iterator[tuple[list[Label], list[tuple[str, str]]]],
]
"""Answers batches in their order: the labels of each and its clips that cannot be read."""


@dataclass(frozen=True)
class Outcome:
    """What a run left: labels that were there before, new ones, and clips that cannot be read with
    the reason."""

    before: int
    new: int
    unreadable: tuple[tuple[str, str], ...]


def views(
    manifest: Manifest,
    teacher: Teacher,
    counts: Mapping[str, int],
    voices: Mapping[str, int] | None = None,
) -> Specs:
    """Views of every clip on the train side: how many, by corpus; those of ``""`` for the others.
    ``voices`` are how many other voices beside them.

    A mixture is of two clips whose speakers the same fit has not heard.
    """
    rows = [row for row in manifest.rows if row.split in ("", "train")]
    sized = sorted(((row, int(_length(manifest, row) * RATE)) for row in rows), key=_path)
    by_fold: dict[str, list[tuple[Row, int]]] = {}
    for row, samples in sized:
        by_fold.setdefault(teacher.fold(row), []).append((row, samples))

    def count(of: Mapping[str, int], row: Row) -> int:
        return of.get(row.corpus, of.get("", 0))

    return {
        row.path: [
            view.spec
            for view in (
                *draw(row, samples, by_fold[teacher.fold(row)], count(counts, row)),
                *draw_voices(row, count(voices or {}, row)),
            )
        ]
        for row, samples in sized
        if samples > 0
    }


def _path(sized: tuple[Row, int]) -> str:
    return sized[0].path


def batches(manifest: Manifest, seconds: float, specs: Specs | None = None) -> list[Batch]:
    """Clips and views in batches of up to ``seconds`` of audio, padding included, shortest clips
    first.

    A clip whose length the manifest does not say counts by its file's header, a view as its clip.
    """
    known = specs or {}
    lengths = sorted(
        (length, row.path, spec, row)
        for row in manifest.rows
        for length in (_length(manifest, row),)
        for spec in ("", *known.get(row.path, ()))
    )
    made: list[Batch] = []
    batch: list[Item] = []
    for length, _, spec, row in lengths:
        if batch and (len(batch) + 1) * length > seconds:
            made.append(tuple(batch))
            batch = []
        batch.append(Item(row, spec))
    return [*made, tuple(batch)] if batch else made


def _length(manifest: Manifest, row: Row) -> float:
    return row.duration_s or _seconds(manifest.file(row))


def _seconds(path: Path) -> float:
    import soundfile

    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        return 0.0
    return float(info.frames / info.samplerate)


def answer_here(
    teacher: Teacher, manifest: Manifest, todo: list[Batch]
) -> Iterator[tuple[list[Label], list[tuple[str, str]]]]:
    """Answer batches one after another in this process."""
    for batch in todo:
        heard, failed = hear(manifest, batch)
        yield (answer(teacher, heard) if heard else []), failed


def hear(manifest: Manifest, batch: Batch) -> tuple[Heard, list[tuple[str, str]]]:
    """The clips and views of a batch, and the clips that cannot be read with the reason."""
    heard: Heard = []
    failed = []
    for item in batch:
        try:
            heard.append((item, read(manifest, item)))
        except W2sError as error:
            if not item.spec:
                failed.append((item.row.path, error.message))
    return heard, failed


def read(manifest: Manifest, item: Item) -> NDArray[np.int16]:
    """The samples of a clip, or of a view of it."""
    pcm = read_clip(manifest.file(item.row)).pcm
    if not item.spec:
        return pcm
    view = View.read(item.spec)
    other = read_clip(manifest.file(Row(view.other))).pcm if view.other else None
    return make(view, pcm, other)


def answer(teacher: Teacher, heard: Heard) -> list[Label]:
    """The labels of one batch."""
    folds = [teacher.fold(item.row) for item, _ in heard]
    answers = teacher.answer([pcm for _, pcm in heard], folds)
    return [
        Label(
            path=item.row.path,
            audio_sha256=content_hash(pcm),
            arousal=float(found[0]),
            dominance=float(found[1]),
            valence=float(found[2]),
            teacher=teacher.name,
            revision=teacher.revision,
            weights_sha256=teacher.sha256,
            fold=fold,
            spec=item.spec,
        )
        for (item, pcm), fold, found in zip(heard, folds, answers, strict=True)
    ]


def label(
    teacher: Teacher,
    manifest: Manifest,
    out: Path,
    batch_s: float = 40.0,
    progress: Progress | None = None,
    answerer: Answerer = answer_here,
    specs: Specs | None = None,
) -> Outcome:
    """Label the clips of a manifest and the views in ``specs`` into ``out``; what is there is kept.

    A clip that cannot be read is left out and told. Raises :class:`W2sError` when ``out`` is of
    another teacher or being written, when the teacher answers NaN, and when no clip can be read.
    """
    told = progress or (lambda done, total: None)
    unreadable: list[tuple[str, str]] = []
    planned = batches(manifest, batch_s, specs)
    total = sum(map(len, planned))
    with Store(out, teacher.sha256) as store:
        there = {item.key for batch in planned for item in batch} & store.done
        new, done = 0, len(there)
        told(done, total)
        todo = [batch for batch in planned if not all(item.key in there for item in batch)]
        answers = answerer(teacher, manifest, todo) if todo else iter(())
        for batch, (found, failed) in zip(todo, answers, strict=True):
            store.append(found)
            unreadable += failed
            new += sum(each.key not in there for each in found)
            done += sum(item.key not in there for item in batch)
            told(done, total)
    if not there and not new:
        raise W2sError(
            f"none of the {len(manifest)} clips of {manifest.name} can be read: {unreadable[0][1]}",
            "w2s data check names what is wrong with each",
        )
    return Outcome(len(there), new, tuple(unreadable))
