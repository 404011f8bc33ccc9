"""Which codecs are taken from an offer and what is answered: H.264 (RFC 6184, 8) and Opus (RFC 7587, 7).

Every H.264 profile is taken: senders announce one and send another, so the parameter sets in the stream
count. Retransmissions of what is taken are taken as well (RFC 4588, 8). Left out on purpose: interleaved
H.264 (packetization-mode 2), redundant audio, error correction. The tables at the top are what a change of
mind has to touch; `answer` does the rest of an answer.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from whipway.protocol.sdp.description import Codec, MediaDescription, PayloadType

TRANSPORT_CC = "transport-cc"
REMB = "goog-remb"
NACK = "nack"
FEEDBACK: dict[str, tuple[str, ...]] = {
    "audio": (NACK, TRANSPORT_CC, "rrtr"),
    "video": (NACK, "nack pli", "ccm fir", REMB, TRANSPORT_CC, "rrtr"),
}
"""RTCP feedback and reports this server sends; the answer names what the offer has of it. `rrtr` is the
receiver reference time report (RFC 3611, 4.4), which libwebrtc negotiates in this place. REMB is taken beside
transport-wide feedback too: of the two libwebrtc follows the lower one, so that REMB sets a limit."""
OPUS_ANSWER = {"minptime": "10", "useinbandfec": "1", "stereo": "1"}
"""RFC 7587, 6.1: `stereo` is what a receiver prefers to get, `sprop-stereo` what a sender is likely to send;
this side only receives, so it says the first alone. Without it browsers send mono."""
START_HINT = {"x-google-start-bitrate": "1000"}
"""In kbit/s. What libwebrtc's bandwidth estimate begins with instead of 300, at which it makes 720p pictures
a quarter as wide and takes 15 s to make them larger again. The feedback corrects it within a second. Only
libwebrtc knows the parameter; others pass over it."""
NEEDED = {"audio": "opus/48000/2", "video": "H264"}
"""The kinds of media taken, with the codec each must offer."""

# Never worth naming when a codec is missing: they carry other codecs, or silence and key presses.
_HELPERS = frozenset({"RTX", "RED", "ULPFEC", "FLEXFEC-03", "TELEPHONE-EVENT", "CN"})
_MAX_NAMES = 8
_MAX_PARAMETER_SETS = 32
_MAX_NAME_CHARACTERS = 16
_PROFILE_LEVEL_ID = re.compile("[0-9A-Fa-f]{6}")


def _answer_h264(codec: Codec) -> Codec | None:
    """RFC 6184, 8.2.2: the answer repeats packetization mode and profile, for which any will do here."""
    # RFC 6184, 8.1: without the parameter the mode is 0.
    mode = codec.parameters.get("packetization-mode", "0")
    if not codec.is_a("H264", 90_000) or mode not in ("0", "1"):
        return None
    parameters = {"level-asymmetry-allowed": "1", "packetization-mode": mode}
    profile = codec.parameters.get("profile-level-id")
    return replace(codec, parameters=parameters | ({"profile-level-id": profile} if profile else {}))


def _answer_opus(codec: Codec) -> Codec | None:
    # RFC 7587, 7: the clock rate MUST be 48000 and the number of channels MUST be 2.
    return replace(codec, parameters=dict(OPUS_ANSWER)) if codec.is_a("opus", 48_000, 2) else None


_ANSWER: dict[str, Callable[[Codec], Codec | None]] = {"audio": _answer_opus, "video": _answer_h264}


def answer_codecs(media: MediaDescription, *, transport_cc: bool) -> dict[PayloadType, Codec]:
    """The codecs taken, the preferred first, then the retransmissions of them; empty if there are none.

    H.264 in fragments (mode 1) goes before single NAL units (mode 0), which split large pictures into more
    slices; the rest stays in the offer's order. `transport_cc`: packets can carry the header extension that
    the feedback of this name is about.
    """
    answered = [codec for codec in map(_ANSWER[media.kind], media.codecs.values()) if codec]
    answered.sort(key=lambda codec: codec.parameters.get("packetization-mode") == "0")
    codecs = {codec.payload_type: _with_feedback(media.kind, codec, transport_cc) for codec in answered}
    return codecs | {
        # RFC 4588, 8.3: `rtx-time` says how long the sender keeps packets, so a receiver has none to answer.
        pt: replace(media.codecs[pt], parameters={"apt": str(apt)}, feedback=())
        for pt, apt in retransmissions(media, codecs).items()
    }


def _with_feedback(kind: str, codec: Codec, transport_cc: bool) -> Codec:
    """RFC 4585, 4.2: what is answered is a part of what is offered."""
    usable = set(codec.feedback)
    if not transport_cc:
        usable.discard(TRANSPORT_CC)
    feedback = tuple(value for value in FEEDBACK[kind] if value in usable)
    hint = START_HINT if kind == "video" and TRANSPORT_CC in feedback else {}
    return replace(codec, feedback=feedback, parameters=codec.parameters | hint)


def offered_names(media: MediaDescription) -> str:
    """The codecs an offer has, short enough for an error message."""
    names = dict.fromkeys(codec.name for codec in media.codecs.values() if codec.name.upper() not in _HELPERS)
    return ", ".join(name[:_MAX_NAME_CHARACTERS] for name in list(names)[:_MAX_NAMES]) or "no codec"


def is_retransmission(codec: Codec) -> bool:
    """Tell whether it is no codec but a format for packets of another one (RFC 4588)."""
    return codec.name.lower() == "rtx"


def retransmissions(
    media: MediaDescription, accepted: Iterable[PayloadType]
) -> dict[PayloadType, PayloadType]:
    """The rtx payload types of a media description, each with the one of `accepted` it repeats."""
    by_text = {str(pt): pt for pt in accepted}
    return {
        codec.payload_type: apt
        for codec in media.codecs.values()
        if is_retransmission(codec)
        # RFC 4588, 8.3: `apt` names the payload type it repeats, and the clock rate is the one of that.
        and (apt := by_text.get(codec.parameters.get("apt", ""))) is not None
        and codec.clock_rate == media.codecs[apt].clock_rate
    }


def profile_level_id(codec: Codec) -> str | None:
    """RFC 6184, 8.1: the announced H.264 profile and level, six hexadecimal digits in lower case."""
    text = codec.parameters.get("profile-level-id", "")
    return text.lower() if _PROFILE_LEVEL_ID.fullmatch(text) else None


def parameter_sets(codec: Codec) -> Iterator[bytes]:
    """RFC 6184, 8.1: NAL units in base64, separated by commas; what is not base64 is passed over.

    The first few dozen: real offers have two.
    """
    texts = codec.parameters.get("sprop-parameter-sets", "").split(",", _MAX_PARAMETER_SETS)
    for text in texts[:_MAX_PARAMETER_SETS]:
        try:
            nal = base64.b64decode(text, validate=True)
        except ValueError:
            continue
        if nal:
            yield nal
