# SPDX-License-Identifier: Apache-2.0
"""Conversion of a random student: exact in float, near in int8, and checks that bite."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="conversion is not installed: pip install -e '.[train]'")

from hypothesis import given
from hypothesis import strategies as st
from support.students import randomise

from wav2small_micro import conversion, reference, student, tflite_file
from wav2small_micro.engines.tflite import interpret
from wav2small_micro.errors import W2sError

FACTS = {"name": "random", "architecture": "17k", "normalisation": ["utterance", "live"]}


@pytest.fixture(scope="module")
def rows() -> list[np.ndarray]:
    return conversion.calibration_rows([conversion.shipped_speech()], count=12)


@pytest.fixture(scope="module")
def model() -> Any:
    return randomise(student.build("17k"))


@pytest.fixture(scope="module")
def level(model: Any, rows: list[np.ndarray]) -> Any:
    return conversion.equalise(model, rows)


@pytest.fixture(scope="module")
def floating(model: Any) -> bytes:
    return conversion.convert_float(model)


@pytest.fixture(scope="module")
def int8(level: Any, rows: list[np.ndarray]) -> bytes:
    return conversion.convert_int8(level, FACTS, rows, rows[:4])


def perturbed(content: bytes, name: str) -> bytes:
    """The same file with the weights of one layer negated."""
    tensors = tflite_file.read(content).tensors
    weights = next(tensor for tensor in tensors if tensor.name == f"{name}/weights")
    return tflite_file.with_constant(content, weights.index, np.negative)


@given(st.floats(0, 80))
def test_input_range_starts_at_the_floor(largest: float) -> None:
    scale, zero = conversion.input_quantisation(largest)
    assert scale * (-128 - zero) == pytest.approx(-100)
    assert largest <= scale * (127 - zero) + 1e-9
    assert scale * (126 - zero) < largest + scale


def test_calibration_takes_turns(rows: list[np.ndarray]) -> None:
    assert all(piece.shape == (499, 26) for piece in rows)
    assert all(piece.min() >= -100 for piece in rows)
    with pytest.raises(W2sError, match="no speech to calibrate on"):
        conversion.calibration_rows([[], [np.zeros(100, np.int16)]])


def test_equalised_student_answers_the_same(model: Any, level: Any, rows: list[np.ndarray]) -> None:
    expected, found = (np.asarray(net(rows[0][None], training=False)) for net in (model, level))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    layers = conversion._float_layers(level, rows[0])
    ranges = layers["l4"].max(axis=(0, 1, 2))
    assert np.median(ranges) > 0.4 * ranges.max()


@pytest.mark.parametrize("frames", [1, 2, 33, 499])
def test_float_file_is_keras(
    floating: bytes, model: Any, rows: list[np.ndarray], frames: int
) -> None:
    assert conversion.check_float(floating, model, rows[0][:frames]) <= 1e-5


@pytest.mark.parametrize("name", ["l1", "l4", "lin", "sof"])
def test_float_check_names_the_layer(
    floating: bytes, model: Any, rows: list[np.ndarray], name: str
) -> None:
    with pytest.raises(W2sError, match=f"from layer '{name}' on"):
        conversion.check_float(perturbed(floating, name), model, rows[0])


def test_int8_file(int8: bytes, level: Any, model: Any, rows: list[np.ndarray]) -> None:
    """Names, the input's range, metadata, and every layer near Keras."""
    file = tflite_file.read(int8)
    entry = file.tensors[file.inputs[0]]
    loudest = max(float(piece.max()) for piece in rows)
    assert (entry.scale, entry.zero_point) == pytest.approx(conversion.input_quantisation(loudest))
    assert set(student.LAYERS) <= {tensor.name for tensor in file.tensors}
    kernel, bias = model.get_layer("adv").get_weights()
    np.testing.assert_allclose(file.wav2small["head"]["weight"], kernel.T)
    np.testing.assert_allclose(file.wav2small["head"]["bias"], bias, atol=0.05)
    errors = conversion.check_int8(int8, level, rows[0])
    assert list(errors) == list(student.LAYERS)
    assert max(errors.values()) < conversion.LAYER_TOLERANCE / 2


@pytest.mark.parametrize("name", ["l2", "l5", "lin"])
def test_int8_check_names_the_layer(
    int8: bytes, level: Any, rows: list[np.ndarray], name: str
) -> None:
    with pytest.raises(W2sError, match=f"int8 layer '{name}' is off"):
        conversion.check_int8(perturbed(int8, name), level, rows[0])


def test_whole_graph_in_int8_is_refused(
    floating: bytes, level: Any, rows: list[np.ndarray]
) -> None:
    with pytest.raises(W2sError, match=r"operator [A-Z_]+ at .* is not one that the device runs"):
        conversion.check_int8(floating, level, rows[0])


def test_bias_correction_keeps_the_means(int8: bytes, level: Any, rows: list[np.ndarray]) -> None:
    """A bias that is off by a step of the output comes back."""
    bias = next(t for t in tflite_file.read(int8).tensors if t.name == "l3/bias")
    shifted = tflite_file.with_constant(int8, bias.index, lambda old: old + 300)
    corrected = conversion.correct_biases(shifted, level, rows[:4])

    def off(content: bytes) -> float:
        found, expected = (
            conversion._int8_layers(content, rows[0]),
            conversion._float_layers(level, rows[0]),
        )
        return float(np.abs((found["l3"] - expected["l3"]).mean(axis=(0, 1, 2))).max())

    assert off(corrected) < off(shifted) / 2


def test_answers_outside_the_bound_are_refused(
    int8: bytes, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "ANSWER_TOLERANCE", 0.0)
    with pytest.raises(W2sError, match="int8 answers are off by"):
        conversion.check_answers(int8, model, conversion.shipped_speech()[:1])


@pytest.mark.slow
def test_conversion_is_deterministic(
    int8: bytes, level: Any, rows: list[np.ndarray], floating: bytes, model: Any
) -> None:
    assert conversion.convert_int8(level, FACTS, rows, rows[:4]) == int8
    assert conversion.convert_float(model) == floating


def test_layers_of_the_float_file_have_their_names(floating: bytes) -> None:
    rows = np.full((1, 9, 26), reference.FLOOR_DB, np.float32)
    assert set(student.LAYERS) <= set(interpret(floating, rows, every_tensor=True))


def test_missing_weights_stop_conversion(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"architecture": "17k"}')
    with pytest.raises(W2sError, match=r"student\.weights\.h5 does not exist"):
        conversion.convert(tmp_path)
