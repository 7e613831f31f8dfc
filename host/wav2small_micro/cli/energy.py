# SPDX-License-Identifier: Apache-2.0
"""``w2s energy``: what an inference takes, measured from a trace of current or modelled."""

import json as json_module
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress as ProgressBar

from wav2small_micro import pio
from wav2small_micro.cli.console import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    EnvOption,
    JsonOption,
    KernelsOption,
    ModelOption,
    err,
    out,
    print_json,
    table,
)
from wav2small_micro.errors import W2sError

if TYPE_CHECKING:
    from wav2small_micro.energy.align import Timeline
    from wav2small_micro.energy.cells import Cell
    from wav2small_micro.energy.figures import Figure, Range
    from wav2small_micro.energy.measure import Measurement
    from wav2small_micro.energy.model import Estimate
    from wav2small_micro.energy.options import Options
    from wav2small_micro.energy.trace import Recording

BLOCK_SECONDS = 0.02


class Meter(StrEnum):
    """Instruments that can be read live."""

    PPK2 = "ppk2"
    LPM01A = "lpm01a"


def energy(
    traces: Annotated[
        list[Path] | None,
        typer.Argument(help="Recordings: CSV, PPK2's .ppk2, Joulescope's .jls, LPM01A's log."),
    ] = None,
    live: Annotated[Meter | None, typer.Option(help="Measure now with this instrument.")] = None,
    port: Annotated[str | None, typer.Option(help="Its serial port.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to measure live.")] = 10.0,
    supply: Annotated[
        bool, typer.Option("--supply", help="A PPK2 feeds the board, and does not only measure.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option(help="Also keep what was measured live: CSV.")
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(help="Port of the board: it gets audio meanwhile, and gives its timeline."),
    ] = None,
    save_timeline: Annotated[
        Path | None, typer.Option("--save-timeline", help="Also keep that timeline: JSON.")
    ] = None,
    marker: Annotated[
        str | None, typer.Option(help="Digital channel that is high during an inference: D0.")
    ] = None,
    marker_low: Annotated[
        bool, typer.Option("--marker-low", help="It is low during an inference.")
    ] = False,
    debounce: Annotated[
        float, typer.Option(min=0, help="Marker pulses that are noise, in microseconds.")
    ] = 50.0,
    timeline: Annotated[
        Path | None, typer.Option(help="The firmware's own timeline, in the place of a marker.")
    ] = None,
    audio: Annotated[
        float | None, typer.Option(min=1e-4, help="Seconds of audio an inference is for.")
    ] = None,
    voltage: Annotated[
        float | None, typer.Option(help="Supply in volts, where the trace does not hold it.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Samples a second, where the trace does not say.")
    ] = None,
    accuracy: Annotated[
        float | None, typer.Option(help="Accuracy of the instrument in per cent, if you know it.")
    ] = None,
    with_model: Annotated[
        bool, typer.Option("--with-model", help="Also show the model beside a measurement.")
    ] = False,
    model: ModelOption = DEFAULT_MODEL,
    env: EnvOption = DEFAULT_ENV,
    kernels: KernelsOption = None,
    chip: Annotated[
        str | None, typer.Option(help="Chip of the energy model; the board's by default.")
    ] = None,
    clock: Annotated[float | None, typer.Option(help="Its clock in MHz; the highest.")] = None,
    cycles: Annotated[
        float | None,
        typer.Option(help="Cycles per second of audio, as a board counted them."),
    ] = None,
    cell: Annotated[
        list[str] | None, typer.Option(help="Battery: a name such as cr2032, or its mAh.")
    ] = None,
    list_chips: Annotated[
        bool, typer.Option("--chips", help="List the model's currents and their sources.")
    ] = False,
    save_plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw the trace: PNG.")
    ] = None,
    save_html: Annotated[Path | None, typer.Option("--html", help="Also write a report.")] = None,
    json: JsonOption = False,
) -> None:
    """Energy of an inference: measured from traces of current, or else modelled.

    Measured figures come from an instrument; the model multiplies cycles by currents of the
    datasheet. The two are never mixed, and each says which it is: docs/energy.md.
    """
    from wav2small_micro.energy import align, cells
    from wav2small_micro.energy.options import Options
    from wav2small_micro.energy.readers import open_recording

    if list_chips:
        _print_chips(json)
        return
    if marker is not None and timeline is not None:
        raise W2sError("--marker and --timeline exclude each other", "a marker is the more exact")
    if live is None and (port or save or supply or board or save_timeline):
        raise W2sError(
            "--port, --save, --supply, --board and --save-timeline are for --live",
            "--live ppk2 or lpm01a",
        )
    chosen = [cells.find(name) for name in cell or ()]
    options = Options(voltage, rate, accuracy)
    told = None if timeline is None else align.read_timeline(timeline)
    recordings = [open_recording(path, options) for path in traces or ()]
    if live is not None:
        now, by_board = _live(live, port, seconds, supply, save, board, options)
        if by_board is not None and save_timeline is not None:
            save_timeline.write_text(json_module.dumps(by_board.to_json()) + "\n")
        told = told or (None if marker else by_board)
        recordings.append(now)
    measured = [
        _measure(recording, marker, marker_low, debounce, told, audio) for recording in recordings
    ]
    modelled = None
    if not measured or with_model:
        modelled = _model(model, env, kernels, chip, clock, cycles, voltage, audio)
    if save_plot is not None:
        _save_plots(save_plot, measured)
    if save_html is not None:
        from wav2small_micro.energy import report

        command = " ".join(["w2s", *sys.argv[1:]])
        report.page(measured, modelled, chosen, command).write(save_html)
    if json:
        print_json(_to_json(measured, modelled, chosen))
    else:
        for one in measured:
            _print_measured(one, chosen)
        if modelled is not None:
            _print_modelled(modelled, chosen)


