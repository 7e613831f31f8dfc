# SPDX-License-Identifier: Apache-2.0
"""NUCLEO-L4R5ZI: what its firmware writes, against what ST's manuals ask for.

RM0432 is the reference manual of the STM32L4R5, DS12023 the datasheet, UM2179 the board's manual.
Sections are cited by their titles. Formulas and limits are worked out here, and nothing is read
from the firmware's headers.
"""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.boards import Nucleo, facts, hang
from support.stm32 import Gpio, Lpuart, RccL4
from support.wire import Wire

from wav2small_micro import pio
from wav2small_micro.audio import Clip
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.mlperf.device import DeviceUnderTest

pytestmark = pytest.mark.emulator

ENV = "nucleo_l4r5zi"
MHZ = 1_000_000
HSI = 16 * MHZ  # "HSI16 clock"

RCC = 0x40021000  # "Memory map and register boundary addresses"
FLASH_ACR = 0x40022000
PWR_CR2, PWR_CR5 = 0x40007004, 0x40007080  # "PWR registers"
LPUART1 = 0x40008000
IWDG = 0x40003000
DBGMCU_APB1FZR1 = 0xE0042008  # "Debug support", MCU debug component
NVIC_ISER = 0xE000E100  # DDI 0403, B3.4.3
SYST_RVR = 0xE000E014


@pytest.fixture(scope="module")
def elf() -> Path:
    return pio.build(ENV)


@pytest.fixture(scope="module")
def booted(elf: Path) -> Nucleo:
    """The board 20 ms after power-on; the tests only look."""
    board = Nucleo(elf)
    board.machine.run(0.02)
    return board


def pll_hz(pllcfgr: int) -> float:
    """SYSCLK from the PLL, its limits checked ("PLL configuration register (RCC_PLLCFGR)"; DS12023,
    "PLL characteristics")."""
    assert pllcfgr & 3 == 2, "HSI16 feeds it: the board has no crystal at the HSE (UM2179)"
    m, n, r = (pllcfgr >> 4 & 15) + 1, pllcfgr >> 8 & 127, 2 * ((pllcfgr >> 25 & 3) + 1)
    assert 2.66 * MHZ <= HSI / m <= 8 * MHZ
    assert 8 <= n <= 127
    assert 64 * MHZ <= HSI / m * n <= 344 * MHZ
    assert pllcfgr >> 24 & 1, "PLLREN"
    return HSI / m * n / r


def prescaled(cfgr: int) -> float:
    """HCLK as a part of SYSCLK ("Clock configuration register (RCC_CFGR)", HPRE)."""
    field = cfgr >> 4 & 15
    if field < 8:
        return 1
    return 1 / (2, 4, 8, 16, 64, 128, 256, 512)[field - 8]


# --- Clock ----------------------------------------------------------------------------------------


def test_120_mhz_from_the_internal_oscillator(booted: Nucleo) -> None:
    machine = booted.machine
    assert pll_hz(machine[RCC + RccL4.PLLCFGR]) == 120 * MHZ
    cfgr = machine[RCC + RccL4.CFGR]
    assert cfgr & 3 == RccL4.PLL
    assert prescaled(cfgr) == 1
    assert cfgr >> 8 & 0x3F == 0, "PPRE1, PPRE2: APB1 and APB2 run at 120 MHz, their limit"
    assert machine[SYST_RVR] + 1 == 120 * MHZ // 1000
    assert facts(machine)["clock_hz"] == pio.board(ENV).clock_hz == 120 * MHZ


