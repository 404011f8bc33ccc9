"""One received track: from RTP packet to access unit or audio frame.

A packet is counted, put in order, placed on the session's timeline and unpacked, by plain calls. Lost packets
are asked for again (`missing`); after a loss that was not repaired the video track hands on nothing until the
next IDR picture, and `needs_keyframe` says that one should be asked for. A track follows one SSRC at a time
(`begin`); which one is the receiver's business.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from math import inf

from whipway.failures import DropReason, ParseError
from whipway.media.depacketizer import H264Depacketizer, continues_keyframe, starts_stream
from whipway.media.nal import NalType, nal_type
from whipway.media.opus import packet_duration
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtcp.packets import SenderReport, ntp_to_seconds
from whipway.protocol.rtp.nack import MissingPackets
from whipway.protocol.rtp.packet import Packet
from whipway.protocol.rtp.reception import ReceptionStatistics
from whipway.protocol.rtp.reorder import CAPACITY_PACKETS, ReorderBuffer
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.protocol.rtp.sequence import Extender
from whipway.protocol.rtp.timeline import Timeline, TrackClock
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.picture_memory import PictureMemory

Unit = AccessUnit | AudioFrame

PARAMETER_SETS = {NalType.SPS, NalType.PPS}
MAX_OUTAGE = 1.0
"""Seconds. Senders keep what they sent for about as long, so that nothing fills a longer hole."""
OUTAGE_PACKETS = 50
"""Missing numbers that make a hole of a pause: fewer were lost on their own, and can be had."""
START_PACKETS = 32
"""How many numbers before the first packet to come are asked for, where it is not the first that was sent."""
MIN_START_WAIT = 0.1
"""Seconds to wait for them, besides two round trips. Often there are none, and a key frame is asked for."""
LOSS_GAIN = 1 / 4
"""Of the last second in the smoothed loss."""
MIN_PAUSE = 0.1
"""Seconds without a packet that are looked into: longer than from one picture or sound to the next."""


class Track(ABC):
    """What audio and video have in common. `ssrc` is None until the first packet or the offer names it."""

    def __init__(self, description: TrackDescription, timeline: Timeline, round_trip: RoundTrip) -> None:
        self.description = description
        self.payload_types = description.payload_types
        self.ssrc: int | None = description.ssrcs[0] if description.ssrcs else None
        self.drops: Counter[DropReason] = Counter()
        self.packets = 0
        self.bytes = 0
        self.units = 0
        self.heard_at = -inf
        """When the last packet came."""
        self.pause = 0.0
        """The longest silence before a packet that came, in seconds; whoever acts upon it sets it back."""
        self.latest_us = 0
        """The newest media time of a unit."""
        self.reported_at = -inf
        """When the last sender report came."""
        self.loss = 0.0
        """Part of the packets that the network loses, before any repair; smoothed over some seconds."""
        self.clock = TrackClock(timeline, description.clock_rate, leads=description.kind == "audio")
        self._round_trip = round_trip
        self._counted = (0, 0)  # packets that came and that were lost, when the loss was last measured
        self._lost_before = 0  # by the SSRCs that were followed before
        self._repaired_before = 0
        self._starts_at: float | None = None
        """When the track begins with what is there; None once it has begun."""
        self._start()

    @property
    def lost(self) -> int:
        """Packets that never came, or too late."""
        return self._lost_before + self._reorder.lost

    @property
    def waiting(self) -> int:
        """Packets that wait for one before them."""
        return len(self._reorder)

    @property
    def repaired(self) -> int:
        """Packets that came after they were asked for again."""
        return self._repaired_before + self.missing.repaired

    def begin(self, ssrc: int, now: float) -> None:
        """Follow this SSRC from now on: its numbers have nothing to do with those so far; times go on.

        What waited behind a gap of the old one is given up with it.
        """
        self.ssrc = ssrc
        if self.packets:
            self.drops += self._reorder_drops()
            self._lost_before += self._reorder.lost
            self._repaired_before += self.missing.repaired
            self._start()
            self._unpack((None,), now)

    def receive(self, packet: Packet, now: float) -> Sequence[Unit]:
        """Take a packet of this track's SSRC; return the media units it completes."""
        sequence = self._extender.extend(packet.sequence_number)
        self.packets += 1
        self.bytes += len(packet.payload)
        if self._is_fresh:
            self._begin_with(packet, sequence, now)
        pause = now - self.heard_at
        if pause > MIN_PAUSE:
            self._note_pause(packet.timestamp, pause, now)
        self.heard_at = now
        self.statistics.received(sequence, packet.timestamp, now)
        ready = self._reorder.insert(sequence, packet, now)
        if self._starts_at is not None:
            return self._unpack(self._start_if_possible(sequence, packet, ready), now)
        if ready:
            return self._unpack(ready, now)
        if self.missing.overflowed or (pause > MAX_OUTAGE and len(self.missing) > OUTAGE_PACKETS):
            return self._unpack(self._reorder.give_up(), now)
        return ()

    def receive_next(
        self, data: bytes, start: int, number: int, timestamp: int, marker: bool, now: float
    ) -> Sequence[Unit] | None:
        """Do what `receive` does, if this is the next packet, as nearly always, and make no `Packet` of it.

        `data` has the payload from `start` on to the end. None: it is not the next one, and nothing was done.
        """
        sequence = self._extender.extend(
            number
        )  # To be done again, if it comes to that, with the same result.
        if self._starts_at is not None or now - self.heard_at > MIN_PAUSE:
            return None
        if not self._reorder.passes(sequence):
            return None
        self.packets += 1
        self.bytes += len(data) - start
        self.heard_at = now
        self.statistics.received(sequence, timestamp, now)
        return self._unpack_one(data, start, timestamp, marker, now)

    def receive_repair(self, packet: Packet, now: float) -> Sequence[Unit]:
        """Take a packet of this track's SSRC that was restored from a retransmission (RFC 4588).

        Only one that was asked for: others repeat what came already, or are of another source.
        """
        sequence = self._extender.nearest(packet.sequence_number)
        if not self.missing.was_asked(sequence):
            self.drops[DropReason.RTP_DUPLICATE] += 1
            self.missing.came_too_late(sequence, now, is_repeated=True)
            return ()
        self.missing.repeated(sequence, now)
        ready = self._reorder.insert(sequence, packet, now)
        if self._starts_at is not None:
            ready = self._start_if_possible(sequence, packet, ready)
        return self._unpack(ready, now)

    def handle_timeout(self, now: float) -> Sequence[Unit]:
        """Give up packets that did not come in time; return what can be handed on after them."""
        if self._starts_at is not None and self._starts_at <= now:
            self._starts_at = None
            return self._unpack(self._reorder.start_with_first(), now)
        return self._unpack(self._reorder.expire(now), now)

    def deadline(self) -> float | None:
        """When `handle_timeout` is wanted."""
        return self._starts_at or self._reorder.deadline()

    def sender_report(self, report: SenderReport, now: float) -> None:
        """Take the sender's word on how its RTP clock relates to wallclock time."""
        self.reported_at = now
        self.statistics.sender_report(report.ntp_timestamp, now)
        self.clock.sender_report(ntp_to_seconds(report.ntp_timestamp), report.rtp_timestamp, now)

    def measure_loss(self) -> None:
        """Close an interval of the loss: call it about once a second."""
        if self._starts_at is not None:
            return  # What is missing before the first packet may never have been sent.
        before_came, before_lost = self._counted
        came, lost = self.packets, self.missing.lost
        self._counted = (came, lost)
        expected = came - before_came + max(0, lost - before_lost)
        # Nothing is lost of a track that sends nothing: what was measured before is over by and by.
        loss = max(0, lost - before_lost) / expected if expected else 0.0
        self.loss += LOSS_GAIN * (loss - self.loss)

    def all_drops(self) -> Counter[DropReason]:
        """Every packet or unit of this track that was not used, by reason."""
        return self.drops + self._reorder_drops()

    def _note_pause(self, timestamp: int, pause: float, now: float) -> None:
        self.pause = max(self.pause, pause)
        if self.packets > 1:
            self.clock.resumes(timestamp, self.heard_at, now)

    def _begin_with(self, packet: Packet, sequence: int, now: float) -> None:
        """Take the first packet of an SSRC that comes, which need not be the first that was sent."""
        self._is_fresh = False
        if self.description.nack and self._lacks_beginning(packet):
            self._starts_at = now + MIN_START_WAIT + 2 * self._round_trip.seconds
            self._reorder.start(sequence - START_PACKETS)

    def _start_if_possible(
        self, sequence: int, packet: Packet, ready: Sequence[Packet | None]
    ) -> Sequence[Packet | None]:
        """Begin with what is `ready`, or with this packet's frame if a stream begins with such."""
        if not ready and starts_stream(packet.payload):
            ready = self._reorder.start_with_frame(sequence)
        if ready:
            self._starts_at = None
        return ready

    def _lacks_beginning(self, packet: Packet) -> bool:
        """Tell whether there must have been packets before this one, and that they are wanted."""
        return False

    def _unpack(self, packets: Sequence[Packet | None], now: float) -> Sequence[Unit]:
        """Take packets in order, None where some are lost; return the media units they complete."""
        units: list[Unit] = []
        for packet in packets:
            if packet is None:
                self._note_gap()
            elif not packet.payload:
                self.drops[DropReason.RTP_EMPTY] += 1
            else:
                units += self._unpack_one(packet.payload, 0, packet.timestamp, packet.marker, now)
        return units

    @abstractmethod
    def _unpack_one(
        self, data: bytes, start: int, timestamp: int, marker: bool, now: float
    ) -> Sequence[Unit]:
        """The media units that a payload completes: what `data` has from `start` on, which is something."""

    @abstractmethod
    def _note_gap(self) -> None:
        """Take note that packets before the next one are lost."""

    def _start(self) -> None:
        self.statistics = ReceptionStatistics(self.description.clock_rate)
        self.missing = MissingPackets(
            self._round_trip, asks=self.description.nack, repeats_apart=bool(self.description.rtx)
        )
        self._reorder = ReorderBuffer(self.missing, CAPACITY_PACKETS)
        self._extender = Extender(16)
        self._is_fresh = True
        self._starts_at = None

    def _reorder_drops(self) -> Counter[DropReason]:
        counts = {
            DropReason.RTP_DUPLICATE: self._reorder.duplicates,
            DropReason.RTP_LATE: self._reorder.late,
        }
        return Counter(counts)


