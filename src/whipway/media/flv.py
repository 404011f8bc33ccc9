"""FLV tag bodies of H.264, AAC and Opus, as RTMP carries them (Adobe FLV 10.1, annex E.4).

Writers make the bodies of audio and video messages and the onMetaData values; the 11-byte tag header of an
FLV file is left out, RTMP has its own. Opus has the extended header of Enhanced RTMP v2 (ExAudioTagHeader).
Readers tell sequence headers and key frames apart for a server that keeps the last group of pictures; they
read all extended headers, which foreign publishers may send. Readers never raise: what they cannot read is
not one.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from whipway.media.nal import to_avcc

# E.4.3.1, VideoTagHeader: FrameType in the high four bits, CodecID 7 (AVC) in the low four.
AVC_KEY_FRAME: Final = 0x17
AVC_INTER_FRAME: Final = 0x27
VIDEO_CODEC_AVC: Final = 7
KEY_FRAME: Final = 1
COMMAND_FRAME: Final = 5
"""No picture: the next byte is a command for the player."""
AVC_SEQUENCE_HEADER: Final = b"\x17\x00\x00\x00\x00"

# E.4.2.1, AudioTagHeader: SoundFormat 10 (AAC); rate, size and type are fixed at 44 kHz, 16 bits, stereo for
# AAC whatever the sound is: "Flash Player ignores these values".
AAC_SEQUENCE_HEADER: Final = b"\xaf\x00"
AAC_FRAME: Final = b"\xaf\x01"
AUDIO_CODEC_AAC: Final = 10

# Enhanced RTMP v2: the markers of the extended headers and the packet types that decide what a body is.
EX_VIDEO_HEADER: Final = 0x80
EX_AUDIO_FORMAT: Final = 9
PACKET_SEQUENCE_START: Final = 0
PACKET_MOD_EX: Final = 7
VIDEO_PACKET_MULTITRACK: Final = 6
AUDIO_PACKET_MULTITRACK: Final = 5
VIDEO_PACKET_METADATA: Final = 4
AUDIO_PACKET_MULTICHANNEL: Final = 4
AUDIO_PACKET_CODED: Final = 1
VIDEO_PACKETS_CODED: Final = (1, 3)
"""CodedFrames and CodedFramesX."""
MAX_MOD_EX: Final = 8
"""Modifiers in front of a packet that are looked past; one is defined so far."""

# Enhanced RTMP v2, ExAudioTagHeader: the format, the packet type, a FourCC; no rate, size and type.
FOUR_CC_OPUS: Final = b"Opus"
OPUS_SEQUENCE_HEADER: Final = bytes((EX_AUDIO_FORMAT << 4 | PACKET_SEQUENCE_START,)) + FOUR_CC_OPUS
OPUS_FRAME: Final = bytes((EX_AUDIO_FORMAT << 4 | AUDIO_PACKET_CODED,)) + FOUR_CC_OPUS
AUDIO_CODEC_OPUS: Final = int.from_bytes(FOUR_CC_OPUS, "big")
"""Enhanced RTMP v2, onMetaData: audiocodecid may be a FourCC, read as a number."""

ENCODER: Final = "Whipway"
TRACK_METADATA: Final = frozenset(
    ("width", "height", "videocodecid", "hasVideo", "videoTrackIdInfoMap")
    + ("audiocodecid", "audiosamplerate", "audiosamplesize", "audiochannels", "stereo")
    + ("hasAudio", "audioTrackIdInfoMap", "encoder")
)
"""Names in onMetaData that say which tracks there are: players believe them, so they have to be true. The
frame rate is not among them: streams seldom tell it."""


def avc_sequence_header(configuration: bytes) -> bytes:
    """The video body that carries an AVCDecoderConfigurationRecord."""
    return AVC_SEQUENCE_HEADER + configuration


def avc_frame(nals: Iterable[bytes], keyframe: bool, composition_time_ms: int = 0) -> bytes:
    """The video body of one access unit; composition time: presentation minus decoding time, 24 bits."""
    head = AVC_KEY_FRAME if keyframe else AVC_INTER_FRAME
    offset = composition_time_ms.to_bytes(3, "big", signed=True)
    return b"%c\x01%b%b" % (head, offset, to_avcc(nals))


def aac_sequence_header(config: bytes) -> bytes:
    """The audio body that carries an AudioSpecificConfig."""
    return AAC_SEQUENCE_HEADER + config


def aac_frame(payload: bytes) -> bytes:
    """The audio body of one raw AAC frame."""
    return AAC_FRAME + payload


def opus_sequence_header(head: bytes) -> bytes:
    """The audio body that carries an OpusHead (Enhanced RTMP v2, SequenceStart)."""
    return OPUS_SEQUENCE_HEADER + head


def opus_frame(payload: bytes) -> bytes:
    """The audio body of one Opus packet (Enhanced RTMP v2, CodedFrames)."""
    return OPUS_FRAME + payload


def metadata(
    *,
    width: int | None = None,
    height: int | None = None,
    frame_rate: float | None = None,
    sample_rate: int | None = None,
    channels: int = 2,
    audio_codec: int = AUDIO_CODEC_AAC,
) -> dict[str, float | bool | str]:
    """The values of onMetaData (E.5): video if `width` and `height` are known, audio if `sample_rate` is."""
    values: dict[str, float | bool | str] = {}
    if width is not None and height is not None:
        values |= {"width": float(width), "height": float(height), "videocodecid": float(VIDEO_CODEC_AVC)}
        if frame_rate is not None:
            values["framerate"] = float(frame_rate)
    if sample_rate is not None:
        values |= {"audiocodecid": float(audio_codec), "audiosamplerate": float(sample_rate)}
        values |= {"audiosamplesize": 16.0, "audiochannels": float(channels), "stereo": channels == 2}
    return values | {"encoder": ENCODER}


def is_video_sequence_header(body: bytes) -> bool:
    """True when the video body carries a decoder configuration and no picture."""
    if not body or body[0] >> 4 & 0x07 == COMMAND_FRAME:
        return False
    if body[0] & EX_VIDEO_HEADER:
        return _look_at(body, VIDEO_PACKET_MULTITRACK).type == PACKET_SEQUENCE_START
    return body[0] & 0x0F == VIDEO_CODEC_AVC and body[1:2] == b"\x00"


def is_audio_sequence_header(body: bytes) -> bool:
    """True when the audio body carries a decoder configuration and no sound."""
    if not body:
        return False
    if body[0] >> 4 == EX_AUDIO_FORMAT:
        return _look_at(body, AUDIO_PACKET_MULTITRACK).type == PACKET_SEQUENCE_START
    return body[0] >> 4 == AUDIO_CODEC_AAC and body[1:2] == b"\x00"


def is_video_information(body: bytes) -> bool:
    """True when the video body tells of the picture's colours (Metadata)."""
    is_extended = bool(body) and bool(body[0] & EX_VIDEO_HEADER)
    return is_extended and _look_at(body, VIDEO_PACKET_MULTITRACK).type == VIDEO_PACKET_METADATA


