# SPDX-License-Identifier: Apache-2.0
"""Energy per inference, by a marker and by the firmware's timeline, on traces that were made up."""

import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import power
from support.power import Made
from typer.testing import CliRunner

from wav2small_micro import paths
from wav2small_micro.cli.app import app
from wav2small_micro.energy import align, cells, instruments, measure, model, report
from wav2small_micro.energy.figures import Measured, Modelled
from wav2small_micro.energy.trace import Notes, Progress, Recording, Trace, regular
from wav2small_micro.errors import W2sError

BOUND = 0.005
"""Largest relative error of an energy that is known."""


def recorded(made: Made, *, without: slice | None = None, chunk: int = 7_001) -> Recording:
    """A recording of a made-up trace; samples ``without`` are missing."""

    def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
        kept = np.ones(len(made.current), bool)
        if without is not None:
            kept[without] = False
        time, width = regular(0.0, len(kept), made.rate)
        for begin in range(0, len(kept), chunk):
            at = begin + np.flatnonzero(kept[begin : begin + chunk])
            volts = np.full(len(at), made.volts)
            bits = made.marker[at].astype(np.uint16)
            yield Trace(time[at], width[at], made.current[at], volts, bits, "made")

    return Recording("made", instruments.UNKNOWN, ("D0",), read, voltage_given=False)


def timeline_of(made: Made, drift: float = 0.0) -> align.Timeline:
    """What the firmware would say, by a clock that begins with the first block."""
    start = (made.start - made.start[0]) / (1 + drift)
    return align.Timeline(start, made.seconds / (1 + drift), 0.02)


# --- By a marker ---------------------------------------------------------------------------------


def test_every_inference_by_marker() -> None:
    made = power.made()
    found = measure.by_marker(recorded(made), "D0", audio_seconds=0.02)
    np.testing.assert_allclose(found.inferences.energy, made.energy, rtol=1e-9)
    np.testing.assert_allclose(found.inferences.start, made.start, atol=1e-9)
    np.testing.assert_allclose(found.inferences.seconds, made.seconds, atol=1e-9)
    figures = found.figures
    assert figures["mj_per_inference"].value == pytest.approx(1e3 * made.energy.mean(), rel=1e-9)
    assert figures["mj_per_audio_second"].value == pytest.approx(5e4 * made.energy.mean(), rel=1e-9)
    assert figures["sleep_ma"].value == pytest.approx(12, rel=0.005)
    assert figures["active_ma"].value == pytest.approx(40, rel=0.03)
    above = made.energy.mean() - made.seconds.mean() * made.sleep * made.volts
    assert figures["mj_above_sleep_per_inference"].value == pytest.approx(1e3 * above, rel=BOUND)


def test_the_mean_power_is_of_whole_periods() -> None:
    made = power.made(lead=2.0)
    found = measure.by_marker(recorded(made), "D0").figures["average_mw"].value
    at = slice(round(made.start[0] * made.rate), round(made.start[-1] * made.rate))
    assert found == pytest.approx(1e3 * made.volts * made.current[at].mean(), rel=1e-6)


def test_a_marker_that_is_low() -> None:
    made = power.made()
    upside_down = replace(made, marker=~made.marker)
    found = measure.by_marker(recorded(upside_down), "d0", low=True)
    np.testing.assert_allclose(found.inferences.energy, made.energy, rtol=1e-9)


def test_noise_on_the_marker_is_no_inference() -> None:
    made = power.made(rate=100_000)
    marker = made.marker.copy()
    inside = np.diff(marker.astype(int), prepend=0) == 0
    far = [p for p in range(100, len(marker) - 100, 531) if inside[p - 40 : p + 40].all()]
    assert len(far) > 100
    for place in far:
        marker[place : place + 3] ^= True
    found = measure.by_marker(recorded(replace(made, marker=marker)), "D0")
    np.testing.assert_allclose(found.inferences.energy, made.energy, rtol=1e-9)
    plain = measure.by_marker(recorded(replace(made, marker=marker)), "D0", debounce=0.0)
    assert len(plain.inferences) > len(made.energy)


