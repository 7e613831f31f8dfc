# SPDX-License-Identifier: Apache-2.0
"""The firmware's application as a process of this machine, under AddressSanitizer and UBSan."""

import functools
import os
import re
import select
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cobs import cobs

from wav2small_micro import paths
from wav2small_micro.link import codec, messages
from wav2small_micro.link.messages import Message

SANITIZERS = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
]
# No -Wconversion: with UBSan, gcc warns of conversions in the checks that it inserts. The
# firmware's own build, of the same sources, has it.
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Werror"]


def compile_sources(output: Path, sources: list[Path], options: list[str]) -> Path:
    """Compile and link C99 sources of the checkout; warnings are errors."""
    firmware = paths.repo_root() / "firmware"
    includes = ["include", "src", "lib/link", "lib/wav2small"]
    command = ["gcc", "-std=c99", "-O1", "-g", *WARNINGS, *options, "-o", str(output)]
    command += [f"-I{firmware / folder}" for folder in includes] + [str(s) for s in sources]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        pytest.fail(f"{' '.join(command)}\n{run.stderr}", pytrace=False)
    return output


@pytest.fixture(scope="session")
def compile_c() -> Callable[[Path, list[Path], list[str]], Path]:
    """The function that compiles C: compile_c(output, sources, options)."""
    return compile_sources


@pytest.fixture(scope="session")
def weights() -> Path:
    """The C code of the first model that has any."""
    found = sorted(paths.models_dir().glob("*/c/weights.c"), reverse=True)
    if not found:
        pytest.skip("no model has its C code yet: w2s generate makes it")
    return found[0]


@pytest.fixture(scope="session")
def build_app(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The function that builds the application over host_board.c around a model's C code, once."""

    @functools.cache
    def build(weights: Path, *options: str) -> Path:
        firmware = paths.repo_root() / "firmware"
        library = firmware / "lib" / "wav2small"
        sources = [
            *(firmware / "src").glob("*.c"),
            *(firmware / "lib" / "link").glob("*.c"),
            *library.glob("*.c"),
            *(library / "kernels" / "portable").glob("*.c"),
            Path(__file__).with_name("host_board.c"),
            weights,
        ]
        output = tmp_path_factory.mktemp("app") / "app"
        return compile_sources(output, sources, [*SANITIZERS, *options])

    return build


@pytest.fixture(scope="session")
def app_binary(build_app: Callable[..., Path], weights: Path) -> Path:
    """The application as it is in the firmware."""
    return build_app(weights)


@dataclass
class Reply:
    """A frame from the device, or a line of text when `message` is None."""

    message: Message | None
    seq: int = 0
    text: str = ""


@dataclass
class Device:
    """A running application and a strict reading of what it says.

    Whatever garbage goes in, all that comes out must be whole frames, and whole lines of printable
    text between them. Anything else fails the test.
    """

    process: subprocess.Popen[bytes]
    unread: bytes = b""
    replies: list[Reply] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, message: Message, seq: int = 1) -> None:
        """Send a message in a good frame."""
        self.write(codec.encode(message, seq))

    def read(self, timeout: float = 10.0) -> Reply:
        """The next frame or line."""
        end = time.monotonic() + timeout
        while not self.replies:
            if not self._receive(max(0.0, end - time.monotonic())):
                pytest.fail(f"the device is silent; it said {self.unread!r}")
        return self.replies.pop(0)

    def silent(self, seconds: float = 0.15) -> bool:
        """Whether nothing at all comes for a while."""
        return not self.replies and not self._receive(seconds) and not self.unread

    def ask(self, message: Message, seq: int = 1) -> Message:
        """Send a request and return its reply, which must be the next thing to come."""
        self.send(message, seq)
        reply = self.read()
        assert reply.message is not None, reply
        assert reply.seq == seq
        return reply.message

    def command(self, line: str, lines: int = 1) -> list[str]:
        """Send a line of text and return the lines of the answer."""
        self.write(line.encode() + b"\r")
        replies = [self.read() for _ in range(lines)]
        assert all(reply.message is None for reply in replies), replies
        return [reply.text for reply in replies]

    def mlperf(self, command: str) -> list[str]:
        """Send a command of MLPerf Tiny's runner and return its answer, `m-ready` left out."""
        self.write(command.encode() + b"%")
        lines: list[str] = []
        while not lines or lines[-1] != "m-ready":
            reply = self.read(60)
            assert reply.message is None, reply
            lines.append(reply.text)
            assert len(reply.text) <= 78, "80 bytes with CR and LF"
        return lines[:-1]

    def greet(self) -> list[Message]:
        """Read what the device says after its start: lines, then events."""
        assert "Type help." in self.read().text
        mode, lap, *rest = [self.read().text for _ in range(4)]
        assert mode == "m-timestamp-mode-performance"
        assert re.fullmatch(r"m-lap-us-[0-9]+", lap)
        assert rest == ["m-init-done", "m-ready"]
        events: list[Message] = []
        while not events or not self.silent(0.05):
            reply = self.read()
            assert reply.message is not None
            assert reply.seq == len(events)
            events.append(reply.message)
        return events

    def close(self) -> bytes:
        """End the input; the application must then end in good health. Returns the rest."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        rest = self.process.stdout.read()
        self.process.stdout.close()
        assert self.process.wait(10) == 0
        return rest

    def _receive(self, timeout: float) -> bool:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not ready:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        assert data, f"the device died: {self.process.wait(10)}"
        self.unread += data
        self._parse()
        return True

    def _parse(self) -> None:
        """Take whole frames and lines off `unread`."""
        while self.unread:
            if self.unread[0] == 0:
                end = self.unread.find(b"\0", 1)
                if end < 0:
                    return
                self.replies.append(strict_frame(self.unread[1:end]))
                self.unread = self.unread[end + 1 :]
            else:
                end = self.unread.find(b"\r\n")
                if end < 0:
                    return
                line = self.unread[:end].decode("ascii")
                assert line.isprintable(), line
                self.replies.append(Reply(None, text=line))
                self.unread = self.unread[end + 2 :]


def strict_frame(encoded: bytes) -> Reply:
    """Decode a frame of the device, without the codec's tolerance for noise."""
    raw = cobs.decode(encoded)
    body, crc = raw[:-4], raw[-4:]
    assert len(body) >= 2
    assert zlib.crc32(body) == int.from_bytes(crc, "little")
    assert len(body) - 2 <= messages.MAX_PAYLOAD
    return Reply(codec.unpack(body[0], body[2:]), body[1])


@pytest.fixture
def start_device(app_binary: Path) -> Iterator[Callable[..., Device]]:
    """Start the application, or another build of it, with environment variables of host_board.c."""
    running: list[Device] = []

    def start(binary: Path = app_binary, **environment: str) -> Device:
        process = subprocess.Popen(
            [binary],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
        )
        running.append(Device(process))
        return running[-1]

    yield start
    for device in running:
        if device.process.poll() is None:
            device.process.kill()
        device.process.wait(10)
        for pipe in (device.process.stdin, device.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


@pytest.fixture
def device(start_device: Callable[..., Device]) -> Iterator[Device]:
    """An application that has just started; at the end it must be in good health."""
    started = start_device()
    started.greet()
    yield started
    if started.process.poll() is None:
        started.close()
