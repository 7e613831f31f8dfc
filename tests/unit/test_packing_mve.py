# SPDX-License-Identifier: Apache-2.0
"""Weights and requantisation of the Helium kernels, vector by vector in numpy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import naive

from wav2small_micro import native
from wav2small_micro.packing import mve
from wav2small_micro.plan import Layer

INT32 = st.integers(-(2**31), 2**31 - 1)
MULTIPLIER = st.integers(2**30, 2**31 - 1)


def saturate(x: int) -> int:
    return min(max(x, -(2**31)), 2**31 - 1)


def clamp(x: int) -> int:
    return min(max(x, -128), 127)


def vqrdmulh(x: int, multiplier: int) -> int:
    return (2 * x * multiplier + 2**31) >> 32


BASE = naive.random_plan(0).convs[1]


def layer(multiplier: int, right: int, zero: int = -128) -> Layer:
    """A layer whose thirteen channels requantise alike."""
    return replace(
        BASE,
        multiplier=np.full(13, multiplier, np.int32),
        shift=np.full(13, -right, np.int8),
        bias=np.full(13, 2**30, np.int32),  # never a channel of zeros
        zero_out=zero,
    )


@settings(deadline=None)
@given(INT32, MULTIPLIER, st.integers(1, 24))
def test_requantisation_under_a_relu(x, multiplier, right):
    """requantise.h: one rounding shift and the clamp are a saturating shift to the left."""
    relu = mve.filters(layer(multiplier, right))["relu"][0]
    biased = saturate(vqrdmulh(x, int(relu["multiplier"])) + int(relu["offset"]))
    got = saturate(biased << int(relu["shift"])) >> 24
    assert got == clamp(native.requantise(x, multiplier, -right) - 128)


@settings(deadline=None)
@given(INT32, MULTIPLIER, st.integers(1, 31), st.integers(-128, 127))
def test_requantisation_without_a_relu(x, multiplier, right, zero):
    signed = mve.points(replace(layer(multiplier, right, zero), weight=np.ones((13, 1, 1, 13))))
    requant = signed["requant"][0]
    y = vqrdmulh(x, int(requant["multiplier"]))
    y = saturate(y - (1 if y < 0 else 0))
    shift = -int(requant["shift"])
    z = (y + (1 << (shift - 1))) >> shift
    assert clamp(z + int(requant["zero"])) == clamp(native.requantise(x, multiplier, -right) + zero)


def test_patches_are_the_filter_at_four_places():
    plan = naive.random_plan(1)
    taps = plan.convs[0].weight[:, :, :, 0].astype(int)  # (out, row, band)
    patch = np.random.default_rng(1).integers(-128, 128, (4, 4))  # [band][row]
    packed = mve.first(plan.convs[0])["patch"].astype(int)
    for band in range(2):
        for row in range(2):
            part = patch[band : band + 3, row : row + 3].T
            expected = (taps * part).sum(axis=(1, 2))
            assert np.array_equal((packed[:, band, row] * patch).sum(axis=(1, 2)), expected)


def test_filters_leave_the_three_spare_channels_out():
    conv = naive.random_plan(2).convs[3]
    packed = mve.filters(conv)["tap"]
    assert np.array_equal(packed[..., :13].transpose(0, 2, 1, 3), conv.weight)
    assert not packed[..., 13:].any()


def test_pairs_are_rows_of_the_matrix():
    plan = naive.random_plan(3)
    packed = mve.pairs(plan.lin)
    matrix = packed["weight"].transpose(0, 2, 1, 3).reshape(170, 176)
    assert np.array_equal(matrix[:169, :169], plan.lin.weight.reshape(169, 169))
    assert not matrix[169].any()
    assert not matrix[:, 169:].any()
    assert np.array_equal(packed["requant"]["bias"].ravel()[:169], plan.lin.bias)


def test_a_channel_of_zeros_needs_no_shift():
    """Its step may be as large as it likes."""
    plan = naive.random_plan(4)
    shift = plan.convs[2].shift.copy()
    shift[5] = -30
    relu = mve.filters(replace(plan.convs[2], shift=shift))["relu"][5]
    assert (relu["multiplier"], relu["shift"]) == (0, 23)


def test_a_model_that_does_not_fit_stops_the_build_with_the_reason():
    plan = naive.random_plan(5)
    fine = replace(plan.convs[4], shift=np.zeros(13, np.int8))
    text = mve.source(replace(plan, convs=(*plan.convs[:4], fine, *plan.convs[5:])))
    assert '#error "random-5: l5: channel 0 shifts by 0, not 1 .. 24' in text


@pytest.mark.parametrize("architecture", ["72k", "17k"])
def test_source_has_all_layers(architecture):
    text = mve.source(naive.random_plan(6, architecture))
    for name in ("l1", "l2", "l3", "l4", "l5", "l6", "l7", "lin", "sof"):
        assert f" {name}[" in text
    assert "\nconst w2s_packed_weights w2s_packed_weights_data = {\n" in text
