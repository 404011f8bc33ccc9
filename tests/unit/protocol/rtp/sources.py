"""Senders with clocks of their own, for the tests of the media timeline."""

from whipway.protocol.rtp.timeline import Timeline, TrackClock

NTP_EPOCH = 3_970_000_000.0
MASK = 0xFFFFFFFF


class Source:
    """A sender's track: its own timestamps, its own clock error, and a fixed delay to the receiver."""

    def __init__(
        self,
        timeline: Timeline,
        rate: int,
        *,
        leads: bool = False,
        first: int = 0xFFFF0000,
        delay: float = 0.05,
        ppm: float = 0.0,
        ntp_error: float = 0.0,
    ) -> None:
        self.clock = TrackClock(timeline, rate, leads=leads)
        self.rate = rate * (1 + ppm / 1e6)
        self.first = first
        self.delay = delay
        self.ntp_error = ntp_error

    def timestamp(self, captured: float) -> int:
        return (self.first + round(captured * self.rate)) & MASK

    def send(self, captured: float, jitter: float = 0.0) -> int:
        return self.clock.to_us(self.timestamp(captured), captured + self.delay + jitter)

    def report(self, at: float) -> None:
        ntp = NTP_EPOCH + at + self.ntp_error
        self.clock.sender_report(ntp, self.timestamp(at), at + self.delay)


def pair(**video: float) -> tuple[Source, Source]:
    timeline = Timeline()
    return Source(timeline, 48_000, leads=True), Source(timeline, 90_000, **video)  # type: ignore[arg-type]


def playing() -> tuple[Source, Source]:
    """A pair after two seconds: the next packets are due at second 2."""
    audio, video = pair()
    for number in range(100):
        audio.send(number / 50)
        video.send(number / 50)
    return audio, video


def resume(source: Source, paused: float, at: float, *, counted: bool) -> int:
    """The first packet after a pause, captured at second `at`; the place it gets, as if delays were none."""
    if not counted:
        source.first = (source.first - round(paused * source.rate)) & MASK
    source.clock.resumes(source.timestamp(at), at - paused + source.delay, at + source.delay)
    return source.send(at)
