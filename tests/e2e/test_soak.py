# SPDX-License-Identifier: Apache-2.0
"""`w2s soak`: on a good line, on a bad one, interrupted and taken up again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.command import W2s

pytestmark = pytest.mark.emulator

SHORT = ("--hours", "0.004", "--json")  # 14 s of audio


def test_nothing_is_lost_on_a_good_line(w2s: W2s, tmp_path: Path) -> None:
    ran = w2s("soak", *SHORT, "--folder", str(tmp_path))
    report = ran.json()
    assert ran.code == 0, report
    assert report["holds"]
    assert report["audio_seconds"] >= 14
    assert report["frames_sent"] > 700
    assert [report[name] for name in ("wrong", "lost_to_device", "lost_to_host")] == [0, 0, 0]


def test_what_a_bad_line_spoils_is_made_good(w2s: W2s, tmp_path: Path) -> None:
    ran = w2s("soak", *SHORT, "--faults", "0.03", "--folder", str(tmp_path))
    report = ran.json()
    assert ran.code == 0, report
    assert report["lost_to_device"] > 0
    assert report["sent_again"] >= report["lost_to_device"]
    assert report["crc_errors"] + report["framing_errors"] > 0


@pytest.mark.slow
def test_ctrl_c_reports_and_resume_goes_on(w2s: W2s, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wav2small_micro", "soak", "--hours", "1", "--json"]
    running = subprocess.Popen(
        [*command, "--folder", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Programs in the background, and what they start, may have been told to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(running.pid, signal.SIGINT)
        output, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert b"--resume" in said
    before = next(tmp_path.glob("*.json")).read_text()
    assert b'"sessions"' in output
    hours = "0.02"
    report = w2s("soak", "--resume", "--hours", hours, "--json", "--folder", str(tmp_path)).json()
    assert report["audio_seconds"] >= 0.02 * 3600 or f'"sessions": {report["sessions"]}' in before
    other = w2s("soak", "--resume", "--seed", "9", "--folder", str(tmp_path))
    assert other.code == 1
    assert "--seed 0" in other.stderr
