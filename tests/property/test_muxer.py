"""Recordings of streams whose pictures stay away, come back, and change their source.

Whatever is switched and frozen, and when: times only rise, a header stands before all that needs it, and a
decoder gets through without a word, with the fillers and without them.
"""

import io
import itertools
from functools import cache
from typing import NamedTuple

import av
import av.logging
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.peers import opus, x264
from tests.unit.relay.tagging import (
    AAC,
    FRAME_US,
    START_US,
    composition,
    flv_file,
    frames,
    make_muxer,
    shown_at,
    shown_by,
    unit,
)

from whipway.relay.tags import Tag, TagKind

GROUP = 8
B_FRAMES = {"bframes": "3", "b-adapt": "0", "b-pyramid": "normal"}
DEPTH = 2
SQUEEZED = 10
"""Pictures within which a source is in time again, that was cut to while others were still to be shown."""


class Source(NamedTuple):
    """Groups of pictures, and what a decoder makes of them."""

    pictures: list[x264.EncodedPicture]
    digests: frozenset[str]


@cache
def sources() -> dict[str, Source]:
    """`camera` and `twin` have the same parameter sets; `screen` and `film` have their own."""
    camera = x264.encode(6 * GROUP, width=160, height=96, group=GROUP)
    made = {
        "camera": camera[: 3 * GROUP],
        "twin": camera[3 * GROUP :],
        "screen": x264.encode(3 * GROUP, width=192, height=112, group=GROUP),
        "film": x264.encode(3 * GROUP, width=160, height=96, group=GROUP, options=B_FRAMES),
    }
    return {name: Source(pictures, digests(pictures)) for name, pictures in made.items()}


def digests(pictures: list[x264.EncodedPicture]) -> frozenset[str]:
    decoded = x264.decode(picture.nals for picture in pictures)
    assert (decoded.errors, len(decoded.digests)) == ([], len(pictures))
    return frozenset(decoded.digests)


class Recording:
    """What a muxer makes of one source after the other. Its clock goes on with what is played."""

    def __init__(self) -> None:
        self.tags: list[Tag] = []
        self.anew: list[int] = []
        """How many pictures there were before each cut and each filler, and right behind each filler."""
        self.now_us = START_US
        self._muxer = make_muxer()
        self._sounds = itertools.cycle(opus.encode(5))
        self._sound_us = START_US
        self._source = "camera"
        self._at = 0
        self._is_cut = False

    @property
    def pictures(self) -> list[Tag]:
        return [tag for tag in self.tags if tag.kind is TagKind.VIDEO and not tag.header]

    def play(self, count: int) -> None:
        """Pictures of the source on air, from where it stands."""
        pictures = sources()[self._source].pictures
        for _ in range(count):
            picture = pictures[self._at % len(pictures)]
            # Of every group the pictures come out of order, and each has its time.
            early_us = picture.pts * 100 // 9 - self._at % len(pictures) * FRAME_US
            made = unit(picture.nals, self.now_us + early_us)
            made.is_cut, self._is_cut = self._is_cut, False
            self.tags += self._muxer.push(made)
            self._at += 1
            self.now_us += FRAME_US

    def listen(self, milliseconds: int) -> None:
        """Sound up to now, and time that passes with it."""
        self.now_us += milliseconds * 1000
        self._sound_us = max(self._sound_us, self.now_us - 1_000_000)
        while self._sound_us < self.now_us:
            [frame] = frames([next(self._sounds)], self._sound_us)
            self.tags += self._muxer.push(frame)
            self._sound_us += opus.PACKET_US

    def cut(self, name: str, step_ms: int) -> None:
        """Another source, from a key frame on; its clock may be a little behind."""
        self.now_us += step_ms * 1000
        self._source, self._at, self._is_cut = name, self._at // GROUP * GROUP, True
        self.anew.append(len(self.pictures))
        self.play(1)

    def freeze(self, milliseconds: int) -> None:
        self.now_us += milliseconds * 1000
        tags = self._muxer.freeze(self.now_us)
        self.anew += [len(self.pictures)]
        self.tags += tags
        self.anew += [len(self.pictures)]


def assert_in_time(recording: Recording) -> None:
    pictures = recording.pictures
    times = [tag.timestamp_ms for tag in pictures]
    assert all(later > earlier >= 0 for earlier, later in itertools.pairwise(times))
    assert all(composition(tag) >= 0 for tag in pictures)
    shown = shown_at(pictures)
    for count in recording.anew:
        if 0 < count < len(shown):
            assert max(shown[:count]) < min(shown[count:])
    sound = [tag.timestamp_ms for tag in recording.tags if tag.kind is TagKind.AUDIO and not tag.header]
    assert all(0 <= later - earlier <= 22 for earlier, later in itertools.pairwise(sound))


