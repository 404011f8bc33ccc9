"""What the publisher made of libdatachannel is to send: encoded by ffmpeg, each frame with its times."""

import base64
import json
import subprocess
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import av
from tools.encoder import FLASH_SECONDS

SIZE = (640, 360)
RATE = 25
FRAME_MS = 1000 / RATE
SLICES = 4
CLOCK_RATES = {"audio": 48_000, "video": 90_000}


class Sample(NamedTuple):
    """One encoded frame. Times in milliseconds."""

    track: str
    at: float
    """When to send it."""
    pts: float
    data: bytes


def encode(ffmpeg: str, folder: Path, *, frames: int, b_frames: int = 0) -> list[Sample]:
    """A picture that flashes and a tone that beeps once a second, in the order of sending."""
    flash = f"lt(mod(t,1),{FLASH_SECONDS})"
    beep = f"0.5*sin(2*PI*1000*t)*{flash}".replace(",", "\\,")
    x264 = f"slices={SLICES}:bframes={b_frames}:b-adapt=0:scenecut=0:keyint={2 * RATE}:repeat-headers=1"
    path = folder / "media.nut"
    arguments = [
        *(ffmpeg, "-nostdin", "-v", "error", "-t", str(frames / RATE)),
        *("-f", "lavfi", "-i", f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={RATE}", "-t", str(frames / RATE)),
        *("-f", "lavfi", "-i", f"aevalsrc=exprs='{beep}':s=48000:c=stereo"),
        *("-vf", f"drawbox=color=white:t=fill:enable='{flash}'", "-pix_fmt", "yuv420p"),
        *("-c:v", "libx264", "-preset", "veryfast", "-x264-params", x264, "-b:v", "1M"),
        *("-c:a", "libopus", "-b:a", "96k", str(path)),
    ]
    subprocess.run(arguments, check=True)
    samples = read_samples(path)
    assert len([sample for sample in samples if sample.track == "video"]) == frames
    return samples


def read_samples(path: Path) -> list[Sample]:
    """Frames in the order of sending: a picture every 40 ms, sound when it was heard."""
    with av.open(path) as container:
        packets = [
            (packet.stream.type, float(1000 * packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux()
            if packet.size
        ]
    start = min(pts for _, pts, _ in packets)
    pictures_before = count()
    samples = [
        Sample(
            track, next(pictures_before) * FRAME_MS if track == "video" else pts - start, pts - start, data
        )
        for track, pts, data in packets
    ]
    return sorted(samples, key=lambda sample: sample.at)


def schedule(samples: list[Sample]) -> list[dict[str, Any]]:
    """What the publisher reads. RFC 6184, section 5.1: the RTP timestamp is the time of the picture, PTS."""
    return [
        {
            "track": sample.track,
            "at": sample.at,
            "timestamp": round(sample.pts * CLOCK_RATES[sample.track] / 1000),
            "data": base64.b64encode(sample.data).decode(),
        }
        for sample in samples
    ]


def stamped_by_decoding(samples: list[Sample]) -> list[Sample]:
    """As OBS Studio stamps: pictures by decoding time, a line that begins when the first was captured."""
    line = iter(sorted(sample.pts for sample in samples if sample.track == "video"))
    return [sample._replace(pts=next(line)) if sample.track == "video" else sample for sample in samples]


def write_media(path: Path, samples: list[Sample], *, reports: bool) -> None:
    """The file that the publisher reads."""
    path.write_text(json.dumps({"reports": reports, "samples": schedule(samples)}))
