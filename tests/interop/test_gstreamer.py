"""GStreamer's webrtcbin publishes: an RSA certificate, mids that are words, a bundle-only media description.

Its two encoders differ in shape: x264enc with zerolatency cuts a picture into slices, openh264enc does not.
"""

import json
from pathlib import Path

import pytest
from tests.interop.checks import check_in_sync, check_played, check_probed
from tests.interop.probe import probing
from tests.interop.processes import running, wait_for_clients
from tools.player import Player
from tools.server import RunningServer

pytestmark = pytest.mark.interop

SCRIPT = Path(__file__).with_name("gstreamer_publisher.py")
FRAMES = 125
SIZE = (640, 360)
END_TIMEOUT = 10.0


@pytest.mark.parametrize("encoder", ["x264enc", "openh264enc"])
def test_players_get_everything(
    server: RunningServer, gstreamer_python: str, ffprobe: str, tmp_path: Path, encoder: str
) -> None:
    url = server.play_url("program")
    publish = [gstreamer_python, str(SCRIPT), server.whip_url("program"), encoder, str(FRAMES)]
    with probing(ffprobe, url, tmp_path) as probe:
        player = Player(url)
        wait_for_clients(server.rtmp_port, 2)
        report = tmp_path / "sent.json"
        with running(publish, tmp_path / "gstreamer.log", stdout=report) as publisher:
            status = publisher.wait(FRAMES / 25 + 2 * END_TIMEOUT)
            assert status == 0, publisher.output
        probed = probe.finish(END_TIMEOUT)
        played = player.join(END_TIMEOUT)
        ended = server.wait_for_log("session ended")
    sent = json.loads(report.read_text())
    assert (sent["video"], sent["audio"]) == (FRAMES, 2 * FRAMES)
    check_probed(probed, frames=FRAMES, size=SIZE)
    check_played(played, frames=FRAMES, size=SIZE)
    check_in_sync(played, at_once=False)
    # At the end of the stream rtpbin says BYE, a moment before the script's DELETE (then 410) or after it.
    assert ended["reason"] == ("deleted" if sent["deleted"] else "client_closed")
