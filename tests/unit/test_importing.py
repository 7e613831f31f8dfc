# SPDX-License-Identifier: Apache-2.0
"""``w2s import``: what is taken is what its source answers, and what is not is refused with the
place."""

import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="training is not installed: pip install -e '.[train]'")
pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[import]'")
pytest.importorskip("onnxruntime", reason="ONNX is not installed: pip install -e '.[onnx]'")

import torch
from safetensors.numpy import save_file
from support.checkpoints import FromLogMel, Other, Trunk, export, network_of, random_state
from typer.testing import CliRunner

from wav2small_micro import conversion, paths, student
from wav2small_micro.audio import Clip
from wav2small_micro.cli.app import app
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.floating import FloatEngine
from wav2small_micro.errors import W2sError
from wav2small_micro.importing import checkpoint, importer, recognise, through_onnx2tf
from wav2small_micro.importing.checkpoint import FRONT_END, State
from wav2small_micro.importing.importer import Source
from wav2small_micro.importing.onnx_source import OnnxSource

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*legacy.*:DeprecationWarning",
    "ignore:The feature will be removed:DeprecationWarning",
    "ignore::torch.jit.TracerWarning",
)

BOTH = pytest.mark.parametrize("architecture", student.ARCHITECTURES)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, clips: list[Clip]) -> None:
    """Two clips to compare on, where what is tested does not lie in the clips."""
    monkeypatch.setattr(importer, "speech", lambda: [clip.pcm for clip in clips[:2]])


def quiet(_: str) -> None:
    """For those who need not know."""


@pytest.fixture(scope="module")
def states(clips: list[Clip]) -> dict[str, State]:
    return {name: random_state(name, [c.pcm for c in clips[:4]]) for name in student.ARCHITECTURES}


def saved(state: State, folder: Path) -> Source:
    path = folder / "model.safetensors"
    save_file({name: np.ascontiguousarray(value) for name, value in state.items()}, path)
    return Source(path, path.name)


@BOTH
def test_a_checkpoint_answers_as_it_does_in_torch(
    architecture: str, states: dict[str, State], clips: list[Clip], tmp_path: Path
) -> None:
    source = saved(states[architecture], tmp_path)
    facts = importer.import_checkpoint(source, tmp_path / "mine", quiet)
    assert facts["architecture"] == architecture
    assert facts["imported"]["difference"] <= 1e-5
    assert facts["imported"]["clips"] >= len(clips)
    assert facts["imported"]["front_end"] == "compared: conv_real, conv_imag, logmel_extractor"
    engine = FloatEngine(Model(tmp_path / "mine"))
    network = network_of(architecture, states[architecture])
    for clip in clips:
        with torch.inference_mode():
            expected = network(torch.from_numpy(clip.pcm.astype(np.float32) / 32768)[None])[0]
        np.testing.assert_allclose(engine.run(clip.pcm).adv, expected.numpy(), atol=1e-5)
    # Ready for `w2s convert`: the weights are there and are those.
    again = checkpoint.from_student(student.load(tmp_path / "mine", architecture), architecture)
    for name, value in states[architecture].items():
        np.testing.assert_allclose(again[name], value, atol=1e-7, err_msg=name)


@pytest.mark.usefixtures("few")
def test_the_shipped_model_survives_the_way_out_and_in(tmp_path: Path, clips: list[Clip]) -> None:
    shipped = paths.model_dir("wav2small-17k")
    state = checkpoint.from_student(student.load(shipped, "17k"), "17k")
    half = {name: torch.from_numpy(value) for name, value in state.items()}
    torch.save({"state_dict": half}, tmp_path / "model.pt")
    source = Source(tmp_path / "model.pt", "model.pt", licence="mine", order=(2, 1, 0))
    facts = importer.import_checkpoint(source, tmp_path / "mine", quiet)
    assert facts["licence"] == "mine"
    ours, theirs = (FloatEngine(Model(folder)) for folder in (tmp_path / "mine", shipped))
    for clip in clips[:3]:
        np.testing.assert_allclose(
            ours.run(clip.pcm).adv, theirs.run(clip.pcm).adv[::-1], atol=1e-6
        )


def scaled(name: str, factor: float) -> dict[str, np.ndarray]:
    return {name: (FRONT_END[name]() * factor).astype(np.float32)}


