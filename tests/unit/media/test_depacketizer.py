from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers.h264 import aggregate, encode, fragment, packetize

from whipway.failures import DropReason
from whipway.media.depacketizer import (
    FRAGMENT_BYTES,
    MAX_AGGREGATED,
    MAX_CARRIED_BYTES,
    MAX_NAL_BYTES,
    MAX_UNIT_BYTES,
    MAX_UNIT_NALS,
    RECOVERY_PATIENCE,
    H264Depacketizer,
    continues_keyframe,
    starts_stream,
)
from whipway.media.nal import NalType, nal_type
from whipway.media.parameter_sets import MAX_UNIT_SETS
from whipway.media.unit import AccessUnit

SPS = b"\x67\x42\xc0\x1f\x01"
PPS = b"\x68\xce\x01"
SEI = b"\x06\x05\x01\x80"
AUD = b"\x09\xf0"
FILLER = b"\x0c\xff\xff\x80"
IDR = b"\x65\x88" + bytes(range(200))
IDR_SECOND = b"\x65\x40" + bytes(range(100))
"""A slice that does not begin with macroblock 0."""
SLICE = b"\x41\x9a" + bytes(range(50))


def send(
    machine: H264Depacketizer, payloads: Iterable[bytes], timestamp: int, *, marker: bool = True
) -> list[AccessUnit]:
    """The payloads of one access unit, the marker on the last."""
    payloads = list(payloads)
    units: list[AccessUnit] = []
    for index, payload in enumerate(payloads):
        units += machine.push(payload, timestamp, marker and index == len(payloads) - 1)
    return units


def started() -> H264Depacketizer:
    """A machine that has emitted its first IDR access unit, with timestamp 0."""
    machine = H264Depacketizer()
    assert len(send(machine, [SPS, PPS, IDR], 0)) == 1
    return machine


def nals(units: list[AccessUnit]) -> list[list[bytes]]:
    return [unit.nals for unit in units]


# Whole streams.


@pytest.mark.parametrize("mtu", [100, 1200, 60_000])
@pytest.mark.parametrize("aggregated", [False, True])
@pytest.mark.parametrize("markers", [True, False])
def test_a_real_stream_comes_back(mtu: int, aggregated: bool, markers: bool):
    sent = encode(160, 90, 7, x264_params="slices=3:aud=1")
    machine = H264Depacketizer()
    units: list[AccessUnit] = []
    for number, unit in enumerate(sent):
        units += send(machine, packetize(unit, mtu, aggregate=aggregated), number * 3000, marker=markers)
    if not markers:
        # The end of the last unit shows with the next one.
        units += machine.push(SLICE, 21_000, False)
    assert nals(units) == [[nal for nal in unit if nal_type(nal) != NalType.AUD] for unit in sent]
    assert [unit.timestamp for unit in units] == [number * 3000 for number in range(7)]
    assert [unit.keyframe for unit in units] == [number % 3 == 0 for number in range(7)]
    assert not machine.awaiting_idr
    assert not machine.drops


def test_a_new_timestamp_and_a_marker_complete_two_units_at_once():
    machine = started()
    assert machine.push(SLICE, 1, False) == ()
    units = machine.push(SLICE + b"!", 2, True)
    assert [(unit.timestamp, unit.nals) for unit in units] == [(1, [SLICE]), (2, [SLICE + b"!"])]


def test_timestamps_wrap_and_repeat_without_meaning():
    machine = started()
    assert len(send(machine, [SLICE], 2**32 - 1)) == 1
    assert len(send(machine, [SLICE], 0)) == 1


def test_delimiters_and_filler_are_taken_out():
    units = send(started(), [AUD, aggregate([AUD, SEI, FILLER]), SLICE, *fragment(FILLER, 4)], 1)
    assert nals(units) == [[SEI, SLICE]]


def test_padding_changes_nothing():
    machine = started()
    assert machine.push(SLICE, 1, False) == ()
    assert machine.push(b"", 1, True) == ()
    assert machine.push(b"", 2, True) == ()
    assert nals(send(machine, [SLICE], 1)) == [[SLICE, SLICE]]
    assert not machine.drops


def test_a_flood_of_sei():
    machine = started()
    assert send(machine, [SEI] * 500, 1) == []
    assert nals(send(machine, [SEI] * 500 + [SLICE], 2)) == [[SEI] * 500 + [SLICE]]
    assert not machine.drops


