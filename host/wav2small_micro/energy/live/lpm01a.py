# SPDX-License-Identifier: Apache-2.0
"""An ST X-NUCLEO-LPM01A, live over its serial port (ST UM2269): it feeds the board and measures.

Commands are lines, each of which it confirms with ``ack``. The stream is binary, which alone is
quick enough for 100,000 samples a second; `readers.lpm01a` decodes it.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

from wav2small_micro.energy.live.spool import Deadline, Spool
from wav2small_micro.energy.options import Options
from wav2small_micro.energy.readers import lpm01a
from wav2small_micro.energy.trace import Notes, Progress, Recording, Trace
from wav2small_micro.errors import W2sError

BAUD = 3_686_400
RATE = 100_000.0
_REPLY_SECONDS = 2.0
_QUIET_SECONDS = 3.0


def record(
    port: str | None,
    seconds: float,
    options: Options,
    *,
    progress: Progress = lambda share: None,
) -> Recording:
    """Feeds the board at the voltage given, and measures for so many seconds. Raises W2sError."""
    volts = options.voltage
    if volts is None:
        raise W2sError("the LPM01A feeds the board", "say with how many volts: --voltage 3.3")
    if not 1.8 <= volts <= 3.3:
        raise W2sError(f"an LPM01A has 1.8 to 3.3 V, not {volts:g} V", "--voltage in volts")
    rate = options.rate or RATE
    if rate not in lpm01a.RATES:
        raise W2sError(
            f"an LPM01A does not take {rate:g} samples a second",
            f"--rate one of {', '.join(map(str, lpm01a.RATES))}",
        )
    if port is None:
        raise W2sError("which port is the LPM01A on?", "name it: --port /dev/ttyACM0")
    line = _open(port)
    spool = Spool()
    what_happened = Notes()
    try:
        for command in _commands(volts, rate):
            _ask(line, command)
        line.write(b"start\n")
        _collect(line, spool, seconds, progress, what_happened)
    finally:
        _leave(line)
    name = f"LPM01A on {port}"
    known = Options(volts, rate, options.accuracy)
    recording = lpm01a.recording(spool.path, known, binary=True, source=name)

    def read(notes: Notes, progress: Progress) -> Iterator[Trace]:
        for text in what_happened.lines:
            notes.add(text)
        spool.flush()
        yield from recording.read(notes, progress)

    return Recording(name, recording.instrument, (), read, voltage_given=False)


def _commands(volts: float, rate: float) -> list[str]:
    frequency = f"{rate / 1000:g}k" if rate >= 1000 else f"{rate:g}"
    return [
        "htc",
        f"volt {round(1000 * volts)}m",
        f"freq {frequency}",
        "acqmode dyn",
        "funcmode high",
        "output current",
        "format bin_hexa",
        "trigsrc sw",
        "acqtime inf",
    ]


def _open(port: str) -> Any:
    import serial

    try:
        line = serial.serial_for_url(port, baudrate=BAUD, timeout=0.05, write_timeout=2)
    except (serial.SerialException, OSError, ValueError) as error:
        raise W2sError(
            f"{port} cannot be opened: {error}",
            "is it plugged in, and no other program using it? Linux wants the group dialout",
        ) from None
    line.write(b"\n")
    time.sleep(0.05)
    line.reset_input_buffer()
    return line


def _ask(line: Any, command: str) -> None:
    """Sends a command and waits for its confirmation. Raises W2sError."""
    line.write(f"{command}\n".encode())
    heard = b""
    end = time.monotonic() + _REPLY_SECONDS
    wanted = re.compile(rf"\back\s+{re.escape(command)}\b".encode())
    refused = re.compile(rb"\berr\b[^\n]*")
    while time.monotonic() < end:
        heard += line.read(line.in_waiting or 1)
        if wanted.search(heard):
            return
        found = refused.search(heard)
        if found and b"\n" in heard[found.end() - 1 :]:
            raise W2sError(
                f"the LPM01A refuses {command!r}: {found[0].decode('latin-1').strip()}",
                "is its firmware of today? ST's STSW-POWERSHIELD updates it",
            )
    said = heard.decode("latin-1").strip()[-80:]
    raise W2sError(
        f"the LPM01A does not confirm {command!r}" + (f"; it says {said!r}" if said else ""),
        "is it the right port? unplug the board and plug it in again",
    )


def _collect(line: Any, spool: Spool, seconds: float, progress: Progress, notes: Notes) -> None:
    """Keeps what comes until the time is over, then stops it and keeps the rest up to its end."""
    import serial

    deadline = Deadline(seconds, progress)
    heard = time.monotonic()
    stopped = False
    tail = b""
    try:
        while True:
            data = line.read(line.in_waiting or 1)
            if data:
                spool.add(data)
                heard = time.monotonic()
                tail = (tail + data)[-64:]
            if not stopped and deadline.over:
                line.write(b"stop\n")
                stopped = True
                heard = time.monotonic()
            if stopped and (b"\xf0\xf4\xff\xff" in tail or time.monotonic() - heard > 0.5):
                break
            if time.monotonic() - heard > _QUIET_SECONDS:
                notes.add("the LPM01A fell silent before the end")
                break
    except KeyboardInterrupt:
        notes.add("stopped from the keyboard")
    except (serial.SerialException, OSError) as error:
        notes.add(f"the LPM01A went away: {error}")
    if not spool.size:
        raise W2sError("the LPM01A sends no samples", "unplug it and plug it in again")


def _leave(line: Any) -> None:
    """Stops it and gives it back to its own buttons, if it still listens."""
    import serial

    with contextlib.suppress(serial.SerialException, OSError):
        line.write(b"stop\n")
        line.write(b"hrc\n")
        line.flush()
    line.close()
