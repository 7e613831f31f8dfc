# SPDX-License-Identifier: Apache-2.0
"""What the emulator says when it cannot start; needs no firmware."""

import os
import shutil
from pathlib import Path

import pytest

from wav2small_micro import pio
from wav2small_micro.emulator import QEMU, Emulator, LinkKind
from wav2small_micro.errors import W2sError
from wav2small_micro.link.client import Device, Timing
from wav2small_micro.link.errors import LinkLost

needs_qemu = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")


@pytest.fixture
def no_firmware(tmp_path: Path) -> Path:
    """A file that QEMU cannot load."""
    path = tmp_path / "firmware.elf"
    path.write_bytes(b"not an ELF" * 1_000_000)
    return path


def test_missing_qemu_says_what_to_install(
    no_firmware: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(W2sError, match="qemu-system-arm is not installed") as caught:
        Emulator(no_firmware, pio.board())
    assert "apt-get install qemu-system-arm" in caught.value.hint


@needs_qemu
def test_missing_firmware_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="there is no firmware") as caught:
        Emulator(tmp_path / "firmware.elf", pio.board())
    assert "w2s build" in caught.value.hint


@needs_qemu
@pytest.mark.parametrize("link", list(LinkKind), ids=lambda kind: kind.value)
def test_death_of_qemu_is_told_in_its_own_words(no_firmware: Path, link: LinkKind) -> None:
    """Whether it dies before or after the link is there."""
    with (
        pytest.raises(LinkLost, match=r"QEMU ended with exit code 1.*firmware\.elf"),
        Emulator(no_firmware, pio.board(), link=link) as emulator,
        Device(emulator.transport(), timing=Timing(reply_s=5)) as device,
    ):
        device.hello()


@needs_qemu
def test_no_descriptor_is_left_open(no_firmware: Path) -> None:
    def open_descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = open_descriptors()
    for link in LinkKind:
        with (
            pytest.raises(LinkLost),
            Emulator(no_firmware, pio.board(), link=link) as emulator,
            Device(emulator.transport(), timing=Timing(reply_s=5)) as device,
        ):
            device.hello()
    assert open_descriptors() == before
