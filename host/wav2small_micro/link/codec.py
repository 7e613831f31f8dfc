# SPDX-License-Identifier: Apache-2.0
"""Messages to bytes and back: payloads, COBS frames, and a reader that survives any stream.

>>> frame = encode(messages.Ping(b"hello"), seq=7)
>>> FrameReader().feed(b"noise" + frame + frame[:5])
[Frame(message=Ping(data=b'hello'), seq=7)]
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from cobs import cobs  # type: ignore[import-untyped]

from wav2small_micro.link import messages
from wav2small_micro.link.messages import Chars, Message

_HEAD = struct.Struct("<BB")  # type, seq
_CRC = struct.Struct("<I")
_MIN_FRAME = _HEAD.size + _CRC.size
MAX_ENCODED = _MIN_FRAME + messages.MAX_PAYLOAD + (_MIN_FRAME + messages.MAX_PAYLOAD) // 254 + 1

_PRINTABLE = frozenset(range(0x20, 0x7F)) | {0x09}


class CodecError(ValueError):
    """These bytes are no message of the registry."""


@dataclass(frozen=True)
class Frame:
    """A message and its sequence number."""

    message: Message
    seq: int


def pack(message: Message) -> bytes:
    """The payload of `message`.

    Raises CodecError for values that their fields cannot hold.
    """
    values = []
    for field in message.wire_fields():
        value = getattr(message, field.name)
        if field.format:
            values.append(value.encode("ascii") if isinstance(field.wire, Chars) else value)
            if isinstance(values[-1], bytes) and len(values[-1]) > field.size:
                raise CodecError(f"{field.name} of {message.wire_name()} is too long: {value!r}")
    try:
        payload = struct.pack(message.fixed_format(), *values)
    except struct.error as error:
        raise CodecError(f"{message.wire_name()}: {error}") from None
    tail = message.tail()
    if tail:
        payload += getattr(message, tail.name)
    if len(payload) > messages.MAX_PAYLOAD:
        raise CodecError(f"{message.wire_name()} of {len(payload)} bytes: too long")
    return payload


def unpack(code: int, payload: bytes) -> Message:
    """The message with this code and payload.

    Raises CodecError for an unknown code or a payload that does not fit it.
    """
    cls = Message.registry.get(code)
    if cls is None:
        raise CodecError(f"unknown message {code:#04x}")
    size, tail = cls.fixed_size(), cls.tail()
    if len(payload) < size or (len(payload) > size and tail is None):
        raise CodecError(f"{cls.wire_name()} of {len(payload)} bytes instead of {size}")
    values = dict(
        zip(
            (field.name for field in cls.wire_fields() if field.format),
            struct.unpack_from(cls.fixed_format(), payload),
            strict=True,
        )
    )
    for field in cls.wire_fields():
        if isinstance(field.wire, Chars):
            values[field.name] = values[field.name].rstrip(b"\0").decode("ascii", "replace")
    if tail:
        values[tail.name] = payload[size:]
    return cls(**values)


def encode(message: Message, seq: int) -> bytes:
    """The whole frame with both delimiters, ready for the wire."""
    return encode_raw(message.code, seq, pack(message))


def encode_raw(code: int, seq: int, payload: bytes) -> bytes:
    """A frame around any code and payload, whether the registry knows them or not."""
    body = _HEAD.pack(code, seq) + payload
    return b"\0" + cobs.encode(body + _CRC.pack(zlib.crc32(body))) + b"\0"


def decode(encoded: bytes) -> Frame:
    """The frame in the bytes between two delimiters.

    Raises CodecError for anything else.
    """
    try:
        raw = cobs.decode(encoded)
    except cobs.DecodeError as error:
        raise CodecError(str(error)) from None
    if len(raw) < _MIN_FRAME:
        raise CodecError(f"a frame of {len(raw)} bytes")
    body, crc = raw[: -_CRC.size], raw[-_CRC.size :]
    if _CRC.pack(zlib.crc32(body)) != crc:
        raise CodecError("wrong CRC")
    code, seq = _HEAD.unpack_from(body)
    return Frame(unpack(code, body[_HEAD.size :]), seq)


class FrameReader:
    """Finds the frames in a stream of bytes, whatever else is in it.

    Complete lines of text between frames (boot banners, answers to text commands) go to
    `on_text` without their line ends; all other bytes are counted in `noise_bytes`, and go to
    `on_noise` with what stood beside them between two delimiters.
    """

    def __init__(
        self,
        on_text: Callable[[str], None] | None = None,
        on_noise: Callable[[bytes], None] | None = None,
    ) -> None:
        self.frames = 0
        self.noise_bytes = 0
        self._on_text = on_text
        self._on_noise = on_noise
        self._buffer = b""  # bytes since the last delimiter
        self._in_frame = False  # the last delimiter opened a frame

    @property
    def pending(self) -> int:
        """Bytes that wait for a delimiter."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Takes the next bytes of the stream and returns the frames that they complete."""
        *closed, self._buffer = (self._buffer + data).split(b"\0")
        frames = []
        for chunk in closed:
            frame = self._try_decode(chunk)
            # A delimiter after anything but a good frame may be the one that opens the next.
            self._in_frame = frame is None
            if frame:
                frames.append(frame)
            else:
                self._take_text(chunk)
        if not self._in_frame:
            self._take_finished_lines()
        if len(self._buffer) > MAX_ENCODED:
            self._take_text(self._buffer)
            self._buffer, self._in_frame = b"", False
        self.frames += len(frames)
        return frames

    def idle(self) -> None:
        """Tells that the stream has paused: text that waits for a delimiter is given out."""
        if self._take_finished_lines():
            self._in_frame = False

    def _try_decode(self, chunk: bytes) -> Frame | None:
        try:
            return decode(chunk) if chunk else None
        except CodecError:
            return None

    def _take_finished_lines(self) -> bool:
        """Gives out what is only text; anything else may still become a frame."""
        end = self._buffer.rfind(b"\n") + 1
        if not end or not set(self._buffer[:end]) <= _PRINTABLE | {0x0A, 0x0D}:
            return False
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        self._take_text(text)
        return True

    def _take_text(self, chunk: bytes) -> None:
        before = self.noise_bytes
        for line in chunk.splitlines(keepends=True):
            text = line.rstrip(b"\r\n")
            if text and len(text) < len(line) and set(text) <= _PRINTABLE:
                if self._on_text:
                    self._on_text(text.decode("ascii"))
            else:
                self.noise_bytes += len(text)
        if self._on_noise and self.noise_bytes > before:
            self._on_noise(chunk)
