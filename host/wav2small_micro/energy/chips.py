# SPDX-License-Identifier: Apache-2.0
"""Supply currents of chips: the one place where a coefficient of the energy model is stated.

Each table says which document it is from, under which conditions it holds, and how well we know
it (`Basis`). Where a table could not be read in its document, it is marked so, and is given a wider
interval. docs/energy.md prints this registry with ``w2s energy --chips``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wav2small_micro.energy.figures import Range
from wav2small_micro.errors import W2sError


class Basis(StrEnum):
    """How a number came here."""

    DATASHEET = "read in the datasheet"
    SECOND_HAND = "quoted by others from the datasheet"
    UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Source:
    """Where a table is from, and what it holds for."""

    document: str
    table: str
    conditions: str
    basis: Basis

    @property
    def text(self) -> str:
        """One line for tables and notes."""
        return f"{self.document}, {self.table} ({self.basis}): {self.conditions}"


@dataclass(frozen=True)
class Currents:
    """Typical supply current by clock, straight lines between the rows."""

    points: tuple[tuple[float, float], ...]  # MHz, mA; ascending
    source: Source
    below: float  # relative: what a part and a program may draw less than typical
    above: float
    rounding: float = 0.0  # mA: half of the table's last digit

    def typical(self, mhz: float) -> float:
        """In mA. Beyond the ends it grows with the clock as it does between the last two rows."""
        rows = self.points
        if len(rows) == 1:
            return rows[0][1]
        i = next((k for k in range(1, len(rows)) if mhz <= rows[k][0]), len(rows) - 1)
        (x0, y0), (x1, y1) = rows[i - 1], rows[i]
        return max(0.0, y0 + (y1 - y0) * (mhz - x0) / (x1 - x0))

    def at(self, mhz: float) -> Range:
        """With the interval, in mA."""
        value = self.typical(mhz)
        low = max(0.0, value * (1 - self.below) - self.rounding)
        return Range(value, low, value * (1 + self.above) + self.rounding)


@dataclass(frozen=True)
class Chip:
    """What the model knows of a microcontroller."""

    name: str
    title: str
    core: str
    voltage: float  # V that the tables hold for
    clock_mhz: tuple[float, float]  # least that a table has, and most that the chip does
    run: Currents
    sleep: Currents
    worst_run: Currents | None = None  # the same with every fetch going to flash
    switching: bool = False  # a DC/DC converter: the power stays where the voltage changes
    remarks: tuple[str, ...] = ()

    def run_current(self, clock_hz: float) -> Range:
        """While it computes, in A; up to what it draws when the flash's cache does not help."""
        mhz = clock_hz / 1e6
        found = self.run.at(mhz)
        high = max(found.high, self.worst_run.at(mhz).high) if self.worst_run else found.high
        return Range(found.value / 1e3, found.low / 1e3, high / 1e3)

    def sleep_current(self, clock_hz: float) -> Range:
        """While it waits for an interrupt with its clocks running, in A."""
        found = self.sleep.at(clock_hz / 1e6)
        return Range(found.value / 1e3, found.low / 1e3, found.high / 1e3)

    @property
    def sources(self) -> list[Source]:
        """Where the numbers are from."""
        tables = (self.run, self.worst_run, self.sleep)
        return [table.source for table in tables if table is not None]

    @property
    def basis(self) -> Basis:
        """That of its least known table."""
        order = list(Basis)
        return max((source.basis for source in self.sources), key=order.index)

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        tables = {"run": self.run, "worst_run": self.worst_run, "sleep": self.sleep}
        return {
            "chip": self.name,
            "title": self.title,
            "core": self.core,
            "voltage": self.voltage,
            "clock_mhz": list(self.clock_mhz),
            "tables": {
                name: {
                    "mhz_ma": [list(point) for point in table.points],
                    "below": table.below,
                    "above": table.above,
                    "rounding_ma": table.rounding,
                    "document": table.source.document,
                    "table": table.source.table,
                    "conditions": table.source.conditions,
                    "basis": str(table.source.basis),
                }
                for name, table in tables.items()
                if table is not None
            },
            "remarks": list(self.remarks),
        }


def _points(text: str) -> tuple[tuple[float, float], ...]:
    """Rows of MHz and mA."""
    numbers = [float(word) for word in text.split()]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


# Datasheets give typical values, which are "not tested", for CoreMark; neither the spread of parts
# at room temperature nor other programs. Where a maximum is given, it is of the hottest part at the
# highest voltage: +35 % at 85 °C for the STM32F407. A fifth either way is our judgement.
_SPREAD = 0.2

