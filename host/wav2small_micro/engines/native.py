# SPDX-License-Identifier: Apache-2.0
"""Engine ``c``: the firmware's library on this machine."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import native
from wav2small_micro.engines.base import Answer, Model


class NativeEngine:
    """Runs clips through the C library."""

    name = "c"

    def __init__(self, model: Model) -> None:
        self._network = native.Network(model.plan)

    def run(self, pcm: NDArray[np.int16], *, norm: str = "utterance", rows: bool = False) -> Answer:
        """See :class:`~wav2small_micro.engines.base.Engine`; ``norm`` may also be ``buffered``."""
        start = time.perf_counter()
        output = self._network.run(pcm, norm, rows=("logmel", "lin", "sof") if rows else ())
        seconds = time.perf_counter() - start
        kept = dict(output.rows)
        if rows:
            kept["logmel"] = kept["logmel"].astype(np.float32) / np.float32(native.DB_STEPS)
        return Answer.from_q16(output.adv_q16, details={"seconds": seconds}, **kept)

    def close(self) -> None:
        """Nothing to let go of."""
