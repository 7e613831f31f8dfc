# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny's text commands: the parser against a grammar of its own, and conversations."""

import ctypes
import json
import os
import pty
import re
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.sessions import blocks, noise, run_clip, start
from support.tiny_runner import Port, Runner

from wav2small_micro import paths
from wav2small_micro.audio import Clip
from wav2small_micro.engines import base
from wav2small_micro.link.messages import (
    PROTOCOL_VERSION,
    Error,
    ErrorCode,
    Finish,
    Hello,
    HelloReply,
    Ping,
    Pong,
    StartReply,
)

VERBS = ["empty", "name", "profile", "timestamp", "help", "results", "mode", "mode_performance"]
VERBS += ["mode_energy", "db_load", "db_data", "db_print", "infer", "unknown", "malformed"]
MAX_BYTES = 40
EVERYTHING = 2**32 - 1
SPARE = 80000  # host_board.c


# --- The parser ----------------------------------------------------------------------------------


class Parsed(ctypes.Structure):
    """mlperf_command_t."""

    _fields_ = (
        ("verb", ctypes.c_int),
        ("first", ctypes.c_uint32),
        ("second", ctypes.c_uint32),
        ("complaint", ctypes.c_char_p),
        ("word", ctypes.c_void_p),
        ("word_length", ctypes.c_size_t),
        ("count", ctypes.c_size_t),
        ("bytes", ctypes.c_uint8 * MAX_BYTES),
    )


@dataclass(frozen=True)
class Command:
    """What a line means."""

    verb: str
    first: int = 0
    second: int = 0
    data: bytes = b""


@pytest.fixture(scope="module")
def parse(
    tmp_path_factory: pytest.TempPathFactory, compile_c: Callable[..., Any]
) -> Callable[[bytes], Command]:
    """The C parser on Python bytes."""
    source = paths.repo_root() / "firmware" / "src" / "mlperf_command.c"
    trap = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-shared", "-fPIC"]
    output = tmp_path_factory.mktemp("mlperf") / "parser.so"
    library = ctypes.CDLL(str(compile_c(output, [source], trap)))

    def call(line: bytes) -> Command:
        parsed = Parsed()
        text = ctypes.create_string_buffer(line, len(line) or 1)
        library.mlperf_parse(text, ctypes.c_size_t(len(line)), ctypes.byref(parsed))
        verb = VERBS[parsed.verb]
        start = ctypes.addressof(text)
        assert start <= parsed.word <= parsed.word + parsed.word_length <= start + len(line)
        assert parsed.count <= MAX_BYTES
        if verb == "malformed":
            assert parsed.complaint is not None
            assert 0 < len(parsed.complaint) <= 70
            return Command(verb)
        return Command(verb, parsed.first, parsed.second, bytes(parsed.bytes[: parsed.count]))

    return call


def number(word: bytes) -> int | None:
    """A decimal number below 2^32."""
    return int(word) if re.fullmatch(rb"[0-9]+", word) and int(word) < 2**32 else None


def expected_numbers(verb: str, words: list[bytes], defaults: list[int], least: int) -> Command:
    """A command of up to len(defaults) numbers, the first of which is at least `least`."""
    values = [number(word) for word in words]
    if len(values) > len(defaults) or None in values:
        return Command("malformed")
    filled = [value for value in values if value is not None] + defaults[len(values) :]
    return Command(verb, *filled) if filled[0] >= least else Command("malformed")


def expected(line: bytes) -> Command:
    """The grammar of docs/mlperf-tiny.md, in another language and by another way."""
    words = [word for word in line.split(b" ") if word]
    match words:
        case []:
            return Command("empty")
        case [(b"name" | b"profile" | b"timestamp" | b"help" | b"results") as word, *rest]:
            return Command("malformed" if rest else word.decode())
        case [b"mode"]:
            return Command("mode")
        case [b"mode", (b"performance" | b"energy") as word]:
            return Command("mode_" + word.decode())
        case [b"db", b"load", word]:
            return expected_numbers("db_load", [word], [0], 1)
        case [b"db", b"print", *rest]:
            return expected_numbers("db_print", rest, [EVERYTHING, 0], 0)
        case [b"db", digits] if re.fullmatch(rb"([0-9a-fA-F]{2})*", digits):
            data = bytes.fromhex(digits.decode())
            fits = len(data) <= MAX_BYTES
            return Command("db_data", 0, 0, data) if fits else Command("malformed")
        case [b"infer", *rest]:
            return expected_numbers("infer", rest, [1, 10], 1)
        case [b"db" | b"mode", *_]:
            return Command("malformed")
    return Command("unknown")


