# SPDX-License-Identifier: Apache-2.0
"""The float64 log-mel front end of Wav2Small, the definition that every other front end is held to.

Follows arXiv 2408.13920: 64-point periodic Hann, hop 32, no centre padding, power spectrum, 26
Slaney mel bands, ``10 log10``. A power is divided by the variance of the speech before the
logarithm, either that of the whole utterance or a causal running one (``live``), see
:func:`statistics`.

>>> import numpy as np
>>> logmel(np.zeros(16000, np.int16)).shape
(499, 26)
"""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.errors import W2sError

SAMPLE_RATE = 16000
WINDOW = 64
HOP = 32
BINS = WINDOW // 2 + 1
BANDS = 26
FLOOR_DB = -100.0
VARIANCE_FLOOR = 1e-7
LIVE_HOPS = 2500
"""Hops that the running statistics of live normalisation remember: 5 s."""

Norm = Literal["utterance", "live"]
NORMS: tuple[Norm, ...] = get_args(Norm)

Float = NDArray[np.float64]


def frame_count(samples: int) -> int:
    """Frames in a clip of ``samples`` samples: 500 a second, none that is not complete."""
    return max(0, (samples - WINDOW) // HOP + 1)


def window() -> Float:
    """Periodic Hann, (64,)."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


def dft() -> tuple[Float, Float]:
    """Windowed real DFT as two matrices, cosine and negative sine, (64, 33) each."""
    phase = 2 * np.pi * np.outer(np.arange(WINDOW), np.arange(BINS)) / WINDOW
    return window()[:, None] * np.cos(phase), -window()[:, None] * np.sin(phase)


def _slaney_hz(mel: Float) -> Float:
    """Slaney's mel scale: linear to 1 kHz (200/3 Hz a mel), then 27 mels to a factor of 6.4."""
    return np.where(mel < 15, mel * (200 / 3), 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@cache
def mel_matrix() -> Float:
    """Triangular mel filters of unit area, (33, 26), 0 to 8 kHz; read-only.

    64 points are too few for the lowest triangle: it falls between two bins and band 0 is empty. 59
    weights are not zero.
    """
    top_mel = 15 + 27 * np.log(8) / np.log(6.4)
    edges = _slaney_hz(np.linspace(0, top_mel, BANDS + 2))
    bins = np.arange(BINS) * SAMPLE_RATE / WINDOW
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    matrix = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    # The last edge is 8 kHz but for rounding: bin 32 carries nothing.
    matrix[matrix < 1e-12] = 0
    matrix.flags.writeable = False
    assert np.count_nonzero(matrix) == 59
    assert not matrix[:, 0].any()
    return matrix


def statistics(pcm: NDArray[np.int16], norm: str = "utterance") -> tuple[Float, Float]:
    """Mean and variance of ``pcm / 32768`` that each frame is normalised with, (T,) each.

    ``utterance``: those of the whole clip. ``live``: at hop n (32 samples) the sums of the samples
    and of their squares enter running means with weight 1 / min(n, 2500), and frame t uses the
    state after its own last sample, hop t + 2 counted from 1.
    """
    x = pcm.astype(np.float64) / 32768
    frames = frame_count(len(x))
    if norm == "utterance":
        return np.full(frames, x.mean()), np.full(frames, x.var())
    hops = x[: len(x) // HOP * HOP].reshape(-1, HOP)
    sums = np.stack([hops.sum(axis=1), (hops * hops).sum(axis=1)], axis=1)
    state = np.zeros(2)
    track = np.empty_like(sums)
    for n, values in enumerate(sums, start=1):
        state = state + (values - state) / min(n, LIVE_HOPS)
        track[n - 1] = state
    mean, square = (track[1 : frames + 1] / HOP).T
    return mean, np.maximum(0, square - mean * mean)


def logmel(pcm: NDArray[np.int16], norm: str = "utterance") -> Float:
    """Normalised log-mel of 16 kHz mono speech.

    ``pcm``: int16 (N,), N >= 64. Returns dB (T, 26), T = (N - 64) // 32 + 1, never under -100; band
    0 is empty and always -100. Raises :class:`W2sError` for a clip shorter than one window or an
    unknown ``norm``.
    """
    if norm not in NORMS:
        raise W2sError(f"there is no normalisation '{norm}'", f"use one of: {', '.join(NORMS)}")
    if len(pcm) < WINDOW:
        raise W2sError(f"{len(pcm)} samples are shorter than one window", f"give {WINDOW} or more")
    mean, variance = statistics(pcm, norm)
    x = pcm.astype(np.float64) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP] - mean[:, None]
    spectrum = np.fft.rfft(frames * window(), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) @ mel_matrix()
    return 10 * np.log10(np.maximum(power / (variance + VARIANCE_FLOOR)[:, None], 1e-10))
