# SPDX-License-Identifier: Apache-2.0
"""Distillation: a student learns to answer disturbed speech as its teacher answers the clean clip.

No label by people is read here. The weights that are kept are those that agree best with the
teacher on dev speakers, calibrated there (:mod:`~.calibration`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wav2small_micro import metrics, reference
from wav2small_micro.data.labels import Label
from wav2small_micro.data.manifest import Manifest
from wav2small_micro.distillation import (
    batches,
    calibration,
    checkpoint,
    students,
    targets,
    tensorboard,
)
from wav2small_micro.distillation.checkpoint import State
from wav2small_micro.distillation.loss import Loss, ccc_loss
from wav2small_micro.distillation.recipe import Recipe
from wav2small_micro.distillation.targets import Taught
from wav2small_micro.errors import W2sError

Checks = dict[str, list[batches.Batch]]
"""What the student is compared on, by normalisation."""

Report = Callable[[dict[str, float]], None]
"""Told of every comparison: the line of the log, and ``eta_s``."""

Step = Callable[..., float]
"""Trains on log-mel (B, T, 26) and A/D/V (B, 3); says the loss."""

UNFINISHED = "distilling.npz"


def distill(
    folder: Path,
    name: str,
    manifests: Sequence[Manifest],
    labels: Sequence[Label],
    recipe: Recipe,
    *,
    start: Path | None = None,
    workers: int = 0,
    report: Report = lambda line: None,
    preparing: targets.Progress = lambda done, total: None,
    events: Path | None = None,
) -> dict[str, Any]:
    """Train the student ``name`` into a model folder: ``student.weights.h5``, ``training.csv`` and
    ``model.json``, whose facts are returned.

    A run that was stopped goes on where its last comparison was, to the same weights. ``start`` is
    the folder of a student of the same kind to begin with, instead of random weights. ``workers``
    processes make views and batches; ``preparing`` hears of views that are made again; ``events``
    is a folder for TensorBoard. Raises :class:`W2sError` for an unknown student, clips without
    labels, and a folder with another unfinished run.
    """
    dev = targets.join(manifests, labels, "dev")
    train = targets.join(manifests, labels, "train", preparing, workers)
    keras.utils.set_random_seed(recipe.seed)
    model = students.build(name)
    step = _step(model, name, recipe)
    began = students.begin(model, name, start) if start else None
    model.compile(
        optimizer(recipe),
        loss=_loss(recipe),
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / UNFINISHED
    key = fingerprint(name, recipe, (*train, *dev), began)
    state = checkpoint.read(unfinished, key, model)
    checks: Checks = {norm: batches.dev(dev, norm, recipe.dev_clips) for norm in reference.NORMS}
    with ExitStack() as stack:
        coming = stack.enter_context(batches.stream(train, recipe, state.step, workers))
        board = stack.enter_context(tensorboard.writer(events))
        while state.step < recipe.steps and state.since_best < recipe.patience:
            line = _round(model, step, recipe, coming, checks, state)
            checkpoint.write(unfinished, state, model)
            board(line, state.step)
            rate = state.seconds / state.step
            report(line | {"best": state.best, "eta_s": rate * (recipe.steps - state.step)})
    model.set_weights(state.best_weights)
    calibrated = calibration.calibrate(model, dev, reference.NORMS)
    model.save_weights(folder / students.WEIGHTS)
    _write_log(folder / "training.csv", state.log)
    facts = _facts(folder.name, name, recipe, labels, train, dev, state, model, checks)
    facts["calibration"] = calibrated
    if began:
        facts["training"]["began_with"] = began
    text = json.dumps(facts, indent=2) + "\n"
    (folder / "model.json").write_text(text, encoding="utf-8")
    unfinished.unlink()
    return facts


def optimizer(recipe: Recipe) -> Any:
    """AdamW, its rate rising over a twentieth of the run and falling along a cosine."""
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 20,
        recipe.steps,
        warmup_target=recipe.learning_rate,
        warmup_steps=recipe.steps // 20,
    )
    return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, clipnorm=1.0)


def _loss(recipe: Recipe) -> Loss:
    return ccc_loss(recipe.weights, recipe.consistency)


def fingerprint(name: str, recipe: Recipe, clips: Sequence[Taught], began: Any = None) -> str:
    """What a run is of, as a hash: student, recipe, first weights, clips and targets."""
    what = [name, recipe.facts(), *([began] if began else [])]
    found = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for clip in clips:
        found.update(clip.row.path.encode() + clip.adv.tobytes())
    return found.hexdigest()


def agreement(model: Any, checks: Checks) -> dict[str, dict[str, float]]:
    """CCC with the teacher, by normalisation and dimension."""
    result = {}
    for norm, some in checks.items():
        found = np.concatenate([np.asarray(model.predict_on_batch(rows)) for rows, _ in some])
        target = np.concatenate([adv for _, adv in some])
        result[norm] = metrics.ccc_by_dimension(found, target)
    return result


def _step(model: Any, name: str, recipe: Recipe) -> Step:
    """How a batch is trained: Wav2Small has a quick way on PyTorch."""
    if keras.backend.backend() == "torch" and name in students.WAV2SMALL:
        from wav2small_micro.distillation import torch_step

        return partial(torch_step.train_on_batch, model, _loss(recipe), recipe.bfloat16)
    if recipe.bfloat16:
        raise W2sError(
            f"{name} on {keras.backend.backend()} trains in float32 only",
            "KERAS_BACKEND=torch trains a Wav2Small in bfloat16; or leave --bfloat16 out",
        )
    return model.train_on_batch


def _round(
    model: Any, step: Step, recipe: Recipe, coming: Any, checks: Checks, state: State
) -> dict[str, float]:
    """The steps to the next comparison, and that; ``state`` and its log are brought up to date."""
    start = time.monotonic()
    losses = []
    for _ in range(recipe.check):
        losses.append(float(step(*next(coming))))
        if not np.isfinite(losses[-1]):
            raise W2sError(
                f"the loss is {losses[-1]} at step {state.step + len(losses)}",
                "a smaller --learning-rate may help; are the labels sound? w2s data check",
            )
        if recipe.average:
            _average(state, model, recipe.average, state.step + len(losses))
    state.step += recipe.check
    weights = checkpoint.values(model.weights)
    model.set_weights(state.mean_weights or weights)
    found = agreement(model, checks)
    line = {"step": float(state.step), "loss": float(np.mean(losses))}
    line |= {f"{norm}_{d}": value for norm, by in found.items() for d, value in by.items()}
    line["dev_ccc"] = float(np.mean([list(by.values()) for by in found.values()]))
    better = line["dev_ccc"] > state.best
    state.since_best = 0 if better else state.since_best + 1
    if better or not state.best_weights:
        state.best = line["dev_ccc"]
        state.best_weights = checkpoint.values(model.weights)
    model.set_weights(weights)
    state.seconds += time.monotonic() - start
    state.log.append(line | {"seconds": round(state.seconds, 1)})
    return line


def _average(state: State, model: Any, kept: float, count: int) -> None:
    """Takes the weights of step ``count`` into the running mean, of all while those are few."""
    now = checkpoint.values(model.weights)
    kept = min(kept, (count - 1) / count)
    mean = state.mean_weights or now
    state.mean_weights = [kept * m + (1 - kept) * x for m, x in zip(mean, now, strict=True)]


def _write_log(path: Path, log: Sequence[dict[str, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, log[0], lineterminator="\n")
        writer.writeheader()
        for line in log:
            writer.writerow(
                {k: f"{v:.0f}" if k == "step" else f"{v:.4f}".rstrip("0") for k, v in line.items()}
            )


def _facts(
    folder: str,
    name: str,
    recipe: Recipe,
    labels: Sequence[Label],
    train: Sequence[Taught],
    dev: Sequence[Taught],
    state: State,
    model: Any,
    checks: Checks,
) -> dict[str, Any]:
    best = max(state.log, key=lambda line: line["dev_ccc"])
    return {
        "name": folder,
        "architecture": students.ARCHITECTURES[name],
        "normalisation": list(reference.NORMS),
        "training": {
            "student": name,
            "teacher": {
                "name": labels[0].teacher,
                "revision": labels[0].revision,
                "weights_sha256": sorted({label.weights_sha256 for label in labels}),
            },
            "recipe": recipe.facts(),
            "steps_done": state.step,
            "best_step": int(best["step"]),
            "clips": len(train),
            "corpora": sorted({clip.row.corpus for clip in train}),
            "backend": keras.backend.backend(),
        },
        "dev_ccc_with_teacher": {
            "clips": min(recipe.dev_clips, len(dev)),
            **{
                norm: {d: round(value, 4) for d, value in by.items()}
                for norm, by in agreement(model, checks).items()
            },
        },
    }
