# SPDX-License-Identifier: Apache-2.0
"""The profile: where the time of a block goes, how much is left, and how long an answer takes.

From an emulated board it is instructions, exact, and cycles of the model where there is one; from a
device its own ticks. Either way a block is cut into stages that add up to it, so a figure of a
stage is a figure of all blocks: least, median, 99th percentile, most.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wav2small_micro import pio
from wav2small_micro.emulator import LinkKind
from wav2small_micro.energy import chips
from wav2small_micro.energy import model as energy_model
from wav2small_micro.energy.cells import Cell
from wav2small_micro.energy.figures import Figure, Modelled, Range
from wav2small_micro.errors import W2sError
from wav2small_micro.html import MEASURED, MODELLED, Badge
from wav2small_micro.link.client import Device
from wav2small_micro.link.messages import Flag
from wav2small_micro.profiler import bench, counts, cycles, parts
from wav2small_micro.profiler import device as devices
from wav2small_micro.profiler.delay import Delay
from wav2small_micro.profiler.device import ClockCheck
from wav2small_micro.streaming import SEGMENT_SECONDS, WINDOW_SEGMENTS

AS_IF = {"cortex-m4": "stm32f407", "cortex-m7": "stm32h743", "cortex-m55": "ensemble-he"}
"""Chip of the energy model for boards that are FPGAs, by core."""
CYCLES_AN_INSTRUCTION = Range(1.0, 0.5, 2.0)
"""Supposed, for energy alone, where no cycle model was checked: from two instructions a cycle, the
most that a Cortex-M7 issues, to one in two."""


@dataclass(frozen=True)
class Spread:
    """A figure over all blocks."""

    least: float
    median: float
    p99: float
    most: float
    mean: float

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """Of one value a block.

        >>> Spread.of(np.array([1.0, 2.0, 9.0]))
        Spread(least=1.0, median=2.0, p99=8.86, most=9.0, mean=4.0)
        """
        p99 = round(float(np.percentile(values, 99)), 6)
        return cls(
            float(values.min()), float(np.median(values)), p99,
            float(values.max()), float(values.mean()),
        )  # fmt: skip

    def to_json(self) -> dict[str, float]:
        """For scripts."""
        return {
            "min": self.least, "median": self.median, "p99": self.p99,
            "max": self.most, "mean": self.mean,
        }  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """All that was found out."""

    source: str  # emulator or device
    board: str
    model: str
    kernels: str  # "" where the device does not say
    cpu: str
    unit: str  # cycles, instructions or ticks
    origin: Badge
    clock_hz: float
    stages: dict[str, np.ndarray]
    """In ``unit``, (blocks,). Their sum over the stages is the block's."""
    instructions: dict[str, np.ndarray] = field(default_factory=dict)
    """The same in instructions, from an emulator."""
    functions: dict[str, float] = field(default_factory=dict)
    """Per second of audio, in ``unit``, callees left out."""
    answers: tuple[tuple[int, int], ...] = ()
    first_block: int = 0
    window_segments: int = WINDOW_SEGMENTS
    energy: energy_model.Estimate | None = None
    notes: tuple[str, ...] = ()
    run: devices.DeviceRun | None = None

    # --- Blocks ------------------------------------------------------------------------------

    @property
    def total(self) -> np.ndarray:
        """What each block took, (blocks,)."""
        return np.sum(list(self.stages.values()), axis=0)

    @property
    def is_timed(self) -> bool:
        """Whether the unit is one of time on the core."""
        return self.unit == "cycles"

    @property
    def what(self) -> str:
        """The unit, and how it was found."""
        kind = "exact" if self.unit == "instructions" else self.origin.text
        return f"{kind} {self.unit}"

    @property
    def duty(self) -> float | None:
        """Share of the time that the core works, 1 is all; None where no cycles are known."""
        if not self.is_timed:
            return None
        return float(self.total.mean() / (self.clock_hz * parts.BLOCK_SECONDS))

    @property
    def margin(self) -> float | None:
        """How many times faster than audio it is."""
        return None if self.duty is None else 1 / self.duty

    @property
    def allowed_cycles(self) -> float | None:
        """Cycles that an instruction may take on the mean, at this clock, to keep up."""
        if not self.instructions:
            return None
        mean = np.sum(list(self.instructions.values()), axis=0).mean()
        return float(self.clock_hz * parts.BLOCK_SECONDS / mean)

    @property
    def responses_ms(self) -> np.ndarray | None:
        """From each block's arrival to the end of its work, in ms; None where that is not known,
        or grows without end."""
        if self.duty is None or self.duty > 1:
            return None
        return 1e3 * bench.responses(self.total / self.clock_hz)

    @property
    def clock(self) -> ClockCheck | None:
        """The device's clock against the host's; None for an emulator, which has none."""
        return self.run.clock if self.run and self.is_timed else None

    def spreads(self) -> dict[str, Spread]:
        """Of each stage, and of all."""
        return {
            **{name: Spread.of(each) for name, each in self.stages.items()},
            "total": Spread.of(self.total),
        }

    # --- Answers -----------------------------------------------------------------------------

    @property
    def delay(self) -> Delay | None:
        """From sound to answer; None where no answer came while it was watched."""
        if not self.answers:
            return None
        found = [
            Delay.of_block(segment, block, self._compute_ms(block), self.window_segments)
            for segment, block in self.answers
        ]
        return max(found, key=lambda delay: delay.least_ms)

    def _compute_ms(self, block: int) -> float | None:
        """How long the work of a block took at worst: of one that was not watched, any."""
        responses = self.responses_ms
        if responses is None:
            return None
        i = block - self.first_block
        return float(responses[i] if 0 <= i < len(responses) else responses.max())

    # --- Energy ------------------------------------------------------------------------------

    def energy_figures(self, cells: list[Cell]) -> list[tuple[str, Figure]]:
        """By name, for people. All of them are modelled."""
        if self.energy is None:
            return []
        a_second = self.energy.mj_per_audio_second
        found: list[tuple[str, Figure | None]] = [
            ("inference (an answer: half a second)", Modelled.of(a_second, "mJ", SEGMENT_SECONDS)),
            ("second of audio", a_second),
            ("mean power, live", self.energy.average_mw),
            *((f"{cell.title} lasts", self.energy.hours(cell)) for cell in cells),
        ]
        return [(name, figure) for name, figure in found if figure is not None]

    # --- For scripts -------------------------------------------------------------------------

    def to_json(self, cells: list[Cell]) -> dict[str, Any]:
        """One document."""
        total = self.total.mean()
        responses = self.responses_ms
        return {
            "source": self.source,
            "board": self.board,
            "model": self.model,
            "kernels": self.kernels or None,
            "cpu": self.cpu,
            "unit": self.unit,
            "kind": self.origin.text,
            "clock_hz": self.clock_hz,
            "blocks": len(self.total),
            "block_seconds": parts.BLOCK_SECONDS,
            "stages": [
                {
                    "stage": name,
                    **spread.to_json(),
                    "per_second": spread.mean / parts.BLOCK_SECONDS,
                    "share": spread.mean / total,
                    "instructions": self._instructions(name),
                }
                for name, spread in self.spreads().items()
            ],
            "functions": [
                {"function": name, "per_second": cost} for name, cost in self.functions.items()
            ],
            "duty": self.duty,
            "margin": self.margin,
            "allowed_cycles_per_instruction": self.allowed_cycles,
            "response_ms": None if responses is None else Spread.of(responses).to_json(),
            "delay": None if self.delay is None else self.delay.to_json(),
            "clock": None if self.clock is None else self.clock.to_json(),
            "device": None if self.run is None else _device_json(self.run),
            "energy": None if self.energy is None else self.energy.to_json(),
            "energy_figures": {n: f.to_json() for n, f in self.energy_figures(cells)},
            "notes": list(self.notes),
        }

    def _instructions(self, stage: str) -> dict[str, float] | None:
        if not self.instructions:
            return None
        every = list(self.instructions.values())
        values = np.sum(every, axis=0) if stage == "total" else self.instructions[stage]
        return Spread.of(values).to_json()


