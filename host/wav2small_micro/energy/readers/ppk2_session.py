# SPDX-License-Identifier: Apache-2.0
"""What Nordic's Power Profiler saves, a .ppk2: an archive of the samples and of what they are.

``metadata.json`` has ``samplesPerSecond``; ``session.raw`` six bytes a sample: the current in uA, a
float with its low byte first, and the channels, 16 bits with the high byte first, two bits each: 01
was low, 10 high, 11 both (pc-nrfconnect-ppk, ``globals.ts`` and ``bitConversion.ts``).
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from wav2small_micro.energy import instruments
from wav2small_micro.energy.options import Options
from wav2small_micro.energy.trace import Notes, Progress, Recording, Trace, regular
from wav2small_micro.errors import W2sError

_FRAME = np.dtype([("microamps", "<f4"), ("bits", ">u2")])
_CHUNK = _FRAME.itemsize << 18
_CHANNELS = 8
_HIGH = 2
_MOST_METADATA = 1 << 20


def is_session(head: bytes) -> bool:
    """Whether a file that begins so is an archive."""
    return head.startswith(b"PK\x03\x04")


def recording(path: Path, options: Options) -> Recording:
    """The recording in a file. Raises W2sError."""
    if options.voltage is None:
        raise W2sError(f"{path} has no voltage", "say the supply: --voltage 3.3")
    volts = options.voltage
    with _explained(path), zipfile.ZipFile(path) as archive:
        rate = options.rate or _rate(path, archive)
        member = _samples(path, archive)

    def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
        with _explained(path), zipfile.ZipFile(path) as archive, archive.open(member) as file:
            count = 0
            while data := file.read(_CHUNK):
                whole = len(data) // _FRAME.itemsize * _FRAME.itemsize
                if whole < len(data):
                    notes.add("the last sample is cut: it is left out")
                frames = np.frombuffer(data[:whole], _FRAME)
                time, width = regular(count / rate, len(frames), rate)
                count += len(frames)
                pairs = frames["bits"].astype(np.uint16)
                digital = np.zeros(len(frames), np.uint16)
                for channel in range(_CHANNELS):
                    level = (pairs >> np.uint16(2 * channel) & np.uint16(_HIGH)) != 0
                    digital |= level.astype(np.uint16) << np.uint16(channel)
                amps = frames["microamps"].astype(np.float64) * 1e-6
                supply = np.full(len(frames), volts)
                yield Trace(time, width, amps, supply, digital, str(path))
                progress(min(1.0, count * _FRAME.itemsize / max(1, member.file_size)))

    return Recording(
        str(path),
        options.applied(instruments.PPK2),
        tuple(f"D{channel}" for channel in range(_CHANNELS)),
        read,
        voltage_given=True,
    )


def _rate(path: Path, archive: zipfile.ZipFile) -> float:
    hint = "save it again with today's Power Profiler, or give the rate: --rate 100000"
    try:
        with archive.open("metadata.json") as file:
            rate = json.loads(file.read(_MOST_METADATA))["metadata"]["samplesPerSecond"]
    except (KeyError, TypeError, ValueError):
        raise W2sError(f"{path} does not say its rate", hint) from None
    if not isinstance(rate, int | float) or not 0 < rate <= 1e7:
        raise W2sError(f"{path} says {rate!r} samples a second", hint)
    return float(rate)


def _samples(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The member with the samples: the overview, minimap.raw, is not it."""
    found = [
        member
        for member in archive.infolist()
        if Path(member.filename).suffix == ".raw" and "minimap" not in member.filename
    ]
    if len(found) != 1:
        raise W2sError(
            f"{path} is an archive, but not one of Power Profiler", "export the trace as CSV"
        )
    return found[0]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of archives as errors that a user reads."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        UnicodeDecodeError,
        OverflowError,
    ) as error:
        raise W2sError(
            f"{path} is damaged: {error}", "save it again, or export it as CSV"
        ) from None
