# SPDX-License-Identifier: Apache-2.0
"""The paper's teachers in small against independent arithmetic, files as teachers, and errors."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from wav2small_micro.audio import Clip
from wav2small_micro.data.manifest import Row
from wav2small_micro.errors import W2sError
from wav2small_micro.teachers import base, mean

NEEDED = "the teachers are not installed: pip install -e '.[teachers]'"


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
@pytest.mark.parametrize("name", ["Wav2Vec2", "WavLM"])
def test_the_paper_s(name: str, safe: bool, tmp_path: Path, clips: list[Clip]) -> None:
    """A batch of clips of unlike length is answered as each clip alone by independent code."""
    pytest.importorskip("torch", reason=NEEDED)
    pytest.importorskip("transformers", reason=NEEDED)
    from support import teachers

    small = getattr(teachers, name)()
    teacher = base.load(str(small.save(tmp_path / "copy", safe)))
    heard = [clips[0].pcm, clips[1].pcm[:9000], clips[2].pcm[:3200]]
    found = teacher.answer(heard, [""] * 3)
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found, [small.expect(pcm) for pcm in heard], atol=2e-5)
    assert np.ptp(found, axis=0).min() > 1e-3
    assert (teacher.name, teacher.revision, teacher.fold(Row("a"))) == ("copy", "local", "")
    assert len(teacher.sha256) == 64


def test_their_mean(tmp_path: Path, clips: list[Clip]) -> None:
    pytest.importorskip("torch", reason=NEEDED)
    pytest.importorskip("transformers", reason=NEEDED)
    from support import teachers

    small = teachers.Wav2Vec2(), teachers.WavLM()
    folders = [each.save(tmp_path / type(each).__name__, True) for each in small]
    teacher = base.load(f"{folders[0]}+{folders[1]}")
    assert isinstance(teacher, mean.Mean)
    assert teacher.name == "Wav2Vec2+WavLM"
    pcm = clips[0].pcm[:8000]
    expected = np.mean([each.expect(pcm) for each in small], axis=0)
    np.testing.assert_allclose(teacher.answer([pcm], [""])[0], expected, atol=2e-5)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=NEEDED)
    pytest.importorskip("transformers", reason=NEEDED)
    from support import teachers

    small = teachers.WavLM()
    del small.state["pool_model.attention"]
    folder = small.save(tmp_path / "lacking", True)
    with pytest.raises(W2sError, match=r"1 are missing \(pool_model.attention\)"):
        base.load(str(folder))
    other = teachers.Wav2Vec2()
    other.state["classifier.out_proj.weight"] = other.state["classifier.out_proj.weight"][:2]
    with pytest.raises(W2sError, match=r"do not fit its config\.json"):
        base.load(str(other.save(tmp_path / "narrow", False)))
    folder = teachers.Wav2Vec2().save(tmp_path / "copy", True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "valence"}}))
    with pytest.raises(W2sError, match="answers"):
        base.load(str(folder))
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "hubert"}))
    with pytest.raises(W2sError, match="'hubert' model"):
        base.load(str(folder))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(W2sError, match="cannot be read as weights"):
        base.load(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(W2sError, match="has no weights"):
        base.load(str(folder))


@pytest.mark.parametrize("name", ["wav2vec2", "3loi/SER-Odyssey-Baseline-WavLM-Multi-Attributes"])
def test_a_hub_out_of_reach(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told at once, with what to do: nobody listens at this address."""
    pytest.importorskip("torch", reason=NEEDED)
    pytest.importorskip("transformers", reason=NEEDED)
    huggingface_hub = pytest.importorskip("huggingface_hub", reason=NEEDED)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(W2sError, match="cannot be reached") as caught:
        base.load(name)
    assert time.monotonic() - start < 20
    assert "--local-dir" in caught.value.hint
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(W2sError, match="HF_HUB_OFFLINE"):
        base.load(name)


def onnx_teacher(path: Path) -> Path:
    pytest.importorskip("onnxruntime", reason=NEEDED)
    pytest.importorskip("onnx", reason="pip install -e '.[onnx-base]'")
    from support.onnx_teacher import write

    return write(path)


