"""What is received as one track: what the offer announces of it and the answer agrees to."""

from dataclasses import replace

import pytest
from tests.unit.protocol.sdp.offers import (
    changed,
    described,
    extmap,
    h264,
    negotiated,
    offer,
    section,
    track_of,
)

from whipway.protocol.sdp.answer import negotiate
from whipway.protocol.sdp.description import PayloadType
from whipway.protocol.sdp.extensions import TRANSPORT_CC_URI
from whipway.protocol.sdp.tracks import describe_tracks


def test_parameter_sets_of_the_offer_are_decoded() -> None:
    video, audio = negotiate(offer("gstreamer")).tracks
    assert [nal[0] & 0x1F for nal in video.sprop_parameter_sets] == [7, 8]
    assert audio.sprop_parameter_sets == ()


@pytest.mark.parametrize(
    ("name", "nack", "remb", "transport_cc", "profile", "repairs"),
    [
        ("aiortc", True, True, None, "42001f", {1535305955: 3481881338}),
        ("chromium", True, True, 3, "42001f", {2193166330: 3074063387}),
        ("chromium_simulcast", True, True, 3, "42001f", {}),
        # It names the repairing SSRC in the group alone.
        ("ffmpeg", True, False, None, "42000b", {1088983307: 1088983306}),
        ("ffmpeg_active", True, False, None, "42000b", {2094751505: 2094751504}),
        ("gstreamer", True, False, None, "42c01f", {}),
        ("libdatachannel", True, True, None, "42e01f", {}),
        ("obs", True, True, None, "42e01f", {}),
    ],
)
def test_feedback_and_retransmissions_of_the_video_track(
    name: str, nack: bool, remb: bool, transport_cc: int | None, profile: str, repairs: dict[int, int]
) -> None:
    video = track_of(negotiated(name), "video")
    assert (video.nack, video.remb, video.transport_cc_extension_id) == (nack, remb, transport_cc)
    assert (video.profile_level_id, video.repair_ssrcs) == (profile, repairs)


@pytest.mark.parametrize(
    ("name", "nack", "transport_cc"),
    [("chromium", False, 3), ("chromium_audio", False, 3), ("gstreamer", True, None), ("obs", False, None)],
)
def test_feedback_of_the_audio_track(name: str, nack: bool, transport_cc: int | None) -> None:
    audio = track_of(negotiated(name), "audio")
    assert (audio.nack, audio.remb, audio.transport_cc_extension_id) == (nack, False, transport_cc)
    assert (audio.profile_level_id, audio.repair_ssrcs, audio.rtx) == (None, {}, {})


def test_tracks_tell_what_is_agreed_for_the_preferred_payload_type() -> None:
    codecs = {
        PayloadType(96): h264(96, "nack", "goog-remb", mode="0"),
        PayloadType(97): h264(97, "nack pli", "transport-cc"),
    }
    media = section("video", codecs=codecs, extmap=extmap((3, TRANSPORT_CC_URI)))
    (video,) = negotiate(described(media)).tracks
    assert video.payload_types == (97, 96)
    assert (video.nack, video.remb, video.transport_cc_extension_id) == (False, False, 3)


def test_repairing_ssrcs_come_last_whatever_their_place() -> None:
    text = "a=ssrc-group:FID 3074063387 2193166330"
    (_, video) = negotiate(changed("chromium", text, "a=ssrc-group:FID 2193166330 3074063387")).tracks
    assert video.ssrcs == (2193166330, 3074063387)
    assert video.repair_ssrcs == {3074063387: 2193166330}
    (_, video) = negotiate(changed("chromium", text, "a=ssrc-group:SIM 2193166330 3074063387")).tracks
    assert video.ssrcs == (3074063387, 2193166330)
    assert video.repair_ssrcs == {}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("FID 1 2, FID 3 4", {2: 1, 4: 3}),
        ("FID 1 2 3", {2: 1, 3: 1}),
        ("FID 1 1", {}),
        ("FID", {}),
        ("FID 1", {}),
        # The first group is believed.
        ("FID 1 2, FID 3 2", {2: 1}),
        ("FID 1 2, FID 2 1", {2: 1}),
        ("FID 1 2, FID 2 3", {2: 1}),
        ("FID 2 3, FID 1 2 4", {3: 2, 4: 1}),
        ("FEC-FR 1 2, FID 1 3", {3: 1}),
    ],
)
def test_no_ssrc_both_repairs_and_is_repaired(groups: str, expected: dict[int, int]) -> None:
    lines = "\r\n".join(f"a=ssrc-group:{group}" for group in groups.split(", "))
    (_, video) = negotiate(changed("ffmpeg", "a=ssrc-group:FID 1088983306 1088983307", lines)).tracks
    assert video.repair_ssrcs == expected


# Layers


def test_each_layer_is_a_track() -> None:
    tracks = negotiated("chromium_inputs_simulcast").tracks
    assert [(track.mid, track.rid) for track in tracks] == [
        ("0", None),
        ("1", "q"),
        ("1", "h"),
        ("1", "f"),
        ("2", "h"),
        ("2", "m"),
        ("2", "l"),
    ]
    audio, *videos = tracks
    assert (audio.rid_extension_id, audio.repaired_rid_extension_id) == (None, None)
    assert {(track.rid_extension_id, track.repaired_rid_extension_id) for track in videos} == {(10, 11)}


def test_layers_of_a_video_differ_in_their_rid_alone() -> None:
    text = "a=rid:h send\r\n"
    lines = f"a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\n{text}"
    _, high, low = negotiate(changed("chromium_simulcast", text, lines)).tracks
    assert (high.rid, low.rid) == ("h", "l")
    assert replace(high, rid="l") == low
    # Which layer an SSRC is of is not announced, but what it repairs is.
    assert (high.ssrcs, high.repair_ssrcs) == ((), {2: 1})


def test_repairs_of_layers_may_have_no_extension() -> None:
    line = "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n"
    _, high, _ = negotiate(changed("chromium_simulcast", line, "")).tracks
    assert (high.rid_extension_id, high.repaired_rid_extension_id) == (10, None)


def test_a_video_without_layers_is_one_track() -> None:
    negotiation = negotiate(offer("chromium"))
    offered, answered = offer("chromium").media[1], negotiation.media[1]
    (track,) = describe_tracks(offered, answered)
    assert track == negotiation.tracks[1]
    assert (track.rid, track.rid_extension_id, track.repaired_rid_extension_id) == (None, None, None)
    assert track.ssrcs == (3074063387, 2193166330)


def test_inputs_differ_in_what_they_announce() -> None:
    _, first, second = negotiated("chromium_inputs").tracks
    assert (first.mid, first.ssrcs) == ("1", (3357868860, 1269239799))
    assert (second.mid, second.ssrcs) == ("2", (898986668, 2744185373))
    assert first.repair_ssrcs == {1269239799: 3357868860}
    assert first.rtx == second.rtx
