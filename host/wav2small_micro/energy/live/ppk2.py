# SPDX-License-Identifier: Apache-2.0
"""A Nordic Power Profiler Kit II, live through ppk2-api, which is an extra (and GPL-2.0).

The kit sends a word of 32 bits a sample, 100,000 a second: 14 bits of the converter, 3 of the
range, 6 of a counter, 8 digital channels. ppk2-api knows the commands, the calibration and the
filter for range switches; it ignores the counter, from which lost samples are told here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2small_micro.energy import instruments
from wav2small_micro.energy.live.spool import Deadline, Spool
from wav2small_micro.energy.options import Options
from wav2small_micro.energy.trace import Notes, Progress, Recording, Trace
from wav2small_micro.errors import W2sError

RATE = 100_000.0
_WORD = 4
_COUNTER = np.uint32(0x3F)
_CHUNK = _WORD << 16
_QUIET_SECONDS = 3.0


def record(
    port: str | None,
    seconds: float,
    options: Options,
    *,
    supply: bool = False,
    progress: Progress = lambda share: None,
) -> Recording:
    """Measures for so many seconds; ``supply``: the kit also feeds the board, at the voltage given.

    The voltage is always needed: the kit's calibration depends on it, and it does not measure it.
    Interrupted from the keyboard, it keeps what it has. Raises W2sError.
    """
    if options.voltage is None:
        raise W2sError("a PPK2 does not measure the voltage", "say the supply: --voltage 3.3")
    if not 0.8 <= options.voltage <= 5.0:
        raise W2sError(f"a PPK2 has 0.8 to 5 V, not {options.voltage:g} V", "--voltage in volts")
    device = _connect(port)
    spool = Spool()
    what_happened = Notes()
    try:
        _prepare(device, options.voltage, supply)
        device.start_measuring()
        _collect(device, spool, seconds, progress, what_happened)
    finally:
        device.stop_measuring()
        if supply:
            device.toggle_DUT_power("OFF")
        device.ser.close()
    name = f"PPK2 on {device.ser.port}"

    def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
        for line in what_happened.lines:
            notes.add(line)
        yield from _decoded(device, spool, float(options.voltage or 0), name, notes, progress)

    return Recording(
        name,
        options.applied(instruments.PPK2),
        tuple(f"D{bit}" for bit in range(8)),
        read,
        voltage_given=True,
    )


# --- The kit -------------------------------------------------------------------------------------


def _connect(port: str | None) -> Any:
    try:
        from ppk2_api.ppk2_api import PPK2_API
    except ImportError:
        raise W2sError("a live PPK2 needs ppk2-api", "pip install ppk2-api") from None
    import serial

    if port is None:
        # Some versions give the serial number beside the port.
        found = [p if isinstance(p, str) else p[0] for p in PPK2_API.list_devices()]
        if len(found) != 1:
            raise W2sError(
                f"{len(found) or 'no'} PPK2 found{': ' if found else ''}{', '.join(found)}",
                "name its port: --port /dev/ttyACM0; Linux wants the group dialout",
            )
        port = found[0]
    try:
        return PPK2_API(port, timeout=1, write_timeout=1, exclusive=True)
    except (serial.SerialException, OSError, ValueError) as error:
        raise W2sError(
            f"{port} cannot be opened: {error}",
            "is it plugged in, and no other program using it? Linux wants the group dialout",
        ) from None


def _prepare(device: Any, volts: float, supply: bool) -> None:
    """Reads the calibration, and sets mode and voltage."""
    for _ in range(3):
        device.stop_measuring()
        time.sleep(0.05)
        device.ser.reset_input_buffer()
        if device.get_modifiers():
            break
    else:
        raise W2sError(
            f"{device.ser.port} does not answer as a PPK2 does",
            "a PPK2 has two ports: try the other one; or unplug it and plug it in again",
        )
    (device.use_source_meter if supply else device.use_ampere_meter)()
    device.set_source_voltage(round(1000 * volts))
    if supply:
        device.toggle_DUT_power("ON")
        time.sleep(0.1)
    device.ser.reset_input_buffer()


def _collect(device: Any, spool: Spool, seconds: float, progress: Progress, notes: Notes) -> None:
    """Keeps what comes until the time is over, or as much as there is when it ends early."""
    import serial

    deadline = Deadline(seconds, progress)
    heard = time.monotonic()
    try:
        while not deadline.over:
            data = device.get_data()
            if data:
                spool.add(data)
                heard = time.monotonic()
            elif time.monotonic() - heard > _QUIET_SECONDS:
                notes.add("the PPK2 fell silent before the end")
                break
            time.sleep(0.002)
    except KeyboardInterrupt:
        notes.add("stopped from the keyboard")
    except (serial.SerialException, OSError) as error:
        notes.add(f"the PPK2 went away: {error}")
    if not spool.size:
        raise W2sError("the PPK2 sends no samples", "unplug it and plug it in again")
    expected = RATE * deadline.elapsed
    if abs(spool.size / _WORD / expected - 1) > 0.1 and not notes.lines:
        notes.add(
            f"{spool.size // _WORD:,} samples came in {deadline.elapsed:.2f} s, where a PPK2 gives "
            f"{expected:,.0f}"
        )


# --- Its samples ---------------------------------------------------------------------------------


def _decoded(
    device: Any, spool: Spool, volts: float, source: str, notes: Notes, progress: Progress
) -> Iterator[Trace]:
    device.rolling_avg = device.rolling_avg4 = device.prev_range = None
    device.consecutive_range_samples = device.after_spike = 0
    rest = b""
    number, last, done = 0, None, 0
    for chunk in spool.chunks(_CHUNK):
        done += len(chunk)
        data = rest + chunk
        shift = _misalignment(data)
        if shift:
            notes.add("bytes lost on the way from the PPK2: a word was skipped")
            data = data[shift:]
        whole = len(data) // _WORD * _WORD
        data, rest = data[:whole], data[whole:]
        if not data:
            continue
        counters = np.frombuffer(data, "<u4") >> np.uint32(18) & _COUNTER
        numbers, lost = _numbered(counters, number, last)
        notes.add("samples lost on the way from the PPK2, which leaves gaps", lost)
        device.remainder = {"sequence": b"", "len": 0}
        microamps, bits = device.get_samples(data)
        count = len(microamps)
        if count != len(numbers):
            raise W2sError("ppk2-api gave another number of samples", "which version is it?")
        yield Trace(
            numbers / RATE,
            np.full(count, 1 / RATE),
            np.asarray(microamps, np.float64) * 1e-6,
            np.full(count, volts),
            np.asarray(bits, np.uint16),
            source,
        )
        number, last = int(numbers[-1]) + 1, int(counters[-1])
        progress(done / spool.size)


def _numbered(
    counters: NDArray[np.uint32], first: int, before: int | None
) -> tuple[NDArray[np.int64], int]:
    """Numbers of samples by their six-bit counters, and how many of them are missing, at least."""
    start = (int(counters[0]) - 1) % 64 if before is None else before
    counted = np.concatenate([[start], counters.astype(np.int64)])
    steps = (counted[1:] - counted[:-1] - 1) % 64 + 1
    numbers = first - 1 + np.cumsum(steps)
    return numbers, int((steps - 1).sum())


def _misalignment(data: bytes) -> int:
    """Bytes to skip so that words begin where they should: where their counters count."""

    def counting(shift: int) -> float:
        words = np.frombuffer(data[shift : shift + _WORD * 256 // _WORD * _WORD], "u1")
        words = words[: len(words) // _WORD * _WORD].view("<u4")
        if len(words) < 8:
            return 1.0 if shift == 0 else 0.0
        counters = (words >> np.uint32(18) & _COUNTER).astype(np.int64)
        return float(((counters[1:] - counters[:-1]) % 64 == 1).mean())

    if counting(0) > 0.5:
        return 0
    best = max(range(_WORD), key=counting)
    return best if counting(best) > 0.5 else 0
