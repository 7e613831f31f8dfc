# SPDX-License-Identifier: Apache-2.0
"""The students by name: two Wav2Small for the device, and the paper's baselines for the host."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from wav2small_micro import student
from wav2small_micro.distillation import mobilenet
from wav2small_micro.errors import W2sError

WEIGHTS = "student.weights.h5"

ARCHITECTURES = {
    "wav2small-72k": "72k",
    "wav2small-17k": "17k",
    **{name: name for name in mobilenet.BUILDERS},
}
"""What ``model.json`` calls them."""

NAMES = tuple(ARCHITECTURES)
WAV2SMALL = tuple(name for name in NAMES if name not in mobilenet.BUILDERS)


def build(name: str) -> Any:
    """A new student, log-mel dB (B, T, 26) to A/D/V (B, 3). Raises :class:`W2sError` for a name
    that is none."""
    if name not in ARCHITECTURES:
        raise W2sError(f"there is no student {name!r}", f"use one of: {', '.join(NAMES)}")
    if name in mobilenet.BUILDERS:
        return mobilenet.BUILDERS[name]()
    return student.build(ARCHITECTURES[name])  # type: ignore[arg-type]


def begin(model: Any, name: str, folder: Path) -> dict[str, Any]:
    """Put the weights of the student in ``folder`` into ``model``; what it had been taught.

    Raises :class:`W2sError` when there is none, or one of another kind.
    """
    path = folder / WEIGHTS
    if not path.is_file() or not (folder / "model.json").is_file():
        raise W2sError(f"{folder} holds no student", "name a folder that w2s distill has made")
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if facts["architecture"] != ARCHITECTURES[name]:
        raise W2sError(
            f"{folder} holds a {facts['architecture']}, not a {name}", "begin with one of the same"
        )
    model.load_weights(path)
    return {
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "training": facts["training"],
    }
