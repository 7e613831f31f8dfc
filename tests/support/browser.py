# SPDX-License-Identifier: Apache-2.0
"""Chromium without a screen, for pages of the project."""

import base64
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from wav2small_micro.link.codec import FrameReader
from wav2small_micro.link.messages import Message
from wav2small_micro.link.transport import Transport

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # Nothing but the page: no updates, no services of the browser's maker.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,1080",
)


@contextmanager
def chromium(profile: Path, *options: str) -> Iterator[webdriver.Chrome]:
    """A browser with an empty profile; skips the test where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    wanted = Options()
    wanted.binary_location = browser
    for option in (*_OPTIONS, f"--user-data-dir={profile}", *options):
        wanted.add_argument(option)
    wanted.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=wanted, service=Service(driver))
    try:
        yield started
    finally:
        started.quit()


def complaints(browser: webdriver.Chrome) -> list[Any]:
    """What the page's scripts and its policy said on the console that is no mere remark."""
    return [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"]


# A port whose other end is the test: what the page writes is fetched, what the board says is given.
_PORT = """
const written = [];
let controller;
window.port = {
  take: () => written.splice(0).map((bytes) => btoa(String.fromCharCode(...bytes))),
  give: (text) => controller.enqueue(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))),
};
const port = {
  open: async () => {},
  close: async () => {},
  readable: new ReadableStream({ start: (c) => { controller = c; } }),
  writable: new WritableStream({ write: (bytes) => { written.push(bytes); } }),
};
Object.defineProperty(navigator, "serial", { value: { requestPort: async () => port } });
"""


class SerialPort:
    """What a page gets from Web Serial, for the pages that a browser loads from now on."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self._browser = browser
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _PORT})

    def carry(
        self,
        transport: Transport,
        until: Callable[[], bool],
        patience_s: float = 120,
        heard: Callable[[bytes], None] = lambda data: None,
    ) -> list[Message]:
        """Carries bytes between the page and a board, until the page has what it should have.

        Returns what the page said; `heard` gets what the board says.
        """
        reader = FrameReader()
        said: list[Message] = []
        deadline = time.monotonic() + patience_s
        while not until():
            assert time.monotonic() < deadline, self._browser.find_element(By.ID, "log").text
            for piece in self._browser.execute_script("return window.port.take()"):
                data = base64.b64decode(piece)
                said += [frame.message for frame in reader.feed(data)]
                transport.write(data, 5.0)
            if data := transport.read(0.02):
                heard(data)
                text = base64.b64encode(data).decode()
                self._browser.execute_script("window.port.give(arguments[0])", text)
        return said
