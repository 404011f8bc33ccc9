"""One stream on its way: pictures and sounds of the material as SRTP packets, reports, and repeats of what is
asked for.

Sans-IO but for `send`, which takes a datagram: it is called some hundred times a second for each stream. The
packets of a picture go in bursts, so that a key frame does not overrun the buffer of a socket on its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pylibsrtp import Session

from bench.speed.connecting import AUDIO_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE
from bench.speed.marks import MARK_BYTES, write_mark
from bench.speed.material import GROUP, PICTURE_INTERVAL, Material
from bench.speed.protector import Protector
from whipway.protocol.rtcp.packets import SenderReport, SourceDescription, seconds_to_ntp

RING: Final = 1024
"""Packets of video that can be sent again: four seconds."""
RESEND_WINDOW: Final = 0.5
"""Seconds in which no more than RESEND_PACKETS are sent again, about what the stream has of its own: so do
browsers, as a server that is late would be buried under repeats otherwise."""
RESEND_PACKETS: Final = 130
MIN_GROUP: Final = 8
"""Pictures from a key frame to one that is asked for: browsers keep 300 ms."""
VIDEO_CLOCK, SOUND_CLOCK = 90_000, 48_000
PICTURE_TICKS, SOUND_TICKS = 3_600, 960
_MARKER: Final = 0x80
_WALLCLOCK: Final = 3_900_000_000.0
"""NTP seconds at zero of the monotonic clock."""
_TRANSPORT_FEEDBACK, _PAYLOAD_FEEDBACK = 205, 206
_NACK, _PLI, _FIR = 1, 1, 4


@dataclass(slots=True)
class Counts:
    """What a stream did so far."""

    packets: int = 0
    octets: int = 0
    pictures: int = 0
    sounds: int = 0
    nacked: int = 0
    resent: int = 0
    key_frame_requests: int = 0
    send_errors: int = 0


class Sender:
    """`ssrcs` by kind. `opener` reads the peer's RTCP, if there is any. Picture 0 is due at `started`."""

    def __init__(
        self,
        stream: int,
        material: Material,
        ssrcs: dict[str, int],
        protector: Protector,
        opener: Session | None,
        send: Callable[[bytes], object],
        started: float,
    ) -> None:
        self.stream = stream
        self.started = started
        self.counts = Counts()
        self._material = material
        self._ssrcs = ssrcs
        self._protector = protector
        self._opener = opener
        self._send = send
        self._wide = 0
        # Begins near the end of its 16 bits, so that every run of some minutes has the wrap.
        self._sequences = dict.fromkeys(ssrcs, 0xF000)
        self._bases = {kind: (ssrc * 7919) & 0xFFFFFFFF for kind, ssrc in ssrcs.items()}
        self._media = {kind: [0, 0] for kind in ssrcs}
        """Packets and octets of payload, for reports."""
        self._ring: list[bytes] = [b""] * RING
        self._shift = 0
        """From the number of a picture to its index in the material: grows when a key frame is asked for."""
        self._resend_until = 0.0
        self._resend_left = 0
        self._pending: Iterator[tuple[int, bytes]] = iter(())

    @property
    def has_sound(self) -> bool:
        """There is an audio track."""
        return "audio" in self._ssrcs

    def begin_picture(self) -> None:
        """The next picture: its packets go by `send_burst`."""
        number = self.counts.pictures
        index = (number + self._shift) % len(self._material.pictures)
        picture = self._material.pictures[index]
        at = picture.mark_at
        head = picture.payloads[0]
        mark = write_mark(self.stream, number, index)
        payloads = [head[:at] + mark + head[at + MARK_BYTES :], *picture.payloads[1:]]
        kinds = [VIDEO_PAYLOAD_TYPE] * (len(payloads) - 1) + [VIDEO_PAYLOAD_TYPE | _MARKER]
        self._pending = zip(kinds, payloads, strict=True)
        self.counts.pictures += 1

    def send_burst(self, limit: int) -> bool:
        """Send up to `limit` packets of the picture; True when that was the last one."""
        timestamp = self._bases["video"] + (self.counts.pictures - 1) * PICTURE_TICKS
        for kind, payload in self._pending:
            self._send_packet("video", payload, kind, timestamp & 0xFFFFFFFF)
            if kind & _MARKER:
                return True
            limit -= 1
            if not limit:
                return False
        return True

    def send_sound(self) -> None:
        """Send the next Opus packet."""
        number = self.counts.sounds
        payload = self._material.sounds[number % len(self._material.sounds)]
        timestamp = self._bases["audio"] + number * SOUND_TICKS
        # RFC 7587, 4.2: the marker is for the first packet after a silence.
        kind = AUDIO_PAYLOAD_TYPE | _MARKER * (not number)
        self._send_packet("audio", payload, kind, timestamp & 0xFFFFFFFF)
        self.counts.sounds += 1

    def send_reports(self, now: float) -> None:
        """A sender report for each track."""
        for kind, clock in (("video", VIDEO_CLOCK), ("audio", SOUND_CLOCK)):
            if kind in self._ssrcs:
                ssrc = self._ssrcs[kind]
                timestamp = self._bases[kind] + round((now - self.started) * clock)
                at, (packets, octets) = seconds_to_ntp(_WALLCLOCK + now), self._media[kind]
                report = SenderReport(ssrc, at, timestamp & 0xFFFFFFFF, packets, octets)
                name = SourceDescription(((ssrc, "bench"),))
                self._transmit(self._protector.protect_rtcp(report.serialize() + name.serialize()))

    def receive_rtcp(self, data: bytes, now: float) -> None:
        """Do what the peer's feedback asks for."""
        if self._opener is None:
            return
        packet = self._opener.unprotect_rtcp(data)
        at = 0
        while at < len(packet):
            end = at + 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
            fmt, kind = packet[at] & 0x1F, packet[at + 1]
            if kind == _TRANSPORT_FEEDBACK and fmt == _NACK:
                if now >= self._resend_until:
                    self._resend_until, self._resend_left = now + RESEND_WINDOW, RESEND_PACKETS
                self._repeat(packet[at + 8 : end])
            elif kind == _PAYLOAD_FEEDBACK and fmt in (_PLI, _FIR):
                self._begin_group()
            at = end

    def _send_packet(self, track: str, payload: bytes, kind: int, timestamp: int) -> None:
        sequence = self._sequences[track]
        self._wide = wide = self._wide + 1 & 0xFFFF
        datagram = self._protector.protect(payload, kind, sequence, timestamp, self._ssrcs[track], wide)
        self._sequences[track] = sequence + 1 & 0xFFFF
        sums = self._media[track]
        sums[0] += 1
        sums[1] += len(payload)
        if track == "video":
            self._ring[sequence % RING] = datagram
        self._transmit(datagram)

    def _transmit(self, datagram: bytes) -> None:
        try:
            self._send(datagram)
        except OSError:
            # A full buffer, or nobody listens any more: the first is mended as any loss is.
            self.counts.send_errors += 1
            return
        self.counts.packets += 1
        self.counts.octets += len(datagram)

    def _repeat(self, body: bytes) -> None:
        """RFC 4585, 6.2.1: the media's SSRC, then pairs of a number and a mask of the 16 after it."""
        if int.from_bytes(body[:4], "big") != self._ssrcs["video"]:
            return
        for at in range(4, len(body), 4):
            first = int.from_bytes(body[at : at + 2], "big")
            mask = int.from_bytes(body[at + 2 : at + 4], "big") << 1 | 1
            for bit in range(17):
                if mask >> bit & 1:
                    self._repeat_one(first + bit & 0xFFFF)

    def _repeat_one(self, sequence: int) -> None:
        self.counts.nacked += 1
        datagram = self._ring[sequence % RING]
        # The number is in the clear (RFC 3711, 3.1): the ring may have gone round since.
        if datagram[2:4] == sequence.to_bytes(2, "big") and self._resend_left:
            self._resend_left -= 1
            self.counts.resent += 1
            self._transmit(datagram)

    def _begin_group(self) -> None:
        """The next picture is a key frame, unless there was one just now."""
        self.counts.key_frame_requests += 1
        place = (self.counts.pictures + self._shift) % GROUP
        if place >= MIN_GROUP:
            self._shift += GROUP - place


def picture_due(sender: Sender) -> float:
    """When the next picture is to be sent."""
    return sender.started + sender.counts.pictures * PICTURE_INTERVAL
