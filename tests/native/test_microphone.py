# SPDX-License-Identifier: Apache-2.0
"""Sessions of the board's own microphone, into which the test plays: the answers are those of the
same audio sent by the host in live mode, bit for bit."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import tty
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from support.browser import SerialPort, chromium, complaints
from support.process_board import ProcessBoard
from support.sessions import noise, run_clip, start

from wav2small_micro.link import client as host
from wav2small_micro.link import codec
from wav2small_micro.link.messages import (
    BLOCK_SAMPLES,
    MAX_PAYLOAD,
    Ack,
    Audio,
    BlockTicks,
    Counters,
    CountersReply,
    Error,
    ErrorCode,
    Finish,
    Heard,
    Layer,
    Message,
    Norm,
    Option,
    Ping,
    Pong,
    Result,
    Row,
    Source,
    Start,
    StartReply,
    Stop,
    Window,
)
from wav2small_micro.live.feed import Feed
from wav2small_micro.live.player import Player, Sink, Tap
from wav2small_micro.live.recording import Recording
from wav2small_micro.live.server import LiveServer
from wav2small_micro.streaming import WindowAnswer, chunks, chunks_forever, paced

RING_SAMPLES = 1024  # of host_board.c


class Air:
    """What the microphone hears, and the board that it is on."""

    def __init__(self, path: Path, start_device: Callable[..., Any], **environment: str) -> None:
        os.mkfifo(path)
        self.device = start_device(HOST_BOARD_MICROPHONE=str(path), **environment)
        self.device.greet()
        self._pipe = path.open("wb", buffering=0)
        self._events: list[Message] = []

    def listen(self, session: int, **changes: Any) -> Message:
        """Starts a session of the microphone, whose audio comes back."""
        fields = {"norm": Norm.LIVE, "source": Source.MICROPHONE, "options": Option.AUDIO}
        return self.device.ask(start(session, np.zeros(0, np.int16), **{**fields, **changes}))

    def play(self, pcm: np.ndarray) -> None:
        """All at once."""
        self._pipe.write(pcm.tobytes())

    def play_along(self, pcm: np.ndarray) -> list[Any]:
        """As the board takes it, block by block; the events on the way."""
        events: list[Any] = []
        for at in range(0, len(pcm) - BLOCK_SAMPLES + 1, BLOCK_SAMPLES):
            self.play(pcm[at : at + BLOCK_SAMPLES])
            while not isinstance(event := self.device.read().message, Heard):
                events.append(event)
            assert event.sample == at
            assert event.pcm == pcm[at : at + BLOCK_SAMPLES].tobytes()
        return events

    def events_until(self, reply: type[Message]) -> tuple[list[Any], Any]:
        """What comes before a reply, and that."""
        events = []
        while not isinstance(message := self.device.read().message, reply):
            events.append(message)
        return events, message

    def close(self) -> None:
        """Silence."""
        self._pipe.close()


@pytest.fixture
def air(tmp_path: Path, start_device: Callable[..., Any]) -> Iterator[Air]:
    """A board with a microphone."""
    air = Air(tmp_path / "air", start_device)
    yield air
    air.close()


def answers(events: list[Any], kind: type[Message]) -> list[Any]:
    """The events of a kind, their session left out."""
    return [
        {name: x for name, x in vars(event).items() if name != "session"}
        for event in events
        if isinstance(event, kind)
    ]


def test_the_answers_are_those_of_audio_that_the_host_sends(air: Air) -> None:
    pcm = noise(3.3)
    options = {"window_segments": 3, "tap_mask": 1 << Layer.LOGMEL | 1 << Layer.SOF}
    expected, sent = run_clip(air.device, 1, pcm, norm=Norm.LIVE, samples=0, **options)
    opened = air.listen(2, **options)
    assert opened == StartReply(2, 0, 0)
    heard = air.play_along(pcm)
    air.device.send(Finish(2, 0))
    rest, result = air.events_until(Result)
    heard += rest
    assert len(answers(sent, Window)) == 6
    assert len(answers(sent, Row)) > 1600
    assert answers(heard, Window) == answers(sent, Window)
    assert answers(heard, Row) == answers(sent, Row)
    assert [result.arousal, result.dominance, result.valence, result.frames] == [
        expected.arousal,
        expected.dominance,
        expected.valence,
        expected.frames,
    ]


def test_finish_takes_the_last_samples_too(air: Air) -> None:
    """Less than a block waits when the host has heard enough."""
    pcm = noise(0.6)[: 29 * BLOCK_SAMPLES + 77]
    expected, _ = run_clip(air.device, 1, pcm, norm=Norm.LIVE)
    air.listen(2)
    air.play_along(pcm)
    air.play(pcm[29 * BLOCK_SAMPLES :])
    air.device.send(Finish(2, 12345))
    (rest,), result = air.events_until(Result)
    assert (rest.sample, len(rest.pcm)) == (29 * BLOCK_SAMPLES, 2 * 77)
    assert (result.frames, result.arousal) == (expected.frames, expected.arousal)
    air.play(pcm)  # nobody listens any more
    assert air.device.ask(Finish(2, 0)) == result
    assert air.device.silent()


def test_one_session_after_another_hears_only_its_own(air: Air) -> None:
    first, second = noise(0.7), noise(0.7, seed=4)
    expected, _ = run_clip(air.device, 1, second, norm=Norm.LIVE)
    air.listen(2)
    air.play_along(first)
    air.play(first[:BLOCK_SAMPLES])  # it may be heard by the session that ends, or by none
    air.device.send(
        start(3, second, norm=Norm.LIVE, source=Source.MICROPHONE, options=Option.AUDIO)
    )
    air.events_until(StartReply)
    air.play_along(second)
    air.device.send(Finish(3, 0))
    _, result = air.events_until(Result)
    assert (result.frames, result.valence) == (expected.frames, expected.valence)


def test_a_repeated_start_goes_on(air: Air) -> None:
    pcm = noise(0.4)
    expected, _ = run_clip(air.device, 1, pcm, norm=Norm.LIVE)
    air.listen(2)
    air.play_along(pcm[:3200])
    assert air.listen(2) == StartReply(2, 10, 0)
    for at in range(3200, len(pcm), BLOCK_SAMPLES):
        air.play(pcm[at : at + BLOCK_SAMPLES])
        assert isinstance(air.device.read().message, Heard)
    assert air.device.ask(Finish(2, 0)).arousal == expected.arousal


def test_what_comes_too_fast_is_lost_and_said(air: Air) -> None:
    """Seconds at once, of which the ring holds 64 ms and the board takes some meanwhile."""
    air.listen(2, window_segments=1, tap_mask=1 << Layer.LOGMEL)
    fast = np.tile(noise(0.5), 6)
    air.play(fast)
    rows: list[int] = []
    while not air.device.silent(0.3):
        rows += [m.row for m in [air.device.read().message] if isinstance(m, Row)]
    assert rows == sorted(set(rows))
    assert len(rows) <= rows[-1], "some are left out"
    counters = air.device.ask(Counters())
    assert isinstance(counters, CountersReply)
    lost = counters.microphone_overruns
    assert 0 < lost <= len(fast) - RING_SAMPLES
    assert len(fast) - lost - BLOCK_SAMPLES < counters.samples <= len(fast) - lost
    windows, heard = [], []
    for at in range(0, 9600, BLOCK_SAMPLES):
        air.play(fast[at : at + BLOCK_SAMPLES])
        while not isinstance(event := air.device.read().message, Heard):
            windows += [event] if isinstance(event, Window) else []
        heard.append(event)
    assert windows[-1].lost_samples == lost
    # The number of a sample counts what was lost, so that a recording keeps the time.
    assert heard[-1].sample + BLOCK_SAMPLES == air.device.ask(Counters()).samples + lost
    # Another session lost nothing.
    assert isinstance(air.device.ask(Stop(2)), Ack)
    air.listen(3, window_segments=1)
    windows = [event for event in air.play_along(noise(0.8)) if isinstance(event, Window)]
    assert [window.lost_samples for window in windows] == [0]


def test_audio_of_the_host_is_refused(air: Air) -> None:
    air.listen(2)
    reply = air.device.ask(Audio(2, 0, bytes(2 * BLOCK_SAMPLES)))
    assert isinstance(reply, Error)
    assert reply.error == ErrorCode.BAD_STATE
    air.play_along(noise(0.1))  # it hears on


@pytest.mark.parametrize("norm", [Norm.GIVEN, Norm.BUFFERED])
def test_norm_must_be_live(air: Air, norm: Norm) -> None:
    reply = air.listen(2, norm=norm)
    assert isinstance(reply, Error)
    assert (reply.error, reply.detail) == (ErrorCode.BAD_VALUE, norm)


def test_microphone_that_does_not_start(tmp_path: Path, start_device: Callable[..., Any]) -> None:
    air = Air(tmp_path / "air", start_device, HOST_BOARD_DEAF="1")
    reply = air.listen(2)
    assert isinstance(reply, Error)
    assert reply.error == ErrorCode.MICROPHONE
    assert air.device.command("listen on") == ["The microphone does not start."]
    assert run_clip(air.device, 3, noise(0.3))[0].status == 0
    air.close()


def test_host_that_has_gone_is_heard_again(air: Air) -> None:
    """The session goes on by itself, and another host takes the board over."""
    air.listen(2, window_segments=1, options=0)
    for _ in range(3):
        air.play(noise(0.5)[: 3 * BLOCK_SAMPLES])
    while not air.device.silent(0.2):
        air.device.read()
    run, _ = run_clip(air.device, 9, noise(0.4))
    assert run.status == 0
    air.play(noise(0.3))
    assert air.device.silent()


def test_requests_are_answered_while_it_listens(air: Air) -> None:
    air.listen(2)
    pcm = noise(0.4)
    for at in range(0, len(pcm), BLOCK_SAMPLES):
        air.device.send(Ping(b"\1" * MAX_PAYLOAD), 7)
        air.play(pcm[at : at + BLOCK_SAMPLES])
        got = {type(air.device.read().message) for _ in range(2)}
        assert got == {Pong, Heard}


def test_profile_of_what_is_heard(air: Air) -> None:
    pcm = noise(0.5)
    air.listen(2, options=Option.AUDIO | Option.PROFILE)
    ticks = [event for event in air.play_along(pcm) if isinstance(event, BlockTicks)]
    assert [block.block for block in ticks] == list(range(len(pcm) // BLOCK_SAMPLES))
    assert all(0 < block.l1 < block.library < block.elapsed for block in ticks)


def test_a_person_with_a_terminal_hears_it(air: Air) -> None:
    """Lines as those of `live on` for the same audio sent by the host."""
    pcm = noise(1.7)
    assert air.device.command("live on")[0].startswith("live on")
    sent = texts(air, lambda: air.device.send(start(1, pcm, norm=Norm.LIVE)))
    for at in range(0, len(pcm), BLOCK_SAMPLES):
        block = Audio(1, at // BLOCK_SAMPLES, pcm[at : at + BLOCK_SAMPLES].tobytes())
        sent += texts(air, lambda block=block: air.device.send(block))
    assert air.device.command("live off") == ["live off"]
    assert air.device.command("listen on")[0].startswith("listening")
    heard = []
    for at in range(0, len(pcm), BLOCK_SAMPLES):
        air.play(pcm[at : at + BLOCK_SAMPLES])
        heard += texts(air, lambda: air.device.send(Counters()), at + BLOCK_SAMPLES)
    assert len(sent) == 3
    assert heard == sent
    assert air.device.command("listen off") == ["listen off"]
    air.play(pcm[:3200])
    assert air.device.silent()


def texts(air: Air, send: Callable[[], None], samples: int = 0) -> list[str]:
    """The lines that come before the reply to what `send` sends, again until the board has taken
    so many samples."""
    lines = []
    while True:
        send()
        while (reply := air.device.read()).message is None:
            lines.append(reply.text)
        if getattr(reply.message, "samples", 0) >= samples:
            return lines


def test_stream_of_a_microphone_records_what_it_heard(
    tmp_path: Path, app_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's whole way: the player, its answers, and the WAV."""
    os.mkfifo(tmp_path / "air")
    monkeypatch.setenv("HOST_BOARD_MICROPHONE", str(tmp_path / "air"))
    pcm = noise(1.5)
    found: list[WindowAnswer] = []
    pipe = os.open(tmp_path / "air", os.O_RDWR)

    came_back = threading.Semaphore(0)

    class Notes(Sink):
        wants_audio = True
        reader = codec.FrameReader()

        def publish(self, data: bytes) -> None:
            if any(isinstance(frame.message, StartReply) for frame in self.reader.feed(data)):
                speaker.start()

        def answer(self, answer: WindowAnswer, delay: float | None) -> None:
            found.append(answer)
            if len(found) == 2:
                player.stop()

        def audio(self, pcm: np.ndarray) -> None:
            came_back.release()

    def speak() -> None:
        for chunk in chunks(pcm):
            os.write(pipe, chunk.tobytes())
            if not came_back.acquire(timeout=5):
                return  # the session has ended

    speaker = threading.Thread(target=speak)

    @contextmanager
    def connect(on_bytes: Callable[[bytes], None]) -> Iterator[host.Device]:
        with host.Device(Tap(ProcessBoard(app_binary), on_bytes)) as device:
            yield device

    with Recording(tmp_path / "heard") as recording:
        player = Player([Notes(), recording], connect, None, window_seconds=1.0)
        player.run()
    came_back.release(999)
    speaker.join()
    os.close(pipe)
    with host.Device(ProcessBoard(app_binary)) as device:
        sent = device.run(pcm, norm=Norm.LIVE, window_segments=2)
    windows = [[w.arousal, w.dominance, w.valence] for w in sent.windows[:2]]
    assert [answer.adv_q16.tolist() for answer in found] == windows
    assert [answer.seconds for answer in found] == [0.5, 1.0]
    assert all(answer.lost_seconds == answer.lost_echo_seconds == 0 for answer in found)
    with wave.open(str(tmp_path / "heard.wav")) as file:
        heard = np.frombuffer(file.readframes(99999), "<i2")
    assert len(heard) >= 16000
    assert np.array_equal(heard, pcm[: len(heard)])


