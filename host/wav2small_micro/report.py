# SPDX-License-Identifier: Apache-2.0
"""Answers of several engines side by side: what must be identical, and what must be close.

The bounds are the project's promise. The integer engines (`tflite`, `tflm`, `c`, `emulator`,
`board`) give the same bits at `lin`, at `sof` and at A/D/V; int8 stays within `WORST` of `float`
and agrees with it to a concordance of `CONCORDANCE` over a real set of clips.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from wav2small_micro.engines.base import Answer

ADV = ("arousal", "dominance", "valence")

WORST = 0.03
"""Largest difference of int8 from float, in units of A/D/V."""

CONCORDANCE = 0.995
"""Smallest CCC of int8 against float, for each of A/D/V."""

CONCORDANCE_CLIPS = 20
"""Clips from which the CCC is a verdict: over fewer, their spread decides it."""

FLOAT = "float"
"""The one engine that is not held to bits."""


def ccc(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Lin's concordance correlation coefficient (Lin 1989, Biometrics 45) of two (N,) series.

    1 when they are equal; NaN when both are the same constant.

    >>> ccc([0.1, 0.5, 0.9], [0.1, 0.5, 0.9])
    1.0
    >>> round(ccc([0.1, 0.5, 0.9], [0.2, 0.6, 1.0]), 4)
    0.9552
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    if spread == 0:
        return float("nan")
    return float(2 * np.mean((x - x.mean()) * (y - y.mean())) / spread)


@dataclass
class ClipReport:
    """One clip: what each engine answered, or why it could not."""

    path: str
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    answers: "dict[str, Answer]" = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)  # by engine; "clip" when it is unreadable


@dataclass(frozen=True)
class Agreement:
    """An integer engine against the first one. None: there was nothing to compare."""

    engine: str
    reference: str
    clips: int
    rows: bool | None  # lin and sof, every value of every row
    adv: bool | None  # the Q16 integers
    first_difference: str = ""  # path of the first clip that differs

    @property
    def holds(self) -> bool:
        return self.rows is not False and self.adv is not False


@dataclass(frozen=True)
class Closeness:
    """An integer engine against float."""

    engine: str
    clips: int
    worst: float
    worst_clip: str
    ccc: tuple[float, float, float]

    @property
    def holds(self) -> bool:
        """Both bounds; the CCC only over enough clips."""
        enough = self.clips >= CONCORDANCE_CLIPS
        return self.worst <= WORST and (not enough or min(self.ccc) >= CONCORDANCE)


def integer_engines(engines: Iterable[str]) -> list[str]:
    """Those that are held to bits, in the order given."""
    return [name for name in engines if name != FLOAT]


def agreements(clips: Sequence[ClipReport], engines: Sequence[str]) -> list[Agreement]:
    """Every integer engine after the first, against the first."""
    reference, *others = integer_engines(engines) or [""]
    return [_agreement(clips, reference, other) for other in others]


def _agreement(clips: Sequence[ClipReport], reference: str, other: str) -> Agreement:
    both = [c for c in clips if reference in c.answers and other in c.answers]
    rows: list[bool] = []
    adv: list[bool] = []
    first = ""
    for clip in both:
        a, b = clip.answers[reference], clip.answers[other]
        same = [_same(a.lin, b.lin), _same(a.sof, b.sof)]
        rows += [s for s in same if s is not None]
        same_adv = _same(a.adv_q16, b.adv_q16)
        adv += [] if same_adv is None else [same_adv]
        if not first and False in (*same, same_adv):
            first = clip.path
    return Agreement(
        other, reference, len(both), all(rows) if rows else None, all(adv) if adv else None, first
    )


def _same(a: npt.NDArray[Any] | None, b: npt.NDArray[Any] | None) -> bool | None:
    """Whether two arrays hold the same values in the same order; None when one is not there."""
    if a is None or b is None:
        return None
    return a.size == b.size and bool(np.array_equal(a.ravel(), b.ravel()))


def closeness(clips: Sequence[ClipReport], engines: Sequence[str]) -> list[Closeness]:
    """Every integer engine against float, where both answered."""
    found = []
    for engine in integer_engines(engines):
        both = [c for c in clips if FLOAT in c.answers and engine in c.answers]
        if not both:
            continue
        exact = np.array([c.answers[FLOAT].adv for c in both])
        answer = np.array([c.answers[engine].adv for c in both])
        apart = np.abs(answer - exact).max(axis=1)
        arousal, dominance, valence = (ccc(exact[:, i], answer[:, i]) for i in range(3))
        found.append(
            Closeness(
                engine,
                len(both),
                float(apart.max()),
                both[int(apart.argmax())].path,
                (arousal, dominance, valence),
            )
        )
    return found


@dataclass(frozen=True)
class Verdict:
    """What a comparison comes to."""

    identical: list[Agreement]
    close: list[Closeness]
    failed_clips: int

    @property
    def holds(self) -> bool:
        """Every clip was answered by every engine, and every bound holds."""
        return (
            not self.failed_clips
            and all(agreement.holds for agreement in self.identical)
            and all(close.holds for close in self.close)
        )


def judge(clips: Sequence[ClipReport], engines: Sequence[str]) -> Verdict:
    """The verdict over clips that were run on these engines."""
    failed = sum(bool(clip.errors) for clip in clips)
    return Verdict(agreements(clips, engines), closeness(clips, engines), failed)


def to_json(clips: Sequence[ClipReport], verdict: Verdict) -> dict[str, Any]:
    """The shape that `w2s compare --json` prints."""
    return {
        "clips": [_clip_json(clip) for clip in clips],
        "identical": [
            {
                "engine": a.engine,
                "reference": a.reference,
                "clips": a.clips,
                "lin_sof": a.rows,
                "adv": a.adv,
                "first_difference": a.first_difference or None,
            }
            for a in verdict.identical
        ],
        "against_float": [
            {
                "engine": c.engine,
                "clips": c.clips,
                "worst": c.worst,
                "worst_clip": c.worst_clip,
                "ccc": {
                    name: None if np.isnan(x) else x for name, x in zip(ADV, c.ccc, strict=True)
                },
            }
            for c in verdict.close
        ],
        "holds": verdict.holds,
    }


def _clip_json(clip: ClipReport) -> dict[str, Any]:
    found: dict[str, Any] = {"path": clip.path, "seconds": round(clip.seconds, 4)}
    found["engines"] = {name: answer_json(answer) for name, answer in clip.answers.items()}
    if clip.warnings:
        found["warnings"] = clip.warnings
    if clip.errors:
        found["errors"] = clip.errors
    return found


def answer_json(answer: "Answer") -> dict[str, Any]:
    """A/D/V by name; for the integer engines also as the Q16 integers that they are."""
    found: dict[str, Any] = {name: float(x) for name, x in zip(ADV, answer.adv, strict=True)}
    if answer.adv_q16 is not None:
        found["q16"] = [int(x) for x in answer.adv_q16]
    if answer.details:
        found["details"] = answer.details
    return found
