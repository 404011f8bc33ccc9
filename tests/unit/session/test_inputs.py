"""What goes on the air: cuts from track to track, mutes, layers, thumbnails. All pictures are real H.264."""

from contextlib import suppress
from math import inf
from random import Random

import pytest
from tests.peers import x264
from tests.unit.session.cameras import GROUP, Camera, sets_of

from whipway.failures import DropReason
from whipway.media.nal import has_recovery_point
from whipway.media.unit import AccessUnit
from whipway.protocol.rtp.timeline import Timeline
from whipway.session.auto_layer import LOOK_INTERVAL, MAX_SILENCE, SETTLING_TIME
from whipway.session.inputs import (
    IDR_PATIENCE,
    THUMBNAIL_AGE,
    THUMBNAIL_INTEREST,
    Inputs,
    UnknownInput,
    UnknownLayer,
)
from whipway.session.track import VideoTrack
from whipway.session.video_input import OFF_AIR_BITRATE

FRAME = 0.04
SILENCE = 2.0
SMALL, MIDDLE, LARGE = (48, 40), (64, 48), (96, 64)


class Studio:
    """Cameras of one session; all those that roll send one picture every `FRAME` seconds."""

    def __init__(self, *cameras: Camera) -> None:
        self.cameras = cameras
        self.inputs = Inputs([camera.track for camera in cameras], SILENCE)
        self.rolling = list(cameras)
        self.aired: list[AccessUnit] = []
        self.sources: list[Camera] = []
        """Of each unit in `aired`."""
        self.now = 100.0

    def send(self, camera: Camera) -> None:
        """One picture of one camera."""
        if units := camera.send(self.now):
            taken = self.inputs.take(camera.track, units, self.now)
            self.aired += taken
            self.sources += [camera] * len(taken)

    def roll(self, pictures: int) -> None:
        """So many pictures of all cameras that roll, with the time there is between them."""
        for _ in range(pictures):
            self.wait(FRAME)
            for camera in self.rolling:
                self.send(camera)

    def wait(self, seconds: float) -> None:
        """Let time pass, and do what is due in it."""
        end = self.now + seconds
        while (due := self.inputs.deadline(self.now)) <= end:
            self.now = max(self.now, due)
            self.inputs.handle_timeout(self.now)
            assert self.inputs.deadline(self.now) > self.now
        self.now = end

    def select(self, mid: str) -> None:
        self.inputs.select_input(mid, self.now)

    @property
    def digests(self) -> list[str]:
        """Of the decoded pictures; decoding makes no error."""
        decoded = x264.decode(unit.nals for unit in self.aired)
        assert decoded.errors == []
        assert len(decoded.digests) == len(self.aired)
        return decoded.digests

    @property
    def cuts(self) -> list[int]:
        return [index for index, unit in enumerate(self.aired) if unit.is_cut]


def sent_by(camera: Camera, *spans: tuple[int, int]) -> list[str]:
    """Digests of the pictures that a camera sent, from index to index, as they are without any cut."""
    digests = x264.decode(camera.pictures).digests
    return [digests[index % len(digests)] for first, end in spans for index in range(first, end)]


def two(**options) -> tuple[Studio, Camera, Camera]:
    """A camera on air, and a screen that sends as well."""
    timeline = Timeline()
    camera = Camera("1", timeline=timeline)
    screen = Camera("2", timeline=timeline, **{"size": LARGE, **options})
    return Studio(camera, screen), camera, screen


def test_whoever_asks_for_something_is_noticed():
    """A deadline that was known before is out of date then."""
    studio, _, _ = two()
    inputs = studio.inputs
    studio.select("2")
    inputs.select_layer(None)
    inputs.want_thumbnail("1", studio.now)
    assert inputs.asked == 3
    studio.roll(2)
    assert inputs.asked == 3


