# SPDX-License-Identifier: Apache-2.0
"""The live view's feed and server: late and slow viewers, and those who may not look."""

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from wav2small_micro.errors import W2sError
from wav2small_micro.live import feed as feeds
from wav2small_micro.live.feed import Feed, Item
from wav2small_micro.live.server import LiveServer

# --- Feed ----------------------------------------------------------------------------------------


def seen(feed: Feed, count: int) -> list[Item]:
    """What a viewer that comes now gets to see, up to `count` items."""

    async def watch() -> list[Item]:
        found: list[Item] = []
        with feed.view() as viewer:
            async for item in viewer:
                found.append(item)
                if len(found) == count:
                    break
        return found

    return asyncio.get_event_loop().run_until_complete(asyncio.wait_for(watch(), 5))


@pytest.fixture
def feed() -> Iterator[Feed]:
    """A feed on a loop that the test turns."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    feed = Feed()

    async def attach() -> None:
        feed.attach()

    loop.run_until_complete(attach())
    yield feed
    loop.close()
    asyncio.set_event_loop(None)


def test_a_late_viewer_sees_state_then_history(feed: Feed) -> None:
    feed.publish(b"one")
    feed.state("link", state="running")
    feed.publish(b"two")
    feed.publish({"kind": "delay", "seconds": 0.1})
    feed.state("link", state="lost")
    feed.publish(b"three")
    expected = [
        {"kind": "link", "state": "lost"},
        b"onetwo",
        {"kind": "delay", "seconds": 0.1},
        b"three",
    ]
    asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))
    assert seen(feed, 4) == expected
    assert seen(feed, 4) == expected  # a page that was loaded again


def test_history_ends(monkeypatch: pytest.MonkeyPatch, feed: Feed) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    feed.publish(b"old")
    asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))
    now += feeds.HISTORY_S + 1
    feed.publish(b"new")
    asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))
    monkeypatch.undo()
    assert seen(feed, 1) == [b"new"]


def test_a_slow_viewer_loses_the_oldest_and_hears_of_it(
    monkeypatch: pytest.MonkeyPatch, feed: Feed
) -> None:
    monkeypatch.setattr(feeds, "QUEUE_BYTES", 10)
    with feed.view() as slow:
        for piece in (b"aaaaaa", b"bbbbbb", b"cccccc", b"dddddd"):
            slow.put(piece)
        slow.put({"kind": "link"})

        async def take() -> list[Item]:
            found: list[Item] = []
            async for item in slow:
                found.append(item)
                if len(found) == 3:
                    break
            return found

        items = asyncio.get_event_loop().run_until_complete(take())
    assert items == [{"kind": "missed", "bytes": 18}, b"dddddd", {"kind": "link"}]


def test_publishing_never_waits_for_a_loop_that_is_gone() -> None:
    feed = Feed()
    feed.publish(b"nobody is there yet")
    loop = asyncio.new_event_loop()

    async def attach() -> None:
        feed.attach()

    loop.run_until_complete(attach())
    loop.close()
    feed.publish(b"nobody is there any more")


# --- Server --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """A server on some port of this machine."""
    with LiveServer(Feed(), {"source": "a clip"}) as server:
        yield server


def get(server: LiveServer, path: str, host: str | None = None) -> http.client.HTTPResponse:
    """The answer to a GET, its body read into ``text``."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{server.port}"})
    answer = connection.getresponse()
    answer.text = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


def first_note(server: LiveServer, token: str, **options: Any) -> dict[str, Any]:
    """The first thing that the feed says to one who asks with this token, origin and host."""
    url = f"ws://127.0.0.1:{server.port}/feed?token={token}"
    socket = websocket.create_connection(url, timeout=5, **options)
    try:
        return dict(json.loads(socket.recv()))
    finally:
        socket.close()


def own_origin(server: LiveServer, name: str = "127.0.0.1") -> str:
    return f"http://{name}:{server.port}"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_token_opens_the_feed(server: LiveServer, name: str) -> None:
    note = first_note(server, server.token, origin=own_origin(server, name))
    assert note == {"kind": "facts", "source": "a clip"}


def test_a_program_needs_the_token_and_no_origin(server: LiveServer) -> None:
    assert first_note(server, server.token, suppress_origin=True)["kind"] == "facts"
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        first_note(server, "guess", suppress_origin=True)


@pytest.mark.parametrize("token", ["", "x", "%C3%A9", "../feed"])
def test_no_feed_without_the_token(server: LiveServer, token: str) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        first_note(server, token, origin=own_origin(server))


@pytest.mark.parametrize(
    "origin",
    ["http://example.com", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "null", "file://"],
)
def test_foreign_origins_are_refused(server: LiveServer, origin: str) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        first_note(server, server.token, origin=origin.format(port=server.port))


def test_names_that_are_made_to_point_here_are_refused(server: LiveServer) -> None:
    assert get(server, "/", host=f"evil.example:{server.port}").status == 400
    with pytest.raises(websocket.WebSocketBadStatusException, match="400"):
        first_note(server, server.token, host="evil.example", origin=own_origin(server))


def test_the_page_fetches_nothing_from_elsewhere(server: LiveServer) -> None:
    page = get(server, "/")
    assert page.status == 200
    assert "default-src 'self'" in (page.headers["content-security-policy"] or "")
    for name in ("app.js", "link.js", "messages.js", "views.js", "microphone.js", "style.css"):
        answer = get(server, f"/{name}")
        assert answer.status == 200, name
        assert "://" not in answer.text.replace("ws://${location.host}", ""), name  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/../server.py", "/%2e%2e/server.py", "/..%2fserver.py"])
def test_nothing_but_the_page_is_served(server: LiveServer, path: str) -> None:
    assert get(server, path).status == 404


def test_a_taken_port_is_named(server: LiveServer) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}/#{server.token}"
    with pytest.raises(W2sError, match=f"{server.port} cannot be used"):
        LiveServer(Feed(), {}, port=server.port)


def test_an_address_that_means_all_of_them_is_refused() -> None:
    with pytest.raises(W2sError, match=r"0\.0\.0\.0 is no address"):
        LiveServer(Feed(), {}, host="0.0.0.0")


def test_the_port_is_free_again_at_the_end() -> None:
    with LiveServer(Feed(), {}) as server:
        assert get(server, "/").status == 200
    with LiveServer(Feed(), {}, port=server.port) as again:
        assert get(again, "/").status == 200
