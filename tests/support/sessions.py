# SPDX-License-Identifier: Apache-2.0
"""Sessions with the application, message by message."""

from typing import Any

import numpy as np

from wav2small_micro.link.messages import (
    BLOCK_SAMPLES,
    Audio,
    Credit,
    Finish,
    Norm,
    Result,
    Source,
    Start,
    StartReply,
)

RATE = 16000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose level swells and fades, int16 (N,)."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    swell = np.sin(np.linspace(0, np.pi, n)) + 0.1
    return np.clip(rng.normal(0, 3000, n) * swell, -32768, 32767).astype(np.int16)


def start(session: int, pcm: np.ndarray, **changes: Any) -> Start:
    """The START of a clip whose statistics come ahead."""
    wide = pcm.astype(np.int64)
    fields: dict[str, Any] = {
        "session": session,
        "norm": Norm.GIVEN,
        "source": Source.LINK,
        "window_segments": 0,
        "options": 0,
        "tap_mask": 0,
        "samples": len(pcm),
        "sum": int(wide.sum()),
        "sum_squares": int((wide * wide).sum()),
    }
    return Start(**{**fields, **changes})


def blocks(session: int, pcm: np.ndarray) -> list[Audio]:
    """The AUDIO messages of a clip."""
    return [
        Audio(session, i, pcm[at : at + BLOCK_SAMPLES].tobytes())
        for i, at in enumerate(range(0, len(pcm), BLOCK_SAMPLES))
    ]


def run_clip(
    device: Any, session: int, pcm: np.ndarray, **changes: Any
) -> tuple[Result, list[Any]]:
    """Run a whole session, block after block. Returns its result and its events."""
    assert isinstance(device.ask(start(session, pcm, **changes)), StartReply)
    events = []
    audio = blocks(session, pcm)
    for block in audio:
        device.send(block, block.block % 256)
        while not isinstance(reply := device.read().message, Credit):
            events.append(reply)
        assert reply.next_block == block.block + 1
    device.send(Finish(session, len(audio)))
    while not isinstance(reply := device.read().message, Result):
        events.append(reply)
    return reply, events
