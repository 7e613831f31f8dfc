# SPDX-License-Identifier: Apache-2.0
"""The parts of the HIL suite without a device: explanations, order of blame, files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import naive

from wav2small_micro import layers, paths
from wav2small_micro.engines.base import Model
from wav2small_micro.errors import W2sError
from wav2small_micro.hil import differences, junit
from wav2small_micro.hil.checks import CHECKS
from wav2small_micro.hil.diagnosis import Diagnosis, Finding
from wav2small_micro.hil.rig import Rig, firmware_version, serial_target
from wav2small_micro.hil.suite import Check, Outcome, Suite
from wav2small_micro.hil.watch import Watch, is_frame_but_for_a_bit
from wav2small_micro.link import messages
from wav2small_micro.link.codec import encode
from wav2small_micro.plan import Layer, Plan

# --- Explanations -------------------------------------------------------------------------------


def rows_of(plan: Plan, seed: int) -> dict[str, np.ndarray]:
    """Every layer's rows for random log-mel rows."""
    rng = np.random.default_rng(seed)
    logmel = rng.integers(-100 * 128, 0, (40, 26)).astype(np.int16)
    rows = {"logmel": logmel, "input": layers.quantise(logmel, plan)}
    return rows | layers.network(rows["input"], plan)


def explained(plan: Plan, other: Plan, seed: int) -> dict[str, Finding]:
    """What is found in a device that runs ``other`` in place of ``plan``, by layer."""
    right, got = rows_of(plan, seed), rows_of(other, seed)
    found = {name: differences.explain(name, plan, got, right[name]) for name in right}
    return {name: finding for name, finding in found.items() if finding}


def with_layer(plan: Plan, name: str, change: Callable[[Layer], Layer]) -> Plan:
    """A plan with one layer changed."""
    changed = change(layers.layer_of(plan, name))
    if name in ("lin", "sof"):
        return replace(plan, **{name: changed})
    at = int(name[1:]) - 1
    return replace(plan, convs=(*plan.convs[:at], changed, *plan.convs[at + 1 :]))


LAYERS = st.sampled_from(["l1", "l2", "l5", "l7", "lin", "sof"])


@settings(deadline=None, max_examples=20)
@given(LAYERS, st.sampled_from(["72k", "17k"]), st.integers(0, 2**32), st.integers(8, 120))
def test_one_weight_is_found_where_it_is(
    name: str, architecture: str, seed: int, change: int
) -> None:
    """Whatever the layer and the weight: no other layer is blamed, and no other cause for sure."""
    plan = naive.random_plan(seed, architecture)
    rng = np.random.default_rng(seed)

    def spoil(layer: Layer) -> Layer:
        weight = layer.weight.copy()
        at = tuple(int(rng.integers(size)) for size in weight.shape)
        weight[at] = weight[at] + (change if weight[at] < 0 else -change)
        return replace(layer, weight=weight)

    found = explained(plan, with_layer(plan, name, spoil), seed)
    assert set(found) <= {name}
    if found:  # a channel may be silent
        assert found[name].diagnosis in (Diagnosis.WEIGHT_DIFFERS, Diagnosis.WEIGHTS_DIFFER)


@settings(deadline=None, max_examples=10)
@given(LAYERS, st.integers(0, 2**32), st.sampled_from([-1, 1]))
def test_a_shift_is_told_from_a_weight(name: str, seed: int, change: int) -> None:
    plan = naive.random_plan(seed)

    def spoil(layer: Layer) -> Layer:
        shift = layer.shift.copy()
        shift[3] = min(0, shift[3] + change)
        return replace(layer, shift=shift)

    found = explained(plan, with_layer(plan, name, spoil), seed)
    assert set(found) <= {name}
    if found:
        assert found[name].diagnosis in (Diagnosis.SHIFT_DIFFERS, Diagnosis.WEIGHTS_DIFFER)


