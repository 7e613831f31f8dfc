# SPDX-License-Identifier: Apache-2.0
"""``w2s label`` as a process: killed at random it ends with the labels of a run left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.command import W2s

from wav2small_micro.data import labels, manifest
from wav2small_micro.data.manifest import Manifest, Row

CLIPS = 300
KILLS = 10


@pytest.fixture
def job(tmp_path: Path) -> tuple[Path, Path]:
    """A teacher, ONNX, and a manifest of many short clips."""
    pytest.importorskip("onnxruntime", reason="pip install -e '.[teachers]'")
    from support.onnx_teacher import write

    rng = np.random.default_rng(8)
    rows = []
    for number in range(CLIPS):
        pcm = rng.normal(0, 2000, int(rng.integers(3200, 4800))).astype(np.int16)
        soundfile.write(tmp_path / f"{number}.wav", pcm, 16000)
        rows.append(Row(f"{number}.wav", duration_s=len(pcm) / 16000))
    manifest.write(Manifest(tmp_path, tuple(rows)), tmp_path / "m.csv")
    return write(tmp_path / "peak.onnx"), tmp_path / "m.csv"


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_ten_kills_lose_nothing_and_repeat_nothing(
    w2s: W2s, job: tuple[Path, Path], tmp_path: Path
) -> None:
    """SIGKILL falls when the file has grown by some lines, at any point of what follows."""
    seed = random.randrange(10**6)
    print("seed", seed)
    rng = random.Random(seed)
    whole, broken = tmp_path / "whole.csv", tmp_path / "broken.csv"
    arguments = ("label", *job, "--batch", "0.7", "--out")
    assert w2s(*arguments, whole).code == 0
    command = [sys.executable, "-m", "wav2small_micro", *map(str, arguments), str(broken)]
    marks = sorted(rng.sample(range(1, CLIPS * 9 // 10), KILLS))
    cut = 0
    for mark in marks:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ)
        )
        deadline = time.monotonic() + 120
        while lines(broken) < mark and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.005))
        process.send_signal(signal.SIGKILL)
        _, stderr = process.communicate()
        assert process.returncode == -signal.SIGKILL, stderr
        cut += lines(broken) < CLIPS
    assert cut == KILLS
    last = w2s(*arguments, broken, "--json")
    assert last.json()["before"] + last.json()["new"] == CLIPS
    assert last.json()["before"] >= marks[-1] - 1
    assert broken.read_bytes() == whole.read_bytes()
    assert len(labels.read(broken)) == CLIPS


def test_errors_say_what_to_do(w2s: W2s, job: tuple[Path, Path], tmp_path: Path) -> None:
    teacher, speech = job
    (tmp_path / "nan.csv").write_text("path,arousal\n0.wav,nan\n")
    (tmp_path / "nameless.csv").write_text("file\n0.wav\n")
    for arguments, message in (
        (("whisper", speech), "a teacher is wav2vec2, wavlm"),
        ((tmp_path / "none.onnx", speech), "check the path"),
        ((teacher, tmp_path / "nameless.csv"), "no column 'path'"),
        ((teacher, tmp_path / "nan.csv"), "arousal is 'nan', not a number"),
        ((teacher, speech, "--split", "eval"), "one of train, dev, test"),
    ):
        ran = w2s("label", *arguments, "--out", tmp_path / "l.csv")
        assert ran.code == 1
        assert message in ran.stderr
        assert "Traceback" not in ran.stderr
    assert not (tmp_path / "l.csv").exists()


@pytest.mark.slow
def test_two_workers_of_a_cluster_write_the_same_file(
    w2s: W2s, job: tuple[Path, Path], tmp_path: Path
) -> None:
    """Also when the run was cut, and with a clip that cannot be read."""
    pytest.importorskip("ray", reason="pip install -e '.[cluster]'")
    (tmp_path / "7.wav").write_bytes(b"RIFF")
    alone, spread = tmp_path / "alone.csv", tmp_path / "spread.csv"
    batches = ("--batch", "5", "--views", 1, "--voices", 1)
    assert w2s("label", *job, *batches, "--out", alone).code == 0
    content = alone.read_bytes()
    spread.write_bytes(content[: len(content) // 3])
    options = ("--out", spread, "--cluster", "local", "--json")
    found = w2s("label", *job, *batches, *options).json()
    assert found["unreadable"][0][0] == "7.wav"
    assert found["before"] + found["new"] == 3 * (CLIPS - 1)
    assert 0 < found["before"] < found["new"]
    assert spread.read_bytes() == content


def test_a_cluster_that_is_not_there(w2s: W2s, job: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="pip install -e '.[cluster]'")
    out = tmp_path / "l.csv"
    ran = w2s("label", *job, "--out", out, "--cluster", "127.0.0.1:9", timeout=120)
    assert ran.code == 1
    assert "no Ray cluster at 127.0.0.1:9" in ran.stderr
    assert "Traceback" not in ran.stderr
