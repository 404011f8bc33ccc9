"""What a body says that controls a session: which input is to be on air, in which quality it is to come.

Both are JSON objects of a few members. A member that is not known is refused: who writes `max_bitrate` should
hear of it. JSON has one kind of number, so that 800000.0 is an integer; whether there is such an input or
such a layer is for the session to say.
"""

import json
from collections.abc import Collection
from typing import Any

from whipway.web.problems import Problem, ProblemKind

MIN_VIDEO_BITRATE = 50_000
MAX_VIDEO_BITRATE = 100_000_000
POLICIES = ("follow-slowest", "follow-primary", "off")
AUTO = "auto"
"""The layer that is chosen by the server."""


def parse_input(text: str) -> str:
    """The mid that `{"mid": "2"}` names. Raises Problem (400, 422)."""
    members = _members(text, ("mid",), ProblemKind.INPUT_REFUSED)
    mid = members.get("mid")
    if not isinstance(mid, str):
        raise Problem(ProblemKind.INPUT_REFUSED, "mid is a string, that of a video section of the offer")
    return mid


def parse_quality(text: str) -> dict[str, Any]:
    """What is asked for, as `SetQuality` has it: any of the three members. Raises Problem (400, 422)."""
    values = _members(text, _CHECKS, ProblemKind.QUALITY_REFUSED)
    return {name: _CHECKS[name](value) for name, value in values.items()}


def _members(text: str, known: Collection[str], refused: ProblemKind) -> dict[str, Any]:
    try:
        # Python takes its time over integers of thousands of digits, and refuses them in the end.
        document = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        raise Problem(ProblemKind.MALFORMED_JSON, "The body is not JSON, or is nested too deep") from None
    if not isinstance(document, dict) or not document.keys() <= set(known):
        raise Problem(refused, f"The body is an object with no other members than {', '.join(known)}")
    return document


def _bitrate(value: Any) -> int | None:
    if value is None:
        return None
    # NaN, which Python reads as well, is in no range.
    if isinstance(value, float) and MIN_VIDEO_BITRATE <= value <= MAX_VIDEO_BITRATE and value.is_integer():
        return int(value)
    raise _refused(
        f"max_video_bitrate is in bit/s, from {MIN_VIDEO_BITRATE} to {MAX_VIDEO_BITRATE}; null lifts it"
    )


def _layer(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _refused(f"layer is a string, the rid of a layer or {AUTO}")


def _policy(value: Any) -> str:
    if value in POLICIES:
        return str(value)
    raise _refused(f"policy is one of {', '.join(POLICIES)}")


def _refused(detail: str) -> Problem:
    return Problem(ProblemKind.QUALITY_REFUSED, detail)


_CHECKS = {"max_video_bitrate": _bitrate, "layer": _layer, "policy": _policy}
