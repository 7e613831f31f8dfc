# SPDX-License-Identifier: Apache-2.0
"""Labelling: batches that follow from the manifest alone, and runs that are taken up again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from wav2small_micro import labelling
from wav2small_micro.data import labels
from wav2small_micro.data.check import content_hash
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.distillation.views import View, draw, make
from wav2small_micro.errors import W2sError
from wav2small_micro.teachers import mean


class Loudness:
    """A teacher that answers level, peak and mean, and may stop or fail."""

    name, revision, sha256 = "loudness", "1", "ab" * 32

    def __init__(self, stop_after: int = 10**9, fold: str = "") -> None:
        self.batches: list[int] = []
        self.stop_after, self._fold = stop_after, fold

    def fold(self, row: Row) -> str:
        return self._fold if row.speaker == "known" else ""

    def answer(self, clips: Sequence[np.ndarray], folds: Sequence[str]) -> np.ndarray:
        if len(self.batches) == self.stop_after:
            raise KeyboardInterrupt
        self.batches.append(len(clips))
        longest = max(map(len, clips))  # the company changes the answer, as rounding does
        return np.array([[c.std() / 9e3, c.max() / 4e4, longest / 1e6] for c in clips], np.float32)


@pytest.fixture
def speech(tmp_path: Path) -> Manifest:
    rng = np.random.default_rng(5)
    rows = []
    for number in range(23):
        pcm = (rng.normal(0, 3000, int(rng.integers(3300, 9000)))).astype(np.int16)
        soundfile.write(tmp_path / f"{number}.wav", pcm, 16000)
        rows.append(Row(f"{number}.wav", speaker="known" if number % 2 else "x"))
    return Manifest(tmp_path, tuple(rows))


@given(st.lists(st.floats(0.2, 20), min_size=1, max_size=40), st.floats(0.1, 60))
def test_batches_hold_every_clip_once_and_no_more_than_asked(
    lengths: list[float], seconds: float
) -> None:
    rows = [Row(str(i), duration_s=length) for i, length in enumerate(lengths)]
    made = labelling.batches(Manifest(Path(), tuple(rows)), seconds)
    assert sorted(item.row.path for batch in made for item in batch) == sorted(
        row.path for row in rows
    )
    for batch in made:
        longest = max(item.row.duration_s or 0 for item in batch)
        assert len(batch) == 1 or len(batch) * longest <= seconds + 1e-9
    assert made == labelling.batches(Manifest(Path(), tuple(reversed(rows))), seconds)


def test_views_are_labelled_beside_their_clips(speech: Manifest, tmp_path: Path) -> None:
    """On the train side; mixtures are of speakers of one fold; a run goes on with more of them."""
    rows = [replace(row, split="dev" if i < 3 else "train") for i, row in enumerate(speech.rows)]
    speech = speech.with_rows(
        [replace(row, corpus="a" if i % 3 else "b") for i, row in enumerate(rows)]
    )
    by_path = {row.path: row for row in speech.rows}
    teacher = Loudness(fold="3")
    few = labelling.views(speech, teacher, {"": 2, "b": 6})
    assert few == labelling.views(speech, Loudness(fold="3"), {"": 2, "b": 6})
    assert {len(specs) for path, specs in few.items() if by_path[path].corpus == "a"} == {2}
    assert {len(specs) for path, specs in few.items() if by_path[path].corpus == "b"} == {6}
    assert not any(by_path[path].split == "dev" for path in few)
    mixed = [(path, View.read(spec)) for path, specs in few.items() for spec in specs]
    others = [
        (by_path[path].speaker, by_path[view.other].speaker) for path, view in mixed if view.other
    ]
    assert others
    assert all(one == other for one, other in others)
    out = tmp_path / "labels.csv"
    outcome = labelling.label(teacher, speech, out, 1.5, specs=few)
    assert outcome.new == 23 + len(mixed)
    more = labelling.views(speech, teacher, {"": 4, "b": 6})
    assert all(set(few[path]) <= set(specs) for path, specs in more.items())
    assert labelling.label(teacher, speech, out, 1.5, specs=more).new == sum(
        map(len, more.values())
    ) - len(mixed)
    for label in labels.read(out):
        pcm = labelling.read(speech, labelling.Item(by_path[label.path], label.spec))
        assert label.audio_sha256 == content_hash(pcm)
        assert label.arousal == pytest.approx(pcm.std() / 9e3, rel=1e-5)


@given(st.integers(1, 40_000), st.integers(1, 40_000), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_a_view_survives_its_label_and_fits_its_clips(
    samples: int, other: int, count: int, seed: int
) -> None:
    rows = (Row("a.wav"), Row("b.wav"))
    lengths = {"a.wav": samples, "b.wav": other}
    drawn = draw(rows[0], samples, [(row, lengths[row.path]) for row in rows], count, seed)
    assert len(set(drawn)) == len(drawn) <= count
    for view in drawn:
        assert View.read(view.spec) == view
        start, length = view.piece or (0, samples)
        assert 0 <= start <= start + length <= samples
        if view.other:
            room = max(samples, lengths[view.other])
            assert view.at[0] + samples <= room
            assert view.at[1] + lengths[view.other] <= room


def test_a_mixture_is_not_cut_and_keeps_its_level() -> None:
    rng = np.random.default_rng(0)
    loud, soft = (rng.normal(0, level, 16000).astype(np.int16) for level in (5000, 500))
    alone = make(View(), loud)
    np.testing.assert_array_equal(alone, loud)
    mixed = make(View(other="b.wav", level_db=20.0, at=(0, 0)), soft, loud)
    rest = mixed.astype(float) - soft
    assert 20 * np.log10(soft.std() / rest.std()) == pytest.approx(20, abs=0.1)
    both = make(View(other="b.wav", level_db=0.0, at=(0, 0)), loud, soft)
    assert np.abs(both).max() <= 0.9 * 32768
    late = make(View(other="b.wav", at=(0, 9)), loud, soft)  # as a rounded length may ask for
    assert len(late) == 16000
    for damaged in ("", "{", "[1]", '{"pitch":2}'):
        with pytest.raises(W2sError, match="is no view"):
            View.read(damaged)


def test_a_run_that_was_stopped_ends_as_one_left_alone(speech: Manifest, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.csv", tmp_path / "broken.csv"
    teacher = Loudness(fold="3")
    told: list[int] = []
    outcome = labelling.label(teacher, speech, whole, 1.5, lambda done, total: told.append(done))
    assert (outcome.before, outcome.new, outcome.unreadable) == (0, 23, ())
    assert told == sorted(told)
    assert told[-1] == 23
    with pytest.raises(KeyboardInterrupt):
        labelling.label(Loudness(3, "3"), speech, broken, 1.5)
    content = broken.read_bytes()
    broken.write_bytes(content[: content.rfind(b"\n", 0, -1) + 9])  # a line that a kill cut
    outcome = labelling.label(Loudness(fold="3"), speech, broken, 1.5)
    assert outcome.before + outcome.new == 23
    assert broken.read_bytes() == whole.read_bytes()
    again = Loudness(fold="3")
    assert labelling.label(again, speech, broken, 1.5).new == 0
    assert again.batches == []
    folds = {row.path: labels.by_path(labels.read(whole))[row.path].fold for row in speech.rows}
    assert {folds[row.path] for row in speech.rows if row.speaker == "known"} == {"3"}


def test_clips_that_cannot_be_read_are_told(speech: Manifest, tmp_path: Path) -> None:
    (tmp_path / "3.wav").write_bytes(b"RIFF")
    (tmp_path / "4.wav").unlink()
    outcome = labelling.label(Loudness(), speech, tmp_path / "l.csv", 1.5)
    assert outcome.new == 21
    assert sorted(path for path, _ in outcome.unreadable) == ["3.wav", "4.wav"]
    none = speech.with_rows(row for row in speech.rows if row.path in ("3.wav", "4.wav"))
    with pytest.raises(W2sError, match="none of the 2 clips"):
        labelling.label(Loudness(), none, tmp_path / "none.csv")


def test_nan_and_another_teacher_are_refused(speech: Manifest, tmp_path: Path) -> None:
    class Lost(Loudness):
        name, sha256 = "lost", "cd" * 32

        def answer(self, clips: Sequence[np.ndarray], folds: Sequence[str]) -> np.ndarray:
            return np.full((len(clips), 3), np.nan, np.float32)

    with pytest.raises(W2sError, match="with NaN"):
        labelling.label(Lost(), speech, tmp_path / "l.csv")
    labelling.label(Loudness(), speech, tmp_path / "l.csv")
    with pytest.raises(W2sError, match="another teacher, loudness"):
        labelling.label(Lost(), speech, tmp_path / "l.csv")


def test_a_mean_knows_folds_only_where_they_agree(speech: Manifest) -> None:
    row = speech.rows[1]
    assert mean.Mean([Loudness(fold="2"), Loudness()]).fold(row) == "2"
    with pytest.raises(W2sError, match="other folds"):
        mean.Mean([Loudness(fold="2"), Loudness(fold="1")]).fold(row)
    assert mean.Mean([Loudness(fold="2"), Loudness(fold="1")]).fold(replace(row, speaker="x")) == ""
