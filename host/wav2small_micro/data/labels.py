# SPDX-License-Identifier: Apache-2.0
"""What a teacher says of clips: a CSV that only grows, so that a run killed at any moment goes on.

One line a label, written whole: what is not ended by a line feed is a line that a kill cut, and is
taken away when the file is opened to go on. A label is told from others by ``path`` and ``spec``.
"""

from __future__ import annotations

import csv
import fcntl
import io
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS

Key = tuple[str, str]
"""``path`` and ``spec``."""


@dataclass(frozen=True)
class Label:
    """A teacher's answer for a clip or a variant of it.

    ``path`` as in the manifest; ``audio_sha256`` of the samples heard (int16, 16 kHz); arousal,
    dominance, valence about 0..1; ``teacher`` and its ``revision``; ``weights_sha256`` of its
    files; ``fold`` that the teacher was fitted without (empty: none was left out); ``spec``, a view
    of the clip as JSON (empty: the clip as it is).
    """

    path: str
    audio_sha256: str
    arousal: float
    dominance: float
    valence: float
    teacher: str
    revision: str
    weights_sha256: str
    fold: str = ""
    spec: str = ""

    @property
    def key(self) -> Key:
        """What tells this label from others of the same teacher."""
        return self.path, self.spec

    @property
    def adv(self) -> NDArray[np.float32]:
        """Arousal, dominance, valence, (3,)."""
        return np.array((self.arousal, self.dominance, self.valence), np.float32)


COLUMNS = tuple(field.name for field in fields(Label))


def read(path: str | Path) -> list[Label]:
    """The labels of a file, in its order; a line that a kill cut is left out.

    Raises :class:`W2sError` for a file that is not there, a missing column, a label that is not a
    number, and a clip that is labelled twice.
    """
    path = Path(path)
    if not path.is_file():
        raise W2sError(f"no labels at {path}", "w2s label makes them")
    content = path.read_bytes()
    found = _parse(content[: content.rfind(b"\n") + 1], path)
    if not found:
        raise W2sError(f"{path} has no labels", "w2s label makes them")
    return found


def _parse(content: bytes, path: Path) -> list[Label]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
        table = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise W2sError(f"{path} is not a file of labels: {error}", "w2s label writes it") from error
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if table and missing:
        raise W2sError(
            f"{path} has no column {', '.join(map(repr, missing))}",
            f"a file of labels has {', '.join(COLUMNS)}",
        )
    labels: dict[Key, Label] = {}
    for line, raw in enumerate(table, 2):
        if None in raw.values():
            raise W2sError(f"{path}:{line} is cut", "delete the line; w2s label will redo it")
        cells: dict[str, Any] = {name: raw[name] for name in COLUMNS}
        cells |= {name: _number(raw[name], name, f"{path}:{line}") for name in DIMENSIONS}
        label = Label(**cells)
        if label.key in labels:
            raise W2sError(f"{path}:{line} labels {label.path} again", "delete one of the lines")
        labels[label.key] = label
    return list(labels.values())


def _number(cell: str, name: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise W2sError(
            f"{where}: {name} is {cell!r}, not a number",
            "delete the line and label again; if it comes back, the teacher answers NaN",
        )
    return value


def by_path(labels: Iterable[Label]) -> dict[str, Label]:
    """Labels of whole clips by path."""
    return {label.path: label for label in labels if not label.spec}


class Store:
    """A file of labels, opened to go on with it.

    ``done`` holds the keys that are there. One process at a time: opening raises :class:`W2sError`
    while another one has the file, and when the file is the work of another teacher.
    """

    def __init__(self, path: str | Path, weights_sha256: str | None = None) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self.done = self._take_up(weights_sha256)
        except BaseException:
            os.close(self._file)
            raise

    def _take_up(self, weights_sha256: str | None) -> set[Key]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise W2sError(
                f"{self.path} is being written by another process", "wait for it, or name another"
            ) from error
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        if not whole:
            self._write([COLUMNS])
            return set()
        labels = _parse(content[:whole], self.path)
        others = {label.weights_sha256 for label in labels} - {weights_sha256}
        if others and weights_sha256 is not None:
            raise W2sError(
                f"{self.path} holds labels of another teacher, {labels[0].teacher}",
                "name another file with --out",
            )
        return {label.key for label in labels}

    def append(self, labels: Sequence[Label]) -> None:
        """Write labels, all in one piece and onto the disk; those that are there are left out.

        Raises :class:`W2sError` for a label that is not a number.
        """
        fresh = list({label.key: label for label in labels if label.key not in self.done}.values())
        for label in fresh:
            if not np.isfinite(label.adv).all():
                raise W2sError(
                    f"{label.teacher} answers {label.path} with NaN",
                    "w2s data check finds clips without a voice; else the weights are bad",
                )
        self._write([_cells(label) for label in fresh])
        self.done |= {label.key for label in fresh}

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        content = memoryview(text.getvalue().encode("utf-8"))
        while content:
            content = content[os.write(self._file, content) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Let another process have the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cells(label: Label) -> list[str]:
    """Numbers with the nine digits that a float32 needs."""
    cells = (getattr(label, name) for name in COLUMNS)
    return [f"{cell:.9g}" if isinstance(cell, float) else cell for cell in cells]
