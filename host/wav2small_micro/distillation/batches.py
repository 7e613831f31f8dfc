# SPDX-License-Identifier: Apache-2.0
"""Batches of disturbed crops: log-mel from the firmware's own front end, targets from the teacher.

A batch depends on nothing but the seed and its number: a run that was taken up again sees what an
unbroken one would, and so does a run with more processes.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import native
from wav2small_micro.audio import RATE
from wav2small_micro.distillation import augment
from wav2small_micro.distillation.recipe import LENGTHS, Recipe
from wav2small_micro.distillation.targets import Taught

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Log-mel dB (B, T, 26) and A/D/V (B, 3)."""

_AHEAD = 4
"""Batches that each process may be ahead of training."""


class Pool:
    """Clips as a batch is drawn from them: by corpus, those as they are and the views."""

    def __init__(self, clips: Sequence[Taught]) -> None:
        self.clips = clips
        self.voices = [clip.pcm for clip in clips if not clip.spec]
        self.corpora = {
            name: (
                np.array([i for i in numbers if not clips[i].spec], np.int64),
                np.array([i for i in numbers if clips[i].spec], np.int64),
            )
            for name, numbers in _corpora(clips).items()
        }

    def draw(self, recipe: Recipe, count: int, rng: np.random.Generator) -> list[int]:
        """Numbers of clips, every corpus having its share, however many clips it has, and within it
        the views, where there are any."""
        favoured = {name: share for name, share in recipe.favoured if name in self.corpora}
        rest = max(0.0, 1 - sum(favoured.values())) / max(1, len(self.corpora) - len(favoured))
        shares = np.array([favoured.get(name, rest) for name in self.corpora])
        halves = list(self.corpora.values())
        chosen = []
        for corpus in rng.choice(len(halves), size=count, p=shares / shares.sum()):
            plain, views = halves[corpus]
            some = views if len(views) and rng.random() < recipe.views else plain
            chosen.append(int(rng.choice(some)))
        return chosen


def make(pool: Pool, recipe: Recipe, number: int) -> Batch:
    """Batch ``number`` of a run. Where consistency counts, its first half are undisturbed crops and
    its second half the same ones disturbed, by the same normalisation."""
    rng = np.random.default_rng([recipe.seed, number])
    seconds = float(rng.choice(recipe.lengths, p=recipe.shares))
    paired = recipe.consistency > 0
    count = recipe.crops_of(seconds)
    rows, targets = [], []
    for i in pool.draw(recipe, count // 2 if paired else count, rng):
        clip = pool.clips[i]
        crops = augment.twins(clip.pcm, int(seconds * RATE), pool.voices, recipe.augmentation, rng)
        norm = "live" if rng.random() < recipe.live else "utterance"
        rows.append([native.logmel(crop, norm) for crop in crops[not paired :]])
        targets.append(clip.adv)
    halves = range(len(rows[0]))
    return np.stack([pair[i] for i in halves for pair in rows]), np.stack(targets * len(halves))


def _corpora(clips: Sequence[Taught]) -> dict[str, list[int]]:
    """The numbers of each corpus's clips."""
    found: dict[str, list[int]] = {}
    for i, clip in enumerate(clips):
        found.setdefault(clip.row.corpus, []).append(i)
    return dict(sorted(found.items()))


def dev(
    clips: Sequence[Taught],
    norm: str,
    count: int,
    lengths: Sequence[float] = LENGTHS,
    seed: int = 0,
) -> list[Batch]:
    """``count`` clips, or all, as many of each corpus where there are so many; undisturbed, cut in
    their middle to the longest of the lengths that they have: one batch a length."""
    rng = np.random.default_rng(seed)
    corpora = [rng.permutation(numbers) for numbers in _corpora(clips).values()]
    in_turn = [i for turn in zip_longest(*corpora) for i in turn if i is not None]
    by_length: dict[float, list[Taught]] = {}
    for i in sorted(in_turn[:count]):
        fitting = [length for length in lengths if length * RATE <= len(clips[i].pcm)]
        by_length.setdefault(max(fitting, default=lengths[0]), []).append(clips[i])
    return [
        (
            np.stack([native.logmel(_middle(clip.pcm, int(length * RATE)), norm) for clip in some]),
            np.stack([clip.adv for clip in some]),
        )
        for length, some in sorted(by_length.items())
    ]


def _middle(pcm: NDArray[np.int16], samples: int) -> NDArray[np.int16]:
    start = max(0, len(pcm) - samples) // 2
    return np.resize(pcm[start : start + samples], samples)


_held: tuple[Pool, Recipe]  # of a worker process


def _hold(samples: Path, clips: Sequence[Taught], lengths: Sequence[int], recipe: Recipe) -> None:
    global _held
    # All processes see the same pages of the file.
    pcm = np.memmap(samples, np.int16, mode="r")
    ends = list(accumulate(lengths))
    parts = (pcm[end - length : end] for length, end in zip(lengths, ends, strict=True))
    _held = Pool([replace(clip, pcm=part) for clip, part in zip(clips, parts, strict=True)]), recipe


def _make_held(number: int) -> Batch:
    return make(*_held, number)


@contextmanager
def stream(
    clips: Sequence[Taught], recipe: Recipe, start: int, workers: int
) -> Iterator[Iterator[Batch]]:
    """The batches from number ``start`` to the last, in order; made by ``workers`` processes ahead
    of time, or here where that is 0."""
    numbers = range(start, recipe.steps)
    if not workers:
        pool = Pool(clips)
        yield (make(pool, recipe, number) for number in numbers)
        return
    nothing = np.zeros(0, np.int16)
    with tempfile.TemporaryDirectory(prefix="w2s-") as folder:
        samples = Path(folder) / "samples"
        with samples.open("wb") as file:
            for clip in clips:
                clip.pcm.tofile(file)
        shared = (
            samples,
            [replace(clip, pcm=nothing) for clip in clips],
            [len(clip.pcm) for clip in clips],
            recipe,
        )
        # Not fork: a training library has threads by now.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _hold, shared) as processes:
            waiting: list[Future[Batch]] = []
            try:
                yield _ahead(processes, numbers, waiting, workers * _AHEAD)
            finally:
                for future in waiting:
                    future.cancel()


def _ahead(
    processes: ProcessPoolExecutor, numbers: range, waiting: list[Future[Batch]], most: int
) -> Iterator[Batch]:
    rest = iter(numbers)
    for number in rest:
        waiting.append(processes.submit(_make_held, number))
        if len(waiting) >= most:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()
