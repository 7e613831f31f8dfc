# SPDX-License-Identifier: Apache-2.0
"""When the board computed: from a marker pin in the trace, or from the firmware's own timeline.

A marker is exact to a sample. A `Timeline` is of the board's clock, which began at another time and
runs a little faster or slower than the instrument's: `fit` finds both by correlating what the
timeline says with the current, first coarsely over the whole trace, then stretch by stretch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.energy.trace import Notes, Progress, Recording
from wav2small_micro.errors import W2sError

DEBOUNCE = 50e-6
"""Pulses of a marker that are shorter are taken for noise, in s."""
MOST_DRIFT = 0.015
"""Clocks further apart than this are not looked for: RC oscillators are within 1 %."""

_FORMAT = "w2s-timeline"
_STRETCH = 100  # blocks, at most, that one local offset is found from
_MOST_BINS = 1 << 24
_FFT_BINS = 1 << 15
_LEAST_FIT = 0.5


# --- Timelines -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timeline:
    """When the firmware was busy, by its own clock: (n,) starts, ascending, and durations, in s."""

    start: NDArray[np.float64]
    duration: NDArray[np.float64]
    audio_seconds: float | None = None  # of audio that each of them is for

    def __post_init__(self) -> None:
        if len(self.start) != len(self.duration) or len(self.start) < 2:
            raise W2sError("a timeline has two blocks at least", "record a longer session")
        gap = np.diff(self.start) - self.duration[:-1]
        if not (np.isfinite(self.start).all() and np.isfinite(self.duration).all()):
            raise W2sError("a timeline with times that are no numbers", "record it again")
        if np.any(self.duration <= 0) or np.any(gap < -1e-6):
            i = int(np.argmax((self.duration[:-1] <= 0) | (gap < -1e-6)))
            raise W2sError(
                f"block {i} of the timeline has no length, or the next begins before it ends",
                "starts must ascend, durations be positive",
            )

    @property
    def end(self) -> NDArray[np.float64]:
        """When each block ended."""
        return self.start + self.duration

    def to_json(self) -> dict[str, Any]:
        """As `read_timeline` takes it, in ticks of a clock of 1 MHz."""
        ticks = np.round(np.stack([self.start, self.duration], axis=1) * 1e6).astype(int)
        return {
            "format": _FORMAT,
            "clock_hz": 1_000_000,
            "audio_seconds": self.audio_seconds,
            "blocks": ticks.tolist(),
        }


def read_timeline(path: Path) -> Timeline:
    """A timeline from JSON. Raises W2sError.

    ``format`` is "w2s-timeline", ``clock_hz`` the rate of the ticks, ``blocks`` pairs of them,
    start and duration, ``audio_seconds`` what a block is for. 32-bit counters may wrap around.
    """
    hint = "it is JSON with format, clock_hz, blocks and audio_seconds: docs/energy.md"
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise W2sError(f"{path} cannot be read: {error.strerror}", "check the path") from None
    except ValueError as error:
        raise W2sError(f"{path} is not JSON: {error}", hint) from None
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise W2sError(f"{path} is no timeline", hint)
    clock, blocks, audio = data.get("clock_hz"), data.get("blocks"), data.get("audio_seconds")
    if not isinstance(clock, int | float) or not 1 <= clock <= 1e12:
        raise W2sError(f"{path}: clock_hz is {clock!r}", "it is the rate of the ticks, in Hz")
    if audio is not None and (not isinstance(audio, int | float) or not 0 < audio < 1e6):
        raise W2sError(f"{path}: audio_seconds is {audio!r}", "seconds of audio a block")
    try:
        ticks = np.array(blocks, np.float64)
    except (TypeError, ValueError):
        ticks = np.empty(0)
    if ticks.ndim != 2 or ticks.shape[1] != 2 or not np.isfinite(ticks).all():
        raise W2sError(f"{path}: blocks are no pairs of numbers", hint)
    start = ticks[:, 0]
    back = np.diff(start) < 0
    start = start + 2.0**32 * np.concatenate([[0], np.cumsum(back)])
    return Timeline((start - start[0]) / clock, ticks[:, 1] / clock, audio)


# --- Markers -------------------------------------------------------------------------------------


class Marker:
    """Finds the pulses of a digital channel, piece by piece.

    A level that lasts less than ``debounce`` is noise and belongs to what is around it. Each edge
    comes with a row of running sums at it, so that what lies between two edges is a difference.
    """

    def __init__(self, bit: int, *, low: bool = False, debounce: float = DEBOUNCE) -> None:
        self._bit = np.uint16(1 << bit)
        self._low = low
        self._debounce = debounce
        self._level: bool | None = None  # that holds now
        self._edge: tuple[float, NDArray[np.float64]] | None = None  # not yet known to be real
        self._raw: bool | None = None

    def take(
        self, digital: NDArray[np.uint16], time: NDArray[np.float64], sums: NDArray[np.float64]
    ) -> Iterator[tuple[bool, float, NDArray[np.float64]]]:
        """The real edges among these samples: new level, time, and sums before that sample.

        ``sums``: (n, k), what has been summed up before each sample.
        """
        if not len(digital):
            return
        level = ((digital & self._bit) != 0) != self._low
        if self._raw is None:
            self._raw = self._level = bool(level[0])
        changed = np.flatnonzero(level != np.concatenate([[self._raw], level[:-1]]))
        for i in changed:
            yield from self._settle(float(time[i]))
            if bool(level[i]) == self._level:
                self._edge = None  # it was only a short pulse
            else:
                self._edge = (float(time[i]), sums[i].copy())  # a view would keep all of them
        self._raw = bool(level[-1])
        yield from self._settle(float(time[-1]))

    def _settle(self, now: float) -> Iterator[tuple[bool, float, NDArray[np.float64]]]:
        if self._edge is not None and now - self._edge[0] >= self._debounce:
            at, sums = self._edge
            self._level = not self._level
            self._edge = None
            yield bool(self._level), at, sums


# --- Fitting a timeline --------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """Where a timeline lies in a trace: t = offset + (1 + drift) tau."""

    offset: float  # s of the trace at the timeline's 0
    drift: float  # relative; positive where the board's clock is the slower one
    correlation: float  # of activity and current, 1 is perfect
    jitter: float  # s, standard deviation of the stretches about the line
    runner_up: float  # correlation one block away, relative to the best

    def at(self, tau: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times of the trace."""
        return self.offset + (1 + self.drift) * tau


