# SPDX-License-Identifier: Apache-2.0
"""Weights of the Helium kernels: pixels of 16 bytes, filters in the order that they are used in.

The structures are those of ``kernels/mve/mve.h``, field by field; requantisation constants are
derived in ``kernels/mve/requantise.h``.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.plan import CHANNELS, WIDE, Layer, Plan

LANES = 16
DENSE = 11
"""Vectors in a row of 169."""
TOP_BYTE = 24

_RELU = [("bias", "<i4"), ("multiplier", "<i4"), ("offset", "<i4"), ("shift", "<i4")]
_SIGNED = [("bias", "<i4"), ("multiplier", "<i4"), ("shift", "<i4"), ("zero", "<i4")]
FIRST = np.dtype([("patch", "i1", (2, 2, 4, 4)), ("relu", _RELU)])
FILTER = np.dtype([("tap", "i1", (3, 3, LANES)), ("relu", _RELU)])
PAIR = np.dtype([("weight", "i1", (DENSE, 2, LANES)), ("requant", _SIGNED, (2,))])
POINT = np.dtype([("weight", "i1", (LANES,)), ("requant", _SIGNED)])

Records = NDArray[np.void]


class DoesNotFitError(ValueError):
    """A layer that these kernels cannot requantise."""


@dataclass(frozen=True)
class Packed:
    """A model's weights, as ``w2s_packed_weights`` of mve.h points to them."""

    first: Records
    convs: tuple[Records, ...]
    """l2 .. l7."""
    lin: Records
    """PAIR for 72K, POINT for 17K."""
    sof: Records


def _scaling(layer: Layer, channel: int, most_shift: int) -> tuple[int, int]:
    """Multiplier and right shift of a channel, the shift in 1 .. ``most_shift``.

    Where every sum rounds to 0, a multiplier of 0 gives the same with any shift. Raises
    :class:`DoesNotFitError` for other shifts out of range.
    """
    multiplier, right = int(layer.multiplier[channel]), -int(layer.shift[channel])
    # Inputs are at most 128 in magnitude; the bias has their zero point in it.
    most = 128 * int(np.abs(layer.weight[channel].astype(np.int64)).sum())
    most += abs(int(layer.bias[channel]))
    if most * multiplier + 2**30 < 2 ** (30 + right):
        return 0, 1
    if not 1 <= right <= most_shift:
        raise DoesNotFitError(f"channel {channel} shifts by {right}, not 1 .. {most_shift}")
    return multiplier, right


def _relu(layer: Layer, channel: int) -> tuple[int, int, int, int]:
    if (layer.zero_out, layer.minimum) != (-128, -128):
        raise DoesNotFitError(f"a ReLU whose zero is {layer.zero_out}, not -128")
    multiplier, right = _scaling(layer, channel, TOP_BYTE)
    offset = (1 << (right - 1)) - (128 << right)
    return int(layer.bias[channel]), multiplier, offset, TOP_BYTE - right


def _signed(layer: Layer, channel: int) -> tuple[int, int, int, int]:
    multiplier, right = _scaling(layer, channel, 31)
    return int(layer.bias[channel]), multiplier, -right, layer.zero_out


def first(layer: Layer) -> Records:
    """l1: the filter at the four places that it can have in a patch of 4 bands x 4 rows."""
    out = np.zeros(CHANNELS, FIRST)
    for channel, record in enumerate(out):
        taps = layer.weight[channel, :, :, 0].T  # [band][row]
        for band in range(2):
            for row in range(2):
                record["patch"][band, row, band : band + 3, row : row + 3] = taps
        record["relu"] = _relu(layer, channel)
    return out


def filters(layer: Layer) -> Records:
    """A convolution 13->13: [kx][ky][channel], three channels of zeros behind the thirteen."""
    out = np.zeros(CHANNELS, FILTER)
    out["tap"][..., :CHANNELS] = layer.weight.transpose(0, 2, 1, 3)
    for channel, record in enumerate(out):
        record["relu"] = _relu(layer, channel)
    return out


