"""Whole descriptions: what is read from offers, what is inherited, what is written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.sdp.description import (
    MAX_FEEDBACK,
    MAX_MEDIA_DESCRIPTIONS,
    MAX_SSRCS,
    Codec,
    Description,
    MediaDescription,
    Mid,
    PayloadType,
    parse_description,
)
from whipway.protocol.sdp.grammar import Candidate, Direction, ExtMap, Fingerprint, Setup, SsrcGroup
from whipway.protocol.sdp.simulcast import Rid, RidDirection, Simulcast

OFFERS = Path(__file__).parents[3] / "data" / "offers"
HEAD = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 96\n"
SHA_256 = ":".join(["AB"] * 32)


def media(lines: str, session: str = "") -> MediaDescription:
    (section,) = parse_description(HEAD + session + VIDEO + lines).media
    return section


def extmap(*extensions: ExtMap) -> dict[str, ExtMap]:
    return {extension.uri: extension for extension in extensions}


def detail(text: str | bytes) -> str:
    with pytest.raises(ParseError) as caught:
        parse_description(text)
    assert caught.value.reason is DropReason.SDP_MALFORMED
    return caught.value.detail


def test_chromium_offer() -> None:
    offer = parse_description((OFFERS / "chromium.sdp").read_bytes())
    assert (offer.session_id, offer.session_version) == (8235687349605292, 2)
    assert offer.bundle == ("0", "1")
    assert not offer.ice_lite
    audio, video = offer.media
    assert (audio.kind, audio.port, audio.protocol) == ("audio", 56531, "UDP/TLS/RTP/SAVPF")
    assert audio.formats == ("111", "63", "9", "0", "8", "13", "110", "126")
    assert audio.direction is Direction.SENDONLY
    assert audio.codecs[PayloadType(111)] == Codec(
        PayloadType(111), "opus", 48_000, 2, {"minptime": "10", "useinbandfec": "1"}, ("transport-cc",)
    )
    assert list(video.codecs) == [int(text) for text in video.formats]
    assert video.codecs[PayloadType(104)].parameters["packetization-mode"] == "0"
    assert video.codecs[PayloadType(104)].feedback == (
        "goog-remb",
        "transport-cc",
        "ccm fir",
        "nack",
        "nack pli",
    )
    assert video.codecs[PayloadType(107)] == Codec(PayloadType(107), "rtx", 90_000, 1, {"apt": "104"})
    assert video.extmap["urn:ietf:params:rtp-hdrext:sdes:mid"].id == 4
    assert video.extmap_allow_mixed
    assert video.ssrcs == (3074063387, 2193166330)
    assert video.ssrc_groups == (SsrcGroup("FID", (3074063387, 2193166330)),)
    assert (video.ice_ufrag, video.ice_pwd) == ("dfgb", "N3KsPxZHZZ75bWY0lclUOiOk")
    assert video.ice_options == ("trickle",)
    assert video.fingerprints[0].algorithm == "sha-256"
    assert video.setup is Setup.ACTPASS
    assert video.candidates[0] == Candidate("1052647582", 1, "udp", 2122194687, "192.0.2.10", 37305, "host")
    assert len(video.candidates) == 4
    assert (video.rtcp_mux, video.rtcp_mux_only, video.rtcp_rsize) == (True, False, True)
    assert not video.bundle_only
    assert not video.end_of_candidates


def test_obs_offer_inherits_its_transport_from_the_session() -> None:
    for section in parse_description((OFFERS / "obs.sdp").read_text()).media:
        assert (section.ice_ufrag, section.ice_pwd) == ("nxcM", "ezjAjgSSLLvbRhUA1zc6Se")
        assert section.ice_options == ("ice2", "trickle")
        assert section.setup is Setup.ACTPASS
        assert section.fingerprints[0].digest[:2] == b"\x5c\x61"


def test_gstreamer_offer_bundles_at_port_zero() -> None:
    video, audio = parse_description((OFFERS / "gstreamer.sdp").read_bytes()).media
    assert (audio.port, audio.bundle_only, audio.mid) == (0, True, "audio1")
    assert (video.port, video.bundle_only, video.rtcp_mux_only) == (9, False, True)
    assert audio.codecs[PayloadType(97)].is_a("opus", 48_000, 2)


def test_a_section_overrides_the_session() -> None:
    session = (
        f"a=ice-ufrag:sess\na=ice-pwd:{'s' * 22}\na=ice-options:ice2\na=setup:active\na=inactive\n"
        f"a=fingerprint:sha-256 {SHA_256}\na=extmap:1 urn:one\na=extmap:2 urn:two\na=extmap-allow-mixed\n"
    )
    inherited = media("", session)
    assert (inherited.ice_ufrag, inherited.ice_pwd, inherited.ice_options) == ("sess", "s" * 22, ("ice2",))
    assert (inherited.setup, inherited.direction) == (Setup.ACTIVE, Direction.INACTIVE)
    assert inherited.fingerprints == (Fingerprint("sha-256", b"\xab" * 32),)
    assert {uri: extension.id for uri, extension in inherited.extmap.items()} == {"urn:one": 1, "urn:two": 2}
    assert inherited.extmap_allow_mixed
    own = media(
        f"a=ice-ufrag:mine\na=ice-pwd:{'m' * 22}\na=ice-options:trickle\na=setup:passive\na=sendrecv\n"
        "a=fingerprint:x 01\na=fingerprint:y 02\na=extmap:3 urn:two\n",
        session,
    )
    assert (own.ice_ufrag, own.ice_pwd, own.ice_options) == ("mine", "m" * 22, ("trickle",))
    assert (own.setup, own.direction) == (Setup.PASSIVE, Direction.SENDRECV)
    assert own.fingerprints == (Fingerprint("x", b"\x01"), Fingerprint("y", b"\x02"))
    assert {uri: extension.id for uri, extension in own.extmap.items()} == {"urn:one": 1, "urn:two": 3}


def test_chromium_offer_with_layers() -> None:
    _, first, second = parse_description((OFFERS / "chromium_inputs_simulcast.sdp").read_bytes()).media
    assert first.rids == tuple(Rid(name, RidDirection.SEND) for name in "qhf")
    assert first.simulcast == Simulcast(send=(("q",), ("h",), ("f",)))
    assert second.simulcast == Simulcast(send=(("h",), ("m",), ("l",)))


def test_layers_that_cannot_be_read_are_passed_over() -> None:
    section = media("a=rid:h send\na=rid:m\na=rid:l send pt=96\na=simulcast:send\na=simulcast:send h;l\n")
    assert section.rids == (Rid("h", RidDirection.SEND), Rid("l", RidDirection.SEND, (96,)))
    assert section.simulcast == Simulcast(send=(("h",), ("l",)))
    assert media("a=simulcast:h;l\n").simulcast == Simulcast()


def test_layers_are_written() -> None:
    lines = "a=rid:h recv pt=96\na=rid:l recv\na=simulcast:recv h;l\n"
    written = parse_description(HEAD + VIDEO + lines).serialize()
    assert written.endswith(lines.replace("\n", "\r\n"))
    assert "simulcast" not in parse_description(HEAD + VIDEO).serialize()


def test_what_is_not_said_has_its_default() -> None:
    assert media("") == MediaDescription(kind="video", port=9, protocol="UDP/TLS/RTP/SAVPF", formats=("96",))
    assert media("").direction is Direction.SENDRECV


def test_codecs_follow_the_media_line_and_may_be_described_in_any_order() -> None:
    text = HEAD + (
        "m=video 9 UDP/TLS/RTP/SAVPF 97 5 96\na=rtcp-fb:* nack pli\na=rtcp-fb:96 nack pli\n"
        "a=rtcp-fb:96 ccm fir\n"
        "a=fmtp:97 apt=96\na=rtpmap:96 H264/90000\na=rtpmap:97 rtx/90000\na=rtpmap:99 VP8/90000\n"
    )
    codecs = parse_description(text).media[0].codecs
    assert list(codecs) == [97, 96]
    assert codecs[PayloadType(97)].parameters == {"apt": "96"}
    assert codecs[PayloadType(97)].feedback == ("nack pli",)
    assert codecs[PayloadType(96)].feedback == ("nack pli", "ccm fir")


def test_feedback_for_all_payload_types_cannot_multiply() -> None:
    formats = range(128)
    maps = "".join(f"a=rtpmap:{number} H264/90000\n" for number in formats)
    common = "".join(f"a=rtcp-fb:* {number}\n" for number in range(1000))
    own = "".join(f"a=rtcp-fb:5 own {number}\n" for number in range(MAX_FEEDBACK - 1))
    line = f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, formats))}\n"
    (section,) = parse_description(HEAD + line + maps + common + own).media
    assert section.codecs[PayloadType(4)].feedback == tuple(map(str, range(MAX_FEEDBACK)))
    assert section.codecs[PayloadType(5)].feedback[-2:] == (f"own {MAX_FEEDBACK - 2}", "0")
    assert {len(codec.feedback) for codec in section.codecs.values()} == {MAX_FEEDBACK}


def test_a_format_counts_once() -> None:
    (section,) = parse_description(HEAD + VIDEO.replace("96", "96 97 96")).media
    assert section.formats == ("96", "97")


@pytest.mark.parametrize("attribute", ["ssrc:{} cname:a", "ssrc-group:FID {}"])
def test_streams_are_bounded(attribute: str) -> None:
    lines = [f"a={attribute.format(number)}\n" for number in range(MAX_SSRCS + 1)]
    media("".join(lines[1:] * 4))
    assert f"more than {MAX_SSRCS}" in detail(HEAD + VIDEO + "".join(lines))


def test_sections_without_rtp_have_no_codecs() -> None:
    text = HEAD + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=fmtp:webrtc-datachannel x=1\na=mid:2\n"
    (section,) = parse_description(text).media
    assert (section.mid, section.codecs) == ("2", {})


def test_extensions_have_a_direction_of_their_own() -> None:
    lines = "a=extmap:1/recvonly urn:a\na=extmap:3/sendonly urn:c\na=extmap:4 urn:d\na=sendonly\n"
    assert media(lines).extmap == extmap(
        ExtMap(1, Direction.RECVONLY, "urn:a"),
        ExtMap(3, Direction.SENDONLY, "urn:c"),
        ExtMap(4, Direction.SENDRECV, "urn:d"),
    )


def test_only_the_first_bundle_group_counts() -> None:
    text = HEAD + "a=group:LS 8 9\na=group:BUNDLE 0 1 0\na=group:BUNDLE 2\na=ice-lite\n" + VIDEO
    offer = parse_description(text)
    assert offer.bundle == ("0", "1")
    assert offer.ice_lite


def test_the_first_of_several_is_read() -> None:
    assert media("a=mid:a\na=mid:b c\n").mid == "a"


@pytest.mark.parametrize(
    "text", ["", b"", "\n\n", "v=1\n" + HEAD + VIDEO, "s=-\nv=0\n" + VIDEO, "v=00\n" + VIDEO]
)
def test_a_description_starts_with_version_0(text: str | bytes) -> None:
    assert detail(text) == "does not start with v=0"


def test_there_is_at_least_one_media_line_and_not_too_many() -> None:
    assert detail(HEAD) == "0 m= lines; 1 to 32 are allowed"
    assert len(parse_description(HEAD + VIDEO * MAX_MEDIA_DESCRIPTIONS).media) == MAX_MEDIA_DESCRIPTIONS
    assert detail(HEAD + VIDEO * 33) == "33 m= lines; 1 to 32 are allowed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + VIDEO + "a=rtpmap:96 H264\n", "line 6: not a valid rtpmap"),
        (HEAD + VIDEO + "a=mid:0\na=ice-ufrag:x\n", "line 7: not a valid ice-ufrag"),
        (HEAD + "a=group:\n" + VIDEO, "line 5: not a valid group"),
        (HEAD + "m=video 9\n", "line 5: not a valid m= line"),
        (HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96 H264\n", "line 5: not a valid payload type"),
        (HEAD + VIDEO + "a=ssrc:1 cname:x\na=ssrc:4294967296\n", "line 7: SSRC out of range"),
        ("v=0\no=-\n" + VIDEO, "line 2: not a valid o= line"),
        ("v=0\ns=-\n" + VIDEO, "no o= line"),
        (HEAD + (VIDEO + "a=mid:0\n") * 2, "two media descriptions with the same mid"),
    ],
)
def test_errors_name_the_line(text: str, expected: str) -> None:
    assert detail(text) == expected


def test_what_is_written_reads_back_the_same() -> None:
    full = MediaDescription(
        kind="video",
        port=9,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=("96", "97", "98"),
        mid=Mid("v"),
        direction=Direction.RECVONLY,
        codecs={
            PayloadType(96): Codec(
                PayloadType(96), "H264", 90_000, 1, {"packetization-mode": "1"}, ("nack pli",)
            ),
            PayloadType(97): Codec(PayloadType(97), "x", 48_000, 2, {"0-15": ""}),
            PayloadType(98): Codec(PayloadType(98), "PCMU", 8_000),
        },
        extmap=extmap(ExtMap(4, Direction.SENDRECV, "urn:x"), ExtMap(5, Direction.RECVONLY, "urn:y")),
        ice_ufrag="abcd",
        ice_pwd="p" * 22,
        ice_options=("ice2", "trickle"),
        fingerprints=(Fingerprint("sha-256", b"\xab" * 32),),
        setup=Setup.PASSIVE,
        candidates=(Candidate("1", 1, "udp", 2130706431, "2001:db8::10", 5000, "host"),),
        end_of_candidates=True,
        rtcp_mux=True,
        rtcp_mux_only=True,
        rtcp_rsize=True,
        bundle_only=True,
    )
    bare = MediaDescription(
        kind="application", port=0, protocol="UDP/DTLS/SCTP", formats=("webrtc-datachannel",), mid=Mid("d")
    )
    description = Description(session_id=7, bundle=(Mid("v"),), ice_lite=True, media=(full, bare))
    assert parse_description(description.serialize()) == description
    alone = Description(session_id=2**63 - 1, session_version=3, media=(bare,))
    assert parse_description(alone.serialize()) == alone


def test_what_is_written_to_the_letter() -> None:
    section = MediaDescription(
        kind="audio",
        port=9,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=("111",),
        mid=Mid("0"),
        direction=Direction.RECVONLY,
        codecs={PayloadType(111): Codec(PayloadType(111), "opus", 48_000, 2, {"stereo": "1", "cbr": "0"})},
        rtcp_mux=True,
    )
    assert Description(session_id=7, bundle=(Mid("0"),), media=(section,)).serialize() == (
        "v=0\r\no=- 7 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"
        "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1;cbr=0\r\n"
    )


@given(st.binary())
def test_any_bytes_parse_or_raise_parse_error(data: bytes) -> None:
    for body in (data, HEAD.encode() + VIDEO.encode() + data):
        try:
            parse_description(body)
        except ParseError as error:
            assert error.reason is DropReason.SDP_MALFORMED
