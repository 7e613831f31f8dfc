# SPDX-License-Identifier: Apache-2.0
"""ONNX to .tflite by onnx2tf, and where the two graphs part.

onnx2tf works the layout of every tensor out by itself and can be wrong without a word, so each
tensor of the ONNX graph is looked for among those of the .tflite: the first one that is not there
is where they parted.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from wav2small_micro.engines import inputs
from wav2small_micro.engines.tflite import OPTIMISED, interpret
from wav2small_micro.errors import W2sError
from wav2small_micro.importing.onnx_source import OnnxSource, onnx_module

PACKAGES = (
    "onnx2tf",
    "onnx",
    "onnx_graphsurgeon",
    "onnxruntime",
    "onnxsim",
    "psutil",
    "requests",
    "sng4onnx",
    "tensorflow",
    "tf_keras",
)
"""What onnx2tf 1.28.8 imports. Its own metadata declares none of them."""

SECONDS = 600
"""How long a conversion may take."""

SAME = 1e-4
"""Largest difference of a tensor, as a share of its largest value, between two runtimes."""


def missing() -> list[str]:
    """The packages that onnx2tf wants and this Python lacks."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def version() -> str:
    """The version of onnx2tf."""
    return f"onnx2tf {importlib.metadata.version('onnx2tf')}"


def convert(source: OnnxSource, pcm: NDArray[np.int16]) -> bytes:
    """The float32 .tflite that onnx2tf makes of a graph whose input is as long as a clip.

    It runs in a process of its own, as it sets seeds and prints. Raises :class:`W2sError` when it
    fails or is not installed.
    """
    lacking = missing()
    if lacking:
        raise W2sError(f"onnx2tf needs {', '.join(lacking)}", "pip install -e '.[onnx]'")
    onnx = onnx_module()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(_simplified(source.fixed(pcm)), str(folder / "student.onnx"))
        # Left alone, it takes (1, T, 26) for channels before time and turns it round.
        arguments = ["-i", "student.onnx", "-o", "out", "-n", "-kat", source.entry.name, "-nuo"]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            ran = subprocess.run(
                [sys.executable, "-m", "onnx2tf", *arguments],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise W2sError(
                f"onnx2tf took more than {SECONDS} s", "try a smaller student"
            ) from error
        made = folder / "out" / "student_float32.tflite"
        if not made.is_file():
            lines = [line.strip() for line in ran.stdout.splitlines() if line.strip()]
            said = next((line for line in reversed(lines) if "rror" in line), "nothing")
            raise W2sError(
                f"onnx2tf could not convert {source.path}: {said[:300]}",
                "it does not know one of the operators, or has mistaken a layout",
            )
        return made.read_bytes()


def _simplified(model: Any) -> Any:
    """Shapes computed, constants folded: done once here, not three times in processes by
    onnx2tf, which would look for onnxsim on PATH."""
    import onnxsim

    simple, _ = onnxsim.simplify(model)
    return simple


@dataclass(frozen=True)
class Parting:
    """Where two graphs part: the last ``tensor`` that both have (``agreed``, empty: none), the
    first that only ONNX has, the ``operator`` that makes it, and by how much the nearest tensor of
    the .tflite differs (nan: none is of its size)."""

    agreed: str
    tensor: str
    operator: str
    difference: float

    def __str__(self) -> str:
        apart = "" if np.isnan(self.difference) else f", off by {self.difference:.2g}"
        after = f"equal up to '{self.agreed}', " if self.agreed else ""
        return f"{after}parted at '{self.tensor}' ({self.operator}){apart}"


def parting(source: OnnxSource, content: bytes, pcm: NDArray[np.int16]) -> Parting | None:
    """The first tensor of the ONNX graph that a .tflite, whose input is its own, has lost for one
    clip; None if the answers are the same.

    Layouts may differ: a tensor is the same whatever the order of its axes. One that the .tflite
    fused away is passed over, as those behind it are there.
    """
    theirs = {
        name: value
        for name, value in source.tensors(pcm).items()
        if value.dtype == np.float32 and value.size >= 3 and np.ptp(value) > 0
    }
    (found,) = Interpreter(model_content=content).get_input_details()
    heard = inputs.entry(
        found["name"], [int(n) if n > 0 else None for n in found["shape_signature"]]
    )
    ours = interpret(content, heard.fill(pcm), every_tensor=True, kernels=OPTIMISED)
    by_size: dict[int, list[NDArray[Any]]] = {}
    for value in ours.values():
        if value.dtype == np.float32:
            by_size.setdefault(value.size, []).append(value)
    names = list(theirs)
    apart = [_distance(theirs[name], by_size.get(theirs[name].size, [])) for name in names]
    same = [i for i, name in enumerate(names) if apart[i] <= SAME * np.abs(theirs[name]).max()]
    last = same[-1] if same else -1
    if last == len(names) - 1:
        return None
    makers = {name: node.op_type for node in source.graph.node for name in node.output}
    # Tensors of a size that the .tflite has say more than those that it fused away.
    beyond = range(last + 1, len(names))
    first = next((i for i in beyond if not np.isnan(apart[i])), last + 1)
    return Parting(names[last] if same else "", names[first], makers[names[first]], apart[first])


def _distance(value: NDArray[Any], candidates: list[NDArray[Any]]) -> float:
    """Smallest largest difference to a candidate under any order of axes; nan without one."""
    best = float("nan")
    core = value.squeeze()
    for candidate in candidates:
        other = candidate.squeeze()
        orders = [tuple(range(other.ndim))]
        if other.ndim == core.ndim <= 4:
            orders = list(itertools.permutations(range(other.ndim)))
        for order in orders:
            turned = other.transpose(order)
            if turned.shape != core.shape and core.ndim == other.ndim:
                continue
            apart = float(np.abs(turned.ravel() - core.ravel()).max())
            best = apart if np.isnan(best) else min(best, apart)
    return best
