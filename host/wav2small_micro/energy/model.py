# SPDX-License-Identifier: Apache-2.0
"""The energy model: cycles, and the currents of the chip while it computes and while it sleeps.

E = V I_run C / f for the work of a second of audio, C cycles at f Hz; the rest of the second sleeps
at V I_sleep. Nothing else on the board is counted: no microphone, no regulator, no LED. Every input
has an interval, which is carried through (`figures.propagate`), and every result is `Modelled`,
also where the cycles were counted on a board.

>>> found = estimate(60e6, "stm32f407", 168e6)
>>> found.mj_per_audio_second.kind, round(found.mj_per_audio_second.value)
('modelled', 47)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wav2small_micro.energy import cells, chips
from wav2small_micro.energy.chips import Chip
from wav2small_micro.energy.figures import Figure, Modelled, Range, propagate
from wav2small_micro.errors import W2sError

CYCLE_ERROR = 0.127
"""Worst difference of the cycle model from silicon that was seen, compilers included:
docs/cycle-model.md."""
BLOCK_SECONDS = 0.02


@dataclass(frozen=True)
class Estimate:
    """What the model says of a program that is fed with audio as it is spoken."""

    chip: Chip
    clock_hz: float
    voltage: float
    cycles_per_second: Range
    run_ma: Modelled
    sleep_ma: Modelled
    duty: Modelled  # share of the time that it computes, 1 is all of it
    mj_per_audio_second: Modelled  # of the work alone
    mj_per_block: Modelled  # the work of `block_seconds`
    block_seconds: float
    average_mw: Modelled | None  # work and sleep; None where it does not keep up
    average_ma: Modelled | None
    shares: dict[str, float]  # of each input in the variance of average_mw, or of the work's energy

    @property
    def keeps_up(self) -> bool:
        """Whether a second of audio takes less than a second."""
        return self.duty.value <= 1

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures must know."""
        found = [f"{source.text}" for source in self.chip.sources]
        found += self.chip.remarks
        if abs(self.voltage - self.chip.voltage) > 1e-9:
            how = "the same power" if self.chip.switching else "the same current"
            found.append(f"at {self.voltage:g} V {how} is taken as at {self.chip.voltage:g} V")
        if not self.keeps_up:
            found.append("it does not keep up with audio as it is spoken: no mean power is given")
        found.append("the chip alone: no microphone, regulator, debugger or LED")
        return found

    def mj(self, audio_seconds: float) -> Modelled:
        """Energy of the work for so much audio: a clip."""
        return Modelled.of(self.mj_per_audio_second, "mJ", audio_seconds)

    def hours(self, cell: cells.Cell) -> Modelled | None:
        """How long a cell lasts; None where the chip does not keep up."""
        return None if self.average_ma is None else cells.hours(self.average_ma, cell)

    def figures(self) -> dict[str, Figure]:
        """By name, for reports; what is None is left out."""
        found: dict[str, Figure | None] = {
            "run_ma": self.run_ma,
            "sleep_ma": self.sleep_ma,
            "duty_percent": Modelled.of(self.duty, "%", 100),
            "mj_per_audio_second": self.mj_per_audio_second,
            "mj_per_block": self.mj_per_block,
            "average_mw": self.average_mw,
            "average_ma": self.average_ma,
        }
        return {name: figure for name, figure in found.items() if figure is not None}

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "kind": Modelled.kind,
            "chip": self.chip.name,
            "basis": str(self.chip.basis),
            "clock_hz": self.clock_hz,
            "voltage": self.voltage,
            "keeps_up": self.keeps_up,
            "cycles_per_second": {
                "value": self.cycles_per_second.value,
                "low": self.cycles_per_second.low,
                "high": self.cycles_per_second.high,
            },
            "block_seconds": self.block_seconds,
            "figures": {name: figure.to_json() for name, figure in self.figures().items()},
            "shares_of_variance": self.shares,
            "sources": [
                {
                    "document": source.document,
                    "table": source.table,
                    "conditions": source.conditions,
                    "basis": str(source.basis),
                }
                for source in self.chip.sources
            ],
            "notes": self.notes,
        }


