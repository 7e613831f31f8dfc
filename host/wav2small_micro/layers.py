# SPDX-License-Identifier: Apache-2.0
"""The int8 network written out plainly in numpy, one layer at a time.

Slow and simple on purpose: what the C kernels are compared with where no .tflite is at hand, and
how a layer that differs on a device is told from one that only hands on what came before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.plan import BANDS, CHANNELS, WIDE, Layer, Plan

Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]

ORDER = ("l1", "l2", "l3", "pool", "l4", "l5", "l6", "l7", "lin", "sof")
"""Layers as the rows pass through them."""


def source(name: str) -> str:
    """Whose rows a layer reads."""
    return {"l1": "input", "lin": "l7", "sof": "l7"}.get(name) or ORDER[ORDER.index(name) - 1]


def rescale(total: NDArray[Any], multiplier: NDArray[Any], shift: NDArray[Any]) -> Int64:
    """TFLite's double rounding of sums whose last axis goes by output channel."""
    product = total.astype(np.int64) * np.asarray(multiplier, np.int64)
    nudged = product + np.where(product >= 0, 2**30, 1 - 2**30)
    high = np.abs(nudged) // 2**31 * np.sign(nudged)
    right = -np.asarray(shift, np.int64)
    half = np.where(right > 0, 2 ** np.maximum(right - 1, 0), 0)
    scaled: Int64 = (np.abs(high) + half) // 2**right * np.sign(high)
    return scaled


def requantise(total: NDArray[Any], layer: Layer) -> Int8:
    """Sums, by output channel (the last axis), to int8."""
    scaled = rescale(total, layer.multiplier, layer.shift)
    return np.clip(scaled + layer.zero_out, layer.minimum, 127).astype(np.int8)


def quantise(logmel: NDArray[np.int16], plan: Plan) -> Int8:
    """Log-mel rows in 1/128 dB, (T, 26), to the network's input."""
    steps = (logmel.astype(np.int64) * plan.input_multiplier + 2**23) >> 24
    return np.clip(steps + plan.input_zero, -128, 127).astype(np.int8)


def patches(rows: Int8, layer: Layer) -> Int8:
    """What each output of a layer sees: (T, bands, ...) to (T, positions, taps).

    Taps lie as in ``layer.weight[output].ravel()``. 3x3 convolutions are padded by the zero point;
    lin and sof see one pixel (17K) or the whole row (72K).
    """
    kernel = layer.weight.shape[1:]
    if kernel[0] == 1:
        return rows.reshape(len(rows), -1, int(np.prod(kernel)))
    rows = rows.reshape(*rows.shape[:2], -1)
    padded = np.pad(rows, ((1, 1), (1, 1), (0, 0)), constant_values=layer.zero_in)
    seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
    return seen.transpose(0, 1, 3, 4, 2).reshape(*rows.shape[:2], -1)


def sums(rows: Int8, layer: Layer) -> Int64:
    """Sums of a layer before requantisation: (T, positions, outputs)."""
    weight = layer.weight.reshape(len(layer.weight), -1).astype(np.float64)
    # Exact: below 2^53.
    total: Int64 = (patches(rows, layer).astype(np.float64) @ weight.T).astype(np.int64)
    return total + layer.bias


def max_pool(rows: Int8) -> Int8:
    """3x3, stride 2, padding 1: (T, 26, 13) to (ceil(T / 2), 13, 13)."""
    padded = np.pad(rows, ((1, 2), (1, 1), (0, 0)), constant_values=-128)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
    pooled: Int8 = windows[::2, ::2][: (len(rows) + 1) // 2].max(axis=(3, 4))
    return pooled


def layer_of(plan: Plan, name: str) -> Layer:
    """The plan of ``l1`` .. ``l7``, ``lin`` or ``sof``."""
    if name in ("lin", "sof"):
        return plan.lin if name == "lin" else plan.sof
    return plan.convs[int(name[1:]) - 1]


def run(name: str, rows: Int8, plan: Plan) -> Int8:
    """Rows of one layer from those of its :func:`source`."""
    if name == "pool":
        return max_pool(rows)
    layer = layer_of(plan, name)
    out = requantise(sums(rows, layer), layer)
    return out.reshape(len(rows), WIDE) if name in ("lin", "sof") else out


def network(rows: Int8, plan: Plan) -> dict[str, Int8]:
    """Every layer's rows for an int8 input (T, 26), by the names that native.LAYERS gives."""
    found = {"input": rows[:, :, None]}
    for name in ORDER:
        found[name] = run(name, found[source(name)], plan)
    del found["input"]
    return found


SHAPES = {
    "logmel": (26,),
    "input": (26,),
    **dict.fromkeys(("l1", "l2", "l3"), (26, CHANNELS)),
    **dict.fromkeys(("pool", "l4", "l5", "l6", "l7"), (BANDS, CHANNELS)),
    "lin": (WIDE,),
    "sof": (WIDE,),
}
"""Shape of a row by layer."""
