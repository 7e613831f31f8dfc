# SPDX-License-Identifier: Apache-2.0
"""Which part of the firmware a cost belongs to.

The firmware keeps time itself: before and after each layer it reads ``board_ticks()``, and then
stores the difference in ``w2s_context::ticks[layer]`` (w2s_charge() in wav2small.c). Both are
events here: what ran between the last two readings of the clock before a store belongs to the layer
that the store is for. That needs no assumption about functions, so it holds for any kernel set,
however the compiler inlines, and two layers that share a function are told apart exactly.

``w2s_push()`` (a hop of samples) and ``session_push()`` (a block of 20 ms) are events too: from a
hop's begin to the end of its log-mel is the front end, from there to its last layer the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np

from wav2small_micro.errors import W2sError
from wav2small_micro.profiler import timing
from wav2small_micro.profiler.image import Image, Span
from wav2small_micro.profiler.plugin import STORE_EVENT, Table

LAYERS = {
    "l1": 2,
    "l2": 3,
    "l3": 4,
    "pool": 9,
    "l4": 5,
    "l5": 6,
    "l6": 7,
    "l7": 8,
    "lin": 10,
    "sof": 11,
    "attention": 1,
}
"""Index into ``w2s_context::ticks``, in the order of the data."""
_LOGMEL = 0
_TICK_BYTES = 8

BLOCK_SECONDS = 0.02
_TICKS_A_BLOCK = 20  # of the millisecond interrupt


@dataclass(frozen=True)
class Cost:
    """Instructions, and cycles for each refill of cycles.REFILLS."""

    instructions: float
    cycles: tuple[float, ...]

    @classmethod
    def of(cls, vector: np.ndarray) -> Cost:
        """From [instructions, cycles ...]."""
        return cls(float(vector[0]), tuple(map(float, vector[1:])))


class Scope(IntEnum):
    """What kind of work an instruction is; the plugin keeps totals of each."""

    WORK = 0
    CLOCK = 1  # reading the clock around each layer
    MILLISECOND = 2  # its interrupt: the emulator's is as fast as the host, so it is scaled
    INTERRUPT = 3  # others: the UART's
    WAIT = 4  # for audio: no work


class Event(IntEnum):
    """Moments that the plugin notes."""

    BLOCK = 1
    HOP = 2
    CLOCK = 3
    MILLISECOND = 4
    WINDOW = 5
    STORE = STORE_EVENT


_EVENT_FUNCTIONS = {
    Event.BLOCK: "session_push",
    Event.HOP: "w2s_push",
    Event.CLOCK: "board_ticks",
    Event.MILLISECOND: "SysTick_Handler",
    Event.WINDOW: "w2s_window",
}
_SCOPE_FUNCTIONS = {
    Scope.CLOCK: ("board_ticks", "read_clock"),
    Scope.MILLISECOND: ("SysTick_Handler", "clock_tick"),
    Scope.INTERRUPT: ("port_uart_irq", "uart_received", "uart_error"),
    Scope.WAIT: ("load_sleep",),
}
_WAITING = "wait_for_bytes"
_TICKS = ("app", "session", "engine", "ticks")
_FLOW_SOURCE = "wav2small/wav2small.c"


def table(image: Image, *, timed: bool) -> Table:
    """What the plugin needs to know of a firmware; ``timed``: with Cortex-M4 cycles."""
    made = Table(image.code, image.member(_TICKS[0], *_TICKS[1:]))
    if timed:
        timing.fill(made, image)
    for span in image.functions_of(_FLOW_SOURCE):
        made.at(span)["watched"] = 1
    for handler in image.handlers():
        name = image.function_at(handler)
        made.at(image.function(name) if name else Span(handler, handler))["scope"] = Scope.INTERRUPT
    for scope, names in _SCOPE_FUNCTIONS.items():
        for name in image.functions.keys() & set(names):  # those that are not inlined
            made.at(image.function(name))["scope"] = scope
    for span in image.inlined(_WAITING):
        made.at(span)["scope"] = Scope.WAIT
    for event, name in _EVENT_FUNCTIONS.items():
        made.at(image.function(name))["event"][0] = event
    return made


def functions(
    image: Image, table: Table, heat: list[np.ndarray], seconds: float
) -> dict[str, Cost]:
    """What each function cost itself per second, callees left out; the costliest first."""
    found: dict[str, np.ndarray] = {}
    for code, totals in zip(table.code, heat, strict=True):
        costs = vectors(totals)
        for i in np.flatnonzero(totals["instructions"]):
            name = image.function_at(code.begin + 2 * int(i)) or "?"
            found[name] = found.get(name, 0) + costs[i]
    costliest = sorted(found.items(), key=lambda item: -item[1][0])
    return {name: Cost.of(vector / seconds) for name, vector in costliest}


# --- Attribution --------------------------------------------------------------------------------


STAGES = ("front_end", *LAYERS, "flow", "clock", "link", "interrupts")
"""All that a block of audio costs, each instruction in one of them. ``flow`` is the way between the
stages of the network."""


@dataclass(frozen=True)
class Profile:
    """What a stretch of audio cost, per second, and each of its blocks of 20 ms."""

    parts: dict[str, Cost]
    """STAGES, ``network`` (layers and flow), and all of it: ``loop``."""
    blocks: tuple[Cost, ...]
    """The whole loop from one block's arrival to the next."""
    answers: tuple[tuple[int, int], ...]
    """Half second, and the block that its answer came with, both from the start of the audio."""
    stages: dict[str, np.ndarray]
    """STAGES of each block, (blocks, 1 + refills): instructions, cycles for each refill. Their sum
    over the stages is the block's."""


