"""The query of a WHIP POST: what to publish, and where to.

Values are decoded by hand: publishers send `stream_url=rtmp://host/live` without any encoding, and a plus
sign in a stream key is a plus sign, so the form rule "+ is a space" does not hold here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from fastapi import Request

from whipway.protocol.rtmp.url import check_stream_name, parse_rtmp_url
from whipway.web.problems import Problem, ProblemKind

MIN_AUDIO_BITRATE = 16_000
MAX_AUDIO_BITRATE = 320_000
DEFAULT_AUDIO_BITRATE = 128_000
PARAMETERS = frozenset({"stream_name", "stream_url", "audio_bitrate"})
"""What a query may say once; anything else in it is left alone."""
REDIRECTED = "redirected"
"""Set to 1 by a server that sent the publisher on (`web.urls`)."""


@dataclass(frozen=True, slots=True)
class PublishQuery:
    """The query of a WHIP request, checked."""

    stream_name: str
    stream_url: str
    audio_bitrate: int
    is_redirected: bool = False
    """Another server sent the publisher here, so that it is not sent on."""


def raw_query(request: Request) -> bytes:
    """The query as the client wrote it; `request.url` fails on bytes that are not UTF-8."""
    query: bytes = request.scope["query_string"]
    return query


def parse_publish_query(query: bytes) -> PublishQuery:
    """Check the query string of a WHIP POST. Raises Problem naming the parameter."""
    values = _split_query(query.decode(errors="replace"))
    name, url = _required(values, "stream_name"), _required(values, "stream_url")
    _check("stream_name", check_stream_name, name)
    _check("stream_url", parse_rtmp_url, url)
    bitrate = _audio_bitrate(values.get("audio_bitrate"))
    return PublishQuery(name, url, bitrate, values.get(REDIRECTED) == "1")


def _split_query(query: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    values: dict[str, str] = {}
    for key, _, value in pairs:
        parameter = unquote(key)
        if parameter in PARAMETERS and parameter in values:
            raise Problem(ProblemKind.BAD_PARAMETER, f"{parameter} is given twice", parameter)
        values[parameter] = unquote(value)
    return values


def _required(values: Mapping[str, str], parameter: str) -> str:
    value = values.get(parameter, "")
    if not value:
        raise Problem(ProblemKind.BAD_PARAMETER, f"{parameter} is missing", parameter)
    return value


def _check(parameter: str, check: Callable[[str], object], value: str) -> None:
    try:
        check(value)
    except ValueError as error:
        raise Problem(ProblemKind.BAD_PARAMETER, f"{parameter} {error}", parameter) from None


def _audio_bitrate(text: str | None) -> int:
    if text is None:
        return DEFAULT_AUDIO_BITRATE
    # isdecimal alone would let other scripts' digits and endless numbers through.
    if text.isascii() and text.isdecimal() and len(text) <= 6:
        bitrate = int(text)
        if MIN_AUDIO_BITRATE <= bitrate <= MAX_AUDIO_BITRATE:
            return bitrate
    detail = f"audio_bitrate is in bit/s, from {MIN_AUDIO_BITRATE} to {MAX_AUDIO_BITRATE}"
    raise Problem(ProblemKind.BAD_PARAMETER, detail, "audio_bitrate")
