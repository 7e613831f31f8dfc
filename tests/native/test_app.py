# SPDX-License-Identifier: Apache-2.0
"""Conversations with the firmware's application: every request, in order and out of order."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.sessions import RATE, blocks, noise, run_clip, start

from wav2small_micro.link import codec
from wav2small_micro.link.messages import (
    BLOCK_SAMPLES,
    MAX_PAYLOAD,
    PROTOCOL_VERSION,
    RESET_MAGIC,
    Ack,
    Audio,
    BlockTicks,
    Boot,
    Counters,
    CountersReply,
    Credit,
    Error,
    ErrorCode,
    Fault,
    Finish,
    Hello,
    HelloReply,
    Layer,
    Message,
    Norm,
    Option,
    Ping,
    Pong,
    Reset,
    ResetCause,
    Row,
    Source,
    Stop,
    Window,
)


def refusal(reply: Message) -> ErrorCode:
    """Why the device refuses; `reply` must be an ERROR."""
    assert isinstance(reply, Error), reply
    return ErrorCode(reply.error)


# --- Who and how ---------------------------------------------------------------------------------


def test_boot_is_announced(start_device: Callable[..., Any]) -> None:
    assert start_device().greet() == [Boot(0, ResetCause.POWER_ON)]


def test_fault_is_told_at_boot_and_once_more_to_the_first_host(
    start_device: Callable[..., Any],
) -> None:
    device = start_device(HOST_BOARD_FAULT="1")
    boot, fault = device.greet()
    assert boot == Boot(0, ResetCause.FAULT)
    assert isinstance(fault, Fault)
    assert fault.pc == 0x08001234
    assert any("0x08001234" in line for line in device.command("info", 10))
    assert isinstance(device.ask(Hello(PROTOCOL_VERSION)), HelloReply)
    assert device.read().message == fault
    assert isinstance(device.ask(Hello(PROTOCOL_VERSION)), HelloReply)
    assert device.silent()


def test_hello_tells_board_model_and_limits(device: Any) -> None:
    hello = device.ask(Hello(PROTOCOL_VERSION), seq=200)
    assert isinstance(hello, HelloReply)
    assert hello.board == "host"
    assert hello.model.startswith("wav2small-")
    assert hello.protocol == PROTOCOL_VERSION
    assert hello.block_samples == BLOCK_SAMPLES
    assert hello.max_payload == MAX_PAYLOAD
    assert any(hello.model_sha256)
    assert hello.audio_window * (BLOCK_SAMPLES * 2 + 20) < 4096, "must fit the receive ring"


def test_another_protocol_version_is_refused_with_ours(device: Any) -> None:
    reply = device.ask(Hello(PROTOCOL_VERSION + 1))
    assert refusal(reply) is ErrorCode.BAD_VERSION
    assert reply.detail == PROTOCOL_VERSION


@pytest.mark.parametrize("size", [0, 1, 253, 254, 255, 509, MAX_PAYLOAD])
def test_ping_returns_the_same_bytes(device: Any, size: int) -> None:
    data = bytes(range(256)) * 4
    assert device.ask(Ping(data[:size])) == Pong(data[:size])
    assert device.ask(Ping(b"\xff" * size)) == Pong(b"\xff" * size)
    assert device.ask(Ping(bytes(size))) == Pong(bytes(size))


def test_unknown_request(device: Any) -> None:
    device.write(codec.encode_raw(0x42, 9, b"?"))
    reply = device.read()
    assert reply.seq == 9
    assert reply.message == Error(ErrorCode.UNKNOWN_TYPE, 0x42, 0, 0x42)


@pytest.mark.parametrize("request_type", [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08])
@pytest.mark.parametrize("payload", [b"\1", bytes(800), bytes(MAX_PAYLOAD)])
def test_wrong_length(device: Any, request_type: int, payload: bytes) -> None:
    device.write(codec.encode_raw(request_type, 3, payload))
    expected = Error(ErrorCode.BAD_LENGTH, request_type, 0, len(payload))
    assert device.read().message == expected


def test_reset_wants_its_magic_number(device: Any) -> None:
    assert refusal(device.ask(Reset(1))) is ErrorCode.BAD_VALUE
    assert isinstance(device.ask(Reset(RESET_MAGIC)), Ack)
    assert device.greet() == [Boot(1, ResetCause.SOFTWARE)]


# --- Sessions ------------------------------------------------------------------------------------


def test_clip(device: Any) -> None:
    pcm = noise(1.0)
    result, events = run_clip(device, 7, pcm)
    frames = (len(pcm) - 64) // 32 + 1
    assert (result.session, result.status) == (7, 0)
    assert (result.frames, result.rows) == (frames, (frames + 1) // 2)
    assert events == []
    counters = device.ask(Counters())
    assert isinstance(counters, CountersReply)
    assert counters.samples == len(pcm)
    assert counters.blocks_accepted == 50
    parts = counters.ticks_front_end + counters.ticks_network + counters.ticks_pool
    assert 0 < parts <= counters.ticks_total


def test_same_clip_gives_the_same_answer_whatever_ran_before(device: Any) -> None:
    pcm = noise(0.7)
    first, _ = run_clip(device, 1, pcm)
    run_clip(device, 2, noise(0.9, seed=5), norm=Norm.LIVE, window_segments=2)
    device.ask(start(3, noise(1)))
    device.ask(blocks(3, noise(1))[0])
    second, _ = run_clip(device, 4, pcm)
    assert (first.arousal, first.dominance, first.valence) == (
        second.arousal,
        second.dominance,
        second.valence,
    )


def test_last_block_may_be_short(device: Any) -> None:
    result, _ = run_clip(device, 1, noise(0.2)[: 320 * 9 + 1])
    assert result.status == 0
    assert result.frames == (320 * 9 + 1 - 64) // 32 + 1


def test_too_little_audio_is_a_result_with_its_status(device: Any) -> None:
    result, _ = run_clip(device, 1, noise(0.2)[:40])
    assert result.status == -3  # W2S_E_SHORT
    assert result.frames == 0


def test_blocks_in_flight(device: Any) -> None:
    pcm = noise(0.5)
    opened = device.ask(start(1, pcm))
    audio = blocks(1, pcm)
    for block in audio[: opened.audio_window]:
        device.send(block, block.block)
    for i in range(opened.audio_window):
        reply = device.read()
        assert (reply.message.next_block, reply.seq) == (i + 1, i)


def test_repeated_requests_change_nothing(device: Any) -> None:
    pcm = noise(0.5)
    audio = blocks(1, pcm)
    expected, _ = run_clip(device, 9, pcm)
    assert device.ask(start(1, pcm)).next_block == 0
    assert device.ask(start(1, pcm)).next_block == 0
    for block in audio:
        assert device.ask(block).next_block == block.block + 1
        assert device.ask(block).next_block == block.block + 1
        assert device.ask(start(1, pcm)).next_block == block.block + 1
    result = device.ask(Finish(1, len(audio)))
    assert device.ask(Finish(1, len(audio))) == result
    assert device.ask(start(1, pcm)).next_block == len(audio)
    assert device.ask(Finish(1, len(audio))) == result
    assert (result.arousal, result.valence) == (expected.arousal, expected.valence)
    counters = device.ask(Counters())
    assert counters.blocks_repeated == len(audio)
    assert isinstance(device.ask(Stop(1)), Ack)
    assert isinstance(device.ask(Stop(1)), Ack)


def test_gap_is_answered_with_the_block_that_is_due(device: Any) -> None:
    pcm = noise(0.5)
    audio = blocks(1, pcm)
    device.ask(start(1, pcm))
    device.ask(audio[0])
    assert device.ask(audio[2]).next_block == 1
    assert device.ask(audio[3]).next_block == 1
    reply = device.ask(Finish(1, len(audio)))
    assert refusal(reply) is ErrorCode.MISSING_AUDIO
    assert reply.detail == 1
    for block in audio[1:]:
        device.ask(block)
    assert device.ask(Finish(1, len(audio))).status == 0
    assert device.ask(Counters()).blocks_refused == 2


def test_audio_after_finish(device: Any) -> None:
    pcm = noise(0.3)
    run_clip(device, 1, pcm)
    reply = device.ask(Audio(1, len(blocks(1, pcm)), bytes(640)))
    assert refusal(reply) is ErrorCode.BAD_STATE
    assert device.ask(blocks(1, pcm)[0]).next_block == len(blocks(1, pcm))


def test_without_a_session(device: Any) -> None:
    for session in (0, 1):
        assert refusal(device.ask(Audio(session, 0, bytes(640)))) is ErrorCode.NO_SESSION
        assert refusal(device.ask(Finish(session, 0))) is ErrorCode.NO_SESSION
        assert isinstance(device.ask(Stop(session)), Ack)


def test_another_session_is_told_which_one_runs(device: Any) -> None:
    device.ask(start(5, noise(0.5)))
    reply = device.ask(Audio(4, 0, bytes(640)))
    assert refusal(reply) is ErrorCode.NO_SESSION
    assert reply.detail == 5
    assert isinstance(device.ask(Stop(4)), Ack)
    assert device.ask(Audio(5, 0, bytes(640))).next_block == 1


def test_stop_ends_the_session(device: Any) -> None:
    device.ask(start(5, noise(0.5)))
    assert isinstance(device.ask(Stop(5)), Ack)
    assert refusal(device.ask(Audio(5, 0, bytes(640)))) is ErrorCode.NO_SESSION


def test_new_start_wins(device: Any) -> None:
    """The host that began the session before may have vanished."""
    device.ask(start(1, noise(0.5)))
    device.ask(Audio(1, 0, bytes(640)))
    assert device.ask(start(2, noise(0.5))).next_block == 0
    assert refusal(device.ask(Audio(1, 1, bytes(640)))) is ErrorCode.NO_SESSION


def test_refused_start_leaves_the_session_alone(device: Any) -> None:
    device.ask(start(1, noise(0.5)))
    assert refusal(device.ask(start(2, noise(0.5), norm=9))) is ErrorCode.BAD_VALUE
    assert device.ask(Audio(1, 0, bytes(640))).next_block == 1


@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        ({"session": 0}, ErrorCode.BAD_VALUE, 0),
        ({"norm": 3}, ErrorCode.BAD_VALUE, 3),
        ({"source": 2}, ErrorCode.BAD_VALUE, 2),
        ({"tap_mask": 1 << 12}, ErrorCode.BAD_VALUE, 1 << 12),
        ({"options": 4}, ErrorCode.BAD_VALUE, 4),
        ({"options": Option.AUDIO}, ErrorCode.BAD_VALUE, Option.AUDIO),
        ({"source": Source.MICROPHONE}, ErrorCode.NOT_SUPPORTED, Source.MICROPHONE),
        ({"norm": Norm.BUFFERED}, ErrorCode.NOT_SUPPORTED, Norm.BUFFERED),
        ({"window_segments": 255}, ErrorCode.NOT_SUPPORTED, 255),
        ({"samples": 0}, ErrorCode.AUDIO_ERROR, 2**32 - 1),
        ({"sum_squares": 2**64 - 1}, ErrorCode.AUDIO_ERROR, 2**32 - 1),
        ({"sum": -(2**63)}, ErrorCode.AUDIO_ERROR, 2**32 - 1),
    ],
)
def test_start_with_bad_values(device: Any, changes: dict, code: ErrorCode, detail: int) -> None:
    reply = device.ask(start(**{"session": 1, "pcm": noise(0.5), **changes}))
    assert refusal(reply) is code
    assert reply.detail == detail
    assert refusal(device.ask(Audio(1, 0, bytes(640)))) is ErrorCode.NO_SESSION


@pytest.mark.parametrize("size", [0, 1, 639])
def test_audio_of_no_or_half_a_sample(device: Any, size: int) -> None:
    device.ask(start(1, noise(0.5)))
    assert refusal(device.ask(Audio(1, 0, bytes(size)))) is ErrorCode.BAD_LENGTH
    assert device.ask(Audio(1, 0, bytes(640))).next_block == 1


def test_marker_is_high_for_each_block_and_for_the_end(
    start_device: Callable[..., Any], tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    device = start_device(HOST_BOARD_MARKER=str(marker))
    device.greet()
    pcm = noise(0.1)
    run_clip(device, 5, pcm)
    assert isinstance(device.ask(Audio(5, 0, pcm[:10].tobytes())), Credit)  # repeated: no work
    assert marker.read_text() == "10" * (len(blocks(5, pcm)) + 1)


LAYER_TICKS = ("front_end", "attention", *(f"l{i}" for i in range(1, 8)), "pool", "lin", "sof")


def test_profile_of_each_block(device: Any) -> None:
    pcm = noise(0.6)
    result, events = run_clip(device, 5, pcm, norm=Norm.LIVE, window_segments=1, options=1)
    assert result.status == 0
    ticks = [event for event in events if isinstance(event, BlockTicks)]
    assert [(t.session, t.block) for t in ticks] == [(5, i) for i in range(len(blocks(5, pcm)))]
    for block in ticks:
        layers = sum(getattr(block, name) for name in LAYER_TICKS)
        assert 0 < layers < block.library
        assert block.library + block.answer + block.asleep < block.elapsed
        assert block.readings > 0
    counters = device.ask(Counters())
    assert sum(t.library for t in ticks) <= counters.ticks_total  # which has the clip's end, too
    # Not for the session after it.
    assert run_clip(device, 6, pcm)[1] == []


# --- Rows and windows ----------------------------------------------------------------------------


def test_rows_of_every_layer(device: Any) -> None:
    pcm = noise(0.25)
    result, events = run_clip(device, 3, pcm, tap_mask=(1 << len(Layer)) - 1)
    assert all(isinstance(event, Row) and event.session == 3 for event in events)
    for layer in Layer:
        rows = [event for event in events if event.layer == layer]
        wide = layer <= Layer.L3
        width = 26 if layer <= Layer.INPUT else 338 if wide else 169
        assert [row.row for row in rows] == list(range(result.frames if wide else result.rows))
        assert {row.element_size for row in rows} == {2 if layer == Layer.LOGMEL else 1}
        assert {len(row.data) for row in rows} == {width * rows[0].element_size}
    plain, none = run_clip(device, 4, pcm)
    assert none == []
    assert (plain.arousal, plain.valence) == (result.arousal, result.valence)


def test_windows_of_live_audio(device: Any) -> None:
    pcm = np.concatenate([noise(0.5), np.zeros(RATE, np.int16), noise(0.6, seed=2)])
    _, events = run_clip(device, 1, pcm, norm=Norm.LIVE, window_segments=1, samples=0)
    assert all(isinstance(event, Window) for event in events)
    assert [event.segment for event in events] == [0, 1, 2, 3]
    halves = pcm[: 4 * 8000].reshape(4, 8000).astype(float)
    assert [event.level_rms for event in events] == list(np.sqrt((halves**2).mean(1)).astype(int))


def test_live_lines_for_people(device: Any) -> None:
    device.command("live on")
    device.ask(start(1, noise(1), norm=Norm.LIVE))
    lines = []
    for block in blocks(1, noise(1.2)):
        device.send(block)
        while (reply := device.read()).message is None:
            lines.append(reply.text)
    assert len(lines) == 2
    words = lines[0].split()
    assert words[::2] == ["A", "D", "V"]
    assert all(word == f"{float(word):.2f}" for word in words[1::2])
    device.command("live off")


# --- People at a terminal ------------------------------------------------------------------------


def test_text_commands(device: Any) -> None:
    assert device.command("help", 9)[0].startswith("help")
    info = device.command("info", 9)
    model = device.ask(Hello(PROTOCOL_VERSION))
    assert any(model.model_sha256.hex() in line for line in info)
    counters = device.command("counters", 18)
    assert any(line.split() == ["stack", "size", "4096", "bytes"] for line in counters)
    assert device.command("bogus") == ["Unknown command. Type help."]
    assert device.command("hexx\b\b\x7felp", 9)[0].startswith("help")


def test_lines_may_end_as_the_terminal_likes(device: Any) -> None:
    device.write(b"\r\n\n\rlive on\nlive off\r\n")
    assert device.read().text.startswith("live on")
    assert device.read().text.startswith("live off")
    assert device.silent()


def test_text_reset(device: Any) -> None:
    assert device.command("reset") == ["resetting"]
    assert device.greet() == [Boot(1, ResetCause.SOFTWARE)]


def test_host_that_stops_reading(device: Any) -> None:
    """What nobody takes is dropped: the device goes on, and answers when somebody reads again."""
    output = device.process.stdout.fileno()
    fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, 4096)
    for seq in range(20):
        device.send(Ping(bytes(MAX_PAYLOAD)), seq)
    time.sleep(1)
    device.send(Ping(b"still there?"), 200)
    reader = codec.FrameReader()
    frames: list[codec.Frame] = []
    while not frames or frames[-1].seq != 200:
        frames += reader.feed(os.read(output, 65536))
    assert frames[-1].message == Pong(b"still there?")
    assert len(frames) < 20
    device.unread = b""
    assert device.ask(Ping(b"and now?")) == Pong(b"and now?")