def modelled_cycles(
    cycles: float, *, by_refill: tuple[float, ...] = (), waits: float = 0.0
) -> Range:
    """Cycles of the cycle model with its error.

    ``by_refill``: what it gives for other refills of the pipeline. ``waits``: cycles that the flash
    may add by the estimate of ``w2s bench``; they widen the interval upwards and move nothing,
    since a board may have none of them.
    """
    low = min((cycles, *by_refill)) * (1 - CYCLE_ERROR)
    high = max((cycles, *by_refill)) * (1 + CYCLE_ERROR) + waits
    return Range(cycles, low, high)


def estimate(
    cycles_per_second: float | Range,
    chip: str | Chip,
    clock_hz: float | None = None,
    *,
    voltage: float | None = None,
    block_seconds: float = BLOCK_SECONDS,
) -> Estimate:
    """Energy and power of a program that needs so many cycles for a second of audio.

    ``cycles_per_second``: a plain number is the cycle model's and gets its error; a `Range` is
    taken as it is (`Range.exact` for counts of a board). ``clock_hz``: its highest by default.
    Raises W2sError for a clock or a voltage that the chip does not have.
    """
    known = chips.find(chip) if isinstance(chip, str) else chip
    hz = known.clock_mhz[1] * 1e6 if clock_hz is None else float(clock_hz)
    volts = known.voltage if voltage is None else float(voltage)
    cycles = (
        cycles_per_second
        if isinstance(cycles_per_second, Range)
        else modelled_cycles(float(cycles_per_second))
    )
    _check(known, hz, volts, cycles)
    scale = known.voltage / volts if known.switching else 1.0
    run, sleep = (
        Range(found.value * scale, found.low * scale, found.high * scale)
        for found in (known.run_current(hz), known.sleep_current(hz))
    )

    work, work_shares = propagate(
        lambda cycles, run: volts * run * cycles / hz, {"cycles": cycles, "run": run}
    )
    duty = Range(cycles.value / hz, cycles.low / hz, cycles.high / hz)

    def mean(cycles: float, run: float, sleep: float) -> float:
        share = min(1.0, cycles / hz)
        return run * share + sleep * (1 - share)

    current, shares = propagate(mean, {"cycles": cycles, "run": run, "sleep": sleep})
    live = duty.value <= 1
    return Estimate(
        chip=known,
        clock_hz=hz,
        voltage=volts,
        cycles_per_second=cycles,
        run_ma=Modelled.of(run, "mA", 1e3),
        sleep_ma=Modelled.of(sleep, "mA", 1e3),
        duty=Modelled.of(duty, ""),
        mj_per_audio_second=Modelled.of(work, "mJ", 1e3),
        mj_per_block=Modelled.of(work, "mJ", 1e3 * block_seconds),
        block_seconds=block_seconds,
        average_mw=Modelled.of(current, "mW", 1e3 * volts) if live else None,
        average_ma=Modelled.of(current, "mA", 1e3) if live else None,
        shares=shares if live else work_shares,
    )


def _check(chip: Chip, hz: float, volts: float, cycles: Range) -> None:
    if not 0 < hz <= chip.clock_mhz[1] * 1e6 * 1.0001:
        raise W2sError(
            f"{chip.name} does not run at {hz / 1e6:g} MHz",
            f"its currents are known from {chip.clock_mhz[0]:g} to {chip.clock_mhz[1]:g} MHz",
        )
    if hz < chip.clock_mhz[0] * 1e6 * 0.9999:
        raise W2sError(
            f"the current of {chip.name} at {hz / 1e6:g} MHz is not in the model",
            f"its currents are known from {chip.clock_mhz[0]:g} to {chip.clock_mhz[1]:g} MHz",
        )
    if not 1.6 <= volts <= 5.5:
        raise W2sError(
            f"{volts:g} V is not a supply of {chip.name}",
            f"--voltage in volts; its currents are given at {chip.voltage:g} V",
        )
    if not cycles.low >= 0 or not cycles.value > 0:
        raise W2sError("the cycles of a second of audio are not positive", "--cycles, in cycles")
