"""Play an RTMP stream back, or read a recording, and measure what came: frames, times, flashes and beeps."""

import threading
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av

FLASH_LUMA = 200
"""The white flash has 235; the test picture averages far below."""
LUMA_STEP = 997
"""Every so many samples of the picture are enough to tell white from not white; a prime hits all columns."""
BEEP_LEVEL = 0.1
OPEN_TIMEOUT = 15.0
READ_TIMEOUT = 5.0


@dataclass
class Played:
    """What was received. Times in seconds; `arrivals` are time.monotonic() of each video packet."""

    width: int = 0
    height: int = 0
    arrivals: list[float] = field(default_factory=list)
    video_dts: list[float] = field(default_factory=list)
    audio_dts: list[float] = field(default_factory=list)
    video_bytes: int = 0
    decode_errors: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Each picture size in the order it came up."""
    flashes: list[float] = field(default_factory=list)
    """Presentation time of the first white picture of each flash."""
    beeps: list[float] = field(default_factory=list)
    """Presentation time of the first loud sample of each beep."""
    error: str = ""

    def av_offsets(self) -> list[float]:
        """For each flash with a beep near it: beep minus flash; positive when the sound is late."""
        pairs = ((beep - flash) for flash in self.flashes for beep in self.beeps if abs(beep - flash) < 0.5)
        return list(pairs)


class Player:
    """Plays a URL in a thread of its own until the stream ends. `join` returns what came."""

    def __init__(self, url: str) -> None:
        self.played = Played()
        self._url = url
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self, timeout: float) -> Played:
        """Wait for the end of the stream."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            self.played.error = self.played.error or f"the stream did not end within {timeout:g} s"
        return self.played

    def _run(self) -> None:
        try:
            play(self._url, self.played)
        except av.FFmpegError as error:
            self.played.error = str(error)


def play(url: str, played: Played) -> None:
    """Read `url` (or a file) to its end into `played`. Raises av.FFmpegError when it cannot be opened."""
    # No probing: codecs and sizes stand in the headers, and a probe would hold the first pictures back.
    options = {"probesize": "2048", "analyzeduration": "0"}
    with av.open(url, options=options, timeout=(OPEN_TIMEOUT, READ_TIMEOUT)) as container:
        flash = _Onset(played.flashes)
        beep = _Onset(played.beeps)
        for packet in _packets(container):
            if packet.dts is None or packet.stream.type not in ("video", "audio"):
                continue
            _note_packet(packet, played)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                played.decode_errors += 1
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame):
                    _note_picture(frame, played, flash)
                elif isinstance(frame, av.AudioFrame):
                    _note_sound(frame, beep)


def _packets(container: Any) -> Iterator[Any]:
    try:
        yield from container.demux()
    except IndexError:
        # Metadata on the way, as for a new picture size, makes FFmpeg open a stream. PyAV does not know
        # that one, and stumbles over it at the very end, when it flushes all streams.
        return


class _Onset:
    """Appends the time at which something begins after it was absent."""

    def __init__(self, times: list[float]) -> None:
        self._times = times
        self._present = True

    def note(self, present: bool, at: float) -> None:
        if present and not self._present:
            self._times.append(at)
        self._present = present


def _note_packet(packet: Any, played: Played) -> None:
    dts = float(packet.dts * packet.time_base)
    if packet.stream.type == "video":
        played.arrivals.append(time.monotonic())
        played.video_dts.append(dts)
        played.video_bytes += packet.size
    elif packet.stream.type == "audio":
        played.audio_dts.append(dts)


def _note_picture(frame: av.VideoFrame, played: Played, flash: _Onset) -> None:
    played.width, played.height = frame.width, frame.height
    if (frame.width, frame.height) not in played.sizes[-1:]:
        played.sizes.append((frame.width, frame.height))
    luma = bytes(frame.planes[0])[::LUMA_STEP]
    flash.note(sum(luma) / len(luma) > FLASH_LUMA, frame.time or 0.0)


def _note_sound(frame: av.AudioFrame, beep: _Onset) -> None:
    samples = array("f", bytes(frame.planes[0]))[: frame.samples]
    first = next((index for index, sample in enumerate(samples) if abs(sample) > BEEP_LEVEL), None)
    # A beep lasts longer than a frame, so the end of one is a frame without any loud sample.
    beep.note(first is not None, (frame.time or 0.0) + (first or 0) / frame.sample_rate)
