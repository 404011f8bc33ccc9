"""A whole gateway, as it makes itself of its settings, with two things played: HTTP, which needs no socket
here, and DNS.

`tests/web/conftest.py` has it as the fixture `served`, with the settings that a server has of itself. A test
that needs others opens one of its own: `async with serving(settings) as served`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp
from tests.peers.rtmp_client import HOST

from whipway.config import Settings
from whipway.gateway import Gateway, media_workers
from whipway.gateway import gateway as gateway_module
from whipway.pool.pool import WorkerPool
from whipway.streams.access.admission import Admission
from whipway.streams.access.key_tokens import KeyTokens
from whipway.streams.sessions import SessionDirectory
from whipway.web.services import Services
from whipway.worker.egress import EgressPolicy
from whipway.worker.worker import Worker

OFFERS = Path(__file__).parents[1] / "data" / "offers"
BASE = "https://whip.example"
ENDPOINT = "/p/webrtc"
TARGET = "rtmp://127.0.0.1:1935/live"
QUERY = f"stream_name=one&stream_url={TARGET}"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"
OFFER = (OFFERS / "obs.sdp").read_text()
NAMES = {"localhost": ["127.0.0.1"], "public.example": ["93.184.215.14"], "private.example": ["10.0.0.7"]}
"""All of DNS that there is; any other name does not resolve."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "http": {"port": 0},
    "media": {"port": 0},
    "rtmp": {"port": 0},
    "database": {"url": SecretStr("sqlite://")},
    # Where tests listen, and what only looks like the world.
    "egress": {"allow": ["public", "127.0.0.0/8", "::1"]},
    # How busy the machine is must not decide on an answer.
    "session": {"max_sessions": 20, "max_worker_load": 0.0},
}
"""What differs from a server's own defaults, where a test's settings do not say it."""


def complete(given: Settings) -> Settings:
    """The settings of a test, on free ports; without authentication unless they speak of it."""
    sections: dict[str, Any] = {}
    for name, defaults in DEFAULTS.items():
        section = getattr(given, name)
        missing = {key: value for key, value in defaults.items() if key not in section.model_fields_set}
        sections[name] = section.model_copy(update=missing)
    if "workers" not in given.model_fields_set:
        sections["workers"] = 0
    if "auth" not in given.model_fields_set:
        sections["auth"] = given.auth.model_copy(update={"enabled": "off"})
    return given.model_copy(update=sections)


async def resolve(host: str, _port: int) -> list[str]:
    """Look a name up in NAMES."""
    if host not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return NAMES[host]


class PlayedHttpServer:
    """In the place of `HttpServer`: has the application, and serves nobody by itself."""

    started = True

    def __init__(self, app: ASGIApp, sock: socket.socket, _tls: object = None) -> None:
        self.app = app
        self._sock = sock
        self._over = asyncio.Event()

    @property
    def should_exit(self) -> bool:
        return self._over.is_set()

    @should_exit.setter
    def should_exit(self, _: bool) -> None:
        self._over.set()

    async def serve(self) -> None:
        with self._sock:
            await self._over.wait()


class _Gateway(Gateway):
    """May be given who decides on publishers, for tests that play the time; else the settings say it."""

    def __init__(self, settings: Settings, admission: Admission | None) -> None:
        super().__init__(settings)
        self._given = admission

    def _make_admission(self, keys: KeyTokens) -> Admission | None:
        return self._given or super()._make_admission(keys)


class Served:
    """The gateway and its parts; `http` is a client of it."""

    def __init__(self, settings: Settings | None = None, *, admission: Admission | None = None) -> None:
        self.gateway = _Gateway(complete(settings or Settings()), admission)

    async def start(self) -> None:
        """Start the gateway."""
        with (
            patch.object(gateway_module, "HttpServer", PlayedHttpServer),
            patch.object(media_workers, "EgressPolicy", partial(EgressPolicy, resolve=resolve)),
        ):
            await self.gateway.start()
        gateway: Any = self.gateway
        self.pool: WorkerPool = gateway._parts.workers
        self.worker: Worker = gateway._parts.workers.members[0].worker
        self.directory: SessionDirectory = gateway._parts.sessions
        self.services: Services = gateway.services
        self.app: FastAPI = gateway._https[0].app
        self.bintu_app: FastAPI | None = gateway._https[1].app if len(gateway._https) > 1 else None
        self.http = self.client()
        self.admin_key = gateway.first_key or ""
        self.admin = self.client(headers={"Authorization": f"Bearer {self.admin_key}"})

    async def stop(self) -> None:
        """Stop the gateway, unless that was done before; the application still answers."""
        if not self.gateway._https[0].should_exit:
            await self.gateway.stop()

    def client(
        self,
        app: Callable[..., Any] | None = None,
        address: str = HOST,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.AsyncClient:
        """HTTP from this address, perhaps to another application over the same sessions."""
        transport = httpx.ASGITransport(app or self.app, client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    async def post(self, query: str = QUERY, content: Any = OFFER, **headers: str | bytes) -> httpx.Response:
        """Send an offer; the query goes out byte for byte as it stands here."""
        url = httpx.URL(BASE).copy_with(raw_path=f"{ENDPOINT}?{query}".encode())
        return await self.http.post(url, content=content, headers={**SDP, **_names(headers)})

    async def patch(self, path: str, content: Any, **headers: str | bytes) -> httpx.Response:
        """Send a fragment to a session, conditional on any ICE session unless told otherwise."""
        defaults: dict[str, str | bytes] = {"Content-Type": FRAGMENT_TYPE, "If-Match": "*"}
        return await self.http.patch(path, content=content, headers=defaults | _names(headers))

    async def session(self, name: str = "one", **headers: str) -> str:
        """The path of a new session."""
        response = await self.post(f"stream_name={name}&stream_url={TARGET}", **headers)
        assert response.status_code == 201, response.text
        return str(response.headers["location"]).removeprefix(BASE)

    @property
    def is_empty(self) -> bool:
        """Whether no session is left anywhere."""
        return self.directory.live_count == len(self.worker._broadcasts) == 0


def _names(headers: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def serving(
    settings: Settings | None = None, *, admission: Admission | None = None
) -> AsyncIterator[Served]:
    """Run a Served and leave nothing behind."""
    served = Served(settings, admission=admission)
    await served.start()
    try:
        async with served.http, served.admin:
            yield served
    finally:
        await served.stop()
    assert served.is_empty


def assert_problem(
    response: httpx.Response, status: int, code: str, parameter: str | None = None
) -> dict[str, Any]:
    """Check a problem document (RFC 9457, section 3) and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    document: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "code"} <= document.keys()
    assert (document["status"], document["code"]) == (status, code)
    assert all(isinstance(document[name], str) and document[name] for name in ("type", "title", "detail"))
    assert document.get("parameter") == parameter
    return document