def _device_json(run: devices.DeviceRun) -> dict[str, Any]:
    lags = Spread.of(1e3 * run.lags_s).to_json() if len(run.lags_s) else None
    asleep, awake = run.asleep.sum(), np.sum(list(run.ticks.values()))
    return {
        "asleep": float(asleep / (asleep + awake)),
        "interrupts_per_block": float(run.interrupts.mean()),
        "clock_readings_per_block": run.readings,
        "ticks_of_a_reading": run.reading,
        "blocks_lost": run.lost,
        "answer_lag_ms": lags,
        "stack_used": run.stack_used,
    }


# --- From an emulated board -----------------------------------------------------------------------


def of_emulator(
    case: bench.Case,
    *,
    seconds: float = bench.SECONDS,
    link: LinkKind = LinkKind.SEMIHOSTING,
    clock_hz: float | None = None,
    chip: str | None = None,
    voltage: float | None = None,
    progress: pio.Progress | None = None,
) -> Profile:
    """Builds a case, and counts what it does.

    ``clock_hz``: instead of the board's. ``chip``, ``voltage``: of the energy model.
    """
    board = pio.emulated_board(case.board)
    timed = board.cpu in counts.TIMED_CPUS
    with tempfile.TemporaryDirectory() as folder:
        elf = Path(shutil.copy(bench.build(case, progress), folder))
        measured = counts.measure(elf, board, bench.audio(seconds), link=link)
        waits = bench.flash_waits(elf, board, measured.functions) if timed else None
    refill = 1 + cycles.REFILLS.index(cycles.DEFAULT_REFILL)
    stages = measured.profile.stages
    hz = clock_hz or float(board.clock_hz)
    estimate, notes = _energy_of_emulator(
        measured.profile.parts["loop"], board, timed, waits, clock_hz, chip, voltage
    )
    return Profile(
        source="emulator",
        board=case.board,
        model=case.model,
        kernels=case.kernels,
        cpu=board.cpu,
        unit="cycles" if timed else "instructions",
        origin=MODELLED if timed else MEASURED,
        clock_hz=hz,
        stages={name: each[:, refill if timed else 0] for name, each in stages.items()},
        instructions={name: each[:, 0] for name, each in stages.items()},
        functions={
            name: cost.cycles[refill - 1] if timed else cost.instructions
            for name, cost in measured.functions.items()
        },
        answers=measured.profile.answers,
        first_block=counts.SKIPPED_BLOCKS,
        window_segments=measured.window_segments,
        energy=estimate,
        notes=(*_notes_of_emulator(board, timed, waits, hz), *notes),
    )


