# SPDX-License-Identifier: Apache-2.0
"""The bench: what each board, model and kernel set costs per second of audio.

Figures are plain dictionaries, as ``w2s bench --json`` prints them and ``benchmarks/record.json``
keeps them: ``rows`` has a row a part, ``firmware`` one a build, ``functions`` (not in the record)
one a function.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wav2small_micro import paths, pio
from wav2small_micro.audio import read_clip
from wav2small_micro.emulator import LinkKind
from wav2small_micro.engines.base import Model
from wav2small_micro.errors import W2sError
from wav2small_micro.link.messages import BLOCK_SAMPLES
from wav2small_micro.paths import repo_root
from wav2small_micro.plan import BANDS, MEL, Plan
from wav2small_micro.profiler import counts, cycles, fetch, parts
from wav2small_micro.profiler.image import Image

PARTS = (*parts.LAYERS, "flow", "network", "front_end", "clock", "link", "interrupts", "loop")
CLOCKS_HZ = (168_000_000, 64_000_000)
"""Clocks that the deadline of a block is checked at."""
SECONDS = 2.0
"""Audio that is measured: whole groups of rows, whatever a kernel set groups them by."""
TOLERANCE = 0.02

_FRAMES = 500
_EXACT = (*parts.LAYERS, "network", "front_end")
"""Parts that come out the same in every run."""
_SIZES = ("ram", "flash")


@dataclass(frozen=True)
class Case:
    """What is measured."""

    board: str
    model: str
    kernels: str
    placement: str = "flash"
    """What is copied to RAM at start: one of pio.PLACEMENTS."""

    def __str__(self) -> str:
        names = [self.board, self.model, self.kernels]
        return ", ".join(names if self.placement == "flash" else [*names, self.placement])


def kernels_of(board: pio.Board) -> tuple[str, ...]:
    """Kernel sets that a board runs: the plain one, then the smaller and the board's own."""
    folder = repo_root() / "firmware" / "lib" / "wav2small" / "kernels"
    wanted = ["portable", board.kernels]
    if board.kernels == "dsp":
        wanted.insert(1, "compact")
    return tuple(name for name in dict.fromkeys(wanted) if (folder / name).is_dir())


