# SPDX-License-Identifier: Apache-2.0
"""The algebra and the ranges of the DSP kernels."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import naive

from wav2small_micro import codegen, native
from wav2small_micro.packing import dsp

# B^T of transform.S and A^T of winograd.S, as their header comments state them.
B = np.array(
    [
        [4, 0, -21, 0, 21, 0, -4, 0],
        [0, 4, 4, -17, -17, 4, 4, 0],
        [0, -4, 4, 17, -17, -4, 4, 0],
        [0, 2, 1, -10, -5, 8, 4, 0],
        [0, -2, 1, 10, -5, -8, 4, 0],
        [0, 4, 8, -5, -10, 1, 2, 0],
        [0, -4, 8, 5, -10, -1, 2, 0],
        [0, -4, 0, 21, 0, -21, 0, 4],
    ]
)
A = np.array(
    [
        [1, 1, 1, 1, 1, 32, 32, 0],
        [0, 1, -1, 2, -2, 16, -16, 0],
        [0, 1, 1, 4, 4, 8, 8, 0],
        [0, 1, -1, 8, -8, 4, -4, 0],
        [0, 1, 1, 16, 16, 2, 2, 0],
        [0, 1, -1, 32, -32, 1, -1, 1],
    ]
)


def test_winograd_is_360_convolutions():
    for tap in range(3):
        g = np.eye(3, dtype=int)[tap]
        shifted = np.eye(8, dtype=int)[tap : tap + 6]
        assert np.array_equal(A @ np.diag(dsp.G @ g) @ B, 360 * shifted)


def test_transforms_stay_in_halfwords():
    # Inputs are 0 .. 255; weights -127 .. 127.
    for rows in (np.maximum(B, 0), np.maximum(-B, 0)):
        assert rows.sum(axis=1).max() <= dsp.INPUT_TRANSFORM_GAIN
    assert dsp.INPUT_TRANSFORM_GAIN * 255 < 2**15
    # Before the subtraction of halfwords, sums of what is not negative must not carry.
    assert (21 + 4) * 255 < 2**16
    assert np.abs(dsp.G).sum(axis=1).max() * 127 < 2**15


def scaled(a: int, multiplier: int, shift: int, zero: int) -> tuple[int, int]:
    """requantise.h in Python integers: with the sign term, and as behind a ReLU (zero -128)."""
    k = 13 + shift
    high = ((a << k) * multiplier >> 32) + (1 << (k - 2))
    general = high - ((1 << (k - 1)) if high < 0 else 0) + (1 << 11) + ((zero + 128) << 12)
    relu = high + (1 << 11)
    return min(max(general >> 12, 0), 255) - 128, min(max(relu >> 12, 0), 255) - 128


@given(
    st.integers(-(2**22), 2**22),
    st.integers(2**30, 2**31 - 1),
    st.integers(-11, -5),
    st.integers(-128, 127),
)
def test_two_instructions_round_as_tflite_does(a, multiplier, shift, zero):
    wanted = native.requantise(a, multiplier, shift)
    general, relu = scaled(a, multiplier, shift, zero)
    assert general == min(max(wanted + zero, -128), 127)
    assert relu == min(max(wanted - 128, -128), 127)


@pytest.mark.parametrize("shift", range(-11, -4))
def test_rounding_at_every_tie(shift):
    # A power of two as the multiplier makes ties of both roundings common: all of them, both signs.
    for multiplier in (2**30, 2**30 + 1, 2**31 - 1):
        for a in range(-(2**13), 2**13):
            wanted = native.requantise(a, multiplier, shift)
            general, relu = scaled(a, multiplier, shift, 5)
            assert general == min(max(wanted + 5, -128), 127)
            assert relu == min(max(wanted - 128, -128), 127)


def test_a_layer_out_of_range_gets_the_direct_kernel_and_says_so():
    plan = naive.random_plan(3)
    wide = replace(plan.convs[4], shift=np.full(13, -12, np.int8))
    packed = dsp.pack(replace(plan, convs=(*plan.convs[:4], wide, *plan.convs[5:])))
    assert packed.convs[3] is None
    assert packed.directs[3] is not None
    assert packed.notes == ["l5: right shifts of 12 .. 12, not 5 .. 10"]


def test_a_model_that_does_not_fit_stops_the_build_with_the_reason():
    plan = naive.random_plan(3)
    lin = replace(plan.lin, shift=np.full(169, -13, np.int8))
    text = codegen.dsp_source(replace(plan, lin=lin))
    assert '#error "random-3: lin: right shifts of 13 .. 13' in text
