# SPDX-License-Identifier: Apache-2.0
"""A Cortex-M around Unicorn's processor, which runs the very file that is flashed.

Unicorn executes instructions and knows no board. What is here gives it memory, the core's own
registers (SysTick, NVIC, System Control Block, DWT), exceptions with their frames and priorities,
and peripherals: classes of Python that keep a register file. Each access to a register is logged in
order, so that a test can hold what the firmware wrote against what the manual asks for.

    board = Discovery(elf)  # support.boards
    board.machine.run(0.01)
    assert board.machine.writes(0x4000_4408) == [46]

Time is the number of instructions, one to a cycle. It is exact where the core runs or sleeps, and
coarse where an exception ends (`EXCEPTION_CYCLES`). A fault of the firmware, an address where
nothing is, or a register that a peripheral does not have, is a `Fault` of Python's, with the
function that did it.

Arm's documents: DDI 0403 (ARMv7-M), section "System address map" and after it.
"""

from __future__ import annotations

import bisect
import ctypes
import heapq
import itertools
import random
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

from elftools.elf.elffile import ELFFile
from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_MODE_MCLASS,
    UC_MODE_THUMB,
    UC_PROT_EXEC,
    UC_PROT_READ,
    Uc,
    UcError,
    arm_const,
)
from unicorn.unicorn_py3.unicorn import uclib

NEVER = 0xFFFFFFFE  # no code there: Unicorn wants an address at which it stops
EXC_RETURN = 0xFFFFFF00  # a jump to this or above ends an exception (DDI 0403, B1.5.8)
EXCEPTION_CYCLES = 100  # of a handler whose end is not counted: 12 in, 12 out, and its work
SLICE = 10_000  # instructions, at most, until what a write to a register has caused is seen
BLOCKED_SLICE = 2  # the same while one waits that is masked: it comes as soon as it may
PREFETCH = 3  # Unicorn's number of an instruction that cannot be fetched
WFI = b"\x30\xbf"
PPB = 0xE000E000
PAGE = 4096
LINE = 1024  # two peripherals are never closer than this

_FRAME = ("R0", "R1", "R2", "R3", "R12", "LR", "PC", "XPSR")
_FP_FRAME = (*(f"S{n}" for n in range(16)), "FPSCR")
_FPCA = 4  # in CONTROL: floating point was used


class _Bank:
    """Some registers at once, which is most of what an exception costs here.

    The package's own batches are slower than register by register.
    """

    def __init__(self, uc: Uc, names: Iterable[str]) -> None:
        self._uc = uc
        registers = [getattr(arm_const, f"UC_ARM_REG_{name}") for name in names]
        self._size = len(registers)
        self._registers = (ctypes.c_int * self._size)(*registers)
        self._values = (ctypes.c_uint32 * self._size)()
        start = ctypes.addressof(self._values)
        self._places = (ctypes.c_void_p * self._size)(*(start + 4 * i for i in range(self._size)))

    def read(self) -> list[int]:
        uclib.uc_reg_read_batch(self._uc._uch, self._registers, self._places, self._size)
        return list(self._values)

    def write(self, values: Iterable[int]) -> None:
        self._values[:] = list(values)
        uclib.uc_reg_write_batch(self._uc._uch, self._registers, self._places, self._size)


class _Register:
    """One register, quickly."""

    def __init__(self, uc: Uc, name: str) -> None:
        self._uc = uc
        self._number = getattr(arm_const, f"UC_ARM_REG_{name}")
        self._value = ctypes.c_uint32()
        self._place = ctypes.byref(self._value)

    def read(self) -> int:
        uclib.uc_reg_read(self._uc._uch, self._number, self._place)
        return self._value.value


class Fault(AssertionError):
    """The firmware did what no board forgives."""


class Access(NamedTuple):
    """One read or write of a register. `function`'s address is `pc`."""

    pc: int
    address: int
    size: int
    value: int
    is_write: bool


