# SPDX-License-Identifier: Apache-2.0
"""A checkpoint from the Hugging Face hub: its file, its revision, and the licence of its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wav2small_micro.errors import W2sError

FILES = ("model.safetensors", "pytorch_model.bin")
SECONDS = 10.0
"""How long the hub may take to answer at all."""


@dataclass(frozen=True)
class Fetched:
    """The file of a model on the hub; ``revision`` is the commit that it is of."""

    path: Path
    revision: str
    licence: str


def fetch(name: str, revision: str | None = None) -> Fetched:
    """Downloads a checkpoint, or takes it from the cache of huggingface_hub.

    Raises :class:`W2sError` when the hub cannot be reached, has no such model or revision, or keeps
    it behind a login.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    except ImportError as error:
        raise W2sError(f"{error.name} is not installed", "pip install -e '.[import]'") from error
    try:
        info = HfApi().model_info(name, revision=revision, timeout=SECONDS)
        names = {entry.rfilename for entry in info.siblings or ()}
        found = [file for file in FILES if file in names]
        if not found:
            raise W2sError(
                f"{name} on the hub holds no {' and no '.join(FILES)}",
                f"it holds {', '.join(sorted(names)) or 'nothing'}",
            )
        path = Path(hf_hub_download(name, found[0], revision=info.sha))
    except HFValidationError as error:
        raise W2sError(
            f"{name!r} is no id on the hub", "for example audeering/wav2small"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403, 404):
            raise W2sError(
                f"the hub has no model {name!r} at revision {revision or 'main'} that you may read",
                "check the id and the revision; for a gated model, log in with `hf auth login`",
            ) from error
        raise W2sError(f"the hub answers with an error: {error}", "try again later") from error
    except W2sError:
        raise
    except (OSError, OfflineModeIsEnabled, RuntimeError) as error:
        raise W2sError(f"the hub cannot be reached: {_first(error)}", _ELSEWHERE) from error
    except Exception as error:  # the HTTP client's own, which is no dependency of ours
        if "Error" in type(error).__name__ or "Timeout" in type(error).__name__:
            raise W2sError(f"the hub cannot be reached: {_first(error)}", _ELSEWHERE) from error
        raise
    card = info.card_data
    licence = str(card.get("license") or "") if card else ""
    return Fetched(path, str(info.sha), licence)


_ELSEWHERE = "fetch model.safetensors on a machine that can reach it, and import that file"


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
