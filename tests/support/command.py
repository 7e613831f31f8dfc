# SPDX-License-Identifier: Apache-2.0
"""What tests name in their signatures."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a call of the command ``w2s`` left."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        assert self.stdout, self.stderr
        return json.loads(self.stdout)


W2s = Callable[..., Ran]