class Registers:
    """A peripheral: 32-bit registers that keep what is written. A subclass says what is not so.

    ``reset``: offsets whose value is not 0 after a reset. ``offsets``: those that exist, where a
    test wants others to fail.
    """

    machine: Machine

    def __init__(
        self,
        base: int,
        size: int = LINE,
        *,
        reset: Mapping[int, int] | None = None,
        offsets: Iterable[int] | None = None,
        name: str = "",
    ) -> None:
        self.base = base
        self.size = size
        self.name = name or type(self).__name__
        self.offsets = None if offsets is None else frozenset(offsets)
        self._reset_values = dict(reset or {})
        self.values: dict[int, int] = dict(self._reset_values)

    def has_clock(self) -> bool:
        """Whether its bus clock is on: without one it answers nothing, and an access is a Fault."""
        return True

    def reset(self) -> None:
        """The machine's reset. RAM and what a subclass keeps on purpose outlive it."""
        self.values = dict(self._reset_values)

    def read(self, offset: int) -> int:
        """What the core reads; may change the peripheral, as hardware does."""
        return self.values.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """What a write of 32 bits does."""
        self.values[offset] = value

    def __getitem__(self, offset: int) -> int:
        """A register's value, without the effects of reading it."""
        return self.values.get(offset, 0)

    def __setitem__(self, offset: int, value: int) -> None:
        self.values[offset] = value & 0xFFFFFFFF


