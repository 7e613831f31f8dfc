# SPDX-License-Identifier: Apache-2.0
"""``w2s run`` and ``w2s compare``: answers, verdicts and exit codes."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.command import W2s

MODELS = ("wav2small-72k", "wav2small-17k")
DIMENSIONS = {"arousal", "dominance", "valence"}


@pytest.mark.parametrize("model", MODELS)
def test_run_gives_the_same_as_compare(w2s: W2s, clip_paths: list[Path], model: str) -> None:
    one = w2s("run", clip_paths[0], "--model", model, "--json").json()
    both = w2s("compare", clip_paths[0], "--engines", "c", "--model", model, "--json").json()
    assert one["q16"] == both["clips"][0]["engines"]["c"]["q16"]
    assert one["arousal"] == one["q16"][0] / 65536


def test_run_prints_a_table_for_people(w2s: W2s, clip_paths: list[Path]) -> None:
    ran = w2s("run", clip_paths[0])
    assert ran.code == 0
    assert all(name in ran.stdout for name in DIMENSIONS)


@pytest.mark.parametrize("model", MODELS)
def test_host_engines_agree_on_the_shipped_clips(
    w2s: W2s, clip_paths: list[Path], model: str
) -> None:
    ran = w2s(
        "compare", *clip_paths, "--engines", "float,tflite,tflm,c", "--model", model, "--json"
    )
    data = ran.json()
    assert ran.code == 0, (data["identical"], data["against_float"], ran.stderr)
    assert [clip["path"] for clip in data["clips"]] == [str(path) for path in clip_paths]
    for clip in data["clips"]:
        assert set(clip["engines"]) == {"float", "tflite", "tflm", "c"}
        assert all(set(values) >= DIMENSIONS for values in clip["engines"].values())
    for agreement in data["identical"]:
        assert agreement["lin_sof"] is True, agreement
        assert agreement["adv"] is True, agreement
        assert agreement["clips"] == len(clip_paths)


def test_a_broken_file_does_not_stop_the_others(
    w2s: W2s, clip_paths: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no audio here")
    ran = w2s("compare", clip_paths[0], broken, clip_paths[1], "--engines", "tflite,c", "--json")
    assert ran.code == 1
    clips = ran.json()["clips"]
    assert [bool(clip["engines"]) for clip in clips] == [True, False, True]
    assert "cannot be read as audio" in clips[1]["errors"]["clip"]
    assert "broken.wav" in ran.stderr


def test_folders_and_patterns(w2s: W2s, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for name in ("b", "a"):
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, 8000), 16000)
    (tmp_path / "notes.txt").write_text("not a clip")
    for named in (tmp_path, f"{tmp_path}/*.wav"):
        clips = w2s("compare", named, "--engines", "c", "--json").json()["clips"]
        assert [Path(clip["path"]).name for clip in clips] == ["a.wav", "b.wav"]


def test_silence_and_clipping_are_answered_with_a_warning(w2s: W2s, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 16000)
    loud = np.clip(3 * np.sin(np.arange(8000) / 9), -1, 1)
    soundfile.write(tmp_path / "loud.wav", loud, 16000)
    ran = w2s("compare", tmp_path, "--engines", "tflite,c", "--json")
    assert ran.code == 0, ran
    warnings = {Path(c["path"]).stem: c["warnings"][0] for c in ran.json()["clips"]}
    assert warnings["silent"].startswith("silent")
    assert warnings["loud"].startswith("clipped")


def test_live_normalisation_agrees_too(w2s: W2s, clip_paths: list[Path]) -> None:
    ran = w2s("compare", *clip_paths[:3], "--engines", "tflite,c", "--norm", "live", "--json")
    assert ran.code == 0, ran
    utterance = w2s("run", clip_paths[0], "--json").json()
    assert ran.json()["clips"][0]["engines"]["c"]["q16"] != utterance["q16"]