def pairs(layer: Layer) -> Records:
    """lin or sof of 72K: vectors of two outputs in turn. The 170th output is nothing."""
    outputs = np.zeros((WIDE + 1, DENSE * LANES), np.int8)
    outputs[:WIDE, :WIDE] = layer.weight.reshape(WIDE, WIDE)
    out = np.zeros((WIDE + 1) // 2, PAIR)
    out["weight"] = outputs.reshape(-1, 2, DENSE, LANES).transpose(0, 2, 1, 3)
    requant = out["requant"].reshape(-1)  # a copy: both fields of a pair in a row
    for channel in range(WIDE):
        requant[channel] = _signed(layer, channel)
    requant[WIDE] = (0, 0, -1, 0)
    out["requant"] = requant.reshape(-1, 2)
    return out


def points(layer: Layer) -> Records:
    """lin or sof of 17K: a 1x1 convolution."""
    out = np.zeros(CHANNELS, POINT)
    out["weight"][:, :CHANNELS] = layer.weight.reshape(CHANNELS, CHANNELS)
    for channel, record in enumerate(out):
        record["requant"] = _signed(layer, channel)
    return out


def pack(plan: Plan) -> Packed:
    """Packs a plan. Raises :class:`DoesNotFitError`, naming the layer, for what cannot be run."""
    named = [(f"l{i}", layer) for i, layer in enumerate(plan.convs, start=1)]
    named += [("lin", plan.lin), ("sof", plan.sof)]
    dense = pairs if plan.architecture == "72k" else points
    ways = [first, *[filters] * 6, dense, dense]
    packed = []
    for (name, layer), way in zip(named, ways, strict=True):
        try:
            packed.append(way(layer))
        except DoesNotFitError as error:
            raise DoesNotFitError(f"{name}: {error}") from None
    return Packed(packed[0], tuple(packed[1:7]), packed[7], packed[8])


# --- C ----------------------------------------------------------------------------------------


def _initialiser(value: np.generic | NDArray[np.generic]) -> str:
    """A number, array or record as a C initialiser."""
    if isinstance(value, np.void) and value.dtype.names:
        return "{" + ", ".join(_initialiser(value[name]) for name in value.dtype.names) + "}"
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return "{" + ", ".join(_initialiser(item) for item in value) + "}"
    return str(int(value.item()))


def _array(kind: str, name: str, records: Records) -> str:
    body = textwrap.fill(
        ", ".join(_initialiser(record) for record in records) + ",",
        98,
        initial_indent="    ",
        subsequent_indent="    ",
    )
    return f"static const {kind} {name}[{len(records)}] = {{\n{body}\n}};\n\n"


def source(plan: Plan) -> str:
    """``weights_mve.c``: a model's weights, packed for the Helium kernels.

    A model that they cannot run gives a file that says so to whoever builds with it.
    """
    head = (
        "// SPDX-License-Identifier: Apache-2.0\n//\n"
        f"// weights_mve.c: {plan.name}, packed for kernels/mve, from the .tflite with SHA-256\n"
        f"// {plan.sha256}\n"
        '#include "weights.h"\n\n// clang-format off\n\n#ifdef W2S_KERNELS_MVE\n\n'
    )
    tail = "\n#endif\n\n// clang-format on\n"
    try:
        packed = pack(plan)
    except DoesNotFitError as error:
        return f'{head}#error "{plan.name}: {error}: build with W2S_KERNELS=portable"\n{tail}'
    parts = [head, _array("w2s_mve_first", "l1", packed.first)]
    names = [f"l{i}" for i in range(2, 8)]
    for name, records in zip(names, packed.convs, strict=True):
        parts.append(_array("w2s_mve_filter", name, records))
    kind, field = ("pair", "pairs") if plan.architecture == "72k" else ("point", "points")
    for name in ("lin", "sof"):
        parts.append(_array(f"w2s_mve_{kind}", name, getattr(packed, name)))
    parts.append(
        "const w2s_packed_weights w2s_packed_weights_data = {\n"
        "    .first = l1,\n"
        f"    .conv = {{{', '.join(names)}}},\n"
        f"    .lin_{field} = lin,\n    .sof_{field} = sof,\n}};\n"
    )
    return "".join(parts) + tail
