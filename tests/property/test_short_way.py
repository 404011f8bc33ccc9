"""The short way of RTP packets through a session leads where the long one does, whatever comes.

Two receivers get the same packets at the same times. One takes them as they come, the other the long way
only, by which each becomes a `Packet` first. All that can be seen of the two has to be the same.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.peers.h264 import packetize
from tests.peers.whip_client import picture, sound

from whipway.failures import ParseError
from whipway.protocol.rtcp.packets import Goodbye
from whipway.protocol.rtp.packet import ONE_BYTE_PROFILE, Packet, serialize_packet
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.receiver import Receiver

AUDIO, VIDEO = 0xA, 0xB
TYPES = {AUDIO: 111, VIDEO: 102}
MID_ID, NUMBER_ID, RESERVED_ID = 4, 3, 15
GAPS = (0.0, 0.004, 0.05, 0.3, 1.2, 3.0)
"""Seconds from one packet to the next: short of every limit there is, and beyond."""


def describe(kind: str, ssrc: int, number_id: int | None, nack: bool) -> TrackDescription:
    return TrackDescription(
        mid=kind,
        kind=kind,
        payload_types=(TYPES[ssrc],),
        clock_rate=48_000 if kind == "audio" else 90_000,
        ssrcs=(ssrc,),
        rtx={},
        mid_extension_id=MID_ID,
        sprop_parameter_sets=(),
        stereo=False,
        nack=nack,
        transport_cc_extension_id=number_id,
    )


def make_receiver(number_id: int | None, nack: bool) -> Receiver:
    return Receiver(
        [describe("audio", AUDIO, number_id, nack), describe("video", VIDEO, number_id, nack)], 0xFEED
    )


def record_of(receiver: Receiver, now: float) -> list[Any]:
    """All that others see of a receiver."""
    described: list[Any] = [receiver.arrivals._arrivals, receiver.deadline(), receiver.media_us(now)]
    for track in receiver.tracks:
        described += [track.packets, track.bytes, track.units, track.lost, track.waiting, track.heard_at]
        described += [
            track.pause,
            track.latest_us,
            track.all_drops(),
            track.missing.deadline(),
            track.deadline(),
        ]
        described.append(track.statistics._highest)
        described.append(track.statistics._jitter)
    return described


def media() -> list[Packet]:
    """Pictures in one to four packets, with sound in between, in the order they are sent."""
    packets: list[Packet] = []
    counts = {AUDIO: 65_530, VIDEO: 65_500}
    for index in range(24):
        nals = picture(index, keyframe=index % 6 == 0, size=60 + 400 * (index % 3))
        payloads = packetize(nals, 300)
        sent = [(VIDEO, payload, at == len(payloads) - 1) for at, payload in enumerate(payloads)]
        for ssrc, payload, marker in [*sent, (AUDIO, sound(index), False)]:
            counts[ssrc] += 1
            rate = 3600 if ssrc == VIDEO else 1920
            number = counts[ssrc] & 0xFFFF
            packets.append(Packet(TYPES[ssrc], marker, number, index * rate, ssrc, payload))
    return packets


MEDIA = media()
HEADERS = (
    "none",
    "number",
    "mid then number",
    "number then mid",
    "two-byte form",
    "no words",
    "foreign",
    "reserved",
)
EVENTS = st.tuples(
    st.sampled_from(
        ("next",) * 12 + ("skip", "again", "swap", "empty", "padded", "cut", "goodbye", "stranger")
    ),
    st.sampled_from(GAPS[:2] * 6 + GAPS),
    st.sampled_from(HEADERS[:2] * 4 + HEADERS),
)


def with_header(packet: Packet, header: str, number: int) -> Packet:
    element = bytes((NUMBER_ID << 4 | 1,)) + (number & 0xFFFF).to_bytes(2, "big")
    mid = bytes((MID_ID << 4 | 4,)) + (b"audio" if packet.ssrc == AUDIO else b"video")
    blocks = {
        "none": (0, b""),
        "number": (ONE_BYTE_PROFILE, element),
        "mid then number": (ONE_BYTE_PROFILE, mid + element),
        "number then mid": (ONE_BYTE_PROFILE, element + mid),
        "two-byte form": (0x1000, bytes((NUMBER_ID, 2)) + element[1:]),
        "no words": (ONE_BYTE_PROFILE, b""),
        "foreign": (0xABAC, element),
        "reserved": (ONE_BYTE_PROFILE, bytes((RESERVED_ID << 4 | 1,)) + element[1:]),
    }
    profile, extension = blocks[header]
    return packet._replace(profile=profile, extension=extension)


def wire(script: list[tuple[str, float, str]]) -> list[tuple[bytes, float]]:
    """The datagrams of a script, each with the time since the one before it."""
    left, datagrams = [*MEDIA], []
    last = MEDIA[0]
    for number, (event, gap, header) in enumerate(script):
        if event == "skip" and left:
            left.pop(0)
        elif event == "swap" and len(left) > 1:
            left[:2] = left[1::-1]
        if event != "again" and left:
            last = left.pop(0)
        packet = with_header(last, header, number)
        if event == "empty":
            packet = packet._replace(payload=b"")
        elif event == "stranger":
            packet = packet._replace(payload_type=77)
        data = serialize_packet(packet, 8 if event == "padded" else 0)
        datagrams.append((b"" if event == "goodbye" else data[:18] if event == "cut" else data, gap))
    return datagrams


def receive(receiver: Receiver, data: bytes, now: float, *, short: bool) -> object:
    if not data:
        return receiver.receive_rtcp(Goodbye((VIDEO,), "").serialize(), now)
    try:
        return [*(receiver.receive_rtp(data, now) if short else receiver._receive_any(data, now))]
    except ParseError as error:
        return error.reason


@settings(max_examples=150)
@given(
    st.lists(EVENTS, max_size=90), st.sampled_from((NUMBER_ID, NUMBER_ID, RESERVED_ID, None)), st.booleans()
)
def test_both_ways_lead_to_the_same(script, number_id, nack):
    one, other = make_receiver(number_id, nack), make_receiver(number_id, nack)
    now = 0.0
    for data, gap in wire(script):
        now += gap
        deadline = one.deadline()
        if deadline is not None and deadline <= now:
            assert one.handle_timeout(now) == other.handle_timeout(now)
        assert receive(one, data, now, short=True) == receive(other, data, now, short=False)
        assert record_of(one, now) == record_of(other, now)
