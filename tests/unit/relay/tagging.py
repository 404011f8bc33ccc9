"""Media for a muxer, and what its tags say: for tests of all that makes tags."""

import struct
from collections.abc import Collection, Sequence

from tests.peers import opus, x264

from whipway.media import flv
from whipway.media.transcoder import Transcoder
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtmp import amf0
from whipway.relay.muxer import Muxer
from whipway.relay.tags import AudioCodec, AudioFormat, Tag, TagKind

AAC = AudioFormat(AudioCodec.AAC, 128_000)

FRAME_US = 33_333
START_US = 7_000_000
NAL_TYPE = 0x1F
SPS, PPS, IDR = 7, 8, 5

METADATA, DATA, AUDIO_HEADER, VIDEO_HEADER, KEYFRAME, PICTURE, SOUND = (
    "metadata",
    "data",
    "audio header",
    "video header",
    "key frame",
    "picture",
    "sound",
)
FLV_TAG_TYPES = {TagKind.AUDIO: 8, TagKind.VIDEO: 9, TagKind.METADATA: 18}
SET_DATA_FRAME = b"\x02\x00\x0d@setDataFrame"
"""Tells an RTMP server to keep the metadata; FLV files go without."""


def kind_of(tag: Tag) -> str:
    """What a tag is, by its bytes as far as it has some."""
    if tag.kind is TagKind.METADATA:
        assert tag.header and tag.timestamp_ms == 0
        return METADATA
    if tag.kind is TagKind.DATA:
        assert not tag.header and tag.audio is None
        return DATA
    if tag.kind is TagKind.AUDIO:
        assert tag.audio is not None
        assert tag.header == (flv.read_audio(tag.payload).part is flv.Part.HEADER)
        return AUDIO_HEADER if tag.header else SOUND
    assert tag.header == (flv.read_video(tag.payload).part is flv.Part.HEADER)
    assert tag.keyframe == (flv.read_video(tag.payload).part is flv.Part.KEYFRAME)
    assert tag.audio is None
    return VIDEO_HEADER if tag.header else KEYFRAME if tag.keyframe else PICTURE


def values_of(tag: Tag) -> dict[str, amf0.Value]:
    """What a metadata tag says."""
    command, handler, values = amf0.decode(tag.payload)
    assert (command, handler) == ("@setDataFrame", "onMetaData")
    assert isinstance(values, dict)
    return values


def kinds(tags: list[Tag]) -> list[str]:
    return [kind_of(tag) for tag in tags]


def of_kind(kind: TagKind, tags: list[Tag]) -> list[Tag]:
    return [tag for tag in tags if tag.kind is kind and not tag.header]


def units(pictures: list[list[bytes]], start_us: int = START_US) -> list[AccessUnit]:
    return [unit(nals, start_us + number * FRAME_US) for number, nals in enumerate(pictures)]


def unit(nals: list[bytes], time_us: int) -> AccessUnit:
    keyframe = any(nal[0] & NAL_TYPE == IDR for nal in nals)
    return AccessUnit(time_us * 9 // 100, nals, keyframe, time_us)


def frames(payloads: list[bytes], start_us: int = START_US) -> list[AudioFrame]:
    return [
        AudioFrame(number * opus.PACKET_SAMPLES, payload, start_us + number * opus.PACKET_US)
        for number, payload in enumerate(payloads)
    ]


def without_sets(nals: list[bytes]) -> list[bytes]:
    return [nal for nal in nals if nal[0] & NAL_TYPE not in (SPS, PPS)]


def sets_of(nals: list[bytes]) -> list[bytes]:
    return [nal for nal in nals if nal[0] & NAL_TYPE in (SPS, PPS)]


def make_transcoder(bitrate: int) -> Transcoder:
    return Transcoder(bitrate=bitrate)


def make_muxer(
    *,
    video: bool = True,
    audio: bool = True,
    silent: bool = False,
    formats: Collection[AudioFormat] = (AAC,),
    parameter_sets: Sequence[bytes] = (),
) -> Muxer:
    muxer = Muxer(
        has_video=video,
        has_audio=audio,
        make_transcoder=make_transcoder,
        silent_audio=silent,
        parameter_sets=parameter_sets,
    )
    assert muxer.set_formats(formats) == []
    return muxer


def push_all(muxer: Muxer, media: Sequence[AccessUnit | AudioFrame]) -> list[Tag]:
    ordered = sorted(media, key=lambda one: one.time_us)
    return [tag for one in ordered for tag in muxer.push(one)]


def units_of(pictures: list[x264.EncodedPicture], start_us: int = START_US) -> list[AccessUnit]:
    return [unit(picture.nals, start_us + picture.pts * 100 // 9) for picture in pictures]


def composition(tag: Tag) -> int:
    return int.from_bytes(tag.payload[2:5], "big", signed=True)


def shown_at(tags: list[Tag]) -> list[int]:
    return [tag.timestamp_ms + composition(tag) for tag in of_kind(TagKind.VIDEO, tags)]


def flv_file(tags: list[Tag]) -> bytes:
    """FLV, annex E.2 and E.4.1."""
    out = bytearray(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
    for tag in tags:
        payload = tag.payload.removeprefix(SET_DATA_FRAME)
        head = struct.pack(">B3s", FLV_TAG_TYPES[tag.kind], len(payload).to_bytes(3, "big"))
        time = struct.pack(">3sB", (tag.timestamp_ms & 0xFFFFFF).to_bytes(3, "big"), tag.timestamp_ms >> 24)
        out += head + time + bytes(3) + payload + struct.pack(">I", 11 + len(payload))
    return bytes(out)


def shown_by(tags: Sequence[Tag], *, filler: bool) -> list[list[bytes]]:
    """The pictures that a sink gets, each a list of NAL units."""
    return [
        nals_of(tag)
        for tag in tags
        if tag.kind is TagKind.VIDEO and not tag.header and (filler or not tag.filler)
    ]


def nals_of(tag: Tag) -> list[bytes]:
    """The NAL units of a picture (ISO/IEC 14496-15, 5.3.4.2)."""
    nals, at = [], 5
    while at < len(tag.payload):
        end = at + 4 + int.from_bytes(tag.payload[at : at + 4], "big")
        nals.append(tag.payload[at + 4 : end])
        at = end
    return nals
