# SPDX-License-Identifier: Apache-2.0
"""The checks, in the order in which they are run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wav2small_micro import attention, layers, native, streaming
from wav2small_micro.audio import RATE, Clip
from wav2small_micro.hil import differences
from wav2small_micro.hil.diagnosis import Diagnosis, Finding
from wav2small_micro.hil.rig import Rig, Rows, firmware_version
from wav2small_micro.hil.suite import Check, Outcome
from wav2small_micro.link.messages import LOGMEL_PER_DB, Q16_ONE, CountersReply
from wav2small_micro.metrics import DIMENSIONS, ccc
from wav2small_micro.report import CONCORDANCE, CONCORDANCE_CLIPS, WORST

LAYERS = ("logmel", "input", *layers.ORDER)
LOGMEL_BOUND_DB = 0.5
"""What the integer log-mel may differ from float64 where it is above the floor."""
_FLOOR_MARGIN_DB = 20.0  # above -100 dB
_SEGMENT = 8000  # samples in half a second
_SOAK_PIECE = 20 * RATE
_MACS_PER_CYCLE = 16  # more than any of these cores can do

_CHECKS: list[Check] = []


def _check(
    name: str, holds: str, needs: Iterable[str] = ()
) -> Callable[[Callable[[Rig, Outcome], None]], Callable[[Rig, Outcome], None]]:
    def add(run: Callable[[Rig, Outcome], None]) -> Callable[[Rig, Outcome], None]:
        _CHECKS.append(Check(name, holds, run, tuple(needs)))
        return run

    return add


# --- Who is there -------------------------------------------------------------------------------


@_check("host", "engines c and tflite of this machine give the golden vectors")
def _host(rig: Rig, outcome: Outcome) -> None:
    """Before the device is blamed."""
    golden, pcm = rig.golden, rig.golden["pcm"]
    output = rig.network.run(pcm, rows=("input", *layers.ORDER))
    wrong = [
        f"c differs at {name}"
        for name in ("input", *layers.ORDER)
        if not np.array_equal(output.rows[name], golden[name])
    ]
    answers = {"c": output.adv_q16, "tflite": _adv_of(rig, "tflite", pcm)}
    wrong += [
        f"{name} answers {_list(adv)}, golden is {_list(golden['adv_q16'])}"
        for name, adv in answers.items()
        if not np.array_equal(adv, golden["adv_q16"])
    ]
    for seen in wrong[:1]:
        outcome.find(Diagnosis.HOST_DISAGREES, seen)


@_check("answers", "the device says hello and tells its counters")
def _answers(rig: Rig, outcome: Outcome) -> None:
    facts = rig.device.hello()
    rig.first_boot = facts.boot_id
    rig.device.counters()
    outcome.facts.append(f"{facts.board}, boot {facts.boot_id:#010x}")


@_check("identity", "firmware, board and model hash are those of this checkout", ["answers"])
def _identity(rig: Rig, outcome: Outcome) -> None:
    facts, model = rig.facts, rig.model
    runs, wanted = (facts.fw_major, facts.fw_minor, facts.fw_patch), firmware_version()
    if runs != wanted:
        outcome.find(Diagnosis.WRONG_FIRMWARE, f"{_dotted(runs)}, not {_dotted(wanted)}")
    if rig.target.board not in (None, facts.board):
        outcome.find(Diagnosis.WRONG_BOARD, f"{facts.board}, not {rig.target.board}")
    sha256 = facts.model_sha256.hex()
    if sha256 != model.plan.sha256:
        stale = facts.model == model.plan.name
        outcome.find(
            Diagnosis.STALE_MODEL if stale else Diagnosis.WRONG_MODEL,
            f"{facts.model} {sha256[:12]}, not {model.plan.name} {model.plan.sha256[:12]}",
        )
    outcome.facts.append(f"firmware {_dotted(runs)}, {facts.model} {sha256[:12]}")


# --- The golden clip: every layer ---------------------------------------------------------------


def _golden_rows(rig: Rig) -> Rows:
    """The device's rows of the golden clip; run once."""
    if rig.golden_answer is None:
        rig.golden_answer = rig.run(rig.golden_clip, LAYERS)
    return rig.golden_answer[1]


