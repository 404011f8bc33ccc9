"""libdatachannel publishes, put together as OBS Studio does it (see node/publisher.mjs).

It offers profile 42e01f whatever it sends, which here is Main or High; the pictures are cut into slices, and
their order in time is not that of sending when there are B-frames. OBS then stamps them by decoding time.
"""

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from tests.interop.checks import check_in_sync, check_played, check_times
from tests.interop.datachannel import FRAME_MS, RATE, SIZE, encode, stamped_by_decoding, write_media
from tests.interop.probe import probing
from tests.interop.processes import running, wait_for_clients
from tests.interop.recording import FlvTag, pictures, read_flv
from tools.player import Played, play
from tools.server import RunningServer

pytestmark = pytest.mark.interop

STREAM = "program"
FRAMES = 125
END_TIMEOUT = 10.0
STEP_TOLERANCE_MS = 3.0
"""RTMP has whole milliseconds for DTS and for the difference to PTS; one more is the clock's (see below)."""
PLACE_TOLERANCE_MS = 20.0
"""Sender reports move the sender's clock towards the truth, a little at a time: half a frame at most."""


@pytest.mark.parametrize(
    ("b_frames", "by_decoding"),
    [(0, False), (2, False), (2, True)],
    ids=["in order", "B-frames", "B-frames stamped by decoding time"],
)
def test_a_recorder_gets_everything(
    server: RunningServer,
    node_script: list[str],
    whip_ffmpeg: str,
    ffprobe: str,
    rtmpdump: str,
    tmp_path: Path,
    b_frames: int,
    by_decoding: bool,
) -> None:
    samples = encode(whip_ffmpeg, tmp_path, frames=FRAMES, b_frames=b_frames)
    media, report, recording = tmp_path / "media.json", tmp_path / "sent.json", tmp_path / "recording.flv"
    # The library's reports give the time of sending, not of the picture: useless where the two differ.
    sent_samples = stamped_by_decoding(samples) if by_decoding else samples
    write_media(media, sent_samples, reports=b_frames == 0 or by_decoding)
    dump = [rtmpdump, "--live", "--quiet", "--rtmp", server.play_url(STREAM), "--flv", str(recording)]
    with running(dump, tmp_path / "rtmpdump.log") as recorder:
        wait_for_clients(server.rtmp_port, 1)
        publish = [*node_script, server.whip_url(STREAM), str(media)]
        with running(publish, tmp_path / "node.log", stdout=report) as publisher:
            status = publisher.wait(FRAMES / RATE + 2 * END_TIMEOUT)
            assert status == 0, publisher.output
        assert recorder.wait(END_TIMEOUT) == 0
    sent = json.loads(report.read_text())
    assert sent["video"] == FRAMES
    assert "setup:actpass" in sent["offer"]
    assert "a=candidate" not in sent["offer"]

    pts = [sample.pts for sample in samples if sample.track == "video"]
    assert (pts != sorted(pts)) == (b_frames > 0)
    check_picture_times(pictures(read_flv(recording)), pts)
    played = Played()
    play(str(recording), played)
    check_played(played, frames=FRAMES, size=SIZE)
    check_in_sync(played, at_once=False)
    with probing(ffprobe, str(recording), tmp_path) as probe:
        probed = probe.finish(END_TIMEOUT)
    assert probed.errors == ""
    assert probed.pictures == [SIZE] * FRAMES
    check_times(probed.video_dts, probed.audio_dts)
    check_shown_in_order(ffprobe, recording)


def check_picture_times(tags: list[FlvTag], expected_pts: list[float]) -> None:
    """DTS grows, PTS is never before it, and PTS goes as it did at the sender."""
    dts = [tag.timestamp_ms for tag in tags]
    # Adobe FLV 10.1, E.4.3.1: CompositionTime, 24 bits with a sign.
    offsets = [int.from_bytes(tag.body[2:5], "big", signed=True) for tag in tags]
    assert all(later > earlier for earlier, later in pairwise(dts)), dts
    assert min(offsets) >= 0, offsets
    pts = [time + offset for time, offset in zip(dts, offsets, strict=True)]
    assert len(pts) == len(expected_pts)
    for index, (got, wanted) in enumerate(zip(pts, expected_pts, strict=True)):
        assert abs((got - pts[0]) - (wanted - expected_pts[0])) <= PLACE_TOLERANCE_MS, (index, pts[:12])


def check_shown_in_order(ffprobe: str, recording: Path) -> None:
    """What a decoder hands out goes on from picture to picture at the frame rate."""
    entries = ["-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "json"]
    probed = subprocess.run(
        [ffprobe, "-v", "error", *entries, str(recording)], capture_output=True, check=True
    )
    times = [1000 * float(frame["pts_time"]) for frame in json.loads(probed.stdout)["frames"]]
    assert len(times) == FRAMES
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert all(abs(step - FRAME_MS) <= STEP_TOLERANCE_MS for step in steps), steps
