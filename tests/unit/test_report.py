# SPDX-License-Identifier: Apache-2.0
"""The verdict over answers: it must see every kind of difference, and only those."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wav2small_micro import report
from wav2small_micro.report import ClipReport

ENGINES = ["float", "tflite", "c"]


def answer(adv: list[float], *, integer: bool = True, lin: int = 0) -> SimpleNamespace:
    """An answer as an engine gives it; `lin` shifts one value of the row."""
    q16 = np.round(np.array(adv) * 65536).astype(np.int32) if integer else None
    rows = np.arange(12, dtype=np.int8).reshape(3, 4)
    return SimpleNamespace(
        adv=np.array(adv), adv_q16=q16, lin=rows + lin if integer else None,
        sof=rows if integer else None, logmel=None, details={},
    )  # fmt: skip


def clips(n: int = 3) -> list[ClipReport]:
    """n clips on which everything agrees."""
    made = []
    for i in range(n):
        adv = [0.1 + 0.8 * i / n, 0.5 + 0.4 * i / n, 0.9 - 0.5 * i / n]
        answers = {name: answer(adv, integer=name != "float") for name in ENGINES}
        made.append(ClipReport(f"{i}.wav", 1.0, answers=answers))
    return made


def test_what_agrees_holds() -> None:
    verdict = report.judge(clips(), ENGINES)
    assert verdict.holds
    assert [(a.engine, a.reference, a.rows, a.adv) for a in verdict.identical] == [
        ("c", "tflite", True, True)
    ]
    assert [c.worst for c in verdict.close] == [0, 0]


def test_one_value_of_one_row_is_seen() -> None:
    found = clips()
    found[1].answers["c"] = answer(list(found[1].answers["c"].adv), lin=1)
    verdict = report.judge(found, ENGINES)
    assert not verdict.holds
    assert verdict.identical[0].rows is False
    assert verdict.identical[0].adv is True
    assert verdict.identical[0].first_difference == "1.wav"


def test_one_unit_of_q16_is_seen() -> None:
    found = clips()
    found[2].answers["c"].adv_q16[1] += 1
    verdict = report.judge(found, ENGINES)
    assert not verdict.holds
    assert verdict.identical[0].adv is False


def test_a_row_that_is_missing_is_seen() -> None:
    found = clips()
    found[0].answers["c"].sof = found[0].answers["c"].sof[:-1]
    assert report.judge(found, ENGINES).identical[0].rows is False


def test_far_from_float_is_seen() -> None:
    found = clips()
    found[0].answers["float"].adv[2] += 0.031
    verdict = report.judge(found, ENGINES)
    assert not verdict.holds
    assert verdict.close[0].worst == pytest.approx(0.031)
    assert verdict.close[0].worst_clip == "0.wav"


@pytest.mark.parametrize(("n", "holds"), [(19, True), (20, False)])
def test_concordance_is_a_verdict_from_20_clips(n: int, holds: bool) -> None:
    found = clips(n)
    for i, clip in enumerate(found):  # the spread of a real set is small: .01 moves the CCC
        for name in ENGINES:
            clip.answers[name].adv[:] = 0.5 + 0.001 * i
        clip.answers["float"].adv[:] += 0.01
    verdict = report.judge(found, ENGINES)
    assert min(verdict.close[0].ccc) < report.CONCORDANCE
    assert verdict.holds == holds


def test_a_clip_that_failed_breaks_the_verdict() -> None:
    found = [*clips(), ClipReport("broken.wav", errors={"clip": "cannot be read"})]
    assert not report.judge(found, ENGINES).holds


def test_json_has_the_promised_shape() -> None:
    found = clips()
    data = report.to_json(found, report.judge(found, ENGINES))
    assert [c["path"] for c in data["clips"]] == ["0.wav", "1.wav", "2.wav"]
    for clip in data["clips"]:
        assert set(clip["engines"]) == set(ENGINES)
        for values in clip["engines"].values():
            assert {"arousal", "dominance", "valence"} <= set(values)
    assert data["holds"] is True


def test_nothing_compared_is_not_called_identical() -> None:
    found = clips(1)
    for name in ("tflite", "c"):
        found[0].answers[name].lin = found[0].answers[name].sof = None
    assert report.judge(found, ENGINES).identical[0].rows is None


series = hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(0, 1, width=32))


@given(series)
def test_ccc_of_a_series_with_itself(x: np.ndarray) -> None:
    value = report.ccc(x, x)
    assert math.isnan(value) if np.ptp(x) == 0 else value == pytest.approx(1)


@given(series, st.randoms(use_true_random=False))
def test_ccc_is_symmetric_and_bounded(x: np.ndarray, random) -> None:
    y = np.array(random.choices(list(x), k=len(x)))
    a, b = report.ccc(x, y), report.ccc(y, x)
    assert (math.isnan(a) and math.isnan(b)) or (a == pytest.approx(b) and -1 <= a <= 1 + 1e-12)