@_check("golden", "the golden clip runs with every layer tapped", ["host", "identity"])
def _golden(rig: Rig, outcome: Outcome) -> None:
    rows = _golden_rows(rig)
    outcome.facts.append(f"{sum(len(found) for found in rows.values())} rows")


@_check("model", "the rows are not those of another model", ["golden"])
def _model(rig: Rig, outcome: Outcome) -> None:
    rows, pcm = _golden_rows(rig), rig.golden["pcm"]
    if np.array_equal(rows["lin"], rig.golden_rows["lin"]):
        return
    for name, plan in rig.other_models.items():
        other = native.Network(plan).run(pcm, rows=("lin", "sof")).rows
        if all(np.array_equal(rows[layer], other[layer]) for layer in ("lin", "sof")):
            outcome.find(Diagnosis.FORGED_MODEL, f"lin and sof are those of {name}, bit for bit")


def _rows(layer: str, rig: Rig, outcome: Outcome) -> None:
    rows, expected = _golden_rows(rig), rig.golden_rows[layer]
    finding = differences.explain(layer, rig.model.plan, rows, expected)
    if finding:
        outcome.findings.append(finding)
    elif not np.array_equal(rows[layer], expected):
        outcome.facts.append("differs, as the rows before it make it")
    if layer == "logmel":
        _judge_logmel(rig, outcome, rows["logmel"])
    else:
        _keep_layer(rig, layer, rows[layer], expected)


def _judge_logmel(rig: Rig, outcome: Outcome, got: NDArray[np.int16]) -> None:
    """Against float64: bits that agree with a library that is wrong are wrong."""
    exact = rig.golden["logmel"]
    if got.shape != exact.shape:
        return
    error = np.abs(got / LOGMEL_PER_DB - exact)
    heard = exact > exact.min() + _FLOOR_MARGIN_DB
    rig.evidence.logmel_error = np.where(heard, error, 0).max(axis=1)
    worst = float(error[heard].max())
    outcome.facts.append(f"at most {worst:.3f} dB from float64")
    if worst > LOGMEL_BOUND_DB and not outcome.findings:
        seen = f"{worst:.2f} dB from float64, {LOGMEL_BOUND_DB} promised"
        outcome.find(Diagnosis.FRONT_END_DIFFERS, seen)


def _keep_layer(rig: Rig, layer: str, got: NDArray[np.int8], expected: NDArray[np.int8]) -> None:
    apart = int((got != expected).sum()) if got.shape == expected.shape else expected.size
    error = math.nan
    exact = rig.float_layers.get(layer)
    if exact is not None and got.size == exact.size:
        error = _cost(got.astype(np.float64) - rig.zeros[layer], exact.reshape(got.shape))
    rig.evidence.layers[layer] = (apart, expected.size, error)


def _cost(got: NDArray[np.float64], exact: NDArray[np.floating]) -> float:
    """RMS of int8 rows less float ones, relative to float. The conversion gives each channel a
    scale of its own (it equalises layers), so that each is first brought to float's."""
    got, exact = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (got, exact))
    power = (got * got).sum(axis=0)
    scale = (got * exact).sum(axis=0) / np.where(power > 0, power, 1)
    return float(np.sqrt(np.mean((got * scale - exact) ** 2) / np.mean(exact**2)))


for _layer in LAYERS:
    _CHECKS.append(
        Check(
            f"rows.{_layer}", f"every row of {_layer} is right", partial(_rows, _layer), ("golden",)
        )
    )


@_check("adv", "A/D/V of the golden clip are right, twice", ["golden"])
def _adv(rig: Rig, outcome: Outcome) -> None:
    assert rig.golden_answer
    answer, rows = rig.golden_answer
    expected = rig.golden["adv_q16"]
    _judge_adv(rig, outcome, "golden", answer.adv_q16, expected, rows)
    again, _ = rig.run(rig.golden_clip)
    if not np.array_equal(again.adv_q16, answer.adv_q16):
        seen = f"{_list(answer.adv_q16)}, then {_list(again.adv_q16)}"
        outcome.find(Diagnosis.NOT_REPEATABLE, seen)
    outcome.facts.append(_words(answer.adv_q16))