def macs(plan: Plan) -> dict[str, int]:
    """Multiply-accumulates of the direct form, per second of audio, by layer and for all."""
    found = {}
    for i, layer in enumerate(plan.convs):
        bands, rows = (MEL, _FRAMES) if i < 3 else (BANDS, _FRAMES // 2)
        found[f"l{i + 1}"] = layer.weight.size * bands * rows
    positions = BANDS if plan.architecture == "17k" else 1
    for name, layer in (("lin", plan.lin), ("sof", plan.sof)):
        found[name] = layer.weight.size * positions * _FRAMES // 2
    return {**found, "network": sum(found.values())}


def audio(seconds: float = SECONDS) -> np.ndarray:
    """What the bench plays: the demo clip over and over, int16 at 16 kHz.

    ``seconds`` of it are measured; beyond them it has what is skipped, and a block that ends it.
    """
    blocks = round(seconds / parts.BLOCK_SECONDS) + counts.SKIPPED_BLOCKS + 1
    return np.resize(read_clip(paths.demo_clip()).pcm, blocks * BLOCK_SAMPLES)


def run(
    case: Case,
    pcm: np.ndarray,
    *,
    link: LinkKind = LinkKind.SEMIHOSTING,
    progress: pio.Progress | None = None,
) -> dict[str, Any]:
    """Builds a case and measures it: ``{"rows": [...], "firmware": [...], "functions": [...]}``.

    ``pcm``: of :func:`audio`, or other int16 samples at 16 kHz; what is said in it matters no more
    than the branches of rounding and clamping do. Over the emulator's console every run gives the
    same figures; over the UART they have its interrupts too, and vary with the host.
    """
    board = pio.emulated_board(case.board)
    timed = board.cpu in counts.TIMED_CPUS
    model = Model.load(case.model)
    with tempfile.TemporaryDirectory() as folder:
        # A copy: another build of the same board may be under way.
        elf = Path(shutil.copy(build(case, progress), folder))
        measured = counts.measure(elf, board, pcm, link=link)
        size = pio.elf_size(elf)
        waits = flash_waits(elf, board, measured.functions) if timed else None
    return {
        "rows": list(_rows(case, measured.profile, macs(model.plan), timed)),
        "firmware": [
            {
                **_names(case),
                "cpu": board.cpu,
                **size,
                "stack_used": measured.stack_used,
                "blocks": _deadlines(measured.profile) if timed else None,
                "flash_waits": waits,
            }
        ],
        "functions": [
            {**_names(case), "function": name, **_figures(cost, timed)}
            for name, cost in measured.functions.items()
        ],
    }


def build(case: Case, progress: pio.Progress | None = None) -> Path:
    """The firmware of a case."""
    return pio.build(
        case.board,
        case.model,
        kernels=case.kernels,
        placement=case.placement,
        progress=progress,
    )


def _names(case: Case) -> dict[str, str]:
    return asdict(case)


def _rows(
    case: Case, profile: parts.Profile, macs_of: dict[str, int], timed: bool
) -> Iterator[dict[str, Any]]:
    for part in PARTS:
        figures = _figures(profile.parts[part], timed)
        done, took = macs_of.get(part), figures["cycles"]
        yield {
            **_names(case),
            "part": part,
            **figures,
            "macs": done,
            "macs_per_cycle": round(done / took, 3) if done and took else None,
        }


def _figures(cost: parts.Cost, timed: bool) -> dict[str, Any]:
    by_refill = {str(p): round(c) for p, c in zip(cycles.REFILLS, cost.cycles, strict=True)}
    return {
        "instructions": round(cost.instructions),
        "cycles": by_refill[str(cycles.DEFAULT_REFILL)] if timed else None,
        "cycles_by_refill": by_refill if timed else None,
    }


def flash_waits(
    elf: Path, board: pio.Board, functions: dict[str, parts.Cost]
) -> dict[str, Any] | None:
    """Code in flash that its cache cannot hold, and an estimate of the cycles that it waits."""
    if board.flash_fetch is None:
        return None
    image = Image(elf)
    return {
        "cache_bytes": board.flash_fetch.cache_bytes,
        "uncached_bytes": sum(
            size
            for name, size in fetch.uncached(image, board.flash_fetch).items()
            if name in functions
        ),
        "estimates": [
            {
                "clock_hz": clock_hz,
                "wait_states": board.flash_fetch.wait_states(clock_hz),
                "cycles": round(fetch.stalls(image, functions, board.flash_fetch, clock_hz)),
            }
            for clock_hz in CLOCKS_HZ
        ],
    }


def _deadlines(profile: parts.Profile) -> dict[str, Any]:
    """The 20 ms blocks: mean and worst, and whether all are done in time at each clock."""
    refill = cycles.REFILLS.index(cycles.DEFAULT_REFILL)
    each = np.array([block.cycles[refill] for block in profile.blocks])
    return {
        "count": len(each),
        "mean_cycles": round(float(each.mean())),
        "worst_cycles": round(float(each.max())),
        "deadlines": [_deadline(each, clock) for clock in CLOCKS_HZ],
    }


def _deadline(each: np.ndarray, clock_hz: int) -> dict[str, Any]:
    """A block is in time when it is done before the next one comes, whatever was left before it."""
    response = worst_response(each / clock_hz)
    return {
        "clock_hz": clock_hz,
        "budget_cycles": round(clock_hz * parts.BLOCK_SECONDS),
        "worst_response_ms": round(1e3 * response, 3),
        "met": response <= parts.BLOCK_SECONDS,
    }


def responses(seconds: np.ndarray) -> np.ndarray:
    """From each block's arrival, one every 20 ms, until its work is done; (blocks,) both.

    >>> responses(np.array([0.01, 0.03, 0.015])).round(3).tolist()
    [0.01, 0.03, 0.025]
    """
    arrivals = parts.BLOCK_SECONDS * np.arange(len(seconds))
    done, found = 0.0, []
    for arrival, work in zip(arrivals, seconds, strict=True):
        done = max(done, arrival) + work
        found.append(done - arrival)
    return np.array(found)


def worst_response(seconds: np.ndarray) -> float:
    """The longest of :func:`responses`.

    >>> round(worst_response(np.array([0.01, 0.03, 0.025])), 3)
    0.035
    """
    return float(responses(seconds).max())


# --- The record -----------------------------------------------------------------------------------


def record_path() -> Path:
    """The figures that a change is held against."""
    return repo_root() / "benchmarks" / "record.json"


def read_record() -> dict[str, Any]:
    """The committed record. Raises W2sError if there is none, or if another compiler made it."""
    path = record_path()
    if not path.is_file():
        raise W2sError(f"there is no record at {path}", "make one: w2s bench --record")
    record: dict[str, Any] = json.loads(path.read_text())
    if record["toolchain"] != toolchain():
        raise W2sError(
            f"the record is of arm-none-eabi-gcc {record['toolchain']}, and this is {toolchain()}",
            "compare with the same compiler, or make a new record: w2s bench --record",
        )
    return record


def toolchain() -> str:
    """The compiler that the figures belong to: its version, as it tells it."""
    try:
        command = ["arm-none-eabi-gcc", "-dumpfullversion"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise W2sError("arm-none-eabi-gcc does not run", "make setup installs it") from None


def merge(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several results of :func:`run` as one, with what they were made by."""
    return {
        "toolchain": toolchain(),
        "refill": cycles.DEFAULT_REFILL,
        **{key: [row for one in found for row in one[key]] for key in found[0]},
    }


def regressions(found: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """What became more than TOLERANCE worse than the record, one line each.

    The link is left out: how many reads a block takes depends on the host. What the record does
    not have is no regression.
    """
    before = dict(_compared(record))
    return [
        f"{', '.join(name)}: {value:,} where the record has {before[name]:,} "
        f"({value / before[name] - 1:+.1%})"
        for name, value in _compared(found)
        if name in before and value > before[name] * (1 + TOLERANCE)
    ]


def case_of(row: dict[str, Any]) -> Case:
    """What a row of ``rows``, ``firmware`` or ``functions`` was measured of."""
    return Case(row["board"], row["model"], row["kernels"], row.get("placement", "flash"))


def _compared(results: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], int]]:
    for row in results["rows"]:
        case = str(case_of(row))
        if row["part"] in _EXACT:
            for figure in ("instructions", "cycles"):
                if row[figure] is not None:
                    yield (case, row["part"], figure), row[figure]
    for firmware in results["firmware"]:
        case = str(case_of(firmware))
        for figure in _SIZES:
            yield (case, figure), firmware[figure]