REAL, _, MEL = FRONT_END


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vgg7.l4.conv.weight": None}, r"lacks 1 weights.*vgg7\.l4\.conv\.weight"),
        ({"vgg7.l8.conv.weight": np.ones(3, np.float32)}, r"no place for: vgg7\.l8"),
        ({"adv.weight": np.ones((3, 169), np.float32)}, r"adv\.weight is \(3, 169\)"),
        ({"adv.bias": np.array([0, np.nan, 0], np.float32)}, r"adv\.bias holds values"),
        ({"vgg7.l2.norm.running_var": -np.ones(13, np.float32)}, "negative variances"),
        (scaled(MEL, 1.001), r"melW differs from the device's front end"),
        (scaled(REAL, -1), r"conv_real\.weight differs from the device's front end"),
        ({REAL: np.ones((257, 1, 512), np.float32)}, r"conv_real\.weight is \(257, 1, 512\)"),
    ],
)
def test_what_is_wrong_with_a_checkpoint_is_named(
    states: dict[str, State], change: dict[str, np.ndarray | None], message: str
) -> None:
    state = {k: v for k, v in (states["17k"] | change).items() if v is not None}
    with pytest.raises(W2sError, match=message):
        checkpoint.check(state)


def test_a_damaged_file_and_one_with_code(tmp_path: Path, states: dict[str, State]) -> None:
    whole = saved(states["17k"], tmp_path).path.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(W2sError, match=r"cut\.safetensors cannot be read"):
        checkpoint.read(tmp_path / "cut.safetensors")
    torch.save({"code": Path}, tmp_path / "code.pt")
    with pytest.raises(W2sError, match=r"code\.pt holds more than tensors"):
        checkpoint.read(tmp_path / "code.pt")


@pytest.mark.usefixtures("few")
def test_a_network_that_differs_is_refused_with_the_layer(
    states: dict[str, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = checkpoint.to_student

    def wrong(state: State, architecture: student.Architecture) -> object:
        model = original(state, architecture)
        (kernel,) = model.get_layer("l5_conv").get_weights()
        model.get_layer("l5_conv").set_weights([kernel[::-1]])  # as if time ran backwards
        return model

    monkeypatch.setattr(checkpoint, "to_student", wrong)
    with pytest.raises(W2sError, match="off PyTorch, from layer 'l5' on"):
        importer.import_checkpoint(saved(states["17k"], tmp_path), tmp_path / "mine", quiet)
    assert not (tmp_path / "mine").exists()
    path = export(FromLogMel(network_of("17k", states["17k"])), tmp_path / "a.onnx", "logmel")
    monkeypatch.setattr(importer, "_tried", lambda *_: "not tried")
    with pytest.raises(W2sError, match=r"equal up to '/l4/Relu.*parted at '/l5/"):
        importer.import_onnx(Source(path, "a"), tmp_path / "mine", say=quiet)
    assert not (tmp_path / "mine").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_the_graph_that_onnx2tf_gets_wrong(
    states: dict[str, State], tmp_path: Path, clips: list[Clip]
) -> None:
    """The 17K from audio: onnx2tf is caught where it confuses the two axes of 13, and our student
    answers as onnxruntime does."""
    path = export(network_of("17k", states["17k"]), tmp_path / "17k.onnx")
    facts = importer.import_onnx(Source(path, path.name), tmp_path / "mine", say=quiet)
    assert facts["imported"]["difference"] <= 1e-5
    assert "off onnxruntime, equal up to" in facts["imported"]["onnx2tf"]
    assert "parted at '/MatMul_output_0' (MatMul)" in facts["imported"]["onnx2tf"]
    ours = FloatEngine(Model(tmp_path / "mine")).run(clips[5].pcm).adv
    np.testing.assert_allclose(ours, OnnxSource(path).answer(clips[5].pcm), atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "band_first", "folded"),
    [("17k", False, True), ("17k", False, False), ("72k", False, False), ("72k", True, True)],
)
def test_graphs_are_read_whatever_the_exporter_made_of_them(
    architecture: str,
    band_first: bool,
    folded: bool,
    states: dict[str, State],
    tmp_path: Path,
    clips: list[Clip],
) -> None:
    network = FromLogMel(network_of(architecture, states[architecture]), band_first)
    options = {} if folded else {"training": torch.onnx.TrainingMode.PRESERVE}
    path = export(network, tmp_path / "a.onnx", "logmel", do_constant_folding=folded, **options)
    source = OnnxSource(path)
    kinds = {node.op_type for node in source.graph.node}
    assert ("BatchNormalization" in kinds) is not folded
    differences = []
    for reading in recognise.read(source):
        model = checkpoint.to_student(reading.state, checkpoint.architecture_of(reading.state))
        rows = source.entry.fill(clips[0].pcm)
        found = np.asarray(model(rows, training=False))
        differences.append(np.abs(found - source.answer(clips[0].pcm)).max())
    assert min(differences) < 1e-5
    assert sorted(differences)[1] > 1e-3  # one way to read it, and one only


def test_parts_of_the_network_are_refused(states: dict[str, State], tmp_path: Path) -> None:
    path = export(Trunk(network_of("17k", states["17k"])), tmp_path / "trunk.onnx", "logmel")
    with pytest.raises(W2sError, match="trunk of Wav2Small without its attention and head"):
        importer.import_onnx(Source(path, "trunk"), tmp_path / "mine", say=quiet)
    (tmp_path / "broken.onnx").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(W2sError, match="not a valid ONNX file"):
        OnnxSource(tmp_path / "broken.onnx")


@pytest.mark.usefixtures("few")
def test_another_network_is_for_the_host(tmp_path: Path, clips: list[Clip]) -> None:
    network = Other()
    path = export(network, tmp_path / "other.onnx")
    facts = importer.import_onnx(
        Source(path, "other", order=(1, 0, 2)), tmp_path / "other", seconds=1.0, say=quiet
    )
    assert facts["architecture"] == importer.HOST_ONLY
    engine = FloatEngine(Model(tmp_path / "other"))
    second = clips[0].pcm[:16000]
    with torch.inference_mode():
        expected = network(torch.from_numpy(second.astype(np.float32) / 32768)[None])[0].numpy()
    np.testing.assert_allclose(engine.run(second).adv, expected[[1, 0, 2]], atol=1e-6)
    twice = np.concatenate([second, second])
    np.testing.assert_allclose(engine.run(twice).adv, expected[[1, 0, 2]], atol=1e-6)
    with pytest.raises(W2sError, match="runs on the host alone"):
        conversion.convert(tmp_path / "other")


def test_what_onnx2tf_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert through_onnx2tf.missing() == []
    monkeypatch.setattr(through_onnx2tf, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(W2sError, match="onnx2tf needs no_such_package"):
        through_onnx2tf.convert(None, np.zeros(16000, np.int16))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name one source"),
        (("a.onnx", "--hub", "a/b"), "name one source"),
        (("a.onnx",), "the model has no name"),
        (("a.onnx", "--name", "wav2small-72k"), "is there already"),
        (("nowhere.onnx", "--name", "{tmp}/mine"), "no file nowhere.onnx"),
        (("{here}", "--name", "{tmp}/mine"), "is of no known kind"),
        (("{here}", "--name", "{tmp}/mine", "--order", "a,b"), "no order of the answers"),
        (("{here}", "--name", "{tmp}/mine", "--revision", "v1"), "--revision is of a model"),
    ],
)
def test_what_cannot_be_imported_is_said(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(tmp=tmp_path, here=__file__) for word in arguments]
    ran = CliRunner().invoke(app, ["import", *words])
    assert ran.exit_code == 1
    assert message in " ".join((ran.output + capsys.readouterr().err).split())
    assert not (tmp_path / "mine").exists()