def edges(
    level: list[bool], debounce: float, pieces: list[int] | None = None
) -> list[tuple[bool, float]]:
    """What `align.Marker` finds in levels, a sample a second, in pieces of these lengths."""
    marker = align.Marker(0, debounce=debounce)
    found: list[tuple[bool, float]] = []
    bits, time, begin = np.array(level, np.uint16), np.arange(float(len(level))), 0
    for length in [*(pieces or []), len(level)]:
        at = slice(begin, begin + length)
        sums = np.zeros((len(bits[at]), 4))
        found += [(up, when) for up, when, _ in marker.take(bits[at], time[at], sums)]
        begin += length
    return found


def edges_plainly(level: list[bool], debounce: float) -> list[tuple[bool, float]]:
    """Run by run: one that lasts long enough, to the next change or the last sample, is real."""
    found = []
    holds, begin = level[0], 0
    for i in range(1, len(level) + 1):
        if i == len(level) or level[i] != level[begin]:
            last = min(i, len(level) - 1)
            if level[begin] != holds and last - begin >= debounce:
                holds = level[begin]
                found.append((holds, float(begin)))
            begin = i
    return found


@given(
    level=st.lists(st.booleans(), min_size=1, max_size=80),
    debounce=st.integers(0, 6),
    pieces=st.lists(st.integers(1, 30), max_size=6),
)
def test_edges_against_a_plain_way(level: list[bool], debounce: int, pieces: list[int]) -> None:
    assert edges(level, debounce) == edges_plainly(level, debounce)
    assert edges(level, debounce, pieces) == edges(level, debounce)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30_000))
def test_pieces_of_any_length_give_the_same(chunk: int) -> None:
    made = power.made(rate=2_000, blocks=10)
    whole = measure.by_marker(recorded(made, chunk=10**6), "D0").figures
    parts = measure.by_marker(recorded(made, chunk=chunk), "D0").figures
    for name, figure in whole.items():
        assert parts[name].value == pytest.approx(figure.value, rel=1e-9)
        assert parts[name].high == pytest.approx(figure.high, rel=1e-9)


def test_pulses_at_the_ends_are_not_whole() -> None:
    made = power.made()
    inside = slice(round(made.start[0] * made.rate) + 5, round(made.start[-1] * made.rate) + 5)
    cut = replace(made, current=made.current[inside], marker=made.marker[inside])
    found = measure.by_marker(recorded(cut), "D0")
    np.testing.assert_allclose(found.inferences.energy, made.energy[1:-1], rtol=1e-9)


def test_missing_samples_cost_their_inference() -> None:
    made = power.made()
    at = round((made.start[7] + made.seconds[7] / 2) * made.rate)
    found = measure.by_marker(recorded(made, without=slice(at, at + 20)), "D0")
    assert list(np.flatnonzero(~found.inferences.good)) == [7]
    kept = np.delete(made.energy, 7)
    assert found.figures["mj_per_inference"].value == pytest.approx(1e3 * kept.mean(), rel=1e-9)
    assert any("left out" in note for note in found.notes)


def test_saturated_samples_cost_their_inference() -> None:
    made = power.made()
    current = made.current.copy()
    current[round(made.start[3] * made.rate) + 2] = 9.0
    recording = replace(
        recorded(replace(made, current=current)),
        instrument=replace(instruments.UNKNOWN, full_scale=1.0),
    )
    found = measure.by_marker(recording, "D0")
    assert list(np.flatnonzero(~found.inferences.good)) == [3]
    assert found.figures["average_mw"].value < 100, "and their period"


def test_nothing_whole_is_an_error() -> None:
    made = power.made(blocks=2)
    recording = replace(recorded(made), instrument=replace(instruments.UNKNOWN, full_scale=0.02))
    with pytest.raises(W2sError, match="no inference"):
        measure.by_marker(recording, "D0")


def test_a_marker_that_never_moves() -> None:
    made = power.made()
    flat = replace(made, marker=np.zeros_like(made.marker))
    with pytest.raises(W2sError, match="never high") as caught:
        measure.by_marker(recorded(flat), "D0")
    assert "--marker-low" in caught.value.hint
    with pytest.raises(W2sError, match="no digital channel 'D3': it has D0"):
        measure.by_marker(recorded(made), "D3")


def test_without_anything_that_tells_inferences_apart() -> None:
    made = power.made()
    found = measure.unaligned(recorded(made))
    assert found.figures["average_mw"].value == pytest.approx(
        1e3 * made.volts * made.current.mean(), rel=1e-9
    )
    assert "mj_per_inference" not in found.figures


