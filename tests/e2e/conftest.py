# SPDX-License-Identifier: Apache-2.0
"""The command as a user types it."""

import os
import subprocess
import sys

import pytest
from support.command import Ran, W2s


@pytest.fixture(scope="session")
def w2s() -> W2s:
    """Calls ``w2s`` in a process of its own: ``w2s("run", clip, "--json")``."""

    def call(*arguments: object, timeout: float = 300, **environment: str) -> Ran:
        command = [sys.executable, "-m", "wav2small_micro", *map(str, arguments)]
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | environment,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return call
