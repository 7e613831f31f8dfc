# SPDX-License-Identifier: Apache-2.0
"""Several teachers as one: the mean of their answers, as in the paper."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.data.manifest import Row
from wav2small_micro.errors import W2sError
from wav2small_micro.teachers.base import Pcm, Teacher


class Mean:
    """The mean of teachers. At most one of them may have been fitted on speakers by fold."""

    def __init__(self, parts: Sequence[Teacher]) -> None:
        self.parts = list(parts)
        self.name = "+".join(part.name for part in parts)
        self.revision = "+".join(part.revision for part in parts)
        self.sha256 = hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest()

    def fold(self, row: Row) -> str:
        """The fold of the one part that knows the speaker."""
        found = {part.fold(row) for part in self.parts} - {""}
        if len(found) > 1:
            raise W2sError(
                f"the teachers of {self.name} were fitted on other folds of speakers",
                "train them on the same manifest",
            )
        return found.pop() if found else ""

    def answer(self, clips: Sequence[Pcm], folds: Sequence[str]) -> NDArray[np.float32]:
        """Mean over the parts, (B, 3)."""
        return np.mean([part.answer(clips, folds) for part in self.parts], axis=0)
