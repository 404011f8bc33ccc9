"""Several inputs in one session, of which one is on air: the cut from one to the other.

Two canvases of different size and colour are sent at the same time. What was on air stays there until a key
frame of the other one is complete, so the recording goes from one colour to the other at a key frame, with
no picture missing before or after it.
"""

import io
import json
import re
import urllib.request
from itertools import groupby
from pathlib import Path
from typing import Any

import av
import pytest
from tests.interop.chromium import chromium
from tests.interop.steady_publisher import Answer
from tests.interop.studio import MICROPHONE, Picture, Source, Studio
from tests.interop.take import Take, chrominance, recorded
from tools.server import RunningServer

pytestmark = pytest.mark.interop

RED = Source("canvas", 640, 360, rate=30, color="#c02020")
BLUE = Source("canvas", 960, 540, rate=20, color="#2020c0")
COLORS = {"first": "red", "second": "blue"}
SETTLE_PACKETS = 600
"""Of sound, 50 a second. By then all tracks have sent reports, and where they lie on the one timeline is
corrected by up to 200 ms. Before, only their first packets tell, by when they happened to come."""
OFF_AIR_BITRATE = 150_000


def open_studio(studio: Studio, *senders: tuple[str, str | None]) -> None:
    """Publish sound and these inputs, and wait until an RTMP server has it."""
    for name, source in (("red", RED), ("blue", BLUE), ("microphone", MICROPHONE)):
        studio.add_source(name, source)
    studio.add_sender("sound", "microphone")
    for sender, canvas in senders:
        studio.add_sender(sender, canvas)
    studio.publish()
    studio.wait_for_status("sinks", 0, "state", value="publishing")
    studio.wait_for_more("first", 30)


def put_on_air(studio: Studio, sender: str) -> Answer:
    return studio.ask("input", "PUT", json.dumps({"mid": studio.mid(sender)}))


def cut_to(studio: Studio, sender: str) -> None:
    """Put it on air, and wait until it is there and has sent some more."""
    answer = put_on_air(studio, sender)
    assert answer.status == 200, answer.text
    assert studio.mid(sender) in (answer.json["on_air"], answer.json["wanted"])
    status = studio.wait_for_status("input", "on_air", value=studio.mid(sender))
    assert status["input"]["wanted"] is None
    studio.wait_for_more(sender, 40)


def check_colors(take: Take) -> None:
    """Each picture has the colour of the input that it is of."""
    named = [color(*each) for each in take.chrominances()]
    assert named == [COLORS[each.picture.sender] for each in take.shown]


def color(blue: int, red: int) -> str:
    """The name for a chrominance, of 128 where there is no colour."""
    return "red" if red - blue > 50 else "blue" if blue - red > 50 else "none"


def on_air(take: Take) -> list[str]:
    """The senders in the order they were on air."""
    return [sender for sender, _ in groupby(each.picture.sender for each in take.shown)]


def thumbnail_color(studio: Studio, sender: str) -> str | None:
    """The colour of an input's thumbnail; None while there is none."""
    url = f"{studio.session_url}/input/{studio.mid(sender)}/thumbnail"
    with urllib.request.urlopen(url) as response:
        jpeg = response.read()
        assert response.headers["Cache-Control"] == "no-store"
        if response.status == 204:
            return None
        assert response.headers["Content-Type"] == "image/jpeg"
    with av.open(io.BytesIO(jpeg), format="mjpeg") as container:
        frame = next(container.decode(video=0)).reformat(format="yuv420p")
    assert abs(frame.width / frame.height - 16 / 9) < 0.02
    return color(*chrominance(frame))


