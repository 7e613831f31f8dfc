# SPDX-License-Identifier: Apache-2.0
"""This machine's microphone, with a file in the place of the sound card."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wav2small_micro.audio import RATE
from wav2small_micro.errors import W2sError
from wav2small_micro.link.messages import BLOCK_SAMPLES
from wav2small_micro.microphone import Microphone

ALSA = Path("/usr/share/alsa/alsa.conf")
PROGRAM = """
import itertools, sys
from wav2small_micro.microphone import Microphone
from wav2small_micro.streaming import Capture
capture = Capture(Microphone())
for chunk in itertools.islice(capture, 50):
    sys.stdout.buffer.write(chunk.tobytes())
print(capture.lost_samples, file=sys.stderr)
"""


def test_no_microphone_is_said_with_what_to_do() -> None:
    with pytest.raises(W2sError) as raised:
        Microphone("no such input")
    assert raised.value.hint


def test_what_is_heard_comes_bit_for_bit_or_is_counted_as_lost(tmp_path: Path) -> None:
    """Through PortAudio and ALSA, whose file plugin gives a minute of sound as fast as it can: far
    faster than it is taken."""
    pytest.importorskip("sounddevice", reason="no sounddevice or PortAudio", exc_type=Exception)
    if not ALSA.is_file():
        pytest.skip("ALSA is not installed")
    voice = np.random.default_rng(1).integers(-30000, 30000, 60 * RATE).astype("<i2").tobytes()
    (tmp_path / "voice").write_bytes(voice)
    config = tmp_path / "asoundrc"
    config.write_text(
        f'<{ALSA}>\npcm.!default {{ type file slave.pcm "null" file "/dev/null" '
        f'infile "{tmp_path / "voice"}" format "raw" }}\n'
    )
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        env=os.environ | {"ALSA_CONFIG_PATH": str(config)},
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    size = 2 * BLOCK_SAMPLES
    chunks = [ran.stdout[at : at + size] for at in range(0, len(ran.stdout), size)]
    assert len(chunks) == 50
    numbers = [voice.find(chunk) // size for chunk in chunks if any(chunk)]  # silence: its end
    assert numbers
    assert numbers == sorted(set(numbers))
    missing = numbers[-1] + 1 - len(numbers)
    assert min(numbers) >= 0
    assert missing * BLOCK_SAMPLES <= int(ran.stderr.split()[-1])
