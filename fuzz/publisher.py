"""What the targets of whole sessions have in common: a publisher whose offer the script chooses, and buffers
so small that a script can fill them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from tests.network.virtual import Network, Path, make_network
from tests.peers.whip_client import Source, WhipClient

from fuzz.script import Script
from whipway.protocol.rtcp.twcc import MAX_LATE, TICKS_PER_REFERENCE, TICKS_PER_SECOND, TransportFeedback
from whipway.protocol.rtp import nack
from whipway.protocol.rtp.packet import Packet
from whipway.session import track

CAPACITY = 48
"""Packets in a reorder buffer."""
MAX_MISSING = 64
MAX_TURNS = 32
"""Looks at one moment until nothing is due: requests for so many numbers fill a few datagrams."""
REPAIRS = ("none", "rtx", "same", "ignored")


@dataclass
class Publisher(WhipClient):
    """A client that may offer reduced-size RTCP, and remembers when it used which transport-wide number."""

    reduced_size: bool = False
    numbered: dict[int, float] = field(default_factory=dict)

    @property
    def offer(self) -> str:
        more = "a=rtcp-mux\r\na=rtcp-rsize\r\n" if self.reduced_size else "a=rtcp-mux\r\n"
        return super().offer.replace("a=rtcp-mux\r\n", more)

    def _next(self, source: Source, payload: bytes, at: float) -> Packet:
        self.numbered[self._transport_sequence & 0xFFFF] = self._now
        return super()._next(source, payload, at)


def read_publisher(script: Script) -> Publisher:
    """The next byte."""
    shape = script.number()
    return Publisher(
        repair=REPAIRS[shape & 3],
        transport_cc=bool(shape & 4),
        remb=bool(shape & 8),
        reduced_size=bool(shape & 16),
        answers_reference_times=bool(shape & 32),
        announces_ssrcs=not shape & 64,
    )


def connect(publisher: Publisher, up: Path | None = None) -> Network:
    """A session with this publisher that is live."""
    network = make_network(publisher, up=up)
    network.run(0.5)
    return network


@contextmanager
def small_buffers() -> Iterator[None]:
    """Tracks that are made meanwhile hold little."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(track, "CAPACITY_PACKETS", CAPACITY))
        stack.enter_context(patch.object(nack, "MAX_MISSING", MAX_MISSING))
        yield


def settle(network: Network) -> None:
    """Do what is due; then the deadline must lie ahead."""
    session = network.session
    for _ in range(MAX_TURNS):
        deadline = session.deadline(network.now)
        if deadline is None or deadline > network.now:
            return
        session.handle_timeout(network.now)
        network.drain()
    raise AssertionError("the deadline stays in the past")


def assert_bounded(network: Network) -> None:
    """What the session keeps does not grow with what it got."""
    receiver = network.session.receiver
    assert len(receiver._routes) <= len(receiver.tracks)
    assert receiver._gone <= receiver._routes.keys()
    for each in receiver.tracks:
        assert each.waiting <= CAPACITY
        assert len(each.missing) <= MAX_MISSING
    arrivals = receiver.arrivals
    # Those not told yet are told in a tenth of a second; of the others the last are known.
    assert len(arrivals._stretch._known) <= 2 * MAX_LATE
    assert len(arrivals._stray._known) <= 1


def assert_told_truly(network: Network) -> None:
    """Every packet said to have come was sent, and came after that and before it was said."""
    client = network.client
    assert isinstance(client, Publisher)
    for at, packet in client.received:
        if isinstance(packet, TransportFeedback):
            start = packet.reference_time * TICKS_PER_REFERENCE
            for index, ticks in enumerate(packet.arrivals):
                if ticks is not None:
                    number = (packet.base_sequence + index) & 0xFFFF
                    arrival = (start + ticks) / TICKS_PER_SECOND
                    assert client.numbered[number] <= arrival + 1 / TICKS_PER_SECOND
                    assert arrival <= at + 1 / TICKS_PER_SECOND
