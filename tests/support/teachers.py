# SPDX-License-Identifier: Apache-2.0
"""The paper's teachers in small: random weights under the names and in the files of the hub.

Names and config keys as in audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim and
3loi/SER-Odyssey-Baseline-WavLM-Multi-Attributes. `expect_...` computes what they answer without
the code under test: transformers' encoder on one clip, no padding, and a head in numpy.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import Wav2Vec2Config, Wav2Vec2Model, WavLMConfig, WavLMModel

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
}


def old_names(state: dict[str, Any]) -> dict[str, Any]:
    """Weight norm as torch before 2.0 named it, as both checkpoints have it."""
    new = {"parametrizations.weight.original0": "weight_g"}
    new["parametrizations.weight.original1"] = "weight_v"
    for now, then in new.items():
        state = {name.replace(now, then): tensor for name, tensor in state.items()}
    return state


def linear(state: dict[str, Any], name: str, x: np.ndarray) -> np.ndarray:
    return x @ state[f"{name}.weight"].numpy().T + state[f"{name}.bias"].numpy()


class Wav2Vec2:
    """audeering's: `wav2vec2.*`, `classifier.dense`, `classifier.out_proj`."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.config = Wav2Vec2Config(**SIZES, conv_bias=True)
        self.config.id2label = {0: "arousal", 1: "dominance", 2: "valence"}
        self.encoder = Wav2Vec2Model(self.config).eval()
        self.state = {f"wav2vec2.{k}": v for k, v in self.encoder.state_dict().items()}
        for name, shape in (("dense", (16, 16)), ("out_proj", (3, 16))):
            self.state[f"classifier.{name}.weight"] = torch.randn(shape) / 2
            self.state[f"classifier.{name}.bias"] = torch.randn(shape[0]) / 2

    def save(self, folder: Path, safe: bool) -> Path:
        folder.mkdir()
        config = {**self.config.to_dict(), "architectures": ["Wav2Vec2ForSpeechClassification"]}
        config |= {"vocab_size": None, "adapter_attn_dim": None, "gradient_checkpointing": False}
        config |= {"finetuning_task": "wav2vec2_reg", "hidden_dropout_prob": 0.1}
        (folder / "config.json").write_text(json.dumps(config))
        store(self.state, folder, safe)
        return folder

    def expect(self, pcm: np.ndarray) -> np.ndarray:
        x = pcm.astype(np.float32) / 32768
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
        with torch.inference_mode():
            hidden = self.encoder(torch.from_numpy(x)[None]).last_hidden_state[0].numpy()
        inner = np.tanh(linear(self.state, "classifier.dense", hidden.mean(axis=0)))
        return linear(self.state, "classifier.out_proj", inner)


class WavLM:
    """3loi's: `ssl_model.*`, `pool_model.*`, `ser_model.*`."""

    mean, std = -8.278621631819787e-05, 0.08485510250851999

    def __init__(self) -> None:
        torch.manual_seed(2)
        self.config = WavLMConfig(**SIZES, conv_bias=False, num_buckets=32)
        self.encoder = WavLMModel(self.config).eval()
        self.state = {f"ssl_model.{k}": v for k, v in self.encoder.state_dict().items()}
        for name, shape in (
            ("pool_model.sap_linear", (16, 16)),
            ("ser_model.fc.0.0", (16, 32)),
            ("ser_model.out.0", (3, 16)),
        ):
            self.state[f"{name}.weight"] = torch.randn(shape) / 4
            self.state[f"{name}.bias"] = torch.randn(shape[0]) / 4
        self.state["pool_model.attention"] = torch.randn(16, 1)
        self.state["ser_model.fc.0.1.weight"] = torch.rand(16) + 0.5
        self.state["ser_model.fc.0.1.bias"] = torch.randn(16) / 4

    def save(self, folder: Path, safe: bool) -> Path:
        folder.mkdir()
        auto = {"AutoConfig": "pipeline_utils.SERConfig"}
        auto["AutoModelForAudioClassification"] = "pipeline_utils.SERModel"
        config = {
            "architectures": ["SERModel"],
            "auto_map": auto,
            "classifier_dropout_prob": 0.5,
            "classifier_hidden_layers": 1,
            "hidden_size": 16,
            "mean": self.mean,
            "std": self.std,
            "model_type": "ser",
            "num_attention_heads": 2,
            "num_classes": 3,
            "num_hidden_layers": 2,
            "ssl_type": "microsoft/wavlm-large",
        }
        (folder / "config.json").write_text(json.dumps(config))
        store(self.state, folder, safe)
        return folder

    def expect(self, pcm: np.ndarray) -> np.ndarray:
        x = (pcm.astype(np.float32) / 32768 - self.mean) / (self.std + 1e-6)
        with torch.inference_mode():
            hidden = self.encoder(torch.from_numpy(x)[None]).last_hidden_state[0].numpy()
        scores = np.tanh(linear(self.state, "pool_model.sap_linear", hidden))
        scores = scores @ self.state["pool_model.attention"].numpy()
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        mean = (weights * hidden).sum(axis=0)
        spread = np.sqrt(np.maximum((weights * hidden**2).sum(axis=0) - mean**2, 1e-5))
        inner = linear(self.state, "ser_model.fc.0.0", np.concatenate([mean, spread]))
        inner = (inner - inner.mean()) / np.sqrt(inner.var() + 1e-5)
        gain, shift = (self.state[f"ser_model.fc.0.1.{n}"].numpy() for n in ("weight", "bias"))
        return linear(self.state, "ser_model.out.0", np.maximum(inner * gain + shift, 0))


def store(state: dict[str, Any], folder: Path, safe: bool) -> None:
    named = {name: tensor.contiguous() for name, tensor in old_names(state).items()}
    if safe:
        save_file(named, folder / "model.safetensors")
    else:
        torch.save(named, folder / "pytorch_model.bin")
