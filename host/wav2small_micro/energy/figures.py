# SPDX-License-Identifier: Apache-2.0
"""Figures with their uncertainty, in two types that never look alike: measured and modelled.

Both say a value and the interval that it lies in: 95 % of the statistics, and the instrument's or
the datasheet's limits. A modelled one begins with "≈" wherever it is shown; neither turns into the
other, and they do not add.

>>> Measured(12.34, 12.1, 12.58, "mJ").text
'12.34 mJ (12.10 .. 12.58)'
>>> Modelled(12.34, 9, 16, "mJ").text
'≈ 12 mJ (9.0 .. 16)'
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from wav2small_micro import html


@dataclass(frozen=True)
class Range:
    """A number and the interval that it lies in; low <= value <= high."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} is not between {self.low} and {self.high}")

    @classmethod
    def exact(cls, value: float) -> Self:
        """A number without uncertainty."""
        return cls(value, value, value)

    @classmethod
    def within(cls, value: float, below: float, above: float | None = None) -> Self:
        """A positive number with relative bounds.

        >>> Range.within(10.0, 0.5, 0.1)
        Range(value=10.0, low=5.0, high=11.0)
        """
        return cls(value, value * (1 - below), value * (1 + (below if above is None else above)))

    @classmethod
    def linear(cls, value: float, *half_widths: float) -> Self:
        """A number with independent symmetric errors, which add as squares."""
        half = math.sqrt(sum(width * width for width in half_widths))
        return cls(value, value - half, value + half)


@dataclass(frozen=True)
class Figure(Range):
    """A figure of a report. Only its two kinds are ever made."""

    unit: str
    kind: ClassVar[str] = ""
    badge: ClassVar[html.Badge]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kind:
            raise TypeError("a figure is either Measured or Modelled")

    @classmethod
    def of(cls, found: Range, unit: str, scale: float = 1.0) -> Self:
        """From a range, in another unit."""
        return cls(found.value * scale, found.low * scale, found.high * scale, unit)

    @property
    def text(self) -> str:
        """For people: value, unit and interval."""
        raise NotImplementedError

    @property
    def cell(self) -> html.Value:
        """For a page of :mod:`wav2small_micro.html`."""
        return html.Value(self.text, self.badge)

    def to_json(self) -> dict[str, Any]:
        """For scripts: its kind is always there."""
        return {
            "kind": self.kind,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
        }


@dataclass(frozen=True)
class Measured(Figure):
    """What an instrument gave."""

    kind: ClassVar[str] = "measured"
    badge: ClassVar[html.Badge] = html.MEASURED

    @property
    def text(self) -> str:
        """As many digits as the interval supports."""
        if self.low == self.high:
            return f"{self.value:,.4g} {self.unit}"
        digits = _decimals(self.high - self.low)
        value, low, high = (f"{x:,.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} {self.unit} ({low} .. {high})"


@dataclass(frozen=True)
class Modelled(Figure):
    """What a model says."""

    kind: ClassVar[str] = "modelled"
    badge: ClassVar[html.Badge] = html.MODELLED

    @property
    def text(self) -> str:
        """Two digits, and the sign that says about."""
        value, low, high = (_two_digits(x) for x in (self.value, self.low, self.high))
        return f"≈ {value} {self.unit} ({low} .. {high})"


def _decimals(width: float) -> int:
    """Decimals that show two digits of a width.

    >>> _decimals(0.48), _decimals(130.0)
    (2, 0)
    """
    if not math.isfinite(width):
        return 0
    return max(0, min(9, 1 - math.floor(math.log10(width))))


def _two_digits(value: float) -> str:
    """Rounded to two digits, never as a power of ten.

    >>> _two_digits(0.01234), _two_digits(1234.0), _two_digits(9.0), _two_digits(0.0)
    ('0.012', '1,200', '9.0', '0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    digits = 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:,.{max(0, digits)}f}"


def propagate(
    function: Callable[..., float], inputs: Mapping[str, Range]
) -> tuple[Range, dict[str, float]]:
    """A function of independent uncertain inputs, to first order.

    Each input goes to its two ends alone; what that moves the result by is added as squares, for
    either side by itself (JCGM 100:2008, 5.1.2, with differences in the place of derivatives).
    Also returned: the share of each input in the squares, which tells what is worth measuring.

    >>> found, shares = propagate(lambda a, b: a * b, {"a": Range(3, 2, 4), "b": Range.exact(2)})
    >>> found, shares
    (Range(value=6, low=4.0, high=8.0), {'a': 1.0, 'b': 0.0})
    """
    centre = {name: x.value for name, x in inputs.items()}
    value = function(**centre)
    below = dict.fromkeys(inputs, 0.0)
    above = dict.fromkeys(inputs, 0.0)
    for name, x in inputs.items():
        ends = [function(**{**centre, name: end}) - value for end in (x.low, x.high)]
        below[name] = min(0.0, *ends) ** 2
        above[name] = max(0.0, *ends) ** 2
    squares = {name: below[name] + above[name] for name in inputs}
    total = sum(squares.values())
    shares = {name: square / total if total else 0.0 for name, square in squares.items()}
    low = value - math.sqrt(sum(below.values()))
    high = value + math.sqrt(sum(above.values()))
    return Range(value, low, high), shares
