"""WHIP sessions as publications, and what is told of them: a watcher of the directory of sessions.

A session is one publication, whatever sinks come and go in it. It is live when one of its sinks is, or when
the embedded origin has its first frame (`origin_publications`), whichever is first. A sink that it is given
later is one more where it leads to the embedded origin under another name (`further_sinks`).

A session's id opens everything in it (RFC 9725 calls it the session URL), so nobody but the publisher learns
it. Others know the session by its handle.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.streams.events import EventLog
from whipway.streams.further_sinks import FurtherSink, FurtherSinks
from whipway.streams.publications import UNPUBLISHED, Publication, Publications, Remove
from whipway.worker.messages import SessionChanged, SessionEnded

HANDLE_CHARACTERS = 16
MAX_EARLY_ENDS = 100
"""Ends of sessions that nobody has told of yet; of these there is one at a time, if ever."""
MAX_GONE = 100
"""Sinks that went before anybody told of their coming; of a session there is one at a time, if ever."""
_CONNECTED = "live"
"""The session's own word for a client that is connected."""
_PUBLISHING = "publishing"
_REMOVED = "removed"
_FAILED = "failed"
SINK_FAILED = "sink_failed"
"""Why a further sink is over that has given up; a session's own word."""

IsHere = Callable[[str], bool]
"""Whether an RTMP URL leads to the embedded origin."""


def session_handle(session_id: str) -> str:
    """What a session is called by those who may see it and are not its publisher."""
    return sha256(session_id.encode()).hexdigest()[:HANDLE_CHARACTERS]


def make_is_here(key: Callable[[str, str], str], origin_url: str | None) -> IsHere:
    """By `Destinations.key`, and any URL of the embedded origin; None: there is no origin."""
    if origin_url is None:
        return lambda stream_url: False
    here = _server(key(origin_url, "any"))
    return lambda stream_url: _server(key(stream_url, "any")) == here


@dataclass(slots=True)
class _Followed:
    publication: Publication
    state: str = ""
    sinks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    further: dict[str, FurtherSink] = field(default_factory=dict)
    gone: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_GONE))
    """Ids of sinks that are no more."""


class SessionPublications:
    """A `session_watcher.SessionWatcher`."""

    def __init__(
        self,
        publications: Publications,
        further: FurtherSinks,
        events: EventLog,
        is_here: IsHere = lambda stream_url: False,
    ) -> None:
        self._publications = publications
        self._further = further
        self._events = events
        self._is_here = is_here
        self._sessions: dict[str, _Followed] = {}
        self._early_ends: deque[str] = deque(maxlen=MAX_EARLY_ENDS)

    def session_created(self, session_id: str, *, stream_name: str, stream_url: str, client: str) -> None:
        """There is a new session; name and URL are good ones."""
        if session_id in self._early_ends:  # Its end was quicker than whoever tells of its begin.
            return
        publication = self._publications.begin(
            "whip",
            app=parse_rtmp_url(stream_url).app,
            stream_name=stream_name,
            client=client,
            stream_url=stream_url,
            session_id=session_id,
            is_here=self._is_here(stream_url),
        )
        followed = self._sessions[session_id] = _Followed(publication)
        self._tell("session.created", followed)

    def session_changed(self, event: SessionChanged) -> None:
        """Its client has connected, or something is new with its sinks."""
        followed = self._sessions.get(event.session_id)
        if followed is None:
            return
        if event.state == _CONNECTED != followed.state:
            self._tell("session.connected", followed)
        followed.state = event.state
        self._compare(followed, event.sinks)
        if any(sink["state"] == _PUBLISHING for sink in event.sinks):
            self._publications.first_frame(followed.publication)
        for id, sink in followed.sinks.items():
            self._follow_further(followed, id, sink["state"])

    def sink_added(
        self, session_id: str, sink_id: str, *, stream_name: str, stream_url: str, remove: Remove
    ) -> None:
        """It has one more sink; name and URL are good ones."""
        followed = self._sessions.get(session_id)
        if followed is None or sink_id in followed.gone:
            return
        sink = self._further.add(followed.publication, stream_url, stream_name, remove)
        followed.further[sink_id] = sink
        if sink_id in followed.sinks:  # Its first events were quicker.
            self._follow_further(followed, sink_id, followed.sinks[sink_id]["state"])

    def sink_removed(self, session_id: str, sink: Mapping[str, Any]) -> None:
        """One was taken away. That there is one less is told by the worker."""
        if followed := self._sessions.get(session_id):
            self._end_further(followed, sink["id"], UNPUBLISHED, bytes_out=sink.get("bytes", 0))

    def session_ended(self, event: SessionEnded) -> None:
        """It is over, and so are its sinks."""
        followed = self._sessions.pop(event.session_id, None)
        if followed is None:
            self._early_ends.append(event.session_id)
            return
        bytes_in = _sum(event.snapshot.get("tracks", ()), "bytes")
        sinks = event.snapshot.get("sinks", ())
        bytes_out = _sum(sinks, "bytes")
        bytes_of = {sink["id"]: sink["bytes"] for sink in sinks if "bytes" in sink}
        for id in [*followed.further]:
            self._end_further(followed, id, event.reason, bytes_in, bytes_of.get(id, 0))
        self._compare(followed, ())
        self._publications.over(followed.publication, event.reason, bytes_in, bytes_out)
        self._tell("session.ended", followed, reason=event.reason, detail=event.detail)

    def _follow_further(self, followed: _Followed, id: str, state: str) -> None:
        if id not in followed.further:
            return
        if state == _PUBLISHING:
            self._further.live(followed.further[id])
        elif state == _FAILED:
            self._end_further(followed, id, SINK_FAILED)

    def _end_further(
        self, followed: _Followed, id: str, reason: str, bytes_in: int = 0, bytes_out: int = 0
    ) -> None:
        if sink := followed.further.pop(id, None):
            self._further.over(sink, reason, bytes_in, bytes_out)

    def _compare(self, followed: _Followed, sinks: Iterable[Mapping[str, Any]]) -> None:
        """Tell of every sink that is in another state than before, or is no more."""
        before, followed.sinks = followed.sinks, {sink["id"]: sink for sink in sinks}
        for id, sink in before.items():
            if id not in followed.sinks:
                self._tell("sink.removed", followed, sink={**sink, "state": _REMOVED})
                self._end_further(followed, id, UNPUBLISHED)
                followed.gone.append(id)
        for id, sink in followed.sinks.items():
            if id not in before or before[id]["state"] != sink["state"]:
                self._tell(f"sink.{sink['state']}", followed, sink=sink)

    def _tell(self, kind: str, followed: _Followed, **more: Any) -> None:
        publication = followed.publication
        assert publication.session_id is not None
        stream = self._publications.streams.brief(publication.name)
        self._events.tell(kind, {"session": session_handle(publication.session_id), "stream": stream, **more})


def _server(key: str) -> str:
    """Host and port, which a destination's key begins with."""
    return key.partition("/")[0]


def _sum(parts: Iterable[Mapping[str, Any]], figure: str) -> int:
    return sum(part.get(figure, 0) for part in parts)
