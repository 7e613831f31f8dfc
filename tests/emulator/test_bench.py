# SPDX-License-Identifier: Apache-2.0
"""The bench: parts that add up, counts that are QEMU's own, and firmware as fast as recorded."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from wav2small_micro import pio
from wav2small_micro.cli.app import app
from wav2small_micro.emulator import NS_PER_INSTRUCTION, Emulator
from wav2small_micro.engines.base import Model
from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.link.messages import Norm
from wav2small_micro.profiler import bench, counts, parts

pytestmark = pytest.mark.emulator

BOARD, MODEL = "stm32f407_discovery", "wav2small-72k"
CASE = bench.Case(BOARD, MODEL, pio.board(BOARD).kernels)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """A short measurement of the default board and kernels."""
    return bench.run(CASE, bench.audio(0.4))


def by_part(results: dict[str, Any], figure: str) -> dict[str, Any]:
    return {row["part"]: row[figure] for row in results["rows"]}


@pytest.mark.parametrize("figure", ["instructions", "cycles"])
def test_parts_add_up(measured: dict[str, Any], figure: str) -> None:
    costs = by_part(measured, figure)
    layers = sum(costs[name] for name in parts.LAYERS)
    assert costs["network"] == pytest.approx(layers + costs["flow"], abs=12)  # each rounded
    assert 0 < costs["flow"] < 0.02 * layers
    assert costs["loop"] == pytest.approx(sum(costs[name] for name in parts.STAGES), abs=16)


def test_a_cycle_or_more_an_instruction(measured: dict[str, Any]) -> None:
    for row in measured["rows"]:
        by_refill = [row["cycles_by_refill"][p] for p in "123"]
        assert row["instructions"] <= by_refill[0] * 1.01, row["part"]  # IT may be folded
        assert by_refill == sorted(by_refill), row["part"]


def test_functions_add_up_to_the_parts(measured: dict[str, Any]) -> None:
    """They count from the reset on, so the first half second is in them."""
    functions = sum(row["instructions"] for row in measured["functions"])
    assert functions == pytest.approx(by_part(measured, "instructions")["loop"], rel=0.05)


def test_instructions_are_those_that_qemu_counts(measured: dict[str, Any]) -> None:
    """Under -icount the firmware's own clock counts instructions: an independent way to know.

    That includes the start, when the layers fill: a little less a second, the longer the nearer.
    """
    elf = bench.build(CASE)
    with (
        Emulator(elf, pio.board(BOARD), icount=True) as emulator,
        Device(emulator.transport()) as device,
    ):
        session = device.start(norm=Norm.LIVE)
        session.send(bench.audio())
        session.drain()
        counters = device.counters()
    exact = counters.ticks_network + counters.ticks_pool
    a_second = exact * 1e9 / counters.tick_hz / NS_PER_INSTRUCTION / (counters.samples / 16000)
    layers = sum(by_part(measured, "instructions")[name] for name in parts.LAYERS)
    assert layers == pytest.approx(a_second, rel=0.02)


def test_the_block_that_ends_a_window_is_among_the_worst(measured: dict[str, Any]) -> None:
    blocks = measured["firmware"][0]["blocks"]
    assert blocks["count"] == 20
    assert blocks["worst_cycles"] >= blocks["mean_cycles"]
    assert blocks["mean_cycles"] == pytest.approx(by_part(measured, "cycles")["loop"] / 50, abs=2)


def test_no_cycles_for_a_core_that_the_model_was_not_checked_on() -> None:
    board = pio.board("mps3_an547")
    assert board.cpu not in counts.TIMED_CPUS
    case = bench.Case(board.env, MODEL, board.kernels)
    results = bench.run(case, bench.audio(0.04))
    assert all(row["cycles"] is None and row["instructions"] > 0 for row in results["rows"])
    assert results["firmware"][0]["blocks"] is None


def test_macs_are_those_of_the_plan() -> None:
    plan = Model.load(MODEL).plan
    assert bench.macs(plan)["network"] == plan.macs_per_second


def test_the_command(tmp_path: Path) -> None:
    """`w2s bench --json --plot`: one document with the rows that scripts read, and a picture."""
    picture = tmp_path / "bench.png"
    arguments = ["bench", "-e", BOARD, "-m", MODEL, "-k", CASE.kernels, "--seconds", "0.1"]
    result = CliRunner().invoke(app, [*arguments, "--json", "--plot", str(picture)])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [row["part"] for row in rows] == list(bench.PARTS)
    assert {row["board"] for row in rows} == {BOARD}
    assert all(row["instructions"] > 0 and row["cycles"] > 0 for row in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")


# --- The record ---------------------------------------------------------------------------------


def cases() -> list[bench.Case]:
    """Of the committed record: each board's own kernels, and each other set once.

    `w2s bench --check` compares all of it.
    """
    others = {"compact": BOARD, "portable": "mps2_an386"}
    record = json.loads(bench.record_path().read_text())
    return [
        bench.Case(f["board"], f["model"], f["kernels"])
        for f in record["firmware"]
        if f["kernels"] == pio.board(f["board"]).kernels or others.get(f["kernels"]) == f["board"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(), ids=str)
def test_as_fast_and_as_small_as_recorded(case: bench.Case) -> None:
    try:
        record = bench.read_record()
    except W2sError as error:  # of another compiler
        pytest.skip(str(error))
    worse = bench.regressions(bench.run(case, bench.audio()), record)
    assert not worse, "\n".join(worse)
