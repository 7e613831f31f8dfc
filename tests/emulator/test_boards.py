# SPDX-License-Identifier: Apache-2.0
"""Each board in QEMU: start-up, faults, watchdog, time, both transports, linker checks.

Most of it runs board_check/main.c, which asks every function of board.h for its proof; the firmware
itself has to build, to fit and to answer.
"""

import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wav2small_micro import pio
from wav2small_micro.emulator import Emulator, LinkKind
from wav2small_micro.errors import W2sError
from wav2small_micro.paths import model_names, repo_root

pytestmark = pytest.mark.emulator

ENVS = pio.emulated()
CHECK = Path(__file__).with_name("board_check")

EMULATED, WATCHDOG, SEMIHOSTING = 1, 8, 16
POWER_ON, SOFTWARE, BY_WATCHDOG, BY_FAULT = 1, 3, 4, 5
BUS, USAGE, STACK, EXCEPTION = 3, 4, 5, 6
UNDEFINED_INSTRUCTION, DIVISION_BY_ZERO = 1 << 16, 1 << 25  # in the CFSR
NOTHING = 0xF0000000  # an address where no board has anything
UNUSED_IRQ = 31


@pytest.fixture(scope="session", params=ENVS)
def env(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def check_elf(env) -> Path:
    """board_check built for the board."""
    answer = subprocess.run(
        [sys.executable, "-m", "platformio", "run", "-d", CHECK, "-e", env],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return repo_root() / ".pio" / "build" / "board_check" / env / "firmware.elf"


class Conversation:
    """Letters to the board, lines from it."""

    def __init__(self, emulator: Emulator) -> None:
        self.transport = emulator.transport()
        self._got = b""

    def line(self, timeout: float = 5.0) -> str:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._got:
            left = deadline - time.monotonic()
            assert left > 0, f"no line in {timeout} s, only {self._got!r}"
            self._got += self.transport.read(left)
        line, _, self._got = self._got.partition(b"\n")
        return line.decode(errors="replace").strip()

    def say(self, letter: str) -> None:
        self.transport.write(letter.encode(), 5.0)

    def ask(self, letter: str) -> dict[str, str]:
        self.say(letter)
        return dict(word.split("=") for word in self.line().split())

    def number(self, letter: str, name: str) -> int:
        return int(self.ask(letter)[name])


@pytest.fixture(scope="session")
def start(check_elf, env):
    """Starts the board; ends it with the session."""
    running = []

    def run(link: LinkKind = LinkKind.UART, *, icount: bool = False) -> Conversation:
        emulator = Emulator(check_elf, pio.board(env), link=link, icount=icount)
        running.append(emulator)
        conversation = Conversation(emulator)
        assert conversation.line() == "ready"
        return conversation

    yield run
    for emulator in running:
        emulator.close()


@pytest.fixture(scope="session")
def check(start) -> Conversation:
    """The board over its UART, for all tests that leave it in order."""
    return start()


# --- Start-up -----------------------------------------------------------------------------------


def test_facts(start, env):
    facts = start().ask("i")
    assert facts["board"] == env
    assert int(facts["clock_hz"]) == pio.board(env).clock_hz
    assert int(facts["reset_cause"]) == POWER_ON
    assert int(facts["flags"]) & EMULATED
    assert not int(facts["flags"]) & SEMIHOSTING
    assert (int(facts["rx_overruns"]), int(facts["uart_errors"])) == (0, 0)


def test_stack_is_measured(check):
    facts = check.ask("i")
    assert int(facts["stack_size"]) == 4096
    assert 64 < int(facts["stack_high_water"]) < 2048


def test_floating_point_unit_is_on(check):
    assert check.number("v", "sum") == 30


def test_milliseconds_pass(check):
    """No faster than here; slower where QEMU has to wait for a core and misses ticks."""
    start = time.monotonic()
    before = check.number("i", "ms")
    passed = 0
    while passed < 250:
        assert time.monotonic() - start < 20
        time.sleep(0.1)
        passed = check.number("i", "ms") - before
    assert passed <= 1000 * (time.monotonic() - start) + 2


def test_reset_gives_another_boot_id(check):
    before = check.number("i", "boot_id")
    check.say("r")
    assert check.line() == "ready"
    facts = check.ask("i")
    assert int(facts["boot_id"]) != before
    assert int(facts["reset_cause"]) == SOFTWARE


# --- Faults -------------------------------------------------------------------------------------


def fault_after(check: Conversation, letter: str) -> dict[str, int]:
    """Lets the board run into a fault; what it reports after its reset."""
    check.say(letter)
    assert check.line() == "ready"
    assert check.number("i", "reset_cause") == BY_FAULT
    return {name: int(value) for name, value in check.ask("f").items()}


def function_at(elf: Path, address: int) -> str:
    answer = subprocess.run(
        ["arm-none-eabi-addr2line", "-f", "-i", "-e", elf, hex(address)],
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("letter", "kind", "function"),
    [("u", USAGE, "undefined_instruction"), ("z", USAGE, "divide_by_zero"),
     ("b", BUS, "read_nothing")],
)  # fmt: skip
def test_fault_is_reported_after_the_reset(check, check_elf, letter, kind, function):
    fault = fault_after(check, letter)
    assert fault["kind"] == kind
    assert function_at(check_elf, fault["pc"]) == function
    cause = {"u": UNDEFINED_INSTRUCTION, "z": DIVISION_BY_ZERO, "b": fault["cfsr"]}[letter]
    assert fault["cfsr"] & cause
    assert fault["address"] == (NOTHING if letter == "b" else 0)


def test_stack_overflow_is_told_from_other_faults(check):
    assert fault_after(check, "s")["kind"] == STACK


def test_interrupt_that_nothing_handles(check):
    fault = fault_after(check, "x")
    assert (fault["kind"], fault["address"]) == (EXCEPTION, 16 + UNUSED_IRQ)


def test_fault_is_reported_once(check):
    fault_after(check, "u")
    check.say("f")
    assert check.line() == "none"


# --- Watchdog -----------------------------------------------------------------------------------


def test_watchdog_ends_a_hang_and_nothing_else(check, env):
    facts = check.ask("i")
    if not int(facts["flags"]) & WATCHDOG:
        pytest.skip(f"QEMU does not model the watchdog of {env}")
    time.sleep(5)
    assert check.ask("i")["boot_id"] == facts["boot_id"]
    check.say("h")
    assert check.line(timeout=30) == "ready"
    assert check.number("i", "reset_cause") == BY_WATCHDOG


# --- Time and transports --------------------------------------------------------------------------


@pytest.mark.parametrize("link", [LinkKind.UART, LinkKind.SEMIHOSTING])
def test_ticks_count_instructions(start, link):
    board = start(link, icount=True)
    tick_hz = board.number("i", "tick_hz")
    instructions = board.number("n", "ticks") * 1e9 / tick_hz
    assert instructions == pytest.approx(2_000_000, rel=1e-4)


def test_semihosting_is_found(start):
    assert start(LinkKind.SEMIHOSTING).number("i", "flags") & SEMIHOSTING


@pytest.mark.parametrize(
    ("link", "size"), [(LinkKind.UART, 20_000), (LinkKind.SEMIHOSTING, 500_000)]
)
def test_no_byte_is_lost(start, link, size):
    """What the board repeats while more comes is what was sent."""
    board = start(link)
    board.say("e")
    data = os.urandom(size).replace(b"\n", b"\r") + b"\n"
    got = b""
    for at in range(0, len(data), 1000):
        board.transport.write(data[at : at + 1000], 10.0)
        # No more than the board's ring holds is on its way.
        while len(got) < at - 1000:
            got += board.transport.read(5.0)
    while len(got) < len(data):
        more = board.transport.read(5.0)
        assert more, f"{len(got)} of {len(data)} bytes came back"
        got += more
    assert got == data
    assert board.number("i", "rx_overruns") == 0


def test_time_never_jumps(start):
    """Read as often as the board can, also at the turn of each millisecond."""
    board = start(LinkKind.SEMIHOSTING, icount=True)
    longest_s = board.number("t", "longest") / board.number("i", "tick_hz")
    assert 0 < longest_s < 1e-6


def test_lost_bytes_are_counted(start):
    """Busy for longer than its ring lasts, the board counts what it loses, and goes on."""
    board = start()
    board.transport.write(b"d" + b"." * 30_000, 10.0)
    assert board.line() == "listening"
    assert board.number("i", "rx_overruns") > 0


# --- The marker of a power analyser ---------------------------------------------------------------


MARKER = {
    "stm32f407_discovery": (  # PD0: down, an output, up, down
        r"GPIOD: unimplemented device write \(size 4, offset (\w+), value (\w+)\)",
        [(0x18, 0x10000), (0x00, 1), (0x18, 1), (0x18, 0x10000)],
    )
}
LED = (r"mps2_fpgaio_write .* offset (\w+) data (\w+) size 4", [(0, 0), (0, 1), (0, 0)])


def test_marker_rises_and_falls(check_elf, env, tmp_path):
    """As QEMU logs it, also where it does not model the pin."""
    log = tmp_path / "log"
    options = ["-d", "unimp,trace:mps2_fpgaio_write", "-D", str(log)]
    with Emulator(check_elf, pio.board(env), link=LinkKind.UART, options=options) as emulator:
        board = Conversation(emulator)
        assert board.line() == "ready"
        board.say("m")
        assert board.line() == "marked"
    pattern, expected = MARKER.get(env, LED)
    writes = [(int(at, 0), int(value, 0)) for at, value in re.findall(pattern, log.read_text())]
    assert writes == expected


# --- Linker checks --------------------------------------------------------------------------------


def link(tmp_path: Path, source: str, **numbers: int) -> str:
    """Links a program with the boards' linker script; the linker's complaint, or ""."""
    memory = {
        "flash_origin": 0, "flash_size": 0x10000, "ram_origin": 0x20000000, "ram_size": 0x4000,
        "code_ram_origin": 0x20000000, "code_ram_size": 0,
    } | numbers  # fmt: skip
    program = tmp_path / "program.c"
    program.write_text(
        "typedef void (*vector_t)(void);\n"
        "void Reset_Handler(void) {}\n"
        '__attribute__((section(".vectors"), used)) vector_t const vectors[2] = {Reset_Handler};\n'
        + source
    )
    common = repo_root() / "firmware" / "boards" / "common"
    answer = subprocess.run(
        ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-nostdlib",
         *(f"-Wl,-T,{common / script}" for script in ("segments.ld", "memory.ld", "sections.ld")),
         *(f"-Wl,--defsym={name}={value}" for name, value in memory.items()),
         program, "-o", tmp_path / "program.elf"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert (answer.returncode != 0) == ("rror" in answer.stderr or "overflow" in answer.stderr)
    return answer.stderr if answer.returncode != 0 else ""


USES_HEAP = "void *malloc(unsigned n) { return (void *)n; } void *p; int main(void) { return 0; }"


@pytest.mark.parametrize(
    ("source", "numbers", "complaint"),
    [
        ("", {}, ""),
        (USES_HEAP, {}, "there is none"),
        ("char big[0x3000] = {1};", {}, ""),
        ("char big[0x3001] = {1};", {}, "overflowed"),
        ("", {"ram_size": 0x800}, "overflowed"),
        ("const char big[0x10000] = {1};", {}, "overflowed"),
        ("", {"ram_origin": 0x20000100}, "alignment"),
    ],
)
def test_linker_checks(tmp_path, source, numbers, complaint):
    answer = link(tmp_path, source, **numbers)
    assert complaint in answer
    assert bool(complaint) == bool(answer)


# --- The firmware ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("model", model_names())
def test_firmware_builds_fits_and_answers(env, model):
    elf = pio.build(env, model)
    size = pio.size(env, model)
    assert size["ram"] <= 48 << 10
    assert size["flash"] <= 192 << 10
    assert size["stack"] == 4096
    with Emulator(elf, pio.board(env), link=LinkKind.UART) as emulator:
        board = Conversation(emulator)
        assert board.transport.read(5.0)  # the message that it has started: now it listens
        board.say("\ninfo\n")
        while not (line := board.line()).startswith("model"):
            pass
        assert line.split() == ["model", model]


@pytest.mark.slow
def test_models_are_built_side_by_side():
    elfs = [pio.build(pio.DEFAULT_ENV, model) for model in model_names()]
    assert len(set(elfs)) == len(elfs)
    assert all(elf.is_file() for elf in elfs)


@pytest.mark.slow
def test_upload_starts_the_emulator(env):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pio.flash(env, protocol="qemu", port=str(port))
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as board:
            board.sendall(b"\ninfo\n")
            answer = b""
            while env.encode() not in answer and select.select([board], [], [], 5)[0]:
                answer += board.recv(1000)
            assert env.encode() in answer
    finally:
        subprocess.run(
            [sys.executable, "-m", "platformio", "run", "-d", repo_root(), "-e", env,
             "-t", "emulate-stop"],
            capture_output=True,
            check=True,
        )  # fmt: skip
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


# --- What is missing ------------------------------------------------------------------------------


@pytest.fixture
def bare_path(tmp_path, monkeypatch) -> Path:
    """A PATH with a shell and nothing else."""
    shell = shutil.which("sh")
    assert shell is not None
    (tmp_path / "sh").symlink_to(shell)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_a_compiler_it_says_what_to_install(bare_path):
    with pytest.raises(W2sError, match="apt-get install gcc-arm-none-eabi"):
        pio.build()


def test_without_a_programmer_it_says_what_to_install(bare_path, monkeypatch):
    compiler = Path(shutil.which("arm-none-eabi-gcc", path=os.defpath) or "")
    for tool in compiler.parent.glob("arm-none-eabi-*"):
        (bare_path / tool.name).symlink_to(tool)
    with pytest.raises(W2sError, match="apt-get install openocd"):
        pio.flash()
