# SPDX-License-Identifier: Apache-2.0
"""openSMILE functionals of a clip, and each carried to a normal distribution by its ranks.

Feature sets: eGeMAPSv02 (Eyben et al., IEEE Trans. Affective Computing 7, 2016), 88 values, and
ComParE 2016 (Schuller et al., Interspeech 2016), 6,373 values. Their scales differ by many orders
and their tails are long: a feature is mapped through its own quantiles in the training audio.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.audio import RATE
from wav2small_micro.errors import W2sError

SETS = ("eGeMAPSv02", "ComParE_2016")

KNOTS = 101
"""Quantiles that a feature is mapped through."""

TAIL = 0.005
"""What lies beyond this quantile, on either side, is as far out as the quantile itself."""

LEVEL = 0.05
"""RMS that a clip is brought to before its features are taken: -26 dBFS."""

Pcm = NDArray[np.int16]


class _OpenSmile:
    """openSMILE in a process of its own: beside PyTorch and onnxruntime it crashes. That process
    ends with this one, however this one ends."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._end, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def functionals(self, samples: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        """Of one clip, as openSMILE gives them. Raises W2sError when it crashes."""
        with self._lock:
            try:
                self._end.send((samples, name))
                return np.asarray(self._end.recv())
            except (EOFError, OSError) as error:
                raise W2sError(
                    f"openSMILE has ended with {self._process.exitcode}",
                    "try again: what was done is kept",
                ) from error


def _serve(end: Connection) -> None:
    """Answers (samples, feature set) until the other end is closed."""
    import opensmile

    smiles: dict[str, Any] = {}
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            samples, name = end.recv()
            if name not in smiles:
                smiles[name] = opensmile.Smile(feature_set=opensmile.FeatureSet[name])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of clips too short for some functional
                table = smiles[name].process_signal(samples, RATE)
            end.send(table.to_numpy(np.float32)[0])


@cache
def _smile() -> _OpenSmile:
    if importlib.util.find_spec("opensmile") is None:
        raise W2sError("this teacher needs openSMILE", "pip install 'wav2small-micro[teach]'")
    return _OpenSmile()


def extract(pcm: Pcm, name: str, as_recorded: bool = False) -> NDArray[np.float32]:
    """The functionals of one clip, (88,) or (6373,); 0 where openSMILE has no value.

    The clip is brought to one level first, unless ``as_recorded``.
    """
    if name not in SETS:
        raise W2sError(f"no feature set {name!r}", f"one of {', '.join(SETS)}")
    found = _smile().functionals(sound(pcm, as_recorded), name)
    return np.nan_to_num(found, posinf=0, neginf=0)


def sound(pcm: Pcm, as_recorded: bool = False) -> NDArray[np.float32]:
    """Samples as openSMILE takes them: without their mean and at ``LEVEL``, or as they are."""
    x = (pcm / 32768).astype(np.float32)
    if as_recorded:
        return x
    x = x - x.mean()
    return np.asarray(x * (LEVEL / max(float(x.std()), 1e-5)), np.float32)


@dataclass(frozen=True)
class Gauss:
    """Maps each feature through ``knots``, (KNOTS, F), onto a standard normal."""

    knots: NDArray[np.float32]

    @classmethod
    def fit(cls, features: NDArray[np.float32]) -> Gauss:
        """From features (N, F) of the training audio."""
        return cls(np.quantile(features, _grid(), axis=0).astype(np.float32))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (N, F) to about -2.6..2.6. A value that many clips share goes to the middle of
        its ranks."""
        share = np.clip(_grid(), TAIL, 1 - TAIL)
        levels = np.array([NormalDist().inv_cdf(float(x)) for x in share])
        mapped = np.empty(features.shape, np.float32)
        for i, knots in enumerate(self.knots.T):
            steps, which = np.unique(knots, return_inverse=True)
            middle = np.bincount(which, levels) / np.bincount(which)
            mapped[:, i] = np.interp(features[:, i], steps, middle)
        return mapped


def _grid() -> NDArray[np.float64]:
    return np.linspace(0, 1, KNOTS)


def extract_all(
    read: Sequence[Callable[[], Pcm]],
    names: Sequence[str],
    keys: Sequence[str],
    folder: Path,
    progress: Callable[[int, int], None],
    as_recorded: bool = False,
) -> dict[str, NDArray[np.float32]]:
    """Functionals of many clips by feature set, (N, F) each, kept in a folder 64 clips a file.

    ``keys`` name the clips; what is in the folder under the same keys is not computed again, so
    that a run that was stopped goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for start in range(0, len(keys), 64):
        some = slice(start, start + 64)
        path = folder / f"{start // 64:05d}.npz"
        pieces = _piece(read[some], names, list(keys[some]), path, as_recorded)
        for name in names:
            found[name].append(pieces[name])
        progress(min(start + 64, len(keys)), len(keys))
    return {name: np.concatenate(pieces) for name, pieces in found.items()}


def _piece(
    read: Sequence[Callable[[], Pcm]],
    names: Sequence[str],
    keys: list[str],
    path: Path,
    as_recorded: bool,
) -> dict[str, NDArray[np.float32]]:
    if path.is_file():
        with np.load(path) as stored:
            if stored["keys"].tolist() == keys and set(names) <= set(stored.files):
                return {name: stored[name] for name in names}
    clips = [each() for each in read]
    made = {name: np.stack([extract(pcm, name, as_recorded) for pcm in clips]) for name in names}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, keys=np.array(keys), **made)  # type: ignore[arg-type]
    os.replace(temporary, path)
    return made