def test_the_inputs_take_turns(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with chromium(chromium_program) as browser, recorded(rtmpdump, server, tmp_path) as take:
        studio = Studio(browser, server)
        open_studio(studio, ("first", "red"), ("second", "blue"))
        first, second = studio.mid("first"), studio.mid("second")
        studio.wait_for_more("sound", SETTLE_PACKETS)
        sizes = {first: [640, 360], second: [960, 540]}
        wait_for_description(studio, on_air=first, off_air=second, sizes=sizes)
        for sender in ("second", "first", "second"):
            cut_to(studio, sender)
        cut = wait_for_description(studio, on_air=second, off_air=first, sizes=sizes)
        unknown = [studio.ask("input", "PUT", '{"mid": "9"}'), studio.ask("input/9/thumbnail")]
        for sender, name in COLORS.items():
            studio.poll(lambda sender=sender, name=name: thumbnail_color(studio, sender) == name, name)
        last = studio.stop("first", "second")
        sent = studio.pictures("first", "second")
    take.check(sent, last, ffprobe)
    check_colors(take)
    assert on_air(take) == ["first", "second", "first", "second"]
    assert take.pictures[-1].picture == last_of(sent, "second")
    assert [answer.status for answer in unknown] == [404, 404]
    assert [sink["reconnects"] for sink in cut["sinks"]] == [0]
    assert sum(entry["event"] == "publish started" for entry in server.log) == 1
    links = re.findall(r'<([^>]*)>; rel="urn:whipway:inputs"', studio.headers["link"])
    assert links == [f"{studio.session_url}/input"]


def last_of(sent: list[Picture], sender: str) -> Picture:
    return [each for each in sent if each.sender == sender][-1]


def wait_for_description(
    studio: Studio, *, on_air: str, off_air: str, sizes: dict[str, list[int]]
) -> dict[str, Any]:
    """Wait until the status tells all of both inputs; return it."""

    def is_told(status: dict[str, Any]) -> bool:
        inputs = {each["mid"]: each for each in status["inputs"]}
        return (
            status["input"] == {"on_air": on_air, "wanted": None, "layer": "auto", "layer_on_air": None}
            and {mid: each["on_air"] for mid, each in inputs.items()} == {on_air: True, off_air: False}
            and {mid: each["size"] for mid, each in inputs.items()} == sizes
            and [inputs[mid]["asked_bitrate"] for mid in (on_air, off_air)] == [None, OFF_AIR_BITRATE]
            and all(each["state"] == "live" and each["has_picture"] for each in inputs.values())
            and all(each["bitrate"] > 0 and each["fps"] > 0 for each in inputs.values())
            and all(each["layers"] == [] for each in inputs.values())
        )

    return studio.wait_for(is_told, "both inputs")


def test_another_choice_before_the_cut(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with chromium(chromium_program) as browser, recorded(rtmpdump, server, tmp_path) as take:
        studio = Studio(browser, server)
        open_studio(studio, ("first", "red"), ("second", "blue"))
        studio.wait_for_more("sound", SETTLE_PACKETS)
        for sender in ("second", "first", "second", "first", "first", "second", "second"):
            assert put_on_air(studio, sender).status == 200
        studio.wait_for_status("input", "on_air", value=studio.mid("second"))
        studio.wait_for_more("second", 40)
        last = studio.stop("first", "second")
        sent = studio.pictures("first", "second")
    # How many of them it came to is a matter of time; each is a cut as any other.
    take.check(sent, last, ffprobe)
    check_colors(take)
    assert on_air(take)[-1] == "second"
    assert take.pictures[-1].picture == last_of(sent, "second")


def test_an_input_that_does_not_come_yet_and_one_that_does_no_more(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with chromium(chromium_program) as browser, recorded(rtmpdump, server, tmp_path) as take:
        studio = Studio(browser, server)
        open_studio(studio, ("first", "red"), ("second", None))
        first, second = studio.mid("first"), studio.mid("second")
        assert put_on_air(studio, "second").json["wanted"] == second
        studio.wait_for_more("first", 60)
        waiting = wait_for_states(studio, {first: "live", second: "waiting"})
        empty = thumbnail_color(studio, "second")
        studio.replace("second", "blue")
        studio.wait_for_status("input", "on_air", value=second)
        studio.wait_for_more("second", 40)
        # What was on air is gone when the other one is to come.
        studio.replace("second", None)
        muted = wait_for_states(studio, {first: "live", second: "muted"})
        cut_to(studio, "first")
        live = studio.wait_for_status("video", value="live")
        last = studio.stop("first", "second")
        sent = studio.pictures("first", "second")
    take.read(sent)
    take.check_order(sent)
    take.check_complete(sent, last)
    take.check_headers()
    take.check_sound()
    check_colors(take)
    assert on_air(take) == ["first", "second", "first"]
    assert waiting["input"] == {"on_air": first, "wanted": second, "layer": "auto", "layer_on_air": None}
    assert (waiting["video"], muted["video"], live["video"]) == ("live", "muted", "live")
    assert empty is None


def wait_for_states(studio: Studio, states: dict[str, str]) -> dict[str, Any]:
    """Wait until the inputs, by their mids, are in these states; return the status."""
    return studio.wait_for(
        lambda status: {each["mid"]: each["state"] for each in status["inputs"]} == states, f"{states}"
    )


def test_one_input_is_the_rule_where_it_is_set(chromium_program: str) -> None:
    with RunningServer(inputs__max_video="1") as server, chromium(chromium_program) as browser:
        studio = Studio(browser, server)
        for name, source in (("red", RED), ("blue", BLUE)):
            studio.add_source(name, source)
        studio.add_sender("first", "red")
        studio.add_sender("second", "blue")
        refused = studio.post()
    assert refused["status"] == 422
    assert refused["headers"]["content-type"] == "application/problem+json"
