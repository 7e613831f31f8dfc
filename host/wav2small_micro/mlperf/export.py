# SPDX-License-Identifier: Apache-2.0
"""Clips and settings in the layout that the runner of mlcommons/tiny reads.

    FOLDER/w2s01/y_labels.csv        file, classes, class, bytes, stride
    FOLDER/w2s01/*.bin               int16, little endian, 16 kHz
    FOLDER/devices.yaml              who is who on the USB
    FOLDER/tests_performance.yaml    and _energy, _accuracy: what is done

The runner knows classes, and the product does not: the class of a clip is the greatest of arousal
(0), dominance (1) and valence (2) as the library answers on this machine: "accuracy" is agreement.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wav2small_micro.engines.base import Engine
from wav2small_micro.errors import W2sError
from wav2small_micro.link.transport import DEFAULT_BAUD
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.mlperf.benchmark import LOOPS, Excerpt
from wav2small_micro.mlperf.device import MODEL

ENERGY_BAUD = 9600
"""Between the interface board and the device in energy mode; the runner's own devices.yaml."""

_WORK = 0.35  # seconds a second of audio: 72K on an STM32F407 at 168 MHz, by w2s bench
_LOOP_S = 2.4

# Serial ports that a board of this project may be behind: the adapter's vendor and products.
_USB = {
    0x0483: [0x374B, 0x3752],  # ST-LINK/V2-1 and V3 with a serial port
    0x0403: [0x6001, 0x6015],  # FTDI
    0x10C4: [0xEA60],  # CP210x
    0x1A86: [0x7523],  # CH340
}


def choose_runs(excerpts: Sequence[Excerpt]) -> int:
    """Inferences in a loop that five loops take 10 s with, and none of them 5 s, on an STM32F407.

    >>> choose_runs([Excerpt("a.wav", np.zeros(16000, np.int16))])
    7
    """
    seconds = max(excerpt.seconds for excerpt in excerpts)
    return max(1, round(_LOOP_S / (_WORK * seconds)))


def missing_classes(excerpts: Sequence[Excerpt], reference: Engine) -> list[str]:
    """Dimensions that are the greatest of no clip: the runner's AUC fails without any of them."""
    there = {_label(excerpt, reference) for excerpt in excerpts}
    return [name for label, name in enumerate(DIMENSIONS) if label not in there]


def _label(excerpt: Excerpt, reference: Engine) -> int:
    return int(np.argmax(reference.run(excerpt.pcm).adv))


def write(
    folder: Path, excerpts: Sequence[Excerpt], reference: Engine, *, runs: int, warmups: int
) -> list[Path]:
    """Writes the data set and the settings; returns the files, the settings first.

    ``runs`` and ``warmups`` are those of a loop in performance mode; in energy mode a loop lasts as
    long as all of them there. Raises W2sError where two clips would get the same file.
    """
    data = folder / MODEL
    names = [f"{Path(excerpt.name).stem}.bin" for excerpt in excerpts]
    for name in names:
        if names.count(name) > 1:
            raise W2sError(f"two clips would become {name}", "give one of them another name")
    data.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, int, int, int, int]] = []
    files = _write_settings(folder, runs, warmups)
    for name, excerpt in zip(names, excerpts, strict=True):
        pcm = excerpt.pcm.astype("<i2").tobytes()
        (data / name).write_bytes(pcm)
        files.append(data / name)
        label = _label(excerpt, reference)
        rows.append((name, len(DIMENSIONS), label, len(pcm), len(pcm)))
    # The runner takes a row a loop, and dies where there is none.
    rows += [rows[i % len(rows)] for i in range(LOOPS - len(rows))]
    with (data / "y_labels.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return [*files, data / "y_labels.csv"]


def _write_settings(folder: Path, runs: int, warmups: int) -> list[Path]:
    scripts = {
        "performance": (f"loop {LOOPS}", runs, warmups),
        "energy": (f"loop {LOOPS}", LOOPS * runs, warmups),
        "accuracy": ("loop", 1, 0),
    }
    files = [folder / "devices.yaml"]
    files[0].write_text(_devices())
    for mode, (loop, n, w) in scripts.items():
        files.append(folder / f"tests_{mode}.yaml")
        files[-1].write_text(_test(loop, n, w))
    return files


def _devices() -> str:
    """The device, and for energy what the runner knows by these names: an interface, a monitor."""
    usb = "".join(
        f"    0x{vendor:04X}: [{', '.join(f'0x{product:04X}' for product in products)}]\n"
        for vendor, products in _USB.items()
    )
    return (
        "# Keep the one line of usb that is your serial adapter: the runner takes any that fits.\n"
        "- name: w2s\n"
        "  type: dut\n"
        "  baud:\n"
        f"    performance: {DEFAULT_BAUD}\n"
        f"    accuracy: {DEFAULT_BAUD}\n"
        f"    energy: {ENERGY_BAUD}\n"
        "  usb:\n" + usb + "# For energy mode: the serial adapter is not connected then.\n"
        "- name: stm32h573i-dk\n"
        "  type: interface\n"
        "  baud: 115200\n"
        "  usb:\n"
        "    0x0483: 0x374E\n"
        "- name: lpm01a\n"
        "  type: power\n"
        "  baud: 3686400\n"
        "  voltage: 3.3\n"
        "  usb:\n"
        "    0x0483: 0x5740\n"
    )


def _test(loop: str, runs: int, warmups: int) -> str:
    return (
        f"{MODEL}:\n"
        "  name: speech_emotion\n"
        f"  model: {MODEL}\n"
        "  truth_file: y_labels.csv\n"
        "  script:\n"
        f"    - {loop}:\n"
        "      - download\n"
        f"      - infer {runs} {warmups}\n"
    )
