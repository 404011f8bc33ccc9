"""The connection of one sink: by TCP or TLS to the RTMP server that it names, if that one is allowed."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable

from whipway.protocol.rtmp.url import RtmpUrl
from whipway.relay.muxer import Tag
from whipway.relay.sink import Sink, SinkEvent
from whipway.tcp import StreamDriver
from whipway.worker.egress import EgressPolicy, EgressRefused

CONNECT_TIMEOUT = 8.0
"""Seconds. Below the publisher's own patience, so that a host that does not answer is called just that."""
ADDRESS_TIMEOUT = 3.0
"""Seconds for one of several addresses, two attempts of TCP (RFC 6298: after one second), before the next."""


class SinkConnection(StreamDriver[Sink]):
    """Connects as soon as it is made. `on_event` is called with every event of the sink."""

    def __init__(
        self, sink: Sink, url: RtmpUrl, on_event: Callable[[SinkEvent], None], egress: EgressPolicy
    ) -> None:
        super().__init__(sink)
        self._url = url
        self._on_event = on_event
        self._egress = egress
        self._connecting: asyncio.Task[None] | None = self.loop.create_task(self._connect())

    def push(self, tags: list[Tag]) -> None:
        """Send tags, or keep them until the server has accepted the stream."""
        self.machine.push(tags, self.backlog_bytes, self.loop.time())
        self.drain()

    def close(self) -> None:
        """End the publish politely and the connection after it. Nothing is reported afterwards."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.machine.close()
        self.drain()
        self.close_soon()

    def handle_events(self) -> None:
        for event in self.machine.events():
            self._on_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.machine.fail("connection_lost", _explain("the connection to the RTMP server was lost", exc))
        self.drain()

    async def _connect(self) -> None:
        name = f"{self._url.host}:{self._url.port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._open(await self._reach())
        except EgressRefused as refusal:
            self.machine.fail("egress_refused", str(refusal))
        except TimeoutError:
            self.machine.fail(
                "unreachable", f"the RTMP server {name} did not answer in {CONNECT_TIMEOUT:.0f} s"
            )
        except OSError as error:  # ssl.SSLError and socket.gaierror are OSErrors.
            self.machine.fail("unreachable", _explain(f"no connection to the RTMP server {name}", error))
        self._connecting = None
        self.drain()

    async def _reach(self) -> socket.socket:
        """Connect to one of the addresses that the policy allows, never to the name, which may change."""
        *others, last = await self._egress.addresses(self._url.host, self._url.port)
        for address in others:
            with contextlib.suppress(OSError):  # TimeoutError is one.
                async with asyncio.timeout(ADDRESS_TIMEOUT):
                    return await self._connect_to(address)
        return await self._connect_to(last)

    async def _connect_to(self, address: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await self.loop.sock_connect(sock, (address, self._url.port))
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError) and error.errno is not None:
                # The loop's own words hold the address, which may be one that only this side is to know.
                raise OSError(error.errno, os.strerror(error.errno)) from None
            raise
        return sock

    async def _open(self, sock: socket.socket) -> None:
        """Give the socket to the loop. A certificate must be good for the host that the URL names."""
        tls = self._url.tls
        await self.loop.create_connection(
            lambda: self,
            sock=sock,
            ssl=ssl.create_default_context() if tls else None,
            server_hostname=self._url.host if tls else None,
        )


def _explain(what: str, error: Exception | None) -> str:
    return f"{what}: {error.strerror or error}" if isinstance(error, OSError) else what
