# SPDX-License-Identifier: Apache-2.0
"""The energy model: its arithmetic by hand, its intervals, and that it never looks measured."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav2small_micro import html, pio
from wav2small_micro.energy import cells, chips, model
from wav2small_micro.energy.figures import Figure, Measured, Modelled, Range, propagate
from wav2small_micro.errors import W2sError

# --- Measured and modelled ---------------------------------------------------------------------


def test_the_two_kinds_never_look_alike() -> None:
    measured, modelled = Measured(12.3, 12, 12.6, "mJ"), Modelled(12.3, 12, 12.6, "mJ")
    assert measured != modelled
    assert modelled.text.startswith("≈")
    assert not measured.text.startswith("≈")
    assert measured.to_json()["kind"] == "measured"
    assert modelled.to_json()["kind"] == "modelled"
    assert "measured" in measured.cell.render()
    assert "modelled" in modelled.cell.render()
    assert measured.cell.origin == html.MEASURED
    assert modelled.cell.origin == html.MODELLED


def test_a_figure_has_a_kind() -> None:
    with pytest.raises(TypeError, match="either Measured or Modelled"):
        Figure(1, 0, 2, "mJ")


def test_figures_do_not_add() -> None:
    with pytest.raises(TypeError):
        Measured(1, 0, 2, "mJ") + Modelled(1, 0, 2, "mJ")  # type: ignore[operator]


def test_an_interval_holds_its_value() -> None:
    with pytest.raises(ValueError, match="not between"):
        Range(1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match="not between"):
        Range(math.nan, 0.0, 1.0)


def test_everything_that_the_model_says_is_modelled() -> None:
    for chip in chips.CHIPS.values():
        found = model.estimate(1e6, chip)
        assert found.figures()
        for figure in found.figures().values():
            assert type(figure) is Modelled
        assert type(found.hours(cells.find("18650"))) is Modelled
        assert found.to_json()["kind"] == "modelled"


# --- Arithmetic ----------------------------------------------------------------------------------


def test_by_hand() -> None:
    """STM32F407 at 168 MHz: 40 mA while it runs, 12 mA asleep (DS8626 Rev 12, tables 20, 22)."""
    found = model.estimate(Range.exact(84e6), "stm32f407", 168e6)
    assert found.duty.value == 0.5
    assert found.mj_per_audio_second.value == pytest.approx(3.3 * 40e-3 * 0.5 * 1e3)
    assert found.mj_per_block.value == pytest.approx(3.3 * 40e-3 * 0.5 * 1e3 * 0.02)
    assert found.average_mw is not None
    assert found.average_mw.value == pytest.approx(3.3 * (40 + 12) / 2)
    assert found.mj(2.5).value == pytest.approx(2.5 * found.mj_per_audio_second.value)


def test_a_converter_keeps_the_power_and_a_regulator_the_current() -> None:
    for name, keeps in (("nrf52840", True), ("stm32f407", False)):
        chip = chips.find(name)
        base = model.estimate(1e7, chip)
        lower = model.estimate(1e7, chip, voltage=chip.voltage * 0.8)
        ratio = lower.mj_per_audio_second.value / base.mj_per_audio_second.value
        assert ratio == pytest.approx(1.0 if keeps else 0.8)


def test_between_the_rows_of_a_table() -> None:
    run = chips.find("stm32f407").run
    assert run.typical(168) == 40
    assert run.typical(156) == pytest.approx(35.5)
    assert run.at(168).low == pytest.approx(40 * 0.8 - 0.5)


def test_too_slow_gives_no_mean_power() -> None:
    found = model.estimate(200e6, "stm32f407", 168e6)
    assert not found.keeps_up
    assert found.average_mw is None
    assert found.hours(cells.find("18650")) is None
    assert any("keep up" in note for note in found.notes)
    assert "average_mw" not in found.to_json()["figures"]


def test_flash_that_waits_only_widens_upwards() -> None:
    plain, waits = model.modelled_cycles(58e6), model.modelled_cycles(58e6, waits=17e6)
    assert waits.value == plain.value
    assert waits.low == plain.low
    assert waits.high == plain.high + 17e6


@given(
    name=st.sampled_from(sorted(chips.CHIPS)),
    cycles=st.floats(1e3, 1e9),
    at=st.floats(0, 1),
    voltage=st.floats(1.8, 3.6),
)
def test_every_interval_is_in_order(name: str, cycles: float, at: float, voltage: float) -> None:
    least, most = chips.find(name).clock_mhz
    found = model.estimate(cycles, name, (least + at * (most - least)) * 1e6, voltage=voltage)
    for figure in found.figures().values():
        assert 0 <= figure.low <= figure.value <= figure.high
        assert math.isfinite(figure.high)
    assert sum(found.shares.values()) == pytest.approx(1)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=5), st.floats(0.001, 0.02))
def test_propagation_agrees_with_the_law_for_products(values: list[float], error: float) -> None:
    inputs = {f"x{i}": Range.within(value, error) for i, value in enumerate(values)}
    found, _ = propagate(lambda **x: math.prod(x.values()), inputs)
    relative = error * math.sqrt(len(values))
    assert found.high / found.value - 1 == pytest.approx(relative, rel=1e-6)
    assert 1 - found.low / found.value == pytest.approx(relative, rel=1e-6)


# --- What cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"chip": "stm32f999"}, "knows no chip"),
        ({"chip": "stm32f407", "clock_hz": 200e6}, "does not run at 200 MHz"),
        ({"chip": "nrf52840", "clock_hz": 32e6}, "not in the model"),
        ({"chip": "stm32f407", "voltage": 33.0}, "not a supply"),
        ({"chip": "stm32f407", "cycles_per_second": 0.0}, "not positive"),
    ],
)
def test_what_cannot_be(arguments: dict[str, object], says: str) -> None:
    given_: dict[str, object] = {"cycles_per_second": 1e7, **arguments}
    with pytest.raises(W2sError, match=says) as caught:
        model.estimate(**given_)  # type: ignore[arg-type]
    assert caught.value.hint


def test_boards_without_a_chip_say_so() -> None:
    for board in pio.envs():
        if board in chips.OF_BOARD:
            assert chips.of_board(board).core == pio.board(board).cpu
        else:
            with pytest.raises(W2sError, match="not built with a chip"):
                chips.of_board(board)


# --- The registry --------------------------------------------------------------------------------


def test_every_coefficient_is_cited() -> None:
    for chip in chips.CHIPS.values():
        for source in chip.sources:
            assert source.document
            assert source.table
            assert source.conditions
            if source.basis is chips.Basis.DATASHEET:
                assert re.search(r"Rev \d+", source.document), "a revision"
                assert re.search(r"table \d+", source.table), "a table"


def test_what_is_not_verified_is_wider_than_what_is() -> None:
    def width(currents: chips.Currents) -> float:
        return currents.below + currents.above

    known = chips.find("stm32f407").run
    for chip in chips.CHIPS.values():
        for currents in (chip.run, chip.sleep):
            if currents.source.basis is not chips.Basis.DATASHEET:
                assert width(currents) > width(known)


# --- Cells ---------------------------------------------------------------------------------------


def test_hours_by_hand() -> None:
    ideal = replace(cells.find("1000mAh"), derating=1.0, loss_a_year=0.0)
    found = cells.hours(Measured(10, 10, 10, "mA"), ideal)
    assert type(found) is Modelled, "nobody emptied the cell"
    assert found.value == 100
    assert (found.low, found.high) == (pytest.approx(85), pytest.approx(115))


def test_a_cell_empties_itself() -> None:
    leaky = replace(cells.find("1000"), derating=1.0, loss_a_year=1.0)
    found = cells.hours(Modelled(1e-6, 1e-6, 1e-6, "mA"), leaky)
    assert found.value == pytest.approx(cells.HOURS_PER_YEAR, rel=1e-3)


def test_a_coin_cell_does_not_feed_a_stm32f407() -> None:
    coin = cells.find("CR2032")
    assert cells.warnings(Measured(25, 24, 26, "mA"), coin)
    assert not cells.warnings(Measured(1, 1, 1, "mA"), coin)


@pytest.mark.parametrize("text", ["", "AAA", "0", "-5", "1e9", "nan", "5 Ah"])
def test_no_such_cell(text: str) -> None:
    with pytest.raises(W2sError, match="no cell"):
        cells.find(text)
