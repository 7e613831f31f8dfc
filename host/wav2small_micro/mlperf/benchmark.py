# SPDX-License-Identifier: Apache-2.0
"""The benchmark's loops over clips, and whether they keep the rules.

The rules are those that the runner of mlcommons/tiny checks: five loops; in performance mode at
least 10 s altogether, in energy mode at least 10 s each; and no silence of more than 5 s, after
which the runner gives up.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.emulator import NS_PER_INSTRUCTION
from wav2small_micro.engines.base import Engine
from wav2small_micro.errors import W2sError
from wav2small_micro.link.errors import LinkError
from wav2small_micro.mlperf.device import RUNNER_PATIENCE_S, DeviceUnderTest, Inference

MODES = ("performance", "energy", "accuracy")
LOOPS = 5
LEAST_S = 10.0
_RATE = 16000
_MARGIN = 1.1  # of the time that runs are chosen for


@dataclass(frozen=True)
class Excerpt:
    """What is loaded: int16 (N,) at 16 kHz, from the beginning of a clip."""

    name: str
    pcm: NDArray[np.int16]

    @property
    def seconds(self) -> float:
        """Its duration."""
        return len(self.pcm) / _RATE


@dataclass(frozen=True)
class Loop:
    """One load and one ``infer``."""

    excerpt: Excerpt
    inference: Inference
    expected_q16: NDArray[np.int32]
    """What the library answers on this machine, (3,)."""

    @property
    def identical(self) -> bool:
        """Whether the device answers the same, bit for bit."""
        return bool(np.array_equal(self.inference.adv_q16, self.expected_q16))

    @property
    def latency_s(self) -> float | None:
        """Of an inference, by the device's clock."""
        elapsed = self.inference.elapsed_us
        return None if elapsed is None else elapsed / 1e6 / self.inference.runs

    @property
    def throughput(self) -> float | None:
        """Inferences a second."""
        return 1 / self.latency_s if self.latency_s else None

    @property
    def instructions(self) -> float | None:
        """Of an inference, where the device's clock counts them: QEMU's `-icount shift=0`."""
        return None if self.latency_s is None else self.latency_s * 1e9 / NS_PER_INSTRUCTION


def check_mode(mode: str) -> None:
    """Raises W2sError, naming the modes, for one that there is not."""
    if mode not in MODES:
        raise W2sError(f"there is no mode {mode!r}", f"modes: {', '.join(MODES)}")


def run(
    device: DeviceUnderTest,
    excerpts: Sequence[Excerpt],
    reference: Engine,
    *,
    mode: str,
    loops: int,
    runs: int | None,
    warmups: int,
    progress: Callable[[Loop], None] = lambda _: None,
) -> list[Loop]:
    """Loads and infers, clip after clip, from the start again when there are fewer than loops.

    In accuracy mode every clip has its turn once. Where ``runs`` is None there are as many as the
    rules want. The device is in performance mode at the end.
    """
    check_mode(mode)
    if runs is None:
        runs = 1 if mode == "accuracy" else _choose_runs(device, excerpts[0], mode, loops)
    done: list[Loop] = []
    device.set_mode("energy" if mode == "energy" else "performance")
    try:
        for i in range(len(excerpts) if mode == "accuracy" else loops):
            excerpt = excerpts[i % len(excerpts)]
            device.load(excerpt.pcm)
            expected = reference.run(excerpt.pcm).adv_q16
            assert expected is not None, "an integer engine"
            done.append(Loop(excerpt, device.infer(runs, warmups), expected))
            progress(done[-1])
    finally:
        if mode == "energy":
            with contextlib.suppress(LinkError):  # what went wrong before matters more
                device.set_mode("performance")
    return done


def _choose_runs(device: DeviceUnderTest, excerpt: Excerpt, mode: str, loops: int) -> int:
    """So many that the time of the rules is reached."""
    device.set_mode("performance")
    device.load(excerpt.pcm)
    elapsed_us = device.infer(1).elapsed_us or 1
    seconds = LEAST_S if mode == "energy" else LEAST_S / loops
    return max(1, math.ceil(seconds * _MARGIN / (elapsed_us / 1e6)))


def median(values: Sequence[float | None]) -> float | None:
    """The median, None where a value is missing.

    >>> median([3.0, 1.0, 2.0]), median([1.0, None])
    (2.0, None)
    """
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None


def broken_rules(loops: Sequence[Loop], mode: str) -> list[str]:
    """What the runner would complain of, or not survive; empty where it is content."""
    broken = []
    seconds = [loop.inference.seconds for loop in loops]
    if mode != "accuracy" and len(loops) != LOOPS:
        broken.append(f"there are {len(loops)} loops, where {LOOPS} are wanted")
    if mode == "performance" and sum(seconds) < LEAST_S:
        broken.append(f"the loops take {sum(seconds):.1f} s, where {LEAST_S:.0f} s are wanted")
    if mode == "energy" and min(seconds) < LEAST_S:
        broken.append(f"a loop takes {min(seconds):.1f} s, where {LEAST_S:.0f} s are wanted")
    silence = max(loop.inference.silence_s for loop in loops)
    if mode != "energy" and silence > RUNNER_PATIENCE_S:
        broken.append(
            f"{silence:.1f} s without a line, where the runner gives up after "
            f"{RUNNER_PATIENCE_S:.0f} s: fewer --runs"
        )
    return broken
