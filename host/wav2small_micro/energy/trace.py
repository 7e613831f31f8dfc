# SPDX-License-Identifier: Apache-2.0
"""Traces of current: samples in SI units, piece by piece, so that hours of them need no memory.

A `Recording` is a source that can be gone through any number of times; it gives `Trace` pieces in
the order of time. Each sample holds from its time for its width; where the next one comes later,
samples are missing: a gap, over which nothing is integrated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.energy.instruments import Instrument
from wav2small_micro.errors import W2sError

Progress = Callable[[float], None]
"""Called with the share of a recording that has been read, 0 to 1."""

_TOLERANCE = 1e-9


class Notes:
    """What a reader of a trace must be told: each once, with how often it occurred."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, text: str, count: int = 1) -> None:
        """Something happened ``count`` times."""
        if count > 0:
            self._counts[text] += count

    @property
    def lines(self) -> list[str]:
        """In the order of their first occurrence."""
        return [
            text if count == 1 else f"{text} ({count:,} times)"
            for text, count in self._counts.items()
        ]


@dataclass(frozen=True)
class Gap:
    """Time without samples, in s."""

    start: float
    end: float


@dataclass(frozen=True)
class Trace:
    """Consecutive samples of a recording. All arrays are (n,)."""

    time: NDArray[np.float64]  # s, ascending: when each sample begins
    width: NDArray[np.float64]  # s that it holds for, at most until the next begins
    current: NDArray[np.float64]  # A
    voltage: NDArray[np.float64]  # V
    digital: NDArray[np.uint16]  # bit k is channel k of the recording
    source: str = ""
    saturated: NDArray[np.bool_] | None = None  # the instrument's range was left

    def __post_init__(self) -> None:
        lengths = {
            len(x) for x in (self.time, self.width, self.current, self.voltage, self.digital)
        }
        if len(lengths) != 1:
            raise ValueError(f"arrays of different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.time)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Where samples are missing between two of these."""
        ends = self.time + self.width
        at = np.flatnonzero(self.time[1:] - ends[:-1] > _slack(self))
        return tuple(Gap(float(ends[i]), float(self.time[i + 1])) for i in at)

    @property
    def seconds(self) -> float:
        """Time that samples cover."""
        return float(self.width.sum())

    @property
    def energy(self) -> float:
        """In J, over what the samples cover."""
        return float(np.dot(self.current * self.voltage, self.width))

    def at(self, selected: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Trace:
        """Some of the samples."""
        return replace(
            self,
            time=self.time[selected],
            width=self.width[selected],
            current=self.current[selected],
            voltage=self.voltage[selected],
            digital=self.digital[selected],
            saturated=None if self.saturated is None else self.saturated[selected],
        )


def _slack(trace: Trace) -> float:
    return _TOLERANCE + 1e-6 * float(np.median(trace.width)) if len(trace) else 0.0


def joined(pieces: list[Trace]) -> Trace:
    """Pieces as one; there must be one at least."""
    masks = [
        np.zeros(len(piece), bool) if piece.saturated is None else piece.saturated
        for piece in pieces
    ]
    return Trace(
        np.concatenate([piece.time for piece in pieces]),
        np.concatenate([piece.width for piece in pieces]),
        np.concatenate([piece.current for piece in pieces]),
        np.concatenate([piece.voltage for piece in pieces]),
        np.concatenate([piece.digital for piece in pieces]),
        pieces[0].source,
        np.concatenate(masks),
    )


Pieces = Callable[[Notes, Progress], Iterator[Trace]]


@dataclass(frozen=True)
class Recording:
    """A source of trace pieces that can be gone through more than once."""

    source: str
    instrument: Instrument
    channels: tuple[str, ...]  # names of the digital channels, by bit
    read: Pieces = field(repr=False)
    voltage_given: bool  # by the user, not by the instrument

    def pieces(
        self, notes: Notes | None = None, progress: Progress | None = None
    ) -> Iterator[Trace]:
        """All samples, in pieces. Raises W2sError for what cannot be read, also half-way.

        What is odd but can be lived with is added to ``notes``.
        """
        found = notes if notes is not None else Notes()
        empty = True
        last = -np.inf
        for piece in self.read(found, progress or (lambda share: None)):
            if not len(piece):
                continue
            if not np.isfinite(piece.current).all() or not np.isfinite(piece.voltage).all():
                piece = _finite(piece, found)
                if not len(piece):
                    continue
            if piece.time[0] < last - _TOLERANCE or np.any(np.diff(piece.time) < 0):
                raise W2sError(
                    f"time goes backwards in {self.source}", "is it one recording, not two in one?"
                )
            last = float(piece.time[-1])
            piece = self._marked_saturated(piece, found)
            empty = False
            yield piece
        if empty:
            raise W2sError(f"{self.source} has no samples", "was the measurement started?")

    def whole(self, notes: Notes | None = None) -> Trace:
        """All of it in memory: for short recordings."""
        return joined(list(self.pieces(notes)))

    def bit(self, channel: str) -> int:
        """Number of a digital channel by its name, in any case. Raises W2sError."""
        names = [name.lower() for name in self.channels]
        if channel.lower() not in names:
            have = ", ".join(self.channels) or "none"
            raise W2sError(
                f"{self.source} has no digital channel {channel!r}: it has {have}",
                "record one, or align by the firmware's timeline: --timeline",
            )
        return names.index(channel.lower())

    def _marked_saturated(self, piece: Trace, notes: Notes) -> Trace:
        mask = np.zeros(len(piece), bool) if piece.saturated is None else piece.saturated
        full = self.instrument.full_scale
        if full is not None:
            mask = mask | (np.abs(piece.current) >= full * 0.999)
        if mask.any():
            where = "" if full is None else f" of {full:g} A"
            notes.add(f"samples at the end of the range{where}: more may have flowed", mask.sum())
        return replace(piece, saturated=mask)


def _finite(piece: Trace, notes: Notes) -> Trace:
    """Without the samples that are no numbers, which leaves gaps."""
    good = np.isfinite(piece.current) & np.isfinite(piece.voltage)
    notes.add("samples that are missing (not a number)", int((~good).sum()))
    return piece.at(good)


# --- From times to widths ------------------------------------------------------------------------


class Holder:
    """Gives samples with times their widths: each holds until the next, but not across a gap.

    A gap is an interval of more than `REGULAR` usual ones where the clock is regular, else of
    more than `IRREGULAR`. The usual one is the median of the first piece; the clock is regular
    where the share `MOSTLY` of the intervals is within `EVEN` of it.
    """

    REGULAR = 1.75
    IRREGULAR = 10.0
    EVEN = 0.2
    MOSTLY = 0.75

    def __init__(self, notes: Notes, rate: float | None = None) -> None:
        self._notes = notes
        self._usual = 1 / rate if rate else None
        self._factor = self.REGULAR
        self._kept: Trace | None = None  # one sample, whose width is not known yet
        self._lost = 0.0  # s

    def take(self, piece: Trace) -> Iterator[Trace]:
        """The piece with widths, less its last sample, which comes with the next piece."""
        if self._kept is not None:
            piece = joined([self._kept, piece])
        if len(piece) < 2:
            self._kept = piece
            return
        steps = np.diff(piece.time)
        if np.any(steps < 0):
            i = int(np.argmax(steps < 0))
            raise W2sError(
                f"time goes backwards in {piece.source}: {piece.time[i + 1]:g} s after "
                f"{piece.time[i]:g} s",
                "is it one recording, not two in one?",
            )
        if self._usual is None:
            self._learn(steps, piece.source)
        assert self._usual is not None
        gap = steps > self._factor * self._usual
        if gap.any():
            self._lost += float((steps[gap] - self._usual).sum())
            self._notes.add("gaps in the trace: what flowed in them is not counted", int(gap.sum()))
        width = np.where(gap, self._usual, steps)
        self._kept = piece.at(slice(-1, None))
        yield replace(piece.at(slice(None, -1)), width=width)

    def end(self) -> Iterator[Trace]:
        """The last sample."""
        if self._lost:
            self._notes.add(f"in all, {self._lost:.3g} s have no samples")
        if self._kept is not None and len(self._kept):
            yield replace(self._kept, width=np.full(len(self._kept), self._usual or 0.0))

    def _learn(self, steps: NDArray[np.float64], source: str) -> None:
        positive = steps[steps > 0]
        if len(positive) < len(steps) / 2:
            raise W2sError(
                f"most samples of {source} have the same time as the one before",
                "the times are rounded: export them with more digits, or give the rate: --rate",
            )
        self._usual = float(np.median(positive))
        even = np.abs(steps - self._usual) < self.EVEN * self._usual
        if even.mean() < self.MOSTLY:
            self._factor = self.IRREGULAR
            self._notes.add("samples come at irregular times: each holds until the next")


def regular(
    first: float, count: int, rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and widths of samples at a rate: first sample's time in s, how many, in Hz."""
    return first + np.arange(count) / rate, np.full(count, 1 / rate)
