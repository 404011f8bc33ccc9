"""The inputs of the WHIP routes as `/openapi.json` describes them: parameters, bodies, and examples of both.

Patterns are those of ECMA 262, as JSON Schema has it. Where the server takes more than a pattern can say, the
pattern is what is portable: nothing it lets through is refused. Of metadata the outermost object is
described; what holds for those inside of it is said in words.
"""

from typing import Any

from whipway.protocol.rtmp.url import MAX_NAME_CHARACTERS, MAX_URL_CHARACTERS
from whipway.web.control_bodies import AUTO, MAX_VIDEO_BITRATE, MIN_VIDEO_BITRATE, POLICIES
from whipway.web.metadata_body import HANDLERS, MAX_DEPTH
from whipway.web.publish_query import AUDIO_CHOICES, FILLER_CHOICES, MAX_AUDIO_BITRATE, MIN_AUDIO_BITRATE

Described = dict[str, Any]

OFFER_FORMAT = "sdp-offer"
FRAGMENT_FORMAT = "sdp-fragment"
EXAMPLE_OFFER = """\
v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:\
2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F
a=setup:actpass
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=sendonly
a=rtcp-mux
a=rtpmap:96 H264/90000
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
""".replace("\n", "\r\n")
"""Small, and whole: this server answers it."""
EXAMPLE_FRAGMENT = """\
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=candidate:1 1 udp 2130706431 198.51.100.7 39132 typ host
a=end-of-candidates
""".replace("\n", "\r\n")

EXAMPLE_METADATA = {"handlerName": "onCuePoint", "payload": {"name": "goal", "score": [1, 0], "live": True}}
EXAMPLE_INPUT = {"mid": "1"}
EXAMPLE_QUALITY = {"max_video_bitrate": 800_000, "layer": "auto", "policy": "follow-slowest"}

SESSION_ID_PATTERN = "[A-Za-z0-9_-]+"

_LABEL = "[A-Za-z0-9_-]{1,63}"
_HOST_NAME = rf"(?![^/:]{{254}}){_LABEL}(\.{_LABEL}){{0,7}}"
_H16 = "[0-9A-Fa-f]{1,4}"
_IPV6_ADDRESS = rf"\[(({_H16}:){{7}}{_H16}|({_H16}:){{1,3}}(:{_H16}){{1,4}}|::({_H16})?)\]"
"""Not every way to write one."""
_USER_INFO = "[A-Za-z0-9._~!$&'()*,;=-]{1,64}"
_CREDENTIALS = f"{_USER_INFO}(:{_USER_INFO})?@(?![^?]*@)"
"""A second @ is part of them, behind a / that should have been written as %2F."""
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# RFC 3986, section 3.3 and 3.4: what stands in a path, and the query behind it.
_PCHAR = "A-Za-z0-9._~!$&'()*+,;=:@%-"
_APPLICATION = f"/[{_PCHAR}][{_PCHAR}/?]*"

