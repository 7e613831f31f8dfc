# SPDX-License-Identifier: Apache-2.0
"""``w2s import``: a student from elsewhere into a model folder."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from wav2small_micro import paths
from wav2small_micro.cli.console import JsonOption, err, flat_rows, out, print_json, table
from wav2small_micro.cli.models import needs_training
from wav2small_micro.errors import W2sError

CHECKPOINTS = (".safetensors", ".bin", ".pt", ".pth")


def import_(
    source: Annotated[
        Path | None, typer.Argument(help="A .safetensors, .pt, .bin or .onnx file.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="Model folder to make, in models/ or a path.")
    ] = "",
    hub: Annotated[
        str | None, typer.Option(help="An id on the hub instead, such as audeering/wav2small.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Its branch, tag or commit; main without it.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the model card.")] = "",
    order: Annotated[
        str, typer.Option(help="Its three outputs, in their order.")
    ] = "arousal,dominance,valence",
    seconds: Annotated[
        float | None, typer.Option(help="Window of a network that is not Wav2Small.", min=0.2)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Weights of Wav2Small from a checkpoint or ONNX, or another student as ONNX for the host.

    The student is compared with its source in PyTorch or onnxruntime, on speech; more than 1e-5
    apart it is refused, saying where the two part.
    """
    importer = needs_training("importing.importer")
    if (source is None) == (hub is None):
        raise W2sError("name one source", "a file, or --hub with an id such as audeering/wav2small")
    if revision and not hub:
        raise W2sError("--revision is of a model on the hub", "name it with --hub")
    if not name:
        raise W2sError("the model has no name", "--name NAME makes models/NAME")
    folder = importer.free_folder(Path(name) if "/" in name else paths.models_dir() / name)
    places = importer.order_of(order)
    path = _found(source) if source else Path()
    what = importer.Source(path, path.name, licence=licence, order=places)
    if hub:
        what = importer.with_hub(hub, revision, what)

    def say(text: str) -> None:
        err.print(escape(text), highlight=False, soft_wrap=True)

    if what.path.suffix == ".onnx":
        facts = importer.import_onnx(what, folder, seconds, say)
    else:
        facts = importer.import_checkpoint(what, folder, say)
    if json:
        print_json(facts | {"folder": folder})
        return
    out.print(table(str(folder), ["", "value"], flat_rows({"licence": "", **facts})))
    if not facts["licence"]:
        out.print("Licence: to be filled in, in model.json and README.md")
    if facts["architecture"] == importer.HOST_ONLY:
        out.print("For the host only: engine float. The device runs Wav2Small 72K and 17K.")
    else:
        out.print(f"Next: w2s convert --model {escape(name)}", highlight=False, soft_wrap=True)


def _found(path: Path) -> Path:
    """The file of a source: itself, or ``model.safetensors`` in a folder."""
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise W2sError(f"no file {path}", "check the path; a model on the hub is named with --hub")
    if path.suffix not in (*CHECKPOINTS, ".onnx"):
        raise W2sError(
            f"{path} is of no known kind", f"{', '.join(CHECKPOINTS)} (weights) or .onnx (a graph)"
        )
    return path
