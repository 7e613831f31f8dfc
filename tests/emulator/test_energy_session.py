# SPDX-License-Identifier: Apache-2.0
"""The timeline that a board gives while an instrument measures it."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from wav2small_micro import pio
from wav2small_micro.audio import Clip
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.energy import instruments, measure
from wav2small_micro.energy.align import Timeline
from wav2small_micro.energy.live.session import MARGIN_SECONDS, Playing
from wav2small_micro.energy.trace import Notes, Progress, Recording, Trace
from wav2small_micro.link.client import Device

pytestmark = pytest.mark.emulator


def test_the_timeline_of_a_session(clips: list[Clip]) -> None:
    elf = pio.build(pio.DEFAULT_ENV, "wav2small-17k")
    board = pio.board(pio.DEFAULT_ENV)
    with (
        Emulator(elf, board, link=LinkKind.UART) as emulator,
        Device(emulator.transport()) as device,
    ):
        playing = Playing(device, clips[0].pcm, 2 * MARGIN_SECONDS + 1.0)
        begin = time.monotonic()
        playing.start()
        playing.join(60)
        took = time.monotonic() - begin - MARGIN_SECONDS
        found = playing.timeline()
    # The emulator's clock is the host's, whose work delays the blocks.
    assert 25 <= len(found.start) <= 49, "of 50 blocks, the last of which nothing follows"
    assert 0.9 < found.end[-1] < took
    assert found.audio_seconds == 0.02
    assert np.all(found.end[:-1] <= found.start[1:] + 1e-9)
    assert_found_again(found)


def assert_found_again(timeline: Timeline) -> None:
    """A current that follows the timeline, on a clock 80 ppm apart, gives its energies back."""
    rate, drift, offset = 50_000, 80e-6, 0.4
    time_s = np.arange(round((timeline.end[-1] + 2 * offset) * rate)) / rate
    edges = offset + (1 + drift) * np.stack([timeline.start, timeline.end], axis=1).ravel()
    busy = np.searchsorted(edges, time_s, side="right") % 2 == 1
    current = np.where(busy, 0.040, 0.012)
    current += 0.0005 * np.random.default_rng(7).standard_normal(len(current))
    volts = np.full(len(current), 3.3)
    width = np.full(len(current), 1 / rate)

    def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
        yield Trace(time_s, width, current, volts, np.zeros(len(current), np.uint16))

    recording = Recording("made", instruments.UNKNOWN, (), read, voltage_given=False)
    found = measure.by_timeline(recording, timeline)
    assert found.inferences.energy.sum() == pytest.approx(
        float(current[busy].sum() * 3.3 / rate), rel=0.005
    )
