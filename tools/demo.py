"""The whole job once, unattended: start the server, publish by WHIP, play back over RTMP, print what came.

Publisher: ffmpeg (its WHIP muxer), sending a moving picture with a timecode, a flash and a beep each second.
Player: FFmpeg's RTMP client. Both are separate from the server, which runs in a process of its own.
"""

import statistics
import sys

from rich.console import Console
from rich.table import Table

from tools.encoder import AUDIO, VIDEO, Encoder, Picture, start_encoder
from tools.player import Played, Player
from tools.server import RunningServer

STREAM_NAME = "demo"
SETTLED_FRAMES = 25
"""The first second is start-up, which has a line of its own in the table."""


def main() -> int:
    """Run the demo; the exit status is 0 when every frame sent came back."""
    console = Console()
    picture = Picture()
    with RunningServer() as server:
        console.print(f"Server up after {server.started_in:.1f} s at {server.http_url}/")
        player = Player(server.play_url(STREAM_NAME))
        console.print(f"Playing      {server.play_url(STREAM_NAME)}")
        encoder = start_encoder(server.whip_url(STREAM_NAME), picture)
        console.print(f"Publishing   {picture.seconds:g} s by WHIP with ffmpeg …")
        try:
            errors = encoder.wait(picture.seconds + 12)
        finally:
            encoder.stop()
            played = player.join(6)
        if not encoder.packets or not played.arrivals:
            console.print(f"Nothing came.\n{errors}\n{played.error}", style="red")
            return 1
        posted_at = server.wait_for_log("session created")["read_at"]
    console.print(_table(picture, encoder, played, posted_at))
    return 0 if len(encoder.sent(VIDEO)) == len(played.arrivals) else 1


def _table(picture: Picture, encoder: Encoder, played: Played, posted_at: float) -> Table:
    table = Table(title="WHIP in, RTMP out", title_justify="left")
    table.add_column("")
    table.add_column("sent", justify="right")
    table.add_column("received", justify="right")
    span = played.video_dts[-1] - played.video_dts[0]
    table.add_row("video frames", str(len(encoder.sent(VIDEO))), str(len(played.arrivals)))
    table.add_row("audio frames", f"{len(encoder.sent(AUDIO))} Opus", f"{len(played.audio_dts)} AAC")
    table.add_row("size", f"{picture.width}x{picture.height}", f"{played.width}x{played.height}")
    table.add_row(
        "video bitrate",
        f"{picture.bitrate / 1e6:.2f} Mbit/s set",
        f"{played.video_bytes * 8 / span / 1e6:.2f} Mbit/s",
    )
    table.add_row("decoding errors", "", str(played.decode_errors))
    start_up = (played.arrivals[0] - posted_at) * 1000
    table.add_row("start-up, WHIP request to first picture played", "", f"{start_up:.0f} ms")
    table.add_row("added latency, median / p99", "", _latency(encoder, played))
    table.add_row("sound after picture, median / worst", "", _offset(played))
    return table


def _latency(encoder: Encoder, played: Played) -> str:
    """From the packet leaving the encoder to the player having it: through WHIP, server, origin and RTMP."""
    sent = encoder.sent(VIDEO)
    if len(sent) != len(played.arrivals):
        return "frames are missing"
    pairs = zip(sent[SETTLED_FRAMES:], played.arrivals[SETTLED_FRAMES:], strict=True)
    delays = sorted((arrival - packet.at) * 1000 for packet, arrival in pairs)
    return f"{statistics.median(delays):.1f} / {delays[int(len(delays) * 0.99)]:.1f} ms"


def _offset(played: Played) -> str:
    offsets = [offset * 1000 for offset in played.av_offsets()]
    if not offsets:
        return "not measured"
    return f"{statistics.median(offsets):.0f} / {max(offsets, key=abs):.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
