# SPDX-License-Identifier: Apache-2.0
"""STM32F4DISCOVERY: what its firmware writes, against what ST's manuals ask for.

RM0090 is the reference manual of the STM32F405/407, DS8626 the datasheet, UM1472 the board's
manual, DDI 0403 Arm's of the core. Formulas and limits are worked out here, from the document, and
nothing is read from the firmware's headers.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.boards import Discovery, facts, hang
from support.cortexm import Fault
from support.stm32 import Gpio, Rcc, Usart

from wav2small_micro import pio

pytestmark = pytest.mark.emulator

ENV = "stm32f407_discovery"
MHZ = 1_000_000
HSE, HSI = 8 * MHZ, 16 * MHZ  # UM1472, "Clock sources": X2 is 8 MHz; RM0090, 7.2.2

RCC = 0x40023800  # RM0090, 2.3, "Memory map"
FLASH_ACR = 0x40023C00
PWR_CR = 0x40007000
USART2 = 0x40004400
IWDG = 0x40003000
DBGMCU_APB1_FZ = 0xE0042008  # 38.16.4
NVIC_ISER = 0xE000E100  # DDI 0403, B3.4.3


@pytest.fixture(scope="module")
def elf() -> Path:
    return pio.build(ENV)


@pytest.fixture(scope="module")
def booted(elf: Path) -> Discovery:
    """The board 20 ms after power-on; the tests only look."""
    board = Discovery(elf)
    board.machine.run(0.02)
    return board


def pll_hz(pllcfgr: int) -> float:
    """SYSCLK from the PLL, its limits checked (RM0090, 7.3.2)."""
    m, n, p = pllcfgr & 63, pllcfgr >> 6 & 511, 2 * ((pllcfgr >> 16 & 3) + 1)
    source = HSE if pllcfgr >> 22 & 1 else HSI
    vco = source / m * n
    assert m >= 2
    assert source / m == 2 * MHZ, "1 to 2 MHz; 2 MHz to limit jitter"
    assert 100 * MHZ <= vco <= 432 * MHZ
    assert vco / (pllcfgr >> 24 & 15) <= 48 * MHZ
    return vco / p


def bus_hz(cfgr: int, hclk: float) -> tuple[float, float]:
    """APB1 and APB2 (RM0090, 7.3.3): a divider of 2 to 16 where the field's top bit is set."""

    def divided(field: int) -> float:
        return hclk / (2 ** ((field & 3) + 1) if field & 4 else 1)

    return divided(cfgr >> 10 & 7), divided(cfgr >> 13 & 7)


# --- Clock ----------------------------------------------------------------------------------------


def test_168_mhz_from_the_crystal(booted: Discovery) -> None:
    machine = booted.machine
    pllcfgr, cfgr = machine[RCC + Rcc.PLLCFGR], machine[RCC + Rcc.CFGR]
    assert pllcfgr >> 22 & 1, "HSE"
    assert pll_hz(pllcfgr) == 168 * MHZ
    assert cfgr & 3 == 2, "SW: PLL"
    assert cfgr >> 4 & 15 == 0, "AHB: not divided"
    apb1, apb2 = bus_hz(cfgr, 168 * MHZ)
    assert (apb1, apb2) == (42 * MHZ, 84 * MHZ), "their limits (7.2)"


def test_the_flash_waits_before_the_clock_is_raised(booted: Discovery) -> None:
    """RM0090, 3.5.1, "Increasing the CPU frequency": the new wait states, a look that they are in
    force, then the clock switch. Table 10: one more for each 30 MHz, at 2.7 to 3.6 V."""
    machine = booted.machine
    waits, switch = machine.first(FLASH_ACR), machine.first(RCC + Rcc.CFGR, bits=2)
    acr = machine.log[waits].value
    assert acr & 7 == (168 - 1) // 30 == 5
    assert acr >> 8 & 7 == 7, "prefetch and both caches (3.9.1)"
    looks = [a for a in machine.log[waits:switch] if a.address == FLASH_ACR and not a.is_write]
    assert looks
    assert looks[-1].value & 7 == 5
    dividers = machine.log[machine.first(RCC + Rcc.CFGR)].value
    assert bus_hz(dividers, 168 * MHZ) == (42 * MHZ, 84 * MHZ), "before the switch, or APB1 is fast"


