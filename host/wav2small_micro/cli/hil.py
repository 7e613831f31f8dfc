# SPDX-License-Identifier: Apache-2.0
"""``w2s hil``: a verdict on a board, and the report that it rests on."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from wav2small_micro.cli import clips as clip_arguments
from wav2small_micro.cli.console import (
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
    from wav2small_micro.hil.rig import Target
    from wav2small_micro.hil.suite import Result, Suite

_MARKS = {"pass": "[green]pass[/]", "fail": "[bold red]FAIL[/]", "skip": "[yellow]skip[/]"}


def hil(
    clips: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders or patterns; clips of the project if none."),
    ] = None,
    port: Annotated[
        str | None, typer.Option("--port", help="A board: serial port or pyserial URL.")
    ] = None,
    emulator: Annotated[
        str | None, typer.Option("--emulator", help="A board in QEMU, by its environment.")
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    seconds: Annotated[float, typer.Option(min=0, help="Live audio to soak the device in.")] = 20.0,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Only this check or group (rows), and what it needs."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Save the report: one file for a browser.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Save the results as JUnit XML.")
    ] = None,
    baud: Annotated[int, typer.Option(help="Of --port.")] = DEFAULT_BAUD,
    link: Annotated[
        LinkKind, typer.Option(help="Of --emulator: uart is slow and real.")
    ] = LinkKind.SEMIHOSTING,
    late: Annotated[
        float | None, typer.Option(help="Seconds after which an answer is late: 1; emulated 5.")
    ] = None,
    list_checks: Annotated[
        bool, typer.Option("--list", help="Only say what the checks are.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Test a board, or an emulated one, against this machine's engines and the golden vectors.

    The exit code is 0 when every check passes. Otherwise the last lines say what is the matter.
    """
    from wav2small_micro.engines.base import Model
    from wav2small_micro.hil.checks import CHECKS
    from wav2small_micro.hil.rig import Options, Rig
    from wav2small_micro.hil.suite import Suite

    if list_checks:
        out.print(
            table("Checks", ["check", "holds"], [(c.name, c.holds) for c in CHECKS], words=True)
        )
        return
    files = tuple(clip_arguments.find_clips(clips or []))
    loaded = Model.load(model)
    with err.status("starting") as status:

        def progress(text: str) -> None:
            status.update(escape(text))

        target = _target(port, emulator, loaded.folder, baud, link, progress)
        options = Options(clips=files, soak_seconds=seconds, late_s=late)
        suite = Suite(Rig(target, loaded, options, progress), CHECKS)
        names, _ = suite.names(only), suite.rig.clips  # what is misnamed is said first
        try:
            suite.run(names)
        finally:
            suite.rig.close()
    if json:
        print_json(suite.to_json())
    else:
        _print(suite)
    _save(suite, html, junit)
    if not suite.passed:
        raise typer.Exit(1)


def _target(
    port: str | None,
    emulator: str | None,
    model: Path,
    baud: int,
    link: LinkKind,
    progress: Callable[[str], None],
) -> "Target":
    from wav2small_micro.hil.rig import emulator_target, serial_target

    if (port is None) == (emulator is None):
        raise W2sError(
            "name the device: --port or --emulator, one of them",
            "for example --port /dev/ttyACM0, or --emulator stm32f407_discovery",
        )
    if port is not None:
        return serial_target(port, baud)
    progress(f"building the firmware of {emulator}")
    return emulator_target(emulator or "", model, link=link)


def _save(suite: "Suite", html: Path | None, junit: Path | None) -> None:
    from wav2small_micro.hil import junit as junit_xml
    from wav2small_micro.hil import report

    try:
        if html is not None:
            report.page(suite).write(html)
        if junit is not None:
            junit_xml.write(junit, suite)
    except OSError as error:
        raise W2sError(f"cannot save the report: {error}", "name another path") from error
    for path in filter(None, (html, junit)):
        err.print(f"saved {escape(str(path))}", highlight=False, soft_wrap=True)


def _print(suite: "Suite") -> None:
    columns = ["check", "", "what was seen"]
    out.print(table(_title(suite), columns, map(_row, suite.results.values()), words=True))
    first = suite.diagnosis
    if first:
        out.print(f"[bold red]{first.diagnosis.name}:[/] {first.diagnosis.meaning}", soft_wrap=True)
        out.print(f"seen:  {escape(first.seen)}", highlight=False, soft_wrap=True)
        out.print(f"hint:  {escape(first.diagnosis.advice)}", highlight=False, soft_wrap=True)
    elif suite.passed:
        out.print("[bold green]PASS[/]")


def _title(suite: "Suite") -> str:
    return ", ".join(f"{name} {value}" for name, value in list(suite.describe().items())[:2])


def _row(result: "Result") -> tuple[str, str, str]:
    return result.name, _MARKS[result.verdict], escape(result.says or result.holds)
