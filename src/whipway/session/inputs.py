"""Which of a session's pictures are on air: one track of one input, and how another takes its place.

An offer may have several inputs (camera, screen), and an input several layers (simulcast); each layer is a
track. All of them are received, but only the pictures of the track on air leave the session. Another track is
`wanted` first: a key frame is asked for, and what is on air stays there until that key frame is complete, so
that nobody sees black or a picture that stands still. The first picture behind such a cut has its own
parameter sets, and nothing of the old track comes after it.

A picture that was muted goes on with a key frame, too: in the meantime players may have been fed something
else. Where one picture is all there is to choose from, all this costs a comparison for each access unit.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final

from whipway.failures import DropReason, ParseError
from whipway.media.nal import has_recovery_point
from whipway.media.parameter_sets import ParameterSets
from whipway.media.unit import AccessUnit
from whipway.session.auto_layer import LOOK_INTERVAL
from whipway.session.track import VideoTrack
from whipway.session.video_input import OFF_AIR_BITRATE, VideoInput, track_state

AUTO_LAYER: Final = "auto"
"""The word of the API for whichever layer is best; it takes the place of a rid."""
THUMBNAIL_AGE: Final = 2.5
"""Seconds after which a newer key frame is asked for, to show an input that is off air."""
THUMBNAIL_INTEREST: Final = 5.0
"""Seconds for which an input counts as looked at, whose thumbnail was asked for."""
IDR_PATIENCE: Final = 10.0
"""Seconds for which an IDR is waited for after a mute, before a recovery point will do: encoders with intra
refresh may never send another IDR."""


class UnknownInput(Exception):
    """The session has no such input. The argument is the mid."""


class UnknownLayer(Exception):
    """The input on air, or about to be, has no such layer. The argument is the rid."""


class Inputs:
    """The video tracks of one session. `video_silence`: seconds without a packet that make a mute."""

    def __init__(self, tracks: Sequence[VideoTrack], video_silence: float = 2.0) -> None:
        self.tracks = tuple(tracks)
        self.on_air: VideoTrack | None = tracks[0] if tracks else None
        """Whose pictures leave. At first the first input's, in the layer whose key frame comes first."""
        self.wanted: VideoTrack | None = None
        """What is to go on air with its next key frame."""
        self.layer: str | None = None
        """The rid that was asked for; None: the best one. It holds for each input that has such a layer."""
        self.cap: int | None = None
        """Bits a second of video that may be on air, for the choice of the best layer."""
        self.changes = 0
        """Grows when another track is on air or wanted, or the picture is muted or comes again."""
        self.asked = 0
        """Grows when something is asked for, so that whoever knows a deadline looks again."""
        self.video_silence = video_silence
        self._inputs = _group(self.tracks)
        self._input_of = {track: each for each in self._inputs for track in each.layers}
        self._simulcast = [each for each in self._inputs if each.is_simulcast]
        self._has_begun = False
        """Some picture has left."""
        self._awaits_idr = True
        """Nothing leaves before an IDR: at first, and after a mute."""
        self._resumed_at = 0.0
        """When pictures came again after a mute."""
        self._was_muted = False
        self._look_at = 0.0
        self._thumbnails: dict[VideoTrack, float] = {}
        """When a thumbnail was asked for last."""

    def take(self, track: VideoTrack, units: Sequence[AccessUnit], now: float) -> Sequence[AccessUnit]:
        """Those of a track's access units that go on the air."""
        if track is self.on_air and not track.pause and not self._awaits_idr:
            return units
        if track is self.wanted or self._may_begin_with(track):
            return self._cut_to(track, units, now)
        if track is self.on_air:
            return self._go_on(track, units, now)
        return ()

    def select_input(self, mid: str, now: float) -> None:
        """Have this input go on air, or stay there. Raises UnknownInput."""
        self.asked += 1
        source = self._find(mid)
        chosen = [track for track in (self.wanted, self.on_air) if track in source.layers]
        self._want(self._choose(source, chosen[0] if chosen else None, now))

    def select_layer(self, rid: str | None) -> None:
        """Have this layer of the input on air, or wanted; None: the best one. Raises UnknownLayer."""
        self.asked += 1
        current = self.wanted or self.on_air
        layer = self._input_of[current].layer(rid) if current else None
        if rid is not None and layer is None:
            raise UnknownLayer(rid)
        self.layer = rid
        if layer is not None:
            self._want(layer)
        self._look_at = 0.0

    def is_watched(self, track: VideoTrack, now: float) -> bool:
        """Whether somebody sees the track, so that what is wrong with it matters.

        That is what is on air or wanted, or was asked for a thumbnail of. A layer beside those is watched
        until a picture of it came: how large it is decides about it.
        """
        if track is self.on_air or track is self.wanted:
            return True
        if now - self._thumbnails.get(track, -inf) < THUMBNAIL_INTEREST:
            return True
        current = self.wanted or self.on_air
        return not track.keyframes and current is not None and current in self._input_of[track].layers

    def want_thumbnail(self, mid: str, now: float) -> AccessUnit | None:
        """The last key frame of an input, with parameter sets; None before the first. Raises UnknownInput.

        A newer one is asked for if it is old.
        """
        self.asked += 1
        track = self._find(mid).preview(self.on_air, now)
        self._thumbnails[track] = now
        if now - track.keyframe_at > THUMBNAIL_AGE:
            track.want_keyframe()
        return track.last_keyframe

    def is_muted(self, now: float) -> bool:
        """Whether the track on air came once, and does not come now."""
        return self.on_air is not None and self._is_silent(self.on_air, now)

    def handle_timeout(self, now: float) -> None:
        """Notice a mute, and look whether another layer is better."""
        self._note_mute(now)
        if now < self._look_at:
            return
        self._look_at = now + LOOK_INTERVAL
        for each in self._simulcast:
            each.auto.measure(now)
        current = self.wanted or self.on_air
        # At first, whichever layer comes begins.
        if current is not None and (self._has_begun or current is not self.on_air):
            self._want(self._choose(self._input_of[current], current, now))

    def deadline(self, now: float) -> float:
        """When `handle_timeout` is wanted; infinite if never."""
        if self.on_air is None:
            return inf
        if self.is_muted(now) != self._was_muted:
            return now
        heard_at = self.on_air.heard_at
        due = inf if self._was_muted or heard_at == -inf else heard_at + self.video_silence
        if self._simulcast and any(track.packets for track in self.tracks):
            due = min(due, self._look_at)
        return due

    def describe(
        self, now: float, bitrate_of: Callable[[VideoTrack], int], fps_of: Callable[[VideoTrack], float]
    ) -> list[dict[str, Any]]:
        """The inputs as plain data, in the order of the offer."""
        return [
            {
                **each.describe(self.on_air, now, self.video_silence, bitrate_of, fps_of),
                "asked_bitrate": self.cap if self._is_shown(each) else OFF_AIR_BITRATE,
            }
            for each in self._inputs
        ]

    def _is_shown(self, source: VideoInput) -> bool:
        """Whether it is on air, or is to be: then it may send what it likes, under the cap."""
        return self.on_air in source.layers or self.wanted in source.layers

    def _is_silent(self, track: VideoTrack, now: float) -> bool:
        return track_state(track, now, self.video_silence) == "muted"

    def _find(self, mid: str) -> VideoInput:
        for each in self._inputs:
            if each.mid == mid:
                return each
        raise UnknownInput(mid)

    def _choose(self, source: VideoInput, current: VideoTrack | None, now: float) -> VideoTrack:
        """The layer of an input to have: the one asked for if it has such, else the best one.

        The best one stands in for a layer that comes no more while others do. Browsers leave out a layer that
        is too much for a cap, and nobody who asked for a layer wants no picture in its place.
        """
        layer = source.layer(self.layer)
        if layer is None or (source.auto.comes(now) and self._is_silent(layer, now)):
            return source.auto.choose(current, self.cap, now)
        return layer

    def _want(self, track: VideoTrack) -> None:
        wanted = None if track is self.on_air else track
        if wanted is self.wanted:
            return
        self.wanted = wanted
        self.changes += 1
        if wanted is not None:
            wanted.clock.settle()
            wanted.want_keyframe()

    def _may_begin_with(self, track: VideoTrack) -> bool:
        """While nothing was on air yet, any layer of the input that is to begin will do."""
        if self._has_begun or self.on_air is None:
            return False
        return self._input_of[track] is self._input_of[self.on_air]

    def _cut_to(self, track: VideoTrack, units: Sequence[AccessUnit], now: float) -> Sequence[AccessUnit]:
        """Put a track on air with the first key frame among its units."""
        start = _first_keyframe(units)
        if start == len(units):
            return ()
        first = track.complete(units[start])
        if track is not self.on_air and not _is_readable(first):
            # What is on air does not give way to pictures that nobody could be shown.
            track.drops[DropReason.H264_MALFORMED] += 1
            return ()
        if track is self.wanted:
            self.wanted = None
        self._has_begun, self._awaits_idr = True, False
        track.pause = 0.0
        if track is self.on_air:  # The very first picture, which nothing comes before.
            return units[start:]
        self.on_air = track
        self.changes += 1
        self._note_mute(now)
        first.is_cut = True
        return [first, *units[start + 1 :]]

    def _go_on(self, track: VideoTrack, units: Sequence[AccessUnit], now: float) -> Sequence[AccessUnit]:
        """After a pause of the track on air, drop what comes before an IDR if it was a mute."""
        if track.pause >= self.video_silence:
            self._awaits_idr, self._resumed_at = True, now
        track.pause = 0.0
        self._note_mute(now)
        start = self._find_start(units, now) if self._awaits_idr else 0
        track.drops[DropReason.H264_AWAITING_IDR] += start
        if start == len(units):
            track.want_keyframe()
        elif self._awaits_idr:
            self._awaits_idr = False
            units[start].is_entry = not units[start].keyframe
        return units[start:]

    def _find_start(self, units: Sequence[AccessUnit], now: float) -> int:
        """The index of the first unit to go on with after a mute, or how many there are if none will do."""
        start = _first_keyframe(units)
        if start == len(units) and now - self._resumed_at >= IDR_PATIENCE:
            heals = (index for index, unit in enumerate(units) if any(map(has_recovery_point, unit.nals)))
            return next(heals, start)
        return start

    def _note_mute(self, now: float) -> None:
        is_muted = self.is_muted(now)
        if is_muted != self._was_muted:
            self._was_muted = is_muted
            self.changes += 1


def _group(tracks: Sequence[VideoTrack]) -> tuple[VideoInput, ...]:
    """The inputs, in order; their layers as well."""
    layers: dict[str | None, list[VideoTrack]] = {}
    for track in tracks:
        layers.setdefault(track.description.mid, []).append(track)
    return tuple(map(VideoInput, layers.values()))


def _is_readable(keyframe: AccessUnit) -> bool:
    """Whether its parameter sets, which it has all of, make a sequence header."""
    try:
        return ParameterSets(keyframe.nals).configuration() is not None
    except ParseError:
        return False


def _first_keyframe(units: Sequence[AccessUnit]) -> int:
    """The index of the first key frame, or how many there are if none is one."""
    return next((index for index, unit in enumerate(units) if unit.keyframe), len(units))