STREAM_NAME: Described = {
    "name": "stream_name",
    "in": "query",
    "required": True,
    "description": "Name of the stream at the RTMP server, the publisher's arguments behind a ? included. May"
    " stand here without percent-encoding as far as a URL allows; a + is a +.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME_CHARACTERS,
        "pattern": r"^/*(?![/?])[\p{L}\p{M}\p{N}\p{P}\p{S}]+$",
    },
    "examples": {
        "plain": {"value": "one"},
        "with arguments": {"value": "one?passcode=abc"},
    },
}
STREAM_URL: Described = {
    "name": "stream_url",
    "in": "query",
    "required": True,
    "description": "The RTMP server and its application, perhaps with user and password, which no answer"
    " repeats; a / in these is %2F. May stand here without percent-encoding.",
    "schema": {
        "type": "string",
        "maxLength": MAX_URL_CHARACTERS,
        "pattern": f"^rtmps?://({_CREDENTIALS})?({_HOST_NAME}|{_IPV6_ADDRESS})(:{_PORT})?{_APPLICATION}$",
    },
    "examples": {
        "RTMP": {"value": "rtmp://rtmp.example.com/live"},
        "RTMPS, another port": {"value": "rtmps://me:secret@rtmp.example.com:1936/live"},
    },
}
AUDIO: Described = {
    "name": "audio",
    "in": "query",
    "description": "The sound that the RTMP server gets: AAC; Opus as it came (Enhanced RTMP); or auto: Opus"
    " where it says that it takes it, else AAC. Without it: what the setting `sink.audio` says.",
    "schema": {"type": "string", "enum": [*AUDIO_CHOICES]},
    "example": "auto",
}
AUDIO_BITRATE: Described = {
    "name": "audio_bitrate",
    "in": "query",
    "description": "Of the AAC that is sent to the RTMP server, in bit/s. Without it: what the setting"
    " `sink.audio_bitrate` says.",
    "schema": {
        "type": "integer",
        "minimum": MIN_AUDIO_BITRATE,
        "maximum": MAX_AUDIO_BITRATE,
    },
    "example": 96_000,
}
FILLER: Described = {
    "name": "filler",
    "in": "query",
    "description": "What the RTMP server gets while the publisher sends no picture: none, or freeze: the last"
    " key frame, once a second. Without it: what the setting `sink.filler` says.",
    "schema": {"type": "string", "enum": [*FILLER_CHOICES]},
    "example": "freeze",
}
SESSION_ID: Described = {
    "name": "session_id",
    "in": "path",
    "required": True,
    "description": "The last part of the session's URL, which Location told.",
    "schema": {"type": "string", "pattern": f"^{SESSION_ID_PATTERN}$"},
    "example": "fH7_1zJ8m0bRrQX5cTn2-eKpUuW3yLdA",
}
SINK_ID: Described = {
    "name": "sink_id",
    "in": "path",
    "required": True,
    "description": "The `id` of the sink. That of the WHIP request is 1.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9]{1,16}$"},
    "example": "1",
}
MID: Described = {
    "name": "mid",
    "in": "path",
    "required": True,
    "description": "The mid of the input, as in the offer.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9]{1,64}$"},
    "example": "1",
}
IF_MATCH: Described = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The entity tag of the ICE session, or * for whichever it is, as to restart ICE.",
    "schema": {"type": "string", "pattern": r'^(\*|"[!#-~]{1,64}")$'},
    "examples": {"tag": {"value": '"38sdf4fdsf54"'}, "any": {"value": "*"}},
}

LAST_EVENT_ID: Described = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was seen, as a browser's EventSource sends it.",
    "schema": {"type": "string"},
    "example": "end",
}


def body(description: str, format_: str, example: str, *media_types: str) -> Described:
    """A request body that is taken under each of these media types."""
    schema = {"type": "string", "format": format_}
    content = {media_type: {"schema": schema, "example": example} for media_type in media_types}
    return {"required": True, "description": description, "content": content}


METADATA_BODY: Described = {
    "required": True,
    "description": "The name that the RTMP message begins with, and the object behind it",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "handlerName": {"type": "string", "enum": [*HANDLERS]},
                    "payload": {
                        "description": f"Objects and arrays in each other, this one included, at most"
                        f" {MAX_DEPTH} deep. Members have names, numbers are those of a double.",
                        "type": "object",
                        "propertyNames": {"minLength": 1},
                    },
                },
                "required": ["handlerName", "payload"],
            },
            "example": EXAMPLE_METADATA,
        }
    },
}

INPUT_BODY: Described = {
    "required": True,
    "description": "Which input is to be on air",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"mid": {"description": "As in the offer", "type": "string"}},
                "required": ["mid"],
                "additionalProperties": False,
            },
            "example": EXAMPLE_INPUT,
        }
    },
}

QUALITY_BODY: Described = {
    "required": True,
    "description": "What is asked for; what does not stand here stays as it is",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "max_video_bitrate": {
                        "description": "In bit/s; null lifts the limit",
                        "type": ["integer", "null"],
                        "minimum": MIN_VIDEO_BITRATE,
                        "maximum": MAX_VIDEO_BITRATE,
                    },
                    "layer": {
                        "description": f"The rid of a layer of the input on air, or {AUTO}: the largest that"
                        " comes and fits the limit",
                        "type": "string",
                    },
                    "policy": {
                        "description": "Whose pace is followed by itself: that of the slowest sink, of the"
                        " first one, or nobody's",
                        "type": "string",
                        "enum": [*POLICIES],
                    },
                },
                "additionalProperties": False,
            },
            "example": EXAMPLE_QUALITY,
        }
    },
}
