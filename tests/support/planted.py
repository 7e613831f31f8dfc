# SPDX-License-Identifier: Apache-2.0
"""Defects: patched into a copy of a firmware, or put on the line to it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile

from wav2small_micro.link.codec import CodecError, Frame, decode, encode
from wav2small_micro.link.messages import Message
from wav2small_micro.link.transport import Transport
from wav2small_micro.packing import dsp, mve
from wav2small_micro.plan import Plan


class Firmware:
    """A copy of an ELF whose objects and functions can be overwritten."""

    def __init__(self, elf: Path) -> None:
        self.content = bytearray(elf.read_bytes())
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            self._symbols = {
                symbol.name: (symbol["st_value"] & ~1, symbol["st_size"])
                for symbol in parsed.get_section_by_name(".symtab").iter_symbols()
                if symbol["st_info"]["type"] in ("STT_OBJECT", "STT_FUNC")
            }
            self._sections = [
                (s["sh_addr"], s["sh_size"], s["sh_offset"])
                for s in parsed.iter_sections()
                if s["sh_addr"] and s["sh_type"] == "SHT_PROGBITS"
            ]

    def _offset(self, name: str) -> int:
        address, _ = self._symbols[name]
        for start, size, offset in self._sections:
            if start <= address < start + size:
                return offset + address - start
        raise KeyError(name)

    def read(self, name: str) -> bytes:
        """What a symbol holds."""
        at = self._offset(name)
        return bytes(self.content[at : at + self._symbols[name][1]])

    def write(self, name: str, data: bytes, at: int = 0) -> None:
        """Overwrites a part of what a symbol holds."""
        assert at + len(data) <= self._symbols[name][1]
        start = self._offset(name) + at
        assert self.content[start : start + len(data)] != data  # or nothing is planted
        self.content[start : start + len(data)] = data

    def replace(self, name: str, old: bytes, new: bytes) -> None:
        """Overwrites the one place where ``old`` is."""
        held = self.read(name)
        assert held.count(old) == 1
        self.write(name, new, held.index(old))

    def put_model(self, plan: Plan, kernels: str = "dsp") -> None:
        """Overwrites the weights of the one layer that differs from that of ``plan``."""
        packed = {"dsp": dsp.pack, "mve": mve.pack}[kernels](plan)
        first, others = {"dsp": ("first", "l{}_winograd"), "mve": ("l1", "l{}")}[kernels]
        arrays = {first: packed.first, "lin": packed.lin, "sof": packed.sof}
        arrays |= {others.format(i): words for i, words in enumerate(packed.convs, start=2)}
        changed = 0
        for name, words in arrays.items():
            data = np.ascontiguousarray(words).tobytes()
            if self.read(name) != data:
                self.write(name, data)
                changed += 1
        assert changed == 1

    def save(self, path: Path) -> Path:
        """Writes the patched copy."""
        path.write_bytes(self.content)
        return path


# --- On the line --------------------------------------------------------------------------------

Piece = tuple[float, bytes]  # seconds to wait, bytes
ToHost = Callable[[Frame], list[Piece]]
ToDevice = Callable[[int, bytes], bytes]


def passed(frame: Frame) -> list[Piece]:
    """A frame as it came."""
    return [(0.0, encode(frame.message, frame.seq))]


def as_is(number: int, data: bytes) -> bytes:
    """What is written, unchanged."""
    return data


class BentLine:
    """A transport between host and device that gives each frame of the device to ``to_host``,
    which says what arrives, and each write of the host, by its number, to ``to_device``.

    ``first`` arrives before all; ``text`` that the device prints may be held back.
    """

    def __init__(
        self,
        transport: Transport,
        to_host: ToHost = passed,
        to_device: ToDevice = as_is,
        first: bytes = b"",
        text: bool = True,
    ) -> None:
        self.name = transport.name
        self._transport = transport
        self._to_host = to_host
        self._to_device = to_device
        self._text = text
        self._writes = 0
        self._rest = b""
        self._due: deque[tuple[float, bytes]] = deque([(0.0, first)] if first else [])

    def read(self, timeout: float) -> bytes:
        now = time.monotonic()
        if self._due and self._due[0][0] <= now:
            return self._due.popleft()[1]
        if self._due:
            timeout = min(timeout, self._due[0][0] - now)
        self._take(self._transport.read(timeout))
        if self._due and self._due[0][0] <= time.monotonic():
            return self._due.popleft()[1]
        return b""

    def _take(self, data: bytes) -> None:
        *closed, self._rest = (self._rest + data).split(b"\0")
        for chunk in closed:
            try:
                pieces = self._to_host(decode(chunk)) if chunk else []
            except CodecError:
                pieces = [(0.0, chunk)] if self._text else []
            for wait, piece in pieces:
                self._due.append((time.monotonic() + wait, piece))

    def write(self, data: bytes, timeout: float) -> None:
        self._writes += 1
        self._transport.write(self._to_device(self._writes, data), timeout)

    def reopen(self, timeout: float) -> None:
        self._due.clear()
        self._rest = b""
        self._transport.reopen(timeout)

    def close(self) -> None:
        self._transport.close()


def on_nth(kind: type[Message], number: int, bend: Callable[[Frame], list[Piece]]) -> ToHost:
    """Bends the ``number``-th message of a kind, from 1, and passes all others."""
    seen = [0]

    def to_host(frame: Frame) -> list[Piece]:
        seen[0] += isinstance(frame.message, kind)
        hit = isinstance(frame.message, kind) and seen[0] == number
        return bend(frame) if hit else passed(frame)

    return to_host


def on_every(kind: type[Message], bend: Callable[[Message], Message]) -> ToHost:
    """Bends every message of a kind."""

    def to_host(frame: Frame) -> list[Piece]:
        message = bend(frame.message) if isinstance(frame.message, kind) else frame.message
        return passed(Frame(message, frame.seq))

    return to_host
