"""How a stream fares, in one colour, with the reasons: a table of what is measured and what is too much.

The bounds are those that people who watch over live streams work with: beyond the first the quality suffers,
beyond the second viewers do. What has no value yet is not judged.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple


class Color(StrEnum):
    """The value is the word of the API."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


class Light(NamedTuple):
    """`reasons` are sentences for a person, the graver ones first; there are none where it is green."""

    color: Color
    reasons: tuple[str, ...]


class _TooMuch(NamedTuple):
    key: str
    """Of the measured value."""
    yellow: float
    """What is more than this is yellow; more than `red` is red."""
    red: float
    sentence: str


TOO_MUCH: Final = (
    _TooMuch("media_silence", 2.0, 2.0, "Neither picture nor sound has come for {:.0f} s"),
    _TooMuch("rtt_ms", 150, 250, "Packets take {:.0f} ms there and back"),
    _TooMuch("loss", 0.05, 0.10, "The network loses {:.1%} of the packets"),
    _TooMuch("max_frame_delay_ms", 500, 1200, "Some pictures come {:.0f} ms later than others"),
)
SLOW: Final = 0.95
"""Below it the pictures of a minute take three seconds more to come."""
TOO_SLOW: Final = 0.90
"""Here it is red."""
SLOW_SENTENCE: Final = "The stream comes at {:.1%} of real time: the encoder or its network cannot keep up"


def traffic_light(measured: Mapping[str, Any]) -> Light:
    """Judge what `QualityReport.describe` tells."""
    red: list[str] = []
    yellow: list[str] = []
    for rule in TOO_MUCH:
        value = measured[rule.key]
        if value is not None and value > rule.yellow:
            (red if value > rule.red else yellow).append(rule.sentence.format(value))
    ratio = measured["stream_time_ratio"]
    if ratio is not None and ratio < SLOW:
        (red if ratio <= TOO_SLOW else yellow).append(SLOW_SENTENCE.format(ratio))
    color = Color.RED if red else Color.YELLOW if yellow else Color.GREEN
    return Light(color, (*red, *yellow))
