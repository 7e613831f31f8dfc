# SPDX-License-Identifier: Apache-2.0
"""The students against the published figures and against the same network in numpy."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="training is not installed: pip install -e '.[train]'")

from support.students import forward, randomise

from wav2small_micro import reference, student
from wav2small_micro.errors import W2sError

BOTH = pytest.mark.parametrize("architecture", student.ARCHITECTURES)
SPEECH_LIKE = np.random.default_rng(5).uniform(-90, 20, (70, 26)).astype(np.float32)


@pytest.mark.parametrize(
    ("architecture", "trained", "with_front_end"),
    [("72k", 67_395, 72_477), ("17k", 10_806, 15_888)],
)
def test_parameters_are_those_of_the_paper(
    architecture: student.Architecture, trained: int, with_front_end: int
) -> None:
    model = student.build(architecture)
    audio = student.from_audio(model)
    count = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    front_end = sum(np.prod(weight.shape) for weight in audio.get_layer("front_end").weights)
    assert count == trained == student.TRAINED_PARAMETERS[architecture]
    assert front_end == 4_224 + 858 == student.DFT_PARAMETERS + student.MEL_PARAMETERS
    assert count + front_end == with_front_end
    assert not audio.get_layer("front_end").trainable_weights


@BOTH
@pytest.mark.parametrize("frames", [1, 2, 7, 70])
def test_students_are_the_network_of_the_paper(
    architecture: student.Architecture, frames: int
) -> None:
    """Pool alignment, attention, X X^T and orders, at odd and even lengths, against numpy."""
    model = randomise(student.build(architecture))
    rows = SPEECH_LIKE[:frames]
    found = np.asarray(model(rows[None], training=False))[0]
    np.testing.assert_allclose(found, forward(model, rows), rtol=1e-4, atol=1e-5)


@BOTH
def test_from_audio_is_the_reference_front_end(architecture: student.Architecture) -> None:
    model = randomise(student.build(architecture))
    pcm = np.random.default_rng(1).normal(0, 2000, 8000).astype(np.int16)
    rows = reference.logmel(pcm).astype(np.float32)
    expected = np.asarray(model(rows[None], training=False))
    found = student.from_audio(model)((pcm / 32768).astype(np.float32)[None], training=False)
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-4)


@BOTH
def test_the_parts_share_their_weights(architecture: student.Architecture) -> None:
    model = randomise(student.build(architecture))
    layers = student.taps(model)(SPEECH_LIKE[None], training=False)
    split = student.split(model)(SPEECH_LIKE[None, :, :, None], training=False)
    assert set(layers) == set(student.LAYERS)
    for name in ("lin", "sof"):
        np.testing.assert_allclose(np.asarray(split[name]), np.asarray(layers[name]), atol=1e-5)


def test_weights_survive_a_round_trip(tmp_path: Path) -> None:
    model = randomise(student.build("17k"))
    model.save_weights(tmp_path / "student.weights.h5")
    again = student.load(tmp_path, "17k")
    np.testing.assert_array_equal(np.asarray(again(SPEECH_LIKE[None])), model(SPEECH_LIKE[None]))
    with pytest.raises(W2sError, match="does not hold the weights of Wav2Small 72k"):
        student.load(tmp_path, "72k")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="no architecture '5k'"):
        student.build("5k")  # type: ignore[arg-type]
    with pytest.raises(W2sError, match="does not exist"):
        student.load(tmp_path, "72k")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends(backend: str, tmp_path: Path) -> None:
    """The same weights give the same answer on every Keras backend that is installed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    model = randomise(student.build("17k"))
    model.save_weights(tmp_path / "student.weights.h5")
    np.save(tmp_path / "rows.npy", SPEECH_LIKE[None])
    script = (
        "import sys, numpy as np, keras\n"
        "from pathlib import Path\n"
        "from wav2small_micro import student\n"
        "folder = Path(sys.argv[1])\n"
        "answer = student.load(folder, '17k')(np.load(folder / 'rows.npy'), training=False)\n"
        "np.save(folder / 'answer.npy', keras.ops.convert_to_numpy(answer))\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
    expected = np.asarray(model(SPEECH_LIKE[None], training=False))
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), expected, atol=1e-5)
