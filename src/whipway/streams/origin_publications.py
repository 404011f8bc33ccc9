"""RTMP publishers of the embedded origin as publications: an observer of the origin.

A sink of this server is no publication of its own here. It belongs to a WHIP session, or is a further sink
(`further_sinks`), which the origin cannot name; so it is taken for the latest one of its name that had begun
before, and its first frame makes that one live.
"""

from typing import Protocol

from whipway.protocol.rtmp.url import stream_path
from whipway.streams.further_sinks import FurtherSinks
from whipway.streams.publications import UNPUBLISHED, Publication, Publications
from whipway.streams.stream_names import record_name


class Publishing(Protocol):
    """What the origin tells of a publisher: rtmp://…/APP/NAME?QUERY. The same object each time."""

    @property
    def app(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def query(self) -> str: ...

    @property
    def client(self) -> str: ...

    @property
    def is_own(self) -> bool:
        """Whether it is a sink of this server."""
        ...

    @property
    def bytes_in(self) -> int: ...

    @property
    def bytes_out(self) -> int: ...


class OriginPublications:
    """Told by the origin, in the middle of its work. `stream_url`: the origin's, with any application."""

    def __init__(self, publications: Publications, further: FurtherSinks, stream_url: str) -> None:
        self._publications = publications
        self._further = further
        self._base = stream_url.rpartition("/")[0]
        self._known: dict[Publishing, Publication] = {}

    def publish_began(self, publishing: Publishing) -> None:
        """It was let in."""
        publication = self._session_of(publishing) if publishing.is_own else self._begin(publishing)
        if publication is not None:
            self._known[publishing] = publication

    def first_frame(self, publishing: Publishing) -> None:
        """It can be played."""
        if publishing in self._known:
            self._publications.first_frame(self._known[publishing])

    def publish_over(self, publishing: Publishing) -> None:
        """It has gone. A session's sink may come again; the session says when it is over."""
        publication = self._known.pop(publishing, None)
        if publication is not None and not publishing.is_own:
            self._publications.over(publication, UNPUBLISHED, publishing.bytes_in, publishing.bytes_out)

    def _begin(self, publishing: Publishing) -> Publication:
        name, query = publishing.name, publishing.query
        return self._publications.begin(
            "rtmp",
            app=publishing.app,
            stream_name=f"{name}?{query}" if query else name,
            client=publishing.client,
            stream_url=f"{self._base}/{publishing.app}",
            is_here=True,
        )

    def _session_of(self, publishing: Publishing) -> Publication | None:
        """The session behind an own sink. One that is known to be sent here goes before one that is not."""
        key = stream_path(publishing.app, publishing.name)
        name = record_name(publishing.app, publishing.name)
        same_name = self._publications.of(name)
        sessions = [each for each in same_name if (each.session_id or each.remove) and each.key == key]
        if not sessions:
            return self._further.came(key)
        session = max(sessions, key=lambda each: (each.is_here, each.number))
        # Its URL may have a name for this server that only the resolver knows.
        session.is_here = True
        return session
