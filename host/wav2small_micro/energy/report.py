# SPDX-License-Identifier: Apache-2.0
"""Figures of energy for people: rows of tables, and a page of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wav2small_micro import html
from wav2small_micro.energy import cells, plot
from wav2small_micro.energy.cells import Cell
from wav2small_micro.energy.figures import Figure
from wav2small_micro.energy.measure import Measurement
from wav2small_micro.energy.model import Estimate

LABELS = {
    "mj_per_inference": "energy of an inference",
    "mj_above_sleep_per_inference": "of it, beyond waiting",
    "ms_per_inference": "length of an inference",
    "mj_per_block": "work of a block of audio",
    "mj_per_audio_second": "work of a second of audio",
    "active_ma": "current while it computes",
    "run_ma": "current while it computes",
    "sleep_ma": "current while it waits",
    "sleep_mw": "power while it waits",
    "duty_percent": "time that it computes",
    "average_mw": "mean power",
    "average_ma": "mean current",
}


def rows(figures: Mapping[str, Figure]) -> list[tuple[str, Figure]]:
    """Names for people, in the order of the labels."""
    return [(LABELS[name], figures[name]) for name in LABELS if name in figures]


def cell_rows(found: Measurement | Estimate, chosen: Sequence[Cell]) -> list[tuple[str, Figure]]:
    """Hours of each cell."""
    hours = [(cell, found.hours(cell)) for cell in chosen]
    return [(f"hours from {cell.title}", figure) for cell, figure in hours if figure is not None]


def cell_warnings(found: Measurement | Estimate, chosen: Sequence[Cell]) -> list[str]:
    """What the hours leave out."""
    current = found.average_ma if isinstance(found, Estimate) else found.figures.get("average_ma")
    if current is None:
        return []
    return [line for cell in chosen for line in cells.warnings(current, cell)]


def page(
    measured: Sequence[Measurement],
    modelled: Estimate | None,
    chosen: Sequence[Cell],
    command: str,
) -> html.Page:
    """A report on any number of measurements, and on a model beside them."""
    found = html.Page(
        "Energy of an inference",
        lead="Solid frames are of an instrument, dashed ones of a model: they are not the same.",
        footer=command,
    )
    for one in measured:
        _facts(found, Path(one.recording.source).name, one.figures)
        _measured(found, one, chosen)
    if modelled is not None:
        _facts(found, modelled.chip.name, modelled.figures())
        _modelled(found, modelled, chosen)
    return found


def _facts(found: html.Page, name: str, figures: Mapping[str, Figure]) -> None:
    """What one wants to know first."""
    for key in ("mj_per_audio_second", "average_mw"):
        if key in figures:
            found.facts({f"{LABELS[key]}, {name}": figures[key].cell})


def _measured(found: html.Page, one: Measurement, chosen: Sequence[Cell]) -> None:
    section = found.section(f"Measured: {Path(one.recording.source).name}")
    instrument = one.recording.instrument
    section.text(
        f"{instrument.title}; {one.seconds:,.6g} s of samples at a mean of {one.volts:.4g} V"
        f"{' (given)' if one.recording.voltage_given else ''}; "
        f"{int(one.inferences.good.sum()):,} of {len(one.inferences):,} inferences used"
        f"{', told apart by ' + one.method if one.method else ''}."
    )
    section.table(
        ["figure", "value, and its interval"],
        [(name, figure.cell) for name, figure in rows(one.figures) + cell_rows(one, chosen)],
    )
    section.figure(
        plot.whole(one),
        caption="Current over the whole recording: the mean, and the extremes behind it.",
        origin=html.MEASURED,
    )
    if one.close is not None:
        section.figure(
            plot.close(one),
            caption="The first inferences, shaded from their beginning to their end.",
            origin=html.MEASURED,
        )
        section.figure(
            plot.energies(one),
            caption="Energy of each inference along the recording.",
            origin=html.MEASURED,
        )
    _notes(section, [*one.notes, *cell_warnings(one, chosen)])


def _modelled(found: html.Page, one: Estimate, chosen: Sequence[Cell]) -> None:
    section = found.section(f"Modelled: {one.chip.title}")
    section.text(
        f"{one.cycles_per_second.value / 1e6:,.1f} M cycles for a second of audio "
        f"({one.cycles_per_second.low / 1e6:,.1f} .. {one.cycles_per_second.high / 1e6:,.1f}) "
        f"at {one.clock_hz / 1e6:g} MHz and {one.voltage:g} V. "
        f"The currents are {one.chip.basis}."
    )
    section.table(
        ["figure", "value, and its interval"],
        [(name, figure.cell) for name, figure in rows(one.figures()) + cell_rows(one, chosen)],
    )
    section.table(
        ["input", "share of the uncertainty"],
        [(name, f"{share:.0%}") for name, share in one.shares.items()],
        caption="What is worth measuring",
    )
    _notes(section, [*one.notes, *cell_warnings(one, chosen)])


def _notes(section: html.Section, lines: Sequence[str]) -> None:
    for line in lines:
        section.text(f"{line[:1].upper()}{line[1:]}.".replace("..", "."))
