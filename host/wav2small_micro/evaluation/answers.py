# SPDX-License-Identifier: Apache-2.0
"""Answers of engines to many clips: on every core, and kept, so that a run which was stopped goes
on where it was and a second one is quick.

An answer is kept under the audio itself (its SHA-256) and under what computes it: model file,
engine, and the code of the engine. Whatever changes one of them asks anew.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import paths
from wav2small_micro.engines import base
from wav2small_micro.errors import W2sError

Pcm = NDArray[np.int16]
Adv = NDArray[np.float64]
Tick = Callable[[], None]

DEVICES = ("emulator", "board")
"""Engines of which there is one, that answers one clip at a time."""


def default_folder() -> Path:
    """Where answers are kept unless another folder is named."""
    return paths.repo_root() / "out" / "evaluation" / "answers"


@dataclass(frozen=True)
class Question:
    """A clip, int16 (N,), and the normalisation to hear it under."""

    pcm: Pcm
    norm: str

    @property
    def key(self) -> str:
        """What the answer is kept under."""
        return f"{hashlib.sha256(self.pcm.tobytes()).hexdigest()[:32]}-{self.norm}"


class Kept:
    """The answers of one engine for one model, a line each: key, arousal, dominance, valence.

    Lines are appended whole, several processes may do so; one that a kill cut is passed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, tuple[float, float, float]] = {}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        content = path.read_bytes()
        for line in content.decode("ascii", "replace").splitlines():
            key, *values = line.split(",")
            with suppress(ValueError):
                arousal, dominance, valence, end = values
                if end == "x":
                    self._answers[key] = (float(arousal), float(dominance), float(valence))
        if content and not content.endswith(b"\n"):
            os.write(self._file, b"\n")

    def get(self, key: str) -> Adv | None:
        """The answer kept under a key, (3,)."""
        found = self._answers.get(key)
        return None if found is None else np.array(found)

    def put(self, key: str, adv: Adv) -> None:
        """Keeps an answer."""
        arousal, dominance, valence = (float(value) for value in adv)
        with self._lock:
            self._answers[key] = (arousal, dominance, valence)
            os.write(self._file, f"{key},{arousal!r},{dominance!r},{valence!r},x\n".encode())

    def close(self) -> None:
        """Lets the file go."""
        os.close(self._file)


def _code(*things: Any) -> bytes:
    """The sources or binaries that compute an answer, hashed."""
    digest = hashlib.sha256()
    for thing in things:
        file = thing if isinstance(thing, Path) else Path(inspect.getfile(thing))
        digest.update(file.read_bytes())
    return digest.digest()


def fingerprint(model: base.Model, engine: str, elf: Path | None = None) -> str:
    """What computes the answers of an engine, as a short hash: the model and the code."""
    from wav2small_micro import attention, reference

    digest = hashlib.sha256(engine.encode())
    digest.update((model.float_path if engine == "float" else model.int8_path).read_bytes())
    if engine == "float":
        from wav2small_micro.engines import floating, inputs

        digest.update(_code(reference, floating, inputs) + str(model.facts.get("order")).encode())
    else:
        from wav2small_micro import _native, plan

        digest.update(_code(_native, plan, attention))
    if engine in ("float", "tflite"):
        digest.update(importlib.metadata.version("ai-edge-litert").encode())
    if engine == "tflm":
        digest.update(importlib.metadata.version("tflite-micro").encode())
    if elf is not None:
        digest.update(elf.read_bytes())
    return digest.hexdigest()[:16]


class Answerer:
    """A model run by an engine, for many questions."""

    def __init__(
        self,
        model: base.Model,
        engine: str,
        *,
        env: str = "",
        port: str | None = None,
        jobs: int | None = None,
        folder: Path | None = None,
    ) -> None:
        if engine not in base.ENGINES:
            raise W2sError(f"no engine {engine!r}", f"engines: {', '.join(base.ENGINES)}")
        self.model, self.engine = model, engine
        self._options: dict[str, Any] = {}
        elf = None
        if engine == "emulator":
            from wav2small_micro import pio

            elf = pio.build(env, model.folder)
            self._options = {"env": env, "elf": elf}
        elif engine == "board":
            self._options = {"port": port}
        else:
            base.create(engine, model).close()  # which says what is missing, if something is
        self._jobs = 1 if engine in DEVICES else jobs or os.cpu_count() or 1
        self._local = threading.local()
        self._opened: list[base.Engine] = []
        self._lock = threading.Lock()
        self._kept: Kept | None = None
        if engine != "board":  # the board is what is measured: it is asked each time
            name = f"{model.name}-{engine}-{fingerprint(model, engine, elf)}.csv"
            self._kept = Kept((folder or default_folder()) / name)

    def _ask(self, question: Question) -> Adv:
        engine: base.Engine | None = getattr(self._local, "engine", None)
        if engine is None:
            engine = base.create(self.engine, self.model, **self._options)
            self._local.engine = engine
            with self._lock:
                self._opened.append(engine)
        return engine.run(question.pcm, norm=question.norm).adv

    def ask(self, questions: Sequence[Question], tick: Tick = lambda: None) -> Adv:
        """Answers, (N, 3), in the order of the questions. ``tick`` is called for each.

        Raises :class:`W2sError` for what an engine cannot answer; what was answered is kept.
        """
        keys = [question.key for question in questions]
        found: dict[str, Adv] = {}
        open_keys: dict[str, Question] = {}
        for key, question in zip(keys, questions, strict=True):
            kept = self._kept.get(key) if self._kept else None
            if kept is not None:
                found[key] = kept
                tick()
            else:
                open_keys[key] = question
        with ThreadPoolExecutor(self._jobs) as pool:
            waiting: dict[Future[Adv], str] = {}
            try:
                for key, question in open_keys.items():
                    waiting[pool.submit(self._ask, question)] = key
                while waiting:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        key = waiting.pop(future)
                        found[key] = future.result()
                        if self._kept:
                            self._kept.put(key, found[key])
                        tick()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return np.stack([found[key] for key in keys]) if keys else np.empty((0, 3))

    def close(self) -> None:
        """Closes every engine."""
        for engine in self._opened:
            engine.close()
        if self._kept:
            self._kept.close()

    def __enter__(self) -> Answerer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
