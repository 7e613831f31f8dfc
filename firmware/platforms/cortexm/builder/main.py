# SPDX-License-Identifier: Apache-2.0
"""Builds, links and uploads. What differs between boards is in firmware/boards/BOARD.json."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from SCons.Script import AlwaysBuild, Builder, Default, DefaultEnvironment

PREFIX = "arm-none-eabi-"
IMAGE = str(Path("$BUILD_DIR", "${PROGNAME}"))

env = DefaultEnvironment()
board = env.BoardConfig()
boards = Path(env.GetProjectConfig().get("platformio", "boards_dir"))
machine = shlex.split(board.get("build.machine_flags"))

sys.path.insert(0, env.PioPlatform().get_dir())
from upload import add_upload_targets  # noqa: E402

UF2 = Path(env.PioPlatform().get_dir()) / "uf2.py"


def require_toolchain() -> None:
    """Stops with what to install, rather than with the shell's `not found`."""
    if shutil.which(PREFIX + "gcc") is None:
        sys.exit(
            f"Error: {PREFIX}gcc is not on the PATH. Debian and Ubuntu: "
            "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi; elsewhere: the "
            "Arm GNU Toolchain, with its bin folder on the PATH."
        )
    libc = subprocess.run(
        [PREFIX + "gcc", *machine, "-print-file-name=libc.a"], capture_output=True, text=True
    ).stdout.strip()
    if libc == "libc.a":
        sys.exit(
            f"Error: {PREFIX}gcc has no C library for this board (newlib). Debian and Ubuntu: "
            "apt-get install libnewlib-arm-none-eabi."
        )


def linker_symbols() -> list:
    """The numbers of memory.ld; the last is where code sees the RAM, if anywhere else."""
    symbols = {
        "flash_origin": board.get("build.flash_origin"),
        "flash_size": board.get("upload.maximum_size"),
        "ram_origin": board.get("build.ram_origin"),
        "ram_size": board.get("upload.maximum_ram_size"),
        "code_ram_origin": board.get("build.code_ram_origin", board.get("build.ram_origin")),
    }
    return [f"-Wl,--defsym={name}={value}" for name, value in symbols.items()]


require_toolchain()
sections = boards / "common" / "sections.ld"
memory = boards / "common" / "memory.ld"
segments = boards / "common" / "segments.ld"

env.Replace(
    AR=PREFIX + "gcc-ar",
    AS=PREFIX + "as",
    CC=PREFIX + "gcc",
    CXX=PREFIX + "g++",
    GDB=PREFIX + "gdb",
    LINK=PREFIX + "gcc",
    OBJCOPY=PREFIX + "objcopy",
    RANLIB=PREFIX + "gcc-ranlib",
    SIZETOOL=PREFIX + "size",
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    OPTIMISATION="-O2",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPRINTCMD="$SIZETOOL -B -d $SOURCES",
    SIZEPROGREGEXP=r"^(?:\.text|\.data\w*)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.stack|\.noinit|\.data\w*|\.bss)\s+(\d+).*",
    LDSCRIPT_PATH=str(sections),
)

env.Append(
    ASFLAGS=machine,
    CFLAGS=["-std=c99", "-Wstrict-prototypes", "-Wmissing-prototypes"],
    CCFLAGS=[
        *machine,
        "$OPTIMISATION",
        "-g",
        "-ffunction-sections",
        "-fdata-sections",
        "-fno-common",
        "-fno-math-errno",
        # The same ELF wherever the sources lie.
        "-ffile-prefix-map=" + env.subst("$PROJECT_DIR") + "=.",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Wshadow",
        "-Wundef",
        "-Wdouble-promotion",
        "-Werror",
    ],
    CPPDEFINES=[("BOARD_NAME", env.StringifyMacro(board.id))],
    CPPPATH=["$PROJECT_INCLUDE_DIR"],
    LINKFLAGS=[
        *machine,
        *linker_symbols(),
        "-Wl,-T," + str(sections),
        # No libc start-up and no system calls: from libc only what needs neither (memcpy).
        "-nostartfiles",
        "-nodefaultlibs",
        "-Wl,--gc-sections",
        "-Wl,--fatal-warnings",
        "-Wl,-Map=$BUILD_DIR/firmware.map",
    ],
    LIBS=["c", "gcc"],
    BUILDERS={
        "ElfToBin": Builder(
            action=env.VerboseAction("$OBJCOPY -O binary $SOURCES $TARGET", "Building $TARGET"),
            suffix=".bin",
        ),
        "ElfToHex": Builder(
            action=env.VerboseAction("$OBJCOPY -O ihex $SOURCES $TARGET", "Building $TARGET"),
            suffix=".hex",
        ),
        "BinToUf2": Builder(
            action=env.VerboseAction(
                f'"$PYTHONEXE" "{UF2}" --address {board.get("build.flash_origin")} '
                f"--family {board.get('upload.uf2.family', '0')} $SOURCES $TARGET",
                "Building $TARGET",
            ),
            suffix=".uf2",
        ),
    },
)

# Before the others: a script of placement/ that firmware/build.py adds comes in between.
env.Prepend(LINKFLAGS=["-Wl,-T," + str(memory)])
if not any(flag.endswith("code_bus.ld") for flag in map(str, env["LINKFLAGS"])):
    env.Append(LINKFLAGS=["-Wl,-T," + str(segments)])

# Of firmware/lib, what the board's own code needs.
for library in board.get("build.libraries", []):
    folder = boards.parent / "lib" / library
    env.Append(CPPPATH=[str(folder)])
    env.BuildSources(str(Path("$BUILD_DIR", library)), str(folder))

for folder in board.get("build.sources"):
    env.Append(CPPPATH=[str(boards / folder)])
    env.BuildSources(str(Path("$BUILD_DIR", "boards", folder)), str(boards / folder))

elf = env.BuildProgram()
env.Depends(elf, [str(memory), str(sections), str(segments)])
images = {"elf": elf, "bin": env.ElfToBin(IMAGE, elf), "hex": env.ElfToHex(IMAGE, elf)}
images["uf2"] = env.BinToUf2(IMAGE, images["bin"])
wanted = [elf, images["bin"]]
if "uf2" in board.get("upload.protocols"):
    wanted.append(images["uf2"])

AlwaysBuild(env.Alias("size", elf, env.VerboseAction("$SIZEPRINTCMD", "Size of $SOURCE")))
add_upload_targets(env, board, images)
Default(wanted)
