# SPDX-License-Identifier: Apache-2.0
"""Holding figures against a record."""

import copy
from typing import Any

import pytest

from wav2small_micro.profiler import bench
from wav2small_micro.profiler.bench import regressions

CASE = {"board": "b", "model": "m", "kernels": "k"}
RECORD: dict[str, Any] = {
    "rows": [
        {**CASE, "part": "network", "instructions": 1000, "cycles": 2000},
        {**CASE, "part": "link", "instructions": 1000, "cycles": None},
    ],
    "firmware": [{**CASE, "ram": 1000, "flash": 1000}],
}


def changed(key: str, index: int, figure: str, value: int | None) -> dict[str, Any]:
    """The record, one figure changed."""
    results = copy.deepcopy(RECORD)
    results[key][index][figure] = value
    return results


def test_equal_and_better_are_no_regression() -> None:
    assert regressions(RECORD, RECORD) == []
    assert regressions(changed("rows", 0, "cycles", 100), RECORD) == []


@pytest.mark.parametrize(
    ("key", "figure", "value"),
    [("rows", "instructions", 1021), ("rows", "cycles", 2041), ("firmware", "flash", 1021)],
)
def test_more_than_two_percent_is_one(key: str, figure: str, value: int) -> None:
    found = regressions(changed(key, 0, figure, value), RECORD)
    assert len(found) == 1
    assert found[0].startswith("b, m, k")
    assert f"{value:,}" in found[0]
    assert "+2.1%" in found[0] or "+2.0%" in found[0]


def test_up_to_two_percent_is_none() -> None:
    assert regressions(changed("rows", 0, "cycles", 2040), RECORD) == []


def test_the_link_varies_with_the_host() -> None:
    assert regressions(changed("rows", 1, "instructions", 5000), RECORD) == []


def test_what_the_record_lacks_is_no_regression() -> None:
    assert regressions(RECORD, {"rows": [], "firmware": []}) == []


def test_a_row_without_a_placement_is_of_flash() -> None:
    """So a record of before there was a choice still compares."""
    assert bench.case_of(CASE) == bench.Case("b", "m", "k", "flash")
    assert str(bench.case_of({**CASE, "placement": "code"})) == "b, m, k, code"
