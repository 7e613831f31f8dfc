# SPDX-License-Identifier: Apache-2.0
"""The Typer application: every command by name."""

from typing import Annotated

import typer

from wav2small_micro import __version__
from wav2small_micro.cli import (
    bench,
    data,
    demo,
    distill,
    energy,
    evaluation,
    firmware,
    hil,
    importing,
    infer,
    live,
    mlperf,
    models,
    pdm,
    profile,
    soak,
    stream,
    teachers,
)
from wav2small_micro.cli.console import ErrorsWithHints

app = typer.Typer(
    name="w2s",
    cls=ErrorsWithHints,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Wav2Small on microcontrollers: arousal, dominance and valence of a voice.",
)


def _print_version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    show: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Wav2Small on microcontrollers: arousal, dominance and valence of a voice."""


app.command()(infer.run)
app.command()(infer.compare)
app.command()(stream.stream)
app.command()(live.live)
app.command()(demo.demo)
app.command(rich_help_panel="Firmware")(firmware.build)
app.command(rich_help_panel="Firmware")(firmware.flash)
app.command(rich_help_panel="Firmware")(firmware.size)
app.command(rich_help_panel="Firmware")(bench.bench)
app.command(rich_help_panel="Firmware")(profile.profile)
app.command(rich_help_panel="Firmware")(pdm.pdm)
app.command(rich_help_panel="Firmware")(mlperf.mlperf)
app.command(rich_help_panel="Firmware")(hil.hil)
app.command(rich_help_panel="Firmware")(soak.soak)
app.command(rich_help_panel="Firmware")(energy.energy)
app.add_typer(data.data, name="data", rich_help_panel="Models")
app.command(rich_help_panel="Models")(teachers.teach)
app.command(rich_help_panel="Models")(teachers.label)
app.command(rich_help_panel="Models")(distill.distill)
app.command("import", rich_help_panel="Models")(importing.import_)
app.command(rich_help_panel="Models")(models.convert)
app.command(rich_help_panel="Models")(evaluation.evaluate)
app.command(rich_help_panel="Models")(models.generate)


def main() -> None:
    """Entry point of ``w2s``."""
    app()


if __name__ == "__main__":
    main()
