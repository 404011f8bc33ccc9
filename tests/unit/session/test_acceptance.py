"""From offer to session and answer."""

from random import Random

import pytest
from tests.peers.whip_client import WhipClient

from whipway.failures import DropReason, ParseError
from whipway.protocol.dtls import generate_certificate
from whipway.protocol.sdp.answer import NegotiationError, Refusal
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.protocol.sdp.description import parse_description
from whipway.protocol.sdp.grammar import Setup
from whipway.session.acceptance import Accepted, accept_offer
from whipway.session.session import SessionState, Timeouts

CERTIFICATE = generate_certificate()
CANDIDATES = [HostCandidate("192.0.2.1", 5000), HostCandidate("192.0.2.1", 5000, "tcp")]


def accept(offer: str, seed: int = 1) -> Accepted:
    return accept_offer(
        offer,
        certificate=CERTIFICATE,
        candidates=CANDIDATES,
        timeouts=Timeouts(setup=3.0),
        random=Random(seed).randbytes,
        now=100.0,
    )


def test_the_session_waits_for_its_client():
    accepted = accept(WhipClient().offer)
    assert accepted.session.state is SessionState.CONNECTING
    assert accepted.session.deadline(100.0) == 103.0
    assert [track.description for track in accepted.session.receiver.tracks] == list(accepted.tracks)
    assert [track.kind for track in accepted.tracks] == ["audio", "video"]
    assert len(accepted.session.feedback.requests) == 1


def test_the_answer_tells_the_client_where():
    accepted = accept(WhipClient().offer)
    answer = parse_description(accepted.answer)
    assert answer.ice_lite
    assert 0 <= answer.session_id < 2**63
    first = answer.media[0]
    assert (first.ice_ufrag,) == accepted.session.ice.ufrags
    assert first.ice_options == ("trickle", "ice2")
    assert [(each.address, each.port, each.transport) for each in first.candidates] == CANDIDATES
    assert first.fingerprints[0].digest.hex(":").upper() == CERTIFICATE.fingerprint


def test_the_offers_own_candidates_are_counted():
    candidates = "".join(f"a=candidate:1 1 udp 1 {host} 9 typ host\r\n" for host in ("192.0.2.9", "x.local"))
    ice = accept(WhipClient().offer + candidates).session.ice
    assert (ice.candidates, ice.candidates_discarded) == (1, 1)


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("actpass", Setup.PASSIVE), ("active", Setup.PASSIVE), ("passive", Setup.ACTIVE)],
)
def test_dtls_role(offered, answered):
    client = WhipClient(setup=offered)
    accepted = accept(client.offer)
    assert parse_description(accepted.answer).media[0].setup is answered
    client.take_answer(accepted.answer, 100.0)
    # Who is the client of DTLS says hello as soon as there is an address.
    accepted.session.receive_datagram(client.stun(), client.address, 100.0)
    firsts = [data[0] for data, _ in accepted.session.datagrams_to_send()]
    assert firsts == ([1, 22] if answered is Setup.ACTIVE else [1])


def test_every_session_has_its_own_secrets():
    one, same, other = accept(WhipClient().offer), accept(WhipClient().offer), accept(WhipClient().offer, 2)
    assert one.answer == same.answer
    assert one.session.ice.ufrags != other.session.ice.ufrags
    assert one.session.ice.etag != other.session.ice.etag
    sessions = [parse_description(accepted.answer) for accepted in (one, other)]
    assert sessions[0].session_id != sessions[1].session_id
    assert sessions[0].media[0].ice_pwd != sessions[1].media[0].ice_pwd


def test_what_is_not_sdp():
    with pytest.raises(ParseError) as caught:
        accept("hello")
    assert caught.value.reason is DropReason.SDP_MALFORMED


def test_what_is_not_acceptable():
    with pytest.raises(NegotiationError) as caught:
        accept(WhipClient().offer.replace("H264", "VP8"))
    assert caught.value.kind is Refusal.UNSUPPORTED
