from whipway.relay.sinks.progress import STALL_TIMEOUT, Progress

BEFORE = 3500
"""Bytes of the hand-shake."""


def begun() -> Progress:
    progress = Progress()
    progress.begin(BEFORE)
    progress.sent(0.0)
    return progress


def test_the_handshake_proves_nothing() -> None:
    progress = Progress()
    assert not progress.note_tcp(BEFORE, 0, 1.0)
    assert not progress.note_rtmp(BEFORE, 1.0)
    assert not progress.has_begun
    assert progress.last is None
    assert progress.acknowledged_bytes == BEFORE


def test_the_handshake_that_is_acknowledged_late_proves_nothing() -> None:
    progress = begun()
    assert progress.has_begun
    assert not progress.note_tcp(BEFORE + 1, 500, 1.0)  # Linux counts the SYN.
    assert not progress.note_rtmp(BEFORE, 1.0)
    assert progress.last is None


def test_more_than_the_handshake_does() -> None:
    progress = begun()
    assert progress.note_tcp(BEFORE + 2, 500, 1.0)
    assert progress.last == 1.0
    assert not progress.note_tcp(BEFORE + 2, 500, 2.0)
    assert progress.last == 1.0


def test_bytes_of_tls_are_not_taken_for_media() -> None:
    progress = Progress()
    progress.note_tcp(BEFORE + 2000, 0, 0.0)
    progress.begin(BEFORE)
    assert not progress.note_tcp(BEFORE + 2000, 0, 1.0)
    assert progress.note_tcp(BEFORE + 2001, 0, 1.0)


def test_an_rtmp_acknowledgement_of_media_counts_once() -> None:
    progress = begun()
    assert progress.note_rtmp(BEFORE + 1, 1.0)
    assert not progress.note_rtmp(BEFORE + 1, 2.0)
    assert progress.last == 1.0
    assert progress.acknowledged_bytes == 0


def test_a_count_that_goes_back_changes_nothing() -> None:
    progress = begun()
    progress.note_tcp(9000, 0, 1.0)
    assert not progress.note_tcp(8000, 0, 2.0)
    assert progress.acknowledged_bytes == 9000


def test_what_is_under_way_for_too_long_is_a_stall() -> None:
    progress = begun()
    assert not progress.is_stalled(STALL_TIMEOUT - 0.1)
    assert progress.is_stalled(STALL_TIMEOUT)
    progress.note_tcp(9000, 1, 20.0)
    progress.sent(25.0)
    assert not progress.is_stalled(29.9)
    assert progress.is_stalled(30.0)


def test_nothing_under_way_is_no_stall() -> None:
    progress = begun()
    progress.note_tcp(9000, 0, 1.0)
    assert not progress.is_stalled(1000.0)
    assert not Progress().is_stalled(1000.0)


def test_what_waited_and_was_left_out_is_no_stall() -> None:
    progress = begun()
    assert progress.note_tcp(5000, 300, 1.0)
    assert not progress.note_tcp(5000, 0, 2.0)
    assert not progress.is_stalled(1000.0)
    assert progress.last == 1.0


def test_the_time_starts_when_something_is_sent() -> None:
    progress = begun()
    progress.note_tcp(9000, 0, 1.0)
    progress.sent(500.0)
    assert not progress.is_stalled(509.9)
    assert progress.is_stalled(510.0)


def test_rtmp_acknowledgements_put_a_stall_off() -> None:
    progress = begun()
    progress.note_rtmp(BEFORE + 1, 9.0)
    assert not progress.is_stalled(18.9)
    assert progress.is_stalled(19.0)
    progress.note_tcp(9000, 0, 20.0)
    progress.note_rtmp(BEFORE + 2, 21.0)
    assert not progress.is_stalled(1000.0)
