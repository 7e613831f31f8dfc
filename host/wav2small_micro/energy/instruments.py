# SPDX-License-Identifier: Apache-2.0
"""Instruments: how far their readings may be off, and where their range ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from wav2small_micro.energy.chips import Basis
from wav2small_micro.errors import W2sError

GIVEN_VOLTAGE = 0.01
"""Relative error put on a voltage that was told to us and not measured."""


@dataclass(frozen=True)
class Instrument:
    """An ammeter. Its limits of error are gain times the reading, and an offset."""

    name: str
    title: str
    gain: float  # relative
    offset: float  # A
    full_scale: float | None  # A
    source: str
    basis: Basis

    def with_accuracy(self, percent: float) -> Instrument:
        """With the accuracy that its user knows better, such as after a calibration."""
        if not 0 <= percent < 100:
            raise W2sError(f"an accuracy of {percent:g} %", "--accuracy takes 0 to 100 per cent")
        return replace(self, gain=percent / 100, offset=0.0, source="--accuracy")

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "instrument": self.name,
            "gain": self.gain,
            "offset_a": self.offset,
            "full_scale_a": self.full_scale,
            "source": self.source,
            "basis": str(self.basis),
        }


# The makers' documents could not be read here: round figures, rather too wide.
PPK2 = Instrument(
    "ppk2",
    "Nordic Power Profiler Kit II",
    gain=0.20,
    offset=0.2e-6,
    full_scale=1.0,
    source="Nordic's listing of the kit: better than 20 %",
    basis=Basis.SECOND_HAND,
)
JOULESCOPE = Instrument(
    "joulescope",
    "Joulescope JS110 or JS220",
    gain=0.01,
    offset=1e-6,
    full_scale=3.0,
    source="Jetperch JS110/JS220 user's guide",
    basis=Basis.UNVERIFIED,
)
LPM01A = Instrument(
    "lpm01a",
    "ST X-NUCLEO-LPM01A",
    gain=0.02,
    offset=0.2e-6,
    full_scale=0.05,
    source="ST UM2243, dynamic acquisition",
    basis=Basis.UNVERIFIED,
)
UNKNOWN = Instrument(
    "csv",
    "an instrument that the file does not name",
    gain=0.0,
    offset=0.0,
    full_scale=None,
    source="none: say it with --accuracy",
    basis=Basis.UNVERIFIED,
)
