# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzzers: `make fuzz`, or `python tests/fuzz/run.py app codec --seconds 600`.

A harness is a file `fuzz_NAME.c` (libFuzzer under ASan and UBSan) or `fuzz_NAME.py` (atheris, the
same engine under Python). It begins from `corpus/NAME`; what it discovers goes to `build/fuzz`, and
`--keep` takes the best of it into the corpus. A finding is an input on disk, and exit code 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "fuzz"
CORPUS = FOLDER / "corpus"
BUILD = ROOT / "build" / "fuzz"
MODEL = ROOT / "models" / "wav2small-72k" / "c"

CLANG = ["clang", "-std=c99", "-O2", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
WATCHED = [
    *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
    "-fno-omit-frame-pointer",
]
INCLUDES = ["include", "src", "lib/link", "lib/wav2small", "boards/usb"]
LIMITS = ["-rss_limit_mb=1024", "-malloc_limit_mb=256", "-timeout=60"]
MOST_INPUT = {"app": 512, "audio": 8192, "library": 1024, "reader": 8192}  # bytes; else 4096
KEPT_FILES, KEPT_BYTES = 24, 6000  # of a corpus, and of a file in it

_LINK = ("lib/link/*.c",)
_LIBRARY = ("lib/wav2small/*.c", "lib/wav2small/kernels/portable/*.c")
SOURCES = {
    "cobs": _LINK,
    "reader": _LINK,
    "command": ("src/mlperf_command.c",),
    "app": (*_LINK, "src/[!m]*.c", "src/m[!a]*.c"),  # all but main.c
    "library": _LIBRARY,
    "usb": ("boards/usb/usb_cdc.c",),
}
FAST = {"app": _LIBRARY}  # neither sanitized nor watched: `library` does that, and time is short
_STATUS = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+) ft: (\d+) corp: (\d+)")

Progress = Callable[["Run"], None]


@dataclass(frozen=True)
class Run:
    """How far a fuzzer is, or what it left: `finding` is an input that broke a promise."""

    name: str
    seconds: float = 0.0
    executions: int = 0
    coverage: int = 0  # edges
    inputs: int = 0  # of the corpus, in memory
    finding: Path | None = None
    output: str = ""


def names() -> list[str]:
    """The fuzzers, those of the firmware first."""
    return list(SOURCES) + sorted(path.stem[5:] for path in FOLDER.glob("fuzz_*.py"))


def missing(name: str) -> str:
    """What this machine lacks for a fuzzer; empty when it can run."""
    if name in SOURCES:
        return "" if _has_fuzzer() else "clang with libFuzzer is not installed: make setup-test"
    return "" if importlib.util.find_spec("atheris") else "atheris is not installed: make test does"


def _has_fuzzer() -> bool:
    if shutil.which("clang") is None:
        return False
    runtime = subprocess.run(
        ["clang", "-print-file-name=libclang_rt.fuzzer-x86_64.a"], capture_output=True, text=True
    ).stdout.strip()
    folder = subprocess.run(
        ["clang", "-print-resource-dir"], capture_output=True, text=True
    ).stdout.strip()
    return Path(runtime).is_file() or any(Path(folder).rglob("libclang_rt.fuzzer*.a"))


def build(name: str, folder: Path) -> list[str]:
    """The command that runs a fuzzer, which is compiled into `folder` if it is in C."""
    if name not in SOURCES:
        return [sys.executable, str(FOLDER / f"fuzz_{name}.py")]
    sources = [FOLDER / f"fuzz_{name}.c", *_sources(SOURCES[name])]
    sources += [FOLDER / "board_memory.c"] if name == "app" else []
    fast = _sources(FAST.get(name, ()))
    if name in ("app", "library"):
        (fast or sources).append(MODEL / "weights.c")
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / name
    includes = [f"-I{ROOT / 'firmware' / part}" for part in INCLUDES]
    clang = [*CLANG, *includes, f"-I{MODEL}", f"-I{FOLDER}"]
    objects = []
    for source in fast:
        objects.append(str(folder / f"{source.stem}.o"))
        subprocess.run([*clang, "-c", "-o", objects[-1], str(source)], check=True)
    subprocess.run([*clang, *WATCHED, "-o", str(binary), *map(str, sources), *objects], check=True)
    return [str(binary)]


def _sources(patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in sorted((ROOT / "firmware").glob(pattern))]


