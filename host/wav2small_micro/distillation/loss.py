# SPDX-License-Identifier: Apache-2.0
"""The loss of the paper: how far answers are from agreeing with the teacher's."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("wav2small")
def ccc_loss(target: Any, predicted: Any) -> Any:
    """1 - CCC over the batch, mean over arousal, dominance, valence; both (B, 3)."""
    target_mean, predicted_mean = ops.mean(target, axis=0), ops.mean(predicted, axis=0)
    target_apart, predicted_apart = target - target_mean, predicted - predicted_mean
    covariance = ops.mean(target_apart * predicted_apart, axis=0)
    spread = ops.mean(target_apart**2 + predicted_apart**2, axis=0)
    return 1 - ops.mean(2 * covariance / (spread + (target_mean - predicted_mean) ** 2 + 1e-6))