def _judge_adv(
    rig: Rig,
    outcome: Outcome,
    name: str,
    got: NDArray[np.int32],
    expected: NDArray[np.int32],
    rows: Rows,
) -> None:
    """The answer, given the rows of lin and sof that it should follow from."""
    if np.array_equal(got, expected) or any(
        rows[name].shape[1:] != layers.SHAPES[name] for name in ("lin", "sof")
    ):
        return
    own = attention.pool(rows["lin"], rows["sof"], rig.model.plan)
    if np.array_equal(got, own):
        return  # lin or sof are to blame, and their check says so
    wrong = [d for d, a, b in zip(DIMENSIONS, got, own, strict=True) if a != b]
    outcome.find(
        Diagnosis.HEAD_DIFFERS,
        f"{name}: {', '.join(wrong)}: {_list(got)} in Q16 where lin and sof give {_list(own)}",
    )


# --- Clips --------------------------------------------------------------------------------------


@_check("clips", "log-mel, lin, sof and A/D/V of clips equal c and tflite", ["golden"])
def _clips(rig: Rig, outcome: Outcome) -> None:
    before: NDArray[np.int32] = rig.golden["adv_q16"]
    wrong: list[str] = []  # clips whose rows differ
    for clip in rig.clips:
        rig.progress(f"clips: {clip.path.name}, {clip.seconds:.1f} s")
        before = _run_clip(rig, outcome, clip, before, wrong)
    if wrong:
        outcome.facts.append(f"rows differ in {len(wrong)} of {len(rig.clips)} clips")
    seconds = sum(clip.seconds for clip in rig.clips)
    outcome.facts.append(f"{len(rig.clips)} clips, {seconds:.1f} s")


@_check("float", "A/D/V of clips are as near float as promised", ["clips"])
def _float(rig: Rig, outcome: Outcome) -> None:
    """The bits are right by now: this is about the model."""
    names, exact, device = zip(*rig.evidence.scatter, strict=True)
    apart = np.abs(np.array(device) - np.array(exact)).max(axis=1)
    outcome.facts.append(f"at most {apart.max():.4f} apart")
    for name, far in zip(names, apart, strict=True):
        if far > WORST:
            outcome.find(Diagnosis.FAR_FROM_FLOAT, f"{name}: {far:.4f}, {WORST} promised")
    if len(names) >= CONCORDANCE_CLIPS:
        agree = [ccc(np.array(exact)[:, i], np.array(device)[:, i]) for i in range(3)]
        outcome.facts.append(f"CCC of at least {min(agree):.4f}")
        if min(agree) < CONCORDANCE:
            seen = f"a CCC of {min(agree):.4f}, {CONCORDANCE} promised"
            outcome.find(Diagnosis.FAR_FROM_FLOAT, seen)


def _run_clip(
    rig: Rig, outcome: Outcome, clip: Clip, before: NDArray[np.int32], wrong: list[str]
) -> NDArray[np.int32]:
    """One clip; returns the right answer, which the next clip must not get."""
    expected = rig.network.run(clip.pcm, rows=LAYERS)
    right = expected.adv_q16
    seen = _host_differs(rig, clip, expected)
    if seen:
        outcome.find(Diagnosis.HOST_DISAGREES, seen)
    answer, rows = rig.run(clip, ("logmel", "lin", "sof"))
    exact = rig.engines["float"].run(clip.pcm).adv
    rig.evidence.scatter.append((clip.path.name, exact, answer.adv_q16 / Q16_ONE))
    rig.evidence.audio_seconds.append(rig.audio_seconds)
    apart = [name for name in rows if not np.array_equal(rows[name], expected.rows[name])]
    if apart:
        if not wrong:  # once is enough
            outcome.findings += _locate(rig, clip, expected.rows, apart)
        wrong.append(clip.path.name)
    elif np.array_equal(answer.adv_q16, before) and _differ(before, right):
        outcome.find(Diagnosis.STALE_ANSWER, f"{clip.path.name} got {_list(before)} again")
    else:
        _judge_adv(rig, outcome, clip.path.name, answer.adv_q16, right, rows)
    return right


