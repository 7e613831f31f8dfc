# SPDX-License-Identifier: Apache-2.0
"""The interpreters agree with each other and with the C library, and int8 stays near float."""

from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import paths, reference
from wav2small_micro.audio import Clip, read_clip
from wav2small_micro.engines import base
from wav2small_micro.engines.tflite import OPTIMISED, interpret

NAMES = ("tflite", "tflm", "c")
MODELS = pytest.mark.parametrize("name", paths.model_names())
NORMS = pytest.mark.parametrize("norm", ["utterance", "live"])


def assert_identical(model: base.Model, pcm: np.ndarray, norm: str) -> None:
    first, *others = [base.create(name, model).run(pcm, norm=norm, rows=True) for name in NAMES]
    for other in others:
        for field in ("lin", "sof", "adv_q16", "logmel"):
            np.testing.assert_array_equal(getattr(first, field), getattr(other, field))


@MODELS
@NORMS
def test_interpreters_and_library_are_identical(name: str, norm: str, clips: list[Clip]) -> None:
    for clip in clips[::3]:
        assert_identical(base.Model.load(name), clip.pcm, norm)


@MODELS
def test_identical_on_extremes(name: str) -> None:
    """Silence, full scale, noise, a frame or two: where saturation and padding show."""
    rng = np.random.default_rng(3)
    model = base.Model.load(name)
    square = np.where(np.arange(3333) % 40 < 20, 32767, -32768)
    noise = rng.integers(-32768, 32768, 4000)
    for pcm in (np.zeros(3200), square, noise, np.ones(64), square[:96]):
        for norm in ("utterance", "live"):
            assert_identical(model, np.asarray(pcm, np.int16), norm)


@MODELS
@NORMS
def test_int8_is_near_float(name: str, norm: str, clips: list[Clip]) -> None:
    model = base.Model.load(name)
    floating, device = base.create("float", model), base.create("c", model)
    for clip in clips:
        difference = floating.run(clip.pcm, norm=norm).adv - device.run(clip.pcm, norm=norm).adv
        assert np.abs(difference).max() <= 0.03, clip.path.name


@MODELS
def test_float_kernels_agree(name: str, clips: list[Clip]) -> None:
    """The optimised float kernels of engine ``float`` against the reference ones."""
    content = base.Model.load(name).float_path.read_bytes()
    rows = reference.logmel(clips[0].pcm)[None].astype(np.float32)
    fast, exact = interpret(content, rows, kernels=OPTIMISED), interpret(content, rows)
    np.testing.assert_allclose(fast["adv"], exact["adv"], atol=1e-5)


@pytest.mark.slow
@MODELS
@NORMS
def test_on_research_speech(name: str, norm: str, research_clips: list[Path]) -> None:
    """Real clips: identical integers; int8 within .03 of float with a CCC of .995 or more."""
    from wav2small_micro.metrics import ccc

    model = base.Model.load(name)
    floating, device = base.create("float", model), base.create("c", model)
    answers = []
    for number, path in enumerate(research_clips[::2]):
        pcm = read_clip(path).pcm
        if number % 8 == 0:
            assert_identical(model, pcm, norm)
        answers.append((floating.run(pcm, norm=norm).adv, device.run(pcm, norm=norm).adv))
    expected, found = (np.array(column) for column in zip(*answers, strict=True))
    assert np.abs(expected - found).max() <= 0.03
    for dimension in range(3):
        assert ccc(expected[:, dimension], found[:, dimension]) >= 0.995
