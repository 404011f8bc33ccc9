"""An Opus sender in small: libopus in PyAV, 20 ms a packet."""

import math
from array import array
from fractions import Fraction

import av

SAMPLE_RATE = 48_000
PACKET_SAMPLES = 960
PACKET_US = 20_000


def encode(packets: int, *, frequency: float = 440.0, bitrate: int = 64_000) -> list[bytes]:
    """Packets of a stereo tone."""
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate = SAMPLE_RATE
    encoder.layout = "stereo"
    encoder.format = "flt"
    encoder.bit_rate = bitrate
    payloads = [
        bytes(packet) for number in range(packets) for packet in encoder.encode(_sound(number, frequency))
    ]
    return payloads + [bytes(packet) for packet in encoder.encode(None)][: packets - len(payloads)]


def _sound(number: int, frequency: float) -> av.AudioFrame:
    start = number * PACKET_SAMPLES
    step = 2 * math.pi * frequency / SAMPLE_RATE
    samples = array("f", (0.3 * math.sin(step * index) for index in range(start, start + PACKET_SAMPLES)))
    frame = av.AudioFrame(format="fltp", layout="stereo", samples=PACKET_SAMPLES)
    frame.sample_rate = SAMPLE_RATE
    frame.pts = start
    frame.time_base = Fraction(1, SAMPLE_RATE)
    for plane in frame.planes:
        plane.update(samples.tobytes())
    return frame
