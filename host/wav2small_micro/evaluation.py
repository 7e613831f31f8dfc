# SPDX-License-Identifier: Apache-2.0
"""How well answers agree with people: CCC on speakers that training has not heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import metrics, reference
from wav2small_micro.data import manifest, speech
from wav2small_micro.data.speech import LabelledClip
from wav2small_micro.engines import base

HUMAN_CORPUS = "emotale"
"""The corpus that people rated on all three dimensions."""

Answerer = Callable[[NDArray[np.int16], str], NDArray[np.floating[Any]]]
"""int16 (N,) and a normalisation to A/D/V (3,)."""


def agreement(answer: Answerer, clips: list[LabelledClip]) -> dict[str, Any]:
    """CCC of answers with the clips' labels, 95 % intervals over speakers, by normalisation."""
    target = np.stack([clip.target for clip in clips])
    speakers = [clip.row.speaker for clip in clips]
    result: dict[str, Any] = {
        "corpus": ", ".join(sorted({clip.row.corpus for clip in clips})),
        "clips": len(clips),
        "speakers": len(set(speakers)),
    }
    for norm in reference.NORMS:
        found = np.stack([answer(clip.pcm, norm) for clip in clips])
        result[norm] = {}
        for i, dimension in enumerate(metrics.DIMENSIONS):
            interval = metrics.bootstrap_ccc(found[:, i], target[:, i], speakers)
            result[norm][dimension] = {
                "ccc": round(metrics.ccc(found[:, i], target[:, i]), 4),
                "interval": [round(bound, 4) for bound in interval],
            }
    return result


def evaluate(model: base.Model, engine: str = "c") -> dict[str, Any]:
    """Agreement of a model, run by an engine, with the human ratings of the EmoTale speakers that
    were kept out of training. Raises :class:`W2sError` when the research data are not there."""
    runner = base.create(engine, model)
    try:
        clips = speech.load(manifest.research(), "dev", HUMAN_CORPUS)
        return agreement(lambda pcm, norm: runner.run(pcm, norm=norm).adv, clips)
    finally:
        runner.close()
