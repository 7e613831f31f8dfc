# SPDX-License-Identifier: Apache-2.0
"""Streams of bytes to a device: any pyserial URL, and file descriptors that the emulator lends."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from typing import Protocol

import serial
from serial.tools import list_ports

from wav2small_micro.link.errors import LinkLost

DEFAULT_BAUD = 921600
_CHUNK = 65536


class Transport(Protocol):
    """A stream of bytes to one device. Reading and writing may happen on two threads."""

    name: str

    def read(self, timeout: float) -> bytes:
        """Whatever has come, at once; b"" when nothing comes for `timeout` seconds.

        Raises LinkLost when the stream is gone.
        """

    def write(self, data: bytes, timeout: float) -> None:
        """Sends all of `data`.

        Raises LinkLost when the stream is gone or takes nothing for `timeout` seconds.
        """

    def reopen(self, timeout: float) -> None:
        """Opens the stream anew, after the device was unplugged or restarted.

        Raises LinkLost when that does not work out within `timeout` seconds.
        """

    def close(self) -> None:
        """Gives the stream back. May be called twice."""


class DescriptorTransport:
    """A stream over a file descriptor that somebody else opened and closes."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        return _read_descriptor(self._descriptor, self.name, timeout)

    def write(self, data: bytes, timeout: float) -> None:
        """See Transport."""
        _write_descriptor(self._descriptor, self.name, data, timeout)

    def reopen(self, timeout: float) -> None:
        """Nothing to do: the stream lives as long as its owner."""

    def close(self) -> None:
        """Nothing to do: the descriptor belongs to its owner."""


class SerialTransport:
    """A stream behind a pyserial URL: `/dev/ttyACM0`, a pty, `COM3`, `socket://host:port`.

    Raises LinkLost, with what to do about it, when the port cannot be opened.
    """

    def __init__(self, url: str, baud: int = DEFAULT_BAUD) -> None:
        self.name = url
        self._baud = baud
        self._port = _open_port(url, baud)

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        descriptor = self._port_descriptor()
        if descriptor is not None:
            return _read_descriptor(descriptor, self.name, timeout)
        try:
            self._port.timeout = timeout
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except (serial.SerialException, OSError, TypeError) as error:
            raise _gone(self.name, error) from error

    def write(self, data: bytes, timeout: float) -> None:
        """See Transport."""
        descriptor = self._port_descriptor()
        if descriptor is not None:
            _write_descriptor(descriptor, self.name, data, timeout)
            return
        try:
            self._port.write_timeout = timeout
            self._port.write(data)
        except (serial.SerialException, OSError, TypeError) as error:
            raise _gone(self.name, error) from error

    def reopen(self, timeout: float) -> None:
        """See Transport."""
        self.close()
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._port = _open_port(self.name, self._baud)
                return
            except LinkLost:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """See Transport."""
        with contextlib.suppress(serial.SerialException, OSError):
            self._port.close()

    def _port_descriptor(self) -> int | None:
        """The descriptor behind the port, where select() can wait for it."""
        if os.name != "posix":
            return None
        try:
            return int(self._port.fileno())
        except (AttributeError, OSError, TypeError, ValueError):
            if not self._port.is_open:
                raise LinkLost(f"{self.name} is closed", "open the port again") from None
            return None


def _open_port(url: str, baud: int) -> serial.SerialBase:
    exclusive = {} if "://" in url or os.name != "posix" else {"exclusive": True}
    try:
        return serial.serial_for_url(url, baudrate=baud, timeout=0, **exclusive)
    except (serial.SerialException, OSError, ValueError) as error:
        raise _cannot_open(url, error) from error


def _cannot_open(url: str, error: Exception) -> LinkLost:
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.EACCES or "Permission denied" in text:
        return LinkLost(
            f"no permission to open {url}",
            "join the group that owns serial ports, then log in again: "
            "sudo usermod -aG dialout $USER",
        )
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "busy" in text:
        return LinkLost(f"{url} is in use by another program", "close it (a serial monitor?)")
    if number == errno.ENOENT or "FileNotFoundError" in text:
        return LinkLost(f"there is no port {url}", _ports_hint())
    if number == errno.ECONNREFUSED or "refused" in text:
        return LinkLost(f"nobody listens at {url}", "start the emulator or the bridge first")
    return LinkLost(f"cannot open {url}: {text}", _ports_hint())


def _ports_hint() -> str:
    ports = [port.device for port in list_ports.comports() if port.hwid != "n/a"]
    if not ports:
        return "no serial port is here: is the board plugged in?"
    return "ports here: " + ", ".join(sorted(ports))


def _gone(name: str, error: object) -> LinkLost:
    return LinkLost(f"{name} is gone: {error}", "is the board still plugged in and powered?")


def _read_descriptor(descriptor: int, name: str, timeout: float) -> bytes:
    try:
        if not select.select([descriptor], [], [], timeout)[0]:
            return b""
        data = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return b""
    except (OSError, ValueError) as error:
        raise _gone(name, error) from error
    if not data:
        raise _gone(name, "the other side closed it")
    return data


def _write_descriptor(descriptor: int, name: str, data: bytes, timeout: float) -> None:
    view = memoryview(data)
    while view:
        try:
            if not select.select([], [descriptor], [], timeout)[1]:
                raise LinkLost(
                    f"{name} takes no data", "the device or the emulator hangs: reset it"
                )
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            continue
        except (OSError, ValueError) as error:
            raise _gone(name, error) from error
