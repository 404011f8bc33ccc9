"""Nothing small costs much: the dearest RTCP datagrams and offers that a peer can think of, by the clock.

The bounds leave room for slow machines, and none for a place where two counts of the peer multiply.
"""

from struct import pack
from time import process_time

import pytest

from whipway.failures import ParseError
from whipway.protocol.ice import IceAgent
from whipway.protocol.rtcp.extended import DelayReport, LastReceiverReport
from whipway.protocol.rtcp.packets import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
)
from whipway.protocol.rtcp.transport import GenericNack
from whipway.protocol.sdp.answer import build_answer, negotiate
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.protocol.sdp.description import Mid, PayloadType, Ssrc, parse_description
from whipway.protocol.sdp.extensions import RID_URI
from whipway.protocol.sdp.grammar import MAX_BODY_BYTES, MAX_LINES
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.ice_session import IceSession
from whipway.session.receiver import Receiver

MAX_DATAGRAM_BYTES = 1400
MAX_DATAGRAM_SECONDS = 0.0015
MAX_OFFER_SECONDS = 0.3
OURS, THEIRS = 77, 4711
BLOCK = ReportBlock(1, 2, 3, 4, 5)
DELAY = LastReceiverReport(OURS, 1, 0)


def run_of_losses() -> bytes:
    """Transport-wide feedback of 24 octets on 2048 packets, none of which came."""
    return pack("!BBHIIHHIHH", 0x8F, 205, 5, 1, 2, 0, 2048, 0, 2047, 1)


DATAGRAMS = {
    "runs of losses": run_of_losses(),
    "NACK": GenericNack(1, 2, tuple(range(0, 512, 2))).serialize(),
    "report blocks": SenderReport(THEIRS, 1, 2, 3, 4, (BLOCK,) * 23).serialize(),
    "sender reports": SenderReport(THEIRS, 1, 2, 3, 4).serialize(),
    "receiver reports": ReceiverReport(1, (BLOCK,)).serialize(),
    "names": SourceDescription(((1, ""),) * 31).serialize(),
    "items": pack("!BBHI", 0x81, 202, 346, 1) + b"\x01\x00" * 688 + bytes(4),
    "goodbyes": Goodbye(()).serialize(),
    "sources": Goodbye(tuple(range(31))).serialize(),
    "delays": DelayReport(THEIRS, (DELAY,) * 2).serialize(),
    "blocks": pack("!BBHI", 0x80, 207, 341, THEIRS) + pack("!BBH", 9, 0, 0) * 340,
}


def cost_of_datagram(data: bytes) -> float:
    description = TrackDescription(
        mid=Mid("0"),
        kind="video",
        payload_types=(PayloadType(102),),
        clock_rate=90_000,
        ssrcs=(Ssrc(THEIRS),),
        rtx={},
        mid_extension_id=None,
        sprop_parameter_sets=(),
        stereo=False,
    )
    receiver = Receiver([description], OURS)
    begin = process_time()
    try:
        receiver.receive_rtcp(data, 1.0)
    except ParseError:
        pass
    return process_time() - begin


@pytest.mark.parametrize("packet", DATAGRAMS.values(), ids=DATAGRAMS)
def test_a_datagram_of_rtcp(packet):
    most = MAX_DATAGRAM_BYTES // len(packet)
    # As many as are taken, and one datagram that is refused for having more.
    for count in {1, min(most, 31), most}:
        assert min(cost_of_datagram(packet * count) for _ in range(5)) < MAX_DATAGRAM_SECONDS


SESSION = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\n"
FIXED = (
    "a=mid:0\na=sendonly\na=rtcp-mux\na=setup:actpass\na=ice-ufrag:abcd\na=ice-pwd:"
    + "p" * 24
    + "\na=fingerprint:sha-256 "
    + ":".join(["AB"] * 32)
    + "\na=rtpmap:102 H264/90000\n"
)
ALL_TYPES = " ".join(map(str, range(128)))
ALL_MAPS = "".join(f"a=rtpmap:{number} H264/90000\n" for number in range(128))
OTHER_MEDIA = "".join(f"m=video 0 RTP/AVP 0\na=bundle-only\na=mid:other{index}\n" for index in range(31))


