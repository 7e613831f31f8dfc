# SPDX-License-Identifier: Apache-2.0
"""Any stream into the host's reader of frames, cut in any way.

Promises (docs/security.md): S2, S8.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["wav2small_micro", "cobs"]):
    from fuzz.programme import Programme

    from wav2small_micro.link import codec

MOST_WAITING = codec.MAX_ENCODED


def stream(programme: Programme) -> bytes:
    """Pieces as they are, and pieces in good frames: no mutation finds a CRC."""
    found = b""
    while programme.left:
        operation, size = programme.byte(), programme.byte()
        piece = programme.piece(size)
        if operation % 3 == 0:
            found += piece
        elif operation % 3 == 1:
            code, seq, times = programme.byte(), programme.byte(), 1 + programme.byte() % 5
            found += codec.encode_raw(code, seq, (piece * times)[:1100])
        else:
            found += piece + b"\r\n"
    return found


def read(data: bytes, size: int) -> list[codec.Frame]:
    """The frames of `data` that comes in pieces of `size` bytes."""
    lines: list[str] = []
    reader = codec.FrameReader(lines.append)
    frames = []
    for at in range(0, len(data), size):
        frames += reader.feed(data[at : at + size])
        assert len(reader._buffer) <= MOST_WAITING
    assert all(line.replace("\t", " ").isprintable() for line in lines)
    assert reader.frames == len(frames)
    assert frames_after(reader) == 1
    return frames


def frames_after(reader: codec.FrameReader) -> int:
    """How many frames a delimiter and a good frame give after whatever came."""
    reader.feed(b"\0")
    return len(reader.feed(codec.encode(codec.messages.Ping(b"\0t"), 5)))


def test_one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    programme = Programme(data)
    size = 1 + programme.byte()
    sent = stream(programme)
    assert read(sent, size) == read(sent, max(1, len(sent)))


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
