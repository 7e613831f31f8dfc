# SPDX-License-Identifier: Apache-2.0
"""The Cortex-M4 timing model against what Arm's manual says, worked out by hand.

Arm 100166_0001 (Cortex-M4 Technical Reference Manual, r0p1): table 3-1, section 3.3.3 and the
table of floating-point instructions. docs/cycle-model.md tells where the model goes beyond it.
"""

import shutil
from pathlib import Path

import pytest
from support.assembler import assemble

from wav2small_micro.profiler.cycles import Decoder, Instruction, cost, refill
from wav2small_micro.profiler.image import Image

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc assembles the sequences"
)


def decode(text: str, folder: Path) -> list[Instruction]:
    image = Image(assemble(text, folder))
    return [i for span in image.instructions() for i in Decoder().decode(image.read(span), 0)]


def straight(text: str, folder: Path) -> int:
    """Cycles of a sequence that nothing precedes, no branch taken."""
    code = decode(text.replace(";", "\n"), folder)
    return sum(cost(i, before) for i, before in zip(code, [None, *code], strict=False))


@pytest.mark.parametrize(
    ("sequence", "cycles"),
    [
        # The examples of section 3.3.3.
        ("ldr r0, [r1]; ldr r1, [r2]", 3),
        ("ldr r0, [r1, r2]; str r0, [r3, #20]", 3),
        ("ldr r0, [r1, r2]; str r1, [r3, r2]", 3),
        ("ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]", 4),
        # Its rules.
        ("str r0, [r1, #4]", 1),
        ("str r0, [r1, r2]", 2),
        ("str r0, [r1]; str r2, [r1, #4]", 2),
        ("ldr r0, [r1]; ldr r2, [r0]", 4),  # the address is the value loaded
        ("adds r1, #4; ldr r0, [r1]", 4),  # no forwarding to an address
        ("adds r1, #4; movs r2, #0; ldr r0, [r1]", 4),
        ("adds r1, #4; str r0, [r1]", 3),
        ("ldrd r0, r1, [r2]", 3),
        ("strd r0, r1, [r2]", 3),
        ("ldr r4, [r5]; ldrd r0, r1, [r2]", 5),  # never pipelined
        ("ldm r0, {r1-r4}", 5),
        ("ldmia r0!, {r1-r3}", 4),
        ("stmdb r0!, {r1-r7}", 8),
        ("push {r4-r7, lr}", 6),
        ("pop {r4-r7}", 5),
    ],
)
def test_loads_and_stores(sequence: str, cycles: int, tmp_path: Path) -> None:
    assert straight(sequence, tmp_path) == cycles


@pytest.mark.parametrize(
    ("sequence", "cycles"),
    [
        ("movs r0, #1; adds r0, r1; lsls r0, r0, #3; cmp r0, #7", 4),
        ("movw r0, #1234; movt r0, #5678; ubfx r1, r0, #3, #5", 3),
        ("mul r0, r1, r2; mla r0, r1, r2, r3; smull r0, r1, r2, r3; umlal r0, r1, r2, r3", 4),
        ("smlad r0, r1, r2, r0; smladx r0, r1, r2, r0; smlald r0, r1, r2, r3", 3),
        ("smmla r0, r1, r2, r3; smmlar r0, r1, r2, r3; smmulr r0, r1, r2", 3),
        ("usat r0, #8, r1, asr #12; ssat r0, #16, r1; sxtb16 r0, r1; pkhbt r0, r1, r2", 4),
        ("sadd16 r0, r1, r2; ssub16 r0, r1, r2; uqadd8 r0, r1, r2; sel r0, r1, r2", 4),
        ("nop; nop", 2),
    ],
)
def test_data_processing(sequence: str, cycles: int, tmp_path: Path) -> None:
    assert straight(sequence, tmp_path) == cycles


def test_division_is_within_the_manuals_range(tmp_path: Path) -> None:
    assert 2 <= straight("sdiv r0, r1, r2", tmp_path) <= 12


