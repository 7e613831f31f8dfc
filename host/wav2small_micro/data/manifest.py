# SPDX-License-Identifier: Apache-2.0
"""A manifest: one row a clip, with who speaks, on which side of the split, and what people heard.

CSV or parquet; ``docs/data.md`` describes the columns. Labels are 0..1 and empty where nobody rated
the clip. A manifest in which a speaker is on two sides of the split is refused when it is read.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.paths import research_data

SPLITS = ("train", "dev", "test")
"""Sides of a split, beside the empty one: not yet drawn."""

TEXT_COLUMNS = ("path", "corpus", "speaker", "sex", "language", "split", "emotion", "text_id")
COLUMNS = (*TEXT_COLUMNS[:6], "duration_s", *TEXT_COLUMNS[6:], *DIMENSIONS)
"""The columns by name, in the order in which they are written. ``path`` alone must be there; an
annotator's ratings are columns of their own, ``arousal_1``, ``dominance_1`` and so on."""

RATING = re.compile(rf"({'|'.join(DIMENSIONS)})_([1-9][0-9]*)")

Rating = tuple[float | None, float | None, float | None]
"""Arousal, dominance, valence by one annotator, 0..1; None where nothing was rated."""


@dataclass(frozen=True)
class Row:
    """One clip. ``path`` is relative to the manifest's folder, or absolute. ``ratings`` has an
    entry an annotator. ``extra`` holds the columns without a meaning here, as they were found."""

    path: str
    corpus: str = ""
    speaker: str = ""
    sex: str = ""
    language: str = ""
    split: str = ""
    duration_s: float | None = None
    emotion: str = ""
    text_id: str = ""
    arousal: float | None = None
    dominance: float | None = None
    valence: float | None = None
    ratings: tuple[Rating, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def who(self) -> tuple[str, str]:
        """The speaker: names are unique within a corpus."""
        return self.corpus, self.speaker

    @property
    def human(self) -> NDArray[np.float32] | None:
        """Arousal, dominance, valence as people rated them, (3,); None unless all three are
        known."""
        values = (self.arousal, self.dominance, self.valence)
        return None if None in values else np.array(values, np.float32)


@dataclass(frozen=True)
class Manifest:
    """Rows and the folder that their paths start from. ``columns`` are those that the file had."""

    folder: Path
    rows: tuple[Row, ...]
    columns: frozenset[str] = frozenset(COLUMNS)
    name: str = "the manifest"

    def __len__(self) -> int:
        return len(self.rows)

    def file(self, row: Row) -> Path:
        """Where the clip of a row lies."""
        return self.folder / row.path

    def require(self, *columns: str) -> None:
        """Raises :class:`W2sError` when one of the columns is not there."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise W2sError(
                f"{self.name} has no column {', '.join(map(repr, missing))}",
                f"it has {', '.join(sorted(self.columns))}; docs/data.md describes the columns",
            )

    def select(self, split: str | None = None, corpus: str | None = None) -> Manifest:
        """The rows of one side of the split, of one corpus, or both.

        Raises :class:`W2sError` for a split that cannot be and for columns that are not there.
        """
        rows = self.rows
        if split is not None:
            self.require("split")
            if split not in SPLITS:
                raise W2sError(f"no split {split!r}", f"one of {', '.join(SPLITS)}")
            rows = tuple(row for row in rows if row.split == split)
        if corpus is not None:
            self.require("corpus")
            rows = tuple(row for row in rows if row.corpus == corpus)
        return self.with_rows(rows)

    def with_rows(self, rows: Iterable[Row]) -> Manifest:
        """The same manifest with other rows."""
        return replace(self, rows=tuple(rows))


def read(path: str | Path, leaks: bool = False) -> Manifest:
    """Read a manifest: a CSV or parquet file, or the folder that holds ``manifest.csv``.

    The research data's own layout, with ratings 1 to 5, is read as well. Raises :class:`W2sError`,
    naming the line, for a file that cannot be read, a column that is missing, a label that is not a
    number in 0..1, a split that does not exist and, unless ``leaks``, a speaker on two sides of it.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "manifest.csv"
    if not path.is_file():
        raise W2sError(f"no manifest at {path}", "w2s data import makes one from a folder of audio")
    table = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    columns = frozenset(table[0]) if table else frozenset()
    if not table:
        raise W2sError(f"{path} has no rows", "w2s data import makes a manifest")
    if "arousal_mean_1to5" in columns:
        from wav2small_micro.data import importers

        return importers.research_rows(path.parent, table, name=str(path))
    found = Manifest(
        path.parent,
        tuple(parse(raw, f"{path}:{line}") for line, raw in enumerate(table, 2)),
        columns,
        str(path),
    )
    refuse_repeats(found)
    if not leaks:
        refuse_leaks(found)
    return found


def research() -> Manifest:
    """The manifest of the research data. Raises :class:`W2sError` when they are not there."""
    folder = research_data()
    if folder is None:
        raise W2sError(
            "the research data are not here", "set W2S_DATA to the folder with manifest.csv"
        )
    return read(folder)


def _csv(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise W2sError(f"{path} cannot be read: {error}", "save it as CSV in UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        names = reader.fieldnames or ()
        table = list(reader)
    except csv.Error as error:
        raise W2sError(f"{path} is not CSV: {error}", "separate the columns by commas") from error
    if len(set(names)) != len(names):
        raise W2sError(f"{path} names a column twice", "give every column a name of its own")
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise W2sError(f"{path} has a single column", "separate the columns by commas")
    for line, raw in enumerate(table, 2):
        if None in raw or None in raw.values():
            raise W2sError(
                f"{path}:{line} does not have {len(names)} cells as the header",
                "quote cells that hold a comma",
            )
    return table


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise W2sError("parquet needs pyarrow", "pip install 'wav2small-micro[parquet]'") from error
    try:
        table: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise W2sError(f"{path} cannot be read as parquet: {error}") from error
    return table


def parse(raw: Mapping[str, Any], where: str) -> Row:
    """A row from its cells, text or numbers; empty cells and None are unknown.

    >>> parse({"path": "a.flac", "arousal": "0.5", "mood": "?"}, "m.csv:2").arousal
    0.5
    """
    cells = {key: "" if value is None else str(value).strip() for key, value in raw.items()}
    if "path" not in cells:
        raise W2sError(
            f"{where.rpartition(':')[0]} has no column 'path'",
            f"it has {', '.join(sorted(cells))}; docs/data.md describes the columns",
        )
    if not cells["path"] or any(ord(sign) < 32 for sign in cells["path"]):
        raise W2sError(f"{where}: {cells['path']!r} is no path", "name one audio file a row")
    if cells.get("split", "") not in ("", *SPLITS):
        raise W2sError(
            f"{where}: no split {cells['split']!r}", f"one of {', '.join(SPLITS)}, or empty"
        )
    numbers: dict[str, Any] = {
        name: _label(cells.get(name, ""), name, where) for name in DIMENSIONS
    }
    extra = {key: value for key, value in cells.items() if key not in COLUMNS}
    raters = sorted({int(found[2]) for key in extra if (found := RATING.fullmatch(key))})
    ratings = tuple(
        tuple(
            _label(extra.pop(f"{name}_{rater}", ""), f"{name}_{rater}", where)
            for name in DIMENSIONS
        )
        for rater in raters
    )
    known: dict[str, Any] = {name: cells.get(name, "") for name in TEXT_COLUMNS}
    return Row(
        **known,
        duration_s=_number(cells.get("duration_s", ""), "duration_s", where),
        **numbers,
        ratings=ratings,  # type: ignore[arg-type]
        extra=tuple(extra.items()),
    )


def _number(cell: str, name: str, where: str) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise W2sError(
            f"{where}: {name} is {cell!r}, not a number", "leave the cell empty where it is unknown"
        )
    return value


def _label(cell: str, name: str, where: str) -> float | None:
    value = _number(cell, name, where)
    if value is not None and not 0 <= value <= 1:
        raise W2sError(
            f"{where}: {name} is {cell}, not within 0..1",
            "map the ratings first: (x - lowest) / (highest - lowest)",
        )
    return value


def refuse_repeats(manifest: Manifest) -> None:
    """Raises :class:`W2sError` when a path is there twice."""
    seen: set[str] = set()
    for row in manifest.rows:
        if row.path in seen:
            raise W2sError(f"{manifest.name} names {row.path} twice", "keep one row a clip")
        seen.add(row.path)


def leaking(manifest: Manifest) -> list[tuple[str, str]]:
    """Speakers on more than one side of the split, sorted."""
    sides: dict[tuple[str, str], set[str]] = {}
    for row in manifest.rows:
        if row.speaker and row.split:
            sides.setdefault(row.who, set()).add(row.split)
    return sorted(who for who, found in sides.items() if len(found) > 1)


def refuse_leaks(manifest: Manifest) -> None:
    """Raises :class:`W2sError` when a speaker is on more than one side of the split."""
    found = leaking(manifest)
    if found:
        names = ", ".join(f"{corpus}/{speaker}" for corpus, speaker in found[:5])
        raise W2sError(
            f"{manifest.name} has {len(found)} speakers on two sides of the split: {names}",
            "draw it anew by speaker: w2s data split --again",
        )


def write(manifest: Manifest, path: str | Path) -> None:
    """Write a manifest, CSV or parquet by the suffix, in one step: there is the whole file or none.

    Paths are written relative to the file where the clips lie below it, else absolute.
    """
    path = Path(path)
    folder = path.resolve().parent
    raters = max((len(row.ratings) for row in manifest.rows), default=0)
    extra = list(dict.fromkeys(key for row in manifest.rows for key, _ in row.extra))
    names = [
        *COLUMNS,
        *(f"{name}_{rater + 1}" for rater in range(raters) for name in DIMENSIONS),
        *extra,
    ]
    lines = [_cells(manifest, row, folder) for row in manifest.rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    store: Callable[..., None] = _store_parquet if path.suffix == ".parquet" else _store_csv
    store(temporary, names, lines)
    os.replace(temporary, path)


def _cells(manifest: Manifest, row: Row, folder: Path) -> dict[str, str | float | None]:
    lies = manifest.file(row).resolve()
    cells: dict[str, str | float | None] = {name: getattr(row, name) for name in COLUMNS}
    cells["path"] = str(lies.relative_to(folder) if lies.is_relative_to(folder) else lies)
    for rater, rating in enumerate(row.ratings, 1):
        cells |= {f"{name}_{rater}": x for name, x in zip(DIMENSIONS, rating, strict=True)}
    return cells | dict(row.extra)


def _store_csv(path: Path, names: list[str], lines: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def _store_parquet(path: Path, names: list[str], lines: list[dict[str, Any]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise W2sError("parquet needs pyarrow", "pip install 'wav2small-micro[parquet]'") from error
    text = {
        *TEXT_COLUMNS,
        *(key for line in lines for key, x in line.items() if isinstance(x, str)),
    }
    schema = pyarrow.schema(
        [(name, pyarrow.string() if name in text else pyarrow.float64()) for name in names]
    )
    parquet.write_table(pyarrow.Table.from_pylist(lines, schema=schema), path)