_F407 = "ST DS8626 Rev 12"
_F407_CONDITIONS = "25 °C, 3.3 V, CoreMark, external clock, PLL, peripherals off"
_H743 = "ST DS12110 Rev 10"
_H743_CONDITIONS = "25 °C, silicon revision Y, CoreMark, LDO on, peripherals off"

CHIPS = {
    chip.name: chip
    for chip in (
        Chip(
            name="stm32f407",
            title="STM32F405/407 (Cortex-M4F, 168 MHz)",
            core="cortex-m4",
            voltage=3.3,
            clock_mhz=(2, 168),
            run=Currents(
                _points("2 2  4 2  8 3  16 5  25 6  30 8  60 14  90 20  120 26  144 31  168 40"),
                Source(
                    _F407, "table 20", f"from flash, ART on; {_F407_CONDITIONS}", Basis.DATASHEET
                ),
                below=_SPREAD,
                above=_SPREAD,
                rounding=0.5,
            ),
            worst_run=Currents(
                _points("2 2  4 3  8 4  16 7  25 10  30 12  60 22  90 30  120 37  144 40  168 46"),
                Source(
                    _F407, "table 21", f"from flash, ART off; {_F407_CONDITIONS}", Basis.DATASHEET
                ),
                below=_SPREAD,
                above=_SPREAD,
                rounding=0.5,
            ),
            sleep=Currents(
                _points("2 1  4 1  8 1  16 2  25 2  30 3  60 5  90 7  120 8  144 9  168 12"),
                Source(_F407, "table 22", f"Sleep mode; {_F407_CONDITIONS}", Basis.DATASHEET),
                below=_SPREAD,
                above=_SPREAD,
                rounding=0.5,
            ),
            remarks=(
                "The maximum of table 20 at 168 MHz is 54 mA at 85 °C and 3.6 V.",
                "Unrolled kernels are larger than the ART's cache: the interval reaches to the "
                "current with ART off.",
            ),
        ),
        Chip(
            name="stm32l4r5",
            title="STM32L4R5 (Cortex-M4F, 120 MHz, LDO)",
            core="cortex-m4",
            voltage=3.3,
            clock_mhz=(26, 120),
            run=Currents(
                ((26, 26 * 0.100), (120, 120 * 0.100)),
                Source(
                    "ST DS12023",
                    "features, as Zephyr's page of the NUCLEO-L4R5ZI has them",
                    "100 µA/MHz in run mode with the LDO; the table by clock was not at hand",
                    Basis.SECOND_HAND,
                ),
                below=0.25,
                above=0.6,
            ),
            sleep=Currents(
                ((26, 26 * 0.035), (120, 120 * 0.035)),
                Source(
                    "ST DS12023",
                    "no table",
                    "35 µA/MHz, about a third of run mode as in other Cortex-M4 of the maker",
                    Basis.UNVERIFIED,
                ),
                below=0.5,
                above=0.5,
            ),
        ),
        Chip(
            name="stm32l4r5-smps",
            title="STM32L4R5 (Cortex-M4F, 120 MHz, external SMPS)",
            core="cortex-m4",
            voltage=3.3,
            clock_mhz=(26, 120),
            switching=True,
            run=Currents(
                ((26, 26 * 0.043), (120, 120 * 0.043)),
                Source(
                    "ST DS12023",
                    "features of page 1",
                    "43 µA/MHz in run mode at 3.3 V with an SMPS; the table was not at hand",
                    Basis.UNVERIFIED,
                ),
                below=0.25,
                above=0.8,
            ),
            sleep=Currents(
                ((26, 26 * 0.014), (120, 120 * 0.014)),
                Source("ST DS12023", "no table", "a third of run mode", Basis.UNVERIFIED),
                below=0.5,
                above=0.8,
            ),
        ),
        Chip(
            name="nrf52840",
            title="nRF52840 (Cortex-M4F, 64 MHz, DC/DC)",
            core="cortex-m4",
            voltage=3.0,
            clock_mhz=(64, 64),
            switching=True,
            run=Currents(
                ((64, 3.3),),
                Source(
                    "Nordic nRF52840 Product Specification",
                    "CPU running",
                    "CoreMark from flash, cache on, HFXO, DC/DC, 3 V, 25 °C; 52 µA/MHz",
                    Basis.SECOND_HAND,
                ),
                below=_SPREAD,
                above=0.3,
            ),
            sleep=Currents(
                ((64, 0.42),),
                Source(
                    "Nordic nRF52840 Product Specification",
                    "TIMER running",
                    "CPU asleep, one timer on the internal 64 MHz oscillator; what audio from a "
                    "UART or a PDM microphone needs beside it was not at hand",
                    Basis.SECOND_HAND,
                ),
                below=0.5,
                above=2.0,
            ),
        ),
        Chip(
            name="stm32h743",
            title="STM32H743 (Cortex-M7, 400 MHz)",
            core="cortex-m7",
            voltage=3.3,
            clock_mhz=(25, 400),
            run=Currents(
                _points("25 14  60 14  144 26  168 29  180 30  200 33  300 55  400 105"),
                Source(
                    _H743,
                    "table 31",
                    f"from flash, cache on; VOS3 to 200 MHz, then VOS1; {_H743_CONDITIONS}",
                    Basis.DATASHEET,
                ),
                # Table 30, from ITCM, has 71 mA at 400 MHz; the maximum at 25 °C is half as much
                # again as the typical.
                below=0.35,
                above=0.5,
                rounding=0.5,
            ),
            sleep=Currents(
                ((200, 15.5), (300, 24.5), (400, 31)),
                Source(
                    _H743,
                    "table 35",
                    f"Sleep mode; VOS3 at 200 MHz, else VOS1; {_H743_CONDITIONS}",
                    Basis.DATASHEET,
                ),
                below=_SPREAD,
                above=1.1,
                rounding=0.25,
            ),
            remarks=(
                "Its maxima at 25 °C are 1.5 (run) and 2.1 (sleep) times the typical values.",
            ),
        ),
        Chip(
            name="stm32u575",
            title="STM32U575 (Cortex-M33, 160 MHz, SMPS)",
            core="cortex-m33",
            voltage=3.3,
            clock_mhz=(24, 160),
            switching=True,
            run=Currents(
                ((24, 24 * 0.0195), (160, 160 * 0.0195)),
                Source(
                    "ST DS13737",
                    "features, as Zephyr's pages of boards with it have them",
                    "19.5 µA/MHz in run mode at 3.3 V with the SMPS; the table was not at hand",
                    Basis.SECOND_HAND,
                ),
                below=0.25,
                above=1.0,
            ),
            sleep=Currents(
                ((24, 24 * 0.007), (160, 160 * 0.007)),
                Source("ST DS13737", "no table", "a third of run mode", Basis.UNVERIFIED),
                below=0.5,
                above=1.0,
            ),
        ),
        Chip(
            name="ensemble-he",
            title="Alif Ensemble, high-efficiency core (Cortex-M55, 160 MHz, DC/DC)",
            core="cortex-m55",
            voltage=3.3,
            clock_mhz=(20, 160),
            switching=True,
            run=Currents(
                ((20, 20 * 0.022), (160, 160 * 0.022)),
                Source(
                    "Alif, family brief of the Ensemble",
                    "no table",
                    "22 µA/MHz of the core at its best, from memory; what code with vectors "
                    "draws is not known",
                    Basis.UNVERIFIED,
                ),
                below=0.5,
                above=2.0,
            ),
            sleep=Currents(
                ((20, 20 * 0.007), (160, 160 * 0.007)),
                Source("Alif Ensemble", "no table", "a third of run mode", Basis.UNVERIFIED),
                below=0.5,
                above=2.0,
            ),
        ),
    )
}

