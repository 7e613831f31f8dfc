# SPDX-License-Identifier: Apache-2.0
"""A teacher trained in small: what it learns, what it must not hear, what it says when asked."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("opensmile", reason="teaching is not installed: pip install -e '.[teach]'")

from wav2small_micro import labelling, metrics, teaching
from wav2small_micro.data import labels, manifest
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.errors import W2sError
from wav2small_micro.teachers import base, functionals, taught

SMALL = teaching.Grid(sets=(("eGeMAPSv02",),), gamma=(0.25,), own=(0.0, 0.3), folds=3)
WORDS = {True: "anger", False: "sadness"}


def tone(rng: np.random.Generator, loud: bool) -> np.ndarray:
    """0.6 s of a buzz in noise: high and loud, or low and soft."""
    time = np.arange(9600) / 16000
    pitch = (230 if loud else 110) * rng.uniform(0.9, 1.1)
    wave = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    wave = wave * (0.12 if loud else 0.02) + rng.normal(0, 0.002, len(time))
    return np.asarray(wave * (1 + 0.3 * np.sin(2 * np.pi * 4 * time)))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Eight speakers, of whom two corpora: one rated, one acted; 32 clips."""
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(3)
    rows = []
    for speaker in range(8):
        for clip in range(4):
            loud = clip % 2 == 0
            path = f"s{speaker}_{clip}.flac"
            soundfile.write(folder / path, tone(rng, loud), 16000)
            adv = np.clip((0.8 if loud else 0.3) + rng.normal(0, 0.05, 3), 0, 1)
            row = Row(
                path,
                corpus="rated" if speaker < 5 else "acted",
                speaker=f"s{speaker}",
                sex="female" if speaker % 2 else "male",
                split="dev" if speaker in (4, 7) else "train",
                emotion=WORDS[loud],
            )
            if speaker < 5:
                row = replace(row, **dict(zip(metrics.DIMENSIONS, map(float, adv), strict=True)))
            rows.append(row)
    manifest.write(Manifest(folder, tuple(rows)), folder / "manifest.csv")
    return manifest.read(folder)