class TestPlain:
    def test_every_picture_leaves_as_it_is(self):
        camera = Camera()
        inputs = Inputs([camera.track])
        assert inputs.on_air is camera.track
        for index in range(10):
            units = camera.send(100.0 + index * FRAME)
            assert list(inputs.take(camera.track, units, 100.0 + index * FRAME)) == units
            assert not units[0].is_cut
        assert inputs.changes == 0

    def test_no_video(self):
        inputs = Inputs([])
        assert inputs.on_air is inputs.wanted is None
        inputs.handle_timeout(1.0)
        inputs.select_layer(None)
        assert inputs.deadline(1.0) == inf
        assert not inputs.is_muted(1.0)
        assert inputs.describe(1.0, lambda track: 0, lambda track: 0.0) == []
        with pytest.raises(UnknownLayer):
            inputs.select_layer("h")


class TestCut:
    def test_the_first_stays_until_the_second_has_a_key_frame(self):
        studio, camera, screen = two()
        studio.roll(6)
        studio.select("2")
        assert (studio.inputs.on_air, studio.inputs.wanted) == (camera.track, screen.track)
        assert screen.track.needs_keyframe
        studio.roll(2)  # Up to the picture before the IDR.
        assert studio.sources == [camera] * 8
        studio.roll(6)
        assert (studio.inputs.on_air, studio.inputs.wanted) == (screen.track, None)
        assert studio.sources == [camera] * 9 + [screen] * 6
        assert studio.cuts == [9]
        assert studio.digests == sent_by(camera, (0, 9)) + sent_by(screen, (8, 14))
        assert not screen.track.needs_keyframe
        assert screen.track.all_drops() == camera.track.all_drops() == {}

    def test_nothing_of_the_old_one_leaves_after_it(self):
        studio, camera, screen = two()
        studio.roll(4)
        studio.select("2")
        studio.rolling = [screen, camera]  # The IDR comes first.
        studio.roll(4)
        assert studio.sources == [camera] * 4 + [screen] * 4
        assert studio.digests == sent_by(camera, (0, 4)) + sent_by(screen, (4, 8))

    def test_forth_and_back(self):
        studio, camera, screen = two()
        for index in range(6):
            studio.roll(GROUP + 1)
            studio.select("12"[index % 2 == 0])
        assert len(studio.cuts) == 5
        # The camera sends first: where the screen takes over, both have a picture of that moment.
        assert len(studio.digests) == 6 * (GROUP + 1) + 3

    def test_different_parameter_sets(self):
        studio, _camera, _screen = two()
        studio.roll(4)
        studio.select("2")
        studio.roll(4)
        [cut] = studio.cuts
        assert studio.aired[cut].nals[:2] == sets_of(*LARGE) != sets_of(*MIDDLE)

    def test_identical_parameter_sets(self):
        studio, camera, screen = two(size=MIDDLE)
        studio.roll(4)
        studio.select("2")
        studio.roll(4)
        [cut] = studio.cuts
        assert studio.aired[cut].nals[:2] == sets_of(*MIDDLE) == studio.aired[0].nals[:2]
        assert studio.digests == sent_by(camera, (0, 5)) + sent_by(screen, (4, 8))

    @pytest.mark.parametrize("sets", ["once", "offered"])
    def test_parameter_sets_that_the_key_frame_leaves_out(self, sets):
        studio, camera, screen = two(sets=sets)
        studio.roll(6)
        studio.select("2")
        studio.roll(6)
        [cut] = studio.cuts
        assert studio.aired[cut].nals[:2] == sets_of(*LARGE)
        # The next key frames are again as they come.
        assert studio.aired[-1].nals != studio.aired[cut].nals
        assert studio.digests == sent_by(camera, (0, cut)) + sent_by(screen, (8, 12))

    @pytest.mark.parametrize("sets", [[b"\x67\xff", b"\x68\xce"], [b"\x67\x42"], []])
    def test_what_nobody_can_read_does_not_go_on_air(self, sets):
        studio, camera, screen = two()
        studio.rolling = [camera]
        studio.roll(4)
        studio.select("2")
        broken = AccessUnit(0, [*sets, b"\x65\x88"], True)
        assert studio.inputs.take(screen.track, [broken], studio.now) == ()
        assert (studio.inputs.on_air, studio.inputs.wanted) == (camera.track, screen.track)
        assert screen.track.drops == {DropReason.H264_MALFORMED: 1}
        studio.rolling.append(screen)
        studio.roll(4)
        assert studio.inputs.on_air is screen.track

    def test_times_are_those_of_the_one_timeline(self):
        studio, _camera, _screen = two()
        studio.roll(6)
        studio.select("2")
        studio.roll(6)
        times = [unit.time_us for unit in studio.aired]
        steps = [after - before for before, after in zip(times, times[1:], strict=False)]
        # Only where both had a picture of the same moment, that moment is there twice.
        assert sorted(set(steps)) == [0, 40_000]
        assert steps.count(0) == 1

    def test_what_was_to_be_slewed_is_in_its_place_before_it_is_seen(self):
        studio, camera, screen = two()
        studio.roll(6)
        screen.track.clock._slew.follow_reports(500_000)
        studio.select("2")
        assert screen.track.clock.correction_us == 500_000
        assert camera.track.clock.correction_us == 0

    def test_several_units_at_once(self):
        studio, camera, screen = two()
        studio.roll(1)
        studio.select("2")
        late = [unit for index in range(7) for unit in screen.send(studio.now)]
        taken = studio.inputs.take(screen.track, late, studio.now)
        # The first IDR it was sent of; after the first picture of `roll`.
        assert [unit.keyframe for unit in taken] == [True, False, False, False]
        assert studio.inputs.on_air is screen.track

    def test_before_anything_was_on_air(self):
        studio, _camera, screen = two()
        studio.rolling = [screen]
        studio.roll(5)
        assert studio.aired == []
        studio.select("2")
        studio.roll(4)
        assert studio.cuts == [0]
        assert studio.digests == sent_by(screen, (8, 9))


