"""What tests of the API have in common: callers of every role, and streams at work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.peers.databases import databases
from tests.web.served import Served

from whipway.streams.publications import Publication
from whipway.streams.records import Role

on_both = pytest.mark.parametrize("served", databases(), indirect=True)
"""For tests of what the database does: on each kind of it."""
UNKNOWN_ID = "00000000-0000-0000-0000-000000000000"


async def client(served: Served, role: Role, **more: Any) -> httpx.AsyncClient:
    """HTTP with a new key of this role."""
    secret, _ = await served.services.keys.create("test", role, **more)
    found = served.client()
    found.headers["Authorization"] = f"Bearer {secret}"
    return found


async def create(served: Served, *tags: str) -> dict[str, Any]:
    """A new stream, as the API answers."""
    response = await served.admin.post("/v1/streams", json={"tags": tags})
    assert response.status_code == 201, response.text
    stream: dict[str, Any] = response.json()
    return stream


@contextmanager
def published(served: Served, name: str, *, live: bool = True) -> Iterator[Publication]:
    """Somebody publishes a stream by RTMP, as the origin would tell."""
    publications = served.services.publications
    publication = publications.begin(
        "rtmp",
        app="live",
        stream_name=name,
        client="192.0.2.7",
        stream_url="rtmp://127.0.0.1/live",
        is_here=True,
    )
    if live:
        publications.first_frame(publication)
    try:
        yield publication
    finally:
        publications.over(publication, "unpublished")
