# SPDX-License-Identifier: Apache-2.0
"""``w2s live``: a page on this machine that shows what a device hears and answers."""

import contextlib
import signal
import webbrowser
from typing import Annotated

import typer

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
from wav2small_micro.cli.stream import (
    ClipArgument,
    LoopOption,
    MicOption,
    PortOption,
    WindowOption,
    open_audio,
)
from wav2small_micro.errors import W2sError


def live(
    clip: ClipArgument = None,
    model: ModelOption = DEFAULT_MODEL,
    env: EnvOption = DEFAULT_ENV,
    port: PortOption = None,
    window: WindowOption = 2.0,
    mic: MicOption = False,
    loop: LoopOption = False,
    log_mel: Annotated[
        bool, typer.Option(help="Show the device's own log-mel: 35 kB/s on the link.")
    ] = True,
    host: Annotated[
        str, typer.Option(help="Address to serve on: others than this machine can look then.")
    ] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="Port to serve on; any free one if 0.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    json: JsonOption = False,
) -> None:
    """A page on localhost: A/D/V over time, the arousal-valence plane, the log-mel as it comes.

    A file is played into the board, or into the emulator, as a microphone would hear it.
    """
    from wav2small_micro import affect
    from wav2small_micro.engines.base import Model
    from wav2small_micro.live.feed import Feed
    from wav2small_micro.live.player import Player, on_board, on_emulator
    from wav2small_micro.live.server import LOCALHOST, LiveServer

    audio, capture = open_audio(clip, port, mic=mic, loop=loop)
    loaded = Model.load(model)
    feed = Feed()
    facts = {
        "source": clip or "microphone",
        "device": port or f"{env} in the emulator",
        "words": affect.WORDS,
        "neutral_radius": affect.NEUTRAL_RADIUS,
    }
    if host != LOCALHOST:
        err.print(
            "[yellow]warning:[/] who has the address can look from other machines; "
            "nothing is encrypted"
        )
    with err.status(f"starting {port or env}"):
        connect = on_board(loaded, port) if port else on_emulator(loaded, env)
    player = Player(
        [feed],
        connect,
        audio,
        window_seconds=window,
        log_mel=log_mel,
        paced=not (mic or clip == "-"),
        capture=capture,
    )
    with LiveServer(feed, facts, host=host, port=http_port) as server:
        if json:
            print_json_line({"url": server.url, "token": server.token, "port": server.port})
        else:
            out.print(f"The page: {server.url}", soft_wrap=True, highlight=False)
            out.print("Ctrl-C ends it.")
        if browser:
            webbrowser.open(server.url)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: player.stop())
        with contextlib.suppress(W2sError):  # the page says it
            player.run()  # on this thread: an emulator lives no longer than the one that began it
        player.wait()
