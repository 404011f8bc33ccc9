"""Where streams go, as far as it is decided before anything is sent there: whether that is allowed, and which
stream it is.
"""

import asyncio

import structlog

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.streams.refusals import SessionNotCreated
from whipway.streams.session_keys import stream_key
from whipway.worker.egress import EgressPolicy, EgressRefused

EGRESS_TIMEOUT = 2.0
"""Seconds to see where a stream would go. Slow DNS is no refusal: the sink looks again, and waits longer."""

log = structlog.get_logger("sessions")


class Destinations:
    """Judges the targets of streams by the egress policy."""

    def __init__(self, egress: EgressPolicy) -> None:
        self._egress = egress

    async def check(self, stream_url: str) -> None:
        """Refuse a URL to which nothing may be sent: SessionNotCreated ("egress")."""
        url = parse_rtmp_url(stream_url)
        try:
            async with asyncio.timeout(EGRESS_TIMEOUT):
                await self._egress.check(url.host, url.port)
        except EgressRefused as refusal:
            raise SessionNotCreated("egress", str(refusal)) from None
        except OSError:  # Timeouts among them.
            log.debug("the host of a stream_url does not resolve yet", host=url.host)

    def key(self, stream_url: str, stream_name: str) -> str:
        """What a target is told apart by (`session_keys`), with all of this server's addresses as one."""
        return stream_key(stream_url, stream_name, self._egress.is_own)
