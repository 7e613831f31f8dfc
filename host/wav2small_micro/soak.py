# SPDX-License-Identifier: Apache-2.0
"""Hours of audio through a board, every answer held to the library's, every frame accounted for.

A soak is a row of sessions that follow from a seed: clips and live streams of speech, louder and
quieter, extreme signals, rows of layers now and then. The library answers the same on another
thread. After each session the counters of both ends are compared, and what has been seen so far is
saved, so that a soak that was interrupted can go on.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import native
from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device
from wav2small_micro.link.errors import LinkError
from wav2small_micro.link.faulty import FaultyTransport
from wav2small_micro.link.ledger import Account, Ledger
from wav2small_micro.link.messages import Layer, Norm
from wav2small_micro.link.session import SEGMENT_SAMPLES, WINDOW_LAG_SAMPLES, SessionAnswer
from wav2small_micro.native import Network
from wav2small_micro.plan import Plan

RATE = 16000
STATE_VERSION = 1
MOST_PROBLEMS = 50  # that a report lists

_SECONDS = (0.2, 30.0)  # of a session
_TAPPED_SECONDS = 2.0  # rows multiply the traffic
_GAINS_DB = (-40.0, 6.0)
_EXTREME_SHARE, _TAPPED_SHARE, _LIVE_SHARE = 1 / 12, 1 / 8, 1 / 2
_RESTARTS = 20  # of a session, under faults

Int16 = NDArray[np.int16]


def extreme_audio(samples: int, rng: np.random.Generator) -> dict[str, Int16]:
    """Signals that no microphone should give, by name: int16 (samples,)."""
    t = np.arange(samples)
    square = np.where(t // 20 % 2, 32767, -32768)
    full = np.iinfo(np.int16)
    return {
        "silence": np.zeros(samples, np.int16),
        "full-scale DC": np.full(samples, full.min, np.int16),
        "full-scale square": square.astype(np.int16),
        "8 kHz tone": np.where(t % 2, full.max, -full.max).astype(np.int16),
        "white noise": rng.integers(full.min, full.max, samples, np.int16, endpoint=True),
    }


# --- The plan -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A session to come. `window_segments` is 0 for a clip."""

    number: int
    name: str
    pcm: Int16
    window_segments: int
    taps: tuple[Layer, ...]

    @property
    def norm(self) -> Norm:
        """Live sessions have windows."""
        return Norm.LIVE if self.window_segments else Norm.GIVEN


