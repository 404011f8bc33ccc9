"""One input: its layers by name, and what is told of it."""

import pytest
from tests.unit.session.cameras import Camera, sets_of

from whipway.session.track import VideoTrack
from whipway.session.video_input import VideoInput, track_state

SILENCE = 2.0


def bitrate_of(track: VideoTrack) -> int:
    return {"h": 900, "l": 100}.get(track.description.rid or "", 400)


def fps_of(track: VideoTrack) -> float:
    return {"h": 30.0, "l": 15.0}.get(track.description.rid or "", 5.0)


def layered() -> tuple[VideoInput, Camera, Camera]:
    high, low = Camera("2", "h", size=(96, 64)), Camera("2", "l", size=(48, 40))
    return VideoInput([high.track, low.track]), high, low


@pytest.mark.parametrize(
    ("at", "state"), [(9.0, "live"), (10.0 + SILENCE - 0.01, "live"), (10.0 + SILENCE, "muted")]
)
def test_the_state_of_a_track(at, state):
    camera = Camera()
    assert track_state(camera.track, at, SILENCE) == "waiting"
    camera.send(10.0)
    assert track_state(camera.track, at, SILENCE) == state


def test_layers_by_name():
    source, high, low = layered()
    assert source.is_simulcast
    assert (source.layer("h"), source.layer("l")) == (high.track, low.track)
    assert source.layer("m") is source.layer(None) is source.layer("") is None
    plain = VideoInput([Camera().track])
    assert not plain.is_simulcast
    assert plain.layer(None) is None


def test_a_preview_is_what_is_on_air_or_costs_least():
    source, high, low = layered()
    high.send(1.0)
    assert source.preview(None, 1.0) is high.track
    low.send(1.0)
    assert source.preview(None, 1.0) is low.track
    assert source.preview(Camera().track, 1.0) is low.track
    assert source.preview(high.track, 1.0) is high.track


class TestDescription:
    def test_before_anything_came(self):
        source = VideoInput([Camera("cam").track])
        assert source.describe(None, 5.0, SILENCE, bitrate_of, fps_of) == {
            "mid": "cam",
            "on_air": False,
            "state": "waiting",
            "size": None,
            "bitrate": 400,
            "fps": 5.0,
            "has_picture": False,
            "layers": [],
        }

    def test_on_air(self):
        camera = Camera("cam", sets="offered")
        source = VideoInput([camera.track])
        camera.send(1.0)
        described = source.describe(camera.track, 1.0, SILENCE, bitrate_of, fps_of)
        assert described["on_air"] is True
        assert described["state"] == "live"
        assert described["size"] == [64, 48]
        assert described["has_picture"] is True
        assert camera.track.last_keyframe is not None
        assert camera.track.last_keyframe.nals[:2] == sets_of(64, 48)

    def test_of_layers_the_largest_stands_for_all(self):
        source, high, low = layered()
        high.send(1.0)
        low.send(2.0)
        described = source.describe(None, 3.0, SILENCE, bitrate_of, fps_of)
        assert (described["on_air"], described["state"], described["has_picture"]) == (False, "live", True)
        assert (described["size"], described["fps"], described["bitrate"]) == ([96, 64], 30.0, 1000)
        assert described["layers"] == [
            {"rid": "h", "on_air": False, "state": "muted", "size": [96, 64], "bitrate": 900, "fps": 30.0},
            {"rid": "l", "on_air": False, "state": "live", "size": [48, 40], "bitrate": 100, "fps": 15.0},
        ]

    def test_or_the_one_on_air(self):
        source, high, low = layered()
        high.send(1.0)
        low.send(1.0)
        described = source.describe(low.track, 1.0, SILENCE, bitrate_of, fps_of)
        assert (described["on_air"], described["size"], described["fps"]) == (True, [48, 40], 15.0)
        assert [layer["on_air"] for layer in described["layers"]] == [False, True]

    def test_all_layers_muted(self):
        source, high, low = layered()
        high.send(1.0)
        assert source.describe(None, 9.0, SILENCE, bitrate_of, fps_of)["state"] == "muted"
