# SPDX-License-Identifier: Apache-2.0
"""Make the clips of this folder: ``python tests/clips/make.py`` (needs espeak-ng).

The tests must not depend on speech that may not be redistributed, so they speak with espeak-ng:
different voices, languages, rates and pitches, one whisper, one under noise. The emotion in a name
is what the rate and pitch were set for, not a label that anything here is scored against.
"""

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from wav2small_micro.audio import RATE, to_pcm

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Voice:
    """How espeak-ng says one sentence."""

    voice: str
    words_per_minute: int
    pitch: int  # 0 to 99
    volume: int  # 0 to 200
    text: str
    noise: float = 0.0  # standard deviation of the white noise added, full scale 1


CLIPS = {
    "no_short_en": Voice("en-us+m3", 220, 60, 120, "No!"),
    "calm_en": Voice(
        "en-gb+f2", 130, 40, 70, "The rain has stopped, and the garden is quiet again."
    ),
    "angry_en": Voice("en-us+m7", 210, 65, 190, "I told you twice already. Get out of my house!"),
    "happy_en": Voice("en-us+f4", 200, 85, 140, "We won! I can hardly believe it, we really won!"),
    "sad_de": Voice(
        "de+m1", 100, 15, 60, "Er ist gestern gefahren, und das Haus ist nun sehr leer."
    ),
    "excited_pl": Voice("pl+f1", 190, 75, 150, "Zobacz, jak pięknie świeci dzisiaj słońce!"),
    "whisper_en": Voice("en-gb+whisper", 150, 50, 100, "Be careful, somebody is listening."),
    "noisy_da": Voice("da+f3", 160, 50, 110, "Toget kommer om fem minutter.", noise=0.02),
}


def speak(voice: Voice, seed: int) -> np.ndarray:
    """The sentence as int16 at 16 kHz."""
    command = ["espeak-ng", "--stdout", "-v", voice.voice, "-s", str(voice.words_per_minute)]
    command += ["-p", str(voice.pitch), "-a", str(voice.volume), voice.text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float64")
    noise = np.random.default_rng(seed).normal(0, voice.noise, len(samples))
    return to_pcm(samples + noise, rate)


def main() -> None:
    for seed, (name, voice) in enumerate(CLIPS.items()):
        pcm = speak(voice, seed)
        soundfile.write(HERE / f"{name}.flac", pcm, RATE, subtype="PCM_16")
        print(f"{name}.flac {len(pcm) / RATE:.2f} s")


if __name__ == "__main__":
    main()
