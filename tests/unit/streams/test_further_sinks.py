"""Sinks that publish under another name; who makes and ends them is in the tests of those."""

import pytest

from whipway.streams.further_sinks import FurtherSinks
from whipway.streams.publications import Publication, Publications

HERE = "rtmp://here/live"


@pytest.fixture
def publications() -> Publications:
    return Publications()


@pytest.fixture
def further(publications: Publications) -> FurtherSinks:
    return FurtherSinks(publications, lambda stream_url: stream_url.startswith("rtmp://here/"))


@pytest.fixture
def source(publications: Publications) -> Publication:
    """A session that publishes `cam`."""
    return publications.begin(
        "whip",
        app="live",
        stream_name="cam",
        client="1.2.3.4",
        stream_url=HERE,
        session_id="an-id",
        is_here=True,
    )


async def remove() -> None:
    """Is not called here."""


def test_one_that_leads_here_is_a_publication(
    publications: Publications, further: FurtherSinks, source: Publication
) -> None:
    sink = further.add(source, HERE, "second?key=x", remove)
    (publication,) = publications.of("second")
    assert (publication.kind, publication.key, publication.client) == ("whip", "live/second", "1.2.3.4")
    assert (publication.session_id, publication.remove) == ("an-id", remove)
    assert publication.arguments == "key=x" and publication.is_here and not publication.is_live
    assert "an-id" not in repr(publication)
    further.live(sink)
    assert publication.is_live and not source.is_live
    further.over(sink, "unpublished", 10, 20)
    further.over(sink, "silence")
    assert (publication.reason, publication.bytes_in, publication.bytes_out) == ("unpublished", 10, 20)
    assert publications.all() == [source]


def test_one_that_leads_elsewhere_is_none(
    publications: Publications, further: FurtherSinks, source: Publication
) -> None:
    sink = further.add(source, "rtmp://elsewhere/live", "a-key-of-somebody", remove)
    further.live(sink)
    further.over(sink, "unpublished")
    assert publications.all() == [source] and not source.is_live
    assert further.came("live/a-key-of-somebody") is None


def test_one_may_turn_out_to_lead_here(
    publications: Publications, further: FurtherSinks, source: Publication
) -> None:
    further.add(source, "rtmp://also-here/live", "second", remove)
    sink = further.add(source, "rtmp://also-here/live", "second", remove)
    assert publications.all() == [source]
    came = further.came("live/second")
    assert came is not None and publications.all() == [source, came] and sink.publication is came
    assert further.came("live/second") is came and came.is_here
    further.over(sink, "unpublished")
    assert came.is_over


def test_one_of_the_same_name_is_the_session_itself(
    publications: Publications, further: FurtherSinks, source: Publication
) -> None:
    sink = further.add(source, "rtmp://here/other", "cam?again", remove)
    assert publications.all() == [source]
    assert further.came("other/cam") is source
    further.over(sink, "unpublished")
    assert not source.is_over


@pytest.mark.parametrize(
    ("stream_url", "stream_name", "expected"),
    [
        (HERE, "cam?key=x", True),
        ("rtmp://here/other", "cam", False),
        (HERE, "another", False),
        ("rtmp://elsewhere/live", "cam", False),
    ],
)
def test_whether_a_target_is_taken(
    further: FurtherSinks, source: Publication, stream_url: str, stream_name: str, expected: bool
) -> None:
    assert further.is_taken(stream_url, stream_name) is expected


def test_nothing_leads_here_without_an_origin(publications: Publications, source: Publication) -> None:
    FurtherSinks(publications).add(source, HERE, "second", remove)
    assert publications.all() == [source]
