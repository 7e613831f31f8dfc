# SPDX-License-Identifier: Apache-2.0
"""Which files of a manifest are of no use, by name and reason, and the manifest without them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import audio
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.errors import W2sError

SILENT_DBFS = -70.0
"""A clip whose RMS, without its mean, is below this holds no voice: ten steps of 16 bits."""

Kind = Literal["unreadable", "too short", "silent", "clipped", "duplicate"]


@dataclass(frozen=True)
class Problem:
    """A file that is of no use. ``detail`` says more, for a duplicate which file it repeats."""

    path: str
    kind: Kind
    detail: str


@dataclass(frozen=True)
class Report:
    """What a check found, and the manifest of the files that passed."""

    problems: tuple[Problem, ...]
    usable: Manifest


def content_hash(pcm: NDArray[np.int16]) -> str:
    """SHA-256 of the samples as they reach the engines: the same for a WAV and its FLAC."""
    return sha256(np.ascontiguousarray(pcm, "<i2").tobytes()).hexdigest()


def check(
    manifest: Manifest,
    shortest: float = 0.5,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Read every file and sort out those that are unreadable, shorter than ``shortest`` seconds,
    silent, clipped, or the same audio as a file before them."""
    problems: list[Problem] = []
    usable: list[Row] = []
    seen: dict[str, Row] = {}
    for number, row in enumerate(manifest.rows, 1):
        try:
            pcm = audio.read_clip(manifest.file(row)).pcm
        except W2sError as error:
            kind: Kind = "too short" if "s long" in error.message else "unreadable"
            problems.append(Problem(row.path, kind, error.message))
        else:
            found = fault(pcm, shortest)
            first = seen.setdefault(content_hash(pcm), row)
            if found is None and first is not row:
                found = ("duplicate", _repeats(row, first))
            if found is None:
                usable.append(row)
            else:
                problems.append(Problem(row.path, *found))
        progress(number, len(manifest))
    return Report(tuple(problems), manifest.with_rows(usable))


def fault(pcm: NDArray[np.int16], shortest: float = 0.5) -> tuple[Kind, str] | None:
    """What is wrong with the samples of one clip, if anything."""
    seconds = len(pcm) / audio.RATE
    if seconds < shortest:
        return "too short", f"{seconds:.2f} s, at least {shortest} s are wanted"
    level = 20 * np.log10(max(float(pcm.std()), 1e-3) / 32768)
    if level < SILENT_DBFS:
        return "silent", f"RMS below {SILENT_DBFS:.0f} dBFS"
    clipped = [text for text in audio.describe(pcm) if text.startswith("clipped")]
    return ("clipped", clipped[0].partition(": ")[2]) if clipped else None


def _repeats(row: Row, first: Row) -> str:
    said = f"the same audio as {first.path}"
    return said if row.who == first.who else f"{said}, there by {first.speaker or 'nobody named'}"
