# SPDX-License-Identifier: Apache-2.0
"""What was heard and answered, in two files that are whole at any moment: nothing is lost when the
program, or the machine, ends in between."""

from __future__ import annotations

import csv
import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from wav2small_micro.affect import region
from wav2small_micro.errors import W2sError
from wav2small_micro.live.player import Sink
from wav2small_micro.metrics import DIMENSIONS
from wav2small_micro.streaming import RATE, SEGMENT_SECONDS, WindowAnswer

COLUMNS = ("seconds", *DIMENSIONS, *(f"{name}_q16" for name in DIMENSIONS), "level_db", "word")


class Recording(Sink):
    """Writes ``PREFIX.csv``, a row an answer, and ``PREFIX.wav``, the audio that went in, or
    what the board's own microphone heard.

    Raises W2sError when one of the files is there already.
    """

    wants_audio = True

    def __init__(self, prefix: Path) -> None:
        self.csv_path = prefix.with_name(prefix.name + ".csv")
        self.wav_path = prefix.with_name(prefix.name + ".wav")
        for path in (self.csv_path, self.wav_path):
            if path.exists():
                raise W2sError(f"{path} is there already", "record under another name")
        prefix.parent.mkdir(parents=True, exist_ok=True)
        self._csv = self.csv_path.open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._csv)
        self._rows.writerow(COLUMNS)
        self._wav: wave.Wave_write | None = None
        self._waiting = b""  # for the WAV

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write()
        self._csv.close()
        if self._wav is not None:
            self._wav.close()

    def hearing(self, audio: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The same chunks, on their way into the WAV."""
        try:
            for chunk in audio:
                self.audio(chunk)
                yield chunk
        finally:
            self._write()

    def audio(self, pcm: np.ndarray) -> None:
        """Into the WAV, a half second at a time."""
        self._waiting += np.ascontiguousarray(pcm, "<i2").tobytes()
        if len(self._waiting) >= 2 * RATE * SEGMENT_SECONDS:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        if self._wav is None:
            self._wav = wave.open(str(self.wav_path), "wb")  # noqa: SIM115  closed by __exit__
            self._wav.setnchannels(1)
            self._wav.setsampwidth(2)
            self._wav.setframerate(RATE)
        self._wav.writeframes(self._waiting)  # which also mends the sizes in the header
        self._waiting = b""

    def answer(self, answer: WindowAnswer, delay: float | None) -> None:
        """A row of the CSV."""
        del delay
        arousal, _, valence = answer.adv
        self._rows.writerow(
            [
                answer.seconds,
                *(f"{value:.5f}" for value in answer.adv),
                *answer.adv_q16,
                f"{answer.level_db:.2f}",
                region(arousal, valence),
            ]
        )
        self._csv.flush()
