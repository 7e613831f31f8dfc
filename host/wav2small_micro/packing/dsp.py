# SPDX-License-Identifier: Apache-2.0
"""Weights of the DSP kernels: Winograd F(6,3) along time, in exact integers.

The six rows that a batch gives are ``y = A^T [(G g) * (B^T d)]`` (Lavin and Gray, arXiv
1509.09308), with the points 0, +-1, +-2, +-1/2 and infinity, and everything scaled to integers:
``G`` by 90 and ``B`` by 4, so that the sums come out 360 times too large. 360 is 8 * 45; 45 has an
inverse modulo 2^32, so one multiplication gives the exact sum back, whatever wrapped on the way.
Ranges are proved here, layer by layer; a layer that leaves them is packed for the direct kernel and
named.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.plan import Layer, Plan

G = np.array(
    [
        [90, 0, 0],
        [-20, -20, -20],
        [-20, 20, -20],
        [1, 2, 4],
        [1, -2, 4],
        [4, 2, 1],
        [4, -2, 1],
        [0, 0, 90],
    ]
)
"""Weight transform: (8 points, 3 taps)."""


@dataclass(frozen=True)
class Winograd:
    """An algorithm F(m, 3), as far as the weights see it."""

    transform: NDArray[np.int64]
    """G: (points, 3 taps)."""
    odd: int
    """Sums come out 8 * odd times too large."""


F63 = Winograd(G, odd=45)
INPUT_TRANSFORM_GAIN = 34
"""Largest row sum of magnitudes of B^T, of inputs 0 .. 255 one side at a time: 34 * 255 < 2^15."""
SHIFT = 12
"""Every channel's sums are scaled so that its last shift is this (requantise.h)."""
DENSE_SCALING = 4
"""k of lin and sof."""
DENSE_MOST_SHIFT = 19
"""Rounding and zero point, up to 22 bits up, are then below 2^30, as is what they are added to."""
PIXEL = 14

Words = NDArray[np.uint32]


def _pair(low: NDArray[np.int64], high: NDArray[np.int64] | int) -> Words:
    """Halfwords to words."""
    return ((np.asarray(low) & 0xFFFF) | ((np.asarray(high) & 0xFFFF) << 16)).astype(np.uint32)


def _word(value: int) -> int:
    return int(value) & 0xFFFFFFFF


def _bias(layer: Layer) -> NDArray[np.int64]:
    """Of sums over q + 128 in place of q."""
    total = layer.weight.sum(axis=tuple(range(1, layer.weight.ndim)), dtype=np.int64)
    return layer.bias.astype(np.int64) - 128 * total


def _scaling(layer: Layer) -> NDArray[np.int64]:
    """k of every channel: the power of two that makes its last shift 12."""
    return SHIFT + 1 + layer.shift.astype(np.int64)


def misfit(layer: Layer, least: int = 2) -> str:
    """Why a layer behind a ReLU cannot take the scaled requantisation; empty if it can.

    ``least`` is the smallest k: 2 for the rounding terms, 3 where a division by 8 goes into it.
    """
    k = _scaling(layer)
    if k.min() < least or k.max() > 8:
        shifts = f"{int(-layer.shift.max())} .. {int(-layer.shift.min())}"
        return f"right shifts of {shifts}, not 5 .. {SHIFT + 1 - least}"
    return _overflow(layer, k)


def dense_misfit(layer: Layer) -> str:
    """The same for lin and sof, whose last shift is each channel's own."""
    if layer.shift.max() > -1:
        return "no right shift"
    if layer.shift.min() < -DENSE_MOST_SHIFT:
        return f"a right shift of {-int(layer.shift.min())}, not up to {DENSE_MOST_SHIFT}"
    return _overflow(layer, np.full(len(layer.weight), DENSE_SCALING))


def _overflow(layer: Layer, k: NDArray[np.int64]) -> str:
    magnitude = np.abs(layer.weight.astype(np.int64)).sum(axis=tuple(range(1, layer.weight.ndim)))
    most = int(((np.abs(_bias(layer)) + 255 * magnitude) * 2**k).max())
    return f"scaled sums up to {most}, not below 2^31" if most >= 2**31 else ""


def _relu_record(layer: Layer, channel: int) -> list[int]:
    k = int(_scaling(layer)[channel])
    return [int(layer.multiplier[channel]), (1 << (SHIFT - 1)) + (1 << (k - 2))]


def _record(layer: Layer, channel: int) -> list[int]:
    """Without ReLU: see ``w2s_dsp_requantise``."""
    shift = DENSE_SCALING - 1 - int(layer.shift[channel])
    return [
        _word(int(_bias(layer)[channel]) << DENSE_SCALING),
        int(layer.multiplier[channel]),
        (1 << (shift - 1)) + ((layer.zero_out + 128) << shift),
        shift,
    ]


def first(layer: Layer) -> Words:
    """l1: 13 records of 8 words."""
    out: list[int] = []
    for channel in range(13):
        k = int(_scaling(layer)[channel])
        w = layer.weight[channel, :, :, 0].astype(np.int64) << k
        out.append(_word(int(_bias(layer)[channel]) << k))
        out.extend(_pair(w[0], w[1]))
        out.extend([int(_pair(w[2, 0], w[2, 1])), int(_pair(w[2, 2], 0))])
        out.extend(_relu_record(layer, channel))
    return np.array(out, np.uint32)


