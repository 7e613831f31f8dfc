# SPDX-License-Identifier: Apache-2.0
"""Properties of the C link, against PyPI's `cobs` and zlib.

1. What it encodes, they decode to the same bytes, and the other way round; the encodings are equal.
2. Whatever bytes come first, a good frame after two delimiters is received (one may be lost to
   close what the bytes before had opened).
3. No damaged frame is received: what is received was sent.
4. However the bytes are cut into pieces, the reader makes the same of them.
5. The reader never writes outside its buffers, whatever comes (UBSan traps; ASan in test_fuzz.py).
"""

import ctypes
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cobs import cobs
from hypothesis import example, given
from hypothesis import strategies as st

from wav2small_micro import paths
from wav2small_micro.link import codec
from wav2small_micro.link.messages import FRAME_SILENCE_MS, MAX_PAYLOAD

NOTHING, FRAME, LINE, COMMAND = range(4)
MAX_LINE = 80

# Runs around the 254 bytes of a COBS block, and zeros: where the mistakes live.
pieces = st.one_of(
    st.binary(max_size=40),
    st.integers(250, 258).map(lambda n: b"\x55" * n),
    st.integers(0, 5).map(bytes),
)
data = st.lists(pieces, max_size=6).map(b"".join)
payloads = data.map(lambda b: b[:MAX_PAYLOAD])


class ReaderHead(ctypes.Structure):
    """The public part of link_reader_t."""

    _fields_ = (
        ("type", ctypes.c_uint8),
        ("sequence", ctypes.c_uint8),
        ("payload", ctypes.POINTER(ctypes.c_uint8)),
        ("length", ctypes.c_size_t),
        ("is_cut", ctypes.c_bool),
        ("frames_ok", ctypes.c_uint32),
        ("crc_errors", ctypes.c_uint32),
        ("framing_errors", ctypes.c_uint32),
    )


class Received(NamedTuple):
    """A frame that the reader accepted."""

    type: int
    sequence: int
    payload: bytes


class Command(NamedTuple):
    """Text that % ended."""

    text: str
    is_cut: bool = False


class Link:
    """The C functions, on Python bytes."""

    def __init__(self, library: Path) -> None:
        self.c: Any = ctypes.CDLL(str(library))
        self.c.harness_crc32.restype = ctypes.c_uint32
        self.c.harness_crc32.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t]
        self.c.harness_cobs_encode.restype = ctypes.c_size_t
        self.c.harness_cobs_decode.restype = ctypes.c_long
        self.c.harness_write.restype = ctypes.c_size_t
        self.c.harness_reader.restype = ctypes.POINTER(ReaderHead)
        self.c.harness_reader_line.restype = ctypes.c_char_p
        self.out = ctypes.create_string_buffer(8192)

    def crc32(self, raw: bytes, split: int) -> int:
        return self.c.harness_crc32(raw, len(raw), split)

    def encode(self, raw: bytes, split: int) -> bytes:
        size = ctypes.c_size_t
        n = self.c.harness_cobs_encode(raw, size(len(raw)), size(split), self.out)
        return self.out.raw[:n]

    def decode(self, encoded: bytes) -> bytes | None:
        n = self.c.harness_cobs_decode(encoded, ctypes.c_size_t(len(encoded)), self.out)
        return None if n < 0 else self.out.raw[:n]

    def write(self, code: int, seq: int, payload: bytes) -> bytes:
        n = self.c.harness_write(code, seq, payload, ctypes.c_size_t(len(payload)), self.out)
        return self.out.raw[:n]

    def start(self) -> None:
        self.c.harness_reader_start()

    def wait(self, ms: int) -> None:
        self.c.harness_reader_wait(ms)

    @property
    def reader(self) -> ReaderHead:
        return self.c.harness_reader().contents

    def feed_pieces(self, pieces: list[bytes]) -> list[Received | str | Command]:
        """What the reader makes of a stream that comes in pieces."""
        return [item for piece in pieces for item in self.feed(piece)]

    @property
    def counters(self) -> tuple[int, int, int]:
        """Good frames, wrong checksums, broken frames."""
        head = self.reader
        return head.frames_ok, head.crc_errors, head.framing_errors

    def feed(self, stream: bytes) -> list[Received | str | Command]:
        """What the reader makes of these bytes."""
        found: list[Received | str | Command] = []
        taken = ctypes.c_size_t()
        while stream:
            event = self.c.harness_reader_feed(
                stream, ctypes.c_size_t(len(stream)), ctypes.byref(taken)
            )
            if event == FRAME:
                head = self.reader
                payload = ctypes.string_at(head.payload, head.length)
                found.append(Received(head.type, head.sequence, payload))
            elif event == LINE:
                found.append(self.c.harness_reader_line().decode("ascii"))
            elif event == COMMAND:
                line = self.c.harness_reader_line().decode("ascii")
                found.append(Command(line, self.reader.is_cut))
            stream = stream[taken.value :]
        return found


@pytest.fixture(scope="session")
def link(tmp_path_factory: pytest.TempPathFactory, compile_c: Any) -> Link:
    folder = paths.repo_root() / "firmware" / "lib" / "link"
    sources = [*folder.glob("*.c"), Path(__file__).with_name("link_harness.c")]
    # UBSan without its runtime: Python has not loaded it. What is undefined traps.
    trap = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-shared", "-fPIC"]
    return Link(compile_c(tmp_path_factory.mktemp("link") / "liblink.so", sources, trap))


@pytest.fixture
def reader(link: Link) -> Link:
    link.start()
    return link


# --- CRC-32 and COBS -----------------------------------------------------------------------------


@given(data, st.integers(0, 2000))
def test_crc32_is_zlibs(link: Link, raw: bytes, split: int) -> None:
    assert link.crc32(raw, min(split, len(raw))) == zlib.crc32(raw)


@given(data, st.integers(0, 2000))
@example(b"\x01" * 254, 0)
@example(b"\x01" * 254 + b"\0", 254)
@example(b"\x01" * 508, 300)
@example(b"\0" + b"\x01" * 254, 1)
def test_cobs_encodes_as_pypi(link: Link, raw: bytes, split: int) -> None:
    assert link.encode(raw, min(split, len(raw))) == b"\0" + cobs.encode(raw) + b"\0"


@given(data)
def test_cobs_decodes_what_pypi_encodes(link: Link, raw: bytes) -> None:
    assert link.decode(cobs.encode(raw)) == raw


@given(st.binary(min_size=1, max_size=600).map(lambda b: b.replace(b"\0", b"\1")))
def test_cobs_refuses_what_pypi_refuses(link: Link, encoded: bytes) -> None:
    try:
        expected: bytes | None = cobs.decode(encoded)
    except cobs.DecodeError:
        expected = None
    assert link.decode(encoded) == expected


@given(st.lists(st.sampled_from([b"\1", b"\2\1", b"\xff", b"\x05" * 253]), max_size=12))
@example([b"\xff" + b"\1" * 254])
@example([b"\xff" + b"\1" * 254, b"\1"])
@example([b"\xff" + b"\1" * 254, b"\xff" + b"\2" * 254, b"\2\3", b"\1"])
def test_cobs_decodes_what_no_encoder_writes_as_pypi(link: Link, parts: list[bytes]) -> None:
    """Cut blocks, and an empty block behind a full one, which some encoders write."""
    encoded = b"".join(parts)
    try:
        expected: bytes | None = cobs.decode(encoded) if encoded else None
    except cobs.DecodeError:
        expected = None
    assert link.decode(encoded) == expected


@pytest.mark.parametrize(
    "encoded", [b"", b"\0", b"\1\0", b"\2\1\0\1", b"\xff" + b"\1" * 254 + b"\0"]
)
def test_cobs_decoder_ends_where_there_is_no_length_code(link: Link, encoded: bytes) -> None:
    assert link.decode(encoded) is None


@given(st.integers(0, 255), st.integers(0, 255), payloads)
def test_writer_and_codec_agree(link: Link, code: int, seq: int, payload: bytes) -> None:
    assert link.write(code, seq, payload) == codec.encode_raw(code, seq, payload)


# --- Reader: frames ------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), payloads), max_size=5))
def test_frames_come_through(link: Link, sent: list[tuple[int, int, bytes]]) -> None:
    link.start()
    stream = b"".join(codec.encode_raw(*frame) for frame in sent)
    assert link.feed(stream) == [Received(*frame) for frame in sent]
    head = link.reader
    assert (head.frames_ok, head.crc_errors, head.framing_errors) == (len(sent), 0, 0)


@given(st.one_of(data, st.binary(max_size=3000)), payloads)
def test_frame_after_any_garbage(link: Link, garbage: bytes, payload: bytes) -> None:
    link.start()
    link.feed(garbage)
    found = link.feed(b"\0" + codec.encode_raw(1, 2, payload))
    assert found[-1:] == [Received(1, 2, payload)]


