"""A publisher, the queue of a sink, TCP and a server that takes only so much, all in virtual time.

The queue is the real one. The encoder makes a large key frame every two and a half seconds, follows a cap as
browsers do, later, or not at all. TCP takes some hundred kilobytes before the queue gets anything of it, and
a server that is too slow acknowledges in lumps.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from whipway.relay.quality import UPDATE_INTERVAL, QualityControl, SinkLoad
from whipway.relay.sinks.tag_queue import TagQueue
from whipway.relay.sinks.traffic import Traffic
from whipway.relay.tags import Tag, TagKind

STEP = 0.02
PICTURE_RATE = 25
GROUP = 2.5
START_BITRATE = 300_000
RAMP_TIME = 3.0
LUMP_BYTES = 8_192
BITRATE_WINDOW = 2.0
SMALLEST_PICTURE = 200


@dataclass
class Encoder:
    """How it behaves."""

    wanted: int = 2_000_000
    """Bits a second, after a ramp of `RAMP_TIME`."""
    hears_after: float = 0.1
    """Seconds from a cap to the first picture made by it."""
    follows_in: float = 0.25
    """Seconds; the time constant of its rate."""
    listens: bool = True
    keyframe_bytes: int = 60_000
    rate: float = START_BITRATE
    _caps: deque[tuple[float, int | None]] = field(default_factory=deque)
    _cap: int | None = None

    def tell(self, cap: int | None, now: float) -> None:
        self._caps.append((now + self.hears_after, cap))

    def advance(self, now: float) -> None:
        while self._caps and self._caps[0][0] <= now:
            _, self._cap = self._caps.popleft()
        aim: float = min(self.wanted, START_BITRATE + (self.wanted - START_BITRATE) * now / RAMP_TIME)
        if self._cap is not None and self.listens:
            aim = min(aim, self._cap)
        self.rate += (aim - self.rate) * min(1.0, STEP / self.follows_in)

    def picture_bytes(self, is_key: bool) -> int:
        """A key frame takes what it takes, other pictures share what is left of the group's bits."""
        rest = self.rate * GROUP / 8 - self.keyframe_bytes
        return (
            self.keyframe_bytes if is_key else max(SMALLEST_PICTURE, round(rest / (PICTURE_RATE * GROUP - 1)))
        )


@dataclass
class Moment:
    """What was seen at one update."""

    at: float
    queue_ms: int
    dropped: int
    cap: int | None
    limited_by: str | None
    rate: float
    """Of the encoder."""
    arrived_bytes: int


class SlowSink:
    """`capacity(now)` is in bits a second; `hidden_bytes` wait in TCP first, which is known if `is_seen`."""

    def __init__(
        self,
        control: QualityControl,
        encoder: Encoder,
        capacity: Callable[[float], float],
        *,
        hidden_bytes: int = 200_000,
        is_seen: bool = True,
        round_trip: float = 0.0,
        audio_bitrate: int = 128_000,
        sink_id: str = "1",
    ) -> None:
        self.control = control
        self.encoder = encoder
        self.moments: list[Moment] = []
        self.is_publishing = True
        self.now = 0.0
        self._capacity = capacity
        self._hidden_limit = hidden_bytes
        self._is_seen = is_seen
        self._arrivals = deque([0.0], maxlen=1 + round(round_trip / STEP))
        """Of the last round trip, which are known only after it."""
        self._audio_bitrate = audio_bitrate
        self._sink_id = sink_id
        self._traffic = Traffic()
        self._queue = TagQueue(self._traffic)
        self._hidden = 0.0
        self._arrived = 0.0
        self._pictures: deque[tuple[float, int]] = deque()
        self._steps = 0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self._step()

    def load(self) -> SinkLoad:
        acknowledged = int(self._arrivals[0])
        if self._hidden > 4 * LUMP_BYTES:  # The server's window is full.
            acknowledged -= acknowledged % LUMP_BYTES
        below = round(self._hidden + self._arrived - acknowledged) if self._is_seen else 0
        return SinkLoad(
            self._sink_id, self.is_publishing, self._queue.ms, self._queue.bytes + below, acknowledged
        )

    def _step(self) -> None:
        self.now = self._steps * STEP
        self.encoder.advance(self.now)
        self._push(Tag(TagKind.AUDIO, round(self.now * 1000), bytes(round(self._audio_bitrate * STEP / 8))))
        if self._steps % 2 == 0:
            self._picture(self._steps // 2 % round(PICTURE_RATE * GROUP) == 0)
        self._flow()
        if round(self.now / STEP) % round(UPDATE_INTERVAL / STEP) == 0:
            self._update()
        self._steps += 1

    def _picture(self, is_key: bool) -> None:
        body = bytes(self.encoder.picture_bytes(is_key))
        self._pictures.append((self.now, len(body)))
        while self.now - self._pictures[0][0] > BITRATE_WINDOW:
            self._pictures.popleft()
        self._push(Tag(TagKind.VIDEO, round(self.now * 1000), body, keyframe=is_key))

    def _push(self, tag: Tag) -> None:
        if self._queue.admits(tag):
            self._queue.push(tag)

    def _flow(self) -> None:
        taken = min(self._hidden, self._capacity(self.now) * STEP / 8)
        self._hidden -= taken
        self._arrived += taken
        self._arrivals.append(self._arrived)
        while self._queue and self._hidden < self._hidden_limit:
            self._hidden += len(self._queue.pop().payload)

    def _update(self) -> None:
        video = sum(size for _, size in self._pictures) * 8 / BITRATE_WINDOW
        before = self.control.cap
        self.control.update([self.load()], round(video), self._audio_bitrate, self.now)
        cap = self.control.cap
        if cap != before:
            self.encoder.tell(cap, self.now)
        self.moments.append(
            Moment(
                self.now,
                self._queue.ms,
                self._traffic.frames_dropped,
                cap,
                self.control.limited_by,
                self.encoder.rate,
                int(self._arrived),
            )
        )
