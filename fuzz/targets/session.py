"""Whatever datagrams come, authentic ones included, and whenever: a session raises nothing, is in a state it
may be in, tells what happened in a legal order, and stays bounded."""

from contextlib import suppress
from enum import IntEnum
from typing import Any

from pylibsrtp import Error
from tests.network.virtual import Network, make_network
from tests.peers.whip_client import WhipClient, picture, sound

from fuzz.script import Script, block, spoil
from whipway.protocol.rtcp.packets import Goodbye
from whipway.protocol.rtp.reorder import CAPACITY_PACKETS
from whipway.session.events import Connected, Ended
from whipway.session.session import SessionState
from whipway.session.snapshot import describe_session

ELSEWHERE = ("198.51.100.9", 50_000)
MAX_PAYLOAD_BYTES = 1200
MAX_STEPS = 100

Step = tuple[Any, ...]
"""A `Kind`, and what belongs to it; see `apply`."""


class Kind(IntEnum):
    """What may happen to a session."""

    RAW = 0
    MUTATED = 1
    """A real datagram, perhaps spoiled."""
    RTP = 2
    RTCP = 3
    """Authentic ones, whatever is in them."""
    WAIT = 4
    LOSE = 5
    PICTURE = 6
    SOUND = 7


def prepare(connected: bool) -> tuple[Network, list[bytes]]:
    """A session, and real datagrams for it."""
    network = make_network()
    if not connected:
        return network, [network.client.stun()]
    network.run(0.5)
    client = network.client
    client.send_picture(picture(1, keyframe=True), 0.0)
    for index in range(5):
        client.send("audio", sound(index), 0.0)
    client.send_reports(0.0)
    client.check(network.now)
    return network, [data for data, _ in client.datagrams_to_send()]


def protect(client: WhipClient, data: bytes, *, is_rtcp: bool = False) -> list[bytes]:
    """The datagrams for one packet: none where the client's libsrtp refuses it."""
    if client.srtp is None:
        return [data]
    with suppress(Error):
        (client.send_rtcp if is_rtcp else client.send_rtp)(data[:MAX_PAYLOAD_BYTES])
    return [data for data, _ in client.datagrams_to_send()]


def apply(network: Network, real: list[bytes], step: Step) -> None:
    """Do one step."""
    client = network.client
    match step:
        case (Kind.RAW, data, elsewhere):
            network.inject(data, ELSEWHERE if elsewhere else None)
        case (Kind.MUTATED, index, how):
            network.inject(spoil(real[index % len(real)], Script(how)))
        case ((Kind.RTP | Kind.RTCP) as kind, data):
            for protected in protect(client, data, is_rtcp=kind is Kind.RTCP):
                network.inject(protected)
        case (Kind.WAIT, seconds):
            network.run(seconds)
        case (Kind.LOSE, kind, count):
            client.sources[kind].sequence += count
        case (Kind.PICTURE, index, keyframe) if client.srtp is not None:
            with suppress(Error):
                client.send_picture(picture(index, keyframe=keyframe), network.now)
            network.run(0.1)
        case (Kind.SOUND, index) if client.srtp is not None:
            with suppress(Error):
                client.send("audio", sound(index), network.now)
            network.run(0.02)


def assert_legal(network: Network) -> None:
    """The session is in a state it may be in, and said what belongs to it."""
    session = network.session
    deadline = session.deadline(network.now)
    assert (session.ended is not None) == (session.state is SessionState.ENDED) == (deadline is None)
    kinds = [type(event) for event in network.events]
    assert kinds.count(Connected) == (session.state is SessionState.LIVE) or session.ended is not None
    assert kinds.count(Ended) == (session.ended is not None)
    assert Ended not in kinds[:-1]
    assert all(count > 0 for count in session.drops().values())
    describe_session(session, network.now)


def assert_bounded(network: Network) -> None:
    """What the session keeps does not grow with what it got."""
    receiver = network.session.receiver
    assert len(receiver._routes) <= len(receiver.tracks)
    assert receiver._gone <= receiver._routes.keys()
    for track in receiver.tracks:
        assert len(track._reorder._waiting) <= CAPACITY_PACKETS


def run(connected: bool, steps: list[Step]) -> Network:
    """Do all of it, checking after every step."""
    network, real = prepare(connected)
    for step in steps:
        apply(network, real, step)
        assert_legal(network)
    assert_bounded(network)
    return network


def target(data: bytes) -> bool:
    """Whether the session is connected already, and a list of steps."""
    script = Script(data)
    connected = script.choose(2) == 1
    steps: list[Step] = []
    while script and len(steps) < MAX_STEPS:
        steps.append(_read_step(script))
    network = run(connected, steps)
    is_live = network.session.state is SessionState.LIVE
    network.session.close()
    network.drain()
    assert_legal(network)
    return is_live


def _read_step(script: Script) -> Step:
    kind = Kind(script.choose(len(Kind)))
    match kind:
        case Kind.RAW:
            elsewhere = script.choose(2) == 1
            return kind, script.block(), elsewhere
        case Kind.MUTATED:
            return kind, script.number(), script.take(5)
        case Kind.RTP | Kind.RTCP:
            return kind, script.block()
        case Kind.WAIT:
            return kind, script.number() / 64
        case Kind.LOSE:
            return kind, ("audio", "video")[script.choose(2)], script.number(2)
        case Kind.PICTURE:
            index = script.number()
            return kind, index, script.choose(2) == 1
        case Kind.SOUND:
            return kind, script.number()


def seeds() -> list[bytes]:
    picture = bytes((Kind.PICTURE, 1, 1, Kind.PICTURE, 2, 0))
    sounds = bytes((Kind.SOUND, 1, Kind.SOUND, 2))
    lost = bytes((Kind.LOSE, 1, 0, 1))
    rtp = bytes((Kind.RTP,)) + block(b"\x80\x66\x00\x09\x00\x00\x00\x01ssrc\x7c\x85\x88")
    rtcp = bytes((Kind.RTCP,)) + block(Goodbye((1, 2)).serialize())
    raw = bytes((Kind.RAW, 0)) + block(b"\x16\xfe\xfd" + bytes(10))
    mutated = bytes((Kind.MUTATED, 0, 0, 3, 7, 0, 0, Kind.MUTATED, 1, 0, 20, 1, 0, 0))
    wait = bytes((Kind.WAIT, 40))
    return [
        b"\x01" + picture + sounds,
        b"\x01" + picture + lost + picture + wait + picture + sounds,
        b"\x01" + rtp + rtcp + raw + mutated + wait,
        b"\x00" + raw + mutated + wait,
    ]
