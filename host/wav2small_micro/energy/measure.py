# SPDX-License-Identifier: Apache-2.0
"""Energy per inference from a recording: what flowed while the board computed, and while it slept.

With a marker pin, an inference is a pulse of it, and one pass over the recording does. With a
timeline, one pass finds where it lies and a second one integrates; each block is taken with a guard
on either side, less the sleeping power of the guards, so that an error of the fit moves nothing.

Inferences with missing or saturated samples are left out, and told. Intervals hold the instrument's
limits, those of the voltage, and 95 % of the spread over inferences, added as squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.energy import align, cells
from wav2small_micro.energy.figures import Measured, Modelled, Range
from wav2small_micro.energy.instruments import GIVEN_VOLTAGE
from wav2small_micro.energy.trace import Notes, Progress, Recording, Trace, joined
from wav2small_micro.errors import W2sError

_ENERGY, _CHARGE, _COVERED, _SATURATED = range(4)
_MOST_MISSING = 0.002
"""Share of an inference that may be without samples."""
_OVERVIEW_BINS = 2048
_CLOSE_INFERENCES = 5
_CLOSE_SAMPLES = 1 << 18

_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # 97.5 %, by degrees of freedom


@dataclass(frozen=True)
class Inferences:
    """One row an inference; all (n,). Energies include what sleeping would have taken."""

    start: NDArray[np.float64]  # s of the trace
    seconds: NDArray[np.float64]
    energy: NDArray[np.float64]  # J
    charge: NDArray[np.float64]  # C
    good: NDArray[np.bool_]  # no sample missing, none saturated

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Overview:
    """The whole trace in few bins, for a plot: mean and extremes of the current, in A."""

    time: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Measurement:
    """What a recording says."""

    recording: Recording
    method: str  # "marker D0", "timeline", or "" where nothing tells inferences apart
    inferences: Inferences
    figures: dict[str, Measured]
    audio_seconds: float | None  # of an inference
    seconds: float  # that the samples cover
    volts: float  # mean
    fit: align.Fit | None
    overview: Overview
    close: Trace | None  # the first inferences, sample by sample
    notes: list[str] = field(default_factory=list)

    def hours(self, cell: cells.Cell) -> Modelled | None:
        """How long a cell lasts at this mean current."""
        current = self.figures.get("average_ma")
        return None if current is None else cells.hours(current, cell)

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        found: dict[str, Any] = {
            "kind": Measured.kind,
            "source": self.recording.source,
            **self.recording.instrument.to_json(),
            "voltage": self.volts,
            "voltage_given": self.recording.voltage_given,
            "seconds": self.seconds,
            "aligned_by": self.method or None,
            "inferences": len(self.inferences),
            "inferences_used": int(self.inferences.good.sum()),
            "audio_seconds_per_inference": self.audio_seconds,
            "figures": {name: figure.to_json() for name, figure in self.figures.items()},
            "notes": self.notes,
        }
        if self.fit is not None:
            found["fit"] = {
                "offset_s": self.fit.offset,
                "drift_ppm": self.fit.drift * 1e6,
                "correlation": self.fit.correlation,
                "jitter_s": self.fit.jitter,
            }
        return found


def by_marker(
    recording: Recording,
    channel: str,
    *,
    low: bool = False,
    debounce: float = align.DEBOUNCE,
    audio_seconds: float | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Pulses of a digital channel are the inferences. Raises W2sError where there are none.

    ``low``: the pin is low while the board computes. ``audio_seconds``: what an inference is for.
    """
    notes = Notes()
    marker = align.Marker(recording.bit(channel), low=low, debounce=debounce)
    gone = _Passage()
    rises: list[tuple[float, NDArray[np.float64]]] = []
    falls: list[tuple[float, NDArray[np.float64]]] = []
    close = _Close()
    for piece in recording.pieces(notes, progress):
        sums = gone.take(piece)
        for level, time, at in marker.take(piece.digital, piece.time, sums[:-1]):
            if level:
                rises.append((time, at))
            elif rises:  # a pulse that the recording began in has no beginning
                falls.append((time, at))
        close.take(piece, [time for time, _ in rises[: _CLOSE_INFERENCES + 1]])
    if not falls:
        state = "low" if low else "high"
        raise W2sError(
            f"{channel} is never {state} for an inference in {recording.source}",
            "is it the marker's channel? --marker; does it idle high? --marker-low",
        )
    count = len(falls)
    begin, end = _table(rises[:count]), _table(falls)
    if len(rises) > count:
        notes.add("an inference that the recording does not hold to its end")
    later = _table(rises[1 : count + 1])
    idle = _Spans(end[: len(later)], later)
    return _result(
        recording,
        f"marker {channel}",
        _Spans(begin, end),
        idle,
        begin,
        audio_seconds,
        gone,
        close.trace(),
        None,
        notes,
    )