def test_the_way_into_boost_mode(booted: Nucleo) -> None:
    """RM0432, "Dynamic voltage scaling management": from range 1 normal mode to boost mode, HCLK is
    halved, R1MODE cleared, the wait states are raised, the clock is switched, and after 1 us HCLK
    is whole."""
    machine = booted.machine
    switch = RCC + RccL4.CFGR
    halved = machine.first(switch, value=0x80)
    boost = machine.first(PWR_CR5)
    waits = machine.first(FLASH_ACR)
    fast = machine.first(switch, value=0x83)
    whole = machine.first(switch, value=0x03)
    assert halved < boost < waits < fast < whole
    assert machine.log[boost].value >> 8 & 1 == 0, "R1MODE: 0 is boost"
    assert prescaled(machine.log[fast].value) == 0.5
    # Each look takes two cycles of 60 MHz at least: more than 1 us.
    looks = [a for a in machine.log[fast:whole] if a.address == switch and not a.is_write]
    assert 2 * len(looks) / 60e6 >= 1e-6
    assert looks[0].value >> 2 & 3 == RccL4.PLL, "SWS: it has been switched"


def test_the_flash_waits_before_the_clock_is_raised(booted: Nucleo) -> None:
    """RM0432, "Read access latency": in range 1 (boost mode included) one more for each 20 MHz."""
    machine = booted.machine
    waits, fast = machine.first(FLASH_ACR), machine.first(RCC + RccL4.CFGR, value=0x83)
    assert machine.log[waits].value & 15 == (120 - 1) // 20 == 5
    assert machine.log[waits].value >> 8 & 7 == 7, "prefetch and both caches"
    looks = [a for a in machine.log[waits:fast] if a.address == FLASH_ACR and not a.is_write]
    assert looks[-1].value & 15 == 5
    fetch = pio.board(ENV).flash_fetch
    assert fetch is not None
    assert [fetch.wait_states(mhz * MHZ) for mhz in (20, 21, 80, 81, 120)] == [0, 1, 3, 4, 5]


def test_the_pll_waits_for_its_source_and_its_outputs_come_last(booted: Nucleo) -> None:
    """RM0432, "PLL": factors while it is off, PLLON, the outputs, and PLLRDY before it is used."""
    machine = booted.machine
    hsi = machine.first(RCC, bits=1 << 8)
    factors = machine.first(RCC + RccL4.PLLCFGR)
    on = machine.first(RCC, bits=1 << 24)
    output = machine.first(RCC + RccL4.PLLCFGR, bits=1 << 24)
    fast = machine.first(RCC + RccL4.CFGR, bits=3)
    assert hsi < factors < on < output < fast
    for start, ready, end in ((hsi, 1 << 10, factors), (output, 1 << 25, fast)):
        looks = [a for a in machine.log[start:end] if a.address == RCC and not a.is_write]
        assert any(look.value & ready for look in looks)


def test_without_a_pll_it_runs_at_16_mhz_and_still_talks(elf: Path) -> None:
    board = Nucleo(elf, pll=False, clock_hz=HSI)
    machine = board.machine
    machine.run(0.05)
    assert machine[RCC + RccL4.CFGR] == RccL4.HSI
    assert machine[PWR_CR5] >> 8 & 1, "no boost"
    assert machine[SYST_RVR] + 1 == HSI // 1000
    assert baud_of(machine[LPUART1 + Lpuart.BRR], HSI) == pytest.approx(921600, rel=1e-3)
    assert b"Wav2Small" in board.uart.sent


def test_without_the_oscillator_it_runs_as_it_woke(elf: Path) -> None:
    board = Nucleo(elf, hsi=False, clock_hz=4 * MHZ)  # MSI, range 6, after a reset ("MSI clock")
    machine = board.machine
    machine.run(0.1)
    assert machine.writes(RCC + RccL4.CFGR) == []
    assert baud_of(machine[LPUART1 + Lpuart.BRR], 4 * MHZ) == pytest.approx(921600, rel=1e-3)
    assert b"Wav2Small" in board.uart.sent


# --- UART -----------------------------------------------------------------------------------------


def baud_of(brr: int, clock_hz: float) -> float:
    """RM0432, "LPUART baud rate generation": 256 * fCK / LPUARTDIV, and its limits."""
    assert 0x300 <= brr < 1 << 20
    baud = 256 * clock_hz / brr
    assert 3 * baud <= clock_hz <= 4096 * baud
    return baud


