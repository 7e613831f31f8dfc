# SPDX-License-Identifier: Apache-2.0
"""Live streaming: audio in as it comes, a sliding window's answer every half second.

with Device(transport) as device:
    for answer in stream(device, paced(chunks(pcm))):
        print(answer.seconds, answer.adv)
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, NoReturn

import numpy as np

from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.link.errors import AudioLost, DeviceError, DeviceReset, LinkLost
from wav2small_micro.link.messages import (
    BLOCK_SAMPLES,
    Q16_ONE,
    ErrorCode,
    Layer,
    Norm,
    Source,
    Window,
)
from wav2small_micro.link.session import SEGMENT_SAMPLES, Session

RATE = 16000
SEGMENT_SECONDS = 0.5
WINDOW_SEGMENTS = 4  # two seconds
_FULL_SCALE = 32768
_POLL_S = 0.1
_SILENCE_S = 3.0  # of a microphone that should answer twice a second
_MOST_MISSING = 60 * RATE  # samples between two blocks that arrive


@dataclass(frozen=True)
class WindowAnswer:
    """What the device says of the last seconds."""

    seconds: float  # end of the window, from the start of the audio
    adv: np.ndarray  # (3,) float64: arousal, dominance, valence, about 0 to 1
    adv_q16: np.ndarray  # (3,) int32: the same, 65536 is 1.0
    level_db: float  # RMS of the last half second, 0 dB is full scale; -inf for silence
    lag_seconds: float  # how far the audio that was sent is ahead of this answer
    lost_seconds: float = 0.0  # of audio so far that is in no window: dropped, or at a restart
    lost_windows: int = 0  # so far, on the way from the device
    lost_echo_seconds: float = 0.0  # of a board's own audio that did not come back, so far


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


def paced(audio: Iterable[np.ndarray], *, speed: float = 1.0) -> Iterator[np.ndarray]:
    """The same chunks, each handed out when a microphone would have filled it.

    `speed`: of the microphone's clock; 1.02 is 2 % fast.
    """
    begin, samples = time.monotonic(), 0
    for chunk in audio:
        samples += len(chunk)
        time.sleep(max(0.0, begin + samples / (RATE * speed) - time.monotonic()))
        yield chunk


class Capture:
    """Audio that waits for nobody, as that of a microphone: a chunk that finds `seconds` of audio
    waiting is dropped and counted. To be iterated once.

    >>> capture = Capture(chunks(np.zeros(640, np.int16)), seconds=1)
    >>> sum(len(chunk) for chunk in capture), capture.lost_samples
    (640, 0)
    """

    def __init__(self, audio: Iterable[np.ndarray], *, seconds: float = 1.0) -> None:
        self.lost_samples = 0
        """Samples dropped before the chunk that was handed out last."""
        self._audio = audio
        self._room = round(seconds * RATE)
        self._waiting: deque[tuple[np.ndarray, int] | BaseException | None] = deque()
        self._samples = 0  # that wait
        self._change = threading.Condition()

    def __iter__(self) -> Iterator[np.ndarray]:
        threading.Thread(target=self._fill, name="capture", daemon=True).start()
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting)
                item = self._waiting.popleft()
                if isinstance(item, tuple):
                    self._samples -= len(item[0])
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            chunk, self.lost_samples = item
            if len(chunk):
                yield chunk

    def _fill(self) -> None:
        dropped = 0
        end: BaseException | None = None
        try:
            for chunk in self._audio:
                if self._samples + len(chunk) > self._room:
                    dropped += len(chunk)
                else:
                    self._put((chunk, dropped))
        except Exception as error:  # belongs to who iterates
            end = error
        self._put((np.empty(0, np.int16), dropped))
        self._put(end)

    def _put(self, item: tuple[np.ndarray, int] | BaseException | None) -> None:
        with self._change:
            if isinstance(item, tuple):
                self._samples += len(item[0])
            self._waiting.append(item)
            self._change.notify()


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
    capture: Capture | None = None,
) -> Generator[WindowAnswer, None, None]:
    """Sends chunks of int16 samples into a live session and yields its windows as they come.

    `window_segments`: length of the sliding window in half seconds; `passing`: as in Device.start.
    When the device restarts, a new session goes on with the next chunk, at most `restarts` times;
    the audio in between is lost. The answers say what was lost so far: that, what a `Capture`
    dropped (`audio` itself, or `capture` where that is further up), and windows that did not
    arrive. Raises DeviceReset, LinkLost, DeviceError.
    """

    def start() -> Session:
        return device.start(norm=Norm.LIVE, window_segments=window_segments, passing=passing)

    losses = _Losses(audio if isinstance(audio, Capture) else capture)
    sent = 0
    session, origin = start(), 0
    for chunk in audio:
        skipped = losses.skipped()
        sent, origin = sent + skipped, origin + skipped
        try:
            session.send(chunk)
            sent += len(chunk)
            yield from _windows(session, origin, sent, losses)
        except GeneratorExit:
            session.stop()
            raise
        except (DeviceReset, AudioLost):
            if not restarts:
                raise
            restarts -= 1
            device.hello()
            sent += len(chunk)
            losses.restarted(session, sent - origin)
            session, origin = start(), sent
    losses.skipped()
    session.drain()
    yield from _windows(session, origin, sent, losses)
    session.stop()


class _Losses:
    """What a stream has lost so far."""

    def __init__(self, capture: Capture | None = None) -> None:
        self._capture = capture
        self._skipped = 0  # samples that the capture dropped
        self._samples = 0  # of sessions that ended in a restart, after their last window
        self._windows = 0  # of those sessions

    def skipped(self) -> int:
        """Samples that the capture dropped since the last call."""
        before, self._skipped = self._skipped, self._capture.lost_samples if self._capture else 0
        return self._skipped - before

    def restarted(self, session: Session, samples: int) -> None:
        """The session is over after so many samples."""
        self._windows += session.missing_windows
        self._samples += max(0, samples - session.next_segment * SEGMENT_SAMPLES)

    def seconds(self) -> float:
        """Audio in no window."""
        return (self._skipped + self._samples) / RATE

    def windows(self, session: Session) -> int:
        """Windows that did not arrive, with those of the session that runs."""
        return self._windows + session.missing_windows


class Echo:
    """The audio that a board's microphone sends back, put in its place: silence stands for what
    did not arrive.

    >>> echo = Echo()
    >>> echo.take(320, np.ones(2, np.int16)).tolist() == [0] * 320 + [1, 1]
    True
    >>> echo.missing_samples
    320
    """

    def __init__(self) -> None:
        self.missing_samples = 0
        self._samples = 0

    def take(self, sample: int, pcm: np.ndarray) -> np.ndarray:
        """What goes on with a block whose first sample has this number; all of it may be there."""
        missing = sample - self._samples
        if missing < 0 or missing > _MOST_MISSING:
            return np.empty(0, np.int16)  # no microphone's, whatever it is
        self.missing_samples += missing
        self._samples = sample + len(pcm)
        return np.concatenate([np.zeros(missing, np.int16), pcm])


def listen(
    device: Device,
    *,
    window_segments: int = WINDOW_SEGMENTS,
    passing: Collection[Layer] = (),
    seconds: float | None = None,
    on_audio: Callable[[np.ndarray], None] | None = None,
    stop: threading.Event | None = None,
) -> Generator[WindowAnswer, None, None]:
    """Yields the windows of the board's own microphone, for `seconds`, until `stop` or closed.

    `on_audio` gets what it hears, int16 at 16 kHz in order, silence in the place of what was lost.
    Raises W2sError where the board has no microphone, DeviceReset when it restarts, LinkLost when
    it falls silent.
    """
    session = _start_listening(device, window_segments, passing, on_audio is not None)
    echo = Echo()
    begin = heard = time.monotonic()
    try:
        while seconds is None or time.monotonic() - begin < seconds:
            if stop is not None and stop.is_set():
                break
            session.poll(_POLL_S)
            while session.heard and on_audio is not None:
                block = session.heard.popleft()
                on_audio(echo.take(block.sample, np.frombuffer(block.pcm, "<i2")))
            if session.windows:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE_S:
                _ask_why_silent(device)
            yield from _heard_windows(session, echo)
    except GeneratorExit:
        session.stop()
        raise
    session.stop()


def _start_listening(
    device: Device, window_segments: int, passing: Collection[Layer], audio: bool
) -> Session:
    try:
        return device.start(
            norm=Norm.LIVE,
            source=Source.MICROPHONE,
            window_segments=window_segments,
            passing=passing,
            audio=audio,
        )
    except DeviceError as error:
        if error.error is not ErrorCode.NOT_SUPPORTED or error.detail != Source.MICROPHONE:
            raise
        board = device.facts.board if device.facts else "the board"
        raise W2sError(
            f"{board} has no microphone of its own", "name a clip, or --mic: this machine's"
        ) from None


def _ask_why_silent(device: Device) -> NoReturn:
    """Half seconds have passed without a word. Raises what is the matter."""
    boot = device.facts.boot_id if device.facts else None
    if device.hello().boot_id != boot:  # or LinkLost
        raise DeviceReset
    raise LinkLost("the board answers, but does not listen any more", "press its reset button")


def _heard_windows(session: Session, echo: Echo) -> Iterator[WindowAnswer]:
    while session.windows:
        window = session.windows.popleft()
        answer = _answer(session, window, window.lost_samples, 0, _Losses())
        yield replace(
            answer,
            lost_seconds=window.lost_samples / RATE,
            lost_echo_seconds=echo.missing_samples / RATE,
        )


def _windows(session: Session, origin: int, sent: int, losses: _Losses) -> Iterator[WindowAnswer]:
    while session.windows:
        yield _answer(session, session.windows.popleft(), origin, sent, losses)


def _answer(
    session: Session, window: Window, origin: int, sent: int, losses: _Losses
) -> WindowAnswer:
    adv_q16 = np.array([window.arousal, window.dominance, window.valence], np.int32)
    seconds = origin / RATE + (window.segment + 1) * SEGMENT_SECONDS
    with np.errstate(divide="ignore"):
        level = float(20 * np.log10(window.level_rms / _FULL_SCALE))
    return WindowAnswer(
        seconds=seconds,
        adv=adv_q16 / Q16_ONE,
        adv_q16=adv_q16,
        level_db=level,
        lag_seconds=max(0.0, sent / RATE - seconds),
        lost_seconds=losses.seconds(),
        lost_windows=losses.windows(session),
    )
