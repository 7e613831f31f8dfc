# SPDX-License-Identifier: Apache-2.0
"""The paper's two teachers, loaded from the Hugging Face hub or from a local copy.

``wav2vec2``: audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim (Wagner et al., "Dawn of the
transformer era in speech emotion recognition", IEEE TPAMI 45, 2023). Input of zero mean and unit
variance; the mean of the last hidden states; dense, tanh, dense. ``wavlm``:
3loi/SER-Odyssey-Baseline-WavLM-Multi-Attributes (Goncalves et al., "Odyssey 2024 - Speech emotion
recognition challenge", Odyssey 2024). Input shifted by ``mean`` and scaled by ``std`` of its
config; attentive statistics pooling (Okabe et al., Interspeech 2018); dense, norm, ReLU, dense.
Both answer arousal, dominance, valence in that order. No code of the hub is run: what is loaded is
config.json and weights alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.data.manifest import Row
from wav2small_micro.errors import W2sError
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.teachers.base import Pcm, hash_files

HUB = {
    "wav2vec2": "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
    "wavlm": "3loi/SER-Odyssey-Baseline-WavLM-Multi-Attributes",
}

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of weights, the one to be preferred first."""

WAIT_S = 5.0
"""How long the hub may take to answer before it counts as out of reach."""

STATISTICS_FLOOR = 1e-5
"""Smallest variance in the attentive statistics, as the checkpoint was trained with."""


class Hub:
    """A torch model that maps normalised audio and its mask to A/D/V; on a GPU where torch has
    one."""

    def __init__(
        self,
        name: str,
        revision: str,
        sha256: str,
        normalise: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        model: Any,
    ) -> None:
        import torch

        self.name, self.revision, self.sha256 = name, revision, sha256
        self._normalise = normalise
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.to(self._device)

    def fold(self, row: Row) -> str:
        """Empty: it was fitted on MSP-Podcast."""
        del row
        return ""

    def answer(self, clips: Sequence[Pcm], folds: Sequence[str]) -> NDArray[np.float32]:
        """Arousal, dominance, valence, (B, 3). Clips are padded to the longest, which does not
        change what they are answered."""
        import torch

        del folds
        audio = torch.zeros(len(clips), max(map(len, clips)))
        mask = torch.zeros(audio.shape, dtype=torch.long)
        for i, pcm in enumerate(clips):
            audio[i, : len(pcm)] = torch.from_numpy(
                self._normalise((pcm / 32768).astype(np.float32))
            )
            mask[i, : len(pcm)] = 1
        with torch.inference_mode():
            answers = self._model(audio.to(self._device), mask.to(self._device))
        return np.asarray(answers.cpu().numpy(), np.float32)


def load(name: str) -> Hub:
    """One of ``HUB`` by its short name or id, or a folder with a copy of one.

    Raises :class:`W2sError` when torch or transformers are not installed, the hub does not answer,
    and for a folder that holds another model or no weights.
    """
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise W2sError(
            f"the teacher {name} needs torch and transformers",
            "pip install 'wav2small-micro[teachers]'",
        ) from error
    where = HUB.get(name, name)
    if where in HUB.values():
        folder, revision = _download(where)
    else:
        folder, revision = Path(name), "local"
        where = folder.resolve().name
    config, weights = _open(folder)
    sha256 = hash_files((folder / "config.json", weights))
    build = {"wav2vec2": _wav2vec2, "ser": _wavlm}.get(config.get("model_type", ""))
    if build is None:
        raise W2sError(
            f"{folder} holds a {config.get('model_type')!r} model",
            f"a teacher is a copy of {' or of '.join(HUB.values())}",
        )
    normalise, model = build(config, _state(weights), folder)
    return Hub(where, revision, sha256, normalise, model)


