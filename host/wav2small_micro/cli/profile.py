# SPDX-License-Identifier: Apache-2.0
"""``w2s profile``: where the time of a block goes, and how long an answer takes."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from wav2small_micro.cli.console import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    EnvOption,
    JsonOption,
    KernelsOption,
    ModelOption,
    PlacementOption,
    err,
    out,
    print_json,
    table,
)
from wav2small_micro.emulator import LinkKind
from wav2small_micro.link.transport import DEFAULT_BAUD

if TYPE_CHECKING:
    from wav2small_micro.energy.cells import Cell
    from wav2small_micro.profiler.profile import Profile

DEFAULT_CELLS = ("lipo-500", "2xaa")


def profile(
    port: Annotated[
        str | None, typer.Option("--port", help="A board: serial port or pyserial URL.")
    ] = None,
    env: EnvOption = DEFAULT_ENV,
    model: ModelOption = DEFAULT_MODEL,
    kernels: KernelsOption = None,
    placement: PlacementOption = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Audio to measure over, after half a second.")
    ] = 5.0,
    clock: Annotated[
        float | None, typer.Option(help="MHz to reckon with, instead of the emulated board's.")
    ] = None,
    chip: Annotated[
        str | None, typer.Option(help="Chip of the energy model: w2s energy --chips.")
    ] = None,
    voltage: Annotated[float | None, typer.Option(help="Its supply, in volts.")] = None,
    cell: Annotated[
        list[str] | None, typer.Option(help="Battery: a name such as cr2032, or its mAh.")
    ] = None,
    link: Annotated[
        LinkKind, typer.Option(help="Of the emulator: uart has the UART's interrupts.")
    ] = LinkKind.SEMIHOSTING,
    baud: Annotated[int, typer.Option(help="Of --port.")] = DEFAULT_BAUD,
    fast: Annotated[
        bool, typer.Option("--fast", help="With --port: as fast as the line takes it.")
    ] = False,
    save_html: Annotated[
        Path | None, typer.Option("--html", help="Save the report: one file for a browser.")
    ] = None,
    save_plot: Annotated[Path | None, typer.Option("--plot", help="Save a picture: PNG.")] = None,
    json: JsonOption = False,
) -> None:
    """Cycles of each layer and stage over many blocks, margin, delay and energy.

    With --port, what a board counts while it hears audio; else the board --env in QEMU:
    instructions, exactly, and modelled cycles where there is a model: docs/profile.md.
    """
    from wav2small_micro.energy import cells

    chosen = [cells.find(name) for name in cell or DEFAULT_CELLS]
    if port is not None:
        found = _of_port(port, baud, model, seconds, fast, chip, voltage)
    else:
        found = _of_env(env, model, kernels, placement, seconds, link, clock, chip, voltage)
    if save_html is not None:
        from wav2small_micro.profiler import page

        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        page.page(found, chosen, command).write(save_html)
    if save_plot is not None:
        from wav2small_micro.profiler import page

        page.save_picture(save_plot, found)
    if json:
        print_json(found.to_json(chosen))
        return
    _print(found, chosen)
    if save_html is not None:
        out.print(f"report: {escape(str(save_html))}", highlight=False, soft_wrap=True)


def _of_env(
    env: str,
    model: str,
    kernels: str | None,
    placement: str | None,
    seconds: float,
    link: LinkKind,
    clock: float | None,
    chip: str | None,
    voltage: float | None,
) -> "Profile":
    from wav2small_micro import pio
    from wav2small_micro.profiler import bench
    from wav2small_micro.profiler import profile as profiles

    case = bench.Case(env, model, kernels or pio.board(env).kernels, placement or "flash")
    with err.status(f"profiling {case}"):
        return profiles.of_emulator(
            case,
            seconds=seconds,
            link=link,
            clock_hz=None if clock is None else 1e6 * clock,
            chip=chip,
            voltage=voltage,
        )


def _of_port(
    port: str,
    baud: int,
    model: str,
    seconds: float,
    fast: bool,
    chip: str | None,
    voltage: float | None,
) -> "Profile":
    from wav2small_micro.engines.base import Model
    from wav2small_micro.link.client import Device
    from wav2small_micro.link.transport import SerialTransport
    from wav2small_micro.profiler import profile as profiles

    sha256 = bytes.fromhex(Model.load(model).plan.sha256)
    with (
        Device(SerialTransport(port, baud), model_sha256=sha256) as device,
        Progress(console=err, transient=True, disable=not err.is_terminal) as bar,
    ):
        task = bar.add_task(f"profiling {escape(port)}", total=1.0)
        return profiles.of_device(
            device,
            model=Path(model).name,
            seconds=seconds,
            paced=not fast,
            chip=chip,
            voltage=voltage,
            progress=lambda share: bar.update(task, completed=share),
        )


# --- For people ---------------------------------------------------------------------------------


def _print(found: "Profile", cells: "list[Cell]") -> None:
    from wav2small_micro.profiler.page import label
    from wav2small_micro.profiler.parts import BLOCK_SECONDS

    mean = found.total.mean()
    rows = [
        (
            label(name),
            *(f"{x / 1e3:,.1f}" for x in (spread.least, spread.median, spread.p99, spread.most)),
            f"{spread.mean / BLOCK_SECONDS / 1e6:,.2f}",
            f"{100 * spread.mean / mean:.1f} %",
        )
        for name, spread in found.spreads().items()
    ]
    columns = ["stage", "least", "median", "99 %", "most", "M/s", "share"]
    out.print(
        table(
            f"{found.model} on {found.board}: thousand {found.what} in a block of 20 ms,\n"
            f"over {len(found.total):,} blocks",
            columns,
            rows,
        )
    )
    for line in _lines(found):
        out.print(line, highlight=False, soft_wrap=True)
    figures = found.energy_figures(cells)
    if figures and found.energy is not None:
        title = (
            f"Energy, modelled: {found.energy.chip.title} at {found.energy.clock_hz / 1e6:g} MHz"
        )
        shown = [(name, f"[italic magenta]{figure.text}[/]") for name, figure in figures]
        out.print(table(title, ["", "value, and its interval"], shown))
    for note in found.notes:
        out.print(f"- {escape(note)}", highlight=False, soft_wrap=True)


def _lines(found: "Profile") -> list[str]:
    lines = []
    at = f"at {found.clock_hz / 1e6:g} MHz"
    responses = found.responses_ms
    if found.margin is not None and found.duty is not None:
        lines.append(f"margin {at}: {found.margin:.2f} times real time, duty {found.duty:.1%}")
        if responses is None:
            lines[-1] += ", [bold red]it cannot keep up[/]"
        else:
            lines[-1] += f", a block is done after {responses.max():.1f} ms at worst"
    elif found.allowed_cycles is not None:
        allowed = f"{found.allowed_cycles:.2f} cycles at most"
        lines.append(f"margin {at}: it keeps up if an instruction takes {allowed} on the mean")
    delay = found.delay
    if delay is not None:
        work = "the work not known" if delay.compute_ms is None else f"{delay.compute_ms:.1f} work"
        lines.append(
            f"sound to answer: {delay.least_ms:.0f} to {delay.most_ms:.0f} ms at worst "
            f"(0 to {delay.half_second_ms:.0f} for the half second to end, "
            f"{delay.look_ahead_ms:.0f} look-ahead, {delay.waiting_ms:.0f} for rows that are taken "
            f"together and the block to be whole, {work})"
        )
    if found.run is not None:
        run = found.run
        if found.clock is not None:
            lines.append(f"clock against this machine's: {found.clock.text}")
        if len(run.lags_s):
            lags = 1e3 * run.lags_s
            lines.append(
                f"answers came here {lags.min():.0f} to {lags.max():.0f} ms after their half second"
            )
    return lines
