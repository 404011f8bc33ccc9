"""ffprobe as a player: reads a stream to its end, decodes it, and tells every packet and frame it saw."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.interop.processes import Program, running

ENTRIES = (
    "stream=codec_type,codec_name,profile,width,height,sample_rate,channels,extradata_size"
    ":packet=codec_type,dts_time,flags:frame=media_type,width,height"
)


@dataclass
class Probed:
    """What ffprobe saw. Times in seconds."""

    streams: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By "video" and "audio"."""
    video_dts: list[float] = field(default_factory=list)
    audio_dts: list[float] = field(default_factory=list)
    keyframes: list[bool] = field(default_factory=list)
    """For each video packet."""
    pictures: list[tuple[int, int]] = field(default_factory=list)
    """Size of each decoded picture."""
    errors: str = ""


class Probe:
    """A running ffprobe."""

    def __init__(self, program: Program, report: Path) -> None:
        self._program = program
        self._report = report

    def finish(self, timeout: float) -> Probed:
        """Wait for the end of the stream; return what came."""
        status = self._program.wait(timeout)
        assert status == 0, self._program.output
        return _read_report(json.loads(self._report.read_text()), self._program.output)


@contextmanager
def probing(ffprobe: str, source: str, folder: Path) -> Iterator[Probe]:
    """Run ffprobe on a URL or a file; its files go to `folder`."""
    report = folder / "ffprobe.json"
    arguments = [ffprobe, "-v", "error", "-show_streams", "-show_packets", "-show_frames"]
    arguments += ["-show_entries", ENTRIES, "-of", "json", source]
    with running(arguments, folder / "ffprobe.log", stdout=report) as program:
        yield Probe(program, report)


def _read_report(report: dict[str, Any], errors: str) -> Probed:
    probed = Probed(errors=errors)
    probed.streams = {stream["codec_type"]: stream for stream in report["streams"]}
    for entry in report["packets_and_frames"]:
        # Messages that are no media show up as streams of their own; their packets may lack anything.
        match entry:
            case {"type": "frame", "media_type": "video"}:
                probed.pictures.append((entry["width"], entry["height"]))
            case {"type": "packet", "codec_type": "video"}:
                probed.video_dts.append(float(entry["dts_time"]))
                probed.keyframes.append("K" in entry["flags"])
            case {"type": "packet", "codec_type": "audio"}:
                probed.audio_dts.append(float(entry["dts_time"]))
    return probed
