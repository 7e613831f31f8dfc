# SPDX-License-Identifier: Apache-2.0
"""Frames over a transport. A thread reads, so that the device never waits for the host's reader."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from wav2small_micro.link.codec import Frame, FrameReader, encode
from wav2small_micro.link.errors import LinkLost
from wav2small_micro.link.messages import Message
from wav2small_micro.link.transport import Transport

_POLL_S = 0.1  # also the silence after which text without a delimiter is given out
_WRITE_TIMEOUT_S = 10.0
MOST_WAITING = 65536
"""Frames that may wait for their reader, 70 MB at most: a device that talks to nobody fills no
memory. Those that come then are dropped, and missed as if the line had lost them."""


class Channel:
    """Sends and receives frames; text of the device goes to `on_text` (on the reading thread)."""

    def __init__(self, transport: Transport, on_text: Callable[[str], None] | None = None) -> None:
        self.transport = transport
        self._on_text = on_text
        self.sent_frames = 0
        self.dropped_frames = 0  # for want of room
        self._received_frames = self._noise_bytes = 0  # before the transport was opened anew
        self._start()

    def _start(self) -> None:
        self.reader = FrameReader(self._on_text)
        self._frames: queue.SimpleQueue[Frame | LinkLost] = queue.SimpleQueue()
        self._lost: LinkLost | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(self._stop,), name=f"link {self.transport.name}", daemon=True
        )
        self._thread.start()

    def _read(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                data = self.transport.read(_POLL_S)
            except LinkLost as lost:
                self._frames.put(lost)
                return
            if not data:
                self.reader.idle()
            for frame in self.reader.feed(data):
                if self._frames.qsize() < MOST_WAITING:
                    self._frames.put(frame)
                else:
                    self.dropped_frames += 1

    @property
    def received_frames(self) -> int:
        """Good frames received."""
        return self._received_frames + self.reader.frames

    @property
    def noise_bytes(self) -> int:
        """Bytes received that were neither frames nor text."""
        return self._noise_bytes + self.reader.noise_bytes

    def send(self, message: Message, seq: int) -> None:
        """Sends one frame. Raises LinkLost."""
        self.sent_frames += 1
        self.write(encode(message, seq))

    def write(self, data: bytes) -> None:
        """Sends bytes as they are: text commands. Raises LinkLost."""
        self.transport.write(data, _WRITE_TIMEOUT_S)

    def receive(self, timeout: float) -> Frame | None:
        """The next frame, or None when none comes within `timeout` seconds.

        Raises LinkLost once all frames that came before the loss have been taken.
        """
        if self._lost:
            raise self._lost
        try:
            item = self._frames.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None
        if isinstance(item, LinkLost):
            self._lost = item
            raise item
        return item

    def reopen(self, timeout: float) -> None:
        """Opens the transport anew; what was under way is forgotten. Raises LinkLost."""
        self._join()
        self._received_frames, self._noise_bytes = self.received_frames, self.noise_bytes
        self.transport.reopen(timeout)
        self._start()

    def close(self) -> None:
        """Stops reading and closes the transport."""
        self._join()
        self.transport.close()

    def _join(self) -> None:
        self._stop.set()
        self._thread.join()
