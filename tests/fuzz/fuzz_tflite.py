# SPDX-License-Identifier: Apache-2.0
"""Any .tflite into the reader of models and the planner.

Promises (docs/security.md): S9.

The first byte chooses: the bytes as they are, or edits of a shipped model, whole, without its
weights, or with other metadata. What is read runs.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["wav2small_micro", "flatbuffers", "ai_edge_litert"]):
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema
    from fuzz.programme import Programme

    from wav2small_micro import native, paths, plan, tflite_file
    from wav2small_micro.errors import W2sError

_BULK = 64  # bytes; longer buffers are weights


def _hollow(content: bytes) -> bytes:
    """The model without its weights."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data) > _BULK:
            buffer.data = None
    return tflite_file._pack(model)


WHOLE = (paths.models_dir() / "wav2small-17k" / "int8.tflite").read_bytes()
HOLLOW = _hollow(WHOLE)
PCM = np.arange(-200, 200, dtype=np.int16)


def edited(content: bytes, programme: Programme) -> bytes:
    """The model with some of its numbers replaced."""
    found = bytearray(content)
    while programme.left:
        width = (1, 2, 4)[programme.byte() % 3]
        at = programme.number(2) * (2 if len(found) > 0xFFFF else 1) % (len(found) - width)
        value = programme.piece(width)
        found[at : at + len(value)] = value
    return bytes(found)


def test_one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    programme = Programme(data)
    choice = programme.byte() % 16
    if choice == 0:
        content = programme.piece(programme.left)
    elif choice == 1:
        content = edited(WHOLE, programme)
    elif choice == 2:
        metadata = {tflite_file.METADATA: programme.piece(programme.left)}
        content = tflite_file.with_metadata(WHOLE, metadata)
    else:
        content = edited(HOLLOW, programme)
    try:
        read = plan.read(content)
    except W2sError:
        return
    native.Network(read).run(PCM)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
