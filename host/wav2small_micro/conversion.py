# SPDX-License-Identifier: Apache-2.0
"""From trained weights to ``float.tflite`` and ``int8.tflite``, each compared with its source at
once.

The float file is the whole student, log-mel to A/D/V. The int8 file ends at ``lin`` and ``sof``: a
softmax over time in int8 rounds most weights to nothing, so the attention pool and the head run
behind the graph, from facts kept in its metadata. Needs tensorflow, as the converter lives there.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wav2small_micro import (
    attention,
    golden,
    native,
    plan,
    reference,
    student,
    tflite_file,
)
from wav2small_micro.audio import read_clip
from wav2small_micro.data import manifest
from wav2small_micro.engines.tflite import interpret
from wav2small_micro.errors import W2sError
from wav2small_micro.paths import repo_root, research_data

FRAMES = 499
"""Frames that the int8 file is stored with: one second. See ``tflite_file.with_frames``."""

FLOAT_TOLERANCE = 1e-5
"""Largest difference of A/D/V between float.tflite and Keras."""

LAYER_TOLERANCE = 0.25
"""Largest RMS error of a layer's int8 rows, in standard deviations of the float rows. Rounding
alone leaves 0.02 at l1 and 0.1 behind seven layers; a wrong weight, multiplier or pool leaves 0.5
and more."""

ANSWER_TOLERANCE = 0.03
"""Largest difference of A/D/V between int8 and float over whole clips."""

LARGEST_FACTOR = 8.0
"""Bound on what equalisation scales a channel by: one that hardly ever fires is left small."""

READERS = (*((f"{name}_conv",) for name in student.CONVOLUTIONS[1:]), ("lin", "sof"))
"""The layers that read the output of each convolution."""

INT8_OPERATORS = {"CONV_2D", "MAX_POOL_2D", "PAD", "RESHAPE"}

Rows = NDArray[np.float32]
Pcm = NDArray[np.int16]


def shipped_speech() -> list[Pcm]:
    """The clips of the tests: synthetic voices, among them a whisper and one in noise."""
    paths = sorted((repo_root() / "tests" / "clips").glob("*.flac"))
    return [read_clip(path).pcm for path in paths]


def research_speech(split: str) -> list[Pcm]:
    """Real voices of one side of the research data; none where those are not."""
    if research_data() is None:
        return []
    found = manifest.research().select(split)
    return [read_clip(found.file(row)).pcm for row in found.rows]


def calibration_rows(sources: Sequence[list[Pcm]], count: int = 480, seed: int = 7) -> list[Rows]:
    """``count`` pieces of log-mel, (499, 26), half under each normalisation, from clips of a second
    or more. The sources (those that are not empty) take turns, so that voices unlike the many are
    within the ranges too."""
    long_enough = [
        clips
        for source in sources
        if (clips := [pcm for pcm in source if reference.frame_count(len(pcm)) >= FRAMES])
    ]
    if not long_enough:
        raise W2sError("there is no speech to calibrate on", "set W2S_DATA to the research data")
    rng = np.random.default_rng(seed)
    pieces = []
    for number in range(count):
        clips = long_enough[number // 2 % len(long_enough)]
        rows = native.logmel(clips[rng.integers(len(clips))], reference.NORMS[number % 2])
        # The start belongs in it: there the running variance of live normalisation still moves.
        start = 0 if number % 8 in (1, 3) else rng.integers(len(rows) - FRAMES + 1)
        pieces.append(rows[start : start + FRAMES])
    return pieces


def input_quantisation(largest_db: float) -> tuple[float, int]:
    """Scale (dB) and zero point that put -100 dB on -128 and ``largest_db`` on at most 127, 0 dB
    being exact.

    >>> scale, zero = input_quantisation(20.0)
    >>> round(scale * (-128 - zero), 6), scale * (127 - zero) >= 20.0
    (-100.0, True)
    """
    zero = int(
        np.floor((127 * -reference.FLOOR_DB - 128 * largest_db) / (largest_db - reference.FLOOR_DB))
    )
    return -reference.FLOOR_DB / (128 + zero), zero


def _tensorflow() -> Any:
    try:
        import tensorflow
    except ImportError as error:
        raise W2sError("conversion needs tensorflow", "pip install -e '.[train]'") from error
    if keras.backend.backend() != "tensorflow":
        raise W2sError("conversion needs Keras on tensorflow", "set KERAS_BACKEND=tensorflow")
    return tensorflow


def _converter(model: Any, shape: Sequence[int | None]) -> Any:
    tf = _tensorflow()

    def call(x: Any) -> Any:
        return model(x, training=False)

    function = tf.function(call, input_signature=[tf.TensorSpec(shape, tf.float32, name="input")])
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])


def _layer_names(file: tflite_file.TfliteFile) -> dict[int, str]:
    """Names for the tensors of the trunk, from the order of its operators; ``lin`` and ``sof`` by
    their weights."""
    names = {file.inputs[0]: "input"}
    convolutions = iter(student.CONVOLUTIONS)
    for operator in file.operators:
        target = operator.outputs[0]
        if operator.name == "MAX_POOL_2D":
            names[target] = "pool"
        elif operator.name in ("PAD", "PADV2"):
            names[target] = "pool_pad"
        elif operator.name == "CONV_2D":
            weights = file.tensors[operator.inputs[1]].name
            head = re.search(r"/(lin|sof)(_\d+)?/", weights)
            names[target] = head[1] if head else next(convolutions, "")
        for index, role in zip(operator.inputs[1:], ("weights", "bias"), strict=False):
            if target in names and file.tensors[index].data is not None:
                names[index] = f"{names[target]}/{role}"
    missing = set(student.LAYERS) - set(names.values())
    if missing:
        raise W2sError(f"the converter made no operator for: {', '.join(sorted(missing))}")
    return names


def convert_float(model: Any) -> bytes:
    """The whole student as a float32 .tflite: log-mel dB (1, T, 26), T free, to A/D/V (1, 3)."""
    content = _converter(model, (1, None, reference.BANDS)).convert()
    file = tflite_file.read(content)
    names = _layer_names(file) | {file.outputs[0]: "adv"}
    return tflite_file.with_metadata(content, {}, names)


def equalise(model: Any, rows: list[Rows]) -> Any:
    """A student that answers the same, whose channels all fill the range of their layer.

    int8 activations have one scale a layer: a channel with a third of the range has a third of the
    steps. Behind a ReLU a channel may be scaled by any positive factor that the weights reading it
    divide by. Cross-layer equalisation, after Nagel et al., "Data-free quantization through weight
    equalization and bias correction", ICCV 2019, with ranges of activations in place of weights.
    """
    layers = [_float_layers(model, piece) for piece in rows]
    twin = student.build("72k" if model.get_layer("lin").filters == 169 else "17k")
    twin.set_weights(model.get_weights())
    for name, readers in zip(student.CONVOLUTIONS, READERS, strict=True):
        ranges = np.max([layer[name].max(axis=(0, 1, 2)) for layer in layers], axis=0)
        factor = np.clip(ranges.max() / np.maximum(ranges, 1e-6), 1, LARGEST_FACTOR)
        norm = twin.get_layer(f"{name}_norm")
        gamma, beta, mean, variance = norm.get_weights()
        norm.set_weights([gamma * factor, beta * factor, mean, variance])
        for reader in readers:
            kernel, *bias = twin.get_layer(reader).get_weights()
            twin.get_layer(reader).set_weights([kernel / factor[:, None], *bias])
    return twin


def convert_int8(model: Any, facts: dict[str, Any], rows: list[Rows], typical: list[Rows]) -> bytes:
    """The split student as an int8 .tflite: rows (1, 499, 26, 1) to ``lin`` and ``sof``, calibrated
    on ``rows``.

    ``facts`` are those of ``model.json``; on ``typical`` rows the channels keep their means. -100
    dB is exactly -128 and 0 dB, the padding, exactly the zero point.
    """
    tf = _tensorflow()
    scale, zero = input_quantisation(max(float(piece.max()) for piece in rows))
    highest = scale * (127 - zero)
    loudest = max(range(len(rows)), key=lambda i: float(rows[i].max()))

    def representative() -> Iterator[list[Rows]]:
        for number, piece in enumerate(rows):
            if number == loudest:
                # The converter takes the input's range from what it sees: show it the exact end
                # of the range, less than a step away.
                piece = np.where(piece == piece.max(), np.float32(highest), piece)
            yield [piece[None, :, :, None]]

    converter = _converter(student.split(model), (1, FRAMES, reference.BANDS, 1))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
        content = converter.convert()
    kernel, bias = (np.asarray(value, np.float64) for value in model.get_layer("adv").get_weights())
    metadata = {
        "version": 1,
        "architecture": facts["architecture"],
        "name": facts["name"],
        "head": {"weight": kernel.T.tolist(), "bias": bias.tolist()},
        "normalisation": facts["normalisation"],
    }
    names = _layer_names(tflite_file.read(content))
    content = _with_facts(content, metadata, names)
    return correct_head(correct_biases(content, model, typical), model, typical)


def _with_facts(
    content: bytes, facts: dict[str, Any], names: dict[int, str] | None = None
) -> bytes:
    text = json.dumps(facts, separators=(",", ":"), sort_keys=True).encode()
    return tflite_file.with_metadata(content, {tflite_file.METADATA: text}, names)


@lru_cache(maxsize=4)
def _taps(model: Any) -> Any:
    """Every layer of a model, as a graph that is made once."""
    taps = student.taps(model)
    return _tensorflow().function(lambda rows: taps(rows, training=False), reduce_retracing=True)


def _float_layers(model: Any, rows: Rows) -> dict[str, NDArray[np.float32]]:
    layers = _taps(model)(rows[None])
    return {name: keras.ops.convert_to_numpy(layers[name]) for name in student.LAYERS}


def _input_steps(file: tflite_file.TfliteFile, rows: Rows) -> NDArray[np.int8]:
    entry = file.tensors[file.inputs[0]]
    steps = np.rint(rows / np.float32(entry.scale)) + entry.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


def _int8_layers(content: bytes, rows: Rows) -> dict[str, NDArray[np.float32]]:
    """Every layer of the int8 graph in real numbers, computed by the reference kernels."""
    file = tflite_file.read(content)
    outputs = interpret(content, _input_steps(file, rows)[None, :, :, None], every_tensor=True)
    by_name = {tensor.name: tensor for tensor in file.tensors}
    return {
        name: (outputs[name].astype(np.float32) - by_name[name].zero_point)
        * np.float32(by_name[name].scale)
        for name in student.LAYERS
    }


def correct_biases(content: bytes, model: Any, rows: list[Rows]) -> bytes:
    """The same int8 model with the mean error of every channel taken out of its bias, layer after
    layer.

    Rounded weights shift the mean of what they are summed over, and the 17K's X X^T squares such
    shifts. Empirical bias correction of Nagel et al., "Data-free quantization through weight
    equalization and bias correction", ICCV 2019, appendix D.
    """
    targets = [_float_layers(model, piece) for piece in rows]
    for names in (*((name,) for name in student.CONVOLUTIONS), ("lin", "sof")):
        found = [_int8_layers(content, piece) for piece in rows]
        for name in names:
            pairs = zip(found, targets, strict=True)
            error = np.mean([(t[name] - f[name]).mean(axis=(0, 1, 2)) for f, t in pairs], axis=0)
            tensors = tflite_file.read(content).tensors
            bias = next(tensor for tensor in tensors if tensor.name == f"{name}/bias")
            steps = np.rint(error / bias.scales).astype(np.int32)
            content = tflite_file.with_constant(content, bias.index, partial(np.add, steps))
    return content


def _device_answer(content: bytes, device: plan.Plan, x: NDArray[np.int8]) -> NDArray[np.float64]:
    """A/D/V of input rows (T, 26): the reference kernels, then pool and head in integers."""
    outputs = interpret(content, x[None, :, :, None])
    lin, sof = (outputs[name].reshape(-1, 169) for name in ("lin", "sof"))
    return attention.pool(lin, sof, device) / 65536


def correct_head(content: bytes, model: Any, rows: list[Rows]) -> bytes:
    """The same int8 model with the mean error of its answers taken out of the bias of its head."""
    device = plan.read(content)
    error = np.zeros(3)
    for piece in rows:
        x = _input_steps(tflite_file.read(content), piece)
        expected = keras.ops.convert_to_numpy(model(piece[None], training=False))[0]
        error += (expected - _device_answer(content, device, x)) / len(rows)
    facts = tflite_file.read(content).wav2small
    facts["head"]["bias"] = (np.array(facts["head"]["bias"]) + error).tolist()
    return _with_facts(content, facts)


def check_float(content: bytes, model: Any, rows: Rows) -> float:
    """Largest difference of A/D/V between a float .tflite and Keras for log-mel (T, 26).

    Raises :class:`W2sError` naming the first layer that differs when it exceeds 1e-5.
    """
    expected = np.asarray(model(rows[None], training=False))
    outputs = interpret(content, rows[None], every_tensor=True)
    worst = float(np.abs(outputs["adv"] - expected).max())
    if worst <= FLOAT_TOLERANCE:
        return worst
    broken = "head"
    for name, layer in _float_layers(model, rows).items():
        if np.abs(outputs[name] - layer).max() > 1e-4 * max(1.0, float(np.abs(layer).max())):
            broken = name
            break
    raise W2sError(
        f"float.tflite differs from Keras by {worst:.2g}, from layer '{broken}' on",
        "the converter changed the graph: compare its version with the one in model.json",
    )


def check_int8(content: bytes, model: Any, rows: Rows) -> dict[str, float]:
    """RMS error of each int8 layer against Keras, in standard deviations of the layer, for log-mel
    (T, 26).

    Raises :class:`W2sError` for an operator or a zero point that the device does not have, and
    naming the first layer that is further off than :data:`LAYER_TOLERANCE`.
    """
    file = tflite_file.read(content)
    for operator in file.operators:
        if operator.name not in INT8_OPERATORS:
            output = file.tensors[operator.outputs[0]]
            raise W2sError(
                f"operator {operator.name} at '{output.name}' is not one that the device runs",
                f"the split graph may hold {', '.join(sorted(INT8_OPERATORS))}",
            )
    for operator in file.operators:
        output = file.tensors[operator.outputs[0]]
        if operator.options.get("activation") == "RELU" and output.zero_point != -128:
            raise W2sError(
                f"layer '{output.name}' has zero point {output.zero_point}, not -128",
                "its ReLU is not fused: the layer may be dead, train longer",
            )
    errors = {}
    found = _int8_layers(content, rows)
    for name, layer in _float_layers(model, rows).items():
        rms = float(np.sqrt(np.mean((found[name] - layer) ** 2)))
        errors[name] = rms / max(float(layer.std()), 1e-6)
        if errors[name] > LAYER_TOLERANCE:
            raise W2sError(
                f"int8 layer '{name}' is off by {errors[name]:.2f} of its spread",
                f"at most {LAYER_TOLERANCE} is rounding: calibrate on more speech, or train longer",
            )
    return errors


def check_answers(content: bytes, model: Any, clips: list[Pcm]) -> float:
    """Largest difference of A/D/V between int8, with the integer pool and head, and Keras over
    whole clips, under both normalisations. Raises :class:`W2sError` when it exceeds
    :data:`ANSWER_TOLERANCE`."""
    device = plan.read(content)
    worst = 0.0
    for pcm in clips:
        for norm in reference.NORMS:
            answer = _device_answer(content, device, native.input_rows(device, pcm, norm))
            rows = reference.logmel(pcm, norm).astype(np.float32)
            worst = max(worst, float(np.abs(answer - np.asarray(model(rows[None]))[0]).max()))
    if worst > ANSWER_TOLERANCE:
        raise W2sError(
            f"int8 answers are off by {worst:.3f}, more than {ANSWER_TOLERANCE}",
            "train longer or with more weight decay: large weights do not survive rounding",
        )
    return worst


def convert(folder: Path) -> dict[str, Any]:
    """Writes ``float.tflite``, ``int8.tflite`` and ``golden.npz`` into a model folder.

    Calibrates on training speakers and checks on others (those of the research data, if they are
    there). Returns the figures, which go into ``model.json`` as well. Raises :class:`W2sError`,
    leaving the folder as it was, when a check fails.
    """
    path = folder / "model.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    if facts["architecture"] not in student.ARCHITECTURES:
        raise W2sError(
            f"{folder} is not Wav2Small: it runs on the host alone, by the engine float",
            f"the device runs {' and '.join(student.ARCHITECTURES)}",
        )
    model = student.load(folder, facts["architecture"])
    seen, shipped = research_speech("train"), shipped_speech()
    rows = calibration_rows([seen, shipped])
    typical = calibration_rows([seen or shipped], count=40)
    floating = convert_float(model)
    level = equalise(model, rows)
    int8 = convert_int8(level, facts, rows, typical)
    unseen = research_speech("dev")
    clips = unseen[:: max(1, len(unseen) // 20)] + shipped
    probe = native.logmel(clips[0])
    figures = {
        "float_error": max(check_float(floating, model, piece) for piece in (probe, probe[:33])),
        "layer_errors": {k: round(v, 4) for k, v in check_int8(int8, level, probe).items()},
        "answer_error": round(check_answers(int8, model, clips), 4),
        "answer_clips": len(clips),
        "calibration": "training speakers of the research data and tests/clips"
        if unseen
        else "tests/clips",
    }
    (folder / "float.tflite").write_bytes(floating)
    (folder / "int8.tflite").write_bytes(int8)
    golden.write(folder)
    facts["conversion"] = figures
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return figures
