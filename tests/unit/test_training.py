# SPDX-License-Identifier: Apache-2.0
"""Crops, the loss, and a training run in small, on a corpus made of noise."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("keras", reason="training is not installed: pip install -e '.[train]'")

from wav2small_micro import metrics, native, training
from wav2small_micro.data import manifest, speech
from wav2small_micro.errors import W2sError

RATINGS = {"anger": (4.0, 3.5, 2.0), "sadness": (2.0, 2.0, 2.5)}
ROWS = [
    ("emotale", "e1", "anger", "train", 1),
    ("emotale", "e1", "sadness", "train", 1),
    ("emotale", "e2", "anger", "dev", 1),
    ("emotale", "e2", "sadness", "dev", 1),
    ("emodb", "b1", "anger", "train", 0),
    ("emodb", "b1", "fear", "train", 0),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six clips of 0.6 s in the format of the research data."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        names = [f"{dimension}_mean_1to5" for dimension in metrics.DIMENSIONS]
        writer = csv.writer(file)
        writer.writerow(["path", "corpus", "speaker", "emotion", "split", *names])
        for number, (corpus, speaker, emotion, split, human) in enumerate(ROWS):
            soundfile.write(folder / f"{number}.flac", rng.normal(0, 0.1, 9600), 16000)
            ratings = RATINGS[emotion] if human else ("", "", "")
            writer.writerow([f"{number}.flac", corpus, speaker, emotion, split, *ratings])
    return folder


def small(**changes: object) -> training.Recipe:
    return training.Recipe(**{"steps": 50, "batch": 4, "seconds": (0.25, 0.25), **changes})  # type: ignore[arg-type]


def test_crops_depend_on_their_number_alone(corpus: Path) -> None:
    clips = speech.load(manifest.read(corpus), "train")
    first, second = (training.Crops(clips, small(), 50, native.logmel) for _ in range(2))
    first.epoch = second.epoch = 3
    _ = first[0]
    rows, targets = first[7]
    assert rows.shape == (4, 124, 26)
    assert targets.shape == (4, 4)
    np.testing.assert_array_equal(rows, second[7][0])
    np.testing.assert_array_equal(targets, second[7][1])
    second.epoch = 4
    assert not np.array_equal(rows, second[7][0])
    assert sorted(set(targets[:, 3].tolist())) == pytest.approx([0.3, 1.0])


def test_loss_is_one_minus_the_ccc() -> None:
    rng = np.random.default_rng(2)
    target, predicted = rng.uniform(0, 1, (2, 20, 3)).astype(np.float32)
    weight = np.ones((20, 1), np.float32)
    expected = 1 - np.mean([metrics.ccc(target[:, i], predicted[:, i]) for i in range(3)])
    found = float(training.ccc_loss(np.hstack([target, weight]), predicted))
    assert found == pytest.approx(expected, abs=1e-4)
    weight[10:] = 0
    half = float(training.ccc_loss(np.hstack([target, weight]), predicted))
    expected = 1 - np.mean([metrics.ccc(target[:10, i], predicted[:10, i]) for i in range(3)])
    assert half == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_training_writes_a_model_and_resumes(corpus: Path, tmp_path: Path) -> None:
    """A run of two epochs that is stopped after one ends with the same weights."""
    from wav2small_micro import student

    calls = 0

    def failing(pcm: np.ndarray, norm: str) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > 60 * 4:
            raise RuntimeError("stopped here")
        return native.logmel(pcm, norm)

    recipe = small(steps=100)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    facts = training.train(whole, "17k", recipe, corpus, verbose=0)
    with pytest.raises(Exception, match="stopped here"):
        training.train(broken, "17k", recipe, corpus, failing, verbose=0)
    training.train(broken, "17k", recipe, corpus, verbose=0)
    for first, second in zip(
        student.load(whole, "17k").get_weights(),
        student.load(broken, "17k").get_weights(),
        strict=True,
    ):
        np.testing.assert_allclose(first, second, atol=1e-4)
    assert json.loads((whole / "model.json").read_text()) == json.loads(json.dumps(facts))
    assert facts["agreement"]["speakers"] == 1
    assert len((broken / "training.csv").read_text().splitlines()) == 3
    with pytest.raises(W2sError, match="not whole epochs"):
        training.train(whole, "17k", small(steps=70), corpus)
