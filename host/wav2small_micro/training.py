# SPDX-License-Identifier: Apache-2.0
"""Training of a student on labelled speech: CCC loss, random crops and gains, both normalisations.

Half of the crops are normalised over themselves and half by the live rule, so that one model serves
both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from wav2small_micro import evaluation, native, reference, student
from wav2small_micro.data import manifest, speech
from wav2small_micro.data.speech import LabelledClip
from wav2small_micro.errors import W2sError

FrontEnd = Callable[[NDArray[np.int16], str], NDArray[Any]]
"""int16 (N,) and a normalisation to log-mel dB (T, 26)."""


@dataclass(frozen=True)
class Recipe:
    """What decides a training run. ``seconds`` bounds the length of the crops, ``gain_db`` their
    gain; ``mapped_weight`` is how much a label mapped from an acted emotion counts against a human
    one."""

    steps: int = 600
    batch: int = 32
    seconds: tuple[float, float] = (0.75, 2.5)
    gain_db: tuple[float, float] = (-15.0, 6.0)
    learning_rate: float = 3e-3
    human_share: float = 0.4
    mapped_weight: float = 0.3
    seed: int = 1


class Crops(keras.utils.PyDataset):
    """Batches of crops of one length: log-mel (B, T, 26) and (B, 4) = arousal, dominance, valence,
    weight.

    A batch depends on nothing but the seed and its number, so that a resumed run sees what an
    unbroken one would.
    """

    def __init__(
        self, clips: list[LabelledClip], recipe: Recipe, steps: int, front_end: FrontEnd
    ) -> None:
        super().__init__()
        self.clips = clips
        self.recipe = recipe
        self.steps = steps
        self.front_end = front_end
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, self.epoch, index])
        shortest, longest = (int(4 * seconds) for seconds in recipe.seconds)
        length = int(rng.integers(shortest, longest, endpoint=True)) * reference.SAMPLE_RATE // 4
        rows, targets = [], []
        for clip in self._draw(rng, length):
            start = rng.integers(len(clip.pcm) - length + 1)
            gain = 10 ** (rng.uniform(*recipe.gain_db) / 20)
            crop = np.clip(np.rint(clip.pcm[start : start + length] * gain), -32768, 32767)
            norm = reference.NORMS[rng.integers(len(reference.NORMS))]
            rows.append(self.front_end(crop.astype(np.int16), norm))
            targets.append([*clip.target, 1.0 if clip.human else recipe.mapped_weight])
        return np.array(rows, np.float32), np.array(targets, np.float32)

    def _draw(self, rng: np.random.Generator, length: int) -> list[LabelledClip]:
        """Clips of at least ``length`` samples, the first ones with human labels."""
        long_enough = [clip for clip in self.clips if len(clip.pcm) >= length]
        pools = [[clip for clip in long_enough if clip.human is human] for human in (True, False)]
        humans = round(self.recipe.batch * self.recipe.human_share)
        shares = [humans, self.recipe.batch - humans]
        return [
            pool[i]
            for pool, share in zip(pools, shares, strict=True)
            for i in rng.integers(max(1, len(pool)), size=share if pool else 0)
        ]


@keras.saving.register_keras_serializable("wav2small")
def ccc_loss(target: Any, predicted: Any) -> Any:
    """1 - CCC over the batch, mean over the three dimensions; ``target`` (B, 4) ends in a weight
    for each row."""
    weight = target[:, 3:] / ops.sum(target[:, 3:])
    target = target[:, :3]
    target_mean = ops.sum(weight * target, axis=0)
    predicted_mean = ops.sum(weight * predicted, axis=0)
    target_apart, predicted_apart = target - target_mean, predicted - predicted_mean
    covariance = ops.sum(weight * target_apart * predicted_apart, axis=0)
    spread = ops.sum(weight * (target_apart**2 + predicted_apart**2), axis=0)
    return 1 - ops.mean(2 * covariance / (spread + (target_mean - predicted_mean) ** 2 + 1e-6))


class _Numbering(keras.callbacks.Callback):
    """Tells the batches which epoch it is, also when a run is taken up again."""

    def __init__(self, crops: Crops) -> None:
        super().__init__()
        self.crops = crops

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        del logs
        self.crops.epoch = epoch


def train(
    folder: Path,
    architecture: student.Architecture,
    recipe: Recipe | None = None,
    data: Path | None = None,
    front_end: FrontEnd = native.logmel,
    verbose: int = 2,
) -> dict[str, Any]:
    """Train a student into a model folder: ``student.weights.h5``, ``training.csv``,
    ``model.json``.

    A run that was stopped is taken up where its last epoch (50 steps) ended. Returns what is
    written to ``model.json``. Raises :class:`W2sError` when the research data are not there.
    """
    recipe = recipe or Recipe()
    epoch_steps = 50
    if recipe.steps % epoch_steps:
        raise W2sError(
            f"{recipe.steps} steps are not whole epochs", f"give a multiple of {epoch_steps}"
        )
    source = manifest.read(data) if data else manifest.research()
    clips = speech.load(source, "train")
    folder.mkdir(parents=True, exist_ok=True)
    backup = folder / ".training"
    if not backup.is_dir():
        (folder / "training.csv").unlink(missing_ok=True)
    keras.utils.set_random_seed(recipe.seed)
    model = student.build(architecture)
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 20,
        recipe.steps,
        warmup_target=recipe.learning_rate,
        warmup_steps=recipe.steps // 20,
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=1.0),
        loss=ccc_loss,
        jit_compile=False,
    )
    crops = Crops(clips, recipe, epoch_steps, front_end)
    model.fit(
        crops,
        epochs=recipe.steps // epoch_steps,
        shuffle=False,
        verbose=verbose,
        callbacks=[
            _Numbering(crops),
            keras.callbacks.BackupAndRestore(str(backup)),
            keras.callbacks.CSVLogger(str(folder / "training.csv"), append=True),
        ],
    )
    model.save_weights(folder / "student.weights.h5")

    def answer(pcm: NDArray[np.int16], norm: str) -> NDArray[np.float32]:
        rows = np.asarray(front_end(pcm, norm), np.float32)[None]
        return np.asarray(ops.convert_to_numpy(model(rows, training=False))[0])

    facts = {
        "name": folder.name,
        "architecture": architecture,
        "normalisation": list(reference.NORMS),
        "training": {
            "recipe": vars(recipe),
            "clips": len(clips),
            "corpora": sorted({clip.row.corpus for clip in clips}),
            "backend": keras.backend.backend(),
            "data": "speech for research use only: see README.md for its licences",
        },
        "agreement": evaluation.agreement(
            answer, speech.load(source, "dev", evaluation.HUMAN_CORPUS)
        ),
    }
    (folder / "model.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts
