"""Whatever comes, and whenever: a session raises nothing, stays bounded, and is in a state it may be in."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Error
from tests.network.virtual import Network, make_network
from tests.peers.whip_client import WhipClient, picture, sound

from whipway.protocol.rtp.nack import REORDER_WAIT
from whipway.protocol.rtp.packet import serialize_packet
from whipway.protocol.rtp.reorder import CAPACITY_PACKETS
from whipway.session.events import Connected, Ended
from whipway.session.session import SessionState
from whipway.session.snapshot import describe_session

ELSEWHERE = ("198.51.100.9", 50_000)

raw = st.tuples(st.just("raw"), st.binary(max_size=200), st.booleans())
# Which of the real ones, where to spoil it, by what, where to cut it.
mutated = st.tuples(
    st.just("mutated"), st.integers(0, 99), st.integers(0, 1500), st.integers(0, 255), st.integers(0, 1500)
)
rtp_header = st.tuples(
    st.sampled_from([b"\x80", b"\x90", b"\xa0", b"\x81"]),
    st.sampled_from([b"\x6f", b"\xef", b"\x66", b"\xe6", b"\x7f"]),
    st.binary(min_size=2, max_size=2),
    st.binary(min_size=4, max_size=4),
    st.sampled_from([b"ssrc", b"SSRC", b""]),
).map(b"".join)
nal_begin = st.sampled_from([b"\x7c\x85", b"\x7c\x05", b"\x7c\x45", b"\x78", b"\x65\x88", b"\x41\x9a"])
rtp_payload = st.binary(max_size=60) | st.tuples(nal_begin, st.binary()).map(b"".join)
rtp = st.tuples(st.just("rtp"), st.tuples(rtp_header, rtp_payload).map(b"".join))
rtcp_header = st.tuples(st.integers(0x80, 0xBF), st.integers(200, 207), st.just(0), st.integers(0, 8)).map(
    bytes
)
rtcp = st.tuples(st.just("rtcp"), st.tuples(rtcp_header, st.binary(min_size=4, max_size=60)).map(b"".join))
wait = st.tuples(st.just("wait"), st.floats(0.0, 3.0))
steps = st.lists(st.one_of(raw, mutated, rtp, rtcp, wait), max_size=25)


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


def protect(client: WhipClient, kind: str, data: bytes) -> list[bytes]:
    if client.srtp is None:
        return [data]
    try:
        (client.send_rtp if kind == "rtp" else client.send_rtcp)(data)
    except Error:
        return []  # libsrtp does not send everything.
    return [data for data, _ in client.datagrams_to_send()]


def apply(network: Network, real: list[bytes], step: tuple) -> None:
    match step:
        case ("raw", data, elsewhere):
            network.inject(data, ELSEWHERE if elsewhere else None)
        case ("mutated", index, position, value, end):
            data = bytearray(real[index % len(real)])
            data[position % len(data)] ^= value
            network.inject(bytes(data[: end or None]))
        case (("rtp" | "rtcp") as kind, data):
            for protected in protect(network.client, kind, data):
                network.inject(protected)
        case ("wait", seconds):
            network.run(seconds)


def assert_legal(network: Network) -> None:
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
    receiver = network.session.receiver
    assert len(receiver._routes) <= len(receiver.tracks)
    assert receiver._gone <= receiver._routes.keys()
    for track in receiver.tracks:
        assert len(track._reorder._waiting) <= CAPACITY_PACKETS


@settings(deadline=None, max_examples=120)
@given(connected=st.booleans(), script=steps)
def test_any_sequence_of_datagrams(connected, script):
    network, real = prepare(connected)
    for step in script:
        apply(network, real, step)
        assert_legal(network)
    assert_bounded(network)
    network.session.close()
    network.drain()
    assert_legal(network)


def test_a_flood_of_everything_that_is_authentic():
    """Gaps of every size, timestamps and SSRCs at random, all in one second: nothing grows with it."""
    network, _ = prepare(connected=True)
    client, random = network.client, Random(1)
    for index in range(4000):
        source = client.sources[random.choice(["audio", "video"])]
        source.sequence += random.choice([0, 0, 0, 1, 7, 600, 5000])
        packet = client.packet(source.mid, random.randbytes(random.randrange(80)), 0.0)
        ssrc = random.choice([source.ssrc, random.getrandbits(5)])
        packet = packet._replace(ssrc=ssrc, timestamp=random.getrandbits(32))
        for data in protect(client, "rtp", serialize_packet(packet)):
            network.inject(data)
        if index % 50 == 0:
            network.run(0.01)
    assert_bounded(network)
    assert network.session.state is SessionState.LIVE
    network.run(REORDER_WAIT)
    assert network.session.receiver.deadline() is None
