"""ffmpeg publishes by WHIP to the embedded origin; ffprobe, FFmpeg's libraries and rtmpdump play it."""

from pathlib import Path

import pytest
from tests.interop.checks import check_in_sync, check_played, check_probed
from tests.interop.probe import probing
from tests.interop.processes import running, wait_for_clients, wait_until
from tests.interop.recording import SCRIPT, pictures, read_flv
from tools.encoder import VIDEO, Picture, start_encoder
from tools.player import Player
from tools.server import RunningServer

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("whip_ffmpeg")]

PICTURE = Picture(width=640, height=360, bitrate=800_000, seconds=5.0)
SIZE = (PICTURE.width, PICTURE.height)
STREAM = "program"
END_TIMEOUT = 10.0


@pytest.mark.parametrize(
    ("dtls_active", "settings"),
    [
        pytest.param(False, {"media__host": "127.0.0.1"}, id="dtls-passive"),
        pytest.param(True, {"media__public_addresses": "127.0.0.1"}, id="dtls-active-public-address"),
    ],
)
def test_players_get_everything(
    ffprobe: str, tmp_path: Path, dtls_active: bool, settings: dict[str, str]
) -> None:
    with RunningServer(**settings) as server, probing(ffprobe, server.play_url(STREAM), tmp_path) as probe:
        player = Player(server.play_url(STREAM))
        wait_for_clients(server.rtmp_port, 2)
        with start_encoder(server.whip_url(STREAM), PICTURE, dtls_active=dtls_active) as encoder:
            encoder.wait(PICTURE.seconds + END_TIMEOUT)
        probed = probe.finish(END_TIMEOUT)
        played = player.join(END_TIMEOUT)
        server.wait_for_log("publish ended")
        ended = server.wait_for_log("session ended")
    sent = len(encoder.sent(VIDEO))
    assert sent == PICTURE.seconds * PICTURE.rate, encoder.messages
    check_played(played, frames=sent, size=SIZE)
    assert played.sizes == [SIZE]
    check_in_sync(played)
    check_probed(probed, frames=sent, size=SIZE)
    assert ended["reason"] == "deleted"


def test_late_player_begins_with_headers_and_a_key_frame(
    server: RunningServer, ffprobe: str, rtmpdump: str, tmp_path: Path
) -> None:
    recording = tmp_path / "late.flv"
    dump = [rtmpdump, "--live", "--quiet", "--rtmp", server.play_url(STREAM), "--flv", str(recording)]
    with start_encoder(server.whip_url(STREAM), PICTURE) as encoder:
        wait_until(lambda: len(encoder.sent(VIDEO)) >= 3 * PICTURE.rate, END_TIMEOUT, "three seconds of it")
        with (
            running(dump, tmp_path / "rtmpdump.log") as recorder,
            probing(ffprobe, server.play_url(STREAM), tmp_path) as probe,
        ):
            encoder.wait(PICTURE.seconds + END_TIMEOUT)
            probed = probe.finish(END_TIMEOUT)
            assert recorder.wait(END_TIMEOUT) == 0
    tags = read_flv(recording)
    media = [tag for tag in tags if tag.kind != SCRIPT]
    assert [tag.is_header for tag in media[:3]] == [True, True, False]
    assert {tag.kind for tag in media[:2]} == {tag.kind for tag in media}
    assert media[2].is_keyframe
    check_probed(probed, frames=len(probed.video_dts), size=SIZE)
    # Whenever they came, they got a whole group of pictures and everything after it.
    for frames in (len(pictures(tags)), len(probed.video_dts)):
        missed = len(encoder.sent(VIDEO)) - frames
        assert missed > 0
        assert missed % PICTURE.keyframe_interval == 0
