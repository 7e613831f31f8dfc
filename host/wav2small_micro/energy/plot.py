# SPDX-License-Identifier: Apache-2.0
"""Pictures of a measurement: the whole trace, its first inferences, and their energies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import html
from wav2small_micro.energy.measure import Measurement

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_POINTS = 4000
_WORK, _LINE, _LEFT_OUT = html.COLOURS[1], html.COLOURS[0], "#b03030"


def save(path: Path, measurement: Measurement) -> None:
    """Saves both pictures as one PNG."""
    figure = html.drawing(10, 6.4)
    figure.suptitle(f"Measured current: {Path(measurement.recording.source).name}")
    whole, close = figure.subplots(2, 1)
    _whole(whole, measurement)
    _close(close, measurement)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def whole(measurement: Measurement) -> Figure:
    """The trace from its beginning to its end."""
    figure = html.drawing()
    _whole(figure.subplots(), measurement)
    return figure


def close(measurement: Measurement) -> Figure:
    """Its first inferences, shaded."""
    figure = html.drawing()
    _close(figure.subplots(), measurement)
    return figure


def energies(measurement: Measurement) -> Figure:
    """Energy of each inference along the trace."""
    figure = html.drawing(height=2.8)
    axes = figure.subplots()
    found = measurement.inferences
    axes.plot(found.start[found.good], 1e3 * found.energy[found.good], ".", color=_WORK, ms=3)
    left_out = ~found.good
    if left_out.any():
        marks = 1e3 * found.energy[left_out]
        axes.plot(found.start[left_out], marks, "x", color=_LEFT_OUT, label="left out")
        axes.legend(frameon=False)
    axes.set(xlabel="seconds", ylabel="mJ an inference")
    axes.margins(x=0.01)
    return figure


def _whole(axes: Any, measurement: Measurement) -> None:
    seen = measurement.overview
    axes.fill_between(
        seen.time, 1e3 * seen.low, 1e3 * seen.high, color=_LINE, alpha=0.25, linewidth=0
    )
    axes.plot(seen.time, 1e3 * seen.mean, color=_LINE, linewidth=0.9)
    for name, label in (("active_ma", "computing"), ("sleep_ma", "waiting")):
        if name in measurement.figures:
            level = measurement.figures[name].value
            axes.axhline(level, color=_WORK, linewidth=0.8, linestyle=":")
            axes.annotate(
                f"{label} {level:.3g} mA",
                (1, level),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=8,
            )
    axes.set(xlabel="seconds", ylabel="mA: mean, and extremes")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.margins(x=0.01)


def _close(axes: Any, measurement: Measurement) -> None:
    trace = measurement.close
    if trace is None or not len(trace):
        axes.text(0.5, 0.5, "nothing tells inferences apart", ha="center", va="center")
        axes.set_axis_off()
        return
    begin, end = float(trace.time[0]), float(trace.time[-1])
    time, current = _thinned(trace.time, 1e3 * trace.current)
    axes.plot(time, current, color=_LINE, linewidth=0.7, drawstyle="steps-post")
    found = measurement.inferences
    label: str | None = "inference"
    for start, seconds, good in zip(found.start, found.seconds, found.good, strict=True):
        if start + seconds >= begin and start <= end:
            colour = _WORK if good else _LEFT_OUT
            axes.axvspan(start, start + seconds, color=colour, alpha=0.18, linewidth=0, label=label)
            label = None
    axes.set(xlabel="seconds", ylabel="mA", xlim=(begin, end))
    low, high = axes.get_ylim()
    axes.set_ylim(min(0.0, low), high + 0.12 * (high - low))
    if label is None:
        axes.legend(frameon=False, loc="upper right", fontsize=8)


def _thinned(
    time: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most so many points, with every peak in them."""
    if len(time) <= _MOST_POINTS:
        return time, values
    step = int(np.ceil(len(time) / (_MOST_POINTS // 2)))
    at = np.arange(0, len(time), step)
    low, high = np.minimum.reduceat(values, at), np.maximum.reduceat(values, at)
    return np.repeat(time[at], 2), np.stack([low, high], axis=1).ravel()
