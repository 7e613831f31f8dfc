# SPDX-License-Identifier: Apache-2.0
"""The file that is flashed, of every board: what lies where, and which interrupt goes where.

Memory and positions of interrupts are those of each chip's manual, said here once more, so that a
slip in a board's file is seen.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from wav2small_micro import pio

pytestmark = pytest.mark.emulator

KB = 1024
GUARD = 1 << 20  # what fault.c fences off below the stack
RESERVED = (8, 9, 10, 13)  # exceptions that no ARMv7-M has (DDI 0403, B1.5.2)


@dataclass(frozen=True)
class Chip:
    """Memory as (address, bytes); interrupts by position, and how many there are."""

    flash: tuple[int, int]
    ram: tuple[int, int]
    interrupts: dict[int, str]
    count: int


UART, MICROPHONE = "UART_Handler", "Microphone_Handler"
CHIPS = {
    # RM0090, 2.3 "Memory map", 2.3.1 "Embedded SRAM" (without the core-coupled 64 KB); table 61.
    "stm32f407_discovery": Chip(
        (0x08000000, 1024 * KB), (0x20000000, 128 * KB), {38: UART, 14: MICROPHONE}, 82
    ),
    # DAI 0386 and DAI 0500, "Memory map", "Interrupt map": UART 0 receive is IRQ 0.
    "mps2_an386": Chip((0, 4096 * KB), (0x20000000, 4096 * KB), {0: UART}, 32),
    "mps2_an500": Chip((0, 4096 * KB), (0x20000000, 4096 * KB), {0: UART}, 32),
    # DAI 0547, "Memory map" (secure ITCM alias aside), "Interrupt map": UART 0 receive is IRQ 33.
    "mps3_an547": Chip((0x10000000, 512 * KB), (0x30000000, 512 * KB), {33: UART}, 128),
    # nRF52840 PS, "Memory": 1 MB and 256 KB. Arduino's boot loader ends at 0x10000; Adafruit's has
    # what is below 0x27000 and from 0xED000. "Instantiation": USBD is peripheral 39, PDM 29.
    "nano33ble_sense": Chip(
        (0x10000, 960 * KB), (0x20000000, 256 * KB), {39: UART, 29: MICROPHONE}, 48
    ),
    "xiao_nrf52840_sense": Chip(
        (0x27000, 792 * KB), (0x20000000, 256 * KB), {39: UART, 29: MICROPHONE}, 48
    ),
    # RM0432, "Memory organization": SRAM1, 2 and 3 in a row; vector table: LPUART1 at 70.
    "nucleo_l4r5zi": Chip((0x08000000, 2048 * KB), (0x20000000, 640 * KB), {70: UART}, 95),
}


class Image:
    """A firmware's ELF: symbols, sections in memory, words of flash."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            elf = ELFFile(file)
            table = list(elf.get_section_by_name(".symtab").iter_symbols())
            self.symbols = {symbol.name: symbol["st_value"] for symbol in table}
            self.sections = {
                s.name: (s["sh_addr"], s["sh_size"])
                for s in elf.iter_sections()
                if s["sh_flags"] & 2
            }
            self.segments = [
                (s["p_paddr"], s.data()) for s in elf.iter_segments("PT_LOAD") if s["p_filesz"]
            ]
            self.entry = elf["e_entry"]

    def word(self, address: int) -> int:
        for start, data in self.segments:
            if start <= address < start + len(data):
                return int.from_bytes(data[address - start : address - start + 4], "little")
        raise AssertionError(f"{address:#010x} is not in the image")


@pytest.fixture(scope="module", params=pio.envs())
def env(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def chip(env: str) -> Chip:
    return CHIPS[env]


@pytest.fixture(scope="module")
def image(env: str) -> Image:
    return Image(pio.build(env))


def is_inside(memory: tuple[int, int], address: int, size: int = 1) -> bool:
    return memory[0] <= address and address + size <= sum(memory)


def test_the_board_has_the_memory_of_its_chip(env: str, image: Image, chip: Chip) -> None:
    board = pio.board(env)
    assert (board.flash_size, board.ram_size) == (chip.flash[1], chip.ram[1])
    assert image.symbols["memory_spare_end"] == sum(chip.ram)


def test_nothing_lies_outside_of_the_memory(image: Image, chip: Chip) -> None:
    for name, (address, size) in image.sections.items():
        memory = chip.flash if name == ".text" else chip.ram
        assert is_inside(memory, address, size), name
    for start, data in image.segments:
        assert is_inside(chip.flash, start, len(data)), "what is stored is stored in flash"
    ends = [(start, start + len(data)) for start, data in sorted(image.segments)]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))


def test_the_stack_is_at_the_start_of_the_ram(image: Image, chip: Chip) -> None:
    """What overflows it runs into the guard, not into data."""
    start, end = image.symbols["memory_stack_start"], image.symbols["memory_stack_end"]
    assert start == chip.ram[0]
    assert start % GUARD == 0, "an MPU's region is aligned to its size (DDI 0403, B3.5.8)"
    assert end - start == 4096
    assert end % 8 == 0
    others = [at for name, (at, _) in image.sections.items() if name not in (".text", ".stack")]
    assert min(others) >= end


def test_the_first_words_start_the_core(image: Image, chip: Chip) -> None:
    """The stack's end and Reset_Handler (DDI 0403, B1.5.5), with its Thumb bit."""
    assert image.symbols["vectors"] == chip.flash[0]
    assert image.word(chip.flash[0]) == image.symbols["memory_stack_end"]
    assert image.word(chip.flash[0] + 4) == image.symbols["Reset_Handler"] | 1
    assert image.entry | 1 == image.symbols["Reset_Handler"] | 1


def test_the_vector_table_can_stand_where_it_does(chip: Chip) -> None:
    """VTOR: aligned to the next power of two of its size, 128 bytes at least (B3.2.5)."""
    size = 4 * (16 + chip.count)
    assert chip.flash[0] % max(128, 1 << (size - 1).bit_length()) == 0


def test_each_interrupt_goes_where_it_should(image: Image, chip: Chip) -> None:
    """What nothing handles is a fault, and told as one."""
    table = [image.word(chip.flash[0] + 4 * n) for n in range(16 + chip.count)]
    fault = image.symbols["fault_entry"] | 1
    handlers = {16 + n: image.symbols[name] | 1 for n, name in chip.interrupts.items()}
    handlers[15] = image.symbols["SysTick_Handler"] | 1
    for n, entry in enumerate(table):
        if n in RESERVED:
            assert entry == 0, n
        elif n > 1:
            assert entry == handlers.get(n, fault), n


def test_nothing_uses_a_heap_or_a_system_call(image: Image) -> None:
    assert not {"malloc", "_sbrk", "_write", "printf", "_exit"} & set(image.symbols)
