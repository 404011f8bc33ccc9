"""What is answered for the header extensions of an offer."""

from dataclasses import replace

import pytest

from whipway.protocol.sdp.description import MediaDescription
from whipway.protocol.sdp.extensions import (
    MID_URI,
    REPAIRED_RID_URI,
    RID_URI,
    TRANSPORT_CC_URI,
    ambiguous_ids,
    answer_extensions,
)
from whipway.protocol.sdp.grammar import Direction, ExtMap
from whipway.protocol.sdp.simulcast import Simulcast

OTHER_URI = "urn:ietf:params:rtp-hdrext:toffset"


def offered(*extensions: tuple[int, str], direction: Direction = Direction.SENDRECV) -> MediaDescription:
    return MediaDescription(
        kind="video",
        port=9,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=("96",),
        extmap={uri: ExtMap(number, direction, uri) for number, uri in extensions},
    )


def test_what_is_read_is_answered_with_the_offered_ids() -> None:
    answered = answer_extensions(offered((14, OTHER_URI), (3, TRANSPORT_CC_URI), (4, MID_URI)))
    assert answered == {
        MID_URI: ExtMap(4, Direction.SENDRECV, MID_URI),
        TRANSPORT_CC_URI: ExtMap(3, Direction.SENDRECV, TRANSPORT_CC_URI),
    }


def test_what_tells_layers_apart_is_answered_where_there_are_layers() -> None:
    media = offered((10, RID_URI), (11, REPAIRED_RID_URI), (4, MID_URI))
    assert list(answer_extensions(media)) == [MID_URI]
    received = replace(media, simulcast=Simulcast(recv=(("h",),)))
    assert list(answer_extensions(received)) == [MID_URI]
    sent = replace(media, simulcast=Simulcast(send=(("h",), ("l",))))
    assert list(answer_extensions(sent)) == [MID_URI, RID_URI, REPAIRED_RID_URI]
    assert list(answer_extensions(sent, {4, 10})) == [REPAIRED_RID_URI]


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        (Direction.SENDRECV, Direction.SENDRECV),
        (Direction.SENDONLY, Direction.RECVONLY),
        (Direction.RECVONLY, None),
        (Direction.INACTIVE, None),
    ],
)
def test_the_answer_to_a_direction(direction: Direction, expected: Direction | None) -> None:
    answered = answer_extensions(offered((3, MID_URI), direction=direction))
    assert [extension.direction for extension in answered.values()] == ([expected] if expected else [])


def test_ids_fit_a_packet() -> None:
    assert list(answer_extensions(offered((255, MID_URI), (256, TRANSPORT_CC_URI)))) == [MID_URI]


def test_ambiguous_ids_are_not_answered() -> None:
    media = offered((3, TRANSPORT_CC_URI), (4, MID_URI))
    assert list(answer_extensions(media, {3})) == [MID_URI]


def test_an_id_has_one_meaning_on_one_transport() -> None:
    audio, video = offered((3, MID_URI), (4, TRANSPORT_CC_URI)), offered((3, TRANSPORT_CC_URI), (5, MID_URI))
    assert ambiguous_ids([audio, video]) == {3}
    assert ambiguous_ids([offered((3, MID_URI), (3, TRANSPORT_CC_URI))]) == {3}
    # One extension may have two ids, and what is not answered has no meaning.
    assert ambiguous_ids([audio, offered((5, MID_URI), (3, OTHER_URI))]) == set()
