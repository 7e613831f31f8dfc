# SPDX-License-Identifier: Apache-2.0
"""The robustness sweep: disturbed answers against clean ones, and against people and teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.evaluation.answers import Answerer, Question
from wav2small_micro.evaluation.disturbances import DISTURBANCES, Disturbance
from wav2small_micro.evaluation.tables import Clips, Series, agreement_rows

Pcm = NDArray[np.int16]


def disturbed_answers(
    answerer: Answerer,
    pcms: Sequence[Pcm],
    norm: str,
    disturbance: Disturbance,
    tick: Callable[[], None],
) -> NDArray[np.float64]:
    """Answers to the clips after a disturbance, (N, 3); nan for those too short for it."""
    found = np.full((len(pcms), 3), np.nan)
    changed = [disturbance.of(pcm) for pcm in pcms]
    heard = [(i, pcm) for i, pcm in enumerate(changed) if pcm is not None]
    for _ in range(len(pcms) - len(heard)):
        tick()
    if heard:
        questions = [Question(pcm, norm) for _, pcm in heard]
        found[[i for i, _ in heard]] = answerer.ask(questions, tick)
    return found


def rows(
    answerer: Answerer,
    clips: Clips,
    pcms: Sequence[Pcm],
    clean: Series,
    tick: Callable[[], None] = lambda: None,
    disturbances: Sequence[Disturbance] = DISTURBANCES,
) -> list[dict[str, Any]]:
    """Rows of agreement as elsewhere, with ``disturbance``, ``kind`` and ``amount``; the reference
    ``clean`` is what the same model says under the same normalisation without it."""
    found = []
    references = {"clean": clean.adv, **clips.references}
    for disturbance in disturbances:
        adv = disturbed_answers(answerer, pcms, clean.norm, disturbance, tick)
        said = Series(clean.model, clean.engine, clean.norm, adv)
        about = {
            "disturbance": disturbance.name,
            "kind": disturbance.kind,
            "amount": disturbance.amount,
        }
        found += [about | row for row in agreement_rows(clips, [said], references)]
    return found
