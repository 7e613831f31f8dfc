# SPDX-License-Identifier: Apache-2.0
"""From speech to the firmware's C: label, distil, convert, evaluate, on voices made here."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.command import W2s

from wav2small_micro.audio import RATE, to_pcm

VOICES = {"anna": "en-us+f2", "ben": "en-us+m3", "carl": "de+m7", "dora": "pl+f4", "eve": "da+f3"}
WORDS = ("Hello there.", "Come on!", "Seven of nine.", "It is late.", "Over here, now!", "Rain.")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five voices, six short clips each, at other speeds and pitches."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed: make test installs it")
    folder = tmp_path_factory.mktemp("speech")
    for who, voice in VOICES.items():
        (folder / who).mkdir()
        for number, text in enumerate(WORDS):
            pace, pitch = str(140 + 25 * number), str((17 * number) % 100)
            command = ["espeak-ng", "--stdout", "-v", voice, "-s", pace, "-p", pitch, text]
            wav = subprocess.run(command, check=True, capture_output=True).stdout
            samples, rate = soundfile.read(io.BytesIO(wav))
            pcm = np.tile(to_pcm(samples, rate), 2)
            soundfile.write(folder / who / f"{number}.flac", pcm, RATE)
    return folder


def teacher(path: Path, speech: Path) -> Path:
    """A Keras file that answers by the spectrum alone: filters, their mean power, three mixtures
    of it that spread over 0..1 on these voices."""
    keras = pytest.importorskip("keras", reason="pip install -e '.[train]'")
    rng = np.random.default_rng(4)
    audio = keras.Input((None,))
    x = keras.layers.Reshape((-1, 1))(audio)
    x = keras.layers.Conv1D(12, 32, strides=8, activation="relu", use_bias=False)(x)
    power = keras.layers.GlobalAveragePooling1D()(x)
    answer = keras.layers.Dense(3, activation="sigmoid", name="adv")
    model = keras.Model(audio, answer(power))
    clips = [soundfile.read(file)[0] for file in sorted(speech.glob("*/*.flac"))]
    seen = keras.Model(audio, power)
    found = np.concatenate([np.asarray(seen((x / x.std())[None])) for x in clips])
    mixing = rng.normal(0, 1, (12, 3)) / found.std(axis=0)[:, None]
    mixing /= (found @ mixing).std(axis=0)
    answer.set_weights([mixing, -(found @ mixing).mean(axis=0)])
    model.save(path)
    path.with_name(path.name + ".json").write_text('{"normalise": "unit", "name": "spectrum"}')
    return path


@pytest.mark.slow
def test_from_a_folder_of_speech_to_a_model_that_runs(
    w2s: W2s, speech: Path, tmp_path: Path, clip_paths: list[Path]
) -> None:
    manifest, labels, model = tmp_path / "m.csv", tmp_path / "labels.csv", tmp_path / "mine"
    whole = tmp_path / "whole.csv"
    assert w2s("data", "import", speech, "--out", whole).code == 0
    assert w2s("data", "split", whole, "--out", manifest, "--dev", "0.4").code == 0
    made = teacher(tmp_path / "t.keras", speech)
    ran = w2s("label", made, manifest, "--views", 2, "--out", labels, "--json")
    trained = round(0.6 * len(VOICES)) * len(WORDS)
    assert ran.json()["new"] == len(VOICES) * len(WORDS) + 2 * trained

    options = ("--student", "wav2small-72k", "--manifest", manifest, "--labels", labels)
    options += ("--steps", 60, "--check", 30, "--batch-seconds", 10)
    facts = w2s("distill", model, *options, "--threads", 1, "--json", timeout=600).json()
    assert facts["training"]["teacher"]["name"] == "spectrum"

    converted = w2s("convert", "--model", model, "--json", timeout=900).json()
    assert converted["float_error"] <= 1e-5
    assert {path.name for path in model.iterdir()} >= {"float.tflite", "int8.tflite", "golden.npz"}
    assert (model / "c" / "weights.c").is_file()
    ran = w2s("compare", *clip_paths[:2], "--model", model, "--engines", "float,tflite,c", "--json")
    assert ran.code == 0, ran

    ran = w2s(
        "evaluate", model, "--manifest", manifest, "--labels", labels, "--engines", "c,float",
        "--answers", tmp_path / "answers", "--jobs", 1, "--json", timeout=600,
    )  # fmt: skip
    rows = [row for row in ran.json()["rows"] if row["reference"] == "teacher"]
    learnt = [row["ccc"] for row in rows if row["engine"] == "c"]
    assert np.mean(learnt) > 0.3, rows