def test_each_step_of_the_clock_waits_for_the_one_before(booted: Discovery) -> None:
    machine = booted.machine
    voltage = machine.first(PWR_CR, bits=1 << 14)  # VOS: scale 1 above 144 MHz (5.1.3, 5.4.1)
    crystal = machine.first(RCC + Rcc.CR, bits=1 << 16)
    factors = machine.first(RCC + Rcc.PLLCFGR)
    pll = machine.first(RCC + Rcc.CR, bits=1 << 24)
    switch = machine.first(RCC + Rcc.CFGR, bits=2)
    assert crystal < factors < pll < switch
    assert voltage < pll, "VOS can only be changed while the PLL is off (5.4.1)"
    for start, ready, end in ((crystal, 1 << 17, factors), (pll, 1 << 25, switch)):
        looks = [a for a in machine.log[start:end] if a.address == RCC and not a.is_write]
        assert looks[-1].value & ready, "HSERDY, PLLRDY (7.3.1)"


def test_without_a_crystal_the_internal_oscillator_feeds_the_pll(elf: Path) -> None:
    board = Discovery(elf, crystal=False)
    board.machine.run(0.02)
    pllcfgr = board.machine[RCC + Rcc.PLLCFGR]
    assert not pllcfgr >> 22 & 1
    assert pll_hz(pllcfgr) == 168 * MHZ
    assert board.machine[RCC + Rcc.CFGR] & 3 == 2


def test_without_a_pll_it_stays_at_16_mhz_and_still_talks(elf: Path) -> None:
    board = Discovery(elf, pll=False, clock_hz=HSI)
    board.machine.run(0.05)
    assert board.machine.writes(RCC + Rcc.CFGR) == []
    assert baud_of(board.machine[USART2 + Usart.BRR], HSI) == pytest.approx(921600, rel=0.033)
    assert b"Wav2Small" in board.uart.sent
    assert board.machine[0xE000E014] + 1 == HSI // 1000, "SysTick: a millisecond"


# --- UART -----------------------------------------------------------------------------------------


def baud_of(brr: int, clock_hz: float) -> float:
    """RM0090, 30.3.4: fCK / (16 * USARTDIV), which BRR holds in sixteenths."""
    assert brr >> 4 >= 1, "a USARTDIV below 1 does not work"
    return clock_hz / (16 * (brr / 16))


def test_the_uart_has_its_rate(booted: Discovery) -> None:
    machine = booted.machine
    apb1, _ = bus_hz(machine[RCC + Rcc.CFGR], 168 * MHZ)
    assert machine.writes(USART2 + Usart.BRR) == [round(apb1 / 921600)]
    # 30.3.5, table 141: 3.33 % with 8 data bits, 16 samples and a BRR that is not a multiple of 16
    assert baud_of(machine[USART2 + Usart.BRR], apb1) == pytest.approx(921600, rel=0.0333 / 2)
    cr1 = machine[USART2 + Usart.CR1]
    assert cr1 == 1 << 13 | 1 << 5 | 1 << 3 | 1 << 2, "UE, RXNEIE, TE, RE: 8N1 (30.6.4)"
    assert machine.first(USART2 + Usart.BRR) < machine.first(USART2 + Usart.CR1)


def test_the_uart_is_on_its_pins(booted: Discovery) -> None:
    """PA2 and PA3 are USART2 by alternate function 7 (DS8626, table 9); they change only when the
    alternate function is chosen (RM0090, 8.3.2)."""
    port = booted.ports["A"]
    for n, pull in ((2, 0), (3, 1)):
        pin = port.pin(n)
        assert (pin.mode, pin.alternate, pin.open_drain, pin.pull) == (2, 7, False, pull)
    machine = booted.machine
    assert machine.first(port.base + Gpio.AFRL) < machine.first(port.base + Gpio.MODER)
    debug = port.pin(13), port.pin(14)
    assert [(pin.mode, pin.alternate) for pin in debug] == [(2, 0), (2, 0)], "SWD stays"


