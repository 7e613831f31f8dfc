# SPDX-License-Identifier: Apache-2.0
"""Weights by the names of the released checkpoint to a Keras student, and the student against its
source.

The frozen front end of a checkpoint (``conv_real``, ``conv_imag``, ``melW``) is compared with ours:
the device computes its own, so that a student which was trained on another one must not pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import reference, student
from wav2small_micro.errors import W2sError
from wav2small_micro.student import CHANNELS, CONVOLUTIONS

State = dict[str, NDArray[np.float32]]

FRONT_END: dict[str, Callable[[], NDArray[np.float64]]] = {
    "vgg7.spectrogram_extractor.conv_real.weight": lambda: reference.dft()[0].T[:, None],
    "vgg7.spectrogram_extractor.conv_imag.weight": lambda: reference.dft()[1].T[:, None],
    "vgg7.logmel_extractor.melW": reference.mel_matrix,
}
"""Frozen weights of the front end, and what ours are: (33, 1, 64) twice, (33, 26)."""

FRONT_END_TOLERANCE = 1e-6
"""Largest difference of a frozen weight from ours, as a share of the largest: float32 rounding."""

ROW = CHANNELS**2


def shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the trained weights of a checkpoint."""
    found: dict[str, tuple[int, ...]] = {}
    for i, name in enumerate(CONVOLUTIONS):
        found[f"vgg7.{name}.conv.weight"] = (CHANNELS, CHANNELS if i else 1, 3, 3)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"vgg7.{name}.norm.{part}"] = (CHANNELS,)
    wide = (ROW, ROW) if architecture == "72k" else (CHANNELS, CHANNELS, 1, 1)
    for name in ("lin", "sof"):
        found[f"vgg7.{name}.weight"], found[f"vgg7.{name}.bias"] = wide, wide[:1]
    found["adv.weight"] = (3, ROW if architecture == "72k" else 2 * ROW)
    found["adv.bias"] = (3,)
    return found


