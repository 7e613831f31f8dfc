# SPDX-License-Identifier: Apache-2.0
"""Text with columns: the export of Nordic's Power Profiler, and any CSV whose header names units.

The header is one line; lines before it are skipped. Columns are found by name and unit, in any
order and case, others are ignored:

- time: ``time_s``, ``Timestamp(ms)``, ``t [us]``; or none, with a rate given
- current: ``current_a``, ``Current(uA)``, ``I [mA]``
- voltage: ``voltage_v``, ``U (mV)``; or none, with a voltage given
- digital: ``D0`` .. ``D15`` and ``marker``, 0 or 1; or ``D0-D7`` (``Bits``): eight digits, D0 first

Power Profiler writes ``Timestamp(ms),Current(uA)`` and, as chosen, ``D0-D7`` or the eight columns
(``exportChart`` of pc-nrfconnect-ppk). The separator is a comma, a semicolon or a tab; with the
latter two the decimal sign may be a comma. A unit is never guessed.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.energy import instruments
from wav2small_micro.energy.options import Options
from wav2small_micro.energy.trace import Holder, Notes, Progress, Recording, Trace, regular
from wav2small_micro.errors import W2sError

_CHUNK = 4 << 20
_LINE = 1 << 16
_PREAMBLE = 100

_UNITS = {
    "time": {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "current": {"a": 1.0, "ma": 1e-3, "ua": 1e-6, "na": 1e-9},
    "voltage": {"v": 1.0, "mv": 1e-3, "uv": 1e-6},
}
_NAMES = {
    "time": {"time", "timestamp", "t", "elapsed", "elapsed time"},
    "current": {"current", "i", "current avg", "main avg current"},
    "voltage": {"voltage", "v", "u"},
}
_MARKERS = ("marker", "gpio", "trigger", "sync")
_SEPARATORS = ";\t,"


@dataclass(frozen=True)
class _Columns:
    """Where everything is in a line."""

    separator: str
    count: int
    time: tuple[int, float] | None  # column, and the factor to SI
    current: tuple[int, float]
    voltage: tuple[int, float] | None
    bits: tuple[tuple[int, str], ...]  # one column a channel
    word: int | None  # one column for eight channels
    is_ppk2: bool
    offset: int  # bytes before the first line of samples
    line: int  # its number, from 1

    @property
    def channels(self) -> tuple[str, ...]:
        """Names by bit."""
        if self.word is not None:
            return tuple(f"D{i}" for i in range(8))
        return tuple(name for _, name in self.bits)


def recording(path: Path, options: Options) -> Recording:
    """The recording in a file. Raises W2sError where its header does not say enough."""
    columns = _read_header(path)
    if columns.time is None and options.rate is None:
        raise W2sError(
            f"{path} has no column of times",
            "export the times, or say how many samples there are a second: --rate 100000",
        )
    if columns.voltage is None and options.voltage is None:
        raise W2sError(f"{path} has no voltage", "say the supply: --voltage 3.3")

    def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
        yield from _Reader(path, columns, options, notes).pieces(progress)

    return Recording(
        str(path),
        options.applied(instruments.PPK2 if columns.is_ppk2 else instruments.UNKNOWN),
        columns.channels,
        read,
        voltage_given=columns.voltage is None or options.voltage is not None,
    )


# --- The header ----------------------------------------------------------------------------------


def _read_header(path: Path) -> _Columns:
    offset = 0
    first: list[str] = []
    with path.open("rb") as file:
        for number in range(1, _PREAMBLE):
            raw = file.readline(_LINE)
            if not raw:
                break
            if number == 1:
                _check_encoding(path, raw + file.peek(4096)[:4096])
            offset += len(raw)
            text = _decoded(raw).strip()
            if not text or len(raw) >= _LINE:
                continue
            for separator in _SEPARATORS:
                names = _split(text, separator)
                found = _columns(path, names, separator, offset, number + 1)
                if found is not None:
                    return found
            if not first:
                first = max((_split(text, separator) for separator in _SEPARATORS), key=len)
    shown = ", ".join(name[:40] for name in first[:12]) or "nothing"
    raise W2sError(
        f"{path} has no column of current with its unit: it begins with {shown}",
        "name the columns in the first line, such as time_s,current_a,voltage_v,D0 "
        "or Timestamp(ms),Current(uA),D0-D7",
    )


def _check_encoding(path: Path, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise W2sError(f"{path} is UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8")
    if b"\0" in head:
        raise W2sError(
            f"{path} is not text",
            "known are .jls, .ppk2, logs of an LPM01A, and CSV",
        )


def _decoded(raw: bytes) -> str:
    """UTF-8, or Latin-1 where it is not that, which knows the sign for micro too."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _split(text: str, separator: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([text], delimiter=separator))]
    except (csv.Error, StopIteration):
        return []


