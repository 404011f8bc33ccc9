"""Offer in, answer out: what this server takes from a WHIP offer (RFC 9725, 4.2 and 4.4; RFC 9429, 5.3.1).

`negotiate` judges an offer and either says what will be received or refuses the whole of it: RFC 9725, 4.4.3
asks for that instead of rejecting single media descriptions. `build_answer` adds this side's transport. What
is accepted stands in the tables at the top; the answer speaks in the offer's own payload types and ids.
Which codecs, header extensions and layers are taken, and how they are answered, stands in `codecs`,
`extensions` and `simulcast`; what is received in the end, in `tracks`. Several videos are an extension of
RFC 9725, taken up to a number that the caller sets, and every other rule holds for them all the same.
Left out on purpose: several audio media descriptions, and data channels (answered as rejected).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from whipway.protocol.sdp.candidates import HostCandidate, host_candidates
from whipway.protocol.sdp.codecs import (
    NEEDED,
    TRANSPORT_CC,
    answer_codecs,
    is_retransmission,
    offered_names,
)
from whipway.protocol.sdp.description import Codec, Description, MediaDescription, Mid
from whipway.protocol.sdp.extensions import (
    LAYER_EXTENSIONS,
    RID_URI,
    TRANSPORT_CC_URI,
    ambiguous_ids,
    answer_extensions,
)
from whipway.protocol.sdp.fragment import serialize_fragment
from whipway.protocol.sdp.grammar import Direction, Fingerprint, Setup, parse_fingerprint
from whipway.protocol.sdp.simulcast import Rid, Simulcast, answer_layers
from whipway.protocol.sdp.tracks import TrackDescription, describe_tracks

HASHES = frozenset({"sha-256", "sha-384", "sha-512"})
"""RFC 8122, 5 lists weaker ones; a certificate is not trusted by those."""
PROTOCOLS = frozenset(
    {"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "RTP/SAVPF", "RTP/SAVP"}
)
"""RFC 9429, 5.1.2: with ICE and DTLS they all mean the same, and the answer repeats the one offered."""

_PORT = 9
"""The discard port: with ICE the candidates say where to (RFC 9429, 5.2.1)."""


class Refusal(StrEnum):
    """Why an offer is refused; `web/problems` turns it into a status."""

    MALFORMED = "malformed"
    """It is not an offer by the rules: 400."""
    UNSUPPORTED = "unsupported"
    """It is one, but not one this server can take: 422."""


class NegotiationError(Exception):
    """The offer is refused. `detail` is one short printable sentence for the person who made it."""

    def __init__(self, kind: Refusal, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Negotiation:
    """An accepted offer."""

    remote_ufrag: str
    remote_pwd: str
    fingerprints: tuple[Fingerprint, ...]
    """The peer's certificate must match one of them (RFC 8122, 5); all have a hash of `HASHES`."""
    dtls_client: bool
    """This side starts the DTLS handshake."""
    tracks: tuple[TrackDescription, ...]
    """In the offer's order, and the layers of each video in theirs."""
    bundle: tuple[Mid, ...]
    media: tuple[MediaDescription, ...]
    """The answer's media descriptions, one for each of the offer's, this side's transport still missing."""

    @property
    def tagged(self) -> MediaDescription:
        """The one whose candidates serve all."""
        mid = self.bundle[0] if self.bundle else self.tracks[0].mid
        return next(section for section in self.media if section.port and section.mid == mid)


def negotiate(offer: Description, max_video: int = 1) -> Negotiation:
    """Take or refuse an offer; raises `NegotiationError`. `build_answer` makes the answer of the result.

    `max_video` is how many video media descriptions are taken; with more than one that is an extension of
    RFC 9725, 4.4.2.
    """
    active = [media for media in offer.media if _is_active(media, offer.bundle)]
    _check_count(active, {"audio": 1, "video": max_video})
    for media in active:
        _check_section(media)
    bundle = _negotiate_bundle(active, offer.bundle)
    if offer.ice_lite:
        # RFC 8445, 6.1.1: between two lite agents no connectivity checks are sent.
        raise _unsupported("the offer is ICE-lite, as is this server; full ICE is needed")
    transport = _select_transport(offer, active, bundle)
    ufrag, pwd = _credentials(transport)
    ambiguous = ambiguous_ids(active)
    answered = tuple(
        _accept(media, ambiguous) if media in active else _reject(media) for media in offer.media
    )
    return Negotiation(
        remote_ufrag=ufrag,
        remote_pwd=pwd,
        fingerprints=_usable_fingerprints(transport),
        dtls_client=_is_dtls_client(transport),
        tracks=tuple(
            track
            for media, accepted in zip(offer.media, answered, strict=True)
            if accepted.port
            for track in describe_tracks(media, accepted)
        ),
        bundle=bundle,
        media=answered,
    )


