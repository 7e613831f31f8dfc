# SPDX-License-Identifier: Apache-2.0
"""The students by name: two Wav2Small for the device, and the paper's baselines for the host."""

from __future__ import annotations

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


def build(name: str) -> Any:
    """A new student, log-mel dB (B, T, 26) to A/D/V (B, 3). Raises :class:`W2sError` for a name
    that is none."""
    if name not in ARCHITECTURES:
        raise W2sError(f"there is no student {name!r}", f"use one of: {', '.join(NAMES)}")
    if name in mobilenet.BUILDERS:
        return mobilenet.BUILDERS[name]()
    return student.build(ARCHITECTURES[name])  # type: ignore[arg-type]