def test_the_uart_has_its_rate(booted: Nucleo) -> None:
    machine = booted.machine
    assert machine[RCC + RccL4.CCIPR] >> 10 & 3 == 0, "LPUART1SEL: PCLK1"
    assert machine.writes(LPUART1 + Lpuart.BRR) == [round(256 * 120 * MHZ / 921600)]
    assert baud_of(machine[LPUART1 + Lpuart.BRR], 120 * MHZ) == pytest.approx(921600, rel=2e-5)
    assert machine[LPUART1] == 1 << 5 | 1 << 3 | 1 << 2 | 1, "RXNEIE, TE, RE, UE: 8N1"
    assert machine.first(LPUART1 + Lpuart.BRR) < machine.first(LPUART1, bits=1)


@pytest.mark.slow
@pytest.mark.parametrize(("baud", "selected", "clock"), [(115200, 0, 120 * MHZ), (9600, 2, HSI)])
def test_the_rates_of_mlperf_tinys_runner(
    monkeypatch: pytest.MonkeyPatch, baud: int, selected: int, clock: int
) -> None:
    """The link's clock may be 4096 times its rate at most: 9600 baud has HSI16 (LPUART1SEL 10)."""
    monkeypatch.setenv("W2S_BAUD", str(baud))
    monkeypatch.setenv("W2S_MLPERF", "performance")
    board = Nucleo(pio.build(ENV), baud=baud)
    machine = board.machine
    machine.run(0.02)
    assert machine[RCC + RccL4.CCIPR] >> 10 & 3 == selected
    assert machine[RCC] >> 10 & 1, "HSI16 runs"
    assert baud_of(machine[LPUART1 + Lpuart.BRR], clock) == pytest.approx(baud, rel=1e-3)
    started = len(board.uart.sent)
    assert board.uart.sent.endswith(b"m-ready\r\n")
    board.uart.receive(b"profile%")
    assert machine.run(0.1, until=lambda: board.uart.sent.endswith(b"m-ready\r\n", started + 1))
    assert b"m-profile-[Wav2Small Micro" in board.uart.sent[started:]


@pytest.mark.slow
def test_an_inference_by_mlperf_tinys_rules(
    monkeypatch: pytest.MonkeyPatch, clips: list[Clip]
) -> None:
    """A clip over the runner's commands at 115,200 baud: the library's answer, and a time by the
    board's clock that is the marker's, high from its start to its end (docs/mlperf-tiny.md)."""
    monkeypatch.setenv("W2S_BAUD", "115200")
    monkeypatch.setenv("W2S_MLPERF", "performance")
    board = Nucleo(pio.build(ENV), baud=115200)
    machine, marker = board.machine, board.ports["F"]
    machine.logging = False
    machine.run(0.05)
    pcm = clips[0].pcm[:4000]
    model = Model.load(pio.DEFAULT_MODEL)
    with closing(NativeEngine(model)) as native:
        expected = native.run(pcm).adv_q16
    device = DeviceUnderTest(Wire(machine, board.uart), patience=60)
    assert device.identify().profile.endswith(model.name)
    device.load(pcm)
    marker.edges.clear()
    answer = device.infer(1)
    np.testing.assert_array_equal(answer.adv_q16, expected)
    up, down = (cycle for cycle, n, _ in marker.edges if n == 13)
    assert answer.elapsed_us == pytest.approx((down - up) / 120, rel=0.02)


def test_the_uart_is_on_the_pins_of_the_st_link(booted: Nucleo) -> None:
    """PG7 and PG8 are LPUART1 by alternate function 8 (DS12023, "Alternate function") and lead to
    the ST-LINK (UM2179, "LPUART1 communication"). VDDIO2 must have been declared valid (IOSV) for
    PG2 to PG15 to work (RM0432, "Independent I/O supply rail")."""
    port = booted.ports["G"]
    for n, pull in ((7, 0), (8, 1)):
        pin = port.pin(n)
        assert (pin.mode, pin.alternate, pin.open_drain, pin.pull) == (2, 8, False, pull)
    machine = booted.machine
    assert machine[PWR_CR2] >> 9 & 1
    assert machine.first(PWR_CR2, bits=1 << 9) < machine.first(port.base)
    assert machine.first(port.base + Gpio.AFRL) < machine.first(port.base + Gpio.MODER)
    others = [port.pin(n).mode for n in range(16) if n not in (7, 8)]
    assert others == [3] * 14, "analog, as after a reset"


