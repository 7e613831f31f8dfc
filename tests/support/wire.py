# SPDX-License-Identifier: Apache-2.0
"""The host's link over the UART of a `support.cortexm` machine, which runs while the host reads."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from support.cortexm import Fault, Machine
from wav2small_micro.link.errors import LinkLost

BUFFER = 2048  # bytes on their way before a writer has to wait, as at a serial port
SLICE_S = 0.002  # of the board's time, between two looks at what it has sent


class Port(Protocol):
    """A UART's model: bytes that were sent, and a way for others to come."""

    sent: bytearray

    def receive(self, data: bytes) -> None:
        """Bytes on the wire, one after another."""

    @property
    def coming(self) -> int:
        """Bytes on their way to the core."""


class Wire:
    """A transport (wav2small_micro.link.transport) to a machine's UART.

    The board's time goes on while the host reads: as fast as this machine runs it while it works,
    and no faster than the host's own while it waits for bytes. `fault` is what stopped it.
    """

    def __init__(self, machine: Machine, port: Port, name: str = "the machine") -> None:
        self.name = name
        self.machine, self.port = machine, port
        self.fault: Fault | None = None
        self._incoming = bytearray()
        self._lock = threading.Lock()
        self._given = 0

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        deadline = time.monotonic() + timeout
        while True:
            if self.fault is not None:
                raise LinkLost(str(self.fault), "the firmware did what no board forgives")
            self._work()
            if len(self.port.sent) > self._given:
                data = bytes(self.port.sent[self._given :])
                self._given += len(data)
                return data
            if time.monotonic() > deadline:
                return b""

    def write(self, data: bytes, timeout: float) -> None:
        """See Transport."""
        deadline = time.monotonic() + timeout
        while self.port.coming + len(self._incoming) > BUFFER:
            if time.monotonic() > deadline or self.fault is not None:
                raise LinkLost(f"{self.name} takes no bytes", str(self.fault or "it hangs"))
            time.sleep(0.001)
        with self._lock:
            self._incoming += data

    def reopen(self, timeout: float) -> None:
        """Nothing to do: the machine is still there."""
        del timeout

    def close(self) -> None:
        """Nothing to do."""

    def _work(self) -> None:
        with self._lock:
            data, self._incoming = bytes(self._incoming), bytearray()
        if data:
            self.port.receive(data)
        slept = self.machine.slept
        try:
            self.machine.run(SLICE_S)
        except Fault as fault:
            self.fault = fault
            return
        idle = (self.machine.slept - slept) / self.machine.clock_hz
        if not self.port.coming and idle > SLICE_S / 2:
            time.sleep(idle)
