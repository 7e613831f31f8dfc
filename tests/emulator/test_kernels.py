# SPDX-License-Identifier: Apache-2.0
"""The fast kernels on their cores in QEMU: every layer of random models, bit for bit.

kernels_check/main.c runs them without the application; the shipped models run in the firmware.
"""

import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import naive

from wav2small_micro import layers, pio
from wav2small_micro.audio import Clip
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.device import EmulatorEngine
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.native import LAYERS
from wav2small_micro.packing import compact, dsp, mve
from wav2small_micro.paths import repo_root
from wav2small_micro.plan import Layer, Plan

pytestmark = pytest.mark.emulator

CHECK = Path(__file__).with_name("kernels_check")
TARGETS = [
    ("dsp", "mps2_an386"),
    ("dsp", "mps2_an500"),
    ("compact", "mps2_an386"),
    ("compact", "mps2_an500"),
    ("mve", "mps3_an547"),
]
# Of the outputs. Usual ones are inside Winograd's ranges, faint ones are not, and mixed ones are
# inside them in some of a model's layers.
GAINS = {
    "usual": naive.USUAL,
    "saturating": (4.0, 40.0),
    "mixed": naive.WILD,
    "faint": (0.004, 0.1),
}
SEEDS = range(8)
END = 0xFF
WIDTHS = {"lin": 169, "sof": 169, "pool": 169}
WIDTHS |= {f"l{i}": 26 * 13 if i < 4 else 169 for i in range(1, 8)}

Rows = dict[str, np.ndarray]


def mve_weights(plan: Plan) -> bytes:
    """As kernels_check/model_mve.c takes them."""
    packed = mve.pack(plan)
    records = (packed.first, *packed.convs, packed.lin, packed.sof)
    return b"".join(record.tobytes() for record in records)


def dsp_weights(plan: Plan, packed: dsp.Packed) -> bytes:
    """As kernels_check/model_dsp.c takes them."""
    arrays: list[np.ndarray | None] = [packed.first]
    for i, layer in enumerate(plan.convs[1:]):
        requant = (packed.biases[i], layer.multiplier, layer.shift)
        arrays += [packed.convs[i], packed.directs[i], *requant]
    arrays += [packed.lin, packed.sof]
    contents = [b"" if array is None else array.tobytes() for array in arrays]
    return b"".join(struct.pack("<I", len(content)) + content for content in contents)


PACK = {
    "mve": mve_weights,
    "dsp": lambda plan: dsp_weights(plan, dsp.pack(plan)),
    "compact": lambda plan: dsp_weights(plan, compact.pack(plan)),
}


class Board:
    """The check on its board: jobs in, rows out."""

    def __init__(self, kernels: str, emulator: Emulator) -> None:
        self.kernels = kernels
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
        architecture = {"72k": 0, "17k": 1}[plan.architecture]
        job = struct.pack("<IiI", architecture, plan.input_zero, len(rows))
        self.transport.write(job + PACK[self.kernels](plan) + rows.tobytes(), 20.0)
        got: dict[str, list[np.ndarray]] = {name: [] for name in WIDTHS}
        while (number := self._take(1)[0]) != END:
            name = LAYERS[number]
            got[name].append(np.frombuffer(self._take(WIDTHS[name]), np.int8))
        return {name: np.array(taken) for name, taken in got.items()}


