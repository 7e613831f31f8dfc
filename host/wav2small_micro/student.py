# SPDX-License-Identifier: Apache-2.0
"""Wav2Small 72K and 17K in Keras 3, on any Keras backend (``KERAS_BACKEND``).

Both networks share a trunk of seven 3x3 convolutions with one stride-2 max-pool, then attend over
time: ``sum_t lin * softmax_t(sof)``. Activations are (batch, time, mel, channel). From arXiv
2408.13920; the 17K is the one released as ``audeering/wav2small``.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from wav2small_micro import reference
from wav2small_micro.errors import W2sError

Architecture = Literal["72k", "17k"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)

CHANNELS = 13
"""Channels of the trunk, and by chance also the mel bands behind the pool."""
CONVOLUTIONS = ("l1", "l2", "l3", "l4", "l5", "l6", "l7")
LAYERS = ("l1", "l2", "l3", "pool", "l4", "l5", "l6", "l7", "lin", "sof")
"""Names of the layers whose rows the tools compare, in order."""

TRAINED_PARAMETERS = {"72k": 67_395, "17k": 10_806}
"""Convolutions, batch norm scale and shift, lin, sof and head (paper, table 1; released
checkpoint)."""
DFT_PARAMETERS = 2 * reference.WINDOW * reference.BINS
MEL_PARAMETERS = reference.BINS * reference.BANDS


@keras.saving.register_keras_serializable("wav2small")
class LogMel(keras.layers.Layer):
    """Prenorm over the utterance, 64-point DFT, mel, dB: audio (B, N) in -1..1 to (B, T, 26).

    The DFT and the mel filters are frozen weights, as in the paper.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        del input_shape
        cosine, sine = reference.dft()
        self.cosine = self._frozen("cosine", cosine[:, None, :])
        self.sine = self._frozen("sine", sine[:, None, :])
        self.mel = self._frozen("mel", reference.mel_matrix())

    def _frozen(self, name: str, value: np.ndarray) -> Any:
        return self.add_weight(
            name=name,
            shape=value.shape,
            trainable=False,
            initializer=lambda shape, dtype: ops.convert_to_tensor(value, dtype),
        )

    def call(self, audio: Any) -> Any:
        audio = audio - ops.mean(audio, axis=1, keepdims=True)
        variance = ops.mean(audio * audio, axis=1, keepdims=True)
        audio = (audio / ops.sqrt(variance + reference.VARIANCE_FLOOR))[..., None]
        real = ops.conv(audio, self.cosine, reference.HOP, data_format="channels_last")
        imaginary = ops.conv(audio, self.sine, reference.HOP, data_format="channels_last")
        power = ops.matmul(real * real + imaginary * imaginary, self.mel)
        return ops.log10(ops.maximum(power, 1e-10)) * 10.0

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        samples = input_shape[1]
        frames = None if samples is None else reference.frame_count(samples)
        return input_shape[0], frames, reference.BANDS


@keras.saving.register_keras_serializable("wav2small")
class AttentionPool(keras.layers.Layer):
    """``sum over time of lin * softmax over time of sof``: two (B, T, mel, channel) to (B, mel,
    channel)."""

    def call(self, lin: Any, sof: Any) -> Any:
        weight = ops.exp(sof - ops.max(sof, axis=1, keepdims=True))
        return ops.sum(lin * weight, axis=1) / ops.sum(weight, axis=1)


@keras.saving.register_keras_serializable("wav2small")
class SecondOrder(keras.layers.Layer):
    """The 17K's features: X (B, 13 mel, 13 channel) to X flattened (channel, mel), then X X^T: (B,
    338)."""

    def call(self, pooled: Any) -> Any:
        x = ops.transpose(pooled, (0, 2, 1))
        gram = ops.matmul(x, pooled)
        return ops.concatenate(
            [ops.reshape(x, (-1, CHANNELS**2)), ops.reshape(gram, (-1, CHANNELS**2))], axis=1
        )


