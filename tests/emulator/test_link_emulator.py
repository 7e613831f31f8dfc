# SPDX-License-Identifier: Apache-2.0
"""The link against the real firmware: noise, losses, restarts, and a host that does not read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import native, pio, streaming
from wav2small_micro.audio import Clip
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.engines.base import Answer, Model
from wav2small_micro.engines.device import BoardEngine, EmulatorEngine
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.link import messages
from wav2small_micro.link.client import Device, Timing, clip_statistics
from wav2small_micro.link.codec import encode
from wav2small_micro.link.errors import DeviceReset, LinkLost, WrongDevice
from wav2small_micro.link.messages import BLOCK_SAMPLES, Layer, Norm
from wav2small_micro.link.transport import Transport

pytestmark = pytest.mark.emulator

MODEL = "wav2small-72k"


@pytest.fixture(scope="module")
def model() -> Model:
    """The model in the firmware."""
    return Model.load(MODEL)


@pytest.fixture(scope="module")
def elf() -> Path:
    """The firmware of the first board."""
    return pio.build(pio.DEFAULT_ENV, MODEL)


@pytest.fixture(scope="module")
def pcm(clips: list[Clip]) -> np.ndarray:
    """0.7 s of speech whose end fills no block."""
    return clips[0].pcm[4000:15210]


@pytest.fixture(scope="module")
def expected(model: Model, pcm: np.ndarray) -> Answer:
    """What the library says of the clip on this machine."""
    return NativeEngine(model).run(pcm, rows=True)


@pytest.fixture(params=list(LinkKind), ids=lambda kind: kind.value)
def emulator(elf: Path, request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """The first board in QEMU, linked in every way there is."""
    with Emulator(elf, pio.board(), link=request.param) as emulator:
        yield emulator


@pytest.fixture
def uart(elf: Path) -> Iterator[Emulator]:
    """The first board in QEMU, linked by its UART."""
    with Emulator(elf, pio.board(), link=LinkKind.UART) as emulator:
        yield emulator


class BadLine:
    """A transport that spoils what is written: `spoil` turns one write into the bytes sent."""

    def __init__(self, transport: Transport, spoil: Callable[[int, bytes], bytes]) -> None:
        self.name = transport.name
        self.writes = 0
        self._transport = transport
        self._spoil = spoil

    def read(self, timeout: float) -> bytes:
        return self._transport.read(timeout)

    def write(self, data: bytes, timeout: float) -> None:
        self.writes += 1
        self._transport.write(self._spoil(self.writes, data), timeout)

    def reopen(self, timeout: float) -> None:
        self._transport.reopen(timeout)

    def close(self) -> None:
        self._transport.close()


def assert_same(answer: Answer, expected: Answer) -> None:
    """Identical at A/D/V and, where rows were asked for, at lin, sof and the log-mel."""
    for name in ("adv_q16", "lin", "sof", "logmel"):
        value = getattr(answer, name)
        if value is not None:
            assert np.array_equal(value, getattr(expected, name)), name


# --- Engines -------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", pio.emulated())
@pytest.mark.parametrize("norm", ["utterance", "live"])
def test_every_board_answers_as_the_library(
    model: Model, pcm: np.ndarray, env: str, norm: str
) -> None:
    with closing(EmulatorEngine(model, env=env)) as engine:
        answer = engine.run(pcm, norm=norm, rows=True)
    assert answer.lin is not None
    assert_same(answer, NativeEngine(model).run(pcm, norm=norm, rows=True))
    assert answer.details["device"]["board"] == env


def test_other_model_answers_as_the_library(pcm: np.ndarray) -> None:
    model = Model.load("wav2small-17k")
    with closing(EmulatorEngine(model)) as engine:
        answer = engine.run(pcm, rows=True)
    assert_same(answer, NativeEngine(model).run(pcm, rows=True))


@pytest.mark.parametrize("link", list(LinkKind), ids=lambda kind: kind.value)
def test_every_transport_carries_clips_without_loss(
    model: Model, pcm: np.ndarray, expected: Answer, link: LinkKind
) -> None:
    with closing(EmulatorEngine(model, transport=link.value)) as engine:
        for rows in (True, False):
            answer = engine.run(pcm, rows=rows)
            assert_same(answer, expected)
            assert (answer.lin is not None) == rows
    counters = answer.details["counters"]
    losses = ("crc_errors", "framing_errors", "rx_overruns", "uart_errors", "blocks_refused")
    assert {name: counters[name] for name in losses} == dict.fromkeys(losses, 0)
    assert counters["samples"] == len(pcm)
    assert counters["blocks_accepted"] == 2 * -(-len(pcm) // BLOCK_SAMPLES)


def test_board_engine_over_a_serial_port(
    elf: Path, model: Model, pcm: np.ndarray, expected: Answer
) -> None:
    """The emulator's pty stands for the port of a board."""
    with Emulator(elf, pio.board(), link=LinkKind.PTY) as emulator:
        emulator.transport().close()
        with closing(BoardEngine(model, port=emulator.url)) as engine:
            assert_same(engine.run(pcm, rows=True), expected)


