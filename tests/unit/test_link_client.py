# SPDX-License-Identifier: Apache-2.0
"""The client against a peer on a real pty that follows a script: losses, lies and restarts."""

from __future__ import annotations

import os
import pty
import time
import tty
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from support.peer import WINDOW, Peer, ignore, is_block, once

from wav2small_micro.link import messages
from wav2small_micro.link.client import Device, Timing, clip_statistics
from wav2small_micro.link.codec import Frame
from wav2small_micro.link.errors import (
    AudioLost,
    DeviceError,
    DeviceReset,
    LinkError,
    LinkLost,
    WrongDevice,
)
from wav2small_micro.link.messages import ErrorCode, Layer, Norm, ResetCause
from wav2small_micro.link.transport import DescriptorTransport, SerialTransport

TIMING = Timing(reply_s=0.1, patience_s=1.2, finish_s=1.2, stall_s=1.2, reboot_s=1.2)
FAULT = messages.Fault(3, 0x08001234, 0x08005678, 0x8200, 0, 0xE0000000, 0x01000000)
PCM = np.arange(-2000, 3000, dtype=np.int16)  # 15 full blocks and a short one
BLOCKS = 16


def expected(pcm: np.ndarray) -> list[int]:
    data = pcm.tobytes()
    return [zlib.crc32(data) >> 1, len(data), -(-len(pcm) // messages.BLOCK_SAMPLES)]


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    peer.start()
    yield peer
    peer.close()


@pytest.fixture
def device(peer: Peer) -> Iterator[Device]:
    with Device(SerialTransport(peer.url), timing=TIMING) as device:
        yield device


# --- Requests --------------------------------------------------------------------------------


def test_hello_ping_and_counters(device: Device) -> None:
    assert device.hello().board == "peer"
    assert 0 < device.ping(bytes(range(256))) < 1
    assert device.counters().stack_high_water == 7


def test_lost_request_is_repeated_under_the_same_number(peer: Peer, device: Device) -> None:
    numbers = []

    def script(peer: Peer, frame: Frame) -> bool:
        numbers.append(frame.seq)
        return len(numbers) < 3

    peer.script = script
    device.ping(b"x")
    assert len(numbers) == 3
    assert len(set(numbers)) == 1


def test_late_reply_is_not_taken_for_another_request(peer: Peer, device: Device) -> None:
    late: list[Frame] = []

    def script(peer: Peer, frame: Frame) -> bool:
        if frame.message == messages.Ping(b"first"):
            late.append(frame)
            return True
        for old in late:
            peer.answer(old)
        return False

    peer.script = script
    with pytest.raises(LinkLost, match="no reply to PING"):
        device.ping(b"first")
    device.ping(b"second")
    assert device.stray_frames == len(late) > 1


def test_reply_that_comes_twice_counts_once(peer: Peer, device: Device) -> None:
    def script(peer: Peer, frame: Frame) -> bool:
        peer.answer(frame)
        return False

    peer.script = script
    for number in range(5):
        device.ping(bytes([number]))
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


def test_silent_port_says_what_to_do(peer: Peer, device: Device) -> None:
    peer.script = lambda peer, frame: True
    with pytest.raises(LinkLost, match="no reply to HELLO") as caught:
        device.hello()
    assert "w2s flash" in caught.value.hint


def test_wrong_baud_rate_is_guessed(peer: Peer, device: Device) -> None:
    def script(peer: Peer, frame: Frame) -> bool:
        peer.write(bytes([0xF8, 0x80, 0x3C, 0x00] * 5))
        return True

    peer.script = script
    with pytest.raises(LinkLost, match="bytes that are no frames") as caught:
        device.hello()
    assert "baud rate" in caught.value.hint


def test_banners_and_garbage_do_not_disturb(peer: Peer) -> None:
    lines: list[str] = []

    def script(peer: Peer, frame: Frame) -> bool:
        peer.write(b"\xff\x00\x12banner\r\n")
        return False

    peer.script = script
    with Device(SerialTransport(peer.url), timing=TIMING, on_text=lines.append) as device:
        assert device.run(PCM).adv_q16.tolist() == expected(PCM)
        device.hello()
    peer.script = lambda peer, frame: False


def test_text_commands(peer: Peer) -> None:
    lines: list[str] = []
    with Device(SerialTransport(peer.url), timing=TIMING, on_text=lines.append) as device:
        device.command("info")
        peer.write(b"board peer\r\n")
        device.ping()
    assert lines == ["board peer"]


# --- Who is there ------------------------------------------------------------------------------


def test_another_model_is_refused(peer: Peer) -> None:
    transport = SerialTransport(peer.url)
    with Device(transport, model_sha256=bytes(32), timing=TIMING) as device:
        with pytest.raises(WrongDevice, match=r"runs wav2small-72k \(000102030405\)") as caught:
            device.run(PCM)
        assert "w2s flash" in caught.value.hint
        assert peer.count(messages.Start) == 0


def test_the_same_model_is_accepted(peer: Peer) -> None:
    transport = SerialTransport(peer.url)
    with Device(transport, model_sha256=bytes(range(32)), timing=TIMING) as device:
        assert device.run(PCM).adv_q16.tolist() == expected(PCM)


def test_another_protocol_version_is_refused(peer: Peer, device: Device) -> None:
    peer.script = once(
        lambda peer, frame: peer.refuse(frame, ErrorCode.BAD_VERSION, 9), lambda frame: True
    )
    with pytest.raises(WrongDevice, match="version 9"):
        device.hello()


# --- Clips -------------------------------------------------------------------------------------


def test_clip_arrives_whole_with_its_statistics(peer: Peer, device: Device) -> None:
    answer = device.run(PCM)
    assert answer.adv_q16.tolist() == expected(PCM)
    assert answer.adv_q16.dtype == np.int32
    assert peer.start_request is not None
    wide = PCM.astype(object)
    assert peer.start_request.samples == len(PCM)
    assert peer.start_request.sum == wide.sum()
    assert peer.start_request.sum_squares == (wide * wide).sum()
    assert (peer.refused, peer.repeated) == (0, 0)


def test_statistics_do_not_overflow() -> None:
    assert clip_statistics(np.full(100_000, -32768, np.int16)) == (
        100_000,
        -32768 * 100_000,
        2**30 * 100_000,
    )


def test_never_more_blocks_in_flight_than_the_window(peer: Peer, device: Device) -> None:
    held: list[Frame] = []

    def script(peer: Peer, frame: Frame) -> bool:
        if not isinstance(frame.message, messages.Audio):
            return False
        held.append(frame)
        assert len(held) <= WINDOW
        if len(held) == WINDOW or frame.message.block == BLOCKS - 1:
            for each in held:
                peer.answer(each)
            held.clear()
        return True

    peer.script = script
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


@pytest.mark.parametrize("block", [0, 7, BLOCKS - 1])
def test_lost_block(peer: Peer, device: Device, block: int) -> None:
    peer.script = once(ignore, is_block(block))
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


@pytest.mark.parametrize("block", [0, 7, BLOCKS - 1])
def test_lost_credit(peer: Peer, device: Device, block: int) -> None:
    def take_silently(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame.message, messages.Audio)
        peer.pcm.append(frame.message.pcm)

    peer.script = once(take_silently, is_block(block))
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


def test_lost_result_is_asked_for_again(peer: Peer, device: Device) -> None:
    peer.script = once(ignore, lambda frame: isinstance(frame.message, messages.Finish))
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


def test_noisy_line(peer: Peer, device: Device) -> None:
    """Every fifth frame to the device is lost, every seventh from it is damaged."""
    count = 0

    def script(peer: Peer, frame: Frame) -> bool:
        nonlocal count
        count += 1
        if count % 7 == 0:
            peer.write(b"\x00\x05broken")
        return count % 5 == 0

    peer.script = script
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


def test_device_that_takes_no_audio(peer: Peer, device: Device) -> None:
    peer.script = lambda peer, frame: isinstance(frame.message, messages.Audio)
    with pytest.raises(LinkLost, match="taken no audio"):
        device.run(PCM, restarts=0)


def test_shut_window_is_probed(peer: Peer, device: Device) -> None:
    """The device takes a block, shuts its window, and the message that opens it is lost."""

    def shut(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame.message, messages.Audio)
        peer.pcm.append(frame.message.pcm)
        peer.send(messages.Credit(peer.session, len(peer.pcm), 0), frame.seq)

    def script(peer: Peer, frame: Frame) -> bool:
        if is_block(5)(frame) and len(peer.pcm) == 5:
            shut(peer, frame)
            return True
        return isinstance(frame.message, messages.Audio) and (
            5 < len(peer.pcm) < 7 and peer.count(messages.Audio) < 10
        )

    peer.script = script
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


def test_caller_that_pauses_is_not_the_device_that_stalls(peer: Peer, device: Device) -> None:
    session = device.start(norm=Norm.LIVE)
    session.send(PCM[:640])
    time.sleep(TIMING.stall_s + 0.1)
    peer.script = once(ignore, is_block(2))
    session.send(PCM[640:])
    assert session.finish().adv_q16.tolist() == expected(PCM)
    assert session.resent_blocks <= WINDOW


def test_credits_that_wait_for_a_slow_caller_are_not_late(peer: Peer, device: Device) -> None:
    session = device.start(norm=Norm.LIVE)
    for start in range(0, len(PCM), 640):
        session.send(PCM[start : start + 640])
        time.sleep(2 * TIMING.reply_s)
    session.finish()
    assert session.resent_blocks == 0


def test_refusal_is_an_error_with_a_hint(peer: Peer, device: Device) -> None:
    peer.script = once(
        lambda peer, frame: peer.refuse(frame, ErrorCode.NOT_SUPPORTED, 2),
        lambda frame: isinstance(frame.message, messages.Start),
    )
    with pytest.raises(DeviceError, match="refuses START with NOT_SUPPORTED 2") as caught:
        device.run(PCM, norm=Norm.BUFFERED)
    assert caught.value.error is ErrorCode.NOT_SUPPORTED
    assert "--norm" in caught.value.hint


def test_refused_audio_is_an_error(peer: Peer, device: Device) -> None:
    peer.script = once(
        lambda peer, frame: peer.refuse(frame, ErrorCode.AUDIO_ERROR, 1), is_block(3)
    )
    with pytest.raises(DeviceError, match="AUDIO_ERROR"):
        device.run(PCM)


def test_status_of_the_library_is_an_error(peer: Peer, device: Device) -> None:
    peer.script = once(
        lambda peer, frame: peer.send(messages.Result(peer.session, -3, 0, 0, 0, 0, 0), frame.seq),
        lambda frame: isinstance(frame.message, messages.Finish),
    )
    with pytest.raises(LinkError, match="status -3"):
        device.run(PCM)


# --- Taps and windows ---------------------------------------------------------------------------


def test_taps(device: Device) -> None:
    answer = device.run(PCM, taps=(Layer.SOF, Layer.LIN))
    assert set(answer.taps) == {Layer.LIN, Layer.SOF}
    assert answer.taps[Layer.SOF].tolist() == [[row, Layer.SOF] for row in range(BLOCKS)]
    assert answer.taps[Layer.LIN].dtype == np.int8


def test_row_that_comes_twice_counts_once(peer: Peer, device: Device) -> None:
    def twice(peer: Peer, frame: Frame) -> None:
        peer.answer(frame)
        peer.send_rows(5)

    peer.script = once(twice, is_block(5))
    assert len(device.run(PCM, taps=[Layer.LIN]).taps[Layer.LIN]) == BLOCKS


@pytest.mark.parametrize("block", [5, BLOCKS - 1])
def test_lost_row_starts_the_clip_again(peer: Peer, device: Device, block: int) -> None:
    def lose_row(peer: Peer, frame: Frame) -> None:
        assert isinstance(frame.message, messages.Audio)
        peer.pcm.append(frame.message.pcm)
        peer.send(messages.Credit(peer.session, len(peer.pcm), WINDOW), frame.seq)

    peer.script = once(lose_row, is_block(block))
    assert len(device.run(PCM, taps=[Layer.LIN]).taps[Layer.LIN]) == BLOCKS
    assert peer.count(messages.Start) == 2
    peer.script = once(lose_row, is_block(block))
    with pytest.raises(AudioLost, match="1 rows of LIN"):
        device.run(PCM, taps=[Layer.LIN], restarts=0)


# --- Restarts -----------------------------------------------------------------------------------


def test_reset_in_the_middle_starts_the_clip_again(peer: Peer, device: Device) -> None:
    peer.script = once(lambda peer, frame: peer.reboot(), is_block(9))
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)
    assert peer.count(messages.Start) == 2


def test_reset_whose_boot_message_is_lost(peer: Peer, device: Device) -> None:
    peer.script = once(lambda peer, frame: peer._forget(), is_block(9))
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)
    assert peer.count(messages.Start) == 2


