# SPDX-License-Identifier: Apache-2.0
"""How the firmware gets onto a board, or into the emulator."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from SCons.Script import AlwaysBuild

EMULATOR = Path(__file__).with_name("emulator.py")
USB_UPLOAD = Path(__file__).with_name("usb_upload.py")
# Not below the build folder, which PlatformIO empties when files come or go.
EMULATOR_FOLDER = "$PROJECT_WORKSPACE_DIR/emulator/$PIOENV"


@dataclass(frozen=True)
class Programmer:
    """A tool that writes flash memory.

    ``command`` is a template of SCons that takes the file ``image`` ("elf", "bin", "hex" or "uf2");
    ``select`` is added when an upload port tells one of several boards. ``tool`` must be on the
    PATH; where it is empty, the command looks by itself.
    """

    tool: str
    package: str
    image: str
    command: str
    select: str


def programmers(board) -> dict:
    flash = board.get("build.flash_origin")
    return {
        "openocd": Programmer(
            tool="openocd",
            package="apt-get install openocd",
            image="elf",
            command=f"openocd -f {board.get('upload.openocd_config', '')} $UPLOAD_SELECT "
            '-c "program {$SOURCE} verify reset exit"',
            select='-c "adapter serial $UPLOAD_PORT"',
        ),
        "stflash": Programmer(
            tool="st-flash",
            package="apt-get install stlink-tools",
            image="bin",
            command=f"st-flash $UPLOAD_SELECT --reset write $SOURCE {flash}",
            select="--serial $UPLOAD_PORT",
        ),
        "dfu": Programmer(
            tool="dfu-util",
            package="apt-get install dfu-util",
            image="bin",
            command=f"dfu-util $UPLOAD_SELECT --device 0483:df11 --alt 0 "
            f"--dfuse-address {flash}:leave --download $SOURCE",
            select="--serial $UPLOAD_PORT",
        ),
        "pyocd": Programmer(
            tool="pyocd",
            package="pip install pyocd",
            image="elf",
            command=f"pyocd flash $UPLOAD_SELECT "
            f"--target {board.get('upload.pyocd_target', '')} $SOURCE",
            select="--uid $UPLOAD_PORT",
        ),
        "nrfjprog": Programmer(
            tool="nrfjprog",
            package="nRF Command Line Tools, from Nordic",
            image="hex",
            command="nrfjprog $UPLOAD_SELECT --family NRF52 --program $SOURCE "
            "--sectorerase --verify --reset",
            select="--snr $UPLOAD_PORT",
        ),
        "bossac": through_usb(board, "bossac", "bin"),
        "nrfutil": through_usb(board, "nrfutil", "hex"),
        "uf2": through_usb(board, "uf2", "uf2"),
    }


def through_usb(board, way: str, image: str) -> Programmer:
    """The boot loader behind the board's own USB connector."""
    usb = board.get("upload.usb", {})
    options = {
        "--board": [board.id],
        "--title": [board.get("name")],
        "--boot-loader": usb.get("boot_loader", []),
        "--others": usb.get("others", []),
        "--board-id": [board.get("upload.uf2.board_id", "")],
        "--softdevice": [board.get("upload.softdevice", "0xFFFE")],
    }
    words = [word for name, values in options.items() for word in (name, *map(quoted, values))]
    return Programmer(
        tool="",
        package="",
        image=image,
        command=f'"$PYTHONEXE" "{USB_UPLOAD}" {way} "$SOURCE" {" ".join(words)} $UPLOAD_SELECT',
        select='--port "$UPLOAD_PORT"',
    )


def quoted(word: str) -> str:
    return f'"{word}"'


def fail(message: str) -> int:
    """An action's result: the target failed, and this is why."""
    sys.stderr.write(f"Error: {message}\n")
    return 1


def check_tool(programmer: Programmer, is_emulated: bool) -> int:
    if not programmer.tool or shutil.which(programmer.tool) is not None:
        return 0
    without = " Without a board: `pio run -e BOARD -t emulate` starts the same firmware in QEMU."
    return fail(
        f"{programmer.tool} is not on the PATH ({programmer.package})." + without * is_emulated
    )


def emulator_action(env, board):
    """Starts the ELF in QEMU, where it has such a machine."""
    emulator = board.get("emulator", {})
    if not emulator:
        message = f"QEMU has no machine like {board.id}."
        return env.VerboseAction(lambda *_, **__: fail(message), "Looking for the board in QEMU")
    port = env.subst("$UPLOAD_PORT") or env.GetProjectOption("custom_emulator_port", "5555")
    command = (
        f'"$PYTHONEXE" "{EMULATOR}" start --machine {emulator["machine"]} '
        f"--serial-index {emulator['serial_index']} --port {port} "
        f'--folder "{EMULATOR_FOLDER}" --elf "$SOURCE"'
    )
    return env.VerboseAction(command, "Starting $SOURCE in QEMU")


def upload_actions(env, board, protocol: str) -> tuple:
    """(image, actions) of the target `upload`."""
    if protocol == "qemu":
        return "elf", [emulator_action(env, board)]
    known = board.get("upload.protocols")
    if protocol not in known:
        message = f"this board has no upload protocol {protocol!r}; it has {', '.join(known)}."
        return "elf", [env.VerboseAction(lambda *_, **__: fail(message), "Choosing a programmer")]
    choice = programmers(board)[protocol]
    is_emulated = "emulator" in board
    env.Replace(UPLOAD_SELECT=choice.select if env.subst("$UPLOAD_PORT") else "")
    return choice.image, [
        env.VerboseAction(
            lambda *_, **__: check_tool(choice, is_emulated),
            f"Looking for {choice.tool or 'the board'}",
        ),
        env.VerboseAction(choice.command, "Uploading $SOURCE"),
    ]


def add_upload_targets(env, board, images: dict) -> None:
    """Adds `upload`, `emulate` and `emulate-stop`. ``images``: the firmware by kind of file."""
    protocol = (
        os.environ.get("W2S_UPLOAD_PROTOCOL")
        or env.subst("$UPLOAD_PROTOCOL")
        or board.get("upload.protocol")
    )
    env.Replace(UPLOAD_PROTOCOL=protocol)
    image, actions = upload_actions(env, board, protocol)
    AlwaysBuild(env.Alias("upload", images[image], actions))
    env.AddCustomTarget(
        "emulate",
        images["elf"],
        [emulator_action(env, board)],
        title="Emulate",
        description="Start the firmware in QEMU, its UART on TCP",
    )
    env.AddCustomTarget(
        "emulate-stop",
        None,
        f'"$PYTHONEXE" "{EMULATOR}" stop --folder "{EMULATOR_FOLDER}"',
        title="Stop the emulator",
        description="Stop what `emulate` or `upload` started in QEMU",
    )
