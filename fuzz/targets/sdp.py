"""Any body is a session description or raises ParseError(SDP_MALFORMED); one that is written out reads back
the same; as an offer it is negotiated or refused with one printable sentence, and the answer to it is a
description with as many media descriptions, each of the same kind and mid, and with layers that the offer
has. There is one track for each media description that is taken, or for each of its layers."""

from dataclasses import replace
from pathlib import Path

from whipway.failures import DropReason, ParseError
from whipway.protocol.sdp.answer import NegotiationError, build_answer, negotiate
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.protocol.sdp.description import Description, parse_description
from whipway.protocol.sdp.grammar import MAX_BODY_BYTES, MAX_LINES
from whipway.protocol.sdp.simulcast import MAX_LAYERS, Simulcast

OFFERS = Path(__file__).parents[2] / "tests" / "data" / "offers"
FINGERPRINT = ":".join(["AB"] * 32)
MAX_VIDEO = 4
CANDIDATES = [HostCandidate("192.0.2.1", 5000), HostCandidate("2001:db8::1", 5000, "tcp")]


def target(data: bytes) -> bool:
    try:
        description = parse_description(data)
    except ParseError as error:
        assert error.reason is DropReason.SDP_MALFORMED
        return False
    _check_round_trip(description)
    try:
        negotiation = negotiate(description, MAX_VIDEO)
    except NegotiationError as refusal:
        assert refusal.detail.isprintable() and len(refusal.detail) < 500
        return True
    body = build_answer(
        negotiation,
        ufrag="ufrag",
        pwd="a password of twenty-four".replace(" ", "+"),
        fingerprint=FINGERPRINT,
        candidates=CANDIDATES,
        session_id=1,
        ice_options=("ice2",),
    )
    answer = parse_description(body)
    _check_answer(description, answer)
    expected: list[tuple[str | None, str | None]] = []
    for media in answer.media:
        if media.port:
            expected += [(media.mid, layer.id) for layer in media.rids] or [(media.mid, None)]
    assert [(track.mid, track.rid) for track in negotiation.tracks] == expected
    return True


def _check_round_trip(description: Description) -> None:
    written = description.serialize()
    # What stands once for the session is written in each media description, which may be too much.
    if len(written) > MAX_BODY_BYTES or written.count("\n") >= MAX_LINES:
        return
    # These are an offerer's and never written.
    media = tuple(
        replace(section, ssrcs=(), ssrc_groups=(), extmap_allow_mixed=False) for section in description.media
    )
    assert parse_description(written) == replace(description, media=media)


def _check_answer(offer: Description, answer: Description) -> None:
    assert [(media.kind, media.mid) for media in answer.media] == [
        (media.kind, media.mid) for media in offer.media
    ]
    accepted = [media for media in answer.media if media.port]
    assert accepted and all(media.codecs and media.fingerprints and media.ice_pwd for media in accepted)
    assert sum(bool(media.candidates) for media in accepted) == 1
    for offered, media in zip(offer.media, answer.media, strict=True):
        if not media.port:
            continue
        assert set(media.codecs) <= set(offered.codecs)
        layers = [layer.id for layer in media.rids]
        assert len(layers) == len(set(layers)) <= MAX_LAYERS
        assert set(layers) <= {layer.id for layer in offered.rids}
        assert media.simulcast == Simulcast(recv=tuple((layer,) for layer in layers))


def seeds() -> list[bytes]:
    offers = [path.read_bytes() for path in sorted(OFFERS.glob("*.sdp"))]
    return [*offers, *(offer.replace(b"\r\n", b"\n") for offer in offers[:1])]
