# SPDX-License-Identifier: Apache-2.0
"""Joulescope's files: JLS version 2, read by pyjls, which is in the extra ``energy``.

The signals are found by name: ``current`` (A), ``voltage`` (V), and the general-purpose inputs
``gpi[0]`` .. as digital channels. Signals of lower rate are repeated; samples that Joulescope lost
are not a number and become gaps.

pyjls repairs a file that was not closed, in place, and cuts it where it cannot: such a file is
copied, and the copy is read.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.energy import instruments
from wav2small_micro.energy.options import Options
from wav2small_micro.energy.trace import Notes, Progress, Recording, Trace, regular
from wav2small_micro.errors import W2sError

_MAGIC = b"jlsfmt\r\n"
_MAGIC_1 = b"\xd3tagfmt "
_CHUNK = 1 << 19  # samples
_CHUNK_HEADER, _TAG_AT, _TAG_END = 32, 16, 0xFF


def is_jls(head: bytes) -> bool:
    """Whether a file that begins so is JLS, of any version."""
    return head.startswith((_MAGIC, _MAGIC_1))


def recording(path: Path, options: Options) -> Recording:
    """The recording in a file. Raises W2sError."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC_1)) == _MAGIC_1:
            raise W2sError(
                f"{path} is JLS version 1", "open it in Joulescope's UI and save it again"
            )
    whole = _is_closed(path)
    copy = None if whole else _copied(path)
    here = path if copy is None else Path(copy.name)
    signals = _open(here, path)
    try:
        current = _find(signals, r"current|i", path)
        voltage = _find(signals, r"voltage|v") if options.voltage is None else None
        gpi = [
            found
            for i in range(16)
            if (found := _find(signals, rf"gpi\[?{i}\]?|{i}")) is not None
            and found.data_type & 0xFFFF == _u1()
        ]
    finally:
        signals.close()
    if current is None:
        raise W2sError(f"{path} has no signal of current", "record it: signal `current`")
    if voltage is None and options.voltage is None:
        raise W2sError(f"{path} has no signal of voltage", "record it, or say it: --voltage 3.3")

    def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
        reader = _open(here, path)
        if copy is not None:
            notes.add("the file was not closed: what could be saved of it is read from a copy")
        try:
            yield from _pieces(reader, current, voltage, gpi, options, str(path), notes, progress)
        except RuntimeError as error:
            raise W2sError(f"{path} is damaged: {error}", "record it again") from None
        finally:
            reader.close()

    return Recording(
        str(path),
        options.applied(instruments.JOULESCOPE),
        tuple(f"gpi{_number(signal.name)}" for signal in gpi),
        read,
        voltage_given=options.voltage is not None,
    )


def _is_closed(path: Path) -> bool:
    """Whether pyjls will take the file for complete.

    By the length in its header, which is written last, and a sound header of the chunk END in its
    last 32 bytes (the JLS format, jls/format.h).
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(24)[16:24], "little")
        size = file.seek(0, 2)
        file.seek(max(0, size - _CHUNK_HEADER))
        last = file.read(_CHUNK_HEADER)
    return (
        length == size >= _CHUNK_HEADER
        and last[_TAG_AT] == _TAG_END
        and _crc32c(last[:-4]) == int.from_bytes(last[-4:], "little")
    )


def _crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), of a few bytes.

    >>> hex(_crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _copied(path: Path) -> Any:
    """A copy that goes with the last reference to it."""
    copy = tempfile.NamedTemporaryFile(prefix="w2s-energy-", suffix=".jls")  # noqa: SIM115
    with path.open("rb") as file:
        shutil.copyfileobj(file, copy)
    copy.flush()
    return copy


def _number(name: str) -> str:
    found = re.search(r"\d+", name)
    return found[0] if found else name


def _u1() -> int:
    from pyjls import DataType

    return int(DataType.U1) & 0xFFFF


def _open(path: Path, named: Path) -> Any:
    try:
        from pyjls import Reader
    except ImportError:
        raise W2sError(f"{named} is a .jls, which needs pyjls", "pip install pyjls") from None
    try:
        return Reader(str(path))
    except (RuntimeError, ValueError, OSError) as error:
        raise W2sError(f"{named} cannot be read: {error}", "is the recording complete?") from None


def _find(reader: Any, pattern: str, path: Path | None = None) -> Any:
    """The signal of that name, the first of them where several sources have one."""
    found = [
        signal
        for signal in reader.signals.values()
        if re.fullmatch(pattern, signal.name, re.IGNORECASE) and signal.length > 0
    ]
    if path is not None and len({signal.source_id for signal in found}) > 1:
        raise W2sError(
            f"{path} holds the current of {len(found)} instruments", "save one of them alone"
        )
    return found[0] if found else None


def _pieces(
    reader: Any,
    current: Any,
    voltage: Any,
    gpi: list[Any],
    options: Options,
    source: str,
    notes: Notes,
    progress: Progress,
) -> Iterator[Trace]:
    rate = options.rate or float(current.sample_rate)
    if not rate > 0:
        raise W2sError(f"{source} does not say its rate", "--rate, in samples a second")
    begin, end = 0, int(current.length)
    for other in [*([] if voltage is None else [voltage]), *gpi]:
        # All signals of a recording begin within some packets of each other.
        scale = current.sample_rate / other.sample_rate
        shift = round(other.sample_id_offset * scale) - current.sample_id_offset
        begin = max(begin, shift)
        end = min(end, shift + int(other.length * scale))
    if end < current.length or begin > 0:
        notes.add("the signals do not begin and end together: what they share is used")
    for at in range(begin, end, _CHUNK):
        count = min(_CHUNK, end - at)
        time, width = regular((at - begin) / rate, count, rate)
        amps = np.asarray(reader.fsr(current.signal_id, at, count), np.float64)
        if voltage is None:
            volts = np.full(count, options.voltage, np.float64)
        else:
            volts = _matched(reader, voltage, current, at, count).astype(np.float64)
        digital = np.zeros(count, np.uint16)
        for bit, signal in enumerate(gpi):
            level = _matched(reader, signal, current, at, count) != 0
            digital |= level.astype(np.uint16) << np.uint16(bit)
        yield Trace(time, width, amps, volts, digital, source)
        progress((at + count) / max(1, int(current.length)))


def _matched(reader: Any, signal: Any, current: Any, at: int, count: int) -> NDArray[Any]:
    """Samples of a signal at the times of the current's ``at`` .. ``at + count``."""
    scale = current.sample_rate / signal.sample_rate
    shift = round(signal.sample_id_offset * scale) - current.sample_id_offset
    places = ((at - shift + np.arange(count)) / scale).astype(np.int64)
    places = np.clip(places, 0, int(signal.length) - 1)
    first, last = int(places[0]), int(places[-1])
    data = reader.fsr(signal.signal_id, first, last - first + 1)
    if signal.data_type & 0xFFFF == _u1():
        data = np.unpackbits(np.asarray(data, np.uint8), bitorder="little")
    return np.asarray(data)[places - first]