# --- Intervals -----------------------------------------------------------------------------------


def test_an_interval_is_instrument_and_spread() -> None:
    made = power.made()
    exact = recorded(made)
    rough = replace(exact, instrument=exact.instrument.with_accuracy(5.0), voltage_given=True)
    narrow = measure.by_marker(exact, "D0").figures["mj_per_inference"]
    wide = measure.by_marker(rough, "D0").figures["mj_per_inference"]
    n = len(made.energy)
    spread = (1.96 + 2.4 / (n - 1)) * made.energy.std(ddof=1) / np.sqrt(n)
    assert narrow.high - narrow.value == pytest.approx(1e3 * spread, rel=1e-6)
    both = np.hypot(np.hypot(0.05, instruments.GIVEN_VOLTAGE) * made.energy.mean(), spread)
    assert wide.high - wide.value == pytest.approx(1e3 * both, rel=1e-6)


def test_the_interval_holds_the_truth_nineteen_times_of_twenty() -> None:
    true = 3.3 * 0.040 * 0.007
    held = 0
    for seed in range(200):
        made = power.made(rate=5_000, blocks=12, seed=seed, lead=0.02)
        figure = measure.by_marker(recorded(made), "D0").figures["mj_per_inference"]
        held += figure.low <= 1e3 * true <= figure.high
    assert 180 <= held <= 200


# --- Hours of samples ----------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_recording() -> None:
    def peak(pieces: int) -> int:
        def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
            busy = np.arange(20_000) % 2_000 < 700
            for i in range(pieces):
                time, width = regular(i * 0.2, len(busy), 100_000)
                amps = np.where(busy, 0.04, 0.012)
                volts = np.full(len(busy), 3.3)
                yield Trace(time, width, amps, volts, busy.astype(np.uint16), "long")

        recording = Recording("long", instruments.UNKNOWN, ("D0",), read, voltage_given=False)
        tracemalloc.start()
        found = measure.by_marker(recording, "D0")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # The recording begins in a pulse, whose beginning nobody saw.
        assert len(found.inferences) == 10 * pieces - 1
        return most

    short, long = peak(60), peak(240)
    assert long < 1.1 * short + 300 * 10 * 180, "but a row for each inference"


# --- By a timeline -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"blocks": 10},
        {"blocks": 400, "drift": 50e-6},
        {"blocks": 400, "drift": -300e-6},
        {"blocks": 300, "drift": 0.008},
        {"blocks": 200, "spread": 0.0},
        {"blocks": 200, "noise": 0.004},
        {"blocks": 150, "work": 0.018, "spread": 0.05},
        {"blocks": 150, "rate": 1_000.0},
        {"blocks": 100, "rate": 100_000.0, "drift": 1e-4},
        {"blocks": 150, "lead": 2.5},
    ],
    ids=str,
)
def test_energy_by_timeline(how: dict[str, float]) -> None:
    drift = how.get("drift", 0.0)
    made = power.made(**how)  # type: ignore[arg-type]
    found = measure.by_timeline(recorded(made), timeline_of(made, drift))
    assert found.inferences.energy.sum() == pytest.approx(made.energy.sum(), rel=BOUND)
    assert found.fit is not None
    assert found.fit.offset == pytest.approx(made.start[0], abs=2e-4)
    assert found.fit.drift == pytest.approx(drift, abs=60e-6)
    assert found.audio_seconds == 0.02


@settings(max_examples=12, deadline=None)
@given(
    lead=st.floats(0.05, 1.0),
    drift=st.floats(-5e-4, 5e-4),
    work=st.floats(0.002, 0.013),
    active=st.floats(0.02, 0.09),
    seed=st.integers(0, 99),
)
def test_any_session_is_found(
    lead: float, drift: float, work: float, active: float, seed: int
) -> None:
    made = power.made(
        rate=10_000, blocks=60, lead=lead, drift=drift, work=work, active=active, seed=seed
    )
    found = measure.by_timeline(recorded(made), timeline_of(made, drift))
    assert found.inferences.energy.sum() == pytest.approx(made.energy.sum(), rel=BOUND)


