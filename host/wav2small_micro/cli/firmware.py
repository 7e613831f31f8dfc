# SPDX-License-Identifier: Apache-2.0
"""``w2s build``, ``flash`` and ``size``: the firmware of a board."""

from typing import Annotated

import typer
from rich.status import Status

from wav2small_micro import pio
from wav2small_micro.cli.console import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    EnvOption,
    JsonOption,
    KernelsOption,
    ModelOption,
    PlacementOption,
    err,
    out,
    print_json,
    table,
)


def build(
    env: EnvOption = DEFAULT_ENV,
    model: ModelOption = DEFAULT_MODEL,
    kernels: KernelsOption = None,
    placement: PlacementOption = None,
    json: JsonOption = False,
) -> None:
    """Build the firmware of a board with a model in it."""
    elf = build_with_status(env, model, kernels, placement)
    if json:
        used = pio.size(env, model, kernels=kernels, placement=placement)
        print_json({"env": env, "model": model, "elf": elf} | used)
    else:
        out.print(str(elf), highlight=False, soft_wrap=True)
        _print_size(env, model, kernels, placement)


def flash(
    env: EnvOption = DEFAULT_ENV,
    model: ModelOption = DEFAULT_MODEL,
    kernels: KernelsOption = None,
    placement: PlacementOption = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="How: openocd, stflash, bossac, uf2 ..: its page in docs/boards."),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(help="The programmer's serial number, the board's own port, or QEMU's."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Build the firmware and write it to the board, or start it in QEMU."""
    with err.status(f"flashing {env}") as status:
        pio.flash(
            env,
            model,
            kernels=kernels,
            placement=placement,
            protocol=protocol,
            port=port,
            progress=_follow(status, env),
        )
    if json:
        elf = pio.elf_path(env, model, kernels=kernels, placement=placement)
        print_json({"env": env, "model": model, "elf": elf})
    else:
        out.print(f"{env} runs {model}")


def size(
    env: EnvOption = DEFAULT_ENV,
    model: ModelOption = DEFAULT_MODEL,
    kernels: KernelsOption = None,
    placement: PlacementOption = None,
    json: JsonOption = False,
) -> None:
    """RAM (stack included), flash and stack of the whole firmware in bytes; builds it first."""
    build_with_status(env, model, kernels, placement)
    if json:
        print_json(pio.size(env, model, kernels=kernels, placement=placement))
    else:
        _print_size(env, model, kernels, placement)


def build_with_status(
    env: str, model: str, kernels: str | None = None, placement: str | None = None
) -> object:
    """Build, with PlatformIO's last line shown while it works."""
    with err.status(f"building {env}") as status:
        return pio.build(
            env, model, kernels=kernels, placement=placement, progress=_follow(status, env)
        )


def _follow(status: Status, env: str) -> pio.Progress:
    def show(line: str) -> None:
        status.update(f"[bold]{env}[/] {line[:70]}")

    return show


def _print_size(env: str, model: str, kernels: str | None, placement: str | None) -> None:
    board = pio.board(env)
    used = pio.size(env, model, kernels=kernels, placement=placement)
    rows = [
        ("RAM", f"{used['ram']:,}", f"{board.ram_size:,}"),
        ("  of it stack", f"{used['stack']:,}", ""),
        ("flash", f"{used['flash']:,}", f"{board.flash_size:,}"),
    ]
    out.print(table(f"{board.name} with {model}", ["", "bytes", "of"], rows))
