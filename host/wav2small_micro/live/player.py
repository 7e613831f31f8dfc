# SPDX-License-Identifier: Apache-2.0
"""Keeps a live session going on a device, whatever happens to the device, and tells who listens."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from wav2small_micro import pio, streaming
from wav2small_micro.emulator import Emulator
from wav2small_micro.energy import chips
from wav2small_micro.energy.model import estimate
from wav2small_micro.engines.base import Model
from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.link.errors import DeviceReset, LinkLost
from wav2small_micro.link.messages import HelloReply, Layer
from wav2small_micro.link.session import SEGMENT_SAMPLES
from wav2small_micro.link.transport import SerialTransport, Transport
from wav2small_micro.profiler import bench
from wav2small_micro.streaming import RATE, Capture, WindowAnswer

RETRY_S = 1.0
"""Between two tries to find a device again."""

OnBytes = Callable[[bytes], None]
Connect = Callable[[OnBytes], AbstractContextManager[Device]]
"""Opens a device, all of whose bytes also go to the function given."""


class Tap:
    """A transport whose bytes somebody else sees too."""

    def __init__(self, transport: Transport, on_bytes: OnBytes) -> None:
        self.name = transport.name
        self._transport = transport
        self._on_bytes = on_bytes

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        data = self._transport.read(timeout)
        if data:
            self._on_bytes(data)
        return data

    def write(self, data: bytes, timeout: float) -> None:
        """See Transport."""
        self._transport.write(data, timeout)

    def reopen(self, timeout: float) -> None:
        """See Transport."""
        self._transport.reopen(timeout)

    def close(self) -> None:
        """See Transport."""
        self._transport.close()


def on_board(model: Model, port: str) -> Connect:
    """A board behind a serial port."""

    @contextmanager
    def connect(on_bytes: OnBytes) -> Iterator[Device]:
        with Device(Tap(SerialTransport(port), on_bytes), model_sha256=_hash(model)) as device:
            yield device

    return connect


def on_emulator(model: Model, env: str) -> Connect:
    """A board in QEMU, its firmware built where it is out of date; a new one each time."""
    board = pio.emulated_board(env)
    elf = pio.build(env, model.folder)

    @contextmanager
    def connect(on_bytes: OnBytes) -> Iterator[Device]:
        with (
            Emulator(elf, board) as emulator,
            Device(Tap(emulator.transport(), on_bytes), model_sha256=_hash(model)) as device,
        ):
            yield device

    return connect


def _hash(model: Model) -> bytes:
    return bytes.fromhex(model.plan.sha256)


class Sink:
    """What listens to a player. Each does with the news what it wants to; here, nothing."""

    def publish(self, data: bytes) -> None:
        """Bytes that came from the device, on the thread that reads them."""

    def state(self, kind: str, **facts: Any) -> None:
        """News: ``link`` with state, message and hint; ``energy`` with a text."""

    def answer(self, answer: WindowAnswer, delay: float | None) -> None:
        """A window, ``delay`` seconds after its last half second was handed to the device."""

    wants_audio = False
    """Whether it wants to hear what a board's own microphone hears."""

    def audio(self, pcm: np.ndarray) -> None:
        """What the board's own microphone heard next: int16 at 16 kHz."""


