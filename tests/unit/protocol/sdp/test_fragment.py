"""SDP fragments, those of RFC 9725 and of real clients."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.sdp.description import MAX_MEDIA_DESCRIPTIONS, MediaDescription, Mid
from whipway.protocol.sdp.fragment import Fragment, FragmentMedia, parse_fragment, serialize_fragment
from whipway.protocol.sdp.grammar import Candidate

# In the form of RFC 9725, 4.3.2: one bundled media description carries the candidates of all.
TRICKLE = """\
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1
a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0 ufrag EsAw network-id 2
a=end-of-candidates
"""
# In the form of RFC 9725, 4.3.3: new credentials restart ICE.
RESTART = """\
a=ice-options:trickle ice2
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=ice-ufrag:ysXw
a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k
"""
# Session-level credentials, one pseudo media description for each mid, as browsers' libraries write them.
TWO_SECTIONS = """\
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
m=audio 9 RTP/AVP 0
a=mid:0
a=candidate:1 1 UDP 1 192.0.2.1 61764 typ host
m=video 9 RTP/AVP 0
a=mid:1
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=end-of-candidates
"""
HOST = Candidate("1", 1, "udp", 1, "192.0.2.1", 61764, "host")


def refused(body: str) -> str:
    with pytest.raises(ParseError) as caught:
        parse_fragment(body)
    assert caught.value.reason is DropReason.SDP_MALFORMED
    return caught.value.detail


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_candidates_of_a_bundle(ending):
    fragment = parse_fragment(TRICKLE.replace("\n", ending))
    assert (fragment.ice_ufrag, fragment.ice_pwd) == ("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1")
    assert fragment.bundle == ("0", "1")
    [media] = fragment.media
    assert (media.mid, media.end_of_candidates) == ("0", True)
    assert [candidate.port for candidate in media.candidates] == [61764, 61765]


def test_restart():
    assert parse_fragment(RESTART.encode()) == Fragment(
        ice_ufrag="ysXw",
        ice_pwd="vw5LmwG4y/e6dPP/zAP9Gp5k",
        ice_options=("trickle", "ice2"),
        bundle=("0", "1"),
        media=(FragmentMedia("0", (), False),),
    )


def test_credentials_may_be_repeated_at_both_levels():
    fragment = parse_fragment(TWO_SECTIONS)
    assert fragment.ice_ufrag == "EsAw"
    assert fragment.media == (FragmentMedia("0", (HOST,), False), FragmentMedia("1", (), True))


def test_an_end_at_session_level_is_that_of_all():
    fragment = parse_fragment("a=end-of-candidates\n" + TWO_SECTIONS.replace("a=end-of-candidates\n", ""))
    assert [media.end_of_candidates for media in fragment.media] == [True, True]


def test_what_is_of_no_use_here_is_passed_over():
    empty = Fragment(ice_ufrag=None, ice_pwd=None, ice_options=(), bundle=(), media=())
    assert parse_fragment("v=0\na=group:LS 0 1\na=ice-lite\n") == empty


TAGGED = MediaDescription(
    kind="audio",
    port=9,
    protocol="UDP/TLS/RTP/SAVPF",
    formats=("111", "63"),
    mid=Mid("0"),
    ice_ufrag="ysXw",
    ice_pwd="vw5LmwG4y/e6dPP/zAP9Gp5k",
    ice_options=("trickle", "ice2"),
    candidates=(HOST,),
    end_of_candidates=True,
)


def test_what_is_written_reads_back_the_same():
    assert parse_fragment(serialize_fragment(TAGGED, (Mid("0"), Mid("1")))) == Fragment(
        ice_ufrag="ysXw",
        ice_pwd="vw5LmwG4y/e6dPP/zAP9Gp5k",
        ice_options=("trickle", "ice2"),
        bundle=("0", "1"),
        media=(FragmentMedia("0", (HOST,), True),),
    )


def test_what_there_is_not_is_not_written():
    text = serialize_fragment(replace(TAGGED, mid=None, candidates=(), end_of_candidates=False), ())
    assert text == (
        "a=ice-options:trickle ice2\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\n"
        "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n"
    )


def test_what_is_refused():
    assert refused("nonsense") == "line 1: not an SDP line"
    assert refused("") == refused("v=0\n") == "no attribute: the fragment says nothing"
    assert refused("m=audio\na=mid:0") == "line 1: not a valid m= line"
    assert refused("m=audio 9 RTP/AVP 0\na=candidate:x\na=mid:0") == "line 2: not a valid candidate"
    assert refused("a=ice-ufrag:no\n") == "line 1: not a valid ice-ufrag"
    assert refused("\nm=audio 9 RTP/AVP 0\na=end-of-candidates") == "line 2: m= without a=mid"
    assert refused("m=audio 9 RTP/AVP 0\na=mid:0\n" * 2) == "two media descriptions with the same mid"
    assert refused("a=ice-ufrag:EsAw\na=ice-ufrag:ysXw\n") == "more than one ice-ufrag"


def test_media_descriptions_are_bounded():
    sections = [f"m=audio 9 RTP/AVP 0\na=mid:{index}\n" for index in range(MAX_MEDIA_DESCRIPTIONS + 1)]
    assert len(parse_fragment("".join(sections[:-1])).media) == MAX_MEDIA_DESCRIPTIONS
    assert "m= lines" in refused("".join(sections))


@given(st.binary(max_size=300) | st.lists(st.sampled_from(TWO_SECTIONS.splitlines())).map("\n".join))
def test_any_body_is_read_or_refused(body):
    try:
        fragment = parse_fragment(body)
    except ParseError as error:
        assert error.reason is DropReason.SDP_MALFORMED
    else:
        assert len({media.mid for media in fragment.media}) == len(fragment.media)
