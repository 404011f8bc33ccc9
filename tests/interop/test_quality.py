"""The bitrate of a session in Chromium, asked for by API and followed by the server itself.

Bitrates are those that left the encoder, by the RTP times of its pictures: a computer with too much to do
makes them less, never more.
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tests.interop.chromium import chromium
from tests.interop.steady_publisher import Answer, request
from tests.interop.studio import MICROPHONE, VIDEO_CLOCK, Picture, Source, Studio
from tests.interop.take import recorded
from tests.peers.slow_rtmp import slowed
from tools.server import RunningServer

pytestmark = pytest.mark.interop

NOISE = Source("canvas", 640, 360, rate=25, noise=True)
BITRATE = 2_000_000
"""What the page asks its encoder for."""
CAP = 800_000
WINDOW_MS = 2_000
"""A bitrate is measured over so much media."""
CAP_MS = 5_000
"""By then the cap must be kept."""
KEPT_MS = 4_000
"""And for so long at least it is looked at."""
KEYFRAME_INTERVAL_MS = 2_400
"""A little less than what the server lets pass of itself until it asks for the next one."""
KEYFRAME_TRIES = 5
THROTTLE = 600_000
"""What a slow RTMP server takes, sound and all."""
REACTION_MS = 5_000
"""For so long after it has become slow, pictures may be lost."""
SLOW_MS = 20_000
MAX_QUEUE_MS = 2_000
MIN_VIDEO_BITRATE = 150_000
"""`quality.min_video_bitrate`, the default."""


def open_studio(studio: Studio, stream_url: str | None = None) -> None:
    """Publish noise and sound, and wait until the bitrate has come up."""
    studio.add_source("noise", NOISE)
    studio.add_source("microphone", MICROPHONE)
    studio.add_sender("sound", "microphone")
    studio.add_sender("picture", "noise", [{"maxBitrate": BITRATE}])
    studio.publish(**({"stream_url": stream_url} if stream_url else {}))
    studio.wait_for_status("sinks", 0, "state", value="publishing")
    wait_for_bitrate(studio, 0.8 * BITRATE)


def set_quality(studio: Studio, **values: object) -> Answer:
    return studio.ask("quality", "PUT", json.dumps(values))


def media_ms(earlier: Picture, later: Picture) -> float:
    return ((later.time - earlier.time) & 0xFFFFFFFF) / VIDEO_CLOCK


def bitrate(pictures: list[Picture]) -> float:
    """Bits a second from the first picture up to the last one."""
    return sum(each.length for each in pictures[:-1]) * 8_000 / media_ms(pictures[0], pictures[-1])


def latest_bitrate(studio: Studio) -> float:
    """Of the last two seconds of media."""
    pictures = studio.pictures("picture")
    window = [each for each in pictures if media_ms(each, pictures[-1]) <= WINDOW_MS]
    return bitrate(window) if media_ms(pictures[0], pictures[-1]) >= WINDOW_MS else 0.0


def wait_for_bitrate(studio: Studio, least: float) -> None:
    studio.poll(lambda: latest_bitrate(studio) >= least, f"{least:.0f} bit/s")


def wait_for_media(studio: Studio, since: int, duration_ms: float) -> list[Picture]:
    """Wait for so much media behind the picture number `since`; return the pictures from that on."""

    def pictures() -> list[Picture]:
        return studio.pictures("picture")[since:]

    studio.poll(lambda: media_ms(pictures()[0], pictures()[-1]) >= duration_ms, f"{duration_ms} ms of media")
    return pictures()


def test_a_cap_by_api(chromium_program: str) -> None:
    # By itself the server is not to ask for less here, however slow it all may be.
    with RunningServer(quality__policy="off") as server, chromium(chromium_program) as browser:
        studio = Studio(browser, server)
        open_studio(studio)
        before = latest_bitrate(studio)
        begun = studio.status()["quality"]
        asked_at = studio.count("picture") - 1
        asked = set_quality(studio, max_video_bitrate=CAP)
        capped = wait_for_media(studio, asked_at, CAP_MS + KEPT_MS)
        measured = studio.wait_for(is_measured_below_cap, "a measured bitrate below the cap")["quality"]
        lifted = set_quality(studio, max_video_bitrate=None)
        wait_for_bitrate(studio, 0.8 * before)
        ended = studio.status()["quality"]
    assert (begun["asked"]["max_video_bitrate"], begun["cap"], begun["limited_by"]) == (None, None, None)
    assert asked.status == lifted.status == 200
    assert asked.json["asked"]["max_video_bitrate"] == CAP
    kept = [each for each in capped if media_ms(capped[0], each) >= CAP_MS]
    assert bitrate(kept) <= 1.1 * CAP
    assert (measured["cap"], measured["limited_by"], measured["is_heard"]) == (CAP, "api", True)
    assert (measured["measured"]["width"], measured["measured"]["height"]) == (640, 360)
    assert (ended["asked"]["max_video_bitrate"], ended["cap"], ended["limited_by"]) == (None, None, None)


def is_measured_below_cap(status: dict[str, Any]) -> bool:
    return bool(0 < status["quality"]["measured"]["video_bitrate"] <= 1.1 * CAP)


def test_a_key_frame_by_api(server: RunningServer, chromium_program: str) -> None:
    with chromium(chromium_program) as browser:
        studio = Studio(browser, server)
        open_studio(studio)
        intervals = []
        while not intervals or (intervals[-1] > KEYFRAME_INTERVAL_MS and len(intervals) < KEYFRAME_TRIES):
            intervals.append(asked_interval(studio))
    # Without being asked by us it never sends one so soon.
    assert intervals[-1] <= KEYFRAME_INTERVAL_MS, intervals


def asked_interval(studio: Studio) -> float:
    """Ask for a key frame when one has just come; the media time between the two."""

    def keyframes() -> list[Picture]:
        return [each for each in studio.pictures("picture") if each.is_key]

    count = len(keyframes())
    studio.poll(lambda: len(keyframes()) > count, "a key frame")
    assert studio.ask("keyframe", "POST").status == 204
    studio.poll(lambda: len(keyframes()) > count + 1, "another key frame")
    return media_ms(*keyframes()[count : count + 2])


def test_a_server_that_becomes_slow(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with (
        chromium(chromium_program) as browser,
        slowed(server.rtmp_port, None) as slow,
        recorded(rtmpdump, server, tmp_path) as take,
    ):
        studio = Studio(browser, server)
        open_studio(studio, f"rtmp://127.0.0.1:{slow.port}/live")
        before = studio.status()["quality"]
        slow.bitrate = THROTTLE
        slow_at = studio.count("picture") - 1
        wait_for_media(studio, slow_at, REACTION_MS)
        statuses = watch(studio, studio.count("picture") - 1, SLOW_MS)
        reacted_at = statuses[0]["sinks"][0]["frames_dropped"]
        slow.bitrate = None
        caps = [status["quality"]["cap"] for status in statuses]
        studio.wait_for(lambda status: is_more(status["quality"]["cap"], 1.2 * median(caps)), "a higher cap")
        last = studio.stop("picture")
        sent = studio.pictures("picture")
    sinks = [status["sinks"][0] for status in statuses]
    assert (before["cap"], before["limited_by"]) == (None, None)
    assert {status["quality"]["limited_by"] for status in statuses} == {"sink 1"}
    assert {sink["frames_dropped"] for sink in sinks} == {reacted_at}
    assert max(sink["queue_ms"] for sink in sinks) < MAX_QUEUE_MS
    assert median(caps) > MIN_VIDEO_BITRATE, "it was given up"
    assert [sink["reconnects"] for sink in sinks[-1:]] == [0]
    take.read(sent)
    take.check_order(sent)
    take.check_complete(sent, last, dropped=reacted_at)
    take.check_times()
    take.check_headers()
    take.check_sound()
    take.check_decodes(ffprobe)


def watch(studio: Studio, since: int, duration_ms: float) -> list[dict[str, Any]]:
    """The status, again and again while so much media leaves the encoder behind the picture `since`."""
    statuses: list[dict[str, Any]] = []

    def is_over() -> bool:
        statuses.append(studio.status())
        pictures = studio.pictures("picture")
        return media_ms(pictures[since], pictures[-1]) >= duration_ms

    studio.poll(is_over, f"{duration_ms} ms of media")
    return statuses


def is_more(cap: int | None, than: float) -> bool:
    """A cap is higher than that, or there is none any more."""
    return cap is None or cap > than


def test_what_cannot_be(server: RunningServer, chromium_program: str) -> None:
    with chromium(chromium_program) as browser:
        studio = Studio(browser, server)
        studio.add_source("noise", NOISE)
        studio.add_sender("picture", "noise")
        studio.publish()
        studio.wait_for_status("video", value="live")
        refused = [
            set_quality(studio, max_video_bitrate=each)
            for each in (0, 49_999, 100_000_001, -1, "800000", 800_000.5, True)
        ]
        unknown_layer = set_quality(studio, layer="h")
        unknown_policy = set_quality(studio, policy="sometimes")
        broken = studio.ask("quality", "PUT", "{")
        asked = studio.status()["quality"]["asked"]
        session_url = studio.session_url
        studio.stop("picture")
        gone = [
            request(f"{session_url}/{below}", method, body, Content_Type="application/json").status
            for below, method, body in (
                ("quality", "PUT", '{"max_video_bitrate": 800000}'),
                ("input", "PUT", '{"mid": "0"}'),
                ("keyframe", "POST", None),
            )
        ]
        unknown = request(f"{session_url[:-4]}0000/quality", "PUT", "{}", Content_Type="application/json")
    assert [answer.status for answer in refused] == [422] * len(refused)
    assert {answer.headers["Content-Type"] for answer in refused} == {"application/problem+json"}
    assert unknown_layer.status == 404
    assert unknown_policy.status == 422
    assert broken.status == 400
    assert asked == {"max_video_bitrate": None, "layer": "auto", "policy": "follow-slowest"}
    assert gone == [410] * 3
    assert unknown.status == 404
