# SPDX-License-Identifier: Apache-2.0
"""A teacher that is one file: any ONNX or Keras model from audio to arousal, dominance, valence.

What the file does not say, a JSON beside it does (``teacher.onnx``: ``teacher.onnx.json``):
``input`` and ``output`` (names; the first ones), ``rate`` (16000), ``normalise`` (``none``, samples
in -1..1, or ``unit``, zero mean and unit variance), ``order`` (of the dimensions in the output),
``scale`` ([lowest, highest], what 0 and 1 are), ``name`` and ``revision``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import RATE
from wav2small_micro.data.manifest import Row
from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.teachers.base import Pcm, hash_files

Run = Callable[[NDArray[np.float32]], NDArray[Any]]
"""Audio (1, N) to answers (1, 3) or (3,)."""


@dataclass(frozen=True)
class Said:
    """What the JSON beside the file says."""

    input: str = ""
    output: str = ""
    rate: int = RATE
    normalise: str = "none"
    order: tuple[str, ...] = DIMENSIONS
    scale: tuple[float, float] = (0.0, 1.0)
    name: str = ""
    revision: str = "file"


class File:
    """A teacher by its runtime: clips are answered one by one, since a file need not mask."""

    def __init__(self, path: Path, said: Said, run: Run, sha256: str) -> None:
        self.name, self.revision, self.sha256 = said.name or path.name, said.revision, sha256
        self._said, self._run = said, run
        self._columns = [said.order.index(dimension) for dimension in DIMENSIONS]

    def fold(self, row: Row) -> str:
        """Empty: what the file was fitted on is not known."""
        del row
        return ""

    def answer(self, clips: Sequence[Pcm], folds: Sequence[str]) -> NDArray[np.float32]:
        """Arousal, dominance, valence, (B, 3)."""
        del folds
        return np.stack([self._one(pcm) for pcm in clips])

    def _one(self, pcm: Pcm) -> NDArray[np.float32]:
        x = pcm.astype(np.float32) / 32768
        if self._said.rate != RATE:
            import soxr

            x = soxr.resample(x, RATE, self._said.rate, quality="VHQ")
        if self._said.normalise == "unit":
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
        try:
            found = np.asarray(self._run(np.asarray(x, np.float32)[None]), np.float64).reshape(-1)
        except Exception as error:  # of a foreign runtime
            raise W2sError(
                f"{self.name} cannot answer {len(x)} samples: {error}",
                "its input must be audio, (1, N) float32 of any N",
            ) from error
        if len(found) != len(self._said.order):
            raise W2sError(
                f"{self.name} answers {len(found)} values, not {len(self._said.order)}",
                "name the output in the JSON beside the file",
            )
        lowest, highest = self._said.scale
        return np.asarray((found[self._columns] - lowest) / (highest - lowest), np.float32)


def load(path: Path) -> File:
    """A teacher from ``.onnx`` (needs onnxruntime) or ``.keras`` (needs keras).

    Raises :class:`W2sError` for a file that is missing, that its runtime does not take, or whose
    JSON says what cannot be.
    """
    if not path.is_file():
        raise W2sError(f"no teacher at {path}", "check the path")
    beside = path.with_name(path.name + ".json")
    said = _said(beside) if beside.is_file() else Said()
    run = (_onnx if path.suffix == ".onnx" else _keras)(path, said)
    return File(path, said, run, hash_files([path, beside] if beside.is_file() else [path]))


def _said(path: Path) -> Said:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        for name in ("order", "scale"):
            if name in raw:
                raw[name] = tuple(raw[name])
        said = Said(**raw)
    except (OSError, ValueError, TypeError) as error:
        raise W2sError(
            f"{path} cannot be used: {error}", "docs/teachers.md lists its keys"
        ) from error
    missing = set(DIMENSIONS) - set(said.order)
    if missing:
        raise W2sError(f"{path}: order lacks {', '.join(sorted(missing))}", "name all three")
    if said.normalise not in ("none", "unit") or len(said.scale) != 2 or len(set(said.scale)) != 2:
        raise W2sError(
            f"{path}: normalise is none or unit, scale two numbers",
            "docs/teachers.md lists its keys",
        )
    return said


def _onnx(path: Path, said: Said) -> Run:
    try:
        import onnxruntime
    except ImportError as error:
        raise W2sError(
            f"{path} needs onnxruntime", "pip install 'wav2small-micro[teachers]'"
        ) from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise W2sError(f"{path} cannot be read as ONNX: {error}", "export it again") from error
    inputs = [each.name for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]
    source, sink = _named(path, said.input, inputs), _named(path, said.output, outputs)

    def run(x: NDArray[np.float32]) -> NDArray[Any]:
        return np.asarray(session.run([sink], {source: x})[0])

    return run


def _keras(path: Path, said: Said) -> Run:
    try:
        import keras
    except ImportError as error:
        raise W2sError(f"{path} needs keras", "pip install 'wav2small-micro[train]'") from error
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise W2sError(f"{path} cannot be read as Keras: {error}", "save it again") from error
    if said.input:
        _named(path, said.input, [each.name for each in model.inputs])

    def run(x: NDArray[np.float32]) -> NDArray[Any]:
        found = model(x, training=False)
        if isinstance(found, dict):
            found = found[_named(path, said.output, list(found))]
        elif isinstance(found, list | tuple):
            found = found[0]
        return np.asarray(keras.ops.convert_to_numpy(found))

    return run


def _named(path: Path, name: str, there: Sequence[str]) -> str:
    if name and name not in there:
        raise W2sError(f"{path} has no {name!r}", f"it has {', '.join(there)}")
    return name or there[0]
