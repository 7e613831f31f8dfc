# SPDX-License-Identifier: Apache-2.0
"""Random models to try the network on."""

import numpy as np

from wav2small_micro.plan import Layer, Plan, exp_table

Gain = tuple[float, float]
USUAL: Gain = (0.8, 3.0)
"""Output gains, relative to 40 steps a standard deviation: right shifts of 7 .. 11."""
WILD: Gain = (0.05, 8.0)


def random_layer(
    rng: np.random.Generator, shape: tuple[int, ...], zero_in: int, relu: bool, gain: Gain
) -> Layer:
    """Weights over all of int8, sums scaled so that outputs fill int8 and sometimes saturate."""
    weight = rng.integers(-127, 128, shape).astype(np.int8)
    taps = int(np.prod(shape[1:]))
    bias = rng.integers(-2000, 2001, shape[0]) * int(np.sqrt(taps))
    bias -= zero_in * weight.sum(axis=(1, 2, 3), dtype=np.int64)
    # A standard deviation of the sum of about 74 * 74 * sqrt(taps) onto about 40 steps
    real = 40 / (74 * 74 * np.sqrt(taps)) * rng.uniform(*gain, shape[0])
    mantissa, shift = np.frexp(real)
    return Layer(
        weight=weight,
        bias=bias.astype(np.int32),
        multiplier=np.minimum(np.round(mantissa * 2**31), 2**31 - 1).astype(np.int32),
        shift=shift.astype(np.int8),
        zero_in=zero_in,
        zero_out=-128 if relu else int(rng.integers(-60, 61)),
        minimum=-128,
    )


def random_plan(seed: int, architecture: str = "72k", gain: Gain = USUAL) -> Plan:
    """A model of random weights, zero points and scales."""
    rng = np.random.default_rng(seed)
    zero = int(rng.integers(-128, 128))
    convs = [random_layer(rng, (13, 3, 3, 1), zero, relu=True, gain=USUAL)]
    convs += [random_layer(rng, (13, 3, 3, 13), -128, relu=True, gain=gain) for _ in range(6)]
    dense = (169, 1, 13, 13) if architecture == "72k" else (13, 1, 1, 13)
    gram = None
    if architecture == "17k":
        gram = rng.integers(-(2**21), 2**21, (3, 13, 13)).astype(np.int32)
    return Plan(
        name=f"random-{seed}",
        sha256=f"{seed:064x}",
        architecture=architecture,
        input_multiplier=int(rng.integers(2**16, 2**19)),
        input_zero=zero,
        input_scale=1.0,
        convs=tuple(convs),
        lin=random_layer(rng, dense, -128, relu=False, gain=gain),
        sof=random_layer(rng, dense, -128, relu=False, gain=gain),
        lin_scale=1.0,
        exp_table=exp_table(float(rng.uniform(0.01, 0.3))),
        head_weight=rng.integers(-(2**22), 2**22, (3, 169)).astype(np.int32),
        gram_weight=gram,
        head_shift=int(rng.integers(20, 31)),
        gram_shift=int(rng.integers(25, 36)),
        head_bias=rng.integers(0, 2**24, 3).astype(np.int32),
    )
