"""Transport-wide feedback: bytes both ways, and what the recorder makes of arrivals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.rtcp.packets import parse_compound
from whipway.protocol.rtcp.twcc import (
    MAX_DISTANCE,
    MAX_FEEDBACKS,
    MAX_RECEIVED,
    MAX_SPAN,
    MAX_STATUSES,
    TICKS_PER_REFERENCE,
    TICKS_PER_SECOND,
    ArrivalRecorder,
    TransportFeedback,
    parse_feedback,
)


def feedback(*arrivals: int | None) -> TransportFeedback:
    return TransportFeedback(1, 2, 0x64, 9, 0x010203, arrivals)


# 3.1.4: 11 for a vector of two-bit symbols, then 01 01 00 10 10 00 01. Deltas 0, 4, 296, -10 and 0.
TWO_BIT = bytes.fromhex("afcd0007 00000001 00000002 00640007 01020309 d4a1 0004 0128 fff6 00 000003")
# 3.1.3: a run of fifteen small deltas; then a vector of one-bit symbols, 10 and 0 1 0.
RUN_AND_ONE_BIT = bytes.fromhex(
    "8fcd0009 00000001 00000002 fffa0012 ffffff00 200f 9000 ff 0000000000000000000000000000 01"
)


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (feedback(0, 4, None, 300, 290, None, 290), TWO_BIT),
        (
            TransportFeedback(1, 2, 0xFFFA, 0, 0xFFFFFF, (255,) * 15 + (None, 256, None)),
            RUN_AND_ONE_BIT,
        ),
    ],
)
def test_feedback_bytes(packet: TransportFeedback, data: bytes) -> None:
    assert packet.serialize() == data
    assert parse_compound(data, feedback=True) == [packet]


def chunks_of(*arrivals: int | None) -> str:
    """The chunks alone; the deltas of these arrivals are cut off."""
    content = feedback(*arrivals).serialize()[20:]
    end = next(size for size in range(0, 99, 2) if len(parse_symbols(content[:size])) >= len(arrivals))
    return content[:end].hex(" ", 2)


def parse_symbols(content: bytes) -> list[str]:
    """An independent, slow reading of chunks, by their bits."""
    symbols: list[str] = []
    for at in range(0, len(content), 2):
        bits = f"{int.from_bytes(content[at : at + 2], 'big'):016b}"
        if bits[0] == "0":
            symbols += [bits[1:3]] * int(bits[3:], 2)
        elif bits[1] == "0":
            symbols += ["0" + bit for bit in bits[2:]]
        else:
            symbols += [bits[at : at + 2] for at in range(2, 16, 2)]
    return symbols


@pytest.mark.parametrize(
    ("arrivals", "chunks"),
    [
        # All alike: one run, however short.
        ((0,), "2001"),
        ((0, 0, 0), "2003"),
        ((0, 1000, 2000), "da00"),
        # A run shorter than a vector joins it.
        ((*[0] * 13, None), "bffe"),
        ((*[0] * 14, None), "200e 0001"),
        # Seven is enough where large deltas follow.
        ((*[0] * 7, 1000), "2007 4001"),
        ((*[0] * 6, 1000), "d556"),
        # A large delta later on takes only its own vector.
        ((0, None, 0, None, 0, None, 0, None, 1000, None), "d111 c800"),
        # The vector takes 13 of the thousand.
        ((0, *[None] * 1000, 0), "a000 03db 2001"),
    ],
)
def test_chunks(arrivals: tuple[int | None, ...], chunks: str) -> None:
    assert chunks_of(*arrivals) == chunks


@st.composite
def arrivals_of_a_receiver(draw: st.DrawFn) -> tuple[int | None, ...]:
    """Losses, runs, and deltas of every size."""
    arrivals: list[int | None] = []
    time = 0
    delta = st.one_of(st.just(0), st.integers(0, 255), st.integers(-0x8000, 0x7FFF))
    for lost, received in draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)):
        arrivals += [None] * lost
        step = draw(delta)
        for _ in range(received):
            time += step
            step = draw(st.sampled_from((step, 0, 3)))
            arrivals.append(time)
    return tuple(arrivals) or (None,)


@given(arrivals_of_a_receiver())
@settings(max_examples=60, deadline=None)
def test_feedback_parses_back(arrivals: tuple[int | None, ...]) -> None:
    data = feedback(*arrivals).serialize()
    assert len(data) % 4 == 0
    assert parse_compound(data, feedback=True) == [feedback(*arrivals)]


def test_fields_wrap_at_their_size() -> None:
    packet = TransportFeedback(1, 2, 0x10064, 256 + 9, 0x1010203, (0,))
    assert packet.serialize() == feedback(0).serialize()


@pytest.mark.parametrize(
    ("arrivals", "message"),
    [
        ((), "1 to 2048 packets"),
        ((0,) * (MAX_STATUSES + 1), "1 to 2048 packets"),
        ((0, 0x8000), "16 bits"),
        ((0, -0x8001), "16 bits"),
    ],
)
def test_what_cannot_be_said_is_a_mistake_of_ours(arrivals: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        feedback(*arrivals).serialize()


def test_vectors_may_be_padded_without_telling_so() -> None:
    body = bytes.fromhex("00000001 00000002 00640003 01020309 a000 00 000000")
    assert parse_feedback(body) == feedback(0, None, None)


def test_an_empty_run_adds_nothing() -> None:
    body = bytes.fromhex("00000001 00000002 00640001 01020309 2000 2001 05")
    assert parse_feedback(body) == feedback(5)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "00640001 010203",
        "00640000 01020309 2001 05",  # no packets
        "00640801 01020309 0801",  # one more than MAX_STATUSES
        "00640001 01020309",  # no chunk
        "00640003 01020309 2002 05",  # a run too short, and half a chunk
        "00640001 01020309 2001",  # no delta
        "00640002 01020309 4002 0000 00",  # half a delta
        "00640001 01020309 6001 000000",  # reserved
        "00640001 01020309 f000 000000",  # reserved
    ],
)
def test_malformed(content: str) -> None:
    with pytest.raises(ParseError) as failure:
        parse_feedback(bytes.fromhex("00000001 00000002" + content))
    assert failure.value.reason is DropReason.RTCP_MALFORMED


@given(st.integers(0, 30), st.binary(max_size=60))
def test_any_body_parses_or_raises_parse_error(count: int, content: bytes) -> None:
    body = bytes(10) + count.to_bytes(2, "big") + bytes(4) + content
    try:
        packet = parse_feedback(body)
    except ParseError as failure:
        assert failure.reason is DropReason.RTCP_MALFORMED
    else:
        assert len(packet.arrivals) == count


# The recorder.


def record(recorder: ArrivalRecorder, *numbers: int, start: float = 0.0, step: float = 0.001) -> None:
    for index, number in enumerate(numbers):
        recorder.received(number & 0xFFFF, start + index * step)


def compose(recorder: ArrivalRecorder) -> list[TransportFeedback]:
    """Every feedback packet must go over the wire unharmed, and fit a datagram."""
    packets = recorder.compose(1, 2)
    for packet in packets:
        data = packet.serialize()
        assert len(data) <= 1192
        assert parse_compound(data, feedback=True) == [packet]
        assert packet.arrivals[-1] is not None
    return packets


def told(packets: list[TransportFeedback]) -> list[tuple[int, bool]]:
    """Number and whether it was received, in the order told."""
    return [
        (packet.base_sequence + index & 0xFFFF, arrival is not None)
        for packet in packets
        for index, arrival in enumerate(packet.arrivals)
    ]


def test_nothing_to_tell() -> None:
    recorder = ArrivalRecorder()
    assert not recorder.pending
    assert compose(recorder) == []


def test_feedback_of_a_few_packets() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 10, 11, 13, start=1.0005)
    assert recorder.pending
    # 1.0005 s is 4002 ticks, 15 times 64 ms and 162 ticks.
    assert compose(recorder) == [TransportFeedback(1, 2, 10, 0, 15, (162, 166, None, 170))]
    assert not recorder.pending
    assert compose(recorder) == []


def test_each_feedback_goes_on_where_the_last_one_ended() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 65533, 65534)
    assert told(compose(recorder)) == [(65533, True), (65534, True)]
    record(recorder, 1, start=0.1)
    assert compose(recorder) == [TransportFeedback(1, 2, 65535, 1, 1, (None, None, 144))]
    record(recorder, 2, start=0.2)
    assert told(compose(recorder)) == [(2, True)]


def test_the_count_of_feedbacks_wraps() -> None:
    recorder = ArrivalRecorder()
    counts = []
    for number in range(257):
        record(recorder, number)
        counts += [packet.feedback_count for packet in compose(recorder)]
    assert counts == [*range(256), 0]


def test_the_reference_time_wraps() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 1, 2, start=(1 << 24) * 0.064 - 0.001, step=0.002)
    assert compose(recorder) == [TransportFeedback(1, 2, 1, 0, 0xFFFFFF, (252, 260))]
    record(recorder, 3, start=(1 << 24) * 0.064)
    assert compose(recorder) == [TransportFeedback(1, 2, 3, 1, 0, (0,))]


def test_packets_that_overtake_each_other() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 5, 7, 6, 4, start=0.064)
    assert compose(recorder) == [TransportFeedback(1, 2, 4, 0, 1, (12, 0, 8, 4))]


def test_a_late_packet_is_told_with_what_was_told_before() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 10, 12, 13)
    assert told(compose(recorder)) == [(10, True), (11, False), (12, True), (13, True)]
    record(recorder, 11, 14, start=0.064)
    # 12 and 13 came before the reference time of this feedback.
    assert compose(recorder) == [TransportFeedback(1, 2, 11, 1, 1, (0, -252, -248, 4))]


def test_duplicates_keep_the_first_arrival() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 1, 1, 2)
    assert compose(recorder) == [TransportFeedback(1, 2, 1, 0, 0, (0, 8))]
    record(recorder, 1, 2, start=1.0)
    assert compose(recorder) == []


def test_a_pause_longer_than_a_delta_begins_another_feedback() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 1, 2, 4, start=0.0, step=8.192)
    packets = compose(recorder)
    assert [(packet.base_sequence, packet.arrivals) for packet in packets] == [
        (1, (0,)),
        (2, (0,)),
        (3, (None, 0)),
    ]
    assert [packet.reference_time for packet in packets] == [0, 128, 256]


def test_a_feedback_has_a_largest_number_of_packets() -> None:
    recorder = ArrivalRecorder()
    record(recorder, *range(2 * MAX_RECEIVED + 5))
    packets = compose(recorder)
    assert [len(packet.arrivals) for packet in packets] == [MAX_RECEIVED, MAX_RECEIVED, 5]


def test_the_longest_feedback_fits_a_datagram() -> None:
    recorder = ArrivalRecorder()
    # As many packets as it takes, every delta large, and losses spread so that no run helps.
    record(recorder, *(index * 7 // 2 for index in range(MAX_RECEIVED)), step=0.1)
    (packet,) = compose(recorder)
    assert 1150 < len(packet.serialize()) < 1200


def test_a_feedback_has_a_largest_span() -> None:
    recorder = ArrivalRecorder()
    record(recorder, *range(0, 4 * MAX_SPAN, 5))
    packets = compose(recorder)
    assert all(len(packet.arrivals) <= MAX_SPAN for packet in packets)
    assert [number for number, _ in told(packets)] == list(range(4 * MAX_SPAN - 4))


@pytest.mark.parametrize("distance", [MAX_DISTANCE, -MAX_DISTANCE])
def test_a_gap_as_long_as_allowed_is_told(distance: int) -> None:
    recorder = ArrivalRecorder()
    record(recorder, 5000)
    compose(recorder)
    record(recorder, 5000 + distance)
    numbers = told(compose(recorder))
    assert [number for number, received in numbers if received] == ([6000] if distance > 0 else [4000, 5000])
    assert len(numbers) == (1000 if distance > 0 else 1001)


@pytest.mark.parametrize("odd", [5000 + MAX_DISTANCE + 2, 5000 - MAX_DISTANCE, 40000])
def test_one_odd_number_disturbs_nothing(odd: int) -> None:
    recorder = ArrivalRecorder()
    record(recorder, 5000, 5001, odd, 5002)
    assert told(compose(recorder)) == [(5000, True), (5001, True), (5002, True)]
    record(recorder, 5003)
    assert told(compose(recorder)) == [(5003, True)]


def test_an_odd_number_at_first_is_left_behind() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 40000)
    compose(recorder)
    record(recorder, 5000, 5002)
    assert told(compose(recorder)) == [(5000, True), (5001, False), (5002, True)]


def test_a_second_number_far_away_moves_the_record() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 1, 2, 20000, 3, 20002, 20003)
    # Whatever was not told yet comes first; the gap is not told.
    assert told(compose(recorder)) == [
        *((number, True) for number in (1, 2, 3)),
        *((20000, True), (20001, False), (20002, True), (20003, True)),
    ]
    record(recorder, 50000)
    assert compose(recorder) == []
    record(recorder, 50001)
    assert told(compose(recorder)) == [(50000, True), (50001, True)]


def test_odd_numbers_replace_each_other() -> None:
    recorder = ArrivalRecorder()
    record(recorder, 1, 20000, 40000, 20001, 20002)
    assert told(compose(recorder)) == [(1, True), (20001, True), (20002, True)]


def test_a_sender_that_jumps_about_is_bounded_and_heard_again() -> None:
    recorder = ArrivalRecorder()
    jumps = [start + index for start in range(0, 60000, 3000) for index in (0, 900)]
    record(recorder, *jumps)
    packets = compose(recorder)
    assert len(packets) == MAX_FEEDBACKS
    assert [packet.base_sequence for packet in packets] == [3000 * index for index in range(MAX_FEEDBACKS)]
    record(recorder, jumps[-1] + 1)
    assert [packet.feedback_count for packet in compose(recorder)] == [MAX_FEEDBACKS]


def test_steps_as_wide_as_allowed_are_bounded() -> None:
    recorder = ArrivalRecorder()
    record(recorder, *(number * MAX_DISTANCE for number in range(4000)))
    assert len(compose(recorder)) == MAX_FEEDBACKS
    record(recorder, 4000 * MAX_DISTANCE)
    assert len(compose(recorder)) == 1


@given(
    start=st.integers(0, 65535),
    lost=st.sets(st.integers(1, 400)),
    delays=st.lists(st.integers(0, 200), min_size=401, max_size=401),
    turns=st.lists(st.integers(1, 60), max_size=30),
)
@settings(max_examples=25, deadline=None)
def test_everything_received_is_told_with_its_time(
    start: int, lost: set[int], delays: list[int], turns: list[int]
) -> None:
    """Packets 1 ms apart, delayed and lost at random, feedback at random: the sender learns it all."""
    sent = [number for number in range(401) if number not in lost]
    arrivals = sorted((100 + (number + delays[number]) / 1000, number) for number in sent)
    recorder = ArrivalRecorder()
    heard: dict[int, float] = {}
    missing: set[int] = set()
    for turn in [*turns, len(arrivals)]:
        for arrival, number in arrivals[:turn]:
            recorder.received(start + number & 0xFFFF, arrival)
        arrivals = arrivals[turn:]
        for packet in compose(recorder):
            base = packet.base_sequence - start & 0xFFFF
            for number, ticks in enumerate(packet.arrivals, base):
                if ticks is None:
                    missing.add(number)
                else:
                    heard[number] = (packet.reference_time * TICKS_PER_REFERENCE + ticks) / TICKS_PER_SECOND
    assert heard == {
        number: pytest.approx(100 + (number + delays[number]) / 1000, abs=0.000126) for number in sent
    }
    assert lost & set(range(min(sent), max(sent))) <= missing
