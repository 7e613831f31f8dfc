# SPDX-License-Identifier: Apache-2.0
"""Go-back-N for blocks of audio: which block goes out next. No input or output happens here.

The device takes exactly the block that it wants next and answers every block with a cumulative
credit. A block that is lost makes the device ignore those after it; the sender then goes back.
"""

from __future__ import annotations

from collections import deque

_SEQUENCES = 256


class AudioSender:
    """Blocks from 0 on, at most `window` of them in flight.

    >>> sender = AudioSender(next_block=0, window=2)
    >>> for block in b"a", b"b", b"c":
    ...     sender.push(block)
    >>> sender.take(seq=1), sender.take(seq=2), sender.ready
    ((0, b'a'), (1, b'b'), False)
    >>> sender.credit(next_block=1, window=2, seq=1), sender.ready, sender.take(seq=3)
    (True, True, (2, b'c'))
    """

    def __init__(self, next_block: int, window: int) -> None:
        self.window = window
        self.resent = 0  # blocks that went out again
        self._base = next_block  # the block that the device wants
        self._next = next_block  # the block to send next
        self._highest = next_block  # the block after the last that was ever sent
        self._blocks: deque[bytes] = deque()  # from _base on
        self._round = 0  # counts the times that the sender went back
        self._sent: dict[int, tuple[int, int]] = {}  # seq -> block, round

    @property
    def blocks(self) -> int:
        """Blocks pushed so far."""
        return self._base + len(self._blocks)

    @property
    def unsent(self) -> int:
        """Blocks that wait for the window."""
        return self.blocks - self._next

    @property
    def unacknowledged(self) -> int:
        """Blocks that the device has not taken, sent or not."""
        return len(self._blocks)

    @property
    def in_flight(self) -> int:
        """Blocks sent and not taken yet."""
        return self._next - self._base

    def push(self, block: bytes) -> None:
        """Appends a block."""
        self._blocks.append(block)

    @property
    def ready(self) -> bool:
        """Whether a block may go out now."""
        return self.unsent > 0 and self.in_flight < self.window

    def take(self, seq: int) -> tuple[int, bytes]:
        """Number and bytes of the block that goes out now under `seq`; only when `ready`."""
        number = self._next
        self._sent[seq % _SEQUENCES] = (number, self._round)
        self.resent += number < self._highest
        self._next += 1
        self._highest = max(self._highest, self._next)
        return number, self._blocks[number - self._base]

    def sent_under(self, seq: int) -> bool:
        """Whether a block went out under this sequence number lately."""
        return seq in self._sent

    def credit(self, next_block: int, window: int, seq: int) -> bool:
        """Takes a credit; True when the device got on.

        A credit that answers a block of this round and yet wants that block or an earlier one
        says that a block is lost: the sender goes back at once. Credits for blocks of an earlier
        round say nothing new.
        """
        if next_block < self._base or next_block > self._highest:
            return False  # late, or of another life
        self.window = window
        progress = next_block > self._base
        for _ in range(next_block - self._base):
            self._blocks.popleft()
        self._base = next_block
        self._next = max(self._next, next_block)
        number, sent_round = self._sent.get(seq, (-1, -1))
        if sent_round == self._round and number >= next_block:
            self.go_back()
        return progress

    def go_back(self) -> None:
        """Sends again from the block that the device wants. A shut window lets one block probe."""
        self._next = self._base
        self._round += 1
        self.window = max(self.window, 1)
