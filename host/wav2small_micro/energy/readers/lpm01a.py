# SPDX-License-Identifier: Apache-2.0
"""What an X-NUCLEO-LPM01A sends, live or saved: both formats of its dynamic acquisition.

The protocol is that of ST UM2269, "Getting started with PowerShield firmware" (for the board:
UM2243). Commands are lines; the board answers ``PowerShield > ack COMMAND`` or ``err``.

- ``format ascii_dec``: a line a sample, ``6409-07`` is 6409e-7 A; between them ``Timestamp: 001s
  000ms, buff 12%``, ``error ...``, at last ``end`` and a summary.
- ``format bin_hexa``: two bytes a sample, the first four bits the negated power of 16, the others
  the value: 0x52A1 is 0x2A1 / 16^5 A. 0xF0 and 0xF1 .. 0xF7 begin metadata, which 0xFF 0xFF ends:
  error and information text, time in ms (4 bytes; the highest bit is an overflow) with the load of
  the buffer (1 byte), end, overcurrent, target off, voltage in mV (2 bytes).

Samples are counted from the first timestamp on. A timestamp that comes with fewer samples than its
time needs tells of lost ones: the time without them is a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.energy import instruments
from wav2small_micro.energy.options import Options
from wav2small_micro.energy.trace import Notes, Progress, Recording, Trace
from wav2small_micro.errors import W2sError

PROMPT = "PowerShield > "
RATES = (*(digit * 10**power for power in range(5) for digit in (1, 2, 5)), 100_000)
"""Samples a second that the board has: 1 Hz to 100 kHz."""

_CHUNK = 1 << 18
_MOST_WAITING = 4_000_000  # samples that wait for their rate to be known
_META = re.compile(rb"\xf0[\xf1-\xf7]")
_STAMP_TYPE, _END_TYPE, _OVERCURRENT, _POWER_DOWN, _VOLTAGE_TYPE = 0xF3, 0xF4, 0xF5, 0xF6, 0xF7
_META_SIZE = {_STAMP_TYPE: 9, _END_TYPE: 4, _OVERCURRENT: 4, _POWER_DOWN: 4, _VOLTAGE_TYPE: 6}
_MOST_TEXT = 512
_MOST_RUN = 1 << 22

_PLAIN = re.compile(r"[0-9]{4}[+-][0-9]{2}")
_SAMPLE = re.compile(r"([0-9]{1,6})([+-])([0-9]{1,2})")
_STAMP = re.compile(
    r"time\s*stamp\s*:?\s*(?:(\d{1,9})\s*s)?[\s,]*(?:(\d{1,12})\s*ms)?", re.IGNORECASE
)


def is_log(head: bytes) -> bool:
    """Whether a file that begins so was sent by an LPM01A."""
    if b"\xf0\xf3" in head and re.search(rb"\xf0\xf3.{5}\xff\xff", head, re.DOTALL):
        return True
    text = head.decode("latin-1")
    if PROMPT.strip() in text:
        return True
    return bool(re.search(r"^\d{4}[+-]\d{2}\r?$", text, re.MULTILINE))


def is_binary(head: bytes) -> bool:
    """Whether its samples are in ``bin_hexa``."""
    return bool(re.search(rb"\xf0\xf3.{5}\xff\xff", head, re.DOTALL))


def recording(
    path: Path, options: Options, *, binary: bool | None = None, source: str = ""
) -> Recording:
    """The recording in a saved log. ``binary``: its format, where that is known already."""
    name = source or str(path)
    if binary is None:
        with path.open("rb") as file:
            binary = is_binary(file.read(1 << 16))
    in_words = binary

    def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
        decoder = Decoder(name, options, notes, binary=in_words)
        size = max(1, path.stat().st_size)
        with path.open("rb") as file:
            while raw := file.read(_CHUNK):
                yield from decoder.feed(raw)
                progress(file.tell() / size)
        yield from decoder.finish()

    return Recording(
        name,
        options.applied(instruments.LPM01A),
        (),
        read,
        voltage_given=options.voltage is not None,
    )


class Decoder:
    """Turns bytes of the board into pieces of a trace, as they come."""

    def __init__(self, source: str, options: Options, notes: Notes, *, binary: bool) -> None:
        self.ended = False
        self._source = source
        self._notes = notes
        self._binary = binary
        self._buffer = b""
        self._started = not binary  # a binary stream begins with its first timestamp
        self._voltage = options.voltage
        self._voltage_fixed = options.voltage is not None
        self._clock = _Clock(options.rate, notes, source)
        self._samples: list[NDArray[np.float64]] = []
        self._overcurrent = False

    def feed(self, data: bytes) -> Iterator[Trace]:
        """What these bytes add."""
        if self.ended:
            return
        self._buffer += data
        yield from self._binary_pieces() if self._binary else self._text_pieces()

    def finish(self) -> Iterator[Trace]:
        """The rest, when no more bytes come."""
        if not self.ended:
            self._notes.add("the acquisition has no end: it was stopped, or the log was cut")
            if self._binary and self._started:
                rest = self._buffer[: len(self._buffer) // 2 * 2]
                self._samples.append(_words(rest[: _sound(rest)]))
            elif self._buffer.strip():
                self._notes.add("the last line has no end and may be cut: it is left out")
            self._buffer = b""
        yield from self._flush(last=True)

    # --- Text ------------------------------------------------------------------------------------

    def _text_pieces(self) -> Iterator[Trace]:
        end = self._buffer.rfind(b"\n") + 1
        if not end:
            if len(self._buffer) > _CHUNK:
                raise W2sError(f"{self._source} is no log of an LPM01A", "it has no lines")
            return
        text, self._buffer = self._buffer[:end].decode("ascii", "replace"), self._buffer[end:]
        values: list[str] = []
        for raw in text.split("\n"):
            line = raw.strip("\r \0")
            if len(line) == 7 and _PLAIN.fullmatch(line):
                values.append(f"{line[:4]}e{line[4:]}")
            elif line:
                self._take(values)
                values = []
                yield from self._line(line)
                if self.ended:
                    return
        self._take(values)
        yield from self._flush()

    def _take(self, values: list[str]) -> None:
        if values:
            self._samples.append(np.array(values, "S").astype(np.float64))

    def _line(self, line: str) -> Iterator[Trace]:
        while line.startswith(PROMPT.strip()):
            line = line[len(PROMPT.strip()) :].strip()
        lower = line.lower()
        sample = _SAMPLE.fullmatch(line)
        stamp = _STAMP.search(line)
        if sample:
            self._samples.append(np.array([float(f"{sample[1]}e{sample[2]}{sample[3]}")]))
        elif stamp and (stamp[1] or stamp[2]):
            ms = 1000 * int(stamp[1] or 0) + int(stamp[2] or 0)
            yield from self._stamp(ms)
        elif lower == "end":
            self.ended = True
            yield from self._flush(last=True)
        elif lower.startswith("ack"):
            self._acknowledged(lower[3:].strip())
        elif lower.startswith("err"):
            self._notes.add(f"the LPM01A says: {line[:80]}")
            if "overcurrent" in lower or "over current" in lower:
                self._overcurrent = True
        elif self._streaming and not lower.startswith(("summary", "pwr", "info")):
            self._notes.add("lines that are neither a sample nor known")

    @property
    def _streaming(self) -> bool:
        return bool(self._clock.count or self._samples)

    def _acknowledged(self, command: str) -> None:
        """Settings that the board confirms."""
        words = command.split()
        if words[:1] == ["freq"] and len(words) > 1:
            self._clock.set_rate(_scaled(words[1]))
        elif words[:1] == ["volt"] and len(words) > 1 and not self._voltage_fixed:
            found = _scaled(words[-1]) if words[1] != "get" else _power_of_ten(words[-1])
            if found is not None and 0 < found <= 10:
                self._voltage = found
        elif words[:2] == ["output", "energy"]:
            raise W2sError(
                f"{self._source} holds energies and not currents", "set `output current` and record"
            )

    # --- Binary ----------------------------------------------------------------------------------

    def _binary_pieces(self) -> Iterator[Trace]:
        while not self.ended:
            found = _META.search(self._buffer)
            if found is None:
                if not self._started:
                    end = max(self._buffer.rfind(b"\n") + 1, len(self._buffer) - _MOST_TEXT)
                    self._preamble(self._buffer[:end])
                    self._buffer = self._buffer[end:]
                elif len(self._buffer) > _MOST_RUN:
                    raise W2sError(
                        f"{self._source} has no timestamp in {_MOST_RUN} bytes",
                        "is it the stream of an LPM01A, from its start?",
                    )
                return
            size = self._size(found.start())
            if size is None:
                return  # its end has not come yet
            if self._started:
                self._run(self._buffer[: found.start()])
            else:
                self._preamble(self._buffer[: found.start()])
            meta = self._buffer[found.start() : found.start() + size]
            self._buffer = self._buffer[found.start() + size :]
            yield from self._metadata(meta)

    def _size(self, at: int) -> int | None:
        """Bytes of the metadata that begin there, None where they are not all here."""
        kind = self._buffer[at + 1]
        size = _META_SIZE.get(kind)
        if size is None:
            end = self._buffer.find(b"\xff\xff", at + 2)
            if end < 0:
                return 2 if len(self._buffer) - at > _MOST_TEXT else None
            return end + 2 - at
        return size if len(self._buffer) - at >= size else None

    def _preamble(self, text: bytes) -> None:
        """The dialogue before the stream: what the board confirms there."""
        for line in text.decode("latin-1").replace(PROMPT.strip(), "\n").splitlines():
            if line.strip().lower().startswith("ack"):
                self._acknowledged(line.strip().lower()[3:].strip())

    def _run(self, data: bytes) -> None:
        """Samples between two metadata. One byte too few, and none of them can be trusted."""
        if len(data) % 2 or _sound(data) != len(data):
            self._notes.add(
                "bytes lost on the way: the samples up to the next timestamp are left out"
            )
            self._clock.broken = True
            return
        self._samples.append(_words(data))

    def _metadata(self, meta: bytes) -> Iterator[Trace]:
        kind = meta[1]
        if not meta.endswith(b"\xff\xff"):
            self._notes.add("damaged metadata")
            return
        if kind == _STAMP_TYPE:
            self._started = True
            ms = int.from_bytes(meta[2:6], "big")
            if ms >> 31:
                self._notes.add("the LPM01A's buffer overflowed: the line is too slow for its rate")
            yield from self._stamp(ms & 0x7FFFFFFF)
        elif kind == _END_TYPE and self._started:
            self.ended = True
            yield from self._flush(last=True)
        elif kind == _OVERCURRENT:
            self._notes.add("the LPM01A says: overcurrent")
            self._overcurrent = True
        elif kind == _POWER_DOWN:
            self._notes.add("the LPM01A switched its target off")
        elif kind == _VOLTAGE_TYPE and not self._voltage_fixed:
            self._voltage = int.from_bytes(meta[2:4], "big") / 1000
        elif kind == 0xF1:
            text = meta[2:-2].decode("latin-1").strip()
            self._notes.add(f"the LPM01A says: {text[:80]}")

    # --- Both ------------------------------------------------------------------------------------

    def _stamp(self, ms: int) -> Iterator[Trace]:
        yield from self._flush()
        waiting = sum(map(len, self._samples))
        self._clock.stamp(ms / 1000, waiting)
        yield from self._flush()

    def _flush(self, last: bool = False) -> Iterator[Trace]:
        waiting = sum(map(len, self._samples))
        if not waiting:
            return
        if not self._clock.ready:
            if last or waiting > _MOST_WAITING:
                raise W2sError(
                    f"{self._source} does not say how many samples there are a second",
                    "say it: --rate 10000 (the LPM01A's `freq`)",
                )
            return
        if self._voltage is None:
            raise W2sError(
                f"{self._source} does not say the voltage", "say the supply: --voltage 3.3"
            )
        amps = np.concatenate(self._samples)
        self._samples = []
        time, width = self._clock.times(len(amps))
        saturated = np.zeros(len(amps), bool)
        if self._overcurrent:
            saturated[-1] = True
            self._overcurrent = False
        yield Trace(
            time,
            width,
            amps,
            np.full(len(amps), self._voltage),
            np.zeros(len(amps), np.uint16),
            self._source,
            saturated,
        )


class _Clock:
    """Times of samples: their number over the rate, held against the timestamps."""

    def __init__(self, rate: float | None, notes: Notes, source: str) -> None:
        self.count = 0  # samples that have a time
        self.broken = False  # samples were left out before the next timestamp
        self._rate = rate
        self._fixed = rate is not None
        self._notes = notes
        self._source = source
        self._shift = 0.0  # s without samples so far
        self._first: tuple[float, int] | None = None  # of the first timestamp, samples before it

    @property
    def ready(self) -> bool:
        """Whether the rate is known."""
        return self._rate is not None

    def set_rate(self, rate: float | None) -> None:
        """The board confirmed a rate."""
        if rate is not None and rate > 0 and not self._fixed:
            self._rate = rate

    def stamp(self, seconds: float, waiting: int) -> None:
        """A timestamp came; ``waiting`` samples before it have no times yet."""
        samples = self.count + waiting
        if self._first is None:
            if not samples:
                self._first = (seconds, 0)
            elif self._rate is not None:
                self._first = (seconds - samples / self._rate, 0)
            else:
                self._first = (seconds, samples)
            return
        start, before = self._first
        if self._rate is None:
            if seconds <= start or samples == before:
                return
            # The nearest rate that the board has; samples can get lost, but none are added.
            apparent = (samples - before) / (seconds - start)
            self._rate = float(min(RATES, key=lambda rate: abs(np.log(rate / apparent))))
            self._first = (start - before / self._rate, 0)
            start = self._first[0]
            if abs(apparent / self._rate - 1) > 0.02:
                self._notes.add(
                    f"the timestamps say {apparent:.5g} samples a second; {self._rate:g} is taken"
                )
        missing = (seconds - start - self._shift) * self._rate - samples
        tolerance = 1.5 + 0.003 * self._rate  # a timestamp has ms
        if missing > tolerance or (self.broken and missing > 0):
            self._notes.add("samples lost between two timestamps, which leaves a gap")
            self._shift += missing / self._rate
        elif missing < -tolerance:
            self._notes.add("timestamps with more samples than their time has")
            self._first = (start + missing / self._rate, 0)
        self.broken = False

    def times(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times and widths of the next samples."""
        assert self._rate is not None
        numbers = np.arange(self.count, self.count + count)
        self.count += count
        return numbers / self._rate + self._shift, np.full(count, 1 / self._rate)


def _words(data: bytes) -> NDArray[np.float64]:
    """Samples of two bytes, in A."""
    words = np.frombuffer(data, ">u2")
    return (words & 0xFFF) / 16.0 ** (words >> 12).astype(np.float64)


def _sound(data: bytes) -> int:
    """Bytes up to the first that cannot be a sample: none begins with 0xF."""
    first = np.frombuffer(data[: len(data) // 2 * 2], np.uint8)[::2]
    wrong = first >= 0xF0
    return 2 * int(np.argmax(wrong)) if wrong.any() else len(data)


def _scaled(word: str) -> float | None:
    """A number with its unit's prefix: 3000m is 3, 10k is 10000.

    >>> _scaled("3000m"), _scaled("100k"), _scaled("50"), _scaled("inf")
    (3.0, 100000.0, 50.0, None)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([munk]?)v?", word)
    if not found:
        return None
    return float(found[1]) * {"": 1.0, "k": 1e3, "m": 1e-3, "u": 1e-6, "n": 1e-9}[found[2]]


def _power_of_ten(word: str) -> float | None:
    """As the board writes numbers: 3292-03 is 3.292.

    >>> _power_of_ten("3292-03"), _power_of_ten("x")
    (3.292, None)
    """
    found = _SAMPLE.fullmatch(word)
    return float(f"{found[1]}e{found[2]}{found[3]}") if found else None
