# SPDX-License-Identifier: Apache-2.0
"""Wav2Small in an ONNX graph: its weights by the names of the released checkpoint.

An exporter renames weights, folds batch norms into convolutions and turns linear layers into MatMul
and Add. So layers are known by what they are and by their order, not by their names; whether the
reading is right is for the numbers to say, see ``importer``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import reference
from wav2small_micro.errors import W2sError
from wav2small_micro.importing.checkpoint import FRONT_END, ROW, State
from wav2small_micro.importing.onnx_source import OnnxSource, onnx_module
from wav2small_micro.student import CHANNELS, CONVOLUTIONS, Architecture

Array = NDArray[np.float32]

_FOLDED = {"Identity", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Cast", "Flatten"}
"""Operators that exporters leave between a weight and the layer that reads it."""

_MOVES = {"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity"}
"""Operators that move values and change none."""

BATCH_NORM_EPSILON = 1e-5


class NotWav2SmallError(Exception):
    """Why a graph is not, or not all of, Wav2Small. Caught by those who know another way."""


@dataclass(frozen=True)
class Reading:
    """A way to read a graph: the ``architecture``, the weights, and in words how rows are laid
    out."""

    architecture: Architecture
    state: State
    layout: str


class _Graph:
    def __init__(self, source: OnnxSource) -> None:
        onnx = onnx_module()
        self.nodes = list(source.graph.node)
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in source.graph.initializer
        }
        opsets = {entry.domain: entry.version for entry in source.model.opset_import}
        for node in self.nodes:
            if node.op_type == "Constant" or (
                node.op_type in _FOLDED
                and all(name in self.constants for name in node.input if name)
            ):
                graph = onnx.helper.make_graph(
                    [node],
                    "constant",
                    [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.input) if name],
                    [onnx.ValueInfoProto(name=node.output[0])],
                )
                imports = [onnx.helper.make_opsetid(*entry) for entry in opsets.items()]
                model = onnx.helper.make_model(graph, opset_imports=imports)
                feed = {name: self.constants[name] for name in node.input if name}
                (value,) = onnx.reference.ReferenceEvaluator(model).run(None, feed)
                self.constants[node.output[0]] = np.asarray(value)
        self.makers = {name: node for node in self.nodes for name in node.output}

    def weight(self, node: Any, index: int) -> NDArray[Any] | None:
        return self.constants.get(node.input[index]) if len(node.input) > index else None

    def readers(self, name: str) -> list[Any]:
        return [node for node in self.nodes if name in node.input]

    def attribute(self, node: Any, name: str, default: Any) -> Any:
        onnx = onnx_module()
        for entry in node.attribute:
            if entry.name == name:
                return onnx.helper.get_attribute_value(entry)
        return default


def read(source: OnnxSource) -> list[Reading]:
    """The ways to read a graph as Wav2Small, the likeliest first.

    Raises :class:`NotWav2SmallError` with the reason when it is not, and :class:`W2sError` when it
    is only a part of it.
    """
    graph = _Graph(source)
    state = _trunk(graph)
    _front_end(graph, state)
    softmax = [node for node in graph.nodes if node.op_type == "Softmax"]
    if not softmax:
        raise W2sError(
            f"{source.path} is the trunk of Wav2Small without its attention and head",
            "export the whole student: what follows l7 is not in the file",
        )
    sof = _linear_above(graph, softmax[0].input[0])
    lin = _other_linear(graph, sof)
    head = _head(graph, skip=(lin.node, sof.node))
    architecture: Architecture = "72k" if sof.weight.shape == (ROW, ROW) else "17k"
    inputs = {"72k": ROW, "17k": 2 * ROW}[architecture]
    if head.weight.shape != (3, inputs):
        raise NotWav2SmallError(
            f"the head is {head.weight.shape}, not (3, {inputs}) as in Wav2Small {architecture}"
        )
    state |= {"adv.weight": head.weight, "adv.bias": head.bias}
    return list(_layouts(architecture, state, lin, sof))


def _layouts(
    architecture: Architecture, state: State, lin: _Linear, sof: _Linear
) -> Iterator[Reading]:
    """Rows of the 72K are flattened channel first or band first; the network may have been written
    for (time, mel) or, transposed, for (mel, time)."""
    for transposed in (False, True):
        kernels = {
            name: np.ascontiguousarray(value.swapaxes(2, 3)) if transposed else value
            for name, value in state.items()
            if name.endswith("conv.weight")
        }
        axes = "(mel, time)" if transposed else "(time, mel)"
        if architecture == "17k":
            ends = {
                f"vgg7.{name}.{part}": value
                for name, layer in (("lin", lin), ("sof", sof))
                for part, value in (
                    ("weight", layer.weight.reshape(CHANNELS, CHANNELS, 1, 1)),
                    ("bias", layer.bias),
                )
            }
            yield Reading("17k", state | kernels | ends, f"convolutions over {axes}")
            continue
        for band_first in (False, True):
            ends = {}
            for name, layer in (("lin", lin), ("sof", sof)):
                weight = layer.weight
                if band_first:
                    by_axis = weight.reshape(ROW, CHANNELS, CHANNELS)
                    weight = np.ascontiguousarray(by_axis.swapaxes(1, 2)).reshape(ROW, ROW)
                ends |= {f"vgg7.{name}.weight": weight, f"vgg7.{name}.bias": layer.bias}
            rows = "(mel, channel)" if band_first else "(channel, mel)"
            yield Reading("72k", state | kernels | ends, f"convolutions over {axes}, rows {rows}")


def _trunk(graph: _Graph) -> State:
    """The seven convolutions of a graph with their batch norms."""
    state: State = {}
    found = [
        (node, weight)
        for node in graph.nodes
        if node.op_type == "Conv"
        and (weight := graph.weight(node, 1)) is not None
        and weight.ndim == 4
        and weight.shape[2:] == (3, 3)
    ]
    wanted = [(CHANNELS, CHANNELS if i else 1, 3, 3) for i in range(len(CONVOLUTIONS))]
    if [weight.shape for _, weight in found] != wanted:
        shapes = ", ".join("x".join(map(str, weight.shape)) for _, weight in found) or "none"
        raise NotWav2SmallError(
            f"its 3x3 convolutions are {shapes}, not seven of {CHANNELS} channels"
        )
    for name, (node, weight) in zip(CONVOLUTIONS, found, strict=True):
        if any(graph.attribute(node, "strides", [1, 1])[i] != 1 for i in (0, 1)):
            raise NotWav2SmallError(f"convolution {node.name or name} has strides")
        bias = graph.weight(node, 2)
        bias = np.zeros(CHANNELS) if bias is None else bias
        state[f"vgg7.{name}.conv.weight"] = np.asarray(weight, np.float32)
        state |= {f"vgg7.{name}.norm.{k}": v for k, v in _norm(graph, node, bias).items()}
    pools = [node for node in graph.nodes if node.op_type == "MaxPool"]
    if len(pools) != 1:
        raise NotWav2SmallError(f"it has {len(pools)} max pools, not one")
    return state


def _norm(graph: _Graph, node: Any, bias: NDArray[Any]) -> State:
    """The batch norm behind a convolution; where it is folded in, one that only adds the bias."""
    behind = graph.readers(node.output[0])
    if len(behind) == 1 and behind[0].op_type == "BatchNormalization":
        norm = behind[0]
        weights = [graph.weight(norm, i) for i in range(1, 5)]
        if all(weight is not None for weight in weights):
            gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in weights)
            # Ours has an epsilon of its own; a bias in front of the norm only moves the mean.
            variance = variance + graph.attribute(norm, "epsilon", 1e-5) - BATCH_NORM_EPSILON
            return _float32(gamma, beta, mean - bias, variance)
    one = np.ones(CHANNELS)
    return _float32(one, bias, 0 * one, one - BATCH_NORM_EPSILON)


def _float32(*values: NDArray[Any]) -> State:
    names = ("weight", "bias", "running_mean", "running_var")
    return {n: np.asarray(v, np.float32) for n, v in zip(names, values, strict=True)}


def _front_end(graph: _Graph, state: State) -> None:
    """The frozen front end into ``state``, where the graph has one; a sine of either sign, which
    the power does not know."""
    real, imaginary, mel = FRONT_END
    filters = [
        np.asarray(weight, np.float32)
        for node in graph.nodes
        if node.op_type == "Conv"
        and (weight := graph.weight(node, 1)) is not None
        and weight.shape == (reference.BINS, 1, reference.WINDOW)
    ]
    if len(filters) == 2:
        cosine = FRONT_END[real]()
        filters.sort(key=lambda weight: float(np.abs(weight - cosine).max()))
        state[real], sine = filters
        flip = float(np.abs(sine - FRONT_END[imaginary]()).max()) > float(
            np.abs(sine + FRONT_END[imaginary]()).max()
        )
        state[imaginary] = -sine if flip else sine
    for node in graph.nodes:
        weight = graph.weight(node, 1) if node.op_type in ("MatMul", "Gemm") else None
        if weight is not None and weight.shape == (reference.BINS, reference.BANDS):
            state[mel] = np.asarray(weight, np.float32)


@dataclass(frozen=True)
class _Linear:
    """A layer as weights (out, in) and bias (out,); ``node`` holds the weights, ``output`` is the
    tensor with the bias added."""

    node: Any
    weight: Array
    bias: Array
    output: str


def _linear(graph: _Graph, node: Any) -> _Linear | None:
    """A 1x1 convolution, Gemm, or MatMul with the Add behind it, as a linear layer."""
    weight = graph.weight(node, 1)
    if weight is None or node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    if node.op_type == "Conv":
        if weight.ndim != 4 or weight.shape[2:] != (1, 1):
            return None
        matrix = weight[:, :, 0, 0]
    elif weight.ndim != 2:
        return None
    else:
        transposed = node.op_type == "Gemm" and graph.attribute(node, "transB", 0)
        matrix = weight if transposed else weight.T
    bias, output = graph.weight(node, 2), node.output[0]
    if bias is None:
        for reader in graph.readers(output):
            added = [graph.constants[n] for n in reader.input if n in graph.constants]
            if reader.op_type == "Add" and added and added[0].size == len(matrix):
                bias, output = added[0], reader.output[0]
    bias = np.zeros(len(matrix)) if bias is None else bias
    return _Linear(
        node,
        np.ascontiguousarray(matrix, dtype=np.float32),
        np.asarray(bias, np.float32).reshape(-1),
        output,
    )


def _linear_above(graph: _Graph, name: str) -> _Linear:
    """The linear layer whose output is a tensor, values only moved in between."""
    follow: Callable[[str], Any] = graph.makers.get
    while (node := follow(name)) is not None:
        layer = _linear(graph, node)
        if layer is not None:
            return layer
        if node.op_type in _MOVES:
            name = node.input[0]
        elif node.op_type == "Add" and any(n in graph.constants for n in node.input):
            name = next(n for n in node.input if n not in graph.constants)
        else:
            break
    raise NotWav2SmallError("its softmax does not follow a 1x1 convolution or a linear layer")


def _other_linear(graph: _Graph, sof: _Linear) -> _Linear:
    """`lin`: the layer beside `sof`, of the same shape."""
    found = [
        layer
        for node in graph.nodes
        if (layer := _linear(graph, node)) is not None
        and layer.weight.shape == sof.weight.shape
        and layer.node is not sof.node
    ]
    if len(found) != 1 or sof.weight.shape not in ((CHANNELS, CHANNELS), (ROW, ROW)):
        raise NotWav2SmallError(
            f"beside `sof`, {sof.weight.shape}, there are {len(found)} layers of its shape, not one"
        )
    return found[0]


def _head(graph: _Graph, skip: tuple[Any, ...]) -> _Linear:
    """The last linear layer."""
    found = [
        layer
        for node in graph.nodes
        if (layer := _linear(graph, node)) is not None and all(node is not other for other in skip)
    ]
    if not found or len(found[-1].weight) != 3:
        raise NotWav2SmallError("it does not end in a linear layer of three outputs")
    return found[-1]
