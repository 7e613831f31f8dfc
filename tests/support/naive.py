# SPDX-License-Identifier: Apache-2.0
"""The int8 network written out plainly in numpy, and random models to try it on.

Slow and simple on purpose: what the C kernels are compared with where no .tflite is at hand.
"""

import numpy as np

from wav2small_micro.plan import Layer, Plan, exp_table


def requantise(total: np.ndarray, layer: Layer) -> np.ndarray:
    """TFLite's double rounding, by output channel (the last axis), and the clamp to int8."""
    product = total.astype(np.int64) * layer.multiplier.astype(np.int64)
    nudged = product + np.where(product >= 0, 2**30, 1 - 2**30)
    high = np.abs(nudged) // 2**31 * np.sign(nudged)
    right = -layer.shift.astype(np.int64)
    half = np.where(right > 0, 2 ** np.maximum(right - 1, 0), 0)
    rounded = (np.abs(high) + half) // 2**right * np.sign(high)
    return np.clip(rounded + layer.zero_out, layer.minimum, 127).astype(np.int8)


def conv3x3(rows: np.ndarray, layer: Layer) -> np.ndarray:
    """(T, bands, in) int8 to (T, bands, out) int8, padded by the zero point."""
    padded = np.pad(rows, ((1, 1), (1, 1), (0, 0)), constant_values=layer.zero_in).astype(np.int64)
    time, bands, _ = rows.shape
    total = np.zeros((time, bands, len(layer.weight)), np.int64) + layer.bias
    for ky in range(3):
        for kx in range(3):
            tap = layer.weight[:, ky, kx].astype(np.int64)
            total += padded[ky : ky + time, kx : kx + bands] @ tap.T
    return requantise(total, layer)


def max_pool(rows: np.ndarray) -> np.ndarray:
    """3x3, stride 2, padding 1: (T, 26, 13) to (ceil(T / 2), 13, 13)."""
    padded = np.pad(rows, ((1, 2), (1, 1), (0, 0)), constant_values=-128)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
    return windows[::2, ::2][: (len(rows) + 1) // 2].max(axis=(3, 4))


def network(rows: np.ndarray, plan: Plan) -> dict[str, np.ndarray]:
    """Every layer's rows for an int8 input (T, 26), by the names that native.LAYERS gives."""
    out = {}
    x = rows[:, :, None]
    for i, layer in enumerate(plan.convs, start=1):
        x = out[f"l{i}"] = conv3x3(x, layer)
        if i == 3:
            x = out["pool"] = max_pool(x)
    for name, layer in (("lin", plan.lin), ("sof", plan.sof)):
        if plan.architecture == "72k":
            flat = x.reshape(len(x), 169).astype(np.int64)
            total = flat @ layer.weight.reshape(169, 169).T.astype(np.int64) + layer.bias
        else:
            total = x.astype(np.int64) @ layer.weight.reshape(13, 13).T.astype(np.int64)
            total += layer.bias
        out[name] = requantise(total, layer).reshape(len(x), 169)
    return out


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
