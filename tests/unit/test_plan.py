# SPDX-License-Identifier: Apache-2.0
"""The plan: what is read from the int8 .tflite, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wav2small_micro import paths, tflite_file
from wav2small_micro import plan as plans
from wav2small_micro.errors import W2sError

MODELS = {"72k": "wav2small-72k", "17k": "wav2small-17k"}


def content(architecture: str) -> bytes:
    return (paths.model_dir(MODELS[architecture]) / "int8.tflite").read_bytes()


@pytest.mark.parametrize(("architecture", "macs"), [("72k", 75.1e6), ("17k", 61.9e6)])
def test_work_of_a_second(architecture, macs):
    # 61.4 M in the trunk; lin and sof add 14.3 M (72K) or .5 M.
    assert plans.read(content(architecture)).macs_per_second == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize("architecture", MODELS)
def test_scales_and_shapes(architecture):
    plan = plans.read(content(architecture))
    assert plan.name == MODELS[architecture]
    assert [layer.weight.shape for layer in plan.convs] == [(13, 3, 3, 1)] + [(13, 3, 3, 13)] * 6
    assert plan.exp_table[0] == 65536
    assert (np.diff(plan.exp_table.astype(int)) <= 0).all()
    # -100 dB, the floor, is the least int8: band 0 is always there.
    floor = -100 * plans.DB_STEPS * plan.input_multiplier / 2**24 + plan.input_zero
    assert floor == pytest.approx(-128, abs=0.51)
    assert (plan.gram_weight is not None) == (architecture == "17k")


def changed(architecture: str, change: Callable[[Any], None]) -> bytes:
    """The model with its flatbuffer's object tree changed."""
    model = tflite_file._load(content(architecture))
    change(model)
    return tflite_file._pack(model)


def operator(model: Any, name: str, count: int = 0) -> Any:
    codes = [tflite_file._OPERATORS[max(c.builtinCode, c.deprecatedBuiltinCode)]
             for c in model.operatorCodes]  # fmt: skip
    found = [op for op in model.subgraphs[0].operators if codes[op.opcodeIndex] == name]
    return found[count]


def stride(model: Any) -> None:
    operator(model, "CONV_2D", 2).builtinOptions.strideW = 2


def no_relu(model: Any) -> None:
    operator(model, "CONV_2D", 4).builtinOptions.fusedActivationFunction = 0


def relu6(model: Any) -> None:
    operator(model, "CONV_2D", 4).builtinOptions.fusedActivationFunction = 3


def small_pool(model: Any) -> None:
    operator(model, "MAX_POOL_2D").builtinOptions.filterWidth = 2


def other_operator(model: Any) -> None:
    index = operator(model, "MAX_POOL_2D").opcodeIndex
    code = model.operatorCodes[index]
    code.builtinCode = code.deprecatedBuiltinCode = 1  # AVERAGE_POOL_2D


def relu_zero(model: Any) -> None:
    output = operator(model, "CONV_2D", 3).outputs[0]
    model.subgraphs[0].tensors[output].quantization.zeroPoint = [-100]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (stride, "CONV_2D.*stride"),
        (no_relu, "CONV_2D.*no ReLU"),
        (relu6, "CONV_2D.*no ReLU"),
        (small_pool, "MAX_POOL_2D.*3x3"),
        (other_operator, "AVERAGE_POOL_2D.*MAX_POOL_2D"),
        (relu_zero, "CONV_2D.*zero is -100"),
    ],
)
def test_other_graphs_are_refused_by_operator_and_reason(change, words):
    with pytest.raises(W2sError, match=words) as caught:
        plans.read(changed("72k", change))
    assert "convert" in caught.value.hint


def test_a_float_graph_is_refused():
    path = paths.model_dir(MODELS["72k"]) / "float.tflite"
    with pytest.raises(W2sError, match=r"metadata|int8"):
        plans.read(path)


def test_a_head_of_another_size_is_refused():
    def change(model: Any) -> None:
        entry = next(e for e in model.metadata if e.name in (b"wav2small", "wav2small"))
        text = bytes(model.buffers[entry.buffer].data).decode().replace('"72k"', '"17k"')
        model.buffers[entry.buffer].data = np.frombuffer(text.encode(), np.uint8)

    with pytest.raises(W2sError):
        plans.read(changed("72k", change))
