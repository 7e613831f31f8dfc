# SPDX-License-Identifier: Apache-2.0
"""I2S2 of the STM32F4 with the stream of DMA1 that serves it, for `support.boards.Discovery`.

Bits come at the rate that the registers give. They are those of `hears`, in time's order, the first
one of a byte highest; the peripheral makes halfwords of them, the first bit highest (RM0090,
28.4.3), and DMA puts these into memory, lowest byte first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from support.cortexm import Fault, Registers
from support.stm32 import LOOKS, Gated, Rcc

if TYPE_CHECKING:
    from support.boards import Discovery

PLLI2SCFGR = 0x84  # in RCC (RM0090, 7.3.23)
SILENCE = b"\x55"


class Dma1(Gated):
    """DMA1, whose stream 3 does what peripherals ask it to (RM0090, 10.5). Others do not exist."""

    LISR, LIFCR = 0x00, 0x08
    CR, NDTR, PAR, M0AR, M1AR, FCR = 0x58, 0x5C, 0x60, 0x64, 0x68, 0x6C
    EN, HALF, FULL, ERROR = 1, 1 << 26, 1 << 27, 1 << 25
    IRQ = 14  # DMA1_Stream3 (12.2, table 61)

    def __init__(self, board: Discovery) -> None:
        super().__init__(0x40026000, (board.rcc, Rcc.AHB1ENR, 21), name="DMA1")
        self.offsets = frozenset({self.LISR, self.LIFCR, *range(self.CR, self.FCR + 4, 4)})
        self.values[self.FCR] = 0x21
        self.flags = 0
        self.late_s = 0.0  # how long the next interrupt is kept back
        self.filled = 0  # halves of the buffer, since the stream was enabled
        self.words: Callable[[], int] = lambda: 0  # since the last of them
        self._stopping = 0
        self._held_until = 0

    def is_on(self) -> bool:
        """Enabled."""
        return bool(self[self.CR] & self.EN)

    def read(self, offset: int) -> int:
        """See Registers: EN falls when the transfer under way has ended (10.5.5)."""
        if offset == self.LISR:
            return self.flags
        if offset == self.CR and self._stopping:
            self._stopping -= 1
            return super().read(offset) | self.EN
        if offset == self.NDTR and self.is_on():
            half = self[self.NDTR] // 2
            return self[self.NDTR] - self.filled % 2 * half - min(self.words(), half - 1)
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset == self.LIFCR:
            self.flags &= ~value
            self._update()
            return
        if offset in (self.CR, self.NDTR, self.PAR, self.M0AR, self.FCR):
            self._configure(offset, value)
        super().write(offset, value)

    def _configure(self, offset: int, value: int) -> None:
        stops = offset == self.CR and not value & self.EN
        if (self.is_on() and not stops) or (self._stopping and not stops):
            raise Fault(f"stream 3 is set up at {offset:#x} while it is enabled (10.5.5)")
        if stops and self.is_on():
            self._stopping = LOOKS
        elif offset == self.CR and value & self.EN and self.flags:
            raise Fault("stream 3 is enabled with flags of the last time (10.3.17)")
        if offset == self.CR and value & self.EN:
            self.filled = 0

    def fill(self, data: bytes) -> None:
        """Puts half a buffer into memory."""
        half = self.filled % 2
        self.machine.write_memory(self[self.M0AR] + half * len(data), data)
        self.filled += 1
        self._happen(self.FULL if half else self.HALF)

    def _happen(self, flag: int) -> None:
        self.flags |= flag
        if self.late_s:
            self._held_until = self.machine.now + round(self.late_s * self.machine.clock_hz)
            self.machine.after(self.late_s, self._update)
            self.late_s = 0.0
        self._update()

    def fail(self) -> None:
        """An error on the bus: the stream is switched off (10.3.18)."""
        self.values[self.CR] = self[self.CR] & ~self.EN
        self._happen(self.ERROR)

    def _update(self) -> None:
        wants = {self.HALF: 3, self.FULL: 4, self.ERROR: 2}  # HTIE, TCIE, TEIE
        asks = self.machine.now >= self._held_until and any(
            self.flags & flag and self[self.CR] >> bit & 1 for flag, bit in wants.items()
        )
        self.machine.interrupt(self.IRQ, asks)


class I2s2(Gated):
    """SPI2 as I2S (RM0090, 28.5), a master that receives."""

    CR2, SR, DR, I2SCFGR, I2SPR = 0x04, 0x08, 0x0C, 0x1C, 0x20
    I2SE, OVR = 1 << 10, 1 << 6

    def __init__(self, board: Discovery) -> None:
        super().__init__(
            0x40003800, (board.rcc, Rcc.APB1ENR, 14), reset={self.I2SPR: 2}, name="I2S2"
        )
        self.hears: Callable[[int], bytes] = lambda count: SILENCE * count
        self._rcc: Registers = board.rcc
        self._board = board
        self._overrun = False
        self._seen = False
        self._run = 0

    @property
    def dma(self) -> Dma1:
        """Who takes its words."""
        (dma,) = (other for other in self._board.others if isinstance(other, Dma1))
        return dma

    # --- Rates ------------------------------------------------------------------------------------

    def vco_hz(self) -> float:
        """PLLI2S: the main PLL's input times N (RM0090, 7.3.2 and 7.3.23)."""
        pllcfgr = self._rcc[Rcc.PLLCFGR]
        source = 8e6 if pllcfgr >> 22 & 1 else 16e6
        return source / (pllcfgr & 63) * (self._rcc[PLLI2SCFGR] >> 6 & 511)

    def clock_hz(self) -> float:
        """What PLLI2S gives I2S, CFGR.I2SSRC being 0."""
        return self.vco_hz() / (self._rcc[PLLI2SCFGR] >> 28 & 7)

    def bit_hz(self) -> float:
        """Bits a second (28.4.4): no master clock, channels of 16 bits."""
        return self.clock_hz() / (2 * (self[self.I2SPR] & 0xFF) + (self[self.I2SPR] >> 8 & 1))

    # --- Registers --------------------------------------------------------------------------------

    def read(self, offset: int) -> int:
        """See Registers: DR, then SR takes OVR away (28.4.8)."""
        if offset == self.DR:
            self._seen = True
        if offset == self.SR:
            status = 2 | (self.OVR if self._overrun else 0)
            self._overrun = self._overrun and not self._seen
            self._seen = False
            return status
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        was_on = bool(self[self.I2SCFGR] & self.I2SE)
        if was_on and offset in (self.I2SPR, self.I2SCFGR) and (value ^ self[offset]) & ~self.I2SE:
            raise Fault("I2S is set up while it runs (28.5.8, 28.5.9)")
        super().write(offset, value)
        if offset == self.I2SCFGR and bool(value & self.I2SE) != was_on:
            self._switch(not was_on)

    def _switch(self, on: bool) -> None:
        self._run += 1
        if not on:
            return
        if not self._rcc[Rcc.CR] >> 27 & 1:
            raise Fault("I2S is enabled while its PLL is not ready")
        if not (self[self.CR2] & 1 and self.dma.is_on()):
            raise Fault("I2S is enabled, and nobody takes its words")
        self._origin = self._last = self.machine.now
        self.dma.words = self._words
        self._transfers = itertools.count(1)
        self._schedule(self._run)

    # --- Transfers --------------------------------------------------------------------------------

    def _words(self) -> int:
        """Since the last half was full."""
        seconds = (self.machine.now - self._last) / self.machine.clock_hz
        return int(seconds * self.bit_hz() / 16)

    def _schedule(self, run: int) -> None:
        machine, words = self.machine, next(self._transfers) * self.dma[Dma1.NDTR] // 2
        due = self._origin + words * 16 / self.bit_hz() * machine.clock_hz
        machine.after((due - machine.now) / machine.clock_hz, lambda: self._fill(run))

    def _fill(self, run: int) -> None:
        """Half of the buffer is full."""
        if run != self._run:
            return
        self._last = self.machine.now
        if self.dma.is_on():
            bits = self.hears(self.dma[Dma1.NDTR])  # as many bytes as words in both halves
            self.dma.fill(np.frombuffer(bits, ">u2").astype("<u2").tobytes())
        self._schedule(run)

    def mute(self) -> None:
        """No more words come."""
        self._run += 1

    def overrun(self) -> None:
        """A word came, and the one before was not taken."""
        self._overrun = True
