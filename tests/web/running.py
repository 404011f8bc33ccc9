"""A gateway as it runs, with a real HTTP server, and what tests want to know of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from whipway.config import load_settings
from whipway.gateway import Gateway

GET_ENDLESS = b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"
FREE_PORTS = {
    "http.port": "0",
    "media.port": "0",
    "rtmp.port": "0",
    "database.url": "sqlite://",
    "workers": "0",
}


class RunningGateway:
    """Made of `flags` as the command line has them, on free ports; whoever holds it starts and stops it."""

    def __init__(self, flags: dict[str, str] | None = None) -> None:
        self.gateway = Gateway(load_settings(flags=FREE_PORTS | (flags or {})))
        self.is_stopped = False

    @property
    def state(self) -> Any:
        """What uvicorn keeps of its connections and requests."""
        return self.gateway._https[0].server_state

    @property
    def app(self) -> FastAPI:
        """The application, to add routes to."""
        app = self.gateway._https[0].config.app
        assert isinstance(app, FastAPI)
        return app

    def add_endless_route(self) -> None:
        """Answer GET_ENDLESS without end."""

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield bytes(100_000)
                await asyncio.sleep(0)  # A file takes its time as well.

        self.app.add_api_route("/endless", lambda: StreamingResponse(endless()))

    async def stop(self) -> float:
        """Stop the gateway and return the seconds that took."""
        self.is_stopped = True
        begin = asyncio.get_running_loop().time()
        await self.gateway.stop()
        return asyncio.get_running_loop().time() - begin
