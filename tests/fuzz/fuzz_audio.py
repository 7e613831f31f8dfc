# SPDX-License-Identifier: Apache-2.0
"""Any file into the reader of clips.

Promises (docs/security.md): S10.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["wav2small_micro", "soundfile", "soxr"]):
    from fuzz import scratch

    from wav2small_micro import audio
    from wav2small_micro.errors import W2sError

_FILE = scratch.folder() / "clip"


def test_one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    _FILE.write_bytes(data)
    try:
        clip = audio.read_clip(_FILE)
    except W2sError:
        return
    assert clip.pcm.dtype == "int16"
    assert clip.pcm.ndim == 1
    assert clip.seconds >= audio.MIN_SECONDS


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
