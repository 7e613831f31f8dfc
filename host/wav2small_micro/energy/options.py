# SPDX-License-Identifier: Apache-2.0
"""What a user may know of a file that the file does not say."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wav2small_micro.energy.instruments import Instrument
from wav2small_micro.errors import W2sError


@dataclass(frozen=True)
class Options:
    """Overrides; None where the file shall say it."""

    voltage: float | None = None  # V
    rate: float | None = None  # samples a second, in the place of the file's times
    accuracy: float | None = None  # per cent, of the instrument

    def __post_init__(self) -> None:
        if self.voltage is not None and not 0 < self.voltage <= 100:
            raise W2sError(f"a supply of {self.voltage:g} V", "--voltage in volts, such as 3.3")
        if self.rate is not None and not (0 < self.rate <= 1e8 and math.isfinite(self.rate)):
            raise W2sError(f"{self.rate:g} samples a second", "--rate in Hz, such as 100000")

    def applied(self, instrument: Instrument) -> Instrument:
        """An instrument with the accuracy of these options."""
        return instrument if self.accuracy is None else instrument.with_accuracy(self.accuracy)
