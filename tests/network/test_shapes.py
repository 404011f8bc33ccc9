"""Every shape of H.264 an encoder may have, on its whole way: RTP payloads in, FLV tags out, decoded again.

The streams are libx264's own. A shape is right when a decoder makes of the tags the very pictures it makes of
the stream directly, without a word of complaint, and the tags' times are those of a correct FLV stream.
"""

import io
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import av
import av.logging
import pytest
from tests.peers.h264 import aggregate, fragment, packetize
from tests.peers.x264 import Decoded, EncodedPicture, decode, decode_samples, encode

from whipway.failures import DropReason
from whipway.media.depacketizer import MAX_UNIT_NALS, RECOVERY_PATIENCE, H264Depacketizer
from whipway.media.parameter_sets import parse_sps
from whipway.media.transcoder import Transcoder
from whipway.media.unit import AccessUnit
from whipway.protocol.rtmp import amf0
from whipway.protocol.rtp.timeline import Timeline, TrackClock
from whipway.relay.muxer import Muxer
from whipway.relay.tags import Tag, TagKind

CLOCK_RATE = 90_000
FRAME_TICKS = 3000
FRAME_MS = 33.34
NAL_TYPE = 0x1F
SPS, PPS, SEI, AUD, FILLER, IDR = 7, 8, 6, 9, 12, 5
FIRST_TIMESTAMP = 2**32 - 10 * FRAME_TICKS
"""RTP timestamps begin anywhere (RFC 3550, 5.1); these wrap on the way."""
MTU = 1200

Payload = tuple[bytes, int, bool]
"""Payload, RTP timestamp and marker of one packet; a lost one has the payload LOST."""
LOST = b"lost"


def packets(pictures: Iterable[EncodedPicture], *, mtu: int = MTU, together: bool = False) -> list[Payload]:
    """Each access unit in packets of one timestamp, the last with the marker."""
    sent: list[Payload] = []
    for picture in pictures:
        payloads = packetize(picture.nals, mtu, aggregate=together)
        sent += stamped(payloads, picture.pts)
    return sent


def stamped(payloads: Sequence[bytes], pts: int, *, marker: bool = True) -> list[Payload]:
    timestamp = (FIRST_TIMESTAMP + pts) & 0xFFFFFFFF
    last = len(payloads) - 1
    return [(payload, timestamp, marker and at == last) for at, payload in enumerate(payloads)]


@dataclass
class Relayed:
    """What came out, and the machines it went through."""

    muxer: Muxer
    depacketizer: H264Depacketizer = field(default_factory=H264Depacketizer)
    clock: TrackClock = field(default_factory=lambda: TrackClock(Timeline(), CLOCK_RATE))
    units: list[AccessUnit] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)

    @property
    def headers(self) -> list[Tag]:
        return [tag for tag in self.tags if tag.kind is TagKind.VIDEO and tag.header]

    @property
    def pictures(self) -> list[Tag]:
        return [tag for tag in self.tags if tag.kind is TagKind.VIDEO and not tag.header]

    @property
    def metadata(self) -> list[dict[str, amf0.Value]]:
        """The values of each onMetaData."""
        bodies = [tag.payload for tag in self.tags if tag.kind is TagKind.METADATA]
        return [values for body in bodies if isinstance(values := amf0.decode(body)[2], dict)]

    @property
    def composition(self) -> list[int]:
        return [int.from_bytes(tag.payload[2:5], "big", signed=True) for tag in self.pictures]

    def decode(self) -> Decoded:
        """As a player does: a new sequence header is a new decoder."""
        decoded = Decoded()
        groups: list[tuple[bytes, list[tuple[bytes, int]]]] = []
        for tag in self.tags:
            if tag.kind is TagKind.VIDEO and tag.header:
                groups.append((tag.payload[5:], []))
            elif tag.kind is TagKind.VIDEO:
                shown = tag.timestamp_ms + int.from_bytes(tag.payload[2:5], "big", signed=True)
                groups[-1][1].append((tag.payload[5:], shown))
        for configuration, samples in groups:
            one = decode_samples(configuration, samples)
            decoded.digests += one.digests
            decoded.errors += one.errors
            decoded.sizes += one.sizes
            decoded.pts += one.pts
        return decoded