class TestSelection:
    def test_an_input_that_sends_nothing_is_waited_for(self):
        studio, camera, screen = two()
        studio.rolling = [camera]
        studio.roll(4)
        studio.select("2")
        studio.roll(100)
        assert studio.inputs.wanted is screen.track
        assert studio.sources == [camera] * 104
        studio.rolling.append(screen)
        studio.roll(1)
        assert studio.inputs.on_air is screen.track

    def test_an_input_that_comes_again_in_the_middle_of_a_group(self):
        studio, camera, screen = two()
        studio.roll(2)
        studio.rolling = [camera]
        studio.roll(100)
        studio.select("2")
        studio.rolling = [camera, screen]
        studio.roll(2)
        assert studio.inputs.on_air is camera.track
        studio.roll(1)
        assert studio.inputs.on_air is screen.track
        assert studio.digests[-1:] == sent_by(screen, (4, 5))

    def test_what_is_on_air_cancels_a_switch(self):
        studio, camera, screen = two()
        studio.roll(4)
        studio.select("2")
        studio.select("1")
        assert (studio.inputs.on_air, studio.inputs.wanted) == (camera.track, None)
        studio.roll(8)
        assert studio.sources == [camera] * 12

    def test_another_one_takes_its_place(self):
        cameras = [Camera(mid) for mid in "123"]
        studio = Studio(*cameras)
        studio.roll(4)
        studio.select("2")
        studio.select("3")
        assert studio.inputs.wanted is cameras[2].track
        studio.roll(4)
        assert studio.sources == [cameras[0]] * 5 + [cameras[2]] * 4

    def test_each_change_counts_once(self):
        studio, _camera, _screen = two()
        studio.roll(4)
        assert studio.inputs.changes == 0
        studio.select("1")
        assert studio.inputs.changes == 0
        for _ in range(2):
            studio.select("2")
            assert studio.inputs.changes == 1
        studio.roll(1)
        assert studio.inputs.changes == 2

    @pytest.mark.parametrize("mid", ["", "3", "video", "1 ", "\0"])
    def test_unknown(self, mid):
        studio, camera, _screen = two()
        with pytest.raises(UnknownInput):
            studio.select(mid)
        with pytest.raises(UnknownInput):
            studio.inputs.want_thumbnail(mid, 1.0)
        assert (studio.inputs.on_air, studio.inputs.wanted) == (camera.track, None)


