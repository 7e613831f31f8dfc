# SPDX-License-Identifier: Apache-2.0
"""What the documents say exists: the commands with their options, the files behind the links."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from wav2small_micro import paths
from wav2small_micro.cli.app import app

ROOT = paths.repo_root()
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("models/*/*.md")])


def commands(text: str) -> list[str]:
    """Calls of w2s in the code blocks of a document."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    calls = [call.strip() for line in lines for call in line.split("&&")]
    return [call for call in calls if call.startswith("w2s ")]


def links(text: str) -> list[str]:
    """Relative targets of the links and pictures of a document."""
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    return [target for target in targets if "://" not in target]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_can_be_typed(path: Path) -> None:
    group = typer.main.get_command(app)
    for call in commands(path.read_text("utf-8")):
        _, name, *arguments = shlex.split(call)
        assert name in group.commands, call
        group.commands[name].make_context(name, arguments)  # raises for an unknown option


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in links(path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


def test_the_readme_shows_every_command() -> None:
    group = typer.main.get_command(app)
    shown = {call.split()[1] for call in commands((ROOT / "README.md").read_text("utf-8"))}
    assert shown == set(group.commands) - {"demo"}  # `make demo` is the first thing it shows
