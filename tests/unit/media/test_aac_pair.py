import pytest
from tests.unit.media.sounds import CLICKS, NOISE, TONE, Sound, decoded, frame_of, samples

from whipway.media.aac_encoder import AacEncoder, AacFrame, Setting, steady, strict
from whipway.media.aac_pair import EIGHT_SHORT_SEQUENCE, pair, window

SILENCE: Sound = lambda index: 0.0  # noqa: E731
WIDE = steady(128_000)._replace(options={**steady(128_000).options, "cutoff": "20000"})


def encoded(sound: Sound, setting: Setting, stop: int = 48_000) -> list[AacFrame]:
    encoder = AacEncoder(setting)
    channels = setting.channels
    return [
        frame
        for start in range(0, stop, 1024)
        for frame in encoder.encode(frame_of(*[samples(sound, start, start + 1024)] * channels), start)
    ]


@pytest.mark.parametrize("setting", [steady(128_000), steady(32_000), WIDE], ids=["128", "32", "20 kHz"])
@pytest.mark.parametrize("sound", [TONE, CLICKS, NOISE, SILENCE], ids=["tone", "clicks", "noise", "silence"])
def test_both_sides_have_to_the_last_bit_what_the_one_channel_has(sound: Sound, setting: Setting):
    frames = encoded(sound, setting)
    [middle] = decoded(frames, 1)
    left, right = decoded([AacFrame(frame.time_us, pair(frame.payload)) for frame in frames], 2)
    assert left == right == middle
    assert any(middle) is (sound is not SILENCE)


def test_windows_of_every_kind_are_told_and_kept():
    frames = encoded(CLICKS, steady(128_000))
    windows = [window(frame.payload) for frame in frames]
    assert {kind >> 1 for kind in windows} == {0, 1, EIGHT_SHORT_SEQUENCE, 3}
    assert [window(pair(frame.payload)) for frame in frames] == windows


def test_a_pair_whose_channels_differ_may_have_no_common_window():
    encoder = AacEncoder(strict(128_000, 2))
    windows = [
        window(frame.payload)
        for start in range(0, 48_000, 1024)
        for frame in encoder.encode(
            frame_of(samples(CLICKS, start, start + 1024), samples(TONE, start, start + 1024)), start
        )
    ]
    assert {-1, 1} <= set(windows)


def test_a_side_costs_next_to_nothing():
    for frame in encoded(CLICKS, steady(128_000)):
        assert 1 <= len(pair(frame.payload)) - len(frame.payload) <= 14
