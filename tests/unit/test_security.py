# SPDX-License-Identifier: Apache-2.0
"""docs/security.md names tests that exist, and numbers its promises without a gap."""

import ast
import re
from pathlib import Path

import pytest

from wav2small_micro import paths

ROOT = paths.repo_root()
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
PROMISES = dict(
    re.findall(r"^\*\*(S\d+)\*\* (.*?)(?=^\*\*S|^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
)
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def functions(path: Path) -> set[str]:
    """The functions that a file defines."""
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_promises_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(name[1:]) for name in PROMISES)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(re.findall(r"^\*\*S\d+\*\*", PAGE, re.MULTILINE)) == len(numbers)


@pytest.mark.parametrize("promise", sorted(PROMISES, key=lambda name: int(name[1:])))
def test_a_promise_names_a_test(promise: str) -> None:
    assert re.search(r"`tests/[\w/]+\.py::\w+`", PROMISES[promise])


@pytest.mark.parametrize(("path", "test"), sorted(set(NAMED)))
def test_a_named_test_exists(path: str, test: str) -> None:
    assert test.startswith("test_")
    assert test in functions(ROOT / path)


def test_fuzzers_are_named_and_exist() -> None:
    named = set(re.findall(r"`(fuzz_\w+\.(?:c|py))`", PAGE))
    there = {path.name for path in (ROOT / "tests" / "fuzz").glob("fuzz_*") if path.is_file()}
    assert named == there


@pytest.mark.parametrize("promise", sorted(PROMISES, key=lambda name: int(name[1:])))
def test_a_promise_names_the_fuzzers_that_name_it(promise: str) -> None:
    for path in (ROOT / "tests" / "fuzz").glob("fuzz_*.*"):
        head = path.read_text("utf-8")[:600]
        names_it = re.search(rf"Promises .*\b{promise}\b", head) is not None
        assert names_it == (f"`{path.name}`" in PROMISES[promise]), path.name
