# SPDX-License-Identifier: Apache-2.0
"""The host's link and the firmware's application on lines that cut, flip, lose, repeat, delay and
exchange frames, on boards that restart, and with hosts that stop reading.

1. Every answer is the library's, bit for bit.
2. Every frame that a line spoils is counted: by the board, or as one that the host sent again.
3. A good answer comes within a second after the line is good again.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.process_board import Gate, ProcessBoard, Recovery, Saboteur, best_of_three
from support.sessions import noise

from wav2small_micro.engines.base import Answer, Model
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.link.client import Device, Timing, clip_statistics
from wav2small_micro.link.codec import encode
from wav2small_micro.link.errors import LinkError
from wav2small_micro.link.faulty import KINDS, FaultyTransport
from wav2small_micro.link.ledger import Ledger
from wav2small_micro.link.messages import BLOCK_SAMPLES, RESET_MAGIC, Layer, Norm, Reset

PCM = noise(0.5, seed=11)
RESET = encode(Reset(RESET_MAGIC), 200)
RECOVERY_S = 1.0


@pytest.fixture(scope="module")
def expected(weights: Path) -> Answer:
    """What the library says of PCM."""
    with closing(NativeEngine(Model(weights.parents[1]))) as engine:
        return engine.run(PCM, rows=True)


@pytest.fixture
def board(app_binary: Path) -> Iterator[ProcessBoard]:
    """The application, running."""
    running = ProcessBoard(app_binary)
    yield running
    running.close()


def assert_right(answer: Any, expected: Answer) -> None:
    """Nothing that a line does may change a bit."""
    assert answer.adv_q16.tolist() == expected.adv_q16.tolist()
    for layer in answer.taps:
        assert np.array_equal(answer.taps[layer], getattr(expected, layer.name.lower()))


# --- Bad lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [*[(kind,) for kind in KINDS], KINDS], ids="-".join)
def test_every_frame_that_a_line_spoils_is_counted(
    board: ProcessBoard, expected: Answer, kinds: tuple[str, ...]
) -> None:
    line = FaultyTransport(board, seed=len(kinds), rate=0.2, kinds=kinds)
    with Device(line) as device:
        with line.calm():
            device.hello()
            ledger = Ledger(device)
        for _ in range(2):
            assert_right(device.run(PCM), expected)
        with line.calm():
            account = ledger.account()
    up, down = line.counts["up"], line.counts["down"]
    assert up
    assert down
    spoilt_up, spoilt_down = (
        sum(way.get(kind, 0) for kind in ("cut", "flip", "lose")) for way in (up, down)
    )
    assert account.lost_to_device + up.get("repeat", 0) == spoilt_up
    assert account.lost_to_host + down.get("repeat", 0) == spoilt_down
    assert account.repeated + account.resent >= spoilt_up
    assert account.contradictions(*line.repeated) == []
    assert account.blocks_accepted == 2 * -(-len(PCM) // BLOCK_SAMPLES)
    if set(kinds) <= {"flip"}:
        assert account.crc_errors + account.framing_errors >= spoilt_up
    if set(kinds) <= {"delay"}:
        assert account.lost_to_device == account.lost_to_host == account.lost_events == 0


def test_rows_and_windows_that_a_line_loses_are_asked_for_again(
    board: ProcessBoard, expected: Answer
) -> None:
    line = FaultyTransport(board, seed=5, rate=0.004)
    with Device(line) as device:
        answers = [device.run(PCM, taps=[Layer.LIN, Layer.SOF], restarts=30) for _ in range(3)]
        speech = noise(1.3, seed=2)
        windows = device.run(speech, norm=Norm.LIVE, window_segments=2, restarts=30).windows
    for answer in answers:
        assert_right(answer, expected)
    assert [window.segment for window in windows] == [0, 1]
    assert sum(line.counts["down"].values()) > 0


def test_noise_for_a_second_then_an_answer_within_another(
    board: ProcessBoard, expected: Answer
) -> None:
    """All frames spoilt, both ways, in the middle of clips."""

    def measure() -> float:
        line = FaultyTransport(board, seed=3, rate=1.0, kinds=("cut", "flip", "lose"))
        recovery, stop = Recovery(), threading.Event()
        device = Device(line)
        with line.calm():
            device.hello()
        disturbing = threading.Thread(target=_calm_after, args=(line, 1.2, recovery, stop))
        disturbing.start()
        session = device.start(norm=Norm.GIVEN, stats=clip_statistics(PCM))
        recovery.answered()
        session.send(PCM)
        assert_right(session.finish(), expected)
        stop.set()
        disturbing.join()
        device._channel._join()  # the board goes on
        return recovery.seconds

    assert best_of_three(measure, RECOVERY_S) < RECOVERY_S


def _calm_after(
    line: FaultyTransport, seconds: float, recovery: Recovery, stop: threading.Event
) -> None:
    time.sleep(seconds)
    with line.calm():
        recovery.disturbance_ended()
        stop.wait(20)


@pytest.mark.parametrize("way", ["up", "down", "both"])
def test_host_that_hears_nothing_for_two_seconds(
    board: ProcessBoard, expected: Answer, way: str
) -> None:
    """In the middle of a clip: what was sent is lost, or what was answered waits too long."""

    def measure() -> float:
        gate, recovery = Gate(board), Recovery()

        def open_gate() -> None:
            time.sleep(2.0)
            gate.up = gate.down = True
            recovery.disturbance_ended()

        device = Device(gate)
        session = device.start(norm=Norm.GIVEN, stats=clip_statistics(PCM))
        session.send(PCM[:1600])
        gate.up, gate.down = way == "down", way == "up"
        opening = threading.Thread(target=open_gate)
        opening.start()
        session.send(PCM[1600:])
        assert_right(session.finish(), expected)
        recovery.answered()
        opening.join()
        assert device.counters().samples == len(PCM)
        assert device.resent_blocks + device.repeated_requests > 0
        device._channel._join()  # the board goes on
        return recovery.seconds

    assert best_of_three(measure, RECOVERY_S) < RECOVERY_S


def test_audio_too_slow_costs_nothing(board: ProcessBoard, expected: Answer) -> None:
    with Device(board, timing=Timing(reply_s=9.0, repeat_s=9.0)) as device:
        session = device.start(norm=Norm.GIVEN, stats=clip_statistics(PCM))
        for start in range(0, len(PCM), 2000):
            session.send(PCM[start : start + 2000])
            time.sleep(0.35)
        assert_right(session.finish(), expected)
        counters = device.counters()
    assert (device.resent_blocks, device.repeated_requests) == (0, 0)
    assert counters.blocks_repeated == counters.blocks_refused == 0


# --- Restarts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_resets_and_power_cuts_at_random_moments(
    board: ProcessBoard, expected: Answer, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    moments = np.cumsum(rng.integers(5, 45, 4))
    actions = {int(at): ("power" if rng.random() < 0.5 else RESET) for at in moments}
    saboteur = Saboteur(board, actions)
    with Device(saboteur) as device:
        answers = [device.run(PCM, restarts=len(actions)) for _ in range(4)]
    for answer in answers:
        assert_right(answer, expected)
    assert saboteur.writes > moments[-1]
    assert device.restarts == len(actions)


@pytest.mark.parametrize("action", ["power", RESET], ids=["power", "reset"])
def test_answer_within_a_second_of_a_restart(
    board: ProcessBoard, expected: Answer, action: object
) -> None:

    def measure() -> float:
        saboteur, recovery = Saboteur(board, {12: action}), Recovery()
        device = Device(saboteur)
        device.hello()
        session = device.start(norm=Norm.GIVEN, stats=clip_statistics(PCM))
        with pytest.raises(LinkError):
            session.send(PCM)
        recovery.disturbance_ended()
        if action == "power":
            device.reconnect()
        device.ping(b"again?")
        recovery.answered()
        assert_right(device.run(PCM), expected)
        device._channel._join()  # the board goes on
        return recovery.seconds

    assert best_of_three(measure, RECOVERY_S) < RECOVERY_S


def test_nothing_stale_is_taken_after_a_host_was_replaced(
    board: ProcessBoard, expected: Answer
) -> None:
    """The old host's replies are still on their way when the new one begins."""
    other = noise(0.4, seed=9)
    for _ in range(5):
        old = Device(board)
        session = old.start(norm=Norm.LIVE, window_segments=1, taps=[Layer.LIN])
        session.send(other)
        old._channel._join()  # dies without a word
        new = Device(board)
        assert_right(new.run(PCM, taps=[Layer.LIN], restarts=0), expected)
        new._channel._join()


def test_a_board_that_talks_to_nobody_fills_no_memory(
    board: ProcessBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wav2small_micro.link import channel

    monkeypatch.setattr(channel, "MOST_WAITING", 50)
    with Device(board) as device:
        session = device.start(norm=Norm.LIVE, taps=list(Layer))
        for start in range(0, 3 * BLOCK_SAMPLES, BLOCK_SAMPLES):
            session.send(PCM[start : start + BLOCK_SAMPLES])
        time.sleep(0.5)
        assert device._channel._frames.qsize() <= 50
        assert device._channel.dropped_frames > 0
