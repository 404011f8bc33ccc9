from dataclasses import dataclass

import pytest

from whipway.streams.further_sinks import FurtherSinks
from whipway.streams.origin_publications import OriginPublications
from whipway.streams.publications import Publication, Publications


@dataclass(eq=False)
class Publishing:
    """As the origin tells of it."""

    app: str = "live"
    name: str = "cam"
    query: str = ""
    client: str = "1.2.3.4"
    is_own: bool = False
    bytes_in: int = 0
    bytes_out: int = 0


@pytest.fixture
def publications() -> Publications:
    return Publications()


@pytest.fixture
def observer(publications: Publications) -> OriginPublications:
    return OriginPublications(publications, FurtherSinks(publications), "rtmp://127.0.0.1:1935/live")


def session(publications: Publications, app: str = "live", is_here: bool = True) -> Publication:
    return publications.begin(
        "whip",
        app=app,
        stream_name="cam",
        client="",
        stream_url=f"rtmp://127.0.0.1/{app}",
        session_id="an-id",
        is_here=is_here,
    )


def test_an_rtmp_publisher_is_a_publication(publications: Publications, observer: OriginPublications) -> None:
    publishing = Publishing(app="live/team", query="token=x")
    observer.publish_began(publishing)
    (publication,) = publications.all()
    assert (publication.kind, publication.name, publication.key) == ("rtmp", "team/cam", "live/team/cam")
    assert publication.stream_url == "rtmp://127.0.0.1:1935/live/team"
    assert (publication.arguments, publication.client) == ("token=x", "1.2.3.4")
    assert publication.is_here and publication.session_id is None and not publication.is_live
    observer.first_frame(publishing)
    assert publication.is_live
    publishing.bytes_in, publishing.bytes_out = 10, 30
    observer.publish_over(publishing)
    assert (publication.reason, publication.bytes_in, publication.bytes_out) == ("unpublished", 10, 30)
    assert publications.all() == []


def test_who_has_no_arguments(publications: Publications, observer: OriginPublications) -> None:
    observer.publish_began(Publishing())
    assert publications.all()[0].arguments == ""


def test_an_own_sink_makes_its_session_live(publications: Publications, observer: OriginPublications) -> None:
    publication, sink = session(publications), Publishing(is_own=True)
    observer.publish_began(sink)
    assert publications.all() == [publication] and not publication.is_live
    observer.first_frame(sink)
    assert publication.is_live
    observer.publish_over(sink)
    assert publication.is_live


def test_an_own_sink_tells_that_its_session_is_here(
    publications: Publications, observer: OriginPublications
) -> None:
    publication = session(publications, is_here=False)
    observer.publish_began(Publishing(is_own=True))
    assert publication.is_here


def test_a_session_that_is_sent_here_goes_before_a_later_one_that_is_not(
    publications: Publications, observer: OriginPublications
) -> None:
    here, elsewhere = session(publications), session(publications, is_here=False)
    sink = Publishing(is_own=True)
    observer.publish_began(sink)
    observer.first_frame(sink)
    assert here.is_live and not elsewhere.is_live and not elsewhere.is_here


def test_of_two_sessions_the_sink_is_the_later_ones(
    publications: Publications, observer: OriginPublications
) -> None:
    old = session(publications)
    old_sink, new_sink = Publishing(is_own=True), Publishing(is_own=True)
    observer.publish_began(old_sink)
    new = session(publications)
    # Still from before the other one took over.
    observer.first_frame(old_sink)
    assert old.is_live and not new.is_live
    observer.publish_over(old_sink)
    observer.publish_began(new_sink)
    observer.first_frame(new_sink)
    assert new.is_live


def test_an_own_sink_without_a_session_of_that_name_is_nobodys(
    publications: Publications, observer: OriginPublications
) -> None:
    session(publications, app="other")
    publications.begin(
        "rtmp", app="live", stream_name="cam", client="", stream_url="rtmp://127.0.0.1/live", is_here=True
    )
    sink = Publishing(is_own=True)
    observer.publish_began(sink)
    observer.first_frame(sink)
    observer.publish_over(sink)
    assert len(publications.all()) == 2 and not any(each.is_live for each in publications.all())