class TestMute:
    def mute(self, studio: Studio, seconds: float) -> None:
        """Nothing of any camera; the next picture comes so long after the last one."""
        studio.wait(seconds - FRAME)

    def test_it_goes_on_with_a_key_frame(self):
        camera = Camera()
        studio = Studio(camera)
        studio.roll(6)
        self.mute(studio, SILENCE)
        studio.roll(1)
        assert len(studio.aired) == 6
        assert camera.track.all_drops() == {DropReason.H264_AWAITING_IDR: 1}
        assert camera.track.needs_keyframe
        camera.skip_to_idr()
        studio.roll(4)
        assert not camera.track.needs_keyframe
        assert studio.cuts == []
        assert studio.digests == sent_by(camera, (0, 6), (8, 12))
        assert camera.track.all_drops().total() == 1

    def test_a_shorter_silence_is_none(self):
        camera = Camera()
        studio = Studio(camera)
        studio.roll(6)
        self.mute(studio, SILENCE - 0.01)
        studio.roll(6)
        assert studio.digests == sent_by(camera, (0, 12))
        assert camera.track.all_drops() == {}
        assert studio.inputs.changes == 0

    def test_many_short_ones_are_none(self):
        camera = Camera()
        studio = Studio(camera)
        for _ in range(6):
            studio.roll(1)
            self.mute(studio, SILENCE * 0.7)
        assert len(studio.digests) == 6

    def test_a_key_frame_at_once_is_not_asked_for_again(self):
        camera = Camera()
        studio = Studio(camera)
        studio.roll(8)
        self.mute(studio, 60.0)
        studio.roll(1)
        assert (len(studio.digests), camera.track.all_drops()) == (9, {})
        assert not camera.track.needs_keyframe

    def test_the_key_frame_comes_behind_another_picture(self):
        camera = Camera()
        studio = Studio(camera)
        studio.roll(7)
        self.mute(studio, SILENCE)
        studio.now += FRAME
        units = camera.send(studio.now) + camera.send(studio.now)
        taken = studio.inputs.take(camera.track, units, studio.now)
        assert [unit.keyframe for unit in taken] == [True]
        assert camera.track.all_drops() == {DropReason.H264_AWAITING_IDR: 1}

    def test_an_encoder_that_never_sends_another_key_frame(self):
        encoded = x264.encode(40, width=64, height=48, group=10, options={"intra-refresh": "1"})
        units = [AccessUnit(each.pts, each.nals, each.keyframe) for each in encoded]
        healing = [index for index, unit in enumerate(units) if any(map(has_recovery_point, unit.nals))]
        assert [unit.keyframe for unit in units].count(True) == 1
        assert healing[1:]
        camera = Camera()
        inputs = Inputs([camera.track])
        assert inputs.take(camera.track, units[:1], 100.0) == units[:1]
        camera.track.pause = SILENCE
        # At first it is hoped for.
        assert inputs.take(camera.track, units[1:], 110.0) == []
        assert camera.track.needs_keyframe
        assert inputs.take(camera.track, units[1:], 110.0 + IDR_PATIENCE - 0.1) == []
        assert inputs.take(camera.track, units[healing[0] + 1 : healing[1]], 110.0 + IDR_PATIENCE) == []
        start = healing[1]
        assert inputs.take(camera.track, units[start - 2 :], 110.0 + IDR_PATIENCE) == units[start:]
        assert [unit.is_entry for unit in units[start:]] == [True] + [False] * (len(units) - start - 1)
        assert inputs.take(camera.track, units[1:2], 111.0 + IDR_PATIENCE) == units[1:2]

    def test_it_is_noticed_when_it_begins_and_ends(self):
        camera = Camera()
        studio = Studio(camera)
        assert not studio.inputs.is_muted(1e9)  # It was never there.
        assert studio.inputs.deadline(studio.now) == inf
        studio.roll(4)
        assert studio.inputs.deadline(studio.now) == studio.now + SILENCE
        assert not studio.inputs.is_muted(studio.now + SILENCE - 0.001)
        assert studio.inputs.is_muted(studio.now + SILENCE)
        studio.wait(SILENCE)
        assert studio.inputs.changes == 1
        studio.wait(60.0)
        assert (studio.inputs.changes, studio.inputs.deadline(studio.now)) == (1, inf)
        studio.roll(1)
        assert studio.inputs.changes == 2
        studio.roll(4)
        assert studio.inputs.changes == 2

    def test_its_end_is_noticed_without_a_whole_picture(self):
        camera = Camera()
        studio = Studio(camera)
        studio.roll(4)
        studio.wait(5.0)
        camera.track.receive(next(camera.packets(studio.now)), studio.now)
        assert studio.inputs.deadline(studio.now) == studio.now
        studio.inputs.handle_timeout(studio.now)
        assert studio.inputs.changes == 2

    def test_off_air_nobody_cares(self):
        studio, camera, screen = two()
        studio.roll(6)
        studio.rolling = [camera]
        studio.roll(100)
        studio.rolling = [camera, screen]
        studio.roll(1)
        assert screen.track.all_drops() == {}
        assert not screen.track.needs_keyframe
        assert studio.inputs.changes == 0

    def test_a_muted_picture_can_be_left(self):
        studio, camera, screen = two()
        studio.roll(6)
        studio.rolling = [screen]
        studio.roll(60)
        assert studio.inputs.is_muted(studio.now)
        studio.select("2")
        studio.roll(4)
        assert not studio.inputs.is_muted(studio.now)
        assert len(studio.digests) == 6 + 2
        # Muted, another wanted, on air, and that is not muted.
        assert studio.inputs.changes == 4


