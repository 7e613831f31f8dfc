# SPDX-License-Identifier: Apache-2.0
"""Mistakes: one line that says what is wrong, one that says what to do, exit code 1."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.command import Ran, W2s


def assert_explained(ran: Ran, message: str) -> None:
    """The error is the user's to read: no traceback, nothing on stdout for a script to parse."""
    assert ran.code == 1, ran
    assert "Traceback" not in ran.stderr
    assert message in ran.stderr
    assert ran.stdout == ""


@pytest.fixture
def clip(clip_paths: list[Path]) -> Path:
    return clip_paths[0]


def test_no_such_clip(w2s: W2s) -> None:
    ran = w2s("run", "nowhere.wav", "--json")
    assert_explained(ran, "no clip at nowhere.wav")
    assert "hint:" in ran.stderr


def test_broken_clip(w2s: W2s, tmp_path: Path) -> None:
    (tmp_path / "broken.flac").write_bytes(b"fLaC but not for long")
    assert_explained(w2s("run", tmp_path / "broken.flac"), "cannot be read as audio")


def test_empty_clip(w2s: W2s, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    assert_explained(w2s("run", tmp_path / "empty.wav"), "holds no samples")


def test_clip_with_nan(w2s: W2s, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    assert_explained(w2s("run", tmp_path / "nan.wav"), "NaN or infinite")


def test_too_short_a_clip(w2s: W2s, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(1600), 16000)
    assert_explained(w2s("run", tmp_path / "short.wav"), "at least 0.2 s")


def test_unknown_model_names_those_there(w2s: W2s, clip: Path) -> None:
    ran = w2s("run", clip, "--model", "wav2small-1k")
    assert_explained(ran, "no model 'wav2small-1k'")
    assert "wav2small-72k" in ran.stderr


def test_unknown_engine_names_those_there(w2s: W2s, clip: Path) -> None:
    ran = w2s("compare", clip, "--engines", "float,abacus")
    assert_explained(ran, "abacus")
    assert "tflite" in ran.stderr


def test_no_engine(w2s: W2s, clip: Path) -> None:
    assert_explained(w2s("compare", clip, "--engines", ","), "no engine named")


def test_unknown_norm(w2s: W2s, clip: Path) -> None:
    assert_explained(w2s("run", clip, "--norm", "loud"), "normalisation 'loud'")


def test_folder_without_clips(w2s: W2s, tmp_path: Path) -> None:
    assert_explained(w2s("compare", tmp_path), f"no clips in {tmp_path}")


def test_unknown_board(w2s: W2s) -> None:
    ran = w2s("size", "--env", "abacus_9000")
    assert_explained(ran, "abacus_9000")
    assert "stm32f407_discovery" in ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("run", "CLIP", "--engine", "emulator", "--env", "nucleo_l4r5zi"),
        ("hil", "--emulator", "nucleo_l4r5zi"),
        ("soak", "--emulator", "nucleo_l4r5zi", "--hours", "0.001"),
        ("mlperf", "CLIP", "--emulator", "nucleo_l4r5zi"),
        ("bench", "--env", "nucleo_l4r5zi"),
    ],
    ids=lambda command: command[0],
)
def test_a_board_that_qemu_does_not_know(w2s: W2s, clip: Path, command: tuple[str, ...]) -> None:
    """Before anything is built: the board is named, those that QEMU runs, and the other way."""
    ran = w2s(*(clip if word == "CLIP" else word for word in command))
    assert_explained(ran, "QEMU has no machine like nucleo_l4r5zi")
    assert "mps2_an386" in ran.stderr
    assert "--port" in ran.stderr


def test_missing_compiler(w2s: W2s) -> None:
    ran = w2s("build", PATH="/nonexistent")
    assert_explained(ran, "arm-none-eabi-gcc")
    assert "hint:" in ran.stderr


def test_missing_emulator(w2s: W2s, clip: Path, tmp_path: Path) -> None:
    ran = w2s("run", clip, "--engine", "emulator", PATH=str(tmp_path))
    assert ran.code == 1
    assert "Traceback" not in ran.stderr
    assert "hint:" in ran.stderr


def test_board_without_a_port(w2s: W2s, clip: Path) -> None:
    assert_explained(
        w2s("run", clip, "--engine", "board", "--port", "/dev/null/nothing"), "nothing"
    )


def test_a_tflite_of_another_shape_is_refused(w2s: W2s, tmp_path: Path) -> None:
    (tmp_path / "other.tflite").write_bytes(b"TFL3 this is no model")
    ran = w2s("generate", "--tflite", tmp_path / "other.tflite", "--output", tmp_path)
    assert_explained(ran, "other.tflite")
