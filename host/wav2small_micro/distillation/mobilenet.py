# SPDX-License-Identifier: Apache-2.0
"""The paper's other students, for comparison on the host: MobileNetV3 and MobileNetV4 over log-mel.

V3 is the one of Keras, from random weights. V4 is written from tables 11 and 12 of Qin et al.,
"MobileNetV4: universal models for the mobile ecosystem", arXiv 2404.10518.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import layers

from wav2small_micro import reference

_BANDS = 32
"""Bands with padding: five strides of 2 leave one of them."""

# One row of the paper's tables each.
Convolution = tuple[str, int, int, int]
"""``conv``, kernel, channels, stride."""
Fused = tuple[str, int, int, int]
"""``fused``, channels inside, channels, stride: 3x3 then 1x1."""
Universal = tuple[str, int, int, float, int, int]
"""``uib``, kernel of the first depthwise convolution (0: none), of the second, expansion, channels,
stride."""
Row = Convolution | Fused | Universal

SMALL: tuple[Row, ...] = (
    ("conv", 3, 32, 2),
    ("fused", 32, 32, 2),
    ("fused", 96, 64, 2),
    ("uib", 5, 5, 3, 96, 2),
    *(("uib", 0, 3, 2, 96, 1),) * 4,
    ("uib", 3, 0, 4, 96, 1),
    ("uib", 3, 3, 6, 128, 2),
    ("uib", 5, 5, 4, 128, 1),
    ("uib", 0, 5, 4, 128, 1),
    ("uib", 0, 5, 3, 128, 1),
    ("uib", 0, 3, 4, 128, 1),
    ("uib", 0, 3, 4, 128, 1),
    ("conv", 1, 960, 1),
)
MEDIUM: tuple[Row, ...] = (
    ("conv", 3, 32, 2),
    ("fused", 128, 48, 2),
    ("uib", 3, 5, 4, 80, 2),
    ("uib", 3, 3, 2, 80, 1),
    ("uib", 3, 5, 6, 160, 2),
    ("uib", 3, 3, 4, 160, 1),
    ("uib", 3, 3, 4, 160, 1),
    ("uib", 3, 5, 4, 160, 1),
    ("uib", 3, 3, 4, 160, 1),
    ("uib", 3, 0, 4, 160, 1),
    ("uib", 0, 0, 2, 160, 1),
    ("uib", 3, 0, 4, 160, 1),
    ("uib", 5, 5, 6, 256, 2),
    ("uib", 5, 5, 4, 256, 1),
    ("uib", 3, 5, 4, 256, 1),
    ("uib", 3, 5, 4, 256, 1),
    ("uib", 0, 0, 4, 256, 1),
    ("uib", 3, 0, 4, 256, 1),
    ("uib", 3, 5, 2, 256, 1),
    ("uib", 5, 5, 4, 256, 1),
    ("uib", 0, 0, 4, 256, 1),
    ("uib", 0, 0, 4, 256, 1),
    ("uib", 5, 0, 2, 256, 1),
    ("conv", 1, 960, 1),
)
HEAD = 1280
"""Width of the last hidden layer, behind the mean over the picture."""


def _norm(x: Any, relu: bool = True) -> Any:
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3)(x)
    return layers.ReLU()(x) if relu else x


def _pointwise(x: Any, channels: int, relu: bool = True) -> Any:
    return _norm(layers.Conv2D(channels, 1, use_bias=False)(x), relu)


def _depthwise(x: Any, kernel: int, stride: int, relu: bool) -> Any:
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False)(x)
    return _norm(x, relu)


def universal(x: Any, first: int, second: int, expansion: float, channels: int, stride: int) -> Any:
    """The universal inverted bottleneck, figure 4 of the paper: depthwise, expand, depthwise,
    project; the stride is the second one's where there are both."""
    shortcut = x
    width = int(x.shape[-1])
    if first:
        x = _depthwise(x, first, 1 if second else stride, relu=False)
    x = _pointwise(x, round(width * expansion / 8) * 8)
    if second:
        x = _depthwise(x, second, stride, relu=True)
    x = _pointwise(x, channels, relu=False)
    return layers.Add()([shortcut, x]) if stride == 1 and width == channels else x


def trunk(x: Any, rows: tuple[Row, ...]) -> Any:
    """The picture (B, H, W, C) through a table of the paper: (B, H / 32, W / 32, 960)."""
    for kind, *numbers in rows:
        if kind == "uib":
            x = universal(x, *numbers)
        elif kind == "fused":
            inside, channels, stride = map(int, numbers)
            x = layers.Conv2D(inside, 3, stride, padding="same", use_bias=False)(x)
            x = _pointwise(_norm(x), channels, relu=len(rows) == len(SMALL))
        else:
            kernel, channels, stride = map(int, numbers)
            x = _norm(layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False)(x))
    return x


def classifier(rows: tuple[Row, ...], classes: int = 1000) -> keras.Model:
    """The network of the paper for pictures, whose parameters the paper counts."""
    picture = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D(keepdims=True)(trunk(picture, rows))
    x = layers.Flatten()(_pointwise(x, HEAD))
    return keras.Model(picture, layers.Dense(classes)(x))


def _picture(logmel: Any) -> Any:
    """Log-mel as a picture of one channel, 32 bands, about 0 with a spread of 1."""
    x = layers.Reshape((-1, reference.BANDS, 1))(logmel)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3)(x)
    return layers.ZeroPadding2D(((0, 0), (3, 3)))(x)


def _answer(logmel: Any, x: Any, name: str) -> keras.Model:
    adv = layers.Dense(
        3,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(0.5),
        name="adv",
    )(x)
    return keras.Model(logmel, adv, name=name.replace("-", "_"))


def _v3(name: str, network: Callable[..., Any]) -> keras.Model:
    logmel = keras.Input((None, reference.BANDS), name="logmel")
    features = network(
        input_shape=(None, None, 1),
        include_top=False,
        weights=None,
        pooling="avg",
        include_preprocessing=False,
    )
    for layer in features.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # Keras's 0.999 would still be on its way after a whole run
    return _answer(logmel, features(_picture(logmel)), name)


def _v4(name: str, rows: tuple[Row, ...]) -> keras.Model:
    logmel = keras.Input((None, reference.BANDS), name="logmel")
    x = layers.GlobalAveragePooling2D(keepdims=True)(trunk(_picture(logmel), rows))
    return _answer(logmel, layers.Flatten()(_pointwise(x, HEAD)), name)


BUILDERS: dict[str, Callable[[], keras.Model]] = {
    "mobilenet-v3-small": partial(_v3, "mobilenet-v3-small", keras.applications.MobileNetV3Small),
    "mobilenet-v3-large": partial(_v3, "mobilenet-v3-large", keras.applications.MobileNetV3Large),
    "mobilenet-v4-small": partial(_v4, "mobilenet-v4-small", SMALL),
    "mobilenet-v4-medium": partial(_v4, "mobilenet-v4-medium", MEDIUM),
}
