# SPDX-License-Identifier: Apache-2.0
"""Firmware through PlatformIO: build, flash, size, and the boards that there are.

The boards are the environments of ``platformio.ini``; their facts are in ``firmware/boards``.
Each model is built in a folder of its own, so that the firmware of several models can stand
side by side.
"""

import configparser
import contextlib
import fcntl
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from wav2small_micro.errors import W2sError
from wav2small_micro.paths import model_dir, repo_root

DEFAULT_ENV = "stm32f407_discovery"
DEFAULT_MODEL = "wav2small-72k"
PLACEMENTS = ("flash", "code", "weights", "both")
"""What may be copied to RAM at start: nothing, hot code, weights and tables, or both."""
BUILD_SWITCHES = ("W2S_MLPERF", "W2S_BAUD", "W2S_LINK", "W2S_CLOCK")
"""Environment variables that firmware/build.py reads: each value has a build folder of its own."""

Progress = Callable[[str], None]


# --- boards ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class FlashFetch:
    """How a chip reads code from its flash: by lines, some of which it caches."""

    line_bytes: int
    cached_lines: int
    hz_per_wait_state: int
    """A wait state more for each so much of clock, beyond the first."""

    @property
    def cache_bytes(self) -> int:
        """Size of the cache of instructions."""
        return self.line_bytes * self.cached_lines

    def wait_states(self, clock_hz: int) -> int:
        """Cycles that a read of flash takes beyond the first.

        >>> FlashFetch(16, 64, 30_000_000).wait_states(168_000_000)
        5
        """
        return (clock_hz - 1) // self.hz_per_wait_state


@dataclass(frozen=True)
class Machine:
    """A board in QEMU: which ``-M``, which ``-serial`` is the link, and the TCP port that
    ``pio run -e BOARD -t emulate`` gives it."""

    name: str
    serial_index: int
    port: int


@dataclass(frozen=True)
class Board:
    """A board, as its JSON file tells it.

    ``cpu`` is the compiler's name of the core. ``emulator`` is None where QEMU has no such machine.
    ``kernels`` is the kernel set that the board gets unless another is asked for. ``flash_fetch``
    is None where code memory never waits. Sizes are in bytes.
    """

    env: str
    name: str
    mcu: str
    cpu: str
    clock_hz: int
    flash_size: int
    ram_size: int
    emulator: Machine | None
    kernels: str
    flash_fetch: FlashFetch | None
    protocols: tuple[str, ...]

    @property
    def machine(self) -> Machine:
        """The board in QEMU. Raises W2sError, naming the boards, where it has no such machine."""
        if self.emulator is None:
            raise W2sError(
                f"QEMU has no machine like {self.env}",
                f"in QEMU run {', '.join(emulated())}; the firmware of {self.env} needs the board "
                "and its --port",
            )
        return self.emulator


def envs() -> list[str]:
    """Names of the boards, the default one first."""
    return [s.removeprefix("env:") for s in _project().sections() if s.startswith("env:")]


def emulated() -> list[str]:
    """Names of the boards that QEMU can run, the default one first."""
    return [env for env in envs() if board(env).emulator is not None]


def board(env: str = DEFAULT_ENV) -> Board:
    """The facts of a board. Raises W2sError, naming the boards, for one that is not there."""
    section = f"env:{env}"
    project = _project()
    if section not in project:
        raise W2sError(f"no board {env!r}", f"boards: {', '.join(envs())}")
    path = repo_root() / "firmware" / "boards" / f"{project[section]['board']}.json"
    facts = json.loads(path.read_text())
    return Board(
        env=env,
        name=facts["name"],
        mcu=facts["build"]["mcu"],
        cpu=_cpu(facts["build"]["machine_flags"]),
        clock_hz=int(facts["build"]["f_cpu"].rstrip("L")),
        flash_size=facts["upload"]["maximum_size"],
        ram_size=facts["upload"]["maximum_ram_size"],
        emulator=_machine(facts.get("emulator"), project[section]),
        kernels=facts["build"].get("kernels", "portable"),
        flash_fetch=FlashFetch(**fetch) if (fetch := facts.get("flash_fetch")) else None,
        protocols=tuple(facts["upload"]["protocols"]),
    )


def emulated_board(env: str = DEFAULT_ENV) -> Board:
    """`board`, for those who build for QEMU: raises W2sError where it has no such machine."""
    found = board(env)
    _ = found.machine
    return found


def _machine(facts: dict[str, Any] | None, section: configparser.SectionProxy) -> Machine | None:
    if facts is None:
        return None
    port = int(section["custom_emulator_port"])
    return Machine(facts["machine"], facts["serial_index"], port)


def _cpu(machine_flags: str) -> str:
    """The core among the compiler's flags.

    >>> _cpu("-mthumb -mcpu=cortex-m4 -mfloat-abi=hard")
    'cortex-m4'
    """
    flags = (flag.removeprefix("-mcpu=") for flag in machine_flags.split() if "-mcpu=" in flag)
    return next(flags, "")


