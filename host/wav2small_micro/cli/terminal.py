# SPDX-License-Identifier: Apache-2.0
"""The live view of a terminal: bars and their history, level, log-mel, and how the link does."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from wav2small_micro.affect import region
from wav2small_micro.link import messages
from wav2small_micro.link.codec import FrameReader
from wav2small_micro.link.messages import LOGMEL_PER_DB, Layer
from wav2small_micro.live.player import Sink
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.streaming import WindowAnswer

WIDTH = 32
QUIET_DB = -60.0
"""Level at which the bar is empty."""
COLOURS = ("bright_red", "bright_blue", "bright_green")
STATES = {"running": "green", "lost": "red", "refused": "red", "ended": "blue"}

_STEPS = "▁▂▃▄▅▆▇█"
_HISTORY = 40  # answers: 20 s
_COLUMNS = 80  # of log-mel
_COLUMN_ROWS = 20  # 40 ms each
_LOGMEL_DB = (-55.0, 15.0)
_NOTES = 4


class Terminal(Sink):
    """Keeps the last of everything; :meth:`draw` shows it. Without `colours` the log-mel, which is
    nothing else, is left out."""

    def __init__(self, title: str, *, colours: bool = True) -> None:
        self.title = title
        self._colours = colours
        self._answers: deque[WindowAnswer] = deque(maxlen=_HISTORY)
        self._reader = FrameReader()
        self._rows: list[np.ndarray] = []  # of the column under way
        self._columns: deque[np.ndarray] = deque(maxlen=_COLUMNS)
        self._link, self._message = "connecting", ""
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._delay: float | None = None
        self._power = ""

    # --- News ------------------------------------------------------------------------------------

    def publish(self, data: bytes) -> None:
        """See Sink."""
        for frame in self._reader.feed(data):
            if isinstance(frame.message, messages.Row) and frame.message.layer == Layer.LOGMEL:
                self._add_row(np.frombuffer(frame.message.data, "<i2"))

    def _add_row(self, row: np.ndarray) -> None:
        self._rows.append(row)
        if len(self._rows) == _COLUMN_ROWS:
            self._columns.append(np.mean(self._rows, axis=0) / LOGMEL_PER_DB)
            self._rows = []

    def state(self, kind: str, **facts: Any) -> None:
        """See Sink."""
        if kind == "energy":
            self._power = facts["text"]
        elif kind == "link":
            self._link, self._message = facts["state"], facts["message"]
            note = " ".join(filter(None, (facts["message"], facts["hint"])))
            self._notes.append(f"{time.strftime('%H:%M:%S')}  {note}")

    def answer(self, answer: WindowAnswer, delay: float | None) -> None:
        """See Sink."""
        self._answers.append(answer)
        self._delay = delay

    # --- Pictures --------------------------------------------------------------------------------

    def draw(self) -> RenderableType:
        """All of it, as it is now."""
        parts: list[RenderableType] = [self._heading()]
        if self._answers:
            parts.append(self._bars())
        if self._columns and self._colours:
            parts += ["", _strip(list(self._columns)), ""]
        parts.append(self._health())
        parts += [
            Text(note, style="dim", overflow="ellipsis", no_wrap=True) for note in self._notes
        ]
        return Group(*parts)

    def _heading(self) -> Text:
        heading = Text(self.title, style="bold")
        if self._answers:
            arousal, _, valence = self._answers[-1].adv
            seconds = self._answers[-1].seconds
            heading.append(f"   {seconds:6.1f} s   {region(arousal, valence)}")
        return heading

    def _bars(self) -> RenderableType:
        last = self._answers[-1]
        rows = Table.grid(padding=(0, 1))
        for i, (name, colour) in enumerate(zip(DIMENSIONS, COLOURS, strict=True)):
            value = float(last.adv[i])
            history = sparkline([float(answer.adv[i]) for answer in self._answers])
            rows.add_row(name, _bar(value, colour), f"{value:6.3f}", Text(history, colour))
        share = 1 - max(last.level_db, QUIET_DB) / QUIET_DB  # silence is -inf
        levels = [1 - max(answer.level_db, QUIET_DB) / QUIET_DB for answer in self._answers]
        rows.add_row(
            "level", _bar(share, "grey62"), f"{last.level_db:6.1f} dB", Text(sparkline(levels))
        )
        return rows

    def _health(self) -> Text:
        health = Text("● ", style=STATES.get(self._link, "yellow"))
        health.append(f"{self._message}  {self._reader.frames:,} frames", style="default")
        if self._reader.noise_bytes:
            health.append(f", {self._reader.noise_bytes:,} bytes of noise", style="yellow")
        if self._answers and (lost := losses(self._answers[-1])):
            health.append(f", {lost}", style="yellow")
        if self._delay is not None:
            health.append(f"  delay {1000 * self._delay:.0f} ms", style="default")
        if self._power:
            health.append(f"  {self._power} modelled", style="italic default")
        return health


def losses(answer: WindowAnswer) -> str:
    """What was lost so far, in words; "" for nothing."""
    found = []
    if answer.lost_seconds:
        found.append(f"{answer.lost_seconds:.1f} s of audio lost")
    if answer.lost_windows:
        found.append(f"{answer.lost_windows} answers lost")
    if answer.lost_echo_seconds:
        found.append(f"{answer.lost_echo_seconds:.1f} s of it not recorded")
    return ", ".join(found)


def _bar(share: float, colour: str) -> ProgressBar:
    shown = min(max(share, 0.0), 1.0)
    return ProgressBar(1.0, shown, WIDTH, complete_style=colour, finished_style=colour)


def sparkline(values: list[float]) -> str:
    """A character a value, 0 to 1 from low to high.

    >>> sparkline([0.0, 0.5, 1.0, 1.3])
    '▁▅██'
    """
    last = len(_STEPS) - 1
    return "".join(_STEPS[min(max(round(value * last + 1e-9), 0), last)] for value in values)


def _strip(columns: list[np.ndarray]) -> Text:
    """Log-mel: a character is two bands, the upper one in front, the highest bands on top."""
    low, high = _LOGMEL_DB
    grey = np.clip((np.array(columns).T[::-1] - low) / (high - low) * 255, 0, 255).astype(int)
    strip = Text()
    for upper, lower in zip(grey[::2], grey[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            strip.append("▀", Style(color=_shade(above), bgcolor=_shade(below)))
        strip.append("\n")
    strip.right_crop(1)
    return strip


def _shade(value: int) -> str:
    """From black over purple and orange to light yellow, with even steps of lightness."""
    share = value / 255
    red, green = min(1.0, 1.6 * share), share**1.8 * 0.92
    blue = 0.25 + 0.9 * share * (1 - share) * (1.6 - 2 * share) if share < 0.8 else 0.2 + share / 3
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * max(0.0, blue)):02x}"
