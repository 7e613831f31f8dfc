# SPDX-License-Identifier: Apache-2.0
"""Audio for the board while an instrument measures it, and the timeline that the board gives back.

The board tells after each block how long it computed and slept (BLOCK_TICKS). From these its busy
times follow, by its own clock: what `align.fit` finds again in the current.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.energy.align import Timeline
from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.link.messages import BLOCK_SAMPLES, BlockTicks, Norm
from wav2small_micro.streaming import RATE, WINDOW_SEGMENTS, at_most, chunks_forever, paced

MARGIN_SECONDS = 1.0
"""Silence that the instrument sees before the session and after it; a board that the instrument
feeds starts in it."""


def timeline_of(blocks: Sequence[BlockTicks], tick_hz: float) -> Timeline:
    """When the board was busy with each block, the link's work for it included.

    A block's message ends ``elapsed`` after the one before. The work of the block lies before that
    end; what else the board was awake for until the next block lies behind it: it sends, and
    waits for the UART. Raises W2sError where a message was lost: times follow from all of them.
    """
    if len(blocks) < 3:
        raise W2sError("the board told of less than three blocks", "measure longer: --seconds 10")
    numbers = np.array([block.block for block in blocks])
    if np.any(np.diff(numbers) != 1):
        raise W2sError(
            "what the board told of some blocks was lost", "check the cable, lower the baud rate"
        )
    elapsed, asleep, library, answer, interrupts = (
        np.array([getattr(block, name) for block in blocks], np.float64)
        for name in ("elapsed", "asleep", "library", "answer", "interrupts")
    )
    end = np.cumsum(elapsed)
    work = library + answer
    # Interrupts come all the time, whether it sleeps or not.
    work = work * (1 + interrupts / np.maximum(1.0, elapsed))
    tail = np.maximum(0.0, elapsed - asleep - work - interrupts)[1:]
    start = (end - work)[:-1]
    stop = np.minimum(end[:-1] + tail, (end - work)[1:])
    # Where blocks came in a burst, one begins as the one before ends.
    start = np.maximum(start, np.concatenate([[-np.inf], np.maximum.accumulate(stop)[:-1]]))
    kept = stop > start
    start, stop = start[kept] / tick_hz, stop[kept] / tick_hz
    if len(start) < 2:
        raise W2sError("the board told of less than two blocks of work", "measure longer")
    return Timeline(start - start[0], stop - start, BLOCK_SAMPLES / RATE)


class Playing(threading.Thread):
    """Plays audio to a board as a microphone would, on a thread of its own.

    ``pcm``: int16 at 16 kHz, over and over. Take `timeline` when the measurement has ended.
    """

    def __init__(self, device: Device, pcm: NDArray[np.int16], seconds: float) -> None:
        super().__init__(daemon=True)
        self._device = device
        self._pcm = pcm
        self._seconds = max(0.2, seconds - 2 * MARGIN_SECONDS)
        self._stop_early = threading.Event()
        self._error: W2sError | None = None
        self._blocks: list[BlockTicks] = []
        self._tick_hz = 0

    def run(self) -> None:
        """Waits a moment, plays, and listens to what the board tells."""
        if self._stop_early.wait(MARGIN_SECONDS):
            return
        try:
            self._play()
        except W2sError as error:
            self._error = error

    def _play(self) -> None:
        session = self._device.start(norm=Norm.LIVE, window_segments=WINDOW_SEGMENTS, profile=True)
        for chunk in paced(at_most(chunks_forever(self._pcm), self._seconds)):
            if self._stop_early.is_set():
                break
            session.send(chunk)
            session.windows.clear()
        session.drain()
        self._tick_hz = self._device.counters().tick_hz
        self._blocks = list(session.profile)
        session.stop()

    def finish(self) -> None:
        """Stops playing, and waits for what the board still has to tell."""
        self._stop_early.set()
        if self.ident is not None:
            self.join()

    def timeline(self) -> Timeline:
        """What the board told. Raises W2sError, also for what went wrong while it played."""
        self.finish()
        if self._error is not None:
            raise self._error
        return timeline_of(self._blocks, self._tick_hz)