def assert_can_be_decoded(tags: list[Tag], *, filler: bool) -> None:
    video = [tag for tag in tags if tag.kind is TagKind.VIDEO and (filler or not tag.filler)]
    headers = [tag.payload for tag in video if tag.header]
    assert all(one != two for one, two in itertools.pairwise(headers))
    for before, tag in itertools.pairwise(video):
        assert tag.keyframe or tag.header or not (before.header or before.filler)
        assert tag.keyframe or not tag.filler
    decoded = x264.decode(shown_by(video, filler=filler))
    assert decoded.errors == []
    # Whole pictures, each one as its own encoder made it.
    assert set(decoded.digests) <= frozenset().union(*(one.digests for one in sources().values()))


ACTIONS = st.one_of(
    st.tuples(st.just(Recording.play), st.integers(1, 2 * GROUP)),
    st.tuples(st.just(Recording.listen), st.sampled_from([0, 20, 700])),
    st.tuples(st.just(Recording.freeze), st.sampled_from([-500, 0, 30, 1000, 2500])),
    st.tuples(
        st.just(Recording.cut), st.sampled_from(["camera", "twin", "screen", "film"]), st.integers(-60, 60)
    ),
)
FROZEN = [(Recording.freeze, 2000), (Recording.freeze, 1000)]
FILM, BACK = (Recording.cut, "film", 0), (Recording.cut, "film", -60)


@settings(max_examples=15, deadline=None)
@example([(Recording.play, 5), *FROZEN, (Recording.play, 12), FILM, (Recording.play, 5)])
@example([FILM, (Recording.play, 9), *FROZEN, (Recording.play, 16)])
@example([FILM, (Recording.play, 9), *FROZEN, (Recording.freeze, -500), BACK, (Recording.play, 9)])
@example([FILM, (Recording.play, 9), BACK, (Recording.play, 9)])
@given(st.lists(ACTIONS, max_size=12))
def test_whatever_is_switched_and_frozen(script):
    recording = Recording()
    recording.play(1)
    for act, *values in script:
        act(recording, *values)
    assert_in_time(recording)
    for filler in (True, False):
        assert_can_be_decoded(recording.tags, filler=filler)


def test_a_source_is_in_time_again_soon():
    """Where the one before it had B-frames, which are shown later than the last of them was decoded."""
    recording = Recording()
    recording.cut("film", 0)
    recording.play(2 * GROUP - 1)
    recording.cut("screen", -80)
    recording.play(SQUEEZED)
    *before, first = shown_at(recording.pictures[:-SQUEEZED])
    assert first == max(before) + 1
    steps = [later - earlier for earlier, later in itertools.pairwise(shown_at(recording.pictures[-5:]))]
    assert set(steps) <= {33, 34}


def test_a_recording_is_read_without_a_word():
    """All of it in one file, with a demuxer that gives each header to its decoder."""
    recording = Recording()
    plan = [("camera", "twin"), ("twin", "screen"), ("screen", "film"), ("film", "camera")]
    for _, name in plan:
        recording.play(12)
        recording.listen(0)
        recording.freeze(2000)
        recording.listen(500)
        recording.freeze(500)
        recording.cut(name, 40)
        recording.play(7)
        recording.listen(0)
    headers = [tag for tag in recording.tags if tag.kind is TagKind.VIDEO and tag.header]
    assert len(headers) == 4  # The twin needs none of its own.
    sizes, lines = read(recording.tags)
    assert lines == []
    assert set(sizes) == {(160, 96), (192, 112)}
    kept = [tag for tag in recording.tags if not tag.filler]
    assert read(kept)[1] == []
    assert len(sizes) - len(read(kept)[0]) == 2 * len(plan)


def read(tags: list[Tag]) -> tuple[list[tuple[int, int]], list[str]]:
    """The sizes of all pictures in an FLV file of these tags, and what FFmpeg has to say of it."""
    for_sink = [tag for tag in tags if tag.audio in (None, AAC)]
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as lines, av.open(io.BytesIO(flv_file(for_sink))) as file:
            file.streams.video[0].codec_context.options = {"err_detect": "explode"}
            media = [frame for packet in file.demux() for frame in packet.decode()]
    finally:
        av.logging.set_level(level)
    sizes = [(frame.width, frame.height) for frame in media if isinstance(frame, av.VideoFrame)]
    return sizes, [f"{name}: {text.strip()}" for _, name, text in lines]
