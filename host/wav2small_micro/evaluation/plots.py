# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation: answers against a reference, and what disturbances leave of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wav2small_micro.evaluation.run import Result
from wav2small_micro.evaluation.tables import Series
from wav2small_micro.html import COLOURS
from wav2small_micro.metrics import DIMENSIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"human": "mean human rating", "teacher": "teacher", "clean": "undisturbed"}


def write(result: Result, folder: Path, suffix: str = "png") -> list[Path]:
    """A scatter plot for each series and reference, a page of curves for each series that was
    disturbed, as PNG or SVG. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for series in result.series:
        stem = f"{series.model}-{series.engine}-{series.norm}"
        for reference in result.clips.references:
            path = folder / f"{stem}-{reference}.{suffix}"
            scatter(path, result, series, reference)
            written.append(path)
        rows = [row for row in result.robustness if _is(row, series)]
        if rows:
            path = folder / f"{stem}-robustness.{suffix}"
            curves(path, rows, title=f"{series.model}, engine {series.engine}, {series.norm}")
            written.append(path)
    return written


def _is(row: dict[str, Any], series: Series) -> bool:
    return all(row[key] == value for key, value in series.names.items())


def scatter(path: Path, result: Result, series: Series, reference: str) -> None:
    """Answers over a reference, a panel a dimension, a colour a corpus."""
    from matplotlib.figure import Figure

    truth = result.clips.references[reference]
    corpora = sorted({row.corpus for row in result.clips.rows})
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    figure.suptitle(f"{series.model}, engine {series.engine}, {series.norm} normalisation")
    for d, axes in enumerate(figure.subplots(1, 3, sharex=True, sharey=True)):
        axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, zorder=1)
        for i, corpus in enumerate(corpora):
            mask = np.array([row.corpus == corpus for row in result.clips.rows])
            mask &= np.isfinite(truth[:, d])
            if mask.any():
                axes.scatter(
                    truth[mask, d],
                    series.adv[mask, d],
                    s=14,
                    alpha=0.6,
                    linewidths=0,
                    color=COLOURS[i % len(COLOURS)],
                    label=corpus or "clips",
                    zorder=2,
                )
        axes.set_title(_headline(result, series, reference, DIMENSIONS[d]), fontsize=9)
        axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xlabel=NAMES.get(reference, reference))
        axes.set_aspect("equal")
        axes.grid(alpha=0.25, linewidth=0.5)
        if d == 0:
            axes.set_ylabel("answer")
            axes.legend(fontsize=8, loc="upper left")
    figure.savefig(path, dpi=110)


def _headline(result: Result, series: Series, reference: str, dimension: str) -> str:
    for row in result.rows:
        about = (row["reference"], row["by"], row["dimension"])
        if _is(row, series) and about == (reference, "", dimension):
            if row["low"] is None:
                return f"{dimension}: CCC {row['ccc']:.2f}, n {row['n']}"
            return (
                f"{dimension}: CCC {row['ccc']:.2f} ({row['low']:.2f} to {row['high']:.2f}), "
                f"n {row['n']}"
            )
    return dimension


PANELS = (
    ("gain", ("gain",), "gain, dB"),
    ("noise", ("white noise", "pink noise"), "signal over noise, dB"),
    ("microphone from 300 Hz", ("band from 300 Hz to",), "to, Hz"),
    ("window", ("window",), "seconds heard"),
)


def curves(path: Path, rows: Sequence[dict[str, Any]], title: str) -> None:
    """CCC between the clean and the disturbed answers, a panel a kind of disturbance, with 95 %
    intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.6), layout="constrained")
    figure.suptitle(f"{title}: CCC of disturbed answers with undisturbed ones")
    lowest = 0.0
    for axes, (name, kinds, label) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        for kind, style in zip(kinds, ("-o", "--s"), strict=False):
            lowest = min(lowest, _lines(axes, rows, kind, style, several=len(kinds) > 1))
        axes.axhline(0.9, color="#888888", linewidth=0.8, linestyle=":")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(label)
        axes.grid(alpha=0.25, linewidth=0.5)
        if name == "noise":
            axes.invert_xaxis()
    for axes in figure.axes:
        axes.set_ylim(lowest - 0.02, 1.02)
    figure.axes[0].set_ylabel("CCC")
    figure.axes[2].set_ylabel("CCC")
    for axes in figure.axes[:2]:
        axes.legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=110)


def _lines(
    axes: Axes, rows: Sequence[dict[str, Any]], kind: str, style: str, several: bool
) -> float:
    """A line a dimension; returns the lowest value drawn."""
    lowest = 0.0
    for d, dimension in enumerate(DIMENSIONS):
        found = [
            row
            for row in rows
            if (row["kind"], row["reference"], row["dimension"]) == (kind, "clean", dimension)
            and row["ccc"] is not None
        ]
        found.sort(key=lambda row: row["amount"])
        x = [row["amount"] for row in found]
        y = [row["ccc"] for row in found]
        if not found:
            continue
        lowest = min(lowest, *y)
        name = f"{dimension}, {kind.split()[0]}" if several else dimension
        axes.plot(x, y, style, color=COLOURS[d], label=name, markersize=4, linewidth=1.2)
        bounds = [(r["low"], r["high"]) for r in found]
        if all(low is not None for low, _ in bounds):
            low, high = zip(*bounds, strict=True)
            axes.fill_between(x, low, high, color=COLOURS[d], alpha=0.08, linewidth=0)
    return lowest
