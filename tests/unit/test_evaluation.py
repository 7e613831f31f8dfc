# SPDX-License-Identifier: Apache-2.0
"""``w2s evaluate``: intervals that hold what they promise, rows, disturbances, kept answers,
cards."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from wav2small_micro import metrics, paths
from wav2small_micro.audio import RATE
from wav2small_micro.cli.app import app
from wav2small_micro.data import labels, manifest
from wav2small_micro.data.manifest import Row
from wav2small_micro.engines.base import Model
from wav2small_micro.errors import W2sError
from wav2small_micro.evaluation import answers, card, run, tables
from wav2small_micro.evaluation.disturbances import DISTURBANCES
from wav2small_micro.evaluation.statistics import Bootstrap, ccc_of, pearson_of, rmse_of
from wav2small_micro.evaluation.tables import Clips, Series

# Statistics.

PAIRS = st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=30)


@given(PAIRS, st.floats(-1000, 1000))
def test_sums_give_the_measures(pairs: list[tuple[float, float]], offset: float) -> None:
    a, b = np.array(pairs).T + offset
    total, drawn = Bootstrap(list(range(len(a))), draws=3).sums(a, b)
    assert rmse_of(total) == pytest.approx(np.sqrt(np.mean((a - b) ** 2)), abs=1e-5)
    if a.std() > 1e-3 and b.std() > 1e-3:
        assert ccc_of(total) == pytest.approx(metrics.ccc(a, b), abs=1e-6)
        assert pearson_of(total) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-6)
    assert drawn.shape == (3, 6)


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_a_draw_is_the_clips_of_its_speakers(speakers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    who = rng.integers(speakers, size=40)
    a, b = rng.normal(size=(2, 40))
    bootstrap = Bootstrap(who.tolist(), draws=5, seed=seed)
    _, drawn = bootstrap.sums(a, b)
    for counts, sums in zip(bootstrap.counts.astype(int), drawn, strict=True):
        assert counts.sum() == bootstrap.speakers
        rows = np.concatenate(
            [np.flatnonzero(bootstrap.cluster == i) for i, n in enumerate(counts) for _ in range(n)]
        )
        assert ccc_of(sums) == pytest.approx(metrics.ccc(a[rows], b[rows]))


def voices(rng: np.random.Generator, speakers: int, clips: int) -> tuple[np.ndarray, ...]:
    """Answers and labels whose errors are the speaker's in part: their CCC, over all speakers that
    there could be, is 2 * 1 / (1 + 1.5 + 0) = .8."""
    label = rng.normal(0, 1, (speakers, clips))
    error = rng.normal(0, 0.5, (speakers, 1)) + rng.normal(0, 0.5, (speakers, clips))
    return (label + error).ravel(), label.ravel(), np.repeat(np.arange(speakers), clips)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Also for few speakers. Drawing clips instead, as if they had nothing to do with each other,
    is far short of 95 %."""
    rng = np.random.default_rng(1)

    def coverage(experiments: int, by_clip: bool, speakers: int = 25) -> float:
        inside = 0
        for seed in range(experiments):
            a, b, who = voices(rng, speakers, 12)
            names = range(len(a)) if by_clip else who.tolist()
            found = Bootstrap(names, draws=300, seed=seed).agreement(a, b).ccc
            inside += found.low <= 0.8 <= found.high
        return inside / experiments

    assert 0.90 <= coverage(300, by_clip=False) <= 0.98
    assert 0.86 <= coverage(300, by_clip=False, speakers=4) <= 0.98
    assert coverage(60, by_clip=True) < 0.85