class VideoTrack(Track):
    """H.264 (RFC 6184)."""

    def __init__(self, description: TrackDescription, timeline: Timeline, round_trip: RoundTrip) -> None:
        super().__init__(description, timeline, round_trip)
        self.keyframes = 0
        self.keyframe_at = -inf
        """When the last key frame was complete."""
        self.keyframe_interval = 0.0
        """Seconds from the key frame before the last one to the last."""
        self._memory = PictureMemory(description.sprop_parameter_sets)
        self._delays: tuple[int, int] | None = None
        self._depacketizer = H264Depacketizer()
        self._has_parameter_sets = bool(description.sprop_parameter_sets)
        self._timeline = timeline
        self.is_wanted = False
        """Who takes the pictures can do nothing with those that come before the next key frame."""
        self._timestamp = -1
        self._first_arrival = 0.0

    @property
    def needs_keyframe(self) -> bool:
        """True while nothing can be handed on before the next IDR picture."""
        return self._depacketizer.awaiting_idr or self.is_wanted or not self._has_parameter_sets

    def want_keyframe(self) -> None:
        """Have a key frame asked for, because who takes the pictures can do nothing with those that come."""
        self.is_wanted = True

    @property
    def last_keyframe(self) -> AccessUnit | None:
        """The last key frame, with parameter sets; not one of a size that no picture has."""
        return self._memory.last_keyframe

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the pictures; None before the first."""
        return self._memory.size if self.keyframes else None

    @property
    def profile_idc(self) -> int | None:
        """Of the last SPS in the stream (ITU-T H.264, 7.4.2.1.1)."""
        return self._memory.profile_idc

    def complete(self, keyframe: AccessUnit) -> AccessUnit:
        """The last key frame handed on, with the parameter sets that it may have left out."""
        return self._memory.complete(keyframe)

    def take_delays(self) -> tuple[int, int] | None:
        """Least and most microseconds from a picture's media time to when it was complete.

        Of those since the last call; None if there were none.
        """
        delays, self._delays = self._delays, None
        return delays

    @property
    def keyframes_begun(self) -> int:
        """Key frames of which something came, whole or not."""
        return self._depacketizer.keyframes_begun

    def all_drops(self) -> Counter[DropReason]:
        return super().all_drops() + self._depacketizer.drops

    def _unpack_one(
        self, data: bytes, start: int, timestamp: int, marker: bool, now: float
    ) -> Sequence[Unit]:
        if timestamp != self._timestamp:
            # A large picture is sent over tens of milliseconds; it was taken before the first.
            self._timestamp, self._first_arrival = timestamp, now
            self._timeline.elapsed_us(now)  # It may begin here, not with the audio that is next.
        pictures = self._depacketizer.push(data, timestamp, marker, start)
        if not pictures:
            return pictures
        units = [unit for unit in pictures if self._is_decodable(unit)]
        for unit in units:
            self._count(unit, now)
        return units

    def _note_gap(self) -> None:
        self._depacketizer.gap()

    def _lacks_beginning(self, packet: Packet) -> bool:
        return continues_keyframe(packet.payload, has_sets=self._has_parameter_sets)

    def _count(self, unit: AccessUnit, now: float) -> None:
        unit.time_us = time_us = self.clock.to_us(unit.timestamp, self._first_arrival)
        if time_us > self.latest_us:
            self.latest_us = time_us
        delay = self._timeline.elapsed_us(now) - time_us
        if self._delays is None:
            self._delays = (delay, delay)
        elif not self._delays[0] <= delay <= self._delays[1]:
            self._delays = (min(self._delays[0], delay), max(self._delays[1], delay))
        self.units += 1
        self._memory.take(unit)
        if unit.keyframe:
            self.is_wanted = False
            if self.keyframes:
                self.keyframe_interval = now - self.keyframe_at
            self.keyframes += 1
            self.keyframe_at = now

    def _is_decodable(self, unit: AccessUnit) -> bool:
        """Tell whether decoders can have the parameter sets: from the offer, or from a picture so far."""
        if not self._has_parameter_sets:
            # At first an IDR picture without them may have lost them on the way.
            self._has_parameter_sets = (
                unit.keyframe and {nal_type(nal) for nal in unit.nals} >= PARAMETER_SETS
            )
            self.drops[DropReason.H264_AWAITING_IDR] += not self._has_parameter_sets
        return self._has_parameter_sets


class AudioTrack(Track):
    """Opus (RFC 7587): every packet is a frame by itself."""

    def _unpack_one(
        self, data: bytes, start: int, timestamp: int, marker: bool, now: float
    ) -> Sequence[Unit]:
        payload = data[start:]
        try:
            packet_duration(payload)
        except ParseError as error:
            self.drops[error.reason] += 1
            return ()
        time_us = self.clock.to_us(timestamp, now)
        self.latest_us = max(self.latest_us, time_us)
        self.units += 1
        return (AudioFrame(timestamp, payload, time_us),)

    def _note_gap(self) -> None:
        pass  # The transcoder sees the gap in the times and fills it.


def make_track(description: TrackDescription, timeline: Timeline, round_trip: RoundTrip) -> Track:
    """The track for a negotiated media description."""
    kinds = {"audio": AudioTrack, "video": VideoTrack}
    return kinds[description.kind](description, timeline, round_trip)
