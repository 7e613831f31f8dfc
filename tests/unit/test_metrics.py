# SPDX-License-Identifier: Apache-2.0
"""The CCC and its interval over speakers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav2small_micro.metrics import bootstrap_ccc, ccc

SERIES = st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=30)


@given(SERIES, st.floats(-1, 1))
def test_ccc_is_at_most_the_correlation(values: list[float], shift: float) -> None:
    a = np.array(values)
    b = a + shift
    if a.std() < 1e-3:
        return
    assert abs(ccc(a, b)) <= 1 + 1e-12
    assert ccc(a, b) == pytest.approx(2 * a.var() / (2 * a.var() + shift**2))
    assert ccc(a, b) == ccc(b, a)


def test_ccc_of_constants() -> None:
    assert np.isnan(ccc([1, 1], [1, 1]))
    assert ccc([1, 1], [2, 2]) == 0


def test_interval_draws_speakers() -> None:
    """With one speaker there is nothing to draw; with two that disagree the interval is wide."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=100)
    one = bootstrap_ccc(a, a + 0.5, ["x"] * 100, draws=50)
    assert one[0] == one[1] == pytest.approx(ccc(a, a + 0.5))
    b = np.where(np.arange(100) < 50, a, -a)
    low, high = bootstrap_ccc(a, b, ["x"] * 50 + ["y"] * 50, draws=200)
    assert low < -0.9
    assert high > 0.9