def build_answer(
    negotiation: Negotiation,
    *,
    ufrag: str,
    pwd: str,
    fingerprint: str,
    candidates: Sequence[HostCandidate],
    session_id: int,
    ice_options: tuple[str, ...] = (),
) -> str:
    """The answer's body. `fingerprint` is the SHA-256 of this side's certificate, as `AB:CD:...`.

    `candidates` are written in the order given, the first with the highest priority (ffmpeg uses no other),
    and are all there will ever be (RFC 9725, 4.3.2). `session_id` stays below 2**63 (RFC 9429, 5.2.1).
    """
    tagged = negotiation.tagged
    hosts = tuple(host_candidates(candidates))
    media = tuple(
        # RFC 9143, 7.1.3 wants transport attributes in the tagged media description alone. Credentials are
        # repeated in all: peers that read each section by itself need them, and nobody minds.
        replace(
            section,
            ice_ufrag=ufrag,
            ice_pwd=pwd,
            ice_options=ice_options,
            fingerprints=(parse_fingerprint(f"sha-256 {fingerprint}"),),
            setup=Setup.ACTIVE if negotiation.dtls_client else Setup.PASSIVE,
            candidates=hosts if section is tagged else (),
            end_of_candidates=section is tagged,
        )
        if section.port
        else section
        for section in negotiation.media
    )
    answer = Description(session_id=session_id, bundle=negotiation.bundle, ice_lite=True, media=media)
    return answer.serialize()


def build_fragment(
    negotiation: Negotiation,
    *,
    ufrag: str,
    pwd: str,
    candidates: Sequence[HostCandidate],
    ice_options: tuple[str, ...] = (),
) -> str:
    """What the answer would say with other credentials: the reply to an ICE restart (RFC 9725, 4.3.3)."""
    section = replace(
        negotiation.tagged,
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        ice_options=ice_options,
        candidates=tuple(host_candidates(candidates)),
        end_of_candidates=True,
    )
    return serialize_fragment(section, negotiation.bundle)


def _malformed(detail: str) -> NegotiationError:
    return NegotiationError(Refusal.MALFORMED, detail)


def _unsupported(detail: str) -> NegotiationError:
    return NegotiationError(Refusal.UNSUPPORTED, detail)


def _is_active(media: MediaDescription, bundle: Sequence[Mid]) -> bool:
    """RFC 9143, 6: port 0 with bundle-only asks for the shared transport; elsewhere it switches media off."""
    return media.kind in NEEDED and (media.port != 0 or (media.bundle_only and media.mid in bundle))


def _check_count(active: Sequence[MediaDescription], limits: Mapping[str, int]) -> None:
    # RFC 9725, 4.4.2: at least one track, at most one audio and one video; otherwise the request is rejected.
    if not active:
        raise _unsupported("no audio or video is offered")
    for kind, limit in limits.items():
        count = sum(media.kind == kind for media in active)
        if count > limit:
            supported = "one is" if limit == 1 else f"{limit} are"
            raise _unsupported(f"{count} {kind} sections are offered; {supported} supported")


def _check_section(media: MediaDescription) -> None:
    # RFC 9725, 4.2: the offer is sendonly, or sendrecv.
    if media.direction not in (Direction.SENDONLY, Direction.SENDRECV):
        raise _unsupported(f"{media.kind} is {media.direction}; sendonly is needed")
    if media.protocol not in PROTOCOLS:
        raise _unsupported(f"{media.kind} does not use UDP/TLS/RTP/SAVPF")
    # RFC 9143, 9.3: every bundled description but a bundle-only one carries rtcp-mux. RFC 9725, 4.4.1 wants
    # rtcp-mux-only too, which hardly any sender has.
    if not (media.rtcp_mux or media.rtcp_mux_only or media.bundle_only):
        raise _unsupported(f"{media.kind} has no rtcp-mux")


