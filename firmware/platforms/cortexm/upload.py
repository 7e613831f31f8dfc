# SPDX-License-Identifier: Apache-2.0
"""How the firmware gets onto a board, or into the emulator."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from SCons.Script import AlwaysBuild

EMULATOR = Path(__file__).with_name("emulator.py")


@dataclass(frozen=True)
class Programmer:
    """A tool that writes flash memory.

    `command` is a template of SCons; `image` says which file it takes.
    """

    tool: str
    package: str
    image: str
    command: str


def programmers(board) -> dict:
    flash = board.get("build.flash_origin")
    return {
        "openocd": Programmer(
            "openocd",
            "apt-get install openocd",
            "elf",
            f"openocd -f {board.get('upload.openocd_config', '')} "
            '-c "program {$SOURCE} verify reset exit"',
        ),
        "stflash": Programmer(
            "st-flash",
            "apt-get install stlink-tools",
            "bin",
            f"st-flash --reset write $SOURCE {flash}",
        ),
        "dfu": Programmer(
            "dfu-util",
            "apt-get install dfu-util",
            "bin",
            f"dfu-util --alt 0 --dfuse-address {flash}:leave --download $SOURCE",
        ),
        "pyocd": Programmer(
            "pyocd",
            "pip install pyocd",
            "elf",
            f"pyocd flash --target {board.get('upload.pyocd_target', '')} $SOURCE",
        ),
    }


def require(tool: str, package: str) -> None:
    if shutil.which(tool) is None:
        sys.exit(
            f"Error: {tool} is not on the PATH ({package}). Without a board: "
            "`pio run -t emulate` starts the same firmware in QEMU."
        )


def start_command(env, board) -> str:
    emulator = board.get("emulator")
    port = env.GetProjectOption("custom_emulator_port", "5555")
    return (
        f'"$PYTHONEXE" "{EMULATOR}" start --machine {emulator["machine"]} '
        f"--serial-index {emulator['serial_index']} --port {port} "
        '--folder "$BUILD_DIR" $SOURCE'
    )


def upload_actions(env, board, protocol: str) -> tuple:
    """(image, actions) of the target `upload`."""
    if protocol == "qemu":
        return "elf", [env.VerboseAction(start_command(env, board), "Starting $SOURCE in QEMU")]
    choice = programmers(board).get(protocol)
    if choice is None or protocol not in board.get("upload.protocols"):
        known = ", ".join(board.get("upload.protocols"))
        message = f"Error: this board has no upload protocol {protocol!r}; it has {known}."
        return "elf", [env.VerboseAction(lambda *_, **__: sys.exit(message), "")]
    check = env.VerboseAction(lambda *_, **__: require(choice.tool, choice.package), "")
    return choice.image, [check, env.VerboseAction(choice.command, f"Uploading with {choice.tool}")]


def add_upload_targets(env, board, elf, binary) -> None:
    """Adds `upload`, `emulate` and `emulate-stop`."""
    protocol = (
        os.environ.get("W2S_UPLOAD_PROTOCOL")
        or env.subst("$UPLOAD_PROTOCOL")
        or board.get("upload.protocol")
    )
    env.Replace(UPLOAD_PROTOCOL=protocol)
    image, actions = upload_actions(env, board, protocol)
    AlwaysBuild(env.Alias("upload", {"elf": elf, "bin": binary}[image], actions))
    env.AddCustomTarget(
        "emulate",
        elf,
        [env.VerboseAction(start_command(env, board), "Starting $SOURCE in QEMU")],
        title="Emulate",
        description="Start the firmware in QEMU, its UART on TCP",
    )
    env.AddCustomTarget(
        "emulate-stop",
        None,
        f'"$PYTHONEXE" "{EMULATOR}" stop --folder "$BUILD_DIR"',
        title="Stop the emulator",
        description="Stop what `emulate` or `upload` started in QEMU",
    )
