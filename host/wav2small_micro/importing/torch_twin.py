# SPDX-License-Identifier: Apache-2.0
"""Wav2Small in PyTorch, with the names and layout of the released checkpoint: what an imported
student is compared with.

Activations are (batch, channel, time, mel). ``audeering/wav2small`` on the hub is the 17K; the 72K
(arXiv 2408.13920) has ``lin`` and ``sof`` as linear layers over the 169 values of a row, channel
first, and a head of 169.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from wav2small_micro import reference

CHANNELS = 13


class _Block(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, CHANNELS, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)))


class _Spectrogram(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        shape = (1, reference.BINS, reference.WINDOW, reference.HOP)
        self.conv_real = nn.Conv1d(*shape, bias=False)
        self.conv_imag = nn.Conv1d(*shape, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Audio (B, N) to power (B, 1, T, 33)."""
        real, imaginary = self.conv_real(x[:, None]), self.conv_imag(x[:, None])
        return (real**2 + imaginary**2).transpose(1, 2)[:, None]


class _LogMel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.melW = nn.Parameter(torch.zeros(reference.BINS, reference.BANDS))

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        return 10 * torch.log10(torch.clamp(power @ self.melW, min=1e-10))


class _Vgg7(nn.Module):
    lin: nn.Module
    sof: nn.Module

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.architecture = architecture
        self.spectrogram_extractor = _Spectrogram()
        self.logmel_extractor = _LogMel()
        for i in range(1, 8):
            self.add_module(f"l{i}", _Block(1 if i == 1 else CHANNELS))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        for name in ("lin", "sof"):
            wide = architecture == "72k"
            layer = (
                nn.Linear(CHANNELS**2, CHANNELS**2) if wide else nn.Conv2d(CHANNELS, CHANNELS, 1)
            )
            self.add_module(name, layer)

    def forward(self, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        audio = audio - audio.mean(1, keepdim=True)
        variance = (audio * audio).mean(1, keepdim=True)
        audio = audio / torch.sqrt(variance + reference.VARIANCE_FLOOR)
        x = found["logmel"] = self.logmel_extractor(self.spectrogram_extractor(audio))
        for i in range(1, 8):
            x = found[f"l{i}"] = getattr(self, f"l{i}")(x)
            if i == 3:
                x = found["pool"] = self.pool(x)
        if self.architecture == "72k":
            x = x.transpose(1, 2).flatten(2)  # (B, T2, channel * mel)
        time = 1 if self.architecture == "72k" else 2
        found["lin"], found["sof"] = self.lin(x), self.sof(x)
        found["attention"] = (found["lin"] * found["sof"].softmax(time)).sum(time)
        return found


class Wav2Small(nn.Module):
    """Audio (B, N) in -1..1, 16 kHz, to arousal, dominance, valence (B, 3)."""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.vgg7 = _Vgg7(architecture)
        self.adv = nn.Linear(CHANNELS**2 * (1 if architecture == "72k" else 2), 3)

    def layers(self, audio: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every layer by name, ``logmel`` to ``adv``."""
        found: dict[str, torch.Tensor] = self.vgg7(audio)
        x = found["attention"].flatten(1)
        if self.vgg7.architecture == "17k":
            gram = found["attention"] @ found["attention"].transpose(1, 2)
            x = torch.cat([x, gram.flatten(1)], dim=1)
        return found | {"adv": self.adv(x)}

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.layers(audio)["adv"]


def load(architecture: str, state: dict[str, Any]) -> Wav2Small:
    """The network with the weights of a checkpoint, by name, numpy arrays of any float type."""
    model = Wav2Small(architecture)
    tensors = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
    # Counters of batch norm, which a checkpoint may keep, are not weights.
    model.load_state_dict(tensors, strict=False)
    return model.eval()