def test_paired_differences_are_sharper_than_two_intervals() -> None:
    """Two listeners who hear nearly the same: their difference is known much better than either,
    and its interval covers it as often as it says."""
    rng = np.random.default_rng(2)
    covered, narrower = 0, 0
    # CCC of label + e and of .9 (label + e) with the label, e of variance .5.
    truth = 2 / 2.5 - 2 * 0.9 / (1 + 0.81 * 1.5)
    for seed in range(200):
        a, b, who = voices(rng, 25, 12)
        bootstrap = Bootstrap(who.tolist(), draws=400, seed=seed)
        apart = bootstrap.difference([(a, b)], [(0.9 * a, b)])
        alone = bootstrap.agreement(a, b).ccc
        covered += apart.low <= truth <= apart.high
        narrower += apart.high - apart.low < 0.5 * (alone.high - alone.low)
    assert 0.88 <= covered / 200 <= 0.99
    assert narrower == 200


def test_one_speaker_has_no_interval() -> None:
    a = np.arange(10.0)
    found = Bootstrap(["x"] * 10).agreement(a, a + 1).ccc
    assert np.isnan([found.low, found.high]).all()
    assert found.value == pytest.approx(metrics.ccc(a, a + 1))


# Rows.


def clips_of(human: np.ndarray, teacher: np.ndarray, ratings: np.ndarray | None = None) -> Clips:
    rows = tuple(
        Row(
            f"{i}.flac",
            corpus="ab"[i % 2],
            speaker=f"s{i % 5}",
            sex=("female", "male")[i % 5 < 2],
            ratings=() if ratings is None else tuple(map(tuple, ratings[:, i].tolist())),
        )
        for i in range(len(human))
    )
    return Clips(rows, human, teacher, "a teacher", draws=200)


def pick(rows: list[dict], **wanted: object) -> dict:
    (row,) = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return row


def test_rows_hold_what_was_said_of_which_clips() -> None:
    rng = np.random.default_rng(0)
    human = rng.uniform(0, 1, (40, 3))
    teacher = human + rng.normal(0, 0.1, (40, 3))
    human[::4] = np.nan  # not rated
    clips = clips_of(human, teacher)
    mine = Series("m", "c", "utterance", teacher + 0.3)
    said = Series("a teacher", "labels", "", clips.teacher)
    rows = tables.agreement_rows(clips, [mine, said], clips.references, ("corpus", "sex"))
    row = pick(rows, model="m", reference="teacher", by="", dimension="arousal")
    assert (row["n"], row["speakers"], row["corpus"]) == (40, 10, "all")
    assert row["ccc"] == pytest.approx(metrics.ccc(mine.adv[:, 0], teacher[:, 0]), abs=1e-4)
    assert row["pearson"] == 1
    assert row["rmse"] == pytest.approx(0.3)
    assert row["low"] <= row["ccc"] <= row["high"]
    row = pick(rows, model="m", reference="human", group="male", dimension="valence")
    mask = np.array([i % 5 < 2 and i % 4 != 0 for i in range(40)])
    assert row["n"] == mask.sum()
    assert row["ccc"] == pytest.approx(metrics.ccc(mine.adv[mask, 2], human[mask, 2]), abs=1e-4)
    assert not [r for r in rows if r["model"] == "a teacher" and r["reference"] == "teacher"]
    assert pick(rows, model="m", reference="human", group="a", dimension="valence")["n"] == 10
    differences = tables.difference_rows(clips, [(mine, said)])
    row = pick(differences, reference="human", dimension="dominance")
    both = [metrics.ccc(s.adv[~np.isnan(human[:, 0]), 1], human[~np.isnan(human[:, 0]), 1])
            for s in (mine, said)]  # fmt: skip
    assert row["difference"] == pytest.approx(both[0] - both[1], abs=2e-4)
    assert row["high"] < 0  # a constant .3 off: worse for certain