@pytest.mark.parametrize(
    ("sequence", "cycles"),
    [
        ("vadd.f32 s0, s1, s2; vmul.f32 s3, s4, s5", 2),
        ("vadd.f32 s0, s1, s2; vmul.f32 s3, s0, s5", 3),  # the next one waits for a result
        ("vfma.f32 s0, s1, s2", 3),
        ("vmla.f32 s0, s1, s2", 3),
        ("vdiv.f32 s0, s1, s2", 14),
        ("vsqrt.f32 s0, s1", 14),
        ("vmov s0, r0", 1),
        ("vmov r0, r1, s4, s5", 2),
        ("vldr s0, [r0]", 2),
        ("vldr d0, [r0]", 3),
        ("vstr s0, [r0]", 2),
        ("vldmia r0, {s0-s6}", 8),
        ("vldmia r0!, {d0-d3}", 9),
        ("vpush {s16-s19}", 5),
        ("vneg.f32 s0, s1; vabs.f32 s2, s3; vcmp.f32 s0, s2", 3),
    ],
)
def test_floating_point(sequence: str, cycles: int, tmp_path: Path) -> None:
    assert straight(sequence, tmp_path) == cycles


def test_it_is_folded_into_a_16_bit_instruction(tmp_path: Path) -> None:
    assert straight("cmp r0, #0; it eq; moveq r1, #1", tmp_path) == 2
    assert straight("cmp.w r0, #256; it eq; moveq r1, #1", tmp_path) == 3


def test_a_wide_load_across_words_does_not_pair(tmp_path: Path) -> None:
    aligned = "nop; nop; ldr r0, [r1]; nop; ldr.w r8, [r1]; ldr.w r9, [r1]"
    across = "nop; nop; ldr r0, [r1]; ldr.w r8, [r1]; ldr.w r9, [r1]; nop"
    assert straight(aligned, tmp_path) == 3 + 2 + 2 + 1
    assert straight(across, tmp_path) == 3 + 2 + 2 + 2


def test_nothing_pairs_with_what_a_branch_left_behind(tmp_path: Path) -> None:
    branch, load = decode("b 1f\n1: ldr r0, [r1]", tmp_path)
    assert cost(load, branch) == 2


@pytest.mark.parametrize(
    ("branch", "cycles"),
    [
        ("b 1f", (2, 3, 4)),  # 1 + P
        ("beq 1f", (2, 3, 4)),
        ("cbz r0, 1f", (2, 3, 4)),
        ("bl 1f", (3, 4, 4)),
        ("bx lr", (4, 4, 4)),
        ("blx r3", (4, 4, 4)),
        ("ldr pc, [r0]", (5, 5, 5)),  # "at least five cycles"
        ("pop {r4, pc}", (6, 6, 6)),  # 1 + N + P
        ("tbb [r0, r1]", (6, 6, 6)),  # "at least six cycles"
    ],
)
def test_taken_branches(branch: str, cycles: tuple[int, ...], tmp_path: Path) -> None:
    first = decode(f"{branch}\n.balign 4\n1: nop", tmp_path)[0]
    assert tuple(cost(first) + refill(first, False, p) for p in (1, 2, 3)) == cycles


def test_a_target_across_words_is_fetched_twice(tmp_path: Path) -> None:
    branch = decode("b 1f\n1: nop", tmp_path)[0]
    assert [refill(branch, True, p) for p in (1, 2, 3)] == [2, 3, 3]


def test_conditions_do_not_hide_the_instruction(tmp_path: Path) -> None:
    code = decode("itte ne\nldrne r0, [r1]\npopne {r4, r5}\nmoveq r0, #1", tmp_path)
    assert [i.cycles for i in code] == [1, 2, 3, 1]
    teq, bls, bics = decode("teq r0, r1\nbls .\nbics r0, r1", tmp_path)
    assert teq.branch is None
    assert bls.branch is not None
    assert bics.branch is None
