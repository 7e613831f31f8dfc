# SPDX-License-Identifier: Apache-2.0
"""An observer on the line: counts every frame both ways, and sees what retries hide.

The client repeats requests and runs clips again, so that a lost frame costs time and nothing else.
That is right for its users and wrong for a test: the watch stands between client and port and
keeps its own books.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wav2small_micro.hil.diagnosis import Diagnosis, Finding
from wav2small_micro.link import messages
from wav2small_micro.link.codec import CodecError, Frame, FrameReader, decode
from wav2small_micro.link.errors import LinkLost, describe_fault, enum_name
from wav2small_micro.link.messages import Direction, FaultKind, Message, ResetCause
from wav2small_micro.link.transport import Transport

_KEPT = 50  # damaged chunks and lines of text that are remembered


@dataclass
class _Asked:
    """A request under way, and its repetitions under the same number."""

    message: Message
    begin: float
    tapped: bool
    times: int = 1
    answers: int = 0


@dataclass
class Books:
    """What went over the line."""

    sent: int = 0  # frames
    received: int = 0
    unanswered: int = 0  # requests, or their replies, that got lost
    repeated: int = 0  # replies and events that came once too often
    reordered: int = 0  # events
    missing: int = 0  # events, by their numbers
    echoes: int = 0  # of our own frames
    garbage_bytes: int = 0  # before the first frame
    noise_bytes: int = 0  # after it
    broken: int = 0  # chunks after it that are no frames
    flipped: int = 0  # those of them that are frames but for a bit
    lines: list[str] = field(default_factory=list)  # of text
    banner: list[str] = field(default_factory=list)  # before the first frame
    departures: int = 0  # of the port itself
    resets: list[messages.Boot] = field(default_factory=list)  # after the first reply
    faults: list[messages.Fault] = field(default_factory=list)  # after such a reset
    earlier_faults: list[messages.Fault] = field(default_factory=list)  # told when we came
    latencies: dict[str, list[float]] = field(default_factory=dict)  # s, by request
    blocks: dict[int, int] = field(default_factory=dict)  # taken, by session

    @property
    def blocks_taken(self) -> int:
        """Blocks of audio that the device has acknowledged."""
        return sum(self.blocks.values())


@dataclass(frozen=True)
class Audit:
    """The device's counters, and the host's at the same moment."""

    device: messages.CountersReply
    sent: int  # up to the request, which the device has counted too
    received: int  # before the reply, which the device had not counted yet
    blocks: int  # of audio that the device took
    lives: int  # how often the device or the port was gone before


class Watch:
    """A transport around another. Its reader and its writer may be on two threads."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = transport.name
        self.books = Books()
        self.audits: list[Audit] = []
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self._met = False  # a frame has come
        self._asked: dict[int, _Asked] = {}
        self._tapped = False
        self._event = -1  # number of the last event; -1: none yet
        self._gaps: set[int] = set()
        self._sent_at_counters = 0
        self._start_readers()

    def _start_readers(self) -> None:
        self._out = FrameReader()
        self._in = FrameReader(self._on_text, self._on_noise)

    # --- A transport -------------------------------------------------------------------------

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        try:
            data = self._transport.read(timeout)
        except LinkLost:
            self.books.departures += 1
            raise
        now = self._clock()
        with self._lock:
            if not data:
                self._in.idle()
            for frame in self._in.feed(data):
                self._received(frame, now)
        return data

    def write(self, data: bytes, timeout: float) -> None:
        """See Transport."""
        now = self._clock()
        with self._lock:
            for frame in self._out.feed(data):
                self._sent(frame, now)
        self._transport.write(data, timeout)

    def reopen(self, timeout: float) -> None:
        """See Transport. Nobody waits for what was under way."""
        self._transport.reopen(timeout)
        with self._lock:
            self._asked.clear()
            self._event = -1
            self._start_readers()

    def close(self) -> None:
        """See Transport."""
        self._transport.close()

    # --- Frames ------------------------------------------------------------------------------

    def _sent(self, frame: Frame, now: float) -> None:
        books = self.books
        books.sent += 1
        if isinstance(frame.message, messages.Start):
            self._tapped = frame.message.tap_mask != 0
        old = self._asked.get(frame.seq)
        if old and old.message == frame.message:
            old.times += 1
        else:
            self._settle(frame.seq)
            self._asked[frame.seq] = _Asked(frame.message, now, self._tapped)
        if isinstance(frame.message, messages.Counters):
            self._sent_at_counters = books.sent

    def _received(self, frame: Frame, now: float) -> None:
        message = frame.message
        if isinstance(message, messages.CountersReply):
            self._audit(message, frame.seq)
        self._met = True
        self.books.received += 1
        if message.direction is Direction.REQUEST:
            self.books.echoes += 1
        elif message.direction is Direction.REPLY:
            self._reply(frame, now)
        else:
            self._take_event(frame)

    def _audit(self, counters: messages.CountersReply, seq: int) -> None:
        asked = self._asked.get(seq)
        if asked and asked.times == 1:  # else nobody knows which one this answers
            self.audits.append(
                Audit(
                    counters,
                    self._sent_at_counters,
                    self.books.received,
                    self.books.blocks_taken,
                    len(self.books.resets) + self.books.departures,
                )
            )

    def _reply(self, frame: Frame, now: float) -> None:
        asked, message = self._asked.get(frame.seq), frame.message
        if asked is None or not _answers(message, asked.message):
            return  # of a program before us
        asked.answers += 1
        if asked.answers == 1:
            name = asked.message.wire_name() + (" while rows are tapped" if asked.tapped else "")
            self.books.latencies.setdefault(name, []).append(now - asked.begin)
        self.books.repeated += asked.answers > asked.times
        if isinstance(message, messages.Credit):
            taken = self.books.blocks.get(message.session, 0)
            self.books.blocks[message.session] = max(taken, message.next_block)

    def _take_event(self, frame: Frame) -> None:
        message = frame.message
        if isinstance(message, messages.Boot):
            if self.books.latencies:
                self.books.resets.append(message)
            self._asked.clear()  # whoever asked was not heard
            self._gaps.clear()
            self._event = frame.seq
            return
        if isinstance(message, messages.Fault):
            faults = self.books.faults if self.books.resets else self.books.earlier_faults
            if message not in faults:  # it is told twice
                faults.append(message)
        ahead = (frame.seq - self._event - 1) % 256
        if self._event < 0 or ahead < 128:
            if self._event >= 0:
                self._gaps |= {(self._event + 1 + i) % 256 for i in range(ahead)}
                self.books.missing += ahead
            self._event = frame.seq
        elif frame.seq in self._gaps:
            self._gaps.remove(frame.seq)
            self.books.missing -= 1
            self.books.reordered += 1
        else:
            self.books.repeated += 1

    def _settle(self, seq: int) -> None:
        """What became of the request that had this number before."""
        asked = self._asked.pop(seq, None)
        if asked:
            self.books.unanswered += max(0, asked.times - asked.answers)

    def settle(self, patience: float) -> None:
        """Waits until every request is answered, at most so many seconds, and counts the rest.

        Somebody else reads meanwhile.
        """
        deadline = self._clock() + patience
        while self._clock() < deadline and self.unanswered_now:
            time.sleep(0.01)
        with self._lock:
            for seq in list(self._asked):
                self._settle(seq)

    @property
    def unanswered_now(self) -> int:
        """Requests whose reply is still due, repetitions counted."""
        with self._lock:
            return sum(max(0, asked.times - asked.answers) for asked in self._asked.values())

    @property
    def pending_bytes(self) -> int:
        """Bytes that may still become a frame."""
        return self._in.pending

    # --- Everything else -----------------------------------------------------------------------

    def _on_text(self, line: str) -> None:
        kept = self.books.lines if self._met else self.books.banner
        if len(kept) < _KEPT:
            kept.append(line)

    def _on_noise(self, chunk: bytes) -> None:
        if not self._met:
            self.books.garbage_bytes += len(chunk)
            return
        self.books.noise_bytes += len(chunk)
        self.books.broken += 1
        if self.books.broken <= _KEPT:
            self.books.flipped += is_frame_but_for_a_bit(chunk)

    def to_json(self) -> dict[str, Any]:
        """The books, latencies as their quantiles in ms."""
        kept = {
            name: value
            for name, value in vars(self.books).items()
            if name not in ("latencies", "blocks", "resets", "faults", "earlier_faults")
        }
        return kept | {
            "resets": len(self.books.resets),
            "faults": [describe_fault(fault) for fault in self.books.faults],
            "latency_ms": {
                name: quantiles_ms(seconds) for name, seconds in self.books.latencies.items()
            },
        }

    # --- What it comes to ------------------------------------------------------------------------

    def findings(self, late_s: float) -> list[Finding]:
        """What was wrong with the line and with when the device answered."""
        return [*self.deaths(), *self._losses(), *self._delays(late_s), *self._notes()]

    def deaths(self) -> list[Finding]:
        """Faults, restarts, and a port that went away."""
        found = [
            Finding(
                Diagnosis.FAULT_STACK if fault.kind == FaultKind.STACK else Diagnosis.FAULT,
                describe_fault(fault),
            )
            for fault in self.books.faults
        ]
        if self.books.resets:
            causes = [enum_name(ResetCause, boot.reset_cause) for boot in self.books.resets]
            found.append(
                Finding(Diagnosis.RESET, f"{len(causes)} times: {', '.join(dict.fromkeys(causes))}")
            )
        if self.books.departures:
            found.append(Finding(Diagnosis.NO_PORT, f"it went away {self.books.departures} times"))
        return found

    def _losses(self) -> list[Finding]:
        books, found = self.books, []
        if books.echoes:
            found.append(Finding(Diagnosis.ECHO, f"{books.echoes} of our frames came back"))
        lost = books.missing + books.unanswered
        outward = self.damaged_outward
        if outward:
            seen = f"its counters say {outward} of {books.sent} frames"
            found.append(Finding(Diagnosis.DAMAGED_OUTWARD, seen))
        if books.flipped:
            seen = f"{books.flipped} of {books.received + books.broken} frames differ by one bit"
            found.append(Finding(Diagnosis.BITS_FLIPPED, seen))
        broken = books.broken - books.flipped
        if broken and lost > outward + books.flipped:
            seen = f"{broken} of {books.received + books.broken} frames, {lost} messages lost by it"
            found.append(Finding(Diagnosis.BYTES_DROPPED, seen))
        elif broken:
            seen = f"{books.noise_bytes} bytes between frames, no frame lost"
            found.append(Finding(Diagnosis.NOISE, seen))
        if lost > outward + books.broken:
            seen = f"{books.missing} events, {books.unanswered} requests or their replies"
            found.append(Finding(Diagnosis.LOST_FRAMES, seen))
        if books.reordered:
            found.append(Finding(Diagnosis.REORDERED, f"{books.reordered} events"))
        if books.repeated:
            found.append(Finding(Diagnosis.REPEATED, f"{books.repeated} frames too many"))
        return found

    @property
    def damaged_outward(self) -> int:
        """Frames that the device could not read, by its own counters."""
        if len(self.audits) < 2 or self.audits[0].lives != self.audits[-1].lives:
            return 0
        first, last = self.audits[0].device, self.audits[-1].device
        errors = last.crc_errors + last.framing_errors
        return errors - first.crc_errors - first.framing_errors

    def _delays(self, late_s: float) -> list[Finding]:
        late = {
            name: [s for s in seconds if s > late_s]
            for name, seconds in self.books.latencies.items()
            if "tapped" not in name
        }
        return [
            Finding(
                Diagnosis.LATE,
                f"{len(slow)} of {len(self.books.latencies[name])} answers to {name} took more "
                f"than {late_s:g} s, the slowest {max(slow):.2f} s",
            )
            for name, slow in late.items()
            if slow
        ]

    def _notes(self) -> list[Finding]:
        found = []
        if self.books.banner:
            found.append(Finding(Diagnosis.BANNER, self.books.banner[0]))
        if self.books.garbage_bytes:
            found.append(Finding(Diagnosis.GARBAGE, f"{self.books.garbage_bytes} bytes"))
        for fault in self.books.earlier_faults:
            found.append(Finding(Diagnosis.EARLIER_FAULT, describe_fault(fault)))
        return found


