# SPDX-License-Identifier: Apache-2.0
"""Any trace of current, as text or as a log of an LPM01A, and any timeline, into their readers.

Promises (docs/security.md): S11.

A .jls is left out: pyjls, which is not ours, reads it.
"""

from __future__ import annotations

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["wav2small_micro"]):
    import numpy as np
    from fuzz import scratch

    from wav2small_micro.energy import align, readers
    from wav2small_micro.energy.options import Options
    from wav2small_micro.energy.readers import jls
    from wav2small_micro.errors import W2sError

_FILE = scratch.folder() / "trace"
OPTIONS = (Options(), Options(voltage=3.3), Options(voltage=3.3, rate=1000.0))


def test_one_input(data: bytes) -> None:
    """One input of the fuzzer: the first byte chooses the reader and what the user says."""
    choice, content = data[:1], data[1:]
    if jls.is_jls(content):
        return
    _FILE.write_bytes(content)
    with contextlib.suppress(W2sError):
        if choice == b"T":
            timeline = align.read_timeline(_FILE)
            assert np.isfinite(timeline.start).all()
            return
        options = OPTIONS[(choice or b"\0")[0] % len(OPTIONS)]
        trace = readers.open_recording(_FILE, options).whole()
        assert len(trace) > 0
        assert np.isfinite(trace.current).all()
        assert (np.diff(trace.time) >= 0).all()


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
