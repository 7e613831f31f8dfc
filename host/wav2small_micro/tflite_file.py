# SPDX-License-Identifier: Apache-2.0
"""Reading and editing .tflite files: operators, tensors with their quantisation, metadata.

The schema comes with the interpreter's package; no interpreter is started here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from wav2small_micro.errors import W2sError

IDENTIFIER = b"TFL3"
METADATA = "wav2small"
"""Name of the metadata entry (UTF-8 JSON) with what the graph lacks: architecture, head,
normalisation."""

_DTYPES: dict[int, Any] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.BOOL: np.bool_,
}
_OPERATORS = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
_PADDINGS = {schema.Padding.SAME: "SAME", schema.Padding.VALID: "VALID"}
_ACTIVATIONS = {
    value: name
    for name, value in vars(schema.ActivationFunctionType).items()
    if not name.startswith("_")
}


@dataclass(frozen=True)
class Tensor:
    """A tensor: ``scales`` and ``zero_points`` are (1,), (C,) along ``axis``, or empty when not
    quantised; ``data`` is None for activations."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    data: NDArray[Any] | None

    @property
    def scale(self) -> float:
        """The one scale of a tensor quantised as a whole."""
        if len(self.scales) != 1:
            raise W2sError(f"tensor '{self.name}' has {len(self.scales)} scales, not one")
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of a tensor quantised as a whole."""
        if len(self.zero_points) != 1:
            raise W2sError(f"tensor '{self.name}' has {len(self.zero_points)} zero points, not one")
        return int(self.zero_points[0])


@dataclass(frozen=True)
class Operator:
    """An operator with the indices of its tensors. ``options`` holds, where they apply,
    ``padding``, ``stride``, ``dilation``, ``filter`` (pairs are height, width) and
    ``activation``."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class TfliteFile:
    """A .tflite with one subgraph."""

    content: bytes
    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: dict[str, bytes]

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole file: the identity of a model."""
        return hashlib.sha256(self.content).hexdigest()

    def output(self, name: str) -> Tensor:
        """The output whose name contains ``name``; the order of outputs means nothing."""
        found = [self.tensors[i] for i in self.outputs if name in self.tensors[i].name]
        if len(found) != 1:
            names = ", ".join(self.tensors[i].name for i in self.outputs)
            raise W2sError(
                f"{len(found)} outputs are named '{name}'", f"the outputs are: {names or 'none'}"
            )
        return found[0]

    @cached_property
    def wav2small(self) -> dict[str, Any]:
        """The ``wav2small`` metadata. Raises :class:`W2sError` when the file carries none."""
        try:
            facts = json.loads(self.metadata[METADATA])
            version = facts["version"]
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise W2sError(
                "the .tflite carries no wav2small metadata", "make it with w2s convert"
            ) from error
        if version != 1:
            raise W2sError(f"the wav2small metadata are version {version}", "this release reads 1")
        return dict(facts)


def _check_identifier(content: bytes) -> None:
    if content[4:8] != IDENTIFIER:
        raise W2sError("this is not a .tflite file", "make one with w2s convert")


def _broken(error: Exception) -> W2sError:
    return W2sError("the .tflite file is broken", f"make it again: {error}")


def _subgraphs(count: int) -> W2sError:
    return W2sError(f"the .tflite has {count} subgraphs, not one", "make one with w2s convert")


def _load(content: bytes) -> Any:
    """The whole model, to be edited and packed again: for files that we made."""
    _check_identifier(content)
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
    except Exception as error:  # the generated reader fails in any way on a broken file
        raise _broken(error) from error
    if len(model.subgraphs or []) != 1:
        raise _subgraphs(len(model.subgraphs or []))
    return model


def _pack(model: Any) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _list(values: Any) -> list[Any]:
    return [] if values is None else list(values)


class _Reader:
    """Takes from a file what a TfliteFile holds, table by table.

    Tables of a flatbuffer may share their content, so a few kilobytes can claim to hold gigabytes.
    An honest file has bytes of its own for every element: one with more elements than bytes is
    refused before it fills the memory.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._root = schema.Model.GetRootAs(content, 0)
        self._left = len(content)

    def _take(self, elements: int) -> range:
        self._left -= elements
        if self._left < 0:
            raise ValueError("it claims to hold more than its size")
        return range(elements)

    def _numbers(self, vector: Any) -> NDArray[Any]:
        """What the generated accessors return: an array, or 0 for a vector that is not there."""
        found = np.asarray([] if isinstance(vector, int) else vector)
        self._take(len(found))
        return found

    def _integers(self, vector: Any) -> tuple[int, ...]:
        return tuple(int(value) for value in self._numbers(vector))

    def _text(self, name: bytes | None) -> str:
        self._take(len(name or b""))
        return (name or b"").decode()

    def file(self) -> TfliteFile:
        root = self._root
        if root.SubgraphsLength() != 1:
            raise _subgraphs(root.SubgraphsLength())
        graph = root.Subgraphs(0)
        metadata = [root.Metadata(i) for i in self._take(root.MetadataLength())]
        return TfliteFile(
            content=self._content,
            operators=tuple(
                self._operator(graph.Operators(i)) for i in self._take(graph.OperatorsLength())
            ),
            tensors=tuple(
                self._tensor(i, graph.Tensors(i)) for i in self._take(graph.TensorsLength())
            ),
            inputs=self._integers(graph.InputsAsNumpy()),
            outputs=self._integers(graph.OutputsAsNumpy()),
            metadata={
                self._text(entry.Name()): self._buffer(entry.Buffer()).tobytes()
                for entry in metadata
            },
        )

    def _buffer(self, index: int) -> NDArray[np.uint8]:
        if not 0 <= index < self._root.BuffersLength():
            raise ValueError(f"no buffer {index}")
        return self._numbers(self._root.Buffers(index).DataAsNumpy()).astype(np.uint8)

    def _tensor(self, index: int, raw: Any) -> Tensor:
        name = self._text(raw.Name())
        if raw.Type() not in _DTYPES:
            raise W2sError(f"tensor '{name}' has a type that is not supported ({raw.Type()})")
        dtype = np.dtype(_DTYPES[raw.Type()])
        shape = self._integers(raw.ShapeAsNumpy())
        stored = self._buffer(raw.Buffer())
        quantisation = raw.Quantization()
        scales = self._numbers(quantisation.ScaleAsNumpy() if quantisation else 0)
        zeros = self._numbers(quantisation.ZeroPointAsNumpy() if quantisation else 0)
        if not (np.isfinite(scales).all() and (scales > 0).all()):
            raise W2sError(f"tensor '{name}' has a scale that is no positive number")
        return Tensor(
            index=index,
            name=name,
            shape=shape,
            dtype=dtype,
            scales=scales.astype(np.float32),
            zero_points=zeros.astype(np.int64),
            axis=int(quantisation.QuantizedDimension()) if quantisation else 0,
            data=stored.view(dtype).reshape(shape) if len(stored) else None,
        )

    def _operator(self, raw: Any) -> Operator:
        code = self._root.OperatorCodes(raw.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        table = raw.BuiltinOptions()
        options = schema.BuiltinOptionsCreator(raw.BuiltinOptionsType(), table) if table else None
        return Operator(
            name=_OPERATORS.get(builtin, f"operator {builtin}"),
            inputs=self._integers(raw.InputsAsNumpy()),
            outputs=self._integers(raw.OutputsAsNumpy()),
            options=_options(options),
        )


def _options(raw: Any) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if hasattr(raw, "padding"):
        options["padding"] = _PADDINGS[raw.padding]
        options["stride"] = (raw.strideH, raw.strideW)
    if hasattr(raw, "dilationHFactor"):
        options["dilation"] = (raw.dilationHFactor, raw.dilationWFactor)
    if hasattr(raw, "filterHeight"):
        options["filter"] = (raw.filterHeight, raw.filterWidth)
    if hasattr(raw, "fusedActivationFunction"):
        options["activation"] = _ACTIVATIONS[raw.fusedActivationFunction]
    return options


def read(source: Path | str | bytes) -> TfliteFile:
    """A .tflite from a path or from its bytes. Raises :class:`W2sError` for what is no .tflite with
    one subgraph, whatever it is instead."""
    if isinstance(source, bytes):
        content = source
    else:
        try:
            content = Path(source).read_bytes()
        except OSError as error:
            raise W2sError(f"{source} cannot be read: {error}", "run w2s convert first") from error
    _check_identifier(content)
    try:
        return _Reader(content).file()
    except W2sError:
        raise
    except Exception as error:  # a broken file makes the generated accessors fail in any way
        raise _broken(error) from error


def with_metadata(
    content: bytes, metadata: dict[str, bytes], names: dict[int, str] | None = None
) -> bytes:
    """The same model with exactly these metadata, the tensors in ``names`` (by index) renamed.

    What a converter adds about itself (its version, a description) goes: the same weights give the
    same bytes.
    """
    model = _load(content)
    for index, name in (names or {}).items():
        model.subgraphs[0].tensors[index].name = name.encode()
    spare = [entry.buffer for entry in _list(model.metadata)]
    for index in spare:
        model.buffers[index].data = None
    model.metadata = []
    model.metadataBuffer = None
    model.description = b"Wav2Small"
    for key, value in sorted(metadata.items()):
        if not spare:
            spare.append(len(model.buffers))
            model.buffers.append(schema.BufferT())
        entry = schema.MetadataT()
        entry.name, entry.buffer = key.encode(), spare.pop(0)
        model.buffers[entry.buffer].data = np.frombuffer(value, np.uint8)
        model.metadata.append(entry)
    return _pack(model)


def with_constant(
    content: bytes, index: int, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> bytes:
    """The same model with the constant tensor ``index`` replaced by ``change`` of it."""
    model = _load(content)
    data = read(content).tensors[index].data
    if data is None:
        raise W2sError(f"tensor {index} holds no constant")
    buffer = model.buffers[model.subgraphs[0].tensors[index].buffer]
    buffer.data = np.frombuffer(change(data.copy()).astype(data.dtype).tobytes(), np.uint8)
    return _pack(model)


def with_frames(content: bytes, frames: int) -> bytes:
    """The same convolutional model for a clip of ``frames`` rows, T >= 1.

    An interpreter without dynamic shapes (TFLM) needs the time of every activation in the file.
    Raises :class:`W2sError` for operators that have no place in the split graph.
    """
    if frames < 1:
        raise W2sError(f"{frames} frames are not a clip", "give one or more")
    model = _load(content)
    file = read(content)
    times = {file.inputs[0]: frames}
    for operator in file.operators:
        source, target = operator.inputs[0], operator.outputs[0]
        if source not in times:
            raise W2sError(f"{operator.name} does not follow from the input of the graph")
        time = times[source]
        if operator.name == "PAD":
            padding = file.tensors[operator.inputs[1]].data
            assert padding is not None
            time += int(padding[1].sum())
        elif operator.name == "MAX_POOL_2D" and operator.options["padding"] == "VALID":
            time = (time - operator.options["filter"][0]) // operator.options["stride"][0] + 1
        elif operator.name != "CONV_2D" or operator.options["stride"] != (1, 1):
            raise W2sError(f"{operator.name} is not supported in the split graph")
        times[target] = time
    for index, time in times.items():
        tensor = model.subgraphs[0].tensors[index]
        shape = _list(tensor.shape)
        shape[1] = time
        tensor.shape = np.array(shape, np.int32)
        if tensor.shapeSignature is not None:
            tensor.shapeSignature = tensor.shape
    return _pack(model)
