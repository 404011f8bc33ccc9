from itertools import count

import pytest

from whipway.streams.publications import Publication, Publications


class Clock:
    def __init__(self) -> None:
        self._ticks = count(100)

    def __call__(self) -> float:
        return float(next(self._ticks))


@pytest.fixture
def publications() -> Publications:
    return Publications(Clock())


def begin(publications: Publications, app: str = "live", name: str = "cam") -> Publication:
    return publications.begin(
        "rtmp", app=app, stream_name=name, client="1.2.3.4", stream_url=f"rtmp://here/{app}", is_here=True
    )


def test_what_is_known_of_a_publication(publications: Publications) -> None:
    publication = begin(publications, "live/team?a=1", "cam?passcode=secret")
    assert (publication.kind, publication.client, publication.session_id) == ("rtmp", "1.2.3.4", None)
    assert (publication.name, publication.app, publication.key) == ("team/cam", "live/team", "live/team/cam")
    assert publication.arguments == "passcode=secret"
    assert (publication.number, publication.began_at, publication.live_since) == (1, 100.0, None)
    assert begin(publications).number == 2


def test_a_publication_shows_no_secrets(publications: Publications) -> None:
    publication = publications.begin(
        "whip",
        app="live",
        stream_name="cam?pass=hush",
        client="",
        stream_url="rtmp://u:hush@here/live",
        session_id="hush",
        is_here=False,
    )
    assert "hush" not in repr(publication)


def test_its_course(publications: Publications) -> None:
    told: list[tuple[str, bool, bool]] = []

    def tell(what: str) -> None:
        listeners = {
            "begin": publications.on_begin,
            "live": publications.on_live,
            "over": publications.on_over,
        }[what]
        listeners.append(lambda each: told.append((what, each.is_live, each in publications.all())))

    for what in ("begin", "live", "over"):
        tell(what)
    publication = begin(publications)
    publications.first_frame(publication)
    publications.first_frame(publication)
    assert publication.live_since == 101.0
    publications.over(publication, "silence", 10, 20)
    publications.over(publication, "again", 1, 2)
    publications.first_frame(publication)
    assert told == [("begin", False, True), ("live", True, True), ("over", False, False)]
    assert (publication.reason, publication.bytes_in, publication.bytes_out) == ("silence", 10, 20)
    assert publication.is_over and publication.ended.is_set()


def test_who_never_showed_a_frame_is_never_live(publications: Publications) -> None:
    publication = begin(publications)
    publications.over(publication, "silence")
    publications.first_frame(publication)
    assert publication.live_since is None and not publication.is_live


def test_why_it_was_told_to_stop_goes_first(publications: Publications) -> None:
    publication = begin(publications)
    publication.stop_reason = "locked"
    publications.over(publication, "deleted")
    assert publication.reason == "locked"


def test_there_may_be_several_of_one_name(publications: Publications) -> None:
    first, second, other = begin(publications), begin(publications, "app"), begin(publications, name="x")
    assert publications.of("cam") == [first, second]
    assert publications.all() == [first, second, other]
    publications.over(first, "silence")
    assert publications.of("cam") == [second]
    publications.over(second, "silence")
    assert publications.of("cam") == []
    assert publications.all() == [other]
