"""Chromium sends one picture in three sizes (RFC 8853), of which one is on air, by choice or by itself."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from tests.interop.chromium import chromium
from tests.interop.steady_publisher import Answer
from tests.interop.studio import MICROPHONE, SCREEN, Studio
from tests.interop.take import Take, recorded
from tools.server import RunningServer

pytestmark = pytest.mark.interop

ENCODINGS = (
    {"rid": "h", "maxBitrate": 1_200_000},
    {"rid": "m", "maxBitrate": 400_000, "scaleResolutionDownBy": 2},
    {"rid": "l", "maxBitrate": 120_000, "scaleResolutionDownBy": 4},
)
RIDS = [encoding["rid"] for encoding in ENCODINGS]
SIZES = {"h": [1280, 720], "m": [640, 360], "l": [320, 180]}
SETTLE_PACKETS = 600
"""Of sound: see test_inputs."""


def open_studio(studio: Studio) -> None:
    """Publish sound and three layers, and wait until all of them are sent and one is on air."""
    studio.add_source("screen", SCREEN)
    studio.add_source("microphone", MICROPHONE)
    studio.add_sender("sound", "microphone")
    studio.add_sender("picture", "screen", ENCODINGS)
    studio.publish()
    studio.wait_for_status("sinks", 0, "state", value="publishing")
    studio.poll(lambda: all(each.get("framesSent") for each in studio.statistics("picture")), "three layers")


def ask_for(studio: Studio, layer: str) -> Answer:
    return studio.ask("quality", "PUT", json.dumps({"layer": layer}))


def wait_for_layer(studio: Studio, layer: str) -> None:
    studio.wait_for_status("input", "layer_on_air", value=layer)
    studio.wait_for_more("picture", 90)


def wait_for_description(studio: Studio) -> dict[str, Any]:
    """Wait until the status tells of all layers, and of the largest one on air; return it."""

    def is_told(status: dict[str, Any]) -> bool:
        (source,) = status["inputs"]
        layers = source["layers"]
        return (
            (source["on_air"], source["size"]) == (True, SIZES["h"])
            and [(layer["rid"], layer["size"]) for layer in layers] == list(SIZES.items())
            and [layer["rid"] for layer in layers if layer["on_air"]] == ["h"]
        )

    return studio.wait_for(is_told, "three layers")


def rids_on_air(take: Take, rids: dict[int, str]) -> list[str]:
    """In their order."""
    return [rid for rid, _ in groupby(rids[each.picture.ssrc] for each in take.shown)]


def is_within(wanted: Sequence[str], order: Sequence[str]) -> bool:
    """All in this order, whatever stands between them."""
    rest: Iterator[str] = iter(order)
    return all(each in rest for each in wanted)


def test_layers_by_choice_and_by_themselves(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with chromium(chromium_program) as browser, recorded(rtmpdump, server, tmp_path) as take:
        studio = Studio(browser, server)
        open_studio(studio)
        check_answer(studio.answer)
        studio.wait_for_more("sound", SETTLE_PACKETS)
        # By itself it is the largest that comes.
        wait_for_layer(studio, "h")
        wait_for_description(studio)
        for layer in ("l", "m", "h", "l"):
            answer = ask_for(studio, layer)
            assert (answer.status, answer.json["asked"]["layer"]) == (200, layer)
            wait_for_layer(studio, layer)
        unknown = ask_for(studio, "x")
        kept = studio.status()["input"]
        assert ask_for(studio, "auto").status == 200
        wait_for_layer(studio, "h")
        # The largest one stops, and the next one takes its place until it comes again.
        studio.set_encoding("picture", 0, active=False)
        wait_for_layer(studio, "m")
        studio.set_encoding("picture", 0, active=True)
        wait_for_layer(studio, "h")
        ended = wait_for_description(studio)
        rids = {each["ssrc"]: each["rid"] for each in studio.statistics("picture")}
        last = studio.stop("picture")
        sent = studio.pictures("picture")
    take.check(sent, last, ffprobe)
    assert sorted(rids.values()) == sorted(RIDS)
    # Chromium may have let one rest for a moment where there was too little to encode it with.
    assert is_within(["h", "l", "m", "h", "l", "h", "m", "h"], rids_on_air(take, rids))
    assert unknown.status == 404
    assert (kept["layer"], kept["layer_on_air"]) == ("l", "l"), "a layer that is not there was taken"
    assert [sink["reconnects"] for sink in ended["sinks"]] == [0]
    assert sum(entry["event"] == "publish started" for entry in server.log) == 1


def check_answer(answer: str) -> None:
    """RFC 8853, section 5.3.2, and RFC 8851: the layers as the offer has them, to be received."""
    assert re.findall(r"a=rid:(\S+) recv\b", answer) == RIDS
    assert re.findall(r"a=simulcast:(.*?)\r\n", answer) == ["recv " + ";".join(RIDS)]
    names = ("mid", "rtp-stream-id", "repaired-rtp-stream-id")
    for name in names:
        assert re.search(rf"a=extmap:\d+ urn:ietf:params:rtp-hdrext:sdes:{name}\r\n", answer), name
