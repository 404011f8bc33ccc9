"""An origin as it runs, on a free port of loopback, and clients in a hurry."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.peers.rtmp_client import CREATE_STREAM, HOST, RtmpClient, RtmpPlayer, RtmpPublisher
from tests.peers.waiting import until

from whipway.origin.publishers import Authorize, OwnRefusal, PublishClaim
from whipway.origin.server import OriginServer
from whipway.protocol.rtmp.chunk import MAX_MESSAGE_BYTES
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.handshake import ClientHandshake
from whipway.protocol.rtmp.link import Link
from whipway.protocol.rtmp.messages import PASS_PROPERTY, Message, MessageType, command, parse_command
from whipway.worker.sockets import bind_tcp

OWN_PASS = "the word of this run"


class Origin:
    """A running server and its port."""

    def __init__(self, running: OriginServer, port: int) -> None:
        self.server = running
        self.port = port

    async def publisher(self, name: str = "one") -> RtmpPublisher:
        publisher = await RtmpPublisher.connect(self.port, name)
        assert publisher.publishing
        return publisher

    async def own_sink(self, name: str = "one") -> RtmpPublisher:
        sink = await OwnSink.connect(self.port, name)
        assert sink.publishing
        return sink

    async def player(self, name: str = "one") -> RtmpPlayer:
        """A player that has been let in."""
        player = await RtmpPlayer.connect(self.port, name)
        await player.wait_for_status("NetStream.Play.Start")
        return player

    async def waiting_player(self, name: str = "one") -> RtmpPlayer:
        player = await RtmpPlayer.connect(self.port, name)
        await until(lambda: f"live/{name}" in self.server.waiting)
        return player


class OwnSink(RtmpPublisher):
    """A publisher that knows `OWN_PASS`."""

    def __init__(self, port: int, app: str, name: str, authenticator: object = None) -> None:
        super().__init__(port, app, name)
        self.machine = Publisher(
            app=app,
            tc_url=f"rtmp://{HOST}:{port}/{app}",
            stream_name=name,
            random=os.urandom,
            now=0.0,
            connect_values={PASS_PROPERTY: self.word},
        )

    word = OWN_PASS


class Impostor(OwnSink):
    """A publisher that knows another word."""

    word = OWN_PASS[:-1]


class Judge:
    """Who is asked about publishers: notes each claim, and answers when `is_open`."""

    def __init__(self, refusal: str | None = None, is_final: bool = True) -> None:
        self.refusal = refusal
        self.is_final = is_final
        self.claims: list[PublishClaim] = []
        self.left = 0
        """Questions that were given up."""
        self.is_open = asyncio.Event()

    async def __call__(self, claim: PublishClaim) -> OwnRefusal | None:
        self.claims.append(claim)
        try:
            await self.is_open.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        return None if self.refusal is None else OwnRefusal(self.refusal, self.is_final)


class HastyClient(RtmpClient):
    """Sends everything in one breath, without a look at the answers."""

    def __init__(self, *wishes: Message) -> None:
        super().__init__()
        self.answered = False
        self._wishes = wishes
        self._link = Link(ClientHandshake(os.urandom), MAX_MESSAGE_BYTES)

    def flush(self) -> None:
        self.connected.write(b"".join(self._link.data_to_send()))

    def send(self, *messages: Message) -> None:
        """Send more, in one breath as well."""
        for message in messages:
            self._link.send(message)
        self.flush()

    def data_received(self, data: bytes) -> None:
        was_ready = self._link.ready
        for message in self._link.receive(data):
            answers = message.type_id == MessageType.COMMAND
            self.answered |= answers and parse_command(message).transaction_id == CREATE_STREAM
        if self._link.ready and not was_ready:
            self._link.send(command("connect", 1, {"app": "live"}))
            self.send(command("createStream", CREATE_STREAM, None), *self._wishes)
        self.flush()


PUBLISH = command("publish", 3, None, "one", "live", stream_id=1)
PLAY = command("play", 3, None, "one", stream_id=1)
PLAY_ANOTHER = command("play", 3, None, "two", stream_id=1)
DELETE_STREAM = command("deleteStream", 0, None, 1)


async def hasty(origin: Origin, *wishes: Message) -> HastyClient:
    client = HastyClient(*wishes)
    await asyncio.get_running_loop().create_connection(lambda: client, HOST, origin.port)
    return client


@asynccontextmanager
async def serving(authorize: Authorize | None = None, **options: Any) -> AsyncIterator[Origin]:
    """Run an `OriginServer(authorize, **options)` and leave nothing behind."""
    running = OriginServer(authorize, **options)
    listener = bind_tcp(HOST, 0)
    # Kept small so that little has to be sent until a player is slow.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
    await running.start(listener)
    try:
        yield Origin(running, listener.getsockname()[1])
    finally:
        await running.stop()
        assert running.connections == set()
        assert running.streams == running.waiting == {}
