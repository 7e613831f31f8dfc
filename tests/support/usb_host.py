# SPDX-License-Identifier: Apache-2.0
"""A USB host for the device of `support.nrf52840`: control transfers, and a serial port over bulk.

It is as strict as a host is (USB 2.0, "USB", chapters 5 and 8): it counts data toggles, waits for
status stages, and gives up after five seconds of its own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from support.cortexm import Fault
from support.nrf52840 import Nrf52840, Power, Usbd

TURN_S = 100e-6  # between two looks at the data endpoints; a frame is 1 ms
PATIENCE_S = 5.0  # for a standard request (USB, 9.2.6.1)
IN, DATA = 0x80, 2
POWERED = 3  # USBREGSTATUS: VBUSDETECT and OUTPUTRDY


class Stalled(Exception):
    """The device refused a request, or an endpoint is halted."""


@dataclass
class UsbHost:
    """A host and its cable. `sent` is what the device said; `receive` says something to it."""

    board: Nrf52840
    sent: bytearray = field(default_factory=bytearray)
    packets: list[bytes] = field(default_factory=list)
    reads: bool = True  # a program on the host takes what comes
    refusals: int = 0  # NAKs to our packets
    _queue: bytearray = field(default_factory=bytearray)
    _is_turning: bool = False
    _toggles: dict[int, int] = field(default_factory=dict)

    @property
    def usbd(self) -> Usbd:
        """The device's controller."""
        return self.board.usbd

    # --- the cable ------------------------------------------------------------------------------

    def plug(self) -> None:
        """Power on VBUS, and a regulator that is ready."""
        self.board.power[Power.USBREGSTATUS] = POWERED
        self._turn_soon()

    def unplug(self) -> None:
        """No power, and nobody who answers."""
        self.board.power[Power.USBREGSTATUS] = 0
        self._toggles.clear()

    def wait_for_device(self, seconds: float = 2.0) -> None:
        """Until the device shows itself by its pull-up."""
        if not self.board.machine.run(seconds, until=lambda: self.usbd.is_on_the_bus):
            raise Fault("no device on the bus")

    def reset(self) -> None:
        """Resets the bus."""
        self._toggles.clear()
        self.usbd.bus_reset()
        self.board.machine.run(0.01)

    # --- control transfers (USB, 8.5.3) ---------------------------------------------------------

    def control(
        self,
        kind: int,
        request: int,
        value: int = 0,
        index: int = 0,
        length: int | None = None,
        data: bytes = b"",
    ) -> bytes:
        """A request. `length`: of the answer that is asked for. Raises Stalled."""
        wanted = len(data) if length is None else length
        self.usbd.take_setup(struct.pack("<BBHHH", kind, request, value, index, wanted))
        if not kind & IN and request == 5 and kind == 0:
            self.board.machine.run(0.001)  # SET_ADDRESS is the hardware's
            return b""
        answer = self._data_in(wanted) if kind & IN and wanted else b""
        if not kind & IN:
            self._data_out(data)
        self._until(lambda: self.usbd.control in ("status", "stall"), "status stage")
        self._check()
        return answer

    def _data_in(self, wanted: int) -> bytes:
        answer = b""
        while True:
            self._until(lambda: self._stalls() or 0 in self.usbd.armed, "data stage")
            self._check()
            packet = self._in(0)
            answer += packet
            if len(answer) > wanted:
                raise Fault(f"{len(answer)} bytes, where {wanted} were asked for")
            if len(packet) < Usbd.PACKET or len(answer) == wanted:
                return answer

    def _data_out(self, data: bytes) -> None:
        for at in range(0, len(data), Usbd.PACKET):
            packet = data[at : at + Usbd.PACKET]
            self._until(
                lambda packet=packet: self._stalls() or self.usbd.out_packet(0, packet),
                "data stage",
            )
            self._check()

    def _in(self, n: int) -> bytes:
        self._until(lambda: self.usbd._copies is None, "end of a copy")
        packet = self.usbd.in_token(n)
        assert packet is not None
        return packet

    def _stalls(self) -> bool:
        return self.usbd.control == "stall"

    def _check(self) -> None:
        if self._stalls():
            raise Stalled

    def _until(self, holds, what: str) -> None:
        machine = self.board.machine
        end = machine.now + PATIENCE_S * machine.clock_hz
        while not holds():
            if machine.now > end:
                raise Fault(f"no {what} within {PATIENCE_S} s")
            machine.run(20e-6)

    # --- a serial port --------------------------------------------------------------------------

    def enumerate(self) -> bytes:
        """What a host does with a new device. Returns the configuration descriptor."""
        self.wait_for_device()
        self.reset()
        self.control(0x80, 6, 0x0100, length=64)
        self.reset()
        self.control(0x00, 5, 7)
        self.control(0x80, 6, 0x0100, length=18)
        total = struct.unpack_from("<H", self.control(0x80, 6, 0x0200, length=9), 2)[0]
        configuration = self.control(0x80, 6, 0x0200, length=total)
        self.control(0x00, 9, 1)
        return configuration

    def text(self, number: int) -> str:
        """A string descriptor."""
        return self.control(0x80, 6, 0x0300 | number, 0x0409, 255)[2:].decode("utf-16-le")

    def open(self, baud: int = 921600) -> None:
        """What a host does when a program opens the port: Linux, cdc-acm."""
        self.control(0x21, 0x20, data=struct.pack("<IBBB", baud, 0, 0, 8))
        self.control(0x21, 0x22, 3)

    def close(self) -> None:
        """The program is gone."""
        self.control(0x21, 0x22, 0)

    def connect(self, baud: int = 921600) -> None:
        """Plugged in, enumerated and open."""
        self.plug()
        self.enumerate()
        self.open(baud)

    def receive(self, data: bytes) -> None:
        """Bytes for the device."""
        self._queue += data

    @property
    def coming(self) -> int:
        """Bytes that wait for the device, or in its endpoint."""
        return len(self._queue) + len(self.usbd.held.get(DATA, b""))

    def _turn_soon(self) -> None:
        if not self._is_turning:
            self._is_turning = True
            self.board.machine.after(TURN_S, self._turn)

    def _turn(self) -> None:
        """One IN token and one OUT packet, where there is reason to."""
        self._is_turning = False
        if not self.board.power[Power.USBREGSTATUS]:
            return
        self._turn_soon()
        if not self.usbd[Usbd.EPINEN] >> DATA & 1:
            return
        if self.reads and IN | DATA not in self.usbd.stalled:
            packet = self.usbd.in_token(DATA)
            if packet is not None:
                self._count(IN | DATA)
                self.packets.append(packet)
                self.sent += packet
        if self._queue and DATA not in self.usbd.stalled:
            packet = bytes(self._queue[: Usbd.PACKET])
            if self.usbd.out_packet(DATA, packet):
                self._count(DATA)
                del self._queue[: len(packet)]
            else:
                self.refusals += 1

    def _count(self, address: int) -> None:
        """Both ends count packets by a bit; one that has it otherwise is ignored (USB, 8.6)."""
        mine, its = self._toggles.get(address, 0), self.usbd.toggles.get(address)
        if its is None:
            raise Fault(f"endpoint {address:#x} was enabled without its toggle")
        if mine != its:
            raise Fault(f"endpoint {address:#x}: DATA{its}, the host expects DATA{mine}")
        self._toggles[address] = self.usbd.toggles[address] = 1 - mine
