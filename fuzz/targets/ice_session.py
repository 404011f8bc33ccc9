"""Whatever fragments come, with whatever entity tags: an ICE session takes each, or raises ParseError or
StaleTag and is what it was; a restart, and nothing else, makes a new tag, a new user name and a fragment that
can be read; of candidates it keeps numbers alone."""

from random import Random

from tests.peers.whip_client import WhipClient

from fuzz.script import Script, block
from whipway.failures import DropReason, ParseError
from whipway.protocol.ice import IceAgent
from whipway.protocol.sdp.answer import negotiate
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.protocol.sdp.description import parse_description
from whipway.protocol.sdp.fragment import parse_fragment
from whipway.protocol.sdp.grammar import MAX_LINES
from whipway.session.ice_session import IceSession, StaleTag

HOSTS = [HostCandidate("192.0.2.1", 5000), HostCandidate("192.0.2.1", 5000, "tcp")]
NEGOTIATION = negotiate(parse_description(WhipClient().offer))
KEY = "the password of this side"
MAX_STEPS = 100


def target(data: bytes) -> bool:
    agent = IceAgent(ufrag="here", pwd=KEY, remote_ufrag="peer")
    session, script = IceSession(agent, NEGOTIATION, HOSTS, Random(1).randbytes), Script(data)
    tags, taken = {session.etag}, 0
    while script and len(tags) + taken < MAX_STEPS:
        if_match = (["*"], [session.etag], [""], sorted(tags))[script.choose(4)]
        taken += _update(session, script.block(), if_match, tags)
    assert len(tags) == session.generation + 1
    return taken > 0


def _update(session: IceSession, fragment: bytes, if_match: list[str], tags: set[str]) -> bool:
    before = _state(session)
    try:
        update = session.update(fragment.decode("latin-1"), if_match)
    except (ParseError, StaleTag) as error:
        assert _state(session) == before and str(error).isprintable()
        assert isinstance(error, StaleTag) or error.reason is DropReason.SDP_MALFORMED
        return False
    etag, ufrags = before[:2]
    assert session.candidates + session.candidates_discarded <= (MAX_STEPS + 1) * MAX_LINES
    if not update.etag:
        assert (session.etag, session.ufrags, update.fragment) == (etag, ufrags, "")
        return True
    assert update.etag == session.etag and session.etag not in tags
    tags.add(update.etag)
    assert session.ufrags == ("here", parse_fragment(update.fragment).ice_ufrag) != ufrags
    return True


def _state(session: IceSession) -> tuple[object, ...]:
    counts = (session.generation, session.candidates, session.candidates_discarded)
    return (session.etag, session.ufrags, *counts)


def seeds() -> list[bytes]:
    client = WhipClient()
    candidates = (
        "1 1 udp 1 192.0.2.7 9 typ host generation 0",
        "2 1 tcp 1 192.0.2.7 9 typ host tcptype active",
        "3 1 udp 1 x.local 9 typ host",
    )
    trickle = block(client.trickle(*candidates).encode())
    restarts = [block(client.restart(*candidates).encode()) for _ in range(3)]
    return [
        b"\x00" + trickle,
        b"\x00" + restarts[0] + b"\x01" + trickle + b"\x02" + trickle,
        b"\x01" + restarts[0] + b"\x03" + restarts[0] + b"\x00" + restarts[1] + b"\x00" + restarts[2],
        b"\x00" + block(b"a=ice-ufrag:peer\n") + b"\x01" + trickle,
    ]
