# SPDX-License-Identifier: Apache-2.0
"""``w2s data``: from a folder of audio to a split manifest, and what is said when that fails."""

import shutil
from pathlib import Path

from support.command import W2s

from wav2small_micro.data import manifest


def test_from_a_folder_to_a_split(w2s: W2s, tmp_path: Path, clip_paths: list[Path]) -> None:
    folder = tmp_path / "speech"
    for who in ("anna", "ben", "cleo"):
        (folder / who).mkdir(parents=True)
    for number, path in enumerate(clip_paths[:6]):
        shutil.copy(path, folder / ("anna", "ben", "cleo")[number % 3])
    shutil.copy(clip_paths[0], folder / "ben" / "again.flac")
    (folder / "cleo" / "broken.wav").write_bytes(b"no audio")
    speech, usable, mine = (tmp_path / name for name in ("speech.csv", "usable.parquet", "m.csv"))
    assert w2s("data", "import", folder, "--out", speech, "--json").json()["clips"] == 8
    ran = w2s("data", "check", speech)
    assert ran.code == 1
    assert "duplicate: speech/ben/again.flac" in ran.stdout
    assert "too short: speech/ben/no_short_en.flac" in ran.stdout
    assert "unreadable: speech/cleo/broken.wav" in ran.stdout
    found = w2s("data", "check", speech, "--out", usable, "--json")
    assert found.code == 0
    assert found.json()["usable"] == 5
    assert w2s("data", "split", usable, "--out", mine, "--dev", "0.3").code == 0
    rows = manifest.read(mine).rows
    assert {row.split for row in rows} == {"train", "dev"}
    assert len({row.speaker for row in rows if row.split == "dev"}) == 1


def test_errors_say_what_to_do(w2s: W2s, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,split\na.wav,training\n")
    for arguments, message in (
        (("check", tmp_path / "m.csv"), "train, dev, test"),
        (("check", tmp_path / "nowhere.csv"), "w2s data import"),
        (("import", tmp_path / "nowhere", "--out", tmp_path / "n.csv"), "check the path"),
    ):
        ran = w2s("data", *arguments)
        assert ran.code == 1
        assert message in ran.stderr
        assert "Traceback" not in ran.stderr