def test_marker_and_timeline_agree() -> None:
    made = power.made(blocks=200)
    one = measure.by_marker(recorded(made), "D0", audio_seconds=0.02).figures
    other = measure.by_timeline(recorded(made), timeline_of(made)).figures
    assert set(one) == set(other)
    for name, figure in one.items():
        assert figure.value == pytest.approx(other[name].value, rel=BOUND), name


def test_a_timeline_of_another_session_is_refused() -> None:
    made = power.made(blocks=100)
    rng = np.random.default_rng(3)
    start = np.cumsum(rng.uniform(0.01, 0.05, 100))
    other = align.Timeline(start, np.full(100, 0.004))
    with pytest.raises(W2sError, match="not found in the trace") as caught:
        measure.by_timeline(recorded(made), other)
    assert "--marker" in caught.value.hint
    quiet = replace(made, current=np.full_like(made.current, 0.012))
    with pytest.raises(W2sError, match="not found in the trace"):
        measure.by_timeline(recorded(quiet), timeline_of(made))


def test_a_trace_that_is_too_short() -> None:
    made = power.made(blocks=100)
    short = replace(made, current=made.current[:5000], marker=made.marker[:5000])
    with pytest.raises(W2sError, match="the timeline"):
        measure.by_timeline(recorded(short), timeline_of(made))


def test_a_trace_that_stops_before_the_session() -> None:
    made = power.made(blocks=100)
    n = round(made.start[80] * made.rate)
    cut = replace(made, current=made.current[:n], marker=made.marker[:n])
    found = measure.by_timeline(recorded(cut), timeline_of(made))
    good = found.inferences.good
    assert good.sum() == 80
    assert found.inferences.energy[good].sum() == pytest.approx(made.energy[:80].sum(), rel=BOUND)


