"""Who publishes what at this moment: one `Publication` for each WHIP session, for each RTMP publisher of the
embedded origin, and for each sink that carries one of these to the origin under another name.

`session_publications` and `origin_publications` tell of them as they come; records (`going_live`), hooks and
pages follow. Nothing here waits, and nothing is kept of what is over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, TypeAlias

from whipway.protocol.rtmp.url import stream_path
from whipway.streams.stream_ids import StreamIds
from whipway.streams.stream_names import record_name

UNPUBLISHED = "unpublished"
"""Why a publication is over of which no more is known than that it was ended."""

Kind: TypeAlias = Literal["whip", "rtmp"]
Remove: TypeAlias = Callable[[], Awaitable[object]]
"""Takes a sink away. May raise that it, or its session, is not there."""


@dataclass(slots=True, eq=False)
class Publication:
    """One publisher at work. `name` is that of the record (`stream_names.record_name`), if there is one."""

    number: int
    """Grows with each of them."""
    kind: Kind
    name: str
    app: str
    """As in the URL, without arguments."""
    key: str
    """Where the origin has it, if it is there: APP/NAME."""
    arguments: str = field(repr=False)
    """What stood behind the `?` of the name. May hold secrets, so it is never logged."""
    client: str
    """An IP address as text; "" if nobody knows."""
    stream_url: str = field(repr=False)
    """Up to the application; may hold a password."""
    session_id: str | None = field(repr=False)
    """Of a WHIP session. Who knows it may end the session."""
    began_at: float
    """Monotonic, as `live_since`."""
    is_here: bool
    """Whether it can be played at the embedded origin."""
    remove: Remove | None = field(default=None, repr=False)
    """Ends it alone, where it is a further sink of something that is published under another name
    (`further_sinks`); its session goes on then."""
    live_since: float | None = None
    """When the first frame came to where it is played from."""
    bytes_in: int = 0
    """From the publisher; known once it is over, as what follows."""
    bytes_out: int = 0
    """To RTMP servers, or to players of the origin."""
    reason: str | None = None
    """Why it is over."""
    stop_reason: str | None = None
    """Why it was told to end; goes before what its end looks like from below."""
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set once it is over."""

    @property
    def is_live(self) -> bool:
        """Whether it has begun to be seen, and is not over."""
        return self.live_since is not None and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.ended.is_set()


Listener: TypeAlias = Callable[[Publication], None]


class Publications:
    """All that there are. Listeners are called at once, in the middle of other work, and must not wait."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.on_begin: list[Listener] = []
        self.on_live: list[Listener] = []
        self.on_over: list[Listener] = []
        """Called when it is no longer among `all`, with its last counts and its reason."""
        self.streams = StreamIds()
        """Whose names these are."""
        self._now = now
        self._numbers = count(1)
        self._by_name: dict[str, dict[int, Publication]] = {}

    def begin(
        self,
        kind: Kind,
        *,
        app: str,
        stream_name: str,
        client: str,
        stream_url: str,
        session_id: str | None = None,
        is_here: bool,
        remove: Remove | None = None,
    ) -> Publication:
        """Somebody publishes from now on. `app` and `stream_name` as they were asked for."""
        publication = Publication(
            number=next(self._numbers),
            kind=kind,
            name=record_name(app, stream_name),
            app=app.partition("?")[0].strip("/"),
            key=stream_path(app, stream_name),
            arguments=stream_name.partition("?")[2],
            client=client,
            stream_url=stream_url,
            session_id=session_id,
            began_at=self._now(),
            is_here=is_here,
            remove=remove,
        )
        self._by_name.setdefault(publication.name, {})[publication.number] = publication
        _call(self.on_begin, publication)
        return publication

    def first_frame(self, publication: Publication) -> None:
        """It can be seen. Only the first time counts."""
        if publication.live_since is None and not publication.is_over:
            publication.live_since = self._now()
            _call(self.on_live, publication)

    def over(self, publication: Publication, reason: str, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """It is over. Only the first time counts."""
        if publication.is_over:
            return
        publication.reason = publication.stop_reason or reason
        publication.bytes_in, publication.bytes_out = bytes_in, bytes_out
        publication.ended.set()
        same_name = self._by_name[publication.name]
        del same_name[publication.number]
        if not same_name:
            del self._by_name[publication.name]
        _call(self.on_over, publication)

    def of(self, name: str) -> list[Publication]:
        """Those of one name, the oldest first. There may be several: where another takes over, or with
        different applications.
        """
        return list(self._by_name.get(name, {}).values())

    def all(self) -> list[Publication]:
        """Every one."""
        return [each for same_name in self._by_name.values() for each in same_name.values()]


def _call(listeners: list[Listener], publication: Publication) -> None:
    for listener in listeners:
        listener(publication)
