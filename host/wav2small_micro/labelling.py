# SPDX-License-Identifier: Apache-2.0
"""``w2s label``: a teacher's answers for the clips of a manifest, in batches that a kill can cut.

Clips of like length go together. The batches follow from the manifest alone, not from what is done
already, and one that was cut is computed whole again: a clip is answered in the same company
whatever happened, so that the labels are the same to the last bit. The audio is read once, hashed
as it is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import read_clip
from wav2small_micro.data.check import content_hash
from wav2small_micro.data.labels import Label, Store
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.errors import W2sError
from wav2small_micro.teachers.base import Teacher

Heard = list[tuple[Row, NDArray[np.int16]]]

Answerer = Callable[
    [Teacher, Manifest, list[tuple[Row, ...]]],
    Iterator[tuple[list[Label], list[tuple[str, str]]]],
]
"""Answers batches in their order: the labels of each and its clips that cannot be read."""

Progress = Callable[[int, int], None]
"""Clips done and clips in all."""


@dataclass(frozen=True)
class Outcome:
    """What a run left: labels that were there before, new ones, and clips that cannot be read with
    the reason."""

    before: int
    new: int
    unreadable: tuple[tuple[str, str], ...]


def batches(manifest: Manifest, seconds: float) -> list[tuple[Row, ...]]:
    """Rows in batches of up to ``seconds`` of audio, padding included, shortest clips first.

    A clip whose length the manifest does not say counts by its file's header.
    """
    lengths = sorted(
        (row.duration_s or _seconds(manifest.file(row)), row.path, row) for row in manifest.rows
    )
    made: list[tuple[Row, ...]] = []
    batch: list[Row] = []
    for length, _, row in lengths:
        if batch and (len(batch) + 1) * length > seconds:
            made.append(tuple(batch))
            batch = []
        batch.append(row)
    return [*made, tuple(batch)] if batch else made


def _seconds(path: Path) -> float:
    import soundfile

    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        return 0.0
    return float(info.frames / info.samplerate)


def answer_here(
    teacher: Teacher, manifest: Manifest, todo: list[tuple[Row, ...]]
) -> Iterator[tuple[list[Label], list[tuple[str, str]]]]:
    """Answer batches one after another in this process."""
    for batch in todo:
        heard, failed = hear(manifest, batch)
        yield (answer(teacher, heard) if heard else []), failed


def hear(manifest: Manifest, batch: tuple[Row, ...]) -> tuple[Heard, list[tuple[str, str]]]:
    """The clips of a batch, and those that cannot be read with the reason."""
    heard: Heard = []
    failed = []
    for row in batch:
        try:
            heard.append((row, read_clip(manifest.file(row)).pcm))
        except W2sError as error:
            failed.append((row.path, error.message))
    return heard, failed


def answer(teacher: Teacher, heard: Heard) -> list[Label]:
    """The labels of one batch."""
    folds = [teacher.fold(row) for row, _ in heard]
    answers = teacher.answer([pcm for _, pcm in heard], folds)
    return [
        Label(
            path=row.path,
            audio_sha256=content_hash(pcm),
            arousal=float(found[0]),
            dominance=float(found[1]),
            valence=float(found[2]),
            teacher=teacher.name,
            revision=teacher.revision,
            weights_sha256=teacher.sha256,
            fold=fold,
        )
        for (row, pcm), fold, found in zip(heard, folds, answers, strict=True)
    ]


def label(
    teacher: Teacher,
    manifest: Manifest,
    out: Path,
    batch_s: float = 40.0,
    progress: Progress | None = None,
    answerer: Answerer = answer_here,
) -> Outcome:
    """Label the clips of a manifest into ``out``; what is there already is kept.

    A clip that cannot be read is left out and told. Raises :class:`W2sError` when ``out`` is of
    another teacher or being written, when the teacher answers NaN, and when no clip can be read.
    """
    told = progress or (lambda done, total: None)
    unreadable: list[tuple[str, str]] = []
    with Store(out, teacher.sha256) as store:
        there = {row.path for row in manifest.rows if (row.path, "") in store.done}
        new, done = 0, len(there)
        told(done, len(manifest))
        todo = [
            batch
            for batch in batches(manifest, batch_s)
            if not all(row.path in there for row in batch)
        ]
        answers = answerer(teacher, manifest, todo) if todo else iter(())
        for batch, (found, failed) in zip(todo, answers, strict=True):
            store.append(found)
            unreadable += failed
            new += sum(each.path not in there for each in found)
            done += sum(row.path not in there for row in batch)
            told(done, len(manifest))
    if not there and not new:
        raise W2sError(
            f"none of the {len(manifest)} clips of {manifest.name} can be read: {unreadable[0][1]}",
            "w2s data check names what is wrong with each",
        )
    return Outcome(len(there), new, tuple(unreadable))