# --- Measured ------------------------------------------------------------------------------------


def _live(
    live: Meter,
    port: str | None,
    seconds: float,
    supply: bool,
    save: Path | None,
    board: str | None,
    options: "Options",
) -> "tuple[Recording, Timeline | None]":
    from wav2small_micro import paths
    from wav2small_micro.audio import read_clip
    from wav2small_micro.energy.live import lpm01a, ppk2
    from wav2small_micro.energy.live.session import Playing
    from wav2small_micro.link.client import Device
    from wav2small_micro.link.transport import SerialTransport

    with _bar() as bar, ExitStack() as open_:
        task = bar.add_task(f"measuring with the {live.value}: Ctrl-C ends it early", total=1.0)

        def progress(share: float) -> None:
            bar.update(task, completed=share)

        playing = None
        if board is not None:
            device = open_.enter_context(Device(SerialTransport(board)))
            playing = Playing(device, read_clip(paths.demo_clip()).pcm, seconds)
            open_.callback(playing.finish)  # while the line is still open
            playing.start()
        if live is Meter.PPK2:
            found = ppk2.record(port, seconds, options, supply=supply, progress=progress)
        else:
            found = lpm01a.record(port, seconds, options, progress=progress)
    if save is not None:
        _save(save, found)
    return found, None if playing is None else playing.timeline()


def _bar() -> ProgressBar:
    """Progress on a terminal, and nothing in a pipe."""
    return ProgressBar(console=err, transient=True, disable=not err.is_terminal)


def _save(path: Path, recording: "Recording") -> None:
    from wav2small_micro.energy.live.spool import save_csv

    with err.status(f"saving {escape(str(path))}"):
        save_csv(path, recording)
    err.print(f"saved {escape(str(path))}", highlight=False, soft_wrap=True)


def _measure(
    recording: "Recording",
    marker: str | None,
    marker_low: bool,
    debounce: float,
    timeline: "Timeline | None",
    audio: float | None,
) -> "Measurement":
    from wav2small_micro.energy import measure

    with _bar() as bar:
        task = bar.add_task(f"reading {escape(Path(recording.source).name)}", total=1.0)

        def progress(share: float) -> None:
            bar.update(task, completed=share)

        if timeline is not None:
            if audio is not None:
                timeline = replace(timeline, audio_seconds=audio)
            return measure.by_timeline(recording, timeline, progress=progress)
        if marker is None:
            return measure.unaligned(recording, progress=progress)
        return measure.by_marker(
            recording,
            marker,
            low=marker_low,
            debounce=debounce * 1e-6,
            audio_seconds=BLOCK_SECONDS if audio is None else audio,
            progress=progress,
        )


def _save_plots(path: Path, measured: "Sequence[Measurement]") -> None:
    from wav2small_micro.energy import plot

    if not measured:
        raise W2sError("there is no trace to draw", "name one, or leave --plot away")
    for i, one in enumerate(measured):
        plot.save(path if i == 0 else path.with_stem(f"{path.stem}-{i + 1}"), one)


# --- Modelled ------------------------------------------------------------------------------------


def _model(
    model: str,
    env: str,
    kernels: str | None,
    chip: str | None,
    clock: float | None,
    cycles: float | None,
    voltage: float | None,
    audio: float | None,
) -> "Estimate":
    from wav2small_micro.energy import chips
    from wav2small_micro.energy import model as energy_model
    from wav2small_micro.energy.figures import Range

    known = chips.of_board(env) if chip is None else chips.find(chip)
    hz = known.clock_mhz[1] * 1e6 if clock is None else clock * 1e6
    needed = (
        Range.exact(cycles)
        if cycles is not None
        else _recorded_cycles(model, env, kernels, known.core, hz, chip is None)
    )
    return energy_model.estimate(
        needed,
        known,
        hz,
        voltage=voltage,
        block_seconds=BLOCK_SECONDS if audio is None else audio,
    )


