# SPDX-License-Identifier: Apache-2.0
"""Engine ``tflite``: the int8 graph under TensorFlow Lite's reference kernels.

Never the default kernels: XNNPACK's differ from the reference in 9 to 16 % of the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from wav2small_micro.engines.graph import GraphEngine, Int8

REFERENCE = OpResolverType.BUILTIN_REF
OPTIMISED = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
"""Kernels: the optimised ones are for float graphs alone."""


def interpret(
    content: bytes,
    x: NDArray[Any],
    every_tensor: bool = False,
    kernels: OpResolverType = REFERENCE,
) -> dict[str, Any]:
    """Runs a .tflite on its one input, whose shape it takes over.

    Returns outputs by tensor name or, with ``every_tensor``, all activations.
    """
    interpreter = Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=kernels,
        experimental_preserve_all_tensors=every_tensor,
    )
    (entry,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(entry["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], x)
    interpreter.invoke()
    wanted = interpreter.get_tensor_details() if every_tensor else interpreter.get_output_details()
    return {tensor["name"]: interpreter.get_tensor(tensor["index"]) for tensor in wanted}


class TfliteEngine(GraphEngine):
    """TensorFlow Lite, reference kernels."""

    name = "tflite"

    def rows(self, x: Int8) -> dict[str, Int8]:
        """See :class:`GraphEngine`."""
        outputs = interpret(self._content, x[None, :, :, None])
        return {name: np.reshape(outputs[name], (-1, 169)) for name in ("lin", "sof")}
