# SPDX-License-Identifier: Apache-2.0
"""Words for places in the plane of valence and arousal.

J. A. Russell, "A circumplex model of affect", J. Personality and Social Psychology 39(6), 1980,
puts eight affects on a circle, 45 degrees apart: pleasure on the right, arousal above. A word here
names a place in the plane, and nobody's state of mind.
"""

import math

CENTRE = 0.5
"""Arousal and valence of nothing in particular, on the models' scale of 0 to 1."""
NEUTRAL_RADIUS = 0.1
"""Around the centre no direction means anything."""
WORDS = (
    "pleased",
    "excited",
    "alert",
    "distressed",
    "displeased",
    "gloomy",
    "tired",
    "content",
)
"""From the right, against the clock: Russell's pleasure, excitement, arousal, distress, misery,
depression, sleepiness and contentment, in words that are no diagnosis."""


def region(arousal: float, valence: float) -> str:
    """The word for a place in the plane.

    >>> region(0.9, 0.9), region(0.9, 0.1), region(0.1, 0.5), region(0.52, 0.45)
    ('excited', 'distressed', 'tired', 'neutral')
    """
    up, right = arousal - CENTRE, valence - CENTRE
    if math.hypot(up, right) < NEUTRAL_RADIUS:
        return "neutral"
    eighth = 2 * math.pi / len(WORDS)
    return WORDS[round(math.atan2(up, right) / eighth) % len(WORDS)]
