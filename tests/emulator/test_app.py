# SPDX-License-Identifier: Apache-2.0
"""The application in the real firmware of every board, in QEMU, over its UART and console."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import pio
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.link.client import Device
from wav2small_micro.link.messages import Flag, Layer, Norm, ResetCause
from wav2small_micro.link.transport import Transport

pytestmark = pytest.mark.emulator

RATE = 16000
LAYER_TICKS = ("front_end", "attention", *(f"l{i}" for i in range(1, 8)), "pool", "lin", "sof")


@pytest.fixture(scope="module", params=pio.emulated())
def board(request: pytest.FixtureRequest) -> tuple[pio.Board, Path]:
    """A board and its firmware."""
    return pio.board(request.param), pio.build(request.param)


@pytest.fixture(params=[LinkKind.UART, LinkKind.SEMIHOSTING], ids=lambda kind: kind.value)
def emulator(board: tuple[pio.Board, Path], request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """The board in QEMU."""
    with Emulator(board[1], board[0], link=request.param) as running:
        yield running


@pytest.fixture
def console(board: tuple[pio.Board, Path]) -> Iterator[Emulator]:
    """The board in QEMU, linked by the emulator's console: the fast way."""
    with Emulator(board[1], board[0], link=LinkKind.SEMIHOSTING) as running:
        yield running


@pytest.fixture
def uart(board: tuple[pio.Board, Path]) -> Iterator[Emulator]:
    """The board in QEMU, linked by its UART."""
    with Emulator(board[1], board[0], link=LinkKind.UART) as running:
        yield running


