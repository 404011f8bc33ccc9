"""The real application with a real worker, over its real link; HTTP alone is played, without a socket.

`tests/web/conftest.py` has it as the fixture `served`, with the settings that a server has of itself. A test
that needs others opens one of its own: `async with serving(settings=…, admission=…) as served`.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.peers.rtmp_client import HOST

from whipway.config import Settings
from whipway.streams.admission import Admission
from whipway.streams.sessions import SessionDirectory
from whipway.web.app import make_app
from whipway.worker.egress import EgressPolicy
from whipway.worker.link import LocalLink
from whipway.worker.sockets import bind_udp
from whipway.worker.worker import Worker

OFFERS = Path(__file__).parents[1] / "data" / "offers"
BASE = "https://whip.example"
ENDPOINT = "/p/webrtc"
TARGET = "rtmp://127.0.0.1:1935/live"
QUERY = f"stream_name=one&stream_url={TARGET}"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"
OFFER = (OFFERS / "obs.sdp").read_text()
MAX_SESSIONS = 20
ALLOWED = ("public", "127.0.0.0/8", "::1")
"""Where streams may go: what tests listen on, and what only looks like the world."""
NAMES = {"localhost": ["127.0.0.1"], "public.example": ["93.184.215.14"], "private.example": ["10.0.0.7"]}
"""All of DNS that there is; any other name does not resolve."""


async def resolve(host: str, _port: int) -> list[str]:
    """Look a name up in NAMES."""
    if host not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return NAMES[host]


class Served:
    """The application and what is behind it."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        admission: Admission | None = None,
        default_stream_url: str | None = TARGET,
        allow: Sequence[str] = ALLOWED,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        self.settings = settings or Settings()
        self.link = LocalLink()
        egress = EgressPolicy(allow, resolve=resolve)
        udp = bind_udp(HOST, 0)
        self.worker = Worker(
            udp,
            announced=[(HOST, udp.getsockname()[1])],
            post_event=self.link.post_event,
            setup_timeout=5.0,
            silence_timeout=5.0,
            takeover_after=2.0,
            egress=egress,
        )
        self.link.attach(self.worker)
        self.directory = SessionDirectory(
            self.link,
            lambda: secrets.token_urlsafe(24),
            max_sessions,
            takes_over=self.settings.session.on_conflict == "takeover",
            egress=egress,
            sessions_per_address=self.settings.limits.sessions_per_address,
        )
        self.app = make_app(
            self.directory, self.settings, default_stream_url=default_stream_url, admission=admission
        )
        self.http = self.client()

    def client(self, app: Callable[..., Any] | None = None, address: str = HOST) -> httpx.AsyncClient:
        """HTTP from this address, perhaps to another application over the same sessions."""
        transport = httpx.ASGITransport(app or self.app, client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url=BASE)

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
async def serving(settings: Settings | None = None, **options: Any) -> AsyncIterator[Served]:
    """Run a Served and leave nothing behind; `options` are those of Served."""
    served = Served(settings, **options)
    await served.worker.start()
    events = asyncio.create_task(served.directory.follow_events())
    async with served.http:
        yield served
    served.worker.close()
    served.link.close()
    await events
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
