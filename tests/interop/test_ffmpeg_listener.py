"""`ffmpeg -listen 1` as `stream_url`: an RTMP server for one publisher, in an old and a new edition."""

from pathlib import Path

import pytest
from tests.interop.checks import check_in_sync, check_played
from tests.interop.processes import free_port, running, wait_for_listener
from tools.encoder import VIDEO, Picture, start_encoder
from tools.player import Played, play
from tools.server import RunningServer

pytestmark = pytest.mark.interop

PICTURE = Picture(width=640, height=360, bitrate=800_000, seconds=4.0)
END_TIMEOUT = 10.0


@pytest.mark.parametrize("edition", ["debian_ffmpeg", "whip_ffmpeg"])
def test_ffmpeg_records_and_ends_cleanly(
    request: pytest.FixtureRequest, whip_ffmpeg: str, server: RunningServer, tmp_path: Path, edition: str
) -> None:
    program: str = request.getfixturevalue(edition)
    port = free_port()
    stream_url = f"rtmp://127.0.0.1:{port}/live"
    recording = tmp_path / "recording.flv"
    listen = [program, "-nostdin", "-v", "error", "-listen", "1", "-f", "flv", "-i", f"{stream_url}/program"]
    with running([*listen, "-c", "copy", str(recording)], tmp_path / "ffmpeg.log") as listener:
        wait_for_listener(port, listener)
        with start_encoder(server.whip_url("program", stream_url), PICTURE) as encoder:
            encoder.wait(PICTURE.seconds + END_TIMEOUT)
        status = listener.wait(END_TIMEOUT)
        complaints = listener.output.splitlines()
    assert status == 0, complaints
    # In this role ffmpeg calls every end an I/O error, also when its own kind has published.
    assert [line for line in complaints if not line.endswith("Input/output error")] == []
    played = Played()
    play(str(recording), played)
    check_played(played, frames=len(encoder.sent(VIDEO)), size=(640, 360))
    check_in_sync(played)
