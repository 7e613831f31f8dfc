# SPDX-License-Identifier: Apache-2.0
"""An evaluation from request to result: clips, answers, rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import reference
from wav2small_micro.audio import read_clip
from wav2small_micro.data import labels as label_files
from wav2small_micro.data.manifest import Manifest, Row
from wav2small_micro.engines import base
from wav2small_micro.errors import W2sError
from wav2small_micro.evaluation import sweep, tables
from wav2small_micro.evaluation.answers import DEVICES, Answerer, Question
from wav2small_micro.evaluation.disturbances import DISTURBANCES
from wav2small_micro.evaluation.statistics import DRAWS
from wav2small_micro.evaluation.tables import Clips, Series

Pcm = NDArray[np.int16]
Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is, of how much."""


@dataclass(frozen=True)
class Request:
    """What to evaluate. ``norms`` empty: those that each model was made for. ``limit``: at most so
    many clips, spread over the manifest. ``robustness``: sweep the first engine."""

    models: tuple[base.Model, ...]
    manifest: Manifest
    split: str = "dev"
    labels: Path | None = None
    engines: tuple[str, ...] = ("c",)
    norms: tuple[str, ...] = ()
    by: tuple[str, ...] = ("corpus",)
    robustness: bool = False
    limit: int | None = None
    env: str = ""
    port: str | None = None
    jobs: int | None = None
    answers: Path | None = None
    draws: int = DRAWS


@dataclass(frozen=True)
class Result:
    """Rows, ready for JSON, and the series that they were made of. ``skipped``: clips that could
    not be read, with the reason."""

    clips: Clips
    series: list[Series]
    facts: dict[str, Any]
    rows: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    robustness: list[dict[str, Any]]
    skipped: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The one document of ``--json``."""
        return {
            **self.facts,
            "rows": self.rows,
            "differences": self.differences,
            "robustness": self.robustness,
            "skipped": self.skipped,
        }


def evaluate(request: Request, progress: Progress = lambda *_: None) -> Result:
    """Runs an evaluation.

    Raises :class:`W2sError` when no clip has a reference, or an engine cannot run a model.
    """
    _check(request)
    clips, pcms, skipped = _clips(request, progress)
    series: list[Series] = []
    robustness: list[dict[str, Any]] = []
    with ExitStack() as stack:
        for model in request.models:
            for engine in request.engines:
                answerer = stack.enter_context(
                    Answerer(
                        model,
                        engine,
                        env=request.env,
                        port=request.port,
                        jobs=request.jobs,
                        folder=request.answers,
                    )
                )
                own = [_series(answerer, pcms, norm, progress) for norm in _norms(request, model)]
                series += own
                if request.robustness and engine == request.engines[0]:
                    robustness += _sweep(answerer, clips, pcms, own, progress)
    facts = {
        "manifest": Path(request.manifest.name).name,
        "split": request.split,
        "clips": len(clips),
        "speakers": len({clips.who(i) for i in range(len(clips))}),
        "seconds": round(sum(map(len, pcms)) / reference.SAMPLE_RATE, 1),
        "teacher": clips.teacher_name,
        "models": {model.name: _identity(model) for model in request.models},
    }
    rows, differences = _rows(request, clips, series)
    return Result(clips, series, facts, rows, differences, robustness, skipped)


def _check(request: Request) -> None:
    for column in request.by:
        if column not in tables.GROUPS:
            raise W2sError(f"cannot tell by {column!r}", f"one of {', '.join(tables.GROUPS)}")
    for norm in request.norms:
        if norm not in reference.NORMS:
            raise W2sError(f"no normalisation {norm!r}", f"use one of {', '.join(reference.NORMS)}")
    names = [model.name for model in request.models]
    if len(set(names)) < len(names):
        raise W2sError("two of the models have one name", "rename the folder of one")


def _norms(request: Request, model: base.Model) -> tuple[str, ...]:
    made_for = [n for n in model.facts.get("normalisation", ()) if n in reference.NORMS]
    return request.norms or tuple(made_for) or ("utterance",)


def _identity(model: base.Model) -> dict[str, Any]:
    import hashlib

    path = model.int8_path if model.int8_path.is_file() else model.float_path
    return {
        "architecture": model.facts.get("architecture", ""),
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _clips(request: Request, progress: Progress) -> tuple[Clips, list[Pcm], dict[str, str]]:
    """The clips of the split that somebody has an opinion about, read."""
    manifest = request.manifest.select(request.split)
    labelled = label_files.by_path(label_files.read(request.labels)) if request.labels else {}
    rows = [row for row in manifest.rows if row.human is not None or row.path in labelled]
    if not rows:
        raise W2sError(
            f"{manifest.name} has {len(manifest)} clips on side {request.split!r}, none of them "
            + ("rated by people or labelled" if labelled else "rated by people"),
            "name the teacher's labels with --labels: w2s label makes them",
        )
    if request.limit and request.limit < len(rows):
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, request.limit).astype(int)]

    def read(row: Row) -> Pcm | W2sError:
        try:
            return read_clip(manifest.file(row)).pcm
        except W2sError as error:
            return error

    found: list[tuple[Row, Pcm]] = []
    skipped: dict[str, str] = {}
    with ThreadPoolExecutor(request.jobs) as pool:
        for done, (row, pcm) in enumerate(zip(rows, pool.map(read, rows), strict=True), 1):
            progress("reading clips", done, len(rows))
            if isinstance(pcm, W2sError):
                skipped[row.path] = pcm.message
            else:
                found.append((row, pcm))
    if not found:
        raise W2sError(f"none of {len(rows)} clips can be read", next(iter(skipped.values())))
    kept = tuple(row for row, _ in found)
    unknown = np.full(3, np.nan)
    human = [unknown if row.human is None else row.human for row in kept]
    teacher = [labelled[r.path].adv if r.path in labelled else unknown for r in kept]
    name = next((label.teacher for label in labelled.values()), "")
    clips = Clips(
        kept,
        np.array(human, np.float64),
        np.array(teacher, np.float64),
        name,
        request.draws,
    )
    return clips, [pcm for _, pcm in found], skipped


def _series(answerer: Answerer, pcms: Sequence[Pcm], norm: str, progress: Progress) -> Series:
    what = f"{answerer.model.name}, {answerer.engine}, {norm}"
    tick = _Ticks(progress, what, len(pcms))
    adv = answerer.ask([Question(pcm, norm) for pcm in pcms], tick)
    return Series(answerer.model.name, answerer.engine, norm, adv)


class _Ticks:
    """Counts calls for a progress bar."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress, self._what, self._total, self._done = progress, what, total, 0

    def __call__(self) -> None:
        self._done += 1
        self._progress(self._what, self._done, self._total)


