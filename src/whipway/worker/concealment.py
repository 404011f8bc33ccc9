"""Takes a publisher's secrets out of what an RTMP server says.

Servers repeat what they refuse: "Stream live/one?key=… is busy". That ends in logs and in the API, where
arguments must not stand; nor must names, where the stream goes to another machine: with most services the
name is the key to the channel.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote_plus

from whipway.protocol.rtmp.url import RtmpUrl, cut_name, is_loopback_host

MIN_CHARACTERS = 6
"""Of a value that is looked for by itself. Shorter ones are parts of other words, or words: live, true."""
MIN_CUT_CHARACTERS = 9
"""Of a secret at the end of a text that was cut to a length. One more than logs show of a name."""
ELLIPSIS = "…"

_ARGUMENTS = re.compile(r"\?\S+")


class _Secret(NamedTuple):
    text: str
    replacement: str


def make_concealer(stream_name: str, url: RtmpUrl) -> Callable[[str], str]:
    """A function that puts an ellipsis in the place of one stream's secrets, wherever a text has them."""
    # The longest first: one may be a part of another.
    secrets = sorted(set(_secrets(stream_name, url)), key=lambda secret: len(secret.text), reverse=True)

    def conceal(text: str) -> str:
        text = _ARGUMENTS.sub(f"?{ELLIPSIS}", text)
        for secret in secrets:
            text = _conceal_one(text, secret)
        return text

    return conceal


def _secrets(stream_name: str, url: RtmpUrl) -> Iterator[_Secret]:
    name, _, arguments = stream_name.partition("?")
    app, _, query = url.app.partition("?")
    for argument in f"{arguments}&{query}".split("&"):
        # Without a sign of equality all of it is the value.
        value = argument.partition("=")[2] if "=" in argument else argument
        for text in (value, unquote_plus(value), quote(value, safe="")):
            if len(text) >= MIN_CHARACTERS:
                yield _Secret(text, ELLIPSIS)
    if not is_loopback_host(url.host):
        # The first part of the application is the same for all of a service's users.
        for text in (name.strip("/"), *name.split("/"), *app.split("/")[1:]):
            if cut_name(text) != text:
                yield _Secret(text, cut_name(text))


def _conceal_one(text: str, secret: _Secret) -> str:
    text = re.sub(re.escape(secret.text), lambda _: secret.replacement, text, flags=re.IGNORECASE)
    for length in range(min(len(secret.text) - 1, len(text)), MIN_CUT_CHARACTERS - 1, -1):
        if text.endswith(secret.text[:length]):
            return text[:-length] + secret.replacement
    return text
