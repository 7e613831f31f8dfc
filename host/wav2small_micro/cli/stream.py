# SPDX-License-Identifier: Apache-2.0
"""``w2s stream``: live answers over a sliding window, while the audio comes in."""

import math
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.live import Live

from wav2small_micro import streaming
from wav2small_micro.audio import read_clip
from wav2small_micro.cli.console import (
    DEFAULT_ENV,
    DEFAULT_MODEL,
    EnvOption,
    ModelOption,
    err,
    out,
    print_json_line,
)
from wav2small_micro.cli.terminal import Terminal
from wav2small_micro.errors import W2sError
from wav2small_micro.live.player import Player, Sink, on_board, on_emulator
from wav2small_micro.live.recording import Recording
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.streaming import Capture, WindowAnswer

FRAMES_PER_SECOND = 8  # of the terminal

ClipArgument = Annotated[
    str | None,
    typer.Argument(help="An audio file, - for raw int16 at 16 kHz; the microphone if none."),
]
PortOption = Annotated[
    str | None, typer.Option("--port", help="A board's serial port; the emulator if none.")
]
WindowOption = Annotated[float, typer.Option(help="Seconds that an answer looks back.")]
LoopOption = Annotated[bool, typer.Option("--loop", help="Play the file over and over.")]
MicOption = Annotated[
    bool, typer.Option("--mic", help="Send this machine's microphone to the device.")
]


def stream(
    clip: ClipArgument = None,
    model: ModelOption = DEFAULT_MODEL,
    env: EnvOption = DEFAULT_ENV,
    port: PortOption = None,
    window: WindowOption = 2.0,
    mic: MicOption = False,
    loop: LoopOption = False,
    seconds: Annotated[float | None, typer.Option(help="End after so much audio.")] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Do not wait as a microphone would.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="Also write PREFIX.csv, and PREFIX.wav of what was heard.")
    ] = None,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for a device that has gone.")
    ] = 30.0,
    json: Annotated[
        bool, typer.Option("--json", "--jsonl", help="A line of JSON an answer, for pipes.")
    ] = False,
) -> None:
    """Arousal, dominance and valence of the last seconds, every half second, as the audio comes.

    A file is paced as a microphone would deliver it. A device that restarts or is unplugged is
    waited for, and the audio goes on; what happened stands below the picture.
    """
    from wav2small_micro.engines.base import Model

    audio, capture = open_audio(clip, port, mic=mic, loop=loop)
    if seconds is not None:
        audio = None if audio is None else streaming.at_most(audio, seconds)
    source = "this machine's microphone" if mic else clip or "microphone"
    colours = out.is_terminal and not out.no_color
    terminal = Terminal(f"{source} on {port or env}", colours=colours)
    sinks: list[Sink] = [_JsonLines() if json else terminal]
    with ExitStack() as stack:
        if record is not None:
            recording = stack.enter_context(Recording(record))
            sinks.append(recording)
            audio = None if audio is None else recording.hearing(audio)
        with err.status(f"starting {port or env}"):
            loaded = Model.load(model)
            connect = on_board(loaded, port) if port else on_emulator(loaded, env)
        player = Player(
            sinks,
            connect,
            audio,
            window_seconds=window,
            log_mel=not json,
            paced=not (fast or mic or clip == "-"),
            capture=capture,
            seconds=seconds,
        )
        signal.signal(signal.SIGINT, lambda *_: player.stop())
        if not json:
            live = Live(
                console=out,
                refresh_per_second=FRAMES_PER_SECOND,
                get_renderable=terminal.draw,
                auto_refresh=out.is_terminal,
            )
            stack.enter_context(live)
        player.run(patience)


def open_audio(
    clip: str | None, port: str | None, *, mic: bool = False, loop: bool = False
) -> tuple[Iterator[np.ndarray] | None, Capture | None]:
    """20 ms chunks of a file, once or for ever, of raw PCM on standard input, or of this machine's
    microphone, whose capture drops and counts what the device does not take in time; None for the
    microphone of a board. Raises W2sError where there is nothing to hear.
    """
    if mic:
        from wav2small_micro.microphone import Microphone

        capture = Capture(Microphone())
        return iter(capture), capture
    if clip is None:
        if port is None:
            raise W2sError(
                "nothing to listen to", "name a clip, --mic, or --port of a board's microphone"
            )
        return None, None
    if clip == "-":
        return streaming.read_pcm(sys.stdin.buffer), None
    pcm = read_clip(clip).pcm
    return streaming.chunks_forever(pcm) if loop else streaming.chunks(pcm), None


class _JsonLines(Sink):
    """Answers as lines on stdout; what happens to the link as words on stderr."""

    def state(self, kind: str, **facts: object) -> None:
        """See Sink."""
        if kind == "link" and facts["state"] == "lost":
            err.print(f"[yellow]warning:[/] {facts['message']}", highlight=False, soft_wrap=True)

    def answer(self, answer: WindowAnswer, delay: float | None) -> None:
        """See Sink."""
        found: dict[str, object] = {"seconds": answer.seconds}
        found |= {name: float(x) for name, x in zip(DIMENSIONS, answer.adv, strict=True)}
        level = answer.level_db if math.isfinite(answer.level_db) else None
        found |= {"q16": answer.adv_q16, "level_db": level, "lag_seconds": answer.lag_seconds}
        found |= {"lost_seconds": answer.lost_seconds, "lost_windows": answer.lost_windows}
        found |= {"lost_echo_seconds": answer.lost_echo_seconds}
        print_json_line(found | {"delay_seconds": delay})
