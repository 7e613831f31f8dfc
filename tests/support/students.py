# SPDX-License-Identifier: Apache-2.0
"""Untrained students whose batch norms hold statistics, and the same network in plain numpy."""

from typing import Any

import numpy as np


def randomise(model: Any, seed: int = 0) -> Any:
    """Random weights and random, valid batch norm statistics, scaled so that no layer dies."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name.endswith("_norm"):
            gamma, beta, mean, variance = (weight.shape for weight in weights)
            first = layer.name == "l1_norm"
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, gamma),
                    rng.uniform(-0.2, 0.6, beta),
                    rng.uniform(-20, 20, mean) if first else rng.uniform(-0.5, 0.5, mean),
                    rng.uniform(400, 900, variance) if first else rng.uniform(0.5, 2, variance),
                ]
            )
        elif weights:
            fan = np.prod(weights[0].shape[:-1])
            size = 0.3 if layer.name == "adv" else 1.2
            layer.set_weights(
                [rng.normal(0, size / np.sqrt(fan), weights[0].shape)]
                + [rng.normal(0.3, 0.2, weight.shape) for weight in weights[1:]]
            )
    return model


def _convolution(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Stride 1, no padding: (T, M, C) by (height, width, C, out)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(0, 1))
    return np.einsum("tmchw,hwco->tmo", windows, kernel)


def forward(model: Any, rows: np.ndarray) -> np.ndarray:
    """A/D/V (3,) of a student for log-mel (T, 26), in float64, written from the paper's table."""
    weights = {
        layer.name: [w.astype(np.float64) for w in layer.get_weights()] for layer in model.layers
    }
    x = rows.astype(np.float64)[:, :, None]
    for name in ("l1", "l2", "l3", "l4", "l5", "l6", "l7"):
        x = _convolution(np.pad(x, ((1, 1), (1, 1), (0, 0))), weights[f"{name}_conv"][0])
        gamma, beta, mean, variance = weights[f"{name}_norm"]
        x = np.maximum(0, (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta)
        if name == "l3":
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
            x = windows[::2, ::2].max(axis=(3, 4))
    lin, sof = (_convolution(x, weights[name][0]) + weights[name][1] for name in ("lin", "sof"))
    attention = np.exp(sof - sof.max(axis=0))
    pooled = (lin * attention / attention.sum(axis=0)).sum(axis=0)
    if pooled.shape == (13, 13):  # 17K: (mel, channel)
        by_channel = pooled.T
        features = np.concatenate([by_channel.ravel(), (by_channel @ by_channel.T).ravel()])
    else:
        features = pooled.ravel()
    kernel, bias = weights["adv"]
    return features @ kernel + bias
