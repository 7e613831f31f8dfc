# SPDX-License-Identifier: Apache-2.0
"""Where things lie, and what is said when they do not."""

from pathlib import Path

import pytest

from wav2small_micro import paths
from wav2small_micro.errors import W2sError


def test_the_checkout_holds_this_test() -> None:
    assert (paths.repo_root() / "tests" / "unit" / Path(__file__).name).is_file()


def test_a_model_by_path(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    assert paths.model_dir(tmp_path) == tmp_path


def test_an_unknown_model_names_those_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "models_dir", lambda: tmp_path)
    with pytest.raises(W2sError, match="no model 'nonsense'") as empty:
        paths.model_dir("nonsense")
    assert "no model yet" in empty.value.hint
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.json").write_text("{}")
    assert paths.model_dir("mine") == tmp_path / "mine"
    with pytest.raises(W2sError) as caught:
        paths.model_dir("nonsense")
    assert caught.value.hint == "models here: mine"


def test_research_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_DATA", str(tmp_path))
    assert paths.research_data() is None
    (tmp_path / "manifest.csv").write_text("path\n")
    assert paths.research_data() == tmp_path