def test_annotators_are_held_to_what_the_student_is_held_to() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (60, 3))
    ratings = truth + rng.normal(0, 0.15, (3, 60, 3))
    clips = clips_of(ratings.mean(axis=0), np.full((60, 3), np.nan), ratings)
    rows = tables.annotator_rows(clips, [Series("m", "c", "live", truth)])
    people = pick(rows, model="annotators", dimension="arousal")
    expected = [
        metrics.ccc(ratings[k, :, 0], np.delete(ratings, k, 0).mean(axis=0)[:, 0]) for k in range(3)
    ]
    assert people["each"] == pytest.approx(expected, abs=1e-4)
    assert people["ccc"] == pytest.approx(np.mean(expected), abs=1e-4)
    better = pick(rows, model="m", dimension="arousal")["minus_annotators"]
    assert better[1] > 0  # who knows the truth agrees better than any annotator
    one_rater = clips_of(truth, truth, ratings[:1])
    assert tables.annotator_rows(one_rater, []) == []


# Disturbances.

TONE = (np.sin(np.arange(3 * RATE) / 7) * 3000).astype(np.int16)


def test_disturbances_do_what_they_are_called() -> None:
    found = {d.name: d.of(TONE) for d in DISTURBANCES}
    for name, pcm in found.items():
        assert pcm is None or pcm.dtype == np.int16, name
    assert found["gain -20 dB"].std() == pytest.approx(TONE.std() / 10, rel=0.01)
    loud = next(d for d in DISTURBANCES if d.name == "gain 20 dB").of(2 * TONE)
    assert (loud.min(), loud.max()) == (-32768, 32767)
    noise = found["white noise 10 dB SNR"].astype(float) - TONE
    assert 10 * np.log10(TONE.var() / noise.var()) == pytest.approx(10, abs=0.1)
    assert len(found["window 1 s"]) == RATE
    assert found["window 5 s"] is None
    hum = (np.sin(np.arange(RATE) * 2 * np.pi * 75 / RATE) * 3000).astype(np.int16)
    band = next(d for d in DISTURBANCES if d.name == "band from 300 Hz to 3400 Hz")
    assert 20 * np.log10(band.of(hum).std() / hum.std()) == pytest.approx(-48, abs=3)
    again = next(d for d in DISTURBANCES if d.name == "pink noise 0 dB SNR")
    np.testing.assert_array_equal(again.of(TONE), found[again.name])


# Answers.


def test_answers_are_kept_and_a_cut_line_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    kept = answers.Kept(path)
    kept.put("k1", np.array([0.1, 0.2, 1 / 3]))
    kept.put("k2", np.array([0.5, 0.5, 0.5]))
    kept.close()
    path.write_bytes(path.read_bytes()[:-5])  # killed in the middle of the second line
    again = answers.Kept(path)
    np.testing.assert_array_equal(again.get("k1"), [0.1, 0.2, 1 / 3])
    assert again.get("k2") is None
    again.put("k2", np.array([0.6, 0.6, 0.6]))
    again.close()
    third = answers.Kept(path)
    np.testing.assert_array_equal(third.get("k2"), [0.6, 0.6, 0.6])
    third.close()


