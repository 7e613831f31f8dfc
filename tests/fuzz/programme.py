# SPDX-License-Identifier: Apache-2.0
"""An input of a fuzzer as a programme: numbers and pieces, taken one after another."""

from __future__ import annotations


class Programme:
    """Bytes to take from; after the end come zeros.

    >>> programme = Programme(b"abcdefg")
    >>> programme.byte(), programme.number(2), programme.piece(2), programme.left
    (97, 25442, b'de', 2)
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that are not taken yet."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """The next byte."""
        return self.number(1)

    def number(self, size: int) -> int:
        """The next `size` bytes, little endian."""
        return int.from_bytes(self.piece(size), "little")

    def piece(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece
