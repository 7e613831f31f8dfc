# SPDX-License-Identifier: Apache-2.0
"""A made-up trace whose energies are known, written in the format of every instrument."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Made:
    """Blocks of work between sleep: what was put in, for what comes out."""

    rate: float
    current: NDArray[np.float64]  # A, a sample
    marker: NDArray[np.bool_]
    volts: float
    start: NDArray[np.float64]  # s, of each block
    seconds: NDArray[np.float64]
    energy: NDArray[np.float64]  # J, of each block
    sleep: float  # A

    @property
    def total(self) -> float:
        """In J, over all samples."""
        return float(self.current.sum() * self.volts / self.rate)


def made(
    rate: float = 20_000.0,
    blocks: int = 40,
    *,
    period: float = 0.02,
    work: float = 0.007,
    sleep: float = 0.012,
    active: float = 0.040,
    volts: float = 3.3,
    noise: float = 0.0005,
    lead: float = 0.15,
    drift: float = 0.0,
    spread: float = 0.15,
    seed: int = 5,
) -> Made:
    """``drift``: the board's clock against the instrument's; its times are of the instrument's."""
    rng = np.random.default_rng(seed)
    # Whole samples, so that a marker is exact.
    start = np.round((lead + period * np.arange(blocks) * (1 + drift)) * rate) / rate
    seconds = np.round(work * (1 + spread * rng.uniform(-1, 1, blocks)) * rate) / rate
    count = round((2 * lead + period * blocks * (1 + drift)) * rate)
    current = np.full(count, sleep)
    marker = np.zeros(count, bool)
    energy = np.zeros(blocks)
    for i in range(blocks):
        at = slice(round(start[i] * rate), round((start[i] + seconds[i]) * rate))
        current[at] = active * (1 + 0.1 * rng.uniform(-1, 1))
        marker[at] = True
    current += noise * rng.standard_normal(count)
    for i in range(blocks):
        at = slice(round(start[i] * rate), round((start[i] + seconds[i]) * rate))
        energy[i] = current[at].sum() * volts / rate
    return Made(rate, current, marker, volts, start, seconds, energy, sleep)


# --- Files ---------------------------------------------------------------------------------------


def ppk2_csv(path: Path, trace: Made, *, style: str = "word") -> Path:
    """As Power Profiler exports: times in ms with three decimals, currents in uA.

    ``style``: "word" (D0-D7), "columns" (D0,D1, ..) or "none".
    """
    ends = {"word": ",D0-D7", "columns": "".join(f",D{i}" for i in range(8)), "none": ""}
    high = {"word": ",10000000", "columns": ",1" + ",0" * 7, "none": ""}
    low = {"word": ",00000000", "columns": ",0" * 8, "none": ""}
    lines = [f"Timestamp(ms),Current(uA){ends[style]}"]
    for i, (amps, marker) in enumerate(zip(trace.current, trace.marker, strict=True)):
        bits = (high if marker else low)[style]
        lines.append(f"{1e3 * i / trace.rate:.3f},{amps * 1e6:.3f}{bits}")
    path.write_text("\n".join(lines) + "\n")
    return path


def ppk2_session(path: Path, trace: Made) -> Path:
    """As Power Profiler saves: an archive of frames of six bytes and what they are."""
    frames = np.zeros(len(trace.current), [("microamps", "<f4"), ("bits", ">u2")])
    frames["microamps"] = trace.current * 1e6
    frames["bits"] = np.where(trace.marker, 0x5556, 0x5555)  # two bits a channel: 10 is high
    metadata = {"metadata": {"samplesPerSecond": int(trace.rate)}, "formatVersion": 2}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("session.raw", frames.tobytes())
        archive.writestr("minimap.raw", b"overview")
        archive.writestr("metadata.json", json.dumps(metadata))
    return path


def plain_csv(path: Path, trace: Made, *, separator: str = ",", decimal: str = ".") -> Path:
    """Columns of our own naming, voltage and marker among them."""
    lines = [separator.join(["time_s", "current_a", "voltage_v", "marker"])]
    for i, (amps, marker) in enumerate(zip(trace.current, trace.marker, strict=True)):
        numbers = [f"{i / trace.rate:.7f}", f"{amps:.9f}", f"{trace.volts}", str(int(marker))]
        lines.append(separator.join(n.replace(".", decimal) for n in numbers))
    path.write_text("\n".join(lines) + "\n")
    return path


def jls(path: Path, trace: Made, *, lost: slice | None = None) -> Path:
    """As Joulescope saves: current, voltage and one input. ``lost``: samples that it missed."""
    from pyjls import DataType, SignalType, Writer

    current = trace.current.astype(np.float32)
    if lost is not None:
        current[lost] = np.nan
    with Writer(str(path)) as file:
        file.source_def(
            source_id=1, name="js", vendor="Jetperch", model="JS220", version="1", serial_number="7"
        )
        signals = (("current", "A", DataType.F32), ("voltage", "V", DataType.F32))
        for number, (name, units, kind) in enumerate([*signals, ("gpi[0]", "", DataType.U1)], 1):
            file.signal_def(
                signal_id=number,
                source_id=1,
                signal_type=SignalType.FSR,
                data_type=kind,
                sample_rate=int(trace.rate),
                name=name,
                units=units,
            )
        file.fsr_f32(1, 0, current)
        file.fsr_f32(2, 0, np.full(len(current), trace.volts, np.float32))
        file.fsr(3, 0, np.packbits(trace.marker, bitorder="little"))
    return path


def lpm01a_ascii_sample(amps: float) -> str:
    """Four digits and a power of ten."""
    if amps <= 0:
        return "0000-00"
    power = int(np.floor(np.log10(amps))) - 3
    digits = round(amps / 10.0**power)
    if digits > 9999:
        digits, power = digits // 10, power + 1
    return f"{digits:04d}{'-' if power <= 0 else '+'}{abs(power):02d}"


def lpm01a_ascii(trace: Made, *, dialogue: bool = True) -> bytes:
    """A log of `format ascii_dec`: the dialogue, a timestamp a second, `end`, the summary."""
    lines: list[str] = []
    if dialogue:
        lines += ["", "PowerShield > ack htc", "PowerShield > ack format ascii_dec"]
        lines += [f"PowerShield > ack volt {round(trace.volts * 1000)}m"]
        lines += [f"PowerShield > ack freq {int(trace.rate)}", "PowerShield > ack acqtime inf"]
        lines += ["PowerShield > ack start"]
    for i, amps in enumerate(trace.current):
        if i % int(trace.rate) == 0:
            lines.append(f"TimeStamp: {i // int(trace.rate):03d}s 000ms, buff 02%")
        lines.append(lpm01a_ascii_sample(amps))
    lines += ["end", "summary beg", "current min: 0.012 A", "summary end", "PowerShield > "]
    return "\r\n".join(lines).encode()


def lpm01a_words(current: NDArray[np.float64]) -> bytes:
    """Samples of `format bin_hexa`: as many bits as go into twelve."""
    power = np.clip(np.floor(np.log(4095 / np.maximum(current, 1e-12)) / np.log(16)), 1, 14)
    value = np.clip(np.round(current * 16.0**power), 0, 4095).astype(np.uint16)
    return (power.astype(np.uint16) << 12 | value).astype(">u2").tobytes()


def lpm01a_stamp(ms: int) -> bytes:
    """The metadata of a timestamp."""
    return b"\xf0\xf3" + ms.to_bytes(4, "big") + b"\x02\xff\xff"


def lpm01a_binary(trace: Made) -> bytes:
    """A log of `format bin_hexa`."""
    data = f"\r\nPowerShield > ack volt {round(trace.volts * 1000)}m\r\n".encode()
    data += f"PowerShield > ack freq {int(trace.rate)}\r\nPowerShield > ack start\r\n".encode()
    second = int(trace.rate)
    for i in range(0, len(trace.current), second):
        data += lpm01a_stamp(1000 * i // second)
        data += lpm01a_words(trace.current[i : i + second])
    return data + b"\xf0\xf4\xff\xff" + b"\r\nsummary beg\r\nsummary end\r\nPowerShield > "
