"""A small HTTP server on loopback that notes what it is asked and answers what it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl


@dataclass
class HttpRequest:
    """One request; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)


@dataclass
class HttpServer:
    """Serves one request a connection. While `is_open` is not set, it reads and does not answer."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    requests: list[HttpRequest] = field(default_factory=list)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await self._read(reader))
            await self.is_open.wait()
            headers = {"Content-Length": str(len(self.body)), **self.headers}
            head = [f"HTTP/1.1 {self.status} Told", *(f"{name}: {text}" for name, text in headers.items())]
            writer.write("\r\n".join([*head, "", ""]).encode() + self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client has left.
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> HttpRequest:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return HttpRequest(method, path, headers, body)


@asynccontextmanager
async def http_server() -> AsyncIterator[HttpServer]:
    """A server that answers 200 with nothing."""
    peer = HttpServer()
    peer.is_open.set()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        peer.is_open.set()
        server.close()
        await server.wait_closed()
