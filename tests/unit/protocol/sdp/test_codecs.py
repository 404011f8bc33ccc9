"""What is answered for the codecs of an offer."""

import pytest

from whipway.protocol.sdp.codecs import (
    answer_codecs,
    offered_names,
    parameter_sets,
    profile_level_id,
    retransmissions,
)
from whipway.protocol.sdp.description import Codec, MediaDescription, PayloadType


def offered(kind: str, *entries: Codec) -> MediaDescription:
    return MediaDescription(
        kind=kind,
        port=9,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=tuple(str(codec.payload_type) for codec in entries),
        codecs={codec.payload_type: codec for codec in entries},
    )


def answer(media: MediaDescription, *, transport_cc: bool = True) -> dict[PayloadType, Codec]:
    return answer_codecs(media, transport_cc=transport_cc)


def h264(payload_type: int, parameters: str = "", name: str = "H264", rate: int = 90_000) -> Codec:
    pairs = dict(pair.split("=", 1) for pair in parameters.split(";") if pair)
    feedback = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli", "ack rpsi")
    return Codec(PayloadType(payload_type), name, rate, 1, pairs, feedback)


def rtx(payload_type: int, apt: str, rate: int = 90_000) -> Codec:
    return Codec(PayloadType(payload_type), "RTX", rate, 1, {"apt": apt})


def test_h264_mode_1_goes_before_mode_0() -> None:
    media = offered(
        "video",
        h264(96, "packetization-mode=0;profile-level-id=42e01f"),
        h264(97, "packetization-mode=1;profile-level-id=64001f"),
        h264(98),
        h264(99, "packetization-mode=1", name="h264"),
    )
    answered = answer(media, transport_cc=False)
    assert list(answered) == [97, 99, 96, 98]
    assert [codec.parameters for codec in answered.values()] == [
        {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "64001f"},
        {"level-asymmetry-allowed": "1", "packetization-mode": "1"},
        {"level-asymmetry-allowed": "1", "packetization-mode": "0", "profile-level-id": "42e01f"},
        {"level-asymmetry-allowed": "1", "packetization-mode": "0"},
    ]
    assert {codec.feedback for codec in answered.values()} == {("nack", "nack pli", "ccm fir", "goog-remb")}


def test_a_browser_is_told_what_to_begin_with_where_feedback_corrects_it() -> None:
    media = offered("video", h264(96, "packetization-mode=1"))
    [told] = answer(media).values()
    assert int(told.parameters["x-google-start-bitrate"]) == 1000
    [untold] = answer(media, transport_cc=False).values()
    assert "x-google-start-bitrate" not in untold.parameters
    opus = Codec(PayloadType(111), "opus", 48_000, 2, feedback=("transport-cc",))
    [sound] = answer(offered("audio", opus)).values()
    assert sound.feedback == ("transport-cc",)
    assert "x-google-start-bitrate" not in sound.parameters


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
    assert answer(offered("video", codec)) == {}


@pytest.mark.parametrize(
    ("kind", "transport_cc", "feedback", "expected"),
    [
        ("video", True, "nack; nack pli", "nack; nack pli"),
        ("video", True, "nack pli; nack; rrtr; nack rpsi", "nack; nack pli; rrtr"),
        ("video", True, "ccm fir; ccm tmmbr", "ccm fir"),
        ("video", True, "", ""),
        # REMB beside transport-wide feedback is a limit.
        ("video", True, "transport-cc; goog-remb", "goog-remb; transport-cc"),
        ("video", True, "goog-remb", "goog-remb"),
        ("video", False, "goog-remb; transport-cc", "goog-remb"),
        ("video", False, "transport-cc; nack", "nack"),
        ("audio", True, "transport-cc; goog-remb; nack; nack pli; rrtr", "nack; transport-cc; rrtr"),
        ("audio", False, "transport-cc; goog-remb", ""),
    ],
)
def test_feedback_is_answered_as_far_as_it_is_offered(
    kind: str, transport_cc: bool, feedback: str, expected: str
) -> None:
    offer = tuple(filter(None, feedback.split("; ")))
    names = {"audio": ("opus", 48_000, 2), "video": ("H264", 90_000, 1)}
    media = offered(kind, Codec(PayloadType(96), *names[kind], feedback=offer))
    (codec,) = answer(media, transport_cc=transport_cc).values()
    assert codec.feedback == tuple(filter(None, expected.split("; ")))


def test_feedback_is_answered_for_each_payload_type_by_itself() -> None:
    media = offered(
        "video",
        Codec(PayloadType(96), "H264", 90_000, feedback=("nack", "transport-cc", "goog-remb")),
        Codec(PayloadType(97), "H264", 90_000, feedback=("goog-remb",)),
    )
    answered = answer(media)
    expected = [("nack", "goog-remb", "transport-cc"), ("goog-remb",)]
    assert [codec.feedback for codec in answered.values()] == expected


def test_opus_is_asked_for_in_stereo() -> None:
    opus = Codec(PayloadType(97), "OPUS", 48_000, 2, {"sprop-stereo": "1"}, ("ccm fir",))
    red = Codec(PayloadType(63), "red", 48_000, 2)
    answered = answer(offered("audio", red, opus))
    parameters = {"minptime": "10", "useinbandfec": "1", "stereo": "1"}
    assert answered == {97: Codec(PayloadType(97), "OPUS", 48_000, 2, parameters)}


@pytest.mark.parametrize(
    ("name", "rate", "channels"), [("opus", 48_000, 1), ("opus", 16_000, 2), ("L16", 48_000, 2)]
)
def test_other_audio_is_not_taken(name: str, rate: int, channels: int) -> None:
    assert answer(offered("audio", Codec(PayloadType(111), name, rate, channels))) == {}


def test_retransmissions_of_what_is_taken() -> None:
    media = offered(
        "video",
        h264(96),
        rtx(97, "96"),
        rtx(98, "99"),
        rtx(100, "97"),
        rtx(101, ""),
        Codec(PayloadType(103), "rtx", 90_000),
        rtx(104, "96", rate=48_000),
        h264(102),
        rtx(105, "96"),
    )
    assert retransmissions(media, [PayloadType(96), PayloadType(102)]) == {97: 96, 105: 96}


def test_retransmissions_are_answered_after_the_codecs() -> None:
    again = Codec(PayloadType(97), "rtx", 90_000, 1, {"rtx-time": "3000", "apt": "96"}, ("nack",))
    media = offered(
        "video", again, h264(96), rtx(98, "95"), rtx(99, "100"), h264(100, "packetization-mode=1")
    )
    answered = answer(media)
    assert list(answered) == [100, 96, 97, 99]
    # RFC 4588, 8.3: how long packets are kept is for their sender to say.
    assert answered[PayloadType(97)] == Codec(PayloadType(97), "rtx", 90_000, 1, {"apt": "96"})
    assert answered[PayloadType(99)] == rtx(99, "100")


def test_retransmissions_alone_are_nothing() -> None:
    assert answer(offered("video", rtx(97, "96"), h264(96, "packetization-mode=2"))) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("42e01f", "42e01f"), ("64001F", "64001f"), ("42e01", None), ("42e01f0", None), ("42e01g", None)],
)
def test_profile_and_level(text: str, expected: str | None) -> None:
    assert profile_level_id(h264(96, f"profile-level-id={text}")) == expected


def test_profile_and_level_may_be_missing() -> None:
    assert profile_level_id(h264(96)) is None


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


def test_parameter_sets_are_bounded() -> None:
    assert len(list(parameter_sets(h264(96, "sprop-parameter-sets=" + "Zw==," * 100)))) == 32
