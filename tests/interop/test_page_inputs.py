"""Several pictures from the page: which of them is on air, and what it shows of them."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.interop.chromium import TIMEOUT_MS, PublishingPage, chromium
from tests.interop.processes import wait_until
from tests.peers.status_server import StatusServer, status_server
from tools.server import RunningServer

pytestmark = pytest.mark.interop

TWO_CAMERAS = "--use-fake-device-for-media-stream=device-count=2"
STREAM = "program"
TOKEN = "open-sesame"
OFF_AIR_BITRATE = 150_000
CAP = 800_000
PICTURES_MS = 2_000
"""The page asks for pictures of the inputs so often."""
SHORT_WAIT_MS = 20
FAR_AWAY = "2100-01-01"
REMEMBER_CAMERAS = """
window.cameras = [];
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wish) => {
  const stream = await open(wish);
  const [track] = stream.getVideoTracks();
  window.cameras.push(() => {
    track.stop();
    track.dispatchEvent(new Event("ended"));
  });
  return stream;
};
"""
"""Pulls the plug of each camera that was opened: the browser has no other way to do it."""
SHOW = """
async ([inputs, input, names]) => {
  const { showInputs } = await import("/dashboard/webcaster/inputs_view.js");
  showInputs({ inputs, input }, (mid) => names[mid]);
}
"""
LOOK = """
async (mids) => {
  const { Thumbnails } = await import("/dashboard/shared/thumbnails.js");
  window.thumbnails?.stop();
  window.fetched = [];
  window.shown = {};
  const fetchPicture = async (mid) => { fetched.push(mid); return window.picture; };
  window.picture = new Blob(["picture"]);
  window.thumbnails = new Thumbnails(fetchPicture, (mid, url) => { shown[mid] = url; });
  thumbnails.want(mids);
}
"""
HIDE = """
(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
INPUT: dict[str, Any] = {
    "mid": "1",
    "on_air": True,
    "state": "live",
    "size": [1280, 720],
    "bitrate": 1_930_000,
    "fps": 24.96,
    "asked_bitrate": None,
    "has_picture": True,
    "layers": [],
}
OFF_AIR = {
    **INPUT, "mid": "2", "on_air": False, "size": [640, 360], "bitrate": 148_000, "fps": 10.0,
    "asked_bitrate": OFF_AIR_BITRATE,
}  # fmt: skip
LAYERS = [
    {"rid": "h", "on_air": False, "state": "muted", "size": [1280, 720], "bitrate": 0, "fps": 0.0},
    {"rid": "m", "on_air": True, "state": "live", "size": [640, 360], "bitrate": 700_000, "fps": 25.0},
    {"rid": "l", "on_air": False, "state": "live", "size": None, "bitrate": 0, "fps": 0.0},
]
FIRST = {"on_air": "1", "wanted": None, "layer": "auto", "layer_on_air": None}
TO_SECOND = {**FIRST, "wanted": "2"}
SECOND = {**FIRST, "on_air": "2"}
NAMES = {"1": "Camera", "2": "Screen"}


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program, TWO_CAMERAS) as browser:
        yield browser


@pytest.fixture(scope="module")
def peer() -> Iterator[StatusServer]:
    with status_server() as peer:
        yield peer


@pytest.fixture(scope="module")
def page(browser: Browser, peer: StatusServer) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(peer.url)
    yield page
    page.close()


@pytest.fixture
def still(browser: Browser, peer: StatusServer) -> Iterator[Page]:
    """A page whose clock stands still, but for the steps that a test lets it take."""
    page = browser.new_page()
    page.clock.install()
    page.goto(peer.url)
    page.clock.pause_at(FAR_AWAY)
    yield page
    page.close()


