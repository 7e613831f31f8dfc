# SPDX-License-Identifier: Apache-2.0
"""firmware/lib/pdm on a Cortex-M4 in QEMU: the bits of this machine, and what they cost.

The program itself compares its samples, SMLAD and all, with those of the C on this machine.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from wav2small_micro.cli.app import app
from wav2small_micro.errors import W2sError
from wav2small_micro.profiler import microphones

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """``w2s bench --microphones --json``, by microphone."""
    result = CliRunner().invoke(app, ["bench", "--microphones", "--json"])
    assert result.exit_code == 0, result.output
    return {row["microphone"]: row for row in json.loads(result.stdout)["rows"]}


def test_a_second_of_pdm(measured: dict[str, Any]) -> None:
    """At most 6 M cycles, whatever a branch costs; a state below 600 B; 4 KB of tables a byte."""
    for clock, tables in (("1.024", 4096), ("2.048", 8192)):
        row = measured[f"PDM, {clock} MHz"]
        assert 3e6 < row["instructions"] < row["cycles_by_refill"]["3"] < 6e6
        assert row["ram"] < 600
        assert tables < row["flash"] < tables + 2048


def test_a_second_of_i2s(measured: dict[str, Any]) -> None:
    row = measured["I2S, 24 bits"]
    assert row["cycles_by_refill"]["3"] < 1e6
    assert row["ram"] < 32
    assert row["flash"] < 512


def test_other_samples_are_noticed() -> None:
    """The comparison can fail: a gain that the other side does not know of."""
    with pytest.raises(W2sError, match="ended early"):
        microphones.run([replace(microphones.CASES[0], gain=4097)])


@pytest.mark.parametrize(
    "case",
    [
        microphones.Case(1_024_000, "bytes"),
        microphones.Case(2_048_000, "words"),
        microphones.Case(0, "words"),
    ],
    ids=str,
)
def test_other_layouts(case: microphones.Case) -> None:
    assert microphones.run([case])["rows"][0]["instructions"] > 0
