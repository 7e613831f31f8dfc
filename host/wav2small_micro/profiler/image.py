# SPDX-License-Identifier: Apache-2.0
"""A firmware file as the profiler sees it: code, functions, handlers, and where a variable lies."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.dwarf.ranges import BaseAddressEntry
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from wav2small_micro.errors import W2sError


@dataclass(frozen=True)
class Span:
    """Bytes of memory, ``begin`` to before ``end``."""

    begin: int
    end: int

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.begin <= address < self.end


@dataclass(frozen=True)
class Code:
    """An executable section."""

    begin: int
    data: bytes

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.begin + len(self.data)


class Image:
    """An ELF with symbols and DWARF. Raises W2sError when what is asked for is not in it."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise W2sError(f"there is no firmware at {path}", "build it: w2s build")
        self.path = path
        with path.open("rb") as file:
            elf = ELFFile(file)
            self.code = [
                Code(section["sh_addr"], section.data())
                for section in elf.iter_sections()
                if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
                and section["sh_type"] == "SHT_PROGBITS"
            ]
            self._read_symbols(elf)

    def _read_symbols(self, elf: ELFFile) -> None:
        self.functions: dict[str, Span] = {}
        self.objects: dict[str, Span] = {}
        mapping: list[tuple[int, bool]] = []
        symbols = elf.get_section_by_name(".symtab")
        if not isinstance(symbols, SymbolTableSection):
            raise W2sError(f"{self.path} has no symbols", "build it again: w2s build")
        for symbol in symbols.iter_symbols():
            begin, size = symbol["st_value"], symbol["st_size"]
            kind = symbol["st_info"]["type"]
            if symbol.name.startswith(("$t", "$d")):
                mapping.append((begin, symbol.name.startswith("$t")))
            elif kind == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
                self.functions[symbol.name] = Span(begin & ~1, (begin & ~1) + size)
            elif kind == "STT_OBJECT":
                self.objects[symbol.name] = Span(begin, begin + size)
        self._mapping = sorted(mapping)
        self._by_address = sorted((span.begin, name) for name, span in self.functions.items())

    def instructions(self) -> Iterator[Span]:
        """Runs of Thumb instructions: code without the constants in between (AAELF32, 5.5.5)."""
        for code in self.code:
            marks = [m for m in self._mapping if code.begin <= m[0] < code.end]
            ends = [address for address, _ in marks[1:]] + [code.end]
            for (begin, thumb), end in zip(marks, ends, strict=True):
                if thumb and end > begin:
                    yield Span(begin, end)

    def read(self, span: Span) -> bytes:
        """Bytes of code."""
        for code in self.code:
            if code.begin <= span.begin and span.end <= code.end:
                return code.data[span.begin - code.begin : span.end - code.begin]
        raise W2sError(f"{self.path}: no code at 0x{span.begin:x}", "is the ELF whole?")

    def function(self, name: str) -> Span:
        """Where a function lies."""
        if name not in self.functions:
            raise W2sError(
                f"{self.path} has no function {name}()",
                "the profiler knows the firmware by its functions: see profiler/parts.py",
            )
        return self.functions[name]

    def function_at(self, address: int) -> str | None:
        """The function that an address belongs to."""
        i = bisect.bisect(self._by_address, (address, "\x7f")) - 1
        if i < 0:
            return None
        name = self._by_address[i][1]
        return name if address in self.functions[name] else None

    def handlers(self) -> list[int]:
        """Addresses of the exception handlers, from the vector table; the reset's left out."""
        if "vectors" not in self.objects:
            raise W2sError(f"{self.path} has no vector table", "firmware/boards/common/startup.c")
        data = self.read(self.objects["vectors"])
        words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        return sorted({word & ~1 for word in words[2:] if word})

    def flash(self) -> Span:
        """The section that begins with the vector table: what is linked into flash."""
        if "vectors" not in self.objects:
            raise W2sError(f"{self.path} has no vector table", "firmware/boards/common/startup.c")
        at = self.objects["vectors"].begin
        return next(Span(c.begin, c.end) for c in self.code if c.begin <= at < c.end)

    def functions_of(self, source: str) -> list[Span]:
        """Code that was compiled from a source file, whose path ends with ``source``."""
        found = []
        linked = set(self.functions.values())
        with self.path.open("rb") as file:
            for unit in _units(ELFFile(file), self.path):
                top = unit.get_top_DIE()
                if not _text(top, "DW_AT_name").endswith(source):
                    continue
                for die in top.iter_children():
                    if die.tag == "DW_TAG_subprogram" and "DW_AT_low_pc" in die.attributes:
                        begin = die.attributes["DW_AT_low_pc"].value
                        span = Span(begin, begin + die.attributes["DW_AT_high_pc"].value)
                        if span in linked:  # what the linker dropped is still described
                            found.append(span)
        if not found:
            raise W2sError(f"{self.path} has nothing of {source}", "built without -g?")
        return found

    def inlined(self, function: str) -> list[Span]:
        """Code that the compiler put in place of calls to a function; empty if it never did."""
        with self.path.open("rb") as file:
            elf = ELFFile(file)
            return [
                span
                for unit in _units(elf, self.path)
                for die in unit.iter_DIEs()
                if die.tag == "DW_TAG_inlined_subroutine"
                and _text(die.get_DIE_from_attribute("DW_AT_abstract_origin"), "DW_AT_name")
                == function
                for span in _spans(die, elf)
            ]

    def member(self, variable: str, *path: str) -> Span:
        """Where a member of a struct variable lies: ``member("app", "session", "engine")``."""
        if variable not in self.objects:
            raise W2sError(f"{self.path} has no variable {variable}", "")
        with self.path.open("rb") as file:
            for unit in _units(ELFFile(file), self.path):
                for die in unit.get_top_DIE().iter_children():
                    if die.tag == "DW_TAG_variable" and _text(die, "DW_AT_name") == variable:
                        begin = self.objects[variable].begin
                        offset, size = _offset(die, path, self.path)
                        return Span(begin + offset, begin + offset + size)
        raise W2sError(f"{self.path} does not describe {variable}", "built without -g?")


