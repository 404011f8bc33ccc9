"""The query of a WHIP POST, and of one that adds a sink: what to publish, where to, and in which form.

Values are decoded by hand: publishers send `stream_url=rtmp://host/live` without any encoding, and a plus
sign in a stream key is a plus sign, so the form rule "+ is a space" does not hold here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from fastapi import Request

from whipway.config import SinkSettings
from whipway.protocol.rtmp.url import check_stream_name, parse_rtmp_url
from whipway.web.problems import Problem, ProblemKind

MIN_AUDIO_BITRATE = 16_000
MAX_AUDIO_BITRATE = 320_000
AUDIO_CHOICES = ("aac", "opus", "auto")
FILLER_CHOICES = ("none", "freeze")
PARAMETERS = frozenset({"stream_name", "stream_url", "audio", "audio_bitrate", "filler"})
"""What a query may say once; anything else in it is left alone."""
REDIRECTED = "redirected"
"""Set to 1 by a server that sent the publisher on (`web.urls`)."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class PublishQuery:
    """The query of a request for a sink, checked."""

    stream_name: str
    stream_url: str
    audio: str
    """One of AUDIO_CHOICES."""
    audio_bitrate: int
    filler: str
    """One of FILLER_CHOICES."""
    is_redirected: bool = False
    """Another server sent the publisher here, so that it is not sent on."""


def raw_query(request: Request) -> bytes:
    """The query as the client wrote it; `request.url` fails on bytes that are not UTF-8."""
    query: bytes = request.scope["query_string"]
    return query


def client_address(request: Request) -> str:
    """Of whoever sent a request; "" if nobody knows (a Unix socket, or a peer that is gone)."""
    return request.client.host if request.client else ""


def parse_publish_query(query: bytes, defaults: SinkSettings) -> PublishQuery:
    """Check a query string. `defaults` say what it asks for where it does not speak of it.

    Raises Problem naming the parameter.
    """
    values = _split_query(query.decode(errors="replace"))
    name, url = _required(values, "stream_name"), _required(values, "stream_url")
    _check("stream_name", check_stream_name, name)
    _check("stream_url", parse_rtmp_url, url)
    audio = _one_of(AUDIO_CHOICES, "audio", values.get("audio", defaults.audio))
    bitrate = _audio_bitrate(values.get("audio_bitrate", str(defaults.audio_bitrate)))
    filler = _one_of(FILLER_CHOICES, "filler", values.get("filler", defaults.filler))
    return PublishQuery(name, url, audio, bitrate, filler, values.get(REDIRECTED) == "1")


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


def _check(parameter: str, check: Callable[[Value], object], value: Value) -> None:
    try:
        check(value)
    except ValueError as error:
        raise Problem(ProblemKind.BAD_PARAMETER, f"{parameter} {error}", parameter) from None


def _one_of(choices: Sequence[str], parameter: str, text: str) -> str:
    if text in choices:
        return text
    detail = f"{parameter} is one of {', '.join(choices)}"
    raise Problem(ProblemKind.BAD_PARAMETER, detail, parameter)


def _audio_bitrate(text: str) -> int:
    # isdecimal alone would let other scripts' digits and endless numbers through.
    bitrate = int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else 0
    _check("audio_bitrate", check_audio_bitrate, bitrate)
    return bitrate


def check_audio_bitrate(bitrate: float) -> None:
    """Raises ValueError with the end of a sentence."""
    if not MIN_AUDIO_BITRATE <= bitrate <= MAX_AUDIO_BITRATE:
        raise ValueError(f"is in bit/s, from {MIN_AUDIO_BITRATE} to {MAX_AUDIO_BITRATE}")
