# SPDX-License-Identifier: Apache-2.0
"""A bad line, by a seeded plan: frames are cut, flipped, lost, repeated, delayed and exchanged,
both ways. It counts what it did, so that a test can hold the counters of both ends to it.

line = FaultyTransport(transport, seed=7, rate=0.05)
with Device(line) as device:
    device.run(pcm)
print(line.counts)
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from wav2small_micro.link.transport import Transport

KINDS = ("cut", "flip", "lose", "repeat", "delay", "swap")
LONGEST_DELAY_S = 0.1
_FRAME = re.compile(rb"[^\0]*\0")


class _Direction:
    """What happens to frames one way. A frame here is all up to a delimiter that ends one."""

    def __init__(self, name: str, seed: int, rate: float, kinds: Sequence[str]) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self._rng = np.random.default_rng([seed, len(name)])
        self._rate = rate
        self._kinds = list(kinds)
        self._held: bytes | None = None  # waits for the frame that is sent before it

    def release(self) -> bytes:
        """The frame that is held back, if there is one."""
        held, self._held = self._held or b"", None
        return held

    def disturb(self, frame: bytes) -> bytes:
        """What the other end gets in place of a frame. A delay happens here."""
        if len(frame) < 4 or self._rng.random() >= self._rate:
            return frame + self.release()
        kind = str(self._rng.choice(self._kinds))
        self.counts[kind] += 1
        if kind == "swap" and self._held is None:
            self._held = frame
            return b""
        return self._spoil(kind, frame) + self.release()

    def _spoil(self, kind: str, frame: bytes) -> bytes:
        at = int(self._rng.integers(1, len(frame) - 2))  # leaves a byte and the delimiters
        if kind == "cut":
            return frame[:at] + frame[at + 1 + int(self._rng.integers(len(frame) - 1 - at)) :]
        if kind == "flip":
            spoilt = bytearray(frame)
            spoilt[at] ^= 1 << int(self._rng.integers(8))
            return bytes(spoilt)
        if kind == "lose":
            return b""
        if kind == "delay":
            time.sleep(float(self._rng.uniform(0, LONGEST_DELAY_S)))
        return frame * 2 if kind == "repeat" else frame


class FaultyTransport:
    """A transport that disturbs a share `rate` of the frames that pass, each way by a plan of its
    own; the same `seed` gives the same plan. `kinds`: of KINDS."""

    def __init__(
        self,
        transport: Transport,
        *,
        seed: int = 0,
        rate: float = 0.05,
        kinds: Sequence[str] = KINDS,
    ) -> None:
        self.name = transport.name
        self._transport = transport
        self._up = _Direction("up", seed, rate, kinds)
        self._down = _Direction("down", seed, rate, kinds)
        self._calm = threading.Event()
        self._unread = b""

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How often each kind happened, to the device (`up`) and to the host (`down`)."""
        return {"up": dict(self._up.counts), "down": dict(self._down.counts)}

    @property
    def repeated(self) -> tuple[int, int]:
        """Frames that the other end got twice: to the device, to the host."""
        return self._up.counts["repeat"], self._down.counts["repeat"]

    @contextlib.contextmanager
    def calm(self) -> Iterator[None]:
        """A good line meanwhile."""
        self._calm.set()
        held = self._up.release()
        if held:
            self._transport.write(held, 1.0)
        try:
            yield
        finally:
            self._calm.clear()

    def read(self, timeout: float) -> bytes:
        """See Transport."""
        data = self._transport.read(timeout)
        if not data or self._calm.is_set():
            whole, self._unread = self._down.release() + self._unread + data, b""
            return whole
        self._unread += data
        end = self._unread.rfind(b"\0") + 1
        frames, self._unread = _FRAME.findall(self._unread[:end]), self._unread[end:]
        passed = b"".join(self._down.disturb(frame) for frame in frames)
        if b"\n" in self._unread:  # text, which nothing delimits
            passed, self._unread = passed + self._unread, b""
        return passed

    def write(self, data: bytes, timeout: float) -> None:
        """See Transport. The channel writes a frame at a time."""
        passed = data if self._calm.is_set() else self._up.disturb(data)
        if passed:
            self._transport.write(passed, timeout)

    def reopen(self, timeout: float) -> None:
        """See Transport."""
        self._up.release()
        self._down.release()
        self._unread = b""
        self._transport.reopen(timeout)

    def close(self) -> None:
        """See Transport."""
        self._transport.close()
