# SPDX-License-Identifier: Apache-2.0
"""The demonstration: one clip, every engine that needs no hardware, one picture."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wav2small_micro import native, pio, plots
from wav2small_micro.audio import read_clip
from wav2small_micro.compare import open_engines, run_clip
from wav2small_micro.engines.base import Model
from wav2small_micro.errors import W2sError
from wav2small_micro.report import ClipReport, Verdict, judge

ENGINES = ("float", "tflite", "tflm", "c", "emulator")


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration found out. Sizes in bytes, instructions per second of audio."""

    clip: ClipReport
    verdict: Verdict
    size: dict[str, int]
    instructions: dict[str, float]
    stack_used: int
    picture: Path

    def to_json(self) -> dict[str, Any]:
        """The measurements beside the answers."""
        return {
            "size": self.size | {"stack_used": self.stack_used},
            "instructions_per_second": self.instructions,
            "picture": self.picture,
        }


def run(
    path: Path, model: Model, env: str, picture: Path, progress: Callable[[str], None]
) -> Demonstration:
    """Build the firmware, boot it in the emulator, run the clip through every engine, draw.

    ``progress`` hears what is being done. Raises W2sError when a tool is missing or an engine
    fails.
    """
    pio.emulated_board(env)
    progress(f"building the firmware of {env}")
    pio.build(env, model.folder, progress=lambda line: progress(f"building: {line[:70]}"))
    progress(f"running {path.name} on {', '.join(ENGINES)}")
    with open_engines(ENGINES, model, env=env, icount=True) as engines:
        report = run_clip(path, engines, "utterance")
    for engine, message in report.errors.items():
        raise W2sError(f"{engine}: {message}", "w2s compare says more")
    details = report.answers["emulator"].details
    clip = read_clip(path)
    progress("drawing")
    plots.answers(
        picture,
        clip,
        native.logmel(clip.pcm),
        report.answers,
        title=f"{path.name}: {model.name} on {', '.join(ENGINES[:-1])} and on {env} in QEMU",
    )
    return Demonstration(
        report,
        judge([report], ENGINES),
        pio.size(env, model.folder),
        details["instructions_per_second"],
        details["counters"]["stack_high_water"],
        picture,
    )
