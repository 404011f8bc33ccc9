"""Quality on the page: what is measured, what is asked for, and in which words."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.interop.chromium import TIMEOUT_MS, PublishingPage, chromium
from tests.interop.processes import wait_until
from tests.peers.status_server import StatusServer, status_server
from tools.server import RunningServer

pytestmark = pytest.mark.interop

SECONDS = 5.0
"""By then the page has done what it was asked for."""
MEASURED: dict[str, Any] = {
    "video_bitrate": 1_930_000,
    "audio_bitrate": 128_400,
    "fps": 24.9,
    "width": 1280,
    "height": 720,
    "keyframe_interval": 2.48,
    "loss": 0.0123,
    "rtt_ms": 12.4,
    "jitter_ms": 1.6,
    "repaired": 7,
    "keyframe_requests": 3,
    "stream_time_ratio": 0.998,
    "max_frame_delay_ms": 41,
}
ASKED = {"max_video_bitrate": None, "layer": "auto", "policy": "follow-slowest"}
GREEN = {"color": "green", "reasons": []}
QUALITY: dict[str, Any] = {
    "asked": ASKED,
    "cap": None,
    "limited_by": None,
    "is_heard": True,
    "measured": MEASURED,
    "light": GREEN,
}
SINKS = [
    {"id": "1", "stream_url": "rtmp://one.example/app", "stream_name": "program", "state": "publishing"},
    {"id": "2", "stream_url": "rtmp://two.example/app/", "stream_name": "program", "state": "publishing"},
]
LAYERS = [{"rid": "h", "size": [1280, 720], "state": "live"}, {"rid": "l", "size": None, "state": "waiting"}]
SNAPSHOT: dict[str, Any] = {
    "quality": QUALITY,
    "sinks": SINKS,
    "inputs": [{"mid": "1", "on_air": True, "layers": LAYERS}],
}
WORDING = 'async ([name, ...all]) => (await import("/dashboard/shared/quality_wording.js"))[name](...all)'
SHOW = 'async (snapshot) => (await import("/dashboard/webcaster/quality_view.js")).showQuality(snapshot)'
CLEAR = 'async () => (await import("/dashboard/webcaster/quality_view.js")).clearQuality()'
BIND = """
async () => {
  const { bindQuality } = await import("/dashboard/webcaster/quality_view.js");
  window.asked = [];
  const wait = (what) => new Promise((resolve) => { asked.push(what); window.answer = resolve; });
  bindQuality({ quality: wait, keyframe: () => wait("keyframe") });
}
"""
LISTEN = """
() => {
  window.heard = 0;
  const observer = new MutationObserver(() => { heard += 1; });
  for (const region of document.querySelectorAll("[role=status]")) {
    observer.observe(region, { childList: true, characterData: true, subtree: true });
  }
}
"""


@pytest.fixture(scope="module")
def peer() -> Iterator[StatusServer]:
    with status_server() as peer:
        yield peer


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Browser, peer: StatusServer) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(peer.url)
    page.evaluate(BIND)
    yield page
    page.close()


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        (QUALITY, "Nothing holds it down."),
        ({**QUALITY, "cap": 800_000, "limited_by": "api"}, "Held at 800 kbit/s, as asked here."),
        ({**QUALITY, "cap": 512_000, "limited_by": "sink 2"},
         "Held at 512 kbit/s: rtmp://two.example/app/program cannot take more."),
        ({**QUALITY, "cap": 512_000, "limited_by": "sink 7"},
         "Held at 512 kbit/s: target 7 cannot take more."),
        ({**QUALITY, "cap": 1_200_000, "limited_by": "api", "is_heard": False},
         "Held at 1.2 Mbit/s, as asked here. This browser did not agree to be told."),
    ],
)  # fmt: skip
def test_what_holds_the_bitrate_down(page: Page, quality: dict[str, Any], words: str) -> None:
    assert page.evaluate(WORDING, ["limitWords", quality, SINKS]) == words


@pytest.mark.parametrize(
    ("light", "view"),
    [
        (GREEN, ("green", "All is well", "")),
        ({"color": "red", "reasons": ["RTT is 312 ms", "loss is 12 %"]},
         ("red", "There is trouble", "RTT is 312 ms. Loss is 12 %.")),
        ({"color": "yellow", "reasons": ["RTT is 180 ms."]},
         ("yellow", "It is getting tight", "RTT is 180 ms.")),
        ({"color": "mauve", "reasons": ["Hm"]}, ("", "Not known yet", "")),
        (None, ("", "Not known yet", "")),
    ],
)  # fmt: skip
def test_the_traffic_light(page: Page, light: dict[str, Any] | None, view: tuple[str, str, str]) -> None:
    expected = dict(zip(("color", "headline", "reasons"), view, strict=True))
    assert page.evaluate(WORDING, ["lightView", {"light": light}]) == expected


def test_what_is_measured(page: Page) -> None:
    assert page.evaluate(WORDING, ["measuredWords", MEASURED]) == {
        "picture": "1280x720, 25 fps",
        "video": "1.9 Mbit/s",
        "sound": "128 kbit/s",
        "interval": "2.5 s",
        "keyframes": "3",
        "loss": "1.2 %",
        "repaired": "7",
        "trip": "12 ms",
        "jitter": "2 ms",
        "delay": "41 ms",
        "ratio": "99.8 %",
    }


def test_what_is_not_known_is_not_made_up(page: Page) -> None:
    unknown = {**dict.fromkeys(MEASURED), "fps": 0, "keyframe_interval": 0}
    assert set(page.evaluate(WORDING, ["measuredWords", unknown]).values()) == {"–"}
    assert set(page.evaluate(WORDING, ["measuredWords", None]).values()) == {"–"}


def test_a_limit_from_elsewhere_is_among_the_choices(page: Page) -> None:
    offered = page.evaluate(WORDING, ["capChoices", None])
    assert offered[0] == ["", "None"]
    assert ["800000", "800 kbit/s"] in offered
    assert page.evaluate(WORDING, ["capChoices", 800_000]) == offered
    with_it = page.evaluate(WORDING, ["capChoices", 1_234_567])
    assert with_it == [*offered[:5], ["1234567", "1235 kbit/s"], *offered[5:]]


@pytest.mark.parametrize(
    ("inputs", "asked", "choices"),
    [
        ([], "auto", [["auto", "Only one"]]),
        ([{"mid": "1", "on_air": True, "layers": []}], "auto", [["auto", "Only one"]]),
        ([{"mid": "1", "on_air": False, "layers": LAYERS}], "auto", [["auto", "Only one"]]),
        (SNAPSHOT["inputs"], "auto", [["auto", "Automatic"], ["h", "h: 1280x720"]]),
        (SNAPSHOT["inputs"], "l", [["auto", "Automatic"], ["h", "h: 1280x720"], ["l", "l"]]),
    ],
)
def test_layers_to_choose_from(page: Page, inputs: list[Any], asked: str, choices: list[list[str]]) -> None:
    assert page.evaluate(WORDING, ["layerChoices", inputs, asked]) == choices


def test_the_panel_shows_what_the_server_says(page: Page) -> None:
    page.evaluate(CLEAR)
    for name in ("#cap", "#layer", "#keyframe"):
        expect(page.locator(name)).to_be_disabled()
    expect(page.locator("#light-words")).to_have_text("Not live")
    page.evaluate(SHOW, {**SNAPSHOT, "quality": {**QUALITY, "asked": {**ASKED, "layer": "h"}}})
    for name in ("#cap", "#layer", "#keyframe"):
        expect(page.locator(name)).to_be_enabled()
    expect(page.locator("#layer")).to_have_value("h")
    expect(page.locator("#measured")).to_contain_text("1280x720, 25 fps")
    expect(page.locator("#light")).to_have_attribute("data-color", "green")
    page.evaluate(SHOW, {**SNAPSHOT, "inputs": []})
    expect(page.locator("#layer")).to_be_disabled()
    expect(page.locator("#layer")).to_have_value("auto")


def test_what_is_old_looks_old(page: Page) -> None:
    page.evaluate(SHOW, SNAPSHOT)
    page.evaluate('async () => (await import("/dashboard/webcaster/quality_view.js")).showQualityAsOld()')
    expect(page.locator("#measured")).to_have_class(re.compile("stale"))
    page.evaluate(SHOW, SNAPSHOT)
    expect(page.locator("#measured")).not_to_have_class(re.compile("stale"))


def test_a_choice_on_its_way_is_left_alone(page: Page) -> None:
    page.evaluate("asked.splice(0)")
    page.evaluate(SHOW, SNAPSHOT)
    page.select_option("#cap", "800000")
    assert page.evaluate("asked") == [{"max_video_bitrate": 800_000}]
    page.evaluate(SHOW, SNAPSHOT)
    expect(page.locator("#cap")).to_have_value("800000")
    page.evaluate("answer('')")
    page.evaluate(
        SHOW, {**SNAPSHOT, "quality": {**QUALITY, "asked": {**ASKED, "max_video_bitrate": 650_000}}}
    )
    expect(page.locator("#cap")).to_have_value("650000")
    page.select_option("#cap", "")
    page.evaluate("answer('The server did not do it.')")
    expect(page.locator("#quality-trouble")).to_have_text("The server did not do it.")
    page.evaluate(SHOW, SNAPSHOT)
    page.select_option("#layer", "h")
    page.evaluate("answer('')")
    expect(page.locator("#quality-trouble")).to_have_text("")
    page.click("#keyframe")
    page.evaluate("answer('')")
    assert page.evaluate("asked.slice(1)") == [{"max_video_bitrate": None}, {"layer": "h"}, "keyframe"]


def test_a_list_that_is_open_stays_open(page: Page) -> None:
    page.evaluate(SHOW, SNAPSHOT)
    page.evaluate("() => { window.options = [...document.querySelector('#cap').options]; }")
    page.evaluate(
        SHOW, {**SNAPSHOT, "quality": {**QUALITY, "asked": {**ASKED, "max_video_bitrate": 800_000}}}
    )
    kept = "[...document.querySelector('#cap').options].every((option, place) => option === options[place])"
    assert page.evaluate(kept)


def test_changes_are_heard_once_and_figures_not(page: Page) -> None:
    def with_light(color: str, rtt_ms: int, **more: Any) -> dict[str, Any]:
        light = {"color": color, "reasons": [f"RTT is {rtt_ms} ms"]}
        return {**SNAPSHOT, "quality": {**QUALITY, **more, "light": light}}

    page.evaluate(SHOW, SNAPSHOT)
    page.evaluate(LISTEN)
    news = page.locator("#quality-news")
    for rtt_ms in (312, 318, 405):
        page.evaluate(SHOW, with_light("red", rtt_ms))
    assert page.evaluate("heard") == 1
    expect(news).to_have_text("Quality: there is trouble.")
    for cap in (600_000, 512_000, 498_000):
        page.evaluate(SHOW, with_light("red", 405, cap=cap, limited_by="sink 2"))
    assert page.evaluate("heard") == 2
    expect(news).to_contain_text("Held down: rtmp://two.example/app/program cannot take more.")
    page.evaluate(SHOW, SNAPSHOT)
    expect(news).to_have_text("")
    assert "405 ms" not in page.locator(".quality").inner_text()


def test_what_the_server_misses(page: Page) -> None:
    script = 'async (all) => (await import("/dashboard/webcaster/wording.js")).warningWords(...all)'
    not_muted, muted = {"video": False, "audio": False}, {"video": True, "audio": False}
    silent: dict[str, Any] = {
        "video": "muted",
        "audio": "live",
        "warnings": [{"code": "x", "detail": "The clock runs off"}],
    }
    assert page.evaluate(script, [silent, not_muted]) == "The clock runs off.\nThe server gets no picture."
    assert page.evaluate(script, [silent, muted]) == "The clock runs off."
    assert page.evaluate(script, [{"video": "live", "audio": "muted"}, muted]) == "The server gets no sound."
    assert page.evaluate(script, [None, muted]) == ""
    assert page.evaluate(script, [{"warnings": silent["warnings"] * 2}, muted]) == "The clock runs off."


def test_figures_are_of_the_picture_on_air(page: Page) -> None:
    picture = {"type": "outbound-rtp", "kind": "video", "mid": "1", "bytesSent": 1000, "timestamp": 0}
    report = [
        {**picture, "id": "l", "frameWidth": 320, "frameHeight": 180, "framesPerSecond": 25},
        {**picture, "id": "m", "frameWidth": 640, "frameHeight": 360, "framesPerSecond": 24},
        {**picture, "id": "h", "frameWidth": 1280, "frameHeight": 720},
        {**picture, "id": "x", "mid": "2", "frameWidth": 1920, "frameHeight": 1080, "framesPerSecond": 5},
        {"type": "remote-inbound-rtp", "kind": "video", "localId": "l", "fractionLost": 0.5},
        {"type": "remote-inbound-rtp", "kind": "video", "localId": "m", "fractionLost": 0.25},
    ]
    script = """
    async ([report, mid]) => {
      const { Figures } = await import("/dashboard/webcaster/figures.js");
      return new Figures().read(new Map(report.map((entry, index) => [index, entry])), mid);
    }
    """
    figures = page.evaluate(script, [report, "1"])
    assert (figures["width"], figures["frameRate"], figures["loss"]) == (640, 24, 0.25)
    assert page.evaluate(script, [report, "2"])["width"] == 1920
    assert page.evaluate(script, [report, None])["width"] == 1920


def test_a_limit_that_is_asked_for(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    page.page.select_option("#cap", "300000")
    expect(page.page.locator("#limit-words")).to_have_text("Held at 300 kbit/s, as asked here.")
    wait_until(lambda: max_bitrates(page) == [300_000], SECONDS, "a limit in the browser")
    assert ask(page, "quality")["asked"]["max_video_bitrate"] == 300_000
    # Somebody else asks, too.
    ask(page, "quality", {"max_video_bitrate": 650_000})
    expect(page.page.locator("#cap")).to_have_value("650000")
    page.page.select_option("#cap", "")
    expect(page.page.locator("#limit-words")).to_have_text("Nothing holds it down.")
    wait_until(lambda: max_bitrates(page) == [2_000_000], SECONDS, "no limit in the browser")
    page.stop()
    expect(page.page.locator("#cap")).to_be_disabled()


def test_a_key_frame_that_is_asked_for(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    before = page.video_statistics()["keyFramesEncoded"]
    page.page.click("#keyframe")
    wait_until(lambda: page.video_statistics()["keyFramesEncoded"] > before, SECONDS, "a key frame")
    assert [one.status for one in page.answers("POST") if one.url.endswith("/keyframe")] == [204]
    page.stop()


def test_what_is_measured_comes_to_be_seen(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    values = page.page.locator("#measured dd")
    expect(page.page.locator("#light")).to_have_attribute("data-color", re.compile("green|yellow|red"))
    wait_until(lambda: "–" not in values.all_inner_texts(), TIMEOUT_MS / 1000, "every figure")
    page.stop()
    assert set(values.all_inner_texts()) == {"–"}


def test_a_layer_that_is_asked_for(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, simulcast="1")
    layer = page.page.locator("#layer")
    expect(layer).to_be_enabled(timeout=TIMEOUT_MS)
    wait_until(lambda: ask(page, "input")["layer_on_air"] == "h", TIMEOUT_MS / 1000, "the largest layer")
    assert max_bitrates(page) == [2_000_000, 800_000, 300_000]
    # A third of this size would be too small for the browser.
    expect(layer.get_by_role("option")).to_have_text(["Automatic", "h: 640x360", "m: 320x180"])
    layer.select_option("m")
    wait_until(lambda: ask(page, "input")["layer_on_air"] == "m", SECONDS, "the smaller layer")
    expect(page.page.locator("#measured")).to_contain_text("320x180")
    layer.select_option("auto")
    wait_until(lambda: ask(page, "input")["layer_on_air"] == "h", SECONDS, "the largest layer again")
    [sink] = ask(page, "status")["sinks"]
    assert (sink["state"], sink["reconnects"]) == ("publishing", 0)
    page.stop()


@pytest.mark.parametrize(("choice", "filler"), [("", "none"), ("freeze", "freeze"), ("none", "none")])
def test_what_targets_get_without_pictures(
    server: RunningServer, browser: Browser, choice: str, filler: str
) -> None:
    page = publish(browser, server, filler=choice)
    assert ask(page, "status")["sinks"][0]["filler"] == filler
    page.stop()


def publish(browser: Browser, server: RunningServer, **query: str) -> PublishingPage:
    """A page that is on air."""
    page = PublishingPage(browser, server, stream_name="program", **query)
    expect(page.page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
    return page


def max_bitrates(page: PublishingPage) -> list[int]:
    """Of the picture, or of its layers."""
    script = "() => videoSender().getParameters().encodings.map(({ maxBitrate }) => maxBitrate)"
    bitrates: list[int] = page.page.evaluate(script)
    return bitrates


def ask(page: PublishingPage, path: str, change: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the server says of the session, or what it says to a change."""
    data, method = (json.dumps(change).encode(), "PUT") if change else (None, "GET")
    request = Request(f"{page.session_url}/{path}", data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=5) as response:
        answer: dict[str, Any] = json.load(response)
    return answer
