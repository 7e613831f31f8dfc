# SPDX-License-Identifier: Apache-2.0
"""One stream for many viewers: none holds up the device, a late one sees what went before."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from wav2small_micro.live.player import Sink
from wav2small_micro.streaming import WindowAnswer

Item = bytes | dict[str, Any]
"""Bytes as the device sent them, or a note about them, which travels as JSON."""

HISTORY_S = 90.0
"""What a page that opens, or is loaded again, gets to see at once."""
QUEUE_BYTES = 8_000_000
"""Bytes that wait for a slow viewer before it loses the oldest ones."""
_PIECE = 65536
_PIECE_S = 0.25


class Feed(Sink):
    """Hands items to every viewer. `publish` and `state` may be called on any thread; the rest
    belongs to the loop that :meth:`attach` was called on."""

    def __init__(self, history_s: float = HISTORY_S) -> None:
        self._history_s = history_s
        self._history: deque[tuple[float, Item]] = deque()
        self._state: dict[str, dict[str, Any]] = {}  # the last note of each kind
        self._viewers: set[Viewer] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Uses the running loop."""
        self._loop = asyncio.get_running_loop()

    def publish(self, item: Item) -> None:
        """Gives an item to all viewers, now and, for a while, later. Never waits."""
        self._call(self._spread, item)

    def state(self, kind: str, **facts: Any) -> None:
        """A note that holds until the next of its kind: every new viewer gets it first."""
        self._call(self._keep, {"kind": kind, **facts})

    def answer(self, answer: WindowAnswer, delay: float | None) -> None:
        """The page decodes the answer itself; what it cannot know are delay and losses."""
        if delay is not None:
            self.publish({"kind": "delay", "seconds": delay})
        if answer.lost_seconds or answer.lost_windows:
            self.state("losses", seconds=answer.lost_seconds, windows=answer.lost_windows)

    def _call(self, function: Any, item: Item) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, item)

    def _keep(self, note: dict[str, Any]) -> None:
        self._state[note["kind"]] = note
        for viewer in self._viewers:
            viewer.put(note)

    def _spread(self, item: Item) -> None:
        now = time.monotonic()
        since, last = self._history[-1] if self._history else (now, {})
        if isinstance(item, bytes) and isinstance(last, bytes) and now - since < _PIECE_S:
            self._history[-1] = (since, last + item)
        else:
            self._history.append((now, item))
        while self._history[0][0] < now - self._history_s:
            self._history.popleft()
        for viewer in self._viewers:
            viewer.put(item)

    def view(self) -> Viewer:
        """A new viewer, to be used with `with`: it gets the state and the history first."""
        return Viewer(self, [*self._state.values(), *(item for _, item in self._history)])

    def add(self, viewer: Viewer) -> None:
        """From now on the viewer gets what is published."""
        self._viewers.add(viewer)

    def remove(self, viewer: Viewer) -> None:
        """The viewer has gone."""
        self._viewers.discard(viewer)


class Viewer:
    """One page: ``async for item in viewer`` never ends."""

    def __init__(self, feed: Feed, first: list[Item]) -> None:
        self._feed = feed
        self._waiting: deque[Item] = deque(first)
        self._bytes = sum(len(item) for item in first if isinstance(item, bytes))
        self._arrived = asyncio.Event()
        self._missed = 0

    def __enter__(self) -> Viewer:
        self._feed.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.remove(self)

    def put(self, item: Item) -> None:
        """Takes an item. Where too much waits already, the oldest bytes go: the page finds the
        next whole frame by itself. Notes are few and stay."""
        while self._bytes > QUEUE_BYTES:
            oldest = next(
                i for i, waiting in enumerate(self._waiting) if isinstance(waiting, bytes)
            )
            self._missed += len(self._waiting[oldest])
            self._bytes -= len(self._waiting[oldest])
            del self._waiting[oldest]
        if isinstance(item, bytes):
            self._bytes += len(item)
        self._waiting.append(item)
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[Item]:
        while True:
            if not self._waiting:
                await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                if self._missed:
                    missed, self._missed = self._missed, 0
                    yield {"kind": "missed", "bytes": missed}
                yield self._next()

    def _next(self) -> Item:
        """The next note, or the bytes that wait one behind the other as one message."""
        item = self._waiting.popleft()
        if not isinstance(item, bytes):
            return item
        parts, size = [item], len(item)
        while self._waiting and isinstance(self._waiting[0], bytes) and size < _PIECE:
            parts.append(self._waiting.popleft())  # type: ignore[arg-type]
            size += len(parts[-1])
        self._bytes -= size
        return b"".join(parts)
