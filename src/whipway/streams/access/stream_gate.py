"""What the records say to somebody who wants to publish: yes, unless the stream is locked or deleted, or is
unknown where only known ones may be published.

Asked beside `admission`, which says whether the publisher is entitled to it.
"""

import asyncio

import structlog

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.streams.access.rights import NotAllowed, PublishAttempt
from whipway.streams.records import StreamRecord, StreamState
from whipway.streams.store.database import NO_CONNECTION
from whipway.streams.stream_names import is_recordable, record_name
from whipway.streams.stream_states import StreamStates

LOOK_UP_TIMEOUT = 2.0
"""Seconds; the publisher waits as long."""
_REFUSED = {StreamState.LOCKED: "This stream is locked", StreamState.DELETED: "This stream was deleted"}

log = structlog.get_logger("streams")


class StreamGate:
    """Asks the records. `require_known`: names without one may not be published."""

    def __init__(self, states: StreamStates, *, require_known: bool) -> None:
        self._states = states
        self._require_known = require_known

    async def admit(self, attempt: PublishAttempt) -> None:
        """Judge by the name alone, wherever the stream goes. Raises NotAllowed."""
        name = record_name(parse_rtmp_url(attempt.stream_url).app, attempt.stream_name)
        record = await self._look_up(name) if is_recordable(name) else None
        if record is None and self._require_known:
            raise NotAllowed("There is no stream of this name here", wants_scope=False)
        if record is not None and record.state in _REFUSED:
            raise NotAllowed(_REFUSED[record.state], wants_scope=False)

    async def _look_up(self, name: str) -> StreamRecord | None:
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT):
                return await self._states.find(name)
        except NO_CONNECTION as error:
            log.warning("a stream cannot be looked up", error=type(error).__name__)
            if self._require_known:
                raise NotAllowed(
                    "The streams that are known cannot be looked up now; try again later", wants_scope=False
                ) from None
            # The show goes on. A stream that is locked is found out when it goes live and can be looked up.
            return None
