# SPDX-License-Identifier: Apache-2.0
"""The runner of MLPerf Tiny and the firmware of every board, over the board's UART in QEMU."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from support.tiny_runner import INTERFACE_BYTES, Port, Runner

from wav2small_micro import pio
from wav2small_micro.audio import Clip
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.mlperf.device import DeviceUnderTest, MlperfError
from wav2small_micro.paths import model_names

pytestmark = pytest.mark.emulator

PATIENCE = 30.0  # QEMU beside other work; the runner has 5 s
KB = 1024


def wait_for_boot(emulator: Emulator) -> None:
    """Until the board has said all that it says unasked: its BOOT frame would end the runner."""
    heard = b""
    while (data := emulator.transport().read(0.5)) or b"m-ready" not in heard:
        heard += data


@contextmanager
def runner(env: str, model: str, **changes: int) -> Iterator[Runner]:
    """A runner at the UART of a board in QEMU, a pty, that has started before the runner comes."""
    with Emulator(pio.build(env, model), pio.board(env), link=LinkKind.PTY) as emulator:
        wait_for_boot(emulator)
        emulator.transport().close()
        port = Port(emulator.url, PATIENCE)
        try:
            yield Runner(port, **changes)
            assert port.error is None
        finally:
            port.close()


def integers(results: list[float]) -> list[int]:
    """A/D/V in Q16 from their decimals."""
    return [round(value * 65536) for value in results]


def expected(model: str, pcm: np.ndarray) -> list[int]:
    """What the library answers."""
    answer = NativeEngine(Model.load(model)).run(pcm).adv_q16
    assert answer is not None
    return list(answer)


@pytest.mark.parametrize("model", model_names())
@pytest.mark.parametrize("env", pio.emulated())
def test_runner_gets_what_the_library_answers(env: str, model: str, clips: list[Clip]) -> None:
    parts = [clip.pcm[4000:4900] for clip in clips[:2]]
    with runner(env, model) as run:
        run.identify(settle=0.1)
        assert run.facts["name"] == "wav2small-micro"
        assert run.facts["model"] == "w2s01"
        assert run.facts["profile"].endswith(model)
        loops = run.run([part.tobytes() for part in parts], loops=2, runs=2, warmups=1)
    for loop, part in zip(loops, parts, strict=True):
        assert integers(loop.results) == expected(model, part)
        begin, end = loop.times
        assert end > begin


def test_a_whole_performance_run(clips: list[Clip]) -> None:
    """Five loops, each with its own clip; `m-load-done` at the end of every load."""
    parts = [clip.pcm[4000:5600] for clip in clips[:5]]
    with runner(pio.DEFAULT_ENV, "wav2small-72k") as run:
        run.identify(settle=0.1)
        loops = run.run([part.tobytes() for part in parts], loops=5, runs=3, warmups=0)
        assert run.load(parts[0].tobytes()) == ["m-load-done", "m-ready"]
    for loop, part in zip(loops, parts, strict=True):
        assert integers(loop.results) == expected("wav2small-72k", part)
        assert loop.lines[0] == "m-warmup-start-0"
        assert loop.lines[-1] == "m-ready"


def test_energy_mode_behind_an_interface_board(clips: list[Clip]) -> None:
    part = clips[0].pcm[4000:6000]
    with runner(pio.DEFAULT_ENV, "wav2small-72k", max_bytes=INTERFACE_BYTES) as run:
        run.identify(settle=0.1)
        run.port.command("mode energy")
        (loop,) = run.run([part.tobytes()], loops=1, runs=2, warmups=1)
    assert loop.times == []
    assert integers(loop.results) == expected("wav2small-72k", part)


@pytest.mark.parametrize("env", pio.emulated())
def test_the_buffer_is_what_ram_is_left(env: str) -> None:
    """All of it can be used, and none of it is the firmware's or its stack's."""
    elf = pio.build(env)
    board = pio.board(env)
    used = pio.size(env)["ram"]
    fits = (board.ram_size - used) // 8 * 8
    with Emulator(elf, board) as emulator:
        device = DeviceUnderTest(emulator.transport(), patience=PATIENCE)
        with pytest.raises(MlperfError, match=f"{fits} bytes fit"):
            device.ask(f"db load {fits + 2}")
        pcm = np.random.default_rng(1).integers(-9000, 9000, 4000).astype(np.int16)
        device.load(pcm)
        assert list(device.infer(1).adv_q16) == expected("wav2small-72k", pcm)
        device.ask(f"db load {fits}")


def test_the_buffer_to_its_last_byte() -> None:
    """2.6 s on an STM32F407: the longest clip, with sessions before and after it."""
    env = pio.DEFAULT_ENV
    board = pio.board(env)
    fits = (board.ram_size - pio.elf_size(pio.build(env))["ram"]) // 8 * 8
    pcm = np.random.default_rng(2).integers(-9000, 9000, fits // 2).astype(np.int16)
    short = pcm[:8000]
    with Emulator(pio.build(env), board) as emulator:
        with Device(emulator.transport()) as link:
            before = link.run(short)
        device = DeviceUnderTest(emulator.transport(), patience=PATIENCE)
        device.load(pcm)
        assert list(device.infer(1).adv_q16) == expected("wav2small-72k", pcm)
        with Device(emulator.transport()) as link:
            after = link.run(short)
            counters = link.counters()
        assert list(before.adv_q16) == list(after.adv_q16) == expected("wav2small-72k", short)
        assert counters.stack_high_water < counters.stack_size - KB
        device = DeviceUnderTest(emulator.transport(), patience=PATIENCE)
        assert list(device.infer(1).adv_q16) == expected("wav2small-72k", pcm)


@pytest.mark.parametrize("model", model_names())
def test_small_chips_run_it_too(model: str, clips: list[Clip]) -> None:
    elf = pio.build(pio.DEFAULT_ENV, model, kernels="compact")
    pcm = clips[0].pcm[4000:8000]
    with Emulator(elf, pio.board(), link=LinkKind.UART) as emulator:
        device = DeviceUnderTest(emulator.transport(), patience=PATIENCE)
        device.load(pcm)
        assert list(device.infer(2, 1).adv_q16) == expected(model, pcm)
        with Device(emulator.transport()) as link:
            counters = link.counters()
    assert counters.stack_high_water < counters.stack_size - KB
    assert counters.rx_overruns == 0


# --- A firmware for the runner -------------------------------------------------------------------


@pytest.mark.slow
def test_firmware_for_the_runner(monkeypatch: pytest.MonkeyPatch, clips: list[Clip]) -> None:
    """The runner hears the board start, in energy mode, and every byte is text."""
    monkeypatch.setenv("W2S_MLPERF", "energy")
    monkeypatch.setenv("W2S_BAUD", "9600")
    elf = pio.build()
    part = clips[0].pcm[4000:4800]
    with Emulator(elf, pio.board(), link=LinkKind.PTY) as emulator:
        emulator.transport().close()
        port = Port(emulator.url, PATIENCE)
        try:
            boot = port.answer()
            run = Runner(port, INTERFACE_BYTES)
            run.identify(settle=0)
            (loop,) = run.run([part.tobytes()], loops=1, runs=1, warmups=0)
            assert port.error is None
        finally:
            port.close()
    assert boot[-3:] == ["m-timestamp-mode-energy", "m-init-done", "m-ready"]
    assert integers(loop.results) == expected("wav2small-72k", part)


@pytest.mark.parametrize("variable", pio.BUILD_SWITCHES)
def test_firmware_that_there_is_not(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "fast")
    with pytest.raises(W2sError, match=r"Error: .*fast"):
        pio.build()
