"""What a session reports: it is connected, it received a unit of media, it is over.

Media units are the `AccessUnit` and `AudioFrame` of the media package; the two other events stand here.
"""

from dataclasses import dataclass
from enum import StrEnum

from whipway.media.unit import AccessUnit, AudioFrame


class EndReason(StrEnum):
    """Why a session is over. The value is the word seen in the API and in logs."""

    DELETED = "deleted"
    """The client sent DELETE to the session URL."""
    REPLACED = "replaced"
    """A new publisher took over the stream."""
    CLIENT_CLOSED = "client_closed"
    """The client ended DTLS (close_notify) or RTP (BYE)."""
    SETUP_TIMEOUT = "setup_timeout"
    """ICE or DTLS did not come about in time."""
    SILENCE = "silence"
    """Nothing authentic came from the client for too long."""
    DTLS_FAILED = "dtls_failed"
    """The handshake failed: wrong certificate, no common SRTP profile, an alert."""
    SINK_FAILED = "sink_failed"
    """The RTMP server refused the stream or went away."""
    SHUTDOWN = "shutdown"
    """This server is stopping."""
    INTERNAL_ERROR = "internal_error"
    """A bug in this server; the log has a traceback."""


@dataclass(frozen=True, slots=True)
class Connected:
    """ICE and DTLS are up; media may come at any moment."""

    srtp_profile: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over; no event follows."""

    reason: EndReason
    detail: str = ""


Event = Connected | AccessUnit | AudioFrame | Ended