def _columns(
    path: Path, names: list[str], separator: str, offset: int, line: int
) -> _Columns | None:
    """What the names mean; None where there is no current among them."""
    found: dict[str, tuple[int, float]] = {}
    bits: list[tuple[int, str]] = []
    word = None
    without_unit = []
    for i, name in enumerate(names):
        plain = name.lower().replace("µ", "u").replace("μ", "u").strip("\"' #")
        if plain in ("d0-d7", "bits"):
            word = i
        elif re.fullmatch(r"(d|gpi|gpio)\[?(\d|1[0-5])\]?", plain) or plain in _MARKERS:
            bits.append((i, name))
        else:
            kind, factor = _meaning(plain)
            if kind and factor is None:
                without_unit.append(name)
            elif kind and factor is not None and kind not in found:
                found[kind] = (i, factor)
    if "current" not in found:
        return None
    if (
        without_unit
        and "time" not in found
        and any(_meaning(n.lower())[0] == "time" for n in without_unit)
    ):
        raise W2sError(
            f"{path}: the column of times, {without_unit[0]!r}, has no unit",
            "name it time_s, time_ms or time_us",
        )
    lower = [name.lower() for name in names]
    return _Columns(
        separator,
        len(names),
        found.get("time"),
        found["current"],
        found.get("voltage"),
        tuple(bits[:16]),
        word,
        is_ppk2="timestamp(ms)" in lower and "current(ua)" in lower,
        offset=offset,
        line=line,
    )


def _meaning(plain: str) -> tuple[str | None, float | None]:
    """Quantity and factor of a column's name.

    >>> _meaning("current(ua)"), _meaning("time_s"), _meaning("i [ma]"), _meaning("time")
    (('current', 1e-06), ('time', 1.0), ('current', 0.001), ('time', None))
    """
    match = re.fullmatch(r"(.+?)[\s_]*[(\[]\s*(\w+)\s*[)\]]", plain) or re.fullmatch(
        r"(.+)[\s_]+(\w+)", plain
    )
    if match:
        base, unit = match[1].strip(" _").replace("_", " "), match[2]
        for kind, names in _NAMES.items():
            if base in names and unit in _UNITS[kind]:
                return kind, _UNITS[kind][unit]
    base = plain.replace("_", " ").strip()
    return next((kind for kind, names in _NAMES.items() if base in names), None), None


# --- The samples ---------------------------------------------------------------------------------


