from tests.unit.relay.sinks.wire import AAC, AUDIO_HEADER, METADATA, OPUS_HEADER, VIDEO_HEADER

from whipway.relay.sinks.headers import Headers
from whipway.relay.tags import OPUS, AudioCodec, AudioFormat


def test_there_are_none_at_first() -> None:
    headers = Headers((AAC, OPUS))
    assert headers.at(7, AAC) == []
    assert not headers.has_video


def test_each_format_has_its_own_in_the_order_that_servers_like() -> None:
    headers = Headers((AAC, OPUS))
    for tag in (VIDEO_HEADER, OPUS_HEADER, AUDIO_HEADER, METADATA):
        headers.keep(tag)
    assert headers.has_video
    at_seven = VIDEO_HEADER._replace(timestamp_ms=7)
    assert headers.at(7, AAC) == [METADATA, AUDIO_HEADER._replace(timestamp_ms=7), at_seven]
    assert headers.at(7, OPUS) == [OPUS_HEADER._replace(timestamp_ms=7), at_seven]


def test_metadata_are_always_at_zero() -> None:
    headers = Headers((AAC,))
    headers.keep(METADATA._replace(timestamp_ms=5000))
    assert headers.at(9000, AAC) == [METADATA]


def test_the_newest_counts_whatever_format_it_names() -> None:
    headers = Headers((AAC,))
    for_all, newest = METADATA._replace(audio=None, payload=b"1"), METADATA._replace(payload=b"2")
    headers.keep(METADATA)
    headers.keep(for_all)
    assert headers.at(0, AAC) == [for_all]
    headers.keep(newest)
    assert headers.at(0, AAC) == [newest]


def test_formats_of_other_sinks_are_not_kept() -> None:
    headers = Headers((AAC,))
    other = AudioFormat(AudioCodec.AAC, 64_000)
    headers.keep(AUDIO_HEADER._replace(audio=other))
    assert headers.at(0, other) == []
