# SPDX-License-Identifier: Apache-2.0
"""Agreement of two series with intervals over speakers, and differences of agreements on the same
clips.

Clips of one speaker resemble each other, so that whole speakers are drawn, with replacement (the
cluster bootstrap; Davison and Hinkley, "Bootstrap methods and their application", 1997, section
3.8). Every measure here is a function of six sums over clips: each speaker is summed up once, and a
draw adds the sums of its speakers.

Percentiles of the draws promise too much where speakers are few: of four they hold the truth three
times in four. So the draws give the standard error alone, sqrt(S / (S - 1)) wider for S speakers,
and the interval is Student's, on Fisher's z for a CCC (Lin 1989, section 3) and as it is for a
difference.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

LEVEL = 0.95
DRAWS = 2000


def student_t(freedom: int) -> float:
    """The 97.5 % point of Student's t.

    Closed forms for 1 and 2 degrees of freedom, else Cornish and Fisher's expansion (Abramowitz and
    Stegun 26.7.5), .1 % off at 3 and less beyond.

    >>> [round(student_t(n), 2) for n in (1, 2, 3, 9)]
    [12.71, 4.3, 3.18, 2.26]
    """
    tail = (1 + LEVEL) / 2
    if freedom == 1:
        return float(np.tan(np.pi * (tail - 0.5)))
    if freedom == 2:
        return float((2 * tail - 1) / np.sqrt(2 * tail * (1 - tail)))
    z, n = NormalDist().inv_cdf(tail), float(freedom)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )


def _covariances(sums: Float) -> tuple[Float, Float, Float, Float]:
    """Variances of both, their covariance and the difference of their means, from sums (..., 6)."""
    n, a, b, aa, bb, ab = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (
            np.maximum(0, aa / n - (a / n) ** 2),
            np.maximum(0, bb / n - (b / n) ** 2),
            ab / n - a * b / n**2,
            (a - b) / n,
        )


def ccc_of(sums: Float) -> Float:
    """Concordance correlation (Lin 1989) from sums (..., 6); nan when both are constant."""
    first, second, both, apart = _covariances(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * both / (first + second + apart**2))


def pearson_of(sums: Float) -> Float:
    """Pearson's correlation from sums (..., 6); nan when one of them is constant."""
    first, second, both, _ = _covariances(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(both / np.sqrt(first * second))


def rmse_of(sums: Float) -> Float:
    """Root of the mean squared difference from sums (..., 6)."""
    first, second, both, apart = _covariances(sums)
    return np.asarray(np.sqrt(np.maximum(0, first + second - 2 * both + apart**2)))


_NEARLY = 1 - 1e-12
"""Fisher's z of 1 is infinite."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, ``low`` to ``high``, both nan where fewer than two speakers
    are heard; ``n`` clips."""

    value: float
    low: float
    high: float
    n: int
    speakers: int


@dataclass(frozen=True)
class Agreement:
    """How a series agrees with a reference: its CCC with interval, its Pearson correlation and its
    RMSE."""

    ccc: Estimate
    pearson: float
    rmse: float


class Bootstrap:
    """Draws of speakers for clips whose speakers are given, one a clip.

    The same draws serve every series over these clips, so that their differences are paired.
    """

    def __init__(self, speakers: Sequence[Hashable], draws: int = DRAWS, seed: int = 0) -> None:
        names = {name: i for i, name in enumerate(dict.fromkeys(speakers))}
        self.cluster = np.array([names[name] for name in speakers], np.int64)
        self.speakers = len(names)
        share = np.full(self.speakers, 1 / max(1, self.speakers))
        rng = np.random.default_rng(seed)
        self.counts = rng.multinomial(self.speakers, share, size=draws).astype(np.float64)

    def sums(self, first: ArrayLike, second: ArrayLike) -> tuple[Float, Float]:
        """The six sums of two (N,) series: over all clips, (6,), and of each draw, (draws, 6)."""
        a, b = (np.asarray(series, np.float64) for series in (first, second))
        centre = (a.mean() + b.mean()) / 2  # sums of squares keep their digits near the mean
        a, b = a - centre, b - centre
        each = np.zeros((self.speakers, 6))
        np.add.at(each, self.cluster, np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], 1))
        return each.sum(axis=0), self.counts @ each

    def estimate(self, value: float, drawn: Float, correlation: bool = True) -> Estimate:
        """A figure, and its interval from what it is in each draw; ``correlation``: within -1..1,
        on Fisher's z."""
        low, high = float("nan"), float("nan")
        drawn = drawn[np.isfinite(drawn)]
        if self.speakers > 1 and len(drawn) > 1 and np.isfinite(value):
            scale = np.arctanh if correlation else np.asarray
            back = np.tanh if correlation else np.asarray
            inside = partial(np.clip, a_min=-_NEARLY, a_max=_NEARLY) if correlation else np.asarray
            error = np.std(scale(inside(drawn)), ddof=1) * np.sqrt(
                self.speakers / (self.speakers - 1)
            )
            reach = student_t(self.speakers - 1) * error
            centre = scale(inside(value))
            low, high = (
                float(x)
                for x in (min(value, back(centre - reach)), max(value, back(centre + reach)))
            )
        return Estimate(value, low, high, len(self.cluster), self.speakers)

    def agreement(self, first: ArrayLike, second: ArrayLike) -> Agreement:
        """Agreement of two (N,) series."""
        total, drawn = self.sums(first, second)
        ccc = self.estimate(float(ccc_of(total)), ccc_of(drawn))
        return Agreement(ccc, float(pearson_of(total)), float(rmse_of(total)))

    def mean_ccc(self, pairs: Sequence[tuple[ArrayLike, ArrayLike]]) -> tuple[float, Float]:
        """The mean CCC of several pairs of series, and its value in each draw."""
        sums = [self.sums(*pair) for pair in pairs]
        value = float(np.mean([ccc_of(total) for total, _ in sums]))
        return value, np.mean([ccc_of(drawn) for _, drawn in sums], axis=0)

    def difference(
        self,
        first: Sequence[tuple[ArrayLike, ArrayLike]],
        second: Sequence[tuple[ArrayLike, ArrayLike]],
    ) -> Estimate:
        """By how much the mean CCC of the ``first`` pairs exceeds that of the ``second``, in the
        same draws."""
        (one, one_drawn), (two, two_drawn) = self.mean_ccc(first), self.mean_ccc(second)
        return self.estimate(one - two, one_drawn - two_drawn, correlation=False)


def plain(value: float, digits: int = 4) -> float | None:
    """A figure for JSON, which knows no nan."""
    return round(value, digits) if np.isfinite(value) else None


def columns(estimate: Estimate, **others: Any) -> dict[str, Any]:
    """The interval and the counts of an estimate as a row has them."""
    return {
        **others,
        "low": plain(estimate.low),
        "high": plain(estimate.high),
        "n": estimate.n,
        "speakers": estimate.speakers,
    }
