# SPDX-License-Identifier: Apache-2.0
"""The one registry of the link's messages.

Every message is a frozen dataclass whose annotations say how each field looks on the wire.
The Python codec reads them directly; `generate.py` writes the C header and the protocol page from
them. Nothing about the wire is written down a second time.

All numbers are little endian and all structures are packed. A field of type `Tail` takes the rest
of the payload and comes last.

>>> [field.name for field in Credit.wire_fields()]
['session', 'next_block', 'audio_window']
>>> hex(Credit.code), Credit.fixed_size()
('0x83', 9)
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, fields
from enum import Enum, IntEnum
from functools import cache
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

PROTOCOL_VERSION = 2
MAX_PAYLOAD = 1024  # bytes; three 20 ms blocks would fit, and no buffer of the device is larger
BLOCK_SAMPLES = 320  # 20 ms at 16 kHz: the most that one AUDIO carries
RESET_MAGIC = 0x52455345  # so that no bit error can become a reset
FRAME_SILENCE_MS = 200  # silence within a frame after which the device reads text again
NAME_SIZE = 24  # board and model names, padded with zeros
SHA256_SIZE = 32
Q16_ONE = 65536  # arousal, dominance and valence travel as int32 with 16 fractional bits
LOGMEL_PER_DB = 128  # a log-mel tap is int16 in 1/128 dB


class Direction(Enum):
    """Who sends a message, and why."""

    REQUEST = "host to device"
    REPLY = "device to host, repeats the sequence number of its request"
    EVENT = "device to host, unasked, with the device's own sequence numbers"


@dataclass(frozen=True)
class Scalar:
    """An integer on the wire: `code` is its `struct` letter."""

    name: str
    code: str
    c_type: str


@dataclass(frozen=True)
class Chars:
    """Text of at most `size` bytes of ASCII, padded with zeros."""

    size: int


@dataclass(frozen=True)
class Bytes:
    """Exactly `size` bytes."""

    size: int


@dataclass(frozen=True)
class Tail:
    """The rest of the payload, in elements of type `element`."""

    element: Scalar


@dataclass(frozen=True)
class Doc:
    """What a field means and, for quantities, its unit."""

    text: str
    unit: str = ""


_U8 = Scalar("u8", "B", "uint8_t")
_I16 = Scalar("i16", "h", "int16_t")

U8 = Annotated[int, _U8]
U16 = Annotated[int, Scalar("u16", "H", "uint16_t")]
U32 = Annotated[int, Scalar("u32", "I", "uint32_t")]
I32 = Annotated[int, Scalar("i32", "i", "int32_t")]
U64 = Annotated[int, Scalar("u64", "Q", "uint64_t")]
I64 = Annotated[int, Scalar("i64", "q", "int64_t")]
Name = Annotated[str, Chars(NAME_SIZE)]
Sha256 = Annotated[bytes, Bytes(SHA256_SIZE)]
ByteTail = Annotated[bytes, Tail(_U8)]
PcmTail = Annotated[bytes, Tail(_I16)]


@dataclass(frozen=True)
class WireField:
    """One field of a message as the generator and the codec see it."""

    name: str
    wire: Scalar | Chars | Bytes | Tail
    doc: Doc

    @property
    def format(self) -> str:
        """The `struct` format of the field, empty for a tail."""
        if isinstance(self.wire, Scalar):
            return self.wire.code
        return "" if isinstance(self.wire, Tail) else f"{self.wire.size}s"

    @property
    def size(self) -> int:
        """Bytes on the wire, 0 for a tail."""
        return struct.calcsize("<" + self.format)


class DocumentedEnum(IntEnum):
    """An IntEnum whose members are written as `NAME = value, "what it means"`."""

    doc: str

    def __new__(cls, value: int, doc: str = "") -> DocumentedEnum:
        member = int.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member


class Norm(DocumentedEnum):
    """How the log-mel of a session is normalised."""

    GIVEN = 0, "by the mean and variance of the clip, whose sums come in START"
    LIVE = 1, "by the causal running mean and variance"
    BUFFERED = 2, "by the mean and variance of the clip, which the device buffers (build option)"


class Source(DocumentedEnum):
    """Where the samples of a session come from."""

    LINK = 0, "AUDIO messages"
    MICROPHONE = 1, "the board's microphone"


class Option(DocumentedEnum):
    """Bits of `options` in START."""

    PROFILE = 1, "send a BLOCK_TICKS for every block"
    AUDIO = 2, "send what the microphone heard, block by block, as HEARD"


class Flag(DocumentedEnum):
    """Bits of `flags` in HELLO_REPLY."""

    EMULATED = 1, "the device runs in an emulator"
    ICOUNT_TICKS = 2, "under QEMU's -icount shift=0 the ticks count instructions exactly"
    MICROPHONE = 4, "the board has a microphone"
    WATCHDOG = 8, "a watchdog guards the firmware"
    SEMIHOSTING = 16, "this link runs over semihosting, not over the UART"


class ResetCause(DocumentedEnum):
    """Why the device started last."""

    UNKNOWN = 0, "the board cannot tell"
    POWER_ON = 1, "power came on"
    PIN = 2, "the reset pin"
    SOFTWARE = 3, "RESET, or the text command `reset`"
    WATCHDOG = 4, "the watchdog ran out"
    FAULT = 5, "the fault handler; a FAULT event follows"
    LOW_POWER = 6, "the supply fell, or a sleep mode was refused"


class FaultKind(DocumentedEnum):
    """What ended the run before."""

    HARD = 1, "HardFault"
    MEMORY = 2, "MemManage"
    BUS = 3, "BusFault"
    USAGE = 4, "UsageFault"
    STACK = 5, "the stack met its guard"
    EXCEPTION = 6, "an interrupt that nothing handles; `address` is its number"


class ErrorCode(DocumentedEnum):
    """Why the device refuses a request. A frame with a wrong CRC is counted, never answered."""

    UNKNOWN_TYPE = 1, "no such request; detail: its code"
    BAD_LENGTH = 2, "the payload is too short or too long; detail: its length"
    BAD_VERSION = 3, "another protocol version; detail: the device's"
    NO_SESSION = 4, "this session does not run; detail: the one that does, 0: none"
    BAD_STATE = 5, "not now, e.g. AUDIO after FINISH"
    MISSING_AUDIO = 6, "FINISH before every block came; detail: the next block wanted"
    NOT_SUPPORTED = 7, "this build or board cannot; detail: the value refused"
    TOO_LONG = 8, "more samples than fit the buffer of the build; detail: how many fit"
    AUDIO_ERROR = 9, "the library refused the audio; detail: its w2s_status"
    BAD_VALUE = 10, "a field has a value without meaning here; detail: the value"
    MICROPHONE = 11, "the board's microphone does not start"


class Layer(DocumentedEnum):
    """Layers whose rows can be tapped. Bit n of `tap_mask` asks for layer n."""

    LOGMEL = 0, "normalised log-mel, int16 in 1/128 dB, 26 bands"
    INPUT = 1, "the network's input, int8, 26 bands"
    L1 = 2, "int8, 26 bands x 13 channels"
    L2 = 3, "int8, 26 bands x 13 channels"
    L3 = 4, "int8, 26 bands x 13 channels, before the pool"
    L4 = 5, "int8, 13 bands x 13 channels"
    L5 = 6, "int8, 13 bands x 13 channels"
    L6 = 7, "int8, 13 bands x 13 channels"
    L7 = 8, "int8, 13 bands x 13 channels"
    POOL = 9, "int8, 13 bands x 13 channels, after the max pool that follows l3"
    LIN = 10, "int8, 169 values: dense order (72K) or 13 bands x 13 channels (17K)"
    SOF = 11, "int8, as lin"


class Message:
    """Base of all messages; `class X(Message, code=..., direction=...)` registers X."""

    code: ClassVar[int]
    direction: ClassVar[Direction]
    reply: ClassVar[str]
    registry: ClassVar[dict[int, type[Message]]] = {}

    def __init_subclass__(cls, *, code: int, direction: Direction, reply: str = "") -> None:
        if code in Message.registry:
            raise TypeError(f"message code {code:#04x} is taken by {Message.registry[code]}")
        cls.code, cls.direction, cls.reply = code, direction, reply
        Message.registry[code] = cls

    @classmethod
    def wire_name(cls) -> str:
        """The name in C and in the documentation, e.g. HELLO_REPLY."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()

    @classmethod
    def wire_fields(cls) -> tuple[WireField, ...]:
        """The fields in their order on the wire."""
        return _wire_fields(cls)  # type: ignore[arg-type]  # a class is hashable

    @classmethod
    def fixed_format(cls) -> str:
        """The `struct` format of everything but the tail."""
        return "<" + "".join(field.format for field in cls.wire_fields())

    @classmethod
    def fixed_size(cls) -> int:
        """Bytes of everything but the tail."""
        return struct.calcsize(cls.fixed_format())

    @classmethod
    def tail(cls) -> WireField | None:
        """The field that takes the rest of the payload, if there is one."""
        last = cls.wire_fields()[-1:]
        return last[0] if last and isinstance(last[0].wire, Tail) else None