def step(clips: Sequence[Int16], seed: int, number: int, most_segments: int) -> Step:
    """Session `number` of the soak: the same for the same clips and seed."""
    rng = np.random.default_rng([seed, number])
    live, tapped = rng.random() < _LIVE_SHARE, rng.random() < _TAPPED_SHARE
    seconds = float(rng.uniform(_SECONDS[0], _TAPPED_SECONDS if tapped else _SECONDS[1]))
    samples = round(seconds * RATE)
    if live:
        # So that no window is still on its way when the audio ends.
        whole = max(1, samples // SEGMENT_SAMPLES)
        samples = whole * SEGMENT_SAMPLES + WINDOW_LAG_SAMPLES
    if rng.random() < _EXTREME_SHARE:
        signals = extreme_audio(samples, rng)
        name = str(rng.choice(list(signals)))
        pcm = signals[name]
    else:
        name, pcm = "speech", _speech(clips, samples, rng)
    layers = rng.choice(len(Layer), size=int(rng.integers(1, 4)), replace=False)
    return Step(
        number=number,
        name=name,
        pcm=pcm,
        window_segments=int(rng.integers(1, most_segments + 1)) if live else 0,
        taps=tuple(Layer(int(layer)) for layer in sorted(layers)) if tapped else (),
    )


def _speech(clips: Sequence[Int16], samples: int, rng: np.random.Generator) -> Int16:
    """Clips one after another, from anywhere, louder or quieter."""
    parts: list[Int16] = []
    while sum(map(len, parts)) < samples:
        clip = clips[int(rng.integers(len(clips)))]
        parts.append(clip[int(rng.integers(len(clip))) :])
    gain = 10 ** (float(rng.uniform(*_GAINS_DB)) / 20)
    loud = np.rint(np.concatenate(parts)[:samples] * gain)
    return np.clip(loud, -32768, 32767).astype(np.int16)


# --- One session --------------------------------------------------------------------------------


def _expected(network: Network, planned: Step) -> native.Output:
    norm = "live" if planned.window_segments else "utterance"
    rows = tuple(native.LAYERS[layer] for layer in planned.taps)
    return network.run(planned.pcm, norm, rows=rows, window_segments=planned.window_segments)


def differences(answer: SessionAnswer, expected: native.Output, planned: Step) -> list[str]:
    """Where a board's answer is not the library's."""
    found = []
    if not np.array_equal(answer.adv_q16, expected.adv_q16):
        found.append(f"A/D/V {answer.adv_q16.tolist()}, not {expected.adv_q16.tolist()}")
    windows = [[w.arousal, w.dominance, w.valence] for w in answer.windows]
    if windows != expected.windows.tolist():
        found.append(f"{len(windows)} windows are not the library's {len(expected.windows)}")
    levels = [w.level_rms for w in answer.windows]
    if levels != _levels(planned.pcm)[: len(levels)]:
        found.append("the levels of the windows are not those of the audio")
    for layer, rows in answer.taps.items():
        if not np.array_equal(rows.ravel(), expected.rows[native.LAYERS[layer]].ravel()):
            found.append(f"rows of {layer.name} differ")
    return found


def _levels(pcm: Int16) -> list[int]:
    whole = len(pcm) // SEGMENT_SAMPLES
    squares = (pcm[: whole * SEGMENT_SAMPLES].astype(np.int64) ** 2).reshape(whole, SEGMENT_SAMPLES)
    return [math.isqrt(int(square) // SEGMENT_SAMPLES) for square in squares.sum(1)]


# --- The whole ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What a soak has seen so far."""

    board: str
    model: str
    seed: int
    fault_rate: float
    sessions: int = 0
    live_sessions: int = 0
    tapped_sessions: int = 0
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0
    windows: int = 0
    rows: int = 0
    wrong: int = 0  # sessions whose answer is not the library's
    failed: int = 0  # sessions without an answer
    frames_sent: int = 0
    frames_received: int = 0
    lost_to_device: int = 0
    lost_to_host: int = 0
    lost_events: int = 0
    crc_errors: int = 0
    framing_errors: int = 0
    rx_overruns: int = 0
    uart_errors: int = 0
    sent_again: int = 0  # requests and blocks
    restarts: int = 0  # of the device
    contradictions: int = 0  # between the counters of both ends
    disturbances: int = 0  # that the fault plan made
    problems: tuple[str, ...] = field(default=())  # in words, the first ones

    @property
    def speed(self) -> float:
        """Seconds of audio in a second."""
        return self.audio_seconds / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def lost(self) -> int:
        """Frames lost either way, and errors that the device counted."""
        frames = self.lost_to_device + self.lost_to_host
        return frames + self.crc_errors + self.framing_errors + self.rx_overruns + self.uart_errors

    @property
    def holds(self) -> bool:
        """No answer wrong or missing, no contradiction; and on a good line, nothing lost."""
        lost = self.lost + self.restarts if not self.fault_rate else 0
        return self.sessions > 0 and not (self.wrong + self.failed + self.contradictions + lost)


class Soak:
    """A soak on `device`, whose transport is `line` when that disturbs the frames."""

    def __init__(
        self,
        device: Device,
        plan: Plan,
        clips: Sequence[Int16],
        *,
        seed: int = 0,
        line: FaultyTransport | None = None,
        fault_rate: float = 0.0,
        report: Report | None = None,
    ) -> None:
        self._device = device
        self._line = line
        self._clips = clips
        self._network = Network(plan)
        with self._calm():
            facts = device.hello()
            self._ledger = Ledger(device)
        self._most_segments = facts.segments
        self.report = report or Report(facts.board, facts.model, seed, fault_rate)

    def _calm(self) -> Any:
        return self._line.calm() if self._line else nullcontext()

    def run(
        self,
        hours: float,
        progress: Callable[[Report], None] = lambda report: None,
        save: Callable[[Report], None] = lambda report: None,
    ) -> Report:
        """Sessions until `hours` of audio have passed, counted from the soak's first beginning.

        An interruption leaves `report` at the last whole session. Raises LinkError when the board
        does not come back.
        """
        with ThreadPoolExecutor(1) as library:
            while self.report.audio_seconds < hours * 3600:
                planned = step(
                    self._clips, self.report.seed, self.report.sessions, self._most_segments
                )
                if self._line:  # a row is sent once: of thousands, some are always spoilt
                    planned = replace(planned, taps=())
                expected = library.submit(_expected, self._network, planned)
                self.report = self._session(planned, expected)
                save(self.report)
                progress(self.report)
        return self.report

    def _session(self, planned: Step, expected: Future[native.Output]) -> Report:
        begin, report = time.monotonic(), self.report
        disturbed, repeated = self._disturbances(), self._repeated()
        windows = rows = 0
        problems: list[str] = []
        failed = False
        try:
            answer = self._device.run(
                planned.pcm,
                norm=planned.norm,
                taps=planned.taps,
                window_segments=planned.window_segments,
                restarts=_RESTARTS if self._line else 0,
            )
            problems = differences(answer, expected.result(), planned)
            windows, rows = len(answer.windows), sum(map(len, answer.taps.values()))
        except LinkError as error:
            problems, failed = [error.message], True
            with self._calm():
                self._device.reconnect()
        with self._calm():
            account = self._ledger.account()
            self._ledger.restart()
        wrong = bool(problems) and not failed
        extra = [now - before for now, before in zip(self._repeated(), repeated, strict=True)]
        contradictions = account.contradictions(*extra)
        found = [
            f"session {planned.number}, {planned.name}: {p}" for p in problems + contradictions
        ]
        seconds = len(planned.pcm) / RATE
        return replace(
            _add_account(report, account, extra),
            sessions=report.sessions + 1,
            live_sessions=report.live_sessions + (planned.window_segments > 0),
            tapped_sessions=report.tapped_sessions + bool(planned.taps),
            audio_seconds=report.audio_seconds + seconds,
            wall_seconds=report.wall_seconds + time.monotonic() - begin,
            windows=report.windows + windows,
            rows=report.rows + rows,
            wrong=report.wrong + wrong,
            failed=report.failed + failed,
            contradictions=report.contradictions + len(contradictions),
            disturbances=report.disturbances + self._disturbances() - disturbed,
            problems=(report.problems + tuple(found))[:MOST_PROBLEMS],
        )

    def _disturbances(self) -> int:
        counts = self._line.counts if self._line else {}
        return sum(sum(way.values()) for way in counts.values())

    def _repeated(self) -> tuple[int, int]:
        return self._line.repeated if self._line else (0, 0)


def _add_account(report: Report, account: Account, extra: list[int]) -> Report:
    same = (
        *("lost_events", "crc_errors", "framing_errors"),
        *("rx_overruns", "uart_errors", "restarts"),
    )
    up, down = (0, 0) if account.restarts else extra
    return replace(
        report,
        **{name: getattr(report, name) + getattr(account, name) for name in same},
        lost_to_device=report.lost_to_device + account.lost_to_device + up,
        lost_to_host=report.lost_to_host + account.lost_to_host + down,
        frames_sent=report.frames_sent + account.sent,
        frames_received=report.frames_received + account.received,
        sent_again=report.sent_again + account.repeated + account.resent,
    )


# --- State --------------------------------------------------------------------------------------


def state_path(folder: Path, board: str, model: str) -> Path:
    """Where the state of a soak lies."""
    return folder / f"soak-{board}-{model}.json"


def save(path: Path, report: Report) -> None:
    """Keeps a report so that the soak can go on from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps({"version": STATE_VERSION, "report": asdict(report)}, indent=1))
    os.replace(fresh, path)


def load(path: Path) -> Report:
    """The report that `save` kept. Raises W2sError where there is none."""
    try:
        state = json.loads(path.read_text())
        if state["version"] != STATE_VERSION:
            raise ValueError(f"version {state['version']}")
        fields = state["report"]
        return Report(**{**fields, "problems": tuple(fields["problems"])})
    except FileNotFoundError:
        raise W2sError(f"no soak to go on with at {path}", "leave out --resume") from None
    except (KeyError, TypeError, ValueError) as error:
        raise W2sError(f"{path} is no state of a soak: {error}", "leave out --resume") from error
