"""Names of streams as keys, APP/NAME, and in logs."""

import re

from whipway.protocol.rtmp.url import cut_name

MAX_KEY_CHARACTERS = 1024

_ARGUMENTS = re.compile(r"[?&;]|[^/?&;]*=")
"""Where arguments begin that somebody wrote in a wrong place: NAME&token=…, NAME/token=…"""


def is_usable(key: str) -> bool:
    """Names go into logs, on terminals too: nothing in them may be taken for a command there."""
    return len(key) <= MAX_KEY_CHARACTERS and key.isprintable()


def loggable_key(key: str) -> str:
    """A key that nobody has agreed to, as logs may hold it: any part may be a token in the wrong place."""
    plain = _ARGUMENTS.split(key, maxsplit=1)[0]
    return "/".join(cut_name(part) for part in plain.strip("/").split("/"))
