# SPDX-License-Identifier: Apache-2.0
"""Writes a firmware through the boot loader that a board has on its own USB connector.

`bossac` and `nrfutil` talk to the boot loader's serial port; `uf2` copies a file onto its drive.
A board whose firmware runs is asked to go there: its port is opened at 1200 baud and closed, which
Arduino's, Adafruit's and our own firmware understand. One whose boot loader runs already (RESET
pressed twice, quickly) is taken as it is.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

OUR_ID = "1209:0001"
PATIENCE = 12.0
"""Seconds from the touch to the boot loader: the watchdog's two, and what the host takes."""
BAUD = "115200"


class Refusal(Exception):
    """Why the board was not written, and what to do about it."""


# --- ports ------------------------------------------------------------------------------------


def ports() -> list:
    from serial.tools import list_ports

    return [port for port in list_ports.comports() if port.vid is not None]


def usb_id(port) -> str:
    return f"{port.vid:04x}:{port.pid:04x}"


def boot_loader_ports(options) -> list[str]:
    return [port.device for port in ports() if usb_id(port) in options.boot_loader]


def firmware_ports(options) -> list[str]:
    """Ports of this board's firmware: ours by its name, or its maker's."""
    return [
        port.device
        for port in ports()
        if usb_id(port) in options.others
        or (usb_id(port) == OUR_ID and port.product in (None, options.board))
    ]


def touch(name: str) -> None:
    """Asks the firmware behind a port for the boot loader."""
    import serial

    try:
        with serial.Serial(name, 1200) as port:
            port.dtr = True
            time.sleep(0.1)
            port.dtr = False
            time.sleep(0.1)
    except (serial.SerialException, OSError) as error:
        # The board may go at once, while the port is still open: that is a success.
        if Path(name).exists() or os.name != "posix":
            raise Refusal(f"cannot open {name}: {error}") from error


def wait_for(find: Callable[[], list], seconds: float) -> list:
    deadline = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def boot_loader(options, find: Callable[[], list]) -> str:
    """The one board whose boot loader runs, in the end; `find` looks for them."""
    found = find()
    if not found:
        running = [options.port] if options.port else firmware_ports(options)
        if not running:
            raise Refusal(
                f"no {options.title} was found. Is it plugged in, by a cable that carries data? "
                "Press its RESET button twice, quickly, and try again."
            )
        if len(running) > 1:
            raise Refusal(f"several boards: {', '.join(running)}. Choose one by --upload-port.")
        print(f"Asking the firmware at {running[0]} for the boot loader")
        touch(running[0])
        found = wait_for(find, PATIENCE)
    if not found:
        raise Refusal(
            "the boot loader did not come. Press the board's RESET button twice, quickly, and try "
            "again" + ("; its drive must be mounted." if options.way == "uf2" else ".")
        )
    if options.port in found:
        return options.port
    if len(found) > 1:
        raise Refusal(f"several boot loaders: {', '.join(map(str, found))}. Unplug all but one.")
    return found[0]


# --- ways -------------------------------------------------------------------------------------


def run(command: list[str]) -> None:
    print(" ".join(command), flush=True)
    status = subprocess.run(command).returncode
    if status != 0:
        raise Refusal(f"{Path(command[0]).name} ended with status {status}.")


def find_bossac() -> str:
    """Arduino's bossac: the original one does not know the nRF52840."""
    for name in ("bossac_arduino2", "bossac-arduino"):
        if found := shutil.which(name):
            return found
    homes = (Path.home() / ".arduino15", Path.home() / "Library/Arduino15")
    local = os.environ.get("LOCALAPPDATA")
    homes += (Path(local) / "Arduino15",) if local else ()
    for home in homes:
        tools = sorted(home.glob("packages/arduino/tools/bossac/*-arduino*/bossac*"))
        if tools:
            return str(tools[-1])
    if found := shutil.which("bossac"):
        return found
    raise Refusal(
        "Arduino's bossac was not found, neither in Arduino's folder nor on the PATH. Install "
        '"Arduino Mbed OS Nano Boards" in the Arduino IDE or by arduino-cli, or build '
        "https://github.com/arduino/BOSSA (branch nrf) and put it on the PATH as bossac_arduino2; "
        "Debian's bossa-cli does not know this chip."
    )


def upload_bossac(options) -> None:
    """Arduino's boot loader: it puts what is written at 0 behind itself."""
    tool = find_bossac()
    port = boot_loader(options, lambda: boot_loader_ports(options))
    name = port.removeprefix("/dev/")
    run([tool, f"--port={name}", "-U", "-i", "-e", "-w", str(options.image), "-R"])


def upload_nrfutil(options) -> None:
    """Adafruit's boot loader, by its serial port. The package is made beside the image."""
    tool = shutil.which("adafruit-nrfutil")
    if tool is None:
        raise Refusal("adafruit-nrfutil is not on the PATH (pip install adafruit-nrfutil).")
    package = options.image.with_suffix(".zip")
    kind = ["--dev-type", "0x0052", "--sd-req", options.softdevice]
    run([tool, "dfu", "genpkg", *kind, "--application", str(options.image), str(package)])
    port = boot_loader(options, lambda: boot_loader_ports(options))
    run([tool, "dfu", "serial", "-pkg", str(package), "-p", port, "-b", BAUD, "--singlebank"])


def mount_points() -> list[Path]:
    user = os.environ.get("USER", "*")
    patterns = ("/media/*", f"/media/{user}/*", f"/run/media/{user}/*", "/Volumes/*", "/mnt/*")
    found = [path for pattern in patterns for path in Path("/").glob(pattern[1:])]
    if os.name == "nt":
        found += [Path(f"{letter}:/") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ"]
    return found


def drives(options) -> list[Path]:
    """Drives of this board's boot loader: INFO_UF2.TXT says which board it is."""
    found = []
    for point in mount_points():
        try:
            info = (point / "INFO_UF2.TXT").read_text(errors="replace")
        except OSError:
            continue
        lines = (line.lower() for line in info.splitlines())
        if any(line.startswith("board-id:") and options.board_id in line for line in lines):
            found.append(point)
    return sorted(set(found))


def upload_uf2(options) -> None:
    drive = Path(boot_loader(options, lambda: [str(drive) for drive in drives(options)]))
    print(f"Copying {options.image} to {drive}")
    try:
        with (drive / options.image.name).open("wb") as file:
            file.write(options.image.read_bytes())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        # The board restarts with the last block, and its drive goes: that is a success.
        if drive.is_dir() and any(drive.iterdir()):
            raise Refusal(f"cannot write to {drive}: {error}") from error


WAYS = {"bossac": upload_bossac, "nrfutil": upload_nrfutil, "uf2": upload_uf2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=sorted(WAYS))
    parser.add_argument("image", type=Path, help="the firmware: .bin, .hex or .uf2")
    parser.add_argument("--board", required=True, help="the name that our firmware gives on USB")
    parser.add_argument("--title", required=True, help="what people call the board")
    parser.add_argument("--boot-loader", nargs="*", default=[], help="its USB ids: 2341:005a")
    parser.add_argument("--others", nargs="*", default=[], help="USB ids of its maker's firmware")
    parser.add_argument("--board-id", default="", help="what INFO_UF2.TXT has behind Board-ID:")
    parser.add_argument("--softdevice", default="0xFFFE", help="adafruit-nrfutil's --sd-req")
    parser.add_argument("--port", default="", help="the port to ask, or the boot loader's")
    options = parser.parse_args()
    try:
        WAYS[options.way](options)
    except Refusal as refusal:
        print(f"Error: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