def test_w2s_stream_of_a_board_with_a_microphone(
    tmp_path: Path, app_binary: Path, weights: Path
) -> None:
    """The command as a person types it, with the application behind a serial port."""
    os.mkfifo(tmp_path / "air")
    pipe = os.open(tmp_path / "air", os.O_RDWR)
    line, port = pty.openpty()
    tty.setraw(port)
    environment = {**os.environ, "HOST_BOARD_MICROPHONE": str(tmp_path / "air")}
    board = subprocess.Popen([app_binary], stdin=line, stdout=line, env=environment)
    command = [sys.executable, "-m", "wav2small_micro", "stream", "--port", os.ttyname(port)]
    command += ["--model", str(weights.parent.parent), "--jsonl", "--record", str(tmp_path / "it")]
    said: list[Any] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stream:
        threading.Thread(target=stream.wait, args=(60,), daemon=True).start()
        said = speak_until(stream, pipe, answers=2)
        stream.send_signal(signal.SIGINT)
    board.kill()
    board.wait()
    for descriptor in (pipe, line, port):
        os.close(descriptor)
    assert stream.returncode == 0
    heard = [answer["seconds"] - answer["lost_seconds"] for answer in said]
    assert heard == pytest.approx([0.5, 1.0])  # under sanitizers, on a busy machine, it may be late
    with wave.open(str(tmp_path / "it.wav")) as file:
        assert file.getframerate() == 16000
        assert file.getnframes() >= 16000
    assert len((tmp_path / "it.csv").read_text().splitlines()) >= 3