def by_timeline(
    recording: Recording, timeline: align.Timeline, *, progress: Progress | None = None
) -> Measurement:
    """Blocks of the firmware's timeline are the inferences. Raises W2sError if it does not fit."""
    notes = Notes()
    half = (lambda share: progress(share / 2)) if progress else None
    fit = align.fit(recording, timeline, notes, half)
    start, end = fit.at(timeline.start), fit.at(timeline.end)
    pause = np.diff(start) - (end - start)[:-1]
    guard = max(0.0, 0.2 * float(np.median(pause)))
    if not guard:
        notes.add("the board never pauses between blocks: none of them is told from the next")
    wide_start, wide_end = start - guard, end + guard
    idle_start, idle_end = wide_end[:-1], np.maximum(wide_end[:-1], wide_start[1:])
    queries = np.concatenate([wide_start, wide_end, idle_start, idle_end, start])
    gone = _Passage()
    close = _Close()
    second = (lambda share: progress(0.5 + share / 2)) if progress else None
    found = np.zeros((len(queries), 4))
    order = np.argsort(queries, kind="stable")
    sorted_queries = queries[order]
    done = 0
    for piece in recording.pieces(None, second):
        sums = gone.take(piece)
        upto = int(np.searchsorted(sorted_queries, piece.time[-1] + piece.width[-1], side="right"))
        some = order[done:upto]
        found[some] = _at(piece, sums, queries[some])
        done = upto
        close.take(piece, list(start[: _CLOSE_INFERENCES + 1]))
    found[order[done:]] = gone.sums
    table = np.concatenate([queries[:, None], found], axis=1)
    n = len(start)
    wide = _Spans(table[:n], table[n : 2 * n])
    idle = _Spans(table[2 * n : 3 * n - 1], table[3 * n - 1 : 4 * n - 2])
    begins = table[4 * n - 2 :]
    return _result(
        recording,
        "timeline",
        wide,
        idle,
        begins,
        timeline.audio_seconds,
        gone,
        close.trace(),
        fit,
        notes,
        guard=guard,
        seconds=end - start,
    )


def unaligned(recording: Recording, *, progress: Progress | None = None) -> Measurement:
    """The mean over the whole recording, where nothing tells inferences apart."""
    notes = Notes()
    gone = _Passage()
    for piece in recording.pieces(notes, progress):
        gone.take(piece)
    nothing = np.empty((0, 5))
    notes.add("nothing tells inferences apart: give --marker or --timeline")
    return _result(
        recording,
        "",
        _Spans(nothing, nothing),
        _Spans(nothing, nothing),
        nothing,
        None,
        gone,
        None,
        None,
        notes,
    )


# --- Sums ----------------------------------------------------------------------------------------


