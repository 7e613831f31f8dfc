# SPDX-License-Identifier: Apache-2.0
"""The HIL suite on the real firmware: it passes on every board, and names each planted defect."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from support.planted import (
    BentLine,
    Firmware,
    Piece,
    ToDevice,
    ToHost,
    as_is,
    on_every,
    on_nth,
    passed,
)

from wav2small_micro import paths, pio
from wav2small_micro.emulator import Emulator
from wav2small_micro.engines.base import Model
from wav2small_micro.hil.checks import CHECKS
from wav2small_micro.hil.diagnosis import Diagnosis
from wav2small_micro.hil.rig import Options, Rig, Target, emulator_target
from wav2small_micro.hil.suite import Suite
from wav2small_micro.link import messages
from wav2small_micro.link.codec import Frame, encode
from wav2small_micro.link.errors import LinkLost
from wav2small_micro.link.messages import Layer, Message
from wav2small_micro.link.transport import Transport
from wav2small_micro.plan import Plan

pytestmark = pytest.mark.emulator

MODEL = "wav2small-72k"
CLIP = paths.repo_root() / "tests" / "clips" / "no_short_en.flac"
OPTIONS = Options(clips=(CLIP,), soak_seconds=0, pings=8, patience_s=5.0, late_s=4.0)


@pytest.fixture(scope="module")
def model() -> Model:
    """The model that the device should run."""
    return Model.load(MODEL)


@pytest.fixture(scope="module")
def elf() -> Path:
    """The firmware of the first board, without defects."""
    return pio.build(pio.DEFAULT_ENV, MODEL)


@pytest.fixture
def firmware(elf: Path) -> Firmware:
    """A copy of it, to plant defects in."""
    return Firmware(elf)


def judge(target: Target, model: Model, options: Options = OPTIONS) -> Suite:
    """All checks on a target."""
    suite = Suite(Rig(target, model, options), CHECKS)
    try:
        suite.run()
    finally:
        suite.rig.close()
    return suite


def failures(suite: Suite) -> dict[str, list[str]]:
    """Checks that failed, and their diagnoses."""
    return {
        result.name: [finding.diagnosis.name for finding in result.findings]
        for result in suite.results.values()
        if result.verdict == "fail"
    }


# --- Without defects ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", paths.model_names())
@pytest.mark.parametrize("env", pio.emulated())
def test_every_board_passes(env: str, name: str) -> None:
    model = Model.load(name)
    target = emulator_target(env, model.folder)
    suite = judge(target, model, replace(OPTIONS, soak_seconds=2.0))
    assert failures(suite) == {}
    assert {result.verdict for result in suite.results.values()} == {"pass"}
    assert suite.summary == "PASS"
    assert suite.rig.evidence.layers["lin"][0] == 0


# --- Defects in the firmware --------------------------------------------------------------------


def conv(plan: Plan, number: int, field: str, change: Callable[[np.ndarray], None]) -> Plan:
    """A plan with one field of l``number`` changed."""
    convs = list(plan.convs)
    values = getattr(convs[number - 1], field).copy()
    change(values)
    convs[number - 1] = replace(convs[number - 1], **{field: values})
    return replace(plan, convs=tuple(convs))


def weight(firmware: Firmware, plan: Plan, kernels: str = "dsp") -> None:
    def change(values: np.ndarray) -> None:
        values[5, 1, 2, 7] += 3

    firmware.put_model(conv(plan, 4, "weight", change), kernels)


def weight_of_sof(firmware: Firmware, plan: Plan) -> None:
    values = plan.sof.weight.copy()
    values[100, 0, 6, 2] ^= 0x20
    firmware.put_model(replace(plan, sof=replace(plan.sof, weight=values)))


def bias(firmware: Firmware, plan: Plan) -> None:
    def change(values: np.ndarray) -> None:
        values[4] += 300

    firmware.put_model(conv(plan, 6, "bias", change))


def shift(firmware: Firmware, plan: Plan) -> None:
    def change(values: np.ndarray) -> None:
        values[2] += 1

    firmware.put_model(conv(plan, 2, "shift", change))


def word_of_winograd(firmware: Firmware, plan: Plan) -> None:
    """A bit of a transformed weight: of two channels, of no one weight of the .tflite."""
    held = bytearray(firmware.read("l7_winograd"))
    held[400] ^= 0x80
    firmware.write("l7_winograd", bytes(held))


def channels(firmware: Firmware, plan: Plan) -> None:
    order = np.array([0, 1, 2, 7, 4, 5, 6, 3, 8, 9, 10, 11, 12])
    layer = plan.convs[4]
    fields = ("weight", "bias", "multiplier", "shift")
    swapped = replace(layer, **{field: getattr(layer, field)[order] for field in fields})
    firmware.put_model(replace(plan, convs=(*plan.convs[:4], swapped, *plan.convs[5:])))


def mel_weight(firmware: Firmware, plan: Plan) -> None:
    held = np.frombuffer(firmware.read("w2s_mel_weights"), "<u2").copy()
    held[20] //= 2
    firmware.write("w2s_mel_weights", held.tobytes())


def input_scale(firmware: Firmware, plan: Plan) -> None:
    good, other = ((plan.input_multiplier + i).to_bytes(4, "little") for i in (0, 3000))
    firmware.replace("w2s_model_data", good, other)


def exp_table(firmware: Firmware, plan: Plan) -> None:
    held = np.frombuffer(firmware.read("exp_table"), "<u4").copy()
    held[3] += 2000
    firmware.write("exp_table", held.tobytes())


def head_weight(firmware: Firmware, plan: Plan) -> None:
    held = np.frombuffer(firmware.read("head_weight"), "<i4").copy()
    held[169 + 20] += 400_000
    firmware.write("head_weight", held.tobytes())


def old_hash(firmware: Firmware, plan: Plan) -> None:
    firmware.replace("w2s_model_data", bytes.fromhex(plan.sha256), bytes(range(32)))


def stack_overflow(firmware: Firmware, plan: Plan) -> None:
    """``push {r0-r7, lr}`` for ever."""
    firmware.write("request_finish", bytes.fromhex("ffb5 fde7"))


def undefined_instruction(firmware: Firmware, plan: Plan) -> None:
    firmware.write("request_ping", bytes.fromhex("00de"))


@pytest.mark.parametrize(
    ("plant", "diagnosis", "check", "seen"),
    [
        (weight, "WEIGHT_DIFFERS", "rows.l4", "channel 5 of 13.*ky 1, kx 2, input 7.*by [+]3"),
        (weight_of_sof, "WEIGHT_DIFFERS", "rows.sof", "channel 100 of 169.*kx 6, input 2"),
        (bias, "BIAS_DIFFERS", "rows.l6", "channel 4 of 13.*[+](300|299 to [+]301)"),
        (shift, "SHIFT_DIFFERS", "rows.l2", "channel 2 of 13: as if shifted by"),
        (word_of_winograd, "WEIGHTS_DIFFER", "rows.l7", "l7"),
        (channels, "CHANNELS_SWAPPED", "rows.l5", "channels 3, 7"),
        (mel_weight, "FRONT_END_DIFFERS", "rows.logmel", "in band .* alone"),
        (input_scale, "INPUT_DIFFERS", "rows.input", "input: "),
        (exp_table, "HEAD_DIFFERS", "adv", "arousal"),
        (head_weight, "HEAD_DIFFERS", "adv", "golden: dominance: "),
        (old_hash, "STALE_MODEL", "identity", "wav2small-72k 000102"),
        (stack_overflow, "FAULT_STACK", "golden", "STACK fault"),
        (undefined_instruction, "FAULT", "line", "USAGE fault"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_defect_in_the_firmware(
    firmware: Firmware,
    model: Model,
    tmp_path: Path,
    plant: Callable[[Firmware, Plan], None],
    diagnosis: str,
    check: str,
    seen: str,
) -> None:
    plant(firmware, model.plan)
    elf = firmware.save(tmp_path / "firmware.elf")
    suite = judge(emulator_target(pio.DEFAULT_ENV, model.folder, elf=elf), model)
    assert suite.summary == diagnosis, failures(suite)
    found = [f for f in suite.results[check].findings if f.diagnosis.name == diagnosis]
    assert found, failures(suite)
    assert re.search(seen, found[0].seen), found[0].seen
    # What follows from it is not blamed: one layer, no more.
    blamed = [name for name in failures(suite) if name.startswith("rows.")]
    assert blamed in ([], [check])


def test_defect_in_helium_weights(tmp_path: Path) -> None:
    """Another core, another kernel set, the other architecture: the same weight is named."""
    model = Model.load("wav2small-17k")
    firmware = Firmware(pio.build("mps3_an547", model.folder))
    weight(firmware, model.plan, "mve")
    elf = firmware.save(tmp_path / "firmware.elf")
    suite = judge(emulator_target("mps3_an547", model.folder, elf=elf), model)
    assert suite.summary == "WEIGHT_DIFFERS"
    assert "channel 5 of 13: its weight at ky 1, kx 2, input 7" in suite.findings[0].seen


def test_another_model_is_told_from_one_that_takes_its_name(model: Model, tmp_path: Path) -> None:
    other = Model.load("wav2small-17k")
    elf = pio.build(pio.DEFAULT_ENV, other.folder)
    suite = judge(emulator_target(pio.DEFAULT_ENV, model.folder, elf=elf), model)
    assert suite.summary == "WRONG_MODEL"
    assert suite.results["golden"].verdict == "skip"
    forged = Firmware(elf)
    hashes = (bytes.fromhex(m.plan.sha256) for m in (other, model))
    forged.replace("w2s_model_data", *hashes)
    elf = forged.save(tmp_path / "firmware.elf")
    suite = judge(emulator_target(pio.DEFAULT_ENV, model.folder, elf=elf), model)
    assert suite.summary == "FORGED_MODEL"
    assert "those of wav2small-17k" in suite.findings[0].seen


# --- Defects of the line, and lies --------------------------------------------------------------


@dataclass
class Case:
    """A line that is bent in one way."""

    to_host: ToHost = passed
    to_device: ToDevice = as_is
    first: bytes = b""
    text: bool = True
    options: Options = OPTIONS


def lost_reply() -> Case:
    return Case(on_nth(messages.Credit, 9, lambda frame: []))


def lost_event() -> Case:
    return Case(on_nth(messages.Row, 700, lambda frame: []))


def late_reply() -> Case:
    def delay(frame: Frame) -> list[Piece]:
        return [(0.6, encode(frame.message, frame.seq))]

    return Case(on_nth(messages.Pong, 3, delay), options=replace(OPTIONS, late_s=0.4))


def reply_twice() -> Case:
    return Case(on_nth(messages.Pong, 3, lambda frame: 2 * passed(frame)))


def event_twice() -> Case:
    return Case(on_nth(messages.Row, 700, lambda frame: 2 * passed(frame)))


def out_of_order() -> Case:
    """Two windows change places."""
    held: list[Piece] = []

    def to_host(frame: Frame) -> list[Piece]:
        if not isinstance(frame.message, messages.Window):
            return passed(frame)
        if not held:
            held.extend(passed(frame))
            return []
        return passed(frame) + held

    return Case(to_host)


def reset_midway() -> Case:
    reset = encode(messages.Reset(messages.RESET_MAGIC), 77)
    return Case(to_device=lambda n, data: data + reset if n == 12 else data)


def dropped_byte() -> Case:
    def drop(frame: Frame) -> list[Piece]:
        data = encode(frame.message, frame.seq)
        return [(0.0, data[:20] + data[21:])]

    return Case(on_nth(messages.Row, 700, drop))


def flipped_bit() -> Case:
    def flip(frame: Frame) -> list[Piece]:
        data = bytearray(encode(frame.message, frame.seq))
        at = next(i for i in range(20, len(data)) if data[i] != 0x10)
        data[at] ^= 0x10
        return [(0.0, bytes(data))]

    return Case(on_nth(messages.Row, 700, flip))


def noise_between() -> Case:
    noise = bytes([0xF8, 0x81, 0x3C, 0x07] * 5)
    return Case(on_nth(messages.Pong, 3, lambda frame: [(0.0, noise), *passed(frame)]))


def damage_on_the_way_out() -> Case:
    return Case(to_device=lambda n, data: data[:30] + data[31:] if n == 14 else data)


def rows_swapped() -> Case:
    """Rows 10 and 11 of l4 have each other's values."""
    held: list[Frame] = []

    def to_host(frame: Frame) -> list[Piece]:
        row = frame.message
        is_l4 = isinstance(row, messages.Row) and row.layer == Layer.L4
        if not held and not (is_l4 and row.row == 10):
            return passed(frame)
        held.append(frame)
        if not (is_l4 and row.row == 11):
            return []
        first, last = held[0].message, held[-1].message
        held[0] = replace(held[0], message=replace(first, data=last.data))
        held[-1] = replace(held[-1], message=replace(last, data=first.data))
        pieces = [piece for kept in held for piece in passed(kept)]
        held.clear()
        return pieces

    return Case(to_host)


