# SPDX-License-Identifier: Apache-2.0
"""``w2s build``, ``flash``, ``size`` and ``count``: the firmware of a board."""

from pathlib import Path
from typing import Annotated

import typer
from rich.status import Status

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


def build(
    env: EnvOption = DEFAULT_ENV, model: ModelOption = DEFAULT_MODEL, json: JsonOption = False
) -> None:
    """Build the firmware of a board with a model in it."""
    elf = build_with_status(env, model)
    if json:
        print_json({"env": env, "model": model, "elf": elf} | pio.size(env, model))
    else:
        out.print(str(elf), highlight=False, soft_wrap=True)
        _print_size(env, model)


def flash(
    env: EnvOption = DEFAULT_ENV,
    model: ModelOption = DEFAULT_MODEL,
    protocol: Annotated[
        str | None, typer.Option(help="How: openocd, stflash, dfu, pyocd, qemu; see the board.")
    ] = None,
    port: Annotated[
        str | None, typer.Option(help="The programmer's serial number, or the emulator's TCP port.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Build the firmware and write it to the board, or start it in QEMU."""
    with err.status(f"flashing {env}") as status:
        pio.flash(env, model, protocol=protocol, port=port, progress=_follow(status, env))
    if json:
        print_json({"env": env, "model": model, "elf": pio.elf_path(env, model)})
    else:
        out.print(f"{env} runs {model}")


def size(
    env: EnvOption = DEFAULT_ENV, model: ModelOption = DEFAULT_MODEL, json: JsonOption = False
) -> None:
    """RAM (stack included), flash and stack of the whole firmware in bytes; builds it first."""
    build_with_status(env, model)
    if json:
        print_json(pio.size(env, model))
    else:
        _print_size(env, model)


def count(
    env: EnvOption = "mps2_an386",
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Models; all of them if none is named."),
    ] = None,
    clip: Annotated[
        Path | None, typer.Option(help="Audio to run; no count depends on what is said in it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Instructions that a second of audio takes on a board, by stage, counted by the emulator.

    Exact and the same in every run: QEMU counts them. They are not cycles.
    """
    from wav2small_micro.audio import read_clip
    from wav2small_micro.compare import open_engines
    from wav2small_micro.engines.base import Model

    heard = read_clip(clip or paths.demo_clip())
    found = {}
    for name in model or paths.model_names():
        build_with_status(env, name)
        with (
            err.status(f"running {heard.path.name} on {env} with {name}"),
            open_engines(["emulator"], Model.load(name), env=env, icount=True) as engines,
        ):
            found[name] = engines["emulator"].run(heard.pcm).details["instructions_per_second"]
    if json:
        print_json({"env": env, "clip": heard.path, "instructions_per_second": found})
        return
    stages = list(next(iter(found.values()))) if found else []
    rows = [
        (name, *(f"{per[stage] / 1e6:,.2f}" for stage in stages)) for name, per in found.items()
    ]
    title = f"Million instructions per second of audio on {env}"
    out.print(table(title, ["model", *(stage.replace("_", " ") for stage in stages)], rows))


def build_with_status(env: str, model: str) -> object:
    """Build, with PlatformIO's last line shown while it works."""
    with err.status(f"building {env}") as status:
        return pio.build(env, model, progress=_follow(status, env))


def _follow(status: Status, env: str) -> pio.Progress:
    def show(line: str) -> None:
        status.update(f"[bold]{env}[/] {line[:70]}")

    return show


def _print_size(env: str, model: str) -> None:
    board, used = pio.board(env), pio.size(env, model)
    rows = [
        ("RAM", f"{used['ram']:,}", f"{board.ram_size:,}"),
        ("  of it stack", f"{used['stack']:,}", ""),
        ("flash", f"{used['flash']:,}", f"{board.flash_size:,}"),
    ]
    out.print(table(f"{board.name} with {model}", ["", "bytes", "of"], rows))