@cache
def _wire_fields(cls: type[Message]) -> tuple[WireField, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_wire_field(f.name, hints[f.name]) for f in fields(cls))  # type: ignore[arg-type]


def _wire_field(name: str, hint: Any) -> WireField:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"field {name} does not say its wire type")
    _, wire, doc = get_args(hint)
    return WireField(name, wire, doc)


# --- Requests and their replies ------------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Message, code=0x01, direction=Direction.REQUEST, reply="HELLO_REPLY"):
    """Who are you? A host asks this first, and again after every reset."""

    protocol: Annotated[U16, Doc("protocol version that the host speaks")]


@dataclass(frozen=True)
class HelloReply(Message, code=0x81, direction=Direction.REPLY):
    """What runs here: firmware, board, model and limits."""

    protocol: Annotated[U16, Doc("protocol version that the device speaks")]
    fw_major: Annotated[U8, Doc("firmware version, major")]
    fw_minor: Annotated[U8, Doc("firmware version, minor")]
    fw_patch: Annotated[U8, Doc("firmware version, patch")]
    flags: Annotated[U8, Doc("bits of `Flag`")]
    boot_id: Annotated[U32, Doc("changes with every start of the device")]
    clock_hz: Annotated[U32, Doc("clock of the core", "Hz")]
    max_payload: Annotated[U16, Doc("largest payload that the device takes", "bytes")]
    block_samples: Annotated[U16, Doc("most samples in one AUDIO", "samples")]
    segments: Annotated[U8, Doc("half-second segments that the sliding window can hold")]
    buffer_seconds: Annotated[U8, Doc("longest clip for norm BUFFERED, 0: not built in", "s")]
    audio_window: Annotated[U8, Doc("blocks that may be in flight", "blocks")]
    reset_cause: Annotated[U8, Doc("a `ResetCause`")]
    board: Annotated[Name, Doc("name of the board")]
    model: Annotated[Name, Doc("name of the model")]
    model_sha256: Annotated[Sha256, Doc("SHA-256 of the int8.tflite that the model came from")]


