# SPDX-License-Identifier: Apache-2.0
"""The picture: made for any answer, also for those outside 0 to 1."""

from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import plots
from wav2small_micro.audio import Clip
from wav2small_micro.engines.base import Answer


@pytest.mark.parametrize("values", [[0.1, 0.5, 0.9], [-0.3, 1.4, 0.0]])
def test_a_picture_of_two_engines(tmp_path: Path, values: list[float]) -> None:
    rng = np.random.default_rng(4)
    clip = Clip(Path("a.wav"), rng.integers(-3000, 3000, 8000).astype(np.int16))
    logmel = np.concatenate([np.full((249, 1), -100.0), rng.normal(-40, 9, (249, 25))], axis=1)
    found = {name: Answer(np.array(values)) for name in ("float", "c")}
    path = tmp_path / "folder" / "plot.png"
    plots.answers(path, clip, logmel, found, title="a clip")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000
