"""What one packet costs between datagram and RTMP bytes, without sockets: `python -m bench.packets`.

A session with its muxer and one publisher is fed 10 KB pictures at 25 a second, each as one batch, as the
worker feeds them. "in" is `Session.receive_datagram`, "out" what follows once a picture: the session's
events, the muxer, the chunks. Both are CPU time per packet. The ratios are against libsrtp alone, which
decrypts as many packets in the same process; of several rounds the cheapest counts. The compiled build
beside plain Python:

    make wheel-compiled && PYTHONPATH=build/compiled/site .venv/bin/python -m bench.packets
"""

import json
from time import process_time_ns
from typing import NamedTuple

from pylibsrtp import Policy
from pylibsrtp import Session as SrtpContext
from tests.network.virtual import Network, make_network
from tests.peers.whip_client import WhipClient, picture

from whipway.compiled import compiled_modules
from whipway.media.transcoder import Transcoder
from whipway.media.unit import AccessUnit
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.server import PublishRequested, ServerConnection
from whipway.relay.muxer import Muxer
from whipway.relay.sinks.attempt import Attempt
from whipway.relay.sinks.traffic import Traffic

PICTURE_RATE = 25
PICTURE_BYTES = 10_000
PICTURES = 300
"""In one round."""
ROUNDS = 5
KEY = bytes(range(28))
PROFILE = Policy.SRTP_PROFILE_AEAD_AES_128_GCM

Batch = tuple[float, list[bytes]]


class Cost(NamedTuple):
    """Nanoseconds of CPU per packet."""

    into: float
    out: float
    bare: float


class Way:
    """One stream, connected at both ends. `show` sends pictures one after the other."""

    def __init__(self) -> None:
        self.client = WhipClient(kinds=("video",), transport_cc=True, repair="rtx", history=10)
        self.network: Network = make_network(self.client)
        self.network.run(1.0)
        self.muxer = Muxer(has_video=True, has_audio=False, make_transcoder=_no_sound)
        self.attempt = _publish()
        self.shown = 0

    def show(self, count: int) -> list[Batch]:
        """The datagrams of so many pictures, and when they come."""
        batches = []
        for _ in range(count):
            at = 1.0 + self.shown / PICTURE_RATE
            self.client.send_picture(picture(self.shown, keyframe=self.shown == 0, size=PICTURE_BYTES), at)
            self.shown += 1
            media = [data for data, _ in self.client.datagrams_to_send() if data[0] >= 128]
            batches.append((at, media))
        return batches

    def receive(self, batch: Batch) -> None:
        """The way in."""
        now, datagrams = batch
        address = self.client.address
        for data in datagrams:
            self.network.session.receive_datagram(data, address, now)

    def hand_on(self, now: float) -> None:
        """The way out."""
        session = self.network.session
        session.datagrams_to_send()
        for event in session.events():
            if isinstance(event, AccessUnit):
                for tag in self.muxer.push(event):
                    if self.attempt.has_begun:
                        self.attempt.push(tag, now)
                    elif tag.keyframe:
                        self.attempt.begin([*self.muxer.headers(), tag], now)
                b"".join(self.attempt.data_to_send())
        if (deadline := session.deadline(now)) is not None and deadline <= now:
            session.handle_timeout(now)


def _no_sound(bitrate: int) -> Transcoder:
    raise AssertionError("there is no sound")


def _publish() -> Attempt:
    """A publisher that a server has accepted."""
    publisher = Publisher(app="live", tc_url="rtmp://host/live", stream_name="one", random=bytes, now=0.0)
    attempt, server = Attempt(publisher, Traffic()), ServerConnection(random=bytes, now=0.0)
    while out := b"".join(attempt.data_to_send()):
        server.receive_data(out, 0.0)
        if any(isinstance(event, PublishRequested) for event in server.events()):
            server.accept_publish()
        attempt.receive(b"".join(server.data_to_send()), 0.0)
    return attempt


def measure(way: Way, libsrtp: tuple[SrtpContext, SrtpContext]) -> Cost:
    """One round."""
    batches = way.show(PICTURES)
    packets = sum(len(media) for _, media in batches)
    into = out = 0
    for batch in batches:
        began = process_time_ns()
        way.receive(batch)
        received = process_time_ns()
        way.hand_on(batch[0])
        out += process_time_ns() - received
        into += received - began
    return Cost(into / packets, out / packets, _decrypt(packets, *libsrtp))


def _decrypt(count: int, outbound: SrtpContext, inbound: SrtpContext) -> float:
    """Nanoseconds for a packet. Each round starts its numbers anew, so with contexts of its own."""
    head, rest = b"\x80\x66", bytes(8) + bytes(1100)
    packets = [outbound.protect(head + number.to_bytes(2, "big") + rest) for number in range(count)]
    began = process_time_ns()
    for packet in packets:
        inbound.unprotect(packet)
    return (process_time_ns() - began) / count


def _contexts() -> tuple[SrtpContext, SrtpContext]:
    kinds = (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND)
    outbound, inbound = (SrtpContext(Policy(key=KEY, ssrc_type=kind, srtp_profile=PROFILE)) for kind in kinds)
    return outbound, inbound


def main() -> None:
    """Print the cheapest of the rounds as one line of JSON."""
    way = Way()
    costs = [measure(way, _contexts()) for _ in range(ROUNDS)]
    into, out, bare = (min(each) for each in zip(*costs, strict=True))
    assert not way.network.session.drops()
    figures = {"compiled_modules": len(compiled_modules()), "in_us": into / 1000, "out_us": out / 1000}
    figures |= {"bare_us": bare / 1000, "in_ratio": into / bare, "out_ratio": out / bare}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
