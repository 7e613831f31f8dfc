# SPDX-License-Identifier: Apache-2.0
"""The real firmware under faults: extreme audio, clocks that are off, floods, bad lines, and hosts
and boards that are killed. tests/native/test_faults.py has the same application at closer range.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.process_board import best_of_three
from support.sessions import noise

from wav2small_micro import native, pio, soak, streaming
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.engines.base import Model
from wav2small_micro.link import messages
from wav2small_micro.link.client import Device, Timing, clip_statistics
from wav2small_micro.link.codec import encode
from wav2small_micro.link.faulty import FaultyTransport
from wav2small_micro.link.ledger import Ledger
from wav2small_micro.link.messages import BLOCK_SAMPLES, Layer, Norm
from wav2small_micro.link.transport import SerialTransport, Transport
from wav2small_micro.streaming import RATE, Capture, chunks, paced

pytestmark = pytest.mark.emulator

RECOVERY_S = 1.0
PCM = noise(0.4, seed=4)
EXTREMES = list(soak.extreme_audio(1, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def network() -> native.Network:
    """The library with the model of the firmware."""
    return native.Network(Model.load(pio.DEFAULT_MODEL).plan)


@pytest.fixture(scope="module")
def console() -> Iterator[Device]:
    """The first board, linked by the emulator's console."""
    with (
        Emulator(pio.build(), pio.board()) as emulator,
        Device(emulator.transport()) as device,
    ):
        yield device


def right(network: native.Network, pcm: np.ndarray) -> list[int]:
    """The library's answer to a clip."""
    answer: list[int] = network.run(pcm).adv_q16.tolist()
    return answer


# --- Audio that no microphone gives ---------------------------------------------------------------


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_audio_is_answered_as_by_the_library(
    console: Device, network: native.Network, name: str
) -> None:
    pcm = soak.extreme_audio(RATE + 3200, np.random.default_rng(1))[name]
    taps = [Layer.LOGMEL, Layer.LIN, Layer.SOF]
    for wire, norm in ((Norm.GIVEN, "utterance"), (Norm.LIVE, "live")):
        answer = console.run(pcm, norm=wire, taps=taps, window_segments=2, restarts=0)
        expected = network.run(pcm, norm, rows=("logmel", "lin", "sof"), window_segments=2)
        assert answer.adv_q16.tolist() == expected.adv_q16.tolist()
        windows = [[w.arousal, w.dominance, w.valence] for w in answer.windows]
        assert windows == expected.windows.tolist()
        for layer in taps:
            assert np.array_equal(answer.taps[layer], expected.rows[layer.name.lower()])


# --- Clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.98, 1.02])
def test_a_source_whose_clock_is_off_loses_nothing_where_there_is_room(
    console: Device, network: native.Network, speed: float
) -> None:
    """Room for all of it: this machine may be slower than the board."""
    pcm = noise(2.2, seed=6)
    source = Capture(paced(chunks(pcm), speed=speed), seconds=len(pcm) / RATE)
    begin = time.monotonic()
    answers = list(streaming.stream(console, source, window_segments=2))
    assert time.monotonic() - begin >= len(pcm) / RATE / speed
    expected = network.run(pcm, "live", window_segments=2).windows
    assert [answer.adv_q16.tolist() for answer in answers] == expected.tolist()
    assert (answers[-1].lost_seconds, answers[-1].lost_windows, source.lost_samples) == (0, 0, 0)
    assert console.counters().samples == len(pcm)


class RealTime:
    """A transport that takes audio no faster than a clock at 16 kHz would."""

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self._transport = transport
        self._free = 0.0  # when the audio taken so far has passed

    def read(self, timeout: float) -> bytes:
        return self._transport.read(timeout)

    def write(self, data: bytes, timeout: float) -> None:
        if len(data) > 2 * BLOCK_SAMPLES:
            now = time.monotonic()
            self._free = max(self._free, now) + BLOCK_SAMPLES / RATE
            time.sleep(self._free - now)
        self._transport.write(data, timeout)

    def reopen(self, timeout: float) -> None:
        self._transport.reopen(timeout)

    def close(self) -> None:
        self._transport.close()


@pytest.mark.slow
def test_what_a_fast_clock_brings_too_much_is_dropped_and_counted() -> None:
    """A microphone 2 % fast, a board that takes exactly 16,000 samples a second."""
    pcm = noise(7.2, seed=7)
    source = Capture(paced(chunks(pcm), speed=1.02), seconds=0.04)
    with (
        Emulator(pio.build(), pio.board()) as emulator,
        Device(RealTime(emulator.transport())) as device,
    ):
        answers = list(streaming.stream(device, source, window_segments=1))
        taken = device.counters().samples
    assert source.lost_samples > 0
    assert taken + source.lost_samples == len(pcm)
    assert 0 < answers[-1].lost_seconds <= source.lost_samples / RATE
    assert answers[-1].lost_windows == 0
    seconds = [answer.seconds for answer in answers]
    assert len(answers) == taken // 8000
    assert seconds == sorted(seconds)
    assert seconds[-1] - answers[-1].lost_seconds == pytest.approx(len(answers) / 2)


