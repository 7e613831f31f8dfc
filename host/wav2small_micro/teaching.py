# SPDX-License-Identifier: Apache-2.0
"""``w2s teach``: the strongest teacher that labelled speech gives, chosen by cross-validation.

Speakers are dealt into folds; every choice is scored on speakers that its fit has not heard, by CCC
with the human ratings, and the same folds give the labels of the training clips: a teacher's
answer on a clip that it was fitted on is nearly the label, not what it would say of another voice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import metrics
from wav2small_micro.audio import read_clip
from wav2small_micro.data import emotions, labels
from wav2small_micro.data.check import content_hash
from wav2small_micro.data.labels import Label
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.errors import W2sError
from wav2small_micro.teachers import functionals, taught
from wav2small_micro.teachers.functionals import Gauss
from wav2small_micro.teachers.taught import Taught, View, rbf

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""

Array = NDArray[np.float64]


MOST = 12_000
"""Most training clips: the kernel of so many is a matrix of 1.2 GB."""


@dataclass(frozen=True)
class Grid:
    """What cross-validation chooses from: sets of features and the width of the kernel for all
    dimensions, and for each how much of a kernel of its own each task has.

    ``mapped_weight`` is how much a rating that a word stands for counts against a human one.
    Speakers are dealt ``deals`` times, since a choice by one deal is mostly luck. ``as_recorded``
    lets the teacher hear how loud a clip was recorded, which a student that is normalised over the
    clip does not.
    """

    sets: tuple[tuple[str, ...], ...] = (("eGeMAPSv02",), ("ComParE_2016",), functionals.SETS)
    gamma: tuple[float, ...] = (0.15, 0.25, 0.5)
    own: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)
    ridge: float = 0.02
    mapped_weight: float = 0.3
    folds: int = 5
    deals: int = 2
    as_recorded: bool = False


@dataclass(frozen=True)
class Lesson:
    """Training clips: ``target`` (N, 3), whether people gave it, and the fold of each, from 1."""

    rows: tuple[Row, ...]
    target: Array
    human: NDArray[np.bool_]
    fold: NDArray[np.int64]

    @property
    def scored(self) -> NDArray[np.bool_]:
        """The clips that choices are scored on: those that people rated, if there are any."""
        return self.human if self.human.any() else np.ones_like(self.human)


def lesson(manifest: Manifest, folds: int) -> Lesson:
    """The training side of a manifest. Raises :class:`W2sError` when it holds no labels, clips
    without a speaker, or a single speaker."""
    manifest.require("split", "speaker")
    train = manifest.select("train").rows
    line = emotions.fit(train)
    found = [(row, target) for row in train if (target := line.target(row)) is not None]
    if not found:
        raise W2sError(
            f"no clip on the train side of {manifest.name} is labelled",
            "fill in arousal, dominance, valence or emotion; w2s data split draws the sides",
        )
    if len(found) > MOST:
        raise W2sError(
            f"{len(found)} training clips are too many, at most {MOST}",
            "leave out clips that nobody rated, or take fewer of each speaker",
        )
    nameless = [row.path for row, _ in found if not row.speaker]
    if nameless:
        raise W2sError(
            f"{len(nameless)} training clips have no speaker, {nameless[0]} the first",
            "folds are of speakers: fill in the column",
        )
    rows = tuple(row for row, _ in found)
    dealt = deal(rows, folds)
    return Lesson(
        rows,
        np.array([target for _, target in found], np.float64),
        np.array([row.human is not None for row in rows]),
        np.array([dealt[row.who] for row in rows]),
    )


def deal(rows: Sequence[Row], folds: int, seed: int = 0) -> dict[tuple[str, str], int]:
    """Speakers to folds 1.., evenly over corpora and sexes, whatever the order of the rows."""
    speakers = {row.who: row.sex for row in sorted(rows, key=lambda row: row.path)}
    if len(speakers) < 2:
        raise W2sError("there is a single speaker", "a teacher needs two or more to be measured")
    order = sorted(
        speakers,
        key=lambda who: (
            who[0],
            speakers[who],
            hashlib.sha256(repr((seed, *who)).encode()).hexdigest(),
        ),
    )
    return {who: 1 + i % min(folds, len(order)) for i, who in enumerate(order)}


@dataclass(frozen=True)
class Fit:
    """Kernel ridge regression of two tasks on a kernel (N, N) of the training clips."""

    own: float
    ridge: float
    mapped_weight: float

    def __call__(
        self, kernel: NDArray[np.float32], data: Lesson, heard: NDArray[np.bool_]
    ) -> tuple[Array, Array]:
        """Coefficients (N, 3), zero where not ``heard``, and offset (3,), of the task that is
        answered: human ratings where there are any."""
        from scipy import linalg

        human, target = data.human[heard], data.target[heard]
        same = human[:, None] == human[None]
        weight = np.where(human, 1.0, self.mapped_weight if human.any() else 1.0)
        inner = kernel[np.ix_(heard, heard)] * (1 + self.own * same)
        inner[np.diag_indices_from(inner)] += self.ridge * (1 + self.own) / weight
        answered = human if human.any() else ~human
        middle = np.where(
            answered[:, None],
            target[answered].mean(axis=0),
            target[~answered].mean(axis=0) if (~answered).any() else 0.0,
        )
        solved = linalg.solve(inner.astype(np.float64), target - middle, assume_a="pos")
        coefficients = np.zeros((len(heard), 3))
        coefficients[heard] = solved * (1 + self.own * answered)[:, None]
        return coefficients, target[answered].mean(axis=0)

    def out_of_fold(self, kernel: NDArray[np.float32], data: Lesson) -> Array:
        """Answers (N, 3), each by a fit that has not heard the clip's fold."""
        answers = np.empty(data.target.shape)
        for fold in np.unique(data.fold):
            out = data.fold == fold
            coefficients, offset = self(kernel, data, ~out)
            answers[out] = kernel[out] @ coefficients + offset
        return answers


