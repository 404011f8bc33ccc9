"""A recording beside what was sent: for each picture in it the one that it was, and whether all is well.

What a studio's page noted of its pictures is found again in what came out of the other end by RTMP. Order,
times, sequence headers and colours are judged by that, so that nothing depends on how fast it went.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from tests.interop.probe import probing
from tests.interop.processes import running, wait_for_clients
from tests.interop.recording import AUDIO, VIDEO, FlvTag, read_flv
from tests.interop.studio import STREAM, VIDEO_CLOCK, Picture
from tools.server import RunningServer

END_TIMEOUT = 20.0
MAX_SLEW = 0.02
"""How much faster or slower than its clock a picture may come, to be together with its sound again."""
ROUNDING_MS = 2
LEAST_STEP_MS = 1
MAX_JUMP_MS = 100
"""Where another track goes on."""
MAX_AUDIO_GAP_MS = 50
"""An AAC frame lasts 21.3 ms: more than two of them apart, and one is missing."""
MAX_AUDIO_LACK_MS = 500
"""Tracks begin and end when they like."""
VIDEO_SILENCE_MS = 2_000
"""What makes a mute: `session.video_silence`, the default."""
SLICES = (1, 5)
"""Types of NAL units that pictures are made of."""
FLV_HEAD_BYTES = 5
"""Before the NAL units of a picture (FLV, E.4.3.1)."""


@dataclass(frozen=True)
class Shown:
    """A picture of a recording, and which one it was."""

    tag: FlvTag
    picture: Picture
    is_repeated: bool = False
    """It is on air once more, in the place of pictures that do not come."""

    def __repr__(self) -> str:
        """Short, for assertions."""
        return f"{self.picture.sender} {self.picture.index} at {self.tag.timestamp_ms} ms"


@dataclass
class Take:
    """What was recorded of a stream, beside what was sent."""

    path: Path
    tags: list[FlvTag] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)

    def check(self, sent: Sequence[Picture], status: Mapping[str, Any], ffprobe: str) -> None:
        """Every picture is one that was sent, complete from cut to cut, at its time, and decodes.

        `status` is the session's last one.
        """
        self.read(sent)
        self.check_order(sent)
        self.check_complete(sent, status)
        self.check_times()
        self.check_cuts(sent)
        self.check_headers()
        self.check_sound()
        self.check_decodes(ffprobe)

    def read(self, sent: Sequence[Picture]) -> None:
        """Find for each picture of the recording the one that it was."""
        self.tags = read_flv(self.path)
        known: dict[int, list[Picture]] = {}
        for picture in sent:
            known.setdefault(picture.checksum, []).append(picture)
        latest: dict[tuple[str, int], int] = {}
        keyframe: Picture | None = None
        for number, tag in enumerate(tag for tag in self.tags if tag.is_picture):
            units = _nal_units(tag.body)
            checksum = zlib.crc32(b"".join(unit for unit in units if unit[0] & 0x1F in SLICES))
            assert checksum in known, f"picture {number} was not sent"
            before = self.shown[-1].picture.track if self.shown else None
            # Two that are the same bit by bit: the one that goes on with what is on air.
            rest = [each for each in known[checksum] if each.index > latest.get(each.track, -1)]
            rest.sort(key=lambda each: (each.track != before, each.index))
            if not rest:
                assert keyframe is not None and checksum == keyframe.checksum, f"picture {number} came again"
                self.shown.append(Shown(tag, keyframe, is_repeated=True))
                continue
            latest[rest[0].track] = rest[0].index
            keyframe = rest[0] if rest[0].is_key else keyframe
            self.shown.append(Shown(tag, rest[0]))

    @property
    def pictures(self) -> list[Shown]:
        """Without those that are repeated."""
        return [each for each in self.shown if not each.is_repeated]

    @property
    def runs(self) -> list[list[Shown]]:
        """From cut to cut: pictures of one track, none of them repeated."""
        runs: list[list[Shown]] = []
        for each in self.pictures:
            if not runs or runs[-1][0].picture.track != each.picture.track:
                runs.append([])
            runs[-1].append(each)
        return runs

    @property
    def headers(self) -> list[bytes]:
        return [tag.body for tag in self.tags if tag.kind == VIDEO and tag.is_header]

    def check_order(self, sent: Sequence[Picture]) -> None:
        """Each run begins with a key frame, and what is missing in it is missing before a key frame.

        Such are the pictures behind a mute, and those that the browser did not send: when it is to send much
        less, it throws away what waits to be sent, in favour of a key frame. `check_complete` has the rest.
        """
        assert self.shown
        for run in self.runs:
            assert run[0].picture.is_key and run[0].tag.is_keyframe, run[0]
            for before, missing, after in _holes(run, sent):
                assert after.is_key, (before, missing, after)
                # A mute ends with the first key frame that comes.
                away = (missing[0].time - before.time) & 0xFFFFFFFF
                if away >= VIDEO_SILENCE_MS * VIDEO_CLOCK:
                    assert not any(each.is_key for each in missing), (before, missing, after)
        assert all(each.tag.is_keyframe == each.picture.is_key for each in self.shown)

    def check_complete(self, sent: Sequence[Picture], status: Mapping[str, Any], *, dropped: int = 0) -> None:
        """The server has lost no picture, but for those that a sink `dropped` and those behind a mute."""
        drops = {reason: count for reason, count in status["drops"].items() if reason.startswith("h264_")}
        muted = drops.pop("h264_awaiting_idr", 0)
        # What the browser throws away may begin in the middle of a picture.
        halves = drops.pop("h264_malformed", 0)
        assert halves <= sum(len(list(_holes(run, sent))) for run in self.runs)
        assert drops == {}, status["drops"]
        assert {sink["frames_dropped"] for sink in status["sinks"]} == {dropped}
        if len(self.runs) == 1 and self.shown[0].picture.index == 0:
            frames = sum(track["frames"] for track in status["tracks"] if track["kind"] == "video")
            assert len(self.pictures) == frames - muted - dropped

    def check_times(self) -> None:
        """Times grow, and pictures of a track are as far apart as when they were taken.

        But for the first one behind a cut: if it was taken before the last one of the old track, it comes as
        soon after that as times can tell.
        """
        times = [each.tag.timestamp_ms for each in self.shown]
        assert all(later > earlier for earlier, later in pairwise(times)), times
        pushed = {after for before, after in pairwise(times) if after - before == LEAST_STEP_MS}
        for run in self.runs:
            for before, after in pairwise(run):
                took = ((after.picture.time - before.picture.time) & 0xFFFFFFFF) / VIDEO_CLOCK
                late = after.tag.timestamp_ms - before.tag.timestamp_ms - took
                tolerance = MAX_SLEW * took + ROUNDING_MS
                least = -MAX_JUMP_MS if before.tag.timestamp_ms in pushed else -tolerance
                assert least <= late <= tolerance, (before, after, took)

    def check_cuts(self, sent: Sequence[Picture]) -> None:
        """Where one track takes the place of another, time does not jump, nor stand still."""
        for old, new in pairwise(self.runs):
            before, after = old[-1], new[0]
            took = _taken_ms(after.picture, sent) - _taken_ms(before.picture, sent)
            came = after.tag.timestamp_ms - before.tag.timestamp_ms
            assert abs(came - max(0.0, took)) <= MAX_JUMP_MS, (before, after, took)

    def check_headers(self) -> None:
        """A sequence header comes with the first picture, and with each that has other parameter sets."""
        expected: list[tuple[bytes, ...]] = []
        found: list[bytes] = []
        numbered = iter(self.shown)
        for tag in self.tags:
            if tag.kind == VIDEO and tag.is_header:
                found.append(tag.body)
            elif tag.is_picture:
                sets = next(numbered).picture.parameter_sets
                if sets and sets not in expected[-1:]:
                    expected.append(sets)
                # At this picture exactly, neither earlier nor later.
                assert len(found) == len(expected), (tag.timestamp_ms, found, expected)
        for header, sets in zip(found, expected, strict=True):
            assert all(each in header for each in sets)

    def check_sound(self) -> None:
        """No sound is missing."""
        times = [tag.timestamp_ms for tag in self.tags if tag.kind == AUDIO and not tag.is_header]
        assert max(later - earlier for earlier, later in pairwise(times)) <= MAX_AUDIO_GAP_MS
        assert all(later > earlier for earlier, later in pairwise(times))
        assert times[0] <= self.shown[0].tag.timestamp_ms + MAX_AUDIO_LACK_MS
        assert times[-1] >= self.shown[-1].tag.timestamp_ms - MAX_AUDIO_LACK_MS

    def check_decodes(self, ffprobe: str) -> None:
        """FFmpeg decodes all of it without an error, and each picture has the size that was sent."""
        folder = self.path.with_suffix("")
        folder.mkdir()
        with probing(ffprobe, str(self.path), folder) as probe:
            probed = probe.finish(END_TIMEOUT)
        assert probed.errors == ""
        assert probed.pictures == [each.picture.size for each in self.shown]

    def chrominances(self) -> list[tuple[int, int]]:
        """The colour of each picture, decoded."""
        with av.open(str(self.path)) as container:
            return [chrominance(frame) for frame in _decoded(container)]


def _holes(run: Sequence[Shown], sent: Sequence[Picture]) -> Iterator[tuple[Picture, list[Picture], Picture]]:
    """What is missing in a run, with what is before and behind it."""
    track = [each for each in sent if each.track == run[0].picture.track]
    for before, after in pairwise(each.picture for each in run):
        if missing := track[before.index + 1 : after.index]:
            yield before, missing, after


def _taken_ms(picture: Picture, sent: Sequence[Picture]) -> float:
    """When it was taken, by the clock of the page.

    RTP times have an origin of their own in each track. What took the encoder least time tells where it is.
    """
    track = [each for each in sent if each.track == picture.track]

    def after_ms(each: Picture) -> float:
        return ((each.time - picture.time + 0x80000000 & 0xFFFFFFFF) - 0x80000000) / VIDEO_CLOCK

    return min(each.left_ms - after_ms(each) for each in track)


def _decoded(container: Any) -> Iterator[av.VideoFrame]:
    try:
        yield from container.decode(video=0)
    except IndexError:
        return  # See tools.player: at the very end, of streams that only hold data.


def chrominance(frame: av.VideoFrame) -> tuple[int, int]:
    """Cb and Cr in the middle of the upper half, of a picture in 4:2:0."""
    blue, red = (
        bytes(plane)[plane.height // 4 * plane.line_size + plane.width // 2] for plane in frame.planes[1:3]
    )
    return blue, red


def _nal_units(body: bytes) -> list[bytes]:
    units, at = [], FLV_HEAD_BYTES
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        units.append(body[at + 4 : end])
        at = end
    return units


@contextmanager
def recorded(
    rtmpdump: str, server: RunningServer, folder: Path, stream_name: str = STREAM, *, clients: int = 1
) -> Iterator[Take]:
    """Record a stream from before its begin to its end, which must come within the block."""
    file = folder / f"{stream_name}.flv"
    dump = [rtmpdump, "--live", "--quiet", "--rtmp", server.play_url(stream_name), "--flv", str(file)]
    with running(dump, folder / f"{stream_name}.log") as recorder:
        wait_for_clients(server.rtmp_port, clients)
        yield Take(file)
        assert recorder.wait(END_TIMEOUT) == 0, recorder.output