class _Passage:
    """Running sums over a recording, and its overview."""

    def __init__(self) -> None:
        self.sums = np.zeros(4)
        self._begin: float | None = None
        self._width = 0.0
        self._bins = np.zeros((_OVERVIEW_BINS, 2))  # charge, covered time
        self._low = np.full(_OVERVIEW_BINS, np.inf)
        self._high = np.full(_OVERVIEW_BINS, -np.inf)

    def take(self, piece: Trace) -> NDArray[np.float64]:
        """Sums before each sample of the piece and after the last, (n + 1, 4)."""
        assert piece.saturated is not None
        added = np.empty((len(piece) + 1, 4))
        added[0] = self.sums
        charge = piece.current * piece.width
        added[1:, _ENERGY] = charge * piece.voltage
        added[1:, _CHARGE] = charge
        added[1:, _COVERED] = piece.width
        added[1:, _SATURATED] = piece.width * piece.saturated
        sums: NDArray[np.float64] = np.cumsum(added, axis=0)
        self.sums = sums[-1].copy()
        self._see(piece, charge)
        return sums

    def _see(self, piece: Trace, charge: NDArray[np.float64]) -> None:
        if self._begin is None:
            self._begin = float(piece.time[0])
            self._width = max(float(piece.width.max()), 1e-9)
        while (float(piece.time[-1]) - self._begin) / self._width >= _OVERVIEW_BINS:
            self._halve()
        place = ((piece.time - self._begin) / self._width).astype(np.int64)
        place = np.clip(place, 0, _OVERVIEW_BINS - 1)
        self._bins[:, 0] += np.bincount(place, charge, _OVERVIEW_BINS)
        self._bins[:, 1] += np.bincount(place, piece.width, _OVERVIEW_BINS)
        at = np.flatnonzero(np.diff(place, prepend=-1))
        self._low[place[at]] = np.minimum(
            self._low[place[at]], np.minimum.reduceat(piece.current, at)
        )
        self._high[place[at]] = np.maximum(
            self._high[place[at]], np.maximum.reduceat(piece.current, at)
        )

    def _halve(self) -> None:
        half = _OVERVIEW_BINS // 2
        self._bins = np.concatenate([self._bins[::2] + self._bins[1::2], np.zeros((half, 2))])
        low = np.minimum(self._low[::2], self._low[1::2])
        high = np.maximum(self._high[::2], self._high[1::2])
        self._low = np.concatenate([low, np.full(half, np.inf)])
        self._high = np.concatenate([high, np.full(half, -np.inf)])
        self._width *= 2

    def overview(self) -> Overview:
        """What was seen."""
        seen = self._bins[:, 1] > 0
        centres = self._width * (np.arange(_OVERVIEW_BINS) + 0.5)
        time = np.asarray((self._begin or 0.0) + centres, np.float64)
        mean = self._bins[seen, 0] / self._bins[seen, 1]
        return Overview(time[seen], mean, self._low[seen], self._high[seen])


