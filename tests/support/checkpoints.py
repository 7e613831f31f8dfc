# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and ONNX graphs of Wav2Small that nobody trained, but whose batch norms have heard
speech."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from wav2small_micro import reference
from wav2small_micro.importing.checkpoint import FRONT_END, State
from wav2small_micro.importing.torch_twin import Wav2Small, load


def random_state(architecture: str, speech: list[np.ndarray], seed: int = 0) -> State:
    """Random weights, batch norms with the statistics of their inputs on speech, answers around
    .5."""
    torch.manual_seed(seed)
    network = Wav2Small(architecture)
    frozen = {name: torch.tensor(ours(), dtype=torch.float32) for name, ours in FRONT_END.items()}
    network.load_state_dict(frozen, strict=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over the clips
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.6)
    audio = [torch.from_numpy(pcm.astype(np.float32) / 32768)[None] for pcm in speech]
    with torch.no_grad():
        for clip in audio:
            network(clip)
        features = network.eval()(audio[0])
        network.adv.weight /= features.abs().max()
        network.adv.bias += 0.5
    return {
        name: value.numpy().copy()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }


class FromLogMel(torch.nn.Module):
    """The same network behind its front end: log-mel (B, T, 26) to A/D/V.

    ``band_first`` flattens the rows of a 72K as (mel, channel), which its weights must expect.
    """

    def __init__(self, network: Wav2Small, band_first: bool = False) -> None:
        super().__init__()
        self.network = network
        self.band_first = band_first

    def rows(self, logmel: torch.Tensor) -> torch.Tensor:
        x = logmel[:, None]
        for i in range(1, 8):
            x = getattr(self.network.vgg7, f"l{i}")(x)
            if i == 3:
                x = self.network.vgg7.pool(x)
        return x

    def forward(self, logmel: torch.Tensor) -> torch.Tensor:
        x, vgg7 = self.rows(logmel), self.network.vgg7
        wide = vgg7.architecture == "72k"
        if wide:
            x = (x.permute(0, 2, 3, 1) if self.band_first else x.transpose(1, 2)).flatten(2)
        time = 1 if wide else 2
        x = (vgg7.lin(x) * vgg7.sof(x).softmax(time)).sum(time)
        if not wide:
            x = torch.cat([x.flatten(1), (x @ x.transpose(1, 2)).flatten(1)], dim=1)
        return self.network.adv(x)


class Trunk(FromLogMel):
    """What is in front of `lin` and `sof`."""

    def forward(self, logmel: torch.Tensor) -> torch.Tensor:
        return self.rows(logmel)


class Other(torch.nn.Module):
    """Another student than Wav2Small: audio (B, N) to A/D/V."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(1, 8, 64, stride=32),
            torch.nn.ReLU(),
            torch.nn.Conv1d(8, 6, 5, stride=4),
        )
        self.head = torch.nn.Linear(6, 3)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(audio[:, None]).square().mean(2))


def export(network: torch.nn.Module, path: Path, hears: str = "audio", **options: Any) -> Path:
    """An ONNX file whose time is free."""
    shapes = {"audio": (1, 16000), "logmel": (1, reference.frame_count(16000), reference.BANDS)}
    torch.onnx.export(
        network.eval(),
        (torch.zeros(shapes[hears]),),
        str(path),
        input_names=[hears],
        output_names=["adv"],
        dynamic_axes={hears: {1: "time"}},
        dynamo=False,
        opset_version=17,
        **options,
    )
    return path


def network_of(architecture: str, state: State) -> Wav2Small:
    """The network in PyTorch, with weights."""
    return load(architecture, state)
