# SPDX-License-Identifier: Apache-2.0
"""A device under test: the link to it, the watch on the link, and what is right for comparison."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import layers, native, paths, pio, tflite_file
from wav2small_micro import plan as plans
from wav2small_micro.audio import Clip, read_clip
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.engines.base import Model
from wav2small_micro.engines.floating import FloatEngine
from wav2small_micro.engines.tflite import OPTIMISED, TfliteEngine, interpret
from wav2small_micro.errors import W2sError
from wav2small_micro.hil.watch import Watch
from wav2small_micro.link.client import Device, Timing
from wav2small_micro.link.messages import Flag, HelloReply, Layer
from wav2small_micro.link.session import SessionAnswer
from wav2small_micro.link.transport import DEFAULT_BAUD, SerialTransport, Transport

Rows = dict[str, NDArray[Any]]

LATE_S = {False: 1.0, True: 5.0}  # by whether it is emulated: the host's load makes QEMU wait
GOLDEN_CLIP = "golden"
SHIPPED_CLIPS = ("no_short_en.flac", "happy_en.flac", "noisy_da.flac", "whisper_en.flac")


@dataclass(frozen=True)
class Target:
    """Where the device is. ``open`` lends a transport until its context ends."""

    name: str
    open: Callable[[], AbstractContextManager[Transport]]
    board: str | None = None  # environment that the firmware must be of; None: any


def serial_target(port: str, baud: int = DEFAULT_BAUD) -> Target:
    """A board at a pyserial URL."""

    @contextmanager
    def opened() -> Iterator[Transport]:
        transport = SerialTransport(port, baud)
        try:
            yield transport
        finally:
            transport.close()

    return Target(port, opened)


def emulator_target(
    env: str,
    model: Path,
    *,
    link: LinkKind = LinkKind.SEMIHOSTING,
    elf: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Target:
    """A board in QEMU, which runs ``elf`` or else the firmware of this checkout.

    Raises W2sError when there is no such board, or the firmware cannot be built.
    """
    board = pio.emulated_board(env)
    firmware = elf or pio.build(env, model, progress=progress)

    @contextmanager
    def opened() -> Iterator[Transport]:
        with Emulator(firmware, board, link=link) as emulator:
            yield emulator.transport()

    return Target(f"{env} in QEMU", opened, env)


@dataclass(frozen=True)
class Options:
    """How much is tested, and within which bounds."""

    clips: tuple[Path, ...] = ()  # those that ship with the project if there are none
    soak_seconds: float = 5.0  # of live audio
    pings: int = 40
    late_s: float | None = None  # LATE_S if there is none
    patience_s: float = 6.0  # without a reply, before the device is given up
    stack_margin: int = 512  # bytes that must never be used
    window_segments: int = 4


@dataclass
class Evidence:
    """Figures that checks leave for the report."""

    scatter: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]] = field(
        default_factory=list
    )  # clip, float, device: (3,) each
    audio_seconds: list[float] = field(default_factory=list)  # heard when each of them was answered
    logmel_error: NDArray[np.float64] | None = None  # dB, (T,): worst of each golden frame
    layers: dict[str, tuple[int, int, float]] = field(
        default_factory=dict
    )  # values that differ, values, RMS against float relative to its RMS
    live: list[tuple[float, NDArray[np.float64], NDArray[np.float64]]] = field(
        default_factory=list
    )  # end of the window in s, library, device
    ticks: dict[str, float] = field(default_factory=dict)  # s a second of audio, by stage

    def to_json(self) -> dict[str, Any]:
        """A/D/V by clip, layers, and time by stage; windows and curves are for pictures."""
        return {
            "clips": [
                {"clip": name, "float": exact, "device": device}
                for name, exact, device in self.scatter
            ],
            "layers": {
                name: {
                    "differ": apart,
                    "values": size,
                    "relative_rms": None if math.isnan(error) else error,
                }
                for name, (apart, size, error) in self.layers.items()
            },
            "seconds_of_work_per_second": self.ticks,
        }


class Rig:
    """The device, opened when it is first asked for, and the truth about its model."""

    def __init__(
        self,
        target: Target,
        model: Model,
        options: Options | None = None,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.target = target
        self.model = model
        self.options = options or Options()
        self.progress = progress
        self.evidence = Evidence()
        self.watch: Watch | None = None
        self.audio_seconds = 0.0  # that the device was given
        self.golden_answer: tuple[SessionAnswer, Rows] | None = None
        self.first_boot = 0  # identity of the run of the device that answered first
        self.clock = time.monotonic
        self._device: Device | None = None
        self._context: AbstractContextManager[Transport] | None = None

    # --- The device --------------------------------------------------------------------------

    @property
    def device(self) -> Device:
        """The client. Raises LinkLost where the port cannot be opened."""
        if self._device is None:
            self._context = self.target.open()
            self.watch = Watch(self._context.__enter__())
            patience = self.options.patience_s
            timing = Timing(patience_s=patience, finish_s=max(60.0, patience), stall_s=20.0)
            self._device = Device(self.watch, timing=timing)
        return self._device

    @property
    def facts(self) -> HelloReply:
        """What the device says that it is."""
        return self.device.facts or self.device.hello()

    @property
    def met(self) -> HelloReply | None:
        """The same, if it has said so already."""
        return self._device.facts if self._device else None

    @property
    def emulated(self) -> bool:
        """Whether the device says so."""
        return bool(self.met and self.met.flags & Flag.EMULATED)

    @property
    def late_s(self) -> float:
        """What no answer may take, in seconds."""
        return self.options.late_s or LATE_S[self.emulated]

    def close(self) -> None:
        """Lets the device go."""
        if self._device is not None and self._context is not None:
            self._device.close()
            self._context.__exit__(None, None, None)

    def run(self, clip: Clip, taps: tuple[str, ...] = ()) -> tuple[SessionAnswer, Rows]:
        """The device's answer to a clip, and its rows by layer name, in the layer's shape if they
        have its width."""
        answer = self.device.run(clip.pcm, taps=[Layer[name.upper()] for name in taps])
        self.audio_seconds += clip.seconds
        return answer, {name: _shaped(name, answer.taps[Layer[name.upper()]]) for name in taps}

    # --- The truth ---------------------------------------------------------------------------

    @cached_property
    def golden(self) -> dict[str, NDArray[Any]]:
        """Golden vectors of the model folder, every row in its shape; ``logmel`` is float64."""
        path = self.model.folder / "golden.npz"
        if not path.is_file():
            raise W2sError(f"{path} is missing", f"w2s convert --model {self.model.name} makes it")
        with np.load(path) as stored:
            return {
                name: stored[name].reshape(-1, *layers.SHAPES[name])
                if name in layers.SHAPES
                else stored[name]
                for name in stored.files
            }

    @property
    def golden_clip(self) -> Clip:
        """0.4 s of speech, of which the model folder knows every layer's rows."""
        return Clip(Path(GOLDEN_CLIP), self.golden["pcm"])

    @cached_property
    def golden_rows(self) -> Rows:
        """The right rows of the golden clip, by layer; the log-mel as the integer front end has
        it."""
        rows = {name: self.golden[name] for name in ("input", *layers.ORDER)}
        return {"logmel": native.logmel_q7(self.golden["pcm"]), **rows}

    @cached_property
    def network(self) -> native.Network:
        """The model in the C library."""
        return native.Network(self.model.plan)

    @cached_property
    def engines(self) -> dict[str, TfliteEngine | FloatEngine]:
        """What clips are compared with, beside :attr:`network`."""
        return {
            "tflite": TfliteEngine(self.model),
            "float": FloatEngine(self.model),
        }

    @cached_property
    def float_layers(self) -> dict[str, NDArray[np.float32]]:
        """Activations of the float network over the golden clip, by layer."""
        found = interpret(
            self.model.float_path.read_bytes(),
            self.golden["logmel"][None].astype(np.float32),
            every_tensor=True,
            kernels=OPTIMISED,
        )
        return {name: found[name][0] for name in layers.ORDER if name in found}

    @cached_property
    def zeros(self) -> dict[str, int]:
        """Zero point of each layer's rows."""
        tensors = tflite_file.read(self.model.int8_path).tensors
        return {t.name: t.zero_point for t in tensors if t.name in layers.ORDER}

    @cached_property
    def clips(self) -> list[Clip]:
        """The clips of the options; else those that ship with the project, else the golden one."""
        named = list(self.options.clips)
        if not named:
            folder = paths.demo_clip().parent
            named = [folder / name for name in SHIPPED_CLIPS if (folder / name).is_file()]
        return [read_clip(path) for path in named] or [self.golden_clip]

    @cached_property
    def other_models(self) -> dict[str, plans.Plan]:
        """Plans of the other models in the checkout, by name."""
        found = {}
        for name in paths.model_names():
            plan = Model.load(name).plan
            if plan.sha256 != self.model.plan.sha256:
                found[name] = plan
        return found


def _shaped(name: str, rows: NDArray[Any]) -> NDArray[Any]:
    shape = layers.SHAPES[name]
    return rows.reshape(-1, *shape) if rows.shape[1] == math.prod(shape) else rows


def firmware_version() -> tuple[int, int, int]:
    """Version of the firmware in this checkout."""
    text = (paths.repo_root() / "firmware" / "src" / "version.h").read_text()
    major, minor, patch = (
        int(number) for number in re.findall(r"FIRMWARE_VERSION_\w+ (\d+)", text)
    )
    return major, minor, patch
