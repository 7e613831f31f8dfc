# SPDX-License-Identifier: Apache-2.0
"""A device that follows a script, at the far end of a pty."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pty
import threading
import tty
import zlib
from collections.abc import Callable, Iterable

from wav2small_micro.link import messages
from wav2small_micro.link.codec import Frame, FrameReader, encode
from wav2small_micro.link.messages import ErrorCode, Layer, Message, ResetCause

WINDOW = 4  # blocks in flight

Script = Callable[["Peer", Frame], bool]


class Peer(threading.Thread):
    """A device at the other end of a pty. Its answer to a clip is a checksum of what it heard.

    `script` sees every frame first; when it returns True the peer leaves that frame alone.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.controller, self.terminal = pty.openpty()
        tty.setraw(self.terminal)
        self.url = os.ttyname(self.terminal)
        self.script: Script = lambda peer, frame: False
        self.seen: list[Message] = []
        self.boots = 0
        self.refused = self.repeated = 0
        self._events = 0
        self._done = threading.Event()
        self._forget()

    def _forget(self) -> None:
        self.session = 0
        self.start_request: messages.Start | None = None
        self.pcm: list[bytes] = []

    def run(self) -> None:
        reader = FrameReader()
        while not self._done.is_set():
            with contextlib.suppress(OSError):
                for frame in reader.feed(os.read(self.controller, 4096)):
                    self.seen.append(frame.message)
                    if not self.script(self, frame):
                        self.answer(frame)

    def close(self) -> None:
        self._done.set()
        with contextlib.suppress(OSError):
            os.write(self.terminal, b"\0")  # wakes the read
        self.join()
        os.close(self.controller)
        os.close(self.terminal)

    def write(self, data: bytes) -> None:
        os.write(self.controller, data)

    def send(self, message: Message, seq: int) -> None:
        self.write(encode(message, seq))

    def event(self, message: Message) -> None:
        self._events += 1
        self.send(message, self._events % 256)

    def reboot(self, cause: ResetCause = ResetCause.WATCHDOG) -> None:
        self.boots += 1
        self._forget()
        self.write(b"wav2small ready\r\n")
        self.event(messages.Boot(self.boots, cause))

    def refuse(self, frame: Frame, error: ErrorCode, detail: int = 0) -> None:
        self.send(messages.Error(error, frame.message.code, 0, detail), frame.seq)

    def count(self, cls: type[Message]) -> int:
        return sum(isinstance(message, cls) for message in self.seen)

    def hello_reply(self, **changes: object) -> messages.HelloReply:
        fields = {field.name: 0 for field in messages.HelloReply.wire_fields()}
        facts = {
            "protocol": messages.PROTOCOL_VERSION,
            "boot_id": self.boots,
            "segments": 5,
            "audio_window": WINDOW,
            "board": "peer",
            "model": "wav2small-72k",
            "model_sha256": bytes(range(32)),
        }
        return messages.HelloReply(**{**fields, **facts, **changes})

    def answer(self, frame: Frame) -> None:
        request = frame.message
        if isinstance(request, messages.Hello):
            self.send(self.hello_reply(), frame.seq)
        elif isinstance(request, messages.Ping):
            self.send(messages.Pong(request.data), frame.seq)
        elif isinstance(request, messages.Counters):
            fields = {field.name: 7 for field in messages.CountersReply.wire_fields()}
            self.send(messages.CountersReply(**fields), frame.seq)
        elif isinstance(request, messages.Reset):
            self.send(messages.Ack(), frame.seq)
            self.reboot(ResetCause.SOFTWARE)
        elif isinstance(request, messages.Start):
            if request.session != self.session:
                self._forget()
                self.session, self.start_request = request.session, request
            self.send(messages.StartReply(self.session, len(self.pcm), WINDOW), frame.seq)
        elif isinstance(request, messages.Stop):
            self._forget()
            self.send(messages.Ack(), frame.seq)
        elif getattr(request, "session", 0) != self.session:
            self.refuse(frame, ErrorCode.NO_SESSION, self.session)
        elif isinstance(request, messages.Audio):
            self.take_audio(request, frame.seq)
        elif isinstance(request, messages.Finish):
            self.finish(frame, request)

    def take_audio(self, audio: messages.Audio, seq: int) -> None:
        if audio.block == len(self.pcm):
            self.pcm.append(audio.pcm)
            self.send_rows(audio.block)
            self.send_window(audio.block)
        self.refused += audio.block > len(self.pcm)
        self.repeated += audio.block < len(self.pcm) - 1
        self.send(messages.Credit(self.session, len(self.pcm), WINDOW), seq)

    def send_rows(self, block: int) -> None:
        assert self.start_request
        for layer in Layer:
            if self.start_request.tap_mask >> layer & 1:
                data = bytes([block, layer])
                self.event(messages.Row(self.session, layer, 1, 0, block, data))

    def send_window(self, block: int) -> None:
        assert self.start_request
        if self.start_request.window_segments and block % 5 == 4:
            segment = block // 5
            self.event(messages.Window(self.session, segment, segment << 16, -1, 32768, 3277, 0))

    def listen(self, events: Iterable[Message]) -> None:
        """What comes when its microphone is asked for: events, of session 0 until they are sent."""

        def script(peer: Peer, frame: Frame) -> bool:
            request = frame.message
            if not isinstance(request, messages.Start) or request.session == self.session:
                return False
            assert request.source == messages.Source.MICROPHONE
            self._forget()
            self.session, self.start_request = request.session, request
            self.send(messages.StartReply(self.session, 0, 0), frame.seq)
            for event in events:
                self.event(dataclasses.replace(event, session=self.session))
            return True

        self.script = script

    def finish(self, frame: Frame, request: messages.Finish) -> None:
        if request.blocks != len(self.pcm):
            self.refuse(frame, ErrorCode.MISSING_AUDIO, len(self.pcm))
            return
        heard = b"".join(self.pcm)
        rows = len(self.pcm)
        adv = (zlib.crc32(heard) >> 1, len(heard), rows)
        self.send(messages.Result(self.session, 0, *adv, rows, rows), frame.seq)


def once(action: Callable[[Peer, Frame], None], when: Callable[[Frame], bool]) -> Script:
    """A script that acts on the first frame that `when` picks, and leaves the rest alone."""
    done: list[bool] = []

    def script(peer: Peer, frame: Frame) -> bool:
        if done or not when(frame):
            return False
        done.append(True)
        action(peer, frame)
        return True

    return script


def is_block(number: int) -> Callable[[Frame], bool]:
    """Picks the AUDIO with this number."""
    return lambda frame: (
        isinstance(frame.message, messages.Audio) and (frame.message.block == number)
    )


def ignore(peer: Peer, frame: Frame) -> None:
    """A frame that got lost on the way to the device."""
