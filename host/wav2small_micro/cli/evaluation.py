# SPDX-License-Identifier: Apache-2.0
"""``w2s evaluate``: how well answers agree, and with whom."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from wav2small_micro.cli.console import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    EnvOption,
    JsonOption,
    err,
    out,
    print_json,
)
from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS

if TYPE_CHECKING:
    from wav2small_micro.evaluation import run


def evaluate(
    models: Annotated[
        list[str] | None, typer.Argument(help="Models by name or folder; the 72K without any.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Manifest of clips; the research data's without it.")
    ] = None,
    split: Annotated[str, typer.Option(help="Side of the manifest: train, dev or test.")] = "dev",
    labels: Annotated[
        Path | None, typer.Option(help="A teacher's labels, from w2s label: a second reference.")
    ] = None,
    engines: Annotated[str, typer.Option(help="Engines by name, separated by commas.")] = "c",
    norm: Annotated[
        str, typer.Option(help="utterance, live or both; without it what the model was made for.")
    ] = "",
    by: Annotated[
        str, typer.Option(help="Tell apart by corpus, sex and language, separated by commas.")
    ] = "corpus",
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="First engine, disturbed: gain, noise, band, windows."),
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for scatter plots and robustness curves.")
    ] = None,
    svg: Annotated[bool, typer.Option("--svg", help="Plots as SVG instead of PNG.")] = False,
    card: Annotated[
        bool, typer.Option("--card", help="Write the figures into each model's README.md.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(help="At most so many clips, spread over the manifest.", min=2)
    ] = None,
    env: EnvOption = DEFAULT_ENV,
    port: Annotated[
        str | None, typer.Option(help="Serial port or pyserial URL of engine 'board'.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Clips at once; one a core.", min=1)] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Where answers are kept; out/evaluation/answers.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """CCC with people and with a teacher, of int8 with float, and under disturbance.

    Each figure has a 95 % interval from drawing speakers. Answers are kept: a run that was stopped
    goes on where it was.
    """
    from wav2small_micro.data import manifest as manifests
    from wav2small_micro.engines.base import Model
    from wav2small_micro.evaluation import run

    named = models or [DEFAULT_MODEL]
    request = run.Request(
        models=tuple(Model.load(name) for name in named),
        manifest=manifests.read(manifest) if manifest else manifests.research(),
        split=split,
        labels=labels,
        engines=_names(engines) or ("c",),
        norms=_names(norm),
        by=_names(by),
        robustness=robustness,
        limit=limit,
        env=env,
        port=port,
        jobs=jobs,
        answers=answers,
    )
    with _progress() as progress:
        result = run.evaluate(request, progress)
    written: list[Path] = []
    if plots:
        from wav2small_micro.evaluation import plots as pictures

        written += pictures.write(result, plots, "svg" if svg else "png")
    if card:
        written += _cards(request, result)
    if json:
        print_json(result.to_json() | {"written": written})
        return
    _print(result)
    for path in written:
        out.print(escape(str(path)), highlight=False, soft_wrap=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


@contextmanager
def _progress() -> "Iterator[run.Progress]":
    """A bar a stage on a terminal; elsewhere a line a stage."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal
    )
    tasks: dict[str, Any] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(escape(what), total=total)
            if not err.is_terminal:
                err.print(f"{escape(what)}: {total}", highlight=False)
        bar.update(tasks[what], completed=done)
        if done >= total:
            bar.update(tasks[what], visible=False)

    with bar:
        yield show


def _cards(request: "run.Request", result: "run.Result") -> list[Path]:
    from wav2small_micro.evaluation import card

    if request.limit:
        raise W2sError("a card of --limit clips would mislead", "leave --limit away")
    written = []
    for model in request.models:
        written += card.write(result, model.name, model.folder, _command(request, model.name))
    return written


def _command(request: "run.Request", model: str) -> str:
    """The call that writes one card again, without folders that another machine has not."""
    words = ["w2s", "evaluate", model, "--engines", ",".join(request.engines)]
    if request.split != "dev":
        words += ["--split", request.split]
    if request.labels:
        words += ["--labels", request.labels.name]
    if request.norms:
        words += ["--norm", ",".join(request.norms)]
    words += ["--robustness"] if request.robustness else []
    return shlex.join([*words, "--card"])


def _print(result: "run.Result") -> None:
    from wav2small_micro.evaluation import card

    facts = result.facts
    minutes = f"{facts['seconds'] / 60:.1f} minutes"
    out.print(
        f"{facts['clips']} clips, {minutes}, {facts['speakers']} speakers, side {facts['split']}: "
        "CCC, in brackets 95 % intervals over speakers",
        highlight=False,
    )
    for reference, words in card.WORDS.items():
        rows = [_with_series(row) for row in result.rows if row["reference"] == reference]
        if rows:
            out.print(_by_dimension(f"With {words}", rows, "of", "group"))
    if result.differences:
        rows = [
            _with_series(row) | {"than": _than(row["minus"], row)} for row in result.differences
        ]
        for (reference,), chosen in _apart(rows, ("reference",)).items():
            title = f"Agrees better with {card.WORDS[reference]}, by"
            out.print(_by_dimension(title, chosen, "of", "than", key="difference"))
    for about, rows in _apart(result.robustness, ("model", "engine", "norm", "reference")).items():
        *series, reference = about
        words = card.WORDS.get(reference, "the undisturbed answers")
        out.print(
            _by_dimension(f"{' '.join(series)}, disturbed, with {words}", rows, "disturbance")
        )
    for path, reason in result.skipped.items():
        err.print(f"[yellow]left out:[/] {escape(path)}: {escape(reason)}", highlight=False)


def _than(two: dict[str, str], one: dict[str, Any]) -> str:
    """What a series was compared with, as far as it differs."""
    return " ".join(value for key, value in two.items() if value and value != one[key])


def _with_series(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"of": " ".join(x for x in (row["model"], row["engine"], row["norm"]) if x)}


def _apart(
    rows: Sequence[dict[str, Any]], names: Sequence[str]
) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(str(row[name]) for name in names), []).append(row)
    return found


def _by_dimension(
    title: str, rows: Sequence[dict[str, Any]], *names: str, key: str = "ccc"
) -> RenderableType:
    """A line for the three rows of its dimensions; ``names`` are the columns that tell lines
    apart."""
    from wav2small_micro.evaluation import card

    made = Table(title=escape(title), title_justify="left", title_style="bold")
    for name in names:
        made.add_column(name, overflow="fold")
    made.add_column("clips", justify="right")
    for dimension in DIMENSIONS:
        made.add_column(dimension, no_wrap=True)
    for about, found in _apart(rows, (*names, "n")).items():
        said = {row["dimension"]: card.interval(row, key, "{} ({}, {})") for row in found}
        made.add_row(*map(escape, about), *(said.get(d, "-") for d in DIMENSIONS))
    return made
