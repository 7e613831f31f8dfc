# SPDX-License-Identifier: Apache-2.0
"""What the documents say exists: the commands with their options, the files behind the links."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from wav2small_micro import paths, pio
from wav2small_micro.cli.app import app

ROOT = paths.repo_root()
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/*.md")])


def commands(text: str) -> list[str]:
    """Calls of w2s in the code blocks of a document."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    calls = [call.strip() for line in lines for call in line.split("&&")]
    calls = [re.sub(r"^([A-Z0-9_]+=\S* )+", "", call) for call in calls]  # variables
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


def has_a_programmer(env: str) -> bool:
    return pio.board(env).protocols != ("qemu",)


def test_the_readme_lists_every_board_and_says_where_it_has_been_seen() -> None:
    """A board that is bought is `not yet` seen on hardware until somebody has; one of Arm's FPGA
    images is seen in QEMU alone."""
    readme = (ROOT / "README.md").read_text("utf-8").split("\n## Boards\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| \[?`(\w+)`\]?(?:\([^)]*\))? \|(.*)\|$", readme, re.MULTILINE))
    assert list(rows) == pio.envs()
    models = [p for p in ROOT.glob("tests/registers/*.py") if p.name != "test_images.py"]
    modelled = "".join(path.read_text("utf-8") for path in models)
    for env, row in rows.items():
        _, in_qemu, in_model, on_board = (cell.strip() for cell in row.split("|"))
        assert (in_qemu == "yes") == (env in pio.emulated()), env
        assert (in_model == "yes") == (f'"{env}"' in modelled), env
        assert on_board == ("**not yet**" if has_a_programmer(env) else "-"), env


@pytest.mark.parametrize("env", [env for env in pio.envs() if has_a_programmer(env)])
def test_a_board_that_is_bought_has_a_page(env: str) -> None:
    page = (ROOT / "docs" / "boards" / f"{env}.md").read_text("utf-8")
    sections = re.findall(r"^## (.*)$", page, re.MULTILINE)
    wanted = ["Wiring", "Flash", "What to expect", "When it does not", "To check"]
    assert [section for section in sections if section in wanted] == wanted
    assert "Please send back" in page
    assert f"w2s flash --env {env}" in page
    for protocol in pio.board(env).protocols[1:]:
        assert protocol == "qemu" or f"--protocol {protocol}" in page, protocol
