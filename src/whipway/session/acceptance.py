"""From a WHIP offer to a session that waits for its client, and the answer that tells the client where."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from whipway.protocol.dtls import Certificate, DtlsTransport, Fingerprint
from whipway.protocol.ice import IceAgent, generate_credentials
from whipway.protocol.sdp.answer import build_answer, negotiate
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.protocol.sdp.description import parse_description
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.feedback import Feedback
from whipway.session.ice_session import ICE_OPTIONS, IceSession
from whipway.session.receiver import Receiver
from whipway.session.session import Session, Timeouts
from whipway.session.transport import Transport


class Accepted(NamedTuple):
    """An accepted offer."""

    session: Session
    answer: str
    tracks: tuple[TrackDescription, ...]


def accept_offer(
    offer: str,
    *,
    certificate: Certificate,
    candidates: Sequence[HostCandidate],
    timeouts: Timeouts,
    random: Callable[[int], bytes],
    now: float,
    max_video: int = 1,
) -> Accepted:
    """Judge an offer, of which `max_video` video sections are taken.

    Raises ParseError when it is not SDP, NegotiationError when it is not acceptable.
    """
    description = parse_description(offer)
    negotiation = negotiate(description, max_video)
    ufrag, pwd = generate_credentials(random)
    fingerprints = [Fingerprint(each.algorithm, each.digest) for each in negotiation.fingerprints]
    local_ssrc = int.from_bytes(random(4), "big")
    receiver = Receiver(negotiation.tracks, local_ssrc, timeouts.video)
    agent = IceAgent(ufrag=ufrag, pwd=pwd, remote_ufrag=negotiation.remote_ufrag)
    ice = IceSession(agent, negotiation, candidates, random)
    for media in description.media:
        ice.count(media.mid, media.candidates)
    session = Session(
        transport=Transport(
            agent, DtlsTransport(certificate, is_client=negotiation.dtls_client, fingerprints=fingerprints)
        ),
        ice=ice,
        receiver=receiver,
        feedback=Feedback(random(8).hex(), receiver),
        timeouts=timeouts,
        now=now,
    )
    answer = build_answer(
        negotiation,
        ufrag=ufrag,
        pwd=pwd,
        fingerprint=certificate.fingerprint,
        candidates=candidates,
        # RFC 9429, 5.2.1: a 63-bit number.
        session_id=int.from_bytes(random(8), "big") >> 1,
        ice_options=ICE_OPTIONS,
    )
    return Accepted(session, answer, negotiation.tracks)
