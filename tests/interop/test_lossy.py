"""Publishers behind a bad network: 5 % of the packets lost each way, a round trip of 50 ms.

All of them repeat what they are asked for, each in its own way, so that nearly every picture comes. What
players get must decode without a complaint, whatever is missing, and go on as long as the publisher does.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.interop.chromium import PublishingPage, chromium
from tests.interop.datachannel import RATE, encode, write_media
from tests.interop.probe import Probed, probing
from tests.interop.processes import running, wait_for_clients
from tools.encoder import VIDEO, Picture, start_encoder
from tools.lossy_relay import LossyRelay
from tools.player import Player
from tools.server import RunningServer

pytestmark = pytest.mark.interop

STREAM = "program"
LOSS, DELAY = 0.05, 0.025
PICTURE = Picture(width=640, height=360, bitrate=800_000, seconds=8.0)
CHROMIUM_SECONDS = 6.0
FRAMES = 125
SIZE = (640, 360)
END_TIMEOUT = 10.0
MIN_SHARE = 0.95
"""Of the pictures sent. Without repair one in five is lost, and with it all others up to the key frame."""
MAX_LOST_AT_START = 15
"""Pictures. A client sends once it has the keys; if its last DTLS flight is lost, the server has none yet."""
MAX_PAUSE = 1.0
"""Seconds without a picture: one was lost for good, and the key frame that was asked for is on its way."""
MAX_AUDIO_GAP = 0.05
"""Seconds. Sound that is lost becomes silence, not a gap in the times."""
FFMPEG_RTX = 105
GSTREAMER_RTX = (98, 99)
"""Payload types of what is repeated, in a stream of its own (RFC 4588); GStreamer does that for sound too."""


def test_ffmpeg_behind_a_bad_network(whip_ffmpeg: str, ffprobe: str, tmp_path: Path) -> None:
    with bad_network() as (server, relay), probing(ffprobe, server.play_url(STREAM), tmp_path) as probe:
        player = Player(server.play_url(STREAM))
        wait_for_clients(server.rtmp_port, 2)
        with start_encoder(server.whip_url(STREAM), PICTURE) as encoder:
            encoder.wait(PICTURE.seconds + END_TIMEOUT)
        probed = probe.finish(END_TIMEOUT)
        played = player.join(END_TIMEOUT)
    sent = encoder.sent(VIDEO)
    assert relay.to_server.dropped > 0
    assert relay.to_server.payload_types[FFMPEG_RTX] > 0, "it was not asked in a way that it answers"
    check_repaired(probed, sent=len(sent))
    assert not played.error
    assert played.decode_errors == 0
    assert played.arrivals[-1] - sent[-1].at <= MAX_PAUSE


def test_chromium_behind_a_bad_network(chromium_program: str, ffprobe: str, tmp_path: Path) -> None:
    with (
        bad_network() as (server, relay),
        chromium(chromium_program) as browser,
        probing(ffprobe, server.play_url(STREAM), tmp_path) as probe,
    ):
        wait_for_clients(server.rtmp_port, 1)
        page = PublishingPage(browser, server, stream_name=STREAM)
        page.wait_for("live")
        page.scale_down(1)
        page.publish_for(CHROMIUM_SECONDS)
        sent = page.hold_video()
        with urlopen(f"{page.session_url}/status", timeout=5.0) as response:
            tracks = json.load(response)["tracks"]
        page.stop()
        probed = probe.finish(END_TIMEOUT)
    assert relay.to_server.dropped > 0
    # The page's offer lets sound be asked for as well, which browsers do not offer of their own accord.
    assert all(track["repaired"] > 0 for track in tracks), tracks
    check_repaired(probed, sent=sent)
    assert probed.pictures[-1] == SIZE


def test_libdatachannel_behind_a_bad_network(
    node_script: list[str], whip_ffmpeg: str, ffprobe: str, tmp_path: Path
) -> None:
    media = tmp_path / "media.json"
    write_media(media, encode(whip_ffmpeg, tmp_path, frames=FRAMES), reports=True)
    # It repeats packets as they were: same SSRC, same payload type.
    relay = publish_by_script([*node_script, "{whip_url}", str(media)], ffprobe, tmp_path)
    assert relay.to_server.dropped > 0


def test_gstreamer_behind_a_bad_network(gstreamer_python: str, ffprobe: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("gstreamer_publisher.py")
    publish = [gstreamer_python, str(script), "{whip_url}", "x264enc", str(FRAMES)]
    relay = publish_by_script(publish, ffprobe, tmp_path)
    assert relay.to_server.dropped > 0
    assert all(relay.to_server.payload_types[rtx] > 0 for rtx in GSTREAMER_RTX)


def publish_by_script(publish: list[str], ffprobe: str, folder: Path) -> LossyRelay:
    """Run a publisher that prints how much it has sent, and check what of it comes out."""
    report = folder / "sent.json"
    with bad_network() as (server, relay), probing(ffprobe, server.play_url(STREAM), folder) as probe:
        wait_for_clients(server.rtmp_port, 1)
        command = [part.format(whip_url=server.whip_url(STREAM)) for part in publish]
        with running(command, folder / "publisher.log", stdout=report) as publisher:
            assert publisher.wait(FRAMES / RATE + 2 * END_TIMEOUT) == 0, publisher.output
        probed = probe.finish(END_TIMEOUT)
    check_repaired(probed, sent=json.loads(report.read_text())["video"])
    return relay


@contextmanager
def bad_network() -> Iterator[tuple[RunningServer, LossyRelay]]:
    """A server that clients reach through the bad network only."""
    port = free_udp_port()
    with (
        LossyRelay(port, loss=LOSS, delay=DELAY) as relay,
        RunningServer(media__port=str(port), media__public_port=str(relay.port)) as server,
    ):
        yield server, relay


def free_udp_port() -> int:
    """A UDP port of 127.0.0.1 that was free just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_repaired(probed: Probed, *, sent: int) -> None:
    """Nearly everything is there, all of it decodes, and nothing stops for long."""
    assert probed.errors == ""
    assert probed.keyframes[0]
    assert len(probed.pictures) == len(probed.video_dts)
    wanted = MIN_SHARE * sent - MAX_LOST_AT_START
    assert len(probed.pictures) >= wanted, f"{len(probed.pictures)} pictures of {sent}"
    for times, longest in ((probed.video_dts, MAX_PAUSE), (probed.audio_dts, MAX_AUDIO_GAP)):
        steps = [later - earlier for earlier, later in pairwise(times)]
        assert 0 < min(steps)
        assert max(steps) <= longest, steps
