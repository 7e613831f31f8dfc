# SPDX-License-Identifier: Apache-2.0
"""A device that answers MLPerf Tiny's text commands, driven as the runner of mlcommons/tiny does.

device = DeviceUnderTest(SerialTransport("/dev/ttyACM0"))
device.load(pcm)
print(device.infer(10, 1).adv_q16)
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.link.errors import LinkError, LinkLost
from wav2small_micro.link.transport import Transport

MODEL = "w2s01"
"""The model string by which the runner finds its test."""
CHUNK = 31
"""Bytes that the runner puts into one ``db``; with an interface board in between they are 26."""
RUNNER_PATIENCE_S = 5.0
"""How long the runner waits for a line before it gives up."""
_Q16 = 65536
_READY = "m-ready"
_RESTARTED = "m-init-done"
_ASK_AGAIN_S = 1.0  # of silence, when it is not known yet whether the device listens
_LONGEST_LINE = 4096  # no device says as much: it is noise


class MlperfError(LinkError):
    """The device refuses a command, or its answer makes no sense."""


class _Silence(LinkLost):
    """Nothing comes."""


@dataclass(frozen=True)
class Identity:
    """What the device says of itself."""

    name: str
    profile: str
    model: str


@dataclass(frozen=True)
class Inference:
    """An answer to ``infer``."""

    runs: int
    warmups: int
    adv_q16: NDArray[np.int32]
    """Arousal, dominance, valence, (3,), 65536 being 1.0."""
    elapsed_us: int | None
    """Between the two time stamps, by the device's clock; None in energy mode."""
    seconds: float
    """Of the measured runs, by this machine's clock: what the link adds is in it."""
    silence_s: float
    """The longest wait for a line."""


