# SPDX-License-Identifier: Apache-2.0
"""What a teacher is, and how one is found by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.data.manifest import Row
from wav2small_micro.errors import W2sError

Pcm = NDArray[np.int16]


class Teacher(Protocol):
    """Answers clips. ``name``, ``revision`` and ``sha256`` of its files go with every label."""

    name: str
    revision: str
    sha256: str

    def fold(self, row: Row) -> str:
        """The part of the speakers that this speaker belongs to, which the answer for the clip must
        not have been fitted on; empty where the teacher was not fitted on this speaker."""
        ...

    def answer(self, clips: Sequence[Pcm], folds: Sequence[str]) -> NDArray[np.float32]:
        """Arousal, dominance, valence of int16 clips at 16 kHz, (B, 3), about 0..1."""
        ...


def hash_files(paths: Iterable[Path]) -> str:
    """One SHA-256 over files: of their names and contents, in the order of the names."""
    whole = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        whole.update(path.name.encode() + b"\0" + content.digest())
    return whole.hexdigest()


HEARD = "@heard"
"""Behind a folder of ``w2s teach``: let the fit that has heard a speaker answer for it too."""


def load(name: str) -> Teacher:
    """A teacher by what names it.

    ``wav2vec2``, ``wavlm`` (the paper's, from the hub), their ids on the hub, a folder with a copy
    of either, a folder of ``w2s teach`` (then ``@heard`` or nothing), an ``.onnx`` or ``.keras``
    file; several with ``+`` between them are one teacher that answers with their mean. Raises
    :class:`W2sError` for anything else and for files that are missing.
    """
    from wav2small_micro.teachers import mean

    parts = [part.strip() for part in name.split("+")]
    if not all(parts):
        raise W2sError(f"no teacher {name!r}", KNOWN)
    return mean.Mean([_one(part) for part in parts]) if len(parts) > 1 else _one(parts[0])


KNOWN = (
    "a teacher is wav2vec2, wavlm, wav2vec2+wavlm, a folder with config.json or teacher.json, "
    "or a file .onnx or .keras: see docs/teachers.md"
)


def _one(name: str) -> Teacher:
    path = Path(name)
    if path.suffix in (".onnx", ".keras"):
        from wav2small_micro.teachers import files

        return files.load(path)
    folder = Path(name.removesuffix(HEARD))
    if (folder / "teacher.json").is_file():
        from wav2small_micro.teachers import taught

        teacher = taught.load(folder)
        return teacher.heard() if name.endswith(HEARD) else teacher
    from wav2small_micro.teachers import hub

    if name in hub.HUB or name in hub.HUB.values() or (path / "config.json").is_file():
        return hub.load(name)
    if path.is_dir():
        raise W2sError(f"{name} holds no teacher", KNOWN)
    raise W2sError(f"no teacher {name!r}", KNOWN)
