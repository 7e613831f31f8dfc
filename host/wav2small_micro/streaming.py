# SPDX-License-Identifier: Apache-2.0
"""Live streaming: audio in as it comes, a sliding window's answer every half second.

with Device(transport) as device:
    for answer in stream(device, paced(chunks(pcm))):
        print(answer.seconds, answer.adv)
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.link.errors import AudioLost, DeviceReset
from wav2small_micro.link.messages import BLOCK_SAMPLES, Q16_ONE, Layer, Norm, Source, Window
from wav2small_micro.link.session import Session

RATE = 16000
SEGMENT_SECONDS = 0.5
WINDOW_SEGMENTS = 4  # two seconds
_FULL_SCALE = 32768
_POLL_S = 0.1


@dataclass(frozen=True)
class WindowAnswer:
    """What the device says of the last seconds."""

    seconds: float  # end of the window, from the start of the audio
    adv: np.ndarray  # (3,) float64: arousal, dominance, valence, about 0 to 1
    adv_q16: np.ndarray  # (3,) int32: the same, 65536 is 1.0
    level_db: float  # RMS of the last half second, 0 dB is full scale; -inf for silence
    lag_seconds: float  # how far the audio that was sent is ahead of this answer


def chunks(pcm: np.ndarray, samples: int = BLOCK_SAMPLES) -> Iterator[np.ndarray]:
    """A clip in chunks of 20 ms, as a microphone's driver would give them.

    >>> [len(chunk) for chunk in chunks(np.zeros(700, np.int16))]
    [320, 320, 60]
    """
    for start in range(0, len(pcm), samples):
        yield pcm[start : start + samples]


def chunks_forever(pcm: np.ndarray, samples: int = BLOCK_SAMPLES) -> Iterator[np.ndarray]:
    """The clip over and over, in full chunks: the end of one round begins with the next.

    >>> rounds = chunks_forever(np.arange(5, dtype=np.int16), samples=4)
    >>> [next(rounds).tolist() for _ in range(2)]
    [[0, 1, 2, 3], [4, 0, 1, 2]]
    """
    for start in itertools.count(0, samples):
        yield np.take(pcm, range(start, start + samples), mode="wrap")


def at_most(audio: Iterable[np.ndarray], seconds: float) -> Iterator[np.ndarray]:
    """The chunks that begin within so many seconds.

    >>> [len(chunk) for chunk in at_most(chunks(np.zeros(16000, np.int16)), 0.05)]
    [320, 320, 320]
    """
    samples = 0
    for chunk in audio:
        if samples >= seconds * RATE:
            return
        samples += len(chunk)
        yield chunk


def read_pcm(stream: BinaryIO, samples: int = BLOCK_SAMPLES) -> Iterator[np.ndarray]:
    """Raw little endian int16 at 16 kHz from a pipe, until it ends.

    >>> import io
    >>> [chunk.tolist() for chunk in read_pcm(io.BytesIO(bytes([1, 0, 2, 0, 3])), samples=2)]
    [[1, 2]]
    """
    rest = b""
    while data := stream.read(2 * samples):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2")


def paced(audio: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same chunks, each handed out when a microphone would have filled it."""
    begin, samples = time.monotonic(), 0
    for chunk in audio:
        samples += len(chunk)
        time.sleep(max(0.0, begin + samples / RATE - time.monotonic()))
        yield chunk


def segments_of(window: float, most: int) -> int:
    """The half seconds of a window of so many seconds; a device holds `most` of them.

    Raises W2sError for a window that does not fit.
    """
    segments = round(window / SEGMENT_SECONDS)
    if not 1 <= segments <= most:
        raise W2sError(
            f"a window of {window} s does not fit",
            f"from {SEGMENT_SECONDS} to {most * SEGMENT_SECONDS} s",
        )
    return segments


def stream(
    device: Device,
    audio: Iterable[np.ndarray],
    *,
    window_segments: int = WINDOW_SEGMENTS,
    passing: Collection[Layer] = (),
    restarts: int = 2,
) -> Generator[WindowAnswer, None, None]:
    """Sends chunks of int16 samples into a live session and yields its windows as they come.

    `window_segments`: length of the sliding window in half seconds; `passing`: as in Device.start.
    When the device restarts, a new session goes on with the next chunk, at most `restarts` times;
    the audio in between is lost. Raises DeviceReset, LinkLost, DeviceError.
    """

    def start() -> Session:
        return device.start(norm=Norm.LIVE, window_segments=window_segments, passing=passing)

    sent = 0
    session, origin = start(), 0
    for chunk in audio:
        try:
            session.send(chunk)
            sent += len(chunk)
            yield from _windows(session, origin, sent)
        except GeneratorExit:
            session.stop()
            raise
        except (DeviceReset, AudioLost):
            if not restarts:
                raise
            restarts -= 1
            device.hello()
            sent += len(chunk)
            session, origin = start(), sent
    session.drain()
    yield from _windows(session, origin, sent)
    session.stop()


def listen(
    device: Device,
    *,
    window_segments: int = WINDOW_SEGMENTS,
    passing: Collection[Layer] = (),
    seconds: float | None = None,
) -> Generator[WindowAnswer, None, None]:
    """Yields the windows of the board's own microphone, for `seconds` or until closed.

    Raises DeviceError with NOT_SUPPORTED where the board has none.
    """
    session = device.start(
        norm=Norm.LIVE,
        source=Source.MICROPHONE,
        window_segments=window_segments,
        passing=passing,
    )
    begin = time.monotonic()
    try:
        while seconds is None or time.monotonic() - begin < seconds:
            session.poll(_POLL_S)
            yield from _windows(session, 0, 0)
    except GeneratorExit:
        session.stop()
        raise
    session.stop()


def _windows(session: Session, origin: int, sent: int) -> Iterator[WindowAnswer]:
    while session.windows:
        yield _answer(session.windows.popleft(), origin, sent)


def _answer(window: Window, origin: int, sent: int) -> WindowAnswer:
    adv_q16 = np.array([window.arousal, window.dominance, window.valence], np.int32)
    seconds = origin / RATE + (window.segment + 1) * SEGMENT_SECONDS
    with np.errstate(divide="ignore"):
        level = float(20 * np.log10(window.level_rms / _FULL_SCALE))
    return WindowAnswer(seconds, adv_q16 / Q16_ONE, adv_q16, level, max(0.0, sent / RATE - seconds))
