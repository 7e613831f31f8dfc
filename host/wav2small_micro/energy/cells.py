# SPDX-License-Identifier: Apache-2.0
"""Batteries: how many hours a cell feeds a mean current."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wav2small_micro.energy.figures import Figure, Modelled, Range, propagate
from wav2small_micro.errors import W2sError

HOURS_PER_YEAR = 8766.0


@dataclass(frozen=True)
class Cell:
    """A cell, by its maker's usual figures. What is drawn too fast does not come: `most_ma`."""

    name: str
    title: str
    mah: float
    voltage: float  # V, nominal
    most_ma: float | None = None  # continuous current above which the capacity does not hold
    derating: float = 0.85  # share of the nominal capacity above the cut-off and in the cold
    loss_a_year: float = 0.02  # self-discharge


# Round figures of common makes, from nobody's datasheet in particular: an interval of 15 % is put
# on every capacity.
CELLS = {
    cell.name: cell
    for cell in (
        Cell("cr2032", "CR2032 coin cell", 225, 3.0, most_ma=3, loss_a_year=0.01),
        Cell("cr2477", "CR2477 coin cell", 1000, 3.0, most_ma=3, loss_a_year=0.01),
        Cell("cr123a", "CR123A lithium", 1500, 3.0, most_ma=1000, loss_a_year=0.01),
        Cell("2xaaa", "two AAA alkaline in series", 1100, 3.0, most_ma=200, loss_a_year=0.03),
        Cell("2xaa", "two AA alkaline in series", 2500, 3.0, most_ma=400, loss_a_year=0.03),
        Cell("lipo-500", "Li-ion pouch, 500 mAh", 500, 3.7, most_ma=500, loss_a_year=0.2),
        Cell("18650", "Li-ion 18650, 3000 mAh", 3000, 3.7, most_ma=3000, loss_a_year=0.2),
    )
}

_CAPACITY = 0.15


def find(text: str) -> Cell:
    """A cell by name, or one of so many mAh ("850", "850mAh"). Raises W2sError."""
    if text.lower() in CELLS:
        return CELLS[text.lower()]
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:mah)?", text.strip(), re.IGNORECASE)
    if not found or not 0 < float(found[1]) < 1e7:
        raise W2sError(
            f"no cell {text!r}", f"one of {', '.join(CELLS)}, or its capacity, such as 850mAh"
        )
    return Cell(text, f"a cell of {float(found[1]):g} mAh", float(found[1]), 3.7)


def hours(current: Figure, cell: Cell) -> Modelled:
    """Hours that a cell lasts at a mean current in mA. Nobody emptied it: they are modelled,
    also where the current was measured.

    A linear regulator is taken to stand between them: the cell gives the current that the board
    draws.

    From C d = (I + C d s) T: capacity C, derated by d, less a share s of it an hour.
    """
    if current.unit != "mA":
        raise ValueError(f"a current in mA, not {current.unit}")
    loss = cell.loss_a_year / HOURS_PER_YEAR

    def lasts(mean: float, mah: float) -> float:
        usable = mah * cell.derating
        return usable / (mean + usable * loss)

    found, _ = propagate(
        lasts,
        {
            "mean": Range(current.value, max(current.low, 0.0), current.high),
            "mah": Range.within(cell.mah, _CAPACITY),
        },
    )
    return Modelled(found.value, max(0.0, found.low), found.high, "h")


def warnings(current: Figure, cell: Cell) -> list[str]:
    """What the hours of a cell leave out."""
    if cell.most_ma is not None and current.value > cell.most_ma:
        return [
            f"{cell.title} is made for {cell.most_ma:g} mA at most: at {current.value:.3g} mA much "
            "of its capacity does not come"
        ]
    return []
