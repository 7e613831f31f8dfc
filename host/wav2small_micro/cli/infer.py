# SPDX-License-Identifier: Apache-2.0
"""``w2s run`` and ``w2s compare``: clips through engines."""

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wav2small_micro.cli import clips as clip_arguments
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
from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.report import (
    CONCORDANCE,
    CONCORDANCE_CLIPS,
    WORST,
    ClipReport,
    Verdict,
    answer_json,
    judge,
    to_json,
)

NormOption = Annotated[
    str, typer.Option("--norm", help="Normalisation: utterance (over the clip) or live (causal).")
]
PortOption = Annotated[
    str | None, typer.Option("--port", help="Serial port or pyserial URL of engine 'board'.")
]


def run(
    clip: Annotated[str, typer.Argument(help="An audio file: any format, rate, channel count.")],
    engine: Annotated[str, typer.Option("--engine", help="Which engine answers.")] = "c",
    model: ModelOption = DEFAULT_MODEL,
    env: EnvOption = DEFAULT_ENV,
    norm: NormOption = "utterance",
    port: PortOption = None,
    json: JsonOption = False,
) -> None:
    """Arousal, dominance and valence of one clip."""
    from wav2small_micro.audio import read_clip
    from wav2small_micro.compare import open_engines
    from wav2small_micro.engines.base import Model

    heard = read_clip(clip)
    with open_engines([engine], Model.load(model), env=env, port=port) as engines:
        answer = engines[engine].run(heard.pcm, norm=norm)
    if json:
        found = {"path": clip, "seconds": heard.seconds, "engine": engine, "model": model}
        print_json(found | answer_json(answer) | {"warnings": heard.warnings})
        return
    for warning in heard.warnings:
        err.print(f"[yellow]warning:[/] {escape(warning)}")
    rows = [(name, f"{value:.4f}") for name, value in zip(DIMENSIONS, answer.adv, strict=True)]
    out.print(table(f"{clip} ({heard.seconds:.2f} s), engine {engine}", ["", "value"], rows))


def compare(
    clips: Annotated[list[str], typer.Argument(help="Files, folders or patterns.")],
    engines: Annotated[
        str, typer.Option("--engines", help="Engines by name, separated by commas.")
    ] = "float,tflite,tflm,c",
    model: ModelOption = DEFAULT_MODEL,
    env: EnvOption = DEFAULT_ENV,
    norm: NormOption = "utterance",
    port: PortOption = None,
    json: JsonOption = False,
) -> None:
    """Run clips through engines side by side and judge them.

    The exit code is 1 when a clip could not be run or a bound does not hold: integer engines
    identical at lin, sof and A/D/V; int8 within .03 of float and, over at least 20 clips, a CCC of
    .995.
    """
    from wav2small_micro.compare import open_engines, run_clip
    from wav2small_micro.engines.base import Model

    names = list(dict.fromkeys(name.strip() for name in engines.split(",") if name.strip()))
    if not names:
        raise W2sError("no engine named", "for example --engines float,tflite,c")
    files = clip_arguments.find_clips(clips)
    loaded = Model.load(model)
    reports: list[ClipReport] = []
    with open_engines(names, loaded, env=env, port=port) as opened, _progress() as progress:
        task = progress.add_task("clips", total=len(files))
        for path in files:
            progress.update(task, description=path.name)
            reports.append(run_clip(path, opened, norm))
            progress.advance(task)
    verdict = judge(reports, names)
    if json:
        print_json({"model": model, "norm": norm} | to_json(reports, verdict))
    else:
        out.print(clip_table(reports, names))
        print_verdict(verdict)
    for report in reports:
        for where, message in report.errors.items():
            err.print(f"[bold red]{where}:[/] {escape(message)}", highlight=False, soft_wrap=True)
    if not verdict.holds:
        raise typer.Exit(1)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal
    )


def clip_table(reports: list[ClipReport], engines: list[str]) -> RenderableType:
    """One row a clip, A/D/V an engine, the reason where there is no answer."""
    rows = []
    for report in reports:
        cells = []
        for engine in engines:
            answer = report.answers.get(engine)
            if answer is not None:
                cells.append("  ".join(f"{value:.4f}" for value in answer.adv))
            else:
                cells.append("[red]failed[/]")
        rows.append((escape(Path(report.path).name), f"{report.seconds:.2f}", *cells))
    return table(" / ".join(DIMENSIONS), ["clip", "seconds", *engines], rows)


def print_verdict(verdict: Verdict) -> None:
    """What must be identical, what must be close, and whether it is."""
    if verdict.identical:
        rows = [
            (f"{a.engine} = {a.reference}", str(a.clips), _mark(a.rows), _mark(a.adv))
            for a in verdict.identical
        ]
        out.print(table("Identical?", ["engines", "clips", "lin, sof", "A/D/V"], rows))
        for a in verdict.identical:
            if a.first_difference:
                out.print(f"[red]{a.engine}:[/] {escape(a.first_difference)}", highlight=False)
    if verdict.close:
        figures = [
            (
                c.engine,
                str(c.clips),
                f"{c.worst:.4f}",
                *("-" if math.isnan(x) else f"{x:.4f}" for x in c.ccc),
                _mark(c.holds),
            )
            for c in verdict.close
        ]
        title = (
            f"Against float: worst <= {WORST}, CCC >= {CONCORDANCE} from {CONCORDANCE_CLIPS} clips"
        )
        columns = [
            "engine",
            "clips",
            "worst",
            *(f"CCC {d[0].upper()}" for d in DIMENSIONS),
            "holds",
        ]
        out.print(table(title, columns, figures))
    if verdict.failed_clips:
        out.print(f"[red]{verdict.failed_clips} clips failed[/]")


def _mark(holds: bool | None) -> str:
    return {True: "[green]yes[/]", False: "[bold red]NO[/]", None: "not compared"}[holds]
