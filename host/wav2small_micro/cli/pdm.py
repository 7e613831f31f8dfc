# SPDX-License-Identifier: Apache-2.0
"""``w2s pdm``: what a PDM microphone and the C behind it make of sound."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.markup import escape
from rich.progress import track

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
from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS

if TYPE_CHECKING:
    from wav2small_micro.native import Int16


class Clock(StrEnum):
    """Of the microphone, in MHz."""

    SLOW = "1.024"
    FAST = "2.048"

    @property
    def hz(self) -> int:
        """In Hz."""
        return round(float(self) * 1e6)


def pdm(
    clips: Annotated[
        list[str] | None,
        typer.Argument(help="Speech to send through it: files, folders, patterns."),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    clock: Annotated[Clock, typer.Option(help="The microphone's clock, in MHz.")] = Clock.SLOW,
    level: Annotated[
        float, typer.Option(min=5.0, max=48.0, help="How far below the clip the sound is, in dB.")
    ] = 6.0,
    order: Annotated[
        int, typer.Option(min=2, max=4, help="Of the modulator: 2, a cheap microphone, or 4.")
    ] = 4,
    room: Annotated[
        float | None,
        typer.Option(max=-20.0, help="Noise of a room behind the speech, in dB of full scale."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write the bits (.pdm) and what comes of them."),
    ] = None,
    save_plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw the filters: a PNG.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """The filters' figures; with clips, A/D/V through a PDM microphone beside that of the clip.

    The bits come from a sigma-delta modulator, and the samples from the C that boards run. The exit
    code is 1 when an answer is more than .02 apart, or a clip cannot be read.
    """
    from wav2small_micro.pdm import chain, modulator, plot

    if order not in modulator.ORDERS:
        raise W2sError(f"no modulator of order {order}", f"use one of {modulator.ORDERS}")
    if save_plot is not None:
        plot.save(save_plot, clock.hz)
    if not clips:
        _figures(json)
        return
    sound = {"clock_hz": clock.hz, "level_db": level, "order": order}
    rows = list(_compare(clips, model, sound, room, output))
    heard = [row for row in rows if "error" not in row]
    worst = max((row["apart"] for row in heard), default=0.0)
    if json:
        print_json({"model": model, **sound, "room_db": room, "clips": rows, "worst": worst})
    elif heard:
        _print(heard, worst)
    for row in rows:
        if "error" in row:
            err.print(f"[bold red]clip:[/] {escape(row['error'])}", highlight=False, soft_wrap=True)
    if worst > chain.WORST or len(heard) < len(rows):
        raise typer.Exit(1)


# --- Figures -------------------------------------------------------------------------------------


def _figures(json: bool) -> None:
    from wav2small_micro.pdm import figures

    with err.status("measuring"):
        found = figures.all_figures()
    if json:
        print_json(found)
        return
    names = {
        "ripple_db": "60 Hz to 7 kHz within, dB",
        "at_60_hz_db": "at 60 Hz, dB",
        "at_7_khz_db": "at 7 kHz, dB",
        "alias_db": "what folds below 7 kHz is taken by, dB",
        "alias_hz": "at its least, Hz",
        "snr_db": "SNR, modulator of order 4, dB",
        "snr_order_2_db": "SNR, modulator of order 2, dB",
        "delay_ms": "delay, ms",
    }
    columns = [f"{int(clock) / 1e6} MHz" for clock in found]
    for how, title in (
        ("exact", "From the integers of the C"),
        ("measured", "By tones through modulator and C"),
    ):
        rows = [
            (name, *(_figure(one[how][key]) for one in found.values()))
            for key, name in names.items()
            if key in next(iter(found.values()))[how]
        ]
        out.print(table(title, ["", *columns], rows))


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"


# --- Speech --------------------------------------------------------------------------------------


def _compare(
    named: list[str], model: str, sound: dict[str, Any], room: float | None, output: Path | None
) -> Iterator[dict[str, Any]]:
    from wav2small_micro.audio import read_clip
    from wav2small_micro.engines.base import Model
    from wav2small_micro.engines.native import NativeEngine
    from wav2small_micro.pdm import chain

    engine = NativeEngine(Model.load(model))
    files = clip_arguments.find_clips(named)
    for path in track(files, "clips", console=err, transient=True, disable=not err.is_terminal):
        try:
            pcm = read_clip(path).pcm
        except W2sError as error:
            yield {"path": str(path), "error": error.message}
            continue
        if room is not None:
            pcm = chain.in_a_room(pcm, room)
        heard = chain.through(pcm, **sound)
        if output is not None:
            _write(output, path.stem, chain.bits(pcm, **sound).tobytes(), heard)
        as_pcm, as_pdm = engine.run(pcm).adv, engine.run(heard).adv
        apart = float(np.abs(np.subtract(as_pcm, as_pdm)).max())
        yield {"path": str(path), "pcm": as_pcm, "pdm": as_pdm, "apart": apart}


def _write(folder: Path, stem: str, bits: bytes, heard: "Int16") -> None:
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.pdm").write_bytes(bits)
    soundfile.write(folder / f"{stem}.wav", heard, 16_000)


def _print(rows: list[dict[str, Any]], worst: float) -> None:
    cells = (
        (
            escape(Path(row["path"]).name),
            *("  ".join(f"{value:.4f}" for value in row[how]) for how in ("pcm", "pdm")),
            f"{row['apart']:.4f}",
        )
        for row in rows
    )
    columns = ["clip", "as PCM", "through PDM", "apart"]
    out.print(table(" / ".join(DIMENSIONS), columns, cells))
    mean = float(np.mean([row["apart"] for row in rows]))
    out.print(f"{len(rows)} clips: worst {worst:.4f}, mean {mean:.4f} apart", highlight=False)
