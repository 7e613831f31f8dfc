# SPDX-License-Identifier: Apache-2.0
"""The golden vectors belong to the models beside them, and the C library reproduces every layer."""

import numpy as np
import pytest

from wav2small_micro import golden, native, paths, plan

MODELS = pytest.mark.parametrize("name", paths.model_names())


@MODELS
def test_vectors_are_those_of_the_model(name: str) -> None:
    folder = paths.model_dir(name)
    made = golden.make(folder)
    with np.load(folder / "golden.npz") as stored:
        assert set(stored.files) == set(made)
        for key in stored.files:
            if key == "logmel":
                np.testing.assert_allclose(stored[key], made[key], atol=1e-6)
            else:
                np.testing.assert_array_equal(stored[key], made[key], err_msg=key)


@MODELS
def test_library_reproduces_every_layer(name: str) -> None:
    folder = paths.model_dir(name)
    with np.load(folder / "golden.npz") as stored:
        network = native.Network(plan.read(folder / "int8.tflite"))
        output = network.run(stored["pcm"], rows=("input", *golden.LAYERS))
        for layer in ("input", *golden.LAYERS):
            expected = stored[layer].reshape(output.rows[layer].shape)
            np.testing.assert_array_equal(output.rows[layer], expected, err_msg=layer)
        np.testing.assert_array_equal(output.adv_q16, stored["adv_q16"])
