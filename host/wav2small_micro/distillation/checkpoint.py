# SPDX-License-Identifier: Apache-2.0
"""Everything that a run must know to go on, in one file that is replaced in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from wav2small_micro.errors import W2sError

Arrays = list[NDArray[Any]]


@dataclass
class State:
    """Steps done, the best comparison so far and its weights, and the log by line."""

    key: str
    """Recipe, architecture and data, as text: what must not change within a run."""
    step: int = 0
    best: float = -1.0
    since_best: int = 0
    seconds: float = 0.0
    """Spent, over all sittings."""
    log: list[dict[str, float]] = field(default_factory=list)
    best_weights: Arrays = field(default_factory=list)
    mean_weights: Arrays = field(default_factory=list)
    """The running mean over all steps, where there is one."""


def values(variables: Sequence[Any]) -> Arrays:
    """Variables of Keras as arrays."""
    return [np.array(ops.convert_to_numpy(variable.value)) for variable in variables]


def write(path: Path, state: State, model: Any) -> None:
    """Store the state, the weights and the optimizer's own variables."""
    facts = {k: v for k, v in vars(state).items() if not k.endswith("_weights")}
    arrays: dict[str, Any] = {"state": np.array(json.dumps(facts))}
    groups = {
        "weights": values(model.weights),
        "optimizer": values(model.optimizer.variables),
        "best": state.best_weights,
        "mean": state.mean_weights,
    }
    for name, group in groups.items():
        arrays |= {f"{name}_{i}": array for i, array in enumerate(group)}
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read(path: Path, key: str, model: Any) -> State:
    """Put a stored run's weights into ``model`` and return its state, a new one if there is none.

    Raises :class:`W2sError` when the run is of another recipe.
    """
    if not path.is_file():
        return State(key)
    with np.load(path) as arrays:
        facts = json.loads(str(arrays["state"]))
        if facts["key"] != key:
            raise W2sError(
                f"{path.parent} holds an unfinished run of another recipe or other labels",
                "give the same options to go on with it, or another name; "
                f"deleting {path} drops it",
            )
        for name, variables in (
            ("weights", model.weights),
            ("optimizer", model.optimizer.variables),
        ):
            for i, variable in enumerate(variables):
                variable.assign(arrays[f"{name}_{i}"])
        best, mean = (
            [arrays[f"{name}_{i}"] for i in range(len(model.weights)) if f"{name}_{i}" in arrays]
            for name in ("best", "mean")
        )
    return State(**facts, best_weights=best, mean_weights=mean)
