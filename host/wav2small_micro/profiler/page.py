# SPDX-License-Identifier: Apache-2.0
"""The profile for people: a page of HTML, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wav2small_micro import html
from wav2small_micro.energy.cells import Cell
from wav2small_micro.html import COLOURS, INK, Page, Section, Value
from wav2small_micro.profiler import parts
from wav2small_micro.profiler.profile import Profile, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FUNCTIONS = 20
_SHOWN_BLOCKS = 75
NETWORK = (*parts.LAYERS, "flow")


def label(stage: str) -> str:
    """A stage's name for people."""
    return stage.replace("_", " ")


def page(found: Profile, cells: list[Cell], command: str) -> Page:
    """The report of a profile; ``command`` makes it again."""
    made = Page(
        f"Profile: {found.model} on {found.board}",
        verdict=_verdict(found),
        lead=_lead(found),
        footer=command,
    )
    made.facts(_facts(found))
    _stages(made.section("Where a block's time goes"), found)
    _blocks(made.section("Block after block"), found)
    if found.delay is not None:
        _delay(made.section("From sound to answer"), found)
    if found.functions:
        _functions(made.section("Functions"), found)
    if found.run is not None:
        _device(made.section("The device"), found)
    if found.energy is not None:
        _energy(made.section("Energy"), found, cells)
    notes = made.section("What to know of these figures")
    for line in found.notes:
        notes.text(f"{line[0].upper()}{line[1:]}.")
    return made


def save_picture(path: Path, found: Profile) -> None:
    """A PNG: what is in a block, and the spread of each stage."""
    import matplotlib

    with matplotlib.rc_context({"hatch.linewidth": 0.4}):
        figure = html.drawing(11, 7)
        figure.suptitle(f"{found.model} on {found.board}, {found.what} a block of 20 ms")
        icicle, bars = figure.subplots(2, 1, height_ratios=[1, 2])
        _draw_icicle(icicle, found)
        _draw_bars(bars, found)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


# --- Heading ------------------------------------------------------------------------------------


def _verdict(found: Profile) -> html.Badge:
    if found.margin is None:
        return html.note("no verdict on time")
    responses = found.responses_ms
    if responses is None:
        return html.bad(f"too slow at {found.clock_hz / 1e6:g} MHz")
    in_time = responses.max() <= 1e3 * parts.BLOCK_SECONDS
    return html.good("in time") if in_time else html.bad("late")


def _lead(found: Profile) -> str:
    if found.margin is None:
        return (
            f"A block of 20 ms takes {Spread.of(found.total).mean:,.0f} {found.unit}; "
            "how long that is, is not known."
        )
    return (
        f"A block of 20 ms takes {1e3 * found.total.mean() / found.clock_hz:.1f} ms on the mean at "
        f"{found.clock_hz / 1e6:g} MHz, {found.margin:.2f} times faster than it comes."
    )


def _facts(found: Profile) -> Mapping[str, html.Cell]:
    facts: dict[str, html.Cell] = {
        "board": found.board,
        "model": found.model,
        "core": found.cpu or None,
        "clock": f"{found.clock_hz / 1e6:g} MHz",
        "blocks": len(found.total),
    }
    if found.kernels:
        facts["kernels"] = found.kernels
    if found.margin is not None and found.duty is not None:
        facts["real-time margin"] = Value(f"{found.margin:.2f}", found.origin)
        facts["duty cycle"] = Value(f"{100 * found.duty:.1f} %", found.origin)
    elif found.allowed_cycles is not None:
        allowed = f"{found.allowed_cycles:.2f} cycles an instruction"
        facts["keeps up with at most"] = allowed
    if found.delay is not None:
        facts["sound to answer"] = f"{found.delay.least_ms:.0f} to {found.delay.most_ms:.0f} ms"
    return facts


# --- Stages -------------------------------------------------------------------------------------


def _stages(section: Section, found: Profile) -> None:
    icicle = html.drawing(10.5, 2.1)
    _draw_icicle(icicle.subplots(), found)
    section.figure(
        icicle,
        caption=f"The mean block in {found.what}, left to right; below it the network by layer.",
        origin=found.origin,
    )
    bars = html.drawing(10.5, 4.2)
    _draw_bars(bars.subplots(), found)
    section.figure(
        bars,
        caption="The mean of each stage, and its least and most over all blocks. Kernels that take "
        "several rows at once give some blocks more rows than others. Where a line leaves the "
        "picture, the table has its end.",
        origin=found.origin,
    )
    section.table(
        ["stage", "least", "median", "99 %", "most", "mean", "share", "a second", *_more(found)],
        [_row(name, spread, found) for name, spread in found.spreads().items()],
        caption=f"{found.what} in a block of 20 ms, over {len(found.total):,} blocks",
    )


def _more(found: Profile) -> list[str]:
    return ["instructions, mean"] if found.is_timed and found.instructions else []