class Hub(http.server.BaseHTTPRequestHandler):
    """The few answers of the hub that a download needs."""

    content = b""
    commit = "0123456789abcdef0123456789abcdef01234567"

    def do_GET(self) -> None:
        self._send(body=True)

    def do_HEAD(self) -> None:
        self._send(body=False)

    def _send(self, body: bool) -> None:
        content, kind = self.content, "application/octet-stream"
        if self.path.startswith("/api/models/a/b"):
            kind = "application/json"
            card = {"license": "cc-by-nc-sa-4.0"}
            files = [{"rfilename": "model.safetensors"}]
            info = {"id": "a/b", "sha": self.commit, "cardData": card, "siblings": files}
            content = json.dumps(info).encode()
        elif not self.path.endswith(f"/a/b/resolve/{self.commit}/model.safetensors"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


FETCH = """
import sys
from wav2small_micro.errors import W2sError
from wav2small_micro.importing import hub
try:
    found = hub.fetch(sys.argv[1], sys.argv[2] or None)
    print(found.path.read_bytes().decode(), found.revision, found.licence)
except W2sError as error:
    print(error.message, "|", error.hint)
"""


def fetched(endpoint: str, home: Path, name: str, revision: str = "") -> str:
    ran = subprocess.run(
        [sys.executable, "-c", FETCH, name, revision],
        env={"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_hub(tmp_path: Path) -> None:
    """huggingface_hub's own client against a hub that is this process."""
    pytest.importorskip("huggingface_hub", reason="not installed: pip install -e '.[import]'")
    Hub.content = b"weights"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        said = fetched(endpoint, tmp_path, "a/b")
        assert said == f"weights {Hub.commit} cc-by-nc-sa-4.0\n"
        said = fetched(endpoint, tmp_path, "a/c", "v2")
        assert "no model 'a/c' at revision v2" in said
        server.shutdown()
    said = fetched(endpoint, tmp_path / "other", "a/b")
    assert "the hub cannot be reached" in said
    assert "import that file" in said
