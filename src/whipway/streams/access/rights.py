"""Who may publish which stream: the words that all ways of authentication share.

A principal is whoever a credential stands for. What it may do is written as patterns of stream names and,
where the credential says so, as a set of RTMP targets. Arguments of names and URLs never take part: they are
the publisher's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from whipway.protocol.rtmp.url import parse_rtmp_url, stream_path


class NotAuthenticated(Exception):
    """Nobody can be told from this request. `sent`: it came with a credential, which is no good."""

    def __init__(self, sent: bool, detail: str) -> None:
        super().__init__(detail)
        self.sent = sent
        self.detail = detail


class NotAllowed(Exception):
    """It is known who asks, and that they may not. `detail` is a sentence for them, plain ASCII.

    `wants_scope`: a credential with more rights would do (RFC 6750, section 3.1, "insufficient_scope").
    """

    def __init__(self, detail: str, wants_scope: bool = True) -> None:
        super().__init__(detail)
        self.detail = detail
        self.wants_scope = wants_scope


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of an RTMP URL that decide where a stream goes."""

    host: str
    port: int
    app: str
    tls: bool


@dataclass(frozen=True, slots=True)
class Principal:
    """What a credential entitles to. `targets` None: any. Anonymous: anybody, whatever the credential."""

    streams: tuple[str, ...]
    targets: frozenset[Target] | None = None
    is_anonymous: bool = False

    def may_name(self, stream_name: str, stream_url: str) -> bool:
        """Whether a stream of this name, at a URL that must be a valid one, is one of its streams.

        All that follows the first part of the application counts as the name. Otherwise one stream would have
        several: `cam` at `…/live/team` is `team/cam` at `…/live`.
        """
        name = stream_path(parse_rtmp_url(stream_url).app, stream_name).partition("/")[2].strip("/")
        return any(matches(pattern, name) for pattern in self.streams)

    def may_send_to(self, stream_url: str) -> bool:
        """Whether it may publish to this RTMP URL, which must be a valid one."""
        return self.targets is None or parse_target(stream_url) in self.targets


ANONYMOUS = Principal(("*",), is_anonymous=True)


@dataclass(frozen=True, slots=True)
class PublishAttempt:
    """What a publisher asks for. `client` is its IP address as text, `bearer` its token."""

    stream_name: str
    stream_url: str
    client: str
    bearer: str | None


def parse_target(stream_url: str) -> Target:
    """The target that a `stream_url` names. Raises ValueError as `parse_rtmp_url` does."""
    url = parse_rtmp_url(stream_url)
    return Target(url.host, url.port, url.app.partition("?")[0].strip("/"), url.tls)


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern, in which `*` stands for any run of characters and all else for itself.

    Each piece between two stars is taken where it is found first: a later place never lets more follow. So
    nothing is tried twice, however many stars there are.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    *middle, last = rest
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    return _holds_in_order(middle, name, len(first), len(name) - len(last))


def _holds_in_order(pieces: Iterable[str], name: str, start: int, end: int) -> bool:
    for piece in pieces:
        found = name.find(piece, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True