@pytest.fixture(scope="module", params=TARGETS, ids="-".join)
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    kernels, env = request.param
    name = f"{kernels}-{env}"
    build = [sys.executable, "-m", "platformio", "run", "-d", str(CHECK), "-e", name]
    answer = subprocess.run(build, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    elf = repo_root() / ".pio" / "build" / "kernels_check" / name / "firmware.elf"
    with Emulator(elf, pio.board(env), link=LinkKind.SEMIHOSTING) as emulator:
        yield Board(kernels, emulator)


def noise(seed: int, frames: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (frames, 26)).astype(np.int8)


def check(board: Board, plan: Plan, rows: np.ndarray) -> None:
    got = board.run(plan, rows)
    for name, expected in layers.network(rows, plan).items():
        assert np.array_equal(got[name], expected.reshape(len(expected), -1)), name


@pytest.mark.parametrize("architecture", ["72k", "17k"])
@pytest.mark.parametrize("frames", [*range(1, 31), 61])
def test_every_length(board: Board, architecture: str, frames: int) -> None:
    """Batches are of four or six rows, twice as many before the pool: all ways to end, and the
    shortest audio."""
    check(board, naive.random_plan(frames, architecture), noise(frames, frames))


def random_plan(seed: int, gain: str) -> Plan:
    return naive.random_plan(seed, ("72k", "17k")[seed % 2], GAINS[gain])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gain", GAINS)
def test_random_models(board: Board, gain: str, seed: int) -> None:
    """Weights, zero points, scales; from layers that hardly answer to those that saturate."""
    rng = np.random.default_rng([seed, *gain.encode()])
    check(board, random_plan(seed, gain), noise(seed, int(rng.integers(8, 40))))


@pytest.mark.parametrize("pack", [dsp.pack, compact.pack], ids=["dsp", "compact"])
def test_gains_reach_both_kernels(pack: Callable[[Plan], dsp.Packed]) -> None:
    """Where the models of test_random_models send l2 .. l7: to Winograd or to the direct kernel."""

    def directs(gain: str) -> set[tuple[bool, ...]]:
        packed = (pack(random_plan(seed, gain)) for seed in SEEDS)
        return {tuple(weights is None for weights in p.convs) for p in packed}

    assert directs("usual") == directs("saturating") == {(False,) * 6}
    assert directs("faint") == {(True,) * 6}
    assert all(set(layer) == {False, True} for layer in zip(*directs("mixed"), strict=True))


def test_constant_channels(board: Board) -> None:
    """Channels whose step is so large that every sum rounds to 0, as far as a set takes them."""
    plan = naive.random_plan(1)
    dead = [0, 7, 12]

    def kill(layer: Layer, shifts: tuple[int, int, int]) -> Layer:
        shift, multiplier = layer.shift.copy(), layer.multiplier.copy()
        shift[dead], multiplier[7] = shifts, 0
        return replace(layer, shift=shift, multiplier=multiplier)

    most = (-31, -25, -28)
    first, *others = plan.convs
    if board.kernels == "mve":
        first, sof = kill(first, most), kill(plan.sof, most)
    else:
        sof = kill(plan.sof, (-dsp.DENSE_MOST_SHIFT,) * 3)
    plan = replace(plan, convs=(first, *(kill(layer, most) for layer in others)), sof=sof)
    check(board, plan, noise(1, 21))


def test_extremes(board: Board) -> None:
    """All weights and inputs at the ends of int8."""
    plan = naive.random_plan(2)
    rng = np.random.default_rng(2)

    def harden(layer: Layer) -> Layer:
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


@pytest.mark.parametrize(
    ("kernels", "env", "name"),
    [
        ("compact", "stm32f407_discovery", "wav2small-72k"),
        ("compact", "stm32f407_discovery", "wav2small-17k"),
        ("mve", "mps3_an547", "wav2small-17k"),
    ],
)
def test_shipped_models_in_the_firmware(
    kernels: str, env: str, name: str, clips: list[Clip]
) -> None:
    """From samples to the answer as the portable kernels give it on this machine: the firmware
    that test_link_emulator.py, with each board's own kernels, does not run."""
    model = Model.load(name)
    pcm = clips[0].pcm[3000:11_123]
    reference = NativeEngine(model)
    engine = EmulatorEngine(model, env=env, elf=pio.build(env, name, kernels=kernels))
    try:
        for norm in ("utterance", "live"):
            expected = reference.run(pcm, norm=norm, rows=True)
            answer = engine.run(pcm, norm=norm, rows=True)
            assert np.array_equal(answer.lin, expected.lin), norm
            assert np.array_equal(answer.sof, expected.sof), norm
            assert np.array_equal(answer.adv_q16, expected.adv_q16), norm
    finally:
        engine.close()
