# SPDX-License-Identifier: Apache-2.0
"""A board that says anything, to the host's end of the link.

Promises (docs/security.md): S7, S8.

The input is a programme that says what the board sends after each message of the host: right
answers, wrong ones, old ones, none, noise.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import atheris

with atheris.instrument_imports(include=["wav2small_micro", "cobs"]):
    import numpy as np
    from fuzz.programme import Programme

    from wav2small_micro import streaming
    from wav2small_micro.link import client, codec, messages
    from wav2small_micro.link.client import Device, Timing
    from wav2small_micro.link.errors import LinkError, LinkLost
    from wav2small_micro.link.messages import Layer, Message, Norm

PCM = np.arange(-700, 700, dtype=np.int16)
NOW = Timing(reply_s=0, patience_s=0, finish_s=0, stall_s=0, reboot_s=0)
MOST_SENT = 400  # messages of the host in one input


class Board:
    """What `client` takes for its Channel: no thread, no time, no port."""

    def __init__(self, transport: Programme, on_text: object = None) -> None:
        self.transport = self
        self.name = "the fuzzer"
        self.reader = codec.FrameReader()
        self.results: set[tuple[int, int, int, int]] = set()
        self.session = 0  # the last that the host began
        self.sent = 0
        self._programme = transport
        self._frames: list[codec.Frame] = []
        self._history: list[tuple[Message, int]] = []
        self._blocks = 0

    def send(self, message: Message, seq: int) -> None:
        self.sent += 1
        if self.sent > MOST_SENT:
            raise LinkLost("enough", "")
        self._history.append((message, seq))
        if isinstance(message, messages.Start):
            self._blocks, self.session = 0, message.session
        self._operate(message, seq)

    def write(self, data: bytes) -> None:
        """Text commands."""

    def receive(self, timeout: float) -> codec.Frame | None:
        return self._frames.pop(0) if self._frames else None

    def reopen(self, timeout: float) -> None:
        self._frames = []

    def close(self) -> None:
        """Nothing to close."""

    # --- What the board does ---------------------------------------------------------------------

    def _operate(self, message: Message, seq: int) -> None:
        programme = self._programme
        for _ in range(1 + programme.byte() % 3):
            operation = programme.byte() % 8 if programme.left else 0
            if operation < 3:
                self._answer(message, seq)
            elif operation == 3 and self._history:
                old = self._history[-1 - programme.byte() % len(self._history)]
                self._answer(*old)
            elif operation == 4:
                self._lie(seq)
            elif operation == 5:
                self._frames += self.reader.feed(programme.piece(programme.byte()))
            elif operation == 6:
                self._say(messages.Boot(programme.byte(), programme.byte()), 0)

    def _say(self, message: Message, seq: int) -> None:
        if isinstance(message, messages.Result):
            self._note(message)
        self._frames.append(codec.Frame(message, seq))

    def _note(self, result: messages.Result) -> None:
        if not result.status:
            adv = (result.arousal, result.dominance, result.valence)
            self.results.add((result.session, *adv))

    def _lie(self, seq: int) -> None:
        """Any message of the registry, filled from the input."""
        programme = self._programme
        choices = messages.MESSAGES
        cls = choices[programme.byte() % len(choices)]
        payload = bytearray(cls.fixed_size())
        names = [field.name for field in cls.wire_fields()]
        if "session" in names[:1] and programme.byte() % 4:
            payload[:4] = self.session.to_bytes(4, "little")
        for _ in range(programme.byte() % 4):
            if payload:
                payload[programme.byte() % len(payload)] = programme.byte()
        tail = programme.piece(programme.byte()) if cls.tail() else b""
        same = programme.byte() % 2
        encoded = codec.encode_raw(cls.code, seq if same else programme.byte(), payload + tail)
        for frame in self.reader.feed(encoded):
            if isinstance(frame.message, messages.Result):
                self._note(frame.message)
            self._frames.append(frame)

    def _answer(self, message: Message, seq: int) -> None:
        if isinstance(message, messages.Hello):
            zeros = {field.name: 0 for field in messages.HelloReply.wire_fields()}
            facts = {"protocol": 1, "board": "b", "model": "m", "model_sha256": bytes(32)}
            self._say(messages.HelloReply(**{**zeros, **facts}), seq)
        elif isinstance(message, messages.Ping):
            self._say(messages.Pong(message.data), seq)
        elif isinstance(message, messages.Counters):
            zeros = {field.name: 0 for field in messages.CountersReply.wire_fields()}
            self._say(messages.CountersReply(**zeros), seq)
        elif isinstance(message, messages.Start):
            self._say(messages.StartReply(message.session, self._blocks, 4), seq)
        elif isinstance(message, messages.Audio):
            self._blocks += message.block == self._blocks
            self._rows(message)
            self._say(messages.Credit(message.session, self._blocks, 4), seq)
        elif isinstance(message, messages.Finish):
            self._say(messages.Result(message.session, 0, 1, 2, 3, 42, 21), seq)
        elif isinstance(message, messages.Stop):
            self._say(messages.Ack(), seq)

    def _rows(self, audio: messages.Audio) -> None:
        for row in range(audio.block * 10 - 1, audio.block * 10 + 9):
            if 0 <= row < 42:
                self._say(messages.Row(audio.session, Layer.INPUT, 1, 0, row, bytes(26)), 0)
        window = messages.Window(audio.session, audio.block, 1, 2, 3, 4, 0)
        self._say(window, 0)


def conversation(device: Device, programme: Programme) -> Iterator[None]:
    """What a host does, a step at a time."""
    choice = programme.byte()
    device.hello()
    yield
    if choice & 1:
        device.ping(b"x")
        device.counters()
        yield
    board = device._channel
    assert isinstance(board, Board)
    if choice & 2:
        list(streaming.stream(device, streaming.chunks(PCM), restarts=1))
        yield
    taps = [Layer(choice >> 3 & 7), Layer.INPUT] if choice & 4 else []
    answer = device.run(PCM, norm=Norm.GIVEN, taps=taps, restarts=1)
    adv = tuple(int(x) for x in answer.adv_q16)
    assert adv in {result[1:] for result in board.results if result[0] == board.session}
    for layer, rows in answer.taps.items():
        assert rows.ndim == 2, layer
    yield


def test_one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    programme = Programme(data)
    client.Channel = Board
    with Device(programme, timing=NOW) as device, contextlib.suppress(LinkError):
        for _ in conversation(device, programme):
            pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