@dataclass(frozen=True)
class Choice:
    """What was chosen: feature sets and kernel width, a fit a dimension, and its CCC (3,)."""

    sets: tuple[str, ...]
    gamma: float
    fits: tuple[Fit, ...]
    ccc: tuple[float, ...]


def choose(
    placed: dict[str, NDArray[np.float32]], data: Lesson, grid: Grid, progress: Progress
) -> list[Choice]:
    """The best fits for every set of features and kernel width, the best of them first."""
    whole = [(sets, gamma) for sets in grid.sets for gamma in grid.gamma]
    owns = grid.own if data.human.any() and not data.human.all() else (0.0,)
    deals = [data, *(_dealt_again(data, grid, seed) for seed in range(1, grid.deals))]
    fits = [Fit(own, grid.ridge, grid.mapped_weight) for own in owns]
    found = []
    for number, (sets, gamma) in enumerate(whole):
        kernel = np.mean([rbf(placed[name], placed[name], gamma) for name in sets], axis=0)
        scores = np.array(
            [[_ccc(fit.out_of_fold(kernel, each), each) for each in deals] for fit in fits]
        ).mean(axis=1)
        best = scores.argmax(axis=0)
        ccc = tuple(float(scores[i, d]) for d, i in enumerate(best))
        found.append(Choice(sets, gamma, tuple(fits[i] for i in best), ccc))
        progress("choosing", number + 1, len(whole))
    return sorted(found, key=lambda choice: -sum(choice.ccc))


def _dealt_again(data: Lesson, grid: Grid, seed: int) -> Lesson:
    dealt = deal(data.rows, grid.folds, seed)
    return replace(data, fold=np.array([dealt[row.who] for row in data.rows]))


def _ccc(answers: Array, data: Lesson) -> list[float]:
    some = data.scored
    return [metrics.ccc(answers[some, i], data.target[some, i]) for i in range(3)]


