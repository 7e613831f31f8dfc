# SPDX-License-Identifier: Apache-2.0
"""The plugin's counts and cycles of small programs, against counting by hand."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.assembler import assemble

from wav2small_micro.profiler import parts, plugin, timing
from wav2small_micro.profiler.image import Image, Span

pytestmark = pytest.mark.emulator

RAM = Span(0x20000100, 0x20000104)
BEGIN, END = 1, 2
PROGRAM = """
.type vectors, %object
vectors: .word 0x20001000, reset + 1
.size vectors, 8
.type reset, %function
reset: ldr r2, =0x20000100
    b measured
.size reset, . - reset
.balign 4
.type measured, %function
measured:
    {body}
    b done
.size measured, . - measured
nop  // a jump to the next instruction would pass for none
.balign 4
.type done, %function
done: b idle
idle: b idle
.size done, . - done
.ltorg
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], list[int]]:
    """Runs a program: its instructions and cycles at P = 1, 2, 3, and its stores to [r2].

    The jump to `done` that ends it is included: one instruction, 1 + P cycles.
    """

    def run(body: str) -> list[int]:
        program = assemble(PROGRAM.format(body=body.replace(";", "\n")), tmp_path)
        image = Image(program)
        table = plugin.Table(image.code, RAM)
        timing.fill(table, image)
        table.at(image.function("measured"))["event"][0] = BEGIN
        table.at(image.function("measured"))["watched"] = 1
        table.at(image.function("done"))["event"][0] = END
        session = plugin.Session(tmp_path, table, capacity=10_000)
        events = execute(program, session)
        begin, end = (int(np.flatnonzero(events["kind"] == kind)[0]) for kind in (BEGIN, END))
        totals = parts.vectors(events["totals"][:, parts.Scope.WORK])
        stores = np.count_nonzero(events["kind"][begin:end] == plugin.STORE_EVENT)
        return [*(totals[end] - totals[begin]).astype(int).tolist(), int(stores)]

    return run


def execute(program: Path, session: plugin.Session) -> np.ndarray:
    """The events up to the program's end."""
    command = ["qemu-system-arm", "-M", "mps2-an386", "-kernel", str(program)]
    command += ["-display", "none", "-monitor", "none", "-serial", "null", *session.options()]
    with subprocess.Popen(command) as qemu:
        try:
            deadline = time.monotonic() + 20
            while not np.any(session.events()["kind"] == END):
                assert qemu.poll() is None, "QEMU ended"
                assert time.monotonic() < deadline, "the program does not end"
                time.sleep(0.02)
        finally:
            qemu.kill()
    return session.events()


def test_straight_line(run: Callable[[str], list[int]]) -> None:
    # 2 + 1 + 1 + 1 + 1
    body = "ldr r0, [r2]; ldr r1, [r2, #4]; adds r0, r1; str r0, [r2]; nop"
    assert run(body) == [6, 8, 9, 10, 1]


def test_loop(run: Callable[[str], list[int]]) -> None:
    # 1, then 100 of (2 + 1 + 1 + 1 + 1), 99 taken, whose target is a word.
    body = "movs r0, #100; nop; 1: ldr r1, [r2]; str r1, [r2]; adds r1, #1; subs r0, #1; bne 1b"
    assert run(body) == [503, 2 + 600 + 99 + 2, 2 + 600 + 198 + 3, 2 + 600 + 297 + 4, 100]


def test_pairs_hold_over_a_branch_that_is_not_taken(run: Callable[[str], list[int]]) -> None:
    # The second load's neighbour is the branch: nothing pairs over it. 1 + 2 + 1 + 2.
    assert run("cmp r2, #0; ldr r0, [r2]; beq done; ldr r1, [r2, #4]") == [5, 8, 9, 10, 0]


def test_call_and_return(run: Callable[[str], list[int]]) -> None:
    # BL 1 + min(P + 1, 3), NOP, BX 1 + 3, NOP.
    body = "bl 1f; b 2f; .balign 4; 1: nop; bx lr; .balign 4; 2: nop"
    assert run(body) == [6, 3 + 2 + 1 + 4 + 1 + 2, 4 + 3 + 1 + 4 + 1 + 3, 4 + 4 + 1 + 4 + 1 + 4, 0]


def test_what_a_condition_skips_costs_its_cycle(run: Callable[[str], list[int]]) -> None:
    # IT itself is folded away.
    assert run("cmp r2, #0; it eq; moveq r0, #1; nop") == [5, 3 + 2, 3 + 3, 3 + 4, 0]
