# SPDX-License-Identifier: Apache-2.0
"""Clips: whatever libsndfile reads, as the 16 kHz mono int16 that every engine takes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wav2small_micro.errors import W2sError

RATE = 16000
"""Samples a second of everything behind read_clip."""

MIN_SECONDS = 0.2
"""Shortest clip: 99 frames. Shorter ones say nothing about an emotion."""

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"}
"""How the names of audio files end."""

MIN_RATE = 1000
"""Lowest rate of a file, Hz: below, no voice is left, and resampling would fill the memory."""

MOST_FRAMES = 1 << 28
"""Longest file: 4.6 hours at 16 kHz, and 2 GB while it is resampled."""

CLIPPED_SHARE = 1e-3
"""Share of full-scale samples from which a clip is called clipped."""


_BLOCK_VALUES = 1 << 20


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
            samples = _read(file, path, "int16" if exact else "float64")
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise W2sError(
            f"{path} cannot be read as audio: {error}", "WAV, FLAC, OGG, MP3 and AIFF work"
        ) from error
    if exact and rate == RATE and samples.dtype == np.int16:
        pcm = samples
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


def _read(file: Any, path: Path, dtype: str) -> npt.NDArray[Any]:
    """The samples, (N,), channels averaged. In blocks: the length in a header may be a lie.

    One channel keeps its type; several become float64.
    """
    if file.samplerate < MIN_RATE:
        raise W2sError(
            f"{path} has {file.samplerate} samples a second; at least {MIN_RATE} are needed",
            "is it a recording of a voice?",
        )
    blocks: list[npt.NDArray[Any]] = []
    size = max(1, _BLOCK_VALUES // file.channels)
    frames = 0
    while len(block := file.read(size, dtype=dtype, always_2d=True)):
        blocks.append(block[:, 0] if file.channels == 1 else block.mean(axis=1, dtype=np.float64))
        frames += len(block)
        if frames > MOST_FRAMES:
            raise W2sError(f"{path} is longer than {MOST_FRAMES} samples", "split it")
    return np.concatenate(blocks) if blocks else np.empty(0, np.int16)


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
