# SPDX-License-Identifier: Apache-2.0
"""The machine of these tests itself, on programs of a few lines: exceptions, masks, time, faults.

What it does wrong would make every other test here mean nothing. Sections are those of DDI 0403.
"""

import itertools
from pathlib import Path

import pytest
from support.assembler import assemble
from support.cortexm import Fault, Machine, Registers

pytestmark = pytest.mark.emulator

RAM = (0x20000000, 4096)
TOP = sum(RAM)
FIRST, SECOND = 3, 5  # interrupts of the programs
PERIPHERAL = 0x40000000

# Vectors: the stack, the start, SysTick, and the two interrupts. Each handler notes what it saw.
VECTORS = f"""
    .word {TOP}, start + 1
    .rept 13
    .word other + 1
    .endr
    .word tick + 1
    .rept {FIRST}
    .word other + 1
    .endr
    .word first + 1, other + 1, second + 1
"""
HANDLERS = """
    .thumb_func
other: b other
    .thumb_func
tick:  ldr r0, =0x20000000
       ldr r1, [r0]
       adds r1, #1
       str r1, [r0]
       bx lr
"""
ENABLE = f"""
       ldr r0, =0xE000E100
       movs r1, #{1 << FIRST | 1 << SECOND}
       str r1, [r0]
"""


def machine(text: str, folder: Path, *devices: Registers, clock_hz: int = 1_000_000) -> Machine:
    elf = assemble(VECTORS + HANDLERS + text + "\n.pool\n", folder)
    return Machine(elf, (0, 4096), RAM, devices, clock_hz=clock_hz, irqs=8)


def test_a_frame_is_stacked_and_taken_off(tmp_path: Path) -> None:
    """Registers, flags and floating point come back, and the handler's stack is aligned (B1.5.6 to
    B1.5.8), whatever it did to them."""
    made = machine(
        """
    .thumb_func
start: ldr r0, =0xE000ED88
       ldr r1, =0x00F00000
       str r1, [r0]
       """
        + ENABLE
        + """
       sub sp, #4
       movs r0, #10
       movs r1, #11
       movs r2, #12
       movs r3, #13
       mov r12, r3
       vmov.f32 s0, #1.0
       vmov.f32 s15, #2.0
       ldr r4, =0x20000010
       cmp r0, r0
       dsb
       wfi
       ite eq
       moveq r5, #1
       movne r5, #2
       stmia r4!, {r0, r1, r2, r3, r5}
       vstr s0, [r4]
       vstr s15, [r4, #4]
loop:  b loop
    .thumb_func
first: ldr r0, =0x20000040
       mov r1, sp
       str r1, [r0]
       str lr, [r0, #4]
       mrs r1, ipsr
       str r1, [r0, #8]
       movs r1, #1
       cmp r1, #2
       mov r12, r1
       vmov.f32 s0, #3.0
       vmov.f32 s15, #3.0
       bx lr
    .thumb_func
second: b second
    """,
        tmp_path,
    )
    made.run(0.001)
    made.interrupt(FIRST)
    made.run(0.0001)
    made.interrupt(FIRST, False)
    made.run(0.001)
    assert [made.word(RAM[0] + 0x10 + 4 * i) for i in range(5)] == [10, 11, 12, 13, 1]
    assert made.word(RAM[0] + 0x24) == 0x3F800000, "1.0"
    assert made.word(RAM[0] + 0x28) == 0x40000000, "2.0"
    stack, returns, number = (made.word(RAM[0] + 0x40 + 4 * i) for i in range(3))
    assert number == 16 + FIRST
    assert returns == 0xFFFFFFE9, "thread mode, main stack, a frame with floating point"
    assert stack % 8 == 0
    assert TOP - 4 - stack == 4 * 26 + 4, "26 words, and one to align"