@dataclass(frozen=True)
class Start(Message, code=0x02, direction=Direction.REQUEST, reply="START_REPLY"):
    """Begins a session and ends the one before. Repeating it for the session that runs changes
    nothing: the reply says how far the session is."""

    session: Annotated[U32, Doc("chosen by the host, never 0")]
    norm: Annotated[U8, Doc("a `Norm`")]
    source: Annotated[U8, Doc("a `Source`")]
    window_segments: Annotated[U8, Doc("half-second segments in a WINDOW event, 0: no events")]
    options: Annotated[U8, Doc("bits of `Option`")]
    tap_mask: Annotated[U32, Doc("bit n asks for the rows of layer n")]
    samples: Annotated[U64, Doc("length of the clip, 0: not known (norm LIVE)", "samples")]
    sum: Annotated[I64, Doc("sum of the samples (norm GIVEN)", "1/32768")]
    sum_squares: Annotated[U64, Doc("sum of the squares (norm GIVEN)", "1/32768^2")]


@dataclass(frozen=True)
class StartReply(Message, code=0x82, direction=Direction.REPLY):
    """The session runs."""

    session: Annotated[U32, Doc("the session")]
    next_block: Annotated[U32, Doc("the block that the device wants")]
    audio_window: Annotated[U8, Doc("blocks that may be in flight", "blocks")]


