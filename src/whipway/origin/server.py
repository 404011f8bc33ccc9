"""The embedded RTMP server: a listening socket, the table of live streams, and everybody connected.

A publisher's bytes go through its machine straight into every player's socket buffer, in one turn of the
event loop: no queue and no task per message (`connection`). How many peers there may be is for `places`. Who
wants FLV over HTTP gets it by `watch`.
"""

import asyncio
import socket

from whipway.hosts import address_group
from whipway.origin.connection import Connection
from whipway.origin.control import OriginControl
from whipway.origin.flv_player import FlvPlayer
from whipway.origin.observer import NobodyWatches, Observer
from whipway.origin.places import Places, Quota
from whipway.origin.publishers import Authorize, Doorkeeper
from whipway.origin.table import StreamTable
from whipway.tcp import TCP_BACKLOG, keep_alive

MAX_FLV_PLAYERS = 1000
"""Half the connections that HTTP may have: whoever publishes needs one too."""
MAX_FLV_PLAYERS_PER_ADDRESS = 250
"""Of one client's address: many may stand behind it, but they are not to keep others out."""
STOP_TIMEOUT = 0.5
"""Seconds the peers have to take what was written to them when the server stops: somebody is waiting."""


class OriginServer:
    """`start` takes a listening socket, `stop` ends everything. Anybody may play."""

    def __init__(
        self,
        authorize: Authorize | None = None,
        *,
        own_pass: str = "",
        takeover_after: float = 2.0,
        takes_over: bool = False,
        observer: Observer | None = None,
    ) -> None:
        """`authorize` is asked about publishers that do not know `own_pass`; without it, all may publish.

        A publisher from outside gives way to another one after `takeover_after` seconds without media; if
        `takes_over`, at once. `observer` is told of everybody who publishes, sinks of this server as well.
        """
        self._table = StreamTable(takeover_after, takes_over)
        self._doorkeeper = Doorkeeper(authorize, own_pass)
        self._observer = observer or NobodyWatches()
        self.control = OriginControl(self._table)
        self._places = Places()
        self._flv_places = Quota(MAX_FLV_PLAYERS, MAX_FLV_PLAYERS_PER_ADDRESS)
        self.streams = self._table.streams
        self.waiting = self._table.waiting
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on a bound socket."""
        # A publisher whose machine vanished blocks its name for no longer than this takes to notice.
        keep_alive(listener)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make_connection, sock=listener, backlog=TCP_BACKLOG)

    async def stop(self) -> None:
        """Stop listening and end every connection. With its publisher each stream ends, for all players."""
        if self._server is not None:
            self._server.close()
        connections = list(self.connections)
        for connection in connections:
            connection.end()
        if connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=STOP_TIMEOUT)
        for connection in connections:
            connection.abort()
            await connection.closed
        await self._doorkeeper.settle()
        if self._server is not None:
            await self._server.wait_closed()

    def watch(self, key: str, client: str = "") -> FlvPlayer | None:
        """A new player of APP/NAME that gives FLV to an address. To be closed in the end.

        None: nobody publishes that, or there is no room.
        """
        stream = self.streams.get(key)
        group = address_group(client)
        if stream is None or not self._flv_places.take(group):
            return None
        now = asyncio.get_running_loop().time
        return FlvPlayer(key, stream, now, closed=lambda: self._flv_places.give_back(group))

    def has_room(self, client: str) -> bool:
        """Whether there may be one FLV player more for that address."""
        return self._flv_places.has_room(address_group(client))

    def _make_connection(self) -> Connection:
        return Connection(self._table, self._doorkeeper, self._places, self.connections, self._observer)
