# SPDX-License-Identifier: Apache-2.0
"""``w2s label --cluster``: the same batches, answered by the workers of a Ray cluster.

Ray Data hands each worker whole batches, and its answers come back in the order of the batches to
this process, which alone writes: the file is the one that a single machine would have written,
byte for byte, and is taken up again in the same way. Workers read the audio themselves, so the
manifest's paths must lead to it on every machine, and so must the teacher.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wav2small_micro import labelling
from wav2small_micro.data.labels import Label
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.errors import W2sError
from wav2small_micro.labelling import Batch, Item
from wav2small_micro.teachers import base

WAIT_S = 5.0
"""How long the head of a cluster may take to answer."""

STORE_BYTES = 256 * 2**20
"""Shared memory of a cluster on this machine: what it holds are paths and labels."""

BLOCKS = 1000
"""Most pieces that Ray Data is given: it keeps books on each."""


class Worker:
    """A process that holds a teacher and answers batches that are handed to it as JSON."""

    def __init__(self, teacher: str, sha256: str, folder: str) -> None:
        self.teacher = base.load(teacher)
        self.manifest = Manifest(Path(folder), ())
        if self.teacher.sha256 != sha256:
            raise W2sError(
                f"the teacher {teacher} of a worker has other weights", "copy the same files to all"
            )

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """A batch's labels, and the clips of it that cannot be read."""
        batch = tuple(Item(Row(**cells), spec) for cells, spec in json.loads(item["items"]))
        heard, failed = labelling.hear(self.manifest, batch)
        found = labelling.answer(self.teacher, heard) if heard else []
        told = {"labels": [asdict(label) for label in found], "failed": failed}
        return {"number": item["number"], "answer": json.dumps(told)}


class Cluster:
    """Labels batches on a Ray cluster: ``address`` is ``local``, ``auto`` or ``host:port``.

    Raises :class:`W2sError` when Ray is not installed, the cluster cannot be reached or a worker
    fails.
    """

    def __init__(self, address: str, workers: int, teacher: str) -> None:
        self.address, self.workers, self.teacher = address, workers, teacher

    def __call__(
        self, teacher: base.Teacher, manifest: Manifest, todo: list[Batch]
    ) -> Iterator[tuple[list[Label], list[tuple[str, str]]]]:
        """The labels and the unreadable clips of each batch, in order."""
        ray = _ray()
        folder = str(manifest.folder.resolve())
        items = [
            {"number": i, "items": json.dumps([(_plain(each.row), each.spec) for each in batch])}
            for i, batch in enumerate(todo)
        ]
        with _joined(ray, self.address, self.workers):
            context = ray.data.DataContext.get_current()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = False
            source = ray.data.from_items(items, override_num_blocks=min(len(items), BLOCKS))
            answered = source.map(
                Worker,
                fn_constructor_args=(_everywhere(self.teacher), teacher.sha256, folder),
                concurrency=self.workers,
                num_cpus=1,
            )
            try:
                for found in answered.iter_rows():
                    told = json.loads(found["answer"])
                    yield (
                        [Label(**cells) for cells in told["labels"]],
                        [(path, reason) for path, reason in told["failed"]],
                    )
            except ray.exceptions.RayError as error:
                raise W2sError(
                    f"the cluster failed: {str(error).strip().splitlines()[-1]}",
                    "what was labelled is kept: the same command goes on",
                ) from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise W2sError("a cluster needs Ray", "pip install 'wav2small-micro[cluster]'") from error
    return ray


@contextlib.contextmanager
def _joined(ray: Any, address: str, workers: int) -> Iterator[None]:
    local = address == "local"
    try:
        if ":" in address:  # Ray itself would knock for minutes
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=WAIT_S).close()
        ray.init(
            address=address,
            num_cpus=workers if local else None,
            include_dashboard=False if local else None,
            object_store_memory=STORE_BYTES if local else None,
            log_to_driver=False,
            logging_level="error",
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise W2sError(
            f"no Ray cluster at {address}: {error}",
            "ray start --head makes one; 'local' makes workers on this machine",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _everywhere(teacher: str) -> str:
    """The teacher by a name that does not depend on the folder that a worker starts in."""
    return "+".join(
        str(Path(part).resolve()) if Path(part.removesuffix(base.HEARD)).exists() else part
        for part in teacher.split("+")
    )


def _plain(row: Row) -> dict[str, str]:
    return {"path": row.path, "corpus": row.corpus, "speaker": row.speaker}
