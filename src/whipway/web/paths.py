"""Where things are on this server, and how a path may stand in a log.

A session's id is all that it takes to end that session, so that a log holds its first characters only. The
API below `/v1` needs a key for everything, and its ids open nothing.
"""

import re

ENDPOINT_PATH = "/p/webrtc"
V1_PATH = "/v1"
STATUS_PATH, SINKS_PATH, METADATA_PATH = "/status", "/sink", "/metadata"
INPUTS_PATH, QUALITY_PATH, KEYFRAME_PATH = "/input", "/quality", "/keyframe"
"""Behind a session's URL."""
MAX_CHARACTERS = 200

_SESSION_ID = re.compile(rf"({ENDPOINT_PATH}/+)(?!status\.json$)([^/]{{8}})[^/]*", re.IGNORECASE)
_AUTHORITY = re.compile(r"^https?://[^/]*", re.IGNORECASE)
"""Of a target in absolute form (RFC 9112, section 3.2.2). It may hold a password."""
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The id of a stream: no secret, and no session's id looks like it."""
_LONG_WORD = re.compile(rf"(?<![^/])({_UUID})(?![^/])|([A-Za-z0-9_-]{{8}})[A-Za-z0-9_-]{{12,}}")
"""An id or a key where it does not belong: someone took a path for another."""


def printable(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Text of a peer's as it may stand in a log and on a terminal."""
    text = text[:limit]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)[:limit]


def without_secrets(path: str) -> str:
    """A path with the ids of sessions, and whatever may be one, cut to 8 characters."""
    path = _AUTHORITY.sub("", path)
    return _LONG_WORD.sub(r"\1\2", _SESSION_ID.sub(r"\1\2", path))
