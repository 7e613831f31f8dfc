# SPDX-License-Identifier: Apache-2.0
"""Every kind of useless file is named, and the rest goes on."""

from pathlib import Path

import numpy as np
import soundfile

from wav2small_micro.audio import Clip
from wav2small_micro.data import check
from wav2small_micro.data.manifest import Manifest, Row

KINDS = {
    "missing.wav": "unreadable",
    "broken.wav": "unreadable",
    "click.wav": "too short",
    "short.wav": "too short",
    "zero.wav": "silent",
    "offset.wav": "silent",
    "hiss.wav": "silent",
    "loud.wav": "clipped",
    "same.wav": "duplicate",
}


def test_every_kind_is_named(tmp_path: Path, clips: list[Clip]) -> None:
    voice = clips[0].pcm
    hiss = np.random.default_rng(0).integers(-2, 3, 16000).astype(np.int16)
    loud = np.clip(voice.astype(np.int32) * 200, -32768, 32767).astype(np.int16)
    for name, pcm in (
        ("voice.flac", voice),
        ("same.wav", voice),
        ("quiet.wav", voice // 8),
        ("click.wav", voice[:100]),
        ("short.wav", voice[:7000]),
        ("zero.wav", np.zeros(16000, np.int16)),
        ("offset.wav", np.full(16000, 900, np.int16)),
        ("hiss.wav", hiss),
        ("loud.wav", loud),
    ):
        soundfile.write(tmp_path / name, pcm, 16000, subtype="PCM_16")
    (tmp_path / "broken.wav").write_bytes(b"RIFF no audio")
    rows = [Row(name, speaker=name) for name in ("voice.flac", "quiet.wav", *KINDS)]
    told: list[tuple[int, int]] = []
    report = check.check(
        Manifest(tmp_path, tuple(rows)), progress=lambda done, total: told.append((done, total))
    )
    assert {problem.path: problem.kind for problem in report.problems} == KINDS
    assert [row.path for row in report.usable.rows] == ["voice.flac", "quiet.wav"]
    assert told[-1] == (11, 11)
    details = {problem.path: problem.detail for problem in report.problems}
    assert details["same.wav"] == "the same audio as voice.flac, there by voice.flac"
    assert "0.44 s" in details["short.wav"]
    assert "full scale" in details["loud.wav"]
