# SPDX-License-Identifier: Apache-2.0
"""A student as ONNX, run by onnxruntime: what it answers to a clip, and every tensor on the way."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import reference
from wav2small_micro.engines import inputs
from wav2small_micro.errors import W2sError


def onnx_module() -> Any:
    """The package onnx. Raises :class:`W2sError` where the extra `onnx` is not installed."""
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
        import onnx.reference
    except ImportError as error:
        raise W2sError(f"{error.name} is not installed", "pip install -e '.[onnx]'") from error
    return onnx


class OnnxSource:
    """An ONNX file. Raises :class:`W2sError` when it is none, or has no input that is a voice."""

    def __init__(self, path: Path) -> None:
        onnx = onnx_module()
        try:
            self.model = onnx.load(str(path))
            onnx.checker.check_model(self.model)
        except Exception as error:  # protobuf's and onnx's own, of several kinds
            raise W2sError(
                f"{path} is not a valid ONNX file: {str(error).splitlines()[0][:200]}",
                "export it again",
            ) from error
        self.path = path
        self.graph = self.model.graph
        self.entry = self._entry()
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def _entry(self) -> inputs.Entry:
        held = {tensor.name for tensor in self.graph.initializer}
        found = [value for value in self.graph.input if value.name not in held]
        if len(found) != 1:
            names = ", ".join(value.name for value in found)
            raise W2sError(
                f"{self.path} has {len(found)} inputs: {names}", "a student hears one: the voice"
            )
        (value,) = found
        dims = value.type.tensor_type.shape.dim
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
        return inputs.entry(value.name, shape)

    @cached_property
    def _session(self) -> Any:
        return self._start(self.model)

    def _start(self, model: Any) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise W2sError(f"{error.name} is not installed", "pip install -e '.[onnx]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # what fails is raised
        try:
            return onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own
            raise W2sError(
                f"onnxruntime does not run {self.path}: {str(error).splitlines()[0][:200]}",
                "export it with operators that onnxruntime has",
            ) from error

    def _run(self, session: Any, names: list[str], pcm: NDArray[np.int16]) -> list[Any]:
        x = self.entry.fill(pcm)
        try:
            found: list[Any] = session.run(names, {self.entry.name: x})
        except Exception as error:
            raise W2sError(
                f"onnxruntime fails at {len(pcm) / reference.SAMPLE_RATE:.1f} s of audio, an input "
                f"of {x.shape}: {str(error).splitlines()[0][:200]}",
                "export it with a free length (dynamic axes)",
            ) from error
        return found

    def answer(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """Arousal, dominance, valence of a clip, (3,), in the order of the graph."""
        names = [value.name for value in self.graph.output]
        for value in self._run(self._session, names, pcm):
            if np.size(value) == 3:
                return np.asarray(value, np.float32).reshape(3)
        raise W2sError(
            f"{self.path} has no output of three values: {', '.join(names)}",
            "export the whole student, head included: arousal, dominance, valence",
        )

    def tensors(self, pcm: NDArray[np.int16]) -> dict[str, NDArray[Any]]:
        """Every tensor that the nodes of the graph make of a clip, by name, in order."""
        onnx = onnx_module()
        every = onnx.ModelProto()
        every.CopyFrom(self.model)
        names = [name for node in every.graph.node for name in node.output if name]
        shown = {value.name for value in every.graph.output}
        every.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in shown)
        found = self._run(self._start(every), names, pcm)
        return {n: np.asarray(value) for n, value in zip(names, found, strict=True)}

    def fixed(self, pcm: NDArray[np.int16]) -> Any:
        """The same graph with its input as large as a clip makes it, which some tools need."""
        onnx = onnx_module()
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        (value,) = [v for v in model.graph.input if v.name == self.entry.name]
        for dim, size in zip(
            value.type.tensor_type.shape.dim, self.entry.fill(pcm).shape, strict=True
        ):
            dim.Clear()
            dim.dim_value = size
        return model