@pytest.mark.parametrize(
    ("given", "choice", "view"),
    [
        (INPUT, FIRST, ("on", "On air", "1280x720, 25 fps, 1.9 Mbit/s", "", "Put on air", False)),
        ({**INPUT, "state": "muted"}, FIRST, ("on", "On air", "No picture comes", "", "Put on air", False)),
        ({**INPUT, "asked_bitrate": CAP}, TO_SECOND,
         ("on", "On air", "1280x720, 25 fps, 1.9 Mbit/s, at most 800 kbit/s", "",
          "Keep on air", True)),
        (OFF_AIR, TO_SECOND,
         ("next", "On air with its next key frame", "640x360, 10 fps, 148 kbit/s, at most 150 kbit/s",
          "", "Put on air", False)),
        (OFF_AIR, FIRST, ("off", "Ready", "640x360, 10 fps, 148 kbit/s, at most 150 kbit/s", "",
                          "Put on air", True)),
        ({**OFF_AIR, "state": "waiting", "size": None}, FIRST,
         ("off", "Waiting for its first picture", "", "", "Put on air", True)),
        ({**INPUT, "layers": LAYERS, "size": None, "fps": None}, FIRST,
         ("on", "On air", "1.9 Mbit/s", "Layers: h off, m 640x360 (taken), l", "Put on air", False)),
        # Words of a later server.
        ({**OFF_AIR, "state": "asleep"}, {}, ("off", "asleep", "", "", "Put on air", True)),
    ],
)  # fmt: skip
def test_an_input_in_words(
    page: Page, given: dict[str, Any], choice: dict[str, Any], view: tuple[str, str, str, str, str, bool]
) -> None:
    script = 'async (all) => (await import("/dashboard/shared/input_wording.js")).inputView(...all)'
    names = ("standing", "state", "figures", "layers", "action", "canAct")
    expected = {"name": "Camera", **dict(zip(names, view, strict=True))}
    assert page.evaluate(script, [given, choice, "Camera"]) == expected


def test_rows_and_focus_stay_while_the_inputs_change(page: Page) -> None:
    clicks = "() => { window.chosen = []; }"
    page.evaluate(clicks)
    page.evaluate(
        'async () => (await import("/dashboard/webcaster/inputs_view.js"))'
        ".bindInputs((mid) => chosen.push(mid))"
    )
    page.evaluate(SHOW, [[INPUT, OFF_AIR], FIRST, NAMES])
    rows = page.locator("#inputs li")
    first, second = (rows.nth(place).get_by_role("button") for place in (0, 1))
    expect(second).to_have_accessible_name("Put on air: Screen")
    expect(page.locator("#inputs-news")).to_have_text("Camera is on air.")
    first.click(force=True)
    assert page.evaluate("chosen") == [], "what is on air was asked for"
    second.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("chosen") == ["2"]
    page.evaluate(SHOW, [[INPUT, OFF_AIR], TO_SECOND, NAMES])
    expect(page.locator("#inputs-news")).to_have_text("Camera is on air. Screen is next.")
    expect(second).to_have_attribute("aria-disabled", "true")
    expect(second).to_be_focused()
    first.click()
    assert page.evaluate("chosen") == ["2", "1"], "a change back is possible"
    page.evaluate(SHOW, [[{**INPUT, "on_air": False}, {**OFF_AIR, "on_air": True}], SECOND, NAMES])
    expect(page.locator("#inputs-news")).to_have_text("Screen is on air.")
    page.evaluate(SHOW, [[INPUT], FIRST, NAMES])
    expect(rows).to_have_count(1)
    page.evaluate('async () => (await import("/dashboard/webcaster/inputs_view.js")).clearInputs()')
    expect(page.locator("#inputs-panel")).to_be_hidden()


def test_what_counts_is_seen_and_not_heard(page: Page) -> None:
    page.evaluate(SHOW, [[INPUT, OFF_AIR], FIRST, NAMES])
    page.evaluate(
        """() => {
          window.heard = 0;
          const observer = new MutationObserver(() => { heard += 1; });
          for (const region of document.querySelectorAll("[role=status]")) {
            observer.observe(region, { childList: true, characterData: true, subtree: true });
          }
        }"""
    )
    page.evaluate(SHOW, [[{**INPUT, "bitrate": 900_000, "fps": 12.0}, OFF_AIR], FIRST, NAMES])
    assert "900 kbit/s" in page.locator("#inputs li").first.inner_text()
    assert page.evaluate("heard") == 0


def test_pictures_are_fetched_while_somebody_looks(still: Page) -> None:
    still.evaluate(LOOK, ["1", "2"])
    assert fetched(still) == ["1", "2"]
    first = still.evaluate("shown['1']")
    assert first.startswith("blob:")
    still.clock.run_for(PICTURES_MS - 10)
    assert fetched(still) == ["1", "2"]
    still.clock.run_for(20)
    assert fetched(still) == ["1", "2"] * 2
    assert still.evaluate("shown['1']") != first
    assert is_kept(still, first) is False, "the old one was kept"
    still.evaluate(HIDE, True)
    still.clock.run_for(5 * PICTURES_MS)
    assert fetched(still) == ["1", "2"] * 2
    still.evaluate(HIDE, False)
    assert fetched(still) == ["1", "2"] * 3
    still.evaluate("thumbnails.want([])")
    still.clock.run_for(5 * PICTURES_MS)
    assert len(fetched(still)) == 6
    still.evaluate("thumbnails.want(['2'])")
    assert fetched(still)[6:] == ["2"]


