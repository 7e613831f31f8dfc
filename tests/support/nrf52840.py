# SPDX-License-Identifier: Apache-2.0
"""Nordic's nRF52840 for `support.cortexm`: what its tasks and events do, as firmware sees it.

After the nRF52840 Product Specification v1.7 ("PS") and the nRF52840 Errata. What a register must
hold, the tests compute. Models are strict where the chip is not: what works by luck is a Fault.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from unicorn import UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_READ

from support.cortexm import Fault, Machine, Registers

LOOKS = 3  # at a bit that hardware sets, until it is set
PAGE = 0x1000
CLOCK_HZ = 64_000_000

Change = Callable[[], None]


def _range(first: int, count: int, step: int = 4) -> set[int]:
    return {first + step * n for n in range(count)}


def _bits(first: int, bit: int) -> dict[int, int]:
    """Eight events, and their bits in INTEN."""
    return {first + 4 * n: bit + n for n in range(8)}


class Peripheral(Registers):
    """Tasks below 0x100, events below 0x200, and one interrupt for the events in INTEN.

    ``events`` are those of the interrupt: offset of the event to its bit.
    """

    INTEN, INTENSET, INTENCLR = 0x300, 0x304, 0x308
    TASKS: ClassVar[frozenset[int]] = frozenset()
    EVENTS: ClassVar[Mapping[int, int]] = {}
    CONFIGURATION: ClassVar[frozenset[int]] = frozenset()
    IRQ: ClassVar[int | None] = None

    def __init__(self, base: int, reset: Mapping[int, int] | None = None) -> None:
        known = {*self.TASKS, *self.EVENTS, *self.CONFIGURATION}
        known |= {self.INTEN, self.INTENSET, self.INTENCLR} if self.EVENTS else set()
        super().__init__(base, PAGE, reset=reset, offsets=known)

    def happen(self, event: int) -> None:
        """An event."""
        self.values[event] = 1
        self.update()

    def update(self) -> None:
        """The interrupt's line follows the events that are enabled."""
        if self.IRQ is not None:
            wants = any(
                self[event] and self[self.INTEN] >> bit & 1 for event, bit in self.EVENTS.items()
            )
            self.machine.interrupt(self.IRQ, wants)

    def task(self, offset: int) -> None:
        """A task is started."""

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset in self.TASKS:
            if value & 1:
                self.task(offset)
        elif offset in self.EVENTS:
            if value != 0:
                raise Fault(f"{self.name}: an event is written with {value:#x}")
            self.values[offset] = 0
            self.update()
        elif offset == self.INTENSET:
            self.values[self.INTEN] = self[self.INTEN] | value
            self.update()
        elif offset == self.INTENCLR:
            self.values[self.INTEN] = self[self.INTEN] & ~value
            self.update()
        else:
            self.configure(offset, value)

    def configure(self, offset: int, value: int) -> None:
        """Any other register is written."""
        self.values[offset] = value


