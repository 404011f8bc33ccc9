"""The choice among layers: size, bitrate, cap, and patience."""

import pytest
from tests.unit.session.cameras import Camera

from whipway.session.auto_layer import (
    LOOK_INTERVAL,
    MAX_SILENCE,
    SETTLING_TIME,
    WINDOW_LOOKS,
    AutoLayer,
    is_coming,
)
from whipway.session.track import VideoTrack

SIZES = {"l": (48, 40), "m": (64, 48), "h": (96, 64)}
RATES = {"l": 200_000, "m": 600_000, "h": 2_000_000}


class Simulcast:
    """Three layers that have each shown a picture, and then send so many bits a second."""

    def __init__(self, *rids: str, size: tuple[int, int] | None = None) -> None:
        self.layers = {rid: Camera("1", rid, size=size or SIZES[rid]) for rid in rids or "lmh"}
        self.auto = AutoLayer([camera.track for camera in self.layers.values()])
        self.rates = {rid: RATES[rid] for rid in self.layers}
        self.cap: int | None = None
        self.now = 100.0
        self.current: VideoTrack | None = None
        for camera in self.layers.values():
            camera.send(self.now)

    def look(self, looks: int = 1) -> str:
        """So many looks later: the layer that is chosen, which is taken."""
        for _ in range(looks):
            self.now += LOOK_INTERVAL
            for rid, rate in self.rates.items():
                track = self.layers[rid].track
                track.bytes += int(rate / 8 * LOOK_INTERVAL)
                track.heard_at = self.now if rate else track.heard_at
            self.auto.measure(self.now)
            self.current = self.auto.choose(self.current, self.cap, self.now)
        return self.rid

    @property
    def rid(self) -> str:
        assert self.current is not None
        assert self.current.description.rid is not None
        return self.current.description.rid


SETTLED = round(SETTLING_TIME / LOOK_INTERVAL)
WINDOW = WINDOW_LOOKS + SETTLED


def test_at_first_the_largest_at_once():
    assert Simulcast().look() == "h"
    assert Simulcast("h", "l").look() == "h"


def test_of_one_size_the_one_with_more_bits():
    show = Simulcast("l", "m", size=SIZES["l"])
    assert show.look(WINDOW) == "m"
    show.rates["l"] = 4 * RATES["m"]
    assert show.look(WINDOW) == "l"


@pytest.mark.parametrize(
    ("cap", "expected"),
    [
        (None, "h"),
        (2_200_000, "h"),
        # Encoders hit what they are told on the average only.
        (1_550_000, "h"),
        (1_500_000, "m"),
        # But what is not there yet has to fit.
        (600_000, "m"),
        (590_000, "l"),
        # None fits: the least there is.
        (50_000, "l"),
    ],
)
def test_the_largest_that_fits_under_the_cap(cap, expected):
    show = Simulcast()
    show.cap = cap
    assert show.look(WINDOW) == expected


def test_up_and_down_with_the_cap():
    show = Simulcast()
    assert show.look(WINDOW) == "h"
    show.cap = 700_000
    assert show.look(SETTLED + 1) == "m"
    show.cap = None
    assert show.look(SETTLED) == "m"
    assert show.look() == "h"


class TestPatience:
    def test_a_better_layer_has_to_last(self):
        show = Simulcast("l", "h")
        show.rates["h"] = 0
        assert show.look(round(MAX_SILENCE / LOOK_INTERVAL)) == "l"
        show.rates["h"] = RATES["h"]
        assert show.look(SETTLED) == "l"
        assert show.look() == "h"

    def test_one_that_comes_and_goes_is_not_taken(self):
        show = Simulcast("l", "h")
        show.rates["h"] = 0
        show.look(4)
        for _ in range(10):
            show.rates["h"] = RATES["h"]
            assert show.look() == "l"
            show.rates["h"] = 0
            assert show.look(3) == "l"

    def test_a_bitrate_about_the_cap_makes_no_flicker(self):
        show = Simulcast("l", "h")
        show.cap = RATES["h"]
        show.look(WINDOW)
        for index in range(40):
            show.rates["h"] = (1_000_000, 3_000_000)[index // 2 % 2]
            assert show.look() == "h"

    def test_a_layer_that_grows_to_the_cap_stays(self):
        """Under a cap, senders give a layer as much as there is left."""
        show = Simulcast("l", "h")
        show.cap = 400_000
        show.rates["h"] = 250_000
        assert show.look(WINDOW) == "h"
        show.rates["h"] = 480_000
        assert show.look(WINDOW) == "h"
        show.rates["h"] = 560_000
        assert show.look(WINDOW) == "l"

    def test_down_at_once_when_it_falls_silent(self):
        show = Simulcast()
        assert show.look(WINDOW) == "h"
        silent_since = show.now
        show.rates["h"] = 0
        while show.look() == "h":
            assert show.now - silent_since < MAX_SILENCE
        assert show.rid == "m"
        assert show.now - silent_since == MAX_SILENCE

    def test_a_layer_that_comes_again_is_measured_anew(self):
        show = Simulcast("l", "h")
        show.cap = RATES["h"] * 3 // 4
        show.rates["h"] = 0
        show.look(10)
        show.rates["h"] = RATES["h"]
        # Measured over the silence as well, it would seem to fit for long enough to be taken.
        for _ in range(WINDOW):
            assert show.look() == "l"


class TestSilence:
    def test_nothing_comes(self):
        show = Simulcast()
        show.look()
        show.rates = dict.fromkeys(show.rates, 0)
        assert show.look(10) == "h"
        # Nor is there one yet: the first.
        show.current = None
        assert show.look() == "l"

    def test_what_comes(self):
        track = Camera().track
        assert not is_coming(track, 0.0)
        track.heard_at = 5.0
        assert is_coming(track, 5.0 + MAX_SILENCE - 0.01)
        assert not is_coming(track, 5.0 + MAX_SILENCE)


class TestExtremes:
    def test_of_those_that_come(self):
        show = Simulcast()
        show.look()
        assert show.auto.smallest(show.now) is show.layers["l"].track
        assert show.auto.largest(show.now) is show.layers["h"].track
        show.layers["l"].track.heard_at = show.layers["h"].track.heard_at = 0.0
        assert show.auto.smallest(show.now) is show.auto.largest(show.now) is show.layers["m"].track

    def test_of_all_while_none_comes(self):
        show = Simulcast()
        later = show.now + MAX_SILENCE
        assert show.auto.smallest(later) is show.layers["l"].track
        assert show.auto.largest(later) is show.layers["h"].track


def test_two_looks_at_one_moment():
    show = Simulcast("l")
    show.auto.measure(show.now)
    show.auto.measure(show.now)
    assert show.auto.choose(None, 1, show.now) is show.layers["l"].track
