"""A virtual network between a session and a test peer, and a show that is sent over it.

Nothing waits: `Network.run_until` jumps from one moment at which something happens to the next. Chance comes
from a seed. Only SRTP and SRTCP are lost, delayed at random or doubled unless a test says otherwise
(`Path.drops`): a DTLS flight that is lost would be repeated by OpenSSL, whose timers run on the real clock.

By itself a session is asked for its deadline after every datagram and at that very moment. With `tick` it is
driven as the worker does it: datagrams of one moment are one batch, and deadlines are looked at every `tick`.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import ceil, inf
from random import Random

from tests.peers.whip_client import WhipClient, picture, sound

from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.dtls import generate_certificate
from whipway.protocol.ice import Address
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.session.acceptance import accept_offer
from whipway.session.events import Ended, Event
from whipway.session.session import Session, Timeouts

SERVER = ("203.0.113.1", 5000)
CERTIFICATE = generate_certificate()
PICTURE_RATE = 30
SOUND_RATE = 50
MAX_BATCH = 128
"""Datagrams that the worker takes in one turn."""
TICK_DRIFT = 1.003
"""The worker's timer starts anew after each look, so that it is not in step with any sender's pictures."""
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
    """Share of the datagrams, however they are spread."""
    duplication: float = 0.0
    drops: Callable[[bytes], bool] = lambda data: False
    """What is lost whatever chance says."""
    burst: float = 1.0
    """Mean number of datagrams lost in a row; 1 for losses that know nothing of each other."""
    sent: int = 0
    """Datagrams of media and reports that entered."""
    lost: int = 0
    """Those of them that did not arrive."""
    _is_bad: bool = False

    def loses(self, data: bytes, random: Callable[[], float]) -> bool:
        """Tell what becomes of the next datagram."""
        if self.drops(data):
            self.lost += is_media(data)
            return True
        if not is_media(data):
            return False
        self.sent += 1
        is_lost = self._is_bad = self._turns_bad(random()) if self.burst > 1.0 else random() < self.loss
        self.lost += is_lost
        return is_lost

    def _turns_bad(self, chance: float) -> bool:
        """Gilbert's model: a good state without loss, and a bad one in which everything is lost.

        The bad one lasts `burst` datagrams in the mean, and the good one as long as it takes for `loss`.
        """
        if self._is_bad:
            return chance >= 1.0 / self.burst
        return chance < self.loss / ((1.0 - self.loss) * self.burst)


class Network:
    """Runs both ends. `events` has all that the session said, `times` when it said it.

    `tick` is in seconds; 0 means that the session is woken at the moment it asks for.
    """

    def __init__(
        self,
        session: Session,
        client: WhipClient,
        *,
        up: Path | None = None,
        down: Path | None = None,
        tick: float = 0.0,
        seed: int = 7,
    ) -> None:
        self.session = session
        self.client = client
        self.up = up or Path()
        self.down = down or Path()
        self.dead: set[Address] = set()
        """Addresses of the client that nothing comes from and nothing reaches."""
        self.now = 0.0
        self.events: list[Event] = []
        self.times: list[float] = []
        self._tick = tick * TICK_DRIFT
        self._ticks = 0
        """Number of the last look at the session's deadline."""
        self._random = Random(seed)
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
        for data, addr in self.client.checks_to_send():
            self._send(data, addr, self.up, to_session=True)
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
        return self.client.requests

    @property
    def round_trip(self) -> float:
        """Seconds, without jitter."""
        return self.up.delay + self.down.delay

    def _next_moment(self) -> float:
        moments = [self._session_moment(), self.client.deadline(self.now)]
        if self._flying:
            moments.append(self._flying[0][0])
        return min((at for at in moments if at is not None), default=float("inf"))

    def _session_moment(self) -> float | None:
        """When the session is looked at next, if it wants to be."""
        deadline = self.session.deadline(self.now)
        if deadline is None or not self._tick or deadline == inf:
            return deadline
        deadline = max(deadline, self.now)  # It may be overdue, and since ever.
        return max(ceil(deadline / self._tick), self._ticks + 1) * self._tick

    def _step(self) -> None:
        for _ in range(MAX_BATCH if self._tick else 1):
            if self._flying and self._flying[0][0] <= self.now:
                self._deliver(*heapq.heappop(self._flying)[2:])
        moment = self._session_moment()
        if moment is not None and moment <= self.now:
            self.session.handle_timeout(self.now)
            self._ticks = round(self.now / self._tick) if self._tick else 0
        deadline = self.client.deadline(self.now)
        if deadline is not None and deadline <= self.now:
            self.client.handle_timeout(self.now)
        self.drain()

    def _deliver(self, to_session: bool, data: bytes, addr: Address) -> None:
        if to_session:
            self.session.receive_datagram(data, addr, self.now)
        elif addr in (self.client.address, self.client.old_address, self.client.next_address):
            self.client.receive_datagram(data, SERVER, self.now)

    def _send(self, data: bytes, addr: Address, path: Path, *, to_session: bool) -> None:
        random = self._random.random
        if path.loses(data, random) or addr in self.dead:
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
    tick: float = 0.0,
    seed: int = 7,
    random_seed: int = 3,
) -> Network:
    """A client whose offer was just accepted, by a server whose own chance is that of `random_seed`."""
    client = client or WhipClient()
    accepted = accept_offer(
        client.offer,
        certificate=CERTIFICATE,
        candidates=[HostCandidate(*SERVER)],
        timeouts=timeouts or Timeouts(),
        random=Random(random_seed).randbytes,
        now=0.0,
    )
    client.take_answer(accepted.answer, 0.0)
    return Network(accepted.session, client, up=up, down=down, tick=tick, seed=seed)


def drawn(index: int, keyframe: bool) -> list[bytes]:
    """The pictures of a show that nobody will decode."""
    return picture(index, keyframe=keyframe)


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
    rate: int = PICTURE_RATE
    """Pictures a second."""
    draw: Callable[[int, bool], list[bytes]] = drawn
    """Makes the access unit of a picture: its number, and whether it has to be an IDR."""
    pictures: list[list[bytes]] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    """When each picture was sent."""
    damaged: list[bool] = field(default_factory=list)
    """Whether some packet of the picture was lost when it was sent first."""
    sounds: list[bytes] = field(default_factory=list)
    until_keyframe: int = 0
    _obeyed: int = 0

    def play(self, seconds: float, *, rest: float = 0.5) -> None:
        """Send for so long, and rest a while, in which everything arrives."""
        start = self.network.now
        kinds = self.network.client.kinds
        moments = [(start + 1.0 * at, self._report) for at in range(1, int(seconds))]
        if "video" in kinds:
            every = range(round(seconds * self.rate))
            moments += [(start + index / self.rate + self.video_delay, self._show) for index in every]
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
        nals = self.draw(len(self.pictures), self.until_keyframe == self.group)
        self.until_keyframe -= 1
        self.pictures.append(nals)
        self.sent_at.append(self.network.now)
        lost = self.network.up.lost
        self.network.client.send_picture(nals, at - self.video_delay)
        self.network.drain()
        self.damaged.append(self.network.up.lost > lost)

    def _sound(self, at: float) -> None:
        payload = sound(len(self.sounds))
        self.sounds.append(payload)
        self.network.client.send("audio", payload, at)