@pytest.fixture(scope="module")
def folder(speech: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "buzz"
    teaching.teach(speech, folder, SMALL)
    return folder


def test_it_learns_and_says_how_well(folder: Path) -> None:
    facts = json.loads((folder / "teacher.json").read_text())
    assert facts["clips"] == 24
    assert facts["rated_by_people"] == 16
    assert facts["dev"]["speakers"] == 1
    for dimension in metrics.DIMENSIONS:
        assert facts["cross_validation"][0]["ccc"][dimension] > 0.8
        assert facts["dev"][dimension]["ccc"] > 0.8


def test_labels_are_out_of_fold(folder: Path, speech: Manifest) -> None:
    """Those of the train side are what the set without the fold says, those of dev what the whole
    says, and the labels that `teach` leaves are those that `label` gives."""
    found = labels.by_path(labels.read(folder / "labels.csv"))
    teacher = base.load(str(folder))
    assert isinstance(teacher, taught.Taught)
    assert set(found) == {row.path for row in speech.rows}
    for row in speech.rows:
        assert bool(found[row.path].fold) is (row.split == "train")
        assert found[row.path].fold == teacher.fold(row)
        assert found[row.path].weights_sha256 == teacher.sha256
    folds = {row.speaker: found[row.path].fold for row in speech.select("train").rows}
    assert set(folds.values()) == {"1", "2", "3"}
    out = folder / "again.csv"
    labelling.label(teacher, speech, out)
    for path, label in labels.by_path(labels.read(out)).items():
        np.testing.assert_allclose(label.adv, found[path].adv, atol=2e-6)
        assert label.audio_sha256 == found[path].audio_sha256


def test_a_fold_has_no_part_in_its_labels(speech: Manifest, tmp_path: Path) -> None:
    """Other ratings of a speaker leave the out-of-fold labels of that speaker as they were."""
    data = teaching.lesson(speech, 3)
    names = functionals.SETS[:1]
    read = [lambda row=row: teaching._read(speech, row) for row in data.rows]
    keys = [row.path for row in data.rows]
    features = functionals.extract_all(read, names, keys, tmp_path, lambda done, total: None)
    placed = teaching._view(features[names[0]]).support.astype(np.float32)
    kernel = taught.rbf(placed, placed, 0.25)
    fit = teaching.Fit(0.3, 0.02, 0.3)
    before = fit.out_of_fold(kernel, data)
    changed = data.target.copy()
    changed[data.fold == 2] = 1 - changed[data.fold == 2]
    after = fit.out_of_fold(kernel, replace(data, target=changed))
    np.testing.assert_array_equal(before[data.fold == 2], after[data.fold == 2])
    assert np.abs(before - after)[data.fold != 2].max() > 0.01


def test_the_fit_is_the_textbook_s() -> None:
    """Against the plain equations: (K + ridge I) c = y - mean, one task and equal weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 5)).astype(np.float32)
    kernel = taught.rbf(x, x, 0.5)
    apart = ((x[:, None].astype(np.float64) - x[None]) ** 2).mean(axis=-1)
    np.testing.assert_allclose(kernel, np.exp(-0.5 * apart), atol=1e-5)
    target = rng.uniform(size=(12, 3))
    rows = tuple(Row(str(i), speaker=str(i)) for i in range(12))
    data = teaching.Lesson(rows, target, np.ones(12, bool), np.arange(12))
    coefficients, offset = teaching.Fit(0.0, 0.1, 0.3)(kernel, data, np.ones(12, bool))
    plain = np.linalg.inv(np.exp(-0.5 * apart) + 0.1 * np.eye(12)) @ (target - target.mean(axis=0))
    np.testing.assert_allclose(coefficients, plain, atol=1e-3)
    np.testing.assert_allclose(offset, target.mean(axis=0))


def test_features_are_not_computed_twice(tmp_path: Path) -> None:
    calls: list[int] = []

    def read(i: int) -> np.ndarray:
        calls.append(i)
        if len(calls) == 70:
            raise KeyboardInterrupt
        return np.random.default_rng(i).integers(-9000, 9000, 4000).astype(np.int16)

    readers = [lambda i=i: read(i) for i in range(72)]
    arguments = (readers, ("eGeMAPSv02",), [str(i) for i in range(72)], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        functionals.extract_all(*arguments, lambda done, total: None)
    found = functionals.extract_all(*arguments, lambda done, total: None)["eGeMAPSv02"]
    assert calls[70:] == list(range(64, 72))
    assert found.shape == (72, 88)
    np.testing.assert_array_equal(found[3], functionals.extract(readers[3](), "eGeMAPSv02"))


def test_gauss_keeps_ranks_and_bounds() -> None:
    rng = np.random.default_rng(1)
    raw = np.stack([np.exp(rng.normal(size=500) * 3), np.zeros(500), rng.integers(0, 2, 500)], 1)
    gauss = functionals.Gauss.fit(raw.astype(np.float32))
    mapped = gauss(raw.astype(np.float32))
    order = np.argsort(raw[:, 0])
    assert (np.diff(mapped[order, 0]) >= 0).all()
    assert abs(mapped[:, 0].mean()) < 0.05
    assert mapped[:, 0].std() == pytest.approx(1, abs=0.1)
    assert np.ptp(mapped[:, 1]) == 0
    assert np.abs(gauss(np.full((1, 3), 1e30, np.float32))).max() < 2.6


def test_what_cannot_be_taught(speech: Manifest, tmp_path: Path) -> None:
    unlabelled = speech.with_rows(Row(f"{i}", speaker="s", split="train") for i in range(3))
    for found, message in (
        (unlabelled, "is labelled"),
        (speech.with_rows(replace(row, speaker="") for row in speech.rows), "have no speaker"),
        (
            speech.with_rows(replace(row, speaker="s") for row in speech.rows[:3]),
            "a single speaker",
        ),
        (replace(speech, columns=frozenset({"path"})), "no column 'split', 'speaker'"),
    ):
        with pytest.raises(W2sError, match=message):
            teaching.teach(found, tmp_path, SMALL)


def test_too_many_clips(speech: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "MOST", 23)
    with pytest.raises(W2sError, match="24 training clips are too many"):
        teaching.lesson(speech, 3)


def test_folders_that_are_no_teacher(folder: Path, tmp_path: Path) -> None:
    facts = (folder / "teacher.json").read_text()
    (tmp_path / "teacher.json").write_text(facts)
    with pytest.raises(W2sError, match=r"has no teacher\.npz"):
        base.load(str(tmp_path))
    (tmp_path / "teacher.npz").write_bytes((folder / "teacher.npz").read_bytes()[:1000])
    with pytest.raises(W2sError, match="cannot be read as a teacher"):
        base.load(str(tmp_path))
    (tmp_path / "teacher.json").write_text(facts.replace('"version": 1', '"version": 9'))
    with pytest.raises(W2sError, match="of version 9"):
        base.load(str(tmp_path))


def test_the_level_is_heard_only_as_recorded(folder: Path, speech: Manifest) -> None:
    """A clip 12 dB down is answered as before; a teacher that hears levels answers another."""
    teacher = taught.load(folder)
    pcm = teaching._read(speech, speech.rows[0])
    soft = np.rint(pcm / 4).astype(np.int16)
    first, second = teacher.answer([pcm, soft], ["", ""])
    np.testing.assert_allclose(first, second, atol=0.02)
    teacher.facts["as_recorded"] = True
    first, second = teacher.answer([pcm, soft], ["", ""])
    assert np.abs(first - second).max() > 0.05