def test_reset_before_the_result(peer: Peer, device: Device) -> None:
    peer.script = once(
        lambda peer, frame: peer._forget(),
        lambda frame: isinstance(frame.message, messages.Finish),
    )
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


def test_device_that_keeps_resetting(peer: Peer, device: Device) -> None:
    def script(peer: Peer, frame: Frame) -> bool:
        if is_block(9)(frame):
            peer.reboot()
            return True
        return False

    peer.script = script
    with pytest.raises(DeviceReset, match="WATCHDOG"):
        device.run(PCM, restarts=2)
    assert peer.count(messages.Start) == 3


def test_fault_is_told(peer: Peer, device: Device) -> None:
    def crash(peer: Peer, frame: Frame) -> None:
        peer.reboot(ResetCause.FAULT)
        peer.event(FAULT)

    peer.script = once(crash, is_block(2))
    with pytest.raises(DeviceReset, match="FAULT") as caught:
        device.run(PCM, restarts=0)
    assert caught.value.fault == device.last_fault == FAULT
    assert "0x8001234" in caught.value.hint


def test_reset_on_request(peer: Peer, device: Device) -> None:
    assert device.hello().boot_id == 0
    assert device.reset().boot_id == 1


def test_reset_without_restart_is_noticed(peer: Peer, device: Device) -> None:
    def script(peer: Peer, frame: Frame) -> bool:
        if isinstance(frame.message, messages.Reset):
            peer.send(messages.Ack(), frame.seq)
            return True
        return False

    peer.script = script
    with pytest.raises(LinkLost, match="did not restart"):
        device.reset()


