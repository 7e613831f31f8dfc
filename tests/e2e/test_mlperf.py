# SPDX-License-Identifier: Apache-2.0
"""``w2s mlperf``: a board in QEMU, the export, and what cannot be."""

from pathlib import Path

import pytest
from support.command import W2s


@pytest.mark.emulator
def test_board_in_qemu(w2s: W2s, clip_paths: list[Path]) -> None:
    """Instructions, the same in every loop over one clip, and no figure of time."""
    ran = w2s("mlperf", clip_paths[0], "--seconds", "0.2", "--loops", "3", "--json")
    assert ran.code == 0, ran.stderr
    result = ran.json()
    assert result["identical"]
    counts = [loop["instructions"] for loop in result["loops"]]
    assert 5e6 < min(counts) <= max(counts) < 1.01 * min(counts)
    assert all(loop["latency_ms"] is loop["throughput"] is None for loop in result["loops"])
    assert result["rules"] == {"judged": False, "broken": []}
    ran = w2s("mlperf", clip_paths[0], "--seconds", "0.2", "--loops", "1", "--mode", "energy")
    assert ran.code == 0, ran.stderr
    assert "two pulses of the marker" in ran.stdout
    ran = w2s("mlperf", *clip_paths, "--seconds", "0")
    assert ran.code == 1
    assert "bytes fit" in ran.stderr
    assert "--seconds" in ran.stderr


def test_export(w2s: W2s, clip_paths: list[Path], tmp_path: Path) -> None:
    ran = w2s("mlperf", *clip_paths[:3], "--export", tmp_path / "tiny", "--json")
    assert ran.code == 0, ran.stderr
    assert len(ran.json()["files"]) == 8
    assert all(Path(file).is_file() for file in ran.json()["files"])
    ran = w2s("mlperf", clip_paths[0], "--export", tmp_path / "tiny", "--runs", "9")
    assert "the greatest of no clip" in ran.stderr
    assert "infer 9 1" in (tmp_path / "tiny" / "tests_performance.yaml").read_text()


def test_what_cannot_be(w2s: W2s, clip_paths: list[Path]) -> None:
    for arguments, words in (
        (["--port", "/dev/null0"], "no port /dev/null0"),
        (["--port", "/dev/null0", "--emulator", "mps2_an386"], "a port and an emulator at once"),
        (["--emulator", "arduino"], "no board 'arduino'"),
        (["--mode", "speed"], "no mode 'speed'"),
    ):
        ran = w2s("mlperf", clip_paths[0], *arguments)
        assert ran.code == 1
        assert words in ran.stderr, ran.stderr
        assert "hint:" in ran.stderr
