# SPDX-License-Identifier: Apache-2.0
"""``w2s bench``: what the firmware costs per second of audio."""

import json as json_module
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from wav2small_micro import paths, pio
from wav2small_micro.cli.console import JsonOption, err, out, print_json, table
from wav2small_micro.emulator import LinkKind
from wav2small_micro.errors import W2sError
from wav2small_micro.profiler import bench as benches
from wav2small_micro.profiler import cycles, plot


def bench(
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", help="Boards; all of them if none is named.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Models; all of them if none is named."),
    ] = None,
    kernels: Annotated[
        list[str] | None,
        typer.Option("--kernels", "-k", help="Kernel sets; all that the board runs by default."),
    ] = None,
    placement: Annotated[
        list[str] | None,
        typer.Option(help="What is copied to RAM at start: flash (default), code, weights, both."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Audio to measure over.")
    ] = benches.SECONDS,
    link: Annotated[
        LinkKind, typer.Option(help="How audio comes: the UART adds its interrupts.")
    ] = LinkKind.SEMIHOSTING,
    functions: Annotated[
        int, typer.Option(min=0, help="Also show the costliest functions, so many.")
    ] = 0,
    save_plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw the layers: a PNG.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Fail where the committed record is 2 % better.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Make this the committed record.")
    ] = False,
    microphones: Annotated[
        bool, typer.Option("--microphones", help="Instead: what listening costs, PDM and I2S.")
    ] = False,
    validate: Annotated[
        bool, typer.Option("--validate", help="Instead: the cycle model against published counts.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(help="Of --validate: a checkout of PQClean or pqm4, instead of npm's."),
    ] = None,
    scheme: Annotated[
        list[str] | None, typer.Option(help="Of --validate: only these programs.")
    ] = None,
    cflags: Annotated[
        str, typer.Option(help="Of --validate: options of the compiler behind pqm4's.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Instructions, Cortex-M4 cycles, RAM and flash of each part, counted in QEMU.

    Cycles are modelled, at zero wait states, and only of a Cortex-M4: docs/cycle-model.md.
    """
    if validate:
        _validate(source, scheme, cflags.split(), json)
        return
    if microphones:
        _microphones(json)
        return
    pcm = benches.audio(seconds)
    results = benches.merge(
        [
            _measure(benches.Case(board, name, kernel_set, where), pcm, link)
            for board, name in product(env or pio.emulated(), model or paths.model_names())
            for kernel_set in kernels or benches.kernels_of(pio.board(board))
            for where in placement or ["flash"]
        ]
    )
    if save_plot is not None:
        plot.save(save_plot, results["rows"])
    if record:
        _save_record(results)
    if json:
        print_json(results)
    else:
        _print(results, functions)
    if check:
        _check(results)


def _measure(case: benches.Case, pcm: np.ndarray, link: LinkKind) -> dict[str, Any]:
    with err.status(f"measuring {case}"):
        return benches.run(case, pcm, link=link)


def _save_record(results: dict[str, Any]) -> None:
    path = benches.record_path()
    path.parent.mkdir(exist_ok=True)
    kept = {key: value for key, value in results.items() if key != "functions"}
    path.write_text(json_module.dumps(kept, indent=1) + "\n")


def _check(results: dict[str, Any]) -> None:
    worse = benches.regressions(results, benches.read_record())
    if worse:
        raise W2sError(
            "slower or larger than the record:\n  " + "\n  ".join(worse),
            "if this is meant to be, w2s bench --record",
        )


# --- The model itself ----------------------------------------------------------------------------


def _validate(source: Path | None, schemes: list[str] | None, flags: list[str], json: bool) -> None:
    from wav2small_micro.profiler import validate

    counts = validate.published()
    with err.status("") as status:
        found = validate.run(counts, source, schemes, flags, status.update)
    summaries = {p: validate.summary(found, p) for p in cycles.REFILLS}
    if json:
        print_json(
            {
                "publication": counts.publication,
                "toolchain": benches.toolchain(),
                "rows": [one.to_json() for one in found],
                "summary": summaries,
            }
        )
        return
    rows = [
        (
            f"{one.published.scheme} {one.published.operation}",
            f"{one.published.work:,.0f}",
            f"{one.cycles[0]:,}",
            *(f"{one.error(p):+.1%}" for p in cycles.REFILLS),
        )
        for one in found
    ]
    columns = ["program", "published", "model, P=1", *(f"P={p}" for p in cycles.REFILLS)]
    out.print(table("Cycles of a Cortex-M4 at zero wait states", columns, rows))
    for p, errors in summaries.items():
        out.print(
            f"P={p}: {errors['mean_absolute']:.1%} apart on the mean, "
            f"{errors['worst_absolute']:.1%} at worst, {errors['mean']:+.1%} with its sign",
            highlight=False,
        )
    out.print(f"Published by {counts.publication}", highlight=False, soft_wrap=True)


# --- Microphones ---------------------------------------------------------------------------------


def _microphones(json: bool) -> None:
    from wav2small_micro.profiler import microphones

    with err.status("measuring firmware/lib/pdm"):
        found = microphones.run()
    if json:
        print_json(found)
        return
    rows = [
        (
            row["microphone"],
            _millions(row["instructions"]),
            *(_millions(row["cycles_by_refill"][str(p)]) for p in cycles.REFILLS),
            f"{row['ram']:,}",
            f"{row['flash']:,}",
        )
        for row in found["rows"]
    ]
    spread = (f"P={p}" for p in cycles.REFILLS)
    columns = ["", "M instructions", *spread, "state", "flash"]
    out.print(table("To 16 kHz on a Cortex-M4, per second: M cycles, bytes", columns, rows))


# --- For people ---------------------------------------------------------------------------------


def _print(results: dict[str, Any], functions: int) -> None:
    for firmware in results["firmware"]:
        rows = _rows_of(firmware, results["rows"])
        title = f"{firmware['model']} on {firmware['board']} ({firmware['cpu']})"
        if firmware["placement"] != "flash":
            title += f", placement {firmware['placement']}"
        columns = [f"{firmware['kernels']} kernels", "M instructions", "M cycles", "MAC a cycle"]
        out.print(table(f"{title}, per second of audio", columns, _part_rows(rows)))
        for line in _notes(firmware, rows):
            out.print(line, highlight=False, soft_wrap=True)
        if functions:
            own = _rows_of(firmware, results["functions"])
            columns = ["functions, callees left out", "M instructions", "M cycles"]
            out.print(table("", columns, _function_rows(own[:functions])))
        out.print()
    if len(results["firmware"]) > 1:
        out.print(table("All, M a second of audio", _SUMMARY, _summary(results)))


_SUMMARY = ("", "network", "cycles", "loop", "cycles", "worst block", "RAM", "flash")


def _summary(results: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    """A line a build, to compare kernel sets and boards."""
    for firmware in results["firmware"]:
        rows = {row["part"]: row for row in _rows_of(firmware, results["rows"])}
        yield (
            str(benches.case_of(firmware)),
            *(
                _millions(rows[part][figure])
                for part in ("network", "loop")
                for figure in ("instructions", "cycles")
            ),
            _millions((firmware["blocks"] or {}).get("worst_cycles")),
            f"{firmware['ram']:,}",
            f"{firmware['flash']:,}",
        )


def _rows_of(firmware: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that were measured of the same build."""
    return [row for row in rows if benches.case_of(row) == benches.case_of(firmware)]


def _part_rows(rows: list[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    for row in rows:
        yield (
            row["part"].replace("_", " "),
            _millions(row["instructions"]),
            _millions(row["cycles"]),
            "" if row["macs_per_cycle"] is None else f"{row['macs_per_cycle']:.2f}",
        )


def _function_rows(rows: list[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    for row in rows:
        yield row["function"], _millions(row["instructions"]), _millions(row["cycles"])


def _millions(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:,.2f}"


def _notes(firmware: dict[str, Any], rows: list[dict[str, Any]]) -> Iterable[str]:
    yield (
        f"RAM {firmware['ram']:,} B, flash {firmware['flash']:,} B, "
        f"stack {firmware['stack_used']:,} of {firmware['stack']:,} B used"
    )
    blocks = firmware["blocks"]
    if blocks is None:
        yield f"No cycles: the model was not checked on a {firmware['cpu']}."
        return
    for row in rows:
        if row["part"] in ("network", "loop"):
            spread = ", ".join(f"P={p} {_millions(c)}" for p, c in row["cycles_by_refill"].items())
            yield f"{row['part']} by branch refill: {spread} M (above: P={cycles.DEFAULT_REFILL})"
    yield (
        f"20 ms blocks: mean {_millions(blocks['mean_cycles'])} M cycles, "
        f"worst of {blocks['count']} {_millions(blocks['worst_cycles'])} M"
    )
    for deadline in blocks["deadlines"]:
        yield (
            f"  at {deadline['clock_hz'] / 1e6:.0f} MHz there are "
            f"{_millions(deadline['budget_cycles'])} M for each: "
            + _verdict(deadline, blocks["mean_cycles"])
        )
    waits = firmware["flash_waits"]
    if waits is not None:
        yield (
            f"Code in flash that its cache of {waits['cache_bytes']:,} B cannot hold: "
            f"{waits['uncached_bytes']:,} B. It waits, by an estimate and not in these cycles: "
            + ", ".join(_wait(estimate) for estimate in waits["estimates"])
        )


def _wait(estimate: dict[str, Any]) -> str:
    return (
        f"{_millions(estimate['cycles'])} M at {estimate['clock_hz'] / 1e6:.0f} MHz "
        f"({estimate['wait_states']} wait states)"
    )


def _verdict(deadline: dict[str, Any], mean_cycles: int) -> str:
    if mean_cycles > deadline["budget_cycles"]:
        return "it cannot keep up"
    verdict = "in time" if deadline["met"] else "too late"
    return f"done after {deadline['worst_response_ms']:.1f} ms at worst, {verdict}"
