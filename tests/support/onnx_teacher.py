# SPDX-License-Identifier: Apache-2.0
"""A teacher as a file: ONNX that answers the highest, the lowest and the mean sample."""

from pathlib import Path

from onnx import TensorProto, checker, helper


def write(path: Path) -> Path:
    """Outputs ``adv``, (1, 3), and ``twice``, (1, 6)."""
    nodes = [
        helper.make_node("ReduceMax", ["audio", "axes"], ["high"], keepdims=1),
        helper.make_node("ReduceMin", ["audio", "axes"], ["low"], keepdims=1),
        helper.make_node("ReduceMean", ["audio", "axes"], ["middle"], keepdims=1),
        helper.make_node("Concat", ["high", "low", "middle"], ["adv"], axis=1),
        helper.make_node("Concat", ["adv", "adv"], ["twice"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, [1, "N"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None])
            for name in ("adv", "twice")
        ],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