def offer(*, session: str = "", formats: str = "102", lines: str = "", rest: str = "") -> str:
    video = f"m=video 9 UDP/TLS/RTP/SAVPF {formats}\n"
    return SESSION + session + video + FIXED + lines + rest


def filled(line: str, count: int = 1700) -> str:
    """So many lines, unlike each other where `line` has a place for a number."""
    return "".join(line.format(index, index % 128) + "\n" for index in range(count))


OFFERS = {
    "formats and feedback": offer(formats=" ".join(["102"] * 9000), lines=filled("a=rtcp-fb:* nack", 1500)),
    "payload types and feedback": offer(
        formats=ALL_TYPES, lines=ALL_MAPS + filled("a=rtcp-fb:* x{0}"), rest=""
    ),
    "feedback": offer(formats=ALL_TYPES, lines=ALL_MAPS + filled("a=rtcp-fb:{1} x{0}")),
    "parameters": offer(lines="a=fmtp:102 " + ";".join(map(str, range(11_000))) + "\n"),
    "parameter sets": offer(lines="a=fmtp:102 sprop-parameter-sets=" + "A," * 32_000 + "\n"),
    "streams": offer(lines=filled("a=ssrc:{0} cname:x")),
    "groups of streams": offer(lines=filled("a=ssrc-group:FID {0} 1{0} 2{0} 3")),
    "a large group of streams": offer(lines=f"a=ssrc-group:FID {' '.join(map(str, range(11_000)))}\n"),
    "layers": offer(
        session=f"a=extmap:10 {RID_URI}\n",
        lines=filled("a=rid:{0} send pt=102", 1500)
        + f"a=simulcast:send {';'.join(f'{number},~{number}' for number in range(1500))}\n",
    ),
    "broken layers": offer(lines=filled("a=rid:{0} send pt=") + f"a=simulcast:send {'h;' * 9000}\n"),
    "extensions": offer(session=filled("a=extmap:{0}1 u:{0}", 400) * 4, rest=OTHER_MEDIA),
    "tags": offer(session=f"a=group:BUNDLE {' '.join(map(str, range(11_000)))}\n", rest=OTHER_MEDIA),
    "candidates": offer(lines=filled("a=candidate:{0} 1 udp 1 a 9 typ host")),
    "fingerprints": offer(lines=filled("a=fingerprint:sha-256 " + ":".join(["AB"] * 32), 500)),
}


def cost_of_offer(body: str) -> float:
    begin = process_time()
    try:
        negotiation = negotiate(parse_description(body))
        build_answer(
            negotiation,
            ufrag="ufrag",
            pwd="p" * 24,
            fingerprint=":".join(["AB"] * 32),
            candidates=[HostCandidate("192.0.2.1", 5000)],
            session_id=1,
        )
    except ParseError:
        pass
    return process_time() - begin


def test_a_fragment():
    """The dearest line is a candidate: all that a fragment may hold."""
    negotiation = negotiate(parse_description(offer()))
    agent = IceAgent(ufrag="here", pwd="p" * 24, remote_ufrag=negotiation.remote_ufrag)
    session = IceSession(agent, negotiation, [HostCandidate("192.0.2.1", 5000)], bytes)
    body = "m=video 9 RTP/AVP 0\na=mid:0\n" + filled("a=candidate:{0} 1 udp 1 1.1.1.1 9 typ host", 1500)
    assert len(body) <= MAX_BODY_BYTES
    begin = process_time()
    session.update(body, ["*"])
    assert process_time() - begin < MAX_OFFER_SECONDS
    assert session.candidates + session.candidates_discarded == 1500


@pytest.mark.parametrize("body", OFFERS.values(), ids=OFFERS)
def test_an_offer(body):
    assert len(body) <= MAX_BODY_BYTES and body.count("\n") < MAX_LINES
    assert min(cost_of_offer(body) for _ in range(2)) < MAX_OFFER_SECONDS