def fuzz(
    command: list[str],
    name: str,
    folder: Path,
    *,
    seconds: float,
    seed: int = 0,
    progress: Progress | None = None,
) -> Run:
    """Runs a fuzzer from the corpus for so long, or until it finds something.

    What it discovers goes to `folder`. `seed` 0: another course every time.
    """
    found, findings = folder / "corpus" / name, folder / "findings"
    for path in (found, findings):
        path.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={MOST_INPUT.get(name, 4096)}",
        f"-artifact_prefix={findings}/{name}-",
        f"-seed={seed}",
        "-print_final_stats=1",
        *LIMITS,
        *([f"-dict={FOLDER / f'{name}.dict'}"] if (FOLDER / f"{name}.dict").is_file() else []),
    ]
    before = set(findings.iterdir())
    begin, state = time.monotonic(), Run(name)
    with tempfile.TemporaryFile("w+") as log:
        process = _start([*command, *options, str(found), str(CORPUS / name)])
        assert process.stderr is not None
        for line in process.stderr:
            log.write(line)
            if match := _STATUS.match(line):
                runs, _, coverage, _, inputs = match.groups()
                elapsed = time.monotonic() - begin
                state = Run(name, elapsed, int(runs), int(coverage), int(inputs))
                if progress:
                    progress(state)
        code = process.wait()
        log.seek(0)
        output = log.read()
    new = sorted(set(findings.iterdir()) - before)
    finding = new[0] if new else None
    if code != 0 and finding is None:
        raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{output[-3000:]}")
    elapsed = time.monotonic() - begin
    return Run(
        name, elapsed, state.executions, state.coverage, state.inputs, finding, output[-6000:]
    )


def _start(command: list[str]) -> subprocess.Popen[str]:
    """By a small process between: libFuzzer takes for its own the most memory that whoever started
    it ever had (ru_maxrss outlives exec), and stops at once under a large one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    return subprocess.Popen(
        ["sh", "-c", '"$@" & wait $!', "sh", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def keep(command: list[str], name: str, folder: Path) -> int:
    """Takes the inputs that together reach most, few and short, into the corpus; how many."""
    chosen = folder / "kept" / name
    shutil.rmtree(chosen, ignore_errors=True)
    chosen.mkdir(parents=True)
    _start(
        [
            *command,
            "-merge=1",
            *LIMITS,
            str(chosen),
            str(CORPUS / name),
            str(folder / "corpus" / name),
        ]
    ).communicate()
    sizes = sorted((path.stat().st_size, path) for path in chosen.iterdir())
    added = 0
    have = {path.read_bytes() for path in (CORPUS / name).iterdir()}
    for size, path in sizes[::-1]:
        if len(have) >= KEPT_FILES:
            break
        if size <= KEPT_BYTES // 8 and path.read_bytes() not in have:
            shutil.copy(path, CORPUS / name / path.name[:12])
            have.add(path.read_bytes())
            added += 1
    return added


def _show(state: Run, total: float) -> None:
    line = (
        f"\r{state.name:8} {state.seconds:5.0f} of {total:.0f} s  {state.executions:>11,} inputs  "
        f"{state.coverage:>6,} edges"
    )
    print(line, end="", file=sys.stderr, flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run the fuzzers one after another.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each; default 600")
    parser.add_argument("--keep", action="store_true", help="take discoveries into the corpus")
    parser.add_argument("--folder", type=Path, default=BUILD, help="default build/fuzz")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(names())):
        parser.error(f"no fuzzer {', '.join(unknown)}; there are {', '.join(names())}")
    runs = []
    for name in arguments.names or names():
        if lack := missing(name):
            print(f"{name:8} left out: {lack}", file=sys.stderr)
            continue
        command = build(name, arguments.folder)
        run = fuzz(
            command,
            name,
            arguments.folder,
            seconds=arguments.seconds,
            progress=(lambda state: _show(state, arguments.seconds))
            if sys.stderr.isatty()
            else None,
        )
        runs.append(run)
        kept = f"  {keep(command, name, arguments.folder)} kept" if arguments.keep else ""
        verdict = f"FINDING {run.finding}" if run.finding else "no finding"
        print(
            f"\r{name:8} {run.seconds:5.0f} s  {run.executions:>11,} inputs  "
            f"{run.executions / run.seconds:>8,.0f} a second  {run.coverage:>6,} edges  "
            f"{verdict}{kept}",
            flush=True,
        )
        if run.finding:
            print(run.output, file=sys.stderr)
    return 1 if any(run.finding for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
