# SPDX-License-Identifier: Apache-2.0
"""``w2s demo``: the whole way in one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from wav2small_micro import paths, pio
from wav2small_micro.cli.console import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    EnvOption,
    JsonOption,
    ModelOption,
    err,
    out,
    print_json,
    table,
)
from wav2small_micro.cli.infer import print_verdict
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.report import to_json

if TYPE_CHECKING:
    from wav2small_micro.demo import Demonstration


def demo(
    clip: Annotated[
        Path | None, typer.Argument(help="An audio file; one that ships with the project if none.")
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    env: EnvOption = DEFAULT_ENV,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Where the plot goes: out/demo.png.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """A clip through float, tflite, tflm, c and the firmware on an emulated board, side by side."""
    from wav2small_micro import demo as demonstration
    from wav2small_micro.engines.base import Model

    heard = clip or paths.demo_clip()
    saved = picture or paths.repo_root() / "out" / "demo.png"
    with err.status("starting") as status:
        shown = demonstration.run(heard, Model.load(model), env, saved, status.update)
    if json:
        print_json(
            {"model": model, "env": env} | to_json([shown.clip], shown.verdict) | shown.to_json()
        )
    else:
        _print(shown, model, env)
    if not shown.verdict.holds:
        raise typer.Exit(1)


def _print(shown: "Demonstration", model: str, env: str) -> None:
    rows = [
        (engine, *(f"{x:.4f}" for x in answer.adv), f"{answer.details.get('seconds', 0):.2f}")
        for engine, answer in shown.clip.answers.items()
    ]
    name = Path(shown.clip.path).name
    title = f"{name} ({shown.clip.seconds:.2f} s), {model}"
    out.print(table(title, ["engine", *DIMENSIONS, "seconds here"], rows))
    print_verdict(shown.verdict)
    board = pio.board(env)
    figures = [
        ("RAM, stack included", f"{shown.size['ram']:,} of {board.ram_size:,} bytes"),
        ("stack used", f"{shown.stack_used:,} of {shown.size['stack']:,} bytes"),
        ("flash", f"{shown.size['flash']:,} of {board.flash_size:,} bytes"),
        *(
            (
                f"instructions, {stage.replace('_', ' ')}",
                f"{count / 1e6:,.1f} M per second of audio",
            )
            for stage, count in shown.instructions.items()
        ),
    ]
    out.print(table(f"{board.name}, emulated", ["", ""], figures))
    out.print(f"picture: {escape(str(shown.picture))}", highlight=False, soft_wrap=True)
