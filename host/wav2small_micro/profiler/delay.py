# SPDX-License-Identifier: Apache-2.0
"""From sound to answer: how long until a voice is in A/D/V.

A window's answer comes each half second, and it is made of rows of ``lin`` and ``sof``. A row sees
some audio before it and after it, since every convolution and the max pool look one row ahead; so
the last row of a half second waits for audio beyond its end (`LOOK_AHEAD`). A kernel set that takes
several rows at once waits for those, and the firmware for a block of 20 ms to be whole. Then the
work of that block is done, and the answer is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wav2small_micro.link.messages import BLOCK_SAMPLES
from wav2small_micro.reference import HOP, SAMPLE_RATE, WINDOW

SEGMENT_ROWS = 125
"""Rows of lin and sof in a half second: W2S_SEGMENT_ROWS."""
SEGMENT_SAMPLES = SEGMENT_ROWS * 2 * HOP
BLOCK_MS = 1e3 * BLOCK_SAMPLES / SAMPLE_RATE

# Stride along time of what lies between the front end and lin: each is 3 wide with a padding of 1.
_STRIDES = {"l1": 1, "l2": 1, "l3": 1, "pool": 2, "l4": 1, "l5": 1, "l6": 1, "l7": 1}


def seen_by_row(row: int) -> tuple[int, int]:
    """First and last sample that a row of lin depends on; before 0 there is silence.

    >>> seen_by_row(0)
    (-384, 447)
    """
    first = last = row
    for stride in reversed(_STRIDES.values()):
        first, last = first * stride - 1, last * stride + 1
    return first * HOP, last * HOP + WINDOW - 1


def seen_by_answer(segment: int) -> tuple[int, int]:
    """First and last sample that the rows of a half second depend on.

    >>> seen_by_answer(1)
    (7616, 16383)
    """
    first = SEGMENT_ROWS * segment
    return seen_by_row(first)[0], seen_by_row(first + SEGMENT_ROWS - 1)[1]


LOOK_AHEAD = seen_by_answer(0)[1] + 1 - SEGMENT_SAMPLES
"""Samples beyond the end of a half second that its answer depends on: 384, or 24 ms."""


@dataclass(frozen=True)
class Delay:
    """From the end of a half second to its answer, in ms, step by step."""

    waiting_ms: float
    """For rows that are taken together, and for the block to be whole."""
    compute_ms: float | None
    """From the block's arrival to the end of its work, at worst; None: not known."""
    window_segments: int

    look_ahead_ms = 1e3 * LOOK_AHEAD / SAMPLE_RATE
    half_second_ms = 1e3 * SEGMENT_SAMPLES / SAMPLE_RATE

    @classmethod
    def of_block(cls, segment: int, block: int, compute_ms: float | None, window: int) -> Delay:
        """Of an answer that came with block number ``block``, which ends when it is whole."""
        tail = (block + 1) * BLOCK_MS - (segment + 1) * cls.half_second_ms
        return cls(tail - cls.look_ahead_ms, compute_ms, window)

    @property
    def least_ms(self) -> float:
        """For a sound at the very end of a half second; without the work if that is not known."""
        return self.look_ahead_ms + self.waiting_ms + (self.compute_ms or 0.0)

    @property
    def mean_ms(self) -> float:
        """For a sound at any moment."""
        return self.least_ms + self.half_second_ms / 2

    @property
    def most_ms(self) -> float:
        """For a sound at its beginning."""
        return self.least_ms + self.half_second_ms

    @property
    def whole_ms(self) -> float:
        """Until all of the window is of a voice that has just begun to speak otherwise, at most."""
        return self.least_ms + self.window_segments * self.half_second_ms

    def steps(self) -> dict[str, float | None]:
        """What it is made of, for a sound at the end of a half second."""
        return {
            "look-ahead of the network": self.look_ahead_ms,
            "rows taken together, and the block": self.waiting_ms,
            "work": self.compute_ms,
        }

    def to_json(self) -> dict[str, Any]:
        """For scripts, in ms."""
        return {
            "look_ahead_ms": self.look_ahead_ms,
            "waiting_ms": self.waiting_ms,
            "compute_ms": self.compute_ms,
            "least_ms": self.least_ms,
            "mean_ms": self.mean_ms,
            "most_ms": self.most_ms,
            "whole_window_ms": self.whole_ms,
            "window_segments": self.window_segments,
        }
