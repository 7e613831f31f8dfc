# SPDX-License-Identifier: Apache-2.0
"""The player against a scripted peer: what happens to the device is told, and the audio goes on."""

import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.peer import Peer, is_block, once

from wav2small_micro import streaming
from wav2small_micro.errors import W2sError
from wav2small_micro.link import messages
from wav2small_micro.link.client import Device, Timing
from wav2small_micro.link.codec import Frame
from wav2small_micro.link.errors import LinkLost
from wav2small_micro.link.messages import Layer
from wav2small_micro.link.transport import SerialTransport
from wav2small_micro.live import player as players
from wav2small_micro.live.player import OnBytes, Player, Sink, Tap
from wav2small_micro.live.recording import Recording
from wav2small_micro.streaming import WindowAnswer

TIMING = Timing(reply_s=0.05, patience_s=0.3, finish_s=0.6, stall_s=0.3, reboot_s=0.6)
PCM = np.arange(16000, dtype=np.int16)  # 50 blocks; the peer says a window every 5


class Notes(Sink):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.states: list[str] = []
        self.messages: list[str] = []
        self.answers: list[WindowAnswer] = []
        self.delays: list[float | None] = []

    def publish(self, data: bytes) -> None:
        self.data += data

    def state(self, kind: str, **facts: Any) -> None:
        if kind == "link":
            self.states.append(facts["state"])
            self.messages.append(facts["message"])

    def answer(self, answer: WindowAnswer, delay: float | None) -> None:
        self.answers.append(answer)
        self.delays.append(delay)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A device that follows a script."""
    monkeypatch.setattr(players, "RETRY_S", 0.02)
    peer = Peer()
    peer.start()
    yield peer
    peer.close()


def play(peer: Peer, notes: Notes, patience: float = 5.0, **options: Any) -> None:
    """Plays one second of audio into the peer, unpaced."""

    @contextmanager
    def connect(on_bytes: OnBytes) -> Iterator[Device]:
        with Device(Tap(SerialTransport(peer.url), on_bytes), timing=TIMING) as device:
            yield device

    audio = options.pop("audio", streaming.chunks(PCM))
    Player([notes], connect, audio, **options).run(patience)


def test_all_is_told(peer: Peer) -> None:
    notes = Notes()
    play(peer, notes)
    assert notes.states == ["connecting", "running", "ended"]
    assert [answer.seconds for answer in notes.answers] == [0.5 * (n + 1) for n in range(10)]
    assert all(delay is None or 0 <= delay < 5 for delay in notes.delays)
    assert notes.data.count(b"\0") > 100  # the frames themselves, log-mel rows among them
    assert peer.start_request is None  # stopped
    asked = next(m for m in peer.seen if isinstance(m, messages.Start))
    assert asked.tap_mask == 1 << Layer.LOGMEL


def test_a_reset_is_told_and_the_audio_goes_on(peer: Peer) -> None:
    peer.script = once(lambda peer, frame: peer.reboot(), is_block(20))
    notes = Notes()
    play(peer, notes)
    assert notes.states == ["connecting", "running", "lost", "running", "ended"]
    assert "reset" in notes.messages[2]
    # The peer counts its windows anew; their time goes on from the audio that was handed over.
    seconds = [answer.seconds for answer in notes.answers]
    again = next(i for i in range(1, len(seconds)) if seconds[i] != seconds[i - 1] + 0.5)
    assert 0.4 <= seconds[again] - 0.5 < 1.0
    assert len(seconds) > 6
    assert notes.answers[0].lost_seconds == 0
    # This peer says more windows than there is audio: none of it is without an answer.
    assert notes.answers[-1].lost_seconds == 0


def test_what_a_busy_device_misses_is_dropped_and_told(peer: Peer) -> None:
    def slow(peer: Peer, frame: Frame) -> bool:
        time.sleep(0.02)
        return False

    peer.script = slow
    notes = Notes()
    capture = streaming.Capture(streaming.chunks(np.tile(PCM, 3)), seconds=0.2)
    play(peer, notes, audio=iter(capture), capture=capture)
    taken = {message.block for message in peer.seen if isinstance(message, messages.Audio)}
    assert capture.lost_samples > 0
    assert len(taken) * 320 + capture.lost_samples == 3 * len(PCM)
    assert notes.answers[-1].lost_seconds == pytest.approx(capture.lost_samples / 16000, abs=0.5)


def test_a_device_that_stays_away_ends_it_after_a_while(peer: Peer) -> None:
    peer.script = lambda peer, frame: True  # deaf
    notes = Notes()
    begin = time.monotonic()
    with pytest.raises(LinkLost, match="no reply to HELLO"):
        play(peer, notes, patience=0.5)
    assert time.monotonic() - begin < 5
    assert set(notes.states) == {"connecting", "lost"}


def test_what_no_second_try_would_mend_is_raised_at_once(peer: Peer) -> None:
    notes = Notes()
    with pytest.raises(W2sError, match="does not fit"):
        play(peer, notes, window_seconds=60.0)
    assert notes.states == ["connecting", "refused"]


def test_it_stops_when_it_is_told_to(peer: Peer) -> None:
    notes = Notes()

    @contextmanager
    def connect(on_bytes: OnBytes) -> Iterator[Device]:
        with Device(Tap(SerialTransport(peer.url), on_bytes), timing=TIMING) as device:
            yield device

    player = Player([notes], connect, streaming.chunks_forever(PCM), paced=True)
    threading.Timer(1.0, player.stop).start()
    player.run()
    player.wait()
    assert notes.answers
    assert peer.count(messages.Stop) == 1


def test_a_microphone_of_the_board_goes_on_after_a_restart(peer: Peer, tmp_path: Path) -> None:
    """Time, losses and the recording go on where they were."""
    notes = Notes()
    block = messages.Heard(0, 320, PCM[:320].tobytes())
    windows = [messages.Window(0, i, 0, 0, 0, 1, 8000) for i in (1, 2)]

    peer.listen([block, *windows])

    @contextmanager
    def connect(on_bytes: OnBytes) -> Iterator[Device]:
        with Device(Tap(SerialTransport(peer.url), on_bytes), timing=TIMING) as device:
            if peer.count(messages.Start) == 0:
                threading.Timer(0.5, peer.reboot).start()
            yield device

    with Recording(tmp_path / "own") as recording:
        Player([notes, recording], connect, None, seconds=2.6).run()
    assert notes.states == ["connecting", "running", "lost", "running", "ended"]
    assert [answer.seconds for answer in notes.answers] == [1.5, 2.0, 3.5, 4.0]
    assert [answer.lost_seconds for answer in notes.answers] == [0.5, 0.5, 1.0, 1.0]
    assert [answer.lost_windows for answer in notes.answers] == [1, 1, 2, 2]
    assert [answer.lost_echo_seconds for answer in notes.answers] == [0.02, 0.02, 0.04, 0.04]
    with wave.open(str(tmp_path / "own.wav")) as file:
        pcm = np.frombuffer(file.readframes(9999), "<i2")
    silence = np.zeros(320, np.int16)
    assert np.array_equal(pcm, np.concatenate([silence, PCM[:320]] * 2))
    starts = [m for m in peer.seen if isinstance(m, messages.Start)]
    assert {(m.options, m.tap_mask) for m in starts} == {(messages.Option.AUDIO, 0)}


def test_a_recording_is_whole_at_any_moment(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "one")
    heard = recording.hearing(streaming.chunks(np.tile(PCM, 3)))
    for _ in range(70):
        next(heard)
    answer = WindowAnswer(0.5, np.array([0.9, 0.5, 0.9]), np.zeros(3, np.int32), -20.0, 0.0)
    recording.answer(answer, None)
    with wave.open(str(recording.wav_path)) as file:  # as after a power cut
        assert file.getnframes() >= 16000
        first = np.frombuffer(file.readframes(16000), "<i2")
    np.testing.assert_array_equal(first, PCM)
    assert recording.csv_path.read_text().splitlines()[1].endswith("-20.00,excited")
    heard.close()  # type: ignore[attr-defined]
    recording.__exit__(None, None, None)
    with wave.open(str(recording.wav_path)) as file:
        assert file.getnframes() == 70 * 320
    with pytest.raises(W2sError, match="is there already"):
        Recording(tmp_path / "one")