def relay(sent: Iterable[Payload], *, sprop: Sequence[bytes] = ()) -> Relayed:
    """Pushes packets through, a frame time apart for each new timestamp."""
    out = Relayed(_make_muxer(sprop))
    now, before = 100.0, None
    for payload, timestamp, marker in sent:
        if timestamp != before:
            now, before = now + FRAME_TICKS / CLOCK_RATE, timestamp
        if payload is LOST:
            out.depacketizer.gap()
            continue
        for unit in out.depacketizer.push(payload, timestamp, marker):
            unit.time_us = out.clock.to_us(unit.timestamp, now)
            out.units.append(unit)
            out.tags += out.muxer.push(unit)
    return out


def _make_muxer(sprop: Sequence[bytes]) -> Muxer:
    return Muxer(
        has_video=True,
        has_audio=False,
        make_transcoder=lambda bitrate: Transcoder(bitrate=bitrate),
        parameter_sets=sprop,
    )


def check(out: Relayed, pictures: Sequence[EncodedPicture], *, depth: int = 0) -> None:
    """Nothing was lost, and the stream is what FLV wants."""
    assert out.depacketizer.drops == out.muxer.drops == {}
    assert out.tags[0].kind is TagKind.METADATA
    assert len(out.pictures) == len(pictures)
    assert [tag.keyframe for tag in out.pictures] == [picture.keyframe for picture in pictures]
    check_times(out, pictures, depth)
    check_same(out, decode(picture.nals for picture in pictures))


def check_times(out: Relayed, pictures: Sequence[EncodedPicture], depth: int) -> None:
    decoded = [tag.timestamp_ms for tag in out.pictures]
    shown = [at + offset for at, offset in zip(decoded, out.composition, strict=True)]
    assert decoded[0] == 0
    assert all(later > earlier for earlier, later in pairwise(decoded))
    for index, picture in enumerate(pictures):
        assert abs(decoded[index] - index * FRAME_MS) <= 1
        assert abs(shown[index] - (picture.pts / FRAME_TICKS + depth) * FRAME_MS) <= 1
        assert shown[index] >= decoded[index]
    if depth == 0:
        assert set(out.composition) == {0}
    assert out.muxer.reordered == any(b.pts < a.pts for a, b in pairwise(pictures))


def check_same(out: Relayed, direct: Decoded) -> None:
    """The same pictures, in the order of their times, and no complaint by either decoder."""
    relayed = out.decode()
    assert (direct.errors, relayed.errors) == ([], [])
    assert relayed.digests == direct.digests
    assert len(set(direct.digests)) == len(out.pictures)
    assert relayed.pts == sorted(relayed.pts)


def kinds(nals: Iterable[bytes]) -> list[int]:
    return [nal[0] & NAL_TYPE for nal in nals]


def sets_of(nals: Iterable[bytes]) -> list[bytes]:
    return [nal for nal in nals if nal[0] & NAL_TYPE in (SPS, PPS)]


def without_sets(nals: Iterable[bytes]) -> list[bytes]:
    return [nal for nal in nals if nal[0] & NAL_TYPE not in (SPS, PPS)]


def with_nals(
    pictures: Iterable[EncodedPicture], change: Callable[[list[bytes]], list[bytes]]
) -> list[EncodedPicture]:
    return [picture._replace(nals=change(picture.nals)) for picture in pictures]


@pytest.fixture(scope="module")
def plain() -> list[EncodedPicture]:
    """Two groups of six pictures."""
    return encode(12, group=6)


# What encoders make.