class _Reader:
    """Goes through a file once."""

    def __init__(self, path: Path, columns: _Columns, options: Options, notes: Notes) -> None:
        self._path = path
        self._columns = columns
        self._options = options
        self._notes = notes
        self._line = columns.line
        self._samples = 0
        wanted = [columns.current[0]]
        wanted += [column[0] for column in (columns.time, columns.voltage) if column is not None]
        wanted += [i for i, _ in columns.bits] + ([] if columns.word is None else [columns.word])
        self._wanted = sorted(set(wanted))
        self._place = {column: i for i, column in enumerate(self._wanted)}

    def pieces(self, progress: Progress) -> Iterator[Trace]:
        size = max(1, self._path.stat().st_size)
        holder = Holder(self._notes, self._options.rate)
        rest = b""
        with self._path.open("rb") as file:
            file.seek(self._columns.offset)
            while True:
                raw = file.read(_CHUNK)
                if not raw:
                    break
                chunk = rest + raw
                end = chunk.rfind(b"\n") + 1
                if not end:
                    if len(chunk) > _LINE:
                        raise W2sError(
                            f"{self._path} has a line of more than {_LINE} bytes",
                            "is it text with a line for each sample?",
                        )
                    rest = chunk
                    continue
                rest = chunk[end:]
                yield from holder.take(self._parsed(chunk[:end]))
                progress(file.tell() / size)
        if rest.strip():
            self._notes.add("the last line has no end and may be cut: it is left out")
        yield from holder.end()

    def _parsed(self, chunk: bytes) -> Trace:
        text = _decoded(chunk)
        if self._columns.separator != "," and "," in text:
            text = text.replace(",", ".")
        table = self._table(text)
        columns = self._columns

        def values(column: tuple[int, float]) -> NDArray[np.float64]:
            return table[:, self._place[column[0]]] * column[1]

        count = len(table)
        if self._options.rate is not None:
            time, _ = regular(self._samples / self._options.rate, count, self._options.rate)
        else:
            assert columns.time is not None
            time = values(columns.time)
            if not np.isfinite(time).all():
                self._fail(int(np.argmin(np.isfinite(time))), "has no time")
        self._samples += count
        if self._options.voltage is not None or columns.voltage is None:
            assert self._options.voltage is not None
            voltage = np.full(count, self._options.voltage)
        else:
            voltage = values(columns.voltage)
        digital = self._digital(table)
        self._line += text.count("\n")
        return Trace(
            time, np.zeros(count), values(columns.current), voltage, digital, str(self._path)
        )

    def _table(self, text: str) -> NDArray[np.float64]:
        if not text.strip():
            return np.empty((0, len(self._wanted)))
        try:
            table = self._loaded(text)
        except ValueError as error:
            undecided = self._columns.word is not None and re.search(r"[01X-]{8}", text)
            if not undecided:
                self._explain(error, text)
            # Power Profiler's signs for a channel that changed within the sample, or was not read.
            text, marks = re.subn(r"[01X-]{8}(?=\s|;|,|$)", _decided, text)
            self._notes.add("samples whose digital channels changed within them", marks and 1)
            try:
                table = self._loaded(text)
            except ValueError as again:
                self._explain(again, text)
        lines = sum(1 for line in text.splitlines() if line.strip()) if "\n\n" in text else None
        rows = len(table) if lines is None else lines
        if text.count(self._columns.separator) != rows * (self._columns.count - 1):
            self._find_odd_line(text)
        return table

    def _loaded(self, text: str) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a chunk of blank lines
            found: NDArray[np.float64] = np.loadtxt(
                io.StringIO(text),
                delimiter=self._columns.separator,
                usecols=self._wanted,
                comments=None,
                quotechar='"',
                ndmin=2,
            )
        return found

    def _explain(self, error: ValueError, text: str) -> NoReturn:
        place = re.search(r"at row (\d+)", str(error))
        row = int(place[1]) if place else 0
        if "convert string" in str(error):
            word = re.search(r"string '(.*)' to", str(error))
            shown = word[1][:40] if word else ""
            self._fail(row, f"has {shown!r} in the place of a number")
        self._find_odd_line(text)
        self._fail(row, "has too few columns")

    def _find_odd_line(self, text: str) -> None:
        for row, line in enumerate(text.splitlines()):
            fields = len(_split(line, self._columns.separator)) if line.strip() else 0
            if fields and fields != self._columns.count:
                self._fail(row, f"has {fields} columns, the header has {self._columns.count}")

    def _fail(self, row: int, what: str) -> NoReturn:
        hint = "was the file cut, or changed by hand?"
        if self._columns.separator == "," and "columns" in what:
            hint = "with a decimal comma, export with semicolons between the columns"
        raise W2sError(f"{self._path}, line {self._line + row} {what}", hint)

    def _digital(self, table: NDArray[np.float64]) -> NDArray[np.uint16]:
        found = np.zeros(len(table), np.uint16)
        if self._columns.word is not None:
            word = table[:, self._place[self._columns.word]]
            for bit in range(8):
                with np.errstate(invalid="ignore"):  # what is no number is told right below
                    digit = word // 10 ** (7 - bit) % 10
                self._check_bits(digit)
                found |= digit.astype(np.uint16) << np.uint16(bit)
            return found
        for bit, (column, _) in enumerate(self._columns.bits):
            digit = table[:, self._place[column]]
            self._check_bits(digit)
            found |= digit.astype(np.uint16) << np.uint16(bit)
        return found

    def _check_bits(self, digits: NDArray[np.float64]) -> None:
        wrong = (digits != 0) & (digits != 1)
        if wrong.any():
            self._fail(int(np.argmax(wrong)), "has a digital channel that is neither 0 nor 1")


def _decided(match: re.Match[str]) -> str:
    return match[0].replace("X", "1").replace("-", "0")
