# SPDX-License-Identifier: Apache-2.0
"""The loss of the paper: how far answers are from agreeing with the teacher's."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

Loss = Callable[[Any, Any], Any]


def ccc_loss(
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0), consistency: float = 0.0
) -> Loss:
    """The loss of answers to targets, both (B, 3), where the dimensions count so much.

    With ``consistency`` the second half of the batch are disturbed twins of the first: how far the
    answers to both are apart counts too, so much beside the agreement with the targets.
    """
    share = np.array(weights, np.float32) / np.float32(sum(weights))

    def loss(target: Any, predicted: Any) -> Any:
        apart = _apart(target, predicted)
        if consistency:
            half = ops.shape(predicted)[0] // 2
            apart = apart + consistency * _apart(predicted[:half], predicted[half:])
        return ops.sum(ops.convert_to_tensor(share) * apart)

    return loss


def _apart(target: Any, predicted: Any) -> Any:
    """1 - CCC over the batch of arousal, dominance, valence, (3,)."""
    target_mean, predicted_mean = ops.mean(target, axis=0), ops.mean(predicted, axis=0)
    target_apart, predicted_apart = target - target_mean, predicted - predicted_mean
    covariance = ops.mean(target_apart * predicted_apart, axis=0)
    spread = ops.mean(target_apart**2 + predicted_apart**2, axis=0)
    return 1 - 2 * covariance / (spread + (target_mean - predicted_mean) ** 2 + 1e-6)
