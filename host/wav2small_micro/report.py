# SPDX-License-Identifier: Apache-2.0
"""Answers of several engines side by side: what must be identical, and what must be close.

The bounds are the project's promise. The integer engines (`tflite`, `tflm`, `c`, `emulator`,
`board`) give the same bits at `lin`, at `sof` and at A/D/V; int8 stays within `WORST` of `float`
and agrees with it to a concordance of `CONCORDANCE` over a real set of clips.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wav2small_micro.metrics import DIMENSIONS, ccc

if TYPE_CHECKING:
    from wav2small_micro.engines.base import Answer

WORST = 0.03
"""Largest difference of int8 from float, in units of A/D/V."""

CONCORDANCE = 0.995
"""Smallest CCC of int8 against float, for each of A/D/V."""

CONCORDANCE_CLIPS = 20
"""Clips from which the CCC is a verdict: over fewer, their spread decides it."""

FLOAT = "float"
"""The one engine that is not held to bits."""


@dataclass
class ClipReport:
    """One clip: what each engine answered, or why it could not."""

    path: str
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    answers: "dict[str, Answer]" = field(default_factory=dict)  # without their rows
    differences: "list[Difference]" = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)  # by engine; "clip" when it is unreadable

    def take(self, answers: "dict[str, Answer]") -> None:
        """Keep the answers, compare their rows and let those go: they are megabytes a clip."""
        reference, *others = integer_engines(answers) or [""]
        self.differences = [
            difference(reference, answers[reference], other, answers[other]) for other in others
        ]
        self.answers = {
            name: replace(answer, lin=None, sof=None, logmel=None)
            for name, answer in answers.items()
        }


@dataclass(frozen=True)
class Difference:
    """An integer engine against the first one, on one clip. None: there was nothing to compare."""

    engine: str
    reference: str
    rows: bool | None  # lin and sof, every value of every row
    adv: bool | None  # the Q16 integers
    first: str = ""  # where they part


@dataclass(frozen=True)
class Agreement:
    """An integer engine against the first one, over all clips. None: nothing was compared."""

    engine: str
    reference: str
    clips: int
    rows: bool | None
    adv: bool | None
    first_difference: str = ""  # path of the first clip that differs, and where in it

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


def difference(reference: str, a: "Answer", engine: str, b: "Answer") -> Difference:
    """Where engine's answer `b` parts from the reference's answer `a`, if it does."""
    places = [
        _first_difference(name, getattr(a, name), getattr(b, name)) for name in ("lin", "sof")
    ]
    place = _first_difference("A/D/V", a.adv_q16, b.adv_q16)
    found = [p for p in (*places, place) if p]
    return Difference(
        engine, reference, _all_same(places), _all_same([place]), found[0] if found else ""
    )


def _all_same(places: Iterable[str | None]) -> bool | None:
    compared = [place for place in places if place is not None]
    return not any(compared) if compared else None


def _first_difference(
    name: str, a: npt.NDArray[Any] | None, b: npt.NDArray[Any] | None
) -> str | None:
    """Where two arrays part; "" when they do not, None when one is not there."""
    if a is None or b is None:
        return None
    if a.shape != b.shape:
        return f"{name} has shapes {a.shape} and {b.shape}"
    apart = np.argwhere(a != b)
    if not len(apart):
        return ""
    at = tuple(int(i) for i in apart[0])
    return (
        f"{name} differs in {len(apart)} of {a.size} values, first at {list(at)}: {a[at]}, {b[at]}"
    )


def agreements(clips: Sequence[ClipReport]) -> list[Agreement]:
    """What the clips' differences come to, one row an engine."""
    by_engine: dict[tuple[str, str], list[tuple[str, Difference]]] = {}
    for clip in clips:
        for d in clip.differences:
            by_engine.setdefault((d.engine, d.reference), []).append((clip.path, d))
    return [
        Agreement(
            engine,
            reference,
            len(found),
            _all([d.rows for _, d in found]),
            _all([d.adv for _, d in found]),
            next((f"{path}: {d.first}" for path, d in found if d.first), ""),
        )
        for (engine, reference), found in by_engine.items()
    ]


def _all(values: Iterable[bool | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return all(known) if known else None


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
        # One clip has no spread to agree on.
        arousal, dominance, valence = (
            ccc(exact[:, i], answer[:, i]) if len(both) > 1 else float("nan") for i in range(3)
        )
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
    return Verdict(agreements(clips), closeness(clips, engines), failed)


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
                    name: None if np.isnan(x) else x
                    for name, x in zip(DIMENSIONS, c.ccc, strict=True)
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
    found: dict[str, Any] = {name: float(x) for name, x in zip(DIMENSIONS, answer.adv, strict=True)}
    if answer.adv_q16 is not None:
        found["q16"] = [int(x) for x in answer.adv_q16]
    if answer.details:
        found["details"] = answer.details
    return found