def simulcast(*rids: str) -> tuple[Studio, dict[str, Camera]]:
    sizes = {"l": SMALL, "m": MIDDLE, "h": LARGE}
    timeline = Timeline()
    layers = {rid: Camera("1", rid, size=sizes[rid], timeline=timeline) for rid in rids}
    return Studio(*layers.values()), layers


class TestLayers:
    def test_it_begins_with_the_one_that_comes_first(self):
        studio, layers = simulcast("h", "l")
        studio.rolling = [layers["l"]]
        studio.roll(3)
        assert studio.inputs.on_air is layers["l"].track
        assert studio.digests == sent_by(layers["l"], (0, 3))
        studio.rolling = [layers["h"], layers["l"]]
        studio.roll(2)
        assert studio.inputs.on_air is layers["l"].track

    def test_nothing_is_wanted_before_the_first_picture(self):
        studio, layers = simulcast("h", "l")
        layers["l"].track.receive(next(layers["l"].packets(studio.now)), studio.now)
        studio.wait(2 * LOOK_INTERVAL)
        assert (studio.inputs.wanted, studio.inputs.changes) == (None, 0)
        assert not layers["l"].track.is_wanted

    def test_up_when_a_better_one_has_come_for_a_while(self):
        studio, layers = simulcast("h", "l")
        studio.rolling = [layers["l"]]
        studio.roll(50)
        studio.rolling = [layers["h"], layers["l"]]
        studio.roll(round(SETTLING_TIME / FRAME))
        assert studio.inputs.on_air is layers["l"].track
        studio.roll(round(LOOK_INTERVAL / FRAME) + GROUP + 1)
        assert (studio.inputs.on_air, studio.inputs.wanted) == (layers["h"].track, None)
        # The first picture was not of the layer that is expected first, so that it is a cut, too.
        assert len(studio.cuts) == 2
        assert studio.digests

    def test_down_when_it_falls_silent(self):
        studio, layers = simulcast("h", "l")
        studio.roll(100)
        assert studio.inputs.on_air is layers["h"].track
        studio.rolling = [layers["l"]]
        studio.roll(round((MAX_SILENCE + LOOK_INTERVAL) / FRAME) + GROUP + 1)
        assert studio.inputs.on_air is layers["l"].track
        assert not studio.inputs.is_muted(studio.now)
        assert studio.digests

    def test_a_layer_without_a_key_frame_is_watched_until_it_has_one(self):
        studio, layers = simulcast("h", "l")
        layers["h"].index = 1
        studio.roll(GROUP - 1)
        assert (layers["h"].track.keyframes, studio.inputs.on_air) == (0, layers["l"].track)
        assert studio.inputs.is_watched(layers["h"].track, studio.now)
        studio.roll(1)
        assert not studio.inputs.is_watched(layers["h"].track, studio.now)

    def test_the_cap_decides(self):
        studio, layers = simulcast("h", "l")
        studio.roll(100)
        studio.inputs.cap = 1
        studio.roll(100)
        assert studio.inputs.on_air is layers["l"].track
        studio.inputs.cap = None
        studio.roll(100)
        assert studio.inputs.on_air is layers["h"].track
        assert studio.digests

    def test_a_forced_layer_stays(self):
        studio, layers = simulcast("h", "m", "l")
        studio.roll(6)
        studio.inputs.select_layer("m")
        assert (studio.inputs.layer, studio.inputs.wanted) == ("m", layers["m"].track)
        assert layers["m"].track.needs_keyframe
        studio.roll(100)
        assert (studio.inputs.on_air, studio.inputs.wanted) == (layers["m"].track, None)

    def test_another_one_stands_in_for_a_forced_layer_that_falls_silent(self):
        studio, layers = simulcast("h", "m", "l")
        studio.inputs.select_layer("m")
        studio.roll(100)
        studio.rolling = [layers["h"], layers["l"]]
        studio.roll(round(SILENCE / FRAME) - 1)
        assert (studio.inputs.on_air, studio.inputs.wanted) == (layers["m"].track, None)
        studio.roll(round(LOOK_INTERVAL / FRAME) + GROUP + 1)
        assert (studio.inputs.on_air, studio.inputs.layer) == (layers["h"].track, "m")
        assert not studio.inputs.is_muted(studio.now)
        # And for no longer than that.
        studio.rolling = list(layers.values())
        studio.roll(round(LOOK_INTERVAL / FRAME) + GROUP + 1)
        assert studio.inputs.on_air is layers["m"].track
        assert studio.digests

    def test_a_forced_layer_stays_while_none_comes(self):
        studio, layers = simulcast("h", "l")
        studio.inputs.select_layer("l")
        studio.roll(100)
        studio.rolling = []
        studio.roll(100)
        assert (studio.inputs.on_air, studio.inputs.wanted) == (layers["l"].track, None)
        assert studio.inputs.is_muted(studio.now)
        studio.rolling = list(layers.values())
        studio.roll(GROUP + 1)
        assert studio.inputs.on_air is layers["l"].track
        assert set(studio.sources[-1:]) == {layers["l"]}

    def test_a_layer_that_does_not_come_may_be_forced_too(self):
        studio, layers = simulcast("h", "l")
        studio.rolling = [layers["l"]]
        studio.inputs.select_layer("h")
        studio.roll(100)
        assert (studio.inputs.on_air, studio.inputs.wanted) == (layers["l"].track, layers["h"].track)
        studio.rolling = [layers["h"], layers["l"]]
        studio.roll(1)
        assert studio.inputs.on_air is layers["h"].track

    def test_auto_takes_over_again(self):
        studio, layers = simulcast("h", "l")
        studio.inputs.select_layer("l")
        studio.roll(100)
        assert studio.inputs.on_air is layers["l"].track
        studio.inputs.select_layer(None)
        assert studio.inputs.layer is None
        assert studio.inputs.deadline(studio.now) <= studio.now
        studio.roll(round(SETTLING_TIME / FRAME) + 2 * GROUP)
        assert studio.inputs.on_air is layers["h"].track

    @pytest.mark.parametrize("rid", ["", "x", "L", "h\0"])
    def test_unknown(self, rid):
        studio, _layers = simulcast("h", "l")
        with pytest.raises(UnknownLayer):
            studio.inputs.select_layer(rid)
        assert (studio.inputs.layer, studio.inputs.wanted) == (None, None)

    def test_nothing_is_due_before_anything_came(self):
        studio, layers = simulcast("h", "l")
        assert studio.inputs.deadline(studio.now) == inf
        studio.rolling = [layers["l"]]
        studio.roll(1)
        assert studio.inputs.deadline(studio.now) <= studio.now


