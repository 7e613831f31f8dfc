# SPDX-License-Identifier: Apache-2.0
"""From trained weights to ``float.tflite`` and ``int8.tflite``, each compared with its source at once.

The float file is the whole student, log-mel to A/D/V. The int8 file ends at ``lin`` and ``sof``: a softmax over time in
int8 rounds most weights to nothing, so the attention pool and the head run behind the graph, from facts kept in
its metadata. Needs tensorflow, as the converter lives there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import dataset, reference, student, tflite_file
from wav2small_micro.errors import W2sError
from wav2small_micro.paths import repo_root, research_data

FRAMES = 499
"""Frames that the int8 file is stored with: one second. See ``tflite_file.with_frames``."""

FLOAT_TOLERANCE = 1e-5
"""Largest difference of A/D/V between float.tflite and Keras."""

LAYER_TOLERANCE = 0.1
"""Largest RMS error of a layer's int8 rows, in RMS of the float rows: int8 and seven layers of rounding leave
0.01 to 0.05; a wrong weight, multiplier or pool leaves 0.3 and more."""

INT8_OPERATORS = {"CONV_2D", "MAX_POOL_2D", "PAD", "RESHAPE"}

Rows = NDArray[np.float32]


def calibration_rows(count: int = 120, seed: int = 7) -> list[Rows]:
    """Real speech to calibrate on: ``count`` pieces of log-mel, (499, 26), half under each normalisation.

    From the training speakers of the research data, or from the clips of the tests where those are not.
    """
    if research_data():
        clips = [clip.pcm for clip in dataset.load("train")]
    else:
        from wav2small_micro.audio import read_clip

        clips = [read_clip(path).pcm for path in sorted((repo_root() / "tests/clips").glob("*.wav"))]
    samples = reference.HOP * FRAMES + reference.HOP
    clips = [pcm for pcm in clips if len(pcm) >= samples]
    if not clips:
        raise W2sError("there is no speech of a second or more to calibrate on", "set W2S_DATA")
    rng = np.random.default_rng(seed)
    pieces = []
    for number in range(count):
        pcm = clips[rng.integers(len(clips))]
        rows = reference.logmel(pcm, reference.NORMS[number % 2])
        # The start belongs in it: there the running variance of live normalisation still moves.
        start = 0 if number % 4 == 1 else rng.integers(len(rows) - FRAMES + 1)
        pieces.append(rows[start : start + FRAMES].astype(np.float32))
    return pieces


def input_quantisation(largest_db: float) -> tuple[float, int]:
    """Scale (dB) and zero point that put -100 dB on -128 and ``largest_db`` on at most 127, 0 dB being exact.

    >>> scale, zero = input_quantisation(20.0)
    >>> round(scale * (-128 - zero), 6), scale * (127 - zero) >= 20.0
    (-100.0, True)
    """
    zero = int(np.floor((127 * -reference.FLOOR_DB - 128 * largest_db) / (largest_db - reference.FLOOR_DB)))
    return -reference.FLOOR_DB / (128 + zero), zero


def _tensorflow() -> Any:
    try:
        import keras
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
    """Names for the tensors of the trunk, from the order of its operators; ``lin`` and ``sof`` by their weights."""
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


def convert_int8(model: Any, facts: dict[str, Any], rows: list[Rows]) -> bytes:
    """The split student as an int8 .tflite: rows (1, 499, 26, 1) to ``lin`` and ``sof``, calibrated on ``rows``.

    ``facts`` are those of ``model.json``. -100 dB is exactly -128 and 0 dB, the padding, exactly the zero point.
    """
    tf = _tensorflow()
    scale, zero = input_quantisation(max(float(piece.max()) for piece in rows))
    highest = scale * (127 - zero)
    loudest = max(range(len(rows)), key=lambda i: float(rows[i].max()))

    def representative() -> Iterator[list[Rows]]:
        for number, piece in enumerate(rows):
            if number == loudest:
                # The converter takes the input's range from what it sees: show it the exact end, less than a step away.
                piece = np.where(piece == piece.max(), np.float32(highest), piece)
            yield [piece[None, :, :, None]]

    converter = _converter(student.split(model), (1, FRAMES, reference.BANDS, 1))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content = converter.convert()
    kernel, bias = (np.asarray(value, np.float64) for value in model.get_layer("adv").get_weights())
    metadata = {
        "version": 1,
        "architecture": facts["architecture"],
        "name": facts["name"],
        "head": {"weight": kernel.T.tolist(), "bias": bias.tolist()},
        "normalisation": facts["normalisation"],
    }
    text = json.dumps(metadata, separators=(",", ":"), sort_keys=True).encode()
    names = _layer_names(tflite_file.read(content))
    return tflite_file.with_metadata(content, {tflite_file.METADATA: text}, names)