class Power(Peripheral):
    """POWER and CLOCK, which share an address. Its RESETREAS outlives resets; so does GPREGRET,
    except the watchdog's (PS, POWER, "Reset behavior")."""

    HFCLKSTART, HFCLKSTAT = 0x000, 0x40C
    RESETREAS, USBREGSTATUS = 0x400, 0x438
    GPREGRET, GPREGRET2 = 0x51C, 0x520
    DCDCEN, DCDCEN0, APPROTECT = 0x578, 0x580, 0x558
    PIN, DOG, SREQ, LOCKUP, OFF = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 16
    TASKS = frozenset({HFCLKSTART})
    CONFIGURATION = frozenset(
        {HFCLKSTAT, RESETREAS, USBREGSTATUS, GPREGRET, GPREGRET2, DCDCEN, DCDCEN0, APPROTECT}
    )

    def __init__(self, crystal: bool = True) -> None:
        super().__init__(0x40000000)
        self.crystal = crystal
        self.by_watchdog = False
        self.restarts: list[str] = []
        self._looks = 0
        self._is_started = False

    def reset(self) -> None:
        """See Registers."""
        self.restarts.append("watchdog" if self.by_watchdog else "software")
        kept = {
            self.RESETREAS: self[self.RESETREAS] | (self.DOG if self.by_watchdog else self.SREQ)
        }
        if not self.by_watchdog:
            kept |= {offset: self[offset] for offset in (self.GPREGRET, self.GPREGRET2)}
        kept[self.USBREGSTATUS] = self[self.USBREGSTATUS]
        super().reset()
        self.values |= kept
        self.by_watchdog = False
        self._is_started = False

    def task(self, offset: int) -> None:
        """See Peripheral."""
        self._is_started = True
        self._looks = 0

    def read(self, offset: int) -> int:
        """See Registers."""
        if offset == self.HFCLKSTAT:
            self._looks += 1
            return 1 << 16 | (self.crystal_runs and self._looks >= LOOKS)
        return super().read(offset)

    @property
    def crystal_runs(self) -> bool:
        """HFXO is the source of the 64 MHz clock."""
        return self._is_started and self.crystal

    def configure(self, offset: int, value: int) -> None:
        """See Peripheral."""
        if offset == self.RESETREAS:
            self.values[offset] = self[offset] & ~value
        elif offset in (self.HFCLKSTAT, self.USBREGSTATUS):
            raise Fault("a status is written")
        else:
            super().configure(offset, value)


class Ports(Registers):
    """P0 and P1, which share a page."""

    OUT, OUTSET, OUTCLR, PIN_CNF = 0x504, 0x508, 0x50C, 0x700
    PINS: ClassVar[tuple[int, int]] = (32, 16)

    def __init__(self) -> None:
        known: set[int] = set()
        for port, pins in enumerate(self.PINS):
            known |= {0x300 * port + offset for offset in (self.OUT, self.OUTSET, self.OUTCLR)}
            known |= _range(0x300 * port + self.PIN_CNF, pins)
        reset = {
            0x300 * port + self.PIN_CNF + 4 * n: 2
            for port, pins in enumerate(self.PINS)
            for n in range(pins)
        }
        super().__init__(0x50000000, PAGE, reset=reset, offsets=known, name="GPIO")
        self.edges: list[tuple[int, int, int, bool]] = []  # (cycle, port, pin, high)

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        port, place = next(
            (port, offset - 0x300 * port)
            for port in (1, 0)
            if offset - 0x300 * port in (self.OUT, self.OUTSET, self.OUTCLR)
            or self.PIN_CNF <= offset - 0x300 * port < self.PIN_CNF + 4 * self.PINS[port]
        )
        if place not in (self.OUTSET, self.OUTCLR):
            super().write(offset, value)
            return
        out = 0x300 * port + self.OUT
        before = self[out]
        self[out] = before | value if place == self.OUTSET else before & ~value
        for n in range(32):
            if (before ^ self[out]) >> n & 1:
                self.edges.append((self.machine.now, port, n, bool(self[out] >> n & 1)))

    def configuration(self, port: int, n: int) -> int:
        """PIN_CNF of a pin."""
        return self[0x300 * port + self.PIN_CNF + 4 * n]

    def is_high(self, port: int, n: int) -> bool:
        """The output latch of a pin."""
        return bool(self[0x300 * port + self.OUT] >> n & 1)


