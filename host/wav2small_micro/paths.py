# SPDX-License-Identifier: Apache-2.0
"""Where things lie: the checkout, the models, the research data."""

import os
from pathlib import Path

from wav2small_micro.errors import W2sError


def repo_root() -> Path:
    """The checkout that this package runs from.

    Raises W2sError when the package was installed away from its checkout: the firmware and the
    models lie beside it, so only an editable install (``make setup``) can build and run them.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "firmware").is_dir():
        raise W2sError(
            f"{root} is not a checkout of Wav2Small Micro",
            "install from a clone: make setup, or pip install -e .",
        )
    return root


def models_dir() -> Path:
    """The folder that holds one folder a model."""
    return repo_root() / "models"


def model_names() -> list[str]:
    """Names of the models in the checkout, sorted."""
    return sorted(p.parent.name for p in models_dir().glob("*/model.json"))


def model_dir(name: str | Path) -> Path:
    """The folder of a model, by its name (``wav2small-72k``) or by a path to it.

    Raises W2sError, naming the models that are there, when there is none.
    """
    for folder in (models_dir() / name, Path(name)):
        if (folder / "model.json").is_file():
            return folder
    names = model_names()
    raise W2sError(
        f"no model {str(name)!r}",
        f"models here: {', '.join(names)}" if names else f"{models_dir()} holds no model yet",
    )


def demo_clip() -> Path:
    """The clip that commands run when none is named: speech that ships with the checkout."""
    return repo_root() / "tests" / "clips" / "happy_en.flac"


def research_data() -> Path | None:
    """The folder of the emotional speech corpora, or None where they are not.

    ``W2S_DATA`` names it; without that it is looked for beside the checkout. It holds a
    ``manifest.csv`` with one row a clip. The corpora may not be redistributed, so nothing but
    training and optional tests may depend on them.
    """
    named = os.environ.get("W2S_DATA")
    folder = Path(named) if named else repo_root().parent / "shared" / "data"
    return folder if (folder / "manifest.csv").is_file() else None
