"""When to send which RTCP: reports, requests for lost packets and for key frames, congestion feedback.

RFC 3550, 6.1: every compound packet begins with a report and carries our CNAME. RFC 4585, 3.5.2: feedback
may go at once. Where the offer allows it (RFC 5506), a NACK goes by itself: it is the shorter for it, and
ffmpeg does not look for it anywhere else. A request for a key frame is repeated, less and less often, because
some encoders ignore it for good.

    what                                  when                                    where agreed on
    receiver report, reference time       once a second
    generic NACK                          a number is missing                     nack
    transport-wide arrivals (TWCC)        every 100 ms, if anything came          transport-cc
    REMB (bitrate_feedback.py)            once a second, and when a cap changes   goog-remb
    PLI, while packets come               a picture is needed that somebody sees, or what
                                          is on air had no key frame for 2.5 s
"""

from collections.abc import Iterator
from math import inf

from whipway.protocol.rtcp.extended import ReferenceTimeReport
from whipway.protocol.rtcp.feedback import PictureLossIndication
from whipway.protocol.rtcp.packets import ReceiverReport, ReportBlock, SourceDescription, seconds_to_ntp
from whipway.protocol.rtcp.transport import GenericNack
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.session.bitrate_feedback import BitrateFeedback
from whipway.session.keyframes import MAX_SILENCE, KeyframeHabit
from whipway.session.rates import Rates
from whipway.session.receiver import Receiver
from whipway.session.track import Track, VideoTrack

MAX_DATAGRAM_BYTES = 1200
"""Of one compound packet, before encryption: what fits every path."""
MAX_NUMBERS = 128
"""Asked for by one NACK; 512 octets when no two of them are neighbours."""
ARRIVAL_INTERVAL = 0.1
"""Seconds between two reports of arrivals, as browsers send them to each other at first."""
REPORT_INTERVAL = 1.0
"""RFC 3550, 6.2 would allow 5 s for a session this small; bandwidth estimators want a report a second."""
FIRST_REQUEST_INTERVAL = 0.5
"""A key frame asked for is on its way for a round trip and an encoder's delay; asking sooner doubles it."""
MAX_REQUEST_INTERVAL = 4.0
START_INTERVAL = 0.15
"""Seconds from the first packet: what encoders send first is a key frame, unless its beginning was lost."""
MAX_KEYFRAME_AGE = 2.5
"""Seconds after which a new key frame is asked for without any loss. Browsers send none of their own accord,
and whoever plays or cuts RTMP into segments waits for one; encoders set to the usual 2 s are never asked."""


class KeyframeRequest:
    """The back-off of one video track. `habit` is what the track's key frames have shown so far."""

    def __init__(self, track: VideoTrack, round_trip: RoundTrip) -> None:
        self.count = 0
        self.habit = KeyframeHabit(track, round_trip)
        self._track = track
        self._asked_at = -inf
        self._interval = FIRST_REQUEST_INTERVAL
        self._keyframes = -1  # how many had begun to come when it was asked last

    def due_at(self, *, on_air: bool = True) -> float | None:
        """When the next request is due; None while nobody is there to be asked.

        Who pauses has no picture to send: it is asked when packets come again. How far key frames are apart
        does not matter of what is not on air.
        """
        self.habit.look(counts=on_air)
        if self._track.ssrc is None:
            return None
        if not self._track.packets:
            # Who sends nothing yet is asked once: it may have a stream running.
            return None if self.count else self._asked_at
        due = self._asked_at + (FIRST_REQUEST_INTERVAL if self._is_answered() else self._interval)
        due = max(due, self.habit.resumed_at + START_INTERVAL)
        if self._track.is_wanted and on_air:
            # The last one may have been of no use, and so may be the next. Off air somebody waits for it.
            due = max(due, self._track.keyframe_at + FIRST_REQUEST_INTERVAL * 2)
        if not self._track.needs_keyframe:
            if not on_air:
                return None
            due = max(due, self._track.keyframe_at + MAX_KEYFRAME_AGE)
        return due if due <= self._track.heard_at + MAX_SILENCE else None

    def take(self, now: float, *, on_air: bool = True) -> bool:
        """Tell whether to ask now, and note it."""
        due = self.due_at(on_air=on_air)
        if due is None or now < due:
            return False
        if self._is_answered():
            self._interval = FIRST_REQUEST_INTERVAL
        else:
            self._interval = min(2 * self._interval, MAX_REQUEST_INTERVAL)
        self._keyframes = self._track.keyframes_begun
        self._asked_at = now
        self.count += 1
        self.habit.asked(now)
        return True

    def _is_answered(self) -> bool:
        # A key frame that came since answered the last request, so this is not a repetition of it; even one
        # that was damaged on the way: then the encoder does what it is asked to.
        return self._track.keyframes_begun != self._keyframes