def _row(name: str, spread: Spread, found: Profile) -> list[html.Cell]:
    figures = (spread.least, spread.median, spread.p99, spread.most, spread.mean)
    row: list[html.Cell] = [label(name), *(f"{value:,.0f}" for value in figures)]
    row.append(f"{100 * spread.mean / found.total.mean():.1f} %")
    row.append(f"{spread.mean / parts.BLOCK_SECONDS / 1e6:,.2f} M")
    if _more(found):
        every = found.instructions
        values = np.sum(list(every.values()), axis=0) if name == "total" else every[name]
        row.append(f"{values.mean():,.0f}")
    return row


def _colour(stage: str) -> str:
    if stage in ("front_end", "front end"):
        return COLOURS[1]
    if stage in NETWORK or stage == "network":
        return COLOURS[2] if stage in ("pool", "flow") else COLOURS[0]
    return COLOURS[5]


def _draw_icicle(axes: Axes, found: Profile) -> None:
    """Two rows of rectangles: the firmware, and the network within it."""
    total = found.total.mean()
    left = 0.0
    groups = [
        ("front end", ["front_end"]),
        ("network", [name for name in NETWORK if name in found.stages]),
        *((name, [name]) for name in found.stages if name not in (*NETWORK, "front_end")),
    ]
    for group, names in groups:
        widths = [100 * found.stages[name].mean() / total for name in names]
        _rectangle(axes, left, 1, sum(widths), group, _colour(group), found)
        if group == "network":
            at = left
            for name, width in zip(names, widths, strict=True):
                _rectangle(axes, at, 0, width, name, _colour(name), found)
                at += width
        left += sum(widths)
    axes.set(xlim=(0, 100), ylim=(0, 2), yticks=[], xlabel="% of the block")
    axes.spines["left"].set_visible(False)


def _rectangle(
    axes: Axes, left: float, row: int, width: float, name: str, colour: str, found: Profile
) -> None:
    style = html.bar_style(found.origin, colour)
    if found.origin != html.MODELLED:
        style["edgecolor"] = "white"
    axes.barh(row + 0.5, width, 0.9, left, linewidth=0.8, **style)
    if width > 3:
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        axes.text(
            left + width / 2, row + 0.5, f"{name}\n{width:.0f} %", ha="center", va="center",
            fontsize=7.5, color="#111111", bbox=box,
        )  # fmt: skip


def _draw_bars(axes: Axes, found: Profile) -> None:
    spreads = {name: spread for name, spread in found.spreads().items() if name != "total"}
    means = np.array([spread.mean for spread in spreads.values()]) / 1e3
    least = np.array([spread.least for spread in spreads.values()]) / 1e3
    most = np.array([spread.most for spread in spreads.values()]) / 1e3
    at = np.arange(len(spreads))
    for i, name in enumerate(spreads):
        axes.bar(i, means[i], 0.7, **html.bar_style(found.origin, _colour(name)))
    axes.errorbar(
        at, means, [means - least, most - means], fmt="none", ecolor=INK, elinewidth=1, capsize=3
    )
    shown = [most[i] for i, name in enumerate(spreads) if name != "link"]
    axes.set_ylim(0, 1.1 * max(*shown, *means))  # what waits for a line has no end
    axes.set_xticks(at, [label(name) for name in spreads], rotation=40, ha="right")
    axes.set_ylabel(f"thousand {found.unit} a block")


# --- Blocks -------------------------------------------------------------------------------------


def _blocks(section: Section, found: Profile) -> None:
    scale, unit = (1e3 / found.clock_hz, "ms") if found.is_timed else (1e-3, f"k {found.unit}")
    figure = html.drawing(10.5, 3.6)
    along, spread = figure.subplots(1, 2, width_ratios=[2.2, 1])
    shown = min(_SHOWN_BLOCKS, len(found.total))
    groups = {
        "front end": found.stages["front_end"],
        "network": np.sum([found.stages[name] for name in NETWORK], axis=0),
    }
    groups["rest"] = found.total - groups["front end"] - groups["network"]
    bottom = np.zeros(shown)
    for (name, values), colour in zip(groups.items(), COLOURS[1::-1] + COLOURS[5:], strict=False):
        heights = values[:shown] * scale
        along.bar(
            np.arange(shown), heights, 0.85, bottom, label=name, linewidth=0.3,
            **html.bar_style(found.origin, colour),
        )  # fmt: skip
        bottom = bottom + heights
    along.set(xlabel="block", ylabel=f"{unit} a block", title=f"the first {shown} blocks")
    along.set_ylim(0, 1.2 * bottom.max())
    along.legend(frameon=False, fontsize=8, ncols=3, loc="upper left")
    spread.hist(
        found.total * scale, 30, orientation="horizontal",
        **html.bar_style(found.origin, COLOURS[3]),
    )  # fmt: skip
    spread.set(xlabel="blocks", ylabel=f"{unit} a block", title="all of them")
    if found.is_timed and found.responses_ms is None:
        for axes in (along, spread):
            axes.axhline(1e3 * parts.BLOCK_SECONDS, color=INK, linewidth=0.8, linestyle=":")
    section.figure(
        figure, caption=f"The work of each block of 20 ms, in {unit}.", origin=found.origin
    )
    responses = found.responses_ms
    if responses is not None:
        response = Spread.of(responses)
        section.text(
            f"From a block's arrival to the end of its work: median {response.median:.2f} ms, "
            f"99 % within {response.p99:.2f} ms, {response.most:.2f} ms at most; the next block "
            "comes after 20 ms."
        )