def _sweep(
    answerer: Answerer,
    clips: Clips,
    pcms: Sequence[Pcm],
    own: Sequence[Series],
    progress: Progress,
) -> list[dict[str, Any]]:
    found = []
    for clean in own:
        what = f"{clean.model}, {clean.engine}, {clean.norm}, disturbed"
        tick = _Ticks(progress, what, len(pcms) * len(DISTURBANCES))
        found += sweep.rows(answerer, clips, pcms, clean, tick)
    # Live against clip normalisation is one more disturbance: of nothing but the statistics.
    clip = [one for one in own if one.norm == "utterance"]
    live = [one for one in own if one.norm == "live"]
    if clip and live:
        about = {"disturbance": "live normalisation", "kind": "normalisation", "amount": 0.0}
        rows = tables.agreement_rows(clips, live, {"clean": clip[0].adv})
        found += [about | row for row in rows]
    return found


def _rows(
    request: Request, clips: Clips, series: Sequence[Series]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    teacher = (
        [Series(clips.teacher_name, "labels", "", clips.teacher)]
        if "teacher" in clips.references
        else []
    )
    rows = tables.agreement_rows(clips, [*series, *teacher], clips.references, request.by)
    rows += tables.annotator_rows(clips, [*series, *teacher])
    pairs: list[tuple[Series, Series]] = [(one, two) for one in series for two in teacher]
    for one in series:
        for two in series:
            same = (one.model == two.model, one.engine == two.engine, one.norm == two.norm)
            if same == (True, False, True) and two.engine == "float":
                # int8 against float: also how near the answers themselves are.
                rows += tables.agreement_rows(clips, [one], {"float": two.adv}, request.by)
                pairs.append((one, two))
            if same == (True, False, True) and two.engine == "c" and one.engine in DEVICES:
                rows += tables.agreement_rows(clips, [one], {"c": two.adv}, request.by)
            if same == (True, True, False) and (one.norm, two.norm) == ("live", "utterance"):
                rows += tables.agreement_rows(clips, [one], {"utterance": two.adv}, request.by)
                pairs.append((one, two))
            if same == (False, True, True) and two.model == request.models[0].name:
                pairs.append((one, two))
    return rows, tables.difference_rows(clips, pairs)
