# SPDX-License-Identifier: Apache-2.0
"""Code and weights in RAM: they are where they should be, fit the board, and answer the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from wav2small_micro import pio
from wav2small_micro.audio import Clip
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.device import EmulatorEngine
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.profiler import bench

pytestmark = pytest.mark.emulator

ENV, MODEL = "stm32f407_discovery", "wav2small-72k"
HOT = ("w2s_dsp_winograd_26", "w2s_dsp_transform_13", "w2s_dsp_dense", "w2s_logmel")
READ_OFTEN = ("l2_winograd", "first", "exp_table")


def addresses(elf: Path) -> dict[str, int]:
    with elf.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab")
        return {symbol.name: symbol["st_value"] for symbol in symbols.iter_symbols()}


def in_ram(elf: Path, names: tuple[str, ...]) -> set[bool]:
    where = addresses(elf)
    return {where[name] >= where["memory_data_start"] for name in names}


@pytest.mark.parametrize("placement", pio.PLACEMENTS)
def test_what_is_in_ram(placement: str) -> None:
    elf = pio.build(ENV, MODEL, placement=placement)
    assert in_ram(elf, HOT) == {placement in ("code", "both")}
    assert in_ram(elf, READ_OFTEN) == {placement in ("weights", "both")}
    assert in_ram(elf, ("lin", "w2s_push")) == {False}


def test_ram_is_paid_for_and_flash_is_not() -> None:
    """What is copied counts in RAM, and once in flash; calls across the distance take a little."""
    sizes = {}
    for placement in pio.PLACEMENTS:
        pio.build(ENV, MODEL, placement=placement)
        sizes[placement] = pio.size(ENV, MODEL, placement=placement)
    ram = {name: size["ram"] - sizes["flash"]["ram"] for name, size in sizes.items()}
    assert ram["code"] > 20_000
    assert ram["weights"] > 50_000
    assert ram["both"] == pytest.approx(ram["code"] + ram["weights"], abs=16)
    flash = [size["flash"] for size in sizes.values()]
    assert max(flash) - min(flash) < 256


@pytest.mark.parametrize("model_name", ["wav2small-72k", "wav2small-17k"])
def test_the_same_answer(model_name: str, clips: list[Clip]) -> None:
    model = Model.load(model_name)
    pcm = clips[0].pcm[2000:18_000]
    expected = NativeEngine(model).run(pcm, rows=True)
    elf = pio.build(ENV, model_name, placement="both")
    engine = EmulatorEngine(model, env=ENV, transport="semihosting", elf=elf)
    try:
        answer = engine.run(pcm, rows=True)
    finally:
        engine.close()
    assert np.array_equal(answer.lin, expected.lin)
    assert np.array_equal(answer.sof, expected.sof)
    assert np.array_equal(answer.adv_q16, expected.adv_q16)


def flash_waits(placement: str) -> dict[str, Any]:
    results = bench.run(bench.Case(ENV, MODEL, "dsp", placement), bench.audio(0.04))
    return results["firmware"][0]["flash_waits"]


def test_the_bench_says_what_flash_costs() -> None:
    flash, code = flash_waits("flash"), flash_waits("code")
    assert flash["uncached_bytes"] > 20 * flash["cache_bytes"] > 5 * code["uncached_bytes"]
    fast, slow = (estimate["cycles"] for estimate in flash["estimates"])
    assert fast > 5_000_000
    assert slow < fast / 10
    assert code["estimates"][0]["cycles"] < fast / 10