class TestInputsWithLayers:
    def make(self) -> tuple[Studio, Camera, dict[str, Camera]]:
        timeline = Timeline()
        screen = Camera("2", timeline=timeline)
        layers = {
            "h": Camera("1", "h", size=LARGE, timeline=timeline),
            "l": Camera("1", "l", size=SMALL, timeline=timeline),
        }
        return Studio(screen, *layers.values()), screen, layers

    def test_the_best_layer_at_once(self):
        studio, _screen, layers = self.make()
        studio.roll(60)
        studio.select("1")
        assert studio.inputs.wanted is layers["h"].track
        studio.roll(GROUP)
        assert studio.inputs.on_air is layers["h"].track
        assert len(studio.cuts) == 1

    def test_none_comes_yet(self):
        studio, screen, layers = self.make()
        studio.rolling = [screen]
        studio.roll(10)
        studio.select("1")
        assert studio.inputs.wanted is layers["h"].track
        studio.rolling = [screen, layers["l"]]
        studio.roll(round(LOOK_INTERVAL / FRAME) + GROUP + 1)
        assert studio.inputs.on_air is layers["l"].track

    def test_the_layer_asked_for_holds_where_there_is_one(self):
        studio, screen, layers = self.make()
        studio.roll(10)
        studio.select("1")
        studio.inputs.select_layer("l")
        studio.roll(10)
        studio.select("2")
        studio.roll(10)
        assert (studio.inputs.on_air, studio.inputs.layer) == (screen.track, "l")
        studio.select("1")
        studio.roll(10)
        assert studio.inputs.on_air is layers["l"].track

    def test_a_layer_is_wanted_of_what_is_on_air(self):
        studio, _screen, layers = self.make()
        studio.roll(60)
        studio.select("1")
        studio.roll(GROUP)
        studio.inputs.select_layer("l")
        studio.select("1")
        # Nothing was cancelled: it is the same input.
        assert studio.inputs.wanted is layers["l"].track
        studio.roll(GROUP)
        assert studio.inputs.on_air is layers["l"].track

    def test_forced_before_anything_was_on_air(self):
        studio, screen, layers = self.make()
        studio.select("1")
        studio.inputs.select_layer("l")
        studio.roll(GROUP)
        assert studio.sources == [screen] + [layers["l"]] * 4


