# SPDX-License-Identifier: Apache-2.0
"""Any manifest of clips and any file of labels into their readers.

Promises (docs/security.md): S11.
"""

from __future__ import annotations

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["wav2small_micro", "csv"]):
    from fuzz import scratch

    from wav2small_micro.data import labels, manifest
    from wav2small_micro.errors import W2sError

_FILE = scratch.folder() / "manifest.csv"


def test_one_input(data: bytes) -> None:
    """One input of the fuzzer: the first byte chooses the reader."""
    _FILE.write_bytes(data[1:])
    with contextlib.suppress(W2sError):
        if data[:1] == b"L":
            assert labels.read(_FILE)
        else:
            found = manifest.read(_FILE, leaks=data[:1] == b"l")
            assert found.rows
            for row in found.rows:
                assert row.path


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
