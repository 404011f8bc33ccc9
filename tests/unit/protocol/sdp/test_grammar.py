"""Line and attribute grammar, with the RFCs' own examples where they have some."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.sdp import grammar
from whipway.protocol.sdp.grammar import (
    Candidate,
    Direction,
    ExtMap,
    Fingerprint,
    Line,
    MediaLine,
    RtcpFeedback,
    RtpMap,
    Setup,
    SsrcGroup,
)

PARSERS: list[Callable[[str], Any]] = [
    getattr(grammar, name)
    for name in sorted(vars(grammar))
    if name.startswith("parse_") and name != "parse_at"
]


def refused(parse: Callable[[str], Any], value: str) -> str:
    with pytest.raises(ParseError) as caught:
        parse(value)
    assert caught.value.reason is DropReason.SDP_MALFORMED
    return caught.value.detail


# Lines


@pytest.mark.parametrize(
    "body", ["v=0\r\ns=-\r\n", "v=0\ns=-\n", "v=0\r\ns=-", "v=0\ns=-", "v=0\r\n\r\ns=-\n\n"]
)
def test_any_line_end_will_do(body: str) -> None:
    assert [line[1:] for line in grammar.split_lines(body)] == [("v", "0"), ("s", "-")]
    assert grammar.split_lines(body.encode()) == grammar.split_lines(body)


def test_lines_know_their_number_and_keep_their_value() -> None:
    assert grammar.split_lines("v=0\n\ns=a=b c \n") == [Line(1, "v", "0"), Line(3, "s", "a=b c ")]


def test_text_outside_ascii_is_carried() -> None:
    assert grammar.split_lines("s=Übertragung".encode()) == [Line(1, "s", "Übertragung")]
    assert grammar.split_lines(b"s=\xdcbertragung") == [Line(1, "s", "\ufffdbertragung")]


@pytest.mark.parametrize("row", ["x=1", "V=0", "v 0", "v", "=0", " v=0", "vv=0", "\x00"])
def test_what_is_not_an_sdp_line_is_refused_by_number(row: str) -> None:
    assert refused(grammar.split_lines, f"v=0\r\n{row}\r\n") == "line 2: not an SDP line"


def test_bodies_and_line_counts_are_bounded() -> None:
    full = "s=" + "x" * (grammar.MAX_BODY_BYTES - 2)
    assert len(grammar.split_lines(full)) == 1
    assert refused(grammar.split_lines, full + "x") == "more than 65536 bytes"
    assert len(grammar.split_lines("\n".join(["s=-"] * grammar.MAX_LINES))) == grammar.MAX_LINES
    assert refused(grammar.split_lines, "s=-\n" * grammar.MAX_LINES) == "more than 2000 lines"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("rtcp-mux", ("rtcp-mux", "")),
        ("sendonly ", ("sendonly", "")),
        ("mid:0", ("mid", "0")),
        ("fingerprint:sha-256 AB:CD", ("fingerprint", "sha-256 AB:CD")),
        ("extmap: 1 urn:x", ("extmap", "1 urn:x")),
    ],
)
def test_attributes_split_at_the_first_colon(value: str, expected: tuple[str, str]) -> None:
    assert grammar.split_attribute(value) == expected


def test_parse_at_names_the_line() -> None:
    assert grammar.parse_at(7, "5", grammar.parse_payload_type) == 5
    assert (
        refused(lambda v: grammar.parse_at(7, v, grammar.parse_ufrag), "x") == "line 7: not a valid ice-ufrag"
    )


# Values


@pytest.mark.parametrize(
    ("parse", "value", "expected"),
    [
        # RFC 8866, 5: the example.
        (grammar.parse_origin, "jdoe 3724394400 3724394405 IN IP4 198.51.100.1", (3724394400, 3724394405)),
        (grammar.parse_origin, f"- {2**64 - 1} 0 IN IP6 ::", (2**64 - 1, 0)),
        (grammar.parse_media, "audio 49170 RTP/AVP 0", MediaLine("audio", 49170, "RTP/AVP", ("0",))),
        (grammar.parse_media, "video 49170/2 RTP/AVP 31", MediaLine("video", 49170, "RTP/AVP", ("31",))),
        (grammar.parse_media, "video 9 RTP/AVP 5 6 5 6", MediaLine("video", 9, "RTP/AVP", ("5", "6"))),
        (
            grammar.parse_media,
            "application 9 UDP/DTLS/SCTP webrtc-datachannel",
            MediaLine("application", 9, "UDP/DTLS/SCTP", ("webrtc-datachannel",)),
        ),
        (grammar.parse_payload_type, "0", 0),
        (grammar.parse_payload_type, "127", 127),
        (grammar.parse_token, "video0", "video0"),
        (grammar.parse_group, "BUNDLE 0 1", ("BUNDLE", ("0", "1"))),
        (grammar.parse_group, "BUNDLE", ("BUNDLE", ())),
        (grammar.parse_group, "BUNDLE  a   b ", ("BUNDLE", ("a", "b"))),
        # RFC 8866, 6.6: the examples.
        (grammar.parse_rtpmap, "98 L16/16000/2", RtpMap(98, "L16", 16_000, 2)),
        (grammar.parse_rtpmap, "97 L8/8000", RtpMap(97, "L8", 8_000, 1)),
        # RFC 3984, 8.2 (whose parameters RFC 6184 took over): the example, with padded base64.
        (
            grammar.parse_fmtp,
            "98 profile-level-id=42A01E; packetization-mode=1; sprop-parameter-sets=Z0IACpZTBYmI,aMljiA==",
            (
                98,
                {
                    "profile-level-id": "42A01E",
                    "packetization-mode": "1",
                    "sprop-parameter-sets": "Z0IACpZTBYmI,aMljiA==",
                },
            ),
        ),
        (grammar.parse_fmtp, "101 0-15", (101, {"0-15": ""})),
        (
            grammar.parse_fmtp,
            "111 MinPTime=10;;useinbandfec=1;=x;",
            (111, {"minptime": "10", "useinbandfec": "1"}),
        ),
        (grammar.parse_fmtp, "96", (96, {})),
        (grammar.parse_rtcp_feedback, "98 nack  rpsi", RtcpFeedback(98, "nack rpsi")),
        (grammar.parse_rtcp_feedback, "* nack", RtcpFeedback(None, "nack")),
        # RFC 8285, 5: the examples.
        (
            grammar.parse_extmap,
            "1 http://example.com/082005/ext.htm#ttime",
            ExtMap(1, Direction.SENDRECV, "http://example.com/082005/ext.htm#ttime"),
        ),
        (
            grammar.parse_extmap,
            "2/sendrecv http://example.com/082005/ext.htm#xmeta short",
            ExtMap(2, Direction.SENDRECV, "http://example.com/082005/ext.htm#xmeta"),
        ),
        (grammar.parse_extmap, "3/recvonly urn:x", ExtMap(3, Direction.RECVONLY, "urn:x")),
        (grammar.parse_extmap, "4351 urn:x", ExtMap(4351, Direction.SENDRECV, "urn:x")),
        (grammar.parse_ssrc, "4294967295 cname:user@example.com", 0xFFFF_FFFF),
        (grammar.parse_ssrc, "11111", 11_111),
        (grammar.parse_ssrc_group, "FID 11111 22222", SsrcGroup("FID", (11_111, 22_222))),
        (grammar.parse_ssrc_group, "SIM", SsrcGroup("SIM", ())),
        # RFC 8839, 5.1: the example.
        (
            grammar.parse_candidate,
            "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
            Candidate("2", 1, "udp", 1_694_498_815, "192.0.2.3", 45_664, "srflx"),
        ),
        (
            grammar.parse_candidate,
            "0 1 udp 1 3e2e7e34-5a2c-4d4b-9f36-6d8e3c1b8f10.local 9 typ host",
            Candidate("0", 1, "udp", 1, "3e2e7e34-5a2c-4d4b-9f36-6d8e3c1b8f10.local", 9, "host"),
        ),
        (
            grammar.parse_candidate,
            "3 1 tcp 1518214911 2001:db8::10 9 typ host tcptype active generation 0",
            Candidate("3", 1, "tcp", 1_518_214_911, "2001:db8::10", 9, "host", "active"),
        ),
        # Extensions of no meaning here: one of another transport, a value that is none, a name without one.
        (
            grammar.parse_candidate,
            "3 1 udp 1 192.0.2.1 9 typ host tcptype active",
            Candidate("3", 1, "udp", 1, "192.0.2.1", 9, "host"),
        ),
        (
            grammar.parse_candidate,
            "3 1 TCP 1 192.0.2.1 9 typ srflx raddr tcptype rport 9 tcptype odd",
            Candidate("3", 1, "tcp", 1, "192.0.2.1", 9, "srflx"),
        ),
        (
            grammar.parse_candidate,
            "3 1 tcp 1 192.0.2.1 9 typ host tcptype",
            Candidate("3", 1, "tcp", 1, "192.0.2.1", 9, "host"),
        ),
        # RFC 8122, 5: the examples.
        (
            grammar.parse_fingerprint,
            "SHA-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF"
            ":3E:5D:49:6B:19:E5:7C:AB:4A:AD",
            Fingerprint(
                "sha-256",
                bytes.fromhex("12DF3E5D496B19E57CAB4AADB9B13F82183B540212DF3E5D496B19E57CAB4AAD"),
            ),
        ),
        (
            grammar.parse_fingerprint,
            "SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
            Fingerprint("sha-1", bytes.fromhex("4AADB9B13F82183B540212DF3E5D496B19E57CAB")),
        ),
        (grammar.parse_fingerprint, "md5 ab:cd", Fingerprint("md5", b"\xab\xcd")),
        (grammar.parse_setup, "actpass", Setup.ACTPASS),
        (grammar.parse_setup, "holdconn", Setup.HOLDCONN),
        (grammar.parse_ufrag, "8hhY", "8hhY"),
        (grammar.parse_ufrag, "a-=#_+/9", "a-=#_+/9"),
        (grammar.parse_pwd, "asd88fgpdd777uzjYhagZg", "asd88fgpdd777uzjYhagZg"),
        (grammar.parse_ice_options, "ice2 rtp+ecn", ("ice2", "rtp+ecn")),
        (grammar.parse_ice_options, "ice2,trickle", ("ice2", "trickle")),
        (grammar.parse_ice_options, "", ()),
    ],
)
def test_values_that_parse(parse: Callable[[str], Any], value: str, expected: object) -> None:
    assert parse(value) == expected


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (grammar.parse_origin, "- x 0 IN IP4 0.0.0.0"),
        (grammar.parse_origin, "- 1 2"),
        (grammar.parse_origin, f"- {2**64} 0 IN IP4 0.0.0.0"),
        (grammar.parse_origin, f"- 0 {2**64} IN IP4 0.0.0.0"),
        (grammar.parse_media, "video 9 UDP/TLS/RTP/SAVPF"),
        (grammar.parse_media, "video 65536 UDP/TLS/RTP/SAVPF 96"),
        (grammar.parse_media, "video -1 UDP/TLS/RTP/SAVPF 96"),
        (grammar.parse_media, "video 9 UDP//RTP 96"),
        (grammar.parse_media, "video 9 RTP/AVP" + " 96" * (grammar.MAX_FORMATS + 1)),
        (grammar.parse_group, "BUNDLE" + " a" * (grammar.MAX_TAGS + 1)),
        (grammar.parse_ssrc_group, "FID" + " 1" * (grammar.MAX_GROUP_SSRCS + 1)),
        (grammar.parse_media, "video 9 " + "x" * 65 + " 96"),
        (grammar.parse_payload_type, "128"),
        (grammar.parse_payload_type, "0127"),
        (grammar.parse_payload_type, "-1"),
        (grammar.parse_payload_type, "²"),
        (grammar.parse_payload_type, "٣"),
        (grammar.parse_payload_type, ""),
        (grammar.parse_token, ""),
        (grammar.parse_token, "a b"),
        (grammar.parse_token, "a\rb"),
        (grammar.parse_group, ""),
        (grammar.parse_rtpmap, "96 H264"),
        (grammar.parse_rtpmap, "128 H264/90000"),
        (grammar.parse_rtpmap, "96 H264/90000/2/2"),
        (grammar.parse_rtpmap, "96 H264/123456789"),
        (grammar.parse_rtpmap, "96 H264/0"),
        (grammar.parse_rtpmap, "111 opus/48000/0"),
        (grammar.parse_fmtp, "x a=b"),
        (grammar.parse_fmtp, "128 a=b"),
        (grammar.parse_fmtp, "96 a=\r"),
        (grammar.parse_fmtp, "96 " + " " * 60_000 + "\x00"),
        (grammar.parse_rtcp_feedback, "96"),
        (grammar.parse_rtcp_feedback, "128 nack"),
        (grammar.parse_extmap, "0 urn:x"),
        (grammar.parse_extmap, "4352 urn:x"),
        (grammar.parse_extmap, "1/both urn:x"),
        (grammar.parse_extmap, "1"),
        (grammar.parse_ssrc, "4294967296 cname:x"),
        (grammar.parse_ssrc, "cname:x"),
        (grammar.parse_ssrc_group, "FID 4294967296"),
        (grammar.parse_ssrc_group, "FID 1 x"),
        (grammar.parse_candidate, "1 1 udp 1 192.0.2.1 9 host"),
        (grammar.parse_candidate, "1 0 udp 1 192.0.2.1 9 typ host"),
        (grammar.parse_candidate, "1 257 udp 1 192.0.2.1 9 typ host"),
        (grammar.parse_candidate, "1 1 udp 4294967296 192.0.2.1 9 typ host"),
        (grammar.parse_candidate, "1 1 udp 1 192.0.2.1 65536 typ host"),
        (grammar.parse_candidate, "a:b 1 udp 1 192.0.2.1 9 typ host"),
        (grammar.parse_fingerprint, "sha-256 AB:CD"),
        (grammar.parse_fingerprint, "sha-256 " + "AB" * 32),
        (grammar.parse_fingerprint, "sha-256"),
        (grammar.parse_fingerprint, "x " + ":".join(["AB"] * 65)),
        (grammar.parse_setup, "Active"),
        (grammar.parse_setup, ""),
        (grammar.parse_ufrag, "abc"),
        (grammar.parse_ufrag, "ab:cd"),
        (grammar.parse_ufrag, "a" * 257),
        (grammar.parse_pwd, "a" * 21),
        (grammar.parse_pwd, "a" * 257),
        (grammar.parse_ice_options, "tri\x07ckle"),
    ],
)
def test_values_that_do_not_parse(parse: Callable[[str], Any], value: str) -> None:
    assert re.fullmatch(r"[ -~]{5,60}", refused(parse, value))


def test_candidates_and_fingerprints_are_written_as_they_are_read() -> None:
    for value in (
        "1 1 udp 2130706431 192.0.2.10 5000 typ host",
        "1 1 tcp 2124414975 192.0.2.10 5000 typ host tcptype passive",
    ):
        assert grammar.parse_candidate(value).serialize() == value
    value = "sha-256 " + ":".join(f"{byte:02X}" for byte in range(32))
    assert grammar.parse_fingerprint(value).serialize() == value


@pytest.mark.parametrize("value", ["4 urn:x", "4/recvonly urn:x", "4/sendonly urn:x", "4/inactive urn:x"])
def test_extensions_are_written_as_they_are_read(value: str) -> None:
    assert grammar.parse_extmap(value).serialize() == value


@given(st.sampled_from(PARSERS), st.text())
def test_any_value_parses_or_raises_parse_error(parse: Callable[[str], Any], value: str) -> None:
    try:
        parse(value)
    except ParseError as error:
        assert error.reason is DropReason.SDP_MALFORMED


@given(st.binary())
def test_any_bytes_split_or_raise_parse_error(data: bytes) -> None:
    try:
        grammar.split_lines(data)
    except ParseError as error:
        assert error.reason is DropReason.SDP_MALFORMED
