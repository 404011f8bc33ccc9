"""What is answered for the codecs of an offer."""

import pytest

from whipway.protocol.sdp import codecs
from whipway.protocol.sdp.codecs import answer_codecs, offered_names, parameter_sets, retransmissions
from whipway.protocol.sdp.description import Codec, MediaDescription, PayloadType


def offered(kind: str, *entries: Codec) -> MediaDescription:
    return MediaDescription(
        kind=kind,
        port=9,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=tuple(str(codec.payload_type) for codec in entries),
        codecs={codec.payload_type: codec for codec in entries},
    )


def h264(payload_type: int, parameters: str = "", name: str = "H264", rate: int = 90_000) -> Codec:
    pairs = dict(pair.split("=", 1) for pair in parameters.split(";") if pair)
    feedback = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
    return Codec(PayloadType(payload_type), name, rate, 1, pairs, feedback)


def rtx(payload_type: int, apt: str) -> Codec:
    return Codec(PayloadType(payload_type), "RTX", 90_000, 1, {"apt": apt})


def test_h264_mode_1_goes_before_mode_0() -> None:
    media = offered(
        "video",
        h264(96, "packetization-mode=0;profile-level-id=42e01f"),
        h264(97, "packetization-mode=1;profile-level-id=64001f"),
        h264(98),
        h264(99, "packetization-mode=1", name="h264"),
    )
    answered = answer_codecs(media)
    assert list(answered) == [97, 99, 96, 98]
    assert [codec.parameters for codec in answered.values()] == [
        {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "64001f"},
        {"level-asymmetry-allowed": "1", "packetization-mode": "1"},
        {"level-asymmetry-allowed": "1", "packetization-mode": "0", "profile-level-id": "42e01f"},
        {"level-asymmetry-allowed": "1", "packetization-mode": "0"},
    ]
    assert {codec.feedback for codec in answered.values()} == {("nack pli", "ccm fir")}


@pytest.mark.parametrize(
    "codec",
    [
        h264(96, "packetization-mode=2"),
        h264(96, "packetization-mode=x"),
        h264(96, rate=48_000),
        h264(96, name="VP8"),
    ],
)
def test_other_video_is_not_taken(codec: Codec) -> None:
    assert answer_codecs(offered("video", codec)) == {}


def test_feedback_is_answered_as_far_as_it_is_offered() -> None:
    codec = Codec(PayloadType(96), "H264", 90_000, feedback=("nack", "nack pli"))
    assert answer_codecs(offered("video", codec))[PayloadType(96)].feedback == ("nack pli",)


def test_opus_is_asked_for_in_stereo() -> None:
    opus = Codec(PayloadType(97), "OPUS", 48_000, 2, {"sprop-stereo": "1"}, ("transport-cc", "nack"))
    red = Codec(PayloadType(63), "red", 48_000, 2)
    answered = answer_codecs(offered("audio", red, opus))
    parameters = {"minptime": "10", "useinbandfec": "1", "stereo": "1"}
    assert answered == {97: Codec(PayloadType(97), "OPUS", 48_000, 2, parameters)}


@pytest.mark.parametrize(
    ("name", "rate", "channels"), [("opus", 48_000, 1), ("opus", 16_000, 2), ("L16", 48_000, 2)]
)
def test_other_audio_is_not_taken(name: str, rate: int, channels: int) -> None:
    assert answer_codecs(offered("audio", Codec(PayloadType(111), name, rate, channels))) == {}


def test_retransmissions_of_what_is_taken() -> None:
    media = offered("video", h264(96), rtx(97, "96"), rtx(98, "99"), rtx(100, "97"), rtx(101, ""), h264(102))
    assert retransmissions(media, [PayloadType(96), PayloadType(102)]) == {97: 96}


def test_retransmissions_are_answered_once_they_are_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    media = offered("video", h264(96), rtx(97, "96"), rtx(98, "99"))
    assert list(answer_codecs(media)) == [96]
    monkeypatch.setattr(codecs, "ANSWER_RTX", True)
    assert list(answer_codecs(media)) == [96, 97]
    assert answer_codecs(media)[PayloadType(97)] == rtx(97, "96")


def test_names_are_short_and_leave_helpers_out() -> None:
    names = ["VP8", "rtx", "VP9", "VP9", "red", "ulpfec", "x" * 64]
    entries = [Codec(PayloadType(number), name, 90_000) for number, name in enumerate(names)]
    assert offered_names(offered("video", *entries)) == f"VP8, VP9, {'x' * 16}"
    many = [Codec(PayloadType(number), f"codec{number}", 90_000) for number in range(100)]
    assert len(offered_names(offered("video", *many)).split(", ")) == 8
    assert offered_names(offered("video")) == "no codec"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 3984, 8.2 (whose parameters RFC 6184 took over): the example's parameter sets.
        ("Z0IACpZTBYmI,aMljiA==", ["6742000a9653058988", "68c96388"]),
        ("Z0IACpZTBYmI,###,aMljiA=", ["6742000a9653058988"]),
        ("", []),
        (",,", []),
        ("\u00e9", []),
    ],
)
def test_parameter_sets(text: str, expected: list[str]) -> None:
    codec = h264(96, f"sprop-parameter-sets={text}")
    assert [nal.hex() for nal in parameter_sets(codec)] == expected


def test_parameter_sets_may_be_missing() -> None:
    assert list(parameter_sets(h264(96))) == []