def is_audio_information(body: bytes) -> bool:
    """True when the audio body tells which loudspeakers the channels are for (MultichannelConfig)."""
    is_extended = bool(body) and body[0] >> 4 == EX_AUDIO_FORMAT
    return is_extended and _look_at(body, AUDIO_PACKET_MULTITRACK).type == AUDIO_PACKET_MULTICHANNEL


def is_keyframe(body: bytes) -> bool:
    """True when the video body carries a picture that decoding can start from."""
    if not body or body[0] >> 4 & 0x07 != KEY_FRAME:
        return False
    if body[0] & EX_VIDEO_HEADER:
        return _look_at(body, VIDEO_PACKET_MULTITRACK).type in VIDEO_PACKETS_CODED
    return body[0] & 0x0F != VIDEO_CODEC_AVC or body[1:2] == b"\x01"


def video_track(body: bytes) -> int:
    """Which of several pictures sent together a video body belongs to, 0 for the main one or the only one."""
    is_extended = body and body[0] & EX_VIDEO_HEADER
    return _look_at(body, VIDEO_PACKET_MULTITRACK).track if is_extended else 0


def audio_track(body: bytes) -> int:
    """The same of sounds."""
    is_extended = body and body[0] >> 4 == EX_AUDIO_FORMAT
    return _look_at(body, AUDIO_PACKET_MULTITRACK).track if is_extended else 0


class _Extended(NamedTuple):
    """What an extended header says; a type of -1: it is cut."""

    type: int
    track: int = 0


def _look_at(body: bytes, multitrack: int) -> _Extended:
    """The packet type behind modifiers and the multitrack header, and the first track."""
    packet_type = body[0] & 0x0F
    position = 1
    for _ in range(MAX_MOD_EX):
        if packet_type != PACKET_MOD_EX:
            break
        # UI8 size - 1 (if that is 255: UI16 size - 1), the data, UB4 its type, UB4 the packet type.
        size = int.from_bytes(body[position : position + 1], "big") + 1
        position += 1
        if size == 256:
            size = int.from_bytes(body[position : position + 2], "big") + 1
            position += 2
        position += size + 1
        if position > len(body):
            return _Extended(-1)
        packet_type = body[position - 1] & 0x0F
    if packet_type != multitrack:
        return _Extended(packet_type)
    if position >= len(body):
        return _Extended(-1)
    # UB4 AvMultitrackType, UB4 the packet type of every track in the body, a FourCC, UI8 the track.
    return _Extended(body[position] & 0x0F, int.from_bytes(body[position + 5 : position + 6], "big"))