class Machine:
    """Memory, core and peripherals. A fresh one is at its reset, with noise in its RAM.

    ``flash``, ``ram``: (address, bytes). ``clock_hz``: of `run`'s seconds and SysTick's steps.
    ``irqs``: interrupts that the chip has. ``priority_bits``: that its NVIC implements.
    """

    def __init__(
        self,
        elf: Path,
        flash: tuple[int, int],
        ram: tuple[int, int],
        devices: Iterable[Registers],
        *,
        clock_hz: int,
        irqs: int = 240,
        priority_bits: int = 4,
        seed: int = 1,
    ) -> None:
        self.clock_hz = clock_hz
        self.cycles = 0
        self.slept = 0
        self.resets = 0
        self.log: list[Access] = []
        self.logging = True
        self.flash, self.ram = flash, ram
        self._accesses = 0  # in this slice: time goes on while the core looks at registers
        self._trouble: Fault | None = None
        self._wants_reset = False
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.core = SystemControl(irqs, priority_bits)
        self.dwt = Dwt()
        self._uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
        self._frame = _Bank(self._uc, (*_FRAME, "SP", "CONTROL"))
        self._pc = _Register(self._uc, "PC")
        self._fp = _Bank(self._uc, _FP_FRAME)
        self._primask = _Register(self._uc, "PRIMASK")
        self._basepri = _Register(self._uc, "BASEPRI")
        self._faultmask = _Register(self._uc, "FAULTMASK")
        self._map_memory(seed)
        self._load(elf)
        self._lines: dict[int, Registers] = {}
        self._map([self.core, self.dwt, *devices])
        self._uc.hook_add(UC_HOOK_INTR, self._on_exception)
        self._uc.hook_add(UC_HOOK_MEM_INVALID, self._on_invalid)
        self._reset_core()

    # --- What a test asks -------------------------------------------------------------------------

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Runs for `seconds` of the firmware's time, or until `until` holds: then True."""
        end = self.cycles + max(1, round(seconds * self.clock_hz))
        while self.cycles < end:
            if until is not None and until():
                return True
            self._due()
            self._take_exception()
            self._slice(end)
        return until is not None and until()

    def writes(self, address: int, *, since: int = 0) -> list[int]:
        """The values written to a register, in order."""
        return [a.value for a in self.log[since:] if a.is_write and a.address == address]

    def first(self, address: int, *, bits: int = 0, value: int | None = None) -> int:
        """Place in the log of the first write of `value`, or one that sets `bits`.

        Raises Fault when there is none.
        """
        for place, access in enumerate(self.log):
            if (
                access.is_write
                and access.address == address
                and access.value & bits == bits
                and value in (None, access.value)
            ):
                return place
        raise Fault(f"nothing was written to {address:#010x} with {bits:#x} set")

    def word(self, address: int) -> int:
        """32 bits of memory."""
        return int.from_bytes(self._uc.mem_read(address, 4), "little")

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes of RAM or flash."""
        return bytes(self._uc.mem_read(address, size))

    def write_memory(self, address: int, data: bytes) -> None:
        """As a DMA does: no register, no log."""
        if not self._in_ram(address, len(data)):
            raise Fault(f"a DMA writes {len(data)} bytes to {address:#010x}, which is not RAM")
        self._uc.mem_write(address, data)

    def jump(self, address: int) -> None:
        """Goes on elsewhere, as a firmware that has lost its way does."""
        self._set_pc(address)

    def symbol(self, name: str) -> int:
        """Address of a function (without its Thumb bit) or a variable."""
        return self._symbols[name] & ~1 if name in self._functions_set else self._symbols[name]

    def function_at(self, address: int) -> str:
        """The function that an address is in."""
        place = bisect.bisect_right(self._starts, address & ~1) - 1
        return self._functions[place] if place >= 0 else "?"

    def call(self, function: str, *arguments: int, seconds: float = 1.0) -> int:
        """Calls a function of the firmware where the core is, and returns its R0.

        Interrupts come as they do elsewhere. Raises Fault if it does not return in `seconds`.
        """
        uc, home = self._uc, self.ram[0] | 1  # the stack's far end: the machine never goes there
        kept = uc.context_save()
        for n, value in enumerate(arguments):
            uc.reg_write(arm_const.UC_ARM_REG_R0 + n, value & 0xFFFFFFFF)
        uc.reg_write(arm_const.UC_ARM_REG_LR, home)
        self._set_pc(self.symbol(function))
        self._home = home & ~1
        if not self.run(seconds, until=lambda: self.pc == home & ~1):
            raise Fault(f"{function} did not return in {seconds} s: in {self.function_at(self.pc)}")
        result = uc.reg_read(arm_const.UC_ARM_REG_R0)
        uc.context_restore(kept)
        self._home = NEVER
        return result

    @property
    def pc(self) -> int:
        """Where the core is."""
        return self._pc.read()

    @property
    def now(self) -> int:
        """Cycles since the start, also in the middle of a slice."""
        return self.cycles + self._accesses

    def __getitem__(self, address: int) -> int:
        """A register's value, without the effects of reading it."""
        device = self._device(address)
        return device[address - device.base]

    # --- What a peripheral asks -------------------------------------------------------------------

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Does something later: a conversion's end, a byte's arrival."""
        due = self.now + max(1, round(seconds * self.clock_hz))
        heapq.heappush(self._events, (due, next(self._numbers), do))

    def interrupt(self, number: int, high: bool = True) -> None:
        """Sets an interrupt line of a peripheral (0 is the first after the core's exceptions)."""
        self.core.set_line(number, high)

    def reset(self) -> None:
        """A reset, soon. RAM keeps what it holds."""
        self._wants_reset = True

    # --- Memory -----------------------------------------------------------------------------------

    def _map_memory(self, seed: int) -> None:
        self._uc.mem_map(*self.flash, UC_PROT_READ | UC_PROT_EXEC)
        self._uc.mem_write(self.flash[0], b"\xff" * self.flash[1])
        self._uc.mem_map(*self.ram)
        self._uc.mem_write(self.ram[0], random.Random(seed).randbytes(self.ram[1]))

    def _in_ram(self, address: int, size: int) -> bool:
        return self.ram[0] <= address and address + size <= sum(self.ram)

    def _load(self, path: Path) -> None:
        with path.open("rb") as file:
            elf = ELFFile(file)
            for segment in elf.iter_segments("PT_LOAD"):
                data, address = segment.data(), segment["p_paddr"]
                assert self.flash[0] <= address, "a segment that is not in flash"
                assert address + len(data) <= sum(self.flash), "a segment that is not in flash"
                self._uc.mem_write(address, data)
            table = list(elf.get_section_by_name(".symtab").iter_symbols())
        self._image = self.read_memory(*self.flash)
        self._symbols = {symbol.name: symbol["st_value"] for symbol in table}
        functions = sorted(
            (symbol["st_value"] & ~1, symbol.name)
            for symbol in table
            if symbol["st_info"]["type"] == "STT_FUNC"
        )
        self._starts = [start for start, _ in functions]
        self._functions = [name for _, name in functions]
        self._functions_set = frozenset(self._functions)

    # --- Registers --------------------------------------------------------------------------------

    def _map(self, devices: list[Registers]) -> None:
        for device in devices:
            device.machine = self
            for line in range(device.base // LINE, (device.base + device.size - 1) // LINE + 1):
                if line in self._lines:
                    raise ValueError(f"{device.name} and {self._lines[line].name} overlap")
                self._lines[line] = device
        for page in sorted({line * LINE // PAGE for line in self._lines}):
            base = page * PAGE
            self._uc.mmio_map(
                base,
                PAGE,
                lambda uc, offset, size, base: self._read(base + offset, size),
                base,
                lambda uc, offset, size, value, base: self._write(base + offset, size, value),
                base,
            )

    def _device(self, address: int) -> Registers:
        device = self._lines.get(address // LINE)
        if device is None or address >= device.base + device.size:
            raise Fault(f"nothing is at {address:#010x}")
        if device.offsets is not None and (address & ~3) - device.base not in device.offsets:
            raise Fault(f"{device.name} has no register at {address:#010x}")
        return device

    def _clocked(self, address: int) -> Registers:
        device = self._device(address)
        if not device.has_clock():
            raise Fault(f"{device.name} at {address:#010x} is used without its clock")
        return device

    def _read(self, address: int, size: int) -> int:
        self._accesses += 1
        try:
            device = self._clocked(address)
            offset = address - device.base
            word = device.read(offset & ~3) & 0xFFFFFFFF
            value = word >> 8 * (offset & 3) & (1 << 8 * size) - 1
        except Fault as fault:
            return self._give_up(fault)
        if self.logging:
            self.log.append(Access(self.pc, address, size, value, False))
        return value

    def _write(self, address: int, size: int, value: int) -> None:
        self._accesses += 1
        try:
            device = self._clocked(address)
            offset, shift = (address - device.base) & ~3, 8 * (address & 3)
            if self.logging:
                self.log.append(Access(self.pc, address, size, value, True))
            if size < 4:
                mask = (1 << 8 * size) - 1 << shift
                value = device[offset] & ~mask | value << shift & mask
            device.write(offset, value)
        except Fault as fault:
            self._give_up(fault)

    def _give_up(self, fault: Fault) -> int:
        pc = self.pc
        self._trouble = Fault(f"{fault}, from {self.function_at(pc)} at {pc:#010x}")
        self._uc.emu_stop()
        return 0

    # --- The core ---------------------------------------------------------------------------------

    def _reset_core(self) -> None:
        uc = self._uc
        self._active: list[int] = []
        self._home = NEVER
        for register in range(13):
            uc.reg_write(arm_const.UC_ARM_REG_R0 + register, 0xDEAD0000 + register)
        for name in ("PRIMASK", "BASEPRI", "FAULTMASK", "CONTROL"):
            uc.reg_write(getattr(arm_const, f"UC_ARM_REG_{name}"), 0)
        uc.reg_write(arm_const.UC_ARM_REG_XPSR, 1 << 24)
        uc.reg_write(arm_const.UC_ARM_REG_LR, 0xFFFFFFFF)
        uc.reg_write(arm_const.UC_ARM_REG_MSP, self.word(self.flash[0]))
        self._set_pc(self.word(self.flash[0] + 4))

    def _set_pc(self, address: int) -> None:
        self._uc.reg_write(arm_const.UC_ARM_REG_PC, address | 1)

    def _due(self) -> None:
        """What the time has brought."""
        while self._events and self._events[0][0] <= self.cycles:
            heapq.heappop(self._events)[2]()
        self.core.tick(self.cycles)
        if self._wants_reset:
            self._wants_reset = False
            self.resets += 1
            self._events.clear()
            for device in {id(device): device for device in self._lines.values()}.values():
                device.reset()
            self._reset_core()

    def _slice(self, end: int) -> None:
        """Lets the core run until something is due."""
        count = min(SLICE, max(BLOCKED_SLICE, self._horizon(end) - self.cycles))
        is_blocked = self.core.is_anything_pending()
        if is_blocked:
            count = BLOCKED_SLICE
        self._accesses = 0
        try:
            self._uc.emu_start(self.pc | 1, self._home, count=count)
        except UcError as error:
            if self._trouble is None and self.pc < EXC_RETURN:
                self._trouble = Fault(f"{error} in {self.function_at(self.pc)} at {self.pc:#010x}")
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        self._account(count, end, is_blocked)

    def _horizon(self, end: int) -> int:
        """When something is due next; `end` at the latest."""
        horizon = min(end, self.core.next_tick(self.cycles))
        return min(horizon, self._events[0][0]) if self._events else horizon

    def _account(self, count: int, end: int, is_blocked: bool) -> None:
        """Moves time on by what the core has done."""
        pc, accesses, self._accesses = self.pc, self._accesses, 0
        if pc >= EXC_RETURN:
            self.cycles += min(count, max(EXCEPTION_CYCLES, accesses))
            self._leave_exception(pc)
        elif pc == self._home:
            self.cycles += accesses + 1
        elif self._code_at(pc - 2) != WFI:
            self.cycles += count
        elif is_blocked or self.core.is_anything_pending():
            self.cycles += 1
        else:
            horizon = self._horizon(end)  # anew: it may be what the core has just started
            self.slept += max(0, horizon - self.cycles)
            self.cycles = max(horizon, self.cycles + 1)

    def _code_at(self, address: int) -> bytes:
        """Two bytes of code: flash does not change, and a copy is quicker."""
        place = address - self.flash[0]
        if 0 <= place < len(self._image):
            return self._image[place : place + 2]
        return bytes(self._uc.mem_read(address, 2))

    def _on_exception(self, uc: Uc, number: int, data: object) -> None:
        """Unicorn's word for an exception's end, and for what firmware should not do."""
        del data
        if self.pc < EXC_RETURN:
            where = f"in {self.function_at(self.pc)} at {self.pc:#010x}"
            is_fetch = number == PREFETCH
            what = "code where nothing is," if is_fetch else f"Unicorn's exception {number}"
            self._trouble = Fault(f"{what} {where}")
        uc.emu_stop()

    def _on_invalid(
        self, uc: Uc, access: int, address: int, size: int, value: int, data: object
    ) -> bool:
        del uc, access, value, data
        if address < EXC_RETURN:
            where = f"from {self.function_at(self.pc)} at {self.pc:#010x}"
            is_flash = self.flash[0] <= address < sum(self.flash)
            what = "a write, in flash" if is_flash else "where nothing is"
            self._trouble = Fault(f"{size} bytes at {address:#010x}, {what}, {where}")
        return False

    # --- Exceptions (DDI 0403, B1.5) --------------------------------------------------------------

    def execution_priority(self) -> int:
        """What an exception's priority must be below (B1.5.4)."""
        if self._faultmask.read() & 1:
            return -1
        if self._primask.read() & 1:
            return min([0, *(self.core.priority(n) for n in self._active)])
        priority = min((self.core.priority(n) for n in self._active), default=256)
        basepri = self._basepri.read()
        return min(priority, basepri) if basepri else priority

    def _take_exception(self) -> None:
        if not self.core.pending:
            return
        number = self.core.most_urgent(self._active)
        if number is not None and self.core.priority(number) < self.execution_priority():
            self._enter(number)

    def _enter(self, number: int) -> None:
        """Stacks the frame and goes to the vector (B1.5.6)."""
        uc = self._uc
        *frame, stack, control = self._frame.read()
        has_fp = bool(control & _FPCA)
        if has_fp:
            frame += [*self._fp.read(), 0]
        is_odd = stack & 4
        if is_odd:
            frame[7] |= 1 << 9
        stack = stack - is_odd - 4 * len(frame)
        if not self._in_ram(stack, 4 * len(frame)):
            raise Fault(f"no room for the frame of exception {number} at {stack:#010x}")
        uc.mem_write(stack, struct.pack(f"<{len(frame)}I", *frame))
        lr = 0xFFFFFFF1 if self._active else 0xFFFFFFF9
        lr &= ~0x10 if has_fp else ~0
        self._active.append(number)
        self.core.entered(number)
        vector = self.word(self.core.vectors + 4 * number)
        if not vector & 1:
            raise Fault(f"the vector of exception {number} is no address of code: {vector:#010x}")
        changed = [lr, vector, 1 << 24 | number, stack, control & ~_FPCA]
        self._frame.write([*frame[:5], *changed])

    def _leave_exception(self, pc: int) -> None:
        """Takes the frame off the stack (B1.5.8)."""
        uc = self._uc
        if not self._active:
            raise Fault(f"a jump to {pc:#010x} outside of any exception")
        has_fp = not pc & 0x10
        *_, stack, control = self._frame.read()
        size = 26 if has_fp else 8
        frame = struct.unpack(f"<{size}I", uc.mem_read(stack, 4 * size))
        if has_fp:
            self._fp.write(frame[8:25])
        *basic, home, xpsr = frame[:8]
        stack += 4 * size + (4 if xpsr & 1 << 9 else 0)
        control = control | _FPCA if has_fp else control & ~_FPCA
        self._frame.write([*basic, home | 1, xpsr & ~(1 << 9), stack, control])
        self.core.left(self._active.pop())


class SystemControl(Registers):
    """SysTick, NVIC and System Control Block (DDI 0403, B3.2 to B3.4)."""

    SYSTICK, PENDSV, NMI = 15, 14, 2
    CSR, RVR, CVR = 0x010, 0x014, 0x018
    ISER, ICER, ISPR, ICPR, IABR, IPR = 0x100, 0x180, 0x200, 0x280, 0x300, 0x400
    CPUID, ICSR, VTOR, AIRCR, CCR, SHPR1 = 0xD00, 0xD04, 0xD08, 0xD0C, 0xD14, 0xD18
    CFSR, HFSR, MPU_TYPE, DEMCR = 0xD28, 0xD2C, 0xD90, 0xDFC
    FIXED: ClassVar[dict[int, int]] = {1: -3, 2: -2, 3: -1}  # reset, NMI, hard fault

    def __init__(self, irqs: int, priority_bits: int) -> None:
        values = {self.CPUID: 0x410FC241, self.AIRCR: 0xFA050000, self.CCR: 0x200}
        values[self.MPU_TYPE] = 8 << 8
        super().__init__(PPB, PAGE, reset=values, name="System Control Space")
        self.irqs = irqs
        self._priority_mask = 0xFF & ~((1 << 8 - priority_bits) - 1)
        self._clear()

    def _clear(self) -> None:
        self.enabled: set[int] = set()  # all by number of the exception, 16 and up
        self.pending: set[int] = set()
        self.active: set[int] = set()
        self._lines: set[int] = set()
        self._started = 0  # when SysTick was at its reload value
        self._period = 0  # 0: it does not count

    def reset(self) -> None:
        """See Registers."""
        demcr = self.values.get(self.DEMCR, 0)  # only a power-on reset clears it
        super().reset()
        self.values[self.DEMCR] = demcr
        self._clear()

    @property
    def vectors(self) -> int:
        """Address of the vector table."""
        return self.values.get(self.VTOR, self.machine.flash[0])

    def priority(self, number: int) -> int:
        """Of an exception, by its number; lower is more urgent."""
        if number in self.FIXED:
            return self.FIXED[number]
        at = self.IPR + number - 16 if number >= 16 else self.SHPR1 + number - 4
        return self.values.get(at & ~3, 0) >> 8 * (at & 3) & self._priority_mask

    def set_line(self, number: int, high: bool) -> None:
        """A peripheral's request: pending from its rise, and again while it lasts (B3.4.1)."""
        assert 0 <= number < self.irqs, f"the chip has no interrupt {number}"
        exception = 16 + number
        if not high:
            self._lines.discard(exception)
            return
        if exception not in self._lines and exception not in self.active:
            self.pending.add(exception)
        self._lines.add(exception)

    def is_anything_pending(self) -> bool:
        """Does an exception wait that is enabled? It also ends a sleep."""
        return bool(self.pending and self._ready())

    def _ready(self) -> set[int]:
        return {n for n in self.pending if n < 16 or n in self.enabled}

    def most_urgent(self, active: list[int]) -> int | None:
        """The exception to take next, of those that are not active already."""
        waiting = self._ready().difference(active)
        return min(waiting, key=lambda n: (self.priority(n), n), default=None)

    def entered(self, number: int) -> None:
        """The core has taken an exception."""
        self.pending.discard(number)
        self.active.add(number)

    def left(self, number: int) -> None:
        """The core has ended one; a line that is still high asks again."""
        self.active.discard(number)
        if number in self._lines:
            self.pending.add(number)

    # SysTick: counts down from RVR to 0, and is pending when it gets there (B3.3.1).

    def _set_period(self) -> None:
        is_on = self[self.CSR] & 1 and self[self.RVR]
        self._period = self[self.RVR] + 1 if is_on else 0

    def tick(self, cycles: int) -> None:
        """Makes SysTick pending if its period is over."""
        period = self._period
        if period and cycles - self._started >= period:
            self._started += (cycles - self._started) // period * period
            if self[self.CSR] & 2:
                self.pending.add(self.SYSTICK)

    def next_tick(self, cycles: int) -> int:
        """When that is."""
        period = self._period
        return self._started + period if period else cycles + 10**9

    def read(self, offset: int) -> int:
        """See Registers."""
        if offset == self.CVR and self._period:
            period = self._period
            return max(0, period - 1 - (self.machine.now - self._started) % period)
        if offset == self.ICSR:
            active = max(self.active, default=0)
            return (1 << 26 if self.SYSTICK in self.pending else 0) | active
        for base, numbers in ((self.ISER, self.enabled), (self.ISPR, self.pending)):
            if base <= offset < base + 0x20 or base + 0x80 <= offset < base + 0xA0:
                first = 16 + 8 * (offset & 0x1C)
                return sum(1 << n - first for n in numbers if first <= n < first + 32)
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        bits = {16 + 8 * (offset & 0x1C) + n for n in range(32) if value >> n & 1}
        if self.ISER <= offset < self.IPR:
            if any(n >= 16 + self.irqs for n in bits):
                raise Fault(f"an interrupt that the chip has not: {max(bits) - 16}")
            self._write_nvic(offset, bits)
        elif offset == self.CVR:
            self._started = self.machine.now
        elif offset == self.CSR:
            if value & 1 and not self[self.CSR] & 1:
                self._started = self.machine.now
            self.values[offset] = value
            self._set_period()
        elif offset == self.RVR:
            self.values[offset] = value & 0xFFFFFF
            self._set_period()
        elif offset == self.ICSR:
            pending = {28: self.PENDSV, 26: self.SYSTICK, 31: self.NMI}
            self.pending |= {n for bit, n in pending.items() if value >> bit & 1}
            cleared = {27: self.PENDSV, 25: self.SYSTICK}
            self.pending -= {n for bit, n in cleared.items() if value >> bit & 1}
        elif offset == self.AIRCR:
            self._write_aircr(value)
        elif offset in (self.CFSR, self.HFSR):
            self.values[offset] = self[offset] & ~value
        else:
            super().write(offset, value)

    def _write_nvic(self, offset: int, bits: set[int]) -> None:
        if offset < self.ICER:
            self.enabled |= bits
        elif offset < self.ISPR:
            self.enabled -= bits
        elif offset < self.ICPR:
            self.pending |= bits
        elif offset < self.IABR:
            self.pending -= bits - self._lines

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != 0x05FA:
            return  # without its key nothing happens (B3.2.6)
        self.values[self.AIRCR] = 0xFA050000 | value & 0x700
        if value & 4:
            self.machine.reset()


class Dwt(Registers):
    """The cycle counter (DDI 0403, C1.8): four comparators, and counting where it is enabled."""

    CTRL, CYCCNT = 0x0, 0x4

    def __init__(self) -> None:
        super().__init__(0xE0001000, PAGE, reset={self.CTRL: 4 << 28}, name="DWT")
        self._origin = 0

    def _is_counting(self) -> bool:
        traced = self.machine.core[SystemControl.DEMCR] >> 24 & 1
        return bool(traced and self[self.CTRL] & 1)

    def read(self, offset: int) -> int:
        """See Registers."""
        if offset == self.CYCCNT and self._is_counting():
            return self.machine.now - self._origin
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        """See Registers."""
        if offset == self.CTRL:
            was = self.read(self.CYCCNT) & 0xFFFFFFFF
            self.values[offset] = 4 << 28 | value & 0x0FFFFFFF
            self._origin = self.machine.now - was
            self.values[self.CYCCNT] = was
        elif offset == self.CYCCNT:
            self._origin = self.machine.now - value
            self.values[offset] = value