WORDS = b"name profile timestamp help results db load print infer mode energy performance".split()
words = st.one_of(
    st.sampled_from(WORDS),
    st.integers(0, 2**33).map(lambda n: str(n).encode()),
    st.binary(max_size=45).map(lambda b: b.hex().encode()),
    st.binary(max_size=6),
)
lines = st.lists(st.tuples(words, st.sampled_from([b" ", b" ", b"  ", b""])), max_size=5).map(
    lambda parts: b"".join(word + space for word, space in parts)
)


@given(lines)
@example(b"")
@example(b"db")
@example(b"db load")
@example(b"db load 0")
@example(b"db load 4294967295")
@example(b"db load 4294967296")
@example(b"db load -1")
@example(b"db " + b"ab" * MAX_BYTES)
@example(b"db " + b"ab" * (MAX_BYTES + 1))
@example(b"db 0g")
@example(b"db abc")
@example(b"db 0x12")
@example(b"infer 0")
@example(b"infer 1 2 3")
@example(b" name ")
@example(b"name\0")
def test_parser_follows_the_grammar(parse: Callable[[bytes], Command], line: bytes) -> None:
    assert parse(line) == expected(line)


@given(st.binary(max_size=100))
def test_parser_takes_any_bytes(parse: Callable[[bytes], Command], line: bytes) -> None:
    assert parse(line) == expected(line)


# --- Conversations -------------------------------------------------------------------------------


def load(device: Any, data: bytes, chunk: int = 31) -> None:
    """Load a buffer as the runner does."""
    assert device.mlperf(f"db load {len(data)}") == [f"m-[Expecting {len(data)} bytes]"]
    for at in range(0, len(data), chunk):
        is_last = at + chunk >= len(data)
        assert device.mlperf(f"db {data[at : at + chunk].hex()}") == ["m-load-done"] * is_last


def results(line: str) -> list[int]:
    """A/D/V in Q16 from `m-results-[...]`."""
    found = re.fullmatch(r"m-results-\[(.+),(.+),(.+)\]", line)
    assert found, line
    return [round(float(word) * 65536) for word in found.groups()]


def laps(lines: list[str]) -> list[int]:
    """Times in microseconds."""
    return [int(line.removeprefix("m-lap-us-")) for line in lines if line.startswith("m-lap-us-")]


def refused(lines: list[str]) -> str:
    """The reason, where it is the one line that came."""
    (line,) = lines
    found = re.fullmatch(r"e-\[(.+)\]", line)
    assert found, line
    return found.group(1)


def test_name_and_profile(device: Any) -> None:
    assert device.mlperf("name") == ["m-name-dut-[wav2small-micro]"]
    profile, model = device.mlperf("profile")
    assert re.fullmatch(r"m-profile-\[Wav2Small Micro 0\.1\.0, wav2small-\w+\]", profile)
    assert model == "m-model-[w2s01]"


def test_times_do_not_run_backwards(device: Any) -> None:
    times = [lap for _ in range(5) for lap in laps(device.mlperf("timestamp"))]
    assert len(times) == 5
    assert times == sorted(times)


def test_help_and_what_there_is_not(device: Any) -> None:
    text = "\n".join(device.mlperf("help"))
    for word in ("name", "profile", "timestamp", "db load", "db print", "infer", "results", "mode"):
        assert word in text
    assert device.mlperf("") == []
    assert refused(device.mlperf("reset")) == "Unknown command: reset"
    assert refused(device.mlperf("y" * 80)) == "Unknown command: " + "y" * 40
    assert refused(device.mlperf("y" * 81)) == "Command too long: 80 characters fit"
    assert refused(device.mlperf("db " + "00" * 38)) == "More bytes than expected: 0"


