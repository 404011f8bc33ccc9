"""RTMP clients in small on real TCP: a publisher, and a player that collects what it gets.

The publisher drives the project's own `Publisher` machine. The player is made here of handshake and chunks:
connect, createStream, play, then nothing but listening.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from typing import Self

from tests.peers.waiting import until

from whipway.protocol.rtmp import amf0, messages
from whipway.protocol.rtmp.authentication import Authenticator
from whipway.protocol.rtmp.chunk import MAX_MESSAGE_BYTES
from whipway.protocol.rtmp.client import Event, Failed, Publisher, Publishing
from whipway.protocol.rtmp.handshake import ClientHandshake
from whipway.protocol.rtmp.link import Link
from whipway.protocol.rtmp.messages import Message, MessageType

HOST = "127.0.0.1"
CONNECT, CREATE_STREAM, PLAY = 1.0, 2.0, 3.0
"""Transaction ids of the player."""
MEDIA = (MessageType.AUDIO, MessageType.VIDEO)

AUDIO_HEADER = b"\xaf\x00\x11\x90"
VIDEO_HEADER = b"\x17\x00\x00\x00\x00configuration"
KEYFRAME = b"\x17\x01\x00\x00\x00"
PICTURE = b"\x27\x01\x00\x00\x00"
SOUND = b"\xaf\x01"
METADATA: dict[str, amf0.Value] = {"width": 320.0, "height": 180.0}


class RtmpClient(asyncio.Protocol, ABC):
    """What both have in common."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.lost = False
        """The connection is over, by whoever's doing."""

    @property
    def connected(self) -> asyncio.Transport:
        assert self.transport is not None
        return self.transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    @abstractmethod
    def flush(self) -> None:
        """Write what there is to write."""

    async def close(self) -> None:
        """Close the connection and wait for its end."""
        self.connected.close()
        await until(lambda: self.lost)

    async def abort(self) -> None:
        """Break the connection off without a word."""
        self.connected.abort()
        await until(lambda: self.lost)


class RtmpPublisher(RtmpClient):
    """Publishes `name` in `app`."""

    def __init__(self, port: int, app: str, name: str, authenticator: Authenticator | None = None) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.machine = Publisher(
            app=app,
            tc_url=f"rtmp://{HOST}:{port}/{app}",
            stream_name=name,
            random=os.urandom,
            now=0.0,
            authenticator=authenticator,
        )

    @classmethod
    async def connect(
        cls, port: int, name: str, app: str = "live", authenticator: Authenticator | None = None
    ) -> Self:
        """Connect and wait for the server's word: see `events`."""
        publisher = cls(port, app, name, authenticator)
        await asyncio.get_running_loop().create_connection(lambda: publisher, HOST, port)
        await until(lambda: publisher.events or publisher.lost)
        return publisher

    @property
    def publishing(self) -> bool:
        return self.events == [Publishing()]

    @property
    def failure(self) -> Failed | None:
        return next((event for event in self.events if isinstance(event, Failed)), None)

    def data_received(self, data: bytes) -> None:
        self.machine.receive_data(data, 0.0)
        self.events += self.machine.events()
        self.flush()

    def flush(self) -> None:
        self.connected.write(b"".join(self.machine.data_to_send()))

    def start(self) -> None:
        """Send metadata and both sequence headers."""
        metadata = amf0.encode("@setDataFrame", "onMetaData", amf0.EcmaArray(METADATA))
        self.machine.send_data(0, metadata)
        self.machine.send_audio(0, AUDIO_HEADER)
        self.machine.send_video(0, VIDEO_HEADER)
        self.flush()

    def video(self, timestamp: int, *, keyframe: bool = False, size: int = 20) -> bytes:
        """Send a picture unlike every other; returns its body."""
        head = KEYFRAME if keyframe else PICTURE
        body = head + timestamp.to_bytes(4, "big") + bytes(size)
        self.machine.send_video(timestamp, body)
        self.flush()
        return body

    def audio(self, timestamp: int) -> bytes:
        """Send a sound unlike every other; returns its body."""
        body = SOUND + timestamp.to_bytes(4, "big")
        self.machine.send_audio(timestamp, body)
        self.flush()
        return body

    async def end(self) -> None:
        """End the publish and the connection politely."""
        self.machine.close()
        self.flush()
        await self.close()


class RtmpPlayer(RtmpClient):
    """Plays `name` in `app`."""

    def __init__(self, port: int, app: str, name: str) -> None:
        super().__init__()
        self.statuses: list[str] = []
        """Codes of the server's status messages, in their order."""
        self.messages: list[Message] = []
        """Audio, video and metadata, in their order."""
        self._link = Link(ClientHandshake(os.urandom), MAX_MESSAGE_BYTES)
        self._tc_url = f"rtmp://{HOST}:{port}/{app}"
        self._app = app
        self._name = name
        self._asked = False

    @classmethod
    async def connect(cls, port: int, name: str, app: str = "live") -> Self:
        """Connect; what comes of it is in `statuses`."""
        player = cls(port, app, name)
        await asyncio.get_running_loop().create_connection(lambda: player, HOST, port)
        return player

    @property
    def bodies(self) -> list[bytes]:
        """Bodies of audio and video."""
        return [message.payload for message in self.messages if message.type_id in MEDIA]

    @property
    def metadata(self) -> list[amf0.Value]:
        """The values of each onMetaData."""
        data = [amf0.decode(message.payload) for message in self.messages if message.type_id not in MEDIA]
        return [values[1] for values in data if values[0] == "onMetaData"]

    async def wait_for(self, *bodies: bytes) -> None:
        """Wait until the last bodies that came are these."""
        await until(lambda: self.bodies[-len(bodies) :] == [*bodies])

    async def wait_for_status(self, code: str) -> None:
        """Wait for a status of the server's."""
        await until(lambda: code in self.statuses)

    def data_received(self, data: bytes) -> None:
        received = self._link.receive(data)
        if self._link.ready and not self._asked:
            self._asked = True
            self._link.send(messages.command("connect", CONNECT, {"app": self._app, "tcUrl": self._tc_url}))
        for message in received:
            self._take(message)
        self.flush()

    def flush(self) -> None:
        self.connected.write(b"".join(self._link.data_to_send()))

    def send(self, message: Message) -> None:
        """Send anything."""
        self._link.send(message)
        self.flush()

    def _take(self, message: Message) -> None:
        if message.type_id != MessageType.COMMAND:
            self.messages.append(message)
            return
        command = messages.parse_command(message)
        if command.name == "onStatus":
            self.statuses.append(messages.parse_status(command).code)
        elif command.transaction_id == CONNECT:
            self._link.send(messages.command("createStream", CREATE_STREAM, None))
        elif command.transaction_id == CREATE_STREAM:
            self._link.send(messages.command("play", PLAY, None, self._name, stream_id=1))