SHAPES: list[tuple[str, dict[str, str], int]] = [
    ("baseline", {"cabac": "0", "8x8dct": "0", "ref": "1"}, 0),
    ("high", {}, 0),
    ("slices", {"slices": "4"}, 0),
    ("many slices", {"slice-max-size": "900"}, 0),
    ("delimiters", {"aud": "1"}, 0),
    ("filler and HRD", {"nal-hrd": "cbr", "bitrate": "3000", "vbv-maxrate": "3000", "vbv-bufsize": "300"}, 0),
    ("interlaced", {"interlaced": "1"}, 0),
    ("one B-frame", {"bframes": "1", "b-adapt": "0"}, 1),
    ("two B-frames", {"bframes": "2", "b-adapt": "0", "b-pyramid": "none"}, 1),
    ("three B-frames", {"bframes": "3", "b-adapt": "0", "b-pyramid": "none"}, 1),
    ("a pyramid of B-frames", {"bframes": "3", "b-adapt": "0", "b-pyramid": "normal"}, 2),
    ("B-frames where they help", {"bframes": "3", "b-adapt": "2", "rc-lookahead": "10"}, 2),
    ("B-frames, slices, delimiters", {"bframes": "2", "b-adapt": "0", "slices": "3", "aud": "1"}, 2),
    ("open groups", {"open-gop": "1", "bframes": "3", "b-adapt": "0", "b-pyramid": "none"}, 1),
    ("intra refresh", {"intra-refresh": "1"}, 0),
    ("all intra", {"keyint": "1"}, 0),
]


