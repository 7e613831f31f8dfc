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
    figure = Figure(figsize=(11, 4.6), layout="constrained")
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
    ("gain", ("gain",), "dB"),
    ("noise", ("white noise", "pink noise"), "dB below the voice"),
    ("microphone from 300 Hz", ("band from 300 Hz to",), "to, Hz"),
    ("window", ("window",), "seconds"),
)


def curves(path: Path, rows: Sequence[dict[str, Any]], title: str) -> None:
    """CCC between the clean and the disturbed answers, a panel a kind of disturbance, with 95 %
    intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.6), layout="constrained")
    figure.suptitle(f"{title}: disturbed answers against undisturbed ones")
    clean = [row for row in rows if row["reference"] == "clean" and row["ccc"] is not None]
    lowest = min([0.0, *(row["ccc"] for row in clean)])
    for axes, (name, kinds, label) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        amounts = sorted({row["amount"] for row in clean if row["kind"] in kinds})
        if name == "noise":
            amounts.reverse()
        for number, kind in enumerate(kinds):
            _lines(axes, [row for row in clean if row["kind"] == kind], amounts, number, len(kinds))
        axes.axhline(0.9, color="#888888", linewidth=0.8, linestyle=":")
        axes.set_title(name, fontsize=10)
        axes.set(xlabel=label, ylabel="CCC", ylim=(lowest - 0.05, 1.03))
        axes.set_xticks(range(len(amounts)), [f"{amount:g}" for amount in amounts])
        axes.grid(alpha=0.25, linewidth=0.5)
    figure.axes[0].legend(fontsize=8, loc="lower right")
    figure.axes[1].legend(fontsize=8, loc="upper right", ncols=2)
    figure.savefig(path, dpi=110)


def _lines(
    axes: Axes, rows: Sequence[dict[str, Any]], amounts: Sequence[float], number: int, of: int
) -> None:
    """A line a dimension over evenly spaced ``amounts``; it is line ``number`` of ``of`` of its
    colour."""
    for d, dimension in enumerate(DIMENSIONS):
        found = {row["amount"]: row for row in rows if row["dimension"] == dimension}
        places = [i for i, amount in enumerate(amounts) if amount in found]
        drawn = [found[amounts[i]] for i in places]
        values = np.array([row["ccc"] for row in drawn])
        bounds = np.array([[row["low"], row["high"]] for row in drawn], float).reshape(-1, 2)
        reach = np.nan_to_num(np.abs(bounds - values[:, None])).T
        axes.errorbar(
            np.array(places) + 0.012 * len(amounts) * (d - 1 + 0.4 * number),
            values,
            yerr=reach,
            fmt=("-o", "--s")[number],
            color=COLOURS[d],
            label=f"{dimension}, {drawn[0]['kind'].split()[0]}" if of > 1 and drawn else dimension,
            markersize=4,
            linewidth=1.2,
            elinewidth=0.6,
            capsize=2,
        )
