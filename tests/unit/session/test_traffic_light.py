"""Each bound, on both sides, and that the worst one decides."""

from typing import Any

import pytest

from whipway.session.traffic_light import Color, Light, traffic_light

FINE: dict[str, Any] = {
    "media_silence": 0.0,
    "rtt_ms": 20.0,
    "loss": 0.0,
    "stream_time_ratio": 1.0,
    "max_frame_delay_ms": 40,
}


def light(**values: object) -> Light:
    return traffic_light(FINE | values)


def test_all_is_well():
    assert light() == (Color.GREEN, ())


def test_what_is_not_known_is_not_judged():
    assert traffic_light(dict.fromkeys(FINE)) == (Color.GREEN, ())


@pytest.mark.parametrize(
    ("key", "value", "color"),
    [
        ("rtt_ms", 150.0, Color.GREEN),
        ("rtt_ms", 150.1, Color.YELLOW),
        ("rtt_ms", 250.0, Color.YELLOW),
        ("rtt_ms", 250.1, Color.RED),
        ("loss", 0.05, Color.GREEN),
        ("loss", 0.0501, Color.YELLOW),
        ("loss", 0.10, Color.YELLOW),
        ("loss", 0.1001, Color.RED),
        ("stream_time_ratio", 1.2, Color.GREEN),
        ("stream_time_ratio", 0.95, Color.GREEN),
        ("stream_time_ratio", 0.949, Color.YELLOW),
        ("stream_time_ratio", 0.901, Color.YELLOW),
        ("stream_time_ratio", 0.90, Color.RED),
        ("stream_time_ratio", 0.0, Color.RED),
        ("max_frame_delay_ms", 500, Color.GREEN),
        ("max_frame_delay_ms", 501, Color.YELLOW),
        ("max_frame_delay_ms", 1200, Color.YELLOW),
        ("max_frame_delay_ms", 1201, Color.RED),
        ("media_silence", 2.0, Color.GREEN),
        ("media_silence", 2.1, Color.RED),
    ],
)
def test_bounds(key, value, color):
    judged = light(**{key: value})
    assert judged.color is color
    assert len(judged.reasons) == (color is not Color.GREEN)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("rtt_ms", 312.4, "Packets take 312 ms there and back"),
        ("loss", 0.0712, "The network loses 7.1% of the packets"),
        ("max_frame_delay_ms", 800, "Some pictures come 800 ms later than others"),
        ("media_silence", 3.2, "Neither picture nor sound has come for 3 s"),
        (
            "stream_time_ratio",
            0.912,
            "The stream comes at 91.2% of real time: the encoder or its network cannot keep up",
        ),
    ],
)
def test_reasons_have_the_figure(key, value, reason):
    assert light(**{key: value}).reasons == (reason,)


def test_the_worst_decides_and_stands_first():
    judged = light(rtt_ms=200.0, loss=0.2, stream_time_ratio=0.5)
    assert judged.color is Color.RED
    assert [reason.split()[1] for reason in judged.reasons] == ["network", "stream", "take"]