# Parameter sets in units of their own.


@pytest.mark.parametrize(
    "sets",
    [
        [([SPS, PPS], 10)],
        [([SPS], 10), ([PPS], 10)],
        [([SPS], 8), ([PPS], 9)],
        [([aggregate([SPS, PPS])], 9)],
        [([SPS], 7), ([PPS], 8), ([SPS, PPS], 9)],
    ],
)
@pytest.mark.parametrize("markers", [True, False])
def test_parameter_sets_lead_the_next_unit(sets: list[tuple[list[bytes], int]], markers: bool):
    machine = H264Depacketizer()
    for payloads, timestamp in sets:
        assert send(machine, payloads, timestamp, marker=markers) == []
    units = send(machine, [IDR, IDR_SECOND], 10)
    assert nals(units) == [[SPS, PPS, IDR, IDR_SECOND]]
    assert units[0].timestamp == 10
    assert nals(send(machine, [SLICE], 11)) == [[SLICE]]


def test_parameter_sets_are_not_doubled():
    machine = H264Depacketizer()
    assert send(machine, [SPS, PPS], 1) == []
    assert nals(send(machine, [SPS, PPS, IDR], 2)) == [[SPS, PPS, IDR]]


def test_a_unit_with_an_idr_slice_is_a_key_frame_whatever_follows():
    assert [unit.keyframe for unit in send(started(), [IDR, SLICE], 1)] == [True]


def test_parameter_sets_of_a_unit_that_is_not_emitted_are_kept():
    machine = H264Depacketizer()
    assert send(machine, [SPS, PPS, SLICE], 1) == []
    assert nals(send(machine, [SEI, IDR], 2)) == [[SPS, PPS, SEI, IDR]]