# --- Delay --------------------------------------------------------------------------------------


def _delay(section: Section, found: Profile) -> None:
    delay = found.delay
    assert delay is not None
    steps = {"rest of the half second (0 to 500)": delay.half_second_ms, **delay.steps()}
    figure = html.drawing(10.5, 1.9)
    axes = figure.subplots()
    left = 0.0
    for i, (name, width) in enumerate(steps.items()):
        if width is None:
            continue
        style = html.bar_style(html.MODELLED if name == "work" else html.MEASURED, COLOURS[i])
        if i == 0:
            style["alpha"] = 0.35
        axes.barh(0, width, 0.5, left, label=f"{name}: {width:.1f} ms", **style)
        left += width
    axes.set(yticks=[], xlabel="ms after a sound at the beginning of a half second", ylim=(-0.4, 1))
    axes.spines["left"].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper left")
    section.figure(figure, caption="What an answer waits for, one thing after the other.")
    work = "" if delay.compute_ms is not None else " The work, which is not known, comes on top."
    section.text(
        f"A sound at the very end of a half second is in an answer after {delay.least_ms:.0f} ms, "
        f"one at its beginning after {delay.most_ms:.0f} ms, {delay.mean_ms:.0f} ms on the mean."
        f"{work} An answer is over the last {delay.window_segments * 0.5:g} s: when a voice "
        f"changes, it is wholly of the new one after {delay.whole_ms / 1e3:.1f} s."
    )


# --- Functions, device, energy --------------------------------------------------------------------


def _functions(section: Section, found: Profile) -> None:
    all_of_it = sum(found.functions.values())
    costliest = dict(list(found.functions.items())[:_FUNCTIONS])
    names = list(costliest)[::-1]
    figure = html.drawing(10.5, 0.4 + 0.22 * len(names))
    axes = figure.subplots()
    axes.barh(
        range(len(names)), [costliest[name] / 1e6 for name in names], 0.7,
        **html.bar_style(found.origin, COLOURS[0]),
    )  # fmt: skip
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel=f"M {found.unit} a second of audio", ylim=(-0.7, len(names) - 0.3))
    section.figure(
        figure,
        caption="What each function takes itself, callees left out, from the reset on.",
        origin=found.origin,
    )
    section.table(
        ["function", f"M {found.unit} a second", "share"],
        [
            (name, f"{cost / 1e6:,.3f}", f"{100 * cost / all_of_it:.1f} %")
            for name, cost in found.functions.items()
        ],
        folded=f"All {len(found.functions)} functions",
    )


def _device(section: Section, found: Profile) -> None:
    run = found.run
    assert run is not None
    if found.clock is not None:
        section.text(
            f"Against this machine's clock the device's runs {found.clock.text}. "
            "The uncertainty is half of the two round trips over the line."
        )
    asleep, awake = run.asleep.sum(), np.sum(list(run.ticks.values()))
    rows: list[tuple[str, html.Cell]] = [
        ("asleep, waiting for audio", f"{100 * asleep / (asleep + awake):.1f} %"),
        ("interrupts a block", f"{run.interrupts.mean():.0f}"),
        ("stack used", f"{run.stack_used:,} B"),
    ]
    if len(run.lags_s):
        lag = Spread.of(1e3 * run.lags_s)
        seen = f"{lag.least:.0f} .. {lag.median:.0f} .. {lag.most:.0f} ms"
        rows.append(("answers here, after the end of their half second", seen))
    section.table(["", "seen"], rows)


def _energy(section: Section, found: Profile, cells: list[Cell]) -> None:
    energy = found.energy
    assert energy is not None
    needed = energy.cycles_per_second
    section.text(
        f"{energy.chip.title} at {energy.clock_hz / 1e6:g} MHz and {energy.voltage:g} V: "
        f"{needed.low / 1e6:,.1f} to {needed.high / 1e6:,.1f} M cycles for a second of audio, and "
        "the currents of the datasheet. Nothing of it was measured."
    )
    section.table(
        ["energy of", "value, and its interval"],
        [(name, figure.cell) for name, figure in found.energy_figures(cells)],
    )
    for line in energy.notes:
        section.text(line.rstrip(".") + ".")
