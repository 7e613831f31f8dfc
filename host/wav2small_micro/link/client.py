# SPDX-License-Identifier: Apache-2.0
"""The host's end of the link: requests with retries, sessions, whole clips.

with Device(SerialTransport("/dev/ttyACM0")) as device:
    print(device.hello().board)
    print(device.run(pcm).adv_q16 / 65536)
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn, TypeVar

import numpy as np

from wav2small_micro.link import messages
from wav2small_micro.link.channel import Channel
from wav2small_micro.link.codec import Frame
from wav2small_micro.link.errors import (
    AudioLost,
    DeviceError,
    DeviceReset,
    LinkError,
    LinkLost,
    WrongDevice,
)
from wav2small_micro.link.messages import (
    ErrorCode,
    Layer,
    Message,
    Norm,
    Option,
    ResetCause,
    Source,
)
from wav2small_micro.link.session import Session, SessionAnswer
from wav2small_micro.link.transport import Transport

_FAULT_WAIT_S = 0.5  # FAULT follows BOOT at once
_SLOW_REPEAT_S = 8.0  # between repeats of FINISH while a buffered clip is computed
_Reply = TypeVar("_Reply", bound=Message)


@dataclass(frozen=True)
class Timing:
    """How patient the host is, in seconds."""

    reply_s: float = 0.5  # of silence before a request is repeated for the first time
    repeat_s: float = 0.5  # at most between two repeats: a link that is mended is soon noticed
    patience_s: float = 10.0  # before a request is given up
    finish_s: float = 300.0  # the same for FINISH: a buffered clip is computed only then
    stall_s: float = 30.0  # without one block taken
    reboot_s: float = 10.0


class Device:
    """One device on the other end of a transport, which it owns.

    `model_sha256`, when given, is the model that the device must run. Text that the device
    prints goes to `on_text`, line by line, on another thread.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        model_sha256: bytes | None = None,
        on_text: Callable[[str], None] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.timing = timing or Timing()
        self.facts: messages.HelloReply | None = None
        self.last_fault: messages.Fault | None = None
        self.stray_frames = 0  # late and repeated replies, events of sessions long gone
        self.restarts = 0  # of the device, as far as we know
        self.repeated_requests = 0
        self.sent_blocks = 0
        self.resent_blocks = 0
        self.abandoned_blocks = 0  # in flight when their session was given up
        self.lost_events = 0  # by their sequence numbers
        self._model_sha256 = model_sha256
        self._channel = Channel(transport, on_text)
        self._seq = secrets.randbelow(256)  # so that replies to a host before us do not fit
        self._session: Session | None = None
        self._next_event: int | None = None  # its sequence number
        self._heard = 0.0  # when the last frame came

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the transport back."""
        self._channel.close()

    # --- Requests ----------------------------------------------------------------------------

    def hello(self) -> messages.HelloReply:
        """Asks who the device is and remembers the answer in `facts`.

        Raises WrongDevice when its protocol or its model is not the expected one.
        """
        try:
            reply = self._request(
                messages.Hello(messages.PROTOCOL_VERSION),
                messages.HelloReply,
                self.timing.patience_s,
            )
        except DeviceError as error:
            if error.error != ErrorCode.BAD_VERSION:
                raise
            raise _wrong_protocol(error.detail) from None
        if reply.protocol != messages.PROTOCOL_VERSION:
            raise _wrong_protocol(reply.protocol)
        if self._model_sha256 not in (None, reply.model_sha256):
            expected = (self._model_sha256 or b"").hex()[:12]
            raise WrongDevice(
                f"the device runs {reply.model} ({reply.model_sha256.hex()[:12]}), "
                f"not the model that it is compared with ({expected})",
                "put this model on the device: w2s flash --model NAME",
            )
        if self.facts is not None and self.facts.boot_id != reply.boot_id:
            self.restarts += 1
            self._next_event = None
        self.facts = reply
        return reply

    def ping(self, data: bytes = b"") -> float:
        """Sends bytes there and back; the seconds that it took."""
        begin = time.monotonic()
        pong = self._request(messages.Ping(data), messages.Pong, self.timing.patience_s)
        if pong.data != data:
            raise LinkLost("the device sends other bytes back than it was sent", "reset the board")
        return time.monotonic() - begin

    def counters(self) -> messages.CountersReply:
        """Reads the device's counters."""
        return self._request(messages.Counters(), messages.CountersReply, self.timing.patience_s)

    def reset(self) -> messages.HelloReply:
        """Restarts the device and waits until it answers again."""
        before = (self.facts or self.hello()).boot_id
        self._abandon()
        try:
            request = messages.Reset(messages.RESET_MAGIC)
            self._request(request, messages.Ack, self.timing.patience_s)
        except LinkLost:
            self.reconnect()  # a port over USB goes away with the device
        deadline = time.monotonic() + self.timing.reboot_s
        while time.monotonic() < deadline:
            facts = self.hello()
            if facts.boot_id != before:
                return facts
            time.sleep(0.05)
        raise LinkLost(
            "the device acknowledged RESET but did not restart", "press its reset button"
        )

    def reconnect(self) -> messages.HelloReply:
        """Opens the transport anew, waiting for it to come back, and says hello."""
        self._abandon()
        self._channel.reopen(self.timing.reboot_s)
        return self.hello()

    def command(self, line: str) -> None:
        """Sends a text command, as a person at a terminal would; the answer goes to `on_text`."""
        self._channel.write(line.encode("ascii") + b"\n")

    # --- Sessions ----------------------------------------------------------------------------

    def start(
        self,
        *,
        norm: Norm,
        stats: tuple[int, int, int] = (0, 0, 0),
        source: Source = Source.LINK,
        window_segments: int = 0,
        taps: Iterable[Layer] = (),
        passing: Iterable[Layer] = (),
        profile: bool = False,
        audio: bool = False,
    ) -> Session:
        """Begins a session.

        `stats`: number of samples, their sum and the sum of their squares, for norm GIVEN;
        `window_segments`: length of the sliding window in half seconds, 0 for no windows;
        `taps`: layers whose rows the device shall send; `passing`: likewise, for those who watch
        the transport: the session keeps none of them, however long it lasts; `profile`: a
        BLOCK_TICKS for every block; `audio`: what the board's microphone hears, which the session
        keeps in `heard`.
        """
        if self.facts is None:
            self.hello()
        layers = frozenset(taps)
        number = secrets.randbelow(2**32 - 1) + 1
        mask = sum(1 << layer for layer in layers | frozenset(passing))
        self._abandon()
        options = (Option.PROFILE if profile else 0) | (Option.AUDIO if audio else 0)
        request = messages.Start(number, norm, source, window_segments, options, mask, *stats)
        reply = self._request(request, messages.StartReply, self.timing.patience_s)
        self._session = Session(
            self,
            number,
            reply.next_block,
            reply.audio_window,
            layers,
            windowed=window_segments > 0,
            slow=norm is Norm.BUFFERED,
            hears=source is Source.MICROPHONE,
        )
        return self._session

    def run(
        self,
        pcm: np.ndarray,
        *,
        norm: Norm = Norm.GIVEN,
        taps: Iterable[Layer] = (),
        window_segments: int = 0,
        restarts: int = 2,
    ) -> SessionAnswer:
        """Runs a clip of int16 samples at 16 kHz.

        When the device restarts, or a row or a window is lost on the way, the clip begins again, at
        most `restarts` times. Raises DeviceReset, AudioLost, LinkLost, DeviceError, WrongDevice.
        """
        layers = frozenset(taps)
        for left in range(restarts, -1, -1):
            try:
                session = self.start(
                    norm=norm,
                    stats=clip_statistics(pcm),
                    taps=layers,
                    window_segments=window_segments,
                )
                session.send(pcm)
                return session.finish()
            except (DeviceReset, AudioLost):
                if not left:
                    raise
                self.hello()
            except LinkLost:
                if not left:
                    raise
                self.reconnect()
        raise AssertionError("unreachable")

    # --- What sessions need ------------------------------------------------------------------

    def next_seq(self) -> int:
        """A fresh sequence number."""
        self._seq = (self._seq + 1) % 256
        return self._seq

    @property
    def heard(self) -> float:
        """When the last frame came, by the monotonic clock."""
        return self._heard

    @property
    def sent_frames(self) -> int:
        """Frames sent, requests and audio."""
        return self._channel.sent_frames

    @property
    def received_frames(self) -> int:
        """Good frames received, whether anybody wanted them or not."""
        return self._channel.received_frames

    @property
    def noise_bytes(self) -> int:
        """Bytes received that were neither frames nor text: damaged frames, mostly."""
        return self._channel.noise_bytes

    def send_audio(self, audio: messages.Audio, seq: int, *, again: bool) -> None:
        """Sends a block, whose credit `pump` will give to the session."""
        self.sent_blocks += 1
        self.resent_blocks += again
        self._channel.send(audio, seq)

    def pump(self, timeout: float) -> bool:
        """Takes one frame and gives it to whom it belongs; False when none came in time."""
        frame = self._receive(timeout)
        if frame is None:
            return False
        self._dispatch(frame)
        return True

    def finish(self, session: int, blocks: int, *, slow: bool) -> messages.Result:
        """Asks for the result of a session; `slow`: all of its work is still to be done."""
        request = messages.Finish(session, blocks)
        repeat = _SLOW_REPEAT_S if slow else None
        return self._request(request, messages.Result, self.timing.finish_s, repeat)

    def stop(self, session: int) -> None:
        """Ends a session on the device."""
        self._request(messages.Stop(session), messages.Ack, self.timing.patience_s)

    def end_session(self, session: Session) -> None:
        """Events of this session are no longer wanted."""
        if self._session is session:
            self._abandon()

    def _abandon(self) -> Session | None:
        """Forgets the session, and returns it."""
        session, self._session = self._session, None
        if session is not None:
            self.abandoned_blocks += session.blocks_in_flight
        return session

    # --- Frames ------------------------------------------------------------------------------

    def _receive(self, timeout: float) -> Frame | None:
        """The next frame; sees by the events' numbers whether some are lost."""
        frame = self._channel.receive(timeout)
        if frame is None:
            return None
        self._heard = time.monotonic()
        if frame.message.direction is messages.Direction.EVENT:
            expected = self._next_event
            if expected is None or isinstance(frame.message, messages.Boot):
                expected = frame.seq
            lost = (frame.seq - expected) % 256
            if lost < 128:
                self.lost_events += lost
                self._next_event = (frame.seq + 1) % 256
            elif lost < 255:  # overtaken, and so not lost; 255 is the last one again
                self.lost_events = max(0, self.lost_events - 1)
        return frame

    def _request(
        self, message: Message, reply: type[_Reply], patience: float, repeat: float | None = None
    ) -> _Reply:
        """Sends `message` until its reply comes, under one sequence number."""
        seq = self.next_seq()
        longest = max(repeat or self.timing.repeat_s, self.timing.reply_s)
        wait, begin = self.timing.reply_s, time.monotonic()
        while True:
            self._channel.send(message, seq)
            answer = self._await_reply(message, seq, reply, wait, begin + patience)
            if answer is not None:
                return answer
            if time.monotonic() - begin >= patience:
                raise self._silence(message)
            self.repeated_requests += 1
            wait = min(2 * wait, longest)

    def _await_reply(
        self, message: Message, seq: int, reply: type[_Reply], wait: float, patience: float
    ) -> _Reply | None:
        """The reply, or None after `wait` seconds of silence: while rows come, a device is busy."""
        sent = time.monotonic()
        while True:
            deadline = min(max(sent, self._heard) + wait, patience)
            frame = self._receive(deadline - time.monotonic())
            if frame is None:
                return None
            answer = frame.message
            if frame.seq == seq and isinstance(answer, reply) and _same_session(message, answer):
                return answer
            if (
                frame.seq == seq
                and isinstance(answer, messages.Error)
                and answer.request_type == message.code
            ):
                _raise_refusal(answer)
            self._dispatch(frame)

    def _dispatch(self, frame: Frame) -> None:
        message, session = frame.message, self._session
        if isinstance(message, messages.Boot):
            self._on_boot(message)
        elif isinstance(message, messages.Fault):
            self.last_fault = message
        elif session is None or getattr(message, "session", session.number) != session.number:
            self.stray_frames += 1
        else:
            try:
                self._dispatch_to_session(frame, session)
            except LinkError:
                self._abandon()  # what still comes for it is not wanted
                raise

    def _dispatch_to_session(self, frame: Frame, session: Session) -> None:
        message = frame.message
        if isinstance(message, messages.Credit):
            session.on_credit(message, frame.seq)
        elif isinstance(message, messages.Row):
            session.on_row(message)
        elif isinstance(message, messages.Window):
            session.on_window(message)
        elif isinstance(message, messages.Heard):
            session.on_heard(message)
        elif isinstance(message, messages.BlockTicks):
            session.profile.append(message)
        elif isinstance(message, messages.Error) and (
            message.request_type == messages.Audio.code and session.sent_under(frame.seq)
        ):
            _raise_refusal(message)
        else:
            self.stray_frames += 1

    def _on_boot(self, boot: messages.Boot) -> None:
        """A restart is bad news for a session, and for nothing else."""
        if self.facts is not None and self.facts.boot_id != boot.boot_id:
            self.restarts += 1
            self.facts = dataclasses.replace(self.facts, boot_id=boot.boot_id)
        if self._abandon() is None:
            return
        fault = None
        if boot.reset_cause == ResetCause.FAULT:
            deadline = time.monotonic() + _FAULT_WAIT_S
            while fault is None and (frame := self._receive(deadline - time.monotonic())):
                if isinstance(frame.message, messages.Fault):
                    fault = self.last_fault = frame.message
        raise DeviceReset(boot.reset_cause, fault)

    def _silence(self, request: Message) -> LinkLost:
        name, noise = self._channel.transport.name, self._channel.reader.noise_bytes
        if noise:
            return LinkLost(
                f"{name} sends {noise} bytes that are no frames, and no reply",
                "check the baud rate, and that the firmware of this checkout runs: w2s flash",
            )
        return LinkLost(
            f"no reply to {request.wire_name()} from {name}",
            "is it the right port, and does the firmware run there? w2s flash puts it there",
        )


def clip_statistics(pcm: np.ndarray) -> tuple[int, int, int]:
    """Number of samples, their sum and the sum of their squares, exactly.

    >>> clip_statistics(np.array([-32768, 1], np.int16))
    (2, -32767, 1073741825)
    """
    wide = pcm.astype(np.int64)
    return len(pcm), int(wide.sum()), int((wide * wide).sum())


def _same_session(request: Message, reply: Message) -> bool:
    return getattr(request, "session", None) == getattr(reply, "session", None) or not hasattr(
        reply, "session"
    )


def _raise_refusal(error: messages.Error) -> NoReturn:
    if error.error == ErrorCode.NO_SESSION:
        # The session was there: its START was answered. So the device has restarted since.
        raise DeviceReset
    raise DeviceError(error.error, error.request_type, error.detail)


def _wrong_protocol(version: int) -> WrongDevice:
    return WrongDevice(
        f"the device speaks version {version} of the link protocol, "
        f"this host {messages.PROTOCOL_VERSION}",
        "build and flash the firmware of this checkout: w2s flash",
    )