def test_parameter_sets_that_never_end():
    machine = started()
    for number in range(40):
        pps = b"\x68" + number.to_bytes(2, "big") + bytes(MAX_CARRIED_BYTES // 16)
        assert send(machine, [pps], number + 1) == []
    assert machine.drops == {DropReason.H264_TOO_LARGE: 2}


def test_thousands_of_small_parameter_sets():
    machine = started()
    sets = [b"\x68" + number.to_bytes(2, "big") for number in range(MAX_UNIT_SETS + 1)]
    assert send(machine, sets[:-1], 1) == []
    assert machine.drops == {}
    assert send(machine, sets[-1:], 2) == []
    assert machine.drops == {DropReason.H264_TOO_LARGE: 1}
    assert nals(send(machine, [SLICE], 3)) == [[SLICE]]


# Waiting for an IDR.


def test_nothing_leaves_before_the_first_idr():
    machine = H264Depacketizer()
    assert machine.awaiting_idr
    assert send(machine, [SLICE], 1) == []
    assert send(machine, [SEI, SLICE], 2) == []
    assert machine.drops == {DropReason.H264_AWAITING_IDR: 2}
    assert len(send(machine, [SPS, PPS, IDR], 3)) == 1
    assert not machine.awaiting_idr


def test_a_stream_joined_inside_an_idr_picture():
    machine = H264Depacketizer()
    assert send(machine, [IDR_SECOND], 1) == []
    assert machine.awaiting_idr
    assert len(send(machine, [SPS, PPS, IDR], 2)) == 1


def test_a_stream_joined_inside_a_fragmented_nal_unit():
    machine = H264Depacketizer()
    assert send(machine, fragment(IDR, 50)[2:], 1) == []
    assert machine.drops == {DropReason.H264_INCOMPLETE: 1}
    assert len(send(machine, [IDR], 2)) == 1


@pytest.mark.parametrize("lost", range(1, 8))
def test_a_loss_inside_a_unit_costs_everything_up_to_the_next_idr(lost: int):
    machine = started()
    payloads = [*fragment(SLICE, 20), SEI, *fragment(SLICE, 20)]
    assert send(machine, payloads[:lost], 1, marker=False) == []
    machine.gap()
    assert machine.awaiting_idr
    assert send(machine, payloads[lost + 1 :], 1) == []
    assert send(machine, [SLICE], 2) == []
    assert machine.drops == {DropReason.H264_INCOMPLETE: 1, DropReason.H264_AWAITING_IDR: 1}
    assert nals(send(machine, [SPS, PPS, IDR], 3)) == [[SPS, PPS, IDR]]
    assert nals(send(machine, [SLICE], 4)) == [[SLICE]]


def test_a_whole_unit_lost():
    machine = started()
    machine.gap()
    assert send(machine, [SLICE], 2) == []
    assert machine.drops == {DropReason.H264_AWAITING_IDR: 1}


def test_the_tail_of_a_unit_and_the_head_of_an_idr_lost_at_once():
    machine = started()
    send(machine, [SLICE], 1, marker=False)
    machine.gap()
    assert send(machine, [IDR_SECOND], 2) == []
    assert machine.drops == {DropReason.H264_INCOMPLETE: 1, DropReason.H264_AWAITING_IDR: 1}
    assert len(send(machine, [SPS, PPS, IDR], 3)) == 1


def test_an_idr_right_behind_a_gap_needs_the_sets_that_this_sender_repeats():
    machine = started()
    machine.gap()
    assert send(machine, [IDR], 1) == []
    assert machine.awaiting_idr
    machine.gap()
    assert send(machine, [PPS, IDR], 2) == []
    machine = started()
    machine.gap()
    assert send(machine, [SPS, IDR], 1) == []
    machine = started()
    machine.gap()
    assert len(send(machine, [SPS, PPS, IDR], 1)) == 1


def test_an_idr_right_behind_a_gap_without_its_first_slice():
    machine = started()
    machine.gap()
    assert send(machine, [SPS, PPS, IDR_SECOND], 1) == []


def test_an_idr_of_a_sender_that_never_repeats_the_sets():
    machine = started()
    assert len(send(machine, [IDR], 1)) == 1
    machine.gap()
    assert len(send(machine, [IDR], 2)) == 1


def test_sets_sent_before_a_gap_still_lead_the_idr_behind_it():
    machine = started()
    send(machine, [SPS, PPS], 1, marker=False)
    machine.gap()
    assert nals(send(machine, [IDR], 1)) == [[SPS, PPS, IDR]]
    assert machine.drops == {}


def test_the_unit_after_a_damaged_one_is_seen_from_its_start():
    machine = started()
    send(machine, [SLICE], 1, marker=False)
    machine.gap()
    send(machine, [SLICE], 1)
    # No packet is missing in front of this one, so it has no parameter sets because it was sent so.
    assert nals(send(machine, [IDR], 2)) == [[IDR]]


@pytest.mark.parametrize("between", [SLICE, b"\x7d\x81"], ids=["not an IDR", "broken"])
def test_one_unit_behind_a_gap_the_next_is_seen_from_its_start(between: bytes):
    machine = started()
    machine.gap()
    assert send(machine, [between], 1) == []
    assert nals(send(machine, [IDR], 2)) == [[IDR]]


def test_two_gaps_in_one_unit_count_once():
    machine = started()
    send(machine, [SLICE], 1, marker=False)
    machine.gap()
    send(machine, [SLICE], 1, marker=False)
    machine.gap()
    send(machine, [SLICE], 1)
    assert machine.drops == {DropReason.H264_INCOMPLETE: 1}


def test_a_set_that_comes_again_stands_behind_what_came_since():
    machine = started()
    send(machine, [SPS, PPS], 1)
    machine.awaiting_idr = True
    send(machine, [OTHER_SPS, PPS], 2)
    assert nals(send(machine, [IDR], 3)) == [[OTHER_SPS, PPS, IDR]]
    send(machine, [PPS, OTHER_PPS], 4)
    send(machine, [PPS], 5)
    assert nals(send(machine, [IDR], 6)) == [[OTHER_PPS, PPS, IDR]]


OTHER_SPS, OTHER_PPS = b"\x67\x42\xc0\x28\x02", b"\x68\xce\x02"


def test_an_sps_begins_a_new_set_of_them():
    machine = H264Depacketizer()
    send(machine, [PPS], 1)
    assert nals(send(machine, [OTHER_SPS, OTHER_PPS, IDR], 2)) == [[OTHER_SPS, OTHER_PPS, IDR]]


def test_sets_of_before_a_gap_are_not_those_of_a_sender_that_repeats_them():
    machine = started()
    send(machine, [PPS], 1, marker=False)
    machine.gap()
    send(machine, [OTHER_SPS], 2, marker=False)
    machine.gap()
    # The PPS that was lost here was another one.
    assert send(machine, [IDR], 2) == []
    assert nals(send(machine, [OTHER_SPS, OTHER_PPS, IDR], 3)) == [[OTHER_SPS, OTHER_PPS, IDR]]


@pytest.mark.parametrize(
    ("payload", "begun"),
    [
        (IDR, 1),
        (SPS, 1),
        (PPS, 1),
        (aggregate([SPS, PPS]), 1),
        (b"\x7c\x85\x88", 1),
        (b"\x7c\x05\x88", 1),
        (SLICE, 0),
        (SEI, 0),
        (b"\x7c", 0),
        (b"\x78\x00", 0),
        (b"\x7c\x01\x00", 0),
    ],
)
def test_a_key_frame_that_began_to_come_whole_or_not(payload: bytes, begun: int):
    machine = H264Depacketizer()
    machine.gap()
    send(machine, [payload], 1, marker=False)
    send(machine, [payload], 1)
    assert machine.keyframes_begun == begun


@pytest.mark.parametrize("first", [AUD, SEI, b"\x7c\x86\x01"])
def test_a_key_frame_may_begin_with_something_else(first: bytes):
    machine = started()
    begun = machine.keyframes_begun
    send(machine, [first], 1, marker=False)
    machine.gap()
    send(machine, [b"\x7c\x05\x88", IDR], 1)
    assert machine.keyframes_begun == begun + 1
    send(machine, [AUD, SPS, PPS, IDR], 2)
    assert machine.keyframes_begun == begun + 2


def test_sets_in_front_of_every_picture_tell_of_no_key_frame():
    machine = started()
    begun = machine.keyframes_begun
    for number in range(1, 6):
        send(machine, [SPS, PPS, SLICE], number)
    # The first time they might have.
    assert machine.keyframes_begun == begun + 1
    send(machine, [SPS, PPS, IDR], 9)
    assert machine.keyframes_begun == begun + 2


def test_too_many_nal_units_in_one_packet():
    machine = started()
    assert send(machine, [aggregate([SLICE] * MAX_AGGREGATED)], 1) != []
    assert send(machine, [aggregate([SEI] * (MAX_AGGREGATED + 2))], 2) == []
    assert machine.drops == {DropReason.H264_TOO_LARGE: 1}


@pytest.mark.parametrize(
    ("payload", "starts", "continues", "lacks_sets"),
    [
        (SPS, True, False, False),
        (aggregate([SPS, PPS]), True, False, False),
        (PPS, False, True, True),
        (IDR, False, False, True),
        (b"\x7c\x85\x88", False, False, True),
        (b"\x7c\x05\x88", False, True, True),
        (SLICE, False, False, False),
        (b"\x7c\x01\x88", False, False, False),
        (b"", False, False, False),
    ],
)
def test_where_a_stream_begins(payload: bytes, starts: bool, continues: bool, lacks_sets: bool):
    assert starts_stream(payload) == starts
    assert continues_keyframe(payload, has_sets=True) == continues
    assert continues_keyframe(payload, has_sets=False) == lacks_sets


# Recovery points: streams without a second IDR.

RECOVERY = b"\x06\x06\x01\xc4\x80"
SLICE_SECOND = b"\x41\x40" + bytes(range(50))


SECOND = 90_000


def pass_time(machine: H264Depacketizer, begin: int, seconds: int) -> int:
    """Pictures once a second; returns the timestamp of the last one."""
    for number in range(1, seconds + 1):
        assert send(machine, [SLICE], begin + number * SECOND & 0xFFFFFFFF) == []
    return begin + seconds * SECOND


@pytest.mark.parametrize("began", [100, 2**32 - 5 * SECOND])
def test_long_after_a_loss_a_recovery_point_will_do(began: int):
    machine = started()
    assert len(send(machine, [SLICE], began)) == 1
    machine.gap()
    at = pass_time(machine, began, 5)
    machine.gap()
    # The second loss does not begin the waiting anew.
    at = pass_time(machine, at, RECOVERY_PATIENCE // SECOND - 6)
    assert send(machine, [RECOVERY, SLICE], at + SECOND - 1 & 0xFFFFFFFF) == []
    late = at + SECOND & 0xFFFFFFFF
    assert nals(send(machine, [SPS, PPS, SEI, RECOVERY, SLICE], late)) == [[SPS, PPS, SEI, RECOVERY, SLICE]]
    assert not machine.awaiting_idr
    [unit] = send(machine, [SLICE], late + 3000)
    assert not unit.keyframe


@pytest.mark.parametrize("jump", [-1_000_000, 123_456_789, -4000])
def test_a_clock_that_is_set_is_no_waiting(jump: int):
    machine = started()
    send(machine, [SLICE], 100)
    machine.gap()
    at = pass_time(machine, 100, 3)
    for step in (jump, 2 * jump, 3 * jump):
        assert send(machine, [RECOVERY, SLICE], at + step & 0xFFFFFFFF) == []
    assert machine.awaiting_idr


def test_a_recovery_point_whose_first_slice_is_missing():
    machine = started()
    send(machine, [SLICE], 100)
    machine.gap()
    at = pass_time(machine, 100, RECOVERY_PATIENCE // SECOND)
    assert send(machine, [RECOVERY, SLICE_SECOND], at + 1) == []
    [unit] = send(machine, [RECOVERY, SLICE, SLICE_SECOND], at + 2)
    assert not unit.keyframe


def test_a_stream_does_not_begin_at_a_recovery_point():
    machine = H264Depacketizer()
    assert send(machine, [SPS, PPS, RECOVERY, SLICE], 1) == []
    assert machine.awaiting_idr
    assert nals(send(machine, [IDR], 2)) == [[SPS, PPS, IDR]]


# Broken packets: the unit is discarded, once, with its reason.


def too_many_bytes() -> list[bytes]:
    return [b"\x41\x9a" + bytes(60_000)] * (MAX_UNIT_BYTES // 60_000 + 1)


def endless(size: int, head: int = 0x01) -> list[bytes]:
    middle = bytes((0x5C, head)) + bytes(size)
    return [b"\x5c\x81\x9a"] + [middle] * (MAX_NAL_BYTES // max(size + 2, FRAGMENT_BYTES) + 1)


START, MIDDLE, *_, END = fragment(SLICE, 20)

BROKEN = [
    ("STAP-A: cut", [b"\x78\x00\x05\x41\x9a"], DropReason.H264_MALFORMED),
    ("STAP-A: size cut", [b"\x78\x00\x02\x41\x9a\x00"], DropReason.H264_MALFORMED),
    ("STAP-A: empty NAL unit", [b"\x78\x00\x00\x00\x02\x41\x9a"], DropReason.H264_MALFORMED),
    ("STAP-A in STAP-A", [b"\x78\x00\x02\x78\x00"], DropReason.H264_UNSUPPORTED),
    ("FU-A: an empty start without its end", [b"\x5c\x81"], DropReason.H264_MALFORMED),
    ("FU-A: header alone", [b"\x7c"], DropReason.H264_MALFORMED),
    ("FU-A: no start", [MIDDLE, END], DropReason.H264_MALFORMED),
    ("FU-A: end alone", [END], DropReason.H264_MALFORMED),
    ("FU-A: two starts", [START, START], DropReason.H264_MALFORMED),
    ("FU-A: no end, then a single NAL unit", [START, MIDDLE, SEI], DropReason.H264_MALFORMED),
    ("FU-A: a single NAL unit between", [START, b"\x06\x01\x80", MIDDLE, END], DropReason.H264_MALFORMED),
    ("FU-A: no end, then the marker", [START, MIDDLE], DropReason.H264_MALFORMED),
    ("FU-A: the type changes", [START, b"\x5c\x05\x00", END], DropReason.H264_MALFORMED),
    ("FU-A of FU-A", [b"\x7c\xdc\x00"], DropReason.H264_UNSUPPORTED),
    ("FU-A: endless", endless(1200), DropReason.H264_TOO_LARGE),
    ("FU-A: endless in pieces of one byte", endless(1), DropReason.H264_TOO_LARGE),
    ("FU-A: endless with the reserved bit", endless(1200, 0x21), DropReason.H264_TOO_LARGE),
    ("type 0", [b"\x60\x00"], DropReason.H264_UNSUPPORTED),
    ("STAP-B", [b"\x79\x00\x00\x00\x02\x41\x9a"], DropReason.H264_UNSUPPORTED),
    ("MTAP16", [b"\x7a\x00\x00"], DropReason.H264_UNSUPPORTED),
    ("MTAP24", [b"\x7b\x00\x00"], DropReason.H264_UNSUPPORTED),
    ("FU-B", [b"\x7d\x81\x00\x00\x00"], DropReason.H264_UNSUPPORTED),
    ("types 30 and 31", [b"\x7e\x00", b"\x7f\x00"], DropReason.H264_UNSUPPORTED),
    ("forbidden_zero_bit", [b"\xc1\x9a"], DropReason.H264_MALFORMED),
    ("too many NAL units", [SEI] * (MAX_UNIT_NALS + 1), DropReason.H264_TOO_LARGE),
    ("too many bytes", too_many_bytes(), DropReason.H264_TOO_LARGE),
]


@pytest.mark.parametrize(("payloads", "reason"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
@pytest.mark.parametrize("markers", [True, False])
def test_broken_packets_cost_their_unit(payloads: list[bytes], reason: DropReason, markers: bool):
    machine = started()
    assert send(machine, payloads, 1, marker=markers) == []
    assert send(machine, [SLICE], 1) == []
    assert send(machine, [SLICE], 2) == []
    assert machine.drops == {reason: 1, DropReason.H264_AWAITING_IDR: 1}
    assert nals(send(machine, [IDR], 3)) == [[IDR]]


def test_a_broken_packet_does_not_take_the_unit_before_it_along():
    machine = started()
    assert send(machine, [SLICE], 1, marker=False) == []
    assert nals(list(machine.push(b"\x7d\x81", 2, True))) == [[SLICE]]
    assert machine.drops == {DropReason.H264_UNSUPPORTED: 1}


def test_a_nal_unit_in_one_fragment():
    whole = bytes((SLICE[0] & 0xE0 | 28, 0xC0 | SLICE[0] & 0x1F)) + SLICE[1:]
    assert nals(send(started(), [whole], 1)) == [[SLICE]]


def test_a_fragmented_nal_unit_ends_with_its_timestamp():
    machine = started()
    assert send(machine, [START, MIDDLE], 1, marker=False) == []
    assert send(machine, [MIDDLE], 2, marker=False) == []
    # The one without its end, and the one without its start.
    assert machine.drops == {DropReason.H264_MALFORMED: 2}


def test_a_fragmented_nal_unit_ends_with_the_marker():
    machine = started()
    assert send(machine, [START, MIDDLE], 1) == []
    assert machine.drops == {DropReason.H264_MALFORMED: 1}


def test_fragments_may_be_empty():
    head = bytes((SLICE[0] & 0xE0 | 28,))
    kind = SLICE[0] & 0x1F
    pieces = [(0x80, b""), (0, b""), (0, SLICE[1:]), (0, b""), (0x40, b"")]
    payloads = [head + bytes((flags | kind,)) + piece for flags, piece in pieces]
    assert nals(send(started(), payloads, 1)) == [[SLICE]]


def test_the_reserved_bit_of_a_fragment_is_ignored():
    payloads = [bytes((piece[0], piece[1] | 0x20)) + piece[2:] for piece in fragment(SLICE, 20)]
    assert nals(send(started(), payloads, 1)) == [[SLICE]]


def test_the_largest_unit():
    pieces = fragment(b"\x41\x9a" + bytes(MAX_NAL_BYTES // 2), 60_000)
    units = send(started(), pieces * 3, 1)
    assert [len(nal) for nal in units[0].nals] == [2 + MAX_NAL_BYTES // 2] * 3


KNOWN = [SPS, PPS, SEI, RECOVERY, AUD, IDR, IDR_SECOND, SLICE, START, MIDDLE, END, b"", aggregate([SPS, PPS])]
PIECES = st.one_of(st.sampled_from(KNOWN), st.binary(max_size=8))
STEPS = st.lists(st.tuples(PIECES, st.integers(0, 3), st.booleans(), st.booleans()), max_size=20)


@given(STEPS)
def test_whatever_comes_units_have_slices_and_begin_with_an_idr(steps: list[tuple[bytes, int, bool, bool]]):
    machine = H264Depacketizer()
    begun = False
    for payload, timestamp, marker, lost in steps:
        if lost:
            machine.gap()
        awaiting = machine.awaiting_idr
        units = machine.push(payload, timestamp, marker)
        assert len(units) <= 2
        if awaiting and units:
            assert units[0].keyframe or (begun and RECOVERY[:2] in [nal[:2] for nal in units[0].nals])
            begun = True
        for unit in units:
            kinds = {nal_type(nal) for nal in unit.nals}
            assert kinds & {1, 2, 3, 4, 5}
            assert unit.keyframe == (NalType.IDR in kinds)
            assert not kinds & {NalType.AUD, NalType.FILLER}
