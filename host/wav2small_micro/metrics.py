# SPDX-License-Identifier: Apache-2.0
"""Agreement between predictions and labels, with intervals that respect who spoke."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

DIMENSIONS = ("arousal", "dominance", "valence")


def ccc(first: ArrayLike, second: ArrayLike) -> float:
    """Concordance correlation coefficient (Lin 1989) of two (N,) series; nan when both are
    constant.

    >>> ccc([0, 1, 2], [0, 1, 2])
    1.0
    >>> round(ccc([0, 1, 2], [1, 2, 3]), 4)
    0.5714
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    spread = a.var() + b.var() + (a.mean() - b.mean()) ** 2
    if spread == 0:
        return float("nan")
    return float(2 * ((a - a.mean()) * (b - b.mean())).mean() / spread)


def ccc_by_dimension(first: NDArray[np.floating], second: NDArray[np.floating]) -> dict[str, float]:
    """The CCC of two series of arousal, dominance and valence, (N, 3) each."""
    return {name: ccc(first[:, d], second[:, d]) for d, name in enumerate(DIMENSIONS)}


def bootstrap_ccc(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    speakers: Sequence[str],
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of the CCC of two (N,) series, drawing whole speakers with
    replacement."""
    names = np.asarray(speakers)
    groups = [np.flatnonzero(names == name) for name in sorted(set(speakers))]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        rows = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        values.append(ccc(first[rows], second[rows]))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