class Watchdog(Peripheral):
    """WDT: its registers are locked while it runs, and only its own reset or the pin's stops it."""

    START, RUNSTATUS, CRV, RREN, CONFIG, RR = 0x000, 0x400, 0x504, 0x508, 0x50C, 0x600
    RELOAD = 0x6E524635
    TASKS = frozenset({START})
    CONFIGURATION = frozenset({RUNSTATUS, CRV, RREN, CONFIG, *_range(RR, 8)})

    def __init__(self, bites: Change) -> None:
        super().__init__(0x40010000, {self.CRV: 0xFFFFFFFF, self.RREN: 1, self.CONFIG: 1})
        self._bites = bites
        self._round = 0
        self._waits_for: set[int] = set()

    def reset(self) -> None:
        """See Registers. A software reset leaves it alone, its deadline too."""
        if self[self.RUNSTATUS]:
            self._arm()  # the machine forgot the event; from its last reload it would be sooner

    def stop(self) -> None:
        """What its own reset does."""
        super().reset()
        self._round += 1

    def run_already(self, crv: int, rren: int) -> None:
        """As a boot loader may leave it."""
        self.values |= {self.CRV: crv, self.RREN: rren, self.RUNSTATUS: 1}
        self._arm()

    def task(self, offset: int) -> None:
        """See Peripheral."""
        if not self[self.RUNSTATUS]:
            self.values[self.RUNSTATUS] = 1
            self._arm()

    def configure(self, offset: int, value: int) -> None:
        """See Peripheral."""
        if offset >= self.RR:
            if value == self.RELOAD:
                self._waits_for.discard((offset - self.RR) // 4)
                if not self._waits_for:
                    self._arm()
        elif offset == self.RUNSTATUS:
            raise Fault("a status is written")
        elif self[self.RUNSTATUS]:
            raise Fault(f"WDT runs, and {offset:#x} is written")
        else:
            super().configure(offset, value)

    def _arm(self) -> None:
        self._waits_for = {n for n in range(8) if self[self.RREN] >> n & 1}
        self._round += 1
        mine = self._round

        def bite() -> None:
            if self._round == mine and self[self.RUNSTATUS]:
                self._bites()

        self.machine.after((self[self.CRV] + 1) / 32768, bite)


class Uart(Peripheral):
    """UART0 with its FIFO of six bytes; `sent`, `receive` and `coming` are the wire's."""

    STARTRX, STARTTX, RXDRDY, TXDRDY, ERROR = 0x000, 0x008, 0x108, 0x11C, 0x124
    ERRORSRC, ENABLE, PSELTXD, PSELRXD = 0x480, 0x500, 0x50C, 0x514
    RXD, TXD, BAUDRATE, CONFIG = 0x518, 0x51C, 0x524, 0x56C
    TASKS = frozenset({STARTRX, STARTTX})
    EVENTS: ClassVar = {RXDRDY: 2, TXDRDY: 7, ERROR: 9}
    CONFIGURATION = frozenset({ERRORSRC, ENABLE, PSELTXD, PSELRXD, RXD, TXD, BAUDRATE, CONFIG})
    IRQ = 2
    DISCONNECTED = 0xFFFFFFFF

    def __init__(self) -> None:
        super().__init__(
            0x40002000,
            {self.PSELTXD: self.DISCONNECTED, self.PSELRXD: self.DISCONNECTED},
        )
        self.sent = bytearray()
        self._fifo: deque[int] = deque()
        self._wire: deque[int] = deque()
        self._is_due = False
        self._started: set[int] = set()
        self._is_sending = False

    @property
    def baud(self) -> float:
        """Of BAUDRATE, in units of 16 MHz / 2^32 (PS, UART)."""
        return self[self.BAUDRATE] * 16e6 / 2**32

    def task(self, offset: int) -> None:
        """See Peripheral."""
        if self[self.ENABLE] != 4:
            raise Fault("UART0 starts before it is enabled")
        self._started.add(offset)

    def receive(self, data: bytes) -> None:
        """Bytes on the wire, one after another."""
        self._wire.extend(data)
        self._schedule()

    @property
    def coming(self) -> int:
        """Bytes on their way to the core."""
        return len(self._wire) + len(self._fifo)

    def _schedule(self) -> None:
        if self._wire and not self._is_due:
            self._is_due = True
            self.machine.after(10 / self.baud, self._arrive)

    def _arrive(self) -> None:
        self._is_due = False
        byte = self._wire.popleft()
        if len(self._fifo) == 6:
            self.values[self.ERRORSRC] = 1  # overrun
            self.happen(self.ERROR)
        else:
            self._fifo.append(byte)
            if len(self._fifo) == 1:
                self.happen(self.RXDRDY)
        self._schedule()

    def read(self, offset: int) -> int:
        """See Registers."""
        if offset == self.RXD:
            byte = self._fifo.popleft() if self._fifo else 0
            if self._fifo:
                self.happen(self.RXDRDY)
            return byte
        return super().read(offset)

    def configure(self, offset: int, value: int) -> None:
        """See Peripheral."""
        if offset == self.TXD:
            if self._is_sending or self.STARTTX not in self._started:
                raise Fault("UART0: a byte before the transmitter is ready")
            self._is_sending = True
            self.sent.append(value & 0xFF)
            self.machine.after(10 / self.baud, self._gone)
        elif offset == self.ERRORSRC:
            self.values[offset] = self[offset] & ~value
        else:
            super().configure(offset, value)

    def _gone(self) -> None:
        self._is_sending = False
        self.happen(self.TXDRDY)


class Pdm(Peripheral):
    """PDM: `hears` gives what its EasyDMA writes, `count` samples at a time (int16, as bytes)."""

    START, STOP, STARTED, STOPPED, END = 0x000, 0x004, 0x100, 0x104, 0x108
    ENABLE, CLKCTRL, MODE, GAINL, GAINR, RATIO = 0x500, 0x504, 0x508, 0x518, 0x51C, 0x520
    PSELCLK, PSELDIN, PTR, MAXCNT = 0x540, 0x544, 0x560, 0x564
    TASKS = frozenset({START, STOP})
    EVENTS: ClassVar = {STARTED: 0, STOPPED: 1, END: 2}
    CONFIGURATION = frozenset(
        {ENABLE, CLKCTRL, MODE, GAINL, GAINR, RATIO, PSELCLK, PSELDIN, PTR, MAXCNT}
    )
    IRQ = 29

    def __init__(self) -> None:
        reset = {self.CLKCTRL: 0x08400000, self.GAINL: 0x28, self.GAINR: 0x28}
        super().__init__(0x4001D000, reset)
        self.hears: Callable[[int], bytes] = lambda count: bytes(2 * count)
        self.blocks = 0
        self._run = 0

    def clock_hz(self) -> float:
        """PDM_CLK: 32 MHz by a whole number. The table of PDMCLKCTRL (PS, PDM) has six values, for
        24, 25, 26, 30, 31 and 32; the whole part of 2^32 / value is that number for each."""
        return 32e6 / (2**32 // self[self.CLKCTRL])

    def rate(self) -> float:
        """Samples a second."""
        return self.clock_hz() / (80 if self[self.RATIO] & 1 else 64)

    def task(self, offset: int) -> None:
        """See Peripheral."""
        if not self[self.ENABLE]:
            raise Fault("PDM is not enabled")
        self._run += 1
        if offset == self.STOP:
            self.machine.after(1 / self.rate(), lambda: self.happen(self.STOPPED))
        else:
            self._begin(self._run)

    def _begin(self, run: int) -> None:
        """A block begins: its address is taken, and may change from now on."""
        place, count = self[self.PTR], self[self.MAXCNT]
        self.happen(self.STARTED)
        self.machine.after(count / self.rate(), lambda: self._end(run, place, count))

    def _end(self, run: int, place: int, count: int) -> None:
        if run != self._run:
            return
        self.machine.write_memory(place, self.hears(count))
        self.blocks += 1
        self.happen(self.END)
        self._begin(run)


class Anomalies(Registers):
    """The registers of anomalies 171 and 187, which a key locks and unlocks."""

    KEY, AWAKE, ON = 0xC00, 0xC14, 0xD14
    TOGGLE = 0x9375

    def __init__(self) -> None:
        super().__init__(0x4006E000, PAGE, offsets={self.KEY, self.AWAKE, self.ON})

    @property
    def wake_usb(self) -> bool:
        """Both hold what lets USBD wake up."""
        return self[self.AWAKE] == 0xC0 and self[self.ON] == 3

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset == self.KEY:
            if value == self.TOGGLE:
                self.values[self.KEY] = 0 if self[self.KEY] else self.TOGGLE
        elif not self[self.KEY]:
            raise Fault(f"{offset:#x} is locked")
        else:
            super().write(offset, value)


class Usbd(Peripheral):
    """USBD, with a bus whose host is the test (`support.usb_host`).

    A Fault is: a task while EasyDMA copies (anomaly 199), EasyDMA outside RAM, a start after one
    that left an odd number of bytes copied, the wrong endpoint, the pull-up without a crystal.
    """

    STARTEPIN, STARTEPOUT = 0x004, 0x028
    EP0RCVOUT, EP0STATUS, EP0STALL = 0x04C, 0x050, 0x054
    USBRESET, ENDEPIN, EP0DATADONE, ENDEPOUT = 0x100, 0x108, 0x128, 0x130
    USBEVENT, EP0SETUP, EPDATA = 0x158, 0x15C, 0x160
    EVENTCAUSE, EPDATASTATUS, SETUP, SIZE = 0x400, 0x46C, 0x480, 0x4A0
    ENABLE, PULLUP, DTOGGLE, EPINEN, EPOUTEN, EPSTALL = 0x500, 0x504, 0x50C, 0x510, 0x514, 0x518
    EPIN, EPOUT = 0x600, 0x700
    SUSPEND, RESUME, READY = 1 << 8, 1 << 9, 1 << 11
    TASKS = frozenset(
        {*_range(STARTEPIN, 8), *_range(STARTEPOUT, 8), EP0RCVOUT, EP0STATUS, EP0STALL}
    )
    EVENTS: ClassVar = {
        USBRESET: 0,
        **_bits(ENDEPIN, 2),
        EP0DATADONE: 10,
        **_bits(ENDEPOUT, 12),
        USBEVENT: 22,
        EP0SETUP: 23,
        EPDATA: 24,
    }
    CONFIGURATION = frozenset(
        {EVENTCAUSE, EPDATASTATUS, ENABLE, PULLUP, DTOGGLE, EPINEN, EPOUTEN, EPSTALL}
        | _range(SETUP, 8)
        | _range(SIZE, 8)
        | {base + 0x14 * n + part for base in (EPIN, EPOUT) for n in range(8) for part in (0, 4)}
    )
    IRQ = 39
    PACKET = 64

    def __init__(self, power: Power, anomalies: Anomalies) -> None:
        super().__init__(0x40027000)
        self.power, self.anomalies = power, anomalies
        self.enables = 0  # since the chip's reset
        self._forget()

    def _forget(self) -> None:
        self.values |= {self.EPINEN: 1, self.EPOUTEN: 1}
        self.armed: dict[int, bytes] = {}  # IN packets that wait for the host
        self.held: dict[int, bytes] = {}  # OUT packets that wait for EasyDMA
        self.accepts: set[int] = set()  # OUT endpoints that take a packet
        self.stalled: set[int] = set()  # addresses
        self.toggles: dict[int, int] = {}
        self.control: str | None = None  # what the firmware answered: "status", "stall", "receive"
        self._is_odd = False
        self._copies: int | None = None  # the event that ends EasyDMA's copy
        self._looks = 0
        self._wakes = 0

    def reset(self) -> None:
        """See Registers."""
        super().reset()
        self.enables = 0
        self._forget()

    # --- the firmware's side --------------------------------------------------------------------

    def task(self, offset: int) -> None:
        """See Peripheral."""
        if self._copies is not None:
            raise Fault("USBD: a task while EasyDMA copies (anomaly 199)")
        if not self[self.ENABLE]:
            raise Fault("USBD: a task while it is disabled")
        if offset == self.EP0STATUS:
            self.control = "status"
        elif offset == self.EP0STALL:
            self.control = "stall"
        elif offset == self.EP0RCVOUT:
            self.control = "receive"
        elif offset < self.STARTEPOUT:
            self._copy_in((offset - self.STARTEPIN) // 4)
        else:
            self._copy_out((offset - self.STARTEPOUT) // 4)

    def _copy_in(self, n: int) -> None:
        if not self[self.EPINEN] >> n & 1:
            raise Fault(f"USBD: EPIN{n} is not enabled")
        place, size = self[self.EPIN + 0x14 * n], self[self.EPIN + 0x14 * n + 4]
        self._check(place, size)
        if n and n in self.armed:
            raise Fault(f"USBD: EPIN{n} has a packet that the host has not taken")
        self.armed[n] = self.machine.read_memory(place, size)
        self._begin_copy(self.ENDEPIN + 4 * n, size)

    def _copy_out(self, n: int) -> None:
        place, size = self[self.EPOUT + 0x14 * n], self[self.EPOUT + 0x14 * n + 4]
        self._check(place, size)
        if n not in self.held:
            raise Fault(f"USBD: EPOUT{n} holds no packet")
        packet = self.held.pop(n)
        if len(packet) != size:
            raise Fault(f"USBD: EPOUT{n} holds {len(packet)} bytes, MAXCNT is {size}")
        self.machine.write_memory(place, packet)
        self.accepts.add(n)
        self._begin_copy(self.ENDEPOUT + 4 * n, size)

    def _check(self, place: int, size: int) -> None:
        first, length = self.machine.ram
        if size > self.PACKET or not first <= place <= place + size <= first + length:
            raise Fault(f"USBD: EasyDMA of {size} bytes at {place:#010x}")

    def _begin_copy(self, event: int, size: int) -> None:
        self._copies, self._looks = event, 0
        self._is_odd ^= bool(size & 1)

    def read(self, offset: int) -> int:
        """See Registers."""
        if offset == self._copies:
            self._looks += 1
            if self._looks >= LOOKS:
                self._copies = None
                self.happen(offset)
        if offset == self.EVENTCAUSE and self._wakes:
            self._wakes += 1
            if self._wakes > LOOKS:
                self.cause(self.READY)
                self._wakes = 0
        return super().read(offset)

    def configure(self, offset: int, value: int) -> None:
        """See Peripheral."""
        if offset in (self.EVENTCAUSE, self.EPDATASTATUS):
            self.values[offset] = self[offset] & ~value
        elif offset == self.ENABLE:
            self._enable(bool(value & 1))
        elif offset == self.PULLUP:
            if value and not (self[self.ENABLE] and self.power.crystal_runs):
                raise Fault("USBD: the pull-up before its clock")
            self.values[offset] = value
        elif offset == self.EPSTALL:
            address = value & 0x87
            (self.stalled.add if value & 0x100 else self.stalled.discard)(address)
        elif offset == self.DTOGGLE:
            self.toggles[value & 0x87] = {1: 0, 2: 1}[value >> 8]
        elif self.SIZE <= offset < self.SIZE + 0x20:
            n = (offset - self.SIZE) // 4
            if n not in self.held:
                self.accepts.add(n)
        elif self.SETUP <= offset < self.SETUP + 0x20:
            raise Fault("USBD: the SETUP packet is the host's")
        else:
            super().configure(offset, value)

    def _enable(self, on: bool) -> None:
        was, self.values[self.ENABLE] = self[self.ENABLE], int(on)
        if on and not was:
            self.enables += 1
            self._wakes = int(self.anomalies.wake_usb)
        elif not on:
            if self._is_odd:
                raise Fault("USBD: disabled after an odd number of bytes")
            self._forget()

    # --- the host's side ------------------------------------------------------------------------

    @property
    def is_on_the_bus(self) -> bool:
        """The host sees a device that works: anomaly 223 wants USBD enabled twice."""
        has_power = bool(self.power[Power.USBREGSTATUS] & 1)
        return has_power and bool(self[self.PULLUP] and self[self.ENABLE]) and self.enables >= 2

    def cause(self, bits: int) -> None:
        """An event of EVENTCAUSE."""
        self.values[self.EVENTCAUSE] = self[self.EVENTCAUSE] | bits
        self.happen(self.USBEVENT)

    def bus_reset(self) -> None:
        """The host resets the bus: only endpoint 0 is left (PS, USBD, "USB reset")."""
        odd = self._is_odd
        self._forget()
        self._is_odd = odd
        self.happen(self.USBRESET)

    def take_setup(self, packet: bytes) -> None:
        """A SETUP packet, which is always taken."""
        for n, byte in enumerate(packet):
            self.values[self.SETUP + 4 * n] = byte
        self.armed.pop(0, None)
        self.held.pop(0, None)
        self.control = None
        self.happen(self.EP0SETUP)

    def in_token(self, n: int) -> bytes | None:
        """The packet of an IN endpoint; None is NAK."""
        if n not in self.armed or (self._copies == self.ENDEPIN + 4 * n):
            return None
        packet = self.armed.pop(n)
        self._passed(n, self.EPDATASTATUS, 1 << n)
        return packet

    def out_packet(self, n: int, packet: bytes) -> bool:
        """A packet to an OUT endpoint; False is NAK."""
        takes = self.control == "receive" if n == 0 else n in self.accepts
        if not takes or (self._copies == self.ENDEPOUT + 4 * n):
            return False
        self.control = None if n == 0 else self.control
        self.accepts.discard(n)
        self.held[n] = packet
        self.values[self.SIZE + 4 * n] = len(packet)
        self._passed(n, self.EPDATASTATUS, 1 << 16 + n)
        return True

    def _passed(self, n: int, status: int, bit: int) -> None:
        if n == 0:
            self.happen(self.EP0DATADONE)
        else:
            self.values[status] = self[status] | bit
            self.happen(self.EPDATA)


class TwiceSeen(Machine):
    """A machine whose RAM code sees at a second address, too (PS, "Memory": Code RAM)."""

    CODE_RAM = 0x00800000

    def _map_memory(self, seed: int) -> None:
        super()._map_memory(seed)
        address, size = self.ram
        self._memory = ctypes.create_string_buffer(self.read_memory(address, size), size)
        self._uc.mem_unmap(address, size)
        for place, rights in ((address, UC_PROT_ALL), (self.CODE_RAM, UC_PROT_READ | UC_PROT_EXEC)):
            self._uc.mem_map_ptr(place, size, rights, ctypes.addressof(self._memory))


class Nrf52840:
    """A board with an nRF52840: memory behind a boot loader, and the peripherals that we use."""

    RAM = (0x20000000, 256 << 10)
    DEVICE_ID = (0x89ABCDEF, 0x01234567)

    def __init__(
        self,
        elf: Path,
        flash: tuple[int, int],
        *,
        crystal: bool = True,
        approtect: int = 0xFFFFFFFF,
        others: Iterable[Registers] = (),
    ) -> None:
        self.power = Power(crystal)
        self.gpio = Ports()
        self.watchdog = Watchdog(self._watchdog_bites)
        self.uart = Uart()
        self.pdm = Pdm()
        self.anomalies = Anomalies()
        self.usbd = Usbd(self.power, self.anomalies)
        self.nvmc = Registers(0x4001E000, PAGE, offsets={0x400, 0x540}, name="NVMC")
        self.ficr = Registers(
            0x10000000,
            PAGE,
            reset={0x60: self.DEVICE_ID[0], 0x64: self.DEVICE_ID[1]},
            offsets={0x60, 0x64},
            name="FICR",
        )
        self.uicr = Registers(
            0x10001000, PAGE, reset={0x208: approtect}, offsets={0x208}, name="UICR"
        )
        self.machine = TwiceSeen(
            elf,
            flash,
            self.RAM,
            [
                *(self.power, self.gpio, self.watchdog, self.uart, self.pdm, self.nvmc),
                *(self.anomalies, self.usbd, self.ficr, self.uicr, *others),
            ],
            clock_hz=CLOCK_HZ,
            irqs=48,
            priority_bits=3,
        )

    def _watchdog_bites(self) -> None:
        self.power.by_watchdog = True
        self.watchdog.stop()
        self.machine.reset()
