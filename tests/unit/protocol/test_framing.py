import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.framing import MAX_FRAME_BYTES, Deframer, frame


def test_a_frame_is_a_length_and_the_datagram() -> None:
    assert frame(b"abc") == b"\x00\x03abc"
    assert frame(bytes(300)) == b"\x01\x2c" + bytes(300)


def test_frames_of_one_read_come_in_order() -> None:
    assert Deframer().receive_data(b"\x00\x03abc\x00\x01d\x00\x02ef") == [b"abc", b"d", b"ef"]


def test_a_frame_is_put_together_byte_by_byte() -> None:
    deframer = Deframer()
    reads = [deframer.receive_data(bytes((byte,))) for byte in frame(b"abc")]
    assert reads == [[], [], [], [], [b"abc"]]


def test_empty_frames_are_passed_over() -> None:
    assert Deframer().receive_data(b"\x00\x00\x00\x01a\x00\x00") == [b"a"]


def test_the_largest_frame_is_taken_and_no_larger_one() -> None:
    largest = bytes(MAX_FRAME_BYTES)
    assert Deframer().receive_data(frame(largest)) == [largest]
    with pytest.raises(ParseError) as caught:
        Deframer().receive_data(frame(largest + b"x")[:2])
    assert caught.value.reason is DropReason.TCP_FRAME_MALFORMED


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00"])
def test_http_and_tls_are_no_frames(begin: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        Deframer().receive_data(begin)
    assert caught.value.reason is DropReason.TCP_FRAME_MALFORMED


def test_what_a_limit_leaves_is_cut_by_the_next_calls() -> None:
    deframer = Deframer()
    assert deframer.receive_data(b"".join(map(frame, (b"a", b"b", b"c", b"d"))) + b"\x00", 2) == [b"a", b"b"]
    assert deframer.has_more
    # More data may come in between: they are behind.
    assert deframer.receive_data(b"\x01e", 1) == [b"c"]
    assert deframer.has_more
    assert deframer.receive_data() == [b"d", b"e"]
    assert not deframer.has_more
    assert deframer.receive_data() == []


def test_a_limit_that_all_keep_to_leaves_nothing() -> None:
    deframer = Deframer()
    assert deframer.receive_data(frame(b"a") + frame(b"b"), 2) == [b"a", b"b"]
    assert not deframer.has_more
    assert deframer.receive_data(frame(b"c") + b"\x00", 2) == [b"c"]
    assert not deframer.has_more


def test_empty_frames_count_for_the_limit() -> None:
    deframer = Deframer()
    assert deframer.receive_data(b"\x00\x00" * 4 + frame(b"a"), 3) == []
    assert deframer.has_more
    assert deframer.receive_data(max_frames=3) == [b"a"]


def test_what_is_wrong_behind_the_limit_is_found_later() -> None:
    deframer = Deframer()
    assert deframer.receive_data(frame(b"a") + b"\xff\xff", 1) == [b"a"]
    with pytest.raises(ParseError):
        deframer.receive_data(max_frames=1)


@given(
    st.lists(st.binary(max_size=300), max_size=8),
    st.lists(st.integers(0, 2500), max_size=8),
    st.integers(1, 5),
)
def test_cuts_and_limits_make_no_difference(datagrams: list[bytes], cuts: list[int], limit: int) -> None:
    wire = b"".join(map(frame, datagrams))
    deframer = Deframer()
    found: list[bytes] = []
    start = 0
    for cut in [*sorted(cuts), len(wire)]:
        found += deframer.receive_data(wire[start:cut], limit)
        start = max(start, cut)
    while deframer.has_more:
        found += deframer.receive_data(max_frames=limit)
    assert found == list(filter(None, datagrams))


@given(st.lists(st.binary(max_size=100), max_size=8))
def test_any_bytes_are_frames_or_malformed(reads: list[bytes]) -> None:
    deframer = Deframer()
    for data in reads:
        try:
            datagrams = deframer.receive_data(data)
        except ParseError as error:
            assert error.reason is DropReason.TCP_FRAME_MALFORMED
            return
        assert all(datagrams)
