# SPDX-License-Identifier: Apache-2.0
"""Live streaming against a scripted peer."""

import io
import time
from collections.abc import Iterator

import numpy as np
import pytest
from support.peer import Peer, is_block, once

from wav2small_micro import streaming
from wav2small_micro.errors import W2sError
from wav2small_micro.link import messages
from wav2small_micro.link.client import Device, Timing
from wav2small_micro.link.codec import Frame
from wav2small_micro.link.errors import DeviceError, DeviceReset, LinkLost
from wav2small_micro.link.messages import ErrorCode, Source
from wav2small_micro.link.transport import SerialTransport

TIMING = Timing(reply_s=0.05, patience_s=0.6, finish_s=0.6, stall_s=0.6, reboot_s=0.6)
PCM = np.arange(-2000, 3000, dtype=np.int16)  # 15 full blocks and a short one; 5 blocks a window


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A device that follows a script."""
    peer = Peer()
    peer.start()
    yield peer
    peer.close()


@pytest.fixture
def device(peer: Peer) -> Iterator[Device]:
    """The host's end."""
    with Device(SerialTransport(peer.url), timing=TIMING) as device:
        yield device


def test_stream_yields_windows(device: Device) -> None:
    answers = list(streaming.stream(device, streaming.chunks(PCM)))
    assert [answer.seconds for answer in answers] == [0.5, 1.0, 1.5]
    assert answers[1].adv.tolist() == [1.0, -1 / 65536, 0.5]
    assert answers[0].level_db == pytest.approx(-20, abs=0.01)


def test_stream_is_paced_as_a_microphone(device: Device) -> None:
    begin = time.monotonic()
    list(streaming.stream(device, streaming.paced(streaming.chunks(PCM))))
    assert len(PCM) / 16000 <= time.monotonic() - begin < 5


def test_stream_that_is_left_early_ends_its_session(peer: Peer, device: Device) -> None:
    answers = streaming.stream(device, streaming.chunks(PCM))
    assert next(answers).seconds == 0.5
    answers.close()
    assert peer.count(messages.Stop) == 1
    assert peer.session == 0


def test_stream_goes_on_after_a_reset(peer: Peer, device: Device) -> None:
    peer.script = once(lambda peer, frame: peer.reboot(), is_block(7))
    answers = list(streaming.stream(device, streaming.chunks(np.resize(PCM, 16000))))
    assert len(answers) > 2
    assert peer.count(messages.Start) == 2
    seconds = [answer.seconds for answer in answers]
    assert seconds == sorted(set(seconds))


def test_what_a_restart_loses_is_said(peer: Peer, device: Device) -> None:
    """Three blocks and that which went under, before the first window."""
    peer.script = once(lambda peer, frame: peer.reboot(), is_block(3))
    *_, last = streaming.stream(device, streaming.chunks(np.resize(PCM, 24000)))
    assert 0.08 <= last.lost_seconds < 0.4
    assert last.lost_windows == 0


def test_window_that_is_lost_is_counted(peer: Peer, device: Device) -> None:
    send = peer.event

    def lossy(message: messages.Message) -> None:
        if not (isinstance(message, messages.Window) and message.segment in (1, 2)):
            send(message)

    peer.event = lossy  # type: ignore[method-assign]
    answers = list(streaming.stream(device, streaming.chunks(np.resize(PCM, 16000))))
    assert [answer.lost_windows for answer in answers[:3]] == [0, 2, 2]


def test_capture_drops_what_nobody_takes_and_counts_it(peer: Peer, device: Device) -> None:
    capture = streaming.Capture(streaming.chunks(np.zeros(16000, np.int16)), seconds=0.1)
    taken = 0
    for chunk in capture:
        time.sleep(0.05)
        taken += len(chunk)
    assert capture.lost_samples > 0
    assert taken + capture.lost_samples == 16000


def test_capture_passes_an_error_on() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros(320, np.int16)
        raise OSError("unplugged")

    capture = iter(streaming.Capture(broken()))
    assert len(next(capture)) == 320
    with pytest.raises(OSError, match="unplugged"):
        next(capture)


def test_microphone_that_is_not_there(peer: Peer, device: Device) -> None:
    def refuse(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame.message, messages.Start)
        assert frame.message.source == Source.MICROPHONE
        peer.refuse(frame, ErrorCode.NOT_SUPPORTED, Source.MICROPHONE)

    peer.script = once(refuse, lambda frame: isinstance(frame.message, messages.Start))
    with pytest.raises(W2sError, match="peer has no microphone") as caught:
        next(streaming.listen(device))
    assert "--mic" in caught.value.hint