def test_a_picture_that_does_not_come_leaves_the_last(still: Page) -> None:
    still.evaluate(LOOK, ["1"])
    fetched(still)
    first = still.evaluate("shown['1']")
    still.evaluate("() => { window.picture = null; }")
    still.clock.run_for(PICTURES_MS)
    assert len(fetched(still)) == 2
    assert still.evaluate("shown['1']") == first
    still.evaluate("thumbnails.stop()")
    assert still.evaluate("shown['1']") is None
    assert is_kept(still, first) is False
    still.evaluate("thumbnails.want(['1'])")
    still.clock.run_for(5 * PICTURES_MS)
    assert len(fetched(still)) == 2


def test_the_second_picture_goes_on_air(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, also="picture")
    first, second = rows(page)
    expect(first).to_contain_text("Camera", timeout=TIMEOUT_MS)
    expect(first).to_have_attribute("data-standing", "on")
    expect(second).to_contain_text(re.compile(r"Test picture\s+Ready\s+640x360, .* at most 150 kbit/s"))
    for row in (first, second):
        expect(row.get_by_role("img")).to_have_js_property("naturalWidth", 320, timeout=TIMEOUT_MS)
    preview = page.page.locator("#preview")
    expect(preview).to_have_attribute("data-source", "camera")
    second.get_by_role("button").click()
    expect(second).to_have_attribute("data-standing", "on", timeout=TIMEOUT_MS)
    expect(first).to_contain_text("at most 150 kbit/s")
    expect(preview).to_have_attribute("data-source", "picture")
    sent = page.page.evaluate("() => connections.at(-1).getTransceivers().map((one) => [one.mid, one.sender"
                              ".getParameters().encodings[0].maxBitrate])")  # fmt: skip
    assert dict(sent) == {"0": 128_000, "1": OFF_AIR_BITRATE, "2": 2_000_000}
    [sink] = status(page)["sinks"]
    assert (sink["state"], sink["reconnects"]) == ("publishing", 0)
    page.stop()
    expect(page.page.locator("#inputs-panel")).to_be_hidden()


def test_the_sources_change_while_live(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, also="picture")
    first, second = rows(page)
    page.page.select_option("#also", "camera")
    expect(second).to_contain_text("Second camera", timeout=TIMEOUT_MS)
    page.page.select_option("#source", "picture")
    expect(first).to_contain_text("Test picture", timeout=TIMEOUT_MS)
    page.page.select_option("#also", "")
    expect(second).to_contain_text("Nothing", timeout=TIMEOUT_MS)
    expect(second).to_contain_text("No picture comes", timeout=TIMEOUT_MS)
    page.page.select_option("#also", "camera")
    expect(second).to_contain_text("Camera", timeout=TIMEOUT_MS)
    # Chromium's other fake camera sees depth alone, of which no H.264 can be made.
    page.page.select_option("#camera", label="fake_device_0")
    expect(second).to_contain_text("Ready", timeout=TIMEOUT_MS)
    for source, name in (("screen", "Screen"), ("camera", "Camera")):
        page.page.select_option("#source", source)
        expect(first).to_contain_text(re.compile(rf"{name}\s+On air\s+\d+x"), timeout=TIMEOUT_MS)
    assert len(page.answers("POST")) == 1, "another session was made"
    [sink] = status(page)["sinks"]
    assert (sink["state"], sink["reconnects"]) == ("publishing", 0)
    page.stop()