def _negotiate_bundle(active: Sequence[MediaDescription], offered: Sequence[Mid]) -> tuple[Mid, ...]:
    mids = {media.mid for media in active}
    bundle = tuple(mid for mid in offered if mid in mids)
    # RFC 9725, 4.4.1: one transport. A single description needs no group to have that.
    if len(active) > 1 and len(bundle) < len(active):
        raise _unsupported("audio and video are not all in one BUNDLE group")
    return bundle


def _select_transport(
    offer: Description, active: Sequence[MediaDescription], bundle: Sequence[Mid]
) -> MediaDescription:
    """The media description whose ICE and DTLS attributes count for all (RFC 9143, 7.1.3)."""
    if not bundle:
        return active[0]
    by_mid = {media.mid: media for media in offer.media}
    # The first one accepted; if that is bundle-only and so carries none, the group's first that does.
    tagged = [by_mid[mid] for mid in (bundle[0], *offer.bundle) if mid in by_mid]
    return next((media for media in tagged if media.ice_ufrag), tagged[0])


def _credentials(transport: MediaDescription) -> tuple[str, str]:
    if transport.ice_ufrag is None or transport.ice_pwd is None:
        raise _malformed("no ICE credentials (ice-ufrag and ice-pwd)")
    return transport.ice_ufrag, transport.ice_pwd


def _usable_fingerprints(transport: MediaDescription) -> tuple[Fingerprint, ...]:
    if not transport.fingerprints:
        raise _malformed("no certificate fingerprint")
    usable = tuple(entry for entry in transport.fingerprints if entry.algorithm in HASHES)
    if not usable:
        raise _unsupported(f"no certificate fingerprint by one of {', '.join(sorted(HASHES))}")
    return usable


def _is_dtls_client(transport: MediaDescription) -> bool:
    if transport.setup is Setup.HOLDCONN:
        raise _unsupported("setup is holdconn; actpass, active or passive is needed")
    # RFC 9725, 4.4.4 expects the server's side to be passive; ffmpeg can only be answered by an active one.
    # RFC 4145, 4: an offer without the attribute is active.
    return transport.setup is Setup.PASSIVE


def _reject(media: MediaDescription) -> MediaDescription:
    """RFC 3264, 6: port zero; the formats are of no meaning but must be there."""
    return MediaDescription(
        kind=media.kind,
        port=0,
        protocol=media.protocol,
        formats=media.formats,
        mid=media.mid,
        direction=Direction.INACTIVE,
    )


def _accept(media: MediaDescription, ambiguous: Collection[int]) -> MediaDescription:
    extensions = answer_extensions(media, ambiguous)
    codecs = answer_codecs(media, transport_cc=TRANSPORT_CC_URI in extensions)
    if not codecs:
        raise _unsupported(f"{media.kind} offers {offered_names(media)}; {NEEDED[media.kind]} is needed")
    if not any(TRANSPORT_CC in codec.feedback for codec in codecs.values()):
        # Numbers that no feedback is wanted on would only make the packets longer.
        extensions.pop(TRANSPORT_CC_URI, None)
    layers = _accept_layers(media, codecs.values(), extensions)
    if not layers:
        for uri in LAYER_EXTENSIONS:
            extensions.pop(uri, None)
    return MediaDescription(
        kind=media.kind,
        port=_PORT,
        protocol=media.protocol,
        formats=tuple(str(pt) for pt in codecs),
        mid=media.mid,
        direction=Direction.RECVONLY,
        codecs=codecs,
        extmap=extensions,
        rids=layers,
        simulcast=Simulcast(recv=tuple((layer.id,) for layer in layers)),
        rtcp_mux=True,
        # RFC 9725, 4.4.1 wants it of both sides, whatever RFC 8858, 4.3 says of offers that lack it.
        rtcp_mux_only=True,
        rtcp_rsize=media.rtcp_rsize,
    )


def _accept_layers(
    media: MediaDescription, codecs: Iterable[Codec], extensions: Collection[str]
) -> tuple[Rid, ...]:
    # RFC 8853, 6: without the RID in packets nothing tells which layer they are of.
    if media.kind != "video" or RID_URI not in extensions:
        return ()
    accepted = {codec.payload_type for codec in codecs if not is_retransmission(codec)}
    return answer_layers(media.rids, media.simulcast, accepted)
