# SPDX-License-Identifier: Apache-2.0
"""A session as the host sees it: audio out, rows, windows and the answer in."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wav2small_micro.link import messages
from wav2small_micro.link.audio_sender import AudioSender
from wav2small_micro.link.errors import AudioLost, LinkError, LinkLost
from wav2small_micro.link.messages import Layer

if TYPE_CHECKING:
    from wav2small_micro.link.client import Device

_FRAME_LAYERS = (Layer.LOGMEL, Layer.INPUT, Layer.L1, Layer.L2, Layer.L3)  # one row a frame
_HOP = 32  # samples from frame to frame
SEGMENT_SAMPLES = 8000  # a window comes for every half second
WINDOW_LAG_SAMPLES = 3200  # at most so much audio later: layers look ahead and kernels work in runs


@dataclass(frozen=True)
class SessionAnswer:
    """What a session gave."""

    adv_q16: np.ndarray  # (3,) int32: arousal, dominance, valence, 65536 is 1.0
    frames: int
    rows: int
    taps: dict[Layer, np.ndarray] = field(default_factory=dict)  # (rows, values) int8 or int16
    windows: tuple[messages.Window, ...] = ()  # those that nobody took before


class Session:
    """A session that runs on a device; `Device.start` makes it.

    Every method may raise DeviceReset, DeviceError, AudioLost or LinkLost.
    """

    def __init__(
        self,
        device: Device,
        number: int,
        next_block: int,
        window: int,
        taps: frozenset[Layer],
        *,
        windowed: bool = False,
        slow: bool = False,
        hears: bool = False,
    ) -> None:
        self.number = number
        self.windows: deque[messages.Window] = deque()
        self.heard: deque[messages.Heard] = deque()  # audio of the board's microphone
        self.profile: list[messages.BlockTicks] = []
        self.answered: list[tuple[int, int]] = []  # half second, length of the profile then
        self.missing_windows = 0  # lost on the way, as far as later ones have shown
        self.next_segment = 0  # of the window that comes next
        self._device = device
        self._windowed = windowed
        self._slow = slow  # its answer is computed when the audio has ended
        self._hears = hears  # by itself: how much audio there is, nobody here knows
        self._sender = AudioSender(next_block, window)
        self._pending = b""  # samples that do not fill a block yet
        self._samples = 0  # in blocks
        self._taps: dict[int, list[np.ndarray]] = {layer: [] for layer in sorted(taps)}
        self._timeout = device.timing.reply_s
        self._progress = time.monotonic()
        self._waiting_since = self._progress  # or since the sender went back

    @property
    def resent_blocks(self) -> int:
        """Blocks that had to be sent more than once."""
        return self._sender.resent

    @property
    def blocks_in_flight(self) -> int:
        """Blocks sent that the device has not taken."""
        return self._sender.in_flight

    def send(self, pcm: np.ndarray) -> None:
        """Sends int16 samples at 16 kHz; waits while the device has no room for them.

        The last samples stay here until they fill a block or `finish` is called.
        """
        data = self._pending + np.ascontiguousarray(pcm, dtype="<i2").tobytes()
        size = 2 * messages.BLOCK_SAMPLES
        whole = len(data) // size * size
        for start in range(0, whole, size):
            self._push(data[start : start + size])
        self._pending = data[whole:]
        self._advance(until=lambda: not self._sender.unsent)

    def poll(self, timeout: float) -> None:
        """Takes what comes within `timeout` seconds: windows, rows, credits."""
        deadline = time.monotonic() + timeout
        self._send_due()
        while self._device.pump(deadline - time.monotonic()):
            self._send_due()

    def drain(self) -> None:
        """Sends the samples that do not fill a block, and waits until the device has taken all.

        Nothing may be sent afterwards: only the last block of a session may be short.
        """
        if self._pending:
            self._push(self._pending)
            self._pending = b""
        self._advance(until=lambda: not self._sender.unacknowledged)

    def finish(self) -> SessionAnswer:
        """Ends the audio and waits for the answer and for every tapped row."""
        self.drain()
        result = self._device.finish(self.number, self._sender.blocks, slow=self._slow)
        self._device.end_session(self)
        if result.status:
            raise LinkError(
                f"the library on the device ended with status {result.status}",
                "w2s_status in firmware/lib/wav2small/wav2small.h; -3: the clip is too short",
            )
        self._check_windows()
        return SessionAnswer(
            np.array([result.arousal, result.dominance, result.valence], np.int32),
            result.frames,
            result.rows,
            {Layer(layer): self._rows(Layer(layer), result) for layer in self._taps},
            tuple(self.windows),
        )

    def stop(self) -> None:
        """Ends the session without an answer."""
        self._device.stop(self.number)
        self._device.end_session(self)

    # --- What the device sends ---------------------------------------------------------------

    def on_credit(self, credit: messages.Credit, seq: int) -> None:
        """Takes a credit of this session."""
        if self._sender.credit(credit.next_block, credit.audio_window, seq):
            self._progress = self._waiting_since = time.monotonic()
            self._timeout = self._device.timing.reply_s

    def on_row(self, row: messages.Row) -> None:
        """Takes a row of this session. Raises AudioLost when rows before it are missing."""
        rows = self._taps.get(row.layer)
        if rows is None or row.row < len(rows):
            return
        layer = Layer(row.layer)
        if row.row > len(rows):
            raise AudioLost(
                f"{row.row - len(rows)} rows of {layer.name} did not arrive",
                "the line is noisy: check the cable, lower the baud rate",
            )
        values = _row_values(row)
        most = self._sender.blocks * messages.BLOCK_SAMPLES // _HOP
        if (row.row >= most and not self._hears) or values is None or _unlike(rows, values):
            raise LinkError(
                f"row {row.row} of {layer.name} is not one that this audio can give",
                "build and flash the firmware of this checkout: w2s flash",
            )
        rows.append(values)

    def on_window(self, window: messages.Window) -> None:
        """Takes a window of this session, and sees whether some before it are lost."""
        if window.segment < self.next_segment:
            return  # it came twice
        self.missing_windows += window.segment - self.next_segment
        self.next_segment = window.segment + 1
        self.windows.append(window)
        if self.profile:
            self.answered.append((window.segment, len(self.profile)))

    def on_heard(self, heard: messages.Heard) -> None:
        """Takes a block of the board's microphone."""
        self.heard.append(heard)

    def sent_under(self, seq: int) -> bool:
        """Whether one of this session's blocks went out under this sequence number."""
        return self._sender.sent_under(seq)

    # --- Sending -----------------------------------------------------------------------------

    def _push(self, block: bytes) -> None:
        self._samples += len(block) // 2
        if not self._sender.unacknowledged:
            # Whatever the caller did since the last block, the device did not keep us waiting.
            self._progress = self._waiting_since = time.monotonic()
        self._sender.push(block)

    def _advance(self, until: Callable[[], bool]) -> None:
        """Sends, and takes what comes, until `until` holds."""
        self._send_due()
        while not until():
            self._device.pump(self._timeout)
            self._send_due()

    def _send_due(self) -> None:
        """Sends what the window allows, again from the block that the device wants if need be."""
        while self._device.pump(0.0):
            pass  # a credit that waits here is not late
        now = time.monotonic()
        # While rows come, the device is busy and nothing is lost.
        silent_since = max(self._waiting_since, self._device.heard)
        if self._sender.unacknowledged:
            self._check_stall(now)
            if now - silent_since >= self._timeout:
                self._sender.go_back()
                self._waiting_since = now
                timing = self._device.timing
                self._timeout = min(2 * self._timeout, max(timing.repeat_s, timing.reply_s))
        while self._sender.ready:
            seq, resent = self._device.next_seq(), self._sender.resent
            number, pcm = self._sender.take(seq)
            audio = messages.Audio(self.number, number, pcm)
            self._device.send_audio(audio, seq, again=self._sender.resent > resent)

    def _check_stall(self, now: float) -> None:
        if now - self._progress > self._device.timing.stall_s:
            raise LinkLost(
                f"the device has taken no audio for {now - self._progress:.0f} s",
                "reset the board, or give the link more time",
            )

    def _check_windows(self) -> None:
        samples = self._samples if self._windowed else 0
        due = max(0, samples - WINDOW_LAG_SAMPLES) // SEGMENT_SAMPLES
        missing = self.missing_windows + max(0, due - self.next_segment)
        if missing:
            raise AudioLost(
                f"{missing} windows did not arrive",
                "the line is noisy: check the cable, lower the baud rate",
            )

    def _rows(self, layer: Layer, result: messages.Result) -> np.ndarray:
        rows = self._taps[layer]
        expected = result.frames if layer in _FRAME_LAYERS else result.rows
        if len(rows) != expected:
            raise AudioLost(
                f"{expected - len(rows)} rows of {layer.name} did not arrive",
                "the line is noisy: check the cable, lower the baud rate",
            )
        return np.stack(rows)


def _row_values(row: messages.Row) -> np.ndarray | None:
    """The values of a row; None where it is not whole."""
    if row.element_size not in (1, 2) or len(row.data) % row.element_size:
        return None
    return np.frombuffer(row.data, "<i2" if row.element_size == 2 else "i1")


def _unlike(rows: list[np.ndarray], values: np.ndarray) -> bool:
    return bool(rows) and (rows[0].dtype, rows[0].shape) != (values.dtype, values.shape)
