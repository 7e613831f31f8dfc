# SPDX-License-Identifier: Apache-2.0
"""Parts of the command line that need no model and no board."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from wav2small_micro.cli import console
from wav2small_micro.cli.app import app
from wav2small_micro.cli.clips import find_clips
from wav2small_micro.errors import W2sError


def test_files_are_taken_in_the_order_named_even_if_missing(tmp_path: Path) -> None:
    (tmp_path / "b.wav").touch()
    named = [str(tmp_path / "b.wav"), str(tmp_path / "a.wav")]
    assert [str(path) for path in find_clips(named)] == named


def test_folders_are_searched_for_audio_only(tmp_path: Path) -> None:
    for name in ("x/2.flac", "x/1.WAV", "x/readme.md", "x/y/3.ogg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.name for path in find_clips([str(tmp_path)])]
    assert found == ["1.WAV", "2.flac", "3.ogg"]


def test_relative_and_absolute_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a1.wav").touch()
    (tmp_path / "a2.wav").touch()
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in find_clips(["a?.wav"])] == ["a1.wav", "a2.wav"]
    assert len(find_clips([f"{tmp_path}/*.wav"])) == 2
    with pytest.raises(W2sError, match=r"no clips in b\*"):
        find_clips(["b*"])


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "take[1].wav").touch()
    assert find_clips([str(tmp_path / "take[1].wav")]) == [tmp_path / "take[1].wav"]


def test_json_knows_numpy_and_paths(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"a": np.int32(3), "b": np.array([0.5]), "c": Path("x/y")})
    assert json.loads(capsys.readouterr().out) == {"a": 3, "b": [0.5], "c": "x/y"}


def test_errors_are_shown_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    failing = typer.Typer(cls=console.ErrorsWithHints)

    @failing.callback()
    def root() -> None: ...

    @failing.command()
    def fail() -> None:
        raise W2sError("tensor [bold] of [1, 499] is odd", "see [0]")

    ran = CliRunner().invoke(failing, ["fail"])
    assert ran.exit_code == 1
    printed = capsys.readouterr().err + ran.output
    assert "tensor [bold] of [1, 499] is odd" in printed
    assert "see [0]" in printed


def leaves(command: Any, name: str = "w2s") -> Iterator[tuple[str, Any]]:
    """Every command that does something, groups resolved."""
    if not hasattr(command, "commands"):
        yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, f"{name} {part}")


@pytest.mark.parametrize(("name", "command"), [*leaves(typer.main.get_command(app))])
def test_every_command_has_help_and_json(name: str, command: Any) -> None:
    assert command.help, name
    assert "--json" in {option for p in command.params for option in p.opts}, name
