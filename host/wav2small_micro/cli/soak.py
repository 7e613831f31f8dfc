# SPDX-License-Identifier: Apache-2.0
"""``w2s soak``: hours of audio through a board, every answer checked."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wav2small_micro import paths, pio
from wav2small_micro.cli import clips as clip_arguments
from wav2small_micro.cli.console import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    JsonOption,
    ModelOption,
    err,
    out,
    print_json,
    table,
)
from wav2small_micro.emulator import LinkKind
from wav2small_micro.errors import W2sError
from wav2small_micro.link.transport import DEFAULT_BAUD

if TYPE_CHECKING:
    from wav2small_micro.link.transport import Transport
    from wav2small_micro.soak import Report


def soak(
    clips: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders or patterns; the shipped clips if none."),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    emulator: Annotated[
        str, typer.Option("--emulator", "-e", help="A board in QEMU, by its environment.")
    ] = DEFAULT_ENV,
    port: Annotated[
        str | None, typer.Option("--port", help="A board instead: serial port or pyserial URL.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.001, help="Audio, in hours.")] = 1.0,
    faults: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the frames that the line spoils.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same sessions.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the last soak of this board ended.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where the state is kept: out/.")
    ] = None,
    transport: Annotated[
        LinkKind, typer.Option(help="Of --emulator: uart is slow and real.")
    ] = LinkKind.SEMIHOSTING,
    baud: Annotated[int, typer.Option(help="Of --port.")] = DEFAULT_BAUD,
    json: JsonOption = False,
) -> None:
    """Hours of audio through a board: every answer against the C library, every frame counted.

    Clips and live streams, loud and quiet, extreme signals, and rows of layers now and then; both
    ends' counters are compared after each. Ctrl-C ends it with the report so far, and --resume goes
    on. The exit code is 1 where an answer is wrong or missing, the counters contradict each other,
    or (without --faults) a frame is lost.
    """
    from wav2small_micro import soak as soaks
    from wav2small_micro.audio import read_clip
    from wav2small_micro.engines.base import Model
    from wav2small_micro.link.client import Device
    from wav2small_micro.link.faulty import FaultyTransport

    loaded = Model.load(model)
    named = clips or [str(paths.demo_clip().parent)]
    heard = [read_clip(path).pcm for path in clip_arguments.find_clips(named)]
    where = "board" if port else emulator
    path = soaks.state_path(folder or paths.repo_root() / "out", where, loaded.name)
    before = soaks.load(path) if resume else None
    if before and (before.seed, before.fault_rate) != (seed, faults):
        raise W2sError(
            f"{path} is of --seed {before.seed} --faults {before.fault_rate:g}",
            "name the same, or leave out --resume",
        )
    with _transport(port, baud, emulator, transport, loaded.folder) as stream:
        line = FaultyTransport(stream, seed=seed, rate=faults) if faults else None
        sha256 = bytes.fromhex(loaded.plan.sha256)
        with Device(line or stream, model_sha256=sha256) as device:
            running = soaks.Soak(
                device, loaded.plan, heard, seed=seed, line=line, fault_rate=faults, report=before
            )
            interrupted = False
            with _progress() as progress:
                task = progress.add_task("", total=hours * 3600)

                def show(report: "Report") -> None:
                    text = f"{report.sessions} sessions, {report.speed:.1f} x real time"
                    progress.update(task, completed=report.audio_seconds, description=text)

                try:
                    running.run(hours, show, lambda report: soaks.save(path, report))
                except KeyboardInterrupt:
                    interrupted = True
            report = running.report
    if json:
        print_json(asdict(report) | {"speed": report.speed, "holds": report.holds})
    else:
        _print(report)
    if interrupted:
        err.print(f"interrupted; --resume goes on from {path}", highlight=False)
        raise typer.Exit(130)
    if not report.holds:
        raise typer.Exit(1)


@contextlib.contextmanager
def _transport(
    port: str | None, baud: int, env: str, kind: LinkKind, model: Path
) -> "Iterator[Transport]":
    """The stream to a board: a port's, which its Device closes, or that of an emulator."""
    from wav2small_micro.emulator import Emulator
    from wav2small_micro.link.transport import SerialTransport

    if port is not None:
        yield SerialTransport(port, baud)
        return
    board = pio.emulated_board(env)
    with err.status(f"building for {env}"):
        elf = pio.build(env, model)
    with Emulator(elf, board, link=kind) as emulator:
        yield emulator.transport()


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=err, disable=not err.is_terminal)


def _print(report: "Report") -> None:
    counted = f"{report.frames_sent:,} and {report.frames_received:,}"
    errors = f"{report.crc_errors}, {report.framing_errors}, {report.rx_overruns}"
    rows = [
        ("audio", f"{report.audio_seconds / 3600:.3f} h, {report.speed:.1f} x real time"),
        (
            "sessions",
            f"{report.sessions}: {report.live_sessions} live, {report.tapped_sessions} tapped",
        ),
        ("windows, rows", f"{report.windows:,} and {report.rows:,} compared"),
        ("answers wrong, missing", f"{report.wrong}, {report.failed}"),
        ("frames to the board, to the host", counted),
        ("of them lost", f"{report.lost_to_device}, {report.lost_to_host}"),
        ("CRC, framing, overrun", errors),
        ("sent again", str(report.sent_again)),
        ("restarts", str(report.restarts)),
        ("contradictions", str(report.contradictions)),
    ]
    if report.fault_rate:
        rows.append(("disturbances made", f"{report.disturbances:,}"))
    verdict = "[green]holds[/]" if report.holds else "[bold red]DOES NOT HOLD[/]"
    out.print(table(f"{report.model} on {report.board}", ["", "seed " + str(report.seed)], rows))
    out.print(verdict)
    for problem in report.problems:
        out.print(f"[red]{escape(problem)}[/]", highlight=False)
