# SPDX-License-Identifier: Apache-2.0
"""``w2s mlperf``: MLPerf Tiny's benchmark without its runner, or its data set for the runner."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from wav2small_micro import pio
from wav2small_micro.cli import clips as clip_arguments
from wav2small_micro.cli.console import (
    DEFAULT_MODEL,
    JsonOption,
    ModelOption,
    err,
    out,
    print_json,
    table,
)
from wav2small_micro.emulator import LinkKind
from wav2small_micro.errors import W2sError
from wav2small_micro.link.transport import DEFAULT_BAUD
from wav2small_micro.mlperf import benchmark
from wav2small_micro.mlperf.benchmark import Excerpt, Loop
from wav2small_micro.mlperf.device import DeviceUnderTest, Identity

_EMULATOR_PATIENCE_S = 120.0  # beside other work


def mlperf(
    clips: Annotated[list[str], typer.Argument(help="Files, folders or patterns.")],
    port: Annotated[
        str | None, typer.Option(help="Serial port or pyserial URL of a board.")
    ] = None,
    emulator: Annotated[
        str | None, typer.Option(help="Board in QEMU instead; stm32f407_discovery by default.")
    ] = None,
    mode: Annotated[
        str, typer.Option(help="performance, energy (a meter measures), or accuracy.")
    ] = "performance",
    seconds: Annotated[
        float, typer.Option(min=0, help="Of each clip, from its start; 0: all of it.")
    ] = 1.0,
    runs: Annotated[
        int | None,
        typer.Option(min=1, help="Inferences in a loop; as many as the rules want by default."),
    ] = None,
    warmups: Annotated[int, typer.Option(min=0, help="Inferences before them, not timed.")] = 1,
    loops: Annotated[int, typer.Option(min=1, help="Loops of loading and inferring.")] = (
        benchmark.LOOPS
    ),
    export: Annotated[
        Path | None, typer.Option(help="Only write the data set and settings for the runner here.")
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    link: Annotated[
        LinkKind, typer.Option(help="How the emulated board is linked.")
    ] = LinkKind.SEMIHOSTING,
    baud: Annotated[int, typer.Option(help="Rate of the port.")] = DEFAULT_BAUD,
    json: JsonOption = False,
) -> None:
    """MLPerf Tiny: load clips, time inferences, compare every answer with the library's.

    What the runner of mlcommons/tiny does, for those who have none: docs/mlperf-tiny.md. The exit
    code is 1 where an answer differs.
    """
    from wav2small_micro.engines.base import Model
    from wav2small_micro.engines.native import NativeEngine

    if port is not None and emulator is not None:
        raise W2sError("a port and an emulator at once", "name one of --port and --emulator")
    benchmark.check_mode(mode)
    loaded = Model.load(model)
    excerpts = _excerpts(clips, seconds)
    with closing(NativeEngine(loaded)) as reference:
        if export is not None:
            _export(export, excerpts, reference, runs, warmups, json)
            return
        env = None if port is not None else emulator or pio.DEFAULT_ENV
        if env is not None and runs is None:
            runs = 1  # instructions do not vary
        with _device(port, baud, env, loaded.folder, link) as device:
            identity = device.identify()
            _check_model(identity, loaded.name)
            with err.status(f"{identity.name} at work") as status:
                done = benchmark.run(
                    device,
                    excerpts,
                    reference,
                    mode=mode,
                    loops=loops,
                    runs=runs,
                    warmups=warmups,
                    progress=lambda loop: status.update(f"{escape(loop.excerpt.name)} done"),
                )
    result = _result(identity, done, mode, port, env)
    if json:
        print_json(result)
    else:
        _print(result, done, env)
    if not result["identical"]:
        raise typer.Exit(1)


def _excerpts(clips: list[str], seconds: float) -> list[Excerpt]:
    from wav2small_micro.audio import RATE, read_clip

    read = [read_clip(path) for path in clip_arguments.find_clips(clips)]
    length = round(seconds * RATE) or None
    return [Excerpt(clip.path.name, clip.pcm[:length]) for clip in read]


@contextmanager
def _device(
    port: str | None, baud: int, env: str | None, model: Path, link: LinkKind
) -> Iterator[DeviceUnderTest]:
    """The device at the port, or the board in QEMU, which counts instructions."""
    from wav2small_micro.emulator import Emulator
    from wav2small_micro.link.transport import SerialTransport

    if env is None:
        assert port is not None
        with closing(SerialTransport(port, baud)) as transport:
            yield DeviceUnderTest(transport)
        return
    board = pio.emulated_board(env)
    with err.status(f"building {env}"):
        elf = pio.build(env, model)
    with Emulator(elf, board, link=link, icount=True) as running:
        yield DeviceUnderTest(running.transport(), patience=_EMULATOR_PATIENCE_S)


def _check_model(identity: Identity, name: str) -> None:
    """The profile ends with the model's name."""
    there = identity.profile.rpartition(", ")[2]
    if there != name:
        raise W2sError(
            f"the device runs {there!r}, not {name!r}",
            f"--model {there}, or w2s flash --model {name}",
        )


