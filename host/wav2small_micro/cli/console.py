# SPDX-License-Identifier: Apache-2.0
"""What every command shares: options, tables for people, JSON for scripts, errors with a hint."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from wav2small_micro.errors import W2sError

DEFAULT_MODEL = "wav2small-72k"
DEFAULT_ENV = "stm32f407_discovery"

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="Model folder in models/, or a path to one.")
]
EnvOption = Annotated[
    str, typer.Option("--env", "-e", help="Board: a PlatformIO environment of this project.")
]
KernelsOption = Annotated[
    str | None,
    typer.Option("--kernels", "-k", help="Kernel set instead of the board's own."),
]
PlacementOption = Annotated[
    str | None,
    typer.Option(help="What is copied to RAM at start: flash (nothing), code, weights or both."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]

out = Console()
err = Console(stderr=True)


class ErrorsWithHints(TyperGroup):
    """A command group that turns W2sError into two lines on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except W2sError as error:
            print_error(error)
            raise typer.Exit(1) from error


def print_error(error: W2sError) -> None:
    """The message, and the hint below it where there is one."""
    err.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        err.print(f"[bold]hint:[/]  {escape(error.hint)}", highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(data, indent=2, default=_plain))


def print_json_line(data: Any) -> None:
    """One JSON document on one line, for streams."""
    typer.echo(json.dumps(data, default=_plain))


def _plain(value: Any) -> Any:
    """numpy values and paths as what JSON knows."""
    to_list: Callable[[], Any] | None = getattr(value, "tolist", None)
    return to_list() if to_list else str(value)


def progress_bar() -> Progress:
    """On stderr, with counts and the time that is left; gone when the work is."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False
) -> RenderableType:
    """A table under its title: the first column is the name, the others are figures or words."""
    made = Table()
    for i, column in enumerate(columns):
        made.add_column(column, justify="left" if words or i == 0 else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return Group(Text(title, style="bold"), made)


def flat_rows(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested figures as rows of a two-column table: ("agreement.valence", "0.5710").

    >>> flat_rows({"a": {"b": 0.5}, "n": 3})
    [('a.b', '0.5000'), ('n', '3')]
    """
    rows: list[tuple[str, str]] = []
    for key, value in data.items():
        if isinstance(value, Mapping):
            rows += flat_rows(value, f"{prefix}{key}.")
        else:
            rows.append(
                (f"{prefix}{key}", f"{value:.4f}" if isinstance(value, float) else str(value))
            )
    return rows
