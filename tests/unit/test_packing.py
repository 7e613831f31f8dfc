# SPDX-License-Identifier: Apache-2.0
"""The algebra and the ranges of the DSP kernels, and of the compact ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import naive

from wav2small_micro import codegen, native
from wav2small_micro.packing import compact, dsp

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


# The same of the compact kernels.
B_COMPACT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
A_COMPACT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


@pytest.mark.parametrize(
    ("algorithm", "a", "b", "scale"),
    [(dsp.F63, A, B, 360), (compact.F43, A_COMPACT, B_COMPACT, 24)],
)
def test_winograd_is_so_many_convolutions(algorithm, a, b, scale):
    rows, inputs = len(a), len(b)
    assert scale == 8 * algorithm.odd
    for tap in range(3):
        g = np.eye(3, dtype=int)[tap]
        shifted = np.eye(inputs, dtype=int)[tap : tap + rows]
        assert np.array_equal(a @ np.diag(algorithm.transform @ g) @ b, scale * shifted)


@pytest.mark.parametrize(("kernels", "b"), [(dsp, B), (compact, B_COMPACT)], ids=["dsp", "compact"])
def test_transforms_stay_in_halfwords(kernels, b):
    # Inputs are 0 .. 255; weights -127 .. 127.
    for rows in (np.maximum(b, 0), np.maximum(-b, 0)):
        assert rows.sum(axis=1).max() <= kernels.INPUT_TRANSFORM_GAIN
    assert kernels.INPUT_TRANSFORM_GAIN * 255 < 2**15
    # Before the subtraction of halfwords, sums of what is not negative must not carry.
    assert (21 + 4) * 255 < 2**16
    assert np.abs(kernels.G).sum(axis=1).max() * 127 < 2**15


def clamp(x: int) -> int:
    return min(max(x, -128), 127)


def relu(a: int, multiplier: int, shift: int) -> int:
    """requantise.h in Python integers: behind a ReLU whose zero is -128."""
    k = 13 + shift
    high = ((a << k) * multiplier >> 32) + (1 << (k - 2))
    return clamp(((high + (1 << 11)) >> 12) - 128)


def general(a: int, multiplier: int, shift: int, zero: int) -> int:
    """And without one: k is 4, the last shift 3 - shift."""
    high = ((a << 4) * multiplier >> 32) + 4
    last = 3 - shift
    return clamp(((high - (8 if high < 0 else 0) + (1 << (last - 1))) >> last) + zero)


@given(
    st.integers(-(2**22), 2**22),
    st.integers(2**30, 2**31 - 1),
    st.integers(-18, -1),
    st.integers(-128, 127),
)
def test_scaled_requantisation_rounds_as_tflite_does(a, multiplier, shift, zero):
    wanted = native.requantise(a, multiplier, shift)
    assert general(a, multiplier, shift, zero) == clamp(wanted + zero)
    if -11 <= shift <= -5:
        assert relu(a, multiplier, shift) == clamp(wanted - 128)


@pytest.mark.parametrize("shift", range(-11, -4))
def test_rounding_at_every_tie(shift):
    # A power of two as the multiplier makes ties of both roundings common: all of them, both signs.
    for multiplier in (2**30, 2**30 + 1, 2**31 - 1):
        for a in range(-(2**13), 2**13):
            wanted = native.requantise(a, multiplier, shift)
            assert general(a, multiplier, shift, 5) == clamp(wanted + 5)
            assert relu(a, multiplier, shift) == clamp(wanted - 128)


def test_a_layer_out_of_range_gets_the_direct_kernel_and_says_so():
    plan = naive.random_plan(3)
    wide = replace(plan.convs[4], shift=np.full(13, -12, np.int8))
    packed = dsp.pack(replace(plan, convs=(*plan.convs[:4], wide, *plan.convs[5:])))
    assert packed.convs[3] is None
    assert packed.directs[3] is not None
    assert packed.notes == ["l5: right shifts of 12 .. 12, not 5 .. 10"]


def test_a_model_that_does_not_fit_stops_the_build_with_the_reason():
    plan = naive.random_plan(3)
    lin = replace(plan.lin, bias=np.full(169, 2**28, np.int32))
    text = codegen.dsp_source(replace(plan, lin=lin))
    assert '#error "random-3: lin: scaled sums up to' in text


def test_a_channel_of_lin_too_small_for_its_rounding_stops_the_build():
    plan = naive.random_plan(3)
    tiny = plan.lin.shift.copy()
    tiny[5] = -20
    with pytest.raises(dsp.DoesNotFitError, match="lin: a right shift of 20, not up to 19"):
        dsp.pack(replace(plan, lin=replace(plan.lin, shift=tiny)))
