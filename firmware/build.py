# SPDX-License-Identifier: Apache-2.0
"""PlatformIO script: compiles the libraries and the chosen model into the firmware.

The application in firmware/src is PlatformIO's own business, and the board's code the platform's
(firmware/platforms/cortexm). The model is `custom_model` of platformio.ini, or W2S_MODEL: the
name of a folder in models/, or a path. The kernel set is the board's `build.kernels`, or
W2S_KERNELS: a folder of firmware/lib/wav2small/kernels. What is copied to RAM at start is
`custom_placement` of platformio.ini, or W2S_PLACEMENT. W2S_MLPERF makes a firmware for the runner
of MLPerf Tiny, W2S_BAUD gives the UART another rate: docs/mlperf-tiny.md. W2S_LINK takes another
link than the board's first, one of its `build.links`, W2S_CLOCK another clock, one of its
`build.clocks_mhz`.
"""

import os
import sys
from pathlib import Path

Import("env")  # noqa: F821  (given by SCons)

ROOT = Path(env.subst("$PROJECT_DIR"))  # noqa: F821

# The compact kernels are for chips of 32 KB: what else takes RAM is then smaller too.
SMALLER = {
    "dsp": {"W2S_SEGMENTS": 6},  # windows of 2.5 s at most instead of 3.5 s: 3 KB
    "compact": {
        "W2S_SEGMENTS": 4,  # sliding windows of 1.5 s at most instead of 3.5 s; 1.5 KB each
        "SESSION_AUDIO_WINDOW": 2,  # blocks of audio on their way instead of 4: 1.3 KB ...
        "UART_RING_SIZE": 2048,  # ... for which this is enough instead of 4096
    },
}
# Linker scripts of firmware/boards/common/placement, by what they leave in RAM.
PLACEMENTS = {
    "flash": (),
    "code": ("code",),
    "weights": ("weights",),
    "both": ("code", "weights"),
}
# Of RAM for code alone, on chips with a second address for it: the kernels are 30 KB.
CODE_RAM_SIZE = 40960
# Modes in which a firmware for the runner of MLPerf Tiny starts (firmware/src/mlperf.h).
MLPERF_MODES = ("performance", "energy")
SMALLER_STACK = {"compact": 3072}  # 1.4 KB of it is used


def find_model(name: str) -> Path:
    """The model's folder. Stops the build if it holds no generated C."""
    folder = next((f for f in (ROOT / "models" / name, ROOT / name) if f.is_dir()), None)
    if folder is None:
        there = sorted(f.parent.name for f in (ROOT / "models").glob("*/c"))
        sys.exit(f"Error: no model {name!r} in models/. There: {', '.join(there) or 'none'}.")
    if not (folder / "c" / "weights.c").is_file():
        sys.exit(f"Error: {folder}/c/weights.c is missing. Run `w2s generate {name}` first.")
    return folder


def find_kernels(name: str) -> str:
    """The kernel set `name`. Stops the build if there is none."""
    folder = ROOT / "firmware" / "lib" / "wav2small" / "kernels"
    there = sorted(f.name for f in folder.iterdir() if f.is_dir())
    if name not in there:
        sys.exit(f"Error: no kernel set {name!r}. There: {', '.join(there)}.")
    return name


def mlperf_macros(mode: str) -> list[tuple[str, int]]:
    """What a firmware for the runner is compiled with. Stops the build if there is no such mode."""
    if mode not in MLPERF_MODES:
        sys.exit(f"Error: no mode {mode!r} of MLPerf Tiny. There: {', '.join(MLPERF_MODES)}.")
    return [("MLPERF_RUNNER", 1), ("MLPERF_STARTS_WITH_ENERGY", int(mode == "energy"))]


def baud_macros(baud: str) -> list[tuple[str, str]]:
    """The rate of the UART. Stops the build where it is none."""
    if not baud.isdecimal() or not 1200 <= int(baud) <= 2_000_000:
        sys.exit(f"Error: W2S_BAUD={baud} is no rate of a UART. For example: 115200.")
    return [("PORT_UART_BAUD", f"{baud}u")]


def link_macros(link: str, board) -> list[str]:
    """What another link than the board's first is compiled with. Stops the build if the board has
    none such."""
    links = board.get("build.links", ["uart"])
    if link not in links:
        sys.exit(f"Error: {board.id} has no link {link!r}. It has: {', '.join(links)}.")
    return [f"W2S_LINK_{link.upper()}"]


