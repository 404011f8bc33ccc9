"""A publisher with real ICE, DTLS and SRTP over UDP, for tests of what HTTP does to its session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import Listener, listening
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient, sound
from tests.web.served import BASE, Served

from whipway.protocol.dtls import DtlsClosed
from whipway.session.session import Session


class LiveClient:
    """A connected client and the session it has."""

    def __init__(
        self, served: Served, udp: UdpClient, created: httpx.Response, *, query: str, rtmp: Listener
    ) -> None:
        self.udp = udp
        self.query = query
        """What it was created with."""
        self.rtmp = rtmp
        """Where the stream goes."""
        self.machine = udp.machine
        self.path = created.headers["location"].removeprefix(BASE)
        self.etag = created.headers["etag"]
        self._served = served
        self._is_gone = False

    def vanish(self) -> None:
        """Be gone without a word; the second time is none."""
        if not self._is_gone:
            self._is_gone = True
            self.udp.close()

    @property
    def session(self) -> Session:
        """The worker's machine."""
        return self._served.worker._broadcasts[self.path.rpartition("/")[2]].session

    async def sends_media(self, udp: UdpClient | None = None) -> None:
        """Send an audio frame, perhaps from another port, and wait until the session has it."""
        track = self.session.receiver.tracks[0]
        before = track.packets
        self.machine.send("audio", sound(before), before / 50)
        (udp or self.udp).flush()
        await until(lambda: track.packets > before)

    async def status(self) -> Any:
        """The session's snapshot."""
        return (await self._served.http.get(f"{self.path}/status")).json()

    async def ended(self) -> tuple[str, str]:
        """Wait until the session is over; state and reason."""
        await until(lambda: self._served.is_empty)
        status = await self.status()
        return status["state"], status["reason"]

    async def was_closed(self) -> bool:
        """Wait for close_notify."""
        return await until(lambda: any(isinstance(event, DtlsClosed) for event in self.machine.events()))


@asynccontextmanager
async def live(
    served: Served, machine: WhipClient | None = None, name: str = "one"
) -> AsyncIterator[LiveClient]:
    """Publish a stream to an RTMP server of its own."""
    async with listening() as listener:
        machine = machine or WhipClient()
        query = f"stream_name={name}&stream_url=rtmp://{HOST}:{listener.port}/live"
        created = await served.post(query, machine.offer)
        assert created.status_code == 201, created.text
        udp = UdpClient.start(machine, created.text)
        client = LiveClient(served, udp, created, query=query, rtmp=listener)
        try:
            await client.udp.connected()
            yield client
        finally:
            client.vanish()
