# SPDX-License-Identifier: Apache-2.0
"""What firmware/lib/pdm costs: a second of each kind of microphone, alone on a Cortex-M4 in QEMU.

Its input is random, so that every entry of the tables is met; the samples must be those that the
same C gives on this machine, or the program stops.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.paths import repo_root
from wav2small_micro.pdm import library
from wav2small_micro.profiler import bench, cycles, program
from wav2small_micro.profiler.image import Image

CALL_MS = 2
"""Of input that a call takes: half of a driver's buffer."""
_SAMPLES = 16_000

_HARNESS = """\
/* A second of input, in calls of a few milliseconds. */
#include "i2s.h"
#include "pdm.h"

static uint8_t input[BYTES];
static int16_t pcm[SAMPLES];
MICROPHONE_T microphone;

/* xorshift, Marsaglia 2003. */
static void fill(void) {
    uint32_t state = 2463534242u;
    for (unsigned i = 0; i < BYTES; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        input[i] = (uint8_t)state;
    }
}

/* FNV-1a. */
static uint32_t hash(void) {
    uint32_t found = 2166136261u;
    for (unsigned i = 0; i < SAMPLES; i++) {
        found = (found ^ (uint16_t)pcm[i]) * 16777619u;
    }
    return found;
}

static void run(void) {
    fill();
    START;
    mark_begin();
    for (unsigned call = 0; call < CALLS; call++) {
        LISTEN(input + call * (BYTES / CALLS), pcm + call * (SAMPLES / CALLS));
    }
    mark_second();
    if (hash() != EXPECTED) __asm volatile("udf #0");
}
"""


@dataclass(frozen=True)
class Case:
    """A kind of microphone, and how its driver has the bits in memory."""

    clock_hz: int
    """Of its bits; 0 for I2S."""
    layout: str = "halfwords"
    gain: int = library.SPEECH
    """That the program uses; this machine's C takes library.SPEECH."""

    @property
    def name(self) -> str:
        """For people."""
        return f"PDM, {self.clock_hz / 1e6} MHz" if self.clock_hz else "I2S, 24 bits"

    @property
    def library(self) -> str:
        """The source file, and the beginning of its names."""
        return "pdm" if self.clock_hz else "i2s"

    @property
    def bytes(self) -> int:
        """Of a second."""
        return self.clock_hz // 8 if self.clock_hz else 8 * _SAMPLES

    def calls(self) -> tuple[str, str]:
        """C that starts, and that takes ``in`` to ``out``."""
        if self.clock_hz:
            clock, layout = f"pdm_{self.clock_hz // 1000}khz", f"PDM_{self.layout.upper()}"
            start = f"pdm_init(&microphone, &{clock}, {layout}, {self.gain})"
            return start, f"pdm_to_pcm(&microphone, in, {self.bytes * CALL_MS // 1000}, out)"
        start = f"i2s_init(&microphone, I2S_{self.layout.upper()}, I2S_LEFT, {self.gain})"
        return start, f"i2s_to_pcm(&microphone, in, {_SAMPLES * CALL_MS // 1000}, out)"

    def expected(self) -> NDArray[np.int16]:
        """What this machine makes of the program's input."""
        data = _random_bytes(self.bytes)
        if self.clock_hz:
            return library.Pdm(self.clock_hz, self.layout).pcm(data)
        return library.I2s(self.layout).pcm(data)


CASES = (*map(Case, library.CLOCKS_HZ), Case(0))


def run(cases: Sequence[Case] = CASES) -> dict[str, Any]:
    """``{"rows": [...]}``, a row a microphone: per second of audio, and bytes.

    ``ram``: the state between two calls. ``flash``: code and tables, without libc's.
    """
    with tempfile.TemporaryDirectory() as folder:
        rows = [_measure(case, Path(folder)) for case in cases]
    return {"toolchain": bench.toolchain(), "refill": cycles.DEFAULT_REFILL, "rows": rows}


def _measure(case: Case, folder: Path) -> dict[str, Any]:
    elf = _build(case, folder)
    vector = program.measure(elf, folder, hint="its samples are not this machine's: a bug")
    instructions, *by_refill = (round(x) for x in vector["second"][0])
    image = Image(elf)
    code = sum(span.end - span.begin for span in image.functions_of(f"pdm/{case.library}.c"))
    constants = sum(
        span.end - span.begin
        for name, span in image.objects.items()
        if name.startswith((f"{case.library}_", "silence"))
    )
    state = image.objects["microphone"]
    return {
        "microphone": case.name,
        "instructions": instructions,
        "cycles": by_refill[cycles.REFILLS.index(cycles.DEFAULT_REFILL)],
        "cycles_by_refill": dict(zip(map(str, cycles.REFILLS), by_refill, strict=True)),
        "ram": state.end - state.begin,
        "flash": code + constants,
    }


def _build(case: Case, folder: Path) -> Path:
    source, elf = folder / "listen.c", folder / "listen.elf"
    source.write_text(program.marks(["second"]) + _HARNESS)
    pdm = repo_root() / "firmware" / "lib" / "pdm"
    start, listen = case.calls()
    macros = {
        "BYTES": case.bytes,
        "SAMPLES": _SAMPLES,
        "CALLS": 1000 // CALL_MS,
        "MICROPHONE_T": f"{case.library}_t",
        "START": start,
        "LISTEN(in,out)": listen,
        "EXPECTED": f"{_hash(case.expected())}u",
    }
    flags = [f"-D{name}={value}" for name, value in macros.items()]
    program.build(elf, [source, *sorted(pdm.glob("*.c"))], [*flags, f"-I{pdm}"])
    return elf


# --- The same on this machine --------------------------------------------------------------------


def _random_bytes(count: int) -> NDArray[np.uint8]:
    """As fill() of the harness."""
    state, found = 2463534242, bytearray()
    for _ in range(count):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        found.append(state & 0xFF)
    return np.frombuffer(found, np.uint8)


def _hash(pcm: NDArray[np.int16]) -> int:
    """As hash() of the harness."""
    found = 2166136261
    for sample in pcm.view(np.uint16).tolist():
        found = (found ^ sample) * 16777619 & 0xFFFFFFFF
    return found