@dataclass(frozen=True)
class Audio(Message, code=0x03, direction=Direction.REQUEST, reply="CREDIT"):
    """One block of audio. Every block but the last has `block_samples` samples. Refused with
    BAD_STATE in a session of the board's microphone."""

    session: Annotated[U32, Doc("the session")]
    block: Annotated[U32, Doc("number of the block, from 0")]
    pcm: Annotated[PcmTail, Doc("mono samples at 16 kHz, 1 to `block_samples` of them", "1/32768")]


@dataclass(frozen=True)
class Credit(Message, code=0x83, direction=Direction.REPLY):
    """Cumulative acknowledgement: all blocks before `next_block` are taken. The host may have
    the blocks before `next_block + audio_window` in flight. Sent for every AUDIO, also for one
    that the device ignores because it is not `next_block`, and when the window opens again."""

    session: Annotated[U32, Doc("the session")]
    next_block: Annotated[U32, Doc("the block that the device wants")]
    audio_window: Annotated[U8, Doc("blocks that may be in flight", "blocks")]


@dataclass(frozen=True)
class Finish(Message, code=0x04, direction=Direction.REQUEST, reply="RESULT"):
    """The audio is complete: flush and answer. Repeating it repeats the answer."""

    session: Annotated[U32, Doc("the session")]
    blocks: Annotated[U32, Doc("how many blocks the host sent; source MICROPHONE: any", "blocks")]


@dataclass(frozen=True)
class Result(Message, code=0x84, direction=Direction.REPLY):
    """The answer for the whole session."""

    session: Annotated[U32, Doc("the session")]
    status: Annotated[I32, Doc("a w2s_status, 0: the answer is valid")]
    arousal: Annotated[I32, Doc("arousal", "Q16")]
    dominance: Annotated[I32, Doc("dominance", "Q16")]
    valence: Annotated[I32, Doc("valence", "Q16")]
    frames: Annotated[U32, Doc("log-mel frames that went in", "frames")]
    rows: Annotated[U32, Doc("rows of lin and sof that came out", "rows")]


@dataclass(frozen=True)
class Counters(Message, code=0x05, direction=Direction.REQUEST, reply="COUNTERS_REPLY"):
    """How is the device doing?"""


