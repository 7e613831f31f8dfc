# SPDX-License-Identifier: Apache-2.0
"""``w2s generate``, ``convert`` and ``distill``."""

import filecmp
from pathlib import Path

import pytest
from support import taught
from support.command import W2s

from wav2small_micro import paths

MODELS = ("wav2small-72k", "wav2small-17k")


@pytest.mark.parametrize("model", MODELS)
def test_the_generated_c_in_the_tree_is_what_the_model_gives(
    w2s: W2s, tmp_path: Path, model: str
) -> None:
    data = w2s("generate", "--model", model, "--output", tmp_path, "--json").json()
    committed = paths.model_dir(model) / "c"
    assert data["files"]
    for path in map(Path, data["files"]):
        assert filecmp.cmp(path, committed / path.name, shallow=False), path.name


def test_the_tflite_as_an_array(w2s: W2s, tmp_path: Path) -> None:
    data = w2s("generate", "--array", "--output", tmp_path, "--json").json()
    source = (tmp_path / "model_tflite.c").read_text()
    content = (paths.model_dir("wav2small-72k") / "int8.tflite").read_bytes()
    assert data["sha256"] in source
    assert f"w2s_tflite[{len(content)}] __attribute__((aligned(16)))" in source


def test_distill_says_what_is_missing(w2s: W2s, tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="training is not installed: pip install -e '.[train]'")
    clips, labels = taught.corpus(tmp_path / "data", clips=1)
    (tmp_path / "m.csv").write_text("path,speaker\na.wav,anna\n")
    for arguments, message in (
        (("--labels", labels), "W2S_DATA"),
        (("--labels", tmp_path / "none.csv", "--manifest", clips), "w2s label makes them"),
        (("--labels", labels, "--manifest", clips, "--student", "9k"), "wav2small-72k"),
        (("--labels", labels, "--manifest", clips, "--steps", "70"), "multiple of 100"),
        (("--labels", labels, "--manifest", tmp_path / "m.csv"), "no column 'split'"),
    ):
        ran = w2s("distill", tmp_path / "mine", *arguments, W2S_DATA=str(tmp_path))
        assert ran.code == 1, ran
        assert message in ran.stderr
        assert "Traceback" not in ran.stderr
