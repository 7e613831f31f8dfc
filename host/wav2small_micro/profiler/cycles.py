# SPDX-License-Identifier: Apache-2.0
"""A timing model of the Cortex-M4 at zero wait states: docs/cycle-model.md tells its sources.

An instruction costs its cycles of the Technical Reference Manual (Arm 100166 / DDI 0439, tables
3-1 and 7-1), more or less by what stands before it (section 3.3.3, "Load/store timings"), and a
refill of the pipeline when it branches. The refill P is 1 to 3 in the manual; it is a parameter
here, and results for all three are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import capstone
from capstone import arm

REFILLS = (1, 2, 3)
DEFAULT_REFILL = 2
"""P of all figures that stand alone."""

EXCEPTION = 24
"""Cycles of an exception's entry and return, 12 each."""

_LONGEST_REFILL = 3
_TABLE_BRANCH = 4  # one cycle for the addition, three for the reload
_DIVISION = 6  # 2 to 12, by the operands


class Kind(Enum):
    """Instructions by how they pair."""

    ALU = "alu"
    LOAD = "load"  # single: LDR, LDRB, VLDR.32 ...
    STORE = "store"  # single, [Rn, #imm]
    STORE_SLOW = "store slow"  # single, [Rn, Rm] or from a floating-point register
    MULTIPLE = "multiple"  # LDM, STM, PUSH, POP, LDRD, STRD and their like
    FP = "fp"  # arithmetic, whose result is late by one cycle
    FP_MOVE = "fp move"
    IT = "it"


class Branch(Enum):
    """Branches by what the core knows of the target."""

    DIRECT = "direct"  # B, B<cc>, CBZ, CBNZ
    CALL = "call"  # BL
    INDIRECT = "indirect"  # BX, BLX, POP {PC}, LDR PC, MOV PC
    TABLE = "table"  # TBB, TBH


@dataclass(frozen=True)
class Instruction:
    """What timing depends on."""

    address: int
    size: int
    text: str
    kind: Kind
    cycles: int  # of its own
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    pointers: frozenset[str] = frozenset()  # registers that its address comes from
    branch: Branch | None = None
    target: int | None = None

    @property
    def is_across_words(self) -> bool:
        """Whether it takes two fetches: 32 bits that do not begin on a word."""
        return self.size == 4 and self.address % 4 == 2


def cost(instruction: Instruction, before: Instruction | None = None) -> int:
    """Cycles of an instruction, a taken branch's refill left out.

    ``before`` is what ran right before it, if that stands right above it in memory: after a
    branch the pipeline is empty and nothing pairs.
    """
    cycles = instruction.cycles
    if before is None or before.branch is not None:
        return cycles
    if instruction.kind in _MEMORY:
        return cycles + _address_stall(instruction, before) - _pairing(instruction, before)
    if instruction.kind is Kind.IT and before.size == 2:
        return 0  # folded into a 16-bit instruction
    if before.kind is Kind.FP and instruction.kind in (Kind.FP, Kind.FP_MOVE):
        return cycles + bool(before.writes & instruction.reads)
    return cycles


def refill(instruction: Instruction, wide_target: bool, p: int = DEFAULT_REFILL) -> int:
    """Cycles that a branch adds when it is taken, with a refill of ``p``.

    A target known from the instruction is fetched early: P. A call or a computed target is later.
    ``wide_target``: the target is a 32-bit instruction across two words, which takes two fetches.
    """
    if instruction.branch is None:
        return 0
    if instruction.branch is Branch.TABLE:
        return _TABLE_BRANCH
    if instruction.branch is Branch.INDIRECT:
        return _LONGEST_REFILL
    later = 1 if instruction.branch is Branch.CALL else 0
    return min(p + later + wide_target, _LONGEST_REFILL)


# --- Pairs ---------------------------------------------------------------------------------------

_SINGLE = (Kind.LOAD, Kind.STORE, Kind.STORE_SLOW)
_MEMORY = (*_SINGLE, Kind.MULTIPLE)
_FLAGS = frozenset({"cpsr", "apsr", "pc"})


def _pairing(instruction: Instruction, before: Instruction) -> int:
    """A cycle that the address phase overlaps with the data phase of a load before it."""
    if before.kind is not Kind.LOAD or before.writes & instruction.pointers:
        return 0
    if instruction.kind is Kind.LOAD:
        # A 32-bit encoding across two words comes a fetch too late for it.
        return 0 if instruction.is_across_words else 1
    return 1 if instruction.kind is Kind.STORE_SLOW else 0


def _address_stall(instruction: Instruction, before: Instruction) -> int:
    """A result of data processing is not forwarded to the address of a load or store."""
    return int(before.kind is Kind.ALU and bool((before.writes - _FLAGS) & instruction.pointers))


# --- Decoding ------------------------------------------------------------------------------------


class Decoder:
    """Thumb-2 of the Cortex-M4, with DSP and single-precision instructions."""

    def __init__(self) -> None:
        self._engine = capstone.Cs(
            capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
        )
        self._engine.detail = True

    def decode(self, code: bytes, address: int) -> Iterator[Instruction]:
        """All instructions of a run of code; what is none costs one cycle and goes unnamed."""
        at = 0
        while at + 1 < len(code):
            # One at a time: inside an IT block the decoder's memory would hide the mnemonic.
            found = next(self._engine.disasm(code[at : at + 4], address + at, 1), None)
            if found is None:
                size = 4 if code[at + 1] >= 0xE8 else 2  # DDI 0403, A5.1
                yield Instruction(address + at, size, "", Kind.ALU, 1)
            else:
                size = found.size
                yield _classify(found)
            at += size