def fit(
    recording: Recording,
    timeline: Timeline,
    notes: Notes | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Finds the timeline in the recording, going through it once.

    Raises W2sError where no place fits: the correlation stays below a half.
    """
    envelope, first, width = _envelope(recording, _bin_width(timeline), notes, progress)
    if len(envelope) * width < 0.5 * (timeline.end[-1] - timeline.start[0]):
        raise W2sError(
            f"the trace has {len(envelope) * width:.3g} s, the timeline "
            f"{timeline.end[-1] - timeline.start[0]:.3g} s",
            "begin the measurement before the session and stop it after it",
        )
    offset, drift = _coarse(envelope, width, timeline)
    offset, drift, jitter = _tracked(envelope, width, timeline, offset, drift)
    period = float(np.median(np.diff(timeline.start)))
    # Blocks are alike: the ends of the session tell by how many of them the fit is off.
    scores = {
        shift: _agreement(envelope, width, timeline, offset + shift * period, drift)
        for shift in range(-4, 5)
    }
    shift = max(scores, key=lambda found: scores[found])
    offset += shift * period
    best = scores.pop(shift)
    beside = max(scores.values())
    if not best >= _LEAST_FIT:
        raise W2sError(
            f"the timeline is not found in the trace (correlation {best:.2f})",
            "are they of the same session? a marker pin needs no correlation: --marker D0",
        )
    if notes is not None and beside > 0.98 * best:
        notes.add("the timeline also fits a block earlier or later: single blocks may be others")
    return Fit(first + offset, drift, best, jitter, beside / best)


def _bin_width(timeline: Timeline) -> float:
    """A sixteenth of what is short: blocks, or pauses between them."""
    pauses = np.diff(timeline.start) - timeline.duration[:-1]
    pauses = pauses[pauses > 1e-6]
    shortest = float(np.median(timeline.duration))
    if len(pauses):
        shortest = min(shortest, float(np.median(pauses)))
    return min(2e-3, max(20e-6, shortest / 16))


def _envelope(
    recording: Recording, width: float, notes: Notes | None, progress: Progress | None
) -> tuple[NDArray[np.float64], float, float]:
    """Mean current in bins, (n,), the time of the first, and their width, no less than a sample.

    Empty bins get the mean.
    """
    first: float | None = None
    charge = np.zeros(1 << 12)
    covered = np.zeros(1 << 12)
    last = 0
    for piece in recording.pieces(notes, progress):
        if first is None:
            first = float(piece.time[0])
            width = max(width, float(np.median(piece.width)))
        # By their middles: a sample is the mean over its width.
        place = ((piece.time + piece.width / 2 - first) / width).astype(np.int64)
        top = int(place[-1]) + 1
        if top > _MOST_BINS:
            raise W2sError(
                f"the trace is longer than {_MOST_BINS * width:.0f} s",
                "cut it to the session, or use a marker pin: --marker D0",
            )
        while top > len(charge):
            charge, covered = (np.concatenate([x, np.zeros(len(x))]) for x in (charge, covered))
        base = int(place[0])
        count = top - base
        charge[base:top] += np.bincount(place - base, piece.current * piece.width, count)
        covered[base:top] += np.bincount(place - base, piece.width, count)
        last = max(last, top)
    assert first is not None
    charge, covered = charge[:last], covered[:last]
    seen = covered > 0
    mean = np.divide(charge, covered, out=np.zeros(last), where=seen)
    mean[~seen] = mean[seen].mean()
    return mean, first, width


def _activity(
    timeline: Timeline, width: float, begin: float, count: int, offset: float, drift: float
) -> NDArray[np.float64]:
    """Share of each bin that is busy, (count,) from time ``begin`` on, by a fit."""
    edges = begin + width * np.arange(count + 1)
    starts = offset + (1 + drift) * timeline.start
    ends = offset + (1 + drift) * timeline.end
    # Busy time up to t is a broken line through the starts and ends.
    knots = np.stack([starts, ends], axis=1).ravel()
    busy = np.stack([np.zeros(len(starts)), ends - starts], axis=1).ravel().cumsum()
    knots = np.maximum.accumulate(knots)
    up_to = np.interp(edges, knots, busy)
    return np.diff(up_to) / width


def _coarse(envelope: NDArray[np.float64], width: float, timeline: Timeline) -> tuple[float, float]:
    """Offset and drift to within a bin or so, by FFT over the whole trace.

    The beginning of the session is looked for, with the silence before it: as much of it as drift
    does not blur, for each drift in turn; crystals first, then oscillators without one.
    """
    span = float(timeline.end[-1] - timeline.start[0])
    before = min(1.0, span / 4)
    centred = envelope - envelope.mean()
    found: tuple[float, float, float] | None = None
    for most, length in ((3e-4, 10.0), (MOST_DRIFT, 4.0)):
        length = min(length, span)
        step = 2 * width / length
        drifts = step * np.arange(-math.ceil(most / step), math.ceil(most / step) + 1)
        heads = (_head(timeline, width, before, length, drift) for drift in drifts)
        for drift, head in zip(drifts, heads, strict=True):
            score, at = _best_place(centred, head)
            if found is None or score > found[0]:
                found = (score, at * width + before, float(drift))
        assert found is not None
        if _agreement(envelope, width, timeline, found[1], found[2], length) >= 0.8:
            break
    assert found is not None
    return found[1], found[2]


def _head(
    timeline: Timeline, width: float, before: float, length: float, drift: float
) -> NDArray[np.float64]:
    """The beginning of a session as it looks in bins: silence, then activity; of norm 1."""
    bins = math.ceil((before + length * (1 + drift)) / width)
    head = _activity(timeline, width, -before, bins, 0.0, drift)
    head = head - head.mean()
    norm = float(np.linalg.norm(head))
    return head / norm if norm else head


def _best_place(envelope: NDArray[np.float64], head: NDArray[np.float64]) -> tuple[float, int]:
    """Where a template correlates best, and how much; it may begin before the envelope does."""
    size = max(_FFT_BINS, 1 << math.ceil(math.log2(4 * len(head))))
    spectrum = np.conj(np.fft.rfft(head, size))
    usable = size - len(head) + 1
    best = (-math.inf, 0)
    for begin in range(-len(head) + 1, len(envelope), usable):
        part = envelope[max(0, begin) : begin + size]
        block = np.zeros(size)
        block[max(0, -begin) : max(0, -begin) + len(part)] = part
        scores = np.fft.irfft(np.fft.rfft(block) * spectrum, size)[:usable]
        at = int(np.argmax(scores))
        if scores[at] > best[0]:
            best = (float(scores[at]), begin + at)
    return best


def _tracked(
    envelope: NDArray[np.float64],
    width: float,
    timeline: Timeline,
    offset: float,
    drift: float,
) -> tuple[float, float, float]:
    """The line through local offsets, found one stretch of blocks after the other."""
    taus: list[float] = []
    offsets: list[float] = []
    period = float(np.median(np.diff(timeline.start)))
    stretch = max(2, min(_STRETCH, len(timeline.start) // 8))
    for begin in range(0, len(timeline.start) - stretch + 1, stretch):
        part = slice(begin, begin + stretch)
        some = Timeline(timeline.start[part], timeline.duration[part])
        local = _local_offset(envelope, width, some, offset, drift, period)
        if local is None:
            continue
        taus.append(float(some.start.mean()))
        offsets.append(local)
        if len(taus) >= 3:
            slope, offset = np.polyfit(taus[-20:], offsets[-20:], 1)
            drift += float(slope)
            # The next ones are found about the new line.
            offsets = [o - slope * t for o, t in zip(offsets, taus, strict=True)]
    if not taus:
        return offset, drift, width
    if len(taus) < 3:
        return float(np.mean(offsets)), drift, width / 4
    slope, intercept = _robust_line(np.array(taus), np.array(offsets))
    rest = np.array(offsets) - intercept - slope * np.array(taus)
    jitter = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
    return intercept, drift + slope, jitter


def _local_offset(
    envelope: NDArray[np.float64],
    width: float,
    part: Timeline,
    offset: float,
    drift: float,
    period: float,
) -> float | None:
    """The offset near the present one at which the correlation is greatest, finer than a bin."""
    reach = max(2, math.floor(0.45 * period / width))
    low = offset + (1 + drift) * part.start[0]
    high = offset + (1 + drift) * part.end[-1]
    begin = math.floor(low / width) - reach - 1
    count = math.ceil((high - low) / width) + 2 * reach + 2
    if begin < 0 or begin + count > len(envelope):
        return None
    seen = envelope[begin : begin + count]
    wanted = _activity(part, width, begin * width, count, offset, drift)
    wanted = wanted - wanted.mean()
    size = 1 << math.ceil(math.log2(2 * count))
    scores = np.fft.irfft(
        np.fft.rfft(seen - seen.mean(), size) * np.conj(np.fft.rfft(wanted, size)), size
    )
    near = np.concatenate([scores[-reach:], scores[: reach + 1]])
    at = int(np.argmax(near))
    if not 0 < at < len(near) - 1:
        return None
    left, top, right = near[at - 1 : at + 2]
    bend = left - 2 * top + right
    fine = 0.5 * (left - right) / bend if bend else 0.0
    return offset + (at - reach + float(fine)) * width


def _robust_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and intercept of a line, less what lies far off it."""
    keep = np.ones(len(x), bool)
    slope, intercept = np.polyfit(x, y, 1)
    for _ in range(3):
        rest = y - intercept - slope * x
        spread = 1.4826 * float(np.median(np.abs(rest[keep] - np.median(rest[keep]))))
        kept = np.abs(rest - np.median(rest[keep])) <= max(4 * spread, 1e-9)
        if kept.sum() < 3 or np.array_equal(kept, keep):
            break
        keep = kept
        slope, intercept = np.polyfit(x[keep], y[keep], 1)
    return float(slope), float(intercept)


def _agreement(
    envelope: NDArray[np.float64],
    width: float,
    timeline: Timeline,
    offset: float,
    drift: float,
    length: float | None = None,
) -> float:
    """Correlation of activity and current over the session, and a block before and after it."""
    period = float(np.median(np.diff(timeline.start)))
    end = float(timeline.end[-1] if length is None else min(length, timeline.end[-1]))
    begin = max(0, math.floor((offset - 1.5 * period) / width))
    stop = min(len(envelope), math.ceil((offset + (1 + drift) * end + 1.5 * period) / width))
    if stop - begin < 16:
        return 0.0
    seen = envelope[begin:stop]
    wanted = _activity(timeline, width, begin * width, stop - begin, offset, drift)
    spread = float(seen.std() * wanted.std())
    return (
        float(((seen - seen.mean()) * (wanted - wanted.mean())).mean()) / spread if spread else 0.0
    )