def test_boot_between_requests_is_no_error(peer: Peer, device: Device) -> None:
    device.hello()
    peer.reboot()
    device.ping()
    assert device.run(PCM).adv_q16.tolist() == expected(PCM)


# --- The port -----------------------------------------------------------------------------------


def test_port_that_goes_away(peer: Peer) -> None:
    controller, terminal = pty.openpty()
    tty.setraw(terminal)
    device = Device(DescriptorTransport(terminal, "the port"), timing=TIMING)
    os.close(controller)
    with pytest.raises(LinkLost, match="the port is gone"):
        device.hello()
    device.close()
    os.close(terminal)


def test_stale_replies_in_the_port_are_ignored(peer: Peer) -> None:
    peer.send(peer.hello_reply(board="stale"), 0)
    peer.send(messages.Credit(1, 900, 4), 0)
    peer.send(messages.Row(1, Layer.LIN, 1, 0, 3, b"old"), 0)
    with Device(SerialTransport(peer.url), timing=TIMING) as device:
        assert device.run(PCM, taps=[Layer.LIN]).adv_q16.tolist() == expected(PCM)


def test_host_that_stops_reading_does_not_deadlock(peer: Peer, device: Device) -> None:
    """The pty fills while the caller sleeps inside a session; the reading thread drains it."""
    session = device.start(norm=Norm.LIVE, window_segments=1, taps=list(Layer))
    for block in range(40):
        session.send(np.full(messages.BLOCK_SAMPLES, block, np.int16))
        peer.write(b"x" * 2000 + b"\n")
    time.sleep(0.2)
    session.finish()
    assert len(session.windows) == 8
