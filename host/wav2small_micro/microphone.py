# SPDX-License-Identifier: Apache-2.0
"""This machine's microphone, through PortAudio (the extra ``mic``)."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np

from wav2small_micro.audio import RATE
from wav2small_micro.errors import W2sError
from wav2small_micro.link.messages import BLOCK_SAMPLES

_PATIENCE_S = 5.0


class Microphone:
    """Chunks of int16 (320,) at 16 kHz from an input of this machine, the default one if none is
    named: ``for chunk in Microphone()`` never ends, and keeps what waits. A ``streaming.Capture``
    around it says how much may.

    Raises W2sError where sounddevice or PortAudio is missing or there is no such input, and later
    when it falls silent.
    """

    def __init__(self, device: int | str | None = None) -> None:
        try:
            import sounddevice
        except ImportError:
            raise W2sError("sounddevice is not installed", "pip install -e '.[mic]'") from None
        except OSError as error:
            raise W2sError(f"{error}", "sudo apt-get install libportaudio2") from error
        try:
            sounddevice.check_input_settings(device, channels=1, dtype="int16", samplerate=RATE)
        except (sounddevice.PortAudioError, ValueError) as error:
            inputs = [d["name"] for d in sounddevice.query_devices() if d["max_input_channels"]]
            raise W2sError(
                f"no microphone to listen to: {error}",
                f"inputs here: {', '.join(inputs)}" if inputs else "plug one in; none is here",
            ) from error
        self._device = device
        self._stream: Any = sounddevice.InputStream
        self._heard: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[np.ndarray]:
        with self._stream(
            samplerate=RATE,
            blocksize=BLOCK_SAMPLES,
            channels=1,
            dtype="int16",
            device=self._device,
            callback=self._take,
        ):
            while True:
                try:
                    yield self._heard.get(timeout=_PATIENCE_S)
                except queue.Empty:
                    raise W2sError("the microphone has gone silent", "is it there still?") from None

    def _take(self, data: np.ndarray, frames: int, when: Any, status: Any) -> None:
        """On PortAudio's thread, which must never wait."""
        del frames, when, status
        self._heard.put(data[:, 0].copy())
