# SPDX-License-Identifier: Apache-2.0
"""The host's side of plugin.c: it is compiled when needed, given a table, and read through a log.

The layouts of files are the C structures of plugin.c, which runs on the same machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wav2small_micro.errors import W2sError
from wav2small_micro.paths import repo_root
from wav2small_micro.profiler.cycles import REFILLS
from wav2small_micro.profiler.image import Code, Span

SCOPES = 5
STORE_EVENT = 255

SITE = np.dtype(
    [
        ("first", "u1"),
        ("after", "u1"),
        ("taken", "u1", len(REFILLS)),
        ("scope", "u1"),
        ("event", "u1"),
        ("watched", "u1"),
    ]
)
TOTALS = np.dtype([("instructions", "u8"), ("cycles", "u8"), ("refill", "u8", len(REFILLS))])
EVENT = np.dtype([("kind", "u4"), ("offset", "u4"), ("totals", TOTALS, SCOPES)])
_LOG_HEADER = np.dtype([("events", "u8"), ("capacity", "u8")])


@dataclass
class Table:
    """What the plugin is told of a firmware: a site for every halfword of code."""

    code: list[Code]
    window: Span
    """Data addresses whose stores, from watched sites, are events."""
    sites: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.sites = [np.zeros(len(code.data) // 2, SITE) for code in self.code]

    def at(self, span: Span) -> np.ndarray:
        """The sites of a span of code, to be filled in."""
        for code, sites in zip(self.code, self.sites, strict=True):
            if code.begin <= span.begin and span.end <= code.end:
                first = (span.begin - code.begin) // 2
                return sites[first : first + max(1, (span.end - span.begin) // 2)]
        raise W2sError(f"no code at 0x{span.begin:x}", "")

    def write(self, path: Path) -> None:
        """Saves it as plugin.c reads it."""
        with path.open("wb") as file:
            file.write(
                np.array([len(self.code), self.window.begin, self.window.end], "u4").tobytes()
            )
            for code, sites in zip(self.code, self.sites, strict=True):
                file.write(np.array([code.begin, len(sites)], "u4").tobytes())
                file.write(sites.tobytes())


def _words(*values: int) -> bytes:
    return np.array(values, "u4").tobytes()


@dataclass(frozen=True)
class Session:
    """The files of one run of QEMU under the plugin."""

    folder: Path
    table: Table
    capacity: int
    """Events that the log has room for; the file is sparse."""

    def options(self) -> list[str]:
        """Makes the files; QEMU's options that load the plugin with them."""
        self.table.write(self._file("table"))
        with self._file("log").open("wb") as log:
            log.write(np.array((0, self.capacity), _LOG_HEADER).tobytes())
            log.truncate(_LOG_HEADER.itemsize + self.capacity * EVENT.itemsize)
        sites = sum(map(len, self.table.sites))
        with self._file("heat").open("wb") as heat:
            heat.truncate((sites + 1) * TOTALS.itemsize)
        files = ",".join(f"{name}={self._file(name)}" for name in ("table", "log", "heat"))
        return ["-plugin", f"{library()},{files}"]

    def events(self) -> np.ndarray:
        """The events so far, (N,) of EVENT. Raises W2sError if there was no room for all."""
        header = np.fromfile(self._file("log"), _LOG_HEADER, count=1)[0]
        if header["events"] > self.capacity:
            raise W2sError(
                f"the profile has room for {self.capacity} events and {header['events']} came",
                "profile less audio at a time",
            )
        count = int(header["events"])
        return np.fromfile(self._file("log"), EVENT, count=count, offset=_LOG_HEADER.itemsize)

    def heat(self) -> list[np.ndarray]:
        """What the blocks that begin at each site cost so far, TOTALS, as Table.sites."""
        whole = np.fromfile(self._file("heat"), TOTALS)
        ends = np.cumsum([len(sites) for sites in self.table.sites])
        return np.split(whole, ends)[:-1]

    def _file(self, name: str) -> Path:
        return self.folder / name


def library() -> Path:
    """The plugin, compiled for this machine. Raises W2sError without a C compiler."""
    source = Path(__file__).with_name("plugin.c")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    made = repo_root() / ".pio" / "profiler" / f"plugin-{digest}.so"
    if made.is_file():
        return made
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise W2sError("no C compiler for the profiler's plugin", "sudo apt-get install gcc")
    made.parent.mkdir(parents=True, exist_ok=True)
    fresh = made.with_suffix(f".{os.getpid()}")
    command = [compiler, "-shared", "-fPIC", "-O2", "-std=c11", "-D_GNU_SOURCE"]
    result = subprocess.run(
        [*command, "-o", str(fresh), str(source)], capture_output=True, text=True
    )
    if result.returncode != 0:
        raise W2sError(f"the profiler's plugin does not compile:\n{result.stderr}", "")
    fresh.replace(made)
    return made
