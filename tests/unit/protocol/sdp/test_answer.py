"""Stored offers of real senders, what is negotiated with them, and the answers they get."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiortc.sdp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.protocol.sdp.offers import (
    ACCEPTED,
    MAX_VIDEO,
    STORED,
    changed,
    described,
    extmap,
    h264,
    negotiated,
    offer,
    section,
    track_of,
)

from whipway.failures import DropReason, ParseError
from whipway.protocol.sdp.answer import (
    Negotiation,
    NegotiationError,
    Refusal,
    build_answer,
    build_fragment,
    negotiate,
)
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.protocol.sdp.description import Codec, Description, Mid, PayloadType, parse_description
from whipway.protocol.sdp.extensions import MID_URI, REPAIRED_RID_URI, RID_URI, TRANSPORT_CC_URI
from whipway.protocol.sdp.grammar import Candidate, Direction, Fingerprint, Setup

DIGEST = ":".join(f"{byte:02X}" for byte in range(32))
PWD = "server-password-of-ice"


def answer_to(negotiation: Negotiation, *hosts: HostCandidate) -> str:
    return build_answer(
        negotiation, ufrag="srvr", pwd=PWD, fingerprint=DIGEST, candidates=hosts, session_id=2**62
    )


def refused(description: Description) -> tuple[Refusal, str]:
    with pytest.raises(NegotiationError) as caught:
        negotiate(description)
    return caught.value.kind, caught.value.detail


# What is negotiated with the senders of the field

CHROMIUM_TYPES = (102, 108, 116, 104, 114, 39)
CHROMIUM_RTX = {103: 102, 109: 108, 117: 116, 107: 104, 115: 114, 40: 39}
EXPECTED: dict[str, dict[str, Any]] = {
    "aiortc": {
        "remote": ("2C7E", "a5fVrdXFNDYUx5CQvnklt4", ["sha-256", "sha-384", "sha-512"], False),
        "bundle": ("0", "1"),
        "0": ("audio", (96,), (2775512955,), {}, 1, False),
        "1": ("video", (99, 101), (3481881338, 1535305955), {100: 99, 102: 101}, 1, False),
    },
    "chromium": {
        "remote": ("dfgb", "N3KsPxZHZZ75bWY0lclUOiOk", ["sha-256"], False),
        "bundle": ("0", "1"),
        "0": ("audio", (111,), (4215195285,), {}, 4, False),
        "1": ("video", CHROMIUM_TYPES, (3074063387, 2193166330), CHROMIUM_RTX, 4, False),
    },
    "chromium_audio": {
        "remote": ("bTYx", "rWpd2zENE/YF1cm+c6+ta4mf", ["sha-256"], False),
        "bundle": ("0",),
        "0": ("audio", (111,), (1858861147,), {}, 4, False),
    },
    "chromium_simulcast": {
        "remote": ("Jivq", "1lmlI0rqinyJLoPihsbwm4MH", ["sha-256"], False),
        "bundle": ("0", "1"),
        "0": ("audio", (111,), (4191779352,), {}, 4, False),
        "1": ("video", CHROMIUM_TYPES, (), CHROMIUM_RTX, 4, False),
    },
    "ffmpeg": {
        "remote": ("f48e5514", "797ce0f8063024cb5411dbb3d4e89c24", ["sha-256"], True),
        "bundle": ("0", "1"),
        "0": ("audio", (111,), (1088983305,), {}, None, False),
        "1": ("video", (106,), (1088983306,), {105: 106}, None, False),
    },
    "ffmpeg_active": {
        "remote": ("63bdb42c", "624b74ddc77607e6f7e2c238b7798891", ["sha-256"], False),
        "bundle": ("0", "1"),
        "0": ("audio", (111,), (2094751503,), {}, None, False),
        "1": ("video", (106,), (2094751504,), {105: 106}, None, False),
    },
    "gstreamer": {
        "remote": (
            "Yt3kQm7Zr1sVx0aB/wE2cD+fGh4iJ6nP",
            "p9LqRs8TuVwXyZ0aBcDeFgHiJkLmNoP1",
            ["sha-256"],
            False,
        ),
        "bundle": ("video0", "audio1"),
        "video0": ("video", (96,), (2839175046,), {}, None, False),
        "audio1": ("audio", (97,), (991347218,), {}, None, True),
    },
    "libdatachannel": {
        "remote": ("Hd6B", "K2hnzdDIR5LSelNiypxHJU", ["sha-256"], False),
        "bundle": ("0", "1"),
        "0": ("audio", (111,), (3388068600,), {}, None, True),
        "1": ("video", (96,), (3388068601,), {}, None, False),
    },
    "obs": {
        "remote": ("nxcM", "ezjAjgSSLLvbRhUA1zc6Se", ["sha-256"], False),
        "bundle": ("0", "1"),
        "0": ("audio", (111,), (3388068600,), {}, None, True),
        "1": ("video", (96,), (3388068601,), {}, None, False),
    },
    "chromium_inputs": {
        "remote": ("9fJE", "d3eGa0AE4skbbhC3Q6H2GO0m", ["sha-256"], False),
        "bundle": ("0", "1", "2"),
        "0": ("audio", (111,), (3613686322,), {}, 4, False),
        "1": ("video", CHROMIUM_TYPES, (3357868860, 1269239799), CHROMIUM_RTX, 4, False),
        "2": ("video", CHROMIUM_TYPES, (898986668, 2744185373), CHROMIUM_RTX, 4, False),
    },
    "chromium_inputs_simulcast": {
        "remote": ("9hwM", "GiACbxTXFTVtANPi4LF1WSbx", ["sha-256"], False),
        "bundle": ("0", "1", "2"),
        "0": ("audio", (111,), (1740474227,), {}, 4, False),
        "1": ("video", CHROMIUM_TYPES, (), CHROMIUM_RTX, 4, False),
        "2": ("video", CHROMIUM_TYPES, (), CHROMIUM_RTX, 4, False),
    },
}


def test_every_stored_offer_has_an_expectation() -> None:
    assert sorted(EXPECTED) == ACCEPTED


@pytest.mark.parametrize("name", ACCEPTED)
def test_stored_offers_negotiate(name: str) -> None:
    expected = dict(EXPECTED[name])
    negotiation = negotiated(name)
    hashes = [fingerprint.algorithm for fingerprint in negotiation.fingerprints]
    remote = (negotiation.remote_ufrag, negotiation.remote_pwd, hashes, negotiation.dtls_client)
    assert remote == expected.pop("remote")
    assert negotiation.bundle == expected.pop("bundle")
    assert {
        track.mid: (
            track.kind,
            track.payload_types,
            track.ssrcs,
            track.rtx,
            track.mid_extension_id,
            track.stereo,
        )
        for track in negotiation.tracks
    } == expected
    for track in negotiation.tracks:
        assert track.clock_rate == {"audio": 48_000, "video": 90_000}[track.kind]


def test_firefox_without_h264_is_told_what_is_missing() -> None:
    expected = (Refusal.UNSUPPORTED, "video offers VP8, VP9, AV1; H264 is needed")
    assert refused(offer("firefox_without_h264")) == expected


# The answers


@pytest.mark.parametrize("name", ACCEPTED)
def test_answers_mirror_the_offer(name: str) -> None:
    offered = offer(name)
    negotiation = negotiate(offered, MAX_VIDEO)
    answer = parse_description(answer_to(negotiation, HostCandidate("192.0.2.1", 5000)))
    assert (answer.session_id, answer.ice_lite, answer.bundle) == (2**62, True, negotiation.bundle)
    assert [media.kind for media in answer.media] == [media.kind for media in offered.media]
    assert [media.mid for media in answer.media] == [media.mid for media in offered.media]
    for media, theirs in zip(answer.media, offered.media, strict=True):
        if media.kind == "application":
            assert (media.port, media.direction, media.formats) == (0, Direction.INACTIVE, theirs.formats)
            assert media.ice_ufrag is None
            continue
        assert (media.port, media.protocol) == (9, theirs.protocol)
        assert media.direction is Direction.RECVONLY
        assert (media.ice_ufrag, media.ice_pwd) == ("srvr", PWD)
        assert media.fingerprints == (Fingerprint("sha-256", bytes(range(32))),)
        assert media.setup is (Setup.ACTIVE if name == "ffmpeg" else Setup.PASSIVE)
        assert media.rtcp_mux
        assert (media.rtcp_mux_only, media.rtcp_rsize) == (True, theirs.rtcp_rsize)
        tracks = [track for track in negotiation.tracks if track.mid == media.mid]
        assert {track.reduced_size for track in tracks} == {theirs.rtcp_rsize}
        assert not media.bundle_only
        assert media.extmap.items() <= theirs.extmap.items()
        assert media.formats == tuple(str(pt) for pt in media.codecs)
        tagged = media.mid == answer.bundle[0]
        assert media.end_of_candidates is tagged
        assert len(media.candidates) == tagged
        for pt, codec in media.codecs.items():
            mirrored = theirs.codecs[pt]
            assert codec.is_a(mirrored.name, mirrored.clock_rate, mirrored.channels)
            assert set(codec.feedback) <= set(mirrored.feedback)


@pytest.mark.parametrize("name", ACCEPTED)
def test_answers_are_read_by_another_implementation(name: str) -> None:
    negotiation = negotiated(name)
    text = answer_to(negotiation, HostCandidate("192.0.2.1", 5000), HostCandidate("2001:db8::1", 5000))
    answer = aiortc.sdp.SessionDescription.parse(text)
    accepted = [media for media in answer.media if media.port]
    # Of several layers one: they differ by their rid alone.
    tracks = {track.mid: track for track in negotiation.tracks}
    assert [media.rtp.muxId for media in accepted] == list(tracks)
    assert [[codec.payloadType for codec in media.rtp.codecs] for media in accepted] == [
        [*track.payload_types, *track.rtx] for track in tracks.values()
    ]
    assert {media.direction for media in accepted} == {"recvonly"}
    assert {media.ice.usernameFragment for media in accepted} == {"srvr"}
    assert [(candidate.ip, candidate.port) for candidate in accepted[0].ice_candidates] == [
        ("192.0.2.1", 5000),
        ("2001:db8::1", 5000),
    ]
    assert accepted[0].ice.iceLite
    assert accepted[0].ice_candidates_complete


def test_the_answer_to_obs_to_the_letter() -> None:
    def transport(mid: int) -> str:
        return (
            f"c=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=ice-ufrag:srvr\r\na=ice-pwd:{PWD}\r\na=setup:passive\r\n"
            f"a=fingerprint:sha-256 {DIGEST}\r\na=recvonly\r\na=rtcp-mux\r\n"
            "a=rtcp-mux-only\r\n"
        )

    assert answer_to(negotiate(offer("obs")), HostCandidate("192.0.2.1", 5000)) == (
        "v=0\r\no=- 4611686018427387904 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
        "a=group:BUNDLE 0 1\r\na=ice-lite\r\n"
        f"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{transport(0)}"
        "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\na=end-of-candidates\r\n"
        f"m=video 9 UDP/TLS/RTP/SAVPF 96\r\n{transport(1)}"
        "a=rtpmap:96 H264/90000\r\n"
        "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
        "a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\n"
    )


def test_the_candidates_are_those_of_the_tagged_section() -> None:
    hosts = [HostCandidate("192.0.2.1", 5000), HostCandidate("192.0.2.1", 443, "tcp")]
    answer = parse_description(answer_to(negotiate(offer("chromium")), *hosts))
    assert answer.media[0].candidates == (
        Candidate("1", 1, "udp", 2130706431, "192.0.2.1", 5000, "host"),
        Candidate("2", 1, "tcp", 2124414719, "192.0.2.1", 443, "host", "passive"),
    )
    assert answer.media[1].candidates == ()


def test_the_fragment_of_a_restart_to_the_letter() -> None:
    fragment = build_fragment(
        negotiate(offer("obs")),
        ufrag="srvr",
        pwd=PWD,
        candidates=[HostCandidate("192.0.2.1", 5000)],
        ice_options=("trickle", "ice2"),
    )
    assert fragment == (
        "a=ice-options:trickle ice2\r\na=ice-lite\r\na=group:BUNDLE 0 1\r\n"
        f"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:srvr\r\na=ice-pwd:{PWD}\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\na=end-of-candidates\r\n"
    )


def test_ice_options_are_announced_when_given() -> None:
    text = build_answer(
        negotiate(offer("chromium")),
        ufrag="srvr",
        pwd=PWD,
        fingerprint=DIGEST,
        candidates=[],
        session_id=1,
        ice_options=("trickle", "ice2"),
    )
    assert [media.ice_options for media in parse_description(text).media] == [("trickle", "ice2")] * 2


def test_the_answer_to_the_video_of_ffmpeg_to_the_letter() -> None:
    text = answer_to(negotiate(offer("ffmpeg")))
    assert "m=video 9 UDP/TLS/RTP/SAVPF 106 105\r\n" in text
    assert text.endswith(
        "a=rtpmap:106 H264/90000\r\n"
        "a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42000b\r\n"
        "a=rtcp-fb:106 nack\r\na=rtpmap:105 rtx/90000\r\na=fmtp:105 apt=106\r\n"
    )


# What else an offer may be


def test_one_section_needs_neither_mid_nor_bundle() -> None:
    negotiation = negotiate(described(section("video", mid=None), bundle=()))
    assert (negotiation.bundle, negotiation.tracks[0].mid) == ((), None)
    answer = parse_description(answer_to(negotiation, HostCandidate("192.0.2.1", 5000)))
    assert (answer.bundle, answer.media[0].mid) == ((), None)
    assert answer.media[0].candidates


def test_sections_switched_off_and_others_stay_in_place_with_port_zero() -> None:
    sections = [
        section("text"),
        section("audio", port=0, mid=None, direction=Direction.INACTIVE),
        section("video"),
        section("audio", mid=Mid("late"), port=0, bundle_only=True),
    ]
    negotiation = negotiate(described(*sections, bundle=("text", "video")))
    assert negotiation.bundle == ("video",)
    assert [media.port for media in negotiation.media] == [0, 0, 9, 0]
    answer = parse_description(answer_to(negotiation, HostCandidate("192.0.2.1", 5000)))
    assert [len(media.candidates) for media in answer.media] == [0, 0, 1, 0]


def test_the_tagged_section_is_the_first_of_the_group_not_of_the_offer() -> None:
    sections = [section("audio", ice_ufrag="audi"), section("video", ice_ufrag="vide", setup=Setup.PASSIVE)]
    negotiation = negotiate(described(*sections, bundle=("video", "audio")))
    assert (negotiation.remote_ufrag, negotiation.dtls_client) == ("vide", True)
    answer = parse_description(answer_to(negotiation, HostCandidate("192.0.2.1", 5000)))
    assert [len(media.candidates) for media in answer.media] == [0, 1]


def test_a_bundle_only_section_may_leave_its_transport_to_the_tagged_one() -> None:
    bare: dict[str, Any] = {
        "port": 0,
        "bundle_only": True,
        "ice_ufrag": None,
        "ice_pwd": None,
        "fingerprints": (),
        "setup": None,
        "rtcp_mux": False,
    }
    sections = [section("application", ice_ufrag="tagd", setup=Setup.PASSIVE), section("video", **bare)]
    negotiation = negotiate(described(*sections, bundle=("gone", "application", "video")))
    assert (negotiation.remote_ufrag, negotiation.bundle) == ("tagd", ("video",))
    assert negotiation.dtls_client
    assert negotiation.media[1].port == 9


@pytest.mark.parametrize("setup", [Setup.ACTPASS, Setup.ACTIVE, None])
def test_this_side_is_dtls_server_where_it_can_be(setup: Setup | None) -> None:
    assert not negotiate(described(section("audio", setup=setup))).dtls_client


def test_only_fingerprints_by_good_hashes_are_kept() -> None:
    weak, strong = Fingerprint("sha-1", b"\x01" * 20), Fingerprint("sha-512", b"\x01" * 64)
    assert negotiate(described(section("audio", fingerprints=(weak, strong)))).fingerprints == (strong,)


# Feedback, retransmissions, header extensions


FULL = ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc")
REMB = ("nack", "nack pli", "goog-remb")


@pytest.mark.parametrize(
    ("name", "audio", "video", "rtx", "extensions"),
    [
        ("aiortc", (), REMB, {100: 99, 102: 101}, ([MID_URI], [MID_URI])),
        ("chromium", ("transport-cc",), FULL, CHROMIUM_RTX, ([MID_URI, TRANSPORT_CC_URI],) * 2),
        ("chromium_inputs", ("transport-cc",), FULL, CHROMIUM_RTX, ([MID_URI, TRANSPORT_CC_URI],) * 2),
        (
            "chromium_simulcast",
            ("transport-cc",),
            FULL,
            CHROMIUM_RTX,
            ([MID_URI, TRANSPORT_CC_URI], [MID_URI, TRANSPORT_CC_URI, RID_URI, REPAIRED_RID_URI]),
        ),
        ("ffmpeg", (), ("nack",), {105: 106}, ([], [])),
        ("ffmpeg_active", (), ("nack",), {105: 106}, ([], [])),
        # It offers transport-cc without the header extension that carries the numbers.
        ("gstreamer", ("nack",), ("nack", "nack pli", "ccm fir"), {}, ([], [])),
        ("libdatachannel", (), REMB, {}, ([], [])),
        ("obs", (), REMB, {}, ([], [])),
    ],
)
def test_feedback_and_retransmissions_in_the_answers(
    name: str,
    audio: tuple[str, ...],
    video: tuple[str, ...],
    rtx: dict[int, int],
    extensions: tuple[list[str], list[str]],
) -> None:
    answer = parse_description(answer_to(negotiated(name), HostCandidate("192.0.2.1", 5000)))
    by_kind = {media.kind: media for media in answer.media if media.port}
    feedback = {
        kind: {codec.feedback for codec in media.codecs.values() if codec.name != "rtx"}
        for kind, media in by_kind.items()
    }
    assert feedback == {"audio": {audio}, "video": {video}}
    repeats = [codec for codec in by_kind["video"].codecs.values() if codec.name == "rtx"]
    assert {codec.payload_type: codec.parameters for codec in repeats} == {
        pt: {"apt": str(apt)} for pt, apt in rtx.items()
    }
    assert all(codec.feedback == () for codec in repeats)
    names = [codec.name for codec in by_kind["video"].codecs.values()]
    assert names == sorted(names, key=lambda name: name == "rtx")
    assert (list(by_kind["audio"].extmap), list(by_kind["video"].extmap)) == extensions


def test_feedback_for_all_payload_types_is_answered_for_each_codec() -> None:
    answered = negotiate(changed("ffmpeg", "a=rtcp-fb:106 nack", "a=rtcp-fb:* nack")).media[1]
    assert [codec.feedback for codec in answered.codecs.values()] == [("nack",), ()]


def test_remb_where_the_transport_wide_numbers_have_no_extension() -> None:
    line = f"a=extmap:3 {TRANSPORT_CC_URI}\r\n"
    negotiation = negotiate(changed("chromium", line, ""))
    video = track_of(negotiation, "video")
    assert (video.remb, video.transport_cc_extension_id) == (True, None)
    assert "transport-cc" not in answer_to(negotiation)
    assert TRANSPORT_CC_URI not in answer_to(negotiation)


def test_transport_wide_numbers_are_not_asked_for_without_the_feedback() -> None:
    codecs = {PayloadType(96): h264(96, "goog-remb")}
    media = section("video", codecs=codecs, extmap=extmap((3, TRANSPORT_CC_URI), (4, MID_URI)))
    negotiation = negotiate(described(media))
    assert list(negotiation.media[0].extmap) == [MID_URI]
    (video,) = negotiation.tracks
    assert (video.remb, video.mid_extension_id, video.transport_cc_extension_id) == (True, 4, None)


def test_extensions_that_are_only_sent_are_answered_as_only_received() -> None:
    text = f"extmap:3 {TRANSPORT_CC_URI}"
    negotiation = negotiate(changed("chromium", text, text.replace("3", "3/sendonly", 1)))
    assert answer_to(negotiation).count(f"a=extmap:3/recvonly {TRANSPORT_CC_URI}\r\n") == 2
    assert track_of(negotiation, "video").transport_cc_extension_id == 3
    negotiation = negotiate(changed("chromium", text, text.replace("3", "3/recvonly", 1)))
    assert TRANSPORT_CC_URI not in answer_to(negotiation)
    assert track_of(negotiation, "video").remb


def test_extension_ids_that_do_not_fit_a_packet_are_not_answered() -> None:
    (track,) = negotiate(described(section("audio", extmap=extmap((255, MID_URI))))).tracks
    assert track.mid_extension_id == 255
    (track,) = negotiate(described(section("audio", extmap=extmap((256, MID_URI))))).tracks
    assert track.mid_extension_id is None


def test_an_extension_id_with_two_meanings_is_not_answered() -> None:
    video = section(
        "video",
        codecs={PayloadType(96): h264(96, "transport-cc")},
        extmap=extmap((3, TRANSPORT_CC_URI), (4, MID_URI)),
    )
    negotiation = negotiate(described(section("audio", extmap=extmap((3, MID_URI))), video))
    assert [list(media.extmap) for media in negotiation.media] == [[], [MID_URI]]
    assert negotiation.media[1].codecs[PayloadType(96)].feedback == ()


# Refusals

MALFORMED, UNSUPPORTED = Refusal.MALFORMED, Refusal.UNSUPPORTED


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (described(section("application")), (UNSUPPORTED, "no audio or video is offered")),
        (described(section("audio", port=0)), (UNSUPPORTED, "no audio or video is offered")),
        (
            described(section("video"), section("video", mid=Mid("2"))),
            (UNSUPPORTED, "2 video sections are offered; one is supported"),
        ),
        (
            described(section("audio"), section("audio", mid=Mid("2")), section("video")),
            (UNSUPPORTED, "2 audio sections are offered; one is supported"),
        ),
        (
            described(section("audio"), section("video", direction=Direction.RECVONLY)),
            (UNSUPPORTED, "video is recvonly; sendonly is needed"),
        ),
        (
            described(section("audio", direction=Direction.INACTIVE)),
            (UNSUPPORTED, "audio is inactive; sendonly is needed"),
        ),
        (
            described(section("audio", protocol="RTP/AVP")),
            (UNSUPPORTED, "audio does not use UDP/TLS/RTP/SAVPF"),
        ),
        (described(section("audio", rtcp_mux=False)), (UNSUPPORTED, "audio has no rtcp-mux")),
        (
            described(section("audio"), section("video"), bundle=("audio",)),
            (UNSUPPORTED, "audio and video are not all in one BUNDLE group"),
        ),
        (
            described(section("audio"), section("video"), bundle=()),
            (UNSUPPORTED, "audio and video are not all in one BUNDLE group"),
        ),
        (
            replace(described(section("audio")), ice_lite=True),
            (UNSUPPORTED, "the offer is ICE-lite, as is this server; full ICE is needed"),
        ),
        (
            described(section("audio", ice_ufrag=None)),
            (MALFORMED, "no ICE credentials (ice-ufrag and ice-pwd)"),
        ),
        (
            described(section("audio", ice_pwd=None), bundle=()),
            (MALFORMED, "no ICE credentials (ice-ufrag and ice-pwd)"),
        ),
        (described(section("audio", fingerprints=())), (MALFORMED, "no certificate fingerprint")),
        (
            described(section("audio", fingerprints=(Fingerprint("sha-1", b"\x01" * 20),))),
            (UNSUPPORTED, "no certificate fingerprint by one of sha-256, sha-384, sha-512"),
        ),
        (
            described(section("audio", setup=Setup.HOLDCONN)),
            (UNSUPPORTED, "setup is holdconn; actpass, active or passive is needed"),
        ),
        (
            described(section("audio", codecs={PayloadType(0): Codec(PayloadType(0), "PCMU", 8_000)})),
            (UNSUPPORTED, "audio offers PCMU; opus/48000/2 is needed"),
        ),
        (
            described(section("audio"), section("video", codecs={})),
            (UNSUPPORTED, "video offers no codec; H264 is needed"),
        ),
    ],
)
def test_refusals_say_why(description: Description, expected: tuple[Refusal, str]) -> None:
    assert refused(description) == expected


def test_a_refusal_reads_well_in_a_traceback() -> None:
    with pytest.raises(NegotiationError, match=r"^unsupported: no audio or video is offered$"):
        negotiate(described(section("text")))


# Several videos, and layers


def layers_in(negotiation: Negotiation) -> list[str]:
    """The lines of the answer that are about layers."""
    lines = answer_to(negotiation).split("\r\n")
    return [line for line in lines if re.match("a=rid|a=simulcast|a=extmap.*stream-id", line)]


def test_as_many_videos_as_are_allowed() -> None:
    videos = [section("video", mid=Mid(str(number))) for number in range(3)]
    description = described(section("audio"), *videos, bundle=("audio", "0", "1", "2"))
    assert [track.mid for track in negotiate(description, 3).tracks] == ["audio", "0", "1", "2"]
    for limit, supported in ((1, "one is"), (2, "2 are")):
        with pytest.raises(NegotiationError) as caught:
            negotiate(description, limit)
        assert caught.value.kind is UNSUPPORTED
        assert caught.value.detail == f"3 video sections are offered; {supported} supported"


def test_several_videos_share_one_transport() -> None:
    negotiation = negotiated("chromium_inputs")
    answer = parse_description(answer_to(negotiation, HostCandidate("192.0.2.1", 5000)))
    assert answer.bundle == ("0", "1", "2")
    assert [media.direction for media in answer.media] == [Direction.RECVONLY] * 3
    assert [len(media.candidates) for media in answer.media] == [1, 0, 0]
    videos = [section("video"), section("video", mid=Mid("alone"))]
    with pytest.raises(NegotiationError, match="not all in one BUNDLE group"):
        negotiate(described(*videos), MAX_VIDEO)


def test_layers_are_answered_in_the_order_of_the_offer() -> None:
    assert layers_in(negotiate(offer("chromium_simulcast"))) == [
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        "a=rid:h recv",
        "a=rid:l recv",
        "a=simulcast:recv h;l",
    ]
    negotiation = negotiate(changed("chromium_simulcast", "a=simulcast:send h;l", "a=simulcast:send l;h"))
    assert layers_in(negotiation)[2:] == ["a=rid:l recv", "a=rid:h recv", "a=simulcast:recv l;h"]
    # The second video has a layer that is paused at first.
    lines = [line for line in layers_in(negotiated("chromium_inputs_simulcast")) if "simulcast" in line]
    assert lines == ["a=simulcast:recv q;h;f", "a=simulcast:recv h;m;l"]


@pytest.mark.parametrize(
    ("rid", "expected"),
    [
        # 108 is H.264, 96 is VP8 and 97 repeats that, 103 repeats H.264.
        ("h send pt=108", ["a=rid:h recv pt=108", "a=rid:l recv", "a=simulcast:recv h;l"]),
        ("h send pt=96,108,97", ["a=rid:h recv pt=108", "a=rid:l recv", "a=simulcast:recv h;l"]),
        ("h send pt=96,103", ["a=rid:l recv", "a=simulcast:recv l"]),
        ("h send max-width=640", ["a=rid:h recv", "a=rid:l recv", "a=simulcast:recv h;l"]),
        ("h recv", ["a=rid:l recv", "a=simulcast:recv l"]),
        ("h", ["a=rid:l recv", "a=simulcast:recv l"]),
    ],
)
def test_layers_that_can_be_received_are_answered(rid: str, expected: list[str]) -> None:
    negotiation = negotiate(changed("chromium_simulcast", "a=rid:h send", f"a=rid:{rid}"))
    assert layers_in(negotiation)[2:] == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=simulcast:send h;l\r\n", ""),
        ("a=simulcast:send h;l", "a=simulcast:recv h;l"),
        ("a=simulcast:send h;l", "a=simulcast:send x;y"),
        ("a=simulcast:send h;l", "a=simulcast: send rid=h;l"),
        # Nothing in the packets would tell which layer they are of.
        ("a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n", ""),
        ("a=extmap:10 urn", "a=extmap:10/recvonly urn"),
        ("a=extmap:10 urn", "a=extmap:4 urn"),
    ],
)
def test_without_simulcast_a_video_is_sent_once(old: str, new: str) -> None:
    negotiation = negotiate(changed("chromium_simulcast", old, new))
    assert layers_in(negotiation) == []
    assert [(track.mid, track.rid) for track in negotiation.tracks] == [("0", None), ("1", None)]


def test_sound_has_no_layers() -> None:
    lines = "a=mid:0\r\na=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l"
    uri = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    negotiation = negotiate(changed("chromium_audio", "a=mid:0", f"a=extmap:10 {uri}\r\n{lines}"))
    assert layers_in(negotiation) == []
    assert len(negotiation.tracks) == 1


# Offers gone wrong

_EDITS: list[Callable[[list[bytes], int, bytes], object]] = [
    lambda lines, at, data: lines.pop(at),
    lambda lines, at, data: lines.insert(at, lines[-1]),
    lambda lines, at, data: lines.append(lines[at]),
    lambda lines, at, data: lines.reverse(),
    lambda lines, at, data: lines.insert(at, data),
    lambda lines, at, data: lines.insert(at, b"a=" + lines[at][2:] + data),
    lambda lines, at, data: lines.__setitem__(at, lines[at][: len(data)] + data),
    lambda lines, at, data: lines.__setitem__(at, lines[at][: -len(data) or None]),
]


@given(
    st.sampled_from(sorted(STORED)),
    st.lists(st.tuples(st.sampled_from(_EDITS), st.integers(0, 10_000), st.binary(max_size=8)), max_size=4),
)
def test_any_mutation_of_an_offer_is_taken_or_refused(
    name: str, edits: list[tuple[Callable[[list[bytes], int, bytes], object], int, bytes]]
) -> None:
    lines = STORED[name].split(b"\r\n")
    for edit, at, data in edits:
        edit(lines, at % len(lines), data)
    try:
        negotiation = negotiate(parse_description(b"\r\n".join(lines)), MAX_VIDEO)
    except ParseError as error:
        assert error.reason is DropReason.SDP_MALFORMED
    except NegotiationError as error:
        assert re.fullmatch(r"[ -~]{1,250}", error.detail)
    else:
        answer = parse_description(answer_to(negotiation, HostCandidate("192.0.2.1", 5000)))
        layers = {media.mid: media.rids for media in answer.media if media.port}
        assert [(track.mid, track.rid) for track in negotiation.tracks] == [
            (mid, rid) for mid, rids in layers.items() for rid in [each.id for each in rids] or [None]
        ]
        for track in negotiation.tracks:
            assert set(track.rtx.values()) <= set(track.payload_types)
            assert not track.rtx.keys() & set(track.payload_types)
            assert not track.repair_ssrcs.keys() & set(track.repair_ssrcs.values())