def test_the_uart_interrupts_at_its_position(booted: Discovery) -> None:
    """USART2 is at position 38 (RM0090, 12.2, table 61)."""
    assert 1 << 38 % 32 in booted.machine.writes(NVIC_ISER + 4 * (38 // 32))


def test_bytes_come_in_and_errors_are_counted(elf: Path) -> None:
    board = Discovery(elf)
    machine = board.machine
    machine.run(0.02)
    before = len(board.uart.sent)
    board.uart.receive(b"\ninfo\n")
    machine.run(0.1)
    assert b"stm32f407_discovery" in board.uart.sent[before:]
    board.uart.break_wire()
    machine.run(0.001)
    assert machine.call("board_uart_errors") == 1


def test_a_late_interrupt_counts_an_overrun(elf: Path) -> None:
    board = Discovery(elf)
    machine = board.machine
    machine.run(0.02)
    board.uart.status |= Usart.RXNE | Usart.ORE
    machine.interrupt(38)
    machine.run(0.001)
    assert machine.call("board_uart_errors") == 1
    assert not board.uart.status & (Usart.RXNE | Usart.ORE), "SR, then DR: both flags fall (30.6.1)"


# --- Watchdog, marker, reset ----------------------------------------------------------------------


def test_the_watchdog_bites_after_two_seconds(booted: Discovery) -> None:
    """RM0090, 21.3.1: (4 * 2^PR) * (RLR + 1) / LSI. The LSI is 17 to 47 kHz (DS8626, table 36), so
    it is 1.4 to 3.8 s; the model has 32 kHz."""
    assert booted.watchdog.is_started
    assert booted.watchdog.seconds == pytest.approx(2.0, rel=0.01)
    machine = booted.machine
    assert machine[DBGMCU_APB1_FZ] >> 12 & 1, "it stops with the core under a debugger (38.16.4)"
    assert machine.first(DBGMCU_APB1_FZ) < machine.first(IWDG, value=0xCCCC)
    keys = machine.writes(IWDG)
    assert keys.index(0x5555) < keys.index(0xAAAA), "unlocked, then loaded (21.4.1)"


def test_a_hanging_application_is_restarted_by_the_watchdog(elf: Path) -> None:
    board = Discovery(elf)
    machine = board.machine
    machine.logging = False
    machine.run(0.02)
    hang(board.machine)
    machine.run(1.9)
    assert machine.resets == 0
    assert machine.run(0.3, until=lambda: machine.resets == 1)
    machine.run(0.02)
    assert facts(board.machine)["reset_cause"] == BY_WATCHDOG


POWER_ON, BY_PIN, BY_SOFTWARE, BY_WATCHDOG, LOW_POWER = 1, 2, 3, 4, 6  # board.h


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        # RM0090, 7.3.21: bits 25 BOR, 26 pin, 27 POR, 28 software, 29 IWDG, 30 WWDG, 31 low power
        (1 << 25 | 1 << 26 | 1 << 27, POWER_ON),
        (1 << 25 | 1 << 26, POWER_ON),
        (1 << 26, BY_PIN),
        (1 << 26 | 1 << 28, BY_SOFTWARE),
        (1 << 26 | 1 << 29, BY_WATCHDOG),
        (1 << 26 | 1 << 30, BY_WATCHDOG),
        (1 << 26 | 1 << 31, LOW_POWER),
    ],
)
def test_why_it_started(elf: Path, flags: int, cause: int) -> None:
    board = Discovery(elf)
    board.rcc.causes = flags
    machine = board.machine
    assert machine.call("port_reset_cause") == cause
    assert board.rcc.causes == 0, "RMVF was written: the next reset is told from this one"


def test_the_marker_is_on_a_free_pin(booted: Discovery, elf: Path) -> None:
    """PD0: nothing on the board is wired to it (UM1472, "MCU pin description versus board
    function"). It is low before it becomes an output (RM0090, 8.4.1, 8.4.7)."""
    port = booted.ports["D"]
    pin = port.pin(0)
    assert (pin.mode, pin.open_drain) == (1, False)
    machine = booted.machine
    assert machine.first(port.base + Gpio.BSRR, value=1 << 16) < machine.first(port.base)
    board = Discovery(elf)
    board.machine.run(0.02)
    board.ports["D"].edges.clear()
    board.machine.call("board_marker", 1)
    board.machine.call("board_marker", 0)
    assert [(n, high) for _, n, high in board.ports["D"].edges] == [(0, True), (0, False)]


# --- The models themselves: a test that cannot fail proves nothing --------------------------------


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda b: setattr(b.rcc, "values", {**b.rcc.values, Rcc.APB1ENR: 0}), "without its clock"),
        (lambda b: b.machine.jump(0xF0000000), "where nothing is"),
    ],
)
def test_what_no_board_forgives_stops_the_test(
    elf: Path, spoil: Callable[[Discovery], None], says: str
) -> None:
    board = Discovery(elf)
    board.machine.run(0.02)
    spoil(board)
    board.uart.receive(b"\n")
    with pytest.raises(Fault, match=says):
        board.machine.run(0.02)
