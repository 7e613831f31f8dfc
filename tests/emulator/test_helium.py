# SPDX-License-Identifier: Apache-2.0
"""The Helium kernels on a Cortex-M55 in QEMU: every layer of random models, bit for bit.

helium_check/main.c runs them without the application; the shipped models run in the firmware.
"""

import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import naive

from wav2small_micro import pio
from wav2small_micro.audio import Clip
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.device import EmulatorEngine
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.native import LAYERS
from wav2small_micro.packing import mve
from wav2small_micro.paths import model_names, repo_root
from wav2small_micro.plan import Plan

pytestmark = pytest.mark.emulator

ENV = "mps3_an547"
CHECK = Path(__file__).with_name("helium_check")
END = 0xFF
WIDTHS = {"lin": 169, "sof": 169, "pool": 169}
WIDTHS |= {f"l{i}": 26 * 13 if i < 4 else 169 for i in range(1, 8)}

Rows = dict[str, np.ndarray]


class Board:
    """The check on its board: jobs in, rows out."""

    def __init__(self, emulator: Emulator) -> None:
        self.transport = emulator.transport()
        self._got = bytearray()

    def _take(self, count: int) -> bytes:
        deadline = time.monotonic() + 20
        while len(self._got) < count:
            assert time.monotonic() < deadline, f"{len(self._got)} bytes of {count}"
            self._got += self.transport.read(1.0)
        taken = bytes(self._got[:count])
        del self._got[:count]
        return taken

    def run(self, plan: Plan, rows: np.ndarray) -> Rows:
        packed = mve.pack(plan)
        architecture = {"72k": 0, "17k": 1}[plan.architecture]
        job = struct.pack("<IiI", architecture, plan.input_zero, len(rows))
        for records in (packed.first, *packed.convs, packed.lin, packed.sof):
            job += records.tobytes()
        self.transport.write(job + rows.tobytes(), 20.0)
        got: dict[str, list[np.ndarray]] = {name: [] for name in WIDTHS}
        while (number := self._take(1)[0]) != END:
            name = LAYERS[number]
            got[name].append(np.frombuffer(self._take(WIDTHS[name]), np.int8))
        return {name: np.array(taken) for name, taken in got.items()}


@pytest.fixture(scope="module")
def board() -> Iterator[Board]:
    build = [sys.executable, "-m", "platformio", "run", "-d", str(CHECK), "-e", ENV]
    answer = subprocess.run(build, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    elf = repo_root() / ".pio" / "build" / "helium_check" / ENV / "firmware.elf"
    with Emulator(elf, pio.board(ENV), link=LinkKind.SEMIHOSTING) as emulator:
        yield Board(emulator)


def noise(seed: int, frames: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (frames, 26)).astype(np.int8)


def check(board: Board, plan: Plan, rows: np.ndarray) -> None:
    got = board.run(plan, rows)
    for name, expected in naive.network(rows, plan).items():
        assert np.array_equal(got[name], expected.reshape(len(expected), -1)), name


@pytest.mark.parametrize("architecture", ["72k", "17k"])
@pytest.mark.parametrize("frames", [*range(1, 20), 61])
def test_every_length(board: Board, architecture: str, frames: int) -> None:
    """Batches are of four rows, eight before the pool: all ways to end, and the shortest audio."""
    check(board, naive.random_plan(frames, architecture), noise(frames, frames))


@pytest.mark.parametrize("seed", range(100, 130))
def test_random_models(board: Board, seed: int) -> None:
    """Weights, zero points, scales; from layers that hardly answer to those that saturate."""
    rng = np.random.default_rng(seed)
    gain = (0.001, 0.1) if seed % 3 == 0 else (4.0, 40.0) if seed % 3 == 1 else naive.USUAL
    plan = naive.random_plan(seed, ("72k", "17k")[seed % 2], gain)
    check(board, plan, noise(seed, int(rng.integers(8, 40))))


def test_constant_channels(board: Board) -> None:
    """Channels whose step is so large that every sum rounds to 0."""
    plan = naive.random_plan(1)
    dead = (0, 7, 12)

    def kill(layer: naive.Layer) -> naive.Layer:
        shift, multiplier = layer.shift.copy(), layer.multiplier.copy()
        shift[list(dead)], multiplier[7] = (-31, -25, -28), 0
        return replace(layer, shift=shift, multiplier=multiplier)

    convs = tuple(kill(layer) for layer in plan.convs)
    check(board, replace(plan, convs=convs, sof=kill(plan.sof)), noise(1, 21))


def test_extremes(board: Board) -> None:
    """All weights and inputs at the ends of int8."""
    plan = naive.random_plan(2)
    rng = np.random.default_rng(2)

    def harden(layer: naive.Layer) -> naive.Layer:
        signs = np.where(rng.random(layer.weight.shape) < 0.5, -127, 127).astype(np.int8)
        return replace(layer, weight=signs)

    plan = replace(
        plan,
        convs=tuple(harden(layer) for layer in plan.convs),
        lin=harden(plan.lin),
        sof=harden(plan.sof),
    )
    check(board, plan, np.where(noise(2, 17) < 0, -128, 127).astype(np.int8))


def test_a_second_utterance_forgets_the_first(board: Board) -> None:
    plan = naive.random_plan(3)
    check(board, plan, noise(3, 30))
    check(board, plan, noise(4, 9))


@pytest.mark.parametrize("norm", ["utterance", "live"])
@pytest.mark.parametrize("name", model_names())
def test_shipped_models_in_the_firmware(name: str, norm: str, clips: list[Clip]) -> None:
    """From samples to the answer as the portable kernels give it on this machine."""
    model = Model.load(name)
    pcm = clips[0].pcm[3000:20_123]
    expected = NativeEngine(model).run(pcm, norm=norm, rows=True)
    engine = EmulatorEngine(model, env=ENV, elf=pio.build(ENV, name, kernels="mve"))
    try:
        answer = engine.run(pcm, norm=norm, rows=True)
    finally:
        engine.close()
    assert np.array_equal(answer.lin, expected.lin)
    assert np.array_equal(answer.sof, expected.sof)
    assert np.array_equal(answer.adv_q16, expected.adv_q16)
