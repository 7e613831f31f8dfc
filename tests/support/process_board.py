# SPDX-License-Identifier: Apache-2.0
"""The firmware's application as a process of this machine, as a transport of the host's link."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from wav2small_micro.link.errors import LinkLost
from wav2small_micro.link.transport import DescriptorTransport


class ProcessBoard:
    """A transport to the application built over host_board.c. Its power can be cut: it is then gone
    until `reopen` starts it again."""

    def __init__(self, binary: Path) -> None:
        self.name = "the process"
        self.starts = 0
        self._binary = binary
        self._start()

    def _start(self) -> None:
        self.starts += 1
        boots = {"HOST_BOARD_BOOTS": str(1000 * self.starts)} if self.starts > 1 else {}
        self.process = subprocess.Popen(
            [self._binary],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **boots},
        )
        assert self.process.stdin
        assert self.process.stdout
        self._in = DescriptorTransport(self.process.stdin.fileno(), self.name)
        self._out = DescriptorTransport(self.process.stdout.fileno(), self.name)

    def read(self, timeout: float) -> bytes:
        return self._out.read(timeout)

    def write(self, data: bytes, timeout: float) -> None:
        self._in.write(data, timeout)

    def cut_power(self) -> None:
        """The board is dead at once."""
        self.process.kill()
        self.process.wait()

    def reopen(self, timeout: float) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        """Ends the process, which must be in good health unless its power was cut."""
        assert self.process.stdin
        assert self.process.stdout
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        alive = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        assert not alive, "the application did not end"
        assert self.process.returncode in (0, -9), f"it ended with {self.process.returncode}"


class Recovery:
    """Measures the time from the end of a disturbance to the next good answer.

    >>> recovery = Recovery()
    >>> recovery.disturbance_ended()
    >>> recovery.answered()
    >>> recovery.seconds < 1
    True
    """

    def __init__(self) -> None:
        self._ended: float | None = None
        self.seconds = float("inf")

    def disturbance_ended(self) -> None:
        """From now on the line is good."""
        self._ended = time.monotonic()

    def answered(self) -> None:
        """A good answer has come."""
        if self._ended is not None and self.seconds == float("inf"):
            self.seconds = time.monotonic() - self._ended


def best_of_three(measure: Callable[[], float], limit: float) -> float:
    """The first time below `limit` of three: a machine that is busy elsewhere is no fault."""
    seconds = [measure()]
    while seconds[-1] >= limit and len(seconds) < 3:
        seconds.append(measure())
    return min(seconds)


class Gate:
    """A transport that passes nothing while it is shut: `up` to the board, `down` to the host.

    What is sent up meanwhile is lost; what comes down waits, as in the buffers of a host that does
    not read.
    """

    def __init__(self, transport: ProcessBoard) -> None:
        self.name = transport.name
        self.up = self.down = True
        self._transport = transport

    def read(self, timeout: float) -> bytes:
        if self.down:
            return self._transport.read(timeout)
        time.sleep(timeout)
        return b""

    def write(self, data: bytes, timeout: float) -> None:
        if self.up:
            self._transport.write(data, timeout)

    def reopen(self, timeout: float) -> None:
        self._transport.reopen(timeout)

    def close(self) -> None:
        self._transport.close()


class Saboteur:
    """A transport that does something to the board at chosen writes, by number from 1."""

    def __init__(self, board: ProcessBoard, actions: dict[int, object]) -> None:
        self.name = board.name
        self.writes = 0
        self._board = board
        self._actions = actions

    def read(self, timeout: float) -> bytes:
        return self._board.read(timeout)

    def write(self, data: bytes, timeout: float) -> None:
        self.writes += 1
        action = self._actions.get(self.writes)
        if isinstance(action, bytes):
            data = action + data
        elif action == "power":
            self._board.cut_power()
        try:
            self._board.write(data, timeout)
        except LinkLost:
            if action != "power":
                raise

    def reopen(self, timeout: float) -> None:
        self._board.reopen(timeout)

    def close(self) -> None:
        self._board.close()
