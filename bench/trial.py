"""One stream over one lossy path, from the first picture to the last, and what became of each picture.

A real encoder, a sender with a browser's habits, a session driven as the worker drives it, and a network that
loses media and reports in both directions. Time is virtual: a minute takes seconds. Left out is what a sender
does to spare the path: its bitrate stays, and a picture's packets leave all at once.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from tests.network.virtual import Network, Path, Show, make_network
from tests.peers.whip_client import WhipClient
from tests.peers.x264 import decode

from bench.camera import Camera
from whipway.media.unit import AccessUnit

PICTURE_RATE = 25
BITRATE = 2_000_000
GROUP = 2 * PICTURE_RATE
"""A key frame every two seconds, and whenever one is asked for."""
TICK = 0.02
"""Seconds, as of the worker."""
HANDSHAKE = 2.0
"""Seconds before the first picture."""
EPILOGUE = 2.0
"""Seconds of stream after those that count: a loss is noticed by what follows it."""
MS = 1000.0


@dataclass(frozen=True)
class Case:
    """`loss` is a share, `burst` a mean number of datagrams, the others are seconds.

    `jitter` is by how much more packets may take on their way up: by so much they overtake each other.
    """

    loss: float
    burst: float
    round_trip: float
    seconds: float
    repair: str = "rtx"
    seed: int = 1
    jitter: float = 0.0


@dataclass
class Outcome:
    """Pictures, unless the name says otherwise; delays in milliseconds."""

    sent: int
    intact: int
    """Handed on, byte for byte as sent."""
    damaged: int
    """Handed on otherwise, twice, or out of order."""
    hit: int
    """Lost some packet when they were sent first."""
    repaired: int
    """Of those, handed on intact."""
    p50: float
    """Delay beyond that of a path without loss: from the arrival of its packets to the session's output."""
    p99: float
    longest: float
    gap: float
    """The longest time in which nothing was handed on, in seconds."""
    audio: float
    """Share of the audio frames handed on."""
    keyframe_requests: int
    """Since the first picture, as far as they arrived."""
    nacks: int
    """Datagrams of the session with a NACK, as far as they arrived."""
    resent: float
    """Packets sent again, as a share of those sent."""
    decoder_errors: int
    wrong_pictures: int
    """Pictures that a decoder shows otherwise than as they were sent."""

    @property
    def lost(self) -> int:
        """Pictures never handed on."""
        return self.sent - self.intact

    @property
    def is_sound(self) -> bool:
        """Nothing wrong went downstream."""
        return not (self.damaged or self.decoder_errors or self.wrong_pictures)

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"lost": self.lost, "is_sound": self.is_sound}


def run(case: Case) -> Outcome:
    """Play a stream through; takes about a twentieth of its length."""
    client = WhipClient(
        repair=case.repair, transport_cc=True, remb=True, answers_reference_times=True, seed=case.seed
    )
    delay = case.round_trip / 2
    # A burst lasts some tens of milliseconds, in which the session sends a datagram or two at most.
    up = Path(delay, jitter=case.jitter, loss=case.loss, burst=case.burst)
    down = Path(delay, loss=case.loss)
    network = make_network(client, up=up, down=down, tick=TICK, seed=case.seed)
    network.run(HANDSHAKE)
    camera = Camera(rate=PICTURE_RATE, bitrate=BITRATE, seed=case.seed)
    show = Show(network, group=GROUP, rate=PICTURE_RATE, draw=camera.picture)
    show.play(case.seconds + EPILOGUE)
    return judge(network, show, round(case.seconds * PICTURE_RATE))


def judge(network: Network, show: Show, count: int) -> Outcome:
    """Compare what was handed on of the first `count` pictures with what was sent; decode everything."""
    numbers_of: dict[tuple[bytes, ...], list[int]] = defaultdict(
        list
    )  # An encoder may make the same bytes of two pictures.
    for index, nals in enumerate(show.pictures):
        numbers_of[tuple(nals)].append(index)
    units = [
        (at, event)
        for at, event in zip(network.times, network.events, strict=True)
        if isinstance(event, AccessUnit)
    ]
    delays: dict[int, float] = {}
    indexes: list[int] = []
    highest = -1
    for at, unit in units:
        index = next((one for one in numbers_of.get(tuple(unit.nals), ()) if one > highest), -1)
        highest = max(highest, index)
        indexes.append(index)
        if 0 <= index < count:
            # Rounded, since the same sum of seconds in another order is another float.
            delays[index] = round((at - show.sent_at[index] - network.up.delay) * MS, 3) + 0.0
    hit = {index for index, is_hit in enumerate(show.damaged[:count]) if is_hit}
    ordered = sorted(delays.values()) or [0.0]
    errors, wrong = _watch([unit.nals for _, unit in units], indexes, show.pictures)
    begun, ended = show.sent_at[0], show.sent_at[count - 1]
    client = network.client
    return Outcome(
        sent=count,
        intact=len(delays),
        damaged=indexes.count(-1),
        hit=len(hit),
        repaired=len(hit & delays.keys()),
        p50=ordered[len(ordered) // 2],
        p99=ordered[99 * len(ordered) // 100],
        longest=ordered[-1],
        gap=max((later - earlier for (earlier, _), (later, _) in pairwise(units)), default=0.0),
        audio=len(network.sounds) / max(1, len(show.sounds)),
        keyframe_requests=sum(begun < at <= ended for at in client.requests),
        nacks=len(client.nacks),
        resent=len(client.repeated) / max(1, sum(source.packets for source in client.sources.values())),
        decoder_errors=errors,
        wrong_pictures=wrong,
    )


def _watch(units: list[list[bytes]], indexes: list[int], sent: list[list[bytes]]) -> tuple[int, int]:
    """Decode both: how often the decoder complained, and how many pictures it shows that nobody sent.

    `indexes` tells which of those sent each unit is, -1 if it is none.
    """
    shown = decode(units)
    wanted = [*decode(sent).digests, ""]
    wrong = sum(digest != wanted[index] for digest, index in zip(shown.digests, indexes, strict=False))
    return len(shown.errors), wrong + abs(len(shown.digests) - len(units))
