"""Those who publish, and how to make them stop.

A WHIP session is ended at its worker, an RTMP publisher is sent away by the origin, a further sink is removed
from what it carries. All are over when their source says so (`publications`), not when they were asked to go.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog

from whipway.streams.publications import Publication, Publications, Remove
from whipway.streams.refusals import SessionNotFound, SessionOver, SinkNotFound
from whipway.streams.sessions import LOST, SessionDirectory

STOP_TIMEOUT = 5.0
"""Seconds. A worker answers in milliseconds, if at all."""
_DELETED = "deleted"
"""The end reason of a session that was ended through an API."""

log = structlog.get_logger("streams")


class OriginControl(Protocol):
    """What the embedded origin lets others do."""

    def stop(self, key: str) -> bool:
        """Send the publisher of APP/NAME away, at once. False: nobody from outside publishes that."""
        ...


class Publishers:
    """Everybody who publishes by WHIP or RTMP. `origin` None: there is no embedded origin."""

    def __init__(
        self, publications: Publications, sessions: SessionDirectory, origin: OriginControl | None
    ) -> None:
        self.publications = publications
        self._sessions = sessions
        self._origin = origin

    async def stop(self, those: Iterable[Publication], reason: str) -> None:
        """End publications, and wait until they are over. `reason`: what their streams' records get."""
        living = [each for each in those if not each.is_over]
        for publication in living:
            publication.stop_reason = publication.stop_reason or reason
        await asyncio.gather(*map(self._stop, living))

    async def _stop(self, publication: Publication) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                if publication.remove is not None:
                    await self._remove(publication, publication.remove)
                elif publication.session_id is None:
                    self._send_away(publication)
                else:
                    await self._end_session(publication, publication.session_id)
                await publication.ended.wait()
        except TimeoutError:
            log.error("a publisher does not end", kind=publication.kind)

    def _send_away(self, publication: Publication) -> None:
        if self._origin is None or not self._origin.stop(publication.key):
            self.publications.over(publication, LOST)

    async def _remove(self, publication: Publication, remove: Remove) -> None:
        try:
            await remove()
        except SessionOver:
            pass
        except (SinkNotFound, SessionNotFound):
            self.publications.over(publication, LOST)

    async def _end_session(self, publication: Publication, session_id: str) -> None:
        try:
            await self._sessions.end(session_id, _DELETED)
        except SessionOver:  # Whoever told of it has told the publications as well.
            pass
        except SessionNotFound:
            self.publications.over(publication, LOST)
