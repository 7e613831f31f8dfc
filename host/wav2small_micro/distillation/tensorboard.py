# SPDX-License-Identifier: Apache-2.0
"""The log of a run as TensorBoard reads it, on any backend of Keras."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from wav2small_micro.errors import W2sError

Board = Callable[[Mapping[str, float], int], None]
"""Takes figures by name, and the step that they are of."""


@contextmanager
def writer(folder: Path | None) -> Iterator[Board]:
    """A board in ``folder``, or one that forgets where that is None."""
    if folder is None:
        yield lambda figures, step: None
        return
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise W2sError(
            "tensorboard is not installed", "pip install 'wav2small-micro[tensorboard]'"
        ) from error
    file = EventFileWriter(str(folder))

    def write(figures: Mapping[str, float], step: int) -> None:
        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in figures.items()
            if name != "step"
        ]
        file.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=values)))
        file.flush()

    try:
        yield write
    finally:
        file.close()
