# SPDX-License-Identifier: Apache-2.0
"""The plan: all that the C library needs to know of a model, from its int8 .tflite alone.

Shapes and weights come from the graph, multipliers and shifts from its quantisation (as
``tensorflow/lite/kernels/internal/quantization_util.cc`` derives them), the head from the metadata
that conversion put into the same file. A graph of any other shape is refused, naming the operator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import tflite_file
from wav2small_micro.errors import W2sError
from wav2small_micro.tflite_file import TfliteFile

CONVS = 7
MEL = 26
CHANNELS = 13
BANDS = 13
WIDE = BANDS * CHANNELS

DB_STEPS = 128
"""Log-mel steps in a decibel (firmware/lib/wav2small/logmel.h)."""
HEAD_BITS = 22
"""Head weights stay below 2^22, so that 64-bit sums over X X^T hold (attention.c)."""


@dataclass(frozen=True)
class Layer:
    """A convolution with its requantisation. ``weight``: int8 (out, ky, kx, in)."""

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    """(out,), the input's zero point folded in: rows go in as they are."""
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int8]
    zero_in: int
    zero_out: int
    minimum: int

    @property
    def in_channels(self) -> int:
        """Inputs that a tap sees. lin and sof of 72K see 13 channels of each of 13 bands."""
        return self.weight.shape[3]


