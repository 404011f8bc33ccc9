"""Places the RTP timestamps of a session's tracks on one media timeline, in integer microseconds.

It starts at once, without a sender report: the first packet of a track is placed where it arrived (the first
arrival of the session is 0), the later ones exactly where the RTP clock puts them. A timestamp that jumps
away from its arrival, as when a source is switched, is placed anew where it is due; so is one that goes on
after a pause as if there had been none, which is how browsers unmute their sound.

Then the skew between the tracks is corrected. Only the followers (video) move, and only by a slew too slow to
see; the leader (audio) never does, since a step in it would be heard. Sender reports (RFC 3550, 6.4.1) say
where to. Without them what arrived together stays together, however the two RTP clocks drift apart; when
they stop, the tracks stay as the last ones had them. The timeline follows the sender's clocks, not ours: how
far those drift apart over hours is learnt, and is no jump.
"""

from typing import NamedTuple

from whipway.protocol.rtp.sequence import Extender
from whipway.protocol.rtp.slew import Slew

MAX_OFFSET_US = 2_000_000
"""A packet this far from where its arrival expects it is another source, or a stall. Queues stay below it."""
PATIENCE_US = 5_000_000
"""How late, and for how long, packets may be that count on from the last one: after a stall of the network
they catch up, after a pause of the source they do not."""
MIN_PAUSE_US = 200_000
"""A silence that is looked into. Sound that is held up for less does not show."""
LONG_PAUSE_US = 1_000_000
BURST_US = 100_000
"""After a pause that is not long, for which it is watched: a busy sender may catch up with what it owes."""
LAG_DRIFT = 0.001
"""How fast the expected lag follows the observed one: faster than any clock drifts (1000 ppm), too slow to
take a stall for the rule."""

REPORT_TOLERANCE_US = 50_000
"""How far a report may be from the one before it. Clocks drift 12 ms in a minute (200 ppm)."""
REPORT_LIFETIME_US = 60_000_000
"""The reports of two tracks are compared when not further apart: a clock is not where it was an hour ago."""

WINDOW_US = 20_000_000
"""What a clock drifts in this time (200 ppm: 4 ms) is not seen; jitter, retransmissions, the burst of a key
frame and most queues are over sooner."""


class Report(NamedTuple):
    """What a sender report says: the NTP time of media time 0 by this track's RTP clock, and when it came."""

    ntp_zero_us: int
    arrival_us: int


class LeastLag:
    """How far a track lags behind its arrival, in windows of time that are the same for all tracks.

    The network only ever adds delay. So the least lag of a window moves with the clocks alone.
    """

    __slots__ = ("_end_us", "_least_us", "us", "window")

    def __init__(self) -> None:
        self.window = 0
        """The end of the last complete window; 0 before the first."""
        self.us = 0
        """The least lag in it."""
        self._end_us = 0
        self._least_us = 0

    def take(self, lag_us: int, arrival_us: int) -> bool:
        """Note the lag of a packet; True when it is the first one behind a window."""
        if arrival_us < self._end_us:
            if lag_us < self._least_us:
                self._least_us = lag_us
            return False
        self.window, self.us = self._end_us, self._least_us
        self._end_us = arrival_us - arrival_us % WINDOW_US + WINDOW_US
        self._least_us = lag_us
        return self.window > 0


