# SPDX-License-Identifier: Apache-2.0
"""Clips: whatever libsndfile reads, as the 16 kHz mono int16 that every engine takes."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wav2small_micro.errors import W2sError

RATE = 16000
"""Samples a second of everything behind read_clip."""

MIN_SECONDS = 0.2
"""Shortest clip: 99 frames. Shorter ones say nothing about an emotion."""

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"}
"""How the names of audio files end."""

CLIPPED_SHARE = 1e-3
"""Share of full-scale samples from which a clip is called clipped."""


@dataclass(frozen=True)
class Clip:
    """A clip as the engines take it: ``pcm`` is (N,) int16 at 16 kHz, N >= 3200."""

    path: Path
    pcm: npt.NDArray[np.int16]
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.pcm) / RATE


def read_clip(path: str | Path) -> Clip:
    """Read a clip of any rate and channel count.

    16-bit mono files at 16 kHz come through bit for bit. Channels are averaged, other rates
    resampled (soxr, very high quality), and the result rounded to int16 with saturation.

    Raises W2sError for a file that is missing, unreadable, empty, shorter than 0.2 s or that holds
    samples which are not numbers. Silence and clipping are warnings: both have an answer.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise W2sError(f"no clip at {path}", "check the path")
    try:
        with soundfile.SoundFile(path) as file:
            rate, exact = file.samplerate, file.subtype == "PCM_16"
            samples = file.read(dtype="int16" if exact else "float64", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise W2sError(
            f"{path} cannot be read as audio: {error}", "WAV, FLAC, OGG, MP3 and AIFF work"
        ) from error
    if exact and rate == RATE and samples.shape[1] == 1:
        pcm = np.ascontiguousarray(samples[:, 0])
    else:
        pcm = to_pcm(samples.astype(np.float64) / 32768 if exact else samples, rate, name=str(path))
    if len(pcm) == 0:
        raise W2sError(f"{path} holds no samples", "record it again")
    if len(pcm) < MIN_SECONDS * RATE:
        raise W2sError(
            f"{path} is {len(pcm) / RATE:.3f} s long; at least {MIN_SECONDS} s are needed",
            "take a longer clip",
        )
    return Clip(path, pcm, describe(pcm))


def to_pcm(samples: npt.ArrayLike, rate: int, *, name: str = "audio") -> npt.NDArray[np.int16]:
    """Samples in [-1, 1], (N,) or (N, channels) at ``rate`` Hz, as (M,) int16 at 16 kHz.

    Values beyond full scale saturate. Raises W2sError for NaN and infinities.

    >>> to_pcm([0.0, 0.5, -1.0, 1.0], 16000)
    array([     0,  16384, -32768,  32767], dtype=int16)
    """
    import soxr

    audio = np.asarray(samples, dtype=np.float64)
    bad = int(np.count_nonzero(~np.isfinite(audio)))
    if bad:
        raise W2sError(
            f"{name} holds {bad} samples that are NaN or infinite", "export it again as 16-bit PCM"
        )
    if audio.ndim == 2:
        audio = audio.mean(axis=1)
    if rate != RATE and len(audio):
        audio = soxr.resample(audio, rate, RATE, quality="VHQ")
    return np.clip(np.rint(audio * 32768), -32768, 32767).astype(np.int16)


def describe(pcm: npt.NDArray[np.int16]) -> list[str]:
    """Warnings about a clip that can be answered but should not be trusted."""
    if np.all(pcm == pcm[0]):
        return ["silent: every sample is the same, the answer says nothing about a voice"]
    clipped = np.count_nonzero((pcm == 32767) | (pcm == -32768)) / len(pcm)
    if clipped >= CLIPPED_SHARE:
        return [f"clipped: {clipped:.1%} of the samples are at full scale"]
    return []
