"""What the routes of the APIs work with, out of the parts that there are."""

from whipway.config import Settings
from whipway.gateway.exposure import plays_by_http
from whipway.gateway.keeping import Keeping
from whipway.gateway.parts import Parts, origin_url
from whipway.streams.access.admission import Admission
from whipway.web.auth import Guard
from whipway.web.callers import Callers
from whipway.web.services import Services
from whipway.web.stream_urls import StreamUrls


def make_services(
    settings: Settings, keeping: Keeping, parts: Parts, admission: Admission | None, *, rtmp_port: int
) -> Services:
    """One bundle for all routers."""
    stream_url = origin_url(settings, rtmp_port)
    return Services(
        settings=settings,
        database=keeping.database,
        organisation=keeping.organisation,
        events=keeping.events,
        publications=keeping.publications,
        sessions=parts.sessions,
        streams=parts.streams,
        figures=parts.figures,
        keys=keeping.keys,
        sign_ins=keeping.sign_ins,
        callers=Callers(keeping.keys, keeping.sign_ins),
        webhooks=keeping.webhooks,
        urls=StreamUrls(settings, stream_url, rtmp_port, has_flv=plays_by_http(settings)),
        guard=Guard(admission, parts.sessions, parts.rules),
        origin=parts.origin.control if parts.origin else None,
        default_stream_url=stream_url,
    )
