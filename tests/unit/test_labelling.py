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
from wav2small_micro.data.manifest import Manifest, Row
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
    assert sorted(row.path for batch in made for row in batch) == sorted(row.path for row in rows)
    for batch in made:
        longest = max(row.duration_s or 0 for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= seconds + 1e-9
    assert made == labelling.batches(Manifest(Path(), tuple(reversed(rows))), seconds)


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
