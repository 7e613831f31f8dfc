# SPDX-License-Identifier: Apache-2.0
"""Manifests from what there is: the research data, a folder of audio, an audformat database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wav2small_micro.audio import SUFFIXES
from wav2small_micro.data import manifest as manifests
from wav2small_micro.data.manifest import COLUMNS, Manifest, Row
from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS

RESEARCH_EXTRA = ("intensity", "whole")
"""Columns of the research data that are kept as they are."""


def unit(value: Any, lowest: float, highest: float) -> float | None:
    """A rating on a scale from ``lowest`` to ``highest`` as 0..1; None where there is none.

    >>> unit("4", 1, 5), unit("", 1, 5)
    (0.75, None)
    """
    return None if value in ("", None) else (float(value) - lowest) / (highest - lowest)


def research_rows(folder: Path, table: Sequence[dict[str, Any]], name: str) -> Manifest:
    """The manifest of the research data from the rows of its own CSV: ratings 1..5, three
    annotators as ``arousal_a1`` and so on."""
    rows = []
    for line, raw in enumerate(table, 2):
        cells = {key: raw[key] for key in COLUMNS if key in raw}
        try:
            for dimension in DIMENSIONS:
                cells[dimension] = unit(raw[f"{dimension}_mean_1to5"], 1, 5)
                for rater in (1, 2, 3):
                    value = unit(raw.get(f"{dimension}_a{rater}"), 1, 5)
                    if value is not None:
                        cells[f"{dimension}_{rater}"] = value
        except (KeyError, ValueError) as error:
            raise W2sError(f"{name}:{line} cannot be used: {error}") from error
        cells |= {key: raw[key] for key in RESEARCH_EXTRA if key in raw}
        rows.append(manifests.parse(cells, f"{name}:{line}"))
    columns = frozenset({*table[0], *DIMENSIONS})
    found = Manifest(folder, tuple(rows), columns, name)
    manifests.refuse_repeats(found)
    manifests.refuse_leaks(found)
    return found


def audio_folder(
    folder: Path, speaker: str | None = None, corpus: str | None = None, language: str = ""
) -> Manifest:
    """Every audio file below a folder. ``speaker`` is a regular expression whose first group, found
    in the relative path, names the speaker; without it that is the first folder on the way, if
    there is one.

    Raises :class:`W2sError` for a folder without audio and for a file whose speaker is not found.
    """
    if not folder.is_dir():
        raise W2sError(f"no folder {folder}", "check the path")
    try:
        pattern = re.compile(speaker) if speaker is not None else None
    except re.error as error:
        raise W2sError(f"{speaker!r} is not a regular expression: {error}") from error
    if pattern is not None and not pattern.groups:
        raise W2sError(
            f"{speaker!r} has no group", "put the speaker's name in brackets: '^(s[0-9]+)_'"
        )
    rows = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        inside = path.relative_to(folder)
        if pattern is None:
            who = inside.parts[0] if len(inside.parts) > 1 else ""
        else:
            found = pattern.search(inside.as_posix())
            if found is None:
                raise W2sError(f"{speaker!r} finds no speaker in {inside}", "change the expression")
            who = found[1] or ""
        rows.append(
            Row(
                path=inside.as_posix(),
                corpus=corpus or folder.resolve().name,
                speaker=who,
                language=language,
                duration_s=_seconds(path),
            )
        )
    if not rows:
        raise W2sError(f"no audio in {folder}", f"looked for {', '.join(sorted(SUFFIXES))}")
    return Manifest(folder, tuple(rows), name=str(folder))


def _seconds(path: Path) -> float | None:
    """Length by the file's header; None where it cannot be read, which ``check`` will say."""
    import soundfile

    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        return None
    return round(info.frames / info.samplerate, 4)


def audformat_database(folder: Path, language: str = "") -> Manifest:
    """An audformat database: the filewise tables with columns for arousal, dominance, valence,
    speaker, sex or gender, emotion; a table or a split called train, dev or test gives the side.

    Ratings are carried to 0..1 by the limits of their scheme. Raises :class:`W2sError` for a
    database without such tables, with labels on parts of files, or with a scheme without limits.
    """
    try:
        import audformat
    except ImportError as error:
        raise W2sError(
            "audformat databases need audformat", "pip install 'wav2small-micro[audformat]'"
        ) from error
    if not (folder / "db.yaml").is_file():
        raise W2sError(f"no audformat database in {folder}", "it has a db.yaml")
    database = audformat.Database.load(str(folder))
    cells: dict[str, dict[str, Any]] = {}
    for name, table in database.tables.items():
        if table.type != audformat.define.IndexType.FILEWISE:
            raise W2sError(
                f"table {name!r} of {folder} labels parts of files",
                "cut the parts into files first; a manifest has one row a file",
            )
        side = _side(str(table.split_id or ""), name)
        for path in table.files:
            cells.setdefault(str(path), {}).setdefault("split", side)
        for column_id, column in table.columns.items():
            key = _column(column_id, column.scheme_id)
            if key is None:
                continue
            scheme = database.schemes.get(column.scheme_id)
            for path, value in column.get(map=None).items():
                if value == value and value is not None and str(value) != "<NA>":
                    cells[str(path)][key] = _value(key, value, scheme, f"{folder}, {name}")
    if not cells:
        raise W2sError(f"{folder} has no filewise table", "the clips are listed in one")
    languages = ", ".join(database.languages or ())
    rows = tuple(
        manifests.parse(
            {"path": path, "corpus": database.name, "language": language or languages, **found},
            f"{folder}:{path}",
        )
        for path, found in sorted(cells.items())
    )
    made = Manifest(folder, rows, name=str(folder))
    manifests.refuse_leaks(made)
    return made


def _side(split: str, table: str) -> str:
    for word in (split, *re.split(r"[._-]", table)):
        if word in manifests.SPLITS:
            return word
    return ""


def _column(column: str, scheme: str | None) -> str | None:
    for name in (column.lower(), (scheme or "").lower()):
        if name in ("gender", "sex"):
            return "sex"
        if name in (*DIMENSIONS, "speaker", "emotion", "language"):
            return name
    return None


def _value(key: str, value: Any, scheme: Any, where: str) -> Any:
    if key not in DIMENSIONS:
        return value
    lowest, highest = getattr(scheme, "minimum", None), getattr(scheme, "maximum", None)
    if lowest is None or highest is None:
        raise W2sError(
            f"{where}: the scheme of {key} has no minimum and maximum",
            "set them in db.yaml; they say what 0 and 1 are",
        )
    return unit(value, lowest, highest)
