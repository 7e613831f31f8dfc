# SPDX-License-Identifier: Apache-2.0
"""From sound to answer: what is derived of the network's shape, against the library itself."""

import numpy as np
import pytest

from wav2small_micro.engines.base import Model
from wav2small_micro.native import Network
from wav2small_micro.profiler.delay import (
    LOOK_AHEAD,
    SEGMENT_SAMPLES,
    Delay,
    seen_by_answer,
    seen_by_row,
)

KERNELS = ("portable", "dsp", "compact")
QUARTER = 16  # samples into a frame's last hop, where its window weighs a half


@pytest.fixture(scope="module", params=KERNELS)
def network(request: pytest.FixtureRequest) -> Network:
    return Network(Model.load("wav2small-72k").plan, request.param)


@pytest.fixture(scope="module")
def quiet() -> np.ndarray:
    """1.1 s of soft noise, int16."""
    return np.random.default_rng(5).normal(0, 30, 17600).astype(np.int16)


def answers(network: Network, pcm: np.ndarray, norm: str = "live") -> list[list[int]]:
    """Of each half second by itself."""
    return network.run(pcm, norm, window_segments=1).windows.tolist()


@pytest.mark.parametrize("segment", [0, 1])
def test_first_answer_that_a_sample_changes(
    network: Network, quiet: np.ndarray, segment: int
) -> None:
    before = answers(network, quiet)
    last = seen_by_answer(segment)[1]
    assert last == SEGMENT_SAMPLES * (segment + 1) + LOOK_AHEAD - 1
    for sample, changed in ((last + 1, segment + 1), (last + 1 - QUARTER, segment)):
        pcm = quiet.copy()
        pcm[sample] = 32767
        differs = [a != b for a, b in zip(before, answers(network, pcm), strict=True)]
        expected = [i >= changed for i in range(2)]
        assert differs == expected, sample


def test_last_answer_that_a_sample_changes(network: Network, quiet: np.ndarray) -> None:
    """Two samples change places, so that the statistics of the clip remain."""
    before = answers(network, quiet, "utterance")
    first = seen_by_answer(1)[0]
    for end, changed in ((first, False), (first + 2 * QUARTER, True)):
        pcm = quiet.copy()
        pcm[100:end] = pcm[100:end][::-1]
        assert (answers(network, pcm, "utterance")[1] != before[1]) is changed


def test_portable_rows_come_as_soon_as_they_can(quiet: np.ndarray) -> None:
    network = Network(Model.load("wav2small-72k").plan)
    need = SEGMENT_SAMPLES + LOOK_AHEAD
    assert len(answers(network, quiet[: need - 1])) == 0
    assert len(answers(network, quiet[:need])) == 1


def test_a_row_of_lin_sees_25_frames() -> None:
    first, last = seen_by_row(100)
    assert last - first + 1 == 24 * 32 + 64


def test_steps_add_up() -> None:
    delay = Delay.of_block(0, 27, 7.0, 4)
    assert delay.look_ahead_ms == 24
    assert delay.least_ms == pytest.approx(67)  # block 27 is whole 60 ms after the half second
    assert delay.least_ms == pytest.approx(sum(step or 0 for step in delay.steps().values()))
    assert delay.most_ms - delay.least_ms == 500
    assert delay.mean_ms == pytest.approx((delay.least_ms + delay.most_ms) / 2)
    assert Delay.of_block(0, 27, None, 4).least_ms == pytest.approx(60)
