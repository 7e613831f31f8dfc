# SPDX-License-Identifier: Apache-2.0
"""ST's boards as a whole, on Unicorn: they start, say what their page says, and answer as the
library does, bit for bit, over their UART."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.boards import Discovery, Nucleo
from support.cortexm import SystemControl
from support.wire import Wire

from wav2small_micro import pio
from wav2small_micro.audio import RATE, Clip
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.link.client import Device
from wav2small_micro.link.messages import Flag, Layer, ResetCause
from wav2small_micro.paths import repo_root

pytestmark = pytest.mark.emulator

BOARDS: dict[str, Callable[[Path], Discovery | Nucleo]] = {
    "stm32f407_discovery": Discovery,
    "nucleo_l4r5zi": Nucleo,
}
UARTS = {"stm32f407_discovery": 38, "nucleo_l4r5zi": 70}  # RM0090, table 61; RM0432, vector table


@pytest.fixture(scope="module", params=BOARDS)
def env(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def board(env: str) -> Discovery | Nucleo:
    """The board a moment after power-on."""
    made = BOARDS[env](pio.build(env))
    made.machine.run(0.05)
    made.machine.logging = False
    return made


@pytest.fixture(scope="module")
def wire(env: str, board: Discovery | Nucleo) -> Wire:
    return Wire(board.machine, board.uart, env)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(pio.DEFAULT_MODEL)


def test_floating_point_is_allowed_before_it_is_used(board: Discovery | Nucleo) -> None:
    """CPACR, coprocessors 10 and 11 (DDI 0403, B3.2.20): compiled C may use them anywhere."""
    first = next(access for access in board.machine.log if access.is_write)
    assert (first.address, first.value >> 20 & 15) == (0xE000ED88, 15)


def test_interrupts_that_are_on_and_which_goes_before_which(
    env: str, board: Discovery | Nucleo
) -> None:
    """A byte comes every 10.9 us and a tick every millisecond, and both take a microsecond: neither
    interrupts the other (priority 0). A microphone's has the time of half its buffer, takes longer,
    and is below both; until one is started it is off."""
    core = board.machine.core
    assert core.enabled == {16 + UARTS[env]}
    assert core.priority(16 + UARTS[env]) == core.priority(SystemControl.SYSTICK) == 0
    assert core.priority(SystemControl.NMI) < 0


def test_its_page_shows_what_it_says(env: str, board: Discovery | Nucleo) -> None:
    page = (repo_root() / "docs" / "boards" / f"{env}.md").read_text("utf-8")
    expected = page.split("## What to expect")[1].split("## When it does not")[0]
    banner, info = re.findall(r"```text\n(.*?)```", expected, re.DOTALL)
    said = bytes(board.uart.sent).decode(errors="replace")
    assert "within 50 ms" in expected, "as long as it has run here"
    assert [line for line in banner.splitlines() if line not in said.splitlines()] == []
    before = len(board.uart.sent)
    board.uart.receive(b"\ninfo\n")
    board.machine.run(0.1)
    answer = bytes(board.uart.sent[before:]).decode(errors="replace").splitlines()
    assert [line for line in info.splitlines() if line not in answer] == []


def test_a_clip_is_answered_as_by_the_library(
    env: str, board: Discovery | Nucleo, wire: Wire, model: Model, clips: list[Clip]
) -> None:
    """Every row of the last layers, A/D/V, and no byte lost, at the UART's rate."""
    pcm = clips[0].pcm[: 6 * RATE // 10]
    with closing(NativeEngine(model)) as native:
        expected = native.run(pcm, rows=True)
    with Device(wire, model_sha256=bytes.fromhex(model.plan.sha256)) as device:
        facts = device.hello()
        assert (facts.board, facts.model) == (env, model.name)
        assert facts.clock_hz == pio.board(env).clock_hz
        assert facts.flags & ~Flag.MICROPHONE == Flag.WATCHDOG, "not emulated, as far as it knows"
        assert facts.reset_cause == ResetCause.POWER_ON
        answer = device.run(pcm, taps=(Layer.LIN, Layer.SOF))
        counters = device.counters()
    np.testing.assert_array_equal(answer.adv_q16, expected.adv_q16)
    np.testing.assert_array_equal(answer.taps[Layer.LIN], expected.lin)
    np.testing.assert_array_equal(answer.taps[Layer.SOF], expected.sof)
    assert (counters.rx_overruns, counters.uart_errors, counters.crc_errors) == (0, 0, 0)
    assert counters.samples == len(pcm)
    assert counters.stack_high_water < counters.stack_size - 512
    assert board.machine.resets == 0, "the watchdog was fed"


def test_a_reset_by_the_host_is_told_from_power_on(board: Discovery | Nucleo, wire: Wire) -> None:
    with Device(wire) as device:
        before = device.hello()
        after = device.reset()
    assert board.machine.resets == 1
    assert after.reset_cause == ResetCause.SOFTWARE
    assert after.boot_id == before.boot_id + 1
