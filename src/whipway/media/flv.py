"""FLV tag bodies of H.264, AAC and Opus, as RTMP carries them (Adobe FLV 10.1, annex E.4).

Writers make the bodies of audio and video messages and the onMetaData values; the 11-byte tag header of an
FLV file is left out, RTMP has its own. Opus has the extended header of Enhanced RTMP v2 (ExAudioTagHeader).
Readers tell sequence headers and key frames apart for a server that keeps the last group of pictures; they
read all extended headers, which foreign publishers may send. Readers never raise: what they cannot read is
not one.
"""

from collections.abc import Iterable
from enum import Enum
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


class Part(Enum):
    """What an audio or video body is to a decoder."""

    HEADER = "header"
    """A decoder configuration, and no media."""
    INFORMATION = "information"
    """Colours of the picture (Metadata), loudspeakers of the sound (MultichannelConfig)."""
    KEYFRAME = "keyframe"
    """A picture that decoding can start from."""
    OTHER = "other"


class Body(NamedTuple):
    """What a body is, and of which of several pictures or sounds: 0 is the main one, or the only one."""

    part: Part
    track: int = 0


def read_video(body: bytes) -> Body:
    """Look at a video body; one that is cut or empty is nothing in particular."""
    if not body:
        return Body(Part.OTHER)
    frame_type = body[0] >> 4 & 0x07
    if body[0] & EX_VIDEO_HEADER:
        packet_type, track = _read_extended(body, VIDEO_PACKET_MULTITRACK)
        if packet_type == VIDEO_PACKET_METADATA:
            return Body(Part.INFORMATION, track)
        is_header, is_picture = packet_type == PACKET_SEQUENCE_START, packet_type in VIDEO_PACKETS_CODED
    else:
        track, is_avc = 0, body[0] & 0x0F == VIDEO_CODEC_AVC
        is_header = is_avc and body[1:2] == b"\x00"
        is_picture = not is_avc or body[1:2] == b"\x01"
    if is_header and frame_type != COMMAND_FRAME:
        return Body(Part.HEADER, track)
    return Body(Part.KEYFRAME if is_picture and frame_type == KEY_FRAME else Part.OTHER, track)


def read_audio(body: bytes) -> Body:
    """The same for audio, which has no key frames."""
    if not body:
        return Body(Part.OTHER)
    if body[0] >> 4 == EX_AUDIO_FORMAT:
        packet_type, track = _read_extended(body, AUDIO_PACKET_MULTITRACK)
        return Body(_AUDIO_PARTS.get(packet_type, Part.OTHER), track)
    is_header = body[0] >> 4 == AUDIO_CODEC_AAC and body[1:2] == b"\x00"
    return Body(Part.HEADER if is_header else Part.OTHER)


_AUDIO_PARTS: Final = {PACKET_SEQUENCE_START: Part.HEADER, AUDIO_PACKET_MULTICHANNEL: Part.INFORMATION}


def _read_extended(body: bytes, multitrack: int) -> tuple[int, int]:
    """The packet type behind modifiers and the multitrack header, -1 if it is cut, and the first track."""
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
            return -1, 0
        packet_type = body[position - 1] & 0x0F
    if packet_type != multitrack:
        return packet_type, 0
    if position >= len(body):
        return -1, 0
    # UB4 AvMultitrackType, UB4 the packet type of every track in the body, a FourCC, UI8 the track.
    return body[position] & 0x0F, int.from_bytes(body[position + 5 : position + 6], "big")
