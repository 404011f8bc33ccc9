"""Request bodies as text: the right media type (RFC 9110, section 8.3), bounded in size and time.

Each route has a `Body` that says what it takes. What is wrong with the header is said before the body is
read. Coded bodies (RFC 9110, section 8.4) are refused: a few kB are not worth what they can unfold to.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from whipway.web.problems import Problem, ProblemKind

SDP_TYPE = "application/sdp"
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"
JSON_TYPE = "application/json"
MAX_OFFER_BYTES = 64 * 1024
MAX_FRAGMENT_BYTES = 16 * 1024
"""Room for a hundred candidates; browsers send some ten."""
MAX_METADATA_BYTES = 16 * 1024
"""Of JSON. As AMF0 it may grow, to nine bytes for a number of one digit."""
MAX_CONTROL_BYTES = 4 * 1024
"""Of JSON with a few numbers and names."""
MAX_DOCUMENT_BYTES = 64 * 1024
"""Of JSON for the API: fifty tags, of any characters, have some 40 KiB at most."""
BODY_TIMEOUT = 10.0
"""Seconds for a whole body, a few kB: enough on the worst of networks that could carry a stream."""
MAX_TYPE_CHARACTERS = 256
"""Of a Content-Type header; real ones have less than 40."""

# RFC 9110, sections 5.6.2, 5.6.4, 5.6.6 and 8.3.1. What a quantifier took it keeps ("++", "*+"): there is one
# way to read a header, so that none takes long.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # noqa: S105 - a word of the grammar
_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_MEDIA_TYPE = re.compile(
    rf"(?P<type>{_TOKEN}/{_TOKEN})(?:[ \t]*+;[ \t]*+(?:{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))?+)*+[ \t]*+"
)


@dataclass(frozen=True, slots=True)
class Body:
    """What a route takes: `noun` for messages, its media types, and what it is called when it is no text."""

    noun: str
    media_types: tuple[str, ...]
    max_bytes: int
    malformed: ProblemKind
    accept_header: str
    """The header that names the first media type in an answer of 415."""

    @property
    def accept(self) -> Mapping[str, str]:
        """That header."""
        return {self.accept_header: self.media_types[0]}


# RFC 9725, section 4.2 knows the first media type; the second is what a widespread browser SDK sends.
OFFER = Body("offer", (SDP_TYPE, "text/plain"), MAX_OFFER_BYTES, ProblemKind.MALFORMED_SDP, "Accept-Post")
FRAGMENT = Body(
    "fragment", (FRAGMENT_TYPE,), MAX_FRAGMENT_BYTES, ProblemKind.MALFORMED_FRAGMENT, "Accept-Patch"
)
METADATA = Body("metadata", (JSON_TYPE,), MAX_METADATA_BYTES, ProblemKind.MALFORMED_METADATA, "Accept-Post")
# For PUT there is no header of its own; RFC 9110, section 15.5.16 has Accept for what would have been taken.
INPUT = Body("input", (JSON_TYPE,), MAX_CONTROL_BYTES, ProblemKind.MALFORMED_JSON, "Accept")
QUALITY = Body("quality", (JSON_TYPE,), MAX_CONTROL_BYTES, ProblemKind.MALFORMED_JSON, "Accept")
# What operations of the API below /v1 are told; PATCH says by another header what it takes (RFC 5789).
DOCUMENT = Body("document", (JSON_TYPE,), MAX_DOCUMENT_BYTES, ProblemKind.MALFORMED_JSON, "Accept-Post")
PATCH_DOCUMENT = Body(
    "document", (JSON_TYPE,), MAX_DOCUMENT_BYTES, ProblemKind.MALFORMED_JSON, "Accept-Patch"
)


def check_body_headers(request: Request, body: Body) -> None:
    """Refuse a body by its header. Raises Problem (413, 415)."""
    fields = request.headers.getlist("content-type")
    if len(fields) != 1 or parse_media_type(fields[0]) not in body.media_types:
        detail = f"Send the {body.noun} as {body.media_types[0]}"
        raise Problem(ProblemKind.UNSUPPORTED_MEDIA_TYPE, detail, headers=body.accept)
    codings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if not {coding.strip() for coding in codings} <= {"", "identity"}:
        # RFC 9110, section 12.5.3: so that the client knows that the type was not to blame.
        headers = {**body.accept, "Accept-Encoding": "identity"}
        detail = f"Send the {body.noun} without Content-Encoding"
        raise Problem(ProblemKind.UNSUPPORTED_MEDIA_TYPE, detail, headers=headers)


async def read_text(request: Request, body: Body) -> str:
    """The body of a request whose header was checked. Raises Problem (400, 408, 413)."""
    if _announced_size(request) > body.max_bytes:
        raise _too_large(body)
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            data = await _read(request, body)
    except TimeoutError:
        detail = f"Send the whole {body.noun} within {BODY_TIMEOUT:g} s"
        raise Problem(ProblemKind.BODY_TOO_SLOW, detail) from None
    except ClientDisconnect:
        # Nobody reads this; as a Problem it is no bug either.
        detail = f"The client left before its {body.noun} was complete"
        raise Problem(ProblemKind.BODY_TOO_SLOW, detail) from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Problem(body.malformed, "It is not UTF-8 text") from None


async def read_optional_text(request: Request, body: Body) -> str:
    """The body of a request that can do without: "" then, whatever its header says.

    Raises Problem (400, 408, 413, 415).
    """
    text = await read_text(request, body)
    if text:
        check_body_headers(request, body)
    return text


def parse_media_type(field: str) -> str | None:
    """`type/subtype` of a Content-Type header in lower case, without parameters; None if it is malformed."""
    match = _MEDIA_TYPE.fullmatch(field.strip(" \t")) if len(field) <= MAX_TYPE_CHARACTERS else None
    return match["type"].lower() if match else None


def _announced_size(request: Request) -> int:
    # Of a number that cannot be read nothing follows: the bytes that come are counted anyway.
    text = request.headers.get("content-length", "")
    return int(text[:18]) if text.isascii() and text.isdecimal() else 0


async def _read(request: Request, body: Body) -> bytearray:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > body.max_bytes:
            raise _too_large(body)
    return data


def _too_large(body: Body) -> Problem:
    return Problem(ProblemKind.BODY_TOO_LARGE, f"The {body.noun} may have at most {body.max_bytes} bytes")
