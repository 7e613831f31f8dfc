# SPDX-License-Identifier: Apache-2.0
"""Engine ``tflm``: the int8 graph under TensorFlow Lite Micro's own interpreter, on this
machine."""

from __future__ import annotations

import numpy as np
from tflite_micro import runtime

from wav2small_micro import tflite_file
from wav2small_micro.engines.graph import GraphEngine, Int8
from wav2small_micro.errors import W2sError

FRAME_BYTES = 3 * 26 * 13
"""Arena a frame: input, output and padded copy of the widest layer, an ample bound."""
FIXED_BYTES = 64 * 1024
"""Arena for TFLM's own records of tensors and operators."""


class TflmEngine(GraphEngine):
    """TensorFlow Lite Micro. It knows no dynamic shapes: the file is patched to each clip's
    length."""

    name = "tflm"

    def rows(self, x: Int8) -> dict[str, Int8]:
        """See :class:`GraphEngine`."""
        content = tflite_file.with_frames(self._content, len(x))
        file = tflite_file.read(content)
        try:
            interpreter = runtime.Interpreter.from_bytes(
                content, arena_size=FIXED_BYTES + FRAME_BYTES * len(x)
            )
            interpreter.set_input(x[None, :, :, None], 0)
            interpreter.invoke()
        except RuntimeError as error:
            raise W2sError(
                f"TFLM does not run {len(x)} rows", f"try a shorter clip ({error})"
            ) from error
        # TFLM keeps no names, but the order of the file.
        return {
            name: np.reshape(
                interpreter.get_output(file.outputs.index(file.output(name).index)), (-1, 169)
            )
            for name in ("lin", "sof")
        }
