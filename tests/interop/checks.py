"""What every recording of a broadcast must fulfil. Times in seconds."""

from collections.abc import Sequence
from itertools import pairwise

from tests.interop.probe import Probed
from tools.player import Played

MAX_AV_OFFSET = 0.08
"""ITU-R BT.1359 accepts sound up to 90 ms early and 185 ms late: this is within both."""
MAX_EARLY, MAX_LATE = 0.09, 0.185
"""What that accepts of sound."""
MAX_AUDIO_GAP = 0.05
"""An AAC frame lasts 21.3 ms: more than two of them apart, and one is missing."""
MAX_AUDIO_LACK = 0.5
"""Encoders begin and end their tracks when they like; sound that is away for longer was lost."""
MIN_FLASHES = 3


def check_played(played: Played, *, frames: int, size: tuple[int, int]) -> None:
    """The player saw every picture sent, in the end of this size, and continuous sound."""
    assert not played.error
    assert played.decode_errors == 0
    assert len(played.video_dts) == frames
    assert played.sizes[-1] == size
    check_times(played.video_dts, played.audio_dts)


def check_probed(probed: Probed, *, frames: int, size: tuple[int, int]) -> None:
    """The same for ffprobe, which tells streams and errors too."""
    assert probed.errors == ""
    assert probed.streams["video"]["codec_name"] == "h264"
    assert probed.streams["audio"]["codec_name"] == "aac"
    assert probed.keyframes[0]
    assert len(probed.video_dts) == frames
    assert len(probed.pictures) == frames
    assert probed.pictures[-1] == size
    check_times(probed.video_dts, probed.audio_dts)


def check_times(video_dts: Sequence[float], audio_dts: Sequence[float]) -> None:
    """Times grow in both streams, and no sound is missing for as long as there are pictures."""
    for times in (video_dts, audio_dts):
        assert all(later > earlier for earlier, later in pairwise(times)), times
    assert max(later - earlier for earlier, later in pairwise(audio_dts)) <= MAX_AUDIO_GAP
    assert audio_dts[0] - video_dts[0] <= MAX_AUDIO_LACK
    assert video_dts[-1] - audio_dts[-1] <= MAX_AUDIO_LACK


def check_in_sync(played: Played, *, at_once: bool = True) -> None:
    """Flashes and beeps come together: `at_once`, or once the sender's reports have had time to tell."""
    offsets = played.av_offsets()
    assert len(offsets) >= MIN_FLASHES, (played.flashes, played.beeps)
    judged = offsets if at_once else offsets[-MIN_FLASHES:]
    assert max(map(abs, judged)) < MAX_AV_OFFSET, offsets


def check_nearly_in_sync(played: Played) -> None:
    """In the end they are as near as ITU-R BT.1359 accepts: enough of a browser on a busy computer.

    What comes between them at the start goes away by 20 ms a second only, and a page that plays its sound as
    it goes is late with it.
    """
    offsets = played.av_offsets()
    assert len(offsets) >= MIN_FLASHES, (played.flashes, played.beeps)
    assert -MAX_EARLY <= offsets[-1] <= MAX_LATE, offsets
