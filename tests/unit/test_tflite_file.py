# SPDX-License-Identifier: Apache-2.0
"""Reading and editing .tflite files, on the models that the project ships."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wav2small_micro import paths, tflite_file
from wav2small_micro.engines.tflite import interpret
from wav2small_micro.errors import W2sError

MODELS = paths.model_names()
INT8 = {name: (paths.model_dir(name) / "int8.tflite").read_bytes() for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_shipped_files_are_the_split_graph(name: str) -> None:
    file = tflite_file.read(INT8[name])
    facts = file.wav2small
    width = {"72k": (1, 169), "17k": (13, 13)}[facts["architecture"]]
    features = {"72k": 169, "17k": 338}[facts["architecture"]]
    assert facts["name"] == name
    assert np.shape(facts["head"]["weight"]) == (3, features)
    assert np.shape(facts["head"]["bias"]) == (3,)
    assert facts["normalisation"] == ["utterance", "live"]
    entry = file.tensors[file.inputs[0]]
    assert (entry.shape, entry.dtype) == ((1, 499, 26, 1), np.int8)
    assert (-128 - entry.zero_point) * entry.scale == pytest.approx(-100, abs=1e-4)
    for output in ("lin", "sof"):
        assert file.output(output).shape == (1, 250, *width)
    assert {operator.name for operator in file.operators} == {"CONV_2D", "PAD", "MAX_POOL_2D"}
    for operator in file.operators:
        if operator.options.get("activation") == "RELU":
            assert file.tensors[operator.outputs[0]].zero_point == -128
        if operator.name == "CONV_2D":
            weights = file.tensors[operator.inputs[1]]
            assert len(weights.scales) == weights.shape[0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("frames", [1, 2, 33, 500])
def test_with_frames_computes_the_shapes_that_the_interpreter_finds(name: str, frames: int) -> None:
    patched = tflite_file.read(tflite_file.with_frames(INT8[name], frames))
    x = np.zeros((1, frames, 26, 1), np.int8)
    found = interpret(INT8[name], x, every_tensor=True)
    for tensor in patched.tensors:
        if tensor.data is None:
            assert tensor.shape == found[tensor.name].shape, tensor.name
    assert patched.metadata == tflite_file.read(INT8[name]).metadata


def test_with_constant_changes_one_tensor() -> None:
    content = INT8[MODELS[0]]
    before = tflite_file.read(content)
    bias = next(tensor for tensor in before.tensors if tensor.name == "l4/bias")
    after = tflite_file.read(tflite_file.with_constant(content, bias.index, lambda old: old + 7))
    for old, new in zip(before.tensors, after.tensors, strict=True):
        if old.data is not None and new.data is not None:
            difference = new.data.astype(np.int64) - old.data
            assert (difference == (7 if old.index == bias.index else 0)).all()
    assert before.sha256 != after.sha256


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_cut_file_is_refused(data: st.DataObject) -> None:
    content = INT8[MODELS[0]]
    length = data.draw(st.integers(0, len(content) // 2))
    with pytest.raises(W2sError):
        tflite_file.read(content[:length])


def test_refusals(tmp_path: object) -> None:
    with pytest.raises(W2sError, match=r"not a \.tflite file"):
        tflite_file.read(b"RIFF0000WAVE")
    with pytest.raises(W2sError, match="cannot be read"):
        tflite_file.read("nowhere.tflite")
    with pytest.raises(W2sError, match="0 frames"):
        tflite_file.with_frames(INT8[MODELS[0]], 0)
    floating = (paths.model_dir(MODELS[0]) / "float.tflite").read_bytes()
    with pytest.raises(W2sError, match="no wav2small metadata"):
        _ = tflite_file.read(floating).wav2small
    with pytest.raises(W2sError, match="RESHAPE is not supported"):
        tflite_file.with_frames(floating, 10)
    with pytest.raises(W2sError, match="0 outputs are named 'lin'"):
        tflite_file.read(floating).output("lin")
