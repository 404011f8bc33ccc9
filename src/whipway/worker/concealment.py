"""Takes a publisher's secrets out of what an RTMP server says.

Servers repeat what they refuse: "Stream live/one?key=… is busy". That ends in logs and in the API, where
arguments must not stand; nor must names, where the stream goes to another machine: with most services the
name is the key to the channel. Where the URL holds a user and a password, they repeat those too, and what
their challenge made of them.

What it costs is the publisher's to choose, by the number of arguments, and status is asked for often: so the
number has a limit, and a text that was seen before is not looked through again.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote_plus

from whipway.protocol.rtmp.url import RtmpUrl, cut_name, is_loopback_host

MIN_CHARACTERS = 6
"""Of a value that is looked for by itself. Shorter ones are parts of other words, or words: live, true."""
MIN_WORD_CHARACTERS = 3
"""Of a user or a password that is looked for as a whole word, in spite of that."""
MIN_CUT_CHARACTERS = 9
"""Of a secret at the end of a text that was cut to a length. One more than logs show of a name."""
MAX_ARGUMENTS = 32
"""Of a name and a URL together that are looked for by themselves. Services have two or three."""
MAX_REMEMBERED = 4
"""Texts of one stream with what became of them: a sink says one thing for long, its log says it too."""
ELLIPSIS = "…"

_ARGUMENTS = re.compile(r"\?\S+")
_CHALLENGE = re.compile(
    r"\b(user|password|salt|challenge|opaque|response|nonce|cnonce)=[^\s&;,\]]+", re.IGNORECASE
)
"""What the two challenge schemes of RTMP servers exchange. Whoever has it can try passwords in peace."""


class _Secret(NamedTuple):
    folded: str
    """What is looked for, as `_fold` makes it."""
    replacement: str
    is_word: bool = False
    """Only where it stands alone."""


class _Hit(NamedTuple):
    """Where a text has a secret."""

    start: int
    end: int
    replacement: str


def make_concealer(stream_name: str, url: RtmpUrl) -> Callable[[str], str]:
    """A function that puts an ellipsis in the place of one stream's secrets, wherever a text has them."""
    secrets = list(dict.fromkeys(_secrets(stream_name, url)))

    @lru_cache(maxsize=MAX_REMEMBERED)
    def conceal(text: str) -> str:
        if not text:
            return text
        text = _ARGUMENTS.sub(f"?{ELLIPSIS}", text)
        text = _CHALLENGE.sub(rf"\1={ELLIPSIS}", text)
        return _conceal_all(text, secrets)

    return conceal


def _secrets(stream_name: str, url: RtmpUrl) -> Iterator[_Secret]:
    name, _, arguments = stream_name.partition("?")
    app, _, query = url.app.partition("?")
    # The longest first: a key is longer than "room=1".
    given = sorted(f"{arguments}&{query}".split("&"), key=len, reverse=True)
    for argument in islice(given, MAX_ARGUMENTS):
        # Without a sign of equality all of it is the value.
        value = argument.partition("=")[2] if "=" in argument else argument
        for text in (value, unquote_plus(value), quote(value, safe="")):
            if len(text) >= MIN_CHARACTERS:
                yield _Secret(_fold(text), ELLIPSIS)
    yield from _credentials(url.user or "", url.password or "")
    if not is_loopback_host(url.host):
        # The first part of the application is the same for all of a service's users.
        for text in (name.strip("/"), *name.split("/"), *app.split("/")[1:]):
            if cut_name(text) != text:
                yield _Secret(_fold(text), cut_name(text))


def _credentials(user: str, password: str) -> Iterator[_Secret]:
    # RFC 7617: HTTP's form of both, which some servers have in their words.
    both = b64encode(f"{user}:{password}".encode()).decode().rstrip("=")
    for value in (user, password, both if password else ""):
        for text in (value, quote(value, safe=""), quote_plus(value)):
            if len(text) >= MIN_WORD_CHARACTERS:
                yield _Secret(_fold(text), ELLIPSIS, is_word=len(text) < MIN_CHARACTERS)


def _conceal_all(text: str, secrets: Sequence[_Secret]) -> str:
    folded = _fold(text)
    hits = [hit for secret in secrets for find in (_find, _find_beginning) for hit in find(folded, secret)]
    # Of those that begin at one place the longest first: one may be a part of another.
    hits.sort(key=lambda hit: (hit.start, -hit.end))
    parts: list[str] = []
    end = 0
    for hit in hits:
        if hit.start >= end:
            parts += (text[end : hit.start], hit.replacement)
        elif hit.end > end:  # They overlap, so that the beginning of this one is not to be shown either.
            parts[-1] = ELLIPSIS
        end = max(end, hit.end)
    return "".join((*parts, text[end:]))


def _find(folded: str, secret: _Secret) -> Iterator[_Hit]:
    start = folded.find(secret.folded)
    while start >= 0:
        end = start + len(secret.folded)
        if not (secret.is_word and (_is_word(folded[start - 1 : start]) or _is_word(folded[end : end + 1]))):
            yield _Hit(start, end, secret.replacement)
        start = folded.find(secret.folded, start + 1)


def _find_beginning(folded: str, secret: _Secret) -> Iterator[_Hit]:
    """What is left of a secret where the text was cut to a length, at its end."""
    beginning = secret.folded[:MIN_CUT_CHARACTERS]
    start = folded.find(beginning, max(0, len(folded) - len(secret.folded)))
    while start >= 0:
        if len(folded) - start >= MIN_CUT_CHARACTERS and secret.folded.startswith(folded[start:]):
            yield _Hit(start, len(folded), secret.replacement)
        start = folded.find(beginning, start + 1)


def _fold(text: str) -> str:
    """In lower case, character by character: so each keeps its place, and has one form wherever it stands."""
    return text.lower() if text.isascii() else "".join([each.lower()[:1] for each in text])


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
