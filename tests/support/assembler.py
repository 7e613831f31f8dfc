# SPDX-License-Identifier: Apache-2.0
"""Small programs for a Cortex-M4, assembled and linked."""

import subprocess
from pathlib import Path

_PREAMBLE = ".syntax unified\n.cpu cortex-m4\n.fpu fpv4-sp-d16\n.thumb\n.text\n"


def assemble(text: str, folder: Path) -> Path:
    """An ELF of `text`, linked at 0 with data at 0x20000000."""
    source, made = folder / "program.s", folder / "program.elf"
    source.write_text(_PREAMBLE + text + "\n")
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
    command += ["-nostdlib", "-Wl,-Ttext=0,-Tdata=0x20000000,-e0", "-o", str(made), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return made
