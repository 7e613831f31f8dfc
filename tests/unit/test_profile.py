# SPDX-License-Identifier: Apache-2.0
"""What a profile makes of its blocks: spreads, margin, responses, and the page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import html
from wav2small_micro.energy import cells
from wav2small_micro.energy import model as energy_model
from wav2small_micro.profiler import page, parts
from wav2small_micro.profiler.profile import Profile, Spread

CELLS = [cells.find("lipo-500")]


def profile(scale: float = 1.0) -> Profile:
    """100 blocks on 168 MHz; `scale` 1 takes 1.6 M cycles, of 3.36 M that there are."""
    rng = np.random.default_rng(0)
    stages = {name: scale * rng.uniform(0.9e5, 1.1e5, 100) for name in parts.STAGES}
    return Profile(
        source="emulator",
        board="a <board>",
        model="m",
        kernels="dsp",
        cpu="cortex-m4",
        unit="cycles",
        origin=html.MODELLED,
        clock_hz=168e6,
        stages=stages,
        instructions={name: each * 0.8 for name, each in stages.items()},
        functions={"f": 2e7, "g": 1e7},
        answers=((0, 27), (1, 52)),
        first_block=25,
        energy=energy_model.estimate(80e6, "stm32f407", 168e6),
        notes=("some note",),
    )


def test_stages_add_up_to_the_total() -> None:
    found = profile().to_json(CELLS)
    *stages, total = found["stages"]
    assert total["stage"] == "total"
    assert sum(stage["mean"] for stage in stages) == pytest.approx(total["mean"])
    assert sum(stage["share"] for stage in stages) == pytest.approx(1)
    assert total["per_second"] == pytest.approx(50 * total["mean"])
    for stage in found["stages"]:
        assert stage["min"] <= stage["median"] <= stage["p99"] <= stage["max"]


def test_margin_is_the_clock_over_the_work() -> None:
    found = profile()
    assert found.margin == pytest.approx(3.36e6 / found.total.mean())
    assert found.duty == pytest.approx(1 / found.margin)
    assert found.responses_ms is not None
    assert found.responses_ms.max() == pytest.approx(1e3 * found.total.max() / 168e6)
    assert found.delay is not None
    work = found.responses_ms[[27 - 25, 52 - 25]]
    assert found.delay.least_ms == pytest.approx(60 + work.max())


def test_a_late_block_delays_the_next() -> None:
    found = profile()
    burst = found.stages["l2"].copy()
    burst[50] += 3e6
    responses = replace(found, stages={**found.stages, "l2": burst}).responses_ms
    assert responses is not None
    assert responses[50] > 20
    assert responses[51] > 10 > responses[53]


def test_what_cannot_keep_up_has_no_response() -> None:
    found = profile(2.5)
    assert found.margin is not None
    assert found.margin < 1
    assert found.responses_ms is None
    assert found.delay is not None
    assert found.delay.compute_ms is None
    assert "too slow" in page.page(found, CELLS, "").render()


def test_instructions_alone_give_no_time() -> None:
    found = replace(profile(), unit="instructions", origin=html.MEASURED)
    assert found.margin is None
    assert found.duty is None
    mean = np.sum(list(found.instructions.values()), axis=0).mean()
    assert found.allowed_cycles == pytest.approx(3.36e6 / mean)


def test_energy_is_modelled_and_has_its_interval() -> None:
    found = profile().to_json(CELLS)["energy_figures"]
    assert len(found) == 4
    for figure in found.values():
        assert figure["kind"] == "modelled"
        assert figure["low"] < figure["value"] < figure["high"]
    inference, second = list(found.values())[:2]
    assert inference["value"] == pytest.approx(second["value"] / 2)


def test_the_page_says_all_and_runs_nothing(tmp_path: Path) -> None:
    text = page.page(profile(), CELLS, "w2s profile").render()
    assert "<script" not in text
    assert "a &lt;board&gt;" in text
    for word in ("in time", "99 %", "front end", "mJ", "modelled", "Some note."):
        assert word in text
    page.save_picture(tmp_path / "p.png", profile())
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_spread_of_one_block() -> None:
    assert Spread.of(np.array([7.0])) == Spread(7, 7, 7, 7, 7)
