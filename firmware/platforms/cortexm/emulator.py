# SPDX-License-Identifier: Apache-2.0
"""Starts an emulated board in the background, its UART on a TCP port of this machine.

`start` replaces what an earlier `start` left running; `stop` ends it. The process is
remembered in FOLDER/qemu.pid, what it says is in FOLDER/qemu.log.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

QEMU = "qemu-system-arm"


def is_ours(pid: int) -> bool:
    """Is the process still the emulator, and not another that was given its number?"""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        try:  # systems without /proc
            command = subprocess.run(
                ["ps", "-p", str(pid), "-o", "comm="], capture_output=True
            ).stdout
        except OSError:
            return False
    return QEMU.encode() in command


def stop(folder: Path) -> None:
    record = folder / "qemu.pid"
    try:
        pid = int(record.read_text())
    except (OSError, ValueError):
        return
    if is_ours(pid):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while is_ours(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
    record.unlink(missing_ok=True)


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start(options: argparse.Namespace) -> None:
    if shutil.which(QEMU) is None:
        sys.exit(
            f"Error: {QEMU} is not on the PATH. Debian and Ubuntu: apt-get install qemu-system-arm."
        )
    stop(options.folder)
    if not port_is_free(options.port):
        sys.exit(
            f"Error: TCP port {options.port} is in use. Set custom_emulator_port of this "
            "board in platformio.ini to a free one."
        )
    serial = ["-serial", "null"] * options.serial_index + [
        "-serial",
        f"tcp:127.0.0.1:{options.port},server=on,wait=off,nodelay=on",
    ]
    quiet = ["-display", "none", "-monitor", "none"]
    options.folder.mkdir(parents=True, exist_ok=True)
    log = options.folder / "qemu.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [QEMU, "-M", options.machine, "-kernel", str(options.elf), *quiet, *serial],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (options.folder / "qemu.pid").write_text(str(process.pid))
    status = came_up(process, options.port)
    if status is not None:
        sys.exit(f"Error: QEMU ended with status {status}: {log.read_text().strip()}")
    url = f"socket://127.0.0.1:{options.port}"
    print(f"{options.machine} runs in QEMU (process {process.pid}), its UART on {url}")
    print(f"Terminal: pio device monitor -p {url}. Stop it: pio run -t emulate-stop")


def came_up(process: subprocess.Popen[bytes], port: int) -> int | None:
    """Waits until QEMU listens, on a busy machine for some seconds; its status where it ended."""
    deadline = time.monotonic() + 30
    while port_is_free(port):
        if process.poll() is not None:
            return process.returncode
        if time.monotonic() > deadline:
            process.kill()
            sys.exit(f"Error: QEMU does not listen on TCP port {port} after 30 s.")
        time.sleep(0.05)
    try:
        return process.wait(timeout=0.3)  # a machine that it cannot start ends it now
    except subprocess.TimeoutExpired:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--machine", help="QEMU's name of the board")
    parser.add_argument("--serial-index", type=int, default=0, help="which UART is the link")
    parser.add_argument("--port", type=int, default=5555)
    parser.add_argument("--folder", type=Path, required=True, help="where qemu.pid is kept")
    parser.add_argument("--elf", type=Path, help="the firmware")
    options = parser.parse_args()
    if options.action == "stop":
        stop(options.folder)
    else:
        start(options)


if __name__ == "__main__":
    main()
