# SPDX-License-Identifier: Apache-2.0
"""An estimate of the cycles that fetching code from flash adds, from what was counted.

The cycle model knows zero wait states only. This is no simulation of a chip's flash accelerator: it
takes the functions that do not fit the cache of instructions, and supposes that each line which
they run through is read from flash, while the prefetch reads the next line as the present one runs.
docs/cycle-model.md says what that leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator

from wav2small_micro.pio import FlashFetch
from wav2small_micro.profiler import cycles
from wav2small_micro.profiler.image import Image, Span
from wav2small_micro.profiler.parts import Cost

_WIDE = 0xE800  # halfwords from here on begin an instruction of 32 bits (DDI 0403, A5.1)


def uncached(image: Image, flash: FlashFetch) -> dict[str, int]:
    """Functions in flash that are larger than the cache, and their bytes.

    In flash is what is linked where the vector table is; the rest is copied to RAM at start.
    """
    in_flash = image.flash()
    return {
        name: span.end - span.begin
        for name, span in image.functions.items()
        if span.begin in in_flash and span.end - span.begin > flash.cache_bytes
    }


def stalls(image: Image, functions: dict[str, Cost], flash: FlashFetch, clock_hz: int) -> float:
    """Cycles per second of audio that the core waits for lines of code, about.

    ``functions``: what each cost per second of audio, callees left out.
    """
    refill = cycles.REFILLS.index(cycles.DEFAULT_REFILL)
    waited = 0.0
    for name in uncached(image, flash):
        if name in functions:
            ran = functions[name]
            fetched = ran.instructions * _instruction_bytes(image, image.functions[name])
            waited += line_stalls(
                fetched / flash.line_bytes, ran.cycles[refill], flash.wait_states(clock_hz)
            )
    return waited


def line_stalls(lines: float, took: float, wait_states: int) -> float:
    """Cycles to wait when ``lines`` are read one behind the other during ``took`` cycles of work.

    A read takes 1 + ``wait_states`` cycles; the core works meanwhile on the line before.

    >>> line_stalls(10, 45, 5)
    15.0
    >>> line_stalls(10, 45, 2)
    0.0
    """
    return float(max(0.0, lines * (1 + wait_states) - took))


def _instruction_bytes(image: Image, function: Span) -> float:
    """Mean size of the instructions of a function."""
    sizes = list(_sizes(image, function))
    return sum(sizes) / len(sizes)


def _sizes(image: Image, function: Span) -> Iterator[int]:
    for run in image.instructions():
        begin, end = max(run.begin, function.begin), min(run.end, function.end)
        while begin < end:
            first = int.from_bytes(image.read(Span(begin, begin + 2)), "little")
            size = 4 if first >= _WIDE else 2
            yield size
            begin += size
