# SPDX-License-Identifier: Apache-2.0
"""Why a layer's rows differ: from the rows alone, down to the weight where one weight it is.

Every layer is judged by the device's own rows of the layer before it, so that a defect is found
where it is and not in all that follows. A channel that differs is explained by solving for what
would have given its rows: each int8 output bounds the sum that it came from, and a change of the
bias, of one weight or of the shift must lie within the bounds of every output at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import layers
from wav2small_micro.hil.diagnosis import Diagnosis, Finding
from wav2small_micro.link.messages import LOGMEL_PER_DB
from wav2small_micro.plan import MEL, Layer, Plan

Rows = NDArray[Any]
_FARTHEST_SHIFT = 4  # rows
_SHIFTS = [k for k in range(-8, 9) if k]
_FAR = 2**40  # beyond any sum


def explain(name: str, plan: Plan, rows: Mapping[str, Rows], expected: Rows) -> Finding | None:
    """What is the matter with a layer's rows; None where nothing is, or only what came before.

    ``rows``: of the device, by layer, (T, ...) each; ``expected``: the right rows of this layer.
    """
    got = rows[name]
    if np.array_equal(got, expected):
        return None
    if got.shape != expected.shape:
        return Finding(
            Diagnosis.ROWS_MISSING, f"{name} has rows of {got.shape}, not of {expected.shape}"
        )
    order = _explain_order(name, got, expected)
    if order:
        return order
    if name == "logmel":
        return _explain_front_end(got, expected)
    before = "logmel" if name == "input" else layers.source(name)
    if rows[before].shape[1:] != layers.SHAPES[before]:
        return None  # those are the ones to blame
    local = _from_rows_before(name, plan, rows[before])
    if np.array_equal(got, local.reshape(got.shape)):
        return None
    order = _explain_order(name, got, local.reshape(got.shape))
    if order:
        return order
    seen = _extent(name, got, local.reshape(got.shape))
    if name == "input":
        return Finding(Diagnosis.INPUT_DIFFERS, seen)
    if name == "pool":
        return Finding(Diagnosis.POOL_DIFFERS, seen)
    return _explain_layer(name, plan, rows[before], got, local, seen)


def _from_rows_before(name: str, plan: Plan, before: Rows) -> Rows:
    if name == "input":
        return layers.quantise(before, plan)
    return layers.run(name, before[..., None] if name == "l1" else before, plan)


def _extent(name: str, got: Rows, right: Rows) -> str:
    apart = got != right
    count = int(apart.reshape(len(got), -1).any(axis=1).sum())
    return f"{name}: {int(apart.sum())} of {apart.size} values, in {count} of {len(got)} rows"


# --- Order --------------------------------------------------------------------------------------


def _explain_order(name: str, got: Rows, right: Rows) -> Finding | None:
    """Right rows at wrong places."""
    flat, wanted = got.reshape(len(got), -1), right.reshape(len(right), -1)
    apart = np.flatnonzero((flat != wanted).any(axis=1))
    moved, home = (sorted(row.tobytes() for row in rows[apart]) for rows in (flat, wanted))
    if len(apart) > 1 and moved == home:
        named = ", ".join(str(i) for i in apart[:4]) + (" ..." if len(apart) > 4 else "")
        return Finding(Diagnosis.ROWS_SWAPPED, f"{name}: rows {named} stand in each other's place")
    for by in range(1, min(_FARTHEST_SHIFT + 1, len(got))):
        if np.array_equal(flat[by:], wanted[:-by]):
            return Finding(Diagnosis.ROWS_SHIFTED, f"{name}: every row comes {by} too late")
        if np.array_equal(flat[:-by], wanted[by:]):
            return Finding(Diagnosis.ROWS_SHIFTED, f"{name}: every row comes {by} too early")
    return None


def _swapped_channels(got: Rows, right: Rows, channels: NDArray[np.intp]) -> bool:
    moved, home = (
        sorted(rows[..., channel].tobytes() for channel in channels) for rows in (got, right)
    )
    return len(channels) > 1 and moved == home


# --- Front end ----------------------------------------------------------------------------------


def _explain_front_end(got: Rows, expected: Rows) -> Finding:
    apart = got != expected
    bands = np.flatnonzero(apart.any(axis=0))
    worst = np.abs(got.astype(np.int64) - expected).max() / LOGMEL_PER_DB
    where = (
        "in every band"
        if len(bands) >= MEL - 1
        else f"in band{'s' * (len(bands) > 1)} {', '.join(map(str, bands))} alone"
    )
    return Finding(
        Diagnosis.FRONT_END_DIFFERS,
        f"{_extent('log-mel', got, expected)}, {where}, by up to {worst:.2f} dB",
    )


# --- Layers -------------------------------------------------------------------------------------


def _explain_layer(
    name: str, plan: Plan, before: Rows, got: Rows, right: Rows, seen: str
) -> Finding:
    layer = layers.layer_of(plan, name)
    outputs = len(layer.weight)
    wide_got, wide_right = (x.reshape(len(x), -1, outputs) for x in (got, right))
    channels = np.flatnonzero((wide_got != wide_right).any(axis=(0, 1)))
    if _swapped_channels(wide_got, wide_right, channels):
        named = ", ".join(map(str, channels))
        return Finding(Diagnosis.CHANNELS_SWAPPED, f"{name}: channels {named}")
    if len(channels) > 1:
        return Finding(
            Diagnosis.WEIGHTS_DIFFER, f"{seen}, in {len(channels)} of {outputs} channels"
        )
    channel = int(channels[0])
    where = f"{seen}, all in channel {channel} of {outputs}"
    seen_before = before[..., None] if name == "l1" else before
    taps = layers.patches(seen_before, layer).reshape(-1, layer.weight[0].size).astype(np.int64)
    total = layers.sums(seen_before, layer)[..., channel].ravel()
    return explain_channel(layer, channel, taps, total, wide_got[..., channel].ravel(), where)


def explain_channel(
    layer: Layer,
    channel: int,
    taps: NDArray[np.int64],
    total: NDArray[np.int64],
    got: NDArray[np.int8],
    where: str,
) -> Finding:
    """What one change of a channel gives ``got`` (N,) from ``taps`` (N, weights).

    ``total``: the right sums, (N,).
    """
    multiplier, shift = int(layer.multiplier[channel]), int(layer.shift[channel])
    low, high = _bounds(got, layer, multiplier, shift)
    found = [
        (Diagnosis.SHIFT_DIFFERS, f"as if shifted by {-shift - k}, not {-shift}")
        for k in _SHIFTS
        if shift + k <= 0 and np.array_equal(_requantised(total, layer, multiplier, shift + k), got)
    ]
    if bias := _between(np.max(low - total), np.min(high - total)):
        found.append((Diagnosis.BIAS_DIFFERS, f"its bias seems changed by {bias}"))
    if weights := _weights(layer, taps, total, low, high):
        found.append((Diagnosis.WEIGHT_DIFFERS, _weight_words(layer, weights)))
    if not found:
        return Finding(Diagnosis.WEIGHTS_DIFFER, f"{where}; no one weight, bias or shift alone")
    if len(found) > 1:
        words = "; or ".join(words for _, words in found)
        return Finding(Diagnosis.WEIGHTS_DIFFER, f"{where}: too little differs to tell: {words}")
    diagnosis, words = found[0]
    return Finding(diagnosis, f"{where}: {words}")


def _weight_words(layer: Layer, candidates: list[tuple[int, str]]) -> str:
    index, change = candidates[0]
    at = np.unravel_index(index, layer.weight.shape[1:])
    place = ", ".join(f"{axis} {i}" for axis, i in zip(("ky", "kx", "input"), at, strict=True))
    more = f" (or one of {len(candidates) - 1} others)" if len(candidates) > 1 else ""
    return f"its weight at {place} seems changed by {change}{more}"


def _requantised(
    total: NDArray[np.int64], layer: Layer, multiplier: int, shift: int
) -> NDArray[np.int64]:
    scaled = layers.rescale(total, np.array(multiplier), np.array(shift))
    return np.clip(scaled + layer.zero_out, layer.minimum, 127)


def _bounds(
    got: NDArray[np.int8], layer: Layer, multiplier: int, shift: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The least and the greatest sum that gives each output."""
    values = np.arange(-127, 128)
    low, high = np.full(len(values), -(2**31)), np.full(len(values), 2**31 - 1)
    while (low < high).any():  # least sum that gives each value or more
        middle = (low + high) // 2
        enough = _requantised(middle, layer, multiplier, shift) >= values
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    least = np.concatenate([[-_FAR], low, [_FAR]])
    index = got.astype(np.int64) + 128
    return least[index], least[index + 1] - 1


