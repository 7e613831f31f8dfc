# SPDX-License-Identifier: Apache-2.0
"""The promise of ``w2s compare``, both models, on clips of 0.5 to 15 s that are made here.

They are the shipped voices at other speeds, levels and signal-to-noise ratios, and run together.
"""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from support.command import W2s

from wav2small_micro.audio import RATE, Clip
from wav2small_micro.report import CONCORDANCE, CONCORDANCE_CLIPS, WORST

SPEEDS = (0.85, 1.2)
LONG_SECONDS = (7.5, 15.0)


def varied(pcm: np.ndarray, speed: float, rng: np.random.Generator) -> np.ndarray:
    """A clip at another speed and pitch, level and distance from the noise."""
    voice = soxr.resample(pcm / 32768, RATE * speed, RATE)
    voice *= 10 ** (rng.uniform(-20, 0) / 20)
    noise = rng.normal(0, 1, len(voice)) * voice.std() * 10 ** (rng.uniform(-40, -15) / 20)
    return np.clip(voice + noise, -1, 1)


@pytest.fixture(scope="module")
def made_clips(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips, the same in every run."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(1312)
    for clip in clips:
        for speed in SPEEDS:
            soundfile.write(
                folder / f"{clip.path.stem}_{speed}.wav", varied(clip.pcm, speed, rng), RATE
            )
    everything = np.concatenate([clip.pcm for clip in clips])
    for seconds in LONG_SECONDS:
        start = int(rng.integers(0, len(everything) - round(seconds * RATE)))
        piece = everything[start : start + round(seconds * RATE)]
        soundfile.write(folder / f"long_{seconds}.wav", piece, RATE)
    for i, clip in enumerate(clips[-2:]):
        soundfile.write(folder / f"half_second_{i}.wav", clip.pcm[8000:16000], RATE)
    return folder


def check(data: dict, clips: int, engines: list[str]) -> None:
    """What must be identical is, what must be close is, and nothing was left out."""
    assert [a["engine"] for a in data["identical"]] == engines[1:]
    for agreement in data["identical"]:
        assert agreement["lin_sof"] is True, agreement
        assert agreement["adv"] is True, agreement
        assert agreement["clips"] == clips
    assert [c["engine"] for c in data["against_float"]] == engines
    for close in data["against_float"]:
        assert close["worst"] <= WORST, close
        assert min(close["ccc"].values()) >= CONCORDANCE, close
    assert data["holds"] is True


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("model", ["wav2small-72k", "wav2small-17k"])
def test_made_clips(w2s: W2s, made_clips: Path, model: str) -> None:
    engines = ["tflite", "tflm", "c", "emulator"]
    names = ",".join(["float", *engines])
    ran = w2s("compare", made_clips, "--engines", names, "--model", model, "--json", timeout=600)
    count = len(list(made_clips.iterdir()))
    assert count >= CONCORDANCE_CLIPS
    check(ran.json(), count, engines)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["wav2small-72k", "wav2small-17k"])
def test_research_clips(w2s: W2s, research_clips: list[Path], model: str) -> None:
    engines = ["tflite", "tflm", "c"]
    names = ",".join(["float", *engines])
    ran = w2s(
        "compare", *research_clips, "--engines", names, "--model", model, "--json", timeout=600
    )
    check(ran.json(), len(research_clips), engines)
