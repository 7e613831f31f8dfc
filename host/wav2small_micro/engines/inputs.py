# SPDX-License-Identifier: Apache-2.0
"""What a graph hears: audio or log-mel, in which shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import reference
from wav2small_micro.errors import W2sError

Hears = Literal["audio", "logmel"]


@dataclass(frozen=True)
class Entry:
    """The input of a graph: its name, what it ``hears``, and its shape, None where it is free.

    Audio is in -1..1, (1, N) or (1, 1, N); log-mel is dB, with axes of time and of 26 bands.
    """

    name: str
    hears: Hears
    shape: tuple[int | None, ...]

    @property
    def time_axis(self) -> int:
        """The axis along which a longer clip is longer."""
        if self.hears == "audio":
            return len(self.shape) - 1
        others = [i for i in range(1, len(self.shape)) if i != self._bands_axis]
        return next((i for i in others if self.shape[i] != 1), others[0])

    @property
    def _bands_axis(self) -> int:
        return max(i for i, size in enumerate(self.shape) if size == reference.BANDS)

    @property
    def samples(self) -> int | None:
        """The one length of audio, 16 kHz, that the graph takes; None where time is free."""
        size = self.shape[self.time_axis]
        if size is None or self.hears == "audio":
            return size
        return (size - 1) * reference.HOP + reference.WINDOW

    def fill(self, pcm: NDArray[np.int16], norm: str = "utterance") -> NDArray[np.float32]:
        """A clip, int16 (N,), as this input takes it."""
        wide = [1] * len(self.shape)
        if self.hears == "audio":
            wide[-1] = len(pcm)
            return (pcm.astype(np.float32) / np.float32(32768)).reshape(wide)
        rows = reference.logmel(pcm, norm).astype(np.float32)
        wide[self.time_axis], wide[self._bands_axis] = rows.shape
        return (rows if self.time_axis < self._bands_axis else rows.T).reshape(wide)


def entry(name: str, shape: Sequence[int | None]) -> Entry:
    """The input ``name`` by its shape. Raises :class:`W2sError` for one that is not a voice's.

    >>> entry("input", (1, None, 26)).hears
    'logmel'
    >>> entry("wave", (1, 16000)).samples
    16000
    """
    shape = tuple(shape)
    if reference.BANDS in shape[1:] and len(shape) in (3, 4):
        return Entry(name, "logmel", shape)
    if len(shape) == 2 or (len(shape) == 3 and shape[1] == 1):
        return Entry(name, "audio", shape)
    raise W2sError(
        f"input {name!r} is {shape}: neither audio (1, N) nor log-mel (1, T, 26)",
        "export the student with one of the two as its input",
    )
