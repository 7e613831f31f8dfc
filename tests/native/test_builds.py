# SPDX-License-Identifier: Apache-2.0
"""Builds of the application with other options, and one that went wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wav2small_micro.link.messages import (
    PROTOCOL_VERSION,
    Audio,
    Error,
    ErrorCode,
    Finish,
    Hello,
    Norm,
    Ping,
    Pong,
    Result,
    Start,
)

BUFFER_SECONDS = 1
BLOCKS = BUFFER_SECONDS * 50
W2S_E_LONG, W2S_E_MODEL = -4, -5


def buffered(session: int, samples: int = 0) -> Start:
    """A session whose clip the device normalises by itself."""
    return Start(session, Norm.BUFFERED, 0, 0, 0, 0, samples, 0, 0)


def audio(session: int, block: int) -> Audio:
    """A block of a sawtooth."""
    return Audio(session, block, bytes(range(256)) * 2 + bytes(128))


@pytest.fixture(scope="module")
def buffering_app(build_app: Callable[..., Path], weights: Path) -> Path:
    return build_app(weights, f"-DW2S_BUFFER_SECONDS={BUFFER_SECONDS}")


@pytest.fixture
def buffering(start_device: Callable[..., Any], buffering_app: Path) -> Any:
    device = start_device(buffering_app)
    device.greet()
    return device


def test_clip_that_the_board_normalises(buffering: Any) -> None:
    assert buffering.ask(Hello(PROTOCOL_VERSION)).buffer_seconds == BUFFER_SECONDS
    buffering.ask(buffered(1))
    for block in range(BLOCKS):
        assert buffering.ask(audio(1, block)).next_block == block + 1
    result = buffering.ask(Finish(1, BLOCKS))
    assert isinstance(result, Result)
    assert (result.status, result.frames) == (0, BUFFER_SECONDS * 500 - 1)
    assert buffering.ask(Finish(1, BLOCKS)) == result
    buffering.close()


def test_clip_that_says_to_be_longer_than_the_buffer(buffering: Any) -> None:
    limit = BUFFER_SECONDS * 16000
    assert buffering.ask(buffered(1, limit)).next_block == 0
    assert buffering.ask(buffered(2, limit + 1)) == Error(ErrorCode.TOO_LONG, 0x02, 0, limit)
    buffering.close()


def test_clip_that_turns_out_longer_than_the_buffer(buffering: Any) -> None:
    """The session has failed for good, and says so; the next one is not touched by it."""
    too_long = 2**32 + W2S_E_LONG
    buffering.ask(buffered(1))
    for block in range(BLOCKS):
        buffering.ask(audio(1, block))
    for block in (BLOCKS, BLOCKS + 1, 0):
        reply = buffering.ask(audio(1, block))
        assert reply == Error(ErrorCode.AUDIO_ERROR, 0x03, 0, too_long)
    for _ in range(2):
        reply = buffering.ask(Finish(1, BLOCKS + 1))
        assert reply == Error(ErrorCode.AUDIO_ERROR, 0x04, 0, too_long)
    assert buffering.ask(buffered(1)).next_block == 0
    assert buffering.ask(audio(1, 0)).next_block == 1
    buffering.close()


def test_model_that_the_library_cannot_run(
    build_app: Callable[..., Path], start_device: Callable[..., Any], tmp_path: Path
) -> None:
    source = tmp_path / "weights.c"
    source.write_text(
        '#include "wav2small.h"\n'
        "extern const w2s_model w2s_model_data;\n"
        'const w2s_model w2s_model_data = {.name = "broken"};\n'
    )
    device = start_device(build_app(source))
    assert "cannot run its model" in device.read().text
    device.greet()
    assert device.ask(Ping(b"hi")) == Pong(b"hi")
    assert device.ask(Hello(PROTOCOL_VERSION)).model == "broken"
    reply = device.ask(Start(1, Norm.LIVE, 0, 0, 0, 0, 0, 0, 0))
    assert reply == Error(ErrorCode.AUDIO_ERROR, 0x02, 0, 2**32 + W2S_E_MODEL)
    device.close()