@pytest.mark.parametrize(("name", "chunk"), [("wav2small-72k", 31), ("wav2small-17k", 26)])
def test_results_are_the_librarys(
    name: str,
    chunk: int,
    build_app: Callable[..., Any],
    start_device: Callable[..., Any],
    clips: list[Clip],
) -> None:
    device = start_device(build_app(paths.model_dir(name) / "c" / "weights.c"))
    device.greet()
    engine = base.create("c", base.Model.load(name))
    pcm = clips[chunk % len(clips)].pcm[4000 : 4000 + 8000 + chunk]
    load(device, pcm.tobytes(), chunk)
    lines = device.mlperf("infer 2 1")
    shape = "m-warmup-start-1 m-warmup-done m-infer-start-2 m-lap-us- m-lap-us- m-infer-done "
    assert [line.rstrip("0123456789") for line in lines[:-1]] == [
        word.rstrip("012") for word in shape.split()
    ]
    assert lines[0] == "m-warmup-start-1"
    assert lines[2] == "m-infer-start-2"
    answer = engine.run(pcm).adv_q16
    assert answer is not None
    assert results(lines[-1]) == list(answer)
    begin, end = laps(lines)
    assert end > begin
    assert device.mlperf("results") == lines[-1:]
    assert device.mlperf("infer 1 0")[-1] == lines[-1], "the buffer is still there"
    engine.close()


def test_defaults_of_infer(device: Any) -> None:
    load(device, noise(0.05).tobytes())
    lines = device.mlperf("infer")
    assert (lines[0], lines[2]) == ("m-warmup-start-10", "m-infer-start-1")


def test_print_shows_what_was_loaded(device: Any) -> None:
    data = bytes(range(250, 256)) + bytes(range(16))
    load(device, data)
    rows = ["m-buffer-" + data[at : at + 8].hex("-") for at in range(0, 22, 8)]
    assert device.mlperf("db print") == rows
    assert device.mlperf("db print 8") == rows[:1]
    assert device.mlperf("db print 99 16") == rows[2:]
    assert device.mlperf("db print 0") == []
    assert device.mlperf("db print 5 22") == []
    assert refused(device.mlperf("db print 5 23")) == "Beyond what is loaded: 22 bytes"


def test_load_beyond_the_buffer_is_refused(device: Any) -> None:
    """And what the runner sends after it, which it does whatever the answer was."""
    load(device, noise(0.05).tobytes())
    complaint = f"Too long for the buffer: {SPARE} bytes fit"
    assert refused(device.mlperf(f"db load {SPARE + 2}")) == complaint
    assert refused(device.mlperf("db 0000")) == "More bytes than expected: 0"
    assert refused(device.mlperf("infer 1 0")) == "Nothing is loaded: 'db load' comes first"
    assert device.mlperf(f"db load {SPARE}") == [f"m-[Expecting {SPARE} bytes]"]


def test_board_without_spare_memory(start_device: Callable[..., Any]) -> None:
    device = start_device(HOST_BOARD_SPARE="0")
    device.greet()
    assert refused(device.mlperf("db load 2")) == "Too long for the buffer: 0 bytes fit"


def test_buffer_can_be_filled_to_the_last_byte(start_device: Callable[..., Any]) -> None:
    device = start_device(HOST_BOARD_SPARE="1000")
    device.greet()
    load(device, noise(500 / 16000).tobytes())
    assert device.mlperf("infer 1 0")[-1].startswith("m-results-")


def test_refused_data_leaves_the_buffer_alone(device: Any) -> None:
    device.mlperf("db load 6")
    device.mlperf("db 0102")
    assert refused(device.mlperf("db 03045")) == "Odd number of hex digits"
    assert refused(device.mlperf("db 0304zz")) == "Not a hex digit"
    assert refused(device.mlperf("db 0304 05")) == "Too many words"
    assert refused(device.mlperf("db 0304050607")) == "More bytes than expected: 4"
    assert refused(device.mlperf("infer 1 0")) == "Bytes still to come: 4"
    assert device.mlperf("db 03040506") == ["m-load-done"]
    assert device.mlperf("db print") == ["m-buffer-01-02-03-04-05-06"]