NESTED = (
    """
    .thumb_func
start: """
    + ENABLE
    + """
loop:  wfi
       b loop
    .thumb_func
first: ldr r0, =0x40000000
       movs r1, #1
       str r1, [r0]
       movs r2, #200
1:     subs r2, #1
       bne 1b
       movs r1, #2
       str r1, [r0]
       bx lr
    .thumb_func
second: ldr r0, =0x40000000
       movs r1, #3
       str r1, [r0]
       bx lr
"""
)


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [(0x80, 0x40, [1, 3, 2]), (0x40, 0x40, [1, 2, 3]), (0x40, 0x80, [1, 2, 3])],
)
def test_only_the_more_urgent_interrupts(
    tmp_path: Path, first: int, second: int, order: list[int]
) -> None:
    """B1.5.4: a lower number preempts, an equal one waits."""
    made = machine(NESTED, tmp_path, Registers(PERIPHERAL, 4096))
    made.core[0x400] = first << 8 * FIRST
    made.core[0x404] = second << 8 * (SECOND - 4)
    made.run(0.001)

    def ask_for_the_second() -> None:
        made.interrupt(FIRST, False)
        made.interrupt(SECOND)

    made.interrupt(FIRST)  # its handler takes 400 us
    made.after(0.0001, ask_for_the_second)
    made.after(0.00015, lambda: made.interrupt(SECOND, False))  # it comes again while it is high
    made.run(0.005)
    assert [value for value, _ in itertools.groupby(made.writes(PERIPHERAL))] == order


def test_a_masked_interrupt_comes_when_the_mask_goes(tmp_path: Path) -> None:
    """PRIMASK holds it back, it ends a sleep all the same, and it comes right after CPSIE."""
    made = machine(
        """
    .thumb_func
start: """
        + ENABLE
        + """
       ldr r4, =0x20000020
       movs r5, #0
       cpsid i
       wfi
       adds r5, #1
       str r5, [r4]
       cpsie i
       nop
       nop
       nop
       ldr r6, [r4, #4]
       str r6, [r4, #8]
loop:  b loop
    .thumb_func
first: ldr r0, =0x20000024
       ldr r1, [r0, #-4]
       adds r1, #40
       str r1, [r0]
       bx lr
    .thumb_func
second: b second
    """,
        tmp_path,
    )
    made.write_memory(RAM[0] + 0x20, bytes(12))
    made.run(0.001)
    assert made.word(RAM[0] + 0x20) == 0, "it sleeps"
    made.interrupt(FIRST)
    made.run(0.00005)
    made.interrupt(FIRST, False)
    made.run(0.001)
    assert [made.word(RAM[0] + 0x20 + 4 * i) for i in range(3)] == [1, 41, 41]


def test_systick_counts_the_time_also_asleep(tmp_path: Path) -> None:
    """B3.3: every RVR + 1 cycles, whether the core works or sleeps."""
    made = machine(
        """
    .thumb_func
start: ldr r0, =0x20000000
       movs r1, #0
       str r1, [r0]
       ldr r0, =0xE000E010
       ldr r1, =999
       str r1, [r0, #4]
       str r1, [r0, #8]
       movs r1, #7
       str r1, [r0]
loop:  wfi
       b loop
first: b first
second: b second
    """,
        tmp_path,
    )
    made.run(1.0)
    assert made.word(RAM[0]) == pytest.approx(1000, abs=1)
    assert made.slept > 0.8e6
    assert made.cycles == pytest.approx(1e6, abs=1000)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ldr r0, =0x50000000\n ldr r1, [r0]", "where nothing is"),
        ("ldr r0, =0x40000004\n ldr r1, [r0]", "no register at"),
        ("movs r1, #1\n ldr r0, =0x00000800\n str r1, [r0]", "in flash, from start"),
        ("udf #0", "in start"),
        ("ldr r0, =0xE000E104\n movs r1, #1\n str r1, [r0]", "an interrupt that the chip has not"),
    ],
    ids=["nowhere", "no register", "into flash", "no instruction", "no interrupt"],
)
def test_what_no_core_forgives(tmp_path: Path, text: str, says: str) -> None:
    device = Registers(PERIPHERAL, 4096, offsets=[0], name="a device")
    program = f".thumb_func\nstart: {text}\nloop: b loop\nfirst: b first\nsecond: b second\n"
    made = machine(program, tmp_path, device)
    with pytest.raises(Fault, match=says):
        made.run(0.001)
