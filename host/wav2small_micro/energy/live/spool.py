# SPDX-License-Identifier: Apache-2.0
"""What an instrument sends, kept in a file of its own that goes with the recording."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wav2small_micro.energy.trace import Notes, Progress, Recording

ROWS = 1 << 16


class Spool:
    """Bytes on disk, in the order of their coming; deleted with the last reference to it."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="w2s-energy-")  # noqa: SIM115
        self.size = 0

    @property
    def path(self) -> Path:
        """Where they are."""
        return Path(self._file.name)

    def add(self, data: bytes) -> None:
        """More of them."""
        self._file.write(data)
        self.size += len(data)

    def flush(self) -> None:
        """Makes all of them readable by the path."""
        self._file.flush()

    def chunks(self, size: int) -> Iterator[bytes]:
        """All of them, in pieces of ``size``."""
        self.flush()
        with self.path.open("rb") as file:
            while data := file.read(size):
                yield data


@dataclass
class Deadline:
    """When a measurement ends, and how far it is."""

    seconds: float
    progress: Progress
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._begin = self.clock()

    @property
    def elapsed(self) -> float:
        """In s."""
        return self.clock() - self._begin

    @property
    def over(self) -> bool:
        """Whether it has come; reports the progress, too."""
        self.progress(min(1.0, self.elapsed / self.seconds))
        return self.elapsed >= self.seconds


def save_csv(path: Path, recording: Recording) -> Notes:
    """Writes a recording as CSV that `readers.delimited` takes again; what it noted on the way."""
    notes = Notes()
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["time_s", "current_a", "voltage_v", *recording.channels]
    form = ["%.7f", "%.9g", "%.6g", *["%d"] * len(recording.channels)]
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(names) + "\n")
        for piece in recording.pieces(notes):
            for begin in range(0, len(piece), ROWS):
                some = piece.at(slice(begin, begin + ROWS))
                bits = [some.digital >> bit & 1 for bit in range(len(recording.channels))]
                columns = [some.time, some.current, some.voltage, *bits]
                np.savetxt(file, np.column_stack(columns), fmt=form, delimiter=",")
    return notes
