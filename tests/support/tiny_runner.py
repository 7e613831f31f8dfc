# SPDX-License-Identifier: Apache-2.0
"""The conversation that the runner of mlcommons/tiny has with a device, for tests.

Written from what that runner does, down to what hurts: it reads byte by byte and decodes each, so
that one that is not ASCII ends it; it takes the first line with `m-ready` in it for the end of an
answer; an answer of one line is a string and not a list; and it never looks at a refusal. Where
that was read is listed in docs/mlperf-tiny.md.
"""

import queue
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import serial

DIRECT_BYTES = 31  # in one `db`
INTERFACE_BYTES = 26  # the same through an interface board, in energy mode


class Port:
    """A serial port with a thread that reads lines."""

    def __init__(self, url: str, patience: float = 5.0) -> None:
        self._serial = serial.Serial(url, 921600, timeout=0.1)
        self._patience = patience
        self._lines: queue.Queue[str] = queue.Queue()
        self._running = True
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._running = False
        self._thread.join()
        self._serial.close()

    def _read(self) -> None:
        text = ""
        try:
            while self._running:
                character = self._serial.read(1).decode()
                if character == "\n":
                    self._lines.put(text)
                    text = ""
                elif character not in ("", "\r", "\0"):
                    text += character
        except Exception as error:  # the test says which
            self.error = error

    def command(self, text: str) -> str | list[str]:
        """Sends a command, and its end by itself, and waits for the answer."""
        self._serial.write(text.encode())
        self._serial.write(b"%")
        return self.answer(text)

    def answer(self, text: str = "nothing") -> str | list[str]:
        """Waits for the answer to `text`."""
        lines: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=self._patience)
            except queue.Empty:
                raise RuntimeError(f"no response to {text}: {self.error}") from None
            if line:
                lines.append(line)
            if "m-ready" in line:
                return lines if len(lines) != 1 else lines[0]


@dataclass
class Loop:
    """What the runner keeps of a loop."""

    results: list[float]
    times: list[int]
    lines: list[str] = field(default_factory=list)


class Runner:
    """Identifies the device, then loads and infers in loops."""

    def __init__(self, port: Port, max_bytes: int = DIRECT_BYTES) -> None:
        self.port = port
        self._max_bytes = max_bytes
        self.facts: dict[str, str] = {}

    def identify(self, settle: float = 2.0) -> None:
        """Waits for the device to boot, then asks for name, model and profile."""
        time.sleep(settle)
        for pattern, command in ((r"^m-(name)-dut-", "name"), (r"^m-(model|profile)-", "profile")):
            for line in self.port.command(command):
                match = re.match(pattern + r"\[([^]]+)]$", line)
                if match:
                    self.facts[match.group(1)] = match.group(2)

    def load(self, data: bytes) -> str | list[str]:
        """Loads a file; returns the last answer."""
        answer: str | list[str] = self.port.command(f"db load {len(data)}")
        for at in range(0, len(data), self._max_bytes):
            answer = self.port.command("db " + data[at : at + self._max_bytes].hex())
        return answer

    def infer(self, runs: int, warmups: int) -> Loop:
        """Infers; takes results and time stamps out of the lines."""
        lines = self.port.command(f"infer {runs} {warmups}")
        loop: Any = Loop([], [], list(lines))
        for line in lines:
            match = re.match(r"^m-results-\[([^]]+)\]$", line)
            if match:
                loop.results = [float(word) for word in match.group(1).split(",") if word.strip()]
            match = re.match(r"^m-lap-us-([0-9]+)$", line)
            if match:
                loop.times.append(int(match.group(1)))
        return loop

    def run(self, files: Sequence[bytes], loops: int, runs: int, warmups: int) -> list[Loop]:
        """The script `loop: download, infer`."""
        done = []
        for i in range(loops):
            self.load(files[i % len(files)])
            done.append(self.infer(runs, warmups))
        return done