def quantiles_ms(seconds: list[float]) -> dict[str, float]:
    """Count, least, median, 99th percentile and most, in ms.

    >>> quantiles_ms([0.001, 0.003, 0.002])
    {'count': 3, 'min': 1.0, 'median': 2.0, 'p99': 2.98, 'max': 3.0}
    """
    low, median, high, most = np.quantile(1e3 * np.array(seconds), [0, 0.5, 0.99, 1])
    figures = {"min": low, "median": median, "p99": high, "max": most}
    return {"count": len(seconds)} | {k: round(float(v), 4) for k, v in figures.items()}


def _answers(reply: Message, request: Message) -> bool:
    if isinstance(reply, messages.Error):
        return reply.request_type == request.code
    return request.reply == reply.wire_name()


def is_frame_but_for_a_bit(chunk: bytes) -> bool:
    """Whether flipping one bit back makes a frame of what came between two delimiters."""
    spoiled = bytearray(chunk)
    for at in range(len(spoiled)):
        for bit in range(8):
            spoiled[at] ^= 1 << bit
            if spoiled[at] and _is_frame(bytes(spoiled)):
                return True
            spoiled[at] ^= 1 << bit
    return False


def _is_frame(chunk: bytes) -> bool:
    try:
        decode(chunk)
    except CodecError:
        return False
    return True
