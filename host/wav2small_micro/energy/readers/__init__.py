# SPDX-License-Identifier: Apache-2.0
"""Files with traces of current: which of the formats a file has, and its recording."""

from __future__ import annotations

from pathlib import Path

from wav2small_micro.energy.options import Options
from wav2small_micro.energy.readers import delimited, jls, lpm01a, ppk2_session
from wav2small_micro.energy.trace import Recording
from wav2small_micro.errors import W2sError

_HEAD_BYTES = 1 << 16


def open_recording(path: Path, options: Options | None = None) -> Recording:
    """The recording in a file, whatever its name: .jls, .ppk2, a log of an LPM01A, or columns.

    Raises W2sError. Samples are read, and their errors found, when one goes through its pieces.
    """
    chosen = options or Options()
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise W2sError(f"{path} cannot be read: {error.strerror}", "check the path") from None
    if not head:
        raise W2sError(f"{path} is empty", "was the measurement saved?")
    if jls.is_jls(head):
        found = jls.recording(path, chosen)
    elif ppk2_session.is_session(head):
        found = ppk2_session.recording(path, chosen)
    elif lpm01a.is_log(head):
        found = lpm01a.recording(path, chosen)
    else:
        found = delimited.recording(path, chosen)
    return found
