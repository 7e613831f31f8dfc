# SPDX-License-Identifier: Apache-2.0
"""Writes what follows from the registry of messages: the C header, the protocol page, and the
table that the live view's JavaScript decodes by.

Run `python -m wav2small_micro.link.generate` after a change of `messages.py`; a test fails as long
as the files in the tree differ from what this module would write.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from wav2small_micro.link import messages
from wav2small_micro.link.messages import (
    ENUMS,
    MESSAGES,
    Chars,
    Direction,
    DocumentedEnum,
    Message,
    Scalar,
    Tail,
    WireField,
)
from wav2small_micro.paths import repo_root

HEADER_PATH = Path("firmware/lib/link/messages.h")
PAGE_PATH = Path("docs/protocol.md")
SCRIPT_PATH = Path("host/wav2small_micro/live/page/messages.js")

_CONSTANTS = (
    ("LINK_PROTOCOL_VERSION", messages.PROTOCOL_VERSION, "HELLO with another one is refused"),
    ("LINK_MAX_PAYLOAD", messages.MAX_PAYLOAD, "bytes"),
    ("LINK_BLOCK_SAMPLES", messages.BLOCK_SAMPLES, "samples in a full AUDIO, 20 ms"),
    ("LINK_NAME_SIZE", messages.NAME_SIZE, "bytes of a name, padded with zeros"),
    ("LINK_SHA256_SIZE", messages.SHA256_SIZE, "bytes"),
    ("LINK_FRAME_SILENCE_MS", messages.FRAME_SILENCE_MS, "within a frame, then text again"),
    ("LINK_LOGMEL_PER_DB", messages.LOGMEL_PER_DB, "scale of a log-mel tap"),
    ("LINK_RESET_MAGIC", messages.RESET_MAGIC, "guards RESET"),
)


def header() -> str:
    """The text of `messages.h`: codes, packed structures and their sizes."""
    lines = [
        "/*",
        " * Generated from host/wav2small_micro/link/messages.py: do not edit.",
        " *",
        " * SPDX-License-Identifier: Apache-2.0",
        " */",
        "#ifndef LINK_MESSAGES_H",
        "#define LINK_MESSAGES_H",
        "",
        "#include <stdint.h>",
        "",
        "/// Constants ///",
        "",
    ]
    lines += _commented(
        (f"#define {name} {_c_number(value)}", doc) for name, value, doc in _CONSTANTS
    )
    lines += ["", "/// Message codes ///", "", "enum link_type {"]
    lines += [f"    LINK_{m.wire_name()} = 0x{m.code:02X}," for m in MESSAGES]
    lines += ["};", "", "/// Values of fields ///", ""]
    for enum in ENUMS:
        lines += [*_c_enum(enum), ""]
    lines += ["/// Payloads: little endian, packed ///", ""]
    for message in MESSAGES:
        lines += _c_struct(message)
    lines += ["#endif", ""]
    return "\n".join(lines)


def _commented(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Code and comment side by side, the comments in one column as clang-format has them."""
    pairs = list(lines)
    width = max(len(code) for code, _ in pairs)
    for code, comment in pairs:
        yield f"{code:{width}} /**< {comment} */"


def _c_number(value: int) -> str:
    return f"0x{value:08X}u" if value > 0xFFFF else f"{value}u"


def _c_enum(enum: type[DocumentedEnum]) -> Iterator[str]:
    prefix = "LINK_ERROR" if enum is messages.ErrorCode else f"LINK_{_snake(enum).upper()}"
    yield f"/** {enum.__doc__} */"
    yield f"enum link_{_snake(enum)} {{"
    for member in enum:
        yield f"    /** {member.doc} */"
        yield f"    {prefix}_{member.name} = {int(member)},"
    if enum is messages.Layer:
        yield f"    LINK_LAYERS = {len(enum)},"
    yield "};"


def _snake(enum: type[DocumentedEnum]) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in enum.__name__).lstrip("_")


