# SPDX-License-Identifier: Apache-2.0
"""The boards' facts, PlatformIO's build tool without a registry, and what a failure says."""

import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from platformio.dependencies import get_core_dependencies
from semantic_version import SimpleSpec, Version

from wav2small_micro import pio
from wav2small_micro.errors import W2sError
from wav2small_micro.paths import repo_root

ENVS = [
    "stm32f407_discovery",
    "mps2_an386",
    "mps2_an500",
    "mps3_an547",
    "nano33ble_sense",
    "xiao_nrf52840_sense",
    "nucleo_l4r5zi",
]


def test_switches_of_the_build_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = pio.elf_path()
    monkeypatch.setenv("W2S_MLPERF", "energy")
    energy = pio.elf_path()
    monkeypatch.setenv("W2S_BAUD", "../9600")
    assert len({usual, energy, pio.elf_path()}) == 3
    assert pio.elf_path().parents[1].name == "wav2small-72k-energy-9600"


def test_the_default_board_is_the_first():
    assert pio.envs() == ENVS
    assert pio.envs()[0] == pio.emulated()[0] == pio.DEFAULT_ENV


def test_facts_of_the_first_board():
    board = pio.board()
    assert (board.machine.name, board.machine.serial_index) == ("netduinoplus2", 1)
    assert (board.flash_size, board.ram_size) == (1 << 20, 128 << 10)
    assert board.clock_hz == 168_000_000
    assert board.protocols[0] == "openocd"
    assert board.flash_fetch is not None
    assert board.flash_fetch.cache_bytes == 1024
    # RM0090, table 10, at 2.7 to 3.6 V
    clocks = [30, 31, 60, 64, 90, 120, 150, 168]
    waits = [board.flash_fetch.wait_states(mhz * 1_000_000) for mhz in clocks]
    assert waits == [0, 1, 1, 2, 2, 3, 4, 5]


@pytest.mark.parametrize("env", ENVS)
def test_every_board_has_its_folder_and_says_whether_qemu_runs_it(env):
    boards = repo_root() / "firmware" / "boards"
    facts = json.loads((boards / f"{env}.json").read_text())
    assert env in facts["build"]["sources"]
    assert all((boards / folder).is_dir() for folder in facts["build"]["sources"])
    assert ("qemu" in pio.board(env).protocols) == (env in pio.emulated())


def test_every_emulator_has_a_port_of_its_own():
    ports = {pio.emulated_board(env).machine.port for env in pio.emulated()}
    assert len(ports) == len(pio.emulated())


def test_a_board_without_an_emulator_names_those_that_have_one():
    alone = dataclasses.replace(pio.board(), env="alone", emulator=None)
    with pytest.raises(W2sError, match="no machine like alone") as error:
        _ = alone.machine
    assert "mps2_an386" in error.value.hint


def test_an_unknown_board_names_the_known():
    with pytest.raises(W2sError) as error:
        pio.board("uno")
    assert "mps2_an386" in error.value.hint


def test_an_unknown_protocol_names_the_known():
    with pytest.raises(W2sError) as error:
        pio.flash("mps2_an386", protocol="openocd")
    assert error.value.hint == "it has qemu"


def test_size_of_what_is_not_built(monkeypatch, tmp_path):
    monkeypatch.setattr(pio, "_build_dir", lambda model, kernels, placement: tmp_path)
    with pytest.raises(W2sError) as error:
        pio.size()
    assert "w2s build" in error.value.hint


@pytest.mark.parametrize(
    ("kernels", "placement", "folder"),
    [
        (None, None, "wav2small-72k"),
        (None, "flash", "wav2small-72k"),
        (None, "code", "wav2small-72k-code"),
        ("compact", "both", "wav2small-72k-compact-both"),
    ],
)
def test_every_variant_has_a_folder_of_its_own(kernels, placement, folder):
    elf = pio.elf_path(kernels=kernels, placement=placement)
    assert elf == repo_root() / ".pio" / "build" / folder / pio.DEFAULT_ENV / "firmware.elf"


def test_an_unknown_placement_names_the_known():
    with pytest.raises(W2sError) as error:
        pio.build(placement="ccm")
    assert "weights" in error.value.hint


@pytest.mark.parametrize(
    ("scons", "package"), [("4.11.1", "4.41101.0"), ("4.8.1", "4.40801.0"), ("4.4", "4.40400.0")]
)
def test_package_version(scons, package):
    assert pio.package_version(scons) == package


def test_the_pinned_versions_belong_together():
    package = pio.package_version(importlib.metadata.version("scons"))
    assert Version(package) in SimpleSpec(get_core_dependencies()["tool-scons"])


def test_seeded_scons_starts(tmp_path):
    package = pio.seed_scons(tmp_path)
    assert package is not None
    # -I and -S: nothing but the package itself can be found.
    answer = subprocess.run(
        [sys.executable, "-I", "-S", package / "scons.py", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert importlib.metadata.version("scons") in answer.stdout


def test_seeded_package_is_what_platformio_looks_for(tmp_path):
    package = pio.seed_scons(tmp_path / "packages")
    script = (
        "from platformio.package.manager.core import get_core_package_dir;"
        "print(get_core_package_dir('tool-scons', auto_install=False))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PLATFORMIO_PACKAGES_DIR": str(tmp_path / "packages")},
    )
    assert Path(answer.stdout.strip()) == package


def test_seeding_leaves_a_package_alone(tmp_path):
    (tmp_path / "tool-scons").mkdir()
    assert pio.seed_scons(tmp_path) == tmp_path / "tool-scons"
    assert not list((tmp_path / "tool-scons").iterdir())


def test_another_version_is_left_to_platformio(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.1.0")
    assert pio.seed_scons(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_failure_shows_the_compilers_words():
    output = ["Compiling a.o", "a.c:1:1: error: expected ';'", "    1 | int x", "*** [a.o] Error 1"]
    assert pio._tail(output).startswith("a.c:1:1: error")


def test_what_failed_is_told_from_what_stands_in_its_path() -> None:
    unreachable = [
        "Tool Manager: Installing platformio/tool-scons @ ~4.41101.0",
        "HTTPClientError:",
    ]
    assert "registry cannot be reached" in pio._hint(unreachable)
    script = ['File ".pio/core/packages/tool-scons/SCons/Script/Main.py", line 1', "NameError: x"]
    assert "registry" not in pio._hint(script)
    assert "--placement" in pio._hint(["region `RAM' overflowed by 8 bytes"])