def _host_differs(rig: Rig, clip: Clip, c: native.Output) -> str:
    """Where engine tflite parts from engine c; empty where it does not."""
    tflite = rig.engines["tflite"].run(clip.pcm, rows=True)
    pairs = {
        "lin": (tflite.lin, c.rows["lin"]),
        "sof": (tflite.sof, c.rows["sof"]),
        "A/D/V": (tflite.adv_q16, c.adv_q16),
    }
    apart = [name for name, (a, b) in pairs.items() if a is None or not np.array_equal(a, b)]
    return f"{clip.path.name}: c and tflite differ at {', '.join(apart)}" if apart else ""


def _locate(rig: Rig, clip: Clip, expected: Rows, apart: list[str]) -> list[Finding]:
    """The clip once more with every layer tapped: where do the rows part?"""
    rig.progress(f"clips: {clip.path.name} again, every layer")
    _, rows = rig.run(clip, LAYERS)
    found = [
        Finding(finding.diagnosis, f"{clip.path.name}: {finding.seen}")
        for layer in LAYERS
        if (finding := differences.explain(layer, rig.model.plan, rows, expected[layer]))
    ]
    if found:
        return found
    seen = f"{clip.path.name}: {', '.join(apart)} differed, and did not when it was run again"
    return [Finding(Diagnosis.NOT_REPEATABLE, seen)]


# --- Live ---------------------------------------------------------------------------------------


@_check("windows", "live windows and their levels equal those of c", ["clips"])
def _windows(rig: Rig, outcome: Outcome) -> None:
    pcm = np.concatenate([clip.pcm for clip in rig.clips])[: 4 * RATE + 1000]
    pcm = np.resize(pcm, max(len(pcm), 2 * RATE + 1000))
    count = _live(rig, outcome, pcm)
    outcome.facts.append(f"{count} windows")


def _live(rig: Rig, outcome: Outcome, pcm: NDArray[np.int16]) -> int:
    """Live audio, its windows against the library's; how many there were."""
    segments = min(rig.options.window_segments, rig.facts.segments)
    if not segments:
        outcome.find(Diagnosis.WINDOWS_MISSING, "it says that it has room for none")
        return 0
    answers = list(
        streaming.stream(rig.device, streaming.chunks(pcm), window_segments=segments, restarts=0)
    )
    begin = rig.audio_seconds
    rig.audio_seconds += len(pcm) / RATE
    expected = rig.network.run(pcm, "live", window_segments=segments).windows
    got = np.array([answer.adv_q16 for answer in answers], np.int32).reshape(-1, 3)
    for answer, right in zip(answers, expected, strict=False):
        rig.evidence.live.append((begin + answer.seconds, right / Q16_ONE, answer.adv))
    _judge_windows(outcome, [answer.seconds for answer in answers], got, expected)
    _judge_levels(outcome, pcm, answers)
    return len(got)


def _judge_windows(
    outcome: Outcome, ends: list[float], got: NDArray[np.int32], expected: NDArray[np.int32]
) -> None:
    wanted = [(i + 1) * streaming.SEGMENT_SECONDS for i in range(len(expected))]
    # The network is some milliseconds behind: the last window may still be under way.
    if ends not in (wanted, wanted[:-1]):
        outcome.find(Diagnosis.WINDOWS_MISSING, f"{len(ends)} came, {len(wanted)} were due")
        return
    apart = np.flatnonzero((got != expected[: len(got)]).any(axis=1))
    if not len(apart):
        return
    if len(got) > 1 and (got == got[0]).all() and _differ(expected[0], expected[1]):
        outcome.find(Diagnosis.WINDOWS_FROZEN, f"all {len(got)} are {_list(got[0])}")
        return
    first = int(apart[0])
    seen = f"{len(apart)} of {len(got)}, the first after {ends[first]:.1f} s: "
    seen += f"{_list(got[first])}, not {_list(expected[first])}"
    outcome.find(Diagnosis.WINDOWS_DIFFER, seen)