@pytest.mark.parametrize(("options", "depth"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
@pytest.mark.parametrize("together", [False, True], ids=["FU-A", "STAP-A and FU-A"])
def test_shapes(options: dict[str, str], depth: int, together: bool):
    pictures = encode(24, group=10, options=options)
    check(relay(packets(pictures, together=together)), pictures, depth=depth)


def test_the_shapes_are_what_they_are_called():
    def made(name: str) -> list[EncodedPicture]:
        [options] = [row[1] for row in SHAPES if row[0] == name]
        return encode(24, group=10, options=options)

    assert parse_sps(made("baseline")[0].nals[0]).max_num_reorder_frames == 0
    assert kinds(made("slices")[10].nals).count(IDR) == 4
    assert len(made("many slices")[0].nals) > 10
    assert all(kinds(picture.nals)[0] == AUD for picture in made("delimiters"))
    assert [index for index, one in enumerate(made("open groups")) if one.keyframe] == [0]
    assert [index for index, one in enumerate(made("intra refresh")) if one.keyframe] == [0]


def test_one_packet_for_each_nal_unit(plain: list[EncodedPicture]):
    """Packetization mode 0 (RFC 6184, 6.2): single NAL unit packets only, each within the MTU."""
    pictures = encode(12, group=6, options={"slice-max-size": "1100"})
    sent = packets(pictures, mtu=65_000)
    assert max(len(payload) for payload, _, _ in sent) <= MTU
    assert {payload[0] & NAL_TYPE for payload, _, _ in sent} <= {1, IDR, SEI, SPS, PPS}
    check(relay(sent), pictures)


@pytest.mark.parametrize("mtu", [10, 90, 65_000])
def test_fragments_of_any_size(plain: list[EncodedPicture], mtu: int):
    check(relay(packets(plain[:4], mtu=mtu)), plain[:4])


def test_without_markers(plain: list[EncodedPicture]):
    sent = [(payload, timestamp, False) for payload, timestamp, _ in packets(plain)]
    end = stamped([plain[1].nals[-1]], plain[-1].pts + FRAME_TICKS)
    out = relay([*sent, *end])
    assert len(out.pictures) == len(plain) + 1
    out.tags.pop()
    check_times(out, plain, 0)
    check_same(out, decode(picture.nals for picture in plain))


# Where the parameter sets are.


def separately(picture: EncodedPicture, *, marker: bool, early: int) -> list[Payload]:
    """Each parameter set in a packet of its own, `early` ticks before the picture."""
    sets = [
        one for nal in sets_of(picture.nals) for one in stamped([nal], picture.pts - early, marker=marker)
    ]
    return [*sets, *stamped(packetize(without_sets(picture.nals), MTU), picture.pts)]


@pytest.mark.parametrize("marker", [False, True])
@pytest.mark.parametrize("early", [0, 1, FRAME_TICKS // 2])
def test_parameter_sets_in_packets_of_their_own(plain: list[EncodedPicture], marker: bool, early: int):
    out = relay([one for picture in plain for one in separately(picture, marker=marker, early=early)])
    check(out, plain)
    assert len(out.headers) == 1


def test_parameter_sets_in_the_offer_only(plain: list[EncodedPicture]):
    bare = with_nals(plain, without_sets)
    out = relay(packets(bare), sprop=sets_of(plain[0].nals))
    assert len(out.headers) == 1
    check_times(out, plain, 0)
    check_same(out, decode(picture.nals for picture in plain))


def test_parameter_sets_at_the_start_only():
    pictures = encode(12, group=6, options={"repeat-headers": "1"})
    bare = [pictures[0], *with_nals(pictures[1:], without_sets)]
    check(relay(packets(bare)), bare)


def test_the_same_parameter_sets_again_and_again(plain: list[EncodedPicture]):
    sets = sets_of(plain[0].nals)
    noisy = with_nals(plain, lambda nals: [*sets, *without_sets(nals)])
    out = relay(packets(noisy, together=True))
    check(out, noisy)
    assert len(out.headers) == len(out.metadata) == 1


# What changes on the way.

CHANGES: list[tuple[str, dict[str, object], tuple[int, int], float]] = [
    ("size", {"width": 480, "height": 270}, (480, 270), 30.0),
    ("profile", {"options": {"cabac": "0", "8x8dct": "0"}}, (320, 180), 30.0),
    ("frame rate", {"rate": 50}, (320, 180), 50.0),
    ("SPS id", {"options": {"sps-id": "5"}}, (320, 180), 30.0),
    ("reordering", {"options": {"bframes": "2", "b-adapt": "0"}}, (320, 180), 30.0),
]


@pytest.mark.parametrize(
    ("fields", "size", "rate"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES]
)
def test_changes_on_the_way(plain: list[EncodedPicture], fields: dict, size: tuple[int, int], rate: float):
    start = 12 * FRAME_TICKS
    other = [picture._replace(pts=picture.pts + start) for picture in encode(12, group=6, **fields)]
    out = relay(packets([*plain, *other]))
    assert len(out.headers) == len(out.metadata) == 2
    at = out.tags.index(out.headers[1])
    assert out.tags[at - 1].kind is TagKind.METADATA
    assert out.tags[at + 1] is out.pictures[12]
    assert out.pictures[12].keyframe
    assert out.headers[1].timestamp_ms == out.pictures[12].timestamp_ms
    assert (out.metadata[1]["width"], out.metadata[1]["height"]) == size
    assert out.metadata[1]["framerate"] == rate
    assert out.muxer.size == size
    decoded = [tag.timestamp_ms for tag in out.pictures]
    assert all(later > earlier for earlier, later in pairwise(decoded))
    relayed = out.decode()
    assert relayed.errors == []
    assert (
        relayed.digests
        == decode(one.nals for one in plain).digests + decode(one.nals for one in other).digests
    )
    assert relayed.sizes[-1] == size


@pytest.mark.parametrize("jump", [-3600, -1, 1, 3600], ids=lambda seconds: f"{seconds} s")
@pytest.mark.parametrize("options", [{}, {"bframes": "3", "b-adapt": "0"}], ids=["in order", "B-frames"])
def test_a_source_whose_clock_jumps(options: dict[str, str], jump: int):
    """Nothing is lost and no time goes back; soon the pictures are a frame apart again, as they were."""
    pictures = encode(48, group=24, options=options)
    moved = [picture._replace(pts=picture.pts + jump * CLOCK_RATE) for picture in pictures[24:]]
    out = relay(packets([*pictures[:24], *moved]))
    decoded = [tag.timestamp_ms for tag in out.pictures]
    shown = [at + offset for at, offset in zip(decoded, out.composition, strict=True)]
    assert all(later > earlier for earlier, later in pairwise(decoded))
    assert 0 <= min(out.composition) and max(out.composition) < 2000
    relayed = out.decode()
    assert relayed.errors == []
    assert relayed.digests == decode(picture.nals for picture in pictures).digests
    # A clock set back by less than two seconds is one the timeline follows.
    settled = 24 + (12 if jump != -1 else 24)
    start = moved[-1].pts
    for picture, at in list(zip([*pictures[:24], *moved], shown, strict=True))[settled:]:
        assert abs(shown[-1] - at - (start - picture.pts) / FRAME_TICKS * FRAME_MS) <= 1
    if not options:
        assert set(out.composition) == {0}


# What does not belong to a picture.


def sei(payload: bytes) -> bytes:
    """A user_data_unregistered SEI NAL unit (ITU-T H.264, D.1.7)."""
    return bytes((SEI, 5, 16 + len(payload))) + bytes(range(1, 17)) + payload + b"\x80"


def test_a_flood_of_sei(plain: list[EncodedPicture]):
    flooded = with_nals(
        plain, lambda nals: [*nals[:-1], *(sei(b"%d" % number) for number in range(600)), nals[-1]]
    )
    check(relay(packets(flooded, together=True)), flooded)


def test_a_flood_of_sei_beyond_the_limit_costs_its_group_and_no_more(plain: list[EncodedPicture]):
    flooded = [*plain]
    flooded[2] = plain[2]._replace(nals=[*[sei(b"x")] * MAX_UNIT_NALS, *plain[2].nals])
    out = relay(packets(flooded, together=True))
    assert out.depacketizer.drops == {DropReason.H264_TOO_LARGE: 1, DropReason.H264_AWAITING_IDR: 3}
    assert len(out.pictures) == 2 + 6
    assert out.decode().errors == []


def test_filler_of_all_sizes(plain: list[EncodedPicture]):
    filler = bytes((FILLER,)) + b"\xff" * 3000 + b"\x80"
    sent: list[Payload] = []
    for picture in plain:
        payloads = [
            filler[:9],
            *packetize(picture.nals, MTU),
            *fragment(filler, MTU),
            aggregate([filler[:5]]),
        ]
        sent += stamped(payloads, picture.pts)
        # Filler alone, with a time and a marker of its own.
        sent += stamped([filler[:20]], picture.pts + 1)
    check(relay(sent), plain)


# Losses, where key frames never come again.


def lose(sent: list[Payload], pts: int) -> list[Payload]:
    """Loses the last packet of a picture."""
    timestamp = (FIRST_TIMESTAMP + pts) & 0xFFFFFFFF
    at = max(index for index, one in enumerate(sent) if one[1] == timestamp)
    return [*sent[:at], (LOST, *sent[at][1:]), *sent[at + 1 :]]


def recovery_points(pictures: Sequence[EncodedPicture]) -> list[int]:
    """Where recovery point SEI messages are: NAL units whose first message has payload type 6."""
    return [
        index for index, picture in enumerate(pictures) if any(nal[:2] == b"\x06\x06" for nal in picture.nals)
    ]


def resumption(pictures: Sequence[EncodedPicture], lost: int) -> int:
    """The first recovery point that will do behind the loss of a picture."""
    wanted = pictures[lost].pts + RECOVERY_PATIENCE
    return next(point for point in recovery_points(pictures) if pictures[point].pts >= wanted)


def test_intra_refresh_heals_when_no_idr_comes():
    pictures = encode(360, group=10, options={"intra-refresh": "1"})
    resumes = resumption(pictures, 5)
    out = relay(lose(packets(pictures), pictures[5].pts))
    assert len(out.pictures) == 5 + len(pictures) - resumes
    assert out.depacketizer.drops == {
        DropReason.H264_INCOMPLETE: 1,
        DropReason.H264_AWAITING_IDR: resumes - 6,
    }
    assert [tag.keyframe for tag in out.pictures].count(True) == 1
    assert len(out.headers) == 1
    whole = decode(picture.nals for picture in pictures).digests
    relayed = out.decode().digests
    assert relayed[:5] == whole[:5]
    # After a wave has passed over the picture it is exact again, to the last bit.
    assert relayed[-20:] == whole[-20:]


def test_open_groups_heal_when_no_idr_comes():
    options = {"open-gop": "1", "bframes": "2", "b-adapt": "0", "b-pyramid": "none"}
    pictures = encode(350, group=10, options=options)
    resumes = resumption(pictures, 4)
    out = relay(lose(packets(pictures), pictures[4].pts))
    assert len(out.pictures) == 4 + len(pictures) - resumes
    whole = decode(picture.nals for picture in pictures).digests
    assert out.decode().digests[-20:] == whole[-20:]
    decoded = [tag.timestamp_ms for tag in out.pictures]
    assert all(later > earlier for earlier, later in pairwise(decoded))
    assert min(out.composition) >= 0


def test_a_stream_does_not_begin_at_a_recovery_point():
    pictures = encode(30, group=10, options={"intra-refresh": "1"})
    out = relay(packets(pictures[1:]))
    assert out.tags == []
    assert out.depacketizer.awaiting_idr


def test_closed_groups_wait_for_the_next_key_frame(plain: list[EncodedPicture]):
    out = relay(lose(packets(plain), plain[2].pts))
    assert [tag.keyframe for tag in out.pictures] == [True, False] + [True] + [False] * 5
    relayed = out.decode()
    whole = decode(picture.nals for picture in plain).digests
    assert relayed.errors == []
    assert relayed.digests == whole[:2] + whole[6:]


def test_b_frames_after_a_loss():
    pictures = encode(36, group=12, options={"bframes": "3", "b-adapt": "0"})
    out = relay(lose(packets(pictures), pictures[7].pts))
    kept = [*pictures[:7], *pictures[12:]]
    decoded = [tag.timestamp_ms for tag in out.pictures]
    assert all(later > earlier for earlier, later in pairwise(decoded))
    shown = [at + offset for at, offset in zip(decoded, out.composition, strict=True)]
    assert [round(at / FRAME_MS) - 2 for at in shown] == [picture.pts // FRAME_TICKS for picture in kept]
    relayed = out.decode()
    assert relayed.errors == []
    whole = decode(picture.nals for picture in pictures).digests
    assert relayed.digests[-24:] == whole[-24:]


def test_more_reordering_than_was_told_of():
    """An SPS that says 1 where 2 is true: a stumble at the start, then as it should be."""
    pictures = encode(24, group=12, options={"bframes": "3", "b-adapt": "0"})
    lying = sets_of(encode(1, options={"bframes": "1"})[0].nals)
    out = relay(packets(with_nals(pictures, without_sets)), sprop=lying)
    decoded = [tag.timestamp_ms for tag in out.pictures]
    shown = [at + offset for at, offset in zip(decoded, out.composition, strict=True)]
    assert out.muxer.reordered
    assert len(decoded) == 24
    assert all(later > earlier for earlier, later in pairwise(decoded))
    assert min(out.composition) >= 0
    late = [
        abs(at - (picture.pts / FRAME_TICKS + 1) * FRAME_MS) > 1
        for picture, at in zip(pictures, shown, strict=True)
    ]
    # Only the first picture that needs a depth of 2 comes too late to be shown in time.
    assert [index for index, one in enumerate(late) if one] == [3]


# Senders whose timestamps are decoding times (OBS Studio).


REORDERED = [row for row in SHAPES if row[2] > 0] + [
    ("interlaced, with B-frames", {"interlaced": "1", "bframes": "2", "b-adapt": "0"}, 2),
    ("bottom field first, with B-frames", {"bff": "1", "bframes": "2", "b-adapt": "0"}, 2),
]


def stamped_by_decoding(pictures: Sequence[EncodedPicture]) -> list[EncodedPicture]:
    """The line of decoding times begins when the first picture was captured."""
    line = sorted(picture.pts for picture in pictures)
    return [picture._replace(pts=at) for picture, at in zip(pictures, line, strict=True)]


def shown_times(out: Relayed) -> list[int]:
    return [tag.timestamp_ms + offset for tag, offset in zip(out.pictures, out.composition, strict=True)]


def off_beat(out: Relayed, pictures: Sequence[EncodedPicture]) -> list[int]:
    """Which pictures are not shown when they should be, told from the last one."""
    shown = shown_times(out)
    return [
        index
        for index, (at, picture) in enumerate(zip(shown, pictures, strict=True))
        if abs((shown[-1] - at) - (pictures[-1].pts - picture.pts) / 90) > 1.5
    ]


@pytest.mark.parametrize(
    ("options", "depth"), [row[1:] for row in REORDERED], ids=[row[0] for row in REORDERED]
)
def test_decoding_times_are_found_out_from_the_first_picture_on(options: dict[str, str], depth: int):
    """The tags are those of an honest sender, for more pictures than the low bits of a count tell apart."""
    pictures = encode(90, group=80, options=options)
    sps = parse_sps(sets_of(pictures[0].nals)[0])
    assert 1 << sps.pic_order_cnt_lsb_bits <= 80
    out = relay(packets(stamped_by_decoding(pictures)))
    check(out, pictures, depth=depth)
    assert {later - earlier for earlier, later in pairwise(out.decode().pts)} <= {32, 33, 34}


def test_pictures_in_order_are_none_the_worse():
    """Every picture an IDR, and no B-frame to tell by."""
    single = encode(1, options={"bframes": "3", "b-adapt": "0"}) * 12
    rising = [picture._replace(pts=index * FRAME_TICKS) for index, picture in enumerate(single)]
    assert set(relay(packets(rising)).composition) == {66, 67}


def test_decoding_times_after_a_loss():
    options = {"bframes": "3", "b-adapt": "0"}
    pictures = encode(36, group=12, options=options)
    out = relay(lose(packets(stamped_by_decoding(pictures)), 7 * FRAME_TICKS))
    assert out.decode().errors == []
    assert off_beat(out, [*pictures[:7], *pictures[12:]]) == []


def test_decoding_times_behind_a_recovery_point():
    """How many pictures were lost is not known there; the ones that follow tell the order again."""
    options = {"open-gop": "1", "bframes": "3", "b-adapt": "0", "b-pyramid": "none"}
    pictures = encode(350, group=10, options=options)
    resumes = resumption(stamped_by_decoding(pictures), 4)
    out = relay(lose(packets(stamped_by_decoding(pictures)), 4 * FRAME_TICKS))
    kept = [*pictures[:4], *pictures[resumes:]]
    # The one it begins with is shown too early: the pictures that are shown before it are still to come.
    assert off_beat(out, kept) == [4]
    assert min(out.composition) >= 0


def test_timestamps_that_change_their_meaning_and_change_back():
    pictures = encode(96, group=24, options={"bframes": "3", "b-adapt": "0"})
    middle = stamped_by_decoding(pictures)[24:72]
    out = relay(packets([*pictures[:24], *middle, *pictures[72:]]))
    decoded = [tag.timestamp_ms for tag in out.pictures]
    assert all(later > earlier for earlier, later in pairwise(decoded))
    assert 0 <= min(out.composition) and max(out.composition) < 300
    # It takes two groups of B-frames each time.
    wrong = off_beat(out, pictures)
    assert wrong and all(24 <= index < 33 or 72 <= index < 81 for index in wrong), wrong


@pytest.mark.parametrize("honest", [True, False], ids=["presentation", "decoding"])
@pytest.mark.parametrize("jump", [-3600, -0.3, 0.3, 3600], ids=lambda seconds: f"{seconds} s")
@pytest.mark.parametrize("at", range(24, 28))
def test_a_clock_that_jumps_between_b_frames(honest: bool, jump: float, at: int):
    pictures = encode(72, group=72, options={"bframes": "3", "b-adapt": "0"})
    sent = pictures if honest else stamped_by_decoding(pictures)
    moved = [picture._replace(pts=picture.pts + round(jump * CLOCK_RATE)) for picture in sent[at:]]
    out = relay(packets([*sent[:at], *moved]))
    decoded = [tag.timestamp_ms for tag in out.pictures]
    assert all(later > earlier for earlier, later in pairwise(decoded))
    assert 0 <= min(out.composition) and max(out.composition) < 4000
    assert all(index < at + 24 for index in off_beat(out, pictures)[at:])


@pytest.mark.parametrize("options", [row[1] for row in REORDERED], ids=[row[0] for row in REORDERED])
def test_decoding_times_at_a_rate_that_varies(options: dict[str, str]):
    """Uneven, but in order."""
    pictures = encode(90, group=40, options=options)
    line = [at * FRAME_TICKS + (at * 7919 % 13) * 220 for at in range(90)]
    sent = [picture._replace(pts=at) for picture, at in zip(pictures, line, strict=True)]
    out = relay(packets(sent))
    shown = shown_times(out)
    for earlier, later in pairwise(sorted(range(90), key=lambda index: pictures[index].pts)):
        assert shown[earlier] < shown[later]
    assert min(out.composition) >= 0
    check_same(out, decode(picture.nals for picture in pictures))


def test_slice_headers_that_lie():
    """Whatever order they tell of: no picture is lost, and the times are within reason."""
    pictures = encode(24, group=12, options={"bframes": "3", "b-adapt": "0"})
    chance = random.Random(1)

    def garble(nals: list[bytes]) -> list[bytes]:
        return [
            nal[:1] + b"\x80" + chance.randbytes(8) + nal[10:] if nal[0] & NAL_TYPE in (1, IDR) else nal
            for nal in nals
        ]

    for sent in (pictures, stamped_by_decoding(pictures)) * 20:
        out = relay(packets(with_nals(sent, garble)))
        decoded = [tag.timestamp_ms for tag in out.pictures]
        assert len(decoded) == 24
        assert all(later > earlier for earlier, later in pairwise(decoded))
        assert 0 <= min(out.composition) and max(out.composition) <= 35 * FRAME_MS


# What readers of FLV say.


def flv_file(tags: Iterable[Tag]) -> io.BytesIO:
    """An FLV file of the video tags (Adobe FLV 10.1, E.2 to E.4)."""
    parts = [b"FLV\x01\x01", (9).to_bytes(4, "big"), bytes(4)]
    for tag in tags:
        if tag.kind is TagKind.VIDEO:
            time = tag.timestamp_ms.to_bytes(4, "big")
            parts += [b"\x09", len(tag.payload).to_bytes(3, "big"), time[1:], time[:1], bytes(3), tag.payload]
            parts.append((11 + len(tag.payload)).to_bytes(4, "big"))
    return io.BytesIO(b"".join(parts))


@pytest.mark.parametrize("name", ["high", "three B-frames", "a pyramid of B-frames", "intra refresh"])
def test_ffmpeg_reads_an_flv_file_of_it(name: str):
    [options] = [row[1] for row in SHAPES if row[0] == name]
    pictures = encode(24, group=12, options=options)
    out = relay(packets(pictures))
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as lines, av.open(flv_file(out.tags), format="flv") as container:
            read = [packet for packet in container.demux(video=0) if packet.size]
    finally:
        av.logging.set_level(level)
    assert [packet.dts for packet in read] == [tag.timestamp_ms for tag in out.pictures]
    assert [packet.pts - packet.dts for packet in read] == out.composition
    # Recovery points are places to seek to, as FFmpeg finds out by itself.
    points = recovery_points(pictures)
    for index, (packet, tag) in enumerate(zip(read, out.pictures, strict=True)):
        assert packet.is_keyframe == (tag.keyframe or index in points)
    assert [*lines] == []