def _between(low: np.int64, high: np.int64) -> str:
    """The changes from ``low`` to ``high`` in words; empty where there is none but 0."""
    if low > high or low <= 0 <= high:
        return ""
    return f"{low:+d}" if low == high else f"{low:+d} to {high:+d}"


def _weights(
    layer: Layer,
    taps: NDArray[np.int64],
    total: NDArray[np.int64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> list[tuple[int, str]]:
    """Weights whose change alone explains every output, and the changes."""
    room_below, room_above = (low - total)[:, None], (high - total)[:, None]
    # Kernels differ in what they multiply with: q, q + 128, q less its zero point.
    for offset in dict.fromkeys((0, 128, -layer.zero_in)):
        x = taps + offset
        divisor = np.where(x == 0, 1, np.abs(x))
        least = np.where(x > 0, room_below, -room_above)
        most = np.where(x > 0, room_above, -room_below)
        least, most = -((-least) // divisor), most // divisor
        fits = (x != 0) | ((room_below <= 0) & (room_above >= 0))
        least, most = np.where(x == 0, -_FAR, least), np.where(x == 0, _FAR, most)
        least, most = least.max(axis=0), most.min(axis=0)
        found = [
            (int(i), _between(np.maximum(least[i], -255), np.minimum(most[i], 255)))
            for i in np.flatnonzero((least <= most) & fits.all(axis=0))
        ]
        if named := [(i, change) for i, change in found if change]:
            return named
    return []


def counts(rows: Mapping[str, Rows], expected: Mapping[str, Rows]) -> dict[str, int]:
    """Values that differ, by layer."""
    return {
        name: int((rows[name].ravel() != expected[name].ravel()).sum())
        if rows[name].size == expected[name].size
        else expected[name].size
        for name in expected
    }
