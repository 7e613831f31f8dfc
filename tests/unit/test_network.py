# SPDX-License-Identifier: Apache-2.0
"""The C library's network, attention and head against plain numpy, over random models."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import naive

from wav2small_micro import attention, layers, native, reference
from wav2small_micro.errors import W2sError

ARCHITECTURES = st.sampled_from(["72k", "17k"])
# Every kernel set that runs on a host; dsp and compact with the C twins of their assembler.
KERNELS = st.sampled_from(["portable", "dsp", "compact"])
# Right shifts of the convolutions inside the ranges of every kernel, or straying out of them.
GAINS = st.sampled_from([naive.USUAL, naive.WILD])


def noise(samples: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.uniform(0, 1, samples // 500 + 1), 500)[:samples]
    return (rng.normal(0, 3000, samples) * envelope).clip(-32768, 32767).astype(np.int16)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    ARCHITECTURES,
    KERNELS,
    GAINS,
    st.integers(64, 2500),
    st.integers(1, 700),
)
def test_every_layer(seed, architecture, kernels, gain, samples, block):
    plan = naive.random_plan(seed, architecture, gain)
    pcm = noise(samples, seed)
    got = native.Network(plan, kernels).run(pcm, rows=native.LAYERS, block=block).rows
    assert len(got["input"]) == reference.frame_count(samples)
    for name, rows in layers.network(got["input"], plan).items():
        assert np.array_equal(got[name], rows), name


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), ARCHITECTURES, st.integers(64, 30_000), st.integers(1, 7))
def test_attention_and_head(seed, architecture, samples, window):
    plan = naive.random_plan(seed, architecture)
    output = native.Network(plan).run(
        noise(samples, seed), rows=("lin", "sof"), window_segments=window
    )
    lin, sof = output.rows["lin"], output.rows["sof"]
    assert np.array_equal(output.adv_q16, attention.pool(lin, sof, plan))
    # The last window may still be in the layers when the last block has been pushed.
    expected = attention.windows(lin, sof, plan, window)
    assert len(expected) - len(output.windows) in (0, 1)
    assert np.array_equal(output.windows, expected[: len(output.windows)])


def test_input_is_the_quantised_logmel():
    plan = naive.random_plan(1)
    rows = native.Network(plan).run(noise(8000, 1), rows=("logmel", "input")).rows
    steps = np.floor(rows["logmel"].astype(np.float64) * plan.input_multiplier / 2**24 + 0.5)
    expected = np.clip(steps + plan.input_zero, -128, 127)
    assert np.array_equal(rows["input"], expected)


@pytest.mark.parametrize("kernels", ["dsp", "compact"])
@pytest.mark.parametrize("frames", range(1, 30))
def test_every_tail_of_a_batch(frames, kernels):
    plan = naive.random_plan(frames)
    pcm = noise(32 * (frames + 1), frames)
    portable = native.Network(plan).run(pcm, rows=native.LAYERS)
    fast = native.Network(plan, kernels).run(pcm, rows=native.LAYERS)
    for name in native.LAYERS:
        assert np.array_equal(portable.rows[name], fast.rows[name]), name
    assert np.array_equal(portable.adv_q16, fast.adv_q16)


@pytest.mark.parametrize("kernels", ["portable", "dsp", "compact"])
def test_a_context_serves_again(kernels):
    plan = naive.random_plan(2)
    network = native.Network(plan, kernels)
    first = network.run(noise(9000, 2), rows=("lin",))
    network.run(noise(3333, 3), norm="live")
    again = network.run(noise(9000, 2), rows=("lin",))
    assert np.array_equal(first.adv_q16, again.adv_q16)
    assert np.array_equal(first.rows["lin"], again.rows["lin"])


def test_buffered_normalisation_is_close_to_given():
    plan = naive.random_plan(4)
    network = native.Network(plan)
    pcm = noise(32_000, 4)
    given_rows = network.run(pcm, rows=("logmel",)).rows["logmel"] / native.DB_STEPS
    buffered = network.run(pcm, "buffered", rows=("logmel",)).rows["logmel"] / native.DB_STEPS
    # Bands 1 and 2 hold bin 1, where the running mean stands in for that of the whole clip.
    audible = (given_rows > -60) & (np.arange(26) > 2)
    # Half-decibel steps are wrong by a quarter at most.
    assert np.abs(given_rows - buffered)[audible].max() < 0.27


def test_buffer_has_an_end():
    network = native.Network(naive.random_plan(5))
    with pytest.raises(W2sError, match="longer"):
        network.run(np.zeros(21 * 16000, np.int16), "buffered")


def test_one_frame_is_enough_and_less_is_not():
    network = native.Network(naive.random_plan(6))
    assert network.run(noise(64, 6), rows=("lin",)).rows["lin"].shape == (1, 169)
    with pytest.raises(W2sError, match="shorter than one frame"):
        network.run(noise(63, 6))
