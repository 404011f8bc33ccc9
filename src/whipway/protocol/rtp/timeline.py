"""Places the RTP timestamps of a session's tracks on one media timeline, in integer microseconds.

It starts at once, without a sender report: the first packet of a track is placed where it arrived (the first
arrival of the session is 0), the later ones exactly where the RTP clock puts them. A timestamp that jumps
away from its arrival, as when a source is switched, is placed anew where it is due.

Sender reports (RFC 3550, 6.4.1) then correct the skew between the tracks. Only the followers (video) move,
and only by a slew too slow to see; the leader (audio) never does, since a step in it would be heard. Without
sender reports everything stays as it arrived. The timeline follows the sender's clocks, not ours: how far
those drift apart over hours is learnt, and is no jump.
"""

from whipway.protocol.rtp.sequence import Extender

MAX_OFFSET_US = 2_000_000
"""A packet this far from where its arrival expects it is another source, or a stall. Queues stay below it."""
PATIENCE_US = 5_000_000
"""How late, and for how long, packets may be that count on from the last one: after a stall of the network
they catch up, after a pause of the source they do not."""
MAX_SKEW_US = 2_000_000
"""Nobody's lips are this wrong: the report is."""
LAG_DRIFT = 0.001
"""How fast the expected lag follows the observed one: faster than any clock drifts (1000 ppm), too slow to
take a stall for the rule."""
SLEW_PPM = 5_000
"""5 ms a second: not visible."""
QUICK_SLEW_PPM = 20_000
QUICK_SLEW_US = 10_000_000
"""At first 20 ms a second, for 10 s of slewing, so that the skew of the start is soon gone."""


class Timeline:
    """What the tracks of one session share: the moment that is 0, and the leader's place in wallclock time.

    `leader_ntp_zero_us` is the NTP time of media time 0 by the leader's last report, None while unknown.
    """

    __slots__ = ("_clocks", "_origin", "leader_ntp_zero_us")

    def __init__(self) -> None:
        self._origin: float | None = None
        self._clocks: list[TrackClock] = []
        self.leader_ntp_zero_us: int | None = None

    def elapsed_us(self, arrival: float) -> int:
        """Microseconds since the first arrival of any track, which this may be."""
        if self._origin is None:
            self._origin = arrival
        return round((arrival - self._origin) * 1_000_000)

    def join(self, clock: "TrackClock") -> None:
        """Let a track hear of the leader's reports."""
        self._clocks.append(clock)

    def leader_moved(self, ntp_zero_us: int | None) -> None:
        """Set the leader's place and let the tracks align with it."""
        self.leader_ntp_zero_us = ntp_zero_us
        for clock in self._clocks:
            clock.align()


class Slew:
    """A correction that creeps to its target as the media goes on."""

    __slots__ = ("_quick_us", "_target_us", "correction_us")

    def __init__(self) -> None:
        self.correction_us = 0
        self._target_us = 0
        self._quick_us = QUICK_SLEW_US

    def aim(self, target_us: int) -> bool:
        """Set the target; False if it is too far away to be true."""
        if abs(target_us - self.correction_us) > MAX_SKEW_US:
            return False
        self._target_us = target_us
        return True

    def hold(self) -> None:
        """Stay with the correction made so far."""
        self._target_us = self.correction_us

    def advance(self, media_us: int) -> None:
        """Move as much as may be in `media_us` microseconds of media."""
        left = self._target_us - self.correction_us
        if left == 0:
            return
        ppm = QUICK_SLEW_PPM if self._quick_us > 0 else SLEW_PPM
        self._quick_us -= media_us
        step = media_us * ppm // 1_000_000
        self.correction_us += max(-step, min(step, left))