# --- DWARF --------------------------------------------------------------------------------------


def _units(elf: ELFFile, path: Path) -> Iterator[Any]:
    if not elf.has_dwarf_info():
        raise W2sError(f"{path} has no debug information", "built without -g?")
    return elf.get_dwarf_info().iter_CUs()


def _text(die: Any, attribute: str) -> str:
    value = die.attributes.get(attribute)
    return value.value.decode() if value else ""


def _spans(die: Any, elf: ELFFile) -> Iterator[Span]:
    """Addresses of a DIE: one range, or a list of them (DWARF 5, 2.17)."""
    if "DW_AT_low_pc" in die.attributes:
        begin = die.attributes["DW_AT_low_pc"].value
        yield Span(begin, begin + die.attributes["DW_AT_high_pc"].value)
    elif "DW_AT_ranges" in die.attributes:
        lists: Any = elf.get_dwarf_info().range_lists()
        low = die.cu.get_top_DIE().attributes.get("DW_AT_low_pc")
        base = low.value if low is not None else 0
        for entry in lists.get_range_list_at_offset(die.attributes["DW_AT_ranges"].value, die.cu):
            if isinstance(entry, BaseAddressEntry):  # of those that follow
                base = entry.base_address
            else:
                start = 0 if entry.is_absolute else base
                yield Span(start + entry.begin_offset, start + entry.end_offset)


def _type(die: Any) -> Any:
    """The type of a variable or member, behind its typedefs and qualifiers."""
    kind = die.get_DIE_from_attribute("DW_AT_type")
    while kind.tag in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type"):
        kind = kind.get_DIE_from_attribute("DW_AT_type")
    return kind


def _size(kind: Any) -> int:
    if kind.tag != "DW_TAG_array_type":
        return int(kind.attributes["DW_AT_byte_size"].value)
    size = _size(_type(kind))
    for die in kind.iter_children():
        size *= die.attributes["DW_AT_upper_bound"].value + 1
    return size


def _offset(variable: Any, path: tuple[str, ...], elf: Path) -> tuple[int, int]:
    kind, offset = _type(variable), 0
    for name in path:
        member = next((d for d in kind.iter_children() if _text(d, "DW_AT_name") == name), None)
        if member is None:
            raise W2sError(f"{elf}: no member {name} on the way {'.'.join(path)}", "")
        offset += member.attributes["DW_AT_data_member_location"].value
        kind = _type(member)
    return offset, _size(kind)
