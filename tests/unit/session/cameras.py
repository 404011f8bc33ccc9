"""Cameras of real H.264 for the tests of tracks: each sends its pictures to one track, packet by packet."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from tests.peers import x264
from tests.peers.h264 import packetize

from whipway.media.nal import NalType, nal_type
from whipway.media.unit import AccessUnit
from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.protocol.rtp.timeline import Timeline
from whipway.protocol.sdp.description import Mid, PayloadType, Ssrc
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.track import VideoTrack

GROUP = 4
"""Pictures from one IDR to the next."""
PICTURES = 3 * GROUP
VIDEO_PT = 102
SETS = (NalType.SPS, NalType.PPS)


@cache
def pictures(width: int, height: int) -> list[list[bytes]]:
    """Encoded pictures, an IDR with parameter sets every `GROUP`; they may be sent round and round."""
    return [each.nals for each in x264.encode(PICTURES, width=width, height=height, group=GROUP)]


def sets_of(width: int, height: int) -> list[bytes]:
    """SPS and PPS of these pictures."""
    return [nal for nal in pictures(width, height)[0] if nal_type(nal) in SETS]


def describe(
    mid: str | None = "1", rid: str | None = None, sprop: tuple[bytes, ...] = (), **fields: Any
) -> TrackDescription:
    """A negotiated video track of which the offer says little; `fields` are others of the description."""
    description = TrackDescription(
        mid=None if mid is None else Mid(mid),
        kind="video",
        payload_types=(PayloadType(VIDEO_PT),),
        clock_rate=90_000,
        ssrcs=(),
        rtx={},
        mid_extension_id=None,
        sprop_parameter_sets=sprop,
        stereo=False,
        rid=rid,
    )
    return replace(description, **fields)


class Camera:
    """Sends pictures of one size to a track of its own.

    `sets`: "always" before each IDR picture, "once" before the first, "offered" in the offer alone.
    """

    def __init__(
        self,
        mid: str | None = "1",
        rid: str | None = None,
        *,
        size: tuple[int, int] = (64, 48),
        sets: str = "always",
        timeline: Timeline | None = None,
    ) -> None:
        sprop = tuple(sets_of(*size)) if sets == "offered" else ()
        self.track = VideoTrack(describe(mid, rid, sprop), timeline or Timeline(), RoundTrip())
        self.size = size
        self.sets = sets
        self.index = 0
        """Of the next picture."""
        self._sequence = 65_530
        self._ssrc = Ssrc(7)

    @property
    def next_is_idr(self) -> bool:
        """The next picture is an IDR."""
        return self.index % GROUP == 0

    def skip_to_idr(self) -> None:
        """Leave out what the encoder would not have made, as after a request for a key frame."""
        while not self.next_is_idr:
            self.index += 1

    def packets(self, now: float) -> Iterator[Packet]:
        """The RTP packets of the next picture, captured at `now`."""
        nals = self.pictures[self.index % PICTURES]
        if self.sets == "offered" or (self.sets == "once" and self.index):
            nals = [nal for nal in nals if nal_type(nal) not in SETS]
        self.index += 1
        payloads = packetize(nals, 400)
        for number, payload in enumerate(payloads):
            marker = number == len(payloads) - 1
            timestamp = round(now * 90_000) & 0xFFFFFFFF
            yield Packet(VIDEO_PT, marker, self._sequence & 0xFFFF, timestamp, self._ssrc, payload)
            self._sequence += 1

    def send(self, now: float) -> list[AccessUnit]:
        """Send the next picture; what the track makes of it."""
        units = [unit for packet in self.packets(now) for unit in self.track.receive(packet, now)]
        assert all(isinstance(unit, AccessUnit) for unit in units)
        return units  # type: ignore[return-value]

    @property
    def pictures(self) -> list[list[bytes]]:
        """All the pictures there are, each a list of NAL units."""
        return pictures(*self.size)