def test_an_onnx_file(tmp_path: Path, clips: list[Clip]) -> None:
    path = onnx_teacher(tmp_path / "peak.onnx")
    x = clips[0].pcm / 32768
    teacher = base.load(str(path))
    found = teacher.answer([clips[0].pcm, clips[1].pcm], ["", ""])
    np.testing.assert_allclose(found[0], [x.max(), x.min(), x.mean()], atol=1e-6)
    assert (teacher.name, teacher.revision) == ("peak.onnx", "file")
    said = {
        "normalise": "unit",
        "order": ["valence", "arousal", "dominance"],
        "scale": [-8, 8],
        "name": "peaks",
        "revision": "7",
    }
    (tmp_path / "peak.onnx.json").write_text(json.dumps(said))
    second = base.load(str(path))
    assert (second.name, second.revision) == ("peaks", "7")
    assert second.sha256 != teacher.sha256
    unit = (x - x.mean()) / x.std()
    expected = (np.array([unit.min(), unit.mean(), unit.max()]) + 8) / 16
    np.testing.assert_allclose(second.answer([clips[0].pcm], [""])[0], expected, atol=1e-5)
    (tmp_path / "peak.onnx.json").write_text(json.dumps({"rate": 8000}))
    slow = base.load(str(path)).answer([clips[0].pcm], [""])[0]
    assert 0 < abs(slow[0] - x.max()) < 0.2


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"output": "logits"}, "has no 'logits'"),
        ({"output": "twice"}, "answers 6 values"),
        ({"order": ["arousal", "valence"]}, "lacks dominance"),
        ({"normalise": "peak"}, "normalise is none or unit"),
        ({"scale": [1, 1]}, "scale two numbers"),
        ({"speed": 2}, "cannot be used"),
    ],
)
def test_a_json_beside_that_cannot_be(tmp_path: Path, said: dict, message: str) -> None:
    path = onnx_teacher(tmp_path / "t.onnx")
    (tmp_path / "t.onnx.json").write_text(json.dumps(said))
    with pytest.raises(W2sError, match=message):
        base.load(str(path)).answer([np.ones(4000, np.int16)], [""])


def test_a_keras_file(tmp_path: Path, clips: list[Clip]) -> None:
    keras = pytest.importorskip(
        "keras", reason="training is not installed: pip install -e '.[train]'"
    )
    audio = keras.Input((None,), name="audio")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Reshape((-1, 1))(audio))
    model = keras.Model(audio, keras.layers.Dense(3, bias_initializer="ones")(pooled))
    model.save(tmp_path / "tiny.keras")
    teacher = base.load(str(tmp_path / "tiny.keras"))
    found = teacher.answer([clips[0].pcm], [""])
    weight = model.get_weights()[0][0]
    np.testing.assert_allclose(found[0], clips[0].pcm.mean() / 32768 * weight + 1, atol=1e-5)
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    with pytest.raises(W2sError, match="cannot be read as Keras"):
        base.load(str(tmp_path / "broken.keras"))


def test_teachers_that_are_not_there(tmp_path: Path) -> None:
    for name, message in (
        ("whisper", "no teacher 'whisper'"),
        ("wav2vec2+", "no teacher"),
        (str(tmp_path), "holds no teacher"),
        (str(tmp_path / "t.onnx"), "no teacher at"),
    ):
        with pytest.raises(W2sError, match=message) as caught:
            base.load(name)
        assert caught.value.hint
    pytest.importorskip("onnxruntime", reason=NEEDED)
    (tmp_path / "t.onnx").write_bytes(b"no onnx")
    with pytest.raises(W2sError, match="cannot be read as ONNX"):
        base.load(str(tmp_path / "t.onnx"))


def test_from_the_cache_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was downloaded once is found again without the hub, with its commit as revision."""
    pytest.importorskip("torch", reason=NEEDED)
    pytest.importorskip("transformers", reason=NEEDED)
    huggingface_hub = pytest.importorskip("huggingface_hub", reason=NEEDED)
    from support import teachers

    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--audeering--wav2vec2-large-robust-12-ft-emotion-msp-dim"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(commit)
    (kept / "snapshots").mkdir()
    small = teachers.Wav2Vec2()
    small.save(kept / "snapshots" / commit, False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    teacher = base.load("wav2vec2")
    assert teacher.name == "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim"
    assert teacher.revision == commit
    pcm = np.random.default_rng(0).integers(-3000, 3000, 6000).astype(np.int16)
    np.testing.assert_allclose(teacher.answer([pcm], [""])[0], small.expect(pcm), atol=2e-5)
