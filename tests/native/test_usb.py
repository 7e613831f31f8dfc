# SPDX-License-Identifier: Apache-2.0
"""The serial port on USB, without a chip: what a host asks, what it is told.

Expectations are those of the specifications: USB 2.0 ("USB"), chapters 8 and 9, and the PSTN
subclass of USB CDC, 1.2 ("PSTN").
"""

import ctypes
import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from wav2small_micro import paths

PACKET = 64
PRODUCT = "a_board"
SERIAL = 0x0123456789ABCDEF
NOTIFY, DATA_OUT, DATA_IN = 0x81, 0x02, 0x82
DEVICE, CONFIGURATION, STRING, QUALIFIER = 1, 2, 3, 6


class Stage(enum.IntEnum):
    """usb_cdc_stage_t."""

    STALL, STATUS, SEND, RECEIVE, NOTHING = range(5)


@dataclass
class Usb:
    """A device, and the host's end of its endpoint 0."""

    library: ctypes.CDLL

    def __post_init__(self) -> None:
        self.library.usb_recorder_device.restype = ctypes.c_void_p
        self.device = ctypes.c_void_p(self.library.usb_recorder_device())
        self.product = ctypes.create_string_buffer(PRODUCT.encode())
        self.library.usb_cdc_init(self.device, self.product, ctypes.c_uint64(SERIAL))

    def setup(
        self, kind: int, request: int, value: int = 0, index: int = 0, length: int = 0
    ) -> Stage:
        packet = struct.pack("<BBHHH", kind, request, value, index, length)
        return Stage(self.library.usb_cdc_setup(self.device, packet))

    def packets(self) -> list[bytes]:
        """The data stage to the host."""
        found = []
        at, size = ctypes.POINTER(ctypes.c_uint8)(), ctypes.c_size_t()
        self.library.usb_cdc_next.restype = ctypes.c_bool
        while self.library.usb_cdc_next(self.device, ctypes.byref(at), ctypes.byref(size)):
            found.append(bytes(at[: size.value]))
        return found

    def get(
        self, kind: int, request: int, value: int = 0, index: int = 0, length: int = 0
    ) -> bytes:
        assert self.setup(kind, request, value, index, length) == Stage.SEND
        return b"".join(self.packets())

    def descriptor(self, kind: int, number: int = 0, length: int = 255) -> bytes:
        return self.get(0x80, 6, kind << 8 | number, 0x0409 if number else 0, length)

    def text(self, number: int) -> str:
        found = self.descriptor(STRING, number)
        assert found[0] == len(found)
        assert found[1] == STRING
        return found[2:].decode("utf-16-le")

    def configure(self, value: int = 1) -> None:
        assert self.setup(0x00, 9, value) == Stage.STATUS

    def line_state(self, value: int) -> None:
        assert self.setup(0x21, 0x22, value) == Stage.STATUS

    def line_coding(self, rate: int) -> None:
        assert self.setup(0x21, 0x20, length=7) == Stage.RECEIVE
        assert self.data(struct.pack("<IBBB", rate, 0, 0, 8)) == Stage.STATUS

    def data(self, content: bytes) -> Stage:
        size = ctypes.c_size_t(len(content))
        return Stage(self.library.usb_cdc_data(self.device, content, size))

    def flag(self, name: str) -> bool:
        function = getattr(self.library, f"usb_cdc_{name}")
        function.restype = ctypes.c_bool
        return bool(function(self.device))

    @property
    def is_open(self) -> bool:
        return self.flag("is_open")

    @property
    def is_touched(self) -> bool:
        return self.flag("is_touched")

    @property
    def configured(self) -> int:
        return ctypes.c_int.in_dll(self.library, "usb_recorded_configuration").value

    @property
    def halt(self) -> int:
        return ctypes.c_int.in_dll(self.library, "usb_recorded_halt").value


