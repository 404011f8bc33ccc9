"""Stored offers of real senders, and descriptions made of parts, for the tests of this folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from whipway.protocol.sdp.answer import Negotiation, negotiate
from whipway.protocol.sdp.description import (
    Codec,
    Description,
    MediaDescription,
    Mid,
    PayloadType,
    parse_description,
)
from whipway.protocol.sdp.grammar import Direction, ExtMap, Fingerprint, Setup
from whipway.protocol.sdp.tracks import TrackDescription

OFFERS = Path(__file__).parents[3] / "data" / "offers"
STORED = {path.stem: path.read_bytes() for path in OFFERS.glob("*.sdp")}
ACCEPTED = sorted(STORED.keys() - {"firefox_without_h264"})
MAX_VIDEO = 4
"""As many video media descriptions as a server takes by default."""


def offer(name: str) -> Description:
    return parse_description(STORED[name])


def negotiated(name: str) -> Negotiation:
    return negotiate(offer(name), MAX_VIDEO)


def changed(name: str, old: str, new: str) -> Description:
    text = STORED[name].decode()
    assert old in text
    return parse_description(text.replace(old, new))


def section(kind: str, **fields: Any) -> MediaDescription:
    """A section that is accepted unless `fields` spoil it."""
    codec = {
        "audio": Codec(PayloadType(111), "opus", 48_000, 2),
        "video": Codec(PayloadType(96), "H264", 90_000),
    }.get(kind)
    default = MediaDescription(
        kind=kind,
        port=9,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=(str(codec.payload_type) if codec else "98",),
        mid=Mid(kind),
        direction=Direction.SENDONLY,
        codecs={codec.payload_type: codec} if codec else {},
        ice_ufrag="peer",
        ice_pwd="p" * 22,
        fingerprints=(Fingerprint("sha-256", b"\x01" * 32),),
        setup=Setup.ACTPASS,
        rtcp_mux=True,
    )
    return replace(default, **fields)


def described(*sections: MediaDescription, bundle: tuple[str, ...] = ("audio", "video")) -> Description:
    return Description(session_id=1, bundle=tuple(Mid(mid) for mid in bundle), media=sections)


def extmap(*extensions: tuple[int, str]) -> dict[str, ExtMap]:
    return {uri: ExtMap(number, Direction.SENDRECV, uri) for number, uri in extensions}


def h264(payload_type: int, *feedback: str, mode: str = "1") -> Codec:
    return Codec(PayloadType(payload_type), "H264", 90_000, 1, {"packetization-mode": mode}, feedback)


def track_of(negotiation: Negotiation, kind: str) -> TrackDescription:
    return next(track for track in negotiation.tracks if track.kind == kind)