def read(path: Path) -> State:
    """The weights in a .safetensors, .bin, .pt or .pth file, float32.

    Raises :class:`W2sError` when the file cannot be read; nothing in it is executed.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise W2sError(f"{error.name} is not installed", "pip install -e '.[import]'") from error
    try:
        if path.suffix == ".safetensors":
            tensors: Any = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise W2sError(f"{path} cannot be read: {error}", "download it again") from error
    except Exception as error:  # pickle's own, of many kinds
        raise W2sError(f"{path} holds more than tensors", "save its state_dict alone") from error
    if isinstance(tensors, dict) and isinstance(tensors.get("state_dict"), dict):
        tensors = tensors["state_dict"]
    return {
        name: tensor.detach().to(torch.float32).numpy()
        for name, tensor in tensors.items()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    }


def architecture_of(state: State) -> student.Architecture:
    """Which student the weights are of. Raises :class:`W2sError` naming what is missing, of another
    shape, or not a number."""
    lin = state.get("vgg7.lin.weight")
    found: student.Architecture = "72k" if lin is not None and lin.ndim == 2 else "17k"
    wanted = shapes(found)
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise W2sError(
            f"the checkpoint lacks {len(missing)} weights of Wav2Small {found}: {_few(missing)}",
            f"it holds {len(state)}: {_few(sorted(state))}",
        )
    unknown = sorted(set(state) - set(wanted) - set(FRONT_END))
    if unknown:
        raise W2sError(
            f"the checkpoint holds weights that Wav2Small {found} has no place for: "
            f"{_few(unknown)}",
            "it is another network: export it as ONNX and import that",
        )
    for name, shape in wanted.items():
        if state[name].shape != shape:
            raise W2sError(
                f"{name} is {state[name].shape}, not {shape}",
                "the network has other sizes: export it as ONNX and import that",
            )
        if not np.isfinite(state[name]).all():
            raise W2sError(f"{name} holds values that are not numbers", "train it again")
        if name.endswith("running_var") and (state[name] < 0).any():
            raise W2sError(f"{name} holds negative variances", "the file is damaged")
    return found


def check_front_end(state: State) -> list[str]:
    """Names of the frozen weights that were compared with ours. Raises :class:`W2sError` for one
    that differs."""
    checked = []
    for name, ours in FRONT_END.items():
        if name not in state:
            continue
        expected = ours()
        if state[name].shape != expected.shape:
            raise W2sError(
                f"{name} is {state[name].shape}, not {expected.shape}",
                "the student hears another front end than the device's 64-point DFT and 26 bands",
            )
        apart = np.abs(state[name] - expected)
        if apart.max() > FRONT_END_TOLERANCE * np.abs(expected).max():
            where = np.unravel_index(apart.argmax(), apart.shape)
            raise W2sError(
                f"{name} differs from the device's front end by {apart.max():.2g} at "
                f"{tuple(map(int, where))}",
                "the student was trained on another front end: train it anew, or distil it",
            )
        checked.append(name)
    return checked


def check(state: State) -> tuple[student.Architecture, list[str]]:
    """The student that the weights are of, and the frozen weights that were compared with ours."""
    return architecture_of(state), check_front_end(state)


def to_student(state: State, architecture: student.Architecture) -> Any:
    """A Keras student with the weights of a checkpoint.

    (out, in, time, mel) becomes (time, mel, in, out). The rows of the 72K are flattened channel
    first in the checkpoint and band first in ours; the 17K's X is (channel, mel) in both.
    """
    model = student.build(architecture)
    for name in CONVOLUTIONS:
        kernel = state[f"vgg7.{name}.conv.weight"].transpose(2, 3, 1, 0)
        model.get_layer(f"{name}_conv").set_weights([kernel])
        parts = ("weight", "bias", "running_mean", "running_var")
        model.get_layer(f"{name}_norm").set_weights([state[f"vgg7.{name}.norm.{p}"] for p in parts])
    for name in ("lin", "sof"):
        weight = state[f"vgg7.{name}.weight"]
        if architecture == "72k":
            # (out, channel * mel) to (1, mel, channel, out)
            weight = weight.reshape(ROW, CHANNELS, CHANNELS).transpose(2, 1, 0)[None]
        else:
            weight = weight.transpose(2, 3, 1, 0)
        model.get_layer(name).set_weights([weight, state[f"vgg7.{name}.bias"]])
    model.get_layer("adv").set_weights([state["adv.weight"].T, state["adv.bias"]])
    return model


def from_student(model: Any, architecture: student.Architecture) -> State:
    """A checkpoint of a Keras student, front end included: :func:`to_student` backwards."""
    state: State = {name: ours().astype(np.float32) for name, ours in FRONT_END.items()}
    for name in CONVOLUTIONS:
        (kernel,) = model.get_layer(f"{name}_conv").get_weights()
        state[f"vgg7.{name}.conv.weight"] = kernel.transpose(3, 2, 0, 1)
        parts = ("weight", "bias", "running_mean", "running_var")
        values = model.get_layer(f"{name}_norm").get_weights()
        state |= {f"vgg7.{name}.norm.{p}": v for p, v in zip(parts, values, strict=True)}
    for name in ("lin", "sof"):
        kernel, bias = model.get_layer(name).get_weights()
        if architecture == "72k":
            weight = kernel[0].transpose(2, 1, 0).reshape(ROW, ROW)
        else:
            weight = kernel.transpose(3, 2, 0, 1)
        state[f"vgg7.{name}.weight"], state[f"vgg7.{name}.bias"] = weight, bias
    kernel, bias = model.get_layer("adv").get_weights()
    state |= {"adv.weight": kernel.T, "adv.bias": bias}
    return {name: np.ascontiguousarray(value) for name, value in state.items()}


def torch_layers(
    architecture: str, state: State, clips: Sequence[NDArray[np.int16]]
) -> list[dict[str, NDArray[np.float32]]]:
    """Every layer of the network in PyTorch for each clip, int16 (N,), in our layout: (T, mel,
    channel), ``lin`` and ``sof`` with the values of a row last."""
    import torch

    from wav2small_micro.importing import torch_twin

    network = torch_twin.load(architecture, state)
    found = []
    for pcm in clips:
        with torch.inference_mode():
            audio = torch.from_numpy(pcm.astype(np.float32) / 32768)[None]
            layers = {name: value.numpy()[0] for name, value in network.layers(audio).items()}
        found.append({name: _our_layout(value) for name, value in layers.items()})
    return found


def _our_layout(value: NDArray[np.float32]) -> NDArray[np.float32]:
    return value.transpose(1, 2, 0) if value.ndim == 3 else value


def _few(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