def _recorded_cycles(
    model: str, env: str, kernels: str | None, core: str, hz: float, is_board: bool
) -> "Range":
    """Cycles of the bench's record, with the cycle model's error and what flash may add."""
    from wav2small_micro.energy.model import modelled_cycles
    from wav2small_micro.profiler import bench, counts

    board = pio.board(env)
    if core not in counts.TIMED_CPUS or board.cpu != core:
        raise W2sError(
            f"there is no cycle model of a {core}"
            + (f", and {env} is a {board.cpu}" if board.cpu != core else ""),
            "count them on a board, and give them: --cycles 60e6",
        )
    is_counted = board.emulator is not None  # else the same core and kernels stand for it
    counted = env if is_counted else DEFAULT_ENV
    wanted = bench.Case(counted, Path(model).name, kernels or bench.kernels_of(board)[-1])
    record: dict[str, Any] = json_module.loads(bench.record_path().read_text())
    loops = {bench.case_of(row): row for row in record["rows"] if row["part"] == "loop"}
    if wanted not in loops:
        raise W2sError(
            f"the record of the bench has no {wanted}",
            "w2s bench counts its cycles; give them: --cycles 60e6",
        )
    loop = loops[wanted]
    firmware = next(f for f in record["firmware"] if bench.case_of(f) == wanted)
    waits = _waits(firmware, hz) if is_board and is_counted else 0.3 * loop["cycles"]
    return modelled_cycles(
        loop["cycles"], by_refill=tuple(loop["cycles_by_refill"].values()), waits=waits
    )


def _waits(firmware: dict[str, Any], hz: float) -> float:
    """Cycles that flash may add at a clock: the estimate of the next clock up that has one."""
    if firmware["flash_waits"] is None:
        return 0.0
    estimates = sorted(firmware["flash_waits"]["estimates"], key=lambda found: found["clock_hz"])
    above = [found for found in estimates if found["clock_hz"] >= hz * 0.999]
    return float((above or estimates[-1:])[0]["cycles"])


# --- For people and scripts ----------------------------------------------------------------------


def _print_measured(one: "Measurement", chosen: "Sequence[Cell]") -> None:
    from wav2small_micro.energy import report

    used = int(one.inferences.good.sum())
    title = f"Measured: {one.recording.source}, {one.recording.instrument.title}"
    figures = report.rows(one.figures) + report.cell_rows(one, chosen)
    out.print(_figure_table(title, figures))
    if one.method:
        out.print(
            f"{used:,} of {len(one.inferences):,} inferences, by {one.method}", highlight=False
        )
    if one.fit is not None:
        out.print(
            f"timeline found at {one.fit.offset:.4f} s, "
            f"clocks {one.fit.drift * 1e6:+.0f} ppm apart, correlation {one.fit.correlation:.2f}",
            highlight=False,
        )
    _print_notes([*one.notes, *report.cell_warnings(one, chosen)])


def _print_modelled(one: "Estimate", chosen: "Sequence[Cell]") -> None:
    from wav2small_micro.energy import report

    title = f"Modelled, not measured: {one.chip.title} at {one.clock_hz / 1e6:g} MHz"
    figures = report.rows(one.figures()) + report.cell_rows(one, chosen)
    out.print(_figure_table(title, figures))
    cycles = one.cycles_per_second
    out.print(
        f"{cycles.value / 1e6:,.1f} M cycles per second of audio "
        f"({cycles.low / 1e6:,.1f} .. {cycles.high / 1e6:,.1f}); uncertainty from "
        + ", ".join(f"{name} {share:.0%}" for name, share in one.shares.items()),
        highlight=False,
    )
    _print_notes([*one.notes, *report.cell_warnings(one, chosen)])


def _figure_table(title: str, figures: "Sequence[tuple[str, Figure]]") -> Any:
    """Every row says what its figure is; a modelled one is also slanted."""
    shown = [
        (
            name,
            figure.text if figure.kind == "measured" else f"[italic magenta]{figure.text}[/]",
            figure.kind if figure.kind == "measured" else f"[italic magenta]{figure.kind}[/]",
        )
        for name, figure in figures
    ]
    return table(title, ["", "value, and its interval", "origin"], shown)


def _print_notes(lines: Sequence[str]) -> None:
    for line in lines:
        out.print(f"- {escape(line)}", highlight=False, soft_wrap=True)


def _print_chips(json: bool) -> None:
    from wav2small_micro.energy import chips

    if json:
        print_json([chip.to_json() for chip in chips.CHIPS.values()])
        return
    for chip in chips.CHIPS.values():
        out.print(f"[bold]{chip.name}[/]: {escape(chip.title)}", highlight=False, soft_wrap=True)
        for _, mode, amount, interval, source in chips.rows([chip]):
            out.print(f"  {mode}: {amount} mA ({interval})", highlight=False, soft_wrap=True)
            out.print(f"    {escape(source)}", highlight=False, soft_wrap=True, style="dim")


def _to_json(
    measured: "Sequence[Measurement]", modelled: "Estimate | None", chosen: "Sequence[Cell]"
) -> dict[str, Any]:
    from wav2small_micro.energy import report

    def with_cells(one: Any) -> dict[str, Any]:
        hours = {cell.name: one.hours(cell) for cell in chosen}
        found: dict[str, Any] = one.to_json()
        found["hours"] = {
            name: None if figure is None else figure.to_json() for name, figure in hours.items()
        }
        found["notes"] = [*found["notes"], *report.cell_warnings(one, chosen)]
        return found

    return {
        "measured": [with_cells(one) for one in measured],
        "modelled": None if modelled is None else with_cells(modelled),
    }
