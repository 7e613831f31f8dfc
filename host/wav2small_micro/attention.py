# SPDX-License-Identifier: Apache-2.0
"""Attention pool and head on integers: the independent twin of ``attention.c``.

The .tflite ends at ``lin`` and ``sof``; what follows is a softmax over time of ``sof``, the sum
over time of ``lin`` under it, and the linear head (arXiv 2408.13920, section 3). This module and
the C library implement one definition, in ``firmware/lib/wav2small/attention.h``, without sharing
code, so that equality of their answers means something. Python integers do not overflow: where the
C could, the two would part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.plan import Plan

SEGMENT_ROWS = 125
WEIGHT_BITS = 16
AVERAGE_BITS = 12
BIAS_BITS = 24

Objects = NDArray[np.object_]
"""Arrays of Python integers: exact at any size."""


def _scaled(x: Objects, weight: Objects) -> Objects:
    return (x * weight + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS


class Sums:
    """Attention sums of some rows, per entry of the row (169): numerator, denominator, peak."""

    def __init__(self, plan: Plan) -> None:
        width = plan.head_weight.shape[1]
        self.table = plan.exp_table.astype(object)
        self.zero = plan.lin.zero_out
        self.weighted: Objects = np.zeros(width, object)
        self.weight: Objects = np.zeros(width, object)
        self.peak = np.full(width, -128, np.int64)

    def _raise_peak(self, peak: NDArray[np.int64]) -> None:
        higher = peak > self.peak
        factor = self.table[np.where(higher, peak - self.peak, 0)]
        self.weighted = np.where(higher, _scaled(self.weighted, factor), self.weighted)
        self.weight = np.where(higher, _scaled(self.weight, factor), self.weight)
        self.peak = np.maximum(self.peak, peak)

    def add_row(self, lin: NDArray[np.int8], sof: NDArray[np.int8]) -> None:
        """One row, (169,) each."""
        score = sof.astype(np.int64)
        self._raise_peak(score)
        weight = self.table[self.peak - score]
        self.weighted = self.weighted + weight * (lin.astype(object) - self.zero)
        self.weight = self.weight + weight

    def add(self, other: Sums) -> None:
        """The sums of a later segment."""
        self._raise_peak(other.peak)
        factor = self.table[self.peak - other.peak]
        self.weighted = self.weighted + _scaled(other.weighted, factor)
        self.weight = self.weight + _scaled(other.weight, factor)

    def average(self) -> Objects:
        """Attention averages, (169,), in steps of ``lin``, Q12; halves away from zero."""
        out = []
        for weighted, weight in zip(self.weighted, self.weight, strict=True):
            x, half = abs(weighted) << AVERAGE_BITS, weight // 2
            out.append((x + half) // weight * (1 if weighted >= 0 else -1))
        return np.array(out, object)


def _rounded(x: int, shift: int) -> int:
    return (x + (1 << (shift - 1))) >> shift


def head(average: Objects, plan: Plan) -> NDArray[np.int32]:
    """A/D/V in Q16, int32 (3,), from attention averages (169,)."""
    gram: Objects | None = None
    if plan.gram_weight is not None:
        rows = average.reshape(13, 13)  # band, channel
        inner = rows.T @ rows
        gram = np.array([_rounded(x, AVERAGE_BITS) for x in inner.flat], object)
    answer = []
    for output in range(3):
        total = int(plan.head_bias[output])
        products = int((plan.head_weight[output].astype(object) * average).sum())
        total += _rounded(products, AVERAGE_BITS + plan.head_shift - BIAS_BITS)
        if gram is not None and plan.gram_weight is not None:
            products = int((plan.gram_weight[output].astype(object).ravel() * gram).sum())
            total += _rounded(products, AVERAGE_BITS + plan.gram_shift - BIAS_BITS)
        answer.append(_rounded(total, BIAS_BITS - 16))
    return np.array(answer, np.int32)


def segments(lin: NDArray[np.int8], sof: NDArray[np.int8], plan: Plan) -> list[Sums]:
    """The rows' sums in segments of 125 rows (half a second), the last one shorter."""
    out = []
    for start in range(0, len(lin), SEGMENT_ROWS):
        sums = Sums(plan)
        for row in range(start, min(start + SEGMENT_ROWS, len(lin))):
            sums.add_row(lin[row], sof[row])
        out.append(sums)
    return out


def _answer(parts: list[Sums], plan: Plan) -> NDArray[np.int32]:
    total = Sums(plan)
    for part in parts:
        total.add(part)
    return head(total.average(), plan)


def pool(lin: NDArray[np.int8], sof: NDArray[np.int8], plan: Plan) -> NDArray[np.int32]:
    """A/D/V in Q16, int32 (3,), of a whole utterance: int8 rows ``lin`` and ``sof``, (T2, 169)."""
    return _answer(segments(lin, sof, plan), plan)


def windows(
    lin: NDArray[np.int8], sof: NDArray[np.int8], plan: Plan, count: int
) -> NDArray[np.int32]:
    """A/D/V in Q16 after each whole segment, over the last ``count``: int32 (segments, 3)."""
    whole = segments(lin, sof, plan)[: len(lin) // SEGMENT_ROWS]
    answers = [_answer(whole[max(0, i + 1 - count) : i + 1], plan) for i in range(len(whole))]
    return np.array(answers, np.int32).reshape(-1, 3)