def _convolution(x: Any, name: str) -> Any:
    x = keras.layers.Conv2D(CHANNELS, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=name)(x)


def _pool(x: Any) -> Any:
    """3x3 max, stride 2, padding 1. ``same`` would pad the 26 bands on one side only and shift
    every band by one; zeros are below nothing that a ReLU lets through, so they stand for minus
    infinity."""
    x = keras.layers.ZeroPadding2D(1, name="pool_pad")(x)
    return keras.layers.MaxPooling2D(3, 2, name="pool")(x)


def build(architecture: Architecture) -> keras.Model:
    """A new student from log-mel dB (B, T, 26), T >= 1 and free, to arousal, dominance, valence (B,
    3)."""
    if architecture not in ARCHITECTURES:
        raise W2sError(
            f"there is no architecture '{architecture}'", f"use one of: {', '.join(ARCHITECTURES)}"
        )
    logmel = keras.Input((None, reference.BANDS), name="logmel")
    x = keras.layers.Reshape((-1, reference.BANDS, 1), name="rows")(logmel)
    for name in CONVOLUTIONS:
        x = _convolution(x, name)
        if name == "l3":
            x = _pool(x)
    if architecture == "72k":
        # A dense layer over the 169 values of a row, as the convolution that it is on the device.
        shape = {"filters": CHANNELS**2, "kernel_size": (1, CHANNELS)}
    else:
        shape = {"filters": CHANNELS, "kernel_size": 1}
    lin = keras.layers.Conv2D(**shape, name="lin")(x)
    sof = keras.layers.Conv2D(**shape, name="sof")(x)
    pooled = AttentionPool(name="attention")(lin, sof)
    if architecture == "72k":
        features = keras.layers.Reshape((CHANNELS**2,), name="features")(pooled)
    else:
        features = SecondOrder(name="features")(pooled)
    # The CCC has no gradient to speak of far from the labels: start in their middle.
    adv = keras.layers.Dense(
        3,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(0.5),
        name="adv",
    )(features)
    model = keras.Model(logmel, adv, name=f"wav2small_{architecture}")
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == TRAINED_PARAMETERS[architecture], trained
    return model


def from_audio(model: keras.Model) -> keras.Model:
    """The same student (shared weights) from audio (B, N) in -1..1, normalised over the
    utterance."""
    audio = keras.Input((None,), name="audio")
    return keras.Model(audio, model(LogMel(name="front_end")(audio)), name=f"{model.name}_audio")


def taps(model: keras.Model) -> keras.Model:
    """The same student with every layer of :data:`LAYERS` as outputs, a dict by name."""
    return keras.Model(model.input, {name: model.get_layer(name).output for name in LAYERS})


def split(model: keras.Model) -> keras.Model:
    """The convolutional part alone, as it runs on the device: rows (B, T, 26, 1) to ``lin`` and
    ``sof``."""
    rows = keras.Input((None, reference.BANDS, 1), name="rows")
    x = rows
    for name in CONVOLUTIONS:
        for suffix in ("_conv", "_norm", ""):
            x = model.get_layer(name + suffix)(x)
        if name == "l3":
            x = model.get_layer("pool")(model.get_layer("pool_pad")(x))
    return keras.Model(rows, {name: model.get_layer(name)(x) for name in ("lin", "sof")})


def load(folder: Path, architecture: Architecture) -> keras.Model:
    """The student kept in a model folder. Raises :class:`W2sError` when its weights are not there
    or do not fit."""
    path = folder / "student.weights.h5"
    if not path.is_file():
        raise W2sError(f"{path} does not exist", "train the model first, or name a model folder")
    model = build(architecture)
    try:
        with warnings.catch_warnings():
            # Keras looks for an index of the layers as well, which holds no weights.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            model.load_weights(path)
    except (OSError, ValueError) as error:
        raise W2sError(
            f"{path} does not hold the weights of Wav2Small {architecture}", str(error)
        ) from error
    return model