@pytest.fixture(scope="session")
def usb_library(
    compile_c: Callable[[Path, list[Path], list[str]], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> ctypes.CDLL:
    folder = paths.repo_root() / "firmware" / "boards" / "usb"
    sources = [folder / "usb_cdc.c", Path(__file__).with_name("usb_recorder.c")]
    output = tmp_path_factory.mktemp("usb") / "usb.so"
    return ctypes.CDLL(str(compile_c(output, sources, ["-shared", "-fPIC", f"-I{folder}"])))


@pytest.fixture
def usb(usb_library: ctypes.CDLL) -> Usb:
    return Usb(usb_library)


@pytest.fixture
def ready(usb: Usb) -> Usb:
    """A device that its host has configured."""
    usb.configure()
    return usb


def parts(configuration: bytes) -> list[bytes]:
    """The descriptors of a configuration, by their lengths."""
    found = []
    while configuration:
        found.append(configuration[: configuration[0]])
        configuration = configuration[configuration[0] :]
    return found


# --- descriptors ------------------------------------------------------------------------------


def test_device_descriptor(usb: Usb) -> None:
    fields = struct.unpack("<BBHBBBBHHHBBBB", usb.descriptor(DEVICE))
    assert fields[:3] == (18, DEVICE, 0x0200)
    assert fields[3:6] == (0xEF, 2, 1)  # interface associations are used (their ECN, table 1-1)
    assert fields[6] == PACKET
    assert fields[7:9] == (0x1209, 0x0001)  # pid.codes, for tests
    assert fields[13] == 1
    assert [usb.text(number) for number in fields[10:13]] == [
        "Wav2Small Micro",
        PRODUCT,
        f"{SERIAL:016X}",
    ]


def test_configuration_descriptor_is_a_serial_port(usb: Usb) -> None:
    whole = usb.descriptor(CONFIGURATION)
    found = parts(whole)
    assert [part[1] for part in found] == [2, 11, 4, 0x24, 0x24, 0x24, 0x24, 5, 4, 5, 5]
    assert struct.unpack("<HBB", found[0][2:6]) == (len(whole), 2, 1)
    assert found[0][7] & 0xE0 == 0x80  # bus-powered, no remote wake-up (USB, table 9-10)
    assert list(found[1][2:6]) == [0, 2, 2, 2]  # interfaces 0 and 1; communications, ACM
    assert list(found[2][2:8]) == [0, 0, 1, 2, 2, 0]
    assert found[6] == bytes([5, 0x24, 0x06, 0, 1])  # union: 0 controls 1
    assert list(found[8][2:8]) == [1, 0, 2, 0x0A, 0, 0]
    endpoints = {part[2]: (part[3], part[4] | part[5] << 8) for part in found if part[1] == 5}
    assert endpoints == {NOTIFY: (3, 16), DATA_OUT: (2, 64), DATA_IN: (2, 64)}


def test_languages(usb: Usb) -> None:
    assert usb.descriptor(STRING) == bytes([4, STRING, 0x09, 0x04])


@pytest.mark.parametrize("length", [1, 8, 9, 18, 63, 64, 65, 74, 75, 76, 255, 65535])
@pytest.mark.parametrize("kind", [DEVICE, CONFIGURATION, STRING])
def test_no_answer_is_longer_than_was_asked_for(usb: Usb, kind: int, length: int) -> None:
    number = 3 if kind == STRING else 0
    whole = usb.descriptor(kind, number)
    assert usb.setup(0x80, 6, kind << 8 | number, 0x0409, length) == Stage.SEND
    packets = usb.packets()
    assert b"".join(packets) == whole[:length]
    assert all(len(packet) == PACKET for packet in packets[:-1])


def test_an_answer_of_full_packets_ends_by_an_empty_one(usb: Usb) -> None:
    """USB, 8.5.3.2: shorter than asked for, and a multiple of the packet's size."""
    usb.product.value = b""
    long = ctypes.create_string_buffer(b"x" * 31)  # 64 bytes as a descriptor
    usb.library.usb_cdc_init(usb.device, long, ctypes.c_uint64(SERIAL))
    assert usb.setup(0x80, 6, STRING << 8 | 2, 0x0409, 255) == Stage.SEND
    assert [len(packet) for packet in usb.packets()] == [64, 0]
    assert usb.setup(0x80, 6, STRING << 8 | 2, 0x0409, 64) == Stage.SEND
    assert [len(packet) for packet in usb.packets()] == [64]


def test_nothing_asked_for_is_a_status_stage(usb: Usb) -> None:
    assert usb.setup(0x80, 6, DEVICE << 8, 0, 0) == Stage.STATUS
    assert usb.packets() == []


# --- requests ---------------------------------------------------------------------------------

UNKNOWN = {
    "qualifier": (0x80, 6, QUALIFIER << 8, 0, 10),  # of a device that knows no high speed
    "another configuration": (0x80, 6, CONFIGURATION << 8 | 1, 0, 9),
    "a string too many": (0x80, 6, STRING << 8 | 4, 0x0409, 255),
    "set descriptor": (0x00, 7, DEVICE << 8, 0, 18),
    "remote wake-up": (0x00, 3, 1, 0, 0),
    "configuration 2": (0x00, 9, 2, 0, 0),
    "interface 2": (0x81, 10, 0, 2, 1),
    "alternate setting": (0x01, 11, 1, 0, 0),
    "halt of endpoint 3": (0x02, 3, 0, 3, 0),
    "status of endpoint 3": (0x82, 0, 0, 3, 2),
    "feature 1 of an endpoint": (0x02, 3, 1, DATA_IN, 0),
    "line coding of 8 bytes": (0x21, 0x20, 0, 0, 8),
    "line coding of the data interface": (0x21, 0x20, 0, 1, 7),
    "break": (0x21, 0x23, 100, 0, 0),
    "a vendor's": (0xC0, 1, 0, 4, 40),  # Windows asks for its own descriptors
    "nonsense": (0xFF, 0xFF, 0xFFFF, 0xFFFF, 0xFFFF),
}


@pytest.mark.parametrize("request_", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_is_not_known_is_refused_and_the_next_is_answered(
    ready: Usb, request_: tuple[int, int, int, int, int]
) -> None:
    assert ready.setup(*request_) == Stage.STALL
    assert ready.packets() == []
    assert ready.get(0x80, 8, length=1) == b"\1"


@pytest.mark.parametrize(
    "request_",
    [(0x21, 0x22, 1), (0x81, 10, 0, 0, 1), (0x02, 3, 0, DATA_IN), (0x82, 0, 0, DATA_IN, 2)],
)
def test_before_it_is_configured_only_the_device_answers(
    usb: Usb, request_: tuple[int, ...]
) -> None:
    assert usb.setup(*request_) == Stage.STALL
    assert usb.get(0x82, 0, 0, 0, 2) == b"\0\0"  # but endpoint 0 is there


def test_address_is_the_hardwares(usb: Usb) -> None:
    assert usb.setup(0x00, 5, 42) == Stage.NOTHING


def test_configuration_comes_and_goes(usb: Usb) -> None:
    assert usb.get(0x80, 8, length=1) == b"\0"
    usb.configure()
    assert usb.configured == 1
    assert usb.get(0x80, 8, length=1) == b"\1"
    assert usb.get(0x81, 10, 0, 1, 1) == b"\0"
    assert usb.setup(0x01, 11, 0, 1) == Stage.STATUS
    usb.configure(0)
    assert usb.configured == 0
    assert usb.get(0x80, 8, length=1) == b"\0"


@pytest.mark.parametrize("address", [NOTIFY, DATA_OUT, DATA_IN])
def test_an_endpoint_is_halted_and_freed(ready: Usb, address: int) -> None:
    assert ready.get(0x82, 0, 0, address, 2) == b"\0\0"
    assert ready.setup(0x02, 3, 0, address) == Stage.STATUS
    assert ready.halt == address | 256
    assert ready.get(0x82, 0, 0, address, 2) == b"\1\0"
    assert ready.setup(0x02, 1, 0, address) == Stage.STATUS
    assert ready.halt == address
    assert ready.get(0x82, 0, 0, address, 2) == b"\0\0"


def test_line_coding_is_told_back(ready: Usb) -> None:
    assert ready.get(0xA1, 0x21, length=7) == struct.pack("<IBBB", 115200, 0, 0, 8)
    ready.line_coding(921600)
    assert ready.get(0xA1, 0x21, length=7) == struct.pack("<IBBB", 921600, 0, 0, 8)


@pytest.mark.parametrize("size", [0, 1, 6, 8, 64])
def test_line_coding_of_another_size_changes_nothing(ready: Usb, size: int) -> None:
    assert ready.setup(0x21, 0x20, length=7) == Stage.RECEIVE
    assert ready.data(bytes(size)) == Stage.STALL
    assert ready.get(0xA1, 0x21, length=7) == struct.pack("<IBBB", 115200, 0, 0, 8)


def test_a_request_ends_the_one_before(usb: Usb) -> None:
    """USB, 5.5.5: a SETUP packet aborts a transfer that has not ended."""
    assert usb.setup(0x80, 6, CONFIGURATION << 8, 0, 255) == Stage.SEND
    assert usb.setup(0x00, 9, 1) == Stage.STATUS
    assert usb.packets() == []


# --- who listens, and who wants the boot loader --------------------------------------------------


def test_nobody_listens_before_a_program_has_the_port_open(usb: Usb) -> None:
    assert not usb.is_open
    usb.configure()
    assert not usb.is_open
    usb.line_state(1)
    assert usb.is_open
    usb.line_state(0)
    assert not usb.is_open


def test_a_program_without_dtr_listens_once_it_has_spoken(ready: Usb) -> None:
    ready.library.usb_cdc_heard(ready.device)
    assert ready.is_open


@pytest.mark.parametrize("end", ["reset", "suspend", "unconfigure"])
def test_nobody_listens_after(ready: Usb, end: str) -> None:
    ready.line_state(1)
    if end == "reset":
        ready.library.usb_cdc_reset(ready.device)
    elif end == "suspend":
        ready.library.usb_cdc_suspend(ready.device, True)
    else:
        ready.configure(0)
    assert not ready.is_open


def test_a_bus_that_wakes_up_goes_on(ready: Usb) -> None:
    ready.line_state(1)
    ready.library.usb_cdc_suspend(ready.device, True)
    ready.library.usb_cdc_suspend(ready.device, False)
    assert ready.is_open


def test_1200_baud_and_a_closed_port_ask_for_the_boot_loader(ready: Usb) -> None:
    ready.line_state(1)
    ready.line_coding(1200)
    assert not ready.is_touched
    ready.line_state(0)
    assert ready.is_touched


@pytest.mark.parametrize("rates", [[115200], [1200, 115200], []])
def test_another_rate_does_not(ready: Usb, rates: list[int]) -> None:
    ready.line_state(1)
    for rate in rates:
        ready.line_coding(rate)
    ready.line_state(0)
    assert not ready.is_touched


def test_1200_baud_before_the_port_is_open_does_not(ready: Usb) -> None:
    ready.line_coding(1200)
    ready.line_state(0)
    assert not ready.is_touched
