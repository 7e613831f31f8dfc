# SPDX-License-Identifier: Apache-2.0
"""What decides a run of distillation, in one value that is kept with the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.distillation.augment import Augmentation
from wav2small_micro.errors import W2sError

LENGTHS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 10.0)
"""Lengths of crops, seconds. Few, since a compiler of graphs makes one for each."""


@dataclass(frozen=True)
class Recipe:
    """``batch_s`` is the audio in a batch, seconds, shared by crops of one length: as many as fit,
    but within ``crops``. ``favoured`` corpora have a share of the crops each; the others share the
    rest evenly. ``views`` is the share of crops that are of views, where there are labels of some;
    ``weights`` is what arousal, dominance and valence count in the loss. ``consistency``
    is what the agreement between answers to undisturbed crops and to the same ones disturbed counts
    beside that with the teacher; 0: a batch has no such twins. ``live`` is the share of crops
    normalised by the live rule instead of over themselves. ``bfloat16`` rounds so what is
    multiplied. ``average`` is how much of a running mean of the weights stays at each step: the
    mean is then what is compared and kept. Every ``check`` steps the student is compared with its
    teacher on dev speakers; after ``patience`` comparisons without a better one the run ends."""

    steps: int = 900
    batch_s: float = 36.0
    crops: tuple[int, int] = (8, 40)
    seconds: tuple[float, float] = (0.5, 10.0)
    favoured: tuple[tuple[str, float], ...] = ()
    views: float = 0.6
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    consistency: float = 0.0
    live: float = 0.5
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    average: float = 0.0
    check: int = 100
    dev_clips: int = 120
    patience: int = 5
    bfloat16: bool = False
    seed: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.steps % self.check:
            raise W2sError(
                f"{self.steps} steps are not whole checks", f"give a multiple of {self.check}"
            )
        if not self.lengths:
            raise W2sError(
                "no crop is {:g} to {:g} s long".format(*self.seconds),
                f"lengths are {', '.join(map(str, LENGTHS))}",
            )
        if min(self.weights) < 0 or not any(self.weights):
            raise W2sError(
                "weights " + " ".join(map(str, self.weights)), "0 or more each, and not all 0"
            )
        if self.consistency < 0:
            raise W2sError(f"consistency {self.consistency:g}", "0 for none, or more")
        shares = {"average": self.average, "views": self.views, "live": self.live}
        how = self.augmentation
        shares |= {"clean": how.clean, "beginning": how.beginning, "noise": how.noise}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise W2sError(f"{name} {share:g}", "a share, from 0 to 1")

    @property
    def lengths(self) -> tuple[float, ...]:
        """The lengths within ``seconds``."""
        return tuple(length for length in LENGTHS if self.seconds[0] <= length <= self.seconds[1])

    @property
    def shares(self) -> NDArray[np.float64]:
        """How often each of them: with the root of its inverse, as long crops are dear and say what
        short ones do."""
        weights = np.array(self.lengths) ** -0.5
        return weights / weights.sum()

    def crops_of(self, seconds: float) -> int:
        """Crops in a batch when each is so long.

        >>> Recipe().crops_of(2.0), Recipe().crops_of(10.0)
        (18, 8)
        """
        fewest, most = self.crops
        return min(most, max(fewest, int(self.batch_s / seconds)))

    def facts(self) -> dict[str, Any]:
        """Everything as plain values, for ``model.json``."""
        return asdict(self)
