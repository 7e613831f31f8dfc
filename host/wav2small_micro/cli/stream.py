# SPDX-License-Identifier: Apache-2.0
"""``w2s stream``: live answers over a sliding window, while the audio comes in."""

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated

import numpy as np
import typer
from rich.live import Live

from wav2small_micro import streaming
from wav2small_micro.audio import read_clip
from wav2small_micro.cli import bars
from wav2small_micro.cli.console import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    EnvOption,
    JsonOption,
    ModelOption,
    err,
    out,
    print_json_line,
)
from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.streaming import WindowAnswer

ClipArgument = Annotated[
    str | None,
    typer.Argument(help="An audio file, - for raw int16 at 16 kHz; the microphone if none."),
]
PortOption = Annotated[
    str | None, typer.Option("--port", help="A board's serial port; the emulator if none.")
]
WindowOption = Annotated[float, typer.Option(help="Seconds that an answer looks back.")]


def stream(
    clip: ClipArgument = None,
    model: ModelOption = DEFAULT_MODEL,
    env: EnvOption = DEFAULT_ENV,
    port: PortOption = None,
    window: WindowOption = 2.0,
    seconds: Annotated[
        float | None, typer.Option(help="End after so much of the microphone.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Do not wait as a microphone would.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Arousal, dominance and valence of the last seconds, every half second, as the audio comes.

    A file is paced as a microphone would deliver it. With --json, one line an answer.
    """
    from wav2small_micro.engines.base import Model
    from wav2small_micro.engines.device import BoardEngine, EmulatorEngine

    audio = open_audio(clip, port)
    if audio is not None and clip != "-" and not fast:
        audio = streaming.paced(audio)
    loaded = Model.load(model)
    engine: BoardEngine | EmulatorEngine
    with err.status(f"starting {port or env}"):
        engine = BoardEngine(loaded, port=port) if port else EmulatorEngine(loaded, env=env)
    with closing(engine):
        segments = streaming.segments_of(window, engine.device.hello().segments)
        answers = (
            streaming.listen(engine.device, window_segments=segments, seconds=seconds)
            if audio is None
            else streaming.stream(engine.device, audio, window_segments=segments)
        )
        if json:
            for answer in answers:
                print_json_line(_line(answer))
        else:
            _show(answers, f"{clip or 'microphone'} on {port or env}")


def open_audio(
    clip: str | None, port: str | None, *, loop: bool = False
) -> Iterator[np.ndarray] | None:
    """20 ms chunks of a file, once or for ever, or of raw PCM on standard input, which has a pace
    of its own; None for the microphone of a board. Raises W2sError where there is nothing."""
    if clip is None:
        if port is None:
            raise W2sError("nothing to listen to", "name a clip, or --port of a board's microphone")
        return None
    if clip == "-":
        return streaming.read_pcm(sys.stdin.buffer)
    pcm = read_clip(clip).pcm
    return streaming.chunks_forever(pcm) if loop else streaming.chunks(pcm)


def _line(answer: WindowAnswer) -> dict[str, object]:
    found: dict[str, object] = {"seconds": answer.seconds}
    found |= {name: float(x) for name, x in zip(DIMENSIONS, answer.adv, strict=True)}
    level = answer.level_db if math.isfinite(answer.level_db) else None
    return found | {"q16": answer.adv_q16, "level_db": level, "lag_seconds": answer.lag_seconds}


def _show(answers: Iterable[WindowAnswer], title: str) -> None:
    """Bars that move, and where the last answer stays."""
    with Live(console=out, auto_refresh=False) as live:
        for answer in answers:
            live.update(bars.draw(answer, title), refresh=True)