def _download(name: str) -> tuple[Path, str]:
    """The model's files in the hub's cache and their commit; no answer is an error within
    seconds."""
    import huggingface_hub
    from huggingface_hub import errors

    hint = (
        f"where the hub can be reached: hf download {name} --local-dir teacher; bring the folder "
        "here and name it as the teacher"
    )

    def get(weights: str, local: bool) -> Path:
        found = huggingface_hub.snapshot_download(
            name,
            allow_patterns=["config.json", weights],
            local_files_only=local,
            etag_timeout=WAIT_S,
        )
        return Path(found)

    for weights in WEIGHTS:
        with contextlib.suppress(OSError, errors.HfHubHTTPError):
            folder = get(weights, local=True)
            if (folder / weights).is_file():
                return folder, folder.name
    _knock(name, hint)
    for weights in WEIGHTS:
        try:
            folder = get(weights, local=False)
        except Exception as error:  # of whatever library carries the request
            raise W2sError(f"{name} cannot be had from the hub: {error}", hint) from error
        if (folder / weights).is_file():
            return folder, folder.name
    raise W2sError(f"the hub has no {' or '.join(WEIGHTS)} of {name}", hint)


def _knock(name: str, hint: str) -> None:
    """Raises :class:`W2sError` when nobody opens: the hub's client would try for minutes."""
    import os
    import urllib.error
    import urllib.request

    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise W2sError(f"{name} is not in the cache, and HF_HUB_OFFLINE is set", hint)
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(address, timeout=WAIT_S).close()
    except urllib.error.HTTPError:
        return  # it answers
    except (OSError, ValueError) as error:
        raise W2sError(f"the hub at {address} cannot be reached: {error}", hint) from error


def _open(folder: Path) -> tuple[dict[str, Any], Path]:
    """The config and the path of the weights."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise W2sError(f"{folder}/config.json cannot be read: {error}") from error
    for name in WEIGHTS:
        if (folder / name).is_file():
            return config, folder / name
    raise W2sError(
        f"{folder} has no weights", f"it needs {' or '.join(WEIGHTS)} beside config.json"
    )


def _state(path: Path) -> dict[str, Any]:
    """Tensors by name. Nothing but tensors is unpacked, whatever a pickle holds."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: dict[str, Any] = load_file(path)
        else:
            import torch

            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise W2sError(
            f"{path} cannot be read as weights: {error}", "download the file again"
        ) from error
    # Names of before torch 2 had parametrised the weight norm.
    old = {"weight_g": "parametrizations.weight.original0"}
    old["weight_v"] = "parametrizations.weight.original1"
    renamed = {}
    for name, tensor in state.items():
        head, _, last = name.rpartition(".")
        renamed[f"{head}.{old[last]}" if last in old else name] = tensor
    return renamed


def _fill(module: Any, state: Mapping[str, Any], folder: Path) -> Any:
    """Loads a state into a module and refuses when names or shapes are not the same."""
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise W2sError(f"the weights of {folder} do not fit its config.json: {error}") from error
    lacking, strange = (
        # Hides parts of the audio in training, and is not always there.
        [name for name in names if not name.endswith("masked_spec_embed")]
        for names in (missing, unexpected)
    )
    if lacking or strange:
        raise W2sError(
            f"the weights of {folder} are of another model: "
            f"{len(lacking)} are missing ({', '.join(lacking[:3])}), "
            f"{len(strange)} have no place ({', '.join(strange[:3])})",
            f"a teacher is a copy of {' or of '.join(HUB.values())}",
        )
    return module.eval()


def _inside(encoder: Any, hidden: Any, mask: Any) -> Any:
    """Which hidden states (B, T) are of the clip and not of its padding."""
    import torch

    frames = encoder._get_feat_extract_output_lengths(mask.sum(dim=1))
    return torch.arange(hidden.shape[1], device=hidden.device) < frames[:, None]


