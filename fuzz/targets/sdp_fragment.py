"""Any body is a fragment of trickle ICE or raises ParseError(SDP_MALFORMED); no mid is in it twice, all text
is printable, and candidates that are written out read back the same."""

from whipway.failures import DropReason, ParseError
from whipway.protocol.sdp.description import MAX_MEDIA_DESCRIPTIONS
from whipway.protocol.sdp.fragment import parse_fragment
from whipway.protocol.sdp.grammar import MAX_LINES, parse_candidate


def target(data: bytes) -> bool:
    try:
        fragment = parse_fragment(data)
    except ParseError as error:
        assert error.reason is DropReason.SDP_MALFORMED
        return False
    assert len({media.mid for media in fragment.media}) == len(fragment.media) <= MAX_MEDIA_DESCRIPTIONS
    candidates = [candidate for media in fragment.media for candidate in media.candidates]
    assert len(candidates) <= MAX_LINES
    assert all(parse_candidate(candidate.serialize()) == candidate for candidate in candidates)
    texts = [fragment.ice_ufrag or "", fragment.ice_pwd or "", *fragment.ice_options, *fragment.bundle]
    assert all(text.isprintable() and len(text) <= 65_536 for text in texts)
    return True


CREDENTIALS = b"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
SECTION = (
    b"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    b"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw\r\n"
    b"a=candidate:2 1 UDP 1 2001:db8::1 9 typ srflx raddr :: rport 9\r\na=end-of-candidates\r\n"
)


def seeds() -> list[bytes]:
    second = SECTION.replace(b"audio", b"video").replace(b"mid:0", b"mid:1")
    return [
        CREDENTIALS + b"a=group:BUNDLE 0 1\r\n" + SECTION,
        CREDENTIALS + SECTION + CREDENTIALS + second + CREDENTIALS,
        b"a=ice-options:trickle ice2\r\n" + CREDENTIALS.replace(b"EsAw", b"ysXw"),
        b"a=end-of-candidates\n" + (SECTION + second).replace(b"\r\n", b"\n"),
    ]
