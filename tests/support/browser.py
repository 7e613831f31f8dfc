# SPDX-License-Identifier: Apache-2.0
"""Chromium without a screen, for pages of the project."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

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
