# SPDX-License-Identifier: Apache-2.0
"""Fixtures and skips that every test folder shares."""

import csv
import shutil
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from wav2small_micro import paths
from wav2small_micro.audio import RATE, Clip, read_clip

CLIPS = Path(__file__).parent / "clips"

# Firmware of the tests, with build scripts of SCons; harnesses that import atheris.
collect_ignore_glob = ["emulator/*_check/*", "fuzz/fuzz_*.py"]

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

EMULATOR_TOOLS = ("qemu-system-arm", "arm-none-eabi-gcc")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what boots a board where the tools for it are not installed."""
    missing = [tool for tool in EMULATOR_TOOLS if shutil.which(tool) is None]
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"{', '.join(missing)} not installed: make setup installs them")
    for item in items:
        if "emulator" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def clip_paths() -> list[Path]:
    """The clips that the project ships, made by tests/clips/make.py."""
    return sorted(CLIPS.glob("*.flac"))


@pytest.fixture(scope="session")
def clips(clip_paths: list[Path]) -> list[Clip]:
    """The shipped clips, read."""
    return [read_clip(path) for path in clip_paths]


@pytest.fixture(scope="session")
def long_clip(clips: list[Clip]) -> np.ndarray:
    """15 s of int16 speech: the shipped clips one after another, cut."""
    return np.resize(np.concatenate([clip.pcm for clip in clips]), 15 * RATE)


@pytest.fixture(scope="session")
def research_clips() -> list[Path]:
    """52 clips of the research data, 13 a corpus and the same in every run."""
    data = paths.research_data()
    if data is None:
        pytest.skip("research data not here: set W2S_DATA to the folder that holds manifest.csv")
    corpora: dict[str, list[Path]] = {}
    with (data / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if 0.5 <= float(row["duration_s"]) <= 15:
                corpora.setdefault(row["corpus"], []).append(data / row["path"])
    rng = np.random.default_rng(2408)
    return [
        found[i]
        for _, found in sorted(corpora.items())
        for i in sorted(rng.choice(len(found), size=min(13, len(found)), replace=False))
    ]
