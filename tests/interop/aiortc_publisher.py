"""A WHIP client made of aiortc, an independent WebRTC implementation: H.264 and Opus, flash and beep.

    python -m tests.interop.aiortc_publisher WHIP_URL VIDEO_FRAMES

It sends that many pictures with as much sound, deletes its session, and prints as JSON what it has sent.
"""

import array
import asyncio
import json
import math
import sys
from fractions import Fraction

import aioice.ice
import httpx
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

WIDTH, HEIGHT, FRAME_RATE = 640, 360, 25
FLASH_FRAMES = 3
SAMPLE_RATE = 48_000
FRAME_SAMPLES = 960
BEEP_HZ, BEEP_SAMPLES = 1000, SAMPLE_RATE * FLASH_FRAMES // FRAME_RATE
SETTLE_SECONDS = 0.5
"""Between the last packet and DELETE: what is still on its way arrives."""


class Pace:
    """Lets media out at the speed of life; the tracks share one, so its zero is the same for both."""

    def __init__(self) -> None:
        self._began: float | None = None

    async def wait(self, media_seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        await asyncio.sleep(max(0.0, self._began + media_seconds - now))


class GeneratedTrack(MediaStreamTrack):
    """Makes frames until it has made `limit`, then ends. `count` is how many were taken."""

    def __init__(self, kind: str, pace: Pace, limit: int) -> None:
        self.kind = kind
        super().__init__()
        self.count = 0
        self.ended = asyncio.Event()
        self._pace = pace
        self._limit = limit

    async def recv(self) -> VideoFrame | AudioFrame:
        if self.count >= self._limit:
            self.ended.set()
            raise MediaStreamError
        frame = picture(self.count) if self.kind == "video" else sound(self.count)
        await self._pace.wait(frame.time or 0.0)
        self.count += 1
        return frame


def picture(index: int) -> VideoFrame:
    """A bright square that moves over black; white all over for the first frames of each second."""
    frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
    luma, *chroma = frame.planes
    flash = index % FRAME_RATE < FLASH_FRAMES
    rows = bytearray([235 if flash else 16]) * (luma.line_size * HEIGHT)
    left = index * 4 % (WIDTH - 64)
    for row in range(64):
        rows[row * luma.line_size + left : row * luma.line_size + left + 64] = b"\xeb" * 64
    luma.update(bytes(rows))
    for plane in chroma:
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
    return frame


def sound(index: int) -> AudioFrame:
    """20 ms of stereo: a beep at the beginning of each second, else silence."""
    samples = array.array("h")
    for position in range(index * FRAME_SAMPLES, (index + 1) * FRAME_SAMPLES):
        beeps = position % SAMPLE_RATE < BEEP_SAMPLES
        level = int(16_000 * math.sin(2 * math.pi * BEEP_HZ * position / SAMPLE_RATE)) if beeps else 0
        samples.extend((level, level))
    frame = AudioFrame(format="s16", layout="stereo", samples=FRAME_SAMPLES)
    frame.planes[0].update(samples.tobytes())
    frame.sample_rate = SAMPLE_RATE
    frame.pts, frame.time_base = index * FRAME_SAMPLES, Fraction(1, SAMPLE_RATE)
    return frame


async def publish(url: str, frames: int) -> dict[str, int]:
    pace = Pace()
    audio_frames = frames * SAMPLE_RATE // FRAME_SAMPLES // FRAME_RATE
    tracks = [GeneratedTrack("audio", pace, audio_frames), GeneratedTrack("video", pace, frames)]
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for track in tracks:
        transceiver = connection.addTransceiver(track, direction="sendonly")
        if track.kind == "video":
            transceiver.setCodecPreferences(h264_codecs())
    await connection.setLocalDescription(await connection.createOffer())
    async with httpx.AsyncClient() as http:
        headers = {"Content-Type": "application/sdp"}
        offered = await http.post(url, content=connection.localDescription.sdp, headers=headers)
        offered.raise_for_status()
        await connection.setRemoteDescription(RTCSessionDescription(offered.text, "answer"))
        await asyncio.gather(*(track.ended.wait() for track in tracks))
        await asyncio.sleep(SETTLE_SECONDS)
        (await http.delete(offered.headers["location"])).raise_for_status()
    await connection.close()
    return {track.kind: track.count for track in tracks}


def h264_codecs() -> list[RTCRtpCodecCapability]:
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return [codec for codec in codecs if codec.mimeType.lower() == "video/h264"]


def main() -> None:
    # aioice leaves loopback out when it gathers, and a machine may have nothing else.
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    print(json.dumps(asyncio.run(publish(sys.argv[1], int(sys.argv[2])))))  # noqa: T201 - that is its output


if __name__ == "__main__":
    main()