def speak_until(stream: subprocess.Popen[str], pipe: int, answers: int) -> list[Any]:
    """Plays noise until so many answers came."""
    assert stream.stdout
    said: list[Any] = []
    done = threading.Event()

    def speak() -> None:
        for chunk in paced(chunks_forever(noise(3.0))):
            if done.is_set():
                return
            os.write(pipe, chunk.tobytes())

    speaker = threading.Thread(target=speak)
    speaker.start()
    while len(said) < answers and (line := stream.stdout.readline()):
        said.append(json.loads(line))
    done.set()
    speaker.join()
    return said


@pytest.mark.slow
def test_the_page_listens_to_a_board_with_a_microphone(
    tmp_path: Path, app_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser starts the board's own microphone, and shows what it answers and loses."""
    os.mkfifo(tmp_path / "air")
    monkeypatch.setenv("HOST_BOARD_MICROPHONE", str(tmp_path / "air"))
    pipe = os.open(tmp_path / "air", os.O_RDWR)
    pcm = noise(1.4)
    speaker = _Speaker(pipe, pcm)
    facts = {"source": "-", "device": "-", "words": [], "neutral_radius": 0.1}
    board = ProcessBoard(app_binary)
    with LiveServer(Feed(), facts) as server, chromium(tmp_path / "profile") as page:
        port = SerialPort(page)
        page.get(server.url)
        page.find_element(By.ID, "serial").click()

        def answers() -> list[Any]:
            found: list[Any] = page.execute_script("return window.w2s.answers")
            return found

        said = port.carry(board, until=lambda: len(answers()) >= 2, heard=speaker.hear)
        os.write(pipe, pcm.tobytes())  # all at once
        speaker.rows, speaker.sent = 0, 0
        speaker.play()
        port.carry(board, until=lambda: len(answers()) >= 4, heard=speaker.hear)
        shown = answers()
        losses = page.find_element(By.ID, "losses").text
        assert not complaints(page)
    board.close()
    os.close(pipe)
    (start_request,) = [message for message in said if isinstance(message, Start)]
    assert (start_request.source, start_request.norm) == (Source.MICROPHONE, Norm.LIVE)
    assert not any(isinstance(message, Audio) for message in said)
    with host.Device(ProcessBoard(app_binary)) as device:
        windows = device.run(pcm, norm=Norm.LIVE, window_segments=4).windows
    expected = [[w.arousal, w.dominance, w.valence] for w in windows]
    assert [answer["q16"] for answer in shown[:2]] == expected[:2]
    assert [answer["seconds"] for answer in shown[:2]] == [0.5, 1.0]
    assert losses.endswith("s of audio")
    assert shown[-1]["seconds"] > 2.5, "what was lost is time, too"


class _Speaker:
    """Plays block after block, each when the rows of the one before have come."""

    def __init__(self, pipe: int, pcm: np.ndarray) -> None:
        self.rows = self.sent = 0
        self._pipe, self._pcm = pipe, pcm
        self._reader = codec.FrameReader()

    def hear(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            self.rows += isinstance(frame.message, Row)
            is_taken = self.sent and self.rows >= 10 * self.sent - 1
            if is_taken or isinstance(frame.message, StartReply):
                self.play()

    def play(self) -> None:
        begin = self.sent * BLOCK_SAMPLES % (len(self._pcm) - BLOCK_SAMPLES)
        os.write(self._pipe, self._pcm[begin : begin + BLOCK_SAMPLES].tobytes())
        self.sent += 1


def test_board_without_a_microphone_says_so(start_device: Callable[..., Any]) -> None:
    device = start_device()
    device.greet()
    assert device.command("listen on") == ["This board has no microphone."]
    assert device.command("listen off") == ["listen off"]
