# SPDX-License-Identifier: Apache-2.0
"""Runs a firmware in QEMU under the profiler, fed live over the link, and reads what it cost."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wav2small_micro.audio import RATE
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.link.client import Device, Timing
from wav2small_micro.link.messages import BLOCK_SAMPLES, Norm
from wav2small_micro.pio import Board
from wav2small_micro.profiler import parts, plugin
from wav2small_micro.profiler.image import Image
from wav2small_micro.streaming import WINDOW_SEGMENTS

TIMED_CPUS = ("cortex-m4",)
"""Cores that cycles.py was checked on; no cycles are claimed for another."""

SKIPPED_BLOCKS = 25
"""Half a second in front: start-up, and buffers that fill."""
_EVENTS_A_SECOND = 100_000
_PATIENCE = Timing(reply_s=5.0, patience_s=60.0, stall_s=300.0)  # what is repeated is counted too


@dataclass(frozen=True)
class Measurement:
    """What a run cost, and what the device said of its stack."""

    profile: parts.Profile
    functions: dict[str, parts.Cost]
    """Per second of audio, from the reset on."""
    stack_used: int
    """Bytes."""
    window_segments: int
    """Half seconds that each answer was over."""


def measure(
    elf: Path, board: Board, pcm: np.ndarray, *, link: LinkKind = LinkKind.SEMIHOSTING
) -> Measurement:
    """What a second of audio costs on a board. ``pcm``: int16 at 16 kHz.

    A live session with windows, as a product would run it; the first half second is left out of
    the profile, and so is waiting for audio. Raises W2sError for less audio than 40 ms beyond it.
    """
    seconds = len(pcm) / RATE
    image = Image(elf)
    with tempfile.TemporaryDirectory() as folder:
        table = parts.table(image, timed=board.cpu in TIMED_CPUS)
        capacity = round(_EVENTS_A_SECOND * (seconds + 1))
        session = plugin.Session(Path(folder), table, capacity)
        stack_used, window = _run(elf, board, pcm, link, session.options())
        return Measurement(
            parts.attribute(session.events(), SKIPPED_BLOCKS),
            parts.functions(image, table, session.heat(), seconds),
            stack_used,
            window,
        )


def _run(
    elf: Path, board: Board, pcm: np.ndarray, link: LinkKind, options: list[str]
) -> tuple[int, int]:
    whole = len(pcm) // BLOCK_SAMPLES * BLOCK_SAMPLES
    with (
        Emulator(elf, board, link=link, options=options) as emulator,
        Device(emulator.transport(), timing=_PATIENCE) as device,
    ):
        window = min(WINDOW_SEGMENTS, device.hello().segments)
        session = device.start(norm=Norm.LIVE, window_segments=window)
        session.send(pcm[:whole])
        session.drain()
        return device.counters().stack_high_water, window
