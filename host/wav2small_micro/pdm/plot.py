# SPDX-License-Identifier: Apache-2.0
"""A picture of the filters: what they take from where, and the band that is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wav2small_micro.html import COLOURS
from wav2small_micro.pdm import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def save(path: Path, clock_hz: int) -> None:
    """The response from the C's tables as lines, tones through modulator and C as points: PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    figure.suptitle(
        f"PDM at {clock_hz / 1e6} MHz to 16 kHz: lines from the tables, points measured"
    )
    whole, band = figure.subplots(2, 1, height_ratios=[1.3, 1])
    _draw_whole(whole, clock_hz)
    _draw_band(band, clock_hz)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_whole(axes: Axes, clock_hz: int) -> None:
    hz = np.geomspace(1000.0, clock_hz / 2, 20_000)
    level = -figures.rejection(clock_hz, hz)
    folds = (hz > 8000) & (figures.folded(hz) <= figures.PASS_HZ)
    axes.semilogx(hz / 1000, level, linewidth=0.8, color="#b0b7c3", label="all frequencies")
    axes.plot(
        hz / 1000,
        np.where(folds, level, np.nan),
        linewidth=0.8,
        color=COLOURS[0],
        label="what folds below 7 kHz",
    )
    tones = figures.tones(clock_hz, figures.ALIASES_HZ)
    axes.plot(np.array(figures.ALIASES_HZ) / 1000, tones, "o", markersize=4, color=COLOURS[1])
    axes.axhline(-60, color="black", linewidth=0.8, linestyle="--", label="promised: -60 dB")
    ticks = [t for t in (1, 3, 7, 9, 16, 32, 64, 128, 256, 512, 1024) if t <= clock_hz / 2000]
    axes.set(xlim=(1, clock_hz / 2000), ylim=(-150, 5), xlabel="kHz at the microphone", ylabel="dB")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.legend(loc="upper right", fontsize=9)


def _draw_band(axes: Axes, clock_hz: int) -> None:
    hz = np.geomspace(10.0, 9000.0, 2000)
    axes.semilogx(hz, figures.response(clock_hz, hz), color=COLOURS[0])
    tones = figures.tones(clock_hz, figures.PASSED_HZ)
    reference = tones[figures.PASSED_HZ.index(1000)]
    axes.plot(figures.PASSED_HZ, tones - reference, "o", markersize=5, color=COLOURS[1])
    edges = (figures.LOW_HZ, figures.PASS_HZ)
    axes.fill_between(
        edges, -0.5, 0.5, color=COLOURS[2], alpha=0.15, label="promised: within 0.5 dB"
    )
    ticks = (10, 20, 60, 100, 300, 1000, 3000, 7000)
    axes.set(xlim=(10, 9000), ylim=(-1.5, 0.7), xlabel="Hz", ylabel="dB against 1 kHz")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower center", fontsize=9)
