# SPDX-License-Identifier: Apache-2.0
"""Commands about the firmware: its size, its live answers, the demonstration."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.command import W2s

from wav2small_micro import native
from wav2small_micro.audio import Clip
from wav2small_micro.engines.base import Model

pytestmark = pytest.mark.emulator

RAM_BOUND = 48 * 1024
FLASH_BOUND = 192 * 1024
MODELS = ("wav2small-72k", "wav2small-17k")


@pytest.mark.parametrize("model", MODELS)
def test_size_of_the_whole_firmware(w2s: W2s, model: str) -> None:
    size = w2s("size", "--env", "stm32f407_discovery", "--model", model, "--json").json()
    assert set(size) == {"ram", "flash", "stack"}
    assert 0 < size["stack"] < size["ram"] <= RAM_BOUND
    assert 0 < size["flash"] <= FLASH_BOUND


def test_build_names_the_elf(w2s: W2s) -> None:
    built = w2s("build", "--env", "mps2_an386", "--json").json()
    assert Path(built["elf"]).read_bytes().startswith(b"\x7fELF")


def test_a_board_that_qemu_does_not_know_has_an_energy_model(w2s: W2s) -> None:
    """The same core and kernels were counted on another board; its own flash is not in it."""
    modelled = w2s("energy", "--env", "nucleo_l4r5zi", "--json").json()["modelled"]
    named = w2s("energy", "--chip", "stm32l4r5", "--json").json()["modelled"]
    assert modelled == named
    assert modelled["chip"] == "stm32l4r5"
    assert modelled["clock_hz"] == 120e6


def test_stream_says_what_the_library_says(w2s: W2s, clips: list[Clip]) -> None:
    clip = max(clips, key=lambda c: c.seconds)
    ran = w2s("stream", clip.path, "--fast", "--window", "1", "--json")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    network = native.Network(Model.load("wav2small-72k").plan)
    expected = network.run(clip.pcm, "live", window_segments=2).windows
    assert [line["seconds"] for line in lines] == [0.5 * (i + 1) for i in range(len(expected))]
    np.testing.assert_array_equal([line["q16"] for line in lines], expected)


def test_stream_draws_bars(w2s: W2s, clip_paths: list[Path]) -> None:
    ran = w2s("stream", clip_paths[0], "--fast")
    assert ran.code == 0, ran
    assert all(name in ran.stdout for name in ("arousal", "dominance", "valence", "level"))


def test_stream_records_what_it_heard_and_said(w2s: W2s, clips: list[Clip], tmp_path: Path) -> None:
    clip, prefix = clips[0], tmp_path / "notes" / "first"
    lines = w2s("stream", clip.path, "--fast", "--jsonl", "--record", prefix).stdout.splitlines()
    heard, rate = soundfile.read(f"{prefix}.wav", dtype="int16")
    assert rate == 16000
    np.testing.assert_array_equal(heard, clip.pcm)
    with open(f"{prefix}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["arousal_q16"]) for row in rows] == [json.loads(x)["q16"][0] for x in lines]
    again = w2s("stream", clip.path, "--fast", "--record", prefix)
    assert again.code == 1
    assert "is there already" in again.stderr


def test_demo(w2s: W2s, tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    ran = w2s("demo", "--picture", picture, "--json")
    data = ran.json()
    assert ran.code == 0, data
    assert picture.read_bytes().startswith(b"\x89PNG")
    answers = data["clips"][0]["engines"]
    assert set(answers) == {"float", "tflite", "tflm", "c", "emulator"}
    assert answers["emulator"]["q16"] == answers["tflite"]["q16"]
    assert data["size"]["ram"] <= RAM_BOUND
    assert data["size"]["stack_used"] <= data["size"]["stack"]
    assert data["instructions_per_second"]["total"] > 0


def test_demo_prints_a_table_for_people(w2s: W2s, tmp_path: Path) -> None:
    ran = w2s("demo", "--picture", tmp_path / "demo.png")
    assert ran.code == 0, ran
    assert "emulator = tflite" in ran.stdout
    assert "flash" in ran.stdout
    assert "demo.png" in ran.stdout


def test_flash_without_a_programmer_is_explained(w2s: W2s) -> None:
    ran = w2s("flash", "--env", "mps2_an386", "--protocol", "abacus")
    assert ran.code == 1
    assert "abacus" in ran.stderr
    assert "hint:" in ran.stderr