def attribute(events: np.ndarray, skip: int = 0) -> Profile:
    """The profile of a log, from block number ``skip`` to the last that is whole.

    ``events``: (N,) of plugin.EVENT. Raises W2sError if the log lacks a part.
    """
    at = np.flatnonzero(events["kind"] == Event.BLOCK)
    if len(at) < skip + 2:
        raise W2sError(f"the profile has {len(at)} blocks of audio", "profile more audio")
    windows = np.flatnonzero(events["kind"] == Event.WINDOW)
    answers = tuple((i, int(np.searchsorted(at, w)) - 1) for i, w in enumerate(windows))
    events = events[at[skip] : at[-1] + 1]
    totals = vectors(events["totals"])
    blocks = _blocks(events, totals)
    stages = _stages(events, totals, blocks)
    missing = [name for name in ("front_end", *LAYERS) if not stages[name].any()]
    if missing:
        raise W2sError(
            f"the profile saw nothing of {', '.join(missing)}",
            "the firmware must w2s_charge() every layer: see profiler/parts.py",
        )
    seconds = len(blocks) * BLOCK_SECONDS
    found = {name: each.sum(axis=0) / seconds for name, each in stages.items()}
    found["network"] = sum((found[name] for name in (*LAYERS, "flow")), np.zeros(blocks.shape[1]))
    found["loop"] = blocks.sum(axis=0) / seconds
    return Profile(
        {k: Cost.of(v) for k, v in found.items()}, tuple(map(Cost.of, blocks)), answers, stages
    )


def vectors(totals: np.ndarray) -> np.ndarray:
    """plugin.TOTALS (...) as (..., 1 + refills): instructions, then cycles for each refill."""
    timed = totals["cycles"][..., np.newaxis] + totals["refill"]
    return np.concatenate([totals["instructions"][..., np.newaxis], timed], axis=-1).astype(float)


def _blocks(events: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """What each block cost, (blocks, 1 + refills)."""
    ours = totals[:, Scope.WORK] + totals[:, Scope.CLOCK]
    return _by_block(events, ours) + _interrupts(events, totals)


def _by_block(events: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """What was added to totals (events, 1 + refills) during each block."""
    return np.diff(totals[events["kind"] == Event.BLOCK], axis=0)


def _interrupts(events: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """What interrupts cost each block: the UART's as they came, the millisecond's at its rate."""
    ticks = np.count_nonzero(events["kind"] == Event.MILLISECOND)
    ticking = totals[-1, Scope.MILLISECOND] - totals[0, Scope.MILLISECOND]
    return _by_block(events, totals[:, Scope.INTERRUPT]) + _TICKS_A_BLOCK * ticking / max(ticks, 1)


def _stages(events: np.ndarray, totals: np.ndarray, blocks: np.ndarray) -> dict[str, np.ndarray]:
    """STAGES of each block. What no other stage has is the link's."""
    work = totals[:, Scope.WORK]
    names = {index: name for name, index in LAYERS.items()}
    number = np.cumsum(events["kind"] == Event.BLOCK) - 1
    found = {name: np.zeros_like(blocks) for name in STAGES}
    for hop in _hops(events):
        block = number[hop.begin]
        intervals = list(_intervals(events, hop))
        spectrum_end = next((end for layer, _, end in intervals if layer == _LOGMEL), None)
        for layer, begin, end in intervals:
            if layer in names:
                found[names[layer]][block] += work[end] - work[begin]
                found["flow"][block] -= work[end] - work[begin]
        if spectrum_end is not None:
            found["front_end"][block] += work[spectrum_end] - work[hop.begin]
            found["flow"][block] += work[intervals[-1][2]] - work[spectrum_end]
    found["clock"] = _by_block(events, totals[:, Scope.CLOCK])
    found["interrupts"] = _interrupts(events, totals)
    found["link"] = blocks - sum(each for name, each in found.items() if name != "link")
    return found


def _hops(events: np.ndarray) -> Iterable[Span]:
    """Event numbers from a hop's begin to the next hop or block."""
    bounds = np.flatnonzero(np.isin(events["kind"], (Event.HOP, Event.BLOCK)))
    for begin, end in pairwise(bounds):
        if events["kind"][begin] == Event.HOP:
            yield Span(int(begin), int(end))


def _intervals(events: np.ndarray, hop: Span) -> Iterator[tuple[int, int, int]]:
    """(layer, event number of its begin, of its end) for every charge of a hop."""
    readings: list[int] = []
    for i in range(hop.begin, hop.end):
        kind = events["kind"][i]
        if kind == Event.CLOCK:
            readings.append(i)
        elif kind == Event.STORE and len(readings) >= 2:
            yield int(events["offset"][i]) // _TICK_BYTES, readings[-2], readings[-1]
            readings = []  # the other half of a 64-bit store finds nothing to charge
