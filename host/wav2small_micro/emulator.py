# SPDX-License-Identifier: Apache-2.0
"""Boards in QEMU: start one, talk to it, and be sure that it ends.

with Emulator(elf, pio.board("stm32f407_discovery")) as emulator:
    with Device(emulator.transport()) as device:
        print(device.hello().board)
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import tty
import weakref
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from types import TracebackType

from wav2small_micro.errors import W2sError
from wav2small_micro.link.errors import LinkLost
from wav2small_micro.link.transport import DescriptorTransport, SerialTransport, Transport
from wav2small_micro.pio import Board

QEMU = "qemu-system-arm"
NS_PER_INSTRUCTION = 1  # of virtual time under -icount shift=0
_START_S = 10.0
_DEATH_S = 0.5  # between the end of a stream and the end of its process
_MESSAGE_BYTES = 2000  # of what QEMU said last, in an error


class LinkKind(Enum):
    """How bytes get in and out of the emulated board."""

    SEMIHOSTING = "semihosting"  # console of the emulator: 600 kB/s, for bulk audio
    UART = "uart"  # the board's UART over TCP: 13 to 30 kB/s, as real as it gets
    PTY = "pty"  # the board's UART on a pty that any terminal program can open


class Emulator:
    """A board in QEMU that runs `elf`. Ends with the context, with `close`, or with the process.

    `icount` makes every instruction take one virtual nanosecond, so that the board's ticks count
    instructions exactly; the emulation becomes slower. `options` go to QEMU as they are.

    Raises W2sError when QEMU or the ELF is missing, LinkLost when QEMU does not start.
    """

    def __init__(
        self,
        elf: Path,
        board: Board,
        *,
        link: LinkKind = LinkKind.SEMIHOSTING,
        icount: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        machine = board.machine
        qemu = shutil.which(QEMU)
        if qemu is None:
            raise W2sError(f"{QEMU} is not installed", "sudo apt-get install qemu-system-arm")
        if not elf.is_file():
            raise W2sError(f"there is no firmware at {elf}", "build it: w2s build")
        self.link = link
        self.icount = icount
        self.url = ""  # of the pty, when the link is one
        command = [*_with_parent(), qemu, "-M", machine.name, "-kernel", str(elf)]
        command += ["-display", "none", "-monitor", "none"]
        command += ["-icount", "shift=0"] if icount else []
        command += options
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as QEMU
        try:
            {
                LinkKind.SEMIHOSTING: self._start_semihosting,
                LinkKind.UART: self._start_uart,
                LinkKind.PTY: self._start_pty,
            }[link](command, machine.serial_index)
        except BaseException:
            self._output.close()
            raise

    def __enter__(self) -> Emulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the QEMU process."""
        return self._process.pid

    def transport(self) -> Transport:
        """The stream to the board. There is one; closing it leaves the emulator alone."""
        return self._transport

    def close(self) -> None:
        """Ends QEMU. May be called twice."""
        self._transport.close()
        self._finalizer()

    def death(self, wait: float = 0.0) -> LinkLost | None:
        """Why QEMU ended, with its last words; None when it still runs after `wait` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait)
        code = self._process.poll()
        if code is None:
            return None
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        words = self._last_words()
        return LinkLost(
            f"QEMU {how}" + (f": {words}" if words else ""),
            "the firmware locked the core up, or somebody stopped the emulator: start it again",
        )

    def _last_words(self) -> str:
        with contextlib.suppress(ValueError):  # closed already
            size = self._output.seek(0, os.SEEK_END)
            self._output.seek(max(0, size - _MESSAGE_BYTES))
            return self._output.read().decode(errors="replace").strip()
        return ""

    # --- Links -------------------------------------------------------------------------------

    def _start_semihosting(self, command: list[str], serial_index: int) -> None:
        """The console `:tt` is QEMU's own stdin and stdout, and those are a raw pty."""
        del serial_index
        controller, terminal = pty.openpty()
        tty.setraw(terminal)
        command += ["-serial", "null", "-semihosting-config", "enable=on,target=native"]
        try:
            self._spawn(command, stdin=controller, stdout=controller, give_back=[terminal])
        finally:
            os.close(controller)
        stream = DescriptorTransport(terminal, "the emulator's console")
        self._transport: Transport = _EmulatorTransport(self, stream)

    def _start_uart(self, command: list[str], serial_index: int) -> None:
        """QEMU connects to a socket that listens here, so that no other program can."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            device = f"socket,id=link,host=127.0.0.1,port={port},server=off,nodelay=on"
            self._spawn(command + _serial(device, serial_index))
            server.settimeout(_START_S)
            try:
                connection, _ = server.accept()
            except TimeoutError:
                raise self._not_started() from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        descriptor = connection.detach()
        self._descriptors.append(descriptor)
        stream = DescriptorTransport(descriptor, "the emulator's UART")
        self._transport = _EmulatorTransport(self, stream)

    def _start_pty(self, command: list[str], serial_index: int) -> None:
        """QEMU opens the pty and prints its name."""
        self._spawn(command + _serial("pty,id=link", serial_index), stdout=subprocess.PIPE)
        assert self._process.stdout
        printed = self._process.stdout
        deadline = time.monotonic() + _START_S
        line = b""
        while not line.endswith(b"\n"):
            ready = select.select([printed], [], [], max(0.0, deadline - time.monotonic()))[0]
            byte = os.read(printed.fileno(), 1) if ready else b""
            if not byte:
                raise self._not_started()
            line += byte
        match = re.search(rb"/dev/\S+", line)
        if not match:
            raise self._not_started()
        self.url = match.group().decode()
        self._transport = _EmulatorTransport(self, SerialTransport(self.url))

    def _spawn(
        self,
        command: list[str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        give_back: list[int] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=self._output if stdout is None else stdout,
            stderr=self._output,
        )
        self._descriptors = give_back or []  # to be closed when QEMU has ended
        # Runs on close(), when this object is forgotten, and when the interpreter ends.
        self._finalizer: Callable[[], object] = weakref.finalize(
            self, _end, self._process, self._descriptors, self._output
        )

    def _not_started(self) -> LinkLost:
        error = self.death(_DEATH_S)
        self._finalizer()
        return error or LinkLost("QEMU does not start", f"does {QEMU} --version work?")


class _EmulatorTransport:
    """A transport that knows why it ended."""

    def __init__(self, emulator: Emulator, stream: Transport) -> None:
        self.name = stream.name
        self._emulator = emulator
        self._stream = stream

    def read(self, timeout: float) -> bytes:
        try:
            return self._stream.read(timeout)
        except LinkLost as error:
            raise (self._emulator.death(_DEATH_S) or error) from error

    def write(self, data: bytes, timeout: float) -> None:
        try:
            self._stream.write(data, timeout)
        except LinkLost as error:
            raise (self._emulator.death(_DEATH_S) or error) from error

    def reopen(self, timeout: float) -> None:
        death = self._emulator.death()
        if death:
            raise death
        self._stream.reopen(timeout)

    def close(self) -> None:
        self._stream.close()


def _serial(device: str, index: int) -> list[str]:
    """The options that put the machine's UART number `index` on a character device."""
    return ["-serial", "null"] * index + ["-chardev", device, "-serial", "chardev:link"]


def _with_parent() -> list[str]:
    """Words before a command so that it dies with us even when we are killed.

    The kernel ties the child to the thread that made it, so only the main thread may ask for it.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    return [setpriv, "--pdeathsig", "KILL"]


def _end(process: subprocess.Popen[bytes], descriptors: list[int], *files: object) -> None:
    # SIGKILL: while it waits in a semihosting call, QEMU hears nothing else.
    process.kill()
    process.wait()
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    for file in (process.stdout, *files):
        if file is not None:
            file.close()  # type: ignore[attr-defined]