def narrow_rows() -> Case:
    """A layer of another width."""

    def cut(row: Message) -> Message:
        return replace(row, data=row.data[:100]) if row.layer == Layer.LIN else row

    return Case(on_every(messages.Row, cut))


def rows_of_half_a_value() -> Case:
    def cut(row: Message) -> Message:
        return replace(row, data=row.data[:51]) if row.layer == Layer.LOGMEL else row

    return Case(on_every(messages.Row, cut))


def every(kind: type[Message], **changes: object) -> Callable[[], Case]:
    """A case that changes fields of every message of a kind."""
    return lambda: Case(on_every(kind, lambda message: replace(message, **changes)))


def counters_that_lie() -> Case:
    def lie(counters: Message) -> Message:
        return replace(counters, tx_frames=counters.tx_frames + counters.tx_frames // 100)

    return Case(on_every(messages.CountersReply, lie))


def clock_that_lies() -> Case:
    def lie(counters: Message) -> Message:
        return replace(counters, ticks_total=counters.ticks_total + 60 * counters.tick_hz)

    return Case(on_every(messages.CountersReply, lie))


def full_stack() -> Case:
    def lie(counters: Message) -> Message:
        return replace(counters, stack_high_water=counters.stack_size - 100)

    return Case(on_every(messages.CountersReply, lie))


def overruns() -> Case:
    lost = iter(range(0, 1000, 7))
    return Case(on_every(messages.CountersReply, lambda c: replace(c, rx_overruns=next(lost))))


def old_answers() -> Case:
    """Each FINISH gets the result of the clip before."""
    last: list[Message] = []

    def old(result: Message) -> Message:
        last.append(result)
        told = last[-2] if len(last) > 2 else result
        return replace(told, session=result.session, frames=result.frames, rows=result.rows)

    return Case(on_every(messages.Result, old))


HASTY = replace(OPTIONS, patience_s=1.5)  # where no answer will come


def silent() -> Case:
    return Case(lambda frame: [], text=False, options=HASTY)


def echo() -> Case:
    """TX and RX touch: what comes back is what was sent."""
    sent: list[bytes] = []

    def keep(number: int, data: bytes) -> bytes:
        sent.append(data)
        return data

    return Case(lambda frame: [(0.0, sent[-1])] if sent else [], keep, options=HASTY)


def wrong_baud_rate() -> Case:
    noise = bytes([0xF8, 0x80, 0x3C, 0xC0] * 5)
    return Case(lambda frame: [(0.0, noise)], text=False, options=HASTY)


def other_firmware() -> Case:
    return Case(lambda frame: [(0.0, b"ERROR: unknown command\r\n")], options=HASTY)


def port_that_goes_away() -> Case:
    def go(frame: Frame) -> list[Piece]:
        raise LinkLost("/dev/ttyACM0 is gone: unplugged")

    return Case(on_nth(messages.Credit, 12, go))


def lying_windows(lie: Callable[[messages.Window], messages.Window]) -> Callable[[], Case]:
    return lambda: Case(on_every(messages.Window, lie))  # type: ignore[arg-type]


def frozen(window: messages.Window) -> messages.Window:
    return replace(window, arousal=30000, dominance=31000, valence=32000)


def one_wrong(window: messages.Window) -> messages.Window:
    return replace(window, valence=window.valence + (window.segment == 2))


def quiet(window: messages.Window) -> messages.Window:
    return replace(window, level_rms=window.level_rms // 2)


@pytest.mark.parametrize(
    ("case", "diagnosis", "check"),
    [
        (lost_reply, "LOST_FRAMES", "line"),
        (lost_event, "LOST_FRAMES", "line"),
        (late_reply, "LATE", "line"),
        (reply_twice, "REPEATED", "line"),
        (event_twice, "REPEATED", "line"),
        (out_of_order, "REORDERED", "line"),
        (reset_midway, "RESET", "line"),
        (dropped_byte, "BYTES_DROPPED", "line"),
        (flipped_bit, "BITS_FLIPPED", "line"),
        (noise_between, "NOISE", "line"),
        (damage_on_the_way_out, "DAMAGED_OUTWARD", "line"),
        (rows_swapped, "ROWS_SWAPPED", "rows.l4"),
        (narrow_rows, "ROWS_MISSING", "rows.lin"),
        (rows_of_half_a_value, "NONSENSE", "golden"),
        (every(messages.HelloReply, segments=0), "WINDOWS_MISSING", "windows"),
        (every(messages.Result, valence=0), "HEAD_DIFFERS", "adv"),
        (old_answers, "STALE_ANSWER", "clips"),
        (lying_windows(frozen), "WINDOWS_FROZEN", "windows"),
        (lying_windows(one_wrong), "WINDOWS_DIFFER", "windows"),
        (lying_windows(quiet), "LEVEL_DIFFERS", "windows"),
        (counters_that_lie, "COUNTERS_DISAGREE", "counters"),
        (clock_that_lies, "TICKS_IMPLAUSIBLE", "ticks"),
        (full_stack, "STACK_LOW", "stack"),
        (overruns, "RX_OVERRUN", "counters"),
        (every(messages.HelloReply, protocol=9), "WRONG_PROTOCOL", "answers"),
        (every(messages.HelloReply, fw_minor=9), "WRONG_FIRMWARE", "identity"),
        (every(messages.HelloReply, board="mps2_an386"), "WRONG_BOARD", "identity"),
        (silent, "SILENT", "answers"),
        (echo, "ECHO", "answers"),
        (wrong_baud_rate, "NOISE", "answers"),
        (other_firmware, "NOT_OURS", "answers"),
        (port_that_goes_away, "NO_PORT", "line"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_defect_of_the_line(
    elf: Path, model: Model, case: Callable[[], Case], diagnosis: str, check: str
) -> None:
    target, planted = emulator_target(pio.DEFAULT_ENV, model.folder, elf=elf), case()
    suite = judge(bent(target, planted), model, planted.options)
    assert suite.summary == diagnosis, failures(suite)
    assert diagnosis in failures(suite)[check]


@pytest.mark.parametrize(
    ("first", "note"),
    [
        (b"U-Boot 2026.01\r\nStarting kernel ...\r\n", Diagnosis.BANNER),
        (bytes([0x03, 0xF8, 0x91, 0x00, 0x17, 0xFF]) * 9, Diagnosis.GARBAGE),
    ],
)
def test_what_comes_before_the_first_frame_is_told_and_forgiven(
    elf: Path, model: Model, first: bytes, note: Diagnosis
) -> None:
    target = emulator_target(pio.DEFAULT_ENV, model.folder, elf=elf)
    suite = judge(bent(target, Case(first=first)), model)
    assert suite.summary == "PASS"
    assert note in {finding.diagnosis for finding in suite.results["line"].findings}


def test_a_crash_before_the_run_is_told_and_forgiven(
    firmware: Firmware, model: Model, tmp_path: Path
) -> None:
    undefined_instruction(firmware, model.plan)
    elf = firmware.save(tmp_path / "firmware.elf")
    with Emulator(elf, pio.board()) as emulator:
        emulator.transport().write(encode(messages.Ping(b""), 1), 1.0)
        while b"Wav2Small" not in emulator.transport().read(2.0):
            pass  # the first boot's greeting; the second one has it too
        target = Target("an emulator that crashed", lambda: nullcontext(emulator.transport()))
        suite = Suite(Rig(target, model, OPTIONS), CHECKS)
        suite.run(["answers", "rows.l1", "line"])
        suite.rig.close()
    assert suite.summary == "PASS"
    (told,) = (f for f in suite.findings if f.diagnosis is Diagnosis.EARLIER_FAULT)
    assert "USAGE fault" in told.seen


def test_a_reset_that_nobody_heard(elf: Path, model: Model) -> None:
    """Another identity of the boot gives it away."""

    def to_host(frame: Frame) -> list[Piece]:
        return [] if isinstance(frame.message, messages.Boot) else passed(frame)

    reset = encode(messages.Reset(messages.RESET_MAGIC), 77)
    case = Case(to_host, lambda n, data: data + reset if n == 12 else data)
    target = emulator_target(pio.DEFAULT_ENV, model.folder, elf=elf)
    suite = judge(bent(target, case), model)
    assert suite.summary == "RESET", failures(suite)


def bent(target: Target, case: Case) -> Target:
    """The same device behind a line that is bent."""

    @contextmanager
    def opened() -> Iterator[Transport]:
        with target.open() as transport:
            yield BentLine(transport, case.to_host, case.to_device, case.first, case.text)

    return replace(target, open=opened)
