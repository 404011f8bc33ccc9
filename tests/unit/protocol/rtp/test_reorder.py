"""The reorder buffer: order, gaps, waiting, restarts, bounds."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.protocol.rtp.nack import MAX_MISSING, REORDER_WAIT, MissingPackets
from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.reorder import CAPACITY_PACKETS, ReorderBuffer
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.protocol.rtp.sequence import MAX_JUMP, Extender


def packet(sequence: int) -> Packet:
    return Packet(96, False, sequence & 0xFFFF, 0, 1, b"")


def numbers(ready: object) -> list[int | None]:
    assert isinstance(ready, (list, tuple))
    return [None if entry is None else entry.sequence_number for entry in ready]


def feed(buffer: ReorderBuffer, sequence: int, now: float = 0.0) -> list[int | None]:
    return numbers(buffer.insert(sequence, packet(sequence), now))


def make(capacity: int = CAPACITY_PACKETS, *, asks: bool = False) -> ReorderBuffer:
    return ReorderBuffer(MissingPackets(RoundTrip(), asks=asks), capacity)


def started(capacity: int = CAPACITY_PACKETS, *, asks: bool = False) -> ReorderBuffer:
    buffer = make(capacity, asks=asks)
    assert feed(buffer, 10) == [10]
    return buffer


def absent(buffer: ReorderBuffer) -> list[int]:
    """What is asked for; everything is asked for once."""
    return buffer.missing.due(0.0, 10_000)


def test_packets_in_order_go_straight_through() -> None:
    buffer = started()
    assert [feed(buffer, n) for n in (11, 12, 13)] == [[11], [12], [13]]
    assert buffer.deadline() is None
    assert len(buffer.missing) == 0
    assert numbers(buffer.expire(1e9)) == []


def test_a_first_number_of_zero_starts_the_track() -> None:
    buffer = make()
    assert feed(buffer, 0) == [0]
    assert feed(buffer, 0) == []
    assert buffer.late == 1


def test_swapped_packets_come_out_in_order() -> None:
    buffer = started(asks=True)
    assert feed(buffer, 12) == []
    assert (absent(buffer), len(buffer)) == ([11], 1)
    assert feed(buffer, 11) == [11, 12]
    assert feed(buffer, 13) == [13]
    assert (buffer.lost, buffer.late, buffer.duplicates) == (0, 0, 0)


def test_a_gap_is_given_up_when_its_time_is_over() -> None:
    buffer = started()
    assert feed(buffer, 13, now=5.0) == []
    assert feed(buffer, 14, now=5.1) == []
    assert buffer.deadline() == 5.2
    assert numbers(buffer.expire(5.19)) == []
    assert numbers(buffer.expire(5.2)) == [None, 13, 14]
    assert buffer.lost == 2
    assert buffer.deadline() is None
    assert feed(buffer, 15) == [15]


def test_each_gap_is_marked_where_it_is() -> None:
    buffer = started()
    for sequence in (12, 13, 16):
        feed(buffer, sequence)
    assert numbers(buffer.expire(1.0)) == [None, 12, 13, None, 16]
    assert buffer.lost == 3


def test_a_second_gap_is_as_old_as_the_first_packet_beyond_it() -> None:
    buffer = started()
    feed(buffer, 15, now=1.0)
    feed(buffer, 12, now=1.1)
    assert feed(buffer, 11, now=1.15) == [11, 12]
    assert buffer.deadline() == 1.0 + REORDER_WAIT
    assert len(buffer.missing) == 2


def test_a_later_gap_waits_for_its_own_time() -> None:
    buffer = started()
    feed(buffer, 12, now=1.0)
    feed(buffer, 14, now=1.1)
    assert numbers(buffer.expire(1.2)) == [None, 12]
    assert numbers(buffer.expire(1.3)) == [None, 14]


def test_a_gap_that_can_be_repaired_is_worth_more() -> None:
    buffer = started(asks=True)
    feed(buffer, 12, now=1.0)
    assert buffer.deadline() == 1.0 + buffer.missing.patience() > 1.0 + REORDER_WAIT
    assert numbers(buffer.expire(1.0 + REORDER_WAIT)) == []


def test_every_gap_given_up_at_once() -> None:
    buffer = started()
    assert numbers(buffer.give_up()) == []
    for sequence in (12, 15):
        feed(buffer, sequence)
    assert numbers(buffer.give_up()) == [None, 12, None, 15]
    assert len(buffer.missing) == 0


def test_more_waiting_packets_than_the_capacity_give_the_gap_up() -> None:
    buffer = started(3)
    for sequence in (12, 14, 15):
        assert feed(buffer, sequence) == []
    assert feed(buffer, 16) == [None, 12]
    assert feed(buffer, 17) == [None, 14, 15, 16, 17]
    assert buffer.lost == 2


def test_duplicates_and_late_packets_are_counted_and_dropped() -> None:
    buffer = started()
    feed(buffer, 12)
    assert feed(buffer, 12) == []
    assert feed(buffer, 10) == []
    buffer.expire(1.0)
    assert feed(buffer, 11) == []
    assert (buffer.duplicates, buffer.late) == (1, 2)


def test_each_number_is_missing_once_and_until_it_comes() -> None:
    buffer = started(asks=True)
    feed(buffer, 15)
    assert absent(buffer) == [11, 12, 13, 14]
    feed(buffer, 13)
    feed(buffer, 17)
    assert absent(buffer) == [16]
    assert [n for n in range(10, 20) if buffer.missing.was_asked(n)] == [11, 12, 14, 16]
    assert (buffer.missing.lost, buffer.missing.repaired) == (5, 1)


def test_a_number_behind_a_filled_gap_opens_the_next_one() -> None:
    buffer = started(asks=True)
    feed(buffer, 12)
    feed(buffer, 11)
    assert feed(buffer, 14) == []
    assert absent(buffer) == [13]


def test_what_is_missing_is_bounded() -> None:
    buffer = started(asks=True)
    feed(buffer, 10 + MAX_JUMP)
    assert absent(buffer) == list(range(11, 11 + MAX_MISSING))


def test_what_is_given_up_is_not_asked_for() -> None:
    buffer = started(asks=True)
    for sequence in (12, 14):
        feed(buffer, sequence)
    buffer.expire(10.0)
    assert absent(buffer) == []


def test_a_track_may_begin_before_the_first_packet_that_comes() -> None:
    buffer = make(asks=True)
    assert buffer.start(5) == []
    assert feed(buffer, 8) == []
    assert absent(buffer) == [5, 6, 7]
    assert feed(buffer, 6) == []
    # What is behind the beginning goes on, what is before it is not wanted.
    assert numbers(buffer.start(7)) == []
    assert feed(buffer, 7) == [7, 8]
    assert (buffer.late, buffer.lost, len(buffer)) == (1, 0, 0)


def test_a_track_may_begin_with_a_frame() -> None:
    buffer = make(asks=True)
    buffer.start(1)
    for sequence, timestamp in ((7, 0), (8, 3000), (9, 3000), (10, 3000), (6, 0)):
        ready = buffer.insert(sequence, packet(sequence)._replace(timestamp=timestamp), 0.0)
        assert list(ready) == []
    assert numbers(buffer.start_with_frame(9)) == [8, 9, 10]
    assert feed(buffer, 11) == [11]


def test_a_track_may_begin_with_what_is_there() -> None:
    buffer = make(asks=True)
    buffer.start(5)
    assert numbers(buffer.start_with_first()) == []
    for sequence in (12, 10, 9):
        feed(buffer, sequence)
    assert numbers(buffer.start_with_first()) == [9, 10]
    assert buffer.missing.lost == 1
    assert numbers(buffer.give_up()) == [None, 12]


def test_a_beginning_behind_packets_that_wait_is_no_trap() -> None:
    buffer = make()
    buffer.start(68)
    feed(buffer, 100)
    buffer.start(103)
    assert feed(buffer, 105) == []
    assert numbers(buffer.give_up()) == [None, 105]


def test_the_farthest_jump_that_is_waited_for() -> None:
    buffer = started()
    assert feed(buffer, 11 + MAX_JUMP) == []
    assert numbers(buffer.expire(1.0)) == [None, 11 + MAX_JUMP]
    assert buffer.resets == 0


def test_a_restart_ahead_is_believed_at_its_second_packet() -> None:
    buffer = started()
    feed(buffer, 12)
    assert feed(buffer, 9000) == []
    assert feed(buffer, 9001) == [None, 12, None, 9000, 9001]
    assert (buffer.resets, buffer.lost, buffer.late) == (1, 1, 0)
    assert feed(buffer, 9002) == [9002]


def test_a_restart_behind_is_believed_at_its_second_packet() -> None:
    buffer = make()
    feed(buffer, 30_000)
    assert feed(buffer, 100) == []
    assert feed(buffer, 101) == [None, 100, 101]
    assert feed(buffer, 102) == [102]


def test_a_restart_is_not_believed_again_at_its_second_packet() -> None:
    buffer = started()
    for sequence in (9000, 9001, 11_000, 13_000):
        feed(buffer, sequence)
        buffer.expire(1.0)
    assert feed(buffer, 9001) == []
    assert buffer.resets == 1


def test_lone_packets_far_away_are_not_believed() -> None:
    buffer = started()
    assert [feed(buffer, n) for n in (9000, 20_000, 11)] == [[], [], [11]]
    assert (buffer.resets, buffer.late) == (0, 1)


def test_a_restart_through_the_extender() -> None:
    buffer = make()
    extender = Extender(16)
    output: list[int | None] = []
    wire = [65534, 65535, 0, 1, 40_000, 40_001, 40_002, 40_003]
    for sequence in wire:
        output += feed(buffer, extender.extend(sequence))
    assert output == [65534, 65535, 0, 1, None, 40_000, 40_001, 40_002, 40_003]


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), st.floats(0, 0.4), st.integers(1, 20))
def test_whatever_the_network_does_the_output_is_in_order(
    chance: random.Random, loss: float, spread: int
) -> None:
    sent = [n for n in range(65_510, 65_560) if n == 65_510 or chance.random() >= loss]
    arrived = sorted(sent, key=lambda n: 0 if n == 65_510 else n + chance.random() * spread)
    buffer = make(16)
    output: list[Packet | None] = []
    for i, sequence in enumerate(arrived):
        output += buffer.insert(sequence, packet(sequence), i * 0.02)
        output += buffer.expire(i * 0.02)
    output += buffer.expire(1e9)
    extender = Extender(16)
    released = [extender.extend(entry.sequence_number) for entry in output if entry is not None]
    assert released == sorted(set(released))
    assert len(released) + buffer.late == len(sent)
    # A gap is marked exactly where numbers are absent, and they are what was counted as lost.
    extender = Extender(16)
    before, gap, lost = 65_509, False, 0
    for entry in output:
        if entry is None:
            gap = True
            continue
        sequence = extender.extend(entry.sequence_number)
        assert gap == (sequence != before + 1)
        lost += sequence - before - 1
        before, gap = sequence, False
    assert lost == buffer.lost


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 1)), max_size=120))
def test_any_numbers_keep_within_the_bounds(arrivals: list[tuple[int, float]]) -> None:
    buffer = make(4, asks=True)
    extender = Extender(16)
    now, out = 0.0, 0
    for sequence, step in arrivals:
        now += step
        out += sum(e is not None for e in buffer.insert(extender.extend(sequence), packet(sequence), now))
        out += sum(e is not None for e in buffer.expire(now))
        assert len(buffer.missing) <= MAX_MISSING
        deadline = buffer.deadline()
        assert deadline is None or deadline > now
    held = len(arrivals) - out - buffer.late - buffer.duplicates
    assert 0 <= held <= 5
