# SPDX-License-Identifier: Apache-2.0
"""``w2s teach`` and ``label``: a teacher of one's own, and what a teacher says of clips."""

from pathlib import Path
from typing import Annotated

import typer

from wav2small_micro.cli.console import JsonOption, flat_rows, out, print_json, progress_bar, table
from wav2small_micro.errors import W2sError


def label(
    teacher: Annotated[
        str,
        typer.Argument(
            help="wav2vec2, wavlm, wav2vec2+wavlm (their mean), a folder, a file .onnx or .keras."
        ),
    ],
    manifest: Annotated[Path, typer.Argument(help="Manifest of the clips.")],
    out_path: Annotated[Path, typer.Option("--out", "-o", help="Labels to write or go on with.")],
    split: Annotated[str | None, typer.Option(help="Only train, dev or test.")] = None,
    views: Annotated[
        list[str] | None,
        typer.Option(
            help="Label so many views of each training clip too: 4, or emotale=12; repeatable."
        ),
    ] = None,
    voices: Annotated[
        list[str] | None,
        typer.Option(
            help="And so many other voices of it: 4, or emotale=24; repeatable (extra voices)."
        ),
    ] = None,
    heard: Annotated[
        bool,
        typer.Option(
            "--heard",
            help="A teacher of w2s teach answers for all speakers by its whole fit.",
        ),
    ] = False,
    batch: Annotated[float, typer.Option(help="Seconds of audio in a batch.")] = 40.0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Ray cluster to label on: local, auto (this machine's) or host:port."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes of the cluster.")] = 2,
    json: JsonOption = False,
) -> None:
    """Label the clips of a manifest with a teacher's arousal, dominance and valence.

    Views are other tempi, mixtures and pieces of a clip, voices the same words by others. A run
    that was stopped goes on where it was, and ends with the same labels.
    """
    from wav2small_micro import labelling
    from wav2small_micro.cluster import Cluster
    from wav2small_micro.data import manifest as manifests
    from wav2small_micro.teachers import base

    read = manifests.read(manifest).select(split)
    teacher += base.HEARD if heard else ""
    model = base.load(teacher)
    drawn = _counts("--views", views or []), _counts("--voices", voices or [])
    specs = labelling.views(read, model, *drawn) if views or voices else None
    with progress_bar() as bar:
        task = bar.add_task("labelling", total=None)
        outcome = labelling.label(
            model,
            read,
            out_path,
            batch,
            lambda done, total: bar.update(task, completed=done, total=total),
            Cluster(cluster, workers, teacher) if cluster else labelling.answer_here,
            specs,
        )
    if json:
        facts = {"teacher": model.name, "revision": model.revision, "sha256": model.sha256}
        print_json({"labels": str(out_path), **facts, **vars(outcome)})
        return
    for path, reason in outcome.unreadable:
        out.print(f"left out: {path}: {reason}", markup=False, soft_wrap=True)
    out.print(
        f"{out_path}: {outcome.new} labels by {model.name}, {outcome.before} were there",
        markup=False,
        soft_wrap=True,
    )


def _counts(option: str, texts: list[str]) -> dict[str, int]:
    """Views by corpus, ``""`` for those that are not named.

    >>> _counts("--views", ["4", "emotale=12"])
    {'': 4, 'emotale': 12}
    """
    counts = {"": 0}
    for text in texts:
        corpus, _, count = text.rpartition("=")
        if not count.isdecimal():
            raise W2sError(f"{option} {text!r}", "how many, as 4, or for a corpus, as emotale=12")
        counts[corpus] = int(count)
    return counts


def teach(
    folder: Annotated[Path, typer.Argument(help="Folder of the teacher, to make or go on with.")],
    manifest: Annotated[Path, typer.Option("--manifest", help="Labelled speech, with a split.")],
    as_recorded: Annotated[
        bool,
        typer.Option(
            "--as-recorded", help="Let it hear how loud a clip is; else level says nothing."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train a teacher on labelled speech, choosing by cross-validation over speakers.

    Writes teacher.json, teacher.npz and labels.csv: its answers for the manifest's clips, those of
    the train side by a fit that has not heard the speaker.
    """
    from wav2small_micro import teaching
    from wav2small_micro.data import manifest as manifests

    read = manifests.read(manifest)
    with progress_bar() as bar:
        tasks = {name: bar.add_task(name, total=None) for name in ("features", "choosing")}
        facts = teaching.teach(
            read,
            folder,
            teaching.Grid(as_recorded=as_recorded),
            progress=lambda what, done, total: bar.update(tasks[what], completed=done, total=total),
        )
    shown = {key: facts[key] for key in ("clips", "rated_by_people", "gamma")}
    shown |= {"sets": ", ".join(facts["sets"])}
    shown |= {"cross_validation": facts["cross_validation"][0]["ccc"], "dev": facts["dev"]}
    if json:
        print_json(facts)
    else:
        out.print(table(str(folder), ["", "value"], flat_rows(shown)))
