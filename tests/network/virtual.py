"""A virtual network between a session and a test peer, and a show that is sent over it.

Nothing waits: `Network.run_until` jumps from one moment at which something happens to the next. Chance comes
from a seed. Only SRTP is lost, delayed at random or doubled unless a test says otherwise (`Path.drops`): a
DTLS flight that is lost would be repeated by OpenSSL, whose timers run on the real clock.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from tests.peers.whip_client import WhipClient, picture, sound

from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.dtls import generate_certificate
from whipway.protocol.ice import Address
from whipway.protocol.rtcp.feedback import PictureLossIndication
from whipway.protocol.sdp.answer import HostCandidate
from whipway.session.acceptance import accept_offer
from whipway.session.events import Ended, Event
from whipway.session.session import Session, Timeouts

SERVER = HostCandidate("203.0.113.1", 5000)
CERTIFICATE = generate_certificate()
PICTURE_RATE = 30
SOUND_RATE = 50
MAX_STEPS_AT_ONCE = 1000
"""At one moment: a machine that wants more than that has a deadline that does not move."""


def is_media(data: bytes) -> bool:
    """SRTP or SRTCP (RFC 7983, section 7)."""
    return 128 <= data[0] <= 191


@dataclass
class Path:
    """One direction. Seconds and probabilities."""

    delay: float = 0.02
    jitter: float = 0.0
    """Up to this much more delay, so that datagrams overtake each other."""
    loss: float = 0.0
    duplication: float = 0.0
    drops: Callable[[bytes], bool] = lambda data: False
    """What is lost whatever chance says."""


class Network:
    """Runs both ends. `events` has all that the session said, `times` when it said it."""

    def __init__(
        self, session: Session, client: WhipClient, *, up: Path | None = None, down: Path | None = None
    ) -> None:
        self.session = session
        self.client = client
        self.up = up or Path()
        self.down = down or Path()
        self.now = 0.0
        self.events: list[Event] = []
        self.times: list[float] = []
        self._random = Random(7)
        self._order = count()
        self._flying: list[tuple[float, int, bool, bytes, Address]] = []

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        self.run_until(self.now + seconds)

    def run_until(self, end: float) -> None:
        """Let everything happen that happens up to this moment."""
        self.drain()
        steps = 0
        while (at := self._next_moment()) <= end:
            steps = steps + 1 if at <= self.now else 0
            assert steps < MAX_STEPS_AT_ONCE
            self.now = max(self.now, at)
            self._step()
        self.now = max(self.now, end)

    def inject(self, data: bytes, addr: Address | None = None) -> None:
        """Hand the session a datagram at once, by default one from the client."""
        self.session.receive_datagram(data, addr or self.client.address, self.now)
        self.drain()

    def drain(self) -> None:
        """Take what both ends have to say and put it on its way."""
        for data, _ in self.client.datagrams_to_send():
            self._send(data, self.client.address, self.up, to_session=True)
        for data, addr in self.session.datagrams_to_send():
            self._send(data, addr, self.down, to_session=False)
        for event in self.session.events():
            self.events.append(event)
            self.times.append(self.now)

    @property
    def pictures(self) -> list[AccessUnit]:
        """The access units handed on."""
        return [event for event in self.events if isinstance(event, AccessUnit)]

    @property
    def sounds(self) -> list[AudioFrame]:
        """The audio frames handed on."""
        return [event for event in self.events if isinstance(event, AudioFrame)]

    @property
    def ended(self) -> Ended:
        """How it ended: the last event, and the only one of its kind."""
        [ended] = [event for event in self.events if isinstance(event, Ended)]
        assert self.events[-1] is ended is self.session.ended
        return ended

    @property
    def requests(self) -> list[float]:
        """When the client was asked for a key frame."""
        return [at for at, packet in self.client.received if isinstance(packet, PictureLossIndication)]

    def _next_moment(self) -> float:
        moments = [self.session.deadline(self.now), self.client.deadline(self.now)]
        if self._flying:
            moments.append(self._flying[0][0])
        return min((at for at in moments if at is not None), default=float("inf"))

    def _step(self) -> None:
        if self._flying and self._flying[0][0] <= self.now:
            _, _, to_session, data, addr = heapq.heappop(self._flying)
            if to_session:
                self.session.receive_datagram(data, addr, self.now)
            elif addr == self.client.address:
                self.client.receive_datagram(data, SERVER, self.now)
        for machine in (self.session, self.client):
            deadline = machine.deadline(self.now)
            if deadline is not None and deadline <= self.now:
                machine.handle_timeout(self.now)
        self.drain()

    def _send(self, data: bytes, addr: Address, path: Path, *, to_session: bool) -> None:
        random = self._random.random
        if path.drops(data) or (is_media(data) and random() < path.loss):
            return
        copies = 2 if is_media(data) and random() < path.duplication else 1
        for _ in range(copies):
            delay = path.delay + (random() * path.jitter if is_media(data) else 0.0)
            heapq.heappush(self._flying, (self.now + delay, next(self._order), to_session, data, addr))


def make_network(
    client: WhipClient | None = None,
    *,
    timeouts: Timeouts | None = None,
    up: Path | None = None,
    down: Path | None = None,
) -> Network:
    """A client whose offer was just accepted."""
    client = client or WhipClient()
    accepted = accept_offer(
        client.offer,
        certificate=CERTIFICATE,
        candidates=[SERVER],
        timeouts=timeouts or Timeouts(),
        random=Random(3).randbytes,
        now=0.0,
    )
    client.take_answer(accepted.answer, 0.0)
    return Network(accepted.session, client, up=up, down=down)


@dataclass
class Show:
    """Sends pictures and sounds over a connected network, and remembers them."""

    network: Network
    group: int = 60
    """Pictures from one IDR to the next."""
    obeys: bool = True
    """Answers a request for a key frame with the next picture."""
    video_delay: float = 0.0
    """Seconds between capture and sending, as an encoder takes."""
    pictures: list[list[bytes]] = field(default_factory=list)
    sounds: list[bytes] = field(default_factory=list)
    until_keyframe: int = 0
    _obeyed: int = 0

    def play(self, seconds: float, *, rest: float = 0.5) -> None:
        """Send for so long, and rest a while, in which everything arrives."""
        start = self.network.now
        kinds = self.network.client.kinds
        moments = [(start + 1.0 * at, self._report) for at in range(1, int(seconds))]
        if "video" in kinds:
            every = range(round(seconds * PICTURE_RATE))
            moments += [(start + index / PICTURE_RATE + self.video_delay, self._show) for index in every]
        if "audio" in kinds:
            moments += [
                (start + index / SOUND_RATE, self._sound) for index in range(round(seconds * SOUND_RATE))
            ]
        for at, action in sorted(moments, key=lambda moment: moment[0]):
            self.network.run_until(at)
            action(at)
        self.network.run_until(max(start + seconds, self.network.now) + rest)

    def _report(self, at: float) -> None:
        self.network.client.send_reports(at)

    def _show(self, at: float) -> None:
        asked = len(self.network.requests)
        if self.until_keyframe <= 0 or (self.obeys and asked > self._obeyed):
            self._obeyed = asked
            self.until_keyframe = self.group
        nals = picture(len(self.pictures), keyframe=self.until_keyframe == self.group)
        self.until_keyframe -= 1
        self.pictures.append(nals)
        self.network.client.send_picture(nals, at - self.video_delay)

    def _sound(self, at: float) -> None:
        payload = sound(len(self.sounds))
        self.sounds.append(payload)
        self.network.client.send("audio", payload, at)