OF_BOARD = {
    "stm32f407_discovery": "stm32f407",
    "nucleo_l4r5zi": "stm32l4r5",
    "nano33ble_sense": "nrf52840",
    "xiao_nrf52840_sense": "nrf52840",
}
"""The chip of each board that has one of these; the others are FPGAs."""


def find(name: str) -> Chip:
    """A chip by name. Raises W2sError."""
    try:
        return CHIPS[name]
    except KeyError:
        raise W2sError(
            f"the energy model knows no chip {name!r}", f"one of {', '.join(CHIPS)}"
        ) from None


def of_board(board: str) -> Chip:
    """The chip of a board. Raises W2sError where it is not a chip that one can buy."""
    if board not in OF_BOARD:
        raise W2sError(
            f"{board} is not built with a chip that the energy model knows",
            f"say for which one: --chip {' or '.join(CHIPS)}",
        )
    return CHIPS[OF_BOARD[board]]


def rows(chips: Sequence[Chip]) -> list[tuple[str, str, str, str, str]]:
    """The registry as a table: chip, mode, mA at its highest clock, interval, source."""
    found = []
    for chip in chips:
        top = chip.clock_mhz[1]
        modes = (("run", chip.run), ("run, cache off", chip.worst_run), ("sleep", chip.sleep))
        for mode, table in modes:
            if table is not None:
                at = table.at(top)
                found.append(
                    (
                        chip.name,
                        f"{mode}, {top:g} MHz",
                        f"{at.value:.3g}",
                        f"{at.low:.3g} .. {at.high:.3g}",
                        table.source.text,
                    )
                )
    return found
