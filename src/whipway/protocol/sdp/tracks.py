"""What is received of an accepted media description: the tracks.

A video that is sent in several layers (simulcast, RFC 8853) is as many tracks, which differ by their rid
alone; anything else is one. SSRCs are those the offer announces (RFC 5576), formats and extensions those
the answer has agreed to. `answer` makes the answer, the receiver of the session takes the tracks from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from whipway.protocol.sdp.codecs import (
    NACK,
    REMB,
    is_retransmission,
    parameter_sets,
    profile_level_id,
    retransmissions,
)
from whipway.protocol.sdp.description import MediaDescription, Mid, PayloadType, Ssrc
from whipway.protocol.sdp.extensions import MID_URI, REPAIRED_RID_URI, RID_URI, TRANSPORT_CC_URI


@dataclass(frozen=True, slots=True)
class TrackDescription:
    """What will be received as one track."""

    mid: Mid | None
    """None only where the offer has a single media description and does not name it."""
    kind: str
    """`"audio"` or `"video"`."""
    payload_types: tuple[PayloadType, ...]
    """Those of Opus or H.264, the preferred one first."""
    clock_rate: int
    ssrcs: tuple[Ssrc, ...]
    """As announced: first the primaries, which send `payload_types`, then those that repair them. Often
    there are none."""
    rtx: dict[PayloadType, PayloadType]
    """Agreed retransmissions of `payload_types` (RFC 4588): the rtx payload type to the one it repeats."""
    mid_extension_id: int | None
    sprop_parameter_sets: tuple[bytes, ...]
    """NAL units from the offer (RFC 6184, 8.1). Hints: those in the stream count."""
    stereo: bool
    """The offer says stereo will be sent. A hint: many senders say nothing; each packet tells."""
    repair_ssrcs: dict[Ssrc, Ssrc] = field(default_factory=dict)
    """The SSRC that repairs (sends `rtx`) to the primary it repairs; no SSRC is both. As announced in
    FID groups (RFC 5576, 4.2), whether they are in `ssrcs` or not."""
    nack: bool = False
    """Lost packets may be asked for by generic NACK (RFC 4585, 6.2.1). This and `remb` are agreed for each
    payload type; here they are told for the preferred one."""
    remb: bool = False
    """REMB is heard: without transport-wide feedback as the estimate to send by, beside it as a limit."""
    reduced_size: bool = False
    """RTCP need not begin with a report (RFC 5506)."""
    transport_cc_extension_id: int | None = None
    """Packets carry their transport-wide number in this extension, and the sender wants feedback on it."""
    profile_level_id: str | None = None
    """H.264's profile and level as announced for the preferred payload type: six lower-case hexadecimal
    digits (RFC 6184, 8.1). A hint: the parameter sets in the stream count."""
    rid: str | None = None
    """The layer's name (RFC 8851), by which its packets are known; None where the source is sent once. The
    layers of one media description, an input, differ in nothing else, and have no announced `ssrcs`."""
    rid_extension_id: int | None = None
    """Packets of a layer carry its `rid` in this extension (RFC 8852)."""
    repaired_rid_extension_id: int | None = None
    """And retransmissions (`rtx`) in this one the `rid` of the layer they repair."""


def describe_tracks(offered: MediaDescription, answered: MediaDescription) -> Iterator[TrackDescription]:
    """The tracks of an accepted media description, layers in the order of the answer's `a=simulcast`."""
    track = _describe_track(offered, answered)
    if not answered.rids:
        yield track
    for rid in answered.rids:
        # An SSRC does not tell which layer it is of; each packet tells it by its rid.
        yield replace(track, rid=rid.id, ssrcs=())


def _describe_track(offered: MediaDescription, answered: MediaDescription) -> TrackDescription:
    payload_types = tuple(pt for pt, codec in answered.codecs.items() if not is_retransmission(codec))
    codecs = [offered.codecs[pt] for pt in payload_types]
    agreed = answered.codecs[payload_types[0]]
    repairs = _repairs(offered)
    return TrackDescription(
        mid=offered.mid,
        kind=offered.kind,
        payload_types=payload_types,
        clock_rate=agreed.clock_rate,
        ssrcs=tuple(sorted(offered.ssrcs, key=repairs.__contains__)),
        rtx=retransmissions(answered, payload_types),
        mid_extension_id=_extension_id(answered, MID_URI),
        sprop_parameter_sets=tuple(chain.from_iterable(map(parameter_sets, codecs))),
        stereo=any(codec.parameters.get("sprop-stereo") == "1" for codec in codecs),
        repair_ssrcs=repairs,
        nack=NACK in agreed.feedback,
        remb=REMB in agreed.feedback,
        reduced_size=answered.rtcp_rsize,
        transport_cc_extension_id=_extension_id(answered, TRANSPORT_CC_URI),
        profile_level_id=profile_level_id(agreed),
        rid_extension_id=_extension_id(answered, RID_URI),
        repaired_rid_extension_id=_extension_id(answered, REPAIRED_RID_URI),
    )


def _extension_id(media: MediaDescription, uri: str) -> int | None:
    return media.extmap[uri].id if uri in media.extmap else None


def _repairs(media: MediaDescription) -> dict[Ssrc, Ssrc]:
    """RFC 5576, 4.2: in a FID group the first SSRC is the media, the others repeat it.

    A group is not believed where it contradicts one before it.
    """
    repairs: dict[Ssrc, Ssrc] = {}
    primaries: set[int] = set()
    for group in media.ssrc_groups:
        if group.semantics != "FID" or not group.ssrcs or group.ssrcs[0] in repairs:
            continue
        primaries.add(group.ssrcs[0])
        for ssrc in group.ssrcs[1:]:
            if ssrc not in primaries:
                repairs.setdefault(Ssrc(ssrc), Ssrc(group.ssrcs[0]))
    return repairs