def clock_macros(clock: str, board) -> list[tuple[str, str]]:
    """What another clock than the board's first is compiled with. Stops the build if the board has
    none such."""
    clocks = [str(mhz) for mhz in board.get("build.clocks_mhz", [])]
    if clock not in clocks:
        there = f"It has: {', '.join(clocks)} MHz." if clocks else "It has one."
        sys.exit(f"Error: {board.id} has no clock {clock!r}. {there}")
    return [("W2S_CLOCK_MHZ", clock)]


def placement_flags(name: str, board) -> list[str]:
    """The linker's flags for a placement. Stops the build if there is none of that name."""
    if name not in PLACEMENTS:
        sys.exit(f"Error: no placement {name!r}. There: {', '.join(PLACEMENTS)}.")
    folder = ROOT / "firmware" / "boards" / "common" / "placement"
    flags = []
    for script in PLACEMENTS[name]:
        if script == "code" and board.get("build.code_ram_origin", ""):
            script = "code_bus"
            flags.append(f"-Wl,--defsym=code_ram_size={CODE_RAM_SIZE}")
        flags.append(f"-Wl,-T,{folder / script}.ld")
    return flags


def add(env, name: str, folder: Path, sources: str = "+<*>") -> None:
    """Compiles the source files below `folder`, and puts its headers on the include path."""
    env.Append(CPPPATH=[str(folder)])
    env.BuildSources(os.path.join("$BUILD_DIR", name), str(folder), src_filter=sources)


def optimise_library(env, node):
    """The library is where the time goes, and small: speed before size."""
    return env.Object(node, OPTIMISATION="-O3")


kernels = find_kernels(
    os.environ.get("W2S_KERNELS") or env.BoardConfig().get("build.kernels", "portable")  # noqa: F821
)
env.Append(CPPDEFINES=[f"W2S_KERNELS_{kernels.upper()}"])  # noqa: F821
if kernels in SMALLER:
    env.Append(CPPDEFINES=list(SMALLER[kernels].items()))  # noqa: F821
if kernels in SMALLER_STACK:
    env.Append(LINKFLAGS=[f"-Wl,--defsym=stack_size={SMALLER_STACK[kernels]}"])  # noqa: F821
if os.environ.get("W2S_MLPERF"):
    env.Append(CPPDEFINES=mlperf_macros(os.environ["W2S_MLPERF"]))  # noqa: F821
if os.environ.get("W2S_BAUD"):
    env.Append(CPPDEFINES=baud_macros(os.environ["W2S_BAUD"]))  # noqa: F821
if os.environ.get("W2S_CLOCK"):
    env.Append(CPPDEFINES=clock_macros(os.environ["W2S_CLOCK"], env.BoardConfig()))  # noqa: F821
if os.environ.get("W2S_LINK"):
    env.Append(CPPDEFINES=link_macros(os.environ["W2S_LINK"], env.BoardConfig()))  # noqa: F821
env.AddBuildMiddleware(optimise_library, "*/wav2small/*.c")  # noqa: F821
env.AddBuildMiddleware(optimise_library, "*/pdm/*.c")  # noqa: F821
add(env, "link", ROOT / "firmware" / "lib" / "link")  # noqa: F821
add(
    env,  # noqa: F821
    "wav2small",
    ROOT / "firmware" / "lib" / "wav2small",
    f"+<*> -<kernels/*> +<kernels/{kernels}/*>",
)

flags = placement_flags(
    os.environ.get("W2S_PLACEMENT") or env.GetProjectOption("custom_placement", "flash"),  # noqa: F821
    env.BoardConfig(),  # noqa: F821
)
env.Append(LINKFLAGS=flags)  # noqa: F821
env.Depends(  # noqa: F821
    "$BUILD_DIR/firmware.elf",
    [flag.removeprefix("-Wl,-T,") for flag in flags if flag.startswith("-Wl,-T,")],
)

model = os.environ.get("W2S_MODEL") or env.GetProjectOption("custom_model")  # noqa: F821
model_folder = find_model(model)
add(env, f"model-{model_folder.name}", model_folder / "c")  # noqa: F821
