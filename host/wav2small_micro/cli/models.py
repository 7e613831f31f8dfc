# SPDX-License-Identifier: Apache-2.0
"""``w2s convert``, ``generate``: from weights to the firmware's C."""

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.markup import escape

from wav2small_micro import paths
from wav2small_micro.cli.console import (
    DEFAULT_MODEL,
    JsonOption,
    ModelOption,
    flat_rows,
    out,
    print_json,
    table,
)
from wav2small_micro.errors import W2sError


def convert(model: ModelOption = DEFAULT_MODEL, json: JsonOption = False) -> None:
    """Write float.tflite, int8.tflite, the golden vectors and the C of a model, and check them.

    Fails, naming the layer, when the converted files do not answer as the Keras model does.
    """
    from wav2small_micro import codegen
    from wav2small_micro import plan as plans

    folder = paths.model_dir(model)
    found = needs_training("conversion").convert(folder)
    codegen.generate(plans.read(folder / "int8.tflite"), folder / "c")
    if json:
        print_json({"model": str(folder)} | found)
    else:
        out.print(table(f"{folder}: converted and checked", ["", "value"], flat_rows(found)))


def generate(
    model: ModelOption = DEFAULT_MODEL,
    tflite: Annotated[
        Path | None, typer.Option(help="An int8 .tflite instead of the model's own.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write to; c/ of the model.")
    ] = None,
    array: Annotated[
        bool, typer.Option(help="Write the .tflite as a C array too, for TFLM users.")
    ] = False,
    tables: Annotated[
        bool, typer.Option(help="Write the tables of front end and PDM, which no model changes.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write the C of a model, weights.c and weights.h, from its int8 .tflite.

    A .tflite of any other shape than Wav2Small's is refused, naming the operator and the reason.
    """
    from wav2small_micro import codegen
    from wav2small_micro import plan as plans

    source = tflite or paths.model_dir(model) / "int8.tflite"
    folder = output or source.parent / "c"
    try:
        plan = plans.read(source)
    except W2sError as error:
        raise W2sError(f"{source}: {error.message}", error.hint) from error
    written = codegen.generate(plan, folder)
    if array:
        written.append(folder / "model_tflite.c")
        text = codegen.tflite_array(source.read_bytes(), plan.name, plan.sha256)
        codegen.write_if_changed(written[-1], text)
    if tables:
        for name, text in codegen.tables().items():
            written.append(paths.repo_root() / name)
            codegen.write_if_changed(written[-1], text)
    if json:
        print_json({"model": plan.name, "sha256": plan.sha256, "files": written})
        return
    for path in written:
        out.print(f"{escape(str(path))}  from {plan.sha256[:16]}", highlight=False, soft_wrap=True)


def needs_training(module: str) -> ModuleType:
    """A module of the package that only the extra `train` can import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only, not its view of this CPU
    try:
        return importlib.import_module(f"wav2small_micro.{module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("wav2small_micro"):
            raise
        raise W2sError(
            f"{error.name} is not installed", "pip install -e '.[train]', or make test"
        ) from error
