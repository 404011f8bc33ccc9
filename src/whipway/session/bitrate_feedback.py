"""What the client is asked to send at most: REMB (`rtcp.remb`), of the video on air and of all other media.

A cap is meant for the video on air, but libwebrtc takes a REMB for the whole of its transport, whatever SSRCs
it names, and the last one in a compound packet counts. So the last one has the cap and what goes beside it,
and before it, for senders that go by SSRC, stands one for each input off air. libwebrtc keeps to it for ever:
a cap is lifted by a high one, and from the first cap on one goes out with every report. Who does not speak
transport-wide feedback gets an estimate by loss as well, and the lower of both counts.

What libwebrtc makes of a REMB R (measured with Chromium, 300 kbit/s to 6 Mbit/s, pictures easy and hard):
it reserves the sound's bitrate limit (whether the sound takes it or not) and 56 kbit/s more, and of the rest
80 to 90 % are payload of video, within a second:   R = cap / 0.82 + sound + 56 kbit/s
Without transport-wide feedback it reserves nothing. What still is too much is trimmed by measuring.
"""

from math import inf
from typing import Final

from whipway.protocol.rtcp.remb import BitrateEstimate, LossBasedEstimator
from whipway.session.rates import Rates
from whipway.session.receiver import Receiver
from whipway.session.track import Track, VideoTrack
from whipway.session.video_input import OFF_AIR_BITRATE

UNLIMITED: Final = 100_000_000
"""Bits a second, to lift a cap: more than anybody sends."""
VIDEO_SHARE: Final = 0.82
"""Of what is not reserved; the rest is for headers and for libwebrtc's caution."""
RESERVE: Final = 30_000
"""Bits a second that are not used for video in any case."""
SOUND_HEADERS: Final = 26_000
"""Bits a second: 50 packets of Opus with 65 bytes of IP, UDP, RTP and SRTP."""
USUAL_SOUND: Final = 64_000
"""Bits a second that libwebrtc reserves for stereo unless told otherwise. Silence takes far less."""
SOUND_DECAY: Final = 0.98
"""A second, of the loudest sound: speech pauses, and limits are seldom changed."""
CORRECTION_DELAY: Final = 4.0
"""Seconds from a change to the first look: one to take effect, three to measure."""
CORRECTION_INTERVAL: Final = 3.0
"""Seconds; there is a key frame in most."""
MAX_RISE: Final = 1.05
"""Of the trim in one step. A quiet picture needs little, and is no reason to allow more."""
MIN_TRIM: Final = 0.5


class BitrateFeedback:
    """Composes the REMBs of one session. `rates` is sampled by whoever calls `report`."""

    def __init__(self, receiver: Receiver, rates: Rates) -> None:
        self.video_cap: int | None = None
        """Bits a second of video on air; None: no limit."""
        self._receiver = receiver
        self._inputs = receiver.inputs
        self._rates = rates
        video = self._inputs.tracks
        self.is_heard = any(track.description.remb for track in video)
        """The client has agreed to REMB."""
        self._has_transport_cc = any(track.description.transport_cc_extension_id for track in video)
        self._estimator = LossBasedEstimator()
        self._estimate: int | None = None
        self._steers = self.is_heard and len({track.description.mid for track in video}) > 1
        """There is more to say than an estimate: off air, or a cap, once there was one."""
        self._told: tuple[int | None, int] = (None, 0)  # the cap, and the changes of what is on air
        self._sound = 0.0
        self._trim = 1.0
        self._trimmed: tuple[int | None, VideoTrack | None] = (None, None)
        self._trim_at = inf

    @property
    def is_due(self) -> bool:
        """Whether there is something that the client should know before the next report."""
        cap, changes = self._told
        if cap != self.video_cap:
            return self.is_heard
        return self._steers and changes != self._inputs.changes

    def report(self, now: float) -> bytes:
        """What goes with each report, about once a second; it looks at what came as well."""
        self._measure(now)
        self._correct(now)
        return self.compose()

    def compose(self) -> bytes:
        """The REMBs that there are now. They belong into one compound packet, in this order."""
        self._told = (self.video_cap, self._inputs.changes)
        self._steers = self._steers or (self.is_heard and self.video_cap is not None)
        if not self._steers:
            return self._write(self._estimate, self._inputs.tracks)
        total = self._total()
        if self._estimate is not None:
            total = min(total, self._estimate)
        return self._off_air() + self._write(total, self._receiver.tracks)

    def _write(self, bitrate: int | None, tracks: tuple[Track, ...] | list[VideoTrack]) -> bytes:
        ssrcs = tuple(track.ssrc for track in tracks if track.ssrc is not None)
        if bitrate is None or not ssrcs:
            return b""
        return BitrateEstimate(self._receiver.local_ssrc, bitrate, ssrcs).serialize()

    def _off_air(self) -> bytes:
        """One for each input that nobody sees."""
        shown = {
            each.description.mid for each in (self._inputs.on_air, self._inputs.wanted) if each is not None
        }
        hidden: dict[str | None, list[VideoTrack]] = {}
        for track in self._inputs.tracks:
            if track.description.mid not in shown:
                hidden.setdefault(track.description.mid, []).append(track)
        return b"".join(self._write(OFF_AIR_BITRATE, tracks) for tracks in hidden.values())

    def _total(self) -> int:
        """What all media together may take for the video on air to keep to the cap."""
        cap = self.video_cap
        if cap is None:
            return UNLIMITED
        main = self._inputs.wanted or self._inputs.on_air
        # An input beside it is as much for libwebrtc, and gets the same; if it takes less, that is known.
        beside = sum(
            min(self._rates.bitrate(track), cap)
            for track in self._inputs.tracks
            if track is not main and not _is_larger_layer(track, main)
        )
        return round((cap * self._trim + beside) / VIDEO_SHARE + self._reserved())

    def _measure(self, now: float) -> None:
        if self.is_heard and not self._has_transport_cc:
            loss = max(track.loss for track in self._inputs.tracks)
            if any(track.ssrc is not None for track in self._inputs.tracks):
                self._estimate = self._estimator.update(loss, now)
        for track in self._receiver.tracks:
            if track.description.kind == "audio":
                self._sound = max(self._rates.bitrate(track), self._sound * SOUND_DECAY)

    def _reserved(self) -> float:
        """Bits a second that libwebrtc sets aside before video gets anything."""
        if not self._has_transport_cc:
            return 0.0
        if all(track.description.kind != "audio" for track in self._receiver.tracks):
            return RESERVE
        return RESERVE + SOUND_HEADERS + max(self._sound, USUAL_SOUND)

    def _correct(self, now: float) -> None:
        """Trim what is asked for by what came of it."""
        cap, on_air = self.video_cap, self._inputs.on_air
        if (cap, on_air) != self._trimmed:
            self._trimmed = (cap, on_air)
            self._trim_at = now + CORRECTION_DELAY
        if now < self._trim_at or cap is None or on_air is None:
            return
        self._trim_at = now + CORRECTION_INTERVAL
        sent = self._rates.bitrate(on_air, CORRECTION_INTERVAL)
        rise = min(cap / sent, MAX_RISE) if sent else MAX_RISE
        self._trim = max(MIN_TRIM, min(self._trim * rise, 1.0))


def _is_larger_layer(track: VideoTrack, main: VideoTrack | None) -> bool:
    """Of the same picture: under a cap the sender leaves it out, and the lower ones come first."""
    if (
        main is None
        or track.description.mid != main.description.mid
        or track.size is None
        or main.size is None
    ):
        return False
    return track.size[0] * track.size[1] > main.size[0] * main.size[1]
