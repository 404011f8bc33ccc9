"""What a broadcast does by the clock, beside its session: the video follows what the sinks take.

Where a sink takes less than comes, the client is asked for less before anything has to be dropped
(`relay.quality`). While the picture on air stays away, sinks that want a filler get the last key frame once a
second: players and platforms hang up on a stream without pictures.
"""

from collections.abc import Mapping
from typing import Any, Final

from whipway.relay.muxer import Muxer
from whipway.relay.quality import UPDATE_INTERVAL, Policy, QualityControl
from whipway.session.inputs import AUTO_LAYER
from whipway.session.session import Session, SessionState
from whipway.session.snapshot import media_state
from whipway.session.traffic_light import traffic_light
from whipway.worker.sinks import Sinks

FILLER_INTERVAL: Final = 1.0
"""Seconds from one filler picture to the next."""


class Steering:
    """Looks at one broadcast every `UPDATE_INTERVAL` seconds."""

    def __init__(self, session: Session, muxer: Muxer, sinks: Sinks, control: QualityControl) -> None:
        self._session = session
        self._muxer = muxer
        self._sinks = sinks
        self._control = control
        self._due = 0.0
        self._filler_due = 0.0
        self._seen: tuple[object, ...] = ()

    def deadline(self) -> float:
        """When `handle_timeout` is wanted."""
        return self._due

    def handle_timeout(self, now: float) -> bool:
        """Do what is due; whether there is something to tell others."""
        if now < self._due:
            return False
        self._due = now + UPDATE_INTERVAL
        if self._session.state is not SessionState.LIVE:
            return False
        self._follow_sinks(now)
        self._fill(now)
        seen, self._seen = self._seen, self._facts(now)
        return seen != self._seen

    def set_quality(self, values: Mapping[str, Any]) -> None:
        """Take what the API asks for (`messages.SetQuality`). Raises `UnknownLayer`, nothing changed then."""
        if "layer" in values:
            rid = values["layer"]
            self._session.inputs.select_layer(None if rid == AUTO_LAYER else rid)
        if "max_video_bitrate" in values:
            self._control.asked = values["max_video_bitrate"]
        if "policy" in values:
            self._control.policy = Policy(values["policy"])
        self._session.limit_video(self._control.cap)

    def describe(self, now: float) -> dict[str, Any]:
        """The `quality` of the session's snapshot."""
        measured = self._session.report.describe(now)
        light = traffic_light(measured)
        return {
            "asked": {
                "max_video_bitrate": self._control.asked,
                "layer": self._session.inputs.layer or AUTO_LAYER,
                "policy": self._control.policy.value,
            },
            "cap": self._control.cap,
            "limited_by": self._control.limited_by,
            "is_heard": self._session.feedback.is_heard,
            "measured": measured,
            "light": {"color": light.color, "reasons": [*light.reasons]},
        }

    def _follow_sinks(self, now: float) -> None:
        report = self._session.report
        self._control.update(self._sinks.loads(), report.on_air_bitrate(), report.audio_bitrate(), now)
        self._session.limit_video(self._control.cap)

    def _fill(self, now: float) -> None:
        if now < self._filler_due or not self._sinks.want_filler or not self._session.inputs.is_muted(now):
            return
        self._filler_due = now + FILLER_INTERVAL
        self._sinks.push(self._muxer.freeze(self._session.receiver.media_us(now)))

    def _facts(self, now: float) -> tuple[object, ...]:
        """What watchers of a status are told of at once."""
        sound = media_state(self._session, "audio", now)
        return self._control.cap, self._control.limited_by, self._session.inputs.changes, sound