class TestThumbnails:
    def test_of_what_is_on_air(self):
        studio, _camera, _screen = two()
        assert studio.inputs.want_thumbnail("1", studio.now) is None
        studio.roll(6)
        assert studio.inputs.want_thumbnail("1", studio.now) is studio.aired[4]

    @pytest.mark.parametrize("sets", ["always", "offered"])
    def test_of_another_one_with_its_parameter_sets(self, sets):
        studio, _camera, screen = two(sets=sets)
        studio.roll(6)
        unit = studio.inputs.want_thumbnail("2", studio.now)
        assert unit is not None
        decoded = x264.decode([unit.nals])
        assert (decoded.errors, decoded.digests) == ([], sent_by(screen, (4, 5)))

    def test_of_the_smallest_layer_that_comes(self):
        studio, _screen, layers = TestInputsWithLayers().make()
        studio.roll(2)
        assert studio.inputs.want_thumbnail("1", studio.now) is layers["l"].track.last_keyframe
        studio.rolling.remove(layers["l"])
        studio.roll(50)
        assert studio.inputs.want_thumbnail("1", studio.now) is layers["h"].track.last_keyframe

    def test_a_newer_one_is_asked_for(self):
        studio, _camera, screen = two()
        studio.roll(6)
        studio.inputs.want_thumbnail("2", screen.track.keyframe_at + THUMBNAIL_AGE)
        assert not screen.track.needs_keyframe
        old = studio.inputs.want_thumbnail("2", screen.track.keyframe_at + THUMBNAIL_AGE + 0.01)
        assert screen.track.needs_keyframe
        studio.roll(GROUP)
        assert not screen.track.needs_keyframe
        assert studio.inputs.want_thumbnail("2", studio.now) is not old

    def test_it_goes_not_on_air_for_it(self):
        studio, camera, _screen = two()
        studio.roll(2)
        studio.inputs.want_thumbnail("2", studio.now)
        studio.roll(10)
        assert studio.sources == [camera] * 12


