# SPDX-License-Identifier: Apache-2.0
"""A student from elsewhere into a model folder, compared with its source on speech.

The source answers in its own runtime, PyTorch or onnxruntime, and ours in the very ``float.tflite``
that is kept. More than 1e-5 apart, and nothing is written.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from wav2small_micro import conversion, paths, reference, student, tflite_file
from wav2small_micro.audio import read_clip
from wav2small_micro.data import manifest
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.floating import FloatEngine
from wav2small_micro.engines.tflite import OPTIMISED, interpret
from wav2small_micro.errors import W2sError
from wav2small_micro.importing import checkpoint, recognise, through_onnx2tf
from wav2small_micro.importing.onnx_source import OnnxSource
from wav2small_micro.metrics import DIMENSIONS

TOLERANCE = 1e-5
"""Largest difference of an answer between a student and its source, as a share of the largest
answer where that is beyond 1: A/D/V are about 0..1."""

HOST_ONLY = "other"
"""The ``architecture`` of a model that is not Wav2Small: a float.tflite for the host."""

WINDOW_SECONDS = 3.0
"""Length of audio that a graph of another network is converted for, unless it has one itself."""

RESEARCH_CLIPS = 12

Pcm = NDArray[np.int16]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Where a student comes from. ``revision`` is the commit on the hub; ``order`` is where
    arousal, dominance and valence are in its output."""

    path: Path
    name: str
    revision: str = ""
    licence: str = ""
    order: tuple[int, int, int] = (0, 1, 2)

    def facts(self) -> dict[str, Any]:
        """What ``model.json`` keeps of it."""
        found = {"source": self.name, "sha256": sha256(self.path)}
        return found | ({"revision": self.revision} if self.revision else {})


