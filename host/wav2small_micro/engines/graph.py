# SPDX-License-Identifier: Apache-2.0
"""What the two interpreters of the int8 graph share: rows in from the C front end, the integer twin
behind."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import attention, native
from wav2small_micro.engines.base import Answer, Model

Int8 = NDArray[np.int8]


class GraphEngine(ABC):
    """Runs the split graph in an interpreter, the attention pool and the head in
    ``attention.py``."""

    name: str

    def __init__(self, model: Model) -> None:
        self._plan = model.plan
        self._content = model.int8_path.read_bytes()

    @abstractmethod
    def rows(self, x: Int8) -> dict[str, Int8]:
        """``lin`` and ``sof``, (T2, 169) each, for input rows (T, 26)."""

    def run(self, pcm: NDArray[np.int16], *, norm: str = "utterance", rows: bool = False) -> Answer:
        """See :class:`~wav2small_micro.engines.base.Engine`."""
        start = time.perf_counter()
        outputs = self.rows(native.input_rows(self._plan, pcm, norm))
        adv = attention.pool(outputs["lin"], outputs["sof"], self._plan)
        details = {"seconds": time.perf_counter() - start}
        if not rows:
            return Answer.from_q16(adv, details=details)
        return Answer.from_q16(adv, details=details, logmel=native.logmel(pcm, norm), **outputs)

    def close(self) -> None:  # noqa: B027  nothing to let go of: an interpreter lives for one clip
        """See :class:`~wav2small_micro.engines.base.Engine`."""
