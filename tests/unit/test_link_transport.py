# SPDX-License-Identifier: Apache-2.0
"""Ports that open, that cannot, and that go away."""

import contextlib
import errno
import os
import pty
import socket
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from wav2small_micro.link.errors import LinkLost
from wav2small_micro.link.transport import DescriptorTransport, SerialTransport, Transport


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The two ends of a raw pty: the device's and the host's."""
    controller, terminal = pty.openpty()
    tty.setraw(terminal)
    yield controller, terminal
    for end in (controller, terminal):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(end)


def check_both_ways(transport: Transport, device: int) -> None:
    transport.write(bytes(range(256)), 1.0)
    assert read_exactly(lambda: os.read(device, 4096), 256) == bytes(range(256))
    os.write(device, bytes(range(256)))
    assert read_exactly(lambda: transport.read(1.0), 256) == bytes(range(256))
    begin = time.monotonic()
    assert transport.read(0.05) == b""
    assert 0.04 < time.monotonic() - begin < 1


def read_exactly(read: Callable[[], bytes], size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += read()
    return data


def test_pty_through_pyserial(ends: tuple[int, int]) -> None:
    transport = SerialTransport(os.ttyname(ends[1]))
    check_both_ways(transport, ends[0])
    transport.close()
    transport.close()
    with pytest.raises(LinkLost):
        transport.read(0.1)
    transport.reopen(1.0)
    check_both_ways(transport, ends[0])


def test_descriptor(ends: tuple[int, int]) -> None:
    check_both_ways(DescriptorTransport(ends[1], "pty"), ends[0])


def test_socket_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = SerialTransport(f"socket://127.0.0.1:{server.getsockname()[1]}")
        connection, _ = server.accept()
        check_both_ways(transport, connection.fileno())
        connection.close()
        with pytest.raises(LinkLost, match="closed"):
            transport.read(1.0)
        transport.close()


def test_url_without_a_descriptor() -> None:
    """pyserial's loop:// gives back what it gets."""
    transport = SerialTransport("loop://")
    transport.write(b"there and back", 1.0)
    assert read_exactly(lambda: transport.read(1.0), 14) == b"there and back"
    assert transport.read(0.01) == b""
    transport.close()


def test_device_that_closes_its_end(ends: tuple[int, int]) -> None:
    transport = SerialTransport(os.ttyname(ends[1]))
    os.close(ends[0])
    with pytest.raises(LinkLost, match="is gone") as caught:
        transport.read(1.0)
    assert "plugged in" in caught.value.hint


def test_device_that_takes_nothing(ends: tuple[int, int]) -> None:
    transport = DescriptorTransport(ends[1], "the port")
    with pytest.raises(LinkLost, match="the port takes no data"):
        transport.write(bytes(1_000_000), 0.1)


def test_large_write_while_the_other_side_reads(ends: tuple[int, int]) -> None:
    transport = DescriptorTransport(ends[1], "the port")
    data = bytes(range(256)) * 1000
    got: list[bytes] = []
    reader = threading.Thread(
        target=lambda: got.append(read_exactly(lambda: os.read(ends[0], 999), len(data)))
    )
    reader.start()
    transport.write(data, 1.0)
    reader.join()
    assert got == [data]


def test_missing_port_lists_those_there() -> None:
    with pytest.raises(LinkLost, match="there is no port /dev/ttyNOT") as caught:
        SerialTransport("/dev/ttyNOT")
    assert "port" in caught.value.hint


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(LinkLost, match="nobody listens"):
        SerialTransport(f"socket://127.0.0.1:{port}")


def test_unknown_url() -> None:
    with pytest.raises(LinkLost, match="cannot open carrier-pigeon://"):
        SerialTransport("carrier-pigeon://coop")


def test_port_in_use(ends: tuple[int, int]) -> None:
    url = os.ttyname(ends[1])
    with serial.Serial(url, exclusive=True), pytest.raises(LinkLost, match="in use"):
        SerialTransport(url)


def test_port_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port: Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(LinkLost, match="no permission to open /dev/ttyACM0") as caught:
        SerialTransport("/dev/ttyACM0")
    assert "dialout" in caught.value.hint


def test_reopen_gives_up_in_time(ends: tuple[int, int], tmp_path: Path) -> None:
    port = tmp_path / "port"  # another process may soon have a terminal of the same number
    port.symlink_to(os.ttyname(ends[1]))
    transport = SerialTransport(str(port))
    port.unlink()
    os.close(ends[1])
    os.close(ends[0])
    with pytest.raises(LinkLost):
        transport.reopen(0.3)