def _notes_of_emulator(
    board: pio.Board, timed: bool, waits: dict[str, Any] | None, hz: float
) -> list[str]:
    notes = ["instructions are counted in QEMU, exactly"]
    if not timed:
        return [
            *notes,
            f"no cycles: no model of a {board.cpu} was checked, so margin and delay lack the work",
        ]
    notes.append("cycles are modelled, at zero wait states: docs/cycle-model.md")
    if waits is not None:
        found = _waits_at(waits, hz)
        notes.append(
            f"flash adds about {found / 1e6:.1f} M cycles a second at {hz / 1e6:g} MHz, "
            "by an estimate, and not in these figures: docs/placement.md"
        )
    return notes


def _waits_at(waits: dict[str, Any], hz: float) -> float:
    """Of the next clock up that there is an estimate for."""
    estimates = sorted(waits["estimates"], key=lambda found: found["clock_hz"])
    above = [found for found in estimates if found["clock_hz"] >= hz * 0.999]
    return float((above or estimates[-1:])[0]["cycles"])


def _energy_of_emulator(
    loop: parts.Cost,
    board: pio.Board,
    timed: bool,
    waits: dict[str, Any] | None,
    clock_hz: float | None,
    chip: str | None,
    voltage: float | None,
) -> tuple[energy_model.Estimate | None, list[str]]:
    """The estimate for the board's own chip, for the one that was named, or for one of its core."""
    name = chip or chips.OF_BOARD.get(board.env) or AS_IF.get(board.cpu)
    if name is None:
        return None, [f"no energy: the model knows no chip with a {board.cpu}"]
    known = chips.find(name)
    if known.core != board.cpu:
        raise W2sError(
            f"{name} is a {known.core}, and the firmware of {board.env} is for a {board.cpu}",
            "name a chip of that core: w2s energy --chips",
        )
    notes = []
    if chips.OF_BOARD.get(board.env) != name:
        notes.append(f"energy as if the {known.title} ran it; {board.name} is another board")
    hz = clock_hz or known.clock_mhz[1] * 1e6
    if timed:
        at_refill = dict(zip(cycles.REFILLS, loop.cycles, strict=True))[cycles.DEFAULT_REFILL]
        added = _waits_at(waits, hz) if waits and not notes else 0.3 * at_refill
        needed = energy_model.modelled_cycles(at_refill, by_refill=loop.cycles, waits=added)
    else:
        each = CYCLES_AN_INSTRUCTION
        needed = Range(*(loop.instructions * x for x in (each.value, each.low, each.high)))
        notes.append(
            f"energy supposes {each.low:g} to {each.high:g} cycles an instruction: "
            "an interval to stay within, and no model"
        )
    return energy_model.estimate(needed, known, hz, voltage=voltage), notes


