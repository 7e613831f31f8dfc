# SPDX-License-Identifier: Apache-2.0
"""Any bytes at all go into the application, under ASan and UBSan. It promises:

1. It never dies, hangs, or says anything but whole frames and whole lines of text.
2. After a delimiter, the next good request is answered.
3. A session that garbage has hit gives the answer that it gives without garbage.
"""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wav2small_micro.link import codec
from wav2small_micro.link.messages import (
    PROTOCOL_VERSION,
    RESET_MAGIC,
    Audio,
    Counters,
    Direction,
    Finish,
    Hello,
    Message,
    Norm,
    Ping,
    Pong,
    Reset,
    Result,
    Start,
    Stop,
)

SESSION = 3
START = Start(SESSION, Norm.LIVE, 0, 2, 0, 1 << 10, 0, 0, 0)
AUDIO = [Audio(SESSION, i, random.Random(i).randbytes(640)) for i in range(30)]
CONVERSATION: list[Message] = [
    Hello(PROTOCOL_VERSION),
    START,
    *AUDIO[:5],
    Counters(),
    Finish(SESSION, 5),
    Reset(0),
    Stop(SESSION),
    Ping(b"\0\1\2" * 100),
]
REQUESTS = [code for code, m in Message.registry.items() if m.direction is Direction.REQUEST]


def random_bytes(rng: random.Random) -> bytes:
    """Noise on the line."""
    return rng.randbytes(rng.randrange(2000))


def random_frames(rng: random.Random) -> bytes:
    """Good frames of real and other types with any payload."""
    frames = []
    for _ in range(rng.randrange(8)):
        code = rng.choice(REQUESTS) if rng.random() < 0.8 else rng.randrange(256)
        size = rng.choice([0, 1, 2, 4, 8, 36, 648, 649, 1024, rng.randrange(1024)])
        frames.append(codec.encode_raw(code, rng.randrange(256), rng.randbytes(size)))
    return b"".join(frames)


def random_text(rng: random.Random) -> bytes:
    """Commands with typing errors."""
    words = [b"help", b"info", b"counters", b"live on", b"live off", b"\b", b"\x1b[A", b"x" * 60]
    return b"".join(rng.choice(words) + rng.choice([b"\r", b"\n", b"", b" "]) for _ in range(6))


def random_mlperf(rng: random.Random) -> bytes:
    """Commands of MLPerf Tiny's runner in any order, with words and digits that are none."""
    words = [b"name", b"profile", b"timestamp", b"help", b"results", b"db", b"load", b"print"]
    words += [b"infer", b"mode", b"energy", b"1", b"2", b"130", b"4294967296", b"00ff", b"7F80" * 9]
    words += [b"0", b"abc", b"zz", b"x" * 90, b"\b", b"\xff", b"db load 256", b"db " + b"5a" * 16]
    ends = [b"%", b"%", b"%", b" ", b"\r", b""]
    return b"".join(rng.choice(words) + rng.choice([b" ", b" ", *ends]) for _ in range(12))


def damaged_conversation(rng: random.Random) -> bytes:
    """A sensible conversation with bits flipped, and pieces lost, repeated and exchanged."""
    messages = [rng.choice(CONVERSATION) if rng.random() < 0.3 else m for m in CONVERSATION]
    stream = bytearray(b"".join(codec.encode(m, i) for i, m in enumerate(messages)))
    for _ in range(rng.randrange(6)):
        at, size = rng.randrange(len(stream)), rng.randrange(1, 200)
        damage = rng.randrange(4)
        if damage == 0:
            stream[at] ^= 1 << rng.randrange(8)
        elif damage == 1:
            del stream[at : at + size]
        elif damage == 2:
            stream[at:at] = stream[at : at + size]
        else:
            stream[at:at] = rng.randbytes(size)
        stream = stream or bytearray(1)
    return bytes(stream)


def replies_until_pong(device: Any, token: bytes) -> Iterator[Message]:
    """Whatever the device says before it answers a ping that follows a delimiter."""
    device.write(b"\0" + codec.encode(Ping(token), 77))
    while (message := device.read().message) != Pong(token):
        if message is not None:
            yield message


@pytest.mark.parametrize(
    "generate", [random_bytes, random_frames, random_text, random_mlperf, damaged_conversation]
)
def test_garbage(device: Any, generate: Callable[[random.Random], bytes]) -> None:
    rng = random.Random(2408)
    for turn in range(60):
        device.write(generate(rng))
        for _ in replies_until_pong(device, b"turn %d" % turn):
            pass


def test_session_survives_garbage_between_its_frames(device: Any) -> None:
    """Garbage costs retries, and no bit of the answer."""

    def run(garbage: Callable[[], bytes]) -> Result:
        device.ask(Stop(SESSION))
        device.ask(START)
        next_block = 0
        while next_block < len(AUDIO):
            device.write(garbage() + codec.encode(AUDIO[next_block], 1))
            for message in replies_until_pong(device, b"%d" % next_block):
                next_block = max(next_block, getattr(message, "next_block", 0))
        device.send(Finish(SESSION, len(AUDIO)))
        while not isinstance(message := device.read().message, Result):
            pass
        return message

    rng = random.Random(1)
    clean = run(lambda: b"")
    assert clean.status == 0
    assert run(lambda: rng.randbytes(rng.randrange(300))) == clean
    assert run(lambda: codec.encode(AUDIO[7], 9)[: rng.randrange(600)]) == clean


def test_host_that_vanishes_within_a_frame(device: Any) -> None:
    device.ask(START)
    device.write(codec.encode(AUDIO[0], 1)[:100])
    time.sleep(0.4)
    assert device.command("live off") == ["live off"]
    assert device.ask(AUDIO[0]).next_block == 1


def test_reset_under_fire(device: Any) -> None:
    """What follows RESET in the pipe belongs to the next run, and is taken well."""
    device.ask(START)
    device.write(codec.encode(Reset(RESET_MAGIC), 1) + b"".join(codec.encode(a, 2) for a in AUDIO))
    list(replies_until_pong(device, b"alive"))
    assert device.ask(START).next_block == 0
