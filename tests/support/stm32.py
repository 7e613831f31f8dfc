# SPDX-License-Identifier: Apache-2.0
"""Peripherals of ST's STM32 for `support.cortexm`: what their ready bits and flags do.

They do no more than firmware can see: a crystal is ready some looks after it was started, the
clock switch follows, a UART gives bytes at a rate. What a register must hold, the tests compute
from the reference manual; RM0090 is the STM32F405/407's, RM0432 the STM32L4+'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from support.cortexm import Fault, Registers

LOOKS = 3  # at a bit that hardware sets, until it is set
LSI_HZ = 32000


class Gated(Registers):
    """A peripheral whose bus clock is a bit of RCC: `clock` is (RCC's model, register, bit)."""

    def __init__(
        self,
        base: int,
        clock: tuple[Registers, int, int],
        *,
        reset: Mapping[int, int] | None = None,
        name: str = "",
    ) -> None:
        super().__init__(base, reset=reset, name=name)
        self._clock = clock

    def has_clock(self) -> bool:
        """See Registers."""
        rcc, offset, bit = self._clock
        return bool(rcc[offset] >> bit & 1)


class Ready:
    """A bit that hardware sets some looks after what it stands for was asked for; or never."""

    def __init__(self, works: bool = True) -> None:
        self.works = works
        self._looks = 0

    def __call__(self, is_wanted: bool) -> bool:
        self._looks = self._looks + 1 if is_wanted else 0
        return self.works and self._looks >= LOOKS


class Pin(NamedTuple):
    """How a pin of a port is set up (RM0090, 8.4; RM0432, 8.4)."""

    mode: int  # 0 input, 1 output, 2 alternate function, 3 analog
    alternate: int
    speed: int
    pull: int  # 0 none, 1 up, 2 down
    open_drain: bool
    high: bool


class Gpio(Gated):
    """A port. Of its registers BSRR alone does something: it changes ODR, and reads 0."""

    MODER, OTYPER, OSPEEDR, PUPDR, IDR, ODR, BSRR, AFRL = 0, 4, 8, 12, 16, 20, 24, 32

    def __init__(
        self, base: int, clock: tuple[Registers, int, int], reset: Mapping[int, int], name: str
    ) -> None:
        super().__init__(base, clock, reset=reset, name=name)
        self.edges: list[tuple[int, int, bool]] = []  # (cycle, pin, high)

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset != self.BSRR:
            super().write(offset, value)
            return
        before = self[self.ODR]
        self.values[self.ODR] = (before & ~(value >> 16)) | value & 0xFFFF
        for n in range(16):
            if (before ^ self[self.ODR]) >> n & 1:
                self.edges.append((self.machine.now, n, bool(self[self.ODR] >> n & 1)))

    def pin(self, n: int) -> Pin:
        """How a pin stands now."""

        def field(offset: int, bits: int = 2) -> int:
            return self[offset] >> bits * n & (1 << bits) - 1

        alternate = self[self.AFRL + 4 * (n // 8)] >> 4 * (n % 8) & 15
        return Pin(
            mode=field(self.MODER),
            alternate=alternate,
            speed=field(self.OSPEEDR),
            pull=field(self.PUPDR),
            open_drain=bool(field(self.OTYPER, 1)),
            high=bool(field(self.ODR, 1)),
        )


class Uart(Gated):
    """What USART and LPUART share: bytes that arrive at `baud`, and those that were sent.

    The interrupt asks while a byte or an overrun waits and CR1.RXNEIE (bit 5 in both) is set. The
    transmitter is busy for one look after each byte.
    """

    RXNE, TXE, TC, ORE, FE = 1 << 5, 1 << 7, 1 << 6, 1 << 3, 1 << 1
    CR1 = 0

    def __init__(
        self,
        base: int,
        irq: int,
        clock: tuple[Registers, int, int],
        *,
        baud: int = 921600,
        name: str = "",
    ) -> None:
        super().__init__(base, clock, name=name)
        self.irq = irq
        self.baud = baud
        self.sent = bytearray()
        self._waiting: deque[int] = deque()
        self._is_due = False
        self._clear()

    def _clear(self) -> None:
        self.status = self.TXE | self.TC
        self._data = 0
        self._busy_looks = 0

    def reset(self) -> None:
        """See Registers."""
        super().reset()
        self._clear()
        self._is_due = False
        self._schedule()

    def receive(self, data: bytes) -> None:
        """Bytes on the wire, one after another."""
        self._waiting.extend(data)
        self._schedule()

    def break_wire(self) -> None:
        """A framing error, with the 0 that comes with it."""
        self.status |= self.FE | self.RXNE
        self._data = 0
        self._update()

    @property
    def coming(self) -> int:
        """Bytes on their way to the core."""
        return len(self._waiting)

    def _schedule(self) -> None:
        if self._waiting and not self._is_due:
            self._is_due = True
            self.machine.after(10 / self.baud, self._arrive)

    def _arrive(self) -> None:
        self._is_due = False
        byte = self._waiting.popleft()
        if self.is_on():
            if self.status & self.RXNE:
                self.status |= self.ORE  # and the new byte is lost (RM0090, 30.3.3)
            else:
                self._data = byte
                self.status |= self.RXNE
            self._update()
        self._schedule()

    def is_on(self) -> bool:
        """Enabled, with its receiver."""
        raise NotImplementedError

    def _update(self) -> None:
        wants = self[self.CR1] >> 5 & 1 and self.status & (self.RXNE | self.ORE)
        self.machine.interrupt(self.irq, bool(wants))

    def _look(self) -> int:
        status = self.status
        if self._busy_looks:
            self._busy_looks -= 1
            status &= ~(self.TXE | self.TC)
        return status

    def _send(self, value: int) -> None:
        if self._busy_looks:
            raise Fault(f"{self.name}: a byte is written while the transmitter is busy")
        self.sent.append(value & 0xFF)
        self._busy_looks = 1

    def _take(self) -> int:
        self.status &= ~self.RXNE
        self._update()
        return self._data


class Usart(Uart):
    """USART of the STM32F4 (RM0090, 30.6): flags fall when SR and then DR are read."""

    SR, DR, BRR, CR1 = 0x00, 0x04, 0x08, 0x0C

    def is_on(self) -> bool:
        """See Uart: UE and RE."""
        return self[self.CR1] & 0x2004 == 0x2004

    def read(self, offset: int) -> int:
        """See Registers."""
        if offset == self.SR:
            self._seen = self.status
            return self._look()
        if offset == self.DR:
            self.status &= ~(self._seen & (self.ORE | self.FE))
            self._seen = 0
            return self._take()
        return super().read(offset)

    _seen = 0

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset == self.DR:
            if self[self.CR1] & 0x2008 != 0x2008:
                raise Fault(f"{self.name} sends before UE and TE are set")
            self._send(value)
            return
        super().write(offset, value)
        self._update()


class Iwdg(Registers):
    """Independent watchdog (RM0090, 21.4): keys, a prescaler, a reset when nobody reloads it."""

    KR, PR, RLR, SR = 0, 4, 8, 12

    def __init__(self, bites: Callable[[], None], base: int = 0x40003000) -> None:
        super().__init__(base, reset={self.RLR: 0xFFF}, name="IWDG")
        self.is_started = False
        self._bites = bites
        self._is_unlocked = False
        self._busy = 0
        self._reloads = 0

    def reset(self) -> None:
        """See Registers: it stands until it is started again."""
        super().reset()
        self.is_started = False
        self._reloads += 1

    @property
    def seconds(self) -> float:
        """Until it bites, with an oscillator of 32 kHz."""
        return 4 * 2 ** self[self.PR] * (self[self.RLR] + 1) / LSI_HZ

    def read(self, offset: int) -> int:
        """See Registers."""
        if offset == self.SR and self._busy:
            self._busy -= 1
            return 3
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset == self.KR:
            self._is_unlocked = value == 0x5555
            self.is_started |= value == 0xCCCC
            if value in (0xAAAA, 0xCCCC) and self.is_started:
                self._count()
            return
        if not self._is_unlocked:
            raise Fault("the watchdog's registers are written without their key")
        super().write(offset, value)
        self._busy = LOOKS

    def _count(self) -> None:
        self._reloads += 1
        mine = self._reloads

        def bite() -> None:
            if self._reloads == mine:
                self._bites()

        self.machine.after(self.seconds, bite)


class Resets(Registers):
    """An RCC's RCC_CSR: flags that say why the last reset came, and outlive it.

    The pin's flag is set with every cause (RM0090, 7.3.21; RM0432, "RCC_CSR").
    """

    CSR: int
    POWER_ON: int
    RMVF: int
    PIN, SOFTWARE, WATCHDOG = 1 << 26, 1 << 28, 1 << 29

    def __init__(self, base: int, reset: Mapping[int, int]) -> None:
        super().__init__(base, reset=reset, name="RCC")
        self.causes = self.POWER_ON
        self._is_explained = False

    def because(self, cause: int) -> None:
        """Why the reset comes that is about to; without a word it is the software's."""
        self._is_explained = True
        self.causes |= cause | self.PIN

    def reset(self) -> None:
        """See Registers."""
        super().reset()
        if not self._is_explained:
            self.because(self.SOFTWARE)
        self._is_explained = False

    def read(self, offset: int) -> int:
        """See Registers."""
        value = super().read(offset)
        return value | self.causes if offset == self.CSR else value

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset == self.CSR and value & self.RMVF:
            self.causes = 0
            value &= ~self.RMVF
        super().write(offset, value)


class Rcc(Resets):
    """RCC of the STM32F405/407 (RM0090, 7.3): ready bits, the clock switch, causes of a reset."""

    CR, PLLCFGR, CFGR, AHB1ENR, APB1ENR, APB2ENR, CSR = 0x00, 0x04, 0x08, 0x30, 0x40, 0x44, 0x74
    POWER_ON, RMVF = 0x0E000000, 1 << 24

    def __init__(self, *, crystal: bool = True, pll: bool = True) -> None:
        super().__init__(0x40023800, {self.CR: 0x83, self.PLLCFGR: 0x24003010})
        self.crystal, self.pll, self.pll_i2s = Ready(crystal), Ready(pll), Ready(pll)

    def read(self, offset: int) -> int:
        """See Registers."""
        value = super().read(offset)
        if offset == self.CR:
            for ready, on in ((self.crystal, 16), (self.pll, 24), (self.pll_i2s, 26)):
                value &= ~(2 << on)
                value |= 2 << on if ready(bool(value >> on & 1)) else 0
            self.values[offset] = value
        elif offset == self.CFGR:
            value = value & ~0xC | (value & 3) << 2
        return value

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset == self.CFGR and value & 3 == 2 and not self[self.CR] >> 25 & 1:
            raise Fault("the clock is switched to a PLL that is not ready")
        if offset == self.PLLCFGR and self[self.CR] >> 24 & 1:
            raise Fault("the PLL is set up while it runs (RM0090, 7.3.2)")
        super().write(offset, value)


class RccL4(Resets):
    """RCC of the STM32L4+ (RM0432, "RCC registers")."""

    CR, CFGR, PLLCFGR, AHB2ENR, APB1ENR1, APB1ENR2 = 0x00, 0x08, 0x0C, 0x4C, 0x58, 0x5C
    CCIPR, CSR = 0x88, 0x94
    POWER_ON, RMVF = 0x0C000000, 1 << 23
    MSI, HSI, HSE, PLL = range(4)  # of SW and SWS

    def __init__(self, *, hsi: bool = True, pll: bool = True) -> None:
        super().__init__(0x40021000, {self.CR: 0x63, self.PLLCFGR: 0x1000})
        self.hsi, self.pll = Ready(hsi), Ready(pll)

    def read(self, offset: int) -> int:
        """See Registers."""
        value = super().read(offset)
        if offset == self.CR:
            for ready, on, flag in ((self.hsi, 8, 10), (self.pll, 24, 25)):
                value &= ~(1 << flag)
                value |= 1 << flag if ready(bool(value >> on & 1)) else 0
            self.values[offset] = value
        elif offset == self.CFGR:
            value = value & ~0xC | (value & 3) << 2
        return value

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        flag = {self.MSI: 1, self.HSI: 10, self.HSE: 17, self.PLL: 25}[value & 3]
        if offset == self.CFGR and not self[self.CR] >> flag & 1:
            raise Fault("the clock is switched to a source that is not ready")
        factors = ~(7 << 24 | 1 << 20 | 1 << 16)  # all but what enables and divides the outputs
        if (
            offset == self.PLLCFGR
            and self[self.CR] >> 24 & 1
            and (value ^ self[self.PLLCFGR]) & factors
        ):
            raise Fault('the PLL is set up while it runs (RM0432, "PLL")')
        super().write(offset, value)


class Lpuart(Uart):
    """LPUART of the STM32L4+ (RM0432, "LPUART registers"), without its FIFO."""

    CR1, BRR, ISR, ICR, RDR, TDR = 0x00, 0x0C, 0x1C, 0x20, 0x24, 0x28

    def is_on(self) -> bool:
        """See Uart: UE and RE."""
        return self[self.CR1] & 5 == 5

    def read(self, offset: int) -> int:
        """See Registers."""
        if offset == self.ISR:
            return self._look()
        return self._take() if offset == self.RDR else super().read(offset)

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset == self.TDR:
            if self[self.CR1] & 9 != 9:
                raise Fault(f"{self.name} sends before UE and TE are set")
            self._send(value)
        elif offset == self.ICR:
            self.status &= ~(value & 0xF)
            self._update()
        else:
            if offset == self.BRR and self[self.CR1] & 1:
                raise Fault(f"{self.name}: BRR is written while UE is set")
            super().write(offset, value)
            self._update()
