# SPDX-License-Identifier: Apache-2.0
"""The boards on `support.cortexm`: their memory, and models of the peripherals that we use.

Addresses are those of the memory map in each chip's reference manual, and what is not listed is not
there: an access to it stops the test.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from support.cortexm import Machine, Registers
from support.stm32 import Gated, Gpio, Iwdg, Lpuart, Rcc, RccL4, Resets, Usart


class Discovery:
    """STM32F4DISCOVERY: an STM32F407VG (RM0090, 2.3, "Memory map"; 12.2 has 82 interrupts).

    ``crystal``, ``pll``: whether they ever become ready. ``others``: makes more peripherals, given
    the board, whose `rcc` gives them their clocks.
    """

    FLASH, RAM = (0x08000000, 1 << 20), (0x20000000, 128 << 10)

    def __init__(
        self,
        elf: Path,
        *,
        crystal: bool = True,
        pll: bool = True,
        clock_hz: int = 168_000_000,
        others: Iterable[type] = (),
    ) -> None:
        self.rcc = Rcc(crystal=crystal, pll=pll)
        self.acr = Registers(0x40023C00, reset={0: 0}, name="FLASH")
        self.pwr = Gated(0x40007000, (self.rcc, Rcc.APB1ENR, 28), reset={0: 0x4000}, name="PWR")
        self.ports = {
            letter: Gpio(
                0x40020000 + 0x400 * n,
                (self.rcc, Rcc.AHB1ENR, n),
                # 8.4.1 to 8.4.4: the debugger's pins are not inputs
                {
                    "A": {0: 0xA8000000, 8: 0x0C000000, 12: 0x64000000},
                    "B": {0: 0x280, 8: 0xC0, 12: 0x100},
                }.get(letter, {}),
                f"GPIO{letter}",
            )
            for n, letter in enumerate("ABCDEFGHI")
        }
        self.uart = Usart(0x40004400, 38, (self.rcc, Rcc.APB1ENR, 17), name="USART2")
        self.watchdog = Iwdg(lambda: _bites(self))
        self.debug = Registers(0xE0042000, name="DBGMCU")
        self.others = [make(self) for make in others]
        self.machine = Machine(
            elf,
            self.FLASH,
            self.RAM,
            [
                *(self.rcc, self.acr, self.pwr, *self.ports.values()),
                *(self.uart, self.watchdog, self.debug, *self.others),
            ],
            clock_hz=clock_hz,
            irqs=82,
            priority_bits=4,
        )


class Nucleo:
    """NUCLEO-L4R5ZI: an STM32L4R5ZI (RM0432, "Memory map"; its vector table has 95 interrupts).

    ``hsi``, ``pll``: whether they ever become ready.
    """

    FLASH, RAM = (0x08000000, 2 << 20), (0x20000000, 640 << 10)

    def __init__(
        self,
        elf: Path,
        *,
        hsi: bool = True,
        pll: bool = True,
        clock_hz: int = 120_000_000,
        baud: int = 921600,
    ) -> None:
        self.rcc = RccL4(hsi=hsi, pll=pll)
        self.acr = Registers(0x40022000, reset={0: 0x600}, name="FLASH")
        self.pwr = Gated(
            0x40007000,
            (self.rcc, RccL4.APB1ENR1, 28),
            reset={0x00: 0x200, 0x08: 0x8000, 0x80: 0x100},
            name="PWR",
        )
        self.ports = {
            letter: Gpio(
                0x48000000 + 0x400 * n,
                (self.rcc, RccL4.AHB2ENR, n),
                # All pins are analog after a reset but the debugger's ("GPIO registers").
                {
                    "A": {0: 0xABFFFFFF, 8: 0x0C000000, 12: 0x64000000},
                    "B": {0: 0xFFFFFEBF, 12: 0x100},
                }.get(letter, {0: 0xFFFFFFFF}),
                f"GPIO{letter}",
            )
            for n, letter in enumerate("ABCDEFGHI")
        }
        self.uart = Lpuart(0x40008000, 70, (self.rcc, RccL4.APB1ENR2, 0), baud=baud, name="LPUART1")
        self.watchdog = Iwdg(lambda: _bites(self))
        self.debug = Registers(0xE0042000, name="DBGMCU")
        self.machine = Machine(
            elf,
            self.FLASH,
            self.RAM,
            [
                *(self.rcc, self.acr, self.pwr, *self.ports.values()),
                *(self.uart, self.watchdog, self.debug),
            ],
            clock_hz=clock_hz,
            irqs=95,
            priority_bits=4,
        )


def _bites(board: Discovery | Nucleo) -> None:
    board.rcc.because(Resets.WATCHDOG)
    board.machine.reset()


def facts(machine: Machine) -> dict[str, int]:
    """board_facts_t of board.h, as the firmware has it."""
    names = ("name", "clock_hz", "tick_hz", "boot_id", "flags", "reset_cause")
    values = struct.unpack("<4I2B", machine.read_memory(machine.call("board_facts"), 18))
    return dict(zip(names, values, strict=True))


def hang(machine: Machine) -> None:
    """The application does nothing any more; interrupts come."""
    wait_for_ever = b"\x62\xb6\x30\xbf\xfd\xe7"  # CPSIE i, WFI, and back to it
    place = sum(machine.ram) - 16
    machine.write_memory(place, wait_for_ever)
    machine.jump(place)
