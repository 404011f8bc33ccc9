"""How streams came over the last ten minutes: a point every five seconds, for the charts of a page.

One task looks at whatever is published: a WHIP session tells what it measures of itself in its snapshot, the
origin tells counts that only grow, of which rates are made here. Nothing is counted per packet, and nothing
is written to the database: after a restart the charts begin anew.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import structlog

from whipway.streams.publications import Publication, Publications
from whipway.streams.records import utc_now
from whipway.streams.refusals import SessionNotFound

INTERVAL = 5.0
"""Seconds between two points."""
KEPT = timedelta(minutes=10)
"""How far back points go, and how long they are kept when the stream is over."""
MAX_POINTS = int(KEPT.total_seconds() / INTERVAL)
MAX_STREAMS = 1000
"""Of which points are kept, the latest ones; some 30 kB each."""
RATE_WINDOW = 5.0
"""Seconds over which the rates of an RTMP publisher are measured."""
MIN_RATE_TIME = 0.5
"""Seconds below which a picture more or less would make a rate jump."""

log = structlog.get_logger("figures")


class Point(NamedTuple):
    """How a stream came at a moment. What RTMP does not tell is None."""

    at: datetime
    bitrate: int
    """Bits a second, of picture and sound."""
    fps: float
    loss: float | None = None
    """The part of the packets that never came."""
    round_trip_ms: float | None = None
    jitter_ms: float | None = None


class Snapshots(Protocol):
    """What this module needs of the directory of sessions."""

    async def describe(self, session_id: str) -> Mapping[str, Any]:
        """The snapshot of a session. Raises SessionNotFound."""
        ...


class OriginFigures(Protocol):
    """What this module needs of the embedded origin."""

    def figures(self, key: str) -> Mapping[str, Any] | None:
        """The counts bytes_in and pictures of APP/NAME, and other things; None: nobody publishes that."""
        ...


class _Count(NamedTuple):
    at: float
    bytes_in: int
    pictures: int


class Meter:
    """Makes rates of counts that only grow, whenever it is shown them."""

    def __init__(self) -> None:
        self._counts: deque[_Count] = deque()

    def update(self, now: float, bytes_in: int, pictures: int) -> tuple[int, float] | None:
        """Bits and pictures a second over the last seconds; None: too little time has passed to tell.

        `now`: monotonic seconds.
        """
        counts = self._counts
        if counts and bytes_in < counts[-1].bytes_in:  # Another publisher, whose counts begin at 0.
            counts.clear()
        if not counts or now - counts[-1].at >= MIN_RATE_TIME:
            counts.append(_Count(now, bytes_in, pictures))
        # One that is older than the window stays, as its begin.
        while len(counts) > 1 and now - counts[1].at >= RATE_WINDOW:
            counts.popleft()
        first = counts[0]
        passed = now - first.at
        if passed < MIN_RATE_TIME:
            return None
        rate = (bytes_in - first.bytes_in) * 8 / passed, (pictures - first.pictures) / passed
        return round(rate[0]), round(rate[1], 2)


class Figures:
    """Keeps the points. `start` before and `close` after; `origin` None: there is no embedded origin.

    `monotonic` is what rates are made by, `now` what points are dated by.
    """

    def __init__(
        self,
        publications: Publications,
        sessions: Snapshots,
        origin: OriginFigures | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._publications = publications
        self._sessions = sessions
        self._origin = origin
        self._monotonic = monotonic
        self._now = now
        self._sleep = sleep
        self._points: OrderedDict[str, deque[Point]] = OrderedDict()
        """By name; the one that got its last point longest ago comes first."""
        self._meters: dict[int, Meter] = {}
        """By the number of a publication."""
        self._task: asyncio.Task[None] | None = None
        publications.on_over.append(self._forget_meter)

    def start(self) -> None:
        """Take points from now on."""
        self._task = asyncio.create_task(self._run(), name="figures")

    async def close(self) -> None:
        """Take no more. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def points(self, name: str) -> Sequence[Point]:
        """Those of a stream, by its record's name, the oldest first."""
        begin = self._now() - KEPT
        return [point for point in self._points.get(name, ()) if point.at >= begin]

    def rtmp(self, publication: Publication) -> dict[str, Any] | None:
        """How an RTMP publisher sends: what the origin tells, with `bitrate` and `fps`, None at first.

        None: it is no RTMP publisher, or not there any more.
        """
        if publication.kind != "rtmp" or publication.is_over or self._origin is None:
            return None
        counts = self._origin.figures(publication.key)
        if counts is None:
            return None
        meter = self._meters.setdefault(publication.number, Meter())
        rates = meter.update(self._monotonic(), counts["bytes_in"], counts["pictures"])
        bitrate, fps = rates or (None, None)
        return {"bitrate": bitrate, "fps": fps, **counts}

    async def sample(self) -> None:
        """Take a point of everything that is published, and drop what is too old."""
        at = self._now()
        for publication in self._publications.all():
            measured = await self._measure(publication, at)
            if measured is not None:
                self._keep(publication.name, measured)
        self._drop_old(at - KEPT)

    async def _run(self) -> None:
        while True:
            await self._sleep(INTERVAL)
            try:
                await self.sample()
            except Exception:
                log.exception("no figures this time")

    async def _measure(self, publication: Publication, at: datetime) -> Point | None:
        if publication.session_id is not None:
            return await self._measure_session(publication.session_id, at)
        figures = self.rtmp(publication)
        if figures is None or figures["bitrate"] is None:
            return None
        return Point(at, figures["bitrate"], figures["fps"])

    async def _measure_session(self, session_id: str, at: datetime) -> Point | None:
        try:
            snapshot = await self._sessions.describe(session_id)
        except SessionNotFound:
            return None
        if snapshot["state"] != "live":
            return None
        measured = snapshot["quality"]["measured"]
        return Point(
            at,
            measured["video_bitrate"] + measured["audio_bitrate"],
            measured["fps"],
            measured["loss"],
            measured["rtt_ms"],
            measured["jitter_ms"],
        )

    def _keep(self, name: str, point: Point) -> None:
        points = self._points.setdefault(name, deque(maxlen=MAX_POINTS))
        # Of several publishers of one name the latest one counts.
        if points and points[-1].at == point.at:
            points.pop()
        points.append(point)
        self._points.move_to_end(name)

    def _drop_old(self, begin: datetime) -> None:
        while self._points:
            name, points = next(iter(self._points.items()))
            if len(self._points) <= MAX_STREAMS and points[-1].at >= begin:
                break
            del self._points[name]

    def _forget_meter(self, publication: Publication) -> None:
        self._meters.pop(publication.number, None)