def spoiled(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Finding | None:
    """What is found where the line changed the rows of one layer."""
    plan = naive.random_plan(5)
    right = rows_of(plan, 5)
    return differences.explain(name, plan, right | {name: change(right[name])}, right[name])


@pytest.mark.parametrize(
    ("name", "change", "diagnosis", "seen"),
    [
        ("l3", lambda x: x[[0, 1, 3, 2, *range(4, 40)]], "ROWS_SWAPPED", "rows 2, 3"),
        ("l6", lambda x: np.concatenate([x[:1], x[:-1]]), "ROWS_SHIFTED", "1 too late"),
        ("lin", lambda x: np.concatenate([x[2:], x[:2]]), "ROWS_SWAPPED", "lin: rows"),
        ("sof", lambda x: np.concatenate([x[1:], x[:1] // 2]), "ROWS_SHIFTED", "1 too early"),
        ("sof", lambda x: x[:-1], "ROWS_MISSING", "sof"),
        ("pool", lambda x: np.minimum(x, 90), "POOL_DIFFERS", "pool: "),
        ("input", lambda x: np.minimum(x, 20), "INPUT_DIFFERS", "input: "),
        ("logmel", lambda x: x + (np.arange(26) == 7), "FRONT_END_DIFFERS", "in band 7 alone"),
        ("logmel", lambda x: x - 128, "FRONT_END_DIFFERS", "every band, by up to 1.00 dB"),
    ],
)
def test_rows_that_are_wrong_in_another_way(
    name: str, change: Callable[[np.ndarray], np.ndarray], diagnosis: str, seen: str
) -> None:
    finding = spoiled(name, lambda x: change(x).astype(x.dtype))
    assert finding is not None
    assert finding.diagnosis.name == diagnosis
    assert seen in finding.seen


def test_rows_that_are_right() -> None:
    assert spoiled("l4", lambda x: x) is None


# --- The watch ----------------------------------------------------------------------------------


def test_a_flipped_bit_is_told_from_a_missing_byte() -> None:
    frame = encode(messages.Pong(b"a few bytes of a reply"), 7)[1:-1]
    flipped = bytearray(frame)
    flipped[9] ^= 0x04
    assert is_frame_but_for_a_bit(bytes(flipped))
    assert not is_frame_but_for_a_bit(frame[:9] + frame[10:])
    assert not is_frame_but_for_a_bit(b"A line of text, which is neither.")


class Script:
    """A transport that gives what the test puts in."""

    name = "script"

    def __init__(self) -> None:
        self.incoming = b""

    def read(self, timeout: float) -> bytes:
        data, self.incoming = self.incoming, b""
        return data

    def write(self, data: bytes, timeout: float) -> None: ...

    def reopen(self, timeout: float) -> None: ...

    def close(self) -> None: ...


def test_the_books_of_a_line() -> None:
    """A request that is repeated and answered twice is no repetition; one more answer is."""
    now = [100.0]
    script = Script()
    watch = Watch(script, clock=lambda: now[0])

    def hear(*frames: tuple[messages.Message, int]) -> None:
        script.incoming = b"".join(encode(message, seq) for message, seq in frames)
        watch.read(0)

    ping, pong = messages.Ping(b"x"), messages.Pong(b"x")
    watch.write(encode(ping, 1), 1)
    now[0] += 2.0
    watch.write(encode(ping, 1), 1)
    hear((pong, 1))
    assert watch.unanswered_now == 1
    hear((pong, 1))
    assert watch.findings(late_s=3.0) == []
    assert [f.diagnosis for f in watch.findings(late_s=1.0)] == [Diagnosis.LATE]
    hear((pong, 1))
    assert [f.diagnosis for f in watch.findings(late_s=3.0)] == [Diagnosis.REPEATED]
    assert watch.books.latencies == {"PING": [2.0]}
    # Events are numbered from the boot on: 255 is followed by 0.
    window = messages.Window(1, 0, 0, 0, 0, 0, 0)
    hear((window, 254), (window, 255), (window, 0), (window, 1))
    assert watch.books.missing == 0
    hear((window, 4))
    assert watch.books.missing == 2
    hear((window, 2))
    assert (watch.books.missing, watch.books.reordered) == (1, 1)
    hear((messages.Boot(1, 4), 0), (window, 1))
    found = watch.findings(late_s=3.0)
    assert found[0].diagnosis == Diagnosis.RESET
    assert "WATCHDOG" in found[0].seen


@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(0, 255))
def test_no_stream_confuses_the_watch(chunks: list[bytes], seq: int) -> None:
    """Whatever came before, between and after: a reply that is whole is counted, once."""
    script = Script()
    watch = Watch(script)
    watch.write(encode(messages.Ping(b"y"), seq), 1)
    for chunk in [*chunks, b"\0" + encode(messages.Pong(b"y"), seq), *chunks]:
        script.incoming = chunk
        watch.read(0)
    assert watch.unanswered_now == 0
    assert watch.books.repeated == watch.books.unanswered == 0
    assert all(f.diagnosis.name in ("NOISE", "GARBAGE", "BANNER") for f in watch.findings(10))


# --- The suite ----------------------------------------------------------------------------------


def suite_of(*checks: Check) -> Suite:
    """A suite whose checks ask for no device."""
    return Suite(Rig(serial_target("/dev/w2s-nowhere"), Model.load("wav2small-72k")), checks)


def find(diagnosis: Diagnosis) -> Callable[[Rig, Outcome], None]:
    return lambda rig, outcome: outcome.find(diagnosis, "seen \x00 <&>")


def test_the_first_to_blame_is_the_verdict(tmp_path: Path) -> None:
    suite = suite_of(
        Check("late", "in time", find(Diagnosis.LATE)),
        Check("note", "fine", find(Diagnosis.BANNER)),
        Check("reset", "lives", find(Diagnosis.RESET)),
        Check("after", "needs it", find(Diagnosis.SILENT), needs=("note", "reset")),
        Check("rows.l1", "is in a group", lambda rig, outcome: None),
    )
    suite.run()
    verdicts = {name: result.verdict for name, result in suite.results.items()}
    assert verdicts == {
        "late": "fail", "note": "pass", "reset": "fail", "after": "skip", "rows.l1": "pass",
    }  # fmt: skip
    assert suite.summary == "RESET"
    assert suite.results["after"].skipped == "reset did not pass"
    assert suite.names(["rows", "late"]) == ["late", "rows.l1"]
    with pytest.raises(W2sError, match="no check 'row'"):
        suite.names(["row"])
    junit.write(tmp_path / "x.xml", suite)
    root = ElementTree.parse(tmp_path / "x.xml").getroot()
    assert [root.get(name) for name in ("tests", "failures", "skipped")] == ["5", "2", "1"]
    assert "seen \ufffd <&>" in (root.findtext(".//failure") or "")


def test_what_a_check_needs_is_run_first() -> None:
    ran: list[str] = []
    suite = suite_of(
        Check("first", "", lambda rig, outcome: ran.append("first")),
        Check("other", "", lambda rig, outcome: ran.append("other")),
        Check("last", "", lambda rig, outcome: ran.append("last"), needs=("first",)),
    )
    suite.run(["last"])
    assert ran == ["first", "last"]
    assert suite.passed


def test_nothing_checked_is_no_pass() -> None:
    def skip(rig: Rig, outcome: Outcome) -> None:
        outcome.skipped = "not today"

    suite = suite_of(Check("only", "", skip))
    suite.run()
    assert not suite.passed
    assert suite.summary == "NOTHING CHECKED"


def test_checks_need_only_what_comes_before() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= seen
        assert check.name not in seen
        seen.add(check.name)


def float_check(distances: list[float]) -> Suite:
    """The verdict on a device whose A/D/V were so far from float, clip by clip."""
    check = next(check for check in CHECKS if check.name == "float")
    suite = suite_of(replace(check, needs=()))
    for i, distance in enumerate(distances):
        exact = np.array([0.3, 0.5, 0.7]) + 0.01 * i
        suite.rig.evidence.scatter.append((f"clip {i}", exact, exact + np.array([0, distance, 0])))
    suite.run()
    return suite


def test_distance_from_float() -> None:
    assert float_check([0.001, -0.029]).summary == "PASS"
    far = float_check([0.001, -0.031, 0.2])
    assert far.summary == "FAR_FROM_FLOAT"
    assert [finding.seen.split(":")[0] for finding in far.findings] == ["clip 1", "clip 2"]
    # Many clips, each near enough, whose differences eat up what they agree on.
    assert float_check([0.02, -0.02] * 10).summary == "FAR_FROM_FLOAT"
    assert float_check([0.001, -0.001] * 10).summary == "PASS"


# --- Documents ----------------------------------------------------------------------------------


def test_the_page_names_every_diagnosis() -> None:
    page = (paths.repo_root() / "docs" / "hil.md").read_text("utf-8")
    table = [line for line in page.splitlines() if line.startswith("| ") and line[2].isupper()]
    assert table == [f"| {d.name} | {d.meaning} | {d.advice} |" for d in Diagnosis]


def test_the_version_of_the_firmware_is_read() -> None:
    assert firmware_version() >= (0, 1, 0)
