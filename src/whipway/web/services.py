"""What the routes of the APIs work with, made by the gateway and handed to each router as one thing."""

from dataclasses import dataclass
from typing import Any, Protocol

from whipway.config import Settings
from whipway.streams.access.keys import KeyRing
from whipway.streams.access.sign_ins import SignIns
from whipway.streams.events import EventLog
from whipway.streams.figures import Figures
from whipway.streams.organisation import CurrentOrganisation
from whipway.streams.publications import Publications
from whipway.streams.sessions import SessionDirectory
from whipway.streams.store.database import Database
from whipway.streams.stream_directory import StreamDirectory
from whipway.streams.webhooks.webhooks import Webhooks
from whipway.web.auth import Guard
from whipway.web.callers import Callers
from whipway.web.stream_urls import StreamUrls


class OriginLooks(Protocol):
    """What routes ask the embedded origin: `origin.control.OriginControl`. Keys are APP/NAME."""

    def keyframe(self, key: str) -> bytes | None:
        """The last key frame of a stream as Annex B, parameter sets first; None: there is none."""
        ...

    def figures(self, key: str) -> dict[str, Any] | None:
        """bytes_in, bytes_out, pictures, players, width, height; None: nobody publishes that."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Every part that a route may need."""

    settings: Settings
    database: Database
    organisation: CurrentOrganisation
    events: EventLog
    publications: Publications
    sessions: SessionDirectory
    streams: StreamDirectory
    figures: Figures
    keys: KeyRing
    sign_ins: SignIns
    callers: Callers
    webhooks: Webhooks
    urls: StreamUrls
    guard: Guard
    origin: OriginLooks | None
    """None where the embedded origin is off."""
    default_stream_url: str | None
    """`stream_url` of the embedded origin, as this server itself reaches it."""
