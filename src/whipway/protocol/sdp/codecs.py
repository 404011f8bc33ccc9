"""Which codecs are taken from an offer and what is answered: H.264 (RFC 6184, 8) and Opus (RFC 7587, 7).

Every H.264 profile is taken: senders announce one and send another, so the parameter sets in the stream
count. Left out on purpose: interleaved H.264 (packetization-mode 2), redundant audio, error correction.
The tables at the top are what a change of mind has to touch; `answer` does the rest of an answer.
"""

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from whipway.protocol.sdp.description import Codec, MediaDescription, PayloadType

ANSWER_RTX = False
"""Accept the offered retransmission payload types (RFC 4588); of use only together with sending NACKs."""
FEEDBACK: dict[str, tuple[str, ...]] = {"audio": (), "video": ("nack pli", "ccm fir")}
"""RTCP feedback this server sends; the answer names what the offer has of it."""
OPUS_ANSWER = {"minptime": "10", "useinbandfec": "1", "stereo": "1"}
"""RFC 7587, 6.1: `stereo` is what a receiver prefers to get, `sprop-stereo` what a sender is likely to send;
this side only receives, so it says the first alone. Without it browsers send mono."""
NEEDED = {"audio": "opus/48000/2", "video": "H264"}
"""The kinds of media taken, with the codec each must offer."""

# Never worth naming when a codec is missing: they carry other codecs, or silence and key presses.
_HELPERS = frozenset({"RTX", "RED", "ULPFEC", "FLEXFEC-03", "TELEPHONE-EVENT", "CN"})
_MAX_NAMES = 8
_MAX_NAME_CHARACTERS = 16


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


def answer_codecs(media: MediaDescription) -> dict[PayloadType, Codec]:
    """The codecs taken, the preferred first; empty if there are none.

    H.264 in fragments (mode 1) goes before single NAL units (mode 0), which split large pictures into more
    slices; the rest stays in the offer's order.
    """
    answered = [codec for codec in map(_ANSWER[media.kind], media.codecs.values()) if codec]
    answered.sort(key=lambda codec: codec.parameters.get("packetization-mode") == "0")
    feedback = FEEDBACK[media.kind]
    codecs = {
        codec.payload_type: replace(
            codec, feedback=tuple(value for value in feedback if value in codec.feedback)
        )
        for codec in answered
    }
    if ANSWER_RTX:
        codecs |= {pt: replace(media.codecs[pt], feedback=()) for pt in retransmissions(media, codecs)}
    return codecs


def offered_names(media: MediaDescription) -> str:
    """The codecs an offer has, short enough for an error message."""
    names = dict.fromkeys(codec.name for codec in media.codecs.values() if codec.name.upper() not in _HELPERS)
    return ", ".join(name[:_MAX_NAME_CHARACTERS] for name in list(names)[:_MAX_NAMES]) or "no codec"


def retransmissions(
    media: MediaDescription, accepted: Iterable[PayloadType]
) -> dict[PayloadType, PayloadType]:
    """RFC 4588, 8.1: `apt` names the payload type that an rtx one repeats."""
    by_text = {str(pt): pt for pt in accepted}
    return {
        codec.payload_type: by_text[apt]
        for codec in media.codecs.values()
        if codec.name.lower() == "rtx" and (apt := codec.parameters.get("apt", "")) in by_text
    }


def parameter_sets(codec: Codec) -> Iterator[bytes]:
    """RFC 6184, 8.1: NAL units in base64, separated by commas; what is not base64 is passed over."""
    for text in codec.parameters.get("sprop-parameter-sets", "").split(","):
        try:
            nal = base64.b64decode(text, validate=True)
        except ValueError:
            continue
        if nal:
            yield nal