def _judge_levels(
    outcome: Outcome, pcm: NDArray[np.int16], answers: list[streaming.WindowAnswer]
) -> None:
    whole = pcm[: len(pcm) // _SEGMENT * _SEGMENT].astype(np.int64).reshape(-1, _SEGMENT)
    for answer, heard in zip(answers, whole, strict=False):
        level = math.isqrt(int((heard * heard).sum()) // _SEGMENT)
        right = 20 * math.log10(level / 32768) if level else -math.inf
        if answer.level_db != right and abs(answer.level_db - right) > 0.01:
            seen = f"after {answer.seconds:.1f} s {answer.level_db:.1f} dB, not {right:.1f}"
            outcome.find(Diagnosis.LEVEL_DIFFERS, seen)
            return


@_check("soak", "live audio for a while: every window right, nothing lost", ["windows"])
def _soak(rig: Rig, outcome: Outcome) -> None:
    left = round(rig.options.soak_seconds * RATE)
    if left < RATE:
        outcome.skipped = "no soak was asked for"
        return
    heard = np.concatenate([clip.pcm for clip in rig.clips])
    windows = start = 0
    while left >= RATE and not outcome.findings:
        piece = min(left, _SOAK_PIECE)
        rig.progress(f"soak: {left / RATE:.0f} s of audio to go")
        windows += _live(rig, outcome, np.resize(np.roll(heard, -start), piece))
        start, left = start + piece, left - piece
    outcome.facts.append(f"{windows} windows")


# --- Time and room ------------------------------------------------------------------------------


@_check("latency", "pings come back, and in time", ["answers"])
def _latency(rig: Rig, outcome: Outcome) -> None:
    seconds = [rig.device.ping(bytes([i % 256]) * 32) for i in range(rig.options.pings)]
    median, slowest = float(np.median(seconds)), max(seconds)
    outcome.facts.append(f"median {1e3 * median:.1f} ms, slowest {1e3 * slowest:.1f} ms")
    if median > rig.late_s:
        outcome.find(Diagnosis.LATE, f"pings take {median:.2f} s, {rig.late_s:g} s allowed")


@_check("ticks", "the times that the device tells are plausible", ["golden"])
def _ticks(rig: Rig, outcome: Outcome) -> None:
    clip = rig.clips[0]
    begin = rig.clock()
    rig.run(clip)
    elapsed = rig.clock() - begin
    counters = rig.device.counters()
    if counters.samples != len(clip.pcm):
        seen = f"it counted {counters.samples} samples of {len(clip.pcm)}"
        outcome.find(Diagnosis.COUNTERS_DISAGREE, seen)
    outcome.findings += _implausible(rig, counters, elapsed)
    if counters.tick_hz:
        for stage in ("front_end", "network", "pool", "total"):
            ticks = getattr(counters, f"ticks_{stage}")
            rig.evidence.ticks[stage] = ticks / counters.tick_hz / clip.seconds
        share = rig.evidence.ticks["total"]
        whose = ", of the emulator's clock" if rig.emulated else ""
        outcome.facts.append(f"{1e3 * share:.0f} ms of work a second of audio{whose}")


def _implausible(rig: Rig, counters: CountersReply, elapsed: float) -> Iterable[Finding]:
    """Times that cannot be."""
    parts = counters.ticks_front_end + counters.ticks_network + counters.ticks_pool
    total = counters.ticks_total
    said = total / max(1, counters.tick_hz)
    wrong = []
    if not counters.tick_hz:
        wrong.append("a tick rate of 0")
    if not 0 < parts <= total:
        wrong.append(f"its stages come to {parts} ticks, all of it to {total}")
    if said > 1.05 * elapsed + 0.05:
        wrong.append(f"it says that it worked for {said:.2f} s of {elapsed:.2f} s")
    cycles = rig.model.plan.macs_per_second * counters.samples / RATE / _MACS_PER_CYCLE
    if not rig.emulated and said * rig.facts.clock_hz < cycles:
        wrong.append(f"{said:.4f} s at {rig.facts.clock_hz / 1e6:.0f} MHz are too few for its sums")
    return [Finding(Diagnosis.TICKS_IMPLAUSIBLE, seen) for seen in wrong]


@_check("stack", "the stack was never nearly full", ["golden"])
def _stack(rig: Rig, outcome: Outcome) -> None:
    counters = rig.device.counters()
    used, size = counters.stack_high_water, counters.stack_size
    outcome.facts.append(f"{used:,} of {size:,} bytes used")
    if used > size - rig.options.stack_margin:
        seen = f"{size - used} bytes were left, {rig.options.stack_margin} must be"
        outcome.find(Diagnosis.STACK_LOW, seen)


# --- Books --------------------------------------------------------------------------------------


@_check("counters", "the device's counters and the host's agree", ["answers"])
def _counters(rig: Rig, outcome: Outcome) -> None:
    watch = rig.watch
    assert watch
    rig.device.counters()
    if len(watch.audits) < 2:
        outcome.skipped = "the device was not read twice without a repetition"
        return
    first, last = watch.audits[0], watch.audits[-1]
    if first.lives != last.lives:
        outcome.skipped = "the device or its port was gone in between"
        return
    device = {
        name: getattr(last.device, name) - getattr(first.device, name)
        for name in ("frames_ok", "tx_frames", "blocks_accepted", "rx_overruns", "uart_errors")
    }
    outcome.facts.append(f"{device['frames_ok']:,} frames out, {device['tx_frames']:,} back")
    if device["rx_overruns"]:
        outcome.find(Diagnosis.RX_OVERRUN, f"{device['rx_overruns']} bytes lost")
    books = watch.books
    lost = books.unanswered + books.missing + watch.unanswered_now
    taken = last.sent - first.sent - watch.damaged_outward
    pairs = [
        ("frames that it took", device["frames_ok"], taken - lost, taken),
        (
            "frames that it sent",
            device["tx_frames"],
            last.received - first.received - books.repeated,
            last.received - first.received + books.broken + lost,
        ),
        ("blocks that it took", device["blocks_accepted"], *[last.blocks - first.blocks] * 2),
    ]
    for what, said, least, most in pairs:
        if not least <= said <= most:
            counted = f"{least}" if least == most else f"{least} to {most}"
            outcome.find(
                Diagnosis.COUNTERS_DISAGREE, f"{what}: it says {said}, the host counts {counted}"
            )


@_check("line", "every frame came, once, whole, in order and in time", ["answers"])
def _line(rig: Rig, outcome: Outcome) -> None:
    assert rig.watch
    boot = rig.device.hello().boot_id
    rig.watch.settle(rig.late_s)
    books = rig.watch.books
    if boot != rig.first_boot and not books.resets:  # nobody heard it boot
        outcome.find(Diagnosis.RESET, f"boot {rig.first_boot:#010x} became {boot:#010x}")
    outcome.findings += rig.watch.findings(rig.late_s)
    outcome.facts.append(f"{books.sent:,} frames out, {books.received:,} back")


def _adv_of(rig: Rig, engine: str, pcm: NDArray[np.int16]) -> NDArray[np.int32]:
    answer = rig.engines[engine].run(pcm).adv_q16
    assert answer is not None  # an integer engine
    return answer


# --- Words --------------------------------------------------------------------------------------


def _differ(a: NDArray[np.int32], b: NDArray[np.int32]) -> bool:
    return not np.array_equal(a, b)


def _list(adv: NDArray[np.int32]) -> str:
    return str([int(x) for x in adv])


def _words(adv: NDArray[np.int32]) -> str:
    values = (f"{d[0].upper()} {x / Q16_ONE:.4f}" for d, x in zip(DIMENSIONS, adv, strict=True))
    return ", ".join(values)


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))


CHECKS = tuple(_CHECKS)
"""All of them. A later one may rely on what an earlier one found."""
