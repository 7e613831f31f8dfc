# SPDX-License-Identifier: Apache-2.0
"""The boards on `support.cortexm`: their memory, and models of the peripherals that we use.

Addresses are those of the memory map in each chip's reference manual, and what is not listed is not
there: an access to it stops the test.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from support.cortexm import Machine, Registers
from support.stm32 import Gated, Gpio, Iwdg, Rcc, Usart


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
        self.watchdog = Iwdg(self._watchdog_bites)
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

    def _watchdog_bites(self) -> None:
        self.rcc.because(Rcc.WATCHDOG)
        self.machine.reset()
