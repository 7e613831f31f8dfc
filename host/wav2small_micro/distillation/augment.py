# SPDX-License-Identifier: Apache-2.0
"""What happens to a voice before a network hears it: another tempo, a room, noise, a microphone.

Everything works on sound pressure before the firmware's front end: float32 (N,), 1.0 being full
scale, and ends as the int16 that a microphone would give. A student that answers the same to a clip
and to what :func:`disturb` makes of it has learnt what not to listen to.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> tone = np.sin(np.arange(16000) / 5).astype(np.float32)
>>> noisy = add_noise(tone, coloured_noise(16000, "pink", rng), snr_db=20)
>>> round(float(10 * np.log10(tone.var() / (noisy - tone).var())), 1)
20.0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import RATE

Sound = NDArray[np.float32]
Pcm = NDArray[np.int16]

Response = Callable[[NDArray[Any]], NDArray[Any]]
"""Decibels by frequency in Hz."""

Colour = Literal["white", "pink", "brown"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
_SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Amplitude falls with this power of the frequency: 0, 3 and 6 dB an octave."""

_LOWEST_HZ = 20.0
"""Below it coloured noise does not rise any further: no microphone would hear it."""


@dataclass(frozen=True)
class Augmentation:
    """What may be done to a crop: how often, and how far. Ranges are drawn from uniformly.

    ``clean`` is the share of crops that are left as they are. ``beginning`` is the share that begin
    as their clip does, usually with silence, which live normalisation hears before any voice and
    which noise fills; the others begin anywhere.
    """

    clean: float = 0.25
    beginning: float = 0.25
    gain_db: tuple[float, float] = (-20.0, 20.0)
    noise: float = 0.5
    snr_db: tuple[float, float] = (3.0, 30.0)
    babble: float = 0.3
    """Share of the noise that is made of other voices."""
    room: float = 0.15
    t60_s: tuple[float, float] = (0.15, 0.8)
    direct_db: tuple[float, float] = (-3.0, 12.0)
    """Energy of the direct sound over that of the reverberation."""
    colour: float = 0.25
    speed: float = 0.25
    speeds: tuple[float, float] = (0.9, 1.1)


def rms(x: NDArray[np.floating]) -> float:
    """Root of the mean square about the mean: a constant offset is no sound."""
    return float(np.std(x, dtype=np.float64))


def to_sound(pcm: Pcm) -> Sound:
    """int16 to float32, full scale being 1."""
    return pcm.astype(np.float32) / np.float32(32768)


def to_pcm(x: Sound) -> Pcm:
    """What a converter of 16 bits makes of a sound: rounded, and cut at full scale.

    >>> to_pcm(np.array([0.0, 0.5, 2.0, -2.0], np.float32)).tolist()
    [0, 16384, 32767, -32768]
    """
    return np.clip(np.rint(x * np.float32(32768)), -32768, 32767).astype(np.int16)


def gain(x: Sound, db: float) -> Sound:
    """``x`` louder by ``db``."""
    return x * np.float32(10 ** (db / 20))


def coloured_noise(samples: int, colour: Colour, rng: np.random.Generator) -> Sound:
    """Gaussian noise of RMS 1 with the spectrum of ``colour``."""
    slope = _SLOPES[colour]
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    noise = np.fft.irfft(spectrum * np.maximum(frequency, _LOWEST_HZ) ** -slope, samples)
    return (noise / max(rms(noise), 1e-12)).astype(np.float32)


def babble(samples: int, voices: Sequence[Pcm], rng: np.random.Generator) -> Sound:
    """The voices at once, each equally loud and from a place of its own, repeated where too short;
    RMS 1, or 0 where all are silent."""
    total = np.zeros(samples, np.float32)
    for voice in voices:
        start = int(rng.integers(len(voice)))
        x = to_sound(np.resize(np.roll(voice, -start), samples))
        total += x / np.float32(max(rms(x), 1e-6))
    level = rms(total)
    return total / np.float32(level) if level > 1e-3 else total


def add_noise(x: Sound, noise: Sound, snr_db: float) -> Sound:
    """``x`` with ``noise`` so much softer than it. A silent ``x`` stays silent."""
    level = rms(noise)
    if level == 0:
        return x
    return x + noise * np.float32(rms(x) / level * 10 ** (-snr_db / 20))


def impulse_response(t60_s: float, direct_db: float, rng: np.random.Generator) -> Sound:
    """A room from the direct sound on: a click, then noise that falls by 60 dB in ``t60_s``.

    Polack's model (1988). The energy of the click is ``direct_db`` over that of the rest, and both
    add up to 1.
    """
    time = np.arange(max(2, int(t60_s * RATE))) / RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / t60_s)
    tail[0] = 0
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return (tail / np.sqrt(np.sum(tail**2))).astype(np.float32)


