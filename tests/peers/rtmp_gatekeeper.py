"""An RTMP server in small on real TCP that lets in one user, by `authmod=adobe` or `authmod=llnw`.

It computes what it expects by itself and shares no line with the project's own `authentication`, so that both
can be held against a third party. What servers of each kind say word for word is what encoders look for.
"""

import asyncio
import hashlib
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import unquote

from tests.peers.rtmp_client import HOST, MEDIA

from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.chunk import MAX_MESSAGE_BYTES
from whipway.protocol.rtmp.handshake import ServerHandshake
from whipway.protocol.rtmp.link import Link
from whipway.protocol.rtmp.messages import Command, MessageType

REALM, METHOD, QUALITY = "live", "publish", "auth"
REJECT = "[ AccessManager.Reject ] : "


class Gatekeeper:
    """The server: whom it lets in, who asked, what came."""

    def __init__(self, scheme: str, user: str, password: str) -> None:
        self.scheme = scheme
        self.apps: list[str] = []
        """The application of every connect."""
        self.names: list[str] = []
        """The streams that were let in."""
        self.media_messages = 0
        self.port = 0
        self.transports: set[asyncio.Transport] = set()
        self._user = user
        self._password = password
        self._challenges: set[str] = set()

    def judge(self, app: str) -> str:
        """Empty for who may come in, else the description of the rejection."""
        self.apps.append(app)
        path, _, query = app.partition("?")
        said = {key: value for key, _, value in (part.partition("=") for part in query.split("&"))}
        if said.get("authmod") != self.scheme or "user" not in said:
            return f"{REJECT}[ code=403 need auth; authmod={self.scheme} ] : "
        if unquote(said["user"]) != self._user:
            return f"{REJECT}[ authmod={self.scheme} ] : ?reason=nosuchuser"
        if "response" not in said:
            return (
                f"{REJECT}[ authmod={self.scheme} ] : ?reason=needauth&user={said['user']}{self._challenge()}"
            )
        expected = self._expect_adobe(said) if self.scheme == "adobe" else self._expect_llnw(path, said)
        if said["response"] != expected:
            return f"{REJECT}[ authmod={self.scheme} ] : ?reason=authfailed"
        return ""

    def _challenge(self) -> str:
        challenge = b64encode(os.urandom(4)).decode() if self.scheme == "adobe" else os.urandom(8).hex()
        self._challenges.add(challenge)
        if self.scheme == "llnw":
            return f"&nonce={challenge}"
        return f"&salt={SALT}&challenge={challenge}&opaque={challenge}"

    def _take(self, challenge: str) -> str:
        """It counts once."""
        if challenge not in self._challenges:
            return "none of mine"
        self._challenges.remove(challenge)
        return challenge

    def _expect_adobe(self, said: dict[str, str]) -> str:
        inner = b64encode(md5(self._user + SALT + self._password).digest()).decode()
        opaque = self._take(said["opaque"])
        return b64encode(md5(inner + opaque + said["challenge"]).digest()).decode()

    def _expect_llnw(self, path: str, said: dict[str, str]) -> str:
        instance = path if "/" in path else f"{path}/_definst_"
        user = md5(f"{self._user}:{REALM}:{self._password}").hexdigest()
        request = md5(f"{METHOD}:/{instance}").hexdigest()
        nonce = self._take(said["nonce"])
        return md5(f"{user}:{nonce}:{said['nc']}:{said['cnonce']}:{QUALITY}:{request}").hexdigest()


SALT = b64encode(b"salt").decode()


def md5(text: str) -> "hashlib._Hash":
    return hashlib.md5(text.encode(), usedforsecurity=False)


class Gate(asyncio.Protocol):
    """One connection."""

    def __init__(self, keeper: Gatekeeper) -> None:
        self._keeper = keeper
        self._link = Link(ServerHandshake(os.urandom), MAX_MESSAGE_BYTES)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no asyncio.Transport by name.
        self._transport = cast(asyncio.Transport, transport)
        self._keeper.transports.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        self._keeper.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        for message in self._link.receive(data):
            if message.type_id == MessageType.COMMAND:
                self._answer(messages.parse_command(message))
            self._keeper.media_messages += message.type_id in MEDIA
        self._transport.write(b"".join(self._link.data_to_send()))

    def _answer(self, command: Command) -> None:
        if command.name == "connect":
            rejection = self._keeper.judge(messages.connect_app(command))
            self._link.send(rejected(command, rejection) if rejection else messages.connect_success(command))
        elif command.name == "publish":
            self._keeper.names.append(messages.stream_name(command))
            self._link.send(messages.on_status("status", "NetStream.Publish.Start", "Go.", stream_id=1))
        elif command.transaction_id:
            self._link.send(messages.command("_result", command.transaction_id, None, 1))


def rejected(connect: Command, description: str) -> messages.Message:
    """How a server says no to a connect."""
    status = {"level": "error", "code": "NetConnection.Connect.Rejected", "description": description}
    return messages.command("_error", connect.transaction_id, None, status)


@asynccontextmanager
async def guarded(scheme: str, user: str, password: str) -> AsyncIterator[Gatekeeper]:
    """A server on a free loopback port, for as long as the block runs."""
    keeper = Gatekeeper(scheme, user, password)
    server = await asyncio.get_running_loop().create_server(lambda: Gate(keeper), HOST, 0)
    keeper.port = server.sockets[0].getsockname()[1]
    try:
        yield keeper
    finally:
        server.close()
        for transport in list(keeper.transports):
            transport.abort()
        await server.wait_closed()