def _c_struct(message: type[Message]) -> Iterator[str]:
    """A packed struct and its size check; nothing for a payload without fixed fields."""
    if not message.fixed_size():
        return
    name = f"link_{message.wire_name().lower()}"
    yield f"/** {message.wire_name()}, {message.direction.name.lower()}. */"
    yield "typedef struct __attribute__((packed)) {"
    yield from _commented((f"    {_c_member(f)};", _c_comment(f)) for f in message.wire_fields())
    yield f"}} {name}_t;"
    yield f"typedef char {name}_size_check[(sizeof({name}_t) == {message.fixed_size()}u) ? 1 : -1];"
    yield ""


def _c_comment(field: WireField) -> str:
    return field.doc.text + (f" [{field.doc.unit}]" if field.doc.unit else "")


def _c_member(field: WireField) -> str:
    wire = field.wire
    if isinstance(wire, Scalar):
        return f"{wire.c_type} {field.name}"
    if isinstance(wire, Tail):
        return f"{wire.element.c_type} {field.name}[]"
    if isinstance(wire, Chars):
        return f"char {field.name}[{wire.size}]"
    return f"uint8_t {field.name}[{wire.size}]"


def page() -> str:
    """The text of `docs/protocol.md`."""
    parts = [_page_prose()]
    for direction, title in (
        (Direction.REQUEST, "Requests"),
        (Direction.REPLY, "Replies"),
        (Direction.EVENT, "Events"),
    ):
        parts.append(f"## {title}\n\n{direction.value.capitalize()}.\n")
        parts += [_page_message(m) for m in MESSAGES if m.direction is direction]
    parts.append("## Values\n")
    parts += [_page_enum(enum) for enum in ENUMS]
    return "\n".join(parts)


def _page_prose() -> str:
    silence = messages.FRAME_SILENCE_MS
    return f"""<!-- Generated from host/wav2small_micro/link/messages.py: do not edit. -->
# Link protocol, version {messages.PROTOCOL_VERSION}

Host and device talk over any stream of bytes: a UART, USB CDC, a pty, a TCP socket, or the
semihosting console of an emulator. The same stream is readable in a terminal.

## Frames

    0x00  COBS( type u8, seq u8, payload 0..{messages.MAX_PAYLOAD} bytes, crc32 u32 )  0x00

- COBS (Cheshire and Baker, 1999) leaves no 0x00 inside a frame, so that a receiver finds the next
  frame after any amount of garbage. Nothing between two 0x00 is no frame and no error.
- The CRC is that of zlib (0xEDB88320 reflected, start and final XOR 0xFFFFFFFF) over type, seq and
  payload. A frame that fails it is counted and otherwise ignored: not even its type can be trusted.
- Numbers are little endian, structures packed. Names are ASCII, padded with zeros.

## Text

A line of printable characters that ends with CR or LF outside a frame is a command for people:
`help`, `info`, `live on`, `live off`, `counters`, `reset`. The answer is text too. A 0x00 starts
a frame; the device reads text again after the 0x00 that ends it, or after {silence} ms of
silence within it. A host treats everything that is no valid frame as text or noise.

Text that ends with % is a command of MLPerf Tiny's runner ([mlperf-tiny.md](mlperf-tiny.md)): its
answer ends with the line `m-ready`. `infer%` ends the session that runs; any frame, line or command
that arrives while it is at work ends `infer%`, and is then answered as ever.

## Requests and replies

- The host numbers its requests; a reply carries the number of its request. The host repeats a
  request, same number and same bytes, when no reply comes. Any request may be repeated.
- `ERROR` is the reply to a request that the device refuses.
- Events come unasked. They have sequence numbers of their own, so that a host can see a loss.
- A device that starts sends `BOOT`, and `FAULT` after it when a fault ended the run before.
  No session outlives a restart: requests that name one get `ERROR` with NO_SESSION.

## A session

1. `HELLO`: the host checks the protocol version and the SHA-256 of the model.
2. `START` names the session by a number that the host draws. With norm GIVEN it carries length,
   sum and sum of squares of the clip, from which the device knows mean and variance beforehand.
3. `AUDIO` blocks, go-back-N: the device takes exactly the block that it wants next, ignores any
   other, and sends `CREDIT` for each. The host keeps at most `audio_window` blocks in flight and
   goes back to `next_block` when no credit comes. Credits are cumulative: a lost one does no harm.
   A credit has the number of the AUDIO that caused it, and a block that is sent again has a new
   number, so that the host knows which credits are news.
4. `FINISH` says how many blocks there were; the device flushes and answers with `RESULT`, or with
   MISSING_AUDIO when blocks are missing.
5. `STOP` ends a session early.

With source MICROPHONE, which wants norm LIVE, the board hears by itself: nobody sends `AUDIO`. The
session goes on until `FINISH`, `STOP`, another `START` or a restart, whether a host listens or
not. `WINDOW` says how many samples were lost because the board was late.

With norm LIVE and `window_segments` > 0 the device sends `WINDOW` every half second. Taps send the
rows of any layer as `ROW`; a row is sent once, so a host that misses one starts the clip again.

Ticks in `COUNTERS_REPLY` are cycles of the core on hardware. Under QEMU's `-icount shift=0` one
instruction takes one virtual nanosecond, so instructions = ticks * 1e9 / tick_hz.
"""


