"""nginx-rtmp as `stream_url`: somebody else's RTMP server, with its recorder, statistics and admission."""

import json
import urllib.request
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from playwright.sync_api import expect
from tests.interop.checks import check_in_sync, check_played
from tests.interop.chromium import TIMEOUT_MS, PublishingPage, chromium
from tests.interop.nginx import answering, nginx
from tests.interop.processes import wait_until
from tests.interop.recording import pictures, read_flv
from tools.encoder import VIDEO, Picture, start_encoder
from tools.player import Played, play
from tools.server import RunningServer

pytestmark = pytest.mark.interop

PICTURE = Picture(width=640, height=360, bitrate=800_000, seconds=5.0)
END_TIMEOUT = 10.0
PASSCODE = "ab+c%2F1"
"""A plus sign and an escape, which a server that decodes once too often would change."""


@pytest.mark.usefixtures("whip_ffmpeg")
def test_nginx_gets_the_stream_and_its_arguments(
    server: RunningServer, nginx_program: str, tmp_path: Path
) -> None:
    name = quote(f"program?passcode={PASSCODE}", safe="")
    with answering(200) as callback, nginx(nginx_program, tmp_path, callback) as target:
        with start_encoder(server.whip_url(name, target.stream_url), PICTURE) as encoder:
            wait_until(
                lambda: "meta/audio/codec" in target.statistics("program"), END_TIMEOUT, "nginx's statistics"
            )
            statistics = target.statistics("program")
            encoder.wait(PICTURE.seconds + END_TIMEOUT)
        wait_until(lambda: not target.statistics("program"), END_TIMEOUT, "the end of the stream in nginx")
        recording = target.recording("program")

    assert f"passcode={PASSCODE}" in callback.bodies[0].split("&")
    arguments = dict(parse_qsl(callback.bodies[0]))
    assert len(callback.bodies) == 1
    assert (arguments["app"], arguments["name"], arguments["call"]) == ("live", "program", "publish")
    assert arguments["tcurl"] == target.stream_url
    assert statistics["meta/video/codec"] == "H264"
    assert statistics["meta/video/width"] == "640"
    assert statistics["meta/video/height"] == "360"
    assert statistics["meta/audio/codec"] == "AAC"
    tags = read_flv(recording)
    assert len(pictures(tags)) == len(encoder.sent(VIDEO)) > 0
    played = Played()
    play(str(recording), played)
    check_played(played, frames=len(encoder.sent(VIDEO)), size=(640, 360))
    check_in_sync(played)


def test_nginx_refuses_and_the_publisher_learns_it(
    server: RunningServer, nginx_program: str, chromium_program: str, tmp_path: Path
) -> None:
    with (
        answering(403) as callback,
        nginx(nginx_program, tmp_path, callback) as target,
        chromium(chromium_program) as browser,
    ):
        page = PublishingPage(browser, server, stream_name="program", stream_url=target.stream_url)
        expect(page.page.locator("#status")).to_contain_text("Not on air", timeout=TIMEOUT_MS)
        expect(page.page.locator("#sinks")).to_contain_text("Trying again", timeout=TIMEOUT_MS)
        with urllib.request.urlopen(f"{page.session_url}/status", timeout=5) as response:
            status = json.load(response)
        callback.status = 200
        page.wait_for("live")
        expect(page.page.locator("#status")).to_contain_text("On air", timeout=2 * TIMEOUT_MS)
    assert urlsplit(page.session_url).netloc == urlsplit(server.http_url).netloc
    assert status["state"] == "live"
    sink = status["sinks"][0]
    assert (sink["state"], sink["reason"]) == ("retrying", "closed_early")