class Terminal:
    """What a person with a terminal program sees."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.screen = b""

    def wait_for(self, text: str, seconds: float = 10.0) -> str:
        """Everything up to and with `text`."""
        end = time.monotonic() + seconds
        while (at := self.screen.find(text.encode())) < 0:
            if time.monotonic() > end:
                pytest.fail(f"no {text!r} in {self.screen!r}")
            self.screen += self.transport.read(0.1)
        at += len(text)
        seen, self.screen = self.screen[:at], self.screen[at:]
        return seen.decode("ascii", "replace")

    def sees(self, text: str, seconds: float = 0.5) -> bool:
        """Whether `text` comes within a while."""
        end = time.monotonic() + seconds
        while text.encode() not in self.screen and time.monotonic() < end:
            self.screen += self.transport.read(0.1)
        return text.encode() in self.screen

    def type(self, text: str) -> None:
        """Press keys."""
        self.transport.write(text.encode(), 1.0)


@pytest.fixture
def speech() -> np.ndarray:
    """1.2 s of noise in bursts, int16."""
    t = np.arange(round(1.2 * RATE)) / RATE
    loud = 3000 * (1 + np.sin(2 * np.pi * 4 * t))
    return np.random.default_rng(7).normal(0, loud).clip(-32768, 32767).astype(np.int16)


def test_person_at_a_terminal(emulator: Emulator, board: tuple[pio.Board, Path]) -> None:
    terminal = Terminal(emulator.transport())
    terminal.wait_for("Type help.")
    terminal.type("help\r")
    assert "counters" in terminal.wait_for("start anew")
    terminal.type("info\n")
    info = terminal.wait_for("sha256") + terminal.wait_for("\r\n")
    assert board[0].env in info
    assert pio.DEFAULT_MODEL in info
    terminal.type("counters\r")
    assert "crc errors        0\r\n" in terminal.wait_for("tick rate")
    terminal.type("halp\r")
    terminal.wait_for("Unknown command.")


def test_terminal_opened_in_the_middle_of_a_frame(uart: Emulator) -> None:
    """The program before was killed while it sent."""
    terminal = Terminal(uart.transport())
    terminal.wait_for("m-ready")
    terminal.type("\0\x05half a frame")
    for _ in range(20):  # the silence is of the device's time, which a busy machine slows down
        time.sleep(0.5)
        terminal.type("help\r")
        if terminal.sees("start anew"):
            return
    pytest.fail("the terminal is locked out")


def test_reset_from_the_terminal(uart: Emulator) -> None:
    terminal = Terminal(uart.transport())
    terminal.wait_for("Type help.")
    terminal.type("reset\r")
    terminal.wait_for("resetting")
    terminal.wait_for("Type help.")
    terminal.type("info\r")
    assert "software" in terminal.wait_for("sha256")


def test_live_lines(console: Emulator, speech: np.ndarray) -> None:
    lines: list[str] = []
    with Device(console.transport(), on_text=lines.append) as device:
        device.command("live on")
        session = device.start(norm=Norm.LIVE)
        session.send(speech)
        session.finish()
    live = [line for line in lines if line.startswith("A ")]
    assert len(live) == 2
    for line in live:
        words = line.split()
        assert words[::2] == ["A", "D", "V"]
        assert all(-1 < float(word) < 2 for word in words[1::2])


def test_clip_with_every_row_tapped(emulator: Emulator, speech: np.ndarray) -> None:
    """The deepest calls and the most frames: nothing is lost, and the stack holds."""
    pcm = speech[: RATE // 4]
    with Device(emulator.transport()) as device:
        plain = device.run(pcm)
        tapped = device.run(pcm, taps=Layer)
        assert list(tapped.adv_q16) == list(plain.adv_q16)
        counters = device.counters()
        facts = device.hello()
    assert (counters.crc_errors, counters.framing_errors) == (0, 0)
    assert (counters.rx_overruns, counters.uart_errors) == (0, 0)
    assert counters.samples == len(pcm)
    assert 0 < counters.stack_high_water < counters.stack_size - 512
    parts = counters.ticks_front_end + counters.ticks_network + counters.ticks_pool
    assert 0 < parts <= counters.ticks_total
    assert facts.flags & Flag.EMULATED


def test_reset_in_the_middle_of_a_session(console: Emulator, speech: np.ndarray) -> None:
    with Device(console.transport()) as device:
        expected = device.run(speech)
        before = device.hello()
        device.start(norm=Norm.LIVE).send(speech[:4000])
        after = device.reset()
        assert after.boot_id != before.boot_id
        assert after.reset_cause == ResetCause.SOFTWARE
        assert list(device.run(speech).adv_q16) == list(expected.adv_q16)


def test_profile_of_blocks_adds_up(board: tuple[pio.Board, Path], speech: np.ndarray) -> None:
    """Under exact counting, what interrupts take is apart: more of them change no other figure."""
    profiles = {}
    for link in (LinkKind.SEMIHOSTING, LinkKind.UART):
        with (
            Emulator(board[1], board[0], link=link, icount=True) as emulator,
            Device(emulator.transport()) as device,
        ):
            session = device.start(norm=Norm.LIVE, window_segments=2, profile=True)
            session.send(speech)
            session.drain()
            profiles[link] = list(session.profile)
    quiet, busy = profiles[LinkKind.SEMIHOSTING], profiles[LinkKind.UART]
    assert [block.block for block in quiet] == list(range(len(speech) // 320))
    for block in quiet + busy:
        work = block.library + block.answer + block.interrupts + block.asleep
        assert sum(getattr(block, layer) for layer in LAYER_TICKS) <= block.library
        assert block.library > 0
        assert work < block.elapsed
    taken = [sum(b.interrupts for b in blocks) for blocks in (quiet, busy)]
    assert taken[1] > 10 * taken[0]
    assert sum(b.asleep for b in quiet) == 0 < sum(b.asleep for b in busy)
    for figure in ("library", *LAYER_TICKS):
        a, b = (sum(getattr(block, figure) for block in blocks) for blocks in (quiet, busy))
        assert b == pytest.approx(a, rel=0.05), figure  # load.c: "unseen"