def test_another_refusal_of_the_microphone_is_passed_on(peer: Peer, device: Device) -> None:
    peer.script = once(
        lambda peer, frame: peer.refuse(frame, ErrorCode.MICROPHONE),
        lambda frame: isinstance(frame.message, messages.Start),
    )
    with pytest.raises(DeviceError, match="microphone does not start"):
        next(streaming.listen(device))


def window(segment: int, lost: int = 0) -> messages.Window:
    """An answer of a microphone."""
    return messages.Window(0, segment, segment << 16, -1, 32768, 3277, lost)


def test_answers_of_a_microphone(peer: Peer, device: Device) -> None:
    peer.listen([window(0), window(1, lost=1600), window(3, lost=1600)])
    answers = streaming.listen(device, window_segments=2)
    found = [next(answers) for _ in range(3)]
    assert [answer.seconds for answer in found] == [0.5, 1.1, 2.1]
    assert [answer.lost_seconds for answer in found] == [0.0, 0.1, 0.1]
    assert found[-1].lost_windows == 1
    assert found[1].adv.tolist() == [1.0, -1 / 65536, 0.5]
    answers.close()
    assert peer.count(messages.Stop) == 1
    start = next(m for m in peer.seen if isinstance(m, messages.Start))
    assert (start.norm, start.window_segments, start.options) == (messages.Norm.LIVE, 2, 0)


def test_audio_of_a_microphone_keeps_its_place(peer: Peer, device: Device) -> None:
    """A block that was left out, one that came twice, and one that no microphone gives."""
    pcm = np.arange(1, 961, dtype=np.int16)
    blocks = [messages.Heard(0, at, pcm[at : at + 320].tobytes()) for at in (0, 640, 640)]
    far = messages.Heard(0, 1 << 60, pcm[:320].tobytes())
    peer.listen([*blocks, far, window(0)])
    heard: list[np.ndarray] = []
    (answer,) = streaming.listen(device, seconds=0.5, on_audio=heard.append)
    expected = pcm.copy()
    expected[320:640] = 0
    assert np.array_equal(np.concatenate(heard), expected)
    assert answer.lost_echo_seconds == 0.02
    assert peer.count(messages.Stop) == 1
    start = next(m for m in peer.seen if isinstance(m, messages.Start))
    assert start.options == messages.Option.AUDIO


@pytest.mark.parametrize(
    ("restarts", "error"), [(True, DeviceReset), (False, LinkLost)], ids=["restarted", "deaf"]
)
def test_microphone_that_falls_silent(
    peer: Peer,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
    restarts: bool,
    error: type[W2sError],
) -> None:
    monkeypatch.setattr(streaming, "_SILENCE_S", 0.2)
    peer.listen([window(0)])
    answers = streaming.listen(device)
    next(answers)
    peer.boots += restarts  # whose BOOT nobody heard
    with pytest.raises(error):
        next(answers)


def test_microphone_whose_board_restarts(peer: Peer, device: Device) -> None:
    peer.listen([window(0)])
    answers = streaming.listen(device)
    next(answers)
    peer.reboot()
    with pytest.raises(DeviceReset):
        next(answers)


def test_device_that_keeps_resetting_ends_the_stream(peer: Peer, device: Device) -> None:
    def script(peer: Peer, frame: Frame) -> bool:
        if is_block(3)(frame):
            peer.reboot()
            return True
        return False

    peer.script = script
    with pytest.raises(DeviceReset):
        list(streaming.stream(device, streaming.chunks(np.resize(PCM, 16000)), restarts=1))
    assert peer.count(messages.Start) == 2


def test_pipe_that_delivers_in_odd_pieces(peer: Peer, device: Device) -> None:
    class OddPipe(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.left = data

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            piece, self.left = self.left[:37], self.left[37:]
            return piece

    heard = np.concatenate(list(streaming.read_pcm(OddPipe(PCM.tobytes()))))  # type: ignore[arg-type]
    assert np.array_equal(heard, PCM)
    source = streaming.read_pcm(io.BytesIO(PCM.tobytes()))
    assert len(list(streaming.stream(device, source))) == 3
    session_audio = [m.pcm for m in peer.seen if isinstance(m, messages.Audio)]
    assert b"".join(session_audio) == PCM.tobytes()