_LOADS = frozenset(
    ["ldr", "ldrb", "ldrh", "ldrsb", "ldrsh", "ldrt", "ldrbt", "ldrht", "ldrsbt", "ldrsht", "ldrex"]
)
_STORES = frozenset(["str", "strb", "strh", "strt", "strbt", "strht", "strex"])
_FP_LATE = frozenset(["vadd", "vsub", "vmul", "vnmul", "vcvt", "vcvtr", "vcvtb", "vcvtt"])
_FP_FUSED = frozenset(["vmla", "vmls", "vfma", "vfms", "vfnma", "vfnms", "vnmla", "vnmls"])
_LIST = re.compile(r"v?(ldm|stm|push|pop)")
_CORE = {
    **dict.fromkeys(("sdiv", "udiv"), _DIVISION),
    **dict.fromkeys(("tbb", "tbh"), 2),
    **dict.fromkeys(("mrs", "msr", "cps", "cpsie", "cpsid"), 2),
    **dict.fromkeys(("dsb", "dmb", "isb"), 3),
}
"""Instructions without data in memory that take more than one cycle."""
_CONDITIONS = {
    value: name.removeprefix("ARM_CC_").lower()
    for name, value in vars(arm).items()
    if name.startswith("ARM_CC_") and name != "ARM_CC_INVALID"
}


def _classify(found: capstone.CsInsn) -> Instruction:
    reads, writes = found.regs_access()
    names = frozenset(map(found.reg_name, reads)), frozenset(map(found.reg_name, writes))
    memory = [o.mem for o in found.operands if o.type == arm.ARM_OP_MEM]
    pointers = frozenset(
        found.reg_name(register)
        for operand in memory
        for register in (operand.base, operand.index)
        if register
    )
    mnemonic = _bare(found)
    kind, cycles = _own_cycles(mnemonic, found, indexed=any(m.index for m in memory))
    if _LIST.match(mnemonic) and "p" not in mnemonic:
        pointers = frozenset(_registers(found)[:1])
    branch = _branch(mnemonic, "pc" in names[1])
    return Instruction(
        found.address,
        found.size,
        f"{found.mnemonic} {found.op_str}".strip(),
        kind,
        cycles,
        reads=names[0],
        writes=names[1],
        pointers=pointers,
        branch=branch,
        target=_target(found) if branch in (Branch.DIRECT, Branch.CALL) else None,
    )


def _bare(found: capstone.CsInsn) -> str:
    """The mnemonic without width, type and condition: ``ldreq.w`` is ``ldr``."""
    mnemonic: str = found.mnemonic.split(".")[0]
    condition = _CONDITIONS.get(found.cc, "al")
    return mnemonic.removesuffix(condition) if condition != "al" else mnemonic


def _own_cycles(mnemonic: str, found: capstone.CsInsn, *, indexed: bool) -> tuple[Kind, int]:
    if mnemonic in _LOADS:
        return Kind.LOAD, 2
    if mnemonic in _STORES:
        return (Kind.STORE_SLOW, 2) if indexed else (Kind.STORE, 1)
    if mnemonic in ("ldrd", "strd"):
        return Kind.MULTIPLE, 3
    if _LIST.match(mnemonic):
        return Kind.MULTIPLE, 1 + sum(_words(name) for name in _listed(mnemonic, found))
    if mnemonic in ("vldr", "vstr"):
        if _words(_registers(found)[0]) == 2:
            return Kind.MULTIPLE, 3
        return (Kind.LOAD if mnemonic == "vldr" else Kind.STORE_SLOW), 2
    if mnemonic in _FP_FUSED:
        return Kind.FP, 3
    if mnemonic in ("vdiv", "vsqrt"):
        return Kind.FP, 14
    if mnemonic in _FP_LATE:
        return Kind.FP, 1
    if mnemonic.startswith("v"):
        two_registers = mnemonic == "vmov" and len(_registers(found)) > 2
        return Kind.FP_MOVE, 2 if two_registers else 1
    if mnemonic.startswith("it"):
        return Kind.IT, 1
    return Kind.ALU, _CORE.get(mnemonic, 1)


def _registers(found: capstone.CsInsn) -> list[str]:
    return [found.reg_name(o.reg) for o in found.operands if o.type == arm.ARM_OP_REG]


def _words(register: str) -> int:
    return 2 if register.startswith("d") else 1


def _listed(mnemonic: str, found: capstone.CsInsn) -> list[str]:
    """Registers that a LDM, STM, PUSH or POP moves; the base of the first two is not among them."""
    registers = _registers(found)
    return registers if "p" in mnemonic else registers[1:]


def _branch(mnemonic: str, writes_pc: bool) -> Branch | None:
    if mnemonic in ("b", "cbz", "cbnz"):
        return Branch.DIRECT
    if mnemonic == "bl":
        return Branch.CALL
    if mnemonic in ("tbb", "tbh"):
        return Branch.TABLE
    return Branch.INDIRECT if mnemonic in ("bx", "blx") or writes_pc else None


def _target(found: capstone.CsInsn) -> int | None:
    immediates = [o.imm for o in found.operands if o.type == arm.ARM_OP_IMM]
    return immediates[-1] if immediates else None
