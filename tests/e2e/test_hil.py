# SPDX-License-Identifier: Apache-2.0
"""``w2s hil`` as a user types it, its report in a browser, and its checks under pytest."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.browser import chromium, complaints
from support.command import Ran, W2s

from wav2small_micro.hil.checks import CHECKS

BOARD = "stm32f407_discovery"
NAMES = [check.name for check in CHECKS]
NO_PORT = "/dev/w2s-nowhere"


@pytest.fixture(scope="module")
def clip(clip_paths: list[Path]) -> Path:
    """0.5 s of speech."""
    return next(path for path in clip_paths if path.stem == "no_short_en")


@dataclass(frozen=True)
class Opened:
    """What a browser makes of a page of the file system."""

    dom: str
    complaints: list[str]
    fetched: list[str]


def open_page(page: Path, profile: Path) -> Opened:
    """Opens it where nothing resolves: neither the page nor the browser itself reaches anybody."""
    with chromium(profile / "browser", "--host-resolver-rules=MAP * ~NOTFOUND") as browser:
        browser.get(page.absolute().as_uri())
        names = "return performance.getEntriesByType('resource').map(e => e.name)"
        fetched = [name for name in browser.execute_script(names) if not name.startswith("data:")]
        said = [entry["message"] for entry in complaints(browser)]
        return Opened(browser.page_source, said, fetched)


# --- The command --------------------------------------------------------------------------------


@pytest.mark.emulator
def test_a_board_passes_and_the_report_opens_in_a_browser(
    w2s: W2s, clip: Path, tmp_path: Path
) -> None:
    page, junit = tmp_path / "out" / "hil.html", tmp_path / "out" / "hil.xml"
    saved = ("--html", page, "--junit", junit)
    ran = w2s("hil", "--emulator", BOARD, clip, "--seconds", 2, *saved, "--json")
    assert ran.code == 0, ran.stderr + ran.stdout
    found = ran.json()
    assert found["passed"] is True
    assert found["diagnosis"] is None
    assert [check["check"] for check in found["checks"]] == NAMES
    assert {check["verdict"] for check in found["checks"]} == {"pass"}
    assert found["line"]["unanswered"] == found["line"]["missing"] == 0
    assert found["line"]["latency_ms"]["PING"]["count"] >= 40

    cases = ElementTree.parse(junit).getroot()
    assert (cases.get("tests"), cases.get("failures")) == (str(len(NAMES)), "0")
    assert [case.get("name") for case in cases.iter("testcase")] == NAMES

    opened = open_page(page, tmp_path)
    assert '<span class="badge good">PASS</span>' in opened.dom
    for heading in ("Device against float", "Layers", "Live windows", "Latency of answers"):
        assert f"<h2>{heading}</h2>" in opened.dom
    assert opened.dom.count('<figure class="measured">') == 5
    assert opened.dom.count("<svg") == 5
    assert not opened.complaints
    assert not opened.fetched


def test_a_port_that_is_not_there(w2s: W2s, tmp_path: Path) -> None:
    page, junit = tmp_path / "hil.html", tmp_path / "hil.xml"
    ran = w2s("hil", "--port", NO_PORT, "--html", page, "--junit", junit)
    assert ran.code == 1
    assert "NO_PORT: the port cannot be opened" in ran.stdout
    assert "check cable" in ran.stdout
    failure = ElementTree.parse(junit).getroot().find(".//failure")
    assert failure is not None
    assert failure.get("type") == "NO_PORT"
    opened = open_page(page, tmp_path)
    assert '<span class="badge bad">NO_PORT</span>' in opened.dom
    assert not opened.complaints
    assert not opened.fetched


def test_the_browser_would_tell(tmp_path: Path) -> None:
    """A page that complains and fetches does not pass for one that does neither."""
    page = tmp_path / "bad.html"
    fetches = '<img src="http://w2s.invalid/a.png">'
    page.write_text(f"<!doctype html>{fetches}<script>console.error('ouch')</script>")
    opened = open_page(page, tmp_path)
    assert any("ouch" in said for said in opened.complaints)
    assert opened.fetched == ["http://w2s.invalid/a.png"]


def test_the_list_of_checks(w2s: W2s) -> None:
    ran = w2s("hil", "--list")
    assert ran.code == 0
    for name in NAMES:
        assert name in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the device"),
        (["--port", NO_PORT, "--emulator", BOARD], "name the device"),
        (["--port", NO_PORT, "--only", "nothing"], "no check 'nothing'"),
        (["--port", NO_PORT, "nowhere.wav"], "no clip at nowhere.wav"),
        (["--emulator", "toaster"], "no board 'toaster'"),
        (["--port", NO_PORT, "--html", "/proc/hil.html"], "cannot save the report"),
    ],
)
def test_what_cannot_be_done_is_said(w2s: W2s, arguments: list[str], message: str) -> None:
    ran = w2s("hil", *arguments)
    assert ran.code == 1
    assert message in ran.stderr
    assert "hint:" in ran.stderr


# --- Under pytest -------------------------------------------------------------------------------


def pytest_in(folder: Path, *arguments: object) -> Ran:
    """Pytest in a folder outside the project, where only its plugin is known."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.emulator
def test_checks_are_tests_and_tests_get_the_device(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "def test_my_board(w2s_rig):\n"
        "    assert w2s_rig.facts.clock_hz == 168_000_000\n"
        "    assert w2s_rig.device.ping(b'hello') < 10\n"
    )
    report = tmp_path / "report.html"
    device = ("--w2s-emulator", BOARD, "--w2s-clip", clip, "--w2s-seconds", 1)
    ran = pytest_in(tmp_path, *device, "--w2s-html", report)
    assert ran.code == 0, ran.stdout
    assert f"{len(NAMES) + 1} passed" in ran.stdout
    assert ">PASS</span>" in report.read_text()


def test_a_failing_check_says_what_is_the_matter(tmp_path: Path) -> None:
    ran = pytest_in(tmp_path, "--w2s-port", NO_PORT, "-m", "w2s_hil", "-k", "answers or rows")
    assert ran.code == 1
    assert "FAILED ::w2s::answers - NO_PORT: there is no port" in ran.stdout
    assert "1 failed, 12 skipped" in ran.stdout
    assert "Traceback" not in ran.stdout


def test_without_a_device_nothing_is_added(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_my_board(w2s_rig): ...\n")
    ran = pytest_in(tmp_path, "-rs")
    assert ran.code == 0
    assert "1 skipped" in ran.stdout
    assert "--w2s-port or --w2s-emulator names one" in ran.stdout


@pytest.mark.parametrize(
    ("more", "message"), [(("--w2s-emulator", BOARD), "not both"), (("-n", "2"), "run with -n 0")]
)
def test_one_device_at_a_time(tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    ran = pytest_in(tmp_path, "--w2s-port", NO_PORT, *more)
    assert ran.code == 4
    assert message in ran.stderr
