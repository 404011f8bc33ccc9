"""Sinks that carry what is published under one name to the embedded origin under another: each of them is a
publication of its own.

They are added to WHIP sessions (`session_publications`), or come of a push URL (`push_urls`). One that is
known to lead here is a publication from its beginning. Whether others do is seen when they come
(`origin_publications`): their URL may have a name for this server that only the resolver knows. What goes
elsewhere is none; a name there may be the key to somebody's channel.
"""

from collections.abc import Callable
from dataclasses import dataclass

from whipway.protocol.rtmp.url import parse_rtmp_url, stream_path
from whipway.streams.publications import Publication, Publications, Remove
from whipway.streams.stream_names import record_name


@dataclass(slots=True, eq=False)
class FurtherSink:
    """One of them."""

    source: Publication
    """What it carries."""
    app: str
    stream_name: str
    stream_url: str
    remove: Remove
    publication: Publication | None = None
    """Its own, or the source where the name is the same; None: it does not lead here, as far as is known."""

    @property
    def key(self) -> str:
        """Where the origin has it, if it is there: APP/NAME."""
        return stream_path(self.app, self.stream_name)


class FurtherSinks:
    """All that there are. `is_here`: whether an RTMP URL leads to the embedded origin."""

    def __init__(
        self, publications: Publications, is_here: Callable[[str], bool] = lambda stream_url: False
    ) -> None:
        self._publications = publications
        self._is_here = is_here
        self._by_key: dict[str, list[FurtherSink]] = {}

    def add(self, source: Publication, stream_url: str, stream_name: str, remove: Remove) -> FurtherSink:
        """There is one more. `remove` ends it, and leaves the source alone; good name and URL."""
        sink = FurtherSink(source, parse_rtmp_url(stream_url).app, stream_name, stream_url, remove)
        self._by_key.setdefault(sink.key, []).append(sink)
        if self._is_here(stream_url):
            self._begin(sink)
        return sink

    def came(self, key: str) -> Publication | None:
        """A sink of this server has come to the origin: the one it must be, the latest of several."""
        sinks = self._by_key.get(key)
        return self._begin(sinks[-1]) if sinks else None

    def is_taken(self, stream_url: str, stream_name: str) -> bool:
        """Whether a target is the origin, and somebody publishes there already."""
        app = parse_rtmp_url(stream_url).app
        key, others = stream_path(app, stream_name), self._publications.of(record_name(app, stream_name))
        return self._is_here(stream_url) and any(each.key == key for each in others)

    def live(self, sink: FurtherSink) -> None:
        """It publishes."""
        if sink.publication is not None:
            self._publications.first_frame(sink.publication)

    def over(self, sink: FurtherSink, reason: str, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """It is no more. Only the first time counts."""
        sinks = self._by_key.get(sink.key, [])
        if sink not in sinks:
            return
        sinks.remove(sink)
        if not sinks:
            del self._by_key[sink.key]
        if sink.publication not in (None, sink.source):
            assert sink.publication is not None
            self._publications.over(sink.publication, reason, bytes_in, bytes_out)

    def _begin(self, sink: FurtherSink) -> Publication:
        if sink.publication is None:
            is_same = record_name(sink.app, sink.stream_name) == sink.source.name
            sink.publication = sink.source if is_same else self._publish(sink)
        return sink.publication

    def _publish(self, sink: FurtherSink) -> Publication:
        return self._publications.begin(
            sink.source.kind,
            app=sink.app,
            stream_name=sink.stream_name,
            client=sink.source.client,
            stream_url=sink.stream_url,
            session_id=sink.source.session_id,
            is_here=True,
            remove=sink.remove,
        )
