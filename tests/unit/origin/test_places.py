import pytest

from whipway.origin import places
from whipway.origin.places import Places, Quota


class Peer:
    def __init__(self, client: str) -> None:
        self.client = client


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_NEWCOMERS", 4)
    monkeypatch.setattr(places, "MAX_NEWCOMERS_PER_ADDRESS", 2)
    monkeypatch.setattr(places, "MAX_PLACES", 3)
    monkeypatch.setattr(places, "MAX_PLACES_PER_ADDRESS", 2)


def entered(all_places: Places, clients: str) -> list[Peer]:
    """One newcomer for each letter; nobody has to go for it."""
    peers = [Peer(client) for client in clients]
    assert [all_places.enter(peer) for peer in peers] == [None] * len(peers)
    return peers


def settled(all_places: Places, clients: str) -> list[Peer]:
    peers = []
    for client in clients:
        [peer] = entered(all_places, client)
        assert all_places.settle(peer)
        peers.append(peer)
    return peers


def test_a_quota_holds_in_all_and_for_each() -> None:
    quota = Quota(3, 2)
    assert [quota.take(client) for client in "aaabb"] == [True, True, False, True, False]
    assert not quota.has_room("c")
    quota.give_back("a")
    assert quota.has_room("a") and quota.has_room("c")
    quota.give_back("a")
    quota.give_back("b")
    assert [quota.take(client) for client in "aab"] == [True, True, True]


def test_the_oldest_newcomer_of_an_address_gives_way_to_the_next_one() -> None:
    all_places = Places()
    first, *_ = entered(all_places, "baa")[1:]
    assert all_places.enter(Peer("a")) is first
    entered(all_places, "b")


def test_the_oldest_newcomer_of_all_gives_way_where_they_are_too_many() -> None:
    all_places = Places()
    oldest, second, *_ = entered(all_places, "abcd")
    assert all_places.enter(Peer("e")) is oldest
    # Whoever had to go is gone.
    all_places.leave(oldest)
    assert all_places.enter(Peer("f")) is second


def test_who_has_a_place_is_no_newcomer_and_gives_way_to_nobody() -> None:
    all_places = Places()
    settled(all_places, "aa")
    entered(all_places, "aabb")


def test_places_are_limited_in_all_and_for_each_address() -> None:
    all_places = Places()
    first, _ = settled(all_places, "aa")
    [third] = entered(all_places, "a")
    assert not all_places.settle(third)
    settled(all_places, "b")
    [fourth] = entered(all_places, "c")
    assert not all_places.settle(fourth)
    all_places.leave(first)
    assert all_places.settle(fourth)


def test_who_got_no_place_is_a_newcomer_still() -> None:
    all_places = Places()
    settled(all_places, "aa")
    first, second = entered(all_places, "aa")
    assert not all_places.settle(second)
    assert all_places.enter(Peer("a")) is first
    assert all_places.enter(Peer("a")) is second


def test_who_is_exempt_is_not_counted() -> None:
    all_places = Places()
    for _ in range(10):
        [own] = entered(all_places, "a")
        all_places.exempt(own)
    settled(all_places, "aab")
    all_places.leave(own)


def test_leaving_leaves_nothing() -> None:
    all_places = Places()
    peers = [*settled(all_places, "ab"), *entered(all_places, "ab")]
    for peer in peers:
        all_places.leave(peer)
        all_places.leave(peer)
    assert settled(all_places, "aab") and entered(all_places, "aabb")