@dataclass(frozen=True)
class CountersReply(Message, code=0x85, direction=Direction.REPLY):
    """Counts since the device started; ticks and samples since the last START."""

    frames_ok: Annotated[U32, Doc("frames taken", "frames")]
    crc_errors: Annotated[U32, Doc("frames with a wrong CRC", "frames")]
    framing_errors: Annotated[U32, Doc("frames cut short, too long or not COBS", "frames")]
    rx_overruns: Annotated[U32, Doc("bytes lost because the receive ring was full", "bytes")]
    uart_errors: Annotated[U32, Doc("overrun, noise and framing errors of the UART")]
    microphone_overruns: Annotated[U32, Doc("samples of the microphone lost", "samples")]
    blocks_accepted: Annotated[U32, Doc("blocks of audio taken", "blocks")]
    blocks_repeated: Annotated[U32, Doc("blocks that had been taken before", "blocks")]
    blocks_refused: Annotated[U32, Doc("blocks that came too early", "blocks")]
    tx_frames: Annotated[U32, Doc("frames sent", "frames")]
    stack_size: Annotated[U32, Doc("size of the stack", "bytes")]
    stack_high_water: Annotated[U32, Doc("most of the stack that was ever in use", "bytes")]
    tick_hz: Annotated[U32, Doc("rate of the ticks", "Hz")]
    samples: Annotated[U64, Doc("samples in this session", "samples")]
    ticks_front_end: Annotated[U64, Doc("in the log-mel front end", "ticks")]
    ticks_network: Annotated[U64, Doc("in the network", "ticks")]
    ticks_pool: Annotated[U64, Doc("in the attention pool and the head", "ticks")]
    ticks_total: Annotated[U64, Doc("in the library altogether", "ticks")]
    uptime: Annotated[U64, Doc("since the device started, sleep included", "ticks")]


@dataclass(frozen=True)
class Reset(Message, code=0x06, direction=Direction.REQUEST, reply="ACK"):
    """Acknowledge, then start anew."""

    magic: Annotated[U32, Doc(f"{RESET_MAGIC:#010x}")]


@dataclass(frozen=True)
class Ping(Message, code=0x07, direction=Direction.REQUEST, reply="PONG"):
    """Send these bytes back."""

    data: Annotated[ByteTail, Doc("any bytes")]


@dataclass(frozen=True)
class Pong(Message, code=0x87, direction=Direction.REPLY):
    """The bytes of the PING."""

    data: Annotated[ByteTail, Doc("the same bytes")]


@dataclass(frozen=True)
class Stop(Message, code=0x08, direction=Direction.REQUEST, reply="ACK"):
    """Ends a session without an answer. A session that is over already is acknowledged too."""

    session: Annotated[U32, Doc("the session")]


@dataclass(frozen=True)
class Ack(Message, code=0x88, direction=Direction.REPLY):
    """Done."""


# --- Events --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window(Message, code=0xC0, direction=Direction.EVENT):
    """The answer for the sliding window, every half second when START asked for it."""

    session: Annotated[U32, Doc("the session")]
    segment: Annotated[U32, Doc("number of the half second that ended, from 0")]
    arousal: Annotated[I32, Doc("arousal", "Q16")]
    dominance: Annotated[I32, Doc("dominance", "Q16")]
    valence: Annotated[I32, Doc("valence", "Q16")]
    level_rms: Annotated[U32, Doc("level of the half second", "1/32768, RMS")]
    lost_samples: Annotated[U32, Doc("lost by the microphone in this session so far", "samples")]


@dataclass(frozen=True)
class Row(Message, code=0xC1, direction=Direction.EVENT):
    """One row of a tapped layer. Rows of a layer come in order and are sent once; a device that is
    late with its own microphone leaves some out."""

    session: Annotated[U32, Doc("the session")]
    layer: Annotated[U8, Doc("a `Layer`")]
    element_size: Annotated[U8, Doc("1: int8, 2: int16", "bytes")]
    reserved: Annotated[U16, Doc("0")]
    row: Annotated[U32, Doc("number of the row, from 0")]
    data: Annotated[ByteTail, Doc("the row, bands outside and channels inside")]


@dataclass(frozen=True)
class Fault(Message, code=0xC2, direction=Direction.EVENT):
    """What ended the run before. Sent after the BOOT that follows a fault, and once more after the
    first HELLO_REPLY, because perhaps nobody listened before."""

    kind: Annotated[U32, Doc("a `FaultKind`")]
    pc: Annotated[U32, Doc("program counter", "address")]
    lr: Annotated[U32, Doc("link register", "address")]
    cfsr: Annotated[U32, Doc("Configurable Fault Status Register")]
    hfsr: Annotated[U32, Doc("HardFault Status Register")]
    address: Annotated[U32, Doc("faulting address, where BFAR or MMFAR holds one", "address")]
    xpsr: Annotated[U32, Doc("program status register")]


