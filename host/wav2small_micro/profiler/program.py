# SPDX-License-Identifier: Apache-2.0
"""A small program for a Cortex-M4, without a board: run in QEMU under the plugin, and counted.

Its C has :func:`marks`, a function ``run()`` that calls them, ``mark_begin()`` first, and executes
``udf #0`` when something is wrong.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from wav2small_micro.emulator import QEMU
from wav2small_micro.errors import W2sError
from wav2small_micro.profiler import parts, plugin, timing
from wav2small_micro.profiler.image import Image, Span

FLAGS = (
    "-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16",
    "-O3", "-std=gnu99", "-ffunction-sections", "-fdata-sections", "-g",
)  # fmt: skip
"""As far as they change code, those of the firmware's libraries, and pqm4's."""
_LINK = ("--specs=nosys.specs", "-nostartfiles", "-Wl,--gc-sections", "-Wl,-z,noexecstack")
_MACHINE = "mps2-an386"
_POLL_S = 0.1

_START = """\
#define MARK(name) __attribute__((noinline, used)) void name(void) { __asm volatile(""); }

MARK(mark_begin)
MARK(mark_end)
static void run(void);

__attribute__((noreturn)) void start(void) {
    run();
    mark_end();
    for (;;) { }
}

__attribute__((section(".vectors"), used)) const void *const vectors[16] = {
    (void *)0x3FFFF0u, (void *)start,
};
"""
# The board's first 4 MB are memory for code and data alike; it starts cleared.
_SCRIPT = """
ENTRY(start)
SECTIONS {
    .text 0 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
    .ARM.exidx : { *(.ARM.exidx*) }
    .data : ALIGN(8) { *(.data*) }
    .bss : ALIGN(8) { *(.bss*) *(COMMON) }
    end = .;
}
"""


def marks(names: Iterable[str]) -> str:
    """C for the top of a program: ``mark_begin()``, and ``mark_NAME()`` to end each step."""
    return _START + "".join(f"MARK(mark_{name})\n" for name in names)


def build(elf: Path, sources: Sequence[Path], flags: Sequence[str] = ()) -> None:
    """Compiles and links. ``flags`` stand behind FLAGS. Raises W2sError where that fails."""
    script = elf.with_suffix(".ld")
    script.write_text(_SCRIPT)
    command = ["arm-none-eabi-gcc", *FLAGS, *flags, *_LINK, "-T", script, "-o", elf, *sources]
    try:
        answer = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    except OSError:
        raise W2sError("arm-none-eabi-gcc does not run", "make setup installs it") from None
    if answer.returncode != 0:
        raise W2sError(f"{elf.stem} does not compile:\n{answer.stderr[-2000:]}", "")


def measure(
    elf: Path, folder: Path, *, apart: Iterable[Span] = (), patience_s: float = 60.0, hint: str = ""
) -> dict[str, np.ndarray]:
    """Each step's instructions and cycles for each refill, (2, 1 + refills): of all but ``apart``,
    and of that. ``hint``: what to do when the program finds something wrong.
    """
    image = Image(elf)
    table = plugin.Table(image.code, Span(0xFFFFFF00, 0xFFFFFF04))
    timing.fill(table, image)
    for span in apart:
        table.at(span)["scope"] = parts.Scope.INTERRUPT
    names = [name for name in image.functions if name.startswith("mark_")]
    for number, name in enumerate(names, 1):
        table.at(image.functions[name])["event"][0] = number
    session = plugin.Session(folder, table, capacity=1000)
    events = _execute(elf, session, names.index("mark_end") + 1, patience_s, hint)
    seen = [names[int(kind) - 1] for kind in events["kind"]]
    totals = parts.vectors(events["totals"])[:, (parts.Scope.WORK, parts.Scope.INTERRUPT)]
    return {
        seen[i].removeprefix("mark_"): totals[i] - totals[i - 1] for i in range(1, len(seen) - 1)
    }


def _execute(
    elf: Path, session: plugin.Session, last: int, patience_s: float, hint: str
) -> np.ndarray:
    """The events up to the last mark."""
    command = [QEMU, "-M", _MACHINE, "-kernel", str(elf), "-display", "none"]
    command += ["-monitor", "none", "-serial", "null", *session.options()]
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    except OSError:
        raise W2sError(f"{QEMU} is not installed", "sudo apt-get install qemu-system-arm") from None
    try:
        deadline = time.monotonic() + patience_s
        while not np.any(session.events()["kind"] == last):
            if process.poll() is not None:
                raise W2sError(f"{elf.stem} ended early", hint)
            if time.monotonic() > deadline:
                raise W2sError(f"{elf.name} does not end in {patience_s:.0f} s", "")
            time.sleep(_POLL_S)
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
    return session.events()
