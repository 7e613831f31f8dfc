# SPDX-License-Identifier: Apache-2.0
"""What the terminal shows of a live session."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from wav2small_micro.cli.terminal import Terminal
from wav2small_micro.link.codec import encode
from wav2small_micro.link.messages import Layer, Row
from wav2small_micro.streaming import WindowAnswer


def shown(terminal: Terminal, width: int = 100) -> str:
    """The picture as text."""
    paper = Console(width=width, record=True, file=io.StringIO())
    paper.print(terminal.draw())
    return paper.export_text()


def answer(value: float = 0.5, level: float = -20.0, seconds: float = 1.5) -> WindowAnswer:
    adv = np.array([value, 0.5, 0.25])
    return WindowAnswer(seconds, adv, np.round(adv * 65536).astype(np.int32), level, 0.0)


@pytest.mark.parametrize("level", [-np.inf, -90.0, -20.0, 0.0])
@pytest.mark.parametrize("value", [-0.2, 0.0, 0.5, 1.3])
def test_bars_stay_within_their_width(value: float, level: float) -> None:
    terminal = Terminal("a clip")
    for half in range(100):
        terminal.answer(answer(value, level, half / 2), 0.08)
    text = shown(terminal)
    assert f"{value:6.3f}" in text
    assert "a clip     49.5 s" in text
    assert "delay 80 ms" in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_happened_stands_below() -> None:
    terminal = Terminal("a clip")
    terminal.state("link", state="running", message="board runs model.", hint="")
    terminal.state("link", state="lost", message="no reply", hint="is it plugged in?")
    terminal.publish(b"\x00\x05noise\x00")
    lines = shown(terminal).splitlines()
    assert lines[1].startswith("● no reply")
    assert "bytes of noise" in lines[1]
    assert lines[2].endswith("board runs model.")
    assert lines[3].endswith("no reply is it plugged in?")


def test_losses_are_told() -> None:
    terminal = Terminal("a clip")
    terminal.answer(replace(answer(), lost_seconds=1.25, lost_windows=2), None)
    assert "1.2 s of audio lost, 2 answers lost" in shown(terminal)


def test_rows_of_log_mel_become_a_strip() -> None:
    loud = np.full(26, 10 * 128, "<i2")
    rows = [Row(1, Layer.LOGMEL, 2, 0, n, loud.tobytes()) for n in range(60)]
    frames = b"".join(encode(row, n % 256) for n, row in enumerate(rows))
    terminal, plain = Terminal("a clip"), Terminal("a clip", colours=False)
    for start in range(0, len(frames), 100):
        for one in (terminal, plain):
            one.publish(frames[start : start + 100])
    assert shown(terminal).count("▀▀▀") == 13  # three columns, two bands a line
    assert "▀" not in shown(plain)
    assert "60 frames" in shown(terminal)
