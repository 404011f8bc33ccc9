"""Keys as bearer tokens of publishers, by WHIP and by RTMP.

Who may create streams may publish all of them; a publisher's key is for its one stream. Other keys are for
looking only.
"""

from typing import Protocol

from whipway.streams.access.keys import KeyRing
from whipway.streams.access.rights import Principal
from whipway.streams.records import Role, StreamRecord, StreamState

EVERY_STREAM = Principal(("*",))


class Streams(Protocol):
    """Where streams are looked up."""

    async def get(self, id: str) -> StreamRecord | None: ...


class KeyTokens:
    """Tells whom a key stands for that comes as a bearer token."""

    def __init__(self, keys: KeyRing, streams: Streams) -> None:
        self._keys = keys
        self._streams = streams

    async def find(self, bearer: str) -> Principal | None:
        """The principal of a key; None: it is none, is no good any more, or is not for publishing."""
        key = await self._keys.find(bearer)
        match key.role if key is not None else None:
            case Role.ADMIN | Role.USER:
                return EVERY_STREAM
            case Role.PUBLISHER:
                assert key is not None and key.stream_id is not None  # No other is ever made.
                return _publisher(await self._streams.get(key.stream_id))
            case _:
                return None


def _publisher(stream: StreamRecord | None) -> Principal | None:
    if stream is None or stream.state is StreamState.DELETED:
        return None
    # As a pattern, a star would stand for other streams too. The service makes no such name; who published
    # under one goes without keys for it.
    return None if "*" in stream.name else Principal((stream.name,))
