# SPDX-License-Identifier: Apache-2.0
"""One interface, six ways to run a clip.

===========  ======================================================================
``float``    TensorFlow Lite in float32 behind the float64 log-mel: the reference
``tflite``   the int8 graph, reference kernels, and the integer twin of the head
``tflm``     the same graph under TensorFlow Lite Micro, and the same twin
``c``        the firmware's C library, compiled for this machine
``emulator`` the firmware itself, in QEMU
``board``    the firmware on a board behind a serial port
===========  ======================================================================

All but ``float`` must agree bit for bit; each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import paths
from wav2small_micro import plan as plans
from wav2small_micro.errors import W2sError
from wav2small_micro.plan import Plan

Q16 = 65536


@dataclass(frozen=True)
class Model:
    """A model folder: ``int8.tflite``, ``float.tflite`` and what describes them."""

    folder: Path

    @classmethod
    def load(cls, name: str) -> Model:
        """A model by name or path. Raises :class:`W2sError` naming those that exist."""
        return cls(paths.model_dir(name))

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def int8_path(self) -> Path:
        """The split int8 graph."""
        return self.folder / "int8.tflite"

    @property
    def float_path(self) -> Path:
        """The whole network in float32."""
        return self.folder / "float.tflite"

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What ``model.json`` says."""
        path = self.folder / "model.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise W2sError(
                f"{path} cannot be read: {error}", "restore it, or train anew"
            ) from error
        return found

    @cached_property
    def plan(self) -> Plan:
        """The plan of the int8 graph: read once."""
        return plans.read(self.int8_path)


@dataclass(frozen=True)
class Answer:
    """What an engine says of a clip."""

    adv: NDArray[np.float64]
    """Arousal, dominance, valence, (3,), about 0 .. 1."""
    adv_q16: NDArray[np.int32] | None = None
    """The same as integers, 65536 being 1.0; None for ``float``."""
    lin: NDArray[np.int8] | None = None
    """Rows of ``lin`` and ``sof``, (T2, 169), if they were asked for."""
    sof: NDArray[np.int8] | None = None
    logmel: NDArray[np.floating[Any]] | None = None
    """Normalised log-mel, (T, 26), dB, if it was asked for."""
    details: dict[str, Any] = field(default_factory=dict)
    """Measurements, by engine: seconds, instructions, counters."""

    @classmethod
    def from_q16(cls, adv_q16: NDArray[np.int32], **rest: Any) -> Answer:
        """An answer of integers."""
        return cls(adv_q16.astype(np.float64) / Q16, adv_q16, **rest)


class Engine(Protocol):
    """A way to run clips. Use it as ``with contextlib.closing(engine)``."""

    name: str

    def run(self, pcm: NDArray[np.int16], *, norm: str = "utterance", rows: bool = False) -> Answer:
        """Answers for a clip, int16 (N,), 16 kHz. ``norm``: ``utterance`` or ``live``.

        With ``rows`` the answer carries lin, sof and the log-mel.
        """
        ...

    def close(self) -> None:
        """Lets go of what the engine holds."""
        ...


_CLASSES = {
    "float": "floating:FloatEngine",
    "tflite": "tflite:TfliteEngine",
    "tflm": "tflm:TflmEngine",
    "c": "native:NativeEngine",
    "emulator": "device:EmulatorEngine",
    "board": "device:BoardEngine",
}
ENGINES = tuple(_CLASSES)


def create(name: str, model: Model, **options: Any) -> Engine:
    """The engine ``name`` for ``model``. Options are the engine's own (``env``, ``port`` ...)."""
    if name not in _CLASSES:
        raise W2sError(f"there is no engine {name!r}", f"use one of {', '.join(ENGINES)}")
    module, cls = _CLASSES[name].split(":")
    loaded = importlib.import_module(f"wav2small_micro.engines.{module}")
    engine: Engine = getattr(loaded, cls)(model, **options)
    return engine
