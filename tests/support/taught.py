# SPDX-License-Identifier: Apache-2.0
"""A corpus of noise with a teacher's labels that follow from the sound, for training in small."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import soundfile

from wav2small_micro.data import labels

SPEAKERS = {"anna": "train", "ben": "train", "cleo": "dev"}


def corpus(folder: Path, clips: int = 4, teacher: str = "ear") -> tuple[Path, Path]:
    """A manifest and a file of labels: ``clips`` a speaker, 0.6 s, arousal by their brightness."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    rows, found = [], []
    for who, split in SPEAKERS.items():
        for number in range(clips):
            bright = rng.uniform(0, 1)
            noise = rng.standard_normal(9601)
            x = bright * np.diff(noise) + (1 - bright) * noise[1:]
            pcm = np.rint(2000 * x / x.std()).clip(-32768, 32767).astype(np.int16)
            path = f"{who}_{number}.flac"
            soundfile.write(folder / path, pcm, 16000)
            rows.append((path, "made", who, split))
            adv = (bright, 0.5 + 0.3 * (bright - 0.5), 1 - bright)
            sha = hashlib.sha256(pcm.tobytes()).hexdigest()
            found.append(labels.Label(path, sha, *adv, teacher, "1", "0" * 64))
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "corpus", "speaker", "split"), *rows])
    taught = folder / "labels.csv"
    with labels.Store(taught) as store:
        store.append(found)
    return manifest, taught
