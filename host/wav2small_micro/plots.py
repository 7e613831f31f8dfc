# SPDX-License-Identifier: Apache-2.0
"""Pictures: what the network hears, and what each engine makes of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wav2small_micro.audio import RATE, Clip
from wav2small_micro.metrics import DIMENSIONS

if TYPE_CHECKING:
    from wav2small_micro.engines.base import Answer

FRAMES_PER_SECOND = 500
COLOURS = ("#4c566a", "#5e81ac", "#88c0d0", "#a3be8c", "#d08770", "#b48ead")


def answers(
    path: Path,
    clip: Clip,
    logmel: npt.NDArray[np.floating],
    found: "Mapping[str, Answer]",
    *,
    title: str,
) -> None:
    """Save a PNG: waveform, log-mel (T, 26) in dB, and A/D/V as one bar an engine."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), layout="constrained")
    figure.suptitle(title)
    wave, mel, bars = figure.subplots(3, 1, height_ratios=[1, 1.4, 1.8])

    wave.plot(np.arange(len(clip.pcm)) / RATE, clip.pcm / 32768, linewidth=0.4, color=COLOURS[1])
    wave.set(xlim=(0, clip.seconds), ylim=(-1, 1), ylabel="waveform")

    heard = logmel[:, 1:].T  # band 0 is empty by construction
    image = mel.imshow(
        heard,
        aspect="auto",
        origin="lower",
        extent=(0, logmel.shape[0] / FRAMES_PER_SECOND, 0.5, 25.5),
        vmin=float(np.percentile(heard, 2)),
        vmax=float(heard.max()),
        cmap="magma",
    )
    mel.set(xlim=(0, clip.seconds), ylabel="mel band", xlabel="seconds")
    figure.colorbar(image, ax=mel, label="dB", pad=0.01)

    width = 0.8 / len(found)
    for i, (engine, answer) in enumerate(found.items()):
        at = np.arange(3) + (i - (len(found) - 1) / 2) * width
        drawn = bars.bar(at, answer.adv, width * 0.92, label=engine, color=COLOURS[i % 6])
        bars.bar_label(drawn, fmt="%.3f", fontsize=7, padding=2)
    bars.axhline(0, color="black", linewidth=0.5)
    low, high = bars.get_ylim()
    bars.set(xticks=range(3), xticklabels=DIMENSIONS, ylim=(min(low, 0), max(high * 1.25, 1)))
    bars.legend(ncols=len(found), loc="upper center", frameon=False, fontsize=9)

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
