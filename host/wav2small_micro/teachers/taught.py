# SPDX-License-Identifier: Apache-2.0
"""The teacher that ``w2s teach`` trains: a Gaussian process on openSMILE functionals.

Kernel ridge regression with a mean of RBF kernels, one a feature set (Rasmussen & Williams,
Gaussian Processes for Machine Learning, 2006, section 2.3). Ratings by people and ratings that an
emotion's word stands for are two tasks that share the kernel and have a kernel of their own each
(Bonilla et al., Multi-task Gaussian process prediction, NIPS 2007); answers are those of the first.

A folder holds ``teacher.json``, the facts, and ``teacher.npz``: for every feature set ``knots_``,
``centre_`` and ``support_`` (N training clips, F features), and ``coefficients`` (1 + K, N, 3) and
``offsets`` (1 + K, 3). Set 0 is fitted on all speakers, set k without those of fold k.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.data.manifest import Row
from wav2small_micro.errors import W2sError
from wav2small_micro.teachers.base import Pcm, hash_files
from wav2small_micro.teachers.functionals import Gauss, extract

VERSION = 1
"""Of the files in the folder."""

FILES = ("teacher.json", "teacher.npz")


@dataclass(frozen=True)
class View:
    """A feature set as the kernel sees it: ``support`` (N, F) float16 are the training clips."""

    gauss: Gauss
    centre: NDArray[np.float32]
    support: NDArray[np.float16]

    def place(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (B, F) in the space of ``support``."""
        return (self.gauss(features) - self.centre).astype(np.float16).astype(np.float32)


def rbf(
    first: NDArray[np.float32], second: NDArray[np.float32], gamma: float
) -> NDArray[np.float32]:
    """exp(-gamma times the mean squared difference over features) of (B, F) and (N, F): (B, N)."""
    squares = [np.einsum("nf,nf->n", x, x) for x in (first, second)]
    apart = squares[0][:, None] + squares[1][None] - 2 * first @ second.T
    return np.asarray(np.exp(-gamma / first.shape[1] * np.maximum(apart, 0)), np.float32)


class Taught:
    """A trained teacher. ``folds`` has the fold of every speaker it was fitted on."""

    def __init__(
        self,
        facts: dict[str, Any],
        views: Mapping[str, View],
        coefficients: NDArray[np.float32],
        offsets: NDArray[np.float32],
        sha256: str = "",
    ) -> None:
        self.facts = facts
        self.name: str = facts["name"]
        self.revision: str = facts["revision"]
        self.sha256 = sha256
        self.folds: dict[str, str] = facts["folds"]
        self.views = dict(views)
        self.coefficients = coefficients
        self.offsets = offsets
        self._support = {name: view.support.astype(np.float32) for name, view in self.views.items()}

    def fold(self, row: Row) -> str:
        """The fold of the row's speaker; empty for one who was not in training."""
        return self.folds.get("/".join(row.who), "")

    def heard(self) -> Taught:
        """The same teacher, answering for every speaker by the fit on all of them: what any teacher
        says of the clips that it learnt from. Its labels are told from the others."""
        other = copy.copy(self)
        other.revision = f"{self.revision} heard"
        other.sha256 = hashlib.sha256(f"{self.sha256} heard".encode()).hexdigest()
        other.folds = {}
        return other

    def answer(self, clips: Sequence[Pcm], folds: Sequence[str]) -> NDArray[np.float32]:
        """Arousal, dominance, valence, (B, 3), each by the set fitted without the clip's fold."""
        features = {
            name: np.stack([extract(pcm, name, self.facts["as_recorded"]) for pcm in clips])
            for name in self.views
        }
        return self.answer_features(features, folds)

    def answer_features(
        self, features: Mapping[str, NDArray[np.float32]], folds: Sequence[str]
    ) -> NDArray[np.float32]:
        """The same from functionals, (B, F) a feature set."""
        kernel = np.mean(
            [
                rbf(view.place(features[name]), self._support[name], self.facts["gamma"])
                for name, view in self.views.items()
            ],
            axis=0,
        )
        which = np.array([int(fold) if fold else 0 for fold in folds])
        answers = np.einsum("bn,bnd->bd", kernel, self.coefficients[which], dtype=np.float64)
        return np.asarray(answers + self.offsets[which], np.float32)


def save(teacher: Taught, folder: Path) -> None:
    """Write a teacher's folder, the facts last."""
    arrays: dict[str, NDArray[Any]] = {
        "coefficients": teacher.coefficients,
        "offsets": teacher.offsets,
    }
    for name, view in teacher.views.items():
        arrays |= {
            f"knots_{name}": view.gauss.knots,
            f"centre_{name}": view.centre,
            f"support_{name}": view.support,
        }
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".teacher.{os.getpid()}.npz"
    np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    (folder / "teacher.json").unlink(missing_ok=True)
    os.replace(temporary, folder / "teacher.npz")
    temporary.with_suffix(".json").write_text(
        json.dumps(teacher.facts, indent=2) + "\n", encoding="utf-8"
    )
    os.replace(temporary.with_suffix(".json"), folder / "teacher.json")
    teacher.sha256 = hash_files(folder / name for name in FILES)


def load(folder: Path) -> Taught:
    """Read a teacher's folder. Raises :class:`W2sError` for files that are missing or damaged."""
    hint = "w2s teach writes the folder: run it again"
    for name in FILES:
        if not (folder / name).is_file():
            raise W2sError(f"{folder} has no {name}", hint)
    try:
        facts = json.loads((folder / "teacher.json").read_text(encoding="utf-8"))
        if facts.get("version") != VERSION:
            raise W2sError(f"{folder} is of version {facts.get('version')}, not {VERSION}", hint)
        with np.load(folder / "teacher.npz") as stored:
            views = {
                name: View(
                    Gauss(stored[f"knots_{name}"]),
                    stored[f"centre_{name}"],
                    stored[f"support_{name}"],
                )
                for name in facts["sets"]
            }
            return Taught(
                facts,
                views,
                stored["coefficients"],
                stored["offsets"],
                hash_files(folder / name for name in FILES),
            )
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise W2sError(f"{folder} cannot be read as a teacher: {error}", hint) from error
