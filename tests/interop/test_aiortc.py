"""aiortc publishes: an independent WebRTC with full ICE, REMB and key frames on request."""

import json
import sys
from pathlib import Path

import pytest
from tests.interop.aiortc_publisher import HEIGHT, WIDTH
from tests.interop.checks import check_in_sync, check_played, check_probed
from tests.interop.probe import probing
from tests.interop.processes import running, wait_for_clients
from tools.player import Player
from tools.server import RunningServer

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
FRAMES = 125
END_TIMEOUT = 10.0


def test_players_get_everything(server: RunningServer, ffprobe: str, tmp_path: Path) -> None:
    url = server.play_url("program")
    script = [sys.executable, "-m", "tests.interop.aiortc_publisher"]
    publish = [*script, server.whip_url("program"), str(FRAMES)]
    with probing(ffprobe, url, tmp_path) as probe:
        player = Player(url)
        wait_for_clients(server.rtmp_port, 2)
        report = tmp_path / "sent.json"
        with running(publish, tmp_path / "aiortc.log", stdout=report, folder=ROOT) as publisher:
            status = publisher.wait(FRAMES / 25 + 2 * END_TIMEOUT)
            assert status == 0, publisher.output
        probed = probe.finish(END_TIMEOUT)
        played = player.join(END_TIMEOUT)
        ended = server.wait_for_log("session ended")
    sent = json.loads(report.read_text())
    assert sent == {"audio": 2 * FRAMES, "video": FRAMES}
    check_probed(probed, frames=FRAMES, size=(WIDTH, HEIGHT))
    check_played(played, frames=FRAMES, size=(WIDTH, HEIGHT))
    check_in_sync(played, at_once=False)
    assert ended["reason"] == "deleted"
