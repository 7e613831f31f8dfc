# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: a short clip and what every layer of the int8 graph makes of it.

The layers come from TensorFlow Lite's reference kernels, the answer from the integer twin: nothing
but the input rows is from the C library, which has to reproduce the rest bit for bit. The front end
is held to ``logmel`` (float64).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import attention, native, plan, reference
from wav2small_micro.audio import read_clip
from wav2small_micro.engines.tflite import interpret
from wav2small_micro.paths import repo_root

CLIP = "no_short_en.flac"
START, SAMPLES = 800, 6400
"""0.4 s of the shipped clip, from 50 ms on: word onset and voiced speech."""

LAYERS = ("l1", "l2", "l3", "pool", "l4", "l5", "l6", "l7", "lin", "sof")


def make(folder: Path) -> dict[str, NDArray[Any]]:
    """Golden vectors of the model in ``folder``, by name.

    ``pcm`` int16 (6400,), ``logmel`` float64 (T, 26), ``input`` int8 (T, 26), the layers ``l1`` ..
    ``l7`` and ``pool`` int8 (T or T2, mel, 13), ``lin`` and ``sof`` int8 (T2, 169), ``adv_q16``
    int32 (3,). ``l3`` is before the pool.
    """
    content = (folder / "int8.tflite").read_bytes()
    device = plan.read(content)
    pcm = read_clip(repo_root() / "tests" / "clips" / CLIP).pcm[START : START + SAMPLES]
    x = native.input_rows(device, pcm)
    layers = interpret(content, x[None, :, :, None], every_tensor=True)
    vectors: dict[str, NDArray[Any]] = {
        "pcm": pcm,
        "logmel": reference.logmel(pcm),
        "input": x,
        **{name: layers[name][0] for name in LAYERS},
    }
    for name in ("lin", "sof"):
        vectors[name] = vectors[name].reshape(-1, 169)
    vectors["adv_q16"] = attention.pool(vectors["lin"], vectors["sof"], device)
    return vectors


def write(folder: Path) -> None:
    """Writes ``golden.npz`` into a model folder."""
    np.savez_compressed(folder / "golden.npz", **make(folder))  # type: ignore[arg-type]
