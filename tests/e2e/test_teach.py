# SPDX-License-Identifier: Apache-2.0
"""``w2s teach`` as a user types it, and its teacher in ``w2s label``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.command import W2s

from wav2small_micro.audio import Clip
from wav2small_micro.data import labels, manifest
from wav2small_micro.data.manifest import Manifest, Row


@pytest.fixture
def speech(tmp_path: Path, clips: list[Clip]) -> Path:
    """Pieces of two of the shipped clips, as if by four speakers, one of them on the dev side."""
    rng = np.random.default_rng(4)
    rows = []
    for number in range(16):
        loud = number % 2
        pcm = clips[0].pcm if loud else clips[1].pcm
        start = int(rng.integers(len(pcm) - 11200))
        soundfile.write(tmp_path / f"{number}.wav", pcm[start : start + 11200], 16000)
        row = Row(f"{number}.wav", corpus="c", speaker=f"s{number // 4}", split="train")
        level = (0.8 if loud else 0.3) + float(rng.uniform(-0.1, 0.1))
        row = replace(row, arousal=level, dominance=level, valence=1 - level)
        rows.append(replace(row, split="dev") if number >= 12 else row)
    manifest.write(Manifest(tmp_path, tuple(rows)), tmp_path / "m.csv")
    return tmp_path / "m.csv"


def test_teach_and_label(w2s: W2s, speech: Path, tmp_path: Path) -> None:
    pytest.importorskip("opensmile", reason="pip install -e '.[teach]'")
    folder, out = tmp_path / "listener", tmp_path / "labels.csv"
    facts = w2s("teach", folder, "--manifest", speech, "--json").json()
    assert facts["clips"] == 12
    assert facts["dev"]["clips"] == 4
    assert len(facts["cross_validation"]) == 9
    ran = w2s("label", folder, speech, "--split", "dev", "--out", out, "--json").json()
    assert (ran["teacher"], ran["new"]) == ("listener", 4)
    left = labels.by_path(labels.read(folder / "labels.csv"))
    for path, label in labels.by_path(labels.read(out)).items():
        np.testing.assert_allclose(label.adv, left[path].adv, atol=1e-5)
        assert label.weights_sha256 == left[path].weights_sha256
    # By the whole fit: nearer to people on the clips that it was fitted on.
    heard = tmp_path / "heard.csv"
    arguments = ("label", folder, speech, "--split", "train", "--heard", "--views", "c=3")
    ran = w2s(*arguments, "--out", heard, "--json").json()
    assert (ran["revision"], ran["new"]) == ("1 heard", 12 * 4)
    found = labels.by_path(labels.read(heard))
    rated = {row.path: row.arousal for row in manifest.read(speech).rows if row.path in found}
    apart = [
        np.mean([abs(some[path].arousal - level) for path, level in rated.items()])
        for some in (found, left)
    ]
    assert apart[0] < apart[1]
    assert {label.fold for label in found.values()} == {""}
    mixed = w2s("label", folder, speech, "--out", heard)
    assert mixed.code == 1
    assert "labels of another teacher" in mixed.stderr
    assert w2s("label", folder, speech, "--views", "c:3", "--out", out).code == 1


def test_a_manifest_without_labels(w2s: W2s, tmp_path: Path) -> None:
    pytest.importorskip("opensmile", reason="pip install -e '.[teach]'")
    (tmp_path / "m.csv").write_text("path,speaker,split\na.wav,s,train\n")
    ran = w2s("teach", tmp_path / "listener", "--manifest", tmp_path / "m.csv")
    assert ran.code == 1
    assert "is labelled" in ran.stderr
    assert "w2s data split" in ran.stderr