@dataclass(frozen=True)
class Plan:
    """A model as the C library runs it; fields as in ``w2s_model`` of wav2small.h."""

    name: str
    sha256: str
    architecture: str
    input_multiplier: int
    input_zero: int
    input_scale: float
    """dB in an int8 step of the input."""
    convs: tuple[Layer, ...]
    lin: Layer
    sof: Layer
    lin_scale: float
    exp_table: NDArray[np.uint32]
    head_weight: NDArray[np.int32]
    """(3, 169), in the order of a row of lin: [band][channel]."""
    gram_weight: NDArray[np.int32] | None
    """(3, 13, 13), channel by channel; None for 72K."""
    head_shift: int
    gram_shift: int
    head_bias: NDArray[np.int32]

    @property
    def macs_per_second(self) -> int:
        """Multiply-accumulates in a second of audio (500 frames), padding left out."""
        frames = 500
        total = sum(
            layer.weight.size * (MEL if i < 3 else BANDS) * (frames if i < 3 else frames // 2)
            for i, layer in enumerate(self.convs)
        )
        positions = BANDS if self.architecture == "17k" else 1
        return total + 2 * self.lin.weight.size * positions * frames // 2


def quantised_multiplier(real: float) -> tuple[int, int]:
    """``real`` as a Q31 multiplier and a power of two: QuantizeMultiplier of TFLite."""
    if real == 0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    fixed = math.floor(mantissa * 2**31 + 0.5)
    if fixed == 2**31:
        fixed, shift = fixed // 2, shift + 1
    return (0, 0) if shift < -31 else (fixed, shift)


def exp_table(scale: float) -> NDArray[np.uint32]:
    """``exp(-d * scale)`` in Q16 for d of 0 .. 255, uint32 (256,); ``scale``: of ``sof``."""
    return np.round(np.exp(-scale * np.arange(256)) * 65536).astype(np.uint32)


def _fixed(weight: NDArray[np.float64]) -> tuple[NDArray[np.int32], int]:
    """``weight`` as int32 below 2**HEAD_BITS, and the power of two that it was multiplied with."""
    most = float(np.abs(weight).max())
    shift = min(40, HEAD_BITS - math.frexp(most)[1])
    if shift < 13:
        raise W2sError(f"head weights up to {most:.3g} are too large", "train with weight decay")
    return np.round(weight * 2.0**shift).astype(np.int32), shift


class _Graph:
    """The operators by what they feed: walks from the input, refuses what it does not expect."""

    def __init__(self, file: TfliteFile) -> None:
        self.file = file
        self.used: set[int] = set()

    def refuse(self, index: int, reason: str) -> W2sError:
        return W2sError(
            f"operator {index} ({self.file.operators[index].name}): {reason}",
            "the C library runs Wav2Small 72K and 17K as `w2s convert` writes them: convert again",
        )

    def after(self, tensor: int) -> list[int]:
        """Indices of the operators that read ``tensor``."""
        return [i for i, op in enumerate(self.file.operators) if tensor in op.inputs[:1]]

    def only_after(self, tensor: int, *names: str) -> int:
        """The one reader of ``tensor``, whose operator must be one of ``names``."""
        found = self.after(tensor)
        if len(found) != 1:
            raise W2sError(
                f"{len(found)} operators read tensor '{self.file.tensors[tensor].name}', not one",
                "this is not the graph of Wav2Small: convert again with `w2s convert`",
            )
        if self.file.operators[found[0]].name not in names:
            raise self.refuse(found[0], f"expected {' or '.join(names)} here")
        self.used.add(found[0])
        return found[0]

    def skip_padding(self, tensor: int, pad: tuple[int, int]) -> int:
        """The tensor behind a PAD of ``pad`` rows and columns on both sides."""
        index = self.only_after(tensor, "PAD")
        operator = self.file.operators[index]
        amounts = self.file.tensors[operator.inputs[1]].data
        expected = np.array([[0, 0], [pad[0]] * 2, [pad[1]] * 2, [0, 0]])
        if amounts is None or not np.array_equal(amounts, expected):
            raise self.refuse(index, f"padding {amounts}, not {expected.tolist()}")
        return operator.outputs[0]

    def convolution(self, index: int, shape: tuple[int, int, int, int], padding: str) -> Layer:
        """The convolution ``index``, whose weights must have ``shape``."""
        self.used.add(index)
        operator = self.file.operators[index]
        if len(operator.inputs) != 3:
            raise self.refuse(index, "no bias")
        source, kernel, bias = (self.file.tensors[i] for i in operator.inputs)
        target = self.file.tensors[operator.outputs[0]]
        for tensor in (source, kernel, target):
            if tensor.dtype != np.int8:
                raise self.refuse(index, f"tensor '{tensor.name}' is {tensor.dtype}, not int8")
        if kernel.shape != shape or kernel.data is None or bias.data is None:
            raise self.refuse(index, f"weights are {kernel.shape}, not constants of {shape}")
        if bias.dtype != np.int32 or bias.shape != shape[:1]:
            raise self.refuse(
                index, f"the bias is {bias.dtype} {bias.shape}, not int32 {shape[:1]}"
            )
        if not -128 <= source.zero_point <= 127 or not -128 <= target.zero_point <= 127:
            raise self.refuse(index, "a zero point that is no int8")
        if kernel.zero_points.any() or (len(kernel.scales) > 1 and kernel.axis != 0):
            raise self.refuse(index, "weights are not quantised symmetrically by output channel")
        for option, value in (("stride", (1, 1)), ("dilation", (1, 1)), ("padding", padding)):
            if operator.options[option] != value:
                raise self.refuse(index, f"{option} {operator.options[option]}, not {value}")
        activation = operator.options["activation"]
        if activation not in ("NONE", "RELU"):
            raise self.refuse(index, f"activation {activation}, not RELU")
        if activation == "RELU" and target.zero_point != -128:
            raise self.refuse(index, f"a ReLU whose zero is {target.zero_point}, not -128")
        pairs = [
            # In double, of float32 scales, as PopulateConvolutionQuantizationParams does it.
            quantised_multiplier(source.scale * float(s) / target.scale)
            for s in np.broadcast_to(kernel.scales, shape[:1])
        ]
        if any(shift > 0 for _, shift in pairs):
            raise self.refuse(index, "an output step finer than the sums: calibrate again")
        weight = kernel.data
        total = weight.sum(axis=(1, 2, 3), dtype=np.int64)
        return Layer(
            weight=weight,
            bias=(bias.data.astype(np.int64) - source.zero_point * total).astype(np.int32),
            multiplier=np.array([m for m, _ in pairs], np.int32),
            shift=np.array([s for _, s in pairs], np.int8),
            zero_in=source.zero_point,
            zero_out=target.zero_point,
            minimum=-128,
        )

    def trunk(self) -> tuple[list[Layer], int]:
        """l1 .. l7 with the pool between l3 and l4, and the tensor behind them."""
        tensor = self.file.inputs[0]
        convs = []
        for i in range(CONVS):
            if i == 3:
                tensor = self.skip_padding(tensor, (1, 1))
                index = self.only_after(tensor, "MAX_POOL_2D")
                options = self.file.operators[index].options
                if (options["filter"], options["stride"]) != ((3, 3), (2, 2)):
                    raise self.refuse(index, "not a 3x3 pool of stride 2")
                tensor = self.file.operators[index].outputs[0]
            index = self.only_after(tensor, "CONV_2D")
            if self.file.operators[index].options["activation"] != "RELU":
                raise self.refuse(index, "no ReLU")
            convs.append(self.convolution(index, (CHANNELS, 3, 3, CHANNELS if i else 1), "SAME"))
            tensor = self.file.operators[index].outputs[0]
        return convs, tensor

    def branch(self, name: str, trunk: int, architecture: str) -> Layer:
        """``lin`` or ``sof``: the convolution from the trunk to the output ``name``."""
        target = self.file.output(name).index
        for index in self.after(trunk):
            operator = self.file.operators[index]
            tensor, seen = operator.outputs[0], [index]
            while tensor != target and (behind := self.after(tensor)):
                if self.file.operators[behind[0]].name != "RESHAPE":
                    raise self.refuse(behind[0], "only RESHAPE may follow lin and sof")
                seen.append(behind[0])
                tensor = self.file.operators[behind[0]].outputs[0]
            if tensor != target:
                continue
            if operator.name != "CONV_2D":
                raise self.refuse(index, f"'{name}' must be a CONV_2D (others round differently)")
            self.used.update(seen)
            if architecture == "72k":
                return self.convolution(index, (WIDE, 1, BANDS, CHANNELS), "VALID")
            return self.convolution(index, (CHANNELS, 1, 1, CHANNELS), operator.options["padding"])
        raise W2sError(f"no operator leads from l7 to the output '{name}'", "convert again")


def _head(file: TfliteFile, architecture: str, scale: float) -> dict[str, Any]:
    """The head in fixed point: fields of :class:`Plan`. ``scale``: of ``lin``."""
    head = file.wav2small["head"]
    weight, bias = np.array(head["weight"], np.float64), np.array(head["bias"], np.float64)
    features = WIDE if architecture == "72k" else WIDE + CHANNELS * CHANNELS
    if weight.shape != (3, features) or bias.shape != (3,) or not np.isfinite(weight).all():
        raise W2sError(
            f"the head is {weight.shape}, not (3, {features})", "convert the model again"
        )
    flat, gram = weight[:, :WIDE], None
    if architecture == "17k":
        # The metadata order X by (channel, mel); rows of lin lie (mel, channel).
        flat = flat.reshape(3, CHANNELS, BANDS).transpose(0, 2, 1).reshape(3, WIDE)
        gram = weight[:, WIDE:].reshape(3, CHANNELS, CHANNELS) * scale**2
    if not (np.abs(bias) < 128).all():
        raise W2sError(f"head biases up to {np.abs(bias).max():.3g}", "convert the model again")
    head_weight, head_shift = _fixed(flat * scale)
    gram_weight, gram_shift = _fixed(gram) if gram is not None else (None, 0)
    return {
        "head_weight": head_weight,
        "head_shift": head_shift,
        "gram_weight": gram_weight,
        "gram_shift": gram_shift,
        "head_bias": np.round(bias * 2**24).astype(np.int32),
    }


def read(source: Path | str | bytes) -> Plan:
    """The plan of an int8 .tflite, from its path or bytes.

    Raises :class:`W2sError` with the operator and the reason where the graph is not one that the
    C library runs, and for a file of any other content.
    """
    file = tflite_file.read(source)
    try:
        return _plan(file)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # An index that leads nowhere, options of another operator, metadata of another shape.
        raise W2sError("the .tflite contradicts itself", f"convert it again: {error!r}") from error


def _plan(file: TfliteFile) -> Plan:
    facts = file.wav2small
    architecture = facts["architecture"]
    if architecture not in ("72k", "17k"):
        raise W2sError(f"architecture {architecture!r} is unknown", "use 72k or 17k")
    graph = _Graph(file)
    entry = file.tensors[file.inputs[0]]
    if entry.dtype != np.int8 or entry.shape[2:] != (MEL, 1):
        raise W2sError(
            f"the input is {entry.dtype} {entry.shape}, not int8 (1, frames, 26, 1)",
            "convert with `w2s convert`: the whole network in int8",
        )
    convs, trunk = graph.trunk()
    lin, sof = (graph.branch(name, trunk, architecture) for name in ("lin", "sof"))
    if unused := sorted(set(range(len(file.operators))) - graph.used):
        raise graph.refuse(unused[0], "not a part of Wav2Small")
    lin_scale = file.output("lin").scale
    multiplier = round(2**24 / (DB_STEPS * entry.scale))
    if multiplier >= 2**31 or not -128 <= entry.zero_point <= 127:
        raise W2sError(
            f"the input has scale {entry.scale:.3g} and zero point {entry.zero_point}",
            "calibrate and convert again",
        )
    return Plan(
        name=str(facts["name"]),
        sha256=file.sha256,
        architecture=architecture,
        input_multiplier=multiplier,
        input_zero=entry.zero_point,
        input_scale=entry.scale,
        convs=tuple(convs),
        lin=lin,
        sof=sof,
        lin_scale=lin_scale,
        exp_table=exp_table(file.output("sof").scale),
        **_head(file, architecture, lin_scale),
    )
