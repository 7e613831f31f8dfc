# SPDX-License-Identifier: Apache-2.0
"""The set-up's own check of the system."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wav2small_micro import paths

SCRIPT = paths.repo_root() / "scripts" / "system-tools.sh"


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments], capture_output=True, text=True, env=os.environ | environment
    )


@pytest.mark.emulator  # where the emulator and the cross compiler are, the rest is
def test_nothing_is_done_where_nothing_is_missing() -> None:
    ran = call("base", PYTHON=sys.executable)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_without_the_right_to_install_the_command_is_shown(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")  # not root, and no sudo in this PATH
    (tmp_path / "id").chmod(0o755)
    ran = call("base", PYTHON=sys.executable, PATH=str(tmp_path))
    assert ran.returncode == 1
    assert "hint:  sudo apt-get install --no-install-recommends" in ran.stderr
    for package in ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "qemu-system-arm"):
        assert package in ran.stderr


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text(
        "#!/bin/sh\ncase $1 in --version) echo Python 3.9.2;; *version_info*) exit 1;; esac\n"
        'case "$2" in *version_info*) exit 1;; esac\n'
    )
    old.chmod(0o755)
    ran = call("lint", PYTHON=str(old))
    assert ran.returncode == 1
    assert "Python 3.9.2 is too old; 3.11 or newer is needed" in ran.stderr


def test_unknown_profile() -> None:
    assert call("everything").returncode == 2
