"""The objects of the bintu API, with the members that its clients read.

Beyond the platform's own: `ingest.whip.url`, `playout.flv`, the times of the states, `reason`, `push_url`.
"""

from typing import Any
from urllib.parse import urlsplit

from fastapi import Request

from whipway.streams.records import Organisation, StreamRecord
from whipway.streams.stream_shapes import describe, iso
from whipway.web.stream_urls import StreamUrls, masked_push_url
from whipway.web.urls import base_url

TYPE = "live"
"""Of a stream, and of what is played; there are no others here."""
_TIMES = ("created_at", "updated_at", "live_at", "ended_at", "locked_at", "deleted_at")


class BintuShapes:
    """Makes the stream object. `http_port`: of the listener that has WHIP, where requests come to another."""

    def __init__(self, urls: StreamUrls, http_port: int | None = None) -> None:
        self._urls = urls
        self._http_port = http_port

    def stream(self, record: StreamRecord, request: Request, *, is_public: bool = False) -> dict[str, Any]:
        """A stream. `is_public`: for anybody, without how it is published."""
        described = describe(record)
        if self._http_port is not None:
            request = _at_port(request, self._http_port)
        return {
            "id": record.id,
            "state": described["state"],
            "type": TYPE,
            **{name: described[name] for name in _TIMES},
            "reason": described["reason"],
            "tags": described["tags"],
            **({} if is_public else self._publishing(record, request)),
            "playout": self._playout(record.name, request),
        }

    def _publishing(self, record: StreamRecord, request: Request) -> dict[str, Any]:
        rtmp, whip = self._urls.rtmp(request, record.name), self._urls.whip(request, record.name)
        return {
            "push_url": masked_push_url(record.push_url) if record.push_url else None,
            "ingest": {
                "rtmp": rtmp._asdict() if rtmp else None,
                "whip": {"url": whip} if whip else None,
            },
        }

    def _playout(self, name: str, request: Request) -> dict[str, Any]:
        rtmp, flv = self._urls.rtmp(request, name), self._urls.flv(request, name)
        return {
            "rtmp": [{**rtmp._asdict(), "type": TYPE}] if rtmp else [],
            "flv": [{"url": flv, "type": TYPE}] if flv else [],
            "hls": [],
            "web": [],
        }


def _at_port(request: Request, port: int) -> Request:
    """The same request as if it had come to another port of the same host."""
    host = urlsplit(base_url(request, None)).hostname or ""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [pair for pair in request.scope["headers"] if pair[0] != b"host"]
    return Request({**request.scope, "headers": [(b"host", authority.encode()), *headers]})


def organisation_document(organisation: Organisation, *, with_webhook: bool) -> dict[str, Any]:
    """The organisation. Its webhook's URL may hold a secret, and is for those who may set it."""
    webhook = {"webhook": organisation.webhook} if with_webhook else {}
    return {
        "id": organisation.id,
        "name": organisation.name,
        "hash": organisation.hash,
        "created_at": iso(organisation.created_at),
        **webhook,
    }