def test_what_cannot_be_inferred(device: Any) -> None:
    assert refused(device.mlperf("results")) == "No results: 'infer' comes first"
    assert "even" in refused(device.mlperf("db load 7"))
    assert "above 0" in refused(device.mlperf("infer 0"))
    load(device, bytes(2 * 63))
    for _ in range(2):
        *_, last = device.mlperf("infer 1 1")
        assert last == "e-[The clip is too short for an answer]"
    assert refused(device.mlperf("results")) == "No results: 'infer' comes first"
    load(device, bytes(2 * 64))
    assert device.mlperf("infer 1 0")[-1].startswith("m-results-")


# --- Energy mode ---------------------------------------------------------------------------------


def test_energy_mode_gives_edges_and_no_times(
    start_device: Callable[..., Any], tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    device = start_device(HOST_BOARD_MARKER=str(marker))
    device.greet()
    assert device.mlperf("mode") == ["m-timestamp-mode-performance"]
    load(device, noise(0.05).tobytes())
    assert len(laps(device.mlperf("infer 3 1"))) == 2
    assert marker.read_text() == "10" * 4, "high during every run"
    marker.unlink()
    assert device.mlperf("mode energy") == ["m-timestamp-mode-energy"]
    assert device.mlperf("timestamp") == []
    assert marker.read_text() == "10"
    lines = device.mlperf("infer 3 1")
    assert laps(lines) == []
    assert lines[3] == "m-infer-done"
    assert marker.read_text() == "10" * 3, "one edge before the runs and one after them"
    device.mlperf("mode performance")
    assert len(laps(device.mlperf("timestamp"))) == 1


@pytest.mark.parametrize("energy", [0, 1])
def test_firmware_for_the_runner_starts_with_text_alone(
    energy: int, build_app: Callable[..., Any], weights: Path, start_device: Callable[..., Any]
) -> None:
    """The runner's reader dies of bytes that are not ASCII; frames come once a frame has asked."""
    options = ("-DMLPERF_RUNNER=1", f"-DMLPERF_STARTS_WITH_ENERGY={energy}")
    device = start_device(build_app(weights, *options), HOST_BOARD_FAULT="1")
    lines = [device.read().text for _ in range(4 if energy else 5)]
    assert lines[1] == "m-timestamp-mode-" + ("energy" if energy else "performance")
    assert lines[-2:] == ["m-init-done", "m-ready"]
    assert device.silent()
    assert isinstance(device.ask(Hello(PROTOCOL_VERSION)), HelloReply)
    assert device.read().message is not None, "the fault of the run before"


# --- At a serial port ----------------------------------------------------------------------------


@contextmanager
def at_a_port(binary: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A pty for the application, and the function that starts it there."""
    controller, terminal = pty.openpty()
    tty.setraw(terminal)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        started.append(subprocess.Popen([binary], stdin=controller, stdout=controller))

    try:
        yield os.ttyname(terminal), start
    finally:
        for process in started:
            process.kill()
            process.wait(10)
        os.close(terminal)
        os.close(controller)


def test_runner_that_hears_the_board_start(
    build_app: Callable[..., Any], weights: Path, clips: list[Clip]
) -> None:
    """Byte for byte it is text. The `m-ready` of the start is read first: it answers nothing."""
    data = clips[0].pcm[4000:4800].tobytes()
    with at_a_port(build_app(weights, "-DMLPERF_RUNNER=1")) as (url, begin):
        port = Port(url, 30)
        try:
            begin()
            assert port.answer()[-2:] == ["m-init-done", "m-ready"]
            runner = Runner(port)
            runner.identify(settle=0)
            loops = runner.run([data], loops=2, runs=2, warmups=0)
            assert port.error is None
        finally:
            port.close()
    assert runner.facts["name"] == "wav2small-micro"
    assert runner.facts["model"] == "w2s01"
    assert len(loops[0].results) == 3
    assert loops[0].results == loops[1].results


def test_command_line_at_a_port(app_binary: Path, weights: Path, clip_paths: list[Path]) -> None:
    model = weights.parents[1].name
    other = next(name for name in paths.model_names() if name != model)

    def w2s(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "wav2small_micro", "mlperf", *map(str, clip_paths[:2])]
        command += ["--port", url, "--seconds", "0.2", "--model", model, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with at_a_port(app_binary) as (url, begin):
        begin()
        ran = w2s("--runs", "2", "--json")
        assert ran.returncode == 0, ran.stderr
        result = json.loads(ran.stdout)
        assert result["identical"]
        assert result["device"]["model"] == "w2s01"
        assert len(result["loops"]) == 5
        throughput, latency = result["median"]["throughput"], result["median"]["latency_ms"]
        assert throughput == pytest.approx(1000 / latency)
        assert result["median"]["instructions"] is None
        assert any("10 s are wanted" in rule for rule in result["rules"]["broken"])
        ran = w2s("--mode", "accuracy")
        assert ran.returncode == 0
        assert "Median of 2 loops" in ran.stdout
        ran = w2s("--model", other)
        assert ran.returncode == 1
        assert f"the device runs {model!r}, not {other!r}" in ran.stderr


# --- Sessions and the benchmark on one engine ----------------------------------------------------


def test_infer_ends_the_session_that_runs(device: Any) -> None:
    clip = noise(0.5)
    expected, _ = run_clip(device, 1, clip)
    load(device, noise(0.1, seed=3).tobytes())
    device.ask(start(2, clip, tap_mask=1 << 10))
    first, second, *_ = blocks(2, clip)
    device.send(first, 1)
    while device.read().seq != 1:
        pass
    while not device.silent(0.05):
        device.read()
    assert device.mlperf("infer 2 0")[-1].startswith("m-results-"), "and no row comes"
    assert device.ask(second) == Error(ErrorCode.NO_SESSION, 3, 0, 0)
    assert device.ask(Finish(2, 1)) == Error(ErrorCode.NO_SESSION, 4, 0, 0)
    again, _ = run_clip(device, 3, clip)
    assert (again.arousal, again.dominance, again.valence) == (
        expected.arousal,
        expected.dominance,
        expected.valence,
    )


def test_loading_leaves_the_session_alone(device: Any) -> None:
    clip = noise(0.2)
    expected, _ = run_clip(device, 1, clip)
    device.ask(start(2, clip))
    audio = blocks(2, clip)
    for block in audio:
        device.ask(block)
        device.mlperf("db load 4")
        device.mlperf("db 12345678")
        device.mlperf("name")
    result = device.ask(Finish(2, len(audio)))
    assert result.arousal == expected.arousal
    assert result.valence == expected.valence


def test_sessions_leave_the_buffer_alone(device: Any) -> None:
    load(device, noise(0.1, seed=3).tobytes())
    before = device.mlperf("infer 1 0")[-1]
    run_clip(device, 1, noise(0.3))
    assert device.mlperf("results") == [before]
    assert device.mlperf("infer 1 0")[-1] == before


def begin_long_infer(device: Any) -> None:
    """Half an hour of work, if nothing stops it."""
    load(device, noise(0.1).tobytes())
    device.write(b"infer 100000 0%")
    while not device.read().text.startswith("m-lap-us-"):
        pass


INTERRUPTED = ["e-[Interrupted by what came next]", "m-ready"]


def test_command_interrupts_infer(device: Any) -> None:
    begin_long_infer(device)
    assert device.mlperf("name") == INTERRUPTED[:1]
    assert [device.read().text, device.read().text] == ["m-name-dut-[wav2small-micro]", "m-ready"]
    assert refused(device.mlperf("results")) == "No results: 'infer' comes first"
    assert device.mlperf("infer 1 0")[-1].startswith("m-results-")


def test_frame_and_line_interrupt_infer(device: Any) -> None:
    begin_long_infer(device)
    device.send(Ping(b"there?"))
    assert [device.read().text for _ in range(2)] == INTERRUPTED
    assert device.read().message == Pong(b"there?")
    begin_long_infer(device)
    assert device.command("live off", 3) == [*INTERRUPTED, "live off"]
    begin_long_infer(device)
    device.send(start(5, noise(0.1)))
    assert [device.read().text for _ in range(2)] == INTERRUPTED
    assert isinstance(device.read().message, StartReply)


def test_noise_and_empty_lines_do_not_interrupt(device: Any) -> None:
    load(device, noise(0.1).tobytes())
    device.write(b"infer 30 0%\r\n\r\n\xff\x80")
    lines = []
    while not lines or lines[-1] != "m-ready":
        lines.append(device.read(60).text)
    assert lines[-2].startswith("m-results-")
