"""Chromium publishes from the page of the server.

Its picture comes through whole, also when its size changes; its bitrate grows to what the path carries; a
browser that is gone without a word leaves nothing behind; one without H.264 is told so.
"""

from itertools import pairwise
from pathlib import Path

import pytest
from tests.interop.checks import check_in_sync, check_played, check_probed
from tests.interop.chromium import NOISE, ONLY_VP8, PublishingPage, chromium
from tests.interop.probe import probing
from tests.interop.processes import running, wait_for_clients
from tests.interop.recording import pictures, read_flv, video_headers
from tools.encoder import VIDEO, Picture, start_encoder
from tools.player import Player
from tools.server import RunningServer

pytestmark = pytest.mark.interop

STREAM = "program"
SIZE = (640, 360)
HALF_SIZE = (320, 180)
END_TIMEOUT = 10.0
SILENCE_TIMEOUT = 2.0
RAMP_SECONDS = 8
"""Two are enough where nothing else wants the processor."""


def test_players_get_every_picture(
    server: RunningServer, chromium_program: str, ffprobe: str, tmp_path: Path
) -> None:
    with (
        chromium(chromium_program) as browser,
        probing(ffprobe, server.play_url(STREAM), tmp_path) as probe,
    ):
        player = Player(server.play_url(STREAM))
        wait_for_clients(server.rtmp_port, 2)
        page = PublishingPage(browser, server, stream_name=STREAM)
        page.wait_for("live")
        page.scale_down(1)
        page.publish_for(5.0)
        sent = page.hold_video()
        page.stop()
        probed = probe.finish(END_TIMEOUT)
        played = player.join(END_TIMEOUT)
    check_probed(probed, frames=sent, size=SIZE)
    check_played(played, frames=sent, size=SIZE)
    check_in_sync(played, at_once=False)


def test_the_picture_changes_its_size(
    chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    recording = tmp_path / "recording.flv"
    with (
        RunningServer(media__public_addresses="127.0.0.1") as server,
        chromium(chromium_program) as browser,
    ):
        dump = [rtmpdump, "--live", "--quiet", "--rtmp", server.play_url(STREAM), "--flv", str(recording)]
        with running(dump, tmp_path / "rtmpdump.log") as recorder:
            wait_for_clients(server.rtmp_port, 1)
            page = PublishingPage(browser, server, stream_name=STREAM)
            page.wait_for("live")
            for factor, height in ((1, SIZE[1]), (2, HALF_SIZE[1]), (1, SIZE[1])):
                page.scale_down(factor)
                page.wait_for_height(height)
                page.publish_for(1.0)
            sent = page.hold_video()
            page.stop()
            assert recorder.wait(END_TIMEOUT) == 0
        published = [entry for entry in server.log if entry["event"] in ("publishing", "publish started")]
    tags = read_flv(recording)
    assert len(pictures(tags)) == sent
    headers = video_headers(tags)
    assert len(headers) >= 3
    assert all(before != after for before, after in pairwise(headers)), "a header was sent again unchanged"
    with probing(ffprobe, str(recording), tmp_path) as probe:
        probed = probe.finish(END_TIMEOUT)
    assert probed.errors == ""
    assert len(probed.pictures) == sent
    changes = [probed.pictures[0]] + [after for before, after in pairwise(probed.pictures) if before != after]
    # What the browser did at first, by itself, may stand before.
    assert changes[-3:] == [SIZE, HALF_SIZE, SIZE]
    assert len(published) == 2, "it was published more than once"


@pytest.mark.parametrize("way", ["crash", "close"])
@pytest.mark.usefixtures("whip_ffmpeg")
def test_the_tab_is_gone(chromium_program: str, way: str) -> None:
    with (
        RunningServer(session__silence_timeout=str(SILENCE_TIMEOUT)) as server,
        chromium(chromium_program) as browser,
    ):
        page = PublishingPage(browser, server, stream_name=STREAM)
        page.wait_for("live")
        server.wait_for_log("publish started")
        page.leave(way)
        ended = server.wait_for_log("session ended", SILENCE_TIMEOUT + 2)
        server.wait_for_log("publish ended")
        assert ended["reason"] in {"crash": ["silence"], "close": ["deleted", "client_closed"]}[way]

        player = Player(server.play_url(STREAM))
        with start_encoder(server.whip_url(STREAM), Picture(width=320, height=180, seconds=1.0)) as encoder:
            encoder.wait(END_TIMEOUT)
        played = player.join(END_TIMEOUT)
    assert len(played.video_dts) == len(encoder.sent(VIDEO)) > 0, "the name was not free"


def test_the_bitrate_grows_to_what_was_asked_for(server: RunningServer, chromium_program: str) -> None:
    with chromium(chromium_program) as browser:
        page = PublishingPage(
            browser, server, script=NOISE, source="camera", stream_name=STREAM, resolution="1280x720"
        )
        page.wait_for("live")
        # Without feedback it stays at some 300 kbit/s. The page asks for 2 Mbit/s.
        rates = [page.sent_bitrate(1.0) for _ in range(RAMP_SECONDS)]
        page.stop()
    assert max(rates) > 1_700_000, rates


def test_an_offer_without_h264_is_refused_in_words(server: RunningServer, chromium_program: str) -> None:
    with chromium(chromium_program) as browser:
        page = PublishingPage(browser, server, stream_name=STREAM, script=ONLY_VP8)
        told = page.wait_for("failed")
    assert "The offer cannot be accepted" in told
    assert "VP8" in told
    assert "H264 is needed" in told
    assert "422" in told
    assert not page.session_url
