# SPDX-License-Identifier: Apache-2.0
"""The timing model applied to a firmware: a cost for every instruction in it."""

from __future__ import annotations

from wav2small_micro.profiler import cycles
from wav2small_micro.profiler.image import Image, Span
from wav2small_micro.profiler.plugin import Table


def fill(table: Table, image: Image) -> None:
    """Writes what every instruction of an image costs into a table."""
    decoder = cycles.Decoder()
    found = {
        instruction.address: instruction
        for span in image.instructions()
        for instruction in decoder.decode(image.read(span), span.begin)
    }
    before: cycles.Instruction | None = None
    for address, instruction in sorted(found.items()):
        above = before if before and before.address + before.size == address else None
        target = found.get(instruction.target) if instruction.target is not None else None
        wide = target is not None and target.is_across_words
        site = table.at(Span(address, address))[0]
        site["first"] = cycles.cost(instruction)
        site["after"] = cycles.cost(instruction, above)
        site["taken"] = [cycles.refill(instruction, wide, p) for p in cycles.REFILLS]
        before = instruction
    for handler in image.handlers():
        table.at(Span(handler, handler))[0]["first"] += cycles.EXCEPTION
