# SPDX-License-Identifier: Apache-2.0
"""Calibration: mean and spread become the teacher's, and only the head changes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import taught

pytest.importorskip("keras", reason="training is not installed: pip install -e '.[train]'")

from wav2small_micro import metrics, student
from wav2small_micro.data import manifest
from wav2small_micro.distillation import calibration, targets
from wav2small_micro.distillation.calibration import Answers, Calibration


def answers(found: np.ndarray, wanted: np.ndarray) -> Answers:
    return Answers(found, wanted, np.ones(len(found)))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.6, 1.6), st.floats(-1, 1), st.integers(20, 60))
def test_no_other_line_agrees_better(seed: int, scale: float, offset: float, size: int) -> None:
    """CCC after it is the correlation: the most that a scale and an offset can give."""
    rng = np.random.default_rng(seed)
    wanted = rng.normal(0.4, 0.2, (size, 3))
    noise = rng.normal(0, 0.03, (size, 3))
    found = (wanted - offset) / scale + noise
    calibrated = Calibration.fit(answers(found, wanted))(found)
    for d in range(3):
        best = np.corrcoef(found[:, d], wanted[:, d])[0, 1]
        assert metrics.ccc(calibrated[:, d], wanted[:, d]) == pytest.approx(best, abs=1e-6)


def test_every_weight_counts_and_nothing_is_blown_up() -> None:
    rng = np.random.default_rng(1)
    found, wanted = rng.normal(0, 0.1, (50, 3)), rng.normal(0.5, 0.15, (50, 3))
    twice = Answers.together([answers(found, wanted), answers(found[:20], wanted[:20])])
    weighted = Answers(found, wanted, np.r_[np.full(20, 2.0), np.ones(30)])
    np.testing.assert_allclose(Calibration.fit(twice).scale, Calibration.fit(weighted).scale)
    np.testing.assert_allclose(Calibration.fit(twice).offset, Calibration.fit(weighted).offset)
    for still in (np.full((50, 3), 0.3), found * 1e-3):
        found_scale = Calibration.fit(answers(still, wanted)).scale
        np.testing.assert_array_equal(found_scale, calibration.SCALES[1])
        mean = Calibration.fit(answers(still, wanted))(still).mean(axis=0)
        np.testing.assert_allclose(mean, wanted.mean(axis=0))


def test_a_student_ends_as_wide_as_its_teacher(tmp_path: Path) -> None:
    path, labelled = taught.corpus(tmp_path, clips=6)
    found = targets.read([labelled])
    read = manifest.read(path)
    clips = [*targets.join([read], found, "train"), *targets.join([read], found, "dev")]
    model = student.build("17k")
    head = model.get_layer("adv")
    before = {weight.path: np.asarray(weight.value).copy() for weight in model.weights}
    facts = [calibration.calibrate(model, clips, ["utterance", "live"])]
    while facts[-1]["scale"] != [1.0] * 3 and len(facts) < 20:  # one that is far off needs a few
        facts.append(calibration.calibrate(model, clips, ["utterance", "live"]))
    assert 1 < len(facts) < 20
    np.testing.assert_allclose(facts[-1]["offset"], 0, atol=1e-3)
    changed = {w.path for w in model.weights if not np.array_equal(before[w.path], w.value)}
    assert changed == {weight.path for weight in head.weights}
    assert facts[0]["clips"] == len(clips)
    assert facts[0]["before"] != facts[-1]["before"]
    assert set(facts[0]["after"]) == set(metrics.DIMENSIONS)
