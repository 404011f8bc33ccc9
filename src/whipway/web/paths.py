"""Where things are on this server, and how a path may stand in a log.

A session's id is all that it takes to end that session, so that a log holds its first characters only.
"""

import re

ENDPOINT_PATH = "/p/webrtc"
MAX_CHARACTERS = 200

_SESSION_ID = re.compile(rf"({ENDPOINT_PATH}/+)(?!status\.json$)([^/]{{8}})[^/]*", re.IGNORECASE)


def printable(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Text of a peer's as it may stand in a log and on a terminal."""
    text = text[:limit]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)[:limit]


def without_secrets(path: str) -> str:
    """A path with the ids of sessions cut to 8 characters."""
    return _SESSION_ID.sub(r"\1\2", path)