def _wav2vec2(config: dict[str, Any], state: dict[str, Any], folder: Path) -> tuple[Any, Any]:
    import torch
    from torch import nn
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    labels = [config.get("id2label", {}).get(str(i)) for i in range(3)]
    if labels != list(DIMENSIONS):
        raise W2sError(f"{folder} answers {labels}", f"a teacher answers {', '.join(DIMENSIONS)}")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            known = {key: value for key, value in config.items() if value is not None}
            settings = Wav2Vec2Config.from_dict(known)  # vocab_size is null there
            size = settings.hidden_size
            self.wav2vec2 = Wav2Vec2Model(settings)
            self.classifier: Any = nn.Module()
            self.classifier.dense = nn.Linear(size, size)
            self.classifier.out_proj = nn.Linear(size, 3)

        def forward(self, audio: Any, mask: Any) -> Any:
            hidden = self.wav2vec2(audio, attention_mask=mask).last_hidden_state
            inside = _inside(self.wav2vec2, hidden, mask)
            pooled = (hidden * inside[..., None]).sum(dim=1) / inside.sum(dim=1, keepdim=True)
            return self.classifier.out_proj(torch.tanh(self.classifier.dense(pooled)))

    def normalise(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((x - x.mean()) / np.sqrt(x.var() + 1e-7), np.float32)

    return normalise, _fill(Model(), state, folder)


def _wavlm(config: dict[str, Any], state: dict[str, Any], folder: Path) -> tuple[Any, Any]:
    import torch
    from torch import nn
    from transformers import WavLMModel

    try:
        mean, std = float(config["mean"]), float(config["std"])
        layers = int(config.get("classifier_hidden_layers", 1))
        size, classes = int(config["hidden_size"]), int(config["num_classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise W2sError(f"{folder}/config.json has no {error}", "download it again") from error
    if classes != 3:
        raise W2sError(f"{folder} answers {classes} values", "a teacher answers three dimensions")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ssl_model = WavLMModel(_wavlm_settings(config, state))
            self.pool_model: Any = nn.Module()
            self.pool_model.sap_linear = nn.Linear(size, size)
            self.pool_model.attention = nn.Parameter(torch.zeros(size, 1))
            self.ser_model: Any = nn.Module()
            self.ser_model.fc = nn.Sequential(
                *(
                    nn.Sequential(
                        nn.Linear(2 * size if i == 0 else size, size), nn.LayerNorm(size), nn.ReLU()
                    )
                    for i in range(layers)
                )
            )
            self.ser_model.out = nn.Sequential(nn.Linear(size, 3))

        def forward(self, audio: Any, mask: Any) -> Any:
            hidden = self.ssl_model(audio, attention_mask=mask).last_hidden_state
            inside = _inside(self.ssl_model, hidden, mask)
            pool = self.pool_model
            score = torch.tanh(pool.sap_linear(hidden)) @ pool.attention
            weight = score.masked_fill(~inside[..., None], -torch.inf).softmax(dim=1)
            mean = (hidden * weight).sum(dim=1)
            variance = (hidden**2 * weight).sum(dim=1) - mean**2
            pooled = torch.cat((mean, variance.clamp(min=STATISTICS_FLOOR).sqrt()), dim=1)
            return self.ser_model.out(self.ser_model.fc(pooled))

    def normalise(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((x - mean) / (std + 1e-6), np.float32)

    return normalise, _fill(Model(), state, folder)


def _wavlm_settings(config: dict[str, Any], state: dict[str, Any]) -> Any:
    """The config of the encoder, which the checkpoint names (microsoft/wavlm-large) and does not
    hold: sizes by its tensors, the rest as there."""
    from transformers import WavLMConfig

    def shape(name: str) -> tuple[int, ...]:
        tensor = state.get(f"ssl_model.{name}")
        return tuple(tensor.shape) if tensor is not None else (0, 0, 0)

    convolutions = [
        shape(f"feature_extractor.conv_layers.{i}.conv.weight")
        for i in range(len(WavLMConfig().conv_dim))
    ]
    positions = shape("encoder.pos_conv_embed.conv.parametrizations.weight.original1")
    hidden = int(config["hidden_size"])
    return WavLMConfig(
        hidden_size=hidden,
        num_hidden_layers=int(config["num_hidden_layers"]),
        num_attention_heads=int(config["num_attention_heads"]),
        intermediate_size=shape("encoder.layers.0.feed_forward.intermediate_dense.weight")[0],
        conv_dim=[each[0] for each in convolutions],
        conv_kernel=[each[2] for each in convolutions],
        conv_bias="ssl_model.feature_extractor.conv_layers.0.conv.bias" in state,
        num_conv_pos_embeddings=positions[2],
        num_conv_pos_embedding_groups=hidden // max(positions[1], 1),
        num_buckets=shape("encoder.layers.0.attention.rel_attn_embed.weight")[0],
        do_stable_layer_norm=True,
        feat_extract_norm="layer",
    )
