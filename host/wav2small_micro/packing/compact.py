# SPDX-License-Identifier: Apache-2.0
"""Weights of the compact kernels: those of the DSP kernels, but Winograd F(4,3) along time.

The four rows that a batch gives are ``y = A^T [(G g) * (B^T d)]`` (Lavin and Gray, arXiv
1509.09308), with the points 0, +-1, +-2 and infinity and ``G`` times 24, so that everything is an
integer and the sums come out 24 times too large: 24 is 8 * 3, and 3 has an inverse modulo 2^32.

Rows are bytes in this set, [band][channel]; UXTB16 takes a word of four channels apart into its
even and its odd ones. Input channels are therefore packed in that order, :data:`HALFWORDS`, and
l1, whose kernel writes halfwords that are put together into such words, gives its own in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wav2small_micro.packing import dsp
from wav2small_micro.plan import Layer, Plan

G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]])
"""Weight transform: (6 points, 3 taps)."""
F43 = dsp.Winograd(G, odd=3)
INPUT_TRANSFORM_GAIN = 8
"""Largest row sum of B^T, of one sign at a time: 8 * 255 < 2^15."""
HALFWORDS = [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12]
"""Channels in the order of a row's halfwords."""


def _inputs(layer: Layer) -> Layer:
    return replace(layer, weight=layer.weight[..., HALFWORDS])


def _outputs(layer: Layer) -> Layer:
    return replace(
        layer,
        weight=layer.weight[HALFWORDS],
        bias=layer.bias[HALFWORDS],
        multiplier=layer.multiplier[HALFWORDS],
        shift=layer.shift[HALFWORDS],
    )


def pack(plan: Plan) -> dsp.Packed:
    """Packs a plan. Raises :class:`dsp.DoesNotFitError` if l1, lin or sof leave the ranges."""
    reordered = replace(
        plan,
        convs=(_outputs(plan.convs[0]), *map(_inputs, plan.convs[1:])),
        lin=_inputs(plan.lin),
        sof=_inputs(plan.sof),
    )
    return dsp.pack(reordered, F43)