def test_muted_the_picture_stays_away_and_the_sound_goes_on(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    page.page.click("#mute-video")
    page.page.click("#mute-audio")
    expect(page.page.locator("#headline")).to_have_text("On air, picture and sound muted")
    expect(page.page.locator("#muted-note")).to_be_visible()
    wait_for_video(page, "muted")
    assert status(page)["audio"] == "live"
    assert status(page)["size"] is not None
    page.page.click("#mute-video")
    wait_for_video(page, "live")
    expect(page.page.locator("#headline")).to_have_text("On air, sound muted")
    page.stop()
    expect(page.page.locator("#muted-note")).to_be_hidden()


def test_a_camera_that_is_gone_comes_back(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, script=REMEMBER_CAMERAS)
    page.page.evaluate("cameras.at(-1)()")
    expect(page.page.locator("#detail")).to_contain_text("The camera was disconnected")
    expect(page.page.locator("#source")).to_have_value("")
    expect(page.page.locator("#warnings")).to_contain_text("The server gets no picture.")
    assert status(page)["audio"] == "live"
    page.page.select_option("#source", "camera")
    wait_for_video(page, "live")
    expect(page.page.locator("#warnings")).to_have_text("")
    expect(page.page.locator("#detail")).to_have_text("")
    assert page.page.evaluate("cameras.length") == 2
    page.page.evaluate("cameras.at(-1)()")
    page.stop()
    expect(page.page.locator("#source")).to_have_value("camera")


def test_a_second_camera_that_is_gone_is_no_loss(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, script=REMEMBER_CAMERAS, also="camera")
    _, second = rows(page)
    expect(second).to_contain_text("Second camera", timeout=TIMEOUT_MS)
    page.page.evaluate("cameras.at(-1)()")
    expect(second).to_contain_text("Nothing")
    expect(page.page.locator("#also")).to_have_value("")
    expect(page.page.locator("#headline")).to_have_text("On air")
    page.stop()


def test_another_network_keeps_the_inputs(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, also="picture")
    _, second = rows(page)
    expect(second).to_contain_text("Ready", timeout=TIMEOUT_MS)
    before = page.selected_pair()
    page.change_network()
    page.wait_for_restart(before)
    second.get_by_role("button").click()
    expect(second).to_have_attribute("data-standing", "on", timeout=TIMEOUT_MS)
    page.stop()


def test_a_new_start_keeps_the_choice(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, also="picture")
    urlopen(Request(page.session_url, method="DELETE"), timeout=5).close()
    page.wait_for("failed")
    expect(page.page.locator("#inputs-panel")).to_be_hidden()
    page.page.click("#start")
    _, second = rows(page)
    expect(second).to_contain_text("Test picture", timeout=TIMEOUT_MS)
    page.stop()


def test_what_goes_with_the_token(browser: Browser) -> None:
    token = {"hash": f"sha256:{sha256(TOKEN.encode()).hexdigest()}", "streams": ["*"]}
    with RunningServer(auth__tokens=json.dumps([token])) as server:
        page = PublishingPage(browser, server, source="picture", also="picture", stream_name=STREAM)
        page.wait_for("failed")
        page.page.fill("#token", TOKEN)
        page.page.click("#start")
        _, second = rows(page)
        expect(second.get_by_role("img")).to_have_js_property("naturalWidth", 320, timeout=TIMEOUT_MS)
        second.get_by_role("button").click()
        expect(second).to_have_attribute("data-standing", "on", timeout=TIMEOUT_MS)
        page.stop()


def test_a_server_that_takes_one_picture(browser: Browser) -> None:
    with RunningServer(inputs__max_video="1") as server:
        page = PublishingPage(browser, server, source="picture", also="picture", stream_name=STREAM)
        assert "422" in page.wait_for("failed")
        page.page.select_option("#also", "")
        page.page.click("#start")
        page.wait_for("live")
        expect(page.page.locator("#also-hint")).to_have_text("To be chosen before the start.")
        page.stop()
        expect(page.page.locator("#also-hint")).to_have_text("This server takes one picture only.")
        expect(page.page.locator("#also")).to_be_disabled()


def publish(browser: Browser, server: RunningServer, **query: str) -> PublishingPage:
    """A page that is on air with a camera."""
    page = PublishingPage(browser, server, **{"source": "camera", "stream_name": STREAM, **query})
    expect(page.page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
    return page


def rows(page: PublishingPage) -> tuple[Locator, Locator]:
    """Of the list of inputs, the first two."""
    every = page.page.locator("#inputs li")
    return every.nth(0), every.nth(1)


def status(page: PublishingPage) -> dict[str, Any]:
    """Of the session, as the server tells it."""
    with urlopen(f"{page.session_url}/status", timeout=5) as response:
        snapshot: dict[str, Any] = json.load(response)
    return snapshot


def wait_for_video(page: PublishingPage, state: str) -> None:
    """Wait until the server says so of the picture on air."""
    wait_until(lambda: status(page)["video"] == state, TIMEOUT_MS / 1000, f"video {state}")


def fetched(page: Page) -> list[str]:
    """Of which inputs a picture was fetched so far."""
    page.wait_for_timeout(SHORT_WAIT_MS)
    everything: list[str] = page.evaluate("fetched")
    return everything


def is_kept(page: Page, url: str) -> bool:
    """Whether the browser still holds what is behind this address."""
    return bool(page.evaluate("(url) => fetch(url).then(() => true, () => false)", url))