class Timeline:
    """What the tracks of one session share: the moment that is 0, and the leader's last report and lag.

    `leader_report` is None while there is none to go by.
    """

    __slots__ = ("_clocks", "_origin", "leader_lag", "leader_report")

    def __init__(self) -> None:
        self._origin: float | None = None
        self._clocks: list[TrackClock] = []
        self.leader_report: Report | None = None
        self.leader_lag = LeastLag()

    def elapsed_us(self, arrival: float) -> int:
        """Microseconds since the first arrival of any track, which this may be."""
        if self._origin is None:
            self._origin = arrival
        return round((arrival - self._origin) * 1_000_000)

    def join(self, clock: "TrackClock") -> None:
        """Let a track hear of the leader."""
        self._clocks.append(clock)

    def lag_us(self, clock: "TrackClock") -> float:
        """How far this track is due to lag behind its arrival, to judge by another one if there is any."""
        others = [other for other in self._clocks if other is not clock and other.started]
        # The leader, or who was heard last: another may have been muted for long.
        other = max(others, key=TrackClock.reliability, default=clock)
        return other.leader_lag_us + clock.apart_us

    def came_meanwhile(self, clock: "TrackClock", since_us: int, late_us: int) -> bool:
        """Whether packets of another track came after `since_us` that were late by less than `late_us`."""
        return any(
            other is not clock and other.started and other.was_prompt(since_us, late_us)
            for other in self._clocks
        )

    def leader_reported(self, report: Report | None) -> None:
        """Set the leader's report and let the tracks align with it."""
        self.leader_report = report
        for clock in self._clocks:
            clock.align()

    def leader_lagged(self, lag: LeastLag) -> None:
        """Set the leader's lag and let the tracks keep to it."""
        self.leader_lag = lag
        for clock in self._clocks:
            clock.keep_distance()


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
        "_last_late_us",
        "_last_report",
        "_late_since_us",
        "_leads",
        "_least_lag",
        "_pause",
        "_report",
        "_slew",
        "_timeline",
        "ignored_reports",
        "jumps",
        "started",
    )

    def __init__(self, timeline: Timeline, clock_rate: int, *, leads: bool = False) -> None:
        self._timeline = timeline
        self._clock_rate = clock_rate
        self._leads = leads
        self._extender = Extender(32)
        self.started = False
        """A packet came."""
        self._late_since_us: int | None = None
        self._least_lag = LeastLag()
        self._last_report: Report | None = None
        self._report: Report | None = None
        """The last one, if it can be believed."""
        self._slew = Slew()
        self._highest_us = 0
        self._last_arrival_us = 0
        self._last_late_us = 0
        self._pause: tuple[int, int] | None = None
        """From when to when nothing came, as long as it may have gone uncounted."""
        self._anchor(0, 0, 0)
        self.jumps = 0
        self.ignored_reports = 0
        timeline.join(self)

    @property
    def correction_us(self) -> int:
        """How far this track was moved so far, by reports or to stay with the leader; negative is earlier."""
        return self._slew.correction_us

    @property
    def apart_us(self) -> int:
        """How much further than the leader this track lags behind its arrival."""
        return self._slew.apart_us

    @property
    def leader_lag_us(self) -> float:
        """How far the leader lags behind its arrival, to judge by this track."""
        return self._lag_us - self._slew.apart_us

    def to_us(self, timestamp: int, arrival: float) -> int:
        """Place a packet's 32-bit timestamp; `arrival` in monotonic seconds. Never negative.

        Call it once per frame or once per packet alike: the packets of a frame get the same time. Older
        timestamps (B-frames) give older times.
        """
        arrival_us = self._timeline.elapsed_us(arrival)
        extended = self._extender.extend(timestamp)
        if not self.started:
            self._start(extended, arrival_us)
        placed = self._place(extended)
        if self._pause is not None and self._skipped_pause(placed, arrival_us):
            self._jump(extended, arrival_us)
            placed = self._anchor_us
        if abs(arrival_us - placed - self._lag_us) <= MAX_OFFSET_US:
            self._late_since_us = None
        elif self._is_elsewhere(placed, arrival_us):
            self._jump(extended, arrival_us)
            placed = self._anchor_us
        self._learn_lag(arrival_us - placed, arrival_us)
        if placed > self._highest_us:
            self._slew.advance(placed - self._highest_us)
            self._highest_us = placed
        return max(0, placed + self._slew.correction_us)

    def resumes(self, timestamp: int, heard_at: float, now: float) -> None:
        """Take note that this packet comes now and none came since `heard_at`; before it is placed.

        Only sound is muted so that its clock stands still. A picture that comes late was late to be encoded,
        or held up behind a key frame by a pacer.
        """
        if not self._leads or not self.started:
            return
        since_us, until_us = self._timeline.elapsed_us(heard_at), self._timeline.elapsed_us(now)
        # Told now, as it may have to wait behind packets that were lost: they are no pause, but counted.
        placed = self._place(self._extender.nearest(timestamp))
        late_us, pause_us = until_us - placed - self._lag_us, until_us - since_us
        if pause_us >= MIN_PAUSE_US and late_us >= pause_us / 2:
            self._pause = (since_us, until_us)

    def settle(self) -> None:
        """Move to where the track belongs at once, not in steps too small to see: nobody sees it yet."""
        self._slew.settle()

    def reliability(self) -> tuple[bool, int]:
        """To compare tracks by, where the lag of another one is asked for."""
        return self._leads, self._last_arrival_us

    def was_prompt(self, since_us: int, late_us: int) -> bool:
        """Tell whether the last packet came after `since_us`, and was late by less than `late_us`."""
        return self._last_arrival_us > since_us and self._last_late_us < late_us

    def sender_report(self, ntp_seconds: float, rtp_timestamp: int, arrival: float) -> None:
        """Take one sender report of this track: its NTP time in seconds, its 32-bit RTP timestamp.

        Before the first packet it is not used: there is no place yet to compare it with.
        """
        # RFC 3550, 6.4.1: "A sender that has no notion of wallclock or elapsed time MAY set the NTP timestamp
        # to zero."
        if not self.started or ntp_seconds == 0:
            return
        placed = self._place(self._extender.nearest(rtp_timestamp))
        arrival_us = self._timeline.elapsed_us(arrival)
        if abs(arrival_us - placed - self._lag_us) > MAX_OFFSET_US:
            self.ignored_reports += 1
            return
        before, report = self._last_report, Report(round(ntp_seconds * 1_000_000) - placed, arrival_us)
        self._last_report = report
        if before and abs(report.ntp_zero_us - before.ntp_zero_us) > REPORT_TOLERANCE_US:
            # Clocks do not jump: one of the two is wrong. The next one tells whether it was the first.
            self.ignored_reports += 1
            self._set_report(None)
        else:
            self._set_report(report)

    def align(self) -> None:
        """Aim at the place where this track plays together with the leader, if both have reported."""
        leader, own = self._timeline.leader_report, self._report
        if self._leads:
            return
        if leader is None or own is None:
            self._slew.hold()
        elif abs(own.arrival_us - leader.arrival_us) <= REPORT_LIFETIME_US:
            self.ignored_reports += not self._slew.follow_reports(own.ntp_zero_us - leader.ntp_zero_us)

    def keep_distance(self) -> None:
        """Aim at the place where this track stays with the leader, if both were heard in the last window."""
        leader, own = self._timeline.leader_lag, self._least_lag
        if not self._leads and leader.window == own.window:
            self._slew.follow_arrival(own.us - leader.us)

    def _place(self, extended: int) -> int:
        return self._anchor_us + (extended - self._anchor_timestamp) * 1_000_000 // self._clock_rate

    def _skipped_pause(self, placed: int, arrival_us: int) -> bool:
        """Tell a source that did not count its pause from a network that held everything up.

        The network holds up all tracks alike: where another one came meanwhile, or comes now and is in time,
        it was the source. Until one comes, which may be long after where the picture was muted as well, it
        stays open: what a network held up catches up.
        """
        assert self._pause is not None
        since_us, until_us = self._pause
        pause_us, late_us = until_us - since_us, arrival_us - placed - self._lag_us
        if late_us < pause_us / 2:
            self._pause = None
            return False
        if pause_us < LONG_PAUSE_US and arrival_us - until_us < BURST_US:
            return False
        # What came right after the last packet of this track came before a stall of the network, too.
        if not self._timeline.came_meanwhile(self, since_us + pause_us // 2, round(late_us / 2)):
            return False
        self._pause = None
        return True

    def _is_elsewhere(self, placed: int, arrival_us: int) -> bool:
        """Tell a packet of another source from one that is late (or early) by more than queues explain."""
        late = arrival_us - placed - self._lag_us
        if late < 0 or late > PATIENCE_US or placed < self._highest_us - MAX_OFFSET_US:
            return True
        # It went on counting from the last one but comes late: a stall, unless it lasts.
        if self._late_since_us is None:
            self._late_since_us = arrival_us
        return arrival_us - self._late_since_us > PATIENCE_US

    def _start(self, extended: int, arrival_us: int) -> None:
        self.started = True
        # Not simply at the arrival: sound may have drifted for hours when the camera is switched on.
        self._highest_us = arrival_us - round(self._timeline.lag_us(self))
        self._anchor(extended, self._highest_us, arrival_us)

    def _jump(self, extended: int, arrival_us: int) -> None:
        # After a silence the own lag is out of date.
        silent = arrival_us - self._last_arrival_us > WINDOW_US
        lag_us = self._timeline.lag_us(self) if silent else self._lag_us
        # Never back: the frames so far are out.
        due_us = max(arrival_us - round(lag_us), self._highest_us)
        self._anchor(extended, due_us, arrival_us)
        self.jumps += 1
        # What was reported was said of the old timestamps.
        self._last_report = None
        self._set_report(None)

    def _set_report(self, report: Report | None) -> None:
        self._report = report
        if self._leads:
            self._timeline.leader_reported(report)
        else:
            self.align()

    def _anchor(self, extended: int, placed: int, arrival_us: int) -> None:
        self._anchor_timestamp = extended
        self._anchor_us = placed
        self._lag_us = float(arrival_us - placed)

    def _learn_lag(self, lag_us: int, arrival_us: int) -> None:
        most = (arrival_us - self._last_arrival_us) * LAG_DRIFT
        late = lag_us - self._lag_us
        self._last_arrival_us = arrival_us
        self._last_late_us = round(late)
        if late > most:
            late = most
        elif late < -most:
            late = -most
        self._lag_us += late
        if self._least_lag.take(lag_us, arrival_us):
            if self._leads:
                self._timeline.leader_lagged(self._least_lag)
            else:
                self.keep_distance()
