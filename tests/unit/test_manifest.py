# SPDX-License-Identifier: Apache-2.0
"""Manifests: what is written is read again, and what is wrong is named with its line."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wav2small_micro import paths
from wav2small_micro.data import emotions, importers, manifest, splits
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.errors import W2sError

HEADER = "path,corpus,speaker,split,arousal,dominance,valence\n"

words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x85\u2028\u2029"),
    max_size=8,
).map(str.strip)
labels = st.one_of(st.none(), st.floats(0, 1))
rows = st.builds(
    Row,
    path=st.uuids().map(lambda x: f"a/{x}.flac"),
    corpus=words,
    speaker=words,
    sex=words,
    language=words,
    duration_s=st.one_of(st.none(), st.floats(0, 1e4)),
    emotion=words,
    text_id=words,
    arousal=labels,
    dominance=labels,
    valence=labels,
    ratings=st.lists(st.tuples(labels, labels, labels), min_size=2, max_size=2).map(tuple),
    extra=st.builds(lambda text: (("whole", text),), words),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.csv"


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(rows, min_size=1, max_size=5), st.sampled_from(["m.csv", "m.parquet"]))
def test_what_is_written_is_read_again(tmp_path: Path, made: list[Row], name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pip install -e '.[parquet]'")
    manifest.write(Manifest(tmp_path, tuple(made)), tmp_path / name)
    found = manifest.read(tmp_path / name)
    assert found.rows == tuple(made)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_paths_follow_the_manifest(tmp_path: Path) -> None:
    """Below the file they are relative to it, elsewhere absolute; both lead to the clip."""
    source = Manifest(tmp_path / "speech", (Row("a/b.flac"),))
    for place, written in (("all.csv", "speech/a/b.flac"), ("out/m.csv", None)):
        manifest.write(source, tmp_path / place)
        found = manifest.read(tmp_path / place)
        assert found.rows[0].path == (written or str(tmp_path / "speech/a/b.flac"))
        assert found.file(found.rows[0]) == tmp_path / "speech" / "a" / "b.flac"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,split\na.flac,train\n", "no column 'path'"),
        (HEADER, "has no rows"),
        ("", "has no rows"),
        ("path;split\na;train\n", "single column"),
        ("path,path\na,b\n", "a column twice"),
        (HEADER + "a.flac,c,s\n", ":2 does not have 7 cells"),
        (HEADER + ",c,s,train,,,\n", ":2: '' is no path"),
        (HEADER + "a.flac,c,s,train,,,\na.flac,c,s,train,,,\n", "names a.flac twice"),
        (HEADER + "a.flac,c,s,training,,,\n", ":2: no split 'training'"),
        (HEADER + "a.flac,c,s,train,,nan,\n", ":2: dominance is 'nan', not a number"),
        (HEADER + "a.flac,c,s,train,,,high\n", "valence is 'high'"),
        (HEADER + "a.flac,c,s,train,3.5,,\n", "arousal is 3.5, not within 0..1"),
        (HEADER + "a.flac,c,s,train,,,\nb.flac,c,s,dev,,,\n", "two sides of the split: c/s"),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(W2sError, match=message) as caught:
        manifest.read(file)
    assert caught.value.hint


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="no manifest at"):
        manifest.read(tmp_path)
    (tmp_path / "m.csv").write_bytes(b"path\n\xff\xfe.flac\n")
    with pytest.raises(W2sError, match="cannot be read"):
        manifest.read(tmp_path / "m.csv")
    pytest.importorskip("pyarrow", reason="pip install -e '.[parquet]'")
    (tmp_path / "m.parquet").write_bytes(b"path\na.flac\n")
    with pytest.raises(W2sError, match="as parquet"):
        manifest.read(tmp_path / "m.parquet")


def test_columns_and_splits_that_are_asked_for(file: Path) -> None:
    file.write_text("path,split\na.flac,train\nb.flac,dev\n")
    found = manifest.read(file)
    assert [row.path for row in found.select("dev").rows] == ["b.flac"]
    with pytest.raises(W2sError, match="no column 'corpus'"):
        found.select(corpus="emotale")
    with pytest.raises(W2sError, match="no column 'speaker', 'sex'"):
        found.require("path", "speaker", "sex")
    with pytest.raises(W2sError, match="no split 'eval'"):
        found.select("eval")


speakers = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 30).map(str), st.sampled_from(["f", "m", ""])),
    min_size=3,
    max_size=40,
    unique_by=lambda who: who[:2],
)


@settings(max_examples=100, deadline=None)
@given(speakers, st.floats(0.05, 0.5), st.floats(0, 0.4), st.integers(0, 3), st.data())
def test_splits_part_speakers(
    who: list[tuple[str, str, str]], dev: float, test: float, seed: int, data: st.DataObject
) -> None:
    """Every speaker is on one side, each side asked for has some, the shares are kept, and neither
    the order of the rows nor a second drawing changes anything."""
    made = [
        Row(f"{corpus}{name}{i}", corpus=corpus, speaker=name, sex=sex)
        for corpus, name, sex in who
        for i in range(2)
    ]
    found = splits.draw(Manifest(Path(), tuple(made)), dev, test, seed)
    assert manifest.leaking(found) == []
    counts = splits.counts(found)
    for side, share in (("dev", dev), ("test", test)):
        have = counts.get(side, {"speakers": 0})["speakers"]
        assert abs(have - share * len(who)) <= 1
        assert have > 0 or not share
    sides = {row.path: row.split for row in found.rows}
    mixed = Manifest(Path(), tuple(data.draw(st.permutations(made))))
    assert {row.path: row.split for row in splits.draw(mixed, dev, test, seed).rows} == sides
    assert splits.draw(found, dev, test, seed + 1).rows == found.rows


def test_splits_keep_what_is_drawn(tmp_path: Path) -> None:
    made = tuple(
        Row(f"{i}", corpus="c", speaker=f"s{i % 6}", split="test" if i == 0 else "")
        for i in range(12)
    )
    found = splits.draw(Manifest(tmp_path, made))
    assert {row.split for row in found.rows if row.speaker == "s0"} == {"test"}
    again = splits.draw(Manifest(tmp_path, made), again=True)
    assert "test" not in {row.split for row in again.rows}
    leaking = (*made, Row("x", corpus="c", speaker="s0", split="train"))
    with pytest.raises(W2sError, match="two sides of the split: c/s0"):
        splits.draw(Manifest(tmp_path, leaking))
    assert len(splits.draw(Manifest(tmp_path, leaking), again=True)) == 13


def test_splits_that_cannot_be(tmp_path: Path) -> None:
    two = Manifest(tmp_path, (Row("a", speaker="s"), Row("b", speaker="t")))
    with pytest.raises(W2sError, match="too few"):
        splits.draw(two, 0.3, 0.3)
    with pytest.raises(W2sError, match="leave nothing"):
        splits.draw(two, 0.7, 0.3)
    with pytest.raises(W2sError, match="1 clips have no speaker"):
        splits.draw(two.with_rows([*two.rows, Row("c")]))


def research_like(path: Path) -> Path:
    """A manifest in the research data's own layout."""
    names = ["arousal", "dominance", "valence"]
    header = ["path", "corpus", "speaker", "sex", "emotion", "split", "whole"]
    header += [f"{n}_mean_1to5" for n in names] + [f"{n}_a{i}" for n in names for i in (1, 2, 3)]
    high, low = ["5", "4", "3"], ["1", "2", "2"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for i, (emotion, split, means) in enumerate(
            [("anger", "train", high), ("sadness", "train", low), ("fear", "dev", [""] * 3)]
        ):
            each = [mean for mean in means for _ in range(3)]
            writer.writerow([f"{i}.flac", "c", f"s{i}", "male", emotion, split, 1, *means, *each])
    return path


def test_the_research_layout(tmp_path: Path) -> None:
    found = manifest.read(research_like(tmp_path / "manifest.csv"))
    assert found.rows[0].human == pytest.approx([1, 0.75, 0.5])
    assert found.rows[0].ratings == ((1.0, 0.75, 0.5),) * 3
    assert found.rows[0].extra == (("whole", "1"),)
    assert found.rows[2].human is None
    manifest.write(found, tmp_path / "ours.csv")
    assert manifest.read(tmp_path / "ours.csv").rows == tuple(
        replace(row, ratings=row.ratings or ((None,) * 3,) * 3) for row in found.rows
    )


def test_acted_emotions_land_on_the_human_scale(tmp_path: Path) -> None:
    """A rating stands; an unrated clip lands where those who heard the word's clips rated them."""
    rows = manifest.read(research_like(tmp_path / "manifest.csv")).rows
    line = emotions.fit(rows[:2])
    assert line.target(rows[0]) == pytest.approx(rows[0].human)
    assert line.target(replace(rows[0], arousal=None)) == pytest.approx(rows[0].human, abs=1e-6)
    fear = line.target(rows[2])
    assert fear is not None
    assert fear[0] == pytest.approx(1, abs=0.02)
    assert line.target(Row("x", emotion="hunger")) is None
    plain = emotions.fit(())
    assert plain.target(Row("x", emotion="neutral")) == pytest.approx([0.5] * 3)


def test_the_research_data() -> None:
    if paths.research_data() is None:
        pytest.skip("research data not here: set W2S_DATA to the folder that holds manifest.csv")
    found = manifest.research()
    assert all(found.file(row).is_file() for row in found.rows)
    rated = [row for row in found.rows if row.human is not None]
    assert {row.corpus for row in rated} == {"emotale"}
    assert {len(row.ratings) for row in rated} == {3}


def test_missing_research_data_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_DATA", str(tmp_path))
    with pytest.raises(W2sError, match="research data are not here"):
        manifest.research()


def test_a_folder_of_audio(tmp_path: Path, clip_paths: list[Path]) -> None:
    for name in ("anna/s1_a.flac", "ben/s2_a.flac", "s3_a.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(clip_paths[0].read_bytes())
    (tmp_path / "ben" / "broken.wav").write_bytes(b"RIFF")
    found = importers.audio_folder(tmp_path, language="de")
    assert [row.speaker for row in found.rows] == ["anna", "ben", "ben", ""]
    assert [row.duration_s is None for row in found.rows] == [False, True, False, False]
    assert {(row.corpus, row.language) for row in found.rows} == {(tmp_path.name, "de")}
    (tmp_path / "ben" / "broken.wav").unlink()
    found = importers.audio_folder(tmp_path, speaker=r"(s[0-9])_", corpus="mine")
    assert [row.who for row in found.rows] == [("mine", "s1"), ("mine", "s2"), ("mine", "s3")]
    for pattern, message in ((r"s[0-9]_", "has no group"), (r"(x)", "finds no"), ("(", "regular")):
        with pytest.raises(W2sError, match=message):
            importers.audio_folder(tmp_path, speaker=pattern)
    (tmp_path / "empty").mkdir()
    with pytest.raises(W2sError, match="no audio in"):
        importers.audio_folder(tmp_path / "empty")
    with pytest.raises(W2sError, match="no folder"):
        importers.audio_folder(tmp_path / "nowhere")


def database(folder: Path, lowest: float | None = 1, highest: float | None = 7) -> Path:
    """An audformat database of three files, rated 1 to 7."""
    audformat = pytest.importorskip("audformat", reason="pip install -e '.[audformat]'")
    db = audformat.Database("tiny", languages=["deu"])
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "fear"])
    db.schemes["speaker"] = audformat.Scheme("str")
    for name in ("arousal", "dominance", "valence"):
        db.schemes[name] = audformat.Scheme("float", minimum=lowest, maximum=highest)
    files = {"train": ["a.wav", "b.wav"], "dev": ["c.wav"]}
    for side, names in files.items():
        db.splits[side] = audformat.Split(type=side)
        index = audformat.filewise_index(names)
        db[side] = audformat.Table(index, split_id=side)
        for name, values in (
            ("arousal", [1.0, None]),
            ("dominance", [4.0, None]),
            ("valence", [7.0, None]),
            ("emotion", ["anger", "fear"]),
            ("speaker", [f"{side}1", f"{side}2"]),
        ):
            db[side][name] = audformat.Column(scheme_id=name)
            db[side][name].set(values[: len(names)])
    db.save(str(folder))
    return folder


def test_an_audformat_database(tmp_path: Path) -> None:
    found = importers.audformat_database(database(tmp_path / "db"))
    assert [(row.path, row.split, row.speaker) for row in found.rows] == [
        ("a.wav", "train", "train1"),
        ("b.wav", "train", "train2"),
        ("c.wav", "dev", "dev1"),
    ]
    assert found.rows[0].human == pytest.approx([0, 0.5, 1])
    assert found.rows[1].human is None
    assert found.rows[1].emotion == "fear"
    assert {(row.corpus, row.language) for row in found.rows} == {("tiny", "deu")}
    with pytest.raises(W2sError, match="no minimum and maximum"):
        importers.audformat_database(database(tmp_path / "open", None, None))
    with pytest.raises(W2sError, match="no audformat database"):
        importers.audformat_database(tmp_path)


def test_parts_of_files_are_refused(tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat", reason="pip install -e '.[audformat]'")
    db = audformat.Database("parts")
    index = audformat.segmented_index(["a.wav"], ["0s"], ["1s"])
    db["segments"] = audformat.Table(index)
    db.save(str(tmp_path))
    with pytest.raises(W2sError, match="parts of files"):
        importers.audformat_database(tmp_path)
