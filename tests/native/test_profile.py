# SPDX-License-Identifier: Apache-2.0
"""A profile from a device: the application as a process, whose clock is this machine's own."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.process_board import ProcessBoard
from support.sessions import noise

from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.profiler import device as devices
from wav2small_micro.profiler import page
from wav2small_micro.profiler import profile as profiles


@pytest.fixture(scope="module")
def run(app_binary: Path) -> devices.DeviceRun:
    """2 s of audio, as a microphone brings it."""
    with Device(ProcessBoard(app_binary)) as device:
        return devices.measure(device, noise(2.0), window_segments=2, skip=25)


def test_stages_add_up_to_the_time_awake(run: devices.DeviceRun) -> None:
    total = np.sum(list(run.ticks.values()), axis=0) + run.asleep
    assert len(total) == 75
    # A tick is a nanosecond. 75 blocks come in 1.5 s; where this machine is busy, some come late.
    assert 0.5 < total.sum() / run.tick_hz < run.clock.seconds
    for name, ticks in run.ticks.items():
        assert name == "interrupts" or (ticks >= 0).all(), name
    assert run.lost == 0


def test_its_clock_is_this_machines(run: devices.DeviceRun) -> None:
    assert run.clock.seconds > 1.9
    assert abs(run.clock.ppm) <= run.clock.uncertainty_ppm + 1
    assert run.clock.uncertainty_ppm < 20000


def test_a_clock_that_is_off_is_found(app_binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_BOARD_PPM", "20000")
    with Device(ProcessBoard(app_binary)) as device:
        run = devices.measure(device, noise(1.5), window_segments=2, skip=25)
    assert run.clock.ppm == pytest.approx(20000, abs=run.clock.uncertainty_ppm + 1)
    assert run.clock.ppm > 5000


def test_answers_come_with_their_block(run: devices.DeviceRun) -> None:
    assert [segment for segment, _ in run.answers] == [0, 1, 2]
    for segment, block in run.answers:
        assert block == 25 * (segment + 1) + 1  # portable kernels: the second block after it
    assert (run.lags_s > 0.039).all()
    assert (run.lags_s < run.clock.seconds).all()


def test_ticks_of_silicon_are_cycles(app_binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process passes for a board whose chip runs at 1 GHz, which the energy model lacks."""
    monkeypatch.setattr(profiles, "Flag", SimpleNamespace(EMULATED=0))
    with Device(ProcessBoard(app_binary)) as device:
        found = profiles.of_device(device, model="m", seconds=0.6, chip="stm32f407")
    assert found.unit == "cycles"
    assert found.clock is not None
    assert found.duty is not None
    assert found.margin == pytest.approx(1e9 * 0.02 / found.total.mean())
    assert found.delay is not None
    assert found.delay.compute_ms is not None
    assert any("does not run at 1000 MHz" in note for note in found.notes)
    told = found.to_json([])
    assert told["clock"]["uncertainty_ppm"] > 0
    assert told["device"]["answer_lag_ms"]["min"] > 39
    text = page.page(found, [], "").render()
    assert "ppm" in text
    assert "asleep" in text


def test_less_audio_than_is_left_out(app_binary: Path) -> None:
    with Device(ProcessBoard(app_binary)) as device, pytest.raises(W2sError, match="no block"):
        devices.measure(device, noise(0.3), window_segments=2, skip=25, paced=False)


def test_a_firmware_that_says_nothing(
    app_binary: Path, monkeypatch: pytest.MonkeyPatch, start_device: Callable[..., Any]
) -> None:
    """One from before there was a profile takes the option for a reserved byte."""
    from wav2small_micro.link import client

    monkeypatch.setattr(client, "Option", SimpleNamespace(PROFILE=0))
    with Device(ProcessBoard(app_binary)) as device, pytest.raises(W2sError, match="says nothing"):
        devices.measure(device, noise(0.3), window_segments=2, skip=0, paced=False)
