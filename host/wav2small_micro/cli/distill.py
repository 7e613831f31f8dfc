# SPDX-License-Identifier: Apache-2.0
"""``w2s distill``: from a teacher's labels to a student's weights."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from wav2small_micro import paths
from wav2small_micro.cli.console import (
    JsonOption,
    err,
    flat_rows,
    out,
    print_json,
    progress_bar,
    table,
)
from wav2small_micro.cli.models import needs_training
from wav2small_micro.errors import W2sError


def distill(
    name: Annotated[str, typer.Argument(help="Model folder to make or to go on with.")],
    labels: Annotated[
        list[Path], typer.Option("--labels", "-l", help="The teacher's labels; may be repeated.")
    ],
    manifest: Annotated[
        list[Path] | None,
        typer.Option("--manifest", help="The clips; may be repeated; the research data's without."),
    ] = None,
    student: Annotated[
        str, typer.Option("--student", "-s", help="wav2small-72k, wav2small-17k or a MobileNet.")
    ] = "wav2small-72k",
    start: Annotated[
        Path | None, typer.Option("--from", help="Student to begin with, instead of at random.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Batches, a multiple of --check.")] = 900,
    check: Annotated[int, typer.Option(help="Batches between comparisons on dev speakers.")] = 100,
    patience: Annotated[int, typer.Option(help="Comparisons without a better one to stop.")] = 5,
    batch_seconds: Annotated[float, typer.Option(help="Audio in a batch, seconds.")] = 36.0,
    learning_rate: Annotated[float, typer.Option(help="Highest rate of AdamW.")] = 3e-3,
    average: Annotated[
        float, typer.Option(help="Keep a running mean of the weights, as 0.995; 0: the last ones.")
    ] = 0.0,
    favour: Annotated[
        list[str] | None,
        typer.Option(help="Share of the crops that a corpus has, as emotale=0.6; repeatable."),
    ] = None,
    views: Annotated[float, typer.Option(help="Share of crops from labelled views.")] = 0.6,
    weights: Annotated[
        tuple[float, float, float],
        typer.Option(help="What arousal, dominance and valence count in the loss."),
    ] = (1.0, 1.0, 1.0),
    consistency: Annotated[
        float,
        typer.Option(
            help="What answering disturbed crops like clean ones counts, as 1; 0: nothing."
        ),
    ] = 0.0,
    clean: Annotated[float, typer.Option(help="Share of crops that nothing disturbs.")] = 0.25,
    noise: Annotated[float, typer.Option(help="Share of the others that have noise.")] = 0.5,
    beginning: Annotated[
        float, typer.Option(help="Share of crops that begin as their clip does.")
    ] = 0.25,
    shortest: Annotated[float, typer.Option(help="Shortest crops, seconds.")] = 0.5,
    longest: Annotated[float, typer.Option(help="Longest crops, seconds.")] = 10.0,
    live: Annotated[float, typer.Option(help="Share of crops under live normalisation.")] = 0.5,
    bfloat16: Annotated[
        bool,
        typer.Option("--bfloat16", help="Products in bfloat16; KERAS_BACKEND=torch, Wav2Small."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of weights, crops and disturbances.")] = 1,
    workers: Annotated[
        int, typer.Option(help="Processes that make views and batches; 0: none.")
    ] = 0,
    threads: Annotated[int, typer.Option(help="Threads of each operation; 0: all cores.")] = 0,
    events: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard (extra tensorboard).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Distil a teacher into a student that answers disturbed speech as the teacher answers clean.

    Reads the teacher's labels only, never people's. A run that was stopped goes on where it was.
    KERAS_BACKEND chooses tensorflow, torch or jax; torch is the quickest.
    """
    _limit_threads(threads)
    from wav2small_micro.data import manifest as manifests
    from wav2small_micro.distillation import targets
    from wav2small_micro.distillation.augment import Augmentation
    from wav2small_micro.distillation.recipe import Recipe

    recipe = replace(
        Recipe(steps=check, check=check),
        steps=steps,
        patience=patience,
        batch_s=batch_seconds,
        learning_rate=learning_rate,
        average=average,
        favoured=_shares(favour or []),
        views=views,
        weights=weights,
        consistency=consistency,
        augmentation=Augmentation(clean=clean, noise=noise, beginning=beginning),
        seconds=(shortest, longest),
        live=live,
        bfloat16=bfloat16,
        seed=seed,
    )
    clips = [manifests.read(path) for path in manifest] if manifest else [manifests.research()]
    labelled = targets.read(labels)
    trainer = needs_training("distillation.trainer")  # takes seconds: what is wrong is told before
    folder = Path(name) if "/" in name else paths.models_dir() / name
    with progress_bar() as bar:
        task = bar.add_task("making views", total=None)

        def preparing(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=done < total)

        facts = trainer.distill(
            folder,
            student,
            clips,
            labelled,
            recipe,
            start=start,
            workers=workers,
            report=_progress(recipe.steps),
            preparing=preparing,
            events=events,
        )
    if json:
        print_json(facts)
    else:
        found = {"best step": facts["training"]["best_step"]} | facts["dev_ccc_with_teacher"]
        out.print(table(f"{folder}: CCC with its teacher", ["", "value"], flat_rows(found)))


def _progress(steps: int) -> Callable[[dict[str, float]], None]:
    """A line on stderr for each comparison."""

    def report(line: dict[str, float]) -> None:
        minutes = line["eta_s"] / 60
        err.print(
            f"step {line['step']:.0f}/{steps}  loss {line['loss']:.3f}  "
            f"dev CCC with the teacher {line['dev_ccc']:.3f}, best {line['best']:.3f}  "
            f"{minutes:.0f} min left",
            highlight=False,
        )

    return report


def _shares(texts: list[str]) -> tuple[tuple[str, float], ...]:
    """``corpus=share`` as pairs.

    >>> _shares(["emotale=0.6"])
    (('emotale', 0.6),)
    """
    found = []
    for text in texts:
        name, _, share = text.partition("=")
        try:
            found.append((name, float(share)))
        except ValueError:
            raise W2sError(f"--favour {text!r}", "corpus=share, as emotale=0.6") from None
    if not all(0 < share < 1 for _, share in found) or sum(share for _, share in found) > 1:
        raise W2sError(f"shares {', '.join(texts)}", "each between 0 and 1, 1 together at most")
    return tuple(found)


def _limit_threads(threads: int) -> None:
    """Before a backend is loaded, which reads these once."""
    if threads < 0:
        raise W2sError(f"{threads} threads", "0 for all cores, or how many")
    if threads:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(threads)