def winograd(layer: Layer, algorithm: Winograd = F63) -> Words:
    """A 3x3 convolution 13->13: channels in pairs, then the last (winograd.S)."""
    # (out, point, kx, in)
    u = np.einsum("pk,okxc->opxc", algorithm.transform, layer.weight.astype(np.int64))
    assert np.abs(u).max() < 2**15
    inverse = pow(algorithm.odd, -1, 2**32)
    out: list[Words] = []
    for start in range(0, 13, 2):
        pair = u[start : start + 2]
        for point in range(len(algorithm.transform)):
            taps = pair[:, point]  # (1 or 2, kx, in)
            # [channel pair][kx][out], then channel 12: taps 0 and 1 together, tap 2
            even = _pair(taps[:, :, 0:12:2], taps[:, :, 1:12:2])
            out.append(even.transpose(2, 1, 0).ravel())
            out.append(_pair(taps[:, 0, 12], taps[:, 1, 12]))
            out.append(_pair(taps[:, 2, 12], 0))
        for channel in range(start, start + len(pair)):
            k = int(_scaling(layer)[channel])
            bias = _word(int(_bias(layer)[channel]) << k)
            record = [_word(inverse << (k - 3)), bias, *_relu_record(layer, channel)]
            out.append(np.array(record, np.uint32))
    return np.concatenate(out)


def direct(layer: Layer) -> NDArray[np.int16]:
    """The direct kernel's weights: (13, 9, 14), the slot behind channel 12 empty."""
    out = np.zeros((13, 9, PIXEL), np.int16)
    out[:, :, :13] = layer.weight.reshape(13, 9, 13)
    return out


def dense(layer: Layer) -> Words:
    """lin or sof of 72K: 43 quads of outputs, two 8-bit weights a halfword (dense.S)."""
    weight = np.zeros((172, 170), np.int64)
    flat = layer.weight.reshape(169, 13, 13).astype(np.int64)
    # Words of a row: six of each pixel, and behind every second one its channel 12 with the next's.
    column = 0
    for pixel in range(13):
        weight[:169, column : column + 12] = flat[:, pixel, :12]
        column += 12
        if pixel % 2 == 0:
            weight[:169, column] = flat[:, pixel, 12]
            if pixel < 12:
                weight[:169, column + 1] = flat[:, pixel + 1, 12]
            column += 2
    assert column == 170
    out: list[Words] = []
    for quad in range(0, 172, 4):
        both = weight[quad : quad + 4 : 2] + 256 * weight[quad + 1 : quad + 4 : 2]  # (2, 170)
        out.append(_pair(both[:, 0::2], both[:, 1::2]).T.ravel())
        records = [_record(layer, min(channel, 168)) for channel in range(quad, quad + 4)]
        out.append(np.array(records, np.uint32).ravel())
    return np.concatenate(out)


def dense_bands(layer: Layer) -> Words:
    """lin or sof of 17K: seven pairs of outputs (dense_bands.S)."""
    weight = np.zeros((14, PIXEL), np.int64)
    weight[:13, :13] = layer.weight.reshape(13, 13)
    words = _pair(weight[:, 0::2], weight[:, 1::2])  # (output, word)
    out: list[Words] = []
    for channel in range(0, 14, 2):
        out.append(words[channel : channel + 2].T.ravel())
        records = [_record(layer, min(o, 12)) for o in (channel, channel + 1)]
        out.append(np.array(records, np.uint32).ravel())
    return np.concatenate(out)


@dataclass(frozen=True)
class Packed:
    """A model's weights for ``w2s_packed_weights`` of packed.h."""

    first: Words
    convs: list[Words | None]
    """l2 .. l7; None where the direct kernel runs."""
    directs: list[NDArray[np.int16] | None]
    biases: list[NDArray[np.int32]]
    lin: Words
    sof: Words
    notes: list[str] = field(default_factory=list)
    """Layers that run on the direct kernel, and why."""


class DoesNotFitError(ValueError):
    """A layer for which this set has no other kernel."""


def pack(plan: Plan, algorithm: Winograd = F63) -> Packed:
    """Packs a plan. Raises :class:`DoesNotFitError` if l1, lin or sof leave the ranges."""
    needs = {
        "l1": misfit(plan.convs[0]),
        "lin": dense_misfit(plan.lin),
        "sof": dense_misfit(plan.sof),
    }
    for name, reason in needs.items():
        if reason:
            raise DoesNotFitError(f"{name}: {reason}")
    reasons = [misfit(layer, least=3) for layer in plan.convs[1:]]
    to_dense = dense if plan.architecture == "72k" else dense_bands
    return Packed(
        first=first(plan.convs[0]),
        convs=[
            None if reason else winograd(layer, algorithm)
            for reason, layer in zip(reasons, plan.convs[1:], strict=True)
        ],
        directs=[
            direct(layer) if reason else None
            for reason, layer in zip(reasons, plan.convs[1:], strict=True)
        ],
        biases=[_bias(layer).astype(np.int32) for layer in plan.convs[1:]],
        lin=to_dense(plan.lin),
        sof=to_dense(plan.sof),
        notes=[f"l{i}: {reason}" for i, reason in enumerate(reasons, start=2) if reason],
    )
