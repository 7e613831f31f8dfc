# SPDX-License-Identifier: Apache-2.0
"""What the application answers over the wire is what the library answers, bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.sessions import run_clip

from wav2small_micro import paths
from wav2small_micro.audio import Clip
from wav2small_micro.engines import base
from wav2small_micro.link.messages import Layer, Norm


@pytest.mark.parametrize("name", paths.model_names())
def test_answer_is_the_librarys(
    name: str,
    build_app: Callable[..., Any],
    start_device: Callable[..., Any],
    clips: list[Clip],
) -> None:
    device = start_device(build_app(paths.model_dir(name) / "c" / "weights.c"))
    device.greet()
    engine = base.create("c", base.Model.load(name))
    for session, clip in enumerate(clips[:3], start=1):
        pcm = clip.pcm[: 16000 * 2]
        for norm, wire in (("utterance", Norm.GIVEN), ("live", Norm.LIVE)):
            expected = engine.run(pcm, norm=norm, rows=True)
            session_id = 2 * session + int(wire == Norm.LIVE)
            taps = 1 << Layer.LIN | 1 << Layer.SOF
            result, rows = run_clip(device, session_id, pcm, norm=wire, tap_mask=taps)
            answer = (result.arousal, result.dominance, result.valence)
            assert answer == tuple(int(x) for x in expected.adv_q16)
            for layer, values in ((Layer.LIN, expected.lin), (Layer.SOF, expected.sof)):
                data = b"".join(row.data for row in rows if row.layer == layer)
                assert np.array_equal(np.frombuffer(data, np.int8), np.ravel(values))
    engine.close()
    device.close()
