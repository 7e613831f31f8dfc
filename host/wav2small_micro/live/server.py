# SPDX-License-Identifier: Apache-2.0
"""Serves the page and the feed, to this machine and to who has the token.

A page of another site that somebody visits can reach ports of this machine too. So the socket wants
a token that only the printed address carries, and refuses foreign origins; names that are made to
point here (DNS rebinding) are refused by their Host header.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from wav2small_micro.errors import W2sError
from wav2small_micro.live.feed import Feed, Viewer

LOCALHOST = "127.0.0.1"
_START_S = 10.0
PAGE = Path(__file__).with_name("page")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Permissions-Policy": "serial=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class LiveServer:
    """The page on a port of this machine, served by a thread while the context lasts.

    ``port`` 0 takes any. ``facts`` go to every page first.

    Raises W2sError when the port is taken, or the address stands for all of them.
    """

    def __init__(
        self, feed: Feed, facts: dict[str, Any], *, host: str = LOCALHOST, port: int = 0
    ) -> None:
        if host in ("", "0.0.0.0", "::"):
            raise W2sError(
                f"{host or 'nothing'} is no address that a browser can name",
                "give the one address of this machine that others shall use",
            )
        self.token = secrets.token_urlsafe(16)
        self._feed = feed
        self._facts = facts
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise W2sError(
                f"{host}:{port} cannot be used: {error.strerror}", "choose another --http-port"
            ) from error
        self._host = host
        self._names = sorted({host, LOCALHOST, "localhost"})
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self._app(),
            log_level="warning",
            access_log=False,  # it would show the token
            ws="wsproto",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="live server", daemon=True
        )
        self._ready = threading.Event()

    def __enter__(self) -> LiveServer:
        self._thread.start()
        self._ready.wait(_START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    @property
    def url(self) -> str:
        """Where the page is. The token stands behind the #: it is sent to the socket alone."""
        return f"http://{self._host}:{self.port}/#{self.token}"

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                WebSocketRoute("/feed", self._watch),
                Mount("/", StaticFiles(directory=PAGE, html=True)),
            ],
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=self._names),
                Middleware(BaseHTTPMiddleware, dispatch=_with_headers),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        del app
        self._feed.attach()
        self._feed.state("facts", **self._facts)
        self._ready.set()
        yield

    async def _watch(self, page: WebSocket) -> None:
        origins = {f"http://{name}:{self.port}" for name in self._names}
        token = page.query_params.get("token", "")
        # A program of this machine sends no origin, and needs the token all the same.
        if page.headers.get("origin") not in {None, *origins} or not secrets.compare_digest(
            token.encode(), self.token.encode()
        ):
            await page.close()  # before it was accepted: HTTP 403
            return
        await page.accept()
        with self._feed.view() as viewer:
            sending = asyncio.create_task(_send(page, viewer))
            try:
                while (await page.receive())["type"] != "websocket.disconnect":
                    pass
            finally:
                sending.cancel()


async def _send(page: WebSocket, viewer: Viewer) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        async for item in viewer:
            if isinstance(item, bytes):
                await page.send_bytes(item)
            else:
                await page.send_text(json.dumps(item))


async def _with_headers(request: Request, answer: RequestResponseEndpoint) -> Response:
    response = await answer(request)
    response.headers.update(_HEADERS)
    return response