@given(payloads, st.data())
def test_no_damaged_frame_is_received(link: Link, payload: bytes, choose: st.DataObject) -> None:
    """CRC-32 finds every burst of up to 32 bits; here: one to four bytes in a row."""
    frame = bytearray(codec.encode_raw(1, 2, payload))
    at = choose.draw(st.integers(1, len(frame) - 2))
    damage = choose.draw(st.binary(min_size=1, max_size=4))
    for i, flip in enumerate(damage[: len(frame) - 1 - at]):
        frame[at + i] ^= flip
    link.start()
    received = [item for item in link.feed(bytes(frame) + b"\0") if isinstance(item, Received)]
    assert received in ([], [Received(1, 2, payload)])
    assert link.feed(codec.encode_raw(3, 4, payload))[-1:] == [Received(3, 4, payload)]


@given(payloads, st.data())
def test_truncated_frame_is_dropped_and_the_next_one_is_not(
    link: Link, payload: bytes, choose: st.DataObject
) -> None:
    frame = codec.encode_raw(1, 2, payload)
    cut = choose.draw(st.integers(2, len(frame) - 2))
    link.start()
    assert link.feed(frame[:cut] + frame) == [Received(1, 2, payload)]
    assert link.reader.crc_errors + link.reader.framing_errors == 1


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    """The pieces between the byte positions."""
    bounds = [0, *sorted(at), len(stream)]
    return [stream[a:b] for a, b in pairwise(bounds)]


# A full COBS block, zeros, text before and after, and a frame that is damaged.
MIXED = (
    b"help\r"
    + codec.encode_raw(1, 2, b"\x55" * 260 + bytes(3) + b"x")
    + b"\0\x09cut\0"
    + codec.encode_raw(3, 4, bytes(5))
    + b"\x80\rinfo\n"
)


def test_pieces_split_at_every_byte(link: Link) -> None:
    link.start()
    expected = link.feed_pieces([MIXED[i : i + 1] for i in range(len(MIXED))])
    counters = link.counters
    assert [type(item) for item in expected] == [str, Received, Received, str]
    assert counters == (2, 0, 1)
    for at in range(len(MIXED) + 1):
        link.start()
        assert link.feed_pieces([MIXED[:at], MIXED[at:]]) == expected
        assert link.counters == counters


stretches = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\0", b"\r", b"help\r", b"\b", b"\xff" * 300, b"\1" * 1200]),
    st.tuples(st.integers(0, 255), st.integers(0, 255), payloads).map(
        lambda frame: codec.encode_raw(*frame)
    ),
)


@given(st.lists(stretches, max_size=6).map(b"".join), st.data())
def test_pieces_do_not_matter(link: Link, stream: bytes, choose: st.DataObject) -> None:
    """However a stream is cut, the reader makes of it what it makes of single bytes."""
    at = choose.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    link.start()
    expected = link.feed_pieces([stream[i : i + 1] for i in range(len(stream))])
    counters = link.counters
    link.start()
    assert link.feed_pieces(cut(stream, at)) == expected
    assert link.counters == counters


@pytest.mark.parametrize("payload", [b"", b"x", b"\x55" * 640, bytes(640), b"\x55" * 1024])
def test_payload_is_aligned(reader: Link, payload: bytes) -> None:
    """Samples are used where they were decoded."""
    assert reader.feed(codec.encode_raw(3, 1, payload)) == [Received(3, 1, payload)]
    assert ctypes.addressof(reader.reader.payload.contents) % 4 == 0


@pytest.mark.parametrize("fill", [b"\0", b"\x55"])
def test_longest_payload_of(reader: Link, fill: bytes) -> None:
    """As encoded bytes the one is as long as a frame gets, the other as short."""
    longest = fill * MAX_PAYLOAD
    assert reader.feed(codec.encode_raw(1, 1, longest)) == [Received(1, 1, longest)]
    assert reader.feed(codec.encode_raw(1, 1, longest + fill)) == []
    assert reader.reader.framing_errors == 1
    assert reader.feed(codec.encode_raw(1, 1, longest)) == [Received(1, 1, longest)]


def test_longest_payload_and_one_more(reader: Link) -> None:
    longest = bytes(range(256)) * 4
    assert reader.feed(codec.encode_raw(1, 1, longest)) == [Received(1, 1, longest)]
    assert reader.feed(codec.encode_raw(1, 1, longest + b"!")) == []
    assert reader.reader.framing_errors == 1
    assert reader.feed(codec.encode_raw(1, 1, longest)) == [Received(1, 1, longest)]


