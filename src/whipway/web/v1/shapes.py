"""What answers of the API are made of: plain dictionaries, of the values that the rest of this server has.

Times are ISO 8601, UTC, with milliseconds. `openapi_shapes` describes all of it.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from fastapi import Request

from whipway.streams.publications import Publication
from whipway.streams.records import KeyRecord, Organisation, StateChange, StreamRecord, Webhook, utc_now
from whipway.streams.session_publications import session_handle
from whipway.streams.stream_shapes import describe, iso
from whipway.web.stream_urls import StreamUrls, masked_push_url

__all__ = [
    "StreamShapes",
    "WallClock",
    "change_document",
    "iso",
    "key_document",
    "leading",
    "organisation_document",
    "webhook_document",
]

MAX_DRIFT = timedelta(seconds=0.5)
"""Between the clocks of a machine, after which somebody has set one of them."""


class Publishers(Protocol):
    """What this module needs of the stream directory."""

    def publications_of(self, record: StreamRecord) -> Sequence[Publication]:
        """Who publishes a stream now."""
        ...


class StreamShapes:
    """Makes the Stream object, which several operations answer with."""

    def __init__(self, urls: StreamUrls, publishers: Publishers) -> None:
        self._urls = urls
        self._publishers = publishers
        self._clock = WallClock()

    def stream(
        self, record: StreamRecord, request: Request, *, is_shown_in_full: bool = True
    ) -> dict[str, Any]:
        """A stream, with URLs as the client of a request reaches them.

        Not in full: without how it is published, and by whom, for those who play it.
        """
        name = record.name
        full = is_shown_in_full
        return {
            **describe(record),
            "push_url": masked_push_url(record.push_url) if record.push_url and full else None,
            "ingest": self._ingest(name, request) if full else {"whip": None, "rtmp": None},
            "playout": self._playout(name, request),
            "publisher": self._publisher(record) if full else None,
        }

    def _ingest(self, name: str, request: Request) -> dict[str, Any]:
        whip, rtmp = self._urls.whip(request, name), self._urls.rtmp(request, name)
        return {"whip": {"url": whip} if whip else None, "rtmp": rtmp._asdict() if rtmp else None}

    def _playout(self, name: str, request: Request) -> dict[str, Any]:
        rtmp = self._urls.rtmp(request, name)
        return {"rtmp": [rtmp._asdict()] if rtmp else [], "flv": self._urls.flv(request, name), "web": []}

    def _publisher(self, record: StreamRecord) -> dict[str, Any] | None:
        first = leading(self._publishers.publications_of(record))
        if first is None:
            return None
        return {
            "kind": first.kind,
            "session": None if first.session_id is None else session_handle(first.session_id),
            "since": iso(self._clock.at(first.began_at)),
            "client": first.client,
        }


def leading(publications: Sequence[Publication]) -> Publication | None:
    """The one whose media came first, if there are several; before any came, who began first."""
    return min(
        publications,
        key=lambda each: (each.live_since is None, each.live_since or each.began_at),
        default=None,
    )


class WallClock:
    """Tells monotonic times as people do, and the same time in the same words each time it is asked."""

    def __init__(self) -> None:
        self._began_at = _clock_start()

    def at(self, monotonic: float) -> datetime:
        """When a time of `time.monotonic` was."""
        began_at = _clock_start()
        if abs(began_at - self._began_at) > MAX_DRIFT:
            self._began_at = began_at
        return self._began_at + timedelta(seconds=monotonic)


def _clock_start() -> datetime:
    return utc_now() - timedelta(seconds=time.monotonic())


def change_document(change: StateChange) -> dict[str, Any]:
    """A stream has entered a state."""
    return {"state": change.state.value, "at": iso(change.at), "reason": change.reason}


def key_document(key: KeyRecord) -> dict[str, Any]:
    """What is known of a key: all but the key."""
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "stream_id": key.stream_id,
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
        "revoked_at": iso(key.revoked_at),
        "used_at": iso(key.used_at),
    }


def webhook_document(webhook: Webhook) -> dict[str, Any]:
    """A webhook, without the secret."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": [*webhook.events],
        "created_at": iso(webhook.created_at),
    }


def organisation_document(organisation: Organisation, *, with_webhook: bool) -> dict[str, Any]:
    """The organisation. The URL of its webhook may hold a secret: not everybody is shown it."""
    return {
        "id": organisation.id,
        "name": organisation.name,
        "hash": organisation.hash,
        "webhook": organisation.webhook if with_webhook else None,
        "created_at": iso(organisation.created_at),
    }