def test_what_computes_an_answer_is_part_of_its_name(tmp_path: Path) -> None:
    folder = paths.model_dir("wav2small-17k")
    names = {answers.fingerprint(Model(folder), engine) for engine in ("float", "c", "tflite")}
    assert len(names) == 3
    for name in ("int8.tflite", "float.tflite", "model.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert answers.fingerprint(Model(tmp_path), "c") in names
    content = (folder / "int8.tflite").read_bytes()
    (tmp_path / "int8.tflite").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert answers.fingerprint(Model(tmp_path), "c") not in names


# The command.


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory, clip_paths: list[Path]) -> Path:
    """A manifest of 16 pieces of the shipped clips with three annotators, a teacher's labels, and
    one file that is no audio."""
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    rows, said = [], []
    for i, path in enumerate(clip_paths):
        pcm, _ = soundfile.read(path, dtype="int16")
        for half in (0, 1):
            name = f"{path.stem}-{half}.wav"
            piece = (pcm[: len(pcm) // 2] if half else pcm[len(pcm) // 2 :])[: 5 * RATE // 4]
            soundfile.write(folder / name, piece, RATE)
            truth = rng.uniform(0.2, 0.8, 3)
            ratings = np.clip(truth + rng.normal(0, 0.1, (3, 3)), 0, 1)
            row = {
                "path": name, "corpus": "made", "speaker": f"s{i}", "split": "dev",
                "sex": ("female", "male")[i % 2], "language": path.stem[-2:],
            }  # fmt: skip
            row |= dict(zip(metrics.DIMENSIONS, ratings.mean(axis=0).round(4), strict=True))
            for k, rating in enumerate(ratings, 1):
                row |= {
                    f"{d}_{k}": x for d, x in zip(metrics.DIMENSIONS, rating.round(4), strict=True)
                }
            rows.append(row)
            said.append(
                labels.Label(name, "0" * 64, *map(float, truth), "a teacher", "r1", "1" * 64)
            )
    (folder / "broken.wav").write_bytes(b"RIFF")
    rows.append(rows[0] | {"path": "broken.wav"})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with labels.Store(folder / "teacher.csv", "1" * 64) as store:
        store.append(said)
    return folder


def model_copy(folder: Path, name: str = "wav2small-17k") -> Path:
    made = folder / "mine"
    made.mkdir()
    for part in ("int8.tflite", "float.tflite", "model.json"):
        (made / part).write_bytes((paths.model_dir(name) / part).read_bytes())
    (made / "README.md").write_text("# mine\n\nBefore.\n")
    return made


def evaluated(speech: Path, *arguments: object) -> dict:
    words = ["evaluate", *map(str, arguments), "--manifest", str(speech), "--json"]
    words += ["--answers", str(speech / "answers")]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def test_evaluate_end_to_end(speech: Path, tmp_path: Path) -> None:
    """Two engines, both normalisations, teacher, annotators, the sweep, plots and the card."""
    folder = model_copy(tmp_path)
    arguments = (
        folder, "--engines", "c,float", "--labels", speech / "teacher.csv", "--robustness",
        "--by", "sex", "--plots", tmp_path / "plots", "--svg", "--card",
    )  # fmt: skip
    found = evaluated(speech, *arguments)
    assert (found["clips"], found["speakers"]) == (16, 8)
    assert list(found["skipped"]) == ["broken.wav"]
    row = pick(
        found["rows"], model="mine", engine="c", norm="utterance", reference="human", by="",
        dimension="arousal",
    )  # fmt: skip
    assert {
        "model",
        "engine",
        "reference",
        "corpus",
        "dimension",
        "ccc",
        "low",
        "high",
        "n",
    } <= set(row)
    # The figure is that of the engine's own answers.
    model = Model(folder)
    source = manifest.read(speech)
    with answers.Answerer(model, "c", folder=tmp_path / "elsewhere") as answerer:
        from wav2small_micro.audio import read_clip

        rows = [row for row in source.rows if row.path != "broken.wav"]
        said = answerer.ask(
            [answers.Question(read_clip(source.file(r)).pcm, "utterance") for r in rows]
        )
    human = np.array([r.human for r in rows])
    assert row["ccc"] == pytest.approx(metrics.ccc(said[:, 0], human[:, 0]), abs=1e-4)
    int8 = pick(
        found["rows"], engine="c", norm="live", reference="float", by="", dimension="valence"
    )
    assert int8["ccc"] > 0.99
    assert pick(found["rows"], engine="labels", reference="human", by="", dimension="valence")
    assert pick(found["rows"], model="annotators", dimension="valence")["ccc"] > 0.5
    kinds = {(r["minus"]["engine"], r["minus"]["norm"]) for r in found["differences"]}
    assert kinds == {("labels", ""), ("float", "utterance"), ("float", "live"),
                     ("c", "utterance")}  # fmt: skip
    quiet = pick(
        found["robustness"], engine="c", norm="utterance", disturbance="gain -10 dB",
        reference="clean", dimension="arousal",
    )  # fmt: skip
    assert quiet["ccc"] > 0.95
    assert {r["disturbance"] for r in found["robustness"]} >= {"window 1 s", "live normalisation"}
    pictures = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert len(pictures) == 4 * 2 + 2  # the sweep is of the first engine
    assert "mine-c-live-robustness.svg" in pictures

    # The card: figures between the markers, the rest as it was, and nothing new the second time.
    text = (folder / "README.md").read_text()
    assert text.startswith("# mine\n\nBefore.\n\n" + card.BEGIN)
    assert card.interval(row) in text
    assert "w2s evaluate mine --engines c,float --labels teacher.csv --robustness --card" in text
    kept = json.loads((folder / "evaluation.json").read_text())
    assert kept["rows"] == found["rows"]
    (folder / "README.md").write_text(text.replace("CCC on", "Old") + "After.\n")
    before = {path: path.stat().st_size for path in (speech / "answers").iterdir()}
    evaluated(speech, *arguments)
    assert (folder / "README.md").read_text() == text + "After.\n"
    assert {path: path.stat().st_size for path in (speech / "answers").iterdir()} == before


def test_a_stopped_run_goes_on(speech: Path, tmp_path: Path) -> None:
    """What was answered before an engine failed is kept and not asked again."""
    model = Model(paths.model_dir("wav2small-17k"))
    rng = np.random.default_rng(0)
    pcms = [rng.integers(-3000, 3000, 4000).astype(np.int16) for _ in range(6)]
    questions = [answers.Question(pcm, "utterance") for pcm in pcms]
    asked: list[int] = []

    class Failing(answers.Answerer):
        def _ask(self, question: answers.Question) -> np.ndarray:
            asked.append(1)
            if len(asked) == 4:
                raise W2sError("the plug was pulled")
            return super()._ask(question)

    with (
        Failing(model, "c", jobs=1, folder=tmp_path) as answerer,
        pytest.raises(W2sError, match="plug"),
    ):
        answerer.ask(questions)
    with Failing(model, "c", jobs=1, folder=tmp_path) as answerer:
        found = answerer.ask(questions)
    assert found.shape == (6, 3)
    # 3, the failure, and the 3 that were left; or a few on the way: never all of them again.
    assert 7 <= len(asked) < 4 + len(questions)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engines", "best"), "no engine 'best'"),
        (("--by", "age"), "cannot tell by 'age'"),
        (("--norm", "loud"), "no normalisation 'loud'"),
        (("--split", "train"), "none of them rated by people"),
        (("--labels", "nowhere.csv"), "no labels at nowhere.csv"),
        (("--limit", "4", "--card"), "would mislead"),
    ],
)
def test_what_cannot_be_evaluated_is_said(
    speech: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "wav2small-17k", "--manifest", str(speech), *arguments]
    ran = CliRunner().invoke(app, [*words, "--answers", str(speech / "answers")])
    assert ran.exit_code == 1
    assert message in " ".join((ran.output + capsys.readouterr().err).split())


def test_evaluate_says_when_there_is_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("W2S_DATA", str(tmp_path))
    ran = CliRunner().invoke(app, ["evaluate"])
    assert ran.exit_code == 1
    assert "research data are not here" in ran.output + capsys.readouterr().err


def test_cards_with_broken_markers_are_left_alone(speech: Path, tmp_path: Path) -> None:
    folder = model_copy(tmp_path)
    request = run.Request(
        models=(Model(folder),), manifest=manifest.read(speech), answers=tmp_path, draws=20
    )
    result = run.evaluate(request)
    (folder / "README.md").write_text(f"{card.END}\n{card.BEGIN}\n")
    with pytest.raises(W2sError, match="ends its figures before it begins them"):
        card.write(result, "mine", folder, "w2s evaluate mine")
    (folder / "README.md").write_text(f"{card.BEGIN}\n")
    with pytest.raises(W2sError, match="one pair of markers"):
        card.write(result, "mine", folder, "w2s evaluate mine")