def _at(piece: Trace, sums: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums at any times within a piece, (n, 4); they stand still where samples are missing."""
    knots = np.stack([piece.time, piece.time + piece.width], axis=1).ravel()
    knots = np.maximum.accumulate(knots)
    found = np.empty((len(times), 4))
    for i in range(4):
        values = np.stack([sums[:-1, i], sums[1:, i]], axis=1).ravel()
        found[:, i] = np.interp(times, knots, values)
    return found


class _Close:
    """Keeps the samples of the first inferences."""

    def __init__(self) -> None:
        self._pieces: list[Trace] = []
        self._count = 0
        self._full = False

    def take(self, piece: Trace, starts: list[float]) -> None:
        """``starts``: of the first inferences, as far as they are known."""
        if self._full or not starts:
            return
        period = (starts[-1] - starts[0]) / (len(starts) - 1) if len(starts) > 1 else 0.02
        complete = len(starts) > _CLOSE_INFERENCES
        begin = starts[0] - 0.5 * period
        end = starts[-1] + 0.5 * period if complete else float(piece.time[-1])
        some = piece.at((piece.time >= begin) & (piece.time <= end))
        some = some.at(slice(0, _CLOSE_SAMPLES - self._count))
        if len(some):
            self._pieces.append(some)
            self._count += len(some)
        self._full = self._count >= _CLOSE_SAMPLES or (complete and float(piece.time[-1]) > end)

    def trace(self) -> Trace | None:
        """What was kept."""
        return joined(self._pieces) if self._pieces else None


# --- Figures -------------------------------------------------------------------------------------


class _Spans:
    """Stretches of time: what lies between two tables of (time, sums)."""

    def __init__(self, begin: NDArray[np.float64], end: NDArray[np.float64]) -> None:
        difference = end - begin
        self.start: NDArray[np.float64] = begin[:, 0]
        self.seconds: NDArray[np.float64] = difference[:, 0]
        self.energy: NDArray[np.float64] = difference[:, 1 + _ENERGY]
        self.charge: NDArray[np.float64] = difference[:, 1 + _CHARGE]
        self.covered: NDArray[np.float64] = difference[:, 1 + _COVERED]
        self.saturated: NDArray[np.float64] = difference[:, 1 + _SATURATED]

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Those with samples all over, and none at the end of the range."""
        missing = self.seconds - self.covered
        return (
            (self.seconds > 0)
            & (missing <= _MOST_MISSING * self.seconds + 1e-9)
            & (self.saturated <= 1e-12)
        )


def _table(edges: list[tuple[float, NDArray[np.float64]]]) -> NDArray[np.float64]:
    if not edges:
        return np.empty((0, 5))
    return np.array([[time, *sums] for time, sums in edges])


def _result(
    recording: Recording,
    method: str,
    work: _Spans,
    idle: _Spans,
    begins: NDArray[np.float64],
    audio_seconds: float | None,
    gone: _Passage,
    close: Trace | None,
    fit: align.Fit | None,
    notes: Notes,
    *,
    guard: float = 0.0,
    seconds: NDArray[np.float64] | None = None,
) -> Measurement:
    covered = float(gone.sums[_COVERED])
    charge = float(gone.sums[_CHARGE])
    volts = float(gone.sums[_ENERGY]) / charge if charge else math.nan
    error = _Error(recording, volts)
    figures: dict[str, Measured] = {}
    good = work.whole
    length = work.seconds if seconds is None else seconds
    energy, amount = work.energy.copy(), work.charge.copy()
    resting = idle.whole
    if resting.any():
        weights = idle.covered[resting]
        power = idle.energy[resting] / weights
        amps = idle.charge[resting] / weights
        figures["sleep_ma"] = error.figure(amps, "mA", 1e3, weights)
        figures["sleep_mw"] = error.figure(power, "mW", 1e3, weights, amps=float(amps.mean()))
        energy -= 2 * guard * float(np.average(power, weights=weights))
        amount -= 2 * guard * float(np.average(amps, weights=weights))
    elif len(work.start):
        notes.add("the board does not pause between inferences: there is no power of sleeping")
    inferences = Inferences(work.start + guard, length, energy, amount, good)
    if len(inferences):
        bad = int((~good).sum())
        notes.add("inferences left out: samples missing or at the end of the range", bad)
        if not good.any():
            raise W2sError(
                f"no inference of {recording.source} is measured whole",
                "samples are missing, or at the end of the instrument's range, in each of them",
            )
        if good.sum() == 1:
            notes.add("one inference only: its interval is the instrument's alone")
        _of_inferences(figures, inferences, audio_seconds, error)
        _of_sleepless(figures, inferences, error)
    _of_average(figures, begins, gone, error, inferences, audio_seconds, notes)
    if recording.voltage_given:
        notes.add(f"the voltage was given, and taken as within {GIVEN_VOLTAGE:.0%}")
    if not recording.instrument.gain and not recording.instrument.offset:
        notes.add("the instrument's accuracy is not known: intervals have the spread alone")
    return Measurement(
        recording,
        method,
        inferences,
        figures,
        audio_seconds,
        covered,
        volts,
        fit,
        gone.overview(),
        close,
        notes.lines,
    )


def _of_inferences(
    figures: dict[str, Measured],
    inferences: Inferences,
    audio_seconds: float | None,
    error: _Error,
) -> None:
    good = inferences.good
    energy, seconds = inferences.energy[good], inferences.seconds[good]
    amps = float(inferences.charge[good].sum() / seconds.sum())
    figures["mj_per_inference"] = error.figure(energy, "mJ", 1e3, amps=amps)
    figures["ms_per_inference"] = Measured.of(
        Range.linear(float(seconds.mean()), _spread(seconds)), "ms", 1e3
    )
    figures["active_ma"] = error.figure(inferences.charge[good] / seconds, "mA", 1e3, seconds)
    if audio_seconds is not None:
        figures["mj_per_audio_second"] = error.figure(energy / audio_seconds, "mJ", 1e3, amps=amps)


def _of_sleepless(figures: dict[str, Measured], inferences: Inferences, error: _Error) -> None:
    """What an inference takes beyond sleeping for as long."""
    sleep = figures.get("sleep_mw")
    if sleep is None:
        return
    good = inferences.good
    net = inferences.energy[good] - inferences.seconds[good] * sleep.value / 1e3
    amps = float(inferences.charge[good].sum() / inferences.seconds[good].sum())
    figures["mj_above_sleep_per_inference"] = error.figure(net, "mJ", 1e3, amps=amps)


def _of_average(
    figures: dict[str, Measured],
    begins: NDArray[np.float64],
    gone: _Passage,
    error: _Error,
    inferences: Inferences,
    audio_seconds: float | None,
    notes: Notes,
) -> None:
    """Mean power over whole periods, from one inference to another; else over everything."""
    if len(begins) >= 2:
        periods = _Spans(begins[:-1], begins[1:])
        some = (periods.covered > 0) & (periods.saturated <= 1e-12)
        weights = periods.covered[some]
        power, amps = periods.energy[some] / weights, periods.charge[some] / weights
        span = float(begins[-1, 0] - begins[0, 0])
        busy = float(inferences.seconds[:-1].sum()) / span
        figures["duty_percent"] = Measured(100 * busy, 100 * busy, 100 * busy, "%")
        if audio_seconds is not None:
            speed = (len(begins) - 1) * audio_seconds / span
            if abs(speed - 1) > 0.05:
                notes.add(
                    f"audio came {speed:.2f} times as fast as it is spoken: the mean power is that "
                    "of this session, not of live use"
                )
    else:
        weights = gone.sums[_COVERED : _COVERED + 1]
        if not weights[0] > 0:
            return
        power, amps = gone.sums[:1] / weights, gone.sums[_CHARGE : _CHARGE + 1] / weights
    if len(weights):
        figures["average_mw"] = error.figure(power, "mW", 1e3, weights, amps=float(amps.mean()))
        figures["average_ma"] = error.figure(amps, "mA", 1e3, weights)


class _Error:
    """Limits of the instrument and the voltage, with the statistics of a mean."""

    def __init__(self, recording: Recording, volts: float) -> None:
        self._instrument = recording.instrument
        self._voltage = GIVEN_VOLTAGE if recording.voltage_given else 0.0

    def figure(
        self,
        values: NDArray[np.float64],
        unit: str,
        scale: float,
        weights: NDArray[np.float64] | None = None,
        *,
        amps: float | None = None,
    ) -> Measured:
        """The mean of ``values``. ``amps``: the current, where they are energies or powers."""
        mean = float(np.average(values, weights=weights))
        power = amps is not None
        current = abs(amps if amps is not None else mean)
        gain = math.hypot(self._instrument.gain, self._voltage if power else 0.0)
        offset = self._instrument.offset / current if current else 0.0
        limits = (abs(mean) * gain, abs(mean) * offset)
        return Measured.of(Range.linear(mean, *limits, _spread(values)), unit, scale)


def _spread(values: NDArray[np.float64]) -> float:
    """Half of the 95 % interval of the mean; 0 for one value, which has none."""
    n = len(values)
    if n < 2:
        return 0.0
    student = _STUDENT[n - 2] if n - 2 < len(_STUDENT) else 1.96 + 2.4 / (n - 1)
    return float(student * values.std(ddof=1) / math.sqrt(n))