def _project() -> configparser.ConfigParser:
    # PlatformIO's ${...} is not configparser's: no interpolation.
    project = configparser.ConfigParser(interpolation=None)
    project.read(repo_root() / "platformio.ini")
    return project


# --- build, flash, size ---------------------------------------------------------------------


def elf_path(
    env: str = DEFAULT_ENV,
    model: str | Path = DEFAULT_MODEL,
    *,
    kernels: str | None = None,
    placement: str | None = None,
) -> Path:
    """Where `build` puts the firmware, built or not."""
    return _build_dir(model_dir(model), kernels, placement) / env / "firmware.elf"


def build(
    env: str = DEFAULT_ENV,
    model: str | Path = DEFAULT_MODEL,
    *,
    kernels: str | None = None,
    placement: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Builds the firmware of a board with a model in it; says where the ELF is.

    ``kernels``: a kernel set in place of the board's own, a folder of
    firmware/lib/wav2small/kernels; ``placement``: one of PLACEMENTS, in place
    of platformio.ini's. Such builds stand in folders of their own. What is up to date is not
    compiled again. ``progress`` gets PlatformIO's lines as they come.

    Raises W2sError with the compiler's or PlatformIO's own words if it fails.
    """
    _run_pio(env, model, ["run", "--environment", env], {}, progress, kernels, placement)
    return elf_path(env, model, kernels=kernels, placement=placement)


def flash(
    env: str = DEFAULT_ENV,
    model: str | Path = DEFAULT_MODEL,
    *,
    kernels: str | None = None,
    placement: str | None = None,
    protocol: str | None = None,
    port: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Builds the firmware and writes it to the board.

    ``protocol``: one of the board's (``board(env).protocols``), by default its first choice.
    ``qemu`` starts the firmware in the emulator, in the background. ``port`` tells several
    boards apart: the programmer's serial number, the board's own serial port where its boot loader
    is behind that, or the TCP port of the emulator's UART.

    Raises W2sError if the programmer is missing, finds no board or fails.
    """
    protocols = board(env).protocols
    if protocol is not None and protocol not in protocols:
        raise W2sError(
            f"{env} has no upload protocol {protocol!r}", f"it has {', '.join(protocols)}"
        )
    arguments = ["run", "--environment", env, "--target", "upload"]
    if port is not None:
        arguments += ["--upload-port", port]
    variables = {} if protocol is None else {"W2S_UPLOAD_PROTOCOL": protocol}
    _run_pio(env, model, arguments, variables, progress, kernels, placement)


def size(
    env: str = DEFAULT_ENV,
    model: str | Path = DEFAULT_MODEL,
    *,
    kernels: str | None = None,
    placement: str | None = None,
) -> dict[str, int]:
    """Bytes of RAM (the stack and all alignment included), flash and stack of the firmware.

    Reads the ELF that `build` made; raises W2sError if it has not.
    """
    path = elf_path(env, model, kernels=kernels, placement=placement)
    if not path.is_file():
        raise W2sError(f"{path} is not built", f"w2s build --env {env} --model {model}")
    return elf_size(path)


def elf_size(path: Path) -> dict[str, int]:
    """`size` of any firmware file."""
    with path.open("rb") as file:
        sections = [s for s in ELFFile(file).iter_sections() if s["sh_flags"] & SH_FLAGS.SHF_ALLOC]
        # Code and constants that the start-up copies to RAM are not writable: sections.ld.
        ram = [
            s for s in sections if s["sh_flags"] & SH_FLAGS.SHF_WRITE or s.name.startswith(".data")
        ]
        stored = [s for s in sections if s["sh_type"] != "SHT_NOBITS"]
        elsewhere = sum(s["sh_size"] for s in sections if s.name == ".code_bus")  # code_bus.ld
        return {
            "ram": max(s["sh_addr"] + s["sh_size"] for s in ram)
            - min(s["sh_addr"] for s in ram)
            + elsewhere,
            "flash": sum(s["sh_size"] for s in stored),
            "stack": next(s["sh_size"] for s in sections if s.name == ".stack"),
        }


def _build_dir(model: Path, kernels: str | None, placement: str | None) -> Path:
    if placement is not None and placement not in PLACEMENTS:
        raise W2sError(f"no placement {placement!r}", f"placements: {', '.join(PLACEMENTS)}")
    other = None if placement == "flash" else placement
    switches = [re.sub(r"\W", "", os.environ.get(name, "")) for name in BUILD_SWITCHES]
    name = "-".join(part for part in (model.resolve().name, kernels, other, *switches) if part)
    return repo_root() / ".pio" / "build" / name


@contextlib.contextmanager
def _only_one(build_dir: Path) -> Iterator[None]:
    """PlatformIO does not expect two builds in one folder at a time."""
    build_dir.parent.mkdir(parents=True, exist_ok=True)
    with build_dir.with_name(build_dir.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_pio(
    env: str,
    model: str | Path,
    arguments: list[str],
    variables: dict[str, str],
    progress: Progress | None,
    kernels: str | None = None,
    placement: str | None = None,
) -> None:
    board(env)  # an unknown one gets its own message
    if importlib.util.find_spec("platformio") is None:
        raise W2sError("PlatformIO is not installed", "pip install -e . in the clone")
    root = repo_root()
    folder = model_dir(model).resolve()
    build_dir = _build_dir(folder, kernels, placement)
    command = [sys.executable, "-m", "platformio", *arguments, "--project-dir", str(root)]
    if kernels is not None:
        variables = {**variables, "W2S_KERNELS": kernels}
    if placement is not None:
        variables = {**variables, "W2S_PLACEMENT": placement}
    environment = {
        **os.environ,
        **variables,
        "W2S_MODEL": str(folder),
        "PLATFORMIO_BUILD_DIR": str(build_dir),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PYTHONUNBUFFERED": "1",
    }
    with _only_one(build_dir):
        status, output = _run(command, environment, progress)
    if status != 0:
        raise W2sError(f"PlatformIO could not finish for {env}:\n{_tail(output)}", _hint(output))


def _run(
    command: list[str], environment: dict[str, str], progress: Progress | None
) -> tuple[int, list[str]]:
    output = []
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line.rstrip())
            if progress is not None:
                progress(output[-1])
    return process.returncode, output


def _tail(output: list[str]) -> str:
    """The part worth reading: from the first error on, or the end."""
    first = next((i for i, line in enumerate(output) if "error:" in line.lower()), -20)
    return "\n".join(output[first:][:40])


def _hint(output: list[str]) -> str:
    # Not any line with tool-scons: it is also in the path of every traceback of a build script.
    if any("HTTPClientError" in line or "UnknownPackageError" in line for line in output):
        return "PlatformIO's registry cannot be reached: " + _PIN_HINT
    if any("region `RAM' overflowed" in line for line in output):
        return "less in RAM: --placement flash, code or weights, or --kernels compact"
    return "the command in full: pio run -v"


# --- PlatformIO's build tool, without its registry ---------------------------------------------

_PIN_HINT = "install the versions of platformio and scons that pyproject.toml names"
_LAUNCHER = """\
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from SCons.Script import main

main()
"""


def seed_scons(packages_dir: str | Path) -> Path | None:
    """Puts the installed SCons where PlatformIO looks for its package ``tool-scons``.

    PlatformIO would download it on the first build. What it downloads is SCons as on PyPI, so
    the same build works where only PyPI can be reached. An existing package is left alone.

    Returns the package's folder; None if PlatformIO wants another version than is installed (it
    will then download it itself).
    """
    package = Path(packages_dir) / "tool-scons"
    if package.is_dir():
        return package
    source = importlib.util.find_spec("SCons")
    if source is None or source.origin is None:
        return None
    version = package_version(importlib.metadata.version("scons"))
    if not _is_wanted(version):
        return None
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        fresh = Path(folder) / "tool-scons"
        shutil.copytree(
            Path(source.origin).parent,
            fresh / "SCons",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        (fresh / "scons.py").write_text(_LAUNCHER)
        for name, content in _manifests(version).items():
            (fresh / name).write_text(json.dumps(content))
        # Another build may have been faster.
        with contextlib.suppress(OSError):
            fresh.rename(package)
    return package


def package_version(scons: str) -> str:
    """The version that PlatformIO's registry gives to a release of SCons.

    >>> package_version("4.11.1")
    '4.41101.0'
    """
    major, minor, patch = ([int(n) for n in scons.split(".")] + [0, 0])[:3]
    return f"{major}.{major}{minor:02}{patch:02}.0"


def _is_wanted(version: str) -> bool:
    from platformio.dependencies import get_core_dependencies
    from semantic_version import SimpleSpec, Version

    return Version(version) in SimpleSpec(get_core_dependencies()["tool-scons"])


def _manifests(version: str) -> dict[str, dict[str, Any]]:
    """``package.json`` is the package's own, ``.piopm`` PlatformIO's note of its installation."""
    return {
        "package.json": {
            "name": "tool-scons",
            "version": version,
            "description": "SCons, as published on PyPI",
            "license": "MIT",
        },
        ".piopm": {
            "type": "tool",
            "name": "tool-scons",
            "version": version,
            "spec": {
                "owner": "platformio",
                "id": None,
                "name": "tool-scons",
                "requirements": None,
                "uri": None,
            },
        },
    }


def main(arguments: list[str]) -> int:
    """``python -m wav2small_micro.pio seed``."""
    if arguments != ["seed"]:
        print("usage: python -m wav2small_micro.pio seed", file=sys.stderr)
        return 2
    package = seed_scons(repo_root() / ".pio" / "core" / "packages")
    if package is None:
        print(f"PlatformIO will download its build tool; to avoid that, {_PIN_HINT}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
