"""A real WHIP client to publish with: the ffmpeg of imageio-ffmpeg, sending a picture that can be checked.

The picture moves and shows a running timecode; once a second it flashes white while a tone beeps, so that
the offset between sound and picture can be measured at the other end. What was sent is known packet by
packet: the encoder's output goes to the WHIP muxer and, in the same moment, as a line of text to a pipe.
"""

import subprocess
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, NamedTuple

import imageio_ffmpeg

FLASH_SECONDS = 0.12
VIDEO, AUDIO = 0, 1


class SentPacket(NamedTuple):
    """One encoded packet as it went to the WHIP muxer."""

    stream: int
    """VIDEO or AUDIO."""
    pts: int
    """In frames for video, in samples for audio."""
    at: float
    """time.monotonic() when the line about it was read."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What to encode."""

    width: int = 1280
    height: int = 720
    rate: int = 25
    bitrate: int = 2_000_000
    seconds: float = 8.0

    @property
    def keyframe_interval(self) -> int:
        """Frames from one IDR picture to the next."""
        return 2 * self.rate


@dataclass
class Encoder:
    """A running ffmpeg. `packets` grows while it sends. It ends with its `with` block, `wait` or `stop`."""

    process: subprocess.Popen[str]
    packets: list[SentPacket] = field(default_factory=list)
    messages: str = ""
    """What it wrote to standard error; known after the end."""
    _reader: threading.Thread | None = None

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self, timeout: float) -> str:
        """Wait for the end of the picture; return what ffmpeg wrote to standard error."""
        try:
            self.process.wait(timeout)
        finally:
            self.stop()
        return self.messages

    def stop(self) -> None:
        """End it now."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._reader is not None:
            self._reader.join()
        assert self.process.stderr is not None
        if not self.process.stderr.closed:
            with self.process.stderr as errors:
                self.messages = errors.read()

    def sent(self, stream: int) -> list[SentPacket]:
        """The packets of one stream, in order."""
        return [packet for packet in self.packets if packet.stream == stream]


def ffmpeg_path() -> str:
    """The program inside the imageio-ffmpeg package."""
    path: str = imageio_ffmpeg.get_ffmpeg_exe()
    return path


def start_encoder(whip_url: str, picture: Picture, *, dtls_active: bool = False) -> Encoder:
    """Publish a picture to a WHIP URL. The caller must `wait` or `stop`."""
    process = subprocess.Popen(
        _arguments(whip_url, picture, dtls_active),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    encoder = Encoder(process)
    assert process.stdout is not None
    encoder._reader = threading.Thread(target=_read_packets, args=(process.stdout, encoder.packets))
    encoder._reader.start()
    return encoder


def _arguments(whip_url: str, picture: Picture, dtls_active: bool) -> list[str]:
    flash = f"lt(mod(t,1),{FLASH_SECONDS})"
    video = f"testsrc2=size={picture.width}x{picture.height}:rate={picture.rate}"
    beep = f"0.5*sin(2*PI*1000*t)*{flash}".replace(",", "\\,")
    whip = "[f=whip:whip_flags=dtls_active]" if dtls_active else "[f=whip]"
    escaped = whip_url.replace("\\", "\\\\").replace(":", "\\:").replace("|", "\\|")
    return [
        *(ffmpeg_path(), "-nostdin", "-hide_banner", "-loglevel", "warning"),
        *("-re", "-f", "lavfi", "-i", video),
        *("-re", "-f", "lavfi", "-i", f"aevalsrc=exprs='{beep}':s=48000:c=stereo"),
        *("-t", str(picture.seconds)),
        *("-vf", f"drawbox=color=white:t=fill:enable='{flash}'"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
        *("-bf", "0", "-g", str(picture.keyframe_interval), "-b:v", str(picture.bitrate)),
        *("-c:a", "libopus", "-b:a", "96k", "-ac", "2"),
        # The tee muxer wants parameter sets beforehand; the WHIP muxer then sends them before every IDR.
        *("-flags:v", "+global_header", "-map", "0:v", "-map", "1:a"),
        *("-f", "tee", f"{whip}{escaped}|[f=framecrc:flush_packets=1]pipe\\:1"),
    ]


def _read_packets(lines: IO[str], packets: list[SentPacket]) -> None:
    with lines:
        for line in lines:
            if not line.startswith("#"):
                fields = line.split(",")
                packets.append(SentPacket(int(fields[0]), int(fields[2]), time.monotonic()))
