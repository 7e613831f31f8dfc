# SPDX-License-Identifier: Apache-2.0
"""The HIL report: what was tested, what was seen, and pictures of it."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wav2small_micro import html
from wav2small_micro.hil.rig import Evidence
from wav2small_micro.hil.suite import Result, Suite
from wav2small_micro.hil.watch import Watch, quantiles_ms
from wav2small_micro.html import COLOURS, MEASURED, Page, Section
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.reference import HOP, SAMPLE_RATE
from wav2small_micro.report import WORST

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BADGES = {"pass": html.good("pass"), "fail": html.bad("FAIL"), "skip": html.note("skipped")}


def page(suite: Suite) -> Page:
    """The report of a suite that has run."""
    verdict = html.good("PASS") if suite.passed else html.bad(suite.summary)
    made = Page(
        f"Hardware in the loop: {suite.rig.target.name}",
        verdict=verdict,
        lead=_lead(suite),
        footer=_footer(),
    )
    counts = [sum(r.verdict == v for r in suite.results.values()) for v in ("pass", "fail", "skip")]
    made.facts(
        {
            **suite.describe(),
            "checks": "{} passed, {} failed, {} skipped".format(*counts),
            "audio heard": f"{suite.rig.audio_seconds:.1f} s",
        }
    )
    _diagnoses(made, suite)
    _checks(made.section("Checks"), suite.results.values())
    evidence = suite.rig.evidence
    if evidence.scatter:
        _against_float(made.section("Device against float"), evidence)
    if evidence.layers:
        _layers(made.section("Layers"), evidence)
    if evidence.live:
        _live(made.section("Live windows"), evidence)
    if suite.rig.watch:
        _latency(made.section("Latency of answers"), suite.rig.watch, suite.rig.emulated)
        _line(made.section("The line"), suite.rig.watch)
    return made


def _footer() -> str:
    """How it was made, and when."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return f"{command}\n{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"


def _lead(suite: Suite) -> str:
    first = suite.diagnosis
    if first:
        meaning = first.diagnosis.meaning
        return f"{meaning[0].upper()}{meaning[1:]}."
    if suite.passed:
        return "Every check passed: the device gives the bits of this machine's engines."
    return "Nothing was checked."


def _diagnoses(made: Page, suite: Suite) -> None:
    """Causes first; with what to do."""
    if suite.diagnosis is None:
        return
    section = made.section("Findings")
    section.table(
        ["diagnosis", "seen", "what to do"],
        [
            (
                (html.note if f.diagnosis.is_note else html.bad)(f.diagnosis.name),
                f.seen,
                f.diagnosis.advice,
            )
            for f in suite.findings
        ],
        caption="The first one explains what comes after it, as far as one can tell from here.",
    )


def _checks(section: Section, results: Iterable[Result]) -> None:
    section.table(
        ["check", "verdict", "holds when it passes", "seen", "seconds"],
        [
            (r.name, _BADGES[r.verdict], r.holds, r.says or None, f"{r.seconds:.2f}")
            for r in results
        ],
    )


# --- Figures ------------------------------------------------------------------------------------


def _against_float(section: Section, evidence: Evidence) -> None:
    section.figure(
        _scatter(evidence),
        caption=f"A/D/V of each clip, device against float. The band is the promise, ±{WORST}.",
        origin=MEASURED,
    )
    section.figure(
        _errors(evidence),
        caption="How far the device is from float: A/D/V by the audio that it had heard, and the "
        "worst band of each frame of the golden clip's log-mel.",
        origin=MEASURED,
    )
    section.table(
        ["clip", *(f"{d}, float / device" for d in DIMENSIONS), "worst difference"],
        [
            (
                name,
                *(f"{f:.4f} / {d:.4f}" for f, d in zip(exact, device, strict=True)),
                f"{np.abs(device - exact).max():.4f}",
            )
            for name, exact, device in evidence.scatter
        ],
        folded="The figures",
    )


def _scatter(evidence: Evidence) -> Figure:
    figure = html.drawing(9.5, 3.5)
    exact = np.array([e for _, e, _ in evidence.scatter])
    device = np.array([d for _, _, d in evidence.scatter])
    for i, (axes, name) in enumerate(zip(figure.subplots(1, 3), DIMENSIONS, strict=True)):
        both = np.concatenate([exact[:, i], device[:, i]])
        low, high = both.min() - 0.06, both.max() + 0.06
        ends = np.array([low, high])
        axes.fill_between(ends, ends - WORST, ends + WORST, color=COLOURS[2], alpha=0.25, lw=0)
        axes.plot(ends, ends, color=html.INK, linewidth=0.7)
        axes.scatter(exact[:, i], device[:, i], s=28, color=COLOURS[i])
        axes.set(title=name, xlabel="float", xlim=(low, high), ylim=(low, high), aspect="equal")
    figure.axes[0].set_ylabel("device")
    return figure


def _errors(evidence: Evidence) -> Figure:
    figure = html.drawing(9.5, 3.3)
    answers, logmel = figure.subplots(1, 2)
    apart = np.array([device - exact for _, exact, device in evidence.scatter])
    for i, name in enumerate(DIMENSIONS):
        answers.plot(
            evidence.audio_seconds, apart[:, i], marker="o", markersize=4, label=name,
            color=COLOURS[i],
        )  # fmt: skip
    for bound in (-WORST, WORST):
        answers.axhline(bound, color=html.INK, linewidth=0.7, linestyle=":")
    answers.set(title="A/D/V", xlabel="seconds of audio heard", ylabel="device - float")
    answers.legend(frameon=False, fontsize=8)
    if evidence.logmel_error is not None:
        seconds = np.arange(len(evidence.logmel_error)) * HOP / SAMPLE_RATE
        logmel.plot(seconds, evidence.logmel_error, color=COLOURS[3], linewidth=0.9)
    logmel.set(title="log-mel of the golden clip", xlabel="seconds", ylabel="worst band, dB")
    logmel.set_ylim(bottom=0)
    return figure


def _layers(section: Section, evidence: Evidence) -> None:
    wrong = sum(apart for apart, _, _ in evidence.layers.values())
    section.figure(
        _layer_bars(evidence),
        caption="Golden clip. Above: values of each layer that differ from the right bits"
        + (" (none)" if not wrong else "")
        + ". Below: what int8 costs, the RMS of device less float relative to float, each channel "
        "at float's scale.",
        origin=MEASURED,
    )
    section.table(
        ["layer", "values", "that differ", "RMS error against float"],
        [
            (name, size, apart, None if math.isnan(error) else f"{100 * error:.2f} %")
            for name, (apart, size, error) in evidence.layers.items()
        ],
        folded="The figures",
    )


def _layer_bars(evidence: Evidence) -> Figure:
    figure = html.drawing(9.5, 4.2)
    bits, cost = figure.subplots(2, 1, sharex=True)
    names = list(evidence.layers)
    share = [100 * apart / size for apart, size, _ in evidence.layers.values()]
    drawn = bits.bar(names, share, **html.bar_style(MEASURED, COLOURS[1]))
    labels = [f"{apart:,}" for apart, _, _ in evidence.layers.values()]
    bits.bar_label(drawn, labels=labels, fontsize=8, padding=2)
    bits.set(ylabel="% that differ", ylim=(0, max(1.0, 1.15 * max(share))))
    errors = [0.0 if math.isnan(e) else 100 * e for _, _, e in evidence.layers.values()]
    drawn = cost.bar(names, errors, **html.bar_style(MEASURED))
    labels = ["" if math.isnan(e) else f"{100 * e:.1f}" for _, _, e in evidence.layers.values()]
    cost.bar_label(drawn, labels=labels, fontsize=8, padding=2)
    cost.set(ylabel="RMS error, %")
    cost.margins(y=0.15)
    return figure


def _live(section: Section, evidence: Evidence) -> None:
    figure = html.drawing(9.5, 3.2)
    axes = figure.subplots()
    ends = [end for end, _, _ in evidence.live]
    for i, name in enumerate(DIMENSIONS):
        axes.plot(
            ends, [right[i] for _, right, _ in evidence.live], color=COLOURS[i], alpha=0.35,
            linewidth=5,
        )  # fmt: skip
        axes.plot(
            ends, [got[i] for _, _, got in evidence.live], color=COLOURS[i], linewidth=1.2,
            marker=".", label=name,
        )  # fmt: skip
    axes.set(xlabel="seconds of audio heard", ylabel="A/D/V")
    axes.legend(frameon=False, ncols=3, fontsize=8)
    section.figure(
        figure,
        caption="Each window as it came: the device thin, the library on this machine broad.",
        origin=MEASURED,
    )


def _latency(section: Section, watch: Watch, emulated: bool) -> None:
    latencies = watch.books.latencies
    section.figure(
        _histogram(latencies),
        caption="From the first byte of a request to the last of its reply, as the host sees it"
        + (". The device is emulated: these say nothing about a board." if emulated else "."),
        origin=MEASURED,
    )
    columns = ["count", "min", "median", "p99", "max"]
    section.table(
        ["request", *(c if c == "count" else f"{c}, ms" for c in columns)],
        [
            (name, *(quantiles_ms(seconds)[column] for column in columns))
            for name, seconds in sorted(latencies.items())
        ],
    )


def _histogram(latencies: dict[str, list[float]]) -> Figure:
    figure = html.drawing(9.5, 3.2)
    axes = figure.subplots()
    shown = {name: 1e3 * np.array(s) for name, s in latencies.items() if len(s) >= 5}
    shown = shown or {name: 1e3 * np.array(s) for name, s in latencies.items()}
    if shown:
        every = np.concatenate(list(shown.values())).clip(min=1e-3)
        bins = np.geomspace(0.8 * every.min(), 1.25 * every.max(), 50)
        for i, (name, values) in enumerate(sorted(shown.items())):
            axes.hist(
                values.clip(min=1e-3),
                bins.tolist(),
                label=f"{name} ({len(values)})",
                histtype="stepfilled",
                alpha=0.6,
                color=COLOURS[i % len(COLOURS)],
            )
        axes.legend(frameon=False, fontsize=8)
    axes.set(xscale="log", xlabel="ms", ylabel="answers")
    return figure


def _line(section: Section, watch: Watch) -> None:
    books = watch.books
    rows: list[tuple[str, int]] = [
        ("frames to the device", books.sent),
        ("frames from the device", books.received),
        ("blocks of audio taken", books.blocks_taken),
        ("requests or replies lost", books.unanswered),
        ("events lost", books.missing),
        ("events out of order", books.reordered),
        ("frames that came twice", books.repeated),
        ("chunks that are no frames", books.broken),
        ("restarts", len(books.resets)),
        ("garbage before the first frame, bytes", books.garbage_bytes),
    ]
    section.table(["counted by the host", "count"], rows)
    words = [*books.banner, *books.lines]
    if words:
        section.text("Text that the device printed:")
        section.code("\n".join(words))