def test_what_is_watched():
    studio, camera, screen = two()
    inputs = studio.inputs
    studio.roll(2)
    assert inputs.is_watched(camera.track, studio.now)
    assert not inputs.is_watched(screen.track, studio.now)
    inputs.want_thumbnail("2", studio.now)
    assert inputs.is_watched(screen.track, studio.now + THUMBNAIL_INTEREST - 0.01)
    assert not inputs.is_watched(screen.track, studio.now + THUMBNAIL_INTEREST)
    studio.select("2")
    assert inputs.is_watched(screen.track, studio.now + 60.0)
    assert inputs.is_watched(camera.track, studio.now + 60.0)


def test_the_description():
    studio, camera, screen = two()
    studio.roll(6)
    studio.inputs.cap = 800_000

    def describe() -> list[tuple[object, ...]]:
        described = studio.inputs.describe(
            studio.now, lambda track: 500 if track is camera.track else 70, lambda track: 25.0
        )
        return [(each["mid"], each["on_air"], each["bitrate"], each["asked_bitrate"]) for each in described]

    assert describe() == [("1", True, 500, 800_000), ("2", False, 70, OFF_AIR_BITRATE)]
    # What is to be on air soon may have good pictures then.
    studio.select("2")
    assert describe() == [("1", True, 500, 800_000), ("2", False, 70, 800_000)]
    studio.inputs.cap = None
    studio.roll(GROUP)
    assert describe() == [("1", False, 500, OFF_AIR_BITRATE), ("2", True, 70, None)]
    assert screen.track.size == LARGE


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_selected_it_decodes(seed):
    """Cameras that come and go, and hands that cannot decide: never a picture without its references."""
    random = Random(seed)
    timeline = Timeline()
    cameras = [
        Camera("1", sets="once", timeline=timeline),
        Camera("2", size=LARGE, sets="offered", timeline=timeline),
        Camera("3", "h", size=LARGE, timeline=timeline),
        Camera("3", "l", size=SMALL, timeline=timeline),
    ]
    studio = Studio(*cameras)
    before: list[VideoTrack | None] = []
    for _ in range(100):
        match random.randrange(4):
            case 0:
                studio.select(random.choice("123"))
            case 1:
                studio.rolling = random.sample(cameras, random.randint(1, 4))
            case 2:
                studio.wait(random.choice((0.1, 1.0, 3.0)))
            case 3:
                with suppress(UnknownLayer):
                    studio.inputs.select_layer(random.choice(("h", "l", None)))
        for camera in studio.rolling:
            # Who sends again begins with what it is asked for.
            if studio.inputs.is_watched(camera.track, studio.now) and camera.track.needs_keyframe:
                camera.skip_to_idr()
        studio.roll(random.randint(1, 6))
        before.append(studio.inputs.on_air)
    assert len(set(before)) > 2
    assert len(studio.cuts) > 5
    assert len(studio.digests) > 100