class Player:
    """Plays `audio`, chunks of int16 samples at 16 kHz, into the device that `connect` opens, or
    listens to the device's own microphone where there is none.

    When the device restarts, falls silent or is unplugged, the player tells its sinks, opens it
    again, and goes on with the audio that follows. `paced` audio waits as a microphone's would,
    and for the device; what a `capture` of it dropped is among the losses that the answers name.
    With `log_mel` the rows of the front end come too, unless a sink wants the audio of a device's
    own microphone: the link has no room for both. `seconds`: how long to listen to that.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        connect: Connect,
        audio: Iterator[np.ndarray] | None,
        *,
        window_seconds: float = 2.0,
        log_mel: bool = True,
        paced: bool = False,
        capture: Capture | None = None,
        seconds: float | None = None,
    ) -> None:
        self._sinks = sinks
        self._connect = connect
        self._audio = audio
        self._window_seconds = window_seconds
        self._on_audio = self._hear if any(sink.wants_audio for sink in sinks) else None
        own = audio is None and self._on_audio is not None
        self._passing = (Layer.LOGMEL,) if log_mel and not own else ()
        self._paced = paced
        self._capture = capture
        self._seconds = seconds
        self._samples = 0  # of audio, in sessions that are over
        self._unanswered = 0  # of those, after the last window
        self._lost_windows = 0  # in sessions that are over
        self._lost_echo = 0.0  # seconds, likewise
        self._heard = 0.0  # when the device last answered
        self._stop = threading.Event()

    def stop(self) -> None:
        """Makes `run` and `wait` end soon; may be called on any thread, and from a signal."""
        self._stop.set()

    def wait(self) -> None:
        """Waits for `stop`."""
        self._stop.wait()

    def run(self, patience_s: float = math.inf) -> None:
        """Plays until the audio has ended or `stop` was called.

        Raises W2sError for what trying again would not mend, and when the device could not be
        found for `patience_s` seconds.
        """
        self._tell("connecting", "Looking for the device.")
        since = time.monotonic()
        while not self._stop.is_set():
            try:
                self._play()
                self._tell("ended", "The audio has ended.")
                return
            except (LinkLost, DeviceReset) as error:
                self._tell("lost", error.message, error.hint)
                since = max(since, self._heard)
                if time.monotonic() - since >= patience_s:
                    raise
                self._stop.wait(RETRY_S)
            except W2sError as error:
                self._tell("refused", error.message, error.hint)
                raise

    def _play(self) -> None:
        with self._connect(self._publish) as device:
            facts = device.hello()
            self._heard = time.monotonic()
            segments = streaming.segments_of(self._window_seconds, facts.segments)
            for sink in self._sinks:
                sink.state("energy", text=_mean_power(facts))
            self._tell("running", f"{facts.board} runs {facts.model}.")
            audio = None
            if self._audio is not None:
                audio = _Handed(streaming.paced(self._audio) if self._paced else self._audio)
            windows, last = 0, None
            try:
                with closing(self._answers(device, audio, segments)) as answers:
                    for answer in answers:
                        windows, last = windows + 1, answer
                        self._heard = time.monotonic()
                        self._say(answer, audio)
                        if self._stop.is_set():
                            return
            finally:
                if audio is not None:
                    self._samples += audio.samples
                    self._unanswered += max(0, audio.samples - windows * SEGMENT_SAMPLES)
                if last is not None:
                    self._end_session(last, own=audio is None)

    def _end_session(self, last: WindowAnswer, *, own: bool) -> None:
        """Keeps what the sessions to come must add; `own`: the device heard by itself."""
        self._lost_windows += last.lost_windows
        self._lost_echo += last.lost_echo_seconds
        if own:
            self._samples += round(last.seconds * RATE)
            self._unanswered += round(last.lost_seconds * RATE)

    def _say(self, answer: WindowAnswer, audio: _Handed | None) -> None:
        """Tells the sinks an answer, in the time and with the losses of all sessions."""
        dropped = answer.lost_seconds  # by the capture, or by the device's own microphone
        delay = audio.age(answer.seconds - dropped) if audio else None
        told = replace(
            answer,
            seconds=answer.seconds + self._samples / RATE,
            lost_seconds=dropped + self._unanswered / RATE,
            lost_windows=answer.lost_windows + self._lost_windows,
            lost_echo_seconds=answer.lost_echo_seconds + self._lost_echo,
        )
        for sink in self._sinks:
            sink.answer(told, delay)

    def _answers(
        self, device: Device, audio: _Handed | None, segments: int
    ) -> Generator[WindowAnswer, None, None]:
        options: dict[str, Any] = {"window_segments": segments, "passing": self._passing}
        if audio is None:
            left = None if self._seconds is None else self._seconds - self._samples / RATE
            options |= {"seconds": left, "on_audio": self._on_audio, "stop": self._stop}
            return streaming.listen(device, **options)
        return streaming.stream(device, audio, restarts=0, capture=self._capture, **options)

    def _hear(self, pcm: np.ndarray) -> None:
        for sink in self._sinks:
            if sink.wants_audio:
                sink.audio(pcm)

    def _publish(self, data: bytes) -> None:
        for sink in self._sinks:
            sink.publish(data)

    def _tell(self, state: str, message: str, hint: str = "") -> None:
        for sink in self._sinks:
            sink.state("link", state=state, message=message, hint=hint)


def _mean_power(facts: HelloReply) -> str:
    """What live audio costs by the energy model, from the record of the bench; "" for a board that
    is no chip or is not in the record."""
    with contextlib.suppress(W2sError):
        chip = chips.of_board(facts.board)
        kernels = pio.board(facts.board).kernels
        for row in bench.read_record()["rows"]:
            if row["part"] == "loop" and bench.case_of(row) == bench.Case(
                facts.board, facts.model, kernels
            ):
                power = estimate(row["cycles"], chip, facts.clock_hz).average_mw
                return "" if power is None else power.text
    return ""


class _Handed:
    """Chunks on their way to the device, with the time when each sample was handed over."""

    def __init__(self, audio: Iterator[np.ndarray]) -> None:
        self._audio = audio
        self.samples = 0
        self._times: dict[int, float] = {}  # when half second n was whole

    def __iter__(self) -> Iterator[np.ndarray]:
        half = round(streaming.SEGMENT_SECONDS * RATE)
        for chunk in self._audio:
            before, self.samples = self.samples, self.samples + len(chunk)
            if self.samples // half > before // half:
                self._times[self.samples // half] = time.monotonic()
            yield chunk

    def age(self, seconds: float) -> float | None:
        """Seconds since the half second that ended at `seconds` of audio was handed over."""
        then = self._times.pop(round(seconds / streaming.SEGMENT_SECONDS), None)
        return None if then is None else time.monotonic() - then
