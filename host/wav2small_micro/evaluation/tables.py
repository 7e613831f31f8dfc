# SPDX-License-Identifier: Apache-2.0
"""Answers and references as rows of agreement: by model, engine, normalisation, group, dimension.

References are ``human`` (the mean rating), ``teacher`` (labels of `w2s label`), ``others`` (for one
annotator, the mean of the others) and an engine's or a normalisation's own answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.data.manifest import Row
from wav2small_micro.evaluation.statistics import Bootstrap, columns, plain
from wav2small_micro.metrics import DIMENSIONS

Adv = NDArray[np.float64]

GROUPS = ("corpus", "sex", "language")
"""Columns of the manifest that agreement can be told apart by."""


@dataclass(frozen=True)
class Series:
    """What somebody says of every clip, (N, 3), nan where nothing: a ``model`` run by an ``engine``
    under a ``norm``, a teacher (engine ``labels``), or annotators."""

    model: str
    engine: str
    norm: str
    adv: Adv

    @property
    def names(self) -> dict[str, str]:
        """As a row begins."""
        return {"model": self.model, "engine": self.engine, "norm": self.norm}


@dataclass(frozen=True)
class Clips:
    """The clips that were evaluated, with what people and the teacher say of them, (N, 3)."""

    rows: tuple[Row, ...]
    human: Adv
    teacher: Adv
    teacher_name: str = ""
    draws: int = 2000
    seed: int = 0
    _bootstraps: dict[bytes, Bootstrap] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def references(self) -> dict[str, Adv]:
        """Those references that say anything, by name."""
        found = {"human": self.human, "teacher": self.teacher}
        return {name: adv for name, adv in found.items() if np.isfinite(adv).any()}

    @cached_property
    def ratings(self) -> NDArray[np.float64]:
        """Ratings by annotator, (K, N, 3), nan where there is none; K may be 0."""
        count = max((len(row.ratings) for row in self.rows), default=0)
        found = np.full((count, len(self.rows), 3), np.nan)
        for i, row in enumerate(self.rows):
            for k, rating in enumerate(row.ratings):
                found[k, i] = [np.nan if value is None else value for value in rating]
        return found

    def who(self, i: int) -> tuple[str, ...]:
        """The speaker of a clip; one whose speaker is not named stands for itself."""
        row = self.rows[i]
        return row.who if row.speaker else ("", row.path)

    def bootstrap(self, mask: NDArray[np.bool_]) -> Bootstrap:
        """The draws for a part of the clips: the same for everything that is told of it."""
        key = mask.tobytes()
        if key not in self._bootstraps:
            speakers = [self.who(int(i)) for i in np.flatnonzero(mask)]
            self._bootstraps[key] = Bootstrap(speakers, self.draws, self.seed)
        return self._bootstraps[key]

    def groups(self, by: Sequence[str]) -> Iterator[tuple[dict[str, str], NDArray[np.bool_]]]:
        """All clips, and those of each value of each column of ``by``, with how rows name them."""
        everything = np.ones(len(self), bool)
        corpora = sorted({row.corpus for row in self.rows})
        whole = corpora[0] if len(corpora) == 1 else "all"
        yield {"corpus": whole, "by": "", "group": "all"}, everything
        for column in by:
            values = [getattr(row, column) for row in self.rows]
            for value in sorted(set(values) - {""}):
                if len(set(values)) == 1 and column == "corpus":
                    continue
                names = {"corpus": value if column == "corpus" else whole}
                mask = np.array([other == value for other in values])
                yield names | {"by": column, "group": value}, mask


def _complete(*series: Adv) -> NDArray[np.bool_]:
    return np.all([np.isfinite(adv).all(axis=-1) for adv in series], axis=0)


def agreement_rows(
    clips: Clips, series: Sequence[Series], references: dict[str, Adv], by: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """One row a series, reference, group and dimension; groups of fewer than two clips are left
    out."""
    found = []
    for one in series:
        for reference, truth in references.items():
            if one.adv is truth:
                continue
            for names, group in clips.groups(by):
                mask = group & _complete(one.adv, truth)
                if mask.sum() < 2:
                    continue
                bootstrap = clips.bootstrap(mask)
                for d, dimension in enumerate(DIMENSIONS):
                    agreed = bootstrap.agreement(one.adv[mask, d], truth[mask, d])
                    row = {
                        **one.names,
                        "reference": reference,
                        **names,
                        "dimension": dimension,
                        "ccc": plain(agreed.ccc.value),
                        "pearson": plain(agreed.pearson),
                        "rmse": plain(agreed.rmse),
                    }
                    found.append(columns(agreed.ccc, **row))
    return found


def difference_rows(
    clips: Clips, pairs: Sequence[tuple[Series, Series]], by: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """By how much the first of each pair agrees better with a reference than the second, on the
    same clips and in the same draws."""
    found = []
    for one, two in pairs:
        for reference, truth in clips.references.items():
            if one.adv is truth or two.adv is truth:
                continue
            for names, group in clips.groups(by):
                mask = group & _complete(one.adv, two.adv, truth)
                if mask.sum() < 2:
                    continue
                bootstrap = clips.bootstrap(mask)
                for d, dimension in enumerate(DIMENSIONS):
                    first, second = ([(s.adv[mask, d], truth[mask, d])] for s in (one, two))
                    apart = bootstrap.difference(first, second)
                    row = {
                        **one.names,
                        "minus": two.names,
                        "reference": reference,
                        **names,
                        "dimension": dimension,
                        "difference": plain(apart.value),
                    }
                    found.append(columns(apart, **row))
    return found


def annotator_rows(clips: Clips, series: Sequence[Series]) -> list[dict[str, Any]]:
    """How one annotator agrees with the mean of the others, how each series does with the very same
    means, and by how much the series agrees better.

    An annotator is held to fewer people than a student is elsewhere: this is the comparison in
    which both are held to the same. Empty without three annotators, or without two clips that all
    have rated.
    """
    ratings = clips.ratings
    if len(ratings) < 2:
        return []
    rated = _complete(*ratings)
    if rated.sum() < 2:
        return []
    found = []
    names = next(clips.groups(()))[0]
    others = [np.delete(ratings, k, axis=0).mean(axis=0) for k in range(len(ratings))]

    def pairs(each: Sequence[Adv], mask: NDArray[np.bool_], d: int) -> list[tuple[Adv, Adv]]:
        return [(one[mask, d], rest[mask, d]) for one, rest in zip(each, others, strict=True)]

    people = {"model": "annotators", "engine": "people", "norm": ""}
    for one in (None, *series):
        mask = rated if one is None else rated & _complete(one.adv)
        if mask.sum() < 2:
            continue
        bootstrap = clips.bootstrap(mask)
        for d, dimension in enumerate(DIMENSIONS):
            by_people = pairs(list(ratings), mask, d)
            said = by_people if one is None else pairs([one.adv] * len(ratings), mask, d)
            value, drawn = bootstrap.mean_ccc(said)
            row: dict[str, Any] = {
                **(people if one is None else one.names),
                "reference": "others",
                **names,
                "dimension": dimension,
                "ccc": plain(value),
            }
            if one is None:
                single = [bootstrap.agreement(*pair).ccc.value for pair in by_people]
                row["each"] = [plain(x) for x in single]
            else:
                apart = bootstrap.difference(said, by_people)
                row["minus_annotators"] = [plain(apart.value), plain(apart.low), plain(apart.high)]
            found.append(columns(bootstrap.estimate(value, drawn), **row))
    return found