# --- From a device --------------------------------------------------------------------------------


def of_device(
    device: Device,
    *,
    model: str,
    seconds: float,
    paced: bool = True,
    chip: str | None = None,
    voltage: float | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Profile:
    """What a device says of itself while it hears ``seconds`` of audio, half a second left out."""
    facts = device.hello()
    window = min(WINDOW_SEGMENTS, facts.segments)
    run = devices.measure(
        device,
        bench.audio(seconds),
        window_segments=window,
        skip=counts.SKIPPED_BLOCKS,
        paced=paced,
        progress=progress,
    )
    emulated = bool(facts.flags & Flag.EMULATED)
    board = next((pio.board(env) for env in pio.envs() if env == facts.board), None)
    notes = [
        f"the library read the clock {run.readings:.0f} times a block, {run.reading:.0f} ticks "
        "each: that is in its stages"
    ]
    if run.lost:
        notes.append(f"{run.lost} blocks' figures were lost on the line")
    if emulated:
        notes.append(
            "an emulator: its ticks are instructions if it was started with -icount shift=0, and "
            "else only as fast as this machine; no margin, no energy and no check of its clock "
            "follow from them"
        )
    estimate, more = (None, []) if emulated else _energy_of_device(run, facts.board, chip, voltage)
    return Profile(
        source="device",
        board=facts.board,
        model=model,
        kernels="",
        cpu=board.cpu if board else "",
        unit="ticks" if emulated else "cycles",
        origin=MEASURED,
        clock_hz=float(facts.clock_hz),
        stages=run.ticks,
        answers=run.answers,
        first_block=counts.SKIPPED_BLOCKS,
        window_segments=window,
        energy=estimate,
        notes=(*notes, *more),
        run=run,
    )


def _energy_of_device(
    run: devices.DeviceRun, board: str, chip: str | None, voltage: float | None
) -> tuple[energy_model.Estimate | None, list[str]]:
    name = chip or chips.OF_BOARD.get(board)
    if name is None:
        return None, [f"no energy: the model does not know the chip of {board}; name one: --chip"]
    a_second = float(np.sum(list(run.ticks.values()), axis=0).mean()) / parts.BLOCK_SECONDS
    known = chips.find(name)
    exact = Range.exact(a_second)  # counted: the currents are what is not known
    try:
        return energy_model.estimate(exact, known, float(run.facts.clock_hz), voltage=voltage), []
    except W2sError as error:  # of a clock that has no current: the rest of the profile stands
        return None, [f"no energy: {error.message}"]
