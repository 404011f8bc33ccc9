"""What a webhook may look like: its URL, and the patterns of the events that it is told of."""

import re
from collections.abc import Sequence

import httpx

from whipway.streams.access.rights import matches
from whipway.streams.store.tables import MAX_URL_CHARACTERS

TOLD_KINDS = ("stream.", "sink.")
"""What the kinds of events begin with that webhooks are told of."""
MAX_PATTERNS = 20
_PATTERN = re.compile(r"\*|(?:stream|sink)\.(?:\*|[a-z_]{1,32})")


class WebhookRefused(ValueError):
    """A webhook cannot be so. The message says what is wrong, to be written behind the name of the field."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        """ "url" or "events"."""
        self.detail = detail


def check_webhook_url(text: str) -> None:
    """Raise WebhookRefused unless a URL can be called; user and password may stand in it.

    Any host will do, those of this network included: only administrators set webhooks.
    """
    if len(text) > MAX_URL_CHARACTERS:
        raise WebhookRefused("url", f"is longer than {MAX_URL_CHARACTERS} characters")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise WebhookRefused("url", "holds characters that must be percent-encoded")
    try:
        url = httpx.URL(text)
        host = url.host
    except (httpx.InvalidURL, UnicodeError):  # The latter: a host in the encoding of IDNA that is none.
        raise WebhookRefused("url", "cannot be read as a URL") from None
    if url.scheme not in ("http", "https"):
        raise WebhookRefused("url", "must begin with http:// or https://")
    if url.port is not None and not 0 < url.port < 65536:
        raise WebhookRefused("url", "names a port that there is not")
    if not host:
        raise WebhookRefused("url", "names no host")


def check_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns, each once. Raises WebhookRefused."""
    each = tuple(dict.fromkeys(patterns))
    if not 0 < len(each) <= MAX_PATTERNS:
        raise WebhookRefused("events", f"must be 1 to {MAX_PATTERNS} patterns")
    for pattern in each:
        if not _PATTERN.fullmatch(pattern):
            raise WebhookRefused("events", 'must be patterns such as "stream.live", "sink.*" or "*"')
    return each


def wants(patterns: Sequence[str], kind: str) -> bool:
    """Whether an event of this kind, one of those that are told, fits a pattern."""
    return any(matches(pattern, kind) for pattern in patterns)
