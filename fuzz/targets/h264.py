"""Whatever payloads come, gaps among them: depacketizer and muxer raise nothing; access units hold a slice
and only NAL units that RFC 6184 lets through, decoding starts anew at IDR pictures, tags come in the order
of their times, and what is kept for the next unit is bounded."""

from tests.peers.h264 import aggregate, fragment
from tests.peers.whip_client import PPS, SPS

from fuzz.script import Script, block
from whipway.media.depacketizer import (
    FIRST_PACKET_TYPE,
    LAST_VCL_TYPE,
    MAX_CARRIED_BYTES,
    MAX_UNIT_NALS,
    RECOVERY_PATIENCE,
    H264Depacketizer,
)
from whipway.media.nal import NalType, nal_type
from whipway.media.parameter_sets import MAX_UNIT_SETS
from whipway.media.transcoder import Transcoder
from whipway.media.unit import AccessUnit
from whipway.relay.muxer import Muxer
from whipway.relay.tags import Tag, TagKind

MARKER, NEW_TIMESTAMP, GAP = 1, 2, 4
IDR = b"\x65\x88" + bytes(range(1, 200))
SLICE = b"\x41\x9a" + bytes(range(1, 100))


def target(data: bytes) -> bool:
    """A list of payloads: flags, and a block."""
    script, machine = Script(data), H264Depacketizer()
    muxer = Muxer(has_video=True, has_audio=False, make_transcoder=_make_transcoder)
    tags: list[Tag] = []
    timestamp = count = 0
    while script:
        flags, payload = script.number(), script.block()
        if flags & NEW_TIMESTAMP:
            timestamp += 3000
        if flags & GAP:
            machine.gap()
            assert machine.awaiting_idr
        waited = machine.awaiting_idr
        for unit in machine.push(payload, timestamp, bool(flags & MARKER)):
            _check_unit(unit, waited)
            waited = False
            unit.time_us = unit.timestamp * 100 // 9
            tags += muxer.push(unit)
            count += 1
        assert sum(map(len, machine._carried)) <= MAX_CARRIED_BYTES
    _check_tags(tags)
    return count > 0


def _make_transcoder(bitrate: int) -> Transcoder:
    return Transcoder(bitrate=bitrate)


def _check_unit(unit: AccessUnit, waited: bool) -> None:
    kinds = [nal_type(nal) for nal in unit.nals]
    assert len(kinds) <= MAX_UNIT_NALS + MAX_UNIT_SETS
    assert all(0 < kind < FIRST_PACKET_TYPE for kind in kinds)
    assert NalType.AUD not in kinds and NalType.FILLER not in kinds
    assert any(kind <= LAST_VCL_TYPE for kind in kinds)
    assert unit.keyframe is (NalType.IDR in kinds)
    assert unit.keyframe or not waited or unit.timestamp >= RECOVERY_PATIENCE


def _check_tags(tags: list[Tag]) -> None:
    pictures = [tag for tag in tags if tag.kind is TagKind.VIDEO and not tag.header]
    times = [tag.timestamp_ms for tag in pictures]
    assert times == sorted(set(times))
    if pictures:
        assert [tag.kind for tag in tags[:2]] == [TagKind.METADATA, TagKind.VIDEO]
        assert tags[1].header and pictures[0].keyframe


def _unit(*payloads: bytes, first: int = NEW_TIMESTAMP) -> bytes:
    """The last payload has the marker, the first one a new timestamp."""
    flags = [first, *[0] * (len(payloads) - 1)]
    flags[-1] |= MARKER
    return b"".join(bytes((flag,)) + block(payload) for flag, payload in zip(flags, payloads, strict=True))


def seeds() -> list[bytes]:
    single = _unit(SPS, PPS, IDR)
    fragments = fragment(IDR, 60)
    aggregated = _unit(aggregate([SPS, PPS, b"\x06\x05\x01\x80"]), *fragments)
    lost = _unit(fragments[0], first=NEW_TIMESTAMP) + _unit(*fragments[2:], first=GAP)
    alone = _unit(SPS) + _unit(PPS) + _unit(IDR)
    delimited = _unit(b"\x09\x10", b"\x0c\xff\x80", IDR)
    return [
        single,
        aggregated,
        single + _unit(SLICE) + _unit(*fragment(SLICE, 30)),
        single + lost + single,
        alone + _unit(SLICE, first=NEW_TIMESTAMP | GAP) + single,
        delimited + _unit(SLICE),
    ]
