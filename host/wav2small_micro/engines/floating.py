# SPDX-License-Identifier: Apache-2.0
"""Engine ``float``: the whole network in float32 behind the float64 log-mel. The reference of every
bound."""

from __future__ import annotations

import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from wav2small_micro import reference
from wav2small_micro.engines import inputs
from wav2small_micro.engines.base import Answer, Model
from wav2small_micro.engines.tflite import OPTIMISED, interpret
from wav2small_micro.errors import W2sError


class FloatEngine:
    """TensorFlow Lite in float32: its optimised kernels, which are as exact and much faster.

    A graph of another network (``w2s import``) may hear audio, and may take one length only: it
    answers with the mean over windows of that length, the last one ending with the clip, which is
    repeated where it is shorter.
    """

    name = "float"

    def __init__(self, model: Model) -> None:
        if not model.float_path.is_file():
            raise W2sError(f"{model.float_path} does not exist", "w2s convert writes it")
        self._content = model.float_path.read_bytes()
        (found,) = Interpreter(model_content=self._content).get_input_details()
        free = found["shape_signature"] if len(found["shape_signature"]) else found["shape"]
        self._entry = inputs.entry(found["name"], [int(n) if n > 0 else None for n in free])
        self._order = model.facts.get("order", [0, 1, 2])

    def run(self, pcm: NDArray[np.int16], *, norm: str = "utterance", rows: bool = False) -> Answer:
        """See :class:`~wav2small_micro.engines.base.Engine`; lin and sof are the int8 engines'
        alone."""
        start = time.perf_counter()
        answers = []
        for piece in _windows(pcm, self._entry.samples):
            x = self._entry.fill(piece, norm)
            answers.append(interpret(self._content, x, kernels=OPTIMISED)["adv"].reshape(3))
        return Answer(
            np.stack(answers).astype(np.float64).mean(axis=0)[self._order],
            logmel=reference.logmel(pcm, norm) if rows else None,
            details={"seconds": time.perf_counter() - start},
        )

    def close(self) -> None:
        """Nothing to let go of: an interpreter lives for one clip."""


def _windows(pcm: NDArray[np.int16], samples: int | None) -> list[NDArray[np.int16]]:
    """A clip as windows of ``samples``; as it is where any length will do."""
    if samples is None:
        return [pcm]
    if len(pcm) <= samples:
        return [np.resize(pcm, samples)]
    starts = [*range(0, len(pcm) - samples, samples), len(pcm) - samples]
    return [pcm[start : start + samples] for start in starts]
