import pytest

from whipway.origin.live import LiveStream
from whipway.origin.table import StreamTable

KEY = "live/one"


class Publisher:
    """Gives its name back when it is replaced."""

    def __init__(self, table: StreamTable, number: int, *, is_own: bool = False) -> None:
        self.is_own = is_own
        self.number = number
        self.last_media = 0.0
        self.is_replaced = False
        self._table = table

    def replaced(self) -> None:
        self.is_replaced = True
        self._table.unpublish(KEY)


class Player:
    def __init__(self) -> None:
        self.streams: list[LiveStream] = []

    def join(self, stream: LiveStream) -> None:
        self.streams.append(stream)


def test_a_name_has_one_publisher() -> None:
    table = StreamTable(takeover_after=2.0)
    first = Publisher(table, 1)
    stream = table.publish(KEY, first, 0.0)
    assert table.publish(KEY, Publisher(table, 2), 1.9) is None
    assert table.streams == {KEY: stream}
    assert not first.is_replaced
    assert table.publish("live/two", Publisher(table, 3), 1.9) is not None
    table.unpublish(KEY)
    assert table.publish(KEY, Publisher(table, 4), 1.9) is not None


def test_a_silent_publisher_gives_way_and_its_stream_ends() -> None:
    table = StreamTable(takeover_after=2.0)
    first, second = Publisher(table, 2), Publisher(table, 1)
    old = table.publish(KEY, first, 0.0)
    first.last_media = 1.0
    assert table.publish(KEY, second, 2.9) is None
    new = table.publish(KEY, second, 3.0)
    assert first.is_replaced
    assert new is not None and new is not old
    assert table.streams == {KEY: new}


@pytest.mark.parametrize(("number", "wins"), [(6, True), (4, False)])
def test_where_newer_ones_win_it_counts_who_asked_later(number: int, wins: bool) -> None:
    table = StreamTable(takes_over=True)
    first = Publisher(table, 5)
    table.publish(KEY, first, 0.0)
    stream = table.publish(KEY, Publisher(table, number), 0.0)
    assert (stream is not None) is first.is_replaced is wins


def test_own_sinks_do_not_give_way() -> None:
    table = StreamTable(takeover_after=0.0, takes_over=True)
    table.publish(KEY, Publisher(table, 1, is_own=True), 0.0)
    assert table.publish(KEY, Publisher(table, 2, is_own=True), 100.0) is None
    assert table.publish(KEY, Publisher(table, 3), 100.0) is None


def test_players_wait_for_their_stream() -> None:
    table = StreamTable()
    early, other, late = Player(), Player(), Player()
    table.play(KEY, early)
    table.play("live/two", other)
    stream = table.publish(KEY, Publisher(table, 1), 0.0)
    table.play(KEY, late)
    assert early.streams == late.streams == [stream]
    assert other.streams == []
    assert table.waiting == {"live/two": {other}}


def test_who_stops_waiting_is_forgotten() -> None:
    table = StreamTable()
    one, two = Player(), Player()
    table.play(KEY, one)
    table.play(KEY, two)
    table.stop_waiting(KEY, one)
    assert table.waiting == {KEY: {two}}
    table.stop_waiting(KEY, two)
    table.stop_waiting(KEY, two)
    assert table.waiting == {}