def test_endless_frame(reader: Link) -> None:
    assert reader.feed(b"\0" + b"\xff" * 100_000 + b"\0") == []
    assert reader.reader.framing_errors == 1
    assert reader.feed(codec.encode_raw(1, 1, b"x")) == [Received(1, 1, b"x")]


@pytest.mark.parametrize("raw", [b"\1", b"\1\2", b"\1\2\3\4\5"])
def test_frame_without_room_for_head_and_crc(reader: Link, raw: bytes) -> None:
    assert reader.feed(b"\0" + cobs.encode(raw) + b"\0") == []
    assert reader.reader.framing_errors == 1


def test_delimiters_in_a_row_are_one(reader: Link) -> None:
    frame = codec.encode_raw(1, 1, b"x")
    assert reader.feed(bytes(50) + frame + bytes(50) + frame + b"\0") == [
        Received(1, 1, b"x"),
        Received(1, 1, b"x"),
    ]
    assert reader.reader.framing_errors == 0


# --- Reader: text and silence --------------------------------------------------------------------

printable = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="%"),
    max_size=MAX_LINE,
)


@given(st.lists(st.tuples(printable, st.sampled_from(["\r", "\n", "\r\n", "%"])), max_size=5))
def test_lines_and_commands_come_through(link: Link, lines: list[tuple[str, str]]) -> None:
    link.start()
    stream = "".join(line + end for line, end in lines)
    assert link.feed(stream.encode()) == [
        Command(line) if end == "%" else line for line, end in lines if line or end == "%"
    ]


def test_line_of_any_other_byte_is_dropped_whole(reader: Link) -> None:
    assert reader.feed(b"he\x80lp\rhelp\r\x1b[A\rinfo\n") == ["help", "info"]


def test_long_line_is_dropped_whole(reader: Link) -> None:
    long = b"x" * MAX_LINE
    assert reader.feed(long + b"\r" + long + b"y\r" + b"help\r") == [long.decode(), "help"]


def test_command_of_any_other_byte_is_noise(reader: Link) -> None:
    assert reader.feed(b"na\x80me%name%\xff%%") == [Command("name"), Command("")]


@given(st.binary(max_size=300).filter(lambda b: not set(b) & {0, 8, 13, 10, 37, 127}))
def test_long_command_is_told_unless_it_is_noise(link: Link, line: bytes) -> None:
    link.start()
    is_text = all(0x20 <= byte <= 0x7E for byte in line)
    expected = [Command(line[:MAX_LINE].decode("latin1"), len(line) > MAX_LINE)] if is_text else []
    assert link.feed(line + b"%") == expected
    assert link.feed(b"x" * MAX_LINE + b"y%") == [Command("x" * MAX_LINE, is_cut=True)]
    assert link.feed(b"help\r") == ["help"]


def test_backspace(reader: Link) -> None:
    assert reader.feed(b"\b\x7fhelpp\bx\x7f\r") == ["help"]


def test_text_between_frames(reader: Link) -> None:
    frame = codec.encode_raw(1, 1, b"x")
    found = reader.feed(b"help\r" + frame + b"info\r" + frame)
    assert found == ["help", Received(1, 1, b"x"), "info", Received(1, 1, b"x")]


def test_silence_within_a_frame_returns_to_text(reader: Link) -> None:
    frame = codec.encode_raw(1, 1, b"hello")
    assert reader.feed(frame[:6]) == []
    reader.wait(FRAME_SILENCE_MS - 1)
    assert reader.feed(frame[6:]) == [Received(1, 1, b"hello")]
    assert reader.feed(frame[:6]) == []
    reader.wait(FRAME_SILENCE_MS // 2)
    reader.wait(FRAME_SILENCE_MS // 2)
    assert reader.reader.framing_errors == 1
    assert reader.feed(b"help\r") == ["help"]


def test_stray_delimiter_and_silence_is_no_error(reader: Link) -> None:
    reader.feed(b"\0")
    reader.wait(FRAME_SILENCE_MS)
    assert reader.feed(b"help\r") == ["help"]
    assert reader.reader.framing_errors == 0


def test_silence_within_a_line_is_a_slow_typist(reader: Link) -> None:
    reader.feed(b"he")
    reader.wait(10 * FRAME_SILENCE_MS)
    assert reader.feed(b"lp\r") == ["help"]
