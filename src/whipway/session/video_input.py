"""One input of a session: a video media description of the offer, in one layer or several (RFC 8853)."""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final

from whipway.session.auto_layer import AutoLayer
from whipway.session.track import Track, VideoTrack

OFF_AIR_BITRATE: Final = 150_000
"""Bits a second, asked for of an input that nobody sees: enough for a thumbnail, and to begin from."""


def track_state(track: Track, now: float, silence: float) -> str:
    """ "live", "muted" (nothing for `silence` seconds), or "waiting" (nothing came yet)."""
    if track.heard_at == -inf:
        return "waiting"
    # As a sum on the one side, so that it holds at the very moment that a deadline was made for.
    return "muted" if track.heard_at + silence <= now else "live"


class VideoInput:
    """`layers`: the tracks of one media description, in the order of the answer. `mid` is its name."""

    def __init__(self, layers: Sequence[VideoTrack]) -> None:
        self.layers = tuple(layers)
        self.mid = layers[0].description.mid
        self.auto = AutoLayer(self.layers)

    @property
    def is_simulcast(self) -> bool:
        """Its packets name their layer."""
        return self.layers[0].description.rid is not None

    def layer(self, rid: str | None) -> VideoTrack | None:
        """The layer of that name."""
        return next((each for each in self.layers if rid and each.description.rid == rid), None)

    def preview(self, on_air: VideoTrack | None, now: float) -> VideoTrack:
        """The track that shows the input at the least cost: the one on air, else its smallest that comes."""
        return on_air if on_air is not None and on_air in self.layers else self.auto.smallest(now)

    def describe(
        self,
        on_air: VideoTrack | None,
        now: float,
        silence: float,
        bitrate_of: Callable[[VideoTrack], int],
        fps_of: Callable[[VideoTrack], float],
    ) -> dict[str, Any]:
        """What is to be said of it, as plain data; the layer on air or the largest one stands for all."""
        shown = on_air if on_air is not None and on_air in self.layers else self.auto.largest(now)
        layers = [
            {
                "rid": layer.description.rid,
                "on_air": layer is on_air,
                "state": track_state(layer, now, silence),
                "size": layer.size and [*layer.size],
                "bitrate": bitrate_of(layer),
                "fps": fps_of(layer),
            }
            for layer in self.layers
        ]
        return {
            "mid": self.mid,
            "on_air": shown is on_air,
            "state": track_state(max(self.layers, key=lambda each: each.heard_at), now, silence),
            "size": shown.size and [*shown.size],
            "bitrate": sum(map(bitrate_of, self.layers)),
            "fps": fps_of(shown),
            "has_picture": self.preview(on_air, now).last_keyframe is not None,
            "layers": layers if self.is_simulcast else [],
        }