# --- Floods and bad lines -----------------------------------------------------------------------


def test_audio_that_ignores_the_credit_is_counted_and_forgotten(network: native.Network) -> None:
    """The receive ring overflows, unless this machine is slow to feed the emulator; what is lost
    is counted, and nothing is taken that did not come whole."""
    blocks, flood = 40, 77
    mask = (1 << len(Layer)) - 1  # rows to send keep the board busy
    patient = Timing(reply_s=5.0, repeat_s=5.0, patience_s=120.0)
    with Emulator(pio.build(), pio.board(), link=LinkKind.UART) as emulator:
        transport = emulator.transport()
        start = messages.Start(flood, Norm.GIVEN, 0, 0, 0, mask, *clip_statistics(PCM))
        sent = [encode(start, 1)]
        for block in range(blocks):
            audio = np.resize(PCM, BLOCK_SAMPLES).tobytes()
            sent.append(encode(messages.Audio(flood, block, audio), block))
        with Device(transport, timing=patient) as device:
            device.hello()  # it has started
            for frame in sent:
                transport.write(frame, 20.0)
            counters = _when_quiet(device)
            assert best_of_three(lambda: device.ping(b"and now?"), RECOVERY_S) < RECOVERY_S
            assert device.run(PCM).adv_q16.tolist() == right(network, PCM)
    errors = counters.crc_errors + counters.framing_errors
    audio = counters.blocks_accepted + counters.blocks_repeated + counters.blocks_refused
    assert 0 < audio <= blocks
    assert audio == blocks or (counters.rx_overruns > 0 and errors > 0)


def _when_quiet(device: Device) -> messages.CountersReply:
    """The counters when the device has worked off what it was sent."""
    last = device.counters()
    while (now := device.counters()).frames_ok - last.frames_ok > 1:
        last = now
    return now


def test_bad_line_to_the_real_firmware(network: native.Network) -> None:
    with Emulator(pio.build(), pio.board(), link=LinkKind.UART) as emulator:
        line = FaultyTransport(emulator.transport(), seed=8, rate=0.15)
        with Device(line) as device:
            with line.calm():
                device.hello()
                ledger = Ledger(device)
            assert device.run(PCM, restarts=9).adv_q16.tolist() == right(network, PCM)
            with line.calm():
                account = ledger.account()
    spoilt = sum(line.counts["up"].get(kind, 0) for kind in ("cut", "flip", "lose"))
    assert account.lost_to_device + line.repeated[0] == spoilt > 0
    assert account.contradictions(*line.repeated) == []


# --- Killed --------------------------------------------------------------------------------------

HOST = """
import itertools, sys
import numpy as np
from wav2small_micro import streaming
from wav2small_micro.link.client import Device
from wav2small_micro.link.transport import SerialTransport
from wav2small_micro.link.messages import Layer
audio = itertools.repeat(np.full(320, 99, np.int16))
with Device(SerialTransport(sys.argv[1])) as device:
    for answer in streaming.stream(device, audio, window_segments=1, passing=[Layer.LIN]):
        print(answer.seconds, flush=True)
"""


def test_a_new_host_takes_over_from_one_that_was_killed(network: native.Network) -> None:
    """In the middle of a live session, with rows on their way."""

    def measure() -> float:
        with Emulator(pio.build(), pio.board(), link=LinkKind.PTY) as emulator:
            emulator.transport().close()
            program = [sys.executable, "-c", HOST, emulator.url]
            with subprocess.Popen(program, stdout=subprocess.PIPE) as host:
                assert host.stdout
                assert host.stdout.readline()  # it lives
                os.kill(host.pid, signal.SIGKILL)
            begin = time.monotonic()
            with Device(SerialTransport(emulator.url)) as device:
                device.hello()
                recovered = time.monotonic() - begin
                assert device.run(PCM, restarts=0).adv_q16.tolist() == right(network, PCM)
        return recovered

    assert best_of_three(measure, RECOVERY_S) < RECOVERY_S


def test_a_board_that_is_killed_and_comes_back_at_the_same_port(
    network: native.Network, tmp_path: Path
) -> None:
    """As one that is unplugged: the clip begins again on the new board."""
    port, elf, board = tmp_path / "port", pio.build(), pio.board()

    def start() -> Emulator:
        started = Emulator(elf, board, link=LinkKind.PTY)
        started.transport().close()
        port.unlink(missing_ok=True)
        port.symlink_to(started.url)
        return started

    def measure() -> float:
        with start() as first, Device(SerialTransport(str(port))) as device:
            session = device.start(norm=Norm.GIVEN, stats=clip_statistics(PCM))
            session.send(PCM[:1600])
            os.kill(first.pid, signal.SIGKILL)
            with start():
                begin = time.monotonic()
                device.reconnect()
                recovered = time.monotonic() - begin
                assert device.run(PCM).adv_q16.tolist() == right(network, PCM)
        return recovered

    assert best_of_three(measure, RECOVERY_S) < RECOVERY_S
