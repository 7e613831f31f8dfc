# SPDX-License-Identifier: Apache-2.0
"""What the fuzzers of tests/fuzz once found, each test named after what it caught."""

import io
import json
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import soundfile
from ai_edge_litert import schema_py_generated as schema

from wav2small_micro import native, paths, plan, tflite_file
from wav2small_micro.audio import read_clip
from wav2small_micro.data import labels
from wav2small_micro.energy import readers
from wav2small_micro.energy.options import Options
from wav2small_micro.errors import W2sError
from wav2small_micro.link import messages
from wav2small_micro.link.session import Session

MODEL = paths.models_dir() / "wav2small-17k" / "int8.tflite"


# --- The library ------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "status"), [(32767, 0), (32768, -1), (-32768, 0), (-32769, -1)])
def test_mean_beyond_int16_shifted_by_minus_one(mean: int, status: int) -> None:
    """START may say anything of its clip: the front end doubled samples "-1 times"."""
    network = native.Network(plan.read(MODEL))
    stats = native.ffi.new("w2s_stats *", (100, 100 * mean, 0))
    assert native.lib.w2s_start(network._context, 0, stats) == status


# --- Models -----------------------------------------------------------------------------------


def edited(change: object) -> bytes:
    """A shipped model after `change`, which gets its subgraph."""
    model = schema.ModelT.InitFromPackedBuf(MODEL.read_bytes(), 0)
    change(model.subgraphs[0])  # type: ignore[operator]
    return tflite_file._pack(model)


def test_tensor_name_that_is_no_utf8() -> None:
    def spoil(graph: schema.SubGraphT) -> None:
        graph.tensors[0].name = b"\x8f\x8f"

    with pytest.raises(W2sError, match="broken"):
        plan.read(edited(spoil))


def test_vectors_that_share_their_content_filled_the_memory() -> None:
    """40,000 tensors that are all the same one: 40 KB that were to become hundreds of MB."""
    builder = flatbuffers.Builder(1 << 20)
    shape = builder.CreateNumpyVector(np.ones(20_000, np.int32))
    schema.TensorStart(builder)
    schema.TensorAddShape(builder, shape)
    tensor = schema.TensorEnd(builder)
    schema.SubGraphStartTensorsVector(builder, 40_000)
    for _ in range(40_000):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    schema.BufferStart(builder)
    empty = schema.BufferEnd(builder)
    schema.ModelStartBuffersVector(builder, 1)
    builder.PrependUOffsetTRelative(empty)
    buffers = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), tflite_file.IDENTIFIER)
    with pytest.raises(W2sError) as error:
        tflite_file.read(bytes(builder.Output()))
    assert "more than its size" in error.value.hint


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scale_that_is_no_positive_number(scale: float) -> None:
    def spoil(graph: schema.SubGraphT) -> None:
        graph.tensors[graph.inputs[0]].quantization.scale = [scale]

    with pytest.raises(W2sError, match="no positive number"):
        plan.read(edited(spoil))


def test_operator_that_reads_a_tensor_which_is_not_there() -> None:
    def spoil(graph: schema.SubGraphT) -> None:
        graph.operators[3].outputs = [9999]

    with pytest.raises(W2sError):
        plan.read(edited(spoil))


def test_bias_too_short_for_its_convolution() -> None:
    """The C library would have read beyond it."""

    def spoil(graph: schema.SubGraphT) -> None:
        conv = next(op for op in graph.operators if len(op.inputs) == 3)
        bias = graph.tensors[conv.inputs[2]]
        bias.shape, bias.buffer = [1], 0

    with pytest.raises(W2sError):
        plan.read(edited(spoil))


@pytest.mark.parametrize(
    "facts",
    [
        {"version": 1},
        {"version": 1, "architecture": "17k", "name": "x", "head": 5},
        {"version": 1, "architecture": "17k", "name": "x", "head": {"weight": "a", "bias": [0]}},
        {"version": 1, "architecture": [], "name": "x"},
    ],
)
def test_metadata_of_another_shape(facts: object) -> None:
    content = tflite_file.with_metadata(
        MODEL.read_bytes(), {tflite_file.METADATA: json.dumps(facts).encode()}
    )
    with pytest.raises(W2sError):
        plan.read(content)


def test_metadata_nested_deeper_than_python_counts() -> None:
    deep = b'{"version":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    content = tflite_file.with_metadata(MODEL.read_bytes(), {tflite_file.METADATA: deep})
    with pytest.raises(W2sError):
        plan.read(content)


# --- Audio ------------------------------------------------------------------------------------


def test_flac_whose_header_claims_a_month(tmp_path: Path) -> None:
    """68,719,476,735 samples, for which 128 GB were asked."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(4000), 16000, format="FLAC", subtype="PCM_16")
    content = bytearray(file.getvalue())
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    path = tmp_path / "clip.flac"
    path.write_bytes(content)
    with pytest.raises(W2sError):
        read_clip(path)


def test_wave_of_one_sample_a_second(tmp_path: Path) -> None:
    """A few kilobytes became gigabytes at 16 kHz."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.zeros(5000), 1)
    with pytest.raises(W2sError, match="at least 1000"):
        read_clip(path)


# --- Tables -----------------------------------------------------------------------------------


def test_labels_whose_header_is_an_empty_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\r\0\0,3\n")
    with pytest.raises(W2sError):
        labels.read(path)


@pytest.mark.parametrize("line", [b"6409-0\xb3", "6409-0٣".encode(), b"TimeStamp: " + b"9" * 5000])
def test_power_log_with_digits_that_are_no_numbers(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "lpm01a.log"
    path.write_bytes(
        b"PowerShield > ack start\r\nTimeStamp: 000s 000ms, buff 00%\r\n1234-05\r\n"
        + line
        + b"\r\n1234-05\r\nTimeStamp: 001s 000ms, buff 00%\r\nend\r\n"
    )
    trace = readers.open_recording(path, Options(voltage=3.3)).whole()
    assert np.isfinite(trace.current).all()


# --- The link ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element_size", "data", "row"),
    [(2, b"odd", 1), (1, b"short", 1), (2, bytes(26), 1), (7, bytes(26), 1), (1, bytes(26), 999)],
)
def test_row_that_is_not_like_the_one_before(element_size: int, data: bytes, row: int) -> None:
    """The rows could not be stacked, or never ended: neither was an error of the link."""
    from types import SimpleNamespace

    from wav2small_micro.link.client import Timing
    from wav2small_micro.link.errors import LinkError

    device = SimpleNamespace(timing=Timing())
    session = Session(device, 1, 0, 4, frozenset([messages.Layer.INPUT]))  # type: ignore[arg-type]
    session._sender.push(bytes(640))
    session.on_row(messages.Row(1, messages.Layer.INPUT, 1, 0, 0, bytes(26)))
    with pytest.raises(LinkError):
        session.on_row(messages.Row(1, messages.Layer.INPUT, element_size, 0, row, data))