class TrackClock:
    """The RTP clock of one track. `leads` for the track that is never slewed: give it to audio.

    `jumps` counts the times it was placed anew, `ignored_reports` the sender reports that were not believed.
    """

    __slots__ = (
        "_anchor_timestamp",
        "_anchor_us",
        "_clock_rate",
        "_extender",
        "_highest_us",
        "_lag_us",
        "_last_arrival_us",
        "_late_since_us",
        "_leads",
        "_ntp_zero_us",
        "_slew",
        "_started",
        "_timeline",
        "ignored_reports",
        "jumps",
    )

    def __init__(self, timeline: Timeline, clock_rate: int, *, leads: bool = False) -> None:
        self._timeline = timeline
        self._clock_rate = clock_rate
        self._leads = leads
        self._extender = Extender(32)
        self._started = False
        self._late_since_us: int | None = None
        self._ntp_zero_us: int | None = None
        self._slew = Slew()
        self._highest_us = 0
        self._last_arrival_us = 0
        self._anchor(0, 0, 0)
        self.jumps = 0
        self.ignored_reports = 0
        timeline.join(self)

    @property
    def correction_us(self) -> int:
        """How far sender reports have moved this track so far; negative is earlier."""
        return self._slew.correction_us

    def to_us(self, timestamp: int, arrival: float) -> int:
        """Place a packet's 32-bit timestamp; `arrival` in monotonic seconds. Never negative.

        Call it once per frame or once per packet alike: the packets of a frame get the same time. Older
        timestamps (B-frames) give older times.
        """
        arrival_us = self._timeline.elapsed_us(arrival)
        extended = self._extender.extend(timestamp)
        if not self._started:
            self._started = True
            self._highest_us = arrival_us
            self._anchor(extended, arrival_us, arrival_us)
        placed = self._place(extended)
        if self._is_elsewhere(placed, arrival_us):
            self._jump(extended, arrival_us)
            placed = self._anchor_us
        self._learn_lag(placed, arrival_us)
        if placed > self._highest_us:
            self._slew.advance(placed - self._highest_us)
            self._highest_us = placed
        return max(0, placed + self._slew.correction_us)

    def sender_report(self, ntp_seconds: float, rtp_timestamp: int, arrival: float) -> None:
        """Take one sender report of this track: its NTP time in seconds, its 32-bit RTP timestamp.

        Before the first packet it is not used: there is no place yet to compare it with.
        """
        # RFC 3550, 6.4.1: "A sender that has no notion of wallclock or elapsed time MAY set the NTP timestamp
        # to zero."
        if not self._started or ntp_seconds == 0:
            return
        placed = self._place(self._extender.nearest(rtp_timestamp))
        if abs(self._lateness_us(placed, self._timeline.elapsed_us(arrival))) > MAX_OFFSET_US:
            self.ignored_reports += 1
            return
        self._ntp_zero_us = round(ntp_seconds * 1_000_000) - placed
        if self._leads:
            self._timeline.leader_moved(self._ntp_zero_us)
        else:
            self.align()

    def align(self) -> None:
        """Aim at the place where this track plays together with the leader, if both have reported."""
        leader = self._timeline.leader_ntp_zero_us
        if self._leads or leader is None or self._ntp_zero_us is None:
            return
        if not self._slew.aim(self._ntp_zero_us - leader):
            self.ignored_reports += 1

    def _place(self, extended: int) -> int:
        return self._anchor_us + (extended - self._anchor_timestamp) * 1_000_000 // self._clock_rate

    def _lateness_us(self, placed: int, arrival_us: int) -> float:
        return arrival_us - placed - self._lag_us

    def _is_elsewhere(self, placed: int, arrival_us: int) -> bool:
        late = self._lateness_us(placed, arrival_us)
        if abs(late) <= MAX_OFFSET_US:
            self._late_since_us = None
            return False
        if late < 0 or late > PATIENCE_US or placed < self._highest_us - MAX_OFFSET_US:
            return True
        # It went on counting from the last one but comes late: a stall, unless it lasts.
        if self._late_since_us is None:
            self._late_since_us = arrival_us
        return arrival_us - self._late_since_us > PATIENCE_US

    def _jump(self, extended: int, arrival_us: int) -> None:
        # Never back: the frames so far are out.
        due_us = max(arrival_us - int(self._lag_us), self._highest_us)
        self._anchor(extended, due_us, arrival_us)
        self.jumps += 1
        # What was reported was said of the old timestamps.
        self._ntp_zero_us = None
        self._slew.hold()
        if self._leads:
            self._timeline.leader_moved(None)

    def _anchor(self, extended: int, placed: int, arrival_us: int) -> None:
        self._anchor_timestamp = extended
        self._anchor_us = placed
        self._lag_us = float(arrival_us - placed)

    def _learn_lag(self, placed: int, arrival_us: int) -> None:
        most = (arrival_us - self._last_arrival_us) * LAG_DRIFT
        self._last_arrival_us = arrival_us
        self._lag_us += max(-most, min(most, arrival_us - placed - self._lag_us))
