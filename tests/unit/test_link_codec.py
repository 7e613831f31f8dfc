# SPDX-License-Identifier: Apache-2.0
"""Messages survive the wire, and nothing else becomes a message."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav2small_micro.link import messages
from wav2small_micro.link.codec import (
    MAX_ENCODED,
    CodecError,
    Frame,
    FrameReader,
    decode,
    encode,
    encode_raw,
    pack,
    unpack,
)
from wav2small_micro.link.messages import MESSAGES, Bytes, Chars, Message, Scalar

NAME = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=24)


def field_values(wire: object) -> st.SearchStrategy[Any]:
    if isinstance(wire, Scalar):
        bits = 8 * struct.calcsize(wire.code)
        signed = wire.code.islower()
        return st.integers(-(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed) - 1)
    if isinstance(wire, Chars):
        return NAME
    if isinstance(wire, Bytes):
        return st.binary(min_size=wire.size, max_size=wire.size)
    return st.binary(max_size=messages.MAX_PAYLOAD - 16)


@st.composite
def any_message(draw: st.DrawFn) -> Message:
    cls = draw(st.sampled_from(MESSAGES))
    return cls(**{f.name: draw(field_values(f.wire)) for f in cls.wire_fields()})


MESSAGE = any_message()
SEQ = st.integers(0, 255)


def read_all(data: bytes) -> list[Frame]:
    return FrameReader().feed(data)


@given(MESSAGE, SEQ)
def test_round_trip(message: Message, seq: int) -> None:
    frame = encode(message, seq)
    assert frame[0] == frame[-1] == 0
    assert 0 not in frame[1:-1]
    assert len(frame) <= MAX_ENCODED + 2
    assert decode(frame[1:-1]) == Frame(message, seq)
    assert unpack(message.code, pack(message)) == message


@given(st.lists(st.tuples(MESSAGE, SEQ), max_size=5), st.lists(st.integers(1, 40)))
def test_any_cut_of_the_stream_gives_the_same_frames(
    sent: list[tuple[Message, int]], cuts: list[int]
) -> None:
    stream = b"".join(encode(message, seq) for message, seq in sent)
    reader, got = FrameReader(), []
    for size in cuts:
        got += reader.feed(stream[:size])
        stream = stream[size:]
    got += reader.feed(stream)
    assert got == [Frame(message, seq) for message, seq in sent]


@given(st.binary(max_size=300), MESSAGE, SEQ)
def test_garbage_before_sync(garbage: bytes, message: Message, seq: int) -> None:
    assert read_all(garbage + encode(message, seq)) == [Frame(message, seq)]


@given(MESSAGE, MESSAGE, SEQ, st.data())
def test_truncated_frame_costs_nothing_but_itself(
    lost: Message, message: Message, seq: int, data: st.DataObject
) -> None:
    frame = encode(lost, seq)
    cut = data.draw(st.integers(0, len(frame) - 2))
    assert read_all(frame[:cut] + encode(message, seq)) == [Frame(message, seq)]


@given(MESSAGE, SEQ, st.data())
def test_flipped_bits_never_make_a_message(message: Message, seq: int, data: st.DataObject) -> None:
    frame = bytearray(encode(message, seq))
    bits = st.integers(8, 8 * (len(frame) - 1) - 1)  # the outer delimiters stay
    for bit in data.draw(st.lists(bits, min_size=1, max_size=3, unique=True)):
        frame[bit // 8] ^= 1 << bit % 8
    assert read_all(bytes(frame)) == []


@given(MESSAGE, SEQ, st.integers(2, 4))
def test_repeated_frame_is_read_as_often_as_it_came(message: Message, seq: int, times: int) -> None:
    assert read_all(encode(message, seq) * times) == [Frame(message, seq)] * times


@given(MESSAGE, SEQ)
def test_frames_may_share_a_delimiter(message: Message, seq: int) -> None:
    frame = encode(message, seq)
    assert read_all(frame + frame[1:]) == [Frame(message, seq)] * 2


@given(st.binary(max_size=5000))
def test_noise_is_never_a_message_and_never_fills_the_memory(noise: bytes) -> None:
    reader = FrameReader()
    assert reader.feed(noise) == []
    assert len(reader._buffer) <= MAX_ENCODED


def test_text_between_frames_goes_to_the_callback() -> None:
    lines: list[str] = []
    reader = FrameReader(lines.append)
    ping = encode(messages.Ping(b"\0\n\0"), 1)
    frames = reader.feed(b"wav2small ready\r\n" + ping + b"A 0.5\r\nV 0.4\n" + ping + b"> ")
    assert len(frames) == 2
    assert lines == ["wav2small ready", "A 0.5", "V 0.4"]


def test_text_comes_as_soon_as_its_line_ends() -> None:
    lines: list[str] = []
    reader = FrameReader(lines.append)
    reader.feed(encode(messages.Ack(), 1) + b"half a li")
    assert lines == []
    reader.feed(b"ne\r\n")
    assert lines == ["half a line"]


def test_text_after_a_stray_delimiter_comes_when_the_stream_pauses() -> None:
    lines: list[str] = []
    reader = FrameReader(lines.append)
    reader.feed(b"\0hello\r\n")
    assert lines == []
    reader.idle()
    assert lines == ["hello"]


def test_a_pause_does_not_hurt_a_frame_under_way() -> None:
    reader = FrameReader()
    frame = encode(messages.Ping(b"0123\n456"), 3)
    reader.feed(frame[:9])
    reader.idle()
    assert reader.feed(frame[9:]) == [Frame(messages.Ping(b"0123\n456"), 3)]


def test_noise_is_counted_and_kept_from_the_callback() -> None:
    lines: list[str] = []
    reader = FrameReader(lines.append)
    reader.feed(b"\xff\xfe\n\0" + b"x" * 10 + b"\0")
    assert lines == []
    assert reader.noise_bytes == 12


def test_unknown_message_is_skipped() -> None:
    assert read_all(encode_raw(0x70, 1, b"future")) == []
    with pytest.raises(CodecError, match="unknown message 0x70"):
        unpack(0x70, b"")


@pytest.mark.parametrize("payload", [b"", b"\1", b"\1\0\0"])
def test_wrong_length_is_refused(payload: bytes) -> None:
    with pytest.raises(CodecError, match="HELLO of"):
        unpack(messages.Hello.code, payload)


@pytest.mark.parametrize(
    "message",
    [
        messages.Hello(70000),
        messages.Hello(-1),
        messages.Ping(bytes(messages.MAX_PAYLOAD + 1)),
    ],
)
def test_values_that_do_not_fit_are_refused(message: Message) -> None:
    with pytest.raises(CodecError):
        pack(message)


def test_names_are_padded_and_cut_clean() -> None:
    fields = {f.name: 0 for f in messages.HelloReply.wire_fields()}
    hello = messages.HelloReply(**{**fields, "board": "b", "model": "m" * 24, "model_sha256": b""})
    decoded = unpack(hello.code, pack(hello))
    assert isinstance(decoded, messages.HelloReply)
    assert (decoded.board, decoded.model, decoded.model_sha256) == ("b", "m" * 24, bytes(32))
    with pytest.raises(CodecError, match="board of HELLO_REPLY is too long"):
        pack(messages.HelloReply(**{**fields, "board": "b" * 25, "model": "", "model_sha256": b""}))