def teach(
    manifest: Manifest, folder: Path, grid: Grid | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Train a teacher on the train side of a manifest into ``folder``, with ``labels.csv``: its
    answers for all clips of the train side (out of fold) and of the dev side.

    A run that was stopped goes on with the features that it had. Returns the facts, which are in
    ``teacher.json`` too. Raises :class:`W2sError` for a manifest without labels or speakers.
    """
    grid = grid or Grid()
    told = progress or (lambda what, done, total: None)
    data = lesson(manifest, grid.folds)
    dev = manifest.select("dev").rows
    rows = (*data.rows, *dev)
    features = functionals.extract_all(
        [partial(_read, manifest, row) for row in rows],
        sorted({name for sets in grid.sets for name in sets}),
        [str(manifest.file(row).resolve()) for row in rows],
        folder / ("features-as-recorded" if grid.as_recorded else "features"),
        partial(told, "features"),
        grid.as_recorded,
    )
    count = len(data.rows)
    views = {name: _view(found[:count]) for name, found in features.items()}
    placed = {name: view.support.astype(np.float32) for name, view in views.items()}
    choices = choose(placed, data, grid, told)
    best = choices[0]
    chosen = {name: views[name] for name in best.sets}
    teacher = _fit_all(best, chosen, data, folder.name, grid.as_recorded)
    folds = [str(fold) for fold in data.fold] + [teacher.fold(row) for row in dev]
    answers = teacher.answer_features({name: features[name] for name in best.sets}, folds)
    teacher.facts |= {
        "clips": count,
        "rated_by_people": int(data.human.sum()),
        "corpora": sorted({row.corpus for row in data.rows}),
        "cross_validation": [_told(choice) for choice in choices],
        "dev": _agreement(dev, answers[count:]),
    }
    taught.save(teacher, folder)
    _write_labels(manifest, rows, answers, folds, teacher, folder / "labels.csv")
    return teacher.facts


def _read(manifest: Manifest, row: Row) -> NDArray[np.int16]:
    return read_clip(manifest.file(row)).pcm


def _view(features: NDArray[np.float32]) -> View:
    gauss = Gauss.fit(features)
    mapped = gauss(features)
    centre = mapped.mean(axis=0)
    return View(gauss, centre, (mapped - centre).astype(np.float16))


def _fit_all(
    best: Choice, views: dict[str, View], data: Lesson, name: str, as_recorded: bool
) -> Taught:
    """The chosen fit on all speakers, and without each fold."""
    supports = [view.support.astype(np.float32) for view in views.values()]
    kernel = np.mean([rbf(support, support, best.gamma) for support in supports], axis=0)
    coefficients, offsets = [], []
    for fold in range(data.fold.max() + 1):  # no clip is of fold 0: that set hears them all
        by_dimension = [fit(kernel, data, data.fold != fold) for fit in best.fits]
        coefficients.append(np.stack([c[:, d] for d, (c, _) in enumerate(by_dimension)], axis=1))
        offsets.append([o[d] for d, (_, o) in enumerate(by_dimension)])
    facts = {
        "version": taught.VERSION,
        "name": name,
        "revision": "1",
        "as_recorded": as_recorded,
        "sets": list(best.sets),
        "gamma": best.gamma,
        "fits": {d: vars(fit) for d, fit in zip(metrics.DIMENSIONS, best.fits, strict=True)},
        "folds": {
            "/".join(row.who): str(fold) for row, fold in zip(data.rows, data.fold, strict=True)
        },
    }
    return Taught(facts, views, np.array(coefficients, np.float32), np.array(offsets, np.float32))


def _told(choice: Choice) -> dict[str, Any]:
    return {
        "sets": list(choice.sets),
        "gamma": choice.gamma,
        "ccc": {d: round(x, 4) for d, x in zip(metrics.DIMENSIONS, choice.ccc, strict=True)},
    }


def _agreement(rows: Sequence[Row], answers: NDArray[np.float32]) -> dict[str, Any]:
    """CCC with people on the dev side, with 95 % intervals over speakers; nothing without them."""
    rated = [i for i, row in enumerate(rows) if row.human is not None]
    if not rated:
        return {}
    target = np.array([rows[i].human for i in rated])
    speakers = ["/".join(rows[i].who) for i in rated]
    result: dict[str, Any] = {"clips": len(rated), "speakers": len(set(speakers))}
    for d, dimension in enumerate(metrics.DIMENSIONS):
        pair = answers[rated, d], target[:, d]
        result[dimension] = {
            "ccc": round(metrics.ccc(*pair), 4),
            "interval": [round(x, 4) for x in metrics.bootstrap_ccc(*pair, speakers)],
        }
    return result


def _write_labels(
    manifest: Manifest,
    rows: Sequence[Row],
    answers: NDArray[np.float32],
    folds: Sequence[str],
    teacher: Taught,
    path: Path,
) -> None:
    path.unlink(missing_ok=True)
    with labels.Store(path, teacher.sha256) as store:
        store.append(
            [
                Label(
                    row.path,
                    content_hash(_read(manifest, row)),
                    float(answer[0]),
                    float(answer[1]),
                    float(answer[2]),
                    teacher.name,
                    teacher.revision,
                    teacher.sha256,
                    fold,
                )
                for row, answer, fold in zip(rows, answers, folds, strict=True)
            ]
        )