class DeviceUnderTest:
    """The runner's side of the conversation. Raises LinkLost when the device falls silent.

    ``patience`` is for a line, and for each inference before it, in seconds. The runner itself
    waits 5 s for a line, however many inferences there are; an emulator may need more.
    """

    def __init__(self, transport: Transport, *, patience: float = 10.0) -> None:
        self._transport = transport
        self._patience = patience
        self._wait = patience  # for a line
        self._unread = b""
        self._silence = 0.0
        self._synchronise()

    def close(self) -> None:
        """Gives the transport back."""
        self._transport.close()

    def ask(self, command: str) -> list[str]:
        """Sends a command and returns the lines of its answer, ``m-ready`` left out.

        Raises MlperfError for what the device refuses: its words are the message.
        """
        return [line for line, _ in self._answer(command)]

    def identify(self) -> Identity:
        """Name, profile and model. Raises MlperfError where one is missing."""
        lines = self.ask("name") + self.ask("profile")
        found: dict[str, str] = {}
        for line in lines:
            match = re.fullmatch(r"m-(name-dut|profile|model)-\[([^]]+)\]", line)
            if match:
                found[match.group(1)] = match.group(2)
        if len(found) != 3:
            raise MlperfError(
                f"name and profile are answered by {lines}",
                "is this the firmware of this project? w2s flash writes it",
            )
        return Identity(found["name-dut"], found["profile"], found["model"])

    def set_mode(self, mode: str) -> None:
        """``performance``: time stamps as text; ``energy``: as edges of the marker."""
        if self.ask(f"mode {mode}") != [f"m-timestamp-mode-{mode}"]:
            raise MlperfError(f"the device does not enter the mode {mode!r}")

    def load(self, pcm: NDArray[np.int16], *, chunk: int = CHUNK) -> None:
        """Puts a clip, int16 (N,) at 16 kHz, into the device's buffer."""
        data = pcm.astype("<i2").tobytes()
        try:
            self.ask(f"db load {len(data)}")
        except MlperfError as error:
            raise MlperfError(error.message, "take less of the clip: --seconds") from error
        lines: list[str] = []
        for at in range(0, len(data), chunk):
            lines = self.ask("db " + data[at : at + chunk].hex())
        if lines != ["m-load-done"]:
            raise MlperfError("the device does not say that the clip is loaded", "try again")

    def infer(self, runs: int, warmups: int = 0) -> Inference:
        """Times ``runs`` inferences over the buffer, after ``warmups`` that are not timed."""
        self._silence = 0.0
        self._wait = self._patience * (runs + warmups)
        try:
            answer = self._answer(f"infer {runs} {warmups}")
        finally:
            self._wait = self._patience
        lines = [line for line, _ in answer]
        edges = [t for line, t in answer if line in (f"m-infer-start-{runs}", "m-infer-done")]
        laps = [int(line[9:]) for line in lines if re.fullmatch(r"m-lap-us-\d+", line)]
        if len(edges) != 2 or len(laps) not in (0, 2):
            raise MlperfError(f"infer is answered by {lines}", "reset the device")
        return Inference(
            runs=runs,
            warmups=warmups,
            adv_q16=_results(lines),
            elapsed_us=laps[1] - laps[0] if laps else None,
            seconds=edges[1] - edges[0],
            silence_s=self._silence,
        )

    # --- Lines ---------------------------------------------------------------------------------

    def _answer(self, command: str) -> list[tuple[str, float]]:
        """The lines before ``m-ready``, each with the time at which it came."""
        self._send(command)
        lines: list[tuple[str, float]] = []
        while (line := self._line()) != _READY:
            if line == _RESTARTED:
                raise MlperfError(
                    f"the device started anew while it carried out {_short(command)!r}",
                    "check the supply and the wiring; type info at its console",
                )
            lines.append((line, time.monotonic()))
        for line, _ in lines:
            if line.startswith("e-["):
                raise MlperfError(
                    f"the device refuses {_short(command)!r}: {line[3:].removesuffix(']')}",
                    "docs/mlperf-tiny.md lists the commands",
                )
        return lines

    def _synchronise(self) -> None:
        """Finds the answer to a command that nobody else sends, whatever was on its way before.

        A device that still starts hears nothing, so it is asked again, each time by another word.
        The first % ends what another program may have left half said.
        """
        deadline = time.monotonic() + self._patience
        while True:
            word = f"w2s-{time.monotonic_ns() % 10**9}"
            self._send(f"%{word}")
            try:
                self._wait = min(_ASK_AGAIN_S, self._patience)
                while not self._line(strict=False).endswith(f"e-[Unknown command: {word}]"):
                    pass
                break
            except _Silence:
                if time.monotonic() > deadline:
                    raise self._silent(self._patience) from None
            finally:
                self._wait = self._patience
        while self._line(strict=False) != _READY:
            pass

    def _send(self, command: str) -> None:
        self._transport.write(f"{command}%".encode("ascii"), self._patience)

    def _line(self, *, strict: bool = True) -> str:
        """The next line that holds anything. What is no text is noise, or a frame at its start."""
        while True:
            line, end, rest = self._unread.partition(b"\n")
            if end:
                self._unread = rest
                text = line.replace(b"\r", b"").decode("ascii", "replace")
                if text and (text.isprintable() or not strict):
                    return text
                continue
            if len(self._unread) > _LONGEST_LINE:
                raise MlperfError(f"{self._transport.name} sends no lines", "is the rate right?")
            self._unread += self._receive()

    def _receive(self) -> bytes:
        begin = time.monotonic()
        data = self._transport.read(self._wait)
        self._silence = max(self._silence, time.monotonic() - begin)
        if not data:
            raise self._silent(self._wait)
        return data

    def _silent(self, seconds: float) -> _Silence:
        return _Silence(
            f"{self._transport.name}: nothing comes for {seconds:.0f} s",
            "is the firmware of this project on the device, and the rate of the port right?",
        )


def _results(lines: list[str]) -> NDArray[np.int32]:
    """The integers behind the five decimals."""
    for line in lines:
        match = re.fullmatch(r"m-results-\[([-.\d]+),([-.\d]+),([-.\d]+)\]", line)
        if match:
            return np.array([round(float(word) * _Q16) for word in match.groups()], np.int32)
    raise MlperfError(f"infer gives no results: {lines}", "reset the device")


def _short(command: str) -> str:
    return command if len(command) <= 24 else command[:21] + "..."
