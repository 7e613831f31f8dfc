# SPDX-License-Identifier: Apache-2.0
"""A profile from a device itself: what each block took, and whether its clock is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.link.messages import BLOCK_SAMPLES, BlockTicks, HelloReply, Norm
from wav2small_micro.link.session import Session
from wav2small_micro.profiler.parts import LAYERS
from wav2small_micro.reference import SAMPLE_RATE
from wav2small_micro.streaming import SEGMENT_SECONDS, chunks

STAGES = ("front_end", *LAYERS, "flow", "answer", "link", "interrupts")
"""All that a device does with a block. ``flow`` is the way between the layers, and the clock read
there; ``answer`` the level and the window; ``link`` all else: frames, the main loop, and sending,
waits for the UART included."""
_PROBES = 20
_POLL_S = 0.002


@dataclass(frozen=True)
class ClockCheck:
    """The device's clock against the host's."""

    seconds: float  # between the two moments compared
    ppm: float  # how much the device's clock is fast
    uncertainty_ppm: float  # half of the round trips over the time: a bound, not a deviation

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.ppm:+.0f} ± {self.uncertainty_ppm:.0f} ppm, over {self.seconds:.1f} s"

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "seconds": self.seconds, "ppm": self.ppm, "uncertainty_ppm": self.uncertainty_ppm,
        }  # fmt: skip


@dataclass(frozen=True)
class _Moment:
    """The device's uptime in ticks, and the host's time: known to half a round trip."""

    ticks: int
    host_s: float
    half_trip_s: float


@dataclass(frozen=True)
class DeviceRun:
    """What a device said of its blocks."""

    facts: HelloReply
    ticks: dict[str, np.ndarray]
    """STAGES, (blocks,)."""
    asleep: np.ndarray
    interrupts: np.ndarray  # how many
    readings: float  # of the clock in a block, mean
    reading: float  # ticks of one
    lost: int  # blocks of which nothing was heard
    clock: ClockCheck
    tick_hz: int
    answers: tuple[tuple[int, int], ...]  # (half second, block it came with)
    lags_s: np.ndarray  # from the end of each half second to its answer's arrival here
    stack_used: int


def measure(
    device: Device,
    pcm: np.ndarray,
    *,
    window_segments: int,
    skip: int,
    paced: bool = True,
    progress: Callable[[float], None] = lambda share: None,
) -> DeviceRun:
    """Runs int16 samples at 16 kHz through a live session and takes what the device says of it.

    ``skip``: blocks in front that are left out. ``paced``: as a microphone would bring them, which
    the lags need. Raises W2sError where the firmware cannot make a profile.
    """
    facts = device.hello()
    begin = _moment(device)
    session = device.start(norm=Norm.LIVE, window_segments=window_segments, profile=True)
    lags = _play(session, pcm, paced=paced, progress=progress)
    found = list(session.profile)
    counters = device.counters()
    session.stop()
    clock = _check(begin, _moment(device), counters.tick_hz)
    if not found:
        raise W2sError(
            "the device says nothing of its blocks",
            "its firmware is older than this host: w2s flash puts the present one there",
        )
    kept = [block for block in found if block.block >= skip]
    if not kept:
        raise W2sError("the profile has no block of audio", "profile more: --seconds")
    lost = kept[-1].block + 1 - skip - len(kept)
    return DeviceRun(
        facts=facts,
        ticks=_stages(kept),
        asleep=np.array([block.asleep for block in kept]),
        interrupts=np.array([block.interrupt_count for block in kept]),
        readings=float(np.mean([block.readings for block in kept])),
        reading=float(np.median([block.reading for block in kept])),
        lost=lost,
        clock=clock,
        tick_hz=counters.tick_hz,
        # A window comes right before the ticks of the block that ended it.
        answers=tuple(
            (segment, found[place].block)
            for segment, place in session.answered
            if place < len(found)
        ),
        lags_s=np.array(lags),
        stack_used=counters.stack_high_water,
    )


def _stages(blocks: list[BlockTicks]) -> dict[str, np.ndarray]:
    def of(name: str) -> np.ndarray:
        return np.array([getattr(block, name) for block in blocks], float)

    ticks = {name: of(name) for name in ("front_end", *LAYERS)}
    ticks["flow"] = of("library") - sum(ticks.values())
    ticks["answer"], ticks["interrupts"] = of("answer"), of("interrupts")
    busy = of("elapsed") - of("asleep")
    ticks["link"] = busy - sum(ticks.values())
    return {name: ticks[name] for name in STAGES}


def _play(
    session: Session,
    pcm: np.ndarray,
    *,
    paced: bool,
    progress: Callable[[float], None],
) -> list[float]:
    """Sends all; returns how late each answer was."""
    lags: list[float] = []
    begin = time.monotonic()

    def take() -> None:
        while session.windows:
            segment = session.windows.popleft().segment
            lags.append(time.monotonic() - begin - (segment + 1) * SEGMENT_SECONDS)

    sent = 0
    for chunk in chunks(pcm[: len(pcm) // BLOCK_SAMPLES * BLOCK_SAMPLES]):
        sent += len(chunk)
        due = begin + sent / SAMPLE_RATE
        while paced and (left := due - time.monotonic()) > 0:
            session.poll(min(left, _POLL_S))
            take()
        session.send(chunk)
        take()
        progress(sent / len(pcm))
    session.drain()
    take()
    return lags if paced else []


def _moment(device: Device) -> _Moment:
    """The quickest of several probes."""
    probes = []
    for _ in range(_PROBES):
        before = time.monotonic()
        ticks = device.counters().uptime
        after = time.monotonic()
        probes.append(_Moment(ticks, (before + after) / 2, (after - before) / 2))
    return min(probes, key=lambda probe: probe.half_trip_s)


def _check(begin: _Moment, end: _Moment, tick_hz: int) -> ClockCheck:
    seconds = end.host_s - begin.host_s
    by_device = (end.ticks - begin.ticks) / tick_hz
    return ClockCheck(
        seconds=seconds,
        ppm=1e6 * (by_device / seconds - 1),
        uncertainty_ppm=1e6 * (begin.half_trip_s + end.half_trip_s) / seconds,
    )