def sha256(path: Path) -> str:
    """The hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def order_of(text: str) -> tuple[int, int, int]:
    """Where arousal, dominance and valence are in an output that is named in its own order.

    >>> order_of("valence,arousal,dominance")
    (1, 2, 0)
    """
    names = [name.strip() for name in text.split(",")]
    if sorted(names) != sorted(DIMENSIONS):
        raise W2sError(
            f"{text!r} is no order of the answers", f"for example {','.join(DIMENSIONS)}"
        )
    arousal, dominance, valence = (names.index(name) for name in DIMENSIONS)
    return arousal, dominance, valence


def speech() -> list[Pcm]:
    """What students are compared on: the shipped clips, and real voices where the research data
    are there."""
    real: list[Pcm] = []
    if paths.research_data():
        voices = manifest.research().select("dev")
        rows = voices.rows[:: max(1, len(voices) // RESEARCH_CLIPS)]
        real = [read_clip(voices.file(row)).pcm for row in rows]
    return conversion.shipped_speech() + real


def import_checkpoint(source: Source, folder: Path, say: Say = print) -> dict[str, Any]:
    """Weights by the names of the released checkpoint, safetensors or a PyTorch state dict.

    Returns what was written to ``model.json``. Raises :class:`W2sError` when they are not of
    Wav2Small, for another front end, or when the student does not answer as PyTorch does.
    """
    state = checkpoint.read(source.path)
    architecture, checked = checkpoint.check(state)
    if len(checked) < len(checkpoint.FRONT_END):
        say("the checkpoint holds no frozen front end: ours stands in for it")
    complete = {n: ours().astype(np.float32) for n, ours in checkpoint.FRONT_END.items()} | state
    say(f"Wav2Small {architecture}; comparing with PyTorch")
    clips = speech()
    theirs = checkpoint.torch_layers(architecture, complete, clips)
    model = checkpoint.to_student(_reordered(state, source.order), architecture)
    content = conversion.convert_float(model)
    expected = np.stack([layers["adv"] for layers in theirs])[:, source.order]
    difference, worst = apart(expected, [_answer(content, pcm) for pcm in clips])
    if difference > TOLERANCE:
        raise W2sError(
            f"the student is {difference:.2g} off PyTorch, from "
            f"{_first_layer(model, clips[worst], theirs[worst])} on",
            f"at most {TOLERANCE:g} is rounding: the network differs from Wav2Small {architecture}",
        )
    found = {
        "from": "checkpoint",
        "runtime": f"torch {importlib.metadata.version('torch')}",
        "difference": difference,
        "clips": len(clips),
        "front_end": "compared: " + ", ".join(name.split(".")[-2] for name in checked)
        if checked
        else "not in the checkpoint",
    }
    return _write(folder, source, architecture, content, found, model)


def _first_layer(model: Any, pcm: Pcm, theirs: dict[str, NDArray[np.float32]]) -> str:
    rows = reference.logmel(pcm).astype(np.float32)
    ours = {name: np.asarray(value)[0] for name, value in student.taps(model)(rows[None]).items()}
    for name in ("logmel", *student.LAYERS):
        value = rows if name == "logmel" else ours[name]
        error = np.abs(value.reshape(-1) - theirs[name].reshape(-1)).max()
        # A quiet band of float32 log-mel is worth some thousandths of a dB.
        if error > (1e-2 if name == "logmel" else 1e-3 * max(1.0, float(np.abs(value).max()))):
            return f"layer '{name}'"
    return "the attention or the head"


def _reordered(state: checkpoint.State, order: Sequence[int]) -> checkpoint.State:
    return state | {name: state[name][list(order)] for name in ("adv.weight", "adv.bias")}


def import_onnx(
    source: Source, folder: Path, seconds: float | None = None, say: Say = print
) -> dict[str, Any]:
    """A student as ONNX.

    onnx2tf converts it, and its result is compared with onnxruntime. Whatever came of that, a graph
    that is Wav2Small gives its weights to our student, which is held to the same bound and can go
    to the device; another one is kept as a ``float.tflite`` for the host, if onnx2tf got it right,
    of ``seconds`` of audio. Returns what was written to ``model.json``. Raises :class:`W2sError`
    saying where the graphs part.
    """
    onnx = OnnxSource(source.path)
    try:
        readings = recognise.read(onnx)
    except recognise.NotWav2SmallError as error:
        say(f"not Wav2Small: {error}")
        readings = []
    length = onnx.entry.samples
    clips = [np.resize(pcm, length) for pcm in speech()] if length else speech()
    say(f"asking onnxruntime for {len(clips)} clips")
    found: dict[str, Any] = {
        "from": "onnx",
        "runtime": f"onnxruntime {importlib.metadata.version('onnxruntime')}",
    }
    if not readings:
        return _host_only(onnx, source, folder, seconds, found, say)
    for reading in readings:
        checkpoint.check_front_end(reading.state)
    try:
        found["onnx2tf"] = _tried(onnx, clips[0], say)
    except W2sError as error:
        found["onnx2tf"] = error.message
    say(
        f"{found['onnx2tf']}; the weights go onto our student, Wav2Small {readings[0].architecture}"
    )
    expected = np.stack([onnx.answer(pcm) for pcm in clips])[:, source.order]
    nearest: tuple[float, bytes] = (np.inf, b"")
    for reading in readings:
        state = _reordered(reading.state, source.order)
        model = checkpoint.to_student(state, checkpoint.architecture_of(state))
        content = conversion.convert_float(model)
        difference, _ = apart(expected, [_answer(content, pcm) for pcm in clips])
        if difference <= TOLERANCE:
            found |= {"difference": difference, "clips": len(clips), "layout": reading.layout}
            return _write(folder, source, reading.architecture, content, found, model)
        nearest = min(nearest, (difference, content), key=lambda pair: pair[0])
    raise W2sError(
        f"the student is {nearest[0]:.2g} off onnxruntime: "
        f"{through_onnx2tf.parting(onnx, nearest[1], clips[0])}",
        f"at most {TOLERANCE:g} is rounding: the graph is not quite Wav2Small",
    )


def _tried(onnx: OnnxSource, pcm: Pcm, say: Say) -> str:
    """What onnx2tf makes of a graph that we can read without it, in words."""
    say("converting with onnx2tf")
    content = through_onnx2tf.convert(onnx, pcm)
    difference, _ = apart(onnx.answer(pcm)[None], [_answer(content, pcm, onnx)])
    if difference <= TOLERANCE:
        return f"{through_onnx2tf.version()} agrees with onnxruntime to {difference:.2g}"
    where = through_onnx2tf.parting(onnx, content, pcm)
    return f"{through_onnx2tf.version()} is {difference:.2g} off onnxruntime, {where}"


def _host_only(
    onnx: OnnxSource,
    source: Source,
    folder: Path,
    seconds: float | None,
    found: dict[str, Any],
    say: Say,
) -> dict[str, Any]:
    samples = onnx.entry.samples or round((seconds or WINDOW_SECONDS) * reference.SAMPLE_RATE)
    clips = [np.resize(pcm, samples) for pcm in speech()]
    say(f"converting with onnx2tf for windows of {samples / reference.SAMPLE_RATE:.2f} s")
    content = through_onnx2tf.convert(onnx, clips[0])
    expected = np.stack([onnx.answer(pcm) for pcm in clips])
    difference, worst = apart(expected, [_answer(content, pcm, onnx) for pcm in clips])
    if difference > TOLERANCE:
        raise W2sError(
            f"what {through_onnx2tf.version()} made is {difference:.2g} off onnxruntime, "
            f"{through_onnx2tf.parting(onnx, content, clips[worst])}",
            "the graph is not Wav2Small, whose weights could be read without onnx2tf: "
            "export it differently (another opset, other names for its axes)",
        )
    file = tflite_file.read(content)
    named = {index: "adv" for index in file.outputs if np.prod(file.tensors[index].shape) == 3}
    content = tflite_file.with_metadata(content, {}, named)
    found |= {
        "difference": difference,
        "clips": len(clips),
        "onnx2tf": through_onnx2tf.version(),
        "hears": onnx.entry.hears,
        "window_seconds": samples / reference.SAMPLE_RATE,
    }
    return _write(folder, source, HOST_ONLY, content, found)


def _answer(content: bytes, pcm: Pcm, onnx: OnnxSource | None = None) -> NDArray[np.float32]:
    """What a float .tflite answers to a clip: one of ours, or one that onnx2tf made of ``onnx``."""
    if onnx is None:
        outputs = interpret(
            content, reference.logmel(pcm)[None].astype(np.float32), kernels=OPTIMISED
        )
        return np.asarray(outputs["adv"][0], np.float32)
    x = onnx.entry.fill(pcm)
    (entry,) = Interpreter(model_content=content).get_input_details()
    outputs = interpret(content, x.reshape(entry["shape"]), kernels=OPTIMISED)
    return next(np.asarray(v, np.float32).reshape(3) for v in outputs.values() if np.size(v) == 3)


def apart(
    expected: NDArray[np.float32], answers: Sequence[NDArray[np.float32]]
) -> tuple[float, int]:
    """Largest difference of answers, (K, 3), as a share of the largest one where that is beyond 1,
    and the clip that it is in."""
    errors = np.abs(np.stack(answers) - expected).max(axis=1)
    if not np.isfinite(errors).all():
        return float("inf"), int(np.argmax(~np.isfinite(errors)))
    return float(errors.max() / max(1.0, float(np.abs(expected).max()))), int(errors.argmax())


def _write(
    folder: Path,
    source: Source,
    architecture: str,
    content: bytes,
    found: dict[str, Any],
    model: Any = None,
) -> dict[str, Any]:
    """The model folder, in one piece: it is there whole or not at all."""
    facts: dict[str, Any] = {
        "name": folder.name,
        "architecture": architecture,
        "normalisation": ["utterance"],
        "licence": source.licence,
        "imported": source.facts() | found,
    }
    if model is None and source.order != (0, 1, 2):
        facts["order"] = list(source.order)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        made.chmod(0o755)
        (made / "float.tflite").write_bytes(content)
        if model is not None:
            model.save_weights(made / "student.weights.h5")
        (made / "model.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        (made / "README.md").write_text(card(facts), encoding="utf-8")
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    # Once more as everybody else will read it.
    FloatEngine(Model(folder)).run(speech_probe())
    return facts


def speech_probe() -> Pcm:
    """One shipped clip."""
    return conversion.shipped_speech()[0]


def card(facts: dict[str, Any]) -> str:
    """The beginning of a model card, with what is known and what is to be filled in."""
    imported = facts["imported"]
    whole = facts["architecture"] != HOST_ONLY
    kind = f"Wav2Small {facts['architecture']}" if whole else "Another network, for the host alone"
    then = f"    w2s convert --model {facts['name']}\n" if whole else ""
    licence = facts["licence"] or "**to be filled in**, here and in `model.json`"
    return f"""# {facts["name"]}

{kind}, imported from {imported["source"]} (SHA-256 {imported["sha256"]}).

Licence of the weights, and of the speech behind them: {licence}

Over {imported["clips"]} clips its answers are within {imported["difference"]:.1g} of those of
{imported["runtime"]}.

{then}    w2s evaluate {facts["name"]} --card
"""


def free_folder(folder: Path) -> Path:
    """``folder``, which must not be there. Raises :class:`W2sError` when it is."""
    if folder.exists():
        raise W2sError(f"{folder} is there already", "give another --name, or delete it first")
    return folder


def with_hub(name: str, revision: str | None, source: Source) -> Source:
    """``source`` with the file of a model on the hub."""
    from wav2small_micro.importing import hub

    fetched = hub.fetch(name, revision)
    return replace(
        source,
        path=fetched.path,
        name=f"{name} on the hub",
        revision=fetched.revision,
        licence=source.licence or fetched.licence,
    )