def _page_message(message: type[Message]) -> str:
    doc = " ".join((message.__doc__ or "").split())
    answer = f" Reply: `{message.reply}`." if message.reply else ""
    size = f"{message.fixed_size()} bytes" + (" and more" if message.tail() else "")
    head = f"### 0x{message.code:02X} {message.wire_name()}\n\n{doc}{answer} Payload: {size}.\n"
    if not message.wire_fields():
        return head
    offset, rows = 0, []
    for field in message.wire_fields():
        rows.append(
            (str(offset), f"`{field.name}`", _type_name(field), field.doc.unit, field.doc.text)
        )
        offset += field.size
    return head + "\n" + _table(("offset", "field", "type", "unit", "meaning"), rows)


def _type_name(field: WireField) -> str:
    wire = field.wire
    if isinstance(wire, Scalar):
        return wire.name
    if isinstance(wire, Tail):
        return f"{wire.element.name}[]"
    return f"char[{wire.size}]" if isinstance(wire, Chars) else f"u8[{wire.size}]"


def _page_enum(enum: type[DocumentedEnum]) -> str:
    rows = [(str(int(member)), member.name, member.doc) for member in enum]
    return f"### {enum.__name__}\n\n{enum.__doc__}\n\n" + _table(("value", "name", "meaning"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head), *(list(row) for row in rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
    lines.insert(1, "|" + "---|" * len(cells[0]))
    return "\n".join(lines) + "\n"


def script() -> str:
    """The text of `messages.js`: constants, values and the fields of each message as data."""
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        "// Generated from host/wav2small_micro/link/messages.py: do not edit.",
        "",
    ]
    lines += [
        f"export const {name.removeprefix('LINK_')} = {value}; // {doc}"
        for name, value, doc in _CONSTANTS
    ]
    lines += [f"export const Q16_ONE = {messages.Q16_ONE}; // 1.0 of arousal, dominance, valence"]
    for enum in ENUMS:
        values = ", ".join(f"{member.name}: {int(member)}" for member in enum)
        lines += ["", f"/** {enum.__doc__} */", f"export const {enum.__name__} = {{ {values} }};"]
    lines += ["", "/** By code: name and fields, `[field, type]` in the order of the wire. */"]
    lines += ["export const MESSAGES = {"]
    for message in MESSAGES:
        fields = json.dumps([[f.name, _type_name(f)] for f in message.wire_fields()])
        lines += [f'  0x{message.code:02x}: {{ name: "{message.wire_name()}", fields: {fields} }},']
    return "\n".join([*lines, "};", ""])


def outputs() -> dict[Path, str]:
    """Path inside the repository and text of each generated file."""
    return {HEADER_PATH: header(), PAGE_PATH: page(), SCRIPT_PATH: script()}


def main() -> None:
    """Writes the generated files, or with --check only says which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args().check
    stale = [
        path
        for path, text in outputs().items()
        if not (repo_root() / path).is_file() or (repo_root() / path).read_text("utf-8") != text
    ]
    for path in stale:
        if not check:
            (repo_root() / path).write_text(outputs()[path], "utf-8")
        print(f"{path}: {'out of date' if check else 'written'}")
    if check and stale:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
