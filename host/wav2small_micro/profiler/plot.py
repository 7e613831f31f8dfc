# SPDX-License-Identifier: Apache-2.0
"""A picture of the bench: what each layer costs, kernel set beside kernel set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wav2small_micro.plots import COLOURS
from wav2small_micro.profiler.bench import PARTS, case_of

_SHOWN = ("front_end", *(part for part in PARTS if part not in ("network", "front_end", "loop")))


def save(path: Path, rows: list[dict[str, Any]]) -> None:
    """Save a PNG: a panel for each model and board, bars by part, on a logarithmic scale.

    ``rows``: of the bench. Bars are modelled cycles where the core has a checked model, else
    instructions.
    """
    from matplotlib.figure import Figure

    models, boards = _distinct(rows, "model"), _distinct(rows, "board")
    figure = Figure(figsize=(5.5 * len(boards) + 1, 3.6 * len(models) + 0.6), layout="constrained")
    figure.suptitle("Cost of a second of audio, by part (16 kHz, 500 frames)")
    panels = figure.subplots(len(models), len(boards), squeeze=False)
    for i, model in enumerate(models):
        for j, board in enumerate(boards):
            here = [row for row in rows if row["model"] == model and row["board"] == board]
            _panel(panels[i, j], here, f"{model} on {board}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(panel: Any, rows: list[dict[str, Any]], title: str) -> None:
    builds = list(dict.fromkeys(map(_build, rows)))
    unit = "cycles" if all(row["cycles"] is not None for row in rows) else "instructions"
    width = 0.84 / max(1, len(builds))
    for i, name in enumerate(builds):
        by_part = {row["part"]: row[unit] / 1e6 for row in rows if _build(row) == name}
        at = np.arange(len(_SHOWN)) + (i - (len(builds) - 1) / 2) * width
        label = f"{name}: network {by_part['network']:.1f} M"
        heights = [by_part[part] for part in _SHOWN]
        drawn = panel.bar(at, heights, width * 0.94, label=label, color=COLOURS[i % len(COLOURS)])
        panel.bar_label(drawn, fmt="%.3g", fontsize=6, padding=1)
    panel.set_yscale("log")
    panel.set_title(title, fontsize=10)
    panel.set_ylabel(f"million {'modelled ' if unit == 'cycles' else ''}{unit}")
    names = [part.replace("_", " ") for part in _SHOWN]
    panel.set_xticks(range(len(_SHOWN)), names, rotation=55, ha="right", fontsize=8)
    panel.margins(y=0.15)
    panel.legend(frameon=False, fontsize=8)


def _build(row: dict[str, Any]) -> str:
    """What tells the bars of a panel apart."""
    case = case_of(row)
    return case.kernels if case.placement == "flash" else f"{case.kernels}, {case.placement}"


def _distinct(rows: list[dict[str, Any]], key: str) -> list[str]:
    """Values in the order in which they come."""
    return list(dict.fromkeys(row[key] for row in rows))
