"""Whatever comes, and whenever: a session raises nothing, stays bounded, and is in a state it may be in."""

from random import Random

from fuzz.publisher import Publisher, assert_bounded, read_publisher, small_buffers
from fuzz.script import Script
from fuzz.targets.session import Kind, Repeat, assert_legal, prepare, protect, run
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.network.virtual import Network

from whipway.protocol.rtp.packet import serialize_packet
from whipway.session.session import SessionState

SETTLING_SECONDS = 5.0
"""By then nothing is waited for any more."""

raw = st.tuples(st.just(Kind.RAW), st.binary(max_size=200), st.booleans())
# Which of the real ones; where to spoil it, by what, where to cut it.
mutated = st.tuples(st.just(Kind.MUTATED), st.integers(0, 99), st.binary(min_size=5, max_size=5))
rtp_header = st.tuples(
    st.sampled_from([b"\x80", b"\x90", b"\xa0", b"\x81"]),
    st.sampled_from([b"\x6f", b"\xef", b"\x66", b"\xe6", b"\x7f"]),
    st.binary(min_size=2, max_size=2),
    st.binary(min_size=4, max_size=4),
    st.sampled_from([b"ssrc", b"SSRC", b""]),
).map(b"".join)
nal_begin = st.sampled_from([b"\x7c\x85", b"\x7c\x05", b"\x7c\x45", b"\x78", b"\x65\x88", b"\x41\x9a"])
rtp_payload = st.binary(max_size=60) | st.tuples(nal_begin, st.binary()).map(b"".join)
rtp = st.tuples(st.just(Kind.RTP), st.tuples(rtp_header, rtp_payload).map(b"".join))
rtcp_header = st.tuples(st.integers(0x80, 0xBF), st.integers(200, 207), st.just(0), st.integers(0, 8)).map(
    bytes
)
rtcp = st.tuples(st.just(Kind.RTCP), st.tuples(rtcp_header, st.binary(min_size=4, max_size=60)).map(b"".join))
wait = st.tuples(st.just(Kind.WAIT), st.floats(0.0, 3.0))
lose = st.tuples(st.just(Kind.LOSE), st.sampled_from(["audio", "video"]), st.integers(0, 0xFFFF))
picture = st.tuples(st.just(Kind.PICTURE), st.integers(0, 255), st.booleans())
sound = st.tuples(st.just(Kind.SOUND), st.integers(0, 255))
repeat = st.tuples(st.just(Kind.REPEAT), st.sampled_from(Repeat), st.integers(0, 0xFFFF))
series = st.tuples(
    st.just(Kind.SERIES), st.sampled_from(["audio", "video"]), st.integers(0, 90), st.integers(0, 255)
)
restart = st.tuples(st.just(Kind.RESTART), st.booleans(), st.booleans())
steps = st.lists(
    st.one_of(raw, mutated, rtp, rtcp, wait, lose, picture, sound, repeat, series, restart), max_size=25
)
shapes = st.binary(min_size=1, max_size=1).map(Script).map(read_publisher)


@settings(deadline=None, max_examples=120)
@given(connected=st.booleans(), script=steps, publisher=shapes)
def test_any_sequence_of_datagrams(connected, script, publisher):
    network = run(connected, script, publisher)
    network.session.close()
    network.drain()
    assert_legal(network)


def test_a_flood_of_everything_that_is_authentic():
    """Gaps of every size, timestamps and SSRCs at random, all in one second: nothing grows with it."""
    with small_buffers():
        flood(*prepare(True, Publisher(repair="rtx", transport_cc=True)))


def flood(network: Network, _: list[bytes]) -> None:
    client, random = network.client, Random(1)
    for index in range(4000):
        source = client.sources[random.choice(["audio", "video"])]
        source.sequence += random.choice([0, 0, 0, 1, 7, 600, 5000])
        packet = client.packet(source.mid, random.randbytes(random.randrange(80)), 0.0)
        ssrc = random.choice([source.ssrc, random.getrandbits(5)])
        packet = packet._replace(ssrc=ssrc, timestamp=random.getrandbits(32))
        for data in protect(client, serialize_packet(packet)):
            network.inject(data)
        if index % 50 == 0:
            network.run(0.01)
    assert_bounded(network)
    assert network.session.state is SessionState.LIVE
    network.run(SETTLING_SECONDS)
    assert network.session.receiver.deadline() is None
