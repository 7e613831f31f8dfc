# SPDX-License-Identifier: Apache-2.0
"""Instruments at the other end of a pseudo terminal, which speak as the real ones do."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import tty
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from support.power import Made, lpm01a_stamp, lpm01a_words


class Meter(threading.Thread):
    """A thread that answers on a pty, whose other end is `port`."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ours, theirs = os.openpty()
        tty.setraw(theirs)
        tty.setraw(self._ours)
        self._theirs = theirs
        self.port = os.ttyname(theirs)
        self.heard: list[bytes] = []
        self._done = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self.join(5)
        for end in (self._ours, self._theirs):
            os.close(end)

    def run(self) -> None:
        """Listens, and streams while it is told to."""
        with contextlib.suppress(OSError):
            while not self._done.is_set():
                self._listen(0.002)
                self.stream()
            while self._listen(0.1):
                pass  # what the host said last may still be on its way

    def _listen(self, seconds: float) -> bool:
        """Takes what comes within this time; whether anything did."""
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if ready:
            self.take(os.read(self._ours, 4096))
        return bool(ready)

    def take(self, data: bytes) -> None:
        """What the host sent."""
        raise NotImplementedError

    def stream(self) -> None:
        """Sends what is due."""

    def send(self, data: bytes) -> None:
        """All of it, however slowly the host reads."""
        while data and not self._done.is_set():
            _, ready, _ = select.select([], [self._ours], [], 0.1)
            if ready:
                data = data[os.write(self._ours, data[:2048]) :]


class Ppk2(Meter):
    """The wire format of pc-nrfconnect-ppk: metadata as text, samples as words of 32 bits."""

    SHUNT = (1000.0, 100.0, 10.0, 0.94, 0.043)  # ohms of the five ranges
    OFFSET = (100.0, 80.0, 60.0, 40.0, 20.0)

    def __init__(self, made: Made, *, silent: bool = False, lose: slice | None = None) -> None:
        super().__init__()
        self._words = self.words(made)
        if lose is not None:
            self._words = np.delete(self._words, np.r_[lose])
        self._silent = silent
        self._sent = 0
        self._running = False
        self.supplied: list[int] = []

    def take(self, data: bytes) -> None:
        self.heard.append(data)
        i = 0
        while i < len(data):
            code = data[i]
            if code == 0x19 and not self._silent:
                self.send(self.metadata())
            elif code == 0x06:
                self._running = True
            elif code == 0x07:
                self._running = False
            elif code == 0x0D:
                self.supplied.append(data[i + 1] * 256 + data[i + 2])
            i += {0x0D: 3, 0x0C: 2, 0x11: 2}.get(code, 1)

    def stream(self) -> None:
        if self._running and self._sent < len(self._words):
            some = self._words[self._sent : self._sent + 1000]
            self.send(some.tobytes())
            self._sent += len(some)

    def metadata(self) -> bytes:
        """Calibration: no gain error, offsets of some counts."""
        lines = ["Calibrated: 0"]
        lines += [f"R{i}: {ohms}" for i, ohms in enumerate(self.SHUNT)]
        for name, value in (("GS", 0), ("GI", 1), ("S", 0), ("I", 0), ("UG", 1)):
            lines += [f"{name}{i}: {value}" for i in range(5)]
        lines += [f"O{i}: {offset}" for i, offset in enumerate(self.OFFSET)]
        return "\n".join([*lines, "VDD: 3300", "HW: 9173", "mode: 2", "IA: 56", "END"]).encode()

    def words(self, made: Made) -> NDArray[np.uint32]:
        """Each sample in the most sensitive range that holds it; the marker is on D0."""
        shunt, offset = np.array(self.SHUNT), np.array(self.OFFSET)
        counts = made.current[:, None] * shunt / (1.8 / 163840) + offset
        held = counts < 4 * 16383
        chosen = np.argmax(held, axis=1)
        adc = np.round(counts[np.arange(len(counts)), chosen] / 4).astype(np.uint32)
        number = np.arange(len(adc), dtype=np.uint32) & np.uint32(63)
        word = adc | chosen.astype(np.uint32) << np.uint32(14) | number << np.uint32(18)
        found: NDArray[np.uint32] = word | made.marker.astype(np.uint32) << np.uint32(24)
        return found


class Lpm01a(Meter):
    """The PowerShield of UM2269: commands as lines, `ack`, a binary stream with timestamps."""

    def __init__(self, made: Made, *, refuse: str = "", deaf: bool = False) -> None:
        super().__init__()
        self._made = made
        self._refuse = refuse
        self._deaf = deaf
        self._line = b""
        self._running = False
        self._sent = 0

    @property
    def commands(self) -> list[str]:
        """Those that came."""
        return [command.decode() for command in self.heard]

    def take(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            command = line.strip()
            if not command or self._deaf:
                continue
            self.heard.append(command)
            if self._refuse and command.startswith(self._refuse.encode()):
                self.send(b"\r\nPowerShield > err " + command + b"\r\n")
                continue
            if command == b"start":
                self.send(b"\r\nPowerShield > ack start\r\n")
                self._running = True
            elif command == b"stop" and self._running:
                self._running = False
                self.send(b"\xf0\xf4\xff\xff\r\nPowerShield > summary beg\r\nsummary end\r\n")
            else:
                self.send(b"\r\nPowerShield > ack " + command + b"\r\n")

    def stream(self) -> None:
        rate = int(self._made.rate)
        if self._running and self._sent < len(self._made.current):
            step = min(5000, rate)
            if self._sent % rate == 0:
                self.send(lpm01a_stamp(1000 * self._sent // rate))
            self.send(lpm01a_words(self._made.current[self._sent : self._sent + step]))
            self._sent += step
        elif self._running:
            time.sleep(0.01)