def test_instructions_are_counted_the_same_every_time(model: Model, pcm: np.ndarray) -> None:
    """To the resolution of the board's ticks, of which each row of each layer reads two."""
    with closing(EmulatorEngine(model, env="mps2_an386", icount=True)) as engine:
        first, second = (engine.run(pcm).details["instructions_per_second"] for _ in range(2))
    for stage, count in first.items():
        assert second[stage] == pytest.approx(count, rel=1e-3), stage
    assert 1e7 < first["network"] < first["total"] < 1e9
    # The rest is the flow between the stages: samples copied, clocks read.
    assert first["front_end"] + first["network"] + first["pool"] == pytest.approx(
        first["total"], rel=0.02
    )


# --- Bad lines -----------------------------------------------------------------------------------


def test_garbage_before_every_frame(emulator: Emulator, pcm: np.ndarray, expected: Answer) -> None:
    rng = np.random.default_rng(3)
    line = BadLine(emulator.transport(), lambda n, data: rng.bytes(n % 90) + data)
    with Device(line) as device:
        assert np.array_equal(device.run(pcm).adv_q16, expected.adv_q16)


def test_truncated_frames(emulator: Emulator, pcm: np.ndarray, expected: Answer) -> None:
    line = BadLine(
        emulator.transport(), lambda n, data: data[: len(data) // 2] if n % 6 == 0 else data
    )
    with Device(line, timing=Timing(reply_s=0.3)) as device:
        assert np.array_equal(device.run(pcm).adv_q16, expected.adv_q16)
        assert device.counters().blocks_accepted == -(-len(pcm) // BLOCK_SAMPLES)
    assert line.writes > 40


def test_repeated_frames(emulator: Emulator, pcm: np.ndarray, expected: Answer) -> None:
    line = BadLine(emulator.transport(), lambda n, data: data * (1 + n % 3))
    with Device(line) as device:
        assert np.array_equal(device.run(pcm).adv_q16, expected.adv_q16)
        counters = device.counters()
    assert counters.blocks_accepted == -(-len(pcm) // BLOCK_SAMPLES)
    assert counters.blocks_repeated > 0


def test_flipped_bits(emulator: Emulator, pcm: np.ndarray, expected: Answer) -> None:
    def flip(number: int, data: bytes) -> bytes:
        spoiled = bytearray(data)
        if number % 7 == 3:
            spoiled[len(data) // 2] ^= 0x10
        return bytes(spoiled)

    with Device(BadLine(emulator.transport(), flip), timing=Timing(reply_s=0.3)) as device:
        assert np.array_equal(device.run(pcm).adv_q16, expected.adv_q16)
        counters = device.counters()
    assert counters.crc_errors + counters.framing_errors > 0


def test_host_that_stops_reading(uart: Emulator, pcm: np.ndarray, expected: Answer) -> None:
    """The device drops what nobody takes, and goes on when somebody reads again."""
    transport = uart.transport()
    transport.write(encode(messages.Hello(messages.PROTOCOL_VERSION), 0), 5.0)
    mask = (1 << len(Layer)) - 1
    start = messages.Start(99, Norm.GIVEN, 0, 0, 0, mask, *clip_statistics(pcm))
    transport.write(encode(start, 1), 5.0)
    for block in range(8):
        audio = pcm[block * BLOCK_SAMPLES : (block + 1) * BLOCK_SAMPLES].tobytes()
        transport.write(encode(messages.Audio(99, block, audio), 2 + block), 5.0)
    time.sleep(2.0)
    with Device(transport) as device:
        answer = device.run(pcm, taps=[Layer.LIN])
    assert np.array_equal(answer.adv_q16, expected.adv_q16)
    assert np.array_equal(answer.taps[Layer.LIN], expected.lin)


# --- Restarts ------------------------------------------------------------------------------------


def test_reset_midway_starts_the_clip_again(
    emulator: Emulator, pcm: np.ndarray, expected: Answer
) -> None:
    """The board restarts in the middle of a clip; the answer is that of the whole clip."""
    reset = encode(messages.Reset(messages.RESET_MAGIC), 77)
    line = BadLine(emulator.transport(), lambda n, data: data + reset if n == 20 else data)
    with Device(line, timing=Timing(reply_s=0.3)) as device:
        before = device.hello().boot_id
        assert np.array_equal(device.run(pcm).adv_q16, expected.adv_q16)
        assert device.hello().boot_id != before


def test_board_that_always_resets(emulator: Emulator, pcm: np.ndarray) -> None:
    reset = encode(messages.Reset(messages.RESET_MAGIC), 77)
    line = BadLine(emulator.transport(), lambda n, data: data + reset if n % 9 == 0 else data)
    with (
        Device(line, timing=Timing(reply_s=0.3)) as device,
        pytest.raises(DeviceReset, match="in the middle of a session"),
    ):
        device.run(pcm, restarts=1)


def test_firmware_with_another_model_is_refused(uart: Emulator, pcm: np.ndarray) -> None:
    with (
        Device(uart.transport(), model_sha256=bytes(32)) as device,
        pytest.raises(WrongDevice, match=f"the device runs {MODEL}"),
    ):
        device.run(pcm)


# --- The emulator's life -------------------------------------------------------------------------


def test_killed_emulator_is_noticed(emulator: Emulator, pcm: np.ndarray) -> None:
    with Device(emulator.transport()) as device:
        device.hello()
        os.kill(emulator.pid, signal.SIGKILL)
        with pytest.raises(LinkLost, match="QEMU was killed by signal 9"):
            device.run(pcm)


@pytest.mark.parametrize("end", ["leave", "exit", "sigterm", "sigkill"])
def test_no_emulator_outlives_its_program(elf: Path, end: str) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from wav2small_micro import pio\n"
        "from wav2small_micro.emulator import Emulator\n"
        "from wav2small_micro.link.client import Device\n"
        "emulator = Emulator(pathlib.Path(sys.argv[1]), pio.board())\n"
        "Device(emulator.transport()).hello()\n"
        "print(emulator.pid, flush=True)\n"
        "if sys.argv[2] == 'exit': sys.exit(3)\n"
        "if sys.argv[2] == 'sigterm': os.kill(os.getpid(), signal.SIGTERM)\n"
        "if sys.argv[2] == 'sigkill': os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(elf), end], stdout=subprocess.PIPE, timeout=60
    )
    deadline = time.monotonic() + 5
    while _runs_qemu(int(ran.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs_qemu(int(ran.stdout))


def _runs_qemu(pid: int) -> bool:
    try:
        return b"qemu" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


# --- Streaming -----------------------------------------------------------------------------------


def test_live_windows_are_those_of_the_library(
    model: Model, emulator: Emulator, clips: list[Clip]
) -> None:
    heard = np.concatenate([clip.pcm for clip in clips[:2]])[: 2 * 16000 + 2000]
    with Device(emulator.transport()) as device:
        answers = list(streaming.stream(device, streaming.chunks(heard), window_segments=2))
    assert [answer.seconds for answer in answers] == [0.5, 1.0, 1.5, 2.0][: len(answers)]
    assert len(answers) >= 3
    expected = native.Network(model.plan).run(heard, "live", window_segments=2)
    assert [answer.adv_q16.tolist() for answer in answers] == expected.windows.tolist()