class Feedback:
    """Composes the RTCP of one session. `cname` is ours, as is the receiver's `local_ssrc`."""

    def __init__(self, cname: str, receiver: Receiver) -> None:
        tracks = receiver.tracks
        self.requests = {
            track: KeyframeRequest(track, receiver.round_trip)
            for track in tracks
            if isinstance(track, VideoTrack)
        }
        self.rates = Rates(tracks)
        """How much comes of each track; sampled with every report."""
        self.jitters: dict[Track, float] = {}
        """In seconds, as last reported of each track (RFC 3550, 6.4.1)."""
        self._bitrates = BitrateFeedback(receiver, self.rates)
        self._receiver = receiver
        self._ssrc = receiver.local_ssrc
        self._description = SourceDescription(((self._ssrc, cname),)).serialize()
        self._empty = ReceiverReport(self._ssrc).serialize() + self._description
        self._next_report = 0.0
        self._next_arrivals = 0.0
        self._composed_at = 0.0

    @property
    def video_cap(self) -> int | None:
        """Bits a second of video that may be on air; None: as many as it likes. A change is told at once."""
        return self._bitrates.video_cap

    @video_cap.setter
    def video_cap(self, bitrate: int | None) -> None:
        self._bitrates.video_cap = bitrate

    @property
    def is_heard(self) -> bool:
        """Whether the client has agreed to take a cap."""
        return self._bitrates.is_heard

    def deadline(self) -> float:
        """When `compose` has something to say."""
        if self._bitrates.is_due:
            return self._composed_at
        due = self._next_report
        if self._receiver.arrivals.pending:
            due = min(due, self._next_arrivals)
        for track in self._receiver.tracks:
            due = min(due, track.missing.deadline())
        inputs = self._receiver.inputs
        for track, request in self.requests.items():
            at = request.due_at(on_air=track is inputs.on_air)
            # Whether anybody looks is a question of now, as `compose` asks it: what is overdue already waits
            # for somebody to look, and must not be due all that time.
            if at is not None and at < due and inputs.is_watched(track, max(at, self._composed_at)):
                due = at
        return due

    def compose(self, now: float) -> list[bytes]:
        """The RTCP datagrams to send now."""
        self._composed_at = now
        reports: list[bytes] = []
        limits = b""
        if now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL
            self.rates.sample(now)
            reports = self._reports(now)
            limits = self._bitrates.report(now)
        elif self._bitrates.is_due:
            limits = self._bitrates.compose()
        alone, together = self._repairs(now)
        packets = [*reports[1:], limits, *together, *self._keyframes(now), *self._arrivals(now)]
        return alone + self._compounds(reports, [packet for packet in packets if packet])

    def _compounds(self, reports: list[bytes], packets: list[bytes]) -> list[bytes]:
        """Packets of at most `MAX_DATAGRAM_BYTES` that begin with the report, or an empty one."""
        if not reports and not packets:
            return []
        compounds = [reports[0] + self._description if reports else self._empty]
        for packet in packets:
            if len(compounds[-1]) + len(packet) > MAX_DATAGRAM_BYTES:
                compounds.append(self._empty)
            compounds[-1] += packet
        return compounds

    def _reports(self, now: float) -> list[bytes]:
        """The receiver report, and what goes out as often."""
        blocks = []
        for track in self._receiver.tracks:
            track.measure_loss()
            if track.ssrc is not None and (reception := track.statistics.report(now)) is not None:
                blocks.append(ReportBlock(track.ssrc, *reception))
                self.jitters[track] = reception.jitter / track.description.clock_rate
        return [
            ReceiverReport(self._ssrc, tuple(blocks)).serialize(),
            # Senders that understand it answer it, and so tell the round trip; others skip it.
            ReferenceTimeReport(self._ssrc, seconds_to_ntp(now)).serialize(),
        ]

    def _repairs(self, now: float) -> tuple[list[bytes], list[bytes]]:
        """The NACKs that go by themselves, and those that do not."""
        alone: list[bytes] = []
        together: list[bytes] = []
        for track in self._receiver.tracks:
            lost = track.missing.due(now, MAX_NUMBERS)
            if lost and track.ssrc is not None:
                numbers = tuple(sequence & 0xFFFF for sequence in lost)
                nack = GenericNack(self._ssrc, track.ssrc, numbers).serialize()
                (alone if track.description.reduced_size else together).append(nack)
        return alone, together

    def _keyframes(self, now: float) -> Iterator[bytes]:
        inputs = self._receiver.inputs
        for track, request in self.requests.items():
            if not inputs.is_watched(track, now):
                continue
            if request.take(now, on_air=track is inputs.on_air) and track.ssrc is not None:
                yield PictureLossIndication(self._ssrc, track.ssrc).serialize()

    def _arrivals(self, now: float) -> Iterator[bytes]:
        arrivals = self._receiver.arrivals
        if arrivals.pending and now >= self._next_arrivals:
            self._next_arrivals = now + ARRIVAL_INTERVAL
            ssrc = next((track.ssrc for track in self._receiver.tracks if track.ssrc is not None), 0)
            for report in arrivals.compose(self._ssrc, ssrc):
                yield report.serialize()
