# SPDX-License-Identifier: Apache-2.0
"""Live bars: arousal, dominance, valence and level of a voice, redrawn every half second."""

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from wav2small_micro.affect import region
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.streaming import WindowAnswer

WIDTH = 40
QUIET_DB = -60.0
"""Level at which the bar is empty."""

COLOURS = ("bright_red", "bright_blue", "bright_green")


def draw(answer: WindowAnswer, title: str) -> RenderableType:
    """The bars of one answer."""
    rows = Table.grid(padding=(0, 1))
    for name, value, colour in zip(DIMENSIONS, answer.adv, COLOURS, strict=True):
        rows.add_row(name, _bar(float(value), colour), f"{value:6.3f}")
    share = 1 - max(answer.level_db, QUIET_DB) / QUIET_DB  # silence is -inf
    rows.add_row("level", _bar(share, "grey62"), f"{answer.level_db:6.1f} dB")
    arousal, _, valence = answer.adv
    heading = Text(f"{title}   {answer.seconds:6.1f} s   {region(arousal, valence)}", style="bold")
    return Group(heading, rows)


def _bar(share: float, colour: str) -> ProgressBar:
    shown = min(max(share, 0.0), 1.0)
    return ProgressBar(1.0, shown, WIDTH, complete_style=colour, finished_style=colour)
