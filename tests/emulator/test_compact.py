# SPDX-License-Identifier: Apache-2.0
"""The firmware for small chips: what it takes, and that its smaller buffers are enough."""

import numpy as np
import pytest

from wav2small_micro import pio
from wav2small_micro.audio import Clip
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.device import EmulatorEngine
from wav2small_micro.engines.native import NativeEngine
from wav2small_micro.link.messages import Norm
from wav2small_micro.paths import model_names

pytestmark = pytest.mark.emulator

ENV = "stm32f407_discovery"
KB = 1024


@pytest.mark.parametrize("name", model_names())
def test_the_whole_firmware_fits_a_chip_of_32_kb(name: str) -> None:
    pio.build(ENV, name, kernels="compact")
    size = pio.size(ENV, name, kernels="compact")
    assert size["ram"] <= 28 * KB
    assert size["flash"] <= 192 * KB


@pytest.mark.parametrize("transport", ["uart", "semihosting"])
def test_smaller_buffers_lose_nothing(transport: str, clips: list[Clip]) -> None:
    """Live windows as long as they can be, every row tapped, over a link as fast as it goes."""
    model = Model.load("wav2small-72k")
    pcm = clips[0].pcm[2000:27_000]
    expected = NativeEngine(model).run(pcm, norm="live", rows=True)
    elf = pio.build(ENV, "wav2small-72k", kernels="compact")
    engine = EmulatorEngine(model, env=ENV, transport=transport, elf=elf)
    try:
        device = engine.device
        facts = device.hello()
        assert (facts.segments, facts.audio_window) == (3, 2)
        session = device.start(norm=Norm.LIVE, window_segments=facts.segments)
        session.send(pcm)
        assert np.array_equal(session.finish().adv_q16, expected.adv_q16)
        assert len(session.windows) == len(pcm) // 8000
        answer = engine.run(pcm, norm="live", rows=True)
        counters = device.counters()
    finally:
        engine.close()
    assert np.array_equal(answer.lin, expected.lin)
    assert np.array_equal(answer.adv_q16, expected.adv_q16)
    assert counters.rx_overruns == counters.crc_errors == counters.framing_errors == 0
    assert counters.stack_high_water < counters.stack_size - KB