@dataclass(frozen=True)
class Boot(Message, code=0xC3, direction=Direction.EVENT):
    """The device has started: every session is gone."""

    boot_id: Annotated[U32, Doc("as in HELLO_REPLY")]
    reset_cause: Annotated[U8, Doc("a `ResetCause`")]


@dataclass(frozen=True)
class BlockTicks(Message, code=0xC4, direction=Direction.EVENT):
    """Where the time of one block went, after each when START asked for it. Interrupts are in no
    other figure than theirs, and what it took to send rows, windows and this is in none but
    `elapsed`. The layers and `front_end` are parts of `library`; what is left of it is the way
    between them, and reading the clock there."""

    session: Annotated[U32, Doc("the session")]
    block: Annotated[U32, Doc("number of the block, from 0")]
    front_end: Annotated[U32, Doc("log-mel of the samples", "ticks")]
    attention: Annotated[U32, Doc("attention pool", "ticks")]
    l1: Annotated[U32, Doc("first convolution, and quantising its input", "ticks")]
    l2: Annotated[U32, Doc("second convolution", "ticks")]
    l3: Annotated[U32, Doc("third convolution", "ticks")]
    l4: Annotated[U32, Doc("fourth convolution", "ticks")]
    l5: Annotated[U32, Doc("fifth convolution", "ticks")]
    l6: Annotated[U32, Doc("sixth convolution", "ticks")]
    l7: Annotated[U32, Doc("seventh convolution", "ticks")]
    pool: Annotated[U32, Doc("max pool", "ticks")]
    lin: Annotated[U32, Doc("linear layer `lin`", "ticks")]
    sof: Annotated[U32, Doc("linear layer `sof`", "ticks")]
    library: Annotated[U32, Doc("the library altogether", "ticks")]
    answer: Annotated[U32, Doc("level of the sound, and the window's answer", "ticks")]
    interrupts: Annotated[U32, Doc("interrupts since the block before", "ticks")]
    interrupt_count: Annotated[U32, Doc("how many", "interrupts")]
    asleep: Annotated[U32, Doc("asleep since the block before", "ticks")]
    elapsed: Annotated[U32, Doc("all that passed since the block before", "ticks")]
    readings: Annotated[U32, Doc("how often the library read the clock", "readings")]
    reading: Annotated[U32, Doc("what one reading takes", "ticks")]


@dataclass(frozen=True)
class Heard(Message, code=0xC5, direction=Direction.EVENT):
    """A block of the microphone's audio, when START asked for it. A device that is short of time
    leaves some out: the answers do not wait for what is heard only."""

    session: Annotated[U32, Doc("the session")]
    sample: Annotated[U64, Doc("number of the first sample, from 0, lost ones counted", "samples")]
    pcm: Annotated[PcmTail, Doc("mono samples at 16 kHz", "1/32768")]


@dataclass(frozen=True)
class Error(Message, code=0xFF, direction=Direction.REPLY):
    """The request is refused. Carries the sequence number of the request."""

    error: Annotated[U8, Doc("an `ErrorCode`")]
    request_type: Annotated[U8, Doc("code of the request")]
    reserved: Annotated[U16, Doc("0")]
    detail: Annotated[U32, Doc("see `ErrorCode`")]


MESSAGES: tuple[type[Message], ...] = tuple(
    Message.registry[code] for code in sorted(Message.registry)
)
ENUMS: tuple[type[DocumentedEnum], ...] = (
    Norm,
    Source,
    Option,
    Flag,
    ResetCause,
    FaultKind,
    ErrorCode,
    Layer,
)
