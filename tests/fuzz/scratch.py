# SPDX-License-Identifier: Apache-2.0
"""Files that live in memory, for readers that want a path."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = "/dev/shm"


def folder() -> Path:
    """A folder of this process, which goes with it."""
    made = tempfile.mkdtemp(prefix="fuzz-", dir=_MEMORY if os.path.isdir(_MEMORY) else None)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)
