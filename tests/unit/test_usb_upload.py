# SPDX-License-Identifier: Apache-2.0
"""The way to a board through its own boot loader: UF2 files, and finding the board and the tool."""

import argparse
import importlib.util
import json
import stat
import struct
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from wav2small_micro import paths, pio

PLATFORM = paths.repo_root() / "firmware" / "platforms" / "cortexm"
NANO_BOOT, NANO_SKETCH, OURS = (0x2341, 0x005A), (0x2341, 0x805A), (0x1209, 0x0001)
FAMILY_NRF52840 = 0xADA52840  # https://github.com/microsoft/uf2, utils/uf2families.json
BOARDS = ["nano33ble_sense", "xiao_nrf52840_sense"]


def load(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, PLATFORM / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


uf2 = load("uf2")
usb_upload = load("usb_upload")


# --- UF2 --------------------------------------------------------------------------------------


def read_uf2(content: bytes) -> tuple[dict[int, bytes], set[int]]:
    """Payload by address, and the families, as a boot loader reads them."""
    found, families = {}, set()
    assert len(content) % 512 == 0
    for number in range(len(content) // 512):
        block = content[512 * number : 512 * number + 512]
        first, second, flags, address, size, at, count, family = struct.unpack_from("<8I", block)
        assert (first, second) == (0x0A324655, 0x9E5D5157)
        assert struct.unpack_from("<I", block, 508) == (0x0AB16F30,)
        assert (at, count) == (number, len(content) // 512)
        assert flags == 0x2000
        assert size <= 476
        found[address] = block[32 : 32 + size]
        families.add(family)
    return found, families


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1000])
def test_a_uf2_holds_the_image(size: int) -> None:
    image = bytes(range(256)) * 4
    found, families = read_uf2(uf2.uf2(image[:size], 0x27000, FAMILY_NRF52840))
    assert sorted(found) == [0x27000 + 256 * n for n in range(-(-size // 256))]
    assert families <= {FAMILY_NRF52840}
    assert b"".join(found[at] for at in sorted(found)).rstrip(b"\0") == image[:size].rstrip(b"\0")


def test_a_uf2_begins_at_a_block() -> None:
    with pytest.raises(ValueError, match="multiple of 256"):
        uf2.uf2(b"x", 0x27001, FAMILY_NRF52840)


# --- boards -----------------------------------------------------------------------------------


def facts(env: str) -> dict:
    return json.loads((paths.repo_root() / "firmware" / "boards" / f"{env}.json").read_text())


def test_the_firmware_leaves_the_boot_loaders_alone() -> None:
    """Nano: below 0x10000 (Arduino). XIAO: MBR and SoftDevice S140 7.3.0 below 0x27000, Adafruit's
    boot loader's data from 0xED000 on."""
    places = {}
    for env in BOARDS:
        start = int(facts(env)["build"]["flash_origin"], 0)
        places[env] = (start, start + facts(env)["upload"]["maximum_size"])
    assert places["nano33ble_sense"] == (0x10000, 0x100000)
    assert places["xiao_nrf52840_sense"] == (0x27000, 0xED000)


@pytest.mark.parametrize("env", BOARDS)
def test_each_board_is_flashed_through_its_connector_first(env: str) -> None:
    board = pio.board(env)
    assert board.protocols[0] == {"nano33ble_sense": "bossac"}.get(env, "uf2")
    assert {"openocd", "pyocd", "nrfjprog"} <= set(board.protocols)
    assert board.emulator is None


# --- finding ----------------------------------------------------------------------------------


@pytest.fixture
def options(tmp_path: Path) -> argparse.Namespace:
    image = tmp_path / "firmware.bin"
    image.write_bytes(b"firmware")
    return argparse.Namespace(
        way="bossac",
        image=image,
        board="nano33ble_sense",
        title="Arduino Nano 33 BLE Sense",
        boot_loader=["2341:005a"],
        others=["2341:805a"],
        board_id="xiao",
        softdevice="0x0123",
        port="",
    )


Plug = Callable[..., None]


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Plugs boards in: plugged("/dev/ttyACM0", (vid, pid), product)."""
    there: list = []
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: list(there))
    monkeypatch.setattr(usb_upload, "PATIENCE", 0.5)

    def plug(device: str, ids: tuple[int, int], product: str | None = None) -> None:
        there[:] = [port for port in there if port.device != device]
        there.append(types.SimpleNamespace(device=device, vid=ids[0], pid=ids[1], product=product))

    return plug


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch, plugged: Plug) -> list:
    """What was done to ports; a board that is touched comes back as its boot loader."""
    said: list = []

    class Port:
        def __init__(self, name: str, baud: int) -> None:
            said.append((name, baud))
            self.name = name

        def __enter__(self) -> "Port":
            return self

        def __exit__(self, *_: object) -> None:
            plugged(self.name, NANO_BOOT)

        def __setattr__(self, name: str, value: object) -> None:
            if name == "dtr":
                said.append(value)
            super().__setattr__(name, value)

    monkeypatch.setattr("serial.Serial", Port)
    return said


def find(options: argparse.Namespace) -> str:
    return usb_upload.boot_loader(options, lambda: usb_upload.boot_loader_ports(options))


def test_a_boot_loader_that_runs_is_taken(options, plugged, touched) -> None:
    plugged("/dev/ttyACM3", NANO_BOOT)
    assert find(options) == "/dev/ttyACM3"
    assert touched == []


@pytest.mark.parametrize(
    ("ids", "product"), [(OURS, "nano33ble_sense"), (OURS, None), (NANO_SKETCH, "Nano 33 BLE")]
)
def test_firmware_is_asked_for_its_boot_loader(options, plugged, touched, ids, product) -> None:
    plugged("/dev/ttyACM0", ids, product)
    assert find(options) == "/dev/ttyACM0"
    assert touched == [("/dev/ttyACM0", 1200), True, False]


def test_another_board_of_ours_is_left_alone(options, plugged, touched) -> None:
    plugged("/dev/ttyACM0", OURS, "xiao_nrf52840_sense")
    with pytest.raises(usb_upload.Refusal, match="RESET button twice"):
        find(options)
    assert touched == []


def test_several_boards_are_told_apart_by_the_port(options, plugged, touched) -> None:
    plugged("/dev/ttyACM0", OURS, "nano33ble_sense")
    plugged("/dev/ttyACM1", NANO_SKETCH)
    with pytest.raises(usb_upload.Refusal, match="/dev/ttyACM0, /dev/ttyACM1"):
        find(options)
    options.port = "/dev/ttyACM1"
    assert find(options) == "/dev/ttyACM1"
    assert touched[0] == ("/dev/ttyACM1", 1200)


def test_a_boot_loader_that_does_not_come_is_said(options, plugged, monkeypatch) -> None:
    plugged("/dev/ttyACM0", OURS, "nano33ble_sense")
    monkeypatch.setattr(usb_upload, "touch", lambda name: None)
    with pytest.raises(usb_upload.Refusal, match="did not come"):
        find(options)


# --- ways -------------------------------------------------------------------------------------


def tool(folder: Path, name: str, status: int = 0) -> Path:
    """A program that notes its arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/{name}.log"\nexit {status}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder / f"{name}.log"


def test_bossac_of_arduinos_folder_writes_behind_the_boot_loader(
    options, plugged, tmp_path, monkeypatch
) -> None:
    log = tool(tmp_path / ".arduino15/packages/arduino/tools/bossac/1.9.1-arduino2", "bossac")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere:/bin")
    plugged("/dev/ttyACM3", NANO_BOOT)
    usb_upload.upload_bossac(options)
    assert log.read_text().split() == f"--port=ttyACM3 -U -i -e -w {options.image} -R".split()


def test_without_bossac_the_message_says_where_it_comes_from(
    options, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(usb_upload.Refusal, match="Arduino Mbed OS Nano Boards"):
        usb_upload.upload_bossac(options)


def test_a_tool_that_fails_is_a_failure(options, plugged, tmp_path, monkeypatch) -> None:
    tool(tmp_path, "bossac_arduino2", status=3)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    plugged("/dev/ttyACM3", NANO_BOOT)
    with pytest.raises(usb_upload.Refusal, match="status 3"):
        usb_upload.upload_bossac(options)


def test_nrfutil_packs_and_sends(options, plugged, tmp_path, monkeypatch) -> None:
    log = tool(tmp_path, "adafruit-nrfutil")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    plugged("/dev/ttyACM3", NANO_BOOT)
    usb_upload.upload_nrfutil(options)
    package = options.image.with_suffix(".zip")
    pack, sending = log.read_text().splitlines()
    assert pack.split()[:2] == ["dfu", "genpkg"]
    assert pack.split()[-1] == str(package)
    assert sending == f"dfu serial -pkg {package} -p /dev/ttyACM3 -b 115200 --singlebank"


def drive(folder: Path, board: str) -> Path:
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text(
        f"UF2 Bootloader 0.6.1\r\nModel: a board\r\nBoard-ID: {board}\r\nDate: today\r\n"
    )
    return folder


def test_a_uf2_goes_onto_the_boards_drive(options, tmp_path, monkeypatch) -> None:
    drive(tmp_path / "RPI-RP2", "RPI-RP2")
    mine = drive(tmp_path / "XIAO-SENSE", "nRF52840-SeeedXiaoSense-v1")
    monkeypatch.setattr(usb_upload, "mount_points", lambda: sorted(tmp_path.iterdir()))
    usb_upload.upload_uf2(options)
    assert (mine / "firmware.bin").read_bytes() == b"firmware"
    assert not (tmp_path / "RPI-RP2" / "firmware.bin").exists()


def test_a_drive_that_is_not_there_is_said(options, plugged, monkeypatch) -> None:
    options.way = "uf2"
    plugged("/dev/ttyACM0", OURS, "nano33ble_sense")
    monkeypatch.setattr(usb_upload, "touch", lambda name: None)
    monkeypatch.setattr(usb_upload, "mount_points", list)
    with pytest.raises(usb_upload.Refusal, match="must be mounted"):
        usb_upload.upload_uf2(options)
