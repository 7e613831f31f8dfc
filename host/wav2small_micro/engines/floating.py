# SPDX-License-Identifier: Apache-2.0
"""Engine ``float``: the whole network in float32 behind the float64 log-mel. The reference of every
bound."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import reference
from wav2small_micro.engines.base import Answer, Model
from wav2small_micro.engines.tflite import OPTIMISED, interpret


class FloatEngine:
    """TensorFlow Lite in float32: its optimised kernels, which are as exact and much faster."""

    name = "float"

    def __init__(self, model: Model) -> None:
        self._content = model.float_path.read_bytes()

    def run(self, pcm: NDArray[np.int16], *, norm: str = "utterance", rows: bool = False) -> Answer:
        """See :class:`~wav2small_micro.engines.base.Engine`; lin and sof are the int8 engines'
        alone."""
        start = time.perf_counter()
        logmel = reference.logmel(pcm, norm)
        outputs = interpret(self._content, logmel[None].astype(np.float32), kernels=OPTIMISED)
        return Answer(
            outputs["adv"][0].astype(np.float64),
            logmel=logmel if rows else None,
            details={"seconds": time.perf_counter() - start},
        )

    def close(self) -> None:
        """Nothing to let go of: an interpreter lives for one clip."""
