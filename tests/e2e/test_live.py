# SPDX-License-Identifier: Apache-2.0
"""``w2s live`` as a person uses it: the page in a browser, the firmware in the emulator."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from support.browser import SerialPort, chromium, complaints

from wav2small_micro import native, paths, pio
from wav2small_micro.audio import RATE, read_clip
from wav2small_micro.emulator import Emulator
from wav2small_micro.engines.base import Model
from wav2small_micro.link import messages
from wav2small_micro.live.feed import Feed
from wav2small_micro.live.server import LiveServer

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

MODEL = "wav2small-72k"
PATIENCE_S = 60


def windows(pcm: np.ndarray) -> list[list[int]]:
    """What the library says of live audio, windows of two seconds, in Q16."""
    network = native.Network(Model.load(MODEL).plan)
    return network.run(pcm, "live", window_segments=4).windows.tolist()


def answers(page: webdriver.Chrome) -> list[dict[str, Any]]:
    """What the page has kept."""
    return page.execute_script("return window.w2s ? window.w2s.answers : []")


def text(page: webdriver.Chrome, name: str) -> str:
    return page.find_element(By.ID, name).text


def wait(page: webdriver.Chrome, condition: Callable[[webdriver.Chrome], Any]) -> Any:
    return WebDriverWait(page, PATIENCE_S, poll_frequency=0.1).until(condition)


@pytest.fixture
def live() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on the demo's clip, over and over, and the address that it prints."""
    command = [sys.executable, "-m", "wav2small_micro", "live", str(paths.demo_clip())]
    process = subprocess.Popen(
        [*command, "--loop", "--no-browser", "--json"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, json.loads(process.stdout.readline())["url"]
    process.kill()
    process.wait()
    process.stdout.close()


def emulator_of(process: subprocess.Popen[str]) -> int:
    """The QEMU that a command has started."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text().split()]
    return next(pid for pid in children if "qemu" in Path(f"/proc/{pid}/cmdline").read_text())


def test_the_page_shows_what_is_on_the_wire(
    live: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, url = live
    with chromium(tmp_path) as page:
        page.get(url)
        wait(page, lambda page: len(answers(page)) >= 4)
        shown = answers(page)
        pcm = np.resize(read_clip(paths.demo_clip()).pcm, (len(shown) + 1) * RATE // 2)
        assert [answer["q16"] for answer in shown] == windows(pcm)[: len(shown)]
        assert shown[-1]["arousal"] == shown[-1]["q16"][0] / 65536
        assert re.fullmatch(r"\d+ ms", text(page, "delay"))
        assert text(page, "power").startswith("≈")
        assert text(page, "losses") == "0 frames"
        assert int(text(page, "frames").replace(",", "")) > 900  # log-mel, 500 a second

        # The last answer is the one that is written out.
        wait(page, lambda page: text(page, "arousal") == f"{answers(page)[-1]['arousal']:.3f}")

        # Paused, the page stands still; what comes is kept all the same.
        page.find_element(By.TAG_NAME, "body").send_keys(" ")
        assert page.find_element(By.ID, "pause").get_attribute("aria-pressed") == "true"
        still, count = text(page, "arousal"), len(answers(page))
        wait(page, lambda page: len(answers(page)) > count + 1)
        assert text(page, "arousal") == still
        page.find_element(By.ID, "pause").click()
        table = page.execute_script("return window.w2s.csv()").splitlines()
        assert table[0].startswith("seconds,session,segment,arousal,dominance,valence")
        assert len(table) > count

        # A second viewer sees what the first one saw; so does one who loads the page again.
        first = page.current_window_handle
        page.switch_to.new_window("tab")
        page.get(url)
        wait(page, lambda page: len(answers(page)) >= count)
        assert answers(page)[: len(shown)] == shown
        page.refresh()
        wait(page, lambda page: len(answers(page)) >= count)
        page.close()
        page.switch_to.window(first)

        # The device goes away and comes back: the page says so and goes on.
        before = len(answers(page))
        os.kill(emulator_of(process), signal.SIGKILL)
        wait(page, lambda page: "QEMU was killed by signal 9" in text(page, "log"))
        wait(page, lambda page: len(answers(page)) > before + 1)
        assert page.find_element(By.ID, "link").get_attribute("data-state") == "running"
        seconds = [answer["seconds"] for answer in answers(page)]
        assert seconds == sorted(set(seconds))
        assert not complaints(page)

        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        wait(page, lambda page: "has ended" in text(page, "link"))


# --- A board behind Web Serial -------------------------------------------------------------------


def test_the_page_talks_to_a_board_itself(tmp_path: Path) -> None:
    """The browser's own end of the link, with a microphone, against the real firmware."""
    heard = tmp_path / "heard.wav"
    soundfile.write(heard, np.tile(read_clip(paths.demo_clip()).pcm, 10), RATE)
    facts = {"source": "-", "device": "-", "words": [], "neutral_radius": 0.1}
    with (
        LiveServer(Feed(), facts) as server,
        Emulator(pio.build(pio.DEFAULT_ENV, MODEL), pio.board()) as emulator,
        chromium(
            tmp_path / "profile",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={heard}",
        ) as page,
    ):
        port = SerialPort(page)
        page.get(server.url)
        page.find_element(By.ID, "serial").click()
        sent = port.carry(emulator.transport(), until=lambda: len(answers(page)) >= 3)
        shown = answers(page)
        assert "stm32f407_discovery" in text(page, "device")
        assert text(page, "losses") == "0 frames"
        assert not complaints(page)
    blocks = {m.block: m.pcm for m in sent if isinstance(m, messages.Audio)}
    pcm = np.frombuffer(b"".join(blocks[i] for i in range(len(blocks))), "<i2")
    assert np.abs(pcm).max() > 1000
    assert [answer["q16"] for answer in shown] == windows(pcm)[: len(shown)]