def test_timelines_in_files(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    made = timeline_of(power.made())
    path.write_text(json.dumps(made.to_json()))
    found = align.read_timeline(path)
    np.testing.assert_allclose(found.start, made.start, atol=1e-6)
    np.testing.assert_allclose(found.duration, made.duration, atol=1e-6)
    wrapped = {
        "format": "w2s-timeline",
        "clock_hz": 168e6,
        "blocks": [[2**32 - 1000, 500], [3_358_999, 500], [6_718_999, 500]],
    }
    path.write_text(json.dumps(wrapped))
    np.testing.assert_allclose(np.diff(align.read_timeline(path).start), 0.02, rtol=1e-3)


TIMELINE = {"format": "w2s-timeline", "clock_hz": 1000, "blocks": [[0, 5], [10, 5]]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({**TIMELINE, "clock_hz": 0}),
        json.dumps({**TIMELINE, "clock_hz": "fast"}),
        json.dumps({**TIMELINE, "blocks": []}),
        json.dumps({**TIMELINE, "blocks": [[0, 5]]}),
        json.dumps({**TIMELINE, "blocks": [[0], [1]]}),
        json.dumps({**TIMELINE, "blocks": [[0, 5], [3, 5]]}),
        json.dumps({**TIMELINE, "blocks": [[0, 0], [10, 5]]}),
        json.dumps({**TIMELINE, "blocks": [["a", "b"], [1, 2]]}),
        json.dumps({**TIMELINE, "audio_seconds": -1}),
    ],
)
def test_broken_timelines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(W2sError) as caught:
        align.read_timeline(path)
    assert caught.value.hint


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_blocks(tmp_path_factory: pytest.TempPathFactory, blocks: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any-timeline.json"
    path.write_text(json.dumps({**TIMELINE, "blocks": blocks}))
    try:
        found = align.read_timeline(path)
    except W2sError:
        return
    assert np.all(np.diff(found.start) >= 0)


# --- The command ---------------------------------------------------------------------------------

RUN = CliRunner()


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A PPK2's export with a marker."""
    return power.ppk2_csv(tmp_path / "trace.csv", power.made(blocks=12))


def run(*arguments: str | Path) -> dict[str, object]:
    result = RUN.invoke(app, ["energy", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_json_of_a_measurement(trace: Path) -> None:
    found = run(trace, "--voltage", "3.3", "--marker", "D0", "--cell", "18650")
    [measured] = found["measured"]  # type: ignore[misc]
    assert found["modelled"] is None
    assert measured["kind"] == "measured"
    assert {f["kind"] for f in measured["figures"].values()} == {"measured"}
    assert measured["hours"]["18650"]["kind"] == "modelled", "nobody emptied the cell"
    energy = power.made(blocks=12).energy.mean()
    assert measured["figures"]["mj_per_inference"]["value"] == pytest.approx(1e3 * energy, rel=1e-4)


def test_json_of_the_model() -> None:
    found = run("--cell", "cr2032")
    assert found["measured"] == []
    modelled = found["modelled"]
    assert modelled["kind"] == "modelled"  # type: ignore[index]
    figures = modelled["figures"]  # type: ignore[index]
    assert {f["kind"] for f in figures.values()} == {"modelled"}
    assert 20 < figures["mj_per_audio_second"]["value"] < 100
    assert any("coin cell" in note for note in modelled["notes"])  # type: ignore[index]


def test_the_two_side_by_side(trace: Path, tmp_path: Path) -> None:
    page, plot = tmp_path / "a.html", tmp_path / "a.png"
    arguments = [trace, "--voltage", "3.3", "--marker", "D0", "--with-model", "--html", page]
    result = RUN.invoke(app, ["energy", *map(str, arguments), "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if "mJ" in line and "│" in line]
    assert len(lines) >= 4
    for line in lines:
        assert ("modelled" in line) == ("≈" in line)
        assert ("measured" in line) != ("modelled" in line)
    text = page.read_text()
    assert 'class="measured"' in text
    assert 'class="value modelled"' in text
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_page_never_shows_a_figure_without_its_kind() -> None:
    made = power.made(blocks=6)
    one = measure.by_marker(recorded(made), "D0")
    found = report.page(
        [one], model.estimate(60e6, "stm32f407"), [cells.find("1000")], "w2s energy"
    )
    text = found.render()
    for figure in [*one.figures.values(), *model.estimate(60e6, "stm32f407").figures().values()]:
        assert isinstance(figure, Measured | Modelled)
        assert figure.cell.render() in text


def test_other_chips_and_clocks() -> None:
    slow = run("--clock", "64")["modelled"]
    assert slow["figures"]["run_ma"]["value"] < 16  # type: ignore[index]
    other = run("--chip", "nrf52840")["modelled"]
    assert other["basis"] != "read in the datasheet"  # type: ignore[index]
    counted = run("--env", "mps2_an500", "--chip", "stm32h743", "--cycles", "50e6")["modelled"]
    assert counted["cycles_per_second"]["high"] == 50e6  # type: ignore[index]


def test_the_registry_is_listed() -> None:
    result = RUN.invoke(app, ["energy", "--chips", "--json"])
    assert {chip["chip"] for chip in json.loads(result.stdout)} >= {"stm32f407", "nrf52840"}
    assert "DS8626" in RUN.invoke(app, ["energy", "--chips"]).output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no.csv"], "cannot be read"),
        (["--marker", "D0", "--timeline", "x"], "exclude each other"),
        (["--port", "/dev/null"], "are for --live"),
        (["--cell", "AAAA"], "no cell"),
        (["--chip", "z80"], "knows no chip"),
        (["--env", "mps2_an386"], "not built with a chip"),
        (["--env", "mps2_an500", "--chip", "stm32h743"], "no cycle model"),
        (["--chip", "stm32u575"], "no cycle model"),
        (["--plot", "x.png"], "no trace to draw"),
    ],
)
def test_errors_of_the_command(arguments: list[str], says: str) -> None:
    result = RUN.invoke(app, ["energy", *arguments])
    assert result.exit_code == 1
    assert says in " ".join(result.output.split())
    assert "hint" in result.output


def test_the_page_says_what_the_command_says() -> None:
    """Within 6 %: a kernel may become a little faster without this page being written anew."""
    text = (paths.repo_root() / "docs" / "energy.md").read_text("utf-8")
    rows = re.findall(r"\| ≈ ([\d.]+) mJ .*\| ≈ ([\d.]+) mW .*`w2s energy ?(.*)` \|", text)
    assert len(rows) >= 4
    for work, power_, arguments in rows:
        figures = run(*arguments.split())["modelled"]["figures"]  # type: ignore[index]
        assert figures["mj_per_audio_second"]["value"] == pytest.approx(float(work), rel=0.06)
        assert figures["average_mw"]["value"] == pytest.approx(float(power_), rel=0.06)
