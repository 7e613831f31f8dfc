# SPDX-License-Identifier: Apache-2.0
"""Requantisation: the library's bits against TFLite's definition, written out again in Python."""

import math
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from wav2small_micro import native
from wav2small_micro.plan import quantised_multiplier

# Sums of 117 products of int8 plus a bias stay far inside.
SUMS = st.integers(-(2**29), 2**29)
MULTIPLIERS = st.integers(2**30, 2**31 - 1)


def half_away(x: Fraction) -> int:
    """Nearest integer, halves away from zero."""
    return math.floor(abs(x) + Fraction(1, 2)) * (1 if x >= 0 else -1)


@given(SUMS, MULTIPLIERS, st.integers(-31, 0))
@example(-(2**29), 2**31 - 1, 0)
@example(3, 2**30, -1)
@example(-3, 2**30, -1)
def test_two_roundings(x, multiplier, shift):
    # SaturatingRoundingDoublingHighMul rounds its ties upwards below zero: (ab + 1 - 2^30) / 2^31
    # truncates. Both halves, as gemmlowp defines them.
    product = x * multiplier
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)
    assert native.requantise(x, multiplier, shift) == half_away(Fraction(high, 2**-shift))


@given(SUMS, st.floats(1e-6, 0.999))
def test_close_to_the_real_product(x, real):
    multiplier, shift = quantised_multiplier(real)
    assert abs(native.requantise(x, multiplier, shift) - x * real) <= 1 + abs(x * real) * 2**-30


@given(st.floats(1e-9, 1e3))
def test_multiplier_is_normal(real):
    multiplier, shift = quantised_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert math.isclose(multiplier * 2.0 ** (shift - 31), real, rel_tol=2**-30)


def test_zero():
    assert quantised_multiplier(0.0) == (0, 0)
