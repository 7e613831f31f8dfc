# SPDX-License-Identifier: Apache-2.0
"""``w2s data import``, ``check``, ``split``: manifests of speech."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from wav2small_micro.cli.console import JsonOption, err, out, print_json, table
from wav2small_micro.errors import W2sError

data = typer.Typer(no_args_is_help=True, help="Manifests of speech: import, check, split.")

ManifestArgument = Annotated[
    Path, typer.Argument(help="Manifest, CSV or parquet, or the folder that holds manifest.csv.")
]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", help="Manifest to write: .csv or .parquet.")
]


@data.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="Folder of audio, or an audformat database.")],
    out_path: OutOption,
    speaker: Annotated[
        str | None,
        typer.Option(
            help="Regular expression whose first group in a file's path is the speaker; "
            "without it the first folder on the way is."
        ),
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="Name of the corpus; the folder's.")] = None,
    language: Annotated[str, typer.Option(help="Language spoken, as de or en.")] = "",
    json: JsonOption = False,
) -> None:
    """Make a manifest of the audio in a folder.

    A folder with db.yaml is taken as an audformat database, one with manifest.csv as the research
    data, any other as audio files.
    """
    from wav2small_micro.data import importers, manifest

    if (folder / "db.yaml").is_file():
        found = importers.audformat_database(folder, language)
    elif (folder / "manifest.csv").is_file():
        found = manifest.read(folder)
    else:
        found = importers.audio_folder(folder, speaker, corpus, language)
    manifest.write(found, out_path)
    _print(out_path, found, json)


@data.command()
def check(
    manifest: ManifestArgument,
    shortest: Annotated[float, typer.Option(help="Shortest clip of use, in seconds.")] = 0.5,
    out_path: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the manifest of the usable clips.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Name every unreadable, silent, clipped, duplicate or too short file; exits with 1 if any.

    With --out those are left out, and the exit code is 0 as long as clips remain.
    """
    from wav2small_micro.data import check as checks
    from wav2small_micro.data import manifest as manifests

    read = manifests.read(manifest)
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("reading", total=len(read))
        report = checks.check(
            read, shortest, lambda done, total: bar.update(task, completed=done, total=total)
        )
    kinds = Counter(problem.kind for problem in report.problems)
    if json:
        problems = [vars(problem) for problem in report.problems]
        print_json({"clips": len(read), "usable": len(report.usable), "problems": problems})
    else:
        for problem in report.problems:
            out.print(
                f"{problem.kind}: {problem.path}: {problem.detail}", markup=False, soft_wrap=True
            )
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        out.print(f"{len(report.usable)} of {len(read)} clips are usable{said and f'; {said}'}")
    if not len(report.usable):
        raise W2sError(f"no usable clip in {read.name}", "the reasons are above")
    if out_path is not None:
        manifests.write(report.usable, out_path)
    elif report.problems:
        raise typer.Exit(1)


@data.command()
def split(
    manifest: ManifestArgument,
    out_path: OutOption,
    dev: Annotated[float, typer.Option(help="Share of the speakers to measure on.")] = 0.2,
    test: Annotated[float, typer.Option(help="Share of the speakers to keep for the end.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Another seed, other speakers.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Forget the split that is there.")] = False,
    json: JsonOption = False,
) -> None:
    """Put every speaker on one side: train, dev, test; stratified by corpus and sex."""
    from wav2small_micro.data import manifest as manifests
    from wav2small_micro.data import splits

    found = splits.draw(manifests.read(manifest, leaks=again), dev, test, seed, again)
    manifests.write(found, out_path)
    _print(out_path, found, json)


def _print(path: Path, found: object, json: bool) -> None:
    """What was written, by side of the split."""
    from wav2small_micro.data import splits
    from wav2small_micro.data.manifest import Manifest

    assert isinstance(found, Manifest)
    sides = splits.counts(found)
    if json:
        print_json({"manifest": str(path), "clips": len(found), "splits": sides})
        return
    rows = [(side, str(n["clips"]), str(n["speakers"])) for side, n in sides.items()]
    out.print(table(escape(str(path)), ["split", "clips", "speakers"], rows))