def test_the_uart_interrupts_at_its_position(booted: Nucleo) -> None:
    """LPUART1 is at position 70 (RM0432, vector table)."""
    assert 1 << 70 % 32 in booted.machine.writes(NVIC_ISER + 4 * (70 // 32))


def test_bytes_come_in_and_errors_are_counted(elf: Path) -> None:
    board = Nucleo(elf)
    machine = board.machine
    machine.run(0.02)
    before = len(board.uart.sent)
    board.uart.receive(b"\ninfo\n")
    machine.run(0.1)
    assert ENV.encode() in board.uart.sent[before:]
    board.uart.break_wire()
    machine.run(0.001)
    assert machine.call("board_uart_errors") == 1
    board.uart.status |= Lpuart.ORE | Lpuart.RXNE
    machine.interrupt(70)
    machine.run(0.001)
    assert machine.call("board_uart_errors") == 2
    assert not board.uart.status & (Lpuart.ORE | Lpuart.RXNE | Lpuart.FE)


# --- Watchdog, marker, reset ----------------------------------------------------------------------


def test_the_watchdog_bites_after_two_seconds(booted: Nucleo) -> None:
    """RM0432, "Independent watchdog": (4 * 2^PR) * (RLR + 1) / LSI, which has 32 kHz."""
    assert booted.watchdog.is_started
    assert booted.watchdog.seconds == pytest.approx(2.0, rel=0.01)
    machine = booted.machine
    assert machine[DBGMCU_APB1FZR1] >> 12 & 1, "it stops with the core under a debugger"
    assert machine.first(DBGMCU_APB1FZR1) < machine.first(IWDG, value=0xCCCC)


POWER_ON, BY_PIN, BY_SOFTWARE, BY_WATCHDOG, LOW_POWER = 1, 2, 3, 4, 6  # board.h


def test_a_hanging_application_is_restarted_by_the_watchdog(elf: Path) -> None:
    board = Nucleo(elf)
    machine = board.machine
    machine.logging = False
    machine.run(0.02)
    assert facts(machine)["reset_cause"] == POWER_ON
    hang(machine)
    machine.run(1.9)
    assert machine.resets == 0
    assert machine.run(0.3, until=lambda: machine.resets == 1)
    machine.run(0.02)
    assert facts(machine)["reset_cause"] == BY_WATCHDOG


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        # RCC_CSR: bits 26 pin, 27 BOR (and power-on), 28 software, 29 IWDG, 30 WWDG, 31 low power
        (1 << 26 | 1 << 27, POWER_ON),
        (1 << 26, BY_PIN),
        (1 << 26 | 1 << 28, BY_SOFTWARE),
        (1 << 26 | 1 << 29, BY_WATCHDOG),
        (1 << 26 | 1 << 30, BY_WATCHDOG),
        (1 << 26 | 1 << 31, LOW_POWER),
    ],
)
def test_why_it_started(elf: Path, flags: int, cause: int) -> None:
    board = Nucleo(elf)
    board.rcc.causes = flags
    assert board.machine.call("port_reset_cause") == cause
    assert board.rcc.causes == 0, "RMVF was written: the next reset is told from this one"


def test_the_marker_is_d7(elf: Path) -> None:
    """PF13 is D7 of the Arduino header (UM2179, "Zio connectors"), where submissions to MLPerf Tiny
    have their time stamps on this board. It is low before it becomes an output."""
    board = Nucleo(elf)
    machine, port = board.machine, board.ports["F"]
    machine.run(0.02)
    pin = port.pin(13)
    assert (pin.mode, pin.open_drain) == (1, False)
    assert machine.first(port.base + Gpio.BSRR, value=1 << 29) < machine.first(port.base)
    port.edges.clear()
    machine.call("board_marker", 1)
    machine.call("board_marker", 0)
    assert [(n, high) for _, n, high in port.edges] == [(13, True), (13, False)]
