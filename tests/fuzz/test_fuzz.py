# SPDX-License-Identifier: Apache-2.0
"""Each fuzzer for a moment: its corpus, and what it finds in seconds. `make fuzz` takes longer."""

import re
from pathlib import Path

import pytest
from fuzz import run

from wav2small_micro import paths

SECONDS = 2
SEED = 2408  # the same course every time
SECURITY = (paths.repo_root() / "docs" / "security.md").read_text("utf-8")


@pytest.mark.parametrize("name", run.names())
def test_a_moment_of_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    if lack := run.missing(name):
        pytest.skip(lack)
    command = run.build(name, tmp_path)
    result = run.fuzz(command, name, tmp_path, seconds=SECONDS, seed=SEED)
    assert result.finding is None, result.output
    assert result.executions >= len(list((run.CORPUS / name).iterdir()))
    assert result.coverage > 20


@pytest.mark.parametrize("name", run.names())
def test_every_fuzzer_begins_with_the_promises_that_it_checks(name: str) -> None:
    suffix = "c" if name in run.SOURCES else "py"
    head = (run.FOLDER / f"fuzz_{name}.{suffix}").read_text("utf-8")[:600]
    line = re.search(r"Promises \(docs/security\.md\): (S\d+(?:, S\d+)*)\.", head)
    assert line, head
    for promise in line[1].split(", "):
        assert f"**{promise}**" in SECURITY, promise
        assert f"fuzz_{name}.{suffix}" in SECURITY


def test_a_corpus_is_small_and_belongs_to_a_fuzzer() -> None:
    folders = sorted(path.name for path in run.CORPUS.iterdir())
    assert folders == sorted(run.names())
    sizes = [path.stat().st_size for path in run.CORPUS.rglob("*") if path.is_file()]
    assert sum(sizes) < 100_000
