"""Whatever datagrams come, authentic ones included, and whenever: a session raises nothing, is in a state it
may be in, tells what happened in a legal order, has its deadline ahead, and stays bounded."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import IntEnum
from typing import Any

from pylibsrtp import Error
from tests.network.virtual import Network, make_network
from tests.peers.whip_client import WhipClient, picture, sound

from fuzz.publisher import (
    Publisher,
    assert_bounded,
    assert_told_truly,
    connect,
    read_publisher,
    settle,
    small_buffers,
)
from fuzz.script import Script, block, spoil
from whipway.protocol.rtcp.packets import Goodbye
from whipway.session.events import Connected, Ended
from whipway.session.session import SessionState, Timeouts
from whipway.session.snapshot import describe_session

ELSEWHERE = ("198.51.100.9", 50_000)
MAX_PAYLOAD_BYTES = 1200
MAX_STEPS = 100
MAX_SILENCE = Timeouts().silence

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
    REPEAT = 8
    """A packet once more, as the offer says, or something like it."""
    SERIES = 9
    """Many packets in a row, some of which are lost."""
    HUSH = 10
    """The client says nothing any more, for some seconds."""
    RESTART = 11
    """The client restarts ICE, from its address or another, and perhaps does not make use of it."""


class Repeat(IntEnum):
    """What is repeated."""

    SENT = 0
    SHORT = 1
    """A retransmission without a whole number, or without anything."""
    FOREIGN = 2
    """Of a source that nobody knows."""
    ANY = 3
    """Some number, perhaps never sent."""


def prepare(connected: bool, publisher: Publisher) -> tuple[Network, list[bytes]]:
    """A session, and real datagrams for it."""
    if not connected:
        network = make_network(publisher)
        return network, [network.client.stun()]
    network = connect(publisher)
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
            inject(network, protect(client, data, is_rtcp=kind is Kind.RTCP))
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
        case (Kind.REPEAT, how, number) if client.srtp is not None:
            repeat(client, how, number)
            network.run(0.05)
        case (Kind.SERIES, kind, count, pattern) if client.srtp is not None:
            with suppress(Error):
                send_series(network, kind, count, pattern)
        case (Kind.RESTART, elsewhere, is_taken):
            restart(network, elsewhere, is_taken)
        case (Kind.HUSH, seconds):
            client._next_check = None
            network.run(seconds)


def inject(network: Network, datagrams: list[bytes]) -> None:
    """Hand the session all of them."""
    for data in datagrams:
        network.inject(data)


def restart(network: Network, elsewhere: bool, is_taken: bool) -> None:
    """Restart ICE, and check with the new credentials or not."""
    client = network.client
    client.next_address = ELSEWHERE if elsewhere else None
    update = network.session.ice.update(client.restart(), ["*"])
    if is_taken:
        client.take_restart(update.fragment, network.now)
        network.run(0.1)


def repeat(client: WhipClient, how: Repeat, number: int) -> None:
    """Send something that repeats a packet of video, or looks like it."""
    video = client.sources["video"]
    sent = [sequence for ssrc, sequence in client._sent.packets if ssrc == video.ssrc]
    if how is Repeat.SENT and sent:
        client.repeat("video", sent[number % len(sent)])
    elif video.rtx:
        payload = bytes(number % 2) if how is Repeat.SHORT else number.to_bytes(2, "big") + b"\x41\x88"
        foreign = {"ssrc": number} if how is Repeat.FOREIGN else {}
        client.send_rtx(payload, padding=4 * (not payload), **foreign)


def send_series(network: Network, kind: str, count: int, pattern: int) -> None:
    """Packets at the pace of a fast video; `pattern` has a bit for each of eight in turn that is lost."""
    for index in range(count):
        network.client.send(kind, b"\x41\x88" + bytes(20), network.now, marker=True)
        if pattern >> index % 8 & 1:
            network.client.datagrams_to_send()
        network.run(1 / 500)


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
    assert len(session.ice.ufrags) <= 2
    if session.state is SessionState.LIVE:
        settle(network)
        assert (session.silent_for(network.now) or 0.0) <= MAX_SILENCE
    describe_session(session, network.now)


def run(connected: bool, steps: list[Step], publisher: Publisher | None = None) -> Network:
    """Do all of it, checking after every step."""
    with small_buffers():
        network, real = prepare(connected, publisher or Publisher())
        for step in steps:
            apply(network, real, step)
            assert_legal(network)
            assert_bounded(network)
    return network


def target(data: bytes) -> bool:
    """Whether the session is connected already, what is offered, and a list of steps."""
    script = Script(data)
    connected = script.choose(2) == 1
    publisher = read_publisher(script)
    steps: list[Step] = []
    while script and len(steps) < MAX_STEPS:
        steps.append(_read_step(script))
    network = run(connected, steps, publisher)
    if not any(step[0] in (Kind.RTP, Kind.MUTATED) for step in steps):
        assert_told_truly(network)
    network.session.close()
    network.drain()
    assert_legal(network)
    return network.session.connected_at is not None


def _read_step(script: Script) -> Step:
    kind = Kind(script.choose(len(Kind)))
    return kind, *_READERS[kind](script)


def _track(script: Script) -> str:
    return ("audio", "video")[script.choose(2)]


_READERS: dict[Kind, Callable[[Script], Iterable[Any]]] = {
    # A tuple is read from left to right, which is the order in the script.
    Kind.RAW: lambda script: (script.choose(2) == 1, script.block())[::-1],
    Kind.MUTATED: lambda script: (script.number(), script.take(5)),
    Kind.RTP: lambda script: (script.block(),),
    Kind.RTCP: lambda script: (script.block(),),
    Kind.WAIT: lambda script: (script.number() / 64,),
    Kind.LOSE: lambda script: (_track(script), script.number(2)),
    Kind.PICTURE: lambda script: (script.number(), script.choose(2) == 1),
    Kind.SOUND: lambda script: (script.number(),),
    Kind.REPEAT: lambda script: (Repeat(script.choose(len(Repeat))), script.number(2)),
    Kind.SERIES: lambda script: (_track(script), script.number() % 128, script.number()),
    Kind.HUSH: lambda script: (script.number() / 32,),
    Kind.RESTART: lambda script: (script.choose(2) == 1, script.choose(2) == 1),
}


def seeds() -> list[bytes]:
    picture = bytes((Kind.PICTURE, 1, 1, Kind.PICTURE, 2, 0))
    sounds = bytes((Kind.SOUND, 1, Kind.SOUND, 2))
    lost = bytes((Kind.LOSE, 1, 0, 1))
    rtp = bytes((Kind.RTP,)) + block(b"\x80\x66\x00\x09\x00\x00\x00\x01ssrc\x7c\x85\x88")
    rtcp = bytes((Kind.RTCP,)) + block(Goodbye((1, 2)).serialize())
    raw = bytes((Kind.RAW, 0)) + block(b"\x16\xfe\xfd" + bytes(10))
    mutated = bytes((Kind.MUTATED, 0, 0, 3, 7, 0, 0, Kind.MUTATED, 1, 0, 20, 1, 0, 0))
    wait, hush = bytes((Kind.WAIT, 40)), bytes((Kind.HUSH, 180))
    series = bytes((Kind.SERIES, 1, 90, 0x5A))
    restarts = [bytes((Kind.RESTART, elsewhere, 1)) for elsewhere in (0, 1)] + [bytes((Kind.RESTART, 1, 0))]
    repeats = b"".join(bytes((Kind.REPEAT, how, 0, 7)) for how in Repeat) + bytes((Kind.REPEAT, 1, 0, 0))
    return [
        b"\x01\x00" + picture + sounds,
        b"\x01\x35" + picture + lost + picture + wait + picture + sounds + repeats,
        b"\x01\x1a" + picture + series + wait + lost + picture + repeats + series + picture + hush,
        b"\x01\x05" + picture + series + repeats + bytes((Kind.LOSE, 1, 0x20, 0)) + series + picture,
        b"\x01\x01" + (picture + sounds).join(restarts) + wait + picture + hush + restarts[0],
        b"\x01\x00" + rtp + rtcp + raw + mutated + wait,
        b"\x00\x00" + raw + mutated + wait,
    ]