def convolve(x: Sound, response: Sound) -> Sound:
    """``x`` through a filter that starts at time 0, cut to the length of ``x``."""
    size = 1 << (len(x) + len(response) - 1).bit_length()
    spectrum = np.fft.rfft(x, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(x)], np.float32)


def equalise(x: Sound, gains_db: Response) -> Sound:
    """``x`` with every frequency (Hz) louder by ``gains_db`` of it, without delay."""
    size = 1 << (len(x) - 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    spectrum = np.fft.rfft(x, size) * 10 ** (gains_db(frequency) / 20)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(x)], np.float32)


def microphone(rng: np.random.Generator) -> Response:
    """The response of some microphone, dB by Hz: within 6 dB and smooth inside its band, which
    starts at 50 to 300 Hz and ends at 3.4 to 8 kHz, and falling by 12 dB an octave outside."""
    octaves = np.log2([62.5, 125, 250, 500, 1000, 2000, 4000, 8000])
    levels = rng.uniform(-6, 6, len(octaves))
    low, high = np.exp2(rng.uniform(np.log2([50, 3400]), np.log2([300, 8000])))

    def response(frequency: NDArray[Any]) -> NDArray[Any]:
        octave = np.log2(np.maximum(frequency, 1.0))
        outside = np.maximum(0, np.log2(low) - octave) + np.maximum(0, octave - np.log2(high))
        return np.asarray(np.interp(octave, octaves, levels) - 12 * outside)

    return response


def speed(x: Sound, factor: float) -> Sound:
    """Played faster by ``factor``, and higher by as much: N / factor samples."""
    import soxr

    return np.asarray(soxr.resample(x, RATE * factor, RATE, quality="MQ"), np.float32)


def disturb(
    pcm: Pcm, samples: int, others: Sequence[Pcm], how: Augmentation, rng: np.random.Generator
) -> Pcm:
    """A crop of ``samples`` of a clip as it might sound elsewhere; ``others`` give the babble.

    A clip that is too short says the same again, after a pause of up to half a second.
    """
    return twins(pcm, samples, others, how, rng)[1]


def twins(
    pcm: Pcm, samples: int, others: Sequence[Pcm], how: Augmentation, rng: np.random.Generator
) -> tuple[Pcm, Pcm]:
    """The crop as it is in the clip, and what :func:`disturb` makes of it."""
    clean = rng.random() < how.clean
    factor = rng.uniform(*how.speeds) if not clean and rng.random() < how.speed else 1.0
    needed = int(np.ceil(samples * factor)) + 1
    first = how.beginning > 0 and rng.random() < how.beginning
    crop = _crop(pcm, needed, rng, first)
    undisturbed = np.resize(crop, samples)
    if clean:
        return undisturbed, undisturbed
    x = to_sound(crop)
    if factor != 1.0:
        x = speed(x, factor)
    x = np.resize(x, samples)
    if rng.random() < how.room:
        x = convolve(x, impulse_response(rng.uniform(*how.t60_s), rng.uniform(*how.direct_db), rng))
    if rng.random() < how.noise:
        x = add_noise(x, _noise(samples, others, how, rng), rng.uniform(*how.snr_db))
    if rng.random() < how.colour:
        x = equalise(x, microphone(rng))
    return undisturbed, to_pcm(gain(x, rng.uniform(*how.gain_db)))


def _noise(
    samples: int, others: Sequence[Pcm], how: Augmentation, rng: np.random.Generator
) -> Sound:
    if others and rng.random() < how.babble:
        count = int(rng.integers(1, 7))
        picked = [others[i] for i in rng.integers(len(others), size=count)]
        return babble(samples, picked, rng)
    return coloured_noise(samples, COLOURS[rng.integers(len(COLOURS))], rng)


def _crop(pcm: Pcm, samples: int, rng: np.random.Generator, first: bool) -> Pcm:
    """The ``first`` samples of a clip or some from a random place; a shorter clip is repeated."""
    if len(pcm) < samples:
        pause = np.zeros(int(rng.integers(RATE // 2)), np.int16)
        once = np.concatenate([pcm, pause])
        start = 0 if first else int(rng.integers(len(once)))
        return np.resize(np.roll(once, -start), samples)
    start = 0 if first else int(rng.integers(len(pcm) - samples + 1))
    return pcm[start : start + samples]
