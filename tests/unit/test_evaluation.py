# SPDX-License-Identifier: Apache-2.0
"""Agreement with labels, by normalisation, over speakers."""

from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import evaluation, paths
from wav2small_micro.data.manifest import Row
from wav2small_micro.data.speech import LabelledClip
from wav2small_micro.engines import base
from wav2small_micro.errors import W2sError


def clip(number: int) -> LabelledClip:
    target = np.random.default_rng(number).uniform(0, 1, 3).astype(np.float32)
    return LabelledClip(
        row=Row(f"{number}.flac", corpus="emotale", speaker=f"s{number % 3}", split="dev"),
        target=target,
        human=True,
        pcm=np.array([number] * 64, np.int16),
    )


def test_agreement_of_a_listener_that_is_right_in_one_normalisation() -> None:
    clips = [clip(number) for number in range(12)]

    def answer(pcm: np.ndarray, norm: str) -> np.ndarray:
        target = clips[pcm[0]].target
        return target if norm == "utterance" else target[::-1]

    found = evaluation.agreement(answer, clips)
    assert (found["clips"], found["speakers"], found["corpus"]) == (12, 3, "emotale")
    assert found["utterance"]["arousal"] == {"ccc": 1.0, "interval": [1.0, 1.0]}
    assert found["live"]["dominance"]["ccc"] == 1.0
    assert found["live"]["arousal"]["ccc"] < 0.9
    low, high = found["live"]["arousal"]["interval"]
    assert low <= found["live"]["arousal"]["ccc"] <= high


def test_evaluate_says_when_there_is_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2S_DATA", str(tmp_path))
    with pytest.raises(W2sError, match="research data are not here"):
        evaluation.evaluate(base.Model.load(paths.model_names()[0]))
