# SPDX-License-Identifier: Apache-2.0
"""The profile of every board and model, in QEMU: complete, and the same by two ways of counting."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from support.browser import chromium, complaints
from typer.testing import CliRunner

from wav2small_micro import pio
from wav2small_micro.cli.app import app
from wav2small_micro.emulator import NS_PER_INSTRUCTION, Emulator, LinkKind
from wav2small_micro.engines.base import Model
from wav2small_micro.link.client import Device
from wav2small_micro.native import Network
from wav2small_micro.paths import model_names
from wav2small_micro.profiler import bench, counts, parts
from wav2small_micro.profiler import device as devices
from wav2small_micro.profiler.delay import BLOCK_MS
from wav2small_micro.streaming import WINDOW_SEGMENTS

pytestmark = pytest.mark.emulator

BOARD, MODEL = "stm32f407_discovery", "wav2small-72k"
LAYERS = ("front_end", *parts.LAYERS)


def profile(*arguments: str) -> dict[str, Any]:
    """What `w2s profile --json` says."""
    result = CliRunner().invoke(app, ["profile", "--json", *arguments])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("model", model_names())
@pytest.mark.parametrize("env", pio.emulated())
def test_every_board_and_model(env: str, model: str) -> None:
    found = profile("--env", env, "--model", model, "--seconds", "0.6")
    *stages, total = found["stages"]
    assert [stage["stage"] for stage in stages] == list(parts.STAGES)
    for figures in (lambda stage: stage, lambda stage: stage["instructions"]):
        each = [figures(stage)["mean"] for stage in stages]
        assert min(each) > 0
        assert sum(each) == pytest.approx(figures(total)["mean"], rel=1e-6)
    share = {stage["stage"]: stage["share"] for stage in stages}
    assert sum(share[name] for name in parts.LAYERS) > 0.7
    # None of them is where a large remainder hides.
    assert share["flow"] < 0.02
    assert share["link"] < 0.06
    # Counted apart: by function, from the reset on.
    functions = sum(function["per_second"] for function in found["functions"])
    assert functions == pytest.approx(total["per_second"], rel=0.06)
    assert found["delay"]["look_ahead_ms"] == 24
    assert found["delay"]["waiting_ms"] >= 16
    assert found["delay"]["most_ms"] >= 540
    timed = pio.board(env).cpu in counts.TIMED_CPUS
    assert found["unit"] == ("cycles" if timed else "instructions")
    assert (found["margin"] is not None) is timed
    assert found["allowed_cycles_per_instruction"] > 0
    assert found["energy_figures"]
    for figure in found["energy_figures"].values():
        assert figure["kind"] == "modelled"
        assert figure["low"] < figure["value"] < figure["high"]


def test_a_chip_of_another_core_is_refused() -> None:
    arguments = ["profile", "--env", "mps3_an547", "--chip", "stm32u575", "--seconds", "0.1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "is a cortex-m33" in result.output + result.stderr


def test_the_firmwares_own_ticks_are_the_plugins_instructions() -> None:
    """Under exact counting, layer by layer, over the same blocks."""
    seconds = 0.6
    found = profile("--seconds", str(seconds))
    counted = {s["stage"]: s["instructions"]["mean"] for s in found["stages"]}
    elf = bench.build(bench.Case(BOARD, MODEL, pio.board(BOARD).kernels))
    with (
        Emulator(elf, pio.board(BOARD), icount=True) as emulator,
        Device(emulator.transport()) as device,
    ):
        run = devices.measure(
            device, bench.audio(seconds), window_segments=WINDOW_SEGMENTS,
            skip=counts.SKIPPED_BLOCKS, paced=False,
        )  # fmt: skip
    blocks = found["blocks"]
    per_tick = 1e9 / run.tick_hz / NS_PER_INSTRUCTION
    for name in LAYERS:
        own = float(np.mean(run.ticks[name][:blocks])) * per_tick
        assert own == pytest.approx(counted[name], rel=0.02, abs=600), name  # with a clock reading
    assert run.answers[0] == (0, 27)
    assert found["delay"]["waiting_ms"] == 36


def test_answers_come_when_the_kernels_have_their_rows() -> None:
    """The block that brings the first answer, against the library on this machine."""
    network = Network(Model.load(MODEL).plan, pio.board(BOARD).kernels)
    pcm = bench.audio(0.2)
    hops = range(8384, len(pcm), 32)
    need = next(n for n in hops if len(network.run(pcm[:n], "live", window_segments=1).windows))
    block = -(-need // 320)
    found = profile("--seconds", "0.1")["delay"]
    assert found["look_ahead_ms"] + found["waiting_ms"] == pytest.approx(block * BLOCK_MS - 500)


def test_a_board_on_a_port(tmp_path: Path) -> None:
    elf = bench.build(bench.Case(BOARD, MODEL, pio.board(BOARD).kernels))
    with Emulator(elf, pio.board(BOARD), link=LinkKind.PTY, icount=True) as emulator:
        emulator.transport().close()
        found = profile("--port", emulator.url, "--seconds", "0.4", "--fast")
    assert found["source"] == "device"
    assert found["unit"] == "ticks"
    assert found["clock"] is None
    assert [s["stage"] for s in found["stages"]] == [*devices.STAGES, "total"]
    interrupts = next(s for s in found["stages"] if s["stage"] == "interrupts")
    assert interrupts["min"] > 0
    assert found["device"]["interrupts_per_block"] > 300


def test_the_report_opens_in_a_browser(tmp_path: Path) -> None:
    report, picture = tmp_path / "profile.html", tmp_path / "profile.png"
    arguments = ["profile", "--seconds", "0.6", "--html", str(report), "--plot", str(picture)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "times real time" in result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    with chromium(tmp_path / "browser") as browser:
        browser.get(report.as_uri())
        assert browser.title == f"Profile: {MODEL} on {BOARD}"
        figures = browser.find_elements(By.CSS_SELECTOR, "figure svg")
        assert len(figures) == 5
        for figure in figures:
            assert figure.size["width"] > 400
            assert figure.size["height"] > 80
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= browser.execute_script("return window.innerWidth")
        assert not complaints(browser)