def _export(
    folder: Path,
    excerpts: Sequence[Excerpt],
    reference: Any,
    runs: int | None,
    warmups: int,
    json: bool,
) -> None:
    from wav2small_micro.mlperf import export

    runs = runs or export.choose_runs(excerpts)
    files = export.write(folder, excerpts, reference, runs=runs, warmups=warmups)
    missing = export.missing_classes(excerpts, reference)
    if json:
        print_json({"folder": folder, "files": files, "missing_classes": missing})
        return
    for file in files:
        out.print(str(file), highlight=False, soft_wrap=True)
    if missing:
        err.print(
            f"[yellow]warning:[/] {' and '.join(missing)} the greatest of no clip: the runner's "
            "accuracy mode will stop at its AUC"
        )


# --- What came out --------------------------------------------------------------------------------


def _result(
    identity: Identity, loops: Sequence[Loop], mode: str, port: str | None, env: str | None
) -> dict[str, Any]:
    emulated = env is not None
    broken = [] if emulated else benchmark.broken_rules(loops, mode)
    figures = [_figures(loop, emulated) for loop in loops]
    return {
        "device": asdict(identity),
        "mode": mode,
        "port": port,
        "emulator": env,
        "loops": figures,
        "median": {
            name: benchmark.median([figure[name] for figure in figures])
            for name in ("throughput", "latency_ms", "instructions")
        },
        "rules": {"judged": not emulated, "broken": broken},
        "identical": all(loop.identical for loop in loops),
    }


def _figures(loop: Loop, emulated: bool) -> dict[str, Any]:
    """An emulator's clock counts instructions: no time follows from it."""
    inference, latency = loop.inference, loop.latency_s
    timed = latency is not None and not emulated
    return {
        "clip": loop.excerpt.name,
        "seconds": loop.excerpt.seconds,
        "runs": inference.runs,
        "warmups": inference.warmups,
        "latency_ms": latency * 1e3 if timed and latency else None,
        "throughput": loop.throughput if timed else None,
        "instructions": loop.instructions if emulated else None,
        "host_seconds": inference.seconds,
        "q16": inference.adv_q16,
        "expected_q16": loop.expected_q16,
        "identical": loop.identical,
    }


def _print(result: dict[str, Any], loops: Sequence[Loop], env: str | None) -> None:
    device, median = result["device"], result["median"]
    measured = ["M instructions"] if env else ["ms", "inferences/s"]
    rows = [
        (
            escape(figure["clip"]),
            f"{figure['seconds']:.2f}",
            str(figure["runs"]),
            *_measured(figure, env is not None),
            *(f"{value / 65536:.4f}" for value in figure["q16"]),
            "[green]yes[/]" if figure["identical"] else "[bold red]NO[/]",
        )
        for figure in result["loops"]
    ]
    title = f"{device['name']}, {device['profile']}, {device['model']}, {result['mode']} mode"
    columns = ["clip", "seconds", "runs", *measured, "A", "D", "V", "= c"]
    out.print(table(title, columns, rows))
    if median["throughput"] is not None:
        out.print(
            f"Median of {len(loops)} loops: {median['throughput']:.3f} inferences/s, "
            f"{median['latency_ms']:.2f} ms each"
        )
    if median["instructions"] is not None:
        millions = median["instructions"] / 1e6
        out.print(f"Median of {len(loops)} loops: {millions:.2f} M instructions")
        out.print("QEMU counts instructions and knows no time: w2s bench models the cycles.")
    if result["mode"] == "energy":
        out.print("The energy is the meter's to tell, between two pulses of the marker.")
    for rule in result["rules"]["broken"]:
        out.print(f"[yellow]not by the rules:[/] {rule}")


def _measured(figure: dict[str, Any], emulated: bool) -> tuple[str, ...]:
    if emulated:
        count = figure["instructions"]
        return ("-" if count is None else f"{count / 1e6:.2f}",)
    if figure["latency_ms"] is None:
        return ("-", "-")
    return f"{figure['latency_ms']:.2f}", f"{figure['throughput']:.3f}"
