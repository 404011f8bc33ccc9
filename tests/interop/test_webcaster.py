"""The Webcaster page: devices by name, how loud it is, and a stream that the dashboard chose."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect
from tests.interop.chromium import TIMEOUT_MS, PublishingPage, chromium
from tests.interop.steady_publisher import request
from tools.server import RunningServer

pytestmark = pytest.mark.interop

TWO_CAMERAS = "--use-fake-device-for-media-stream=device-count=2"
FIRST, SECOND = "fake_device_0", "fake_device_1"
MICROPHONE = "Fake Audio Input 2"
NAME = "#assigned-name"
SHORT_WAIT_MS = 700
"""Several looks at the sound."""
SENT_CAMERA = "() => document.querySelector('#preview').srcObject.getVideoTracks()[0].label"
SENT_MICROPHONE = """
() => window.connections.at(-1).getSenders().find(({ track }) => track?.kind === "audio").track.label
"""
ONE_AT_A_TIME = """
{
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  let present = null;
  navigator.mediaDevices.getUserMedia = async (wish) => {
    if (wish.video && present?.readyState === "live") throw new DOMException("", "NotReadableError");
    const stream = await open(wish);
    if (wish.video) [present] = stream.getVideoTracks();
    return stream;
  };
}
"""
"""As phones are with cameras."""
REMEMBER_MICROPHONES = """
{
  window.microphones = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    const stream = await open(wish);
    for (const track of stream.getAudioTracks()) microphones.push(track);
    return stream;
  };
}
"""
PULL_PLUG = "() => { const one = microphones.at(-1); one.stop(); one.dispatchEvent(new Event('ended')); }"
HIDE = """
(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
COUNT_LOOKS = """
() => {
  window.looks = 0;
  const look = AnalyserNode.prototype.getFloatTimeDomainData;
  AnalyserNode.prototype.getFloatTimeDomainData = function (samples) {
    window.looks += 1;
    return look.call(this, samples);
  };
}
"""
PLUG = """
(present) => {
  ids = present;
  navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
}
"""
APART = """
() => {
  const [brand, tabs] = [".brand", ".tabs"].map((one) => document.querySelector(one));
  const [first, second] = [brand, tabs].map((one) => one.getBoundingClientRect());
  return first.right <= second.left || first.bottom <= second.top;
}
"""
LEVEL = "() => Number(document.querySelector('#level').ariaValueNow)"


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program, TWO_CAMERAS) as browser:
        yield browser


@pytest.fixture(scope="module")
def guarded() -> Iterator[RunningServer]:
    """A server that asks publishers for tokens."""
    with RunningServer(auth__enabled="on") as server:
        yield server


@pytest.fixture(scope="module")
def stream(guarded: RunningServer) -> Any:
    return ask(guarded, "POST", "/streams", {})


def test_the_camera_changes_by_name_while_live(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    assert page.page.evaluate(SENT_CAMERA) == FIRST
    expect(page.page.locator("#camera option:checked")).to_have_text(FIRST)
    page.page.select_option("#camera", label=SECOND)
    wait_for(page.page, SENT_CAMERA, SECOND)
    page.page.click("#switch-camera")
    wait_for(page.page, SENT_CAMERA, FIRST)
    expect(page.page.locator("#camera option:checked")).to_have_text(FIRST)
    frames = page.video_statistics()["framesSent"]
    page.publish_for(1)
    assert page.video_statistics()["framesSent"] > frames
    assert len(page.answers("POST")) == 1, "another session was made"
    page.stop()
    expect(page.page.locator("#switch-camera")).to_be_hidden()


def test_the_microphone_changes_by_name_while_live(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    assert page.page.evaluate(SENT_MICROPHONE) == "Fake Default Audio Input"
    page.page.select_option("#microphone-device", label=MICROPHONE)
    wait_for(page.page, SENT_MICROPHONE, MICROPHONE)
    page.page.click("#mute-audio")
    page.page.select_option("#microphone-device", "")
    wait_for(page.page, SENT_MICROPHONE, "Fake Default Audio Input")
    assert page.page.evaluate("microphones.at(-1).enabled") is False, "another microphone was not muted"
    assert page.page.evaluate(SENT_CAMERA) == FIRST
    assert len(page.answers("POST")) == 1, "another session was made"
    page.stop()
    assert page.page.evaluate("microphones.map((one) => one.readyState)") == ["ended"] * 3


def test_the_choice_is_remembered(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    page.page.select_option("#camera", label=SECOND)
    page.page.select_option("#microphone-device", label=MICROPHONE)
    wait_for(page.page, SENT_MICROPHONE, MICROPHONE)
    page.page.goto(page.page.url)
    page.wait_for("live")
    assert page.page.evaluate(SENT_CAMERA) == SECOND
    assert page.page.evaluate(SENT_MICROPHONE) == MICROPHONE
    # Some browsers give every device another id each time.
    page.page.evaluate(
        """(name) => localStorage.setItem("whipway.camera", JSON.stringify({ id: "of yesterday", name }))""",
        SECOND,
    )
    page.page.goto(page.page.url)
    page.wait_for("live")
    assert page.page.evaluate(SENT_CAMERA) == SECOND
    page.page.select_option("#camera", "")
    page.page.select_option("#microphone-device", "")
    wait_for(page.page, SENT_MICROPHONE, "Fake Default Audio Input")
    assert page.page.evaluate("Object.keys(localStorage)") == ["whipway.stream-name"]
    page.stop()


def test_a_device_that_is_gone_is_no_obstacle(server: RunningServer, browser: Browser) -> None:
    gone = json.dumps({"id": "gone", "name": "Gone"})
    script = f"localStorage.setItem('whipway.camera', {json.dumps(gone)});"
    page = publish(browser, server, script=script)
    assert page.page.evaluate(SENT_CAMERA) == FIRST
    expect(page.page.locator("#camera option:checked")).to_have_text(FIRST)
    page.stop()


def test_a_phone_opens_one_camera_at_a_time(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, script=ONE_AT_A_TIME)
    page.page.click("#switch-camera")
    wait_for(page.page, SENT_CAMERA, SECOND)
    # One that somebody else uses: the present one comes back.
    page.page.evaluate(
        """() => {
          const open = navigator.mediaDevices.getUserMedia;
          const busy = document.querySelector("#camera option:nth-child(2)").value;
          navigator.mediaDevices.getUserMedia = (wish) => {
            if (wish.video.deviceId.exact === busy) throw new DOMException("", "NotReadableError");
            return open(wish);
          };
        }"""
    )
    page.page.click("#switch-camera")
    expect(page.page.locator("#detail")).to_contain_text("Perhaps another program is using it.")
    assert page.page.evaluate(SENT_CAMERA) == SECOND
    assert page.page.evaluate("videoSender().track.readyState") == "live"
    expect(page.page.locator("#camera option:checked")).to_have_text(SECOND)
    page.page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error()); }")
    page.stop()


def test_neither_camera_can_be_opened(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    page.page.evaluate(
        """() => {
          window.open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          const fail = () => { throw new DOMException("", "NotReadableError"); };
          navigator.mediaDevices.getUserMedia = async () => fail();
        }"""
    )
    page.page.click("#switch-camera")
    expect(page.page.locator("#detail")).to_contain_text("The camera was disconnected")
    expect(page.page.locator("#source")).to_have_value("")
    expect(page.page.locator("#camera")).to_have_js_property("selectedIndex", -1)
    page.page.evaluate("() => { navigator.mediaDevices.getUserMedia = window.open; }")
    page.page.select_option("#camera", label=FIRST)
    wait_for(page.page, SENT_CAMERA, FIRST)
    expect(page.page.locator("#source")).to_have_value("camera")
    expect(page.page.locator("#detail")).to_have_text("")
    page.stop()


def test_a_camera_in_use_is_not_offered_twice(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server, also="camera")
    expect(page.page.locator("#camera option", has_text=SECOND)).to_be_disabled()
    expect(page.page.locator("#switch-camera")).to_be_hidden()
    page.page.select_option("#source", "picture")
    expect(page.page.locator("#camera option:checked")).to_have_text(SECOND)
    page.page.select_option("#camera", label=FIRST)
    label = "() => connections.at(-1).getSenders().at(-1).track.label"
    wait_for(page.page, label, FIRST)
    page.stop()


def test_a_microphone_that_is_gone_comes_back(server: RunningServer, browser: Browser) -> None:
    page = publish(browser, server)
    page.page.evaluate(PULL_PLUG)
    expect(page.page.locator("#detail")).to_contain_text("The microphone was disconnected: silence is sent.")
    expect(page.page.locator("#microphone-device")).to_have_js_property("selectedIndex", -1)
    page.page.select_option("#microphone-device", "")
    wait_for(page.page, SENT_MICROPHONE, "Fake Default Audio Input")
    expect(page.page.locator("#detail")).to_have_text("")
    page.stop()


def test_devices_come_and_go(server: RunningServer, browser: Browser) -> None:
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.add_init_script(
            """
            window.ids = [""];
            navigator.mediaDevices.enumerateDevices = async () =>
              ids.map((deviceId) => ({ kind: "videoinput", deviceId, label: deviceId.slice(0, 5) }));
            """
        )
        page.goto(f"{server.http_url}/webcaster")
        camera = page.locator("#camera")
        expect(camera).to_have_text("Any camera")
        expect(page.locator("#devices-hint")).to_contain_text("once it may use them")
        page.evaluate("() => { ids = ['Front', 'Twin', 'Twin1']; }")
        page.click("#name-devices")
        expect(page.locator("#name-devices")).to_be_hidden()
        expect(camera.locator("option")).to_have_text(["Any camera", "Front", "Twin", "Twin1"])
        page.select_option("#camera", label="Front")
        page.evaluate(PLUG, ["Twin"])
        expect(camera.locator("option")).to_have_text(["Any camera", "Twin"])
        expect(camera).to_have_value("")
        page.evaluate(PLUG, ["Twin", "Front"])
        expect(camera).to_have_value("Front")


def test_the_browser_keeps_the_names(server: RunningServer, browser: Browser) -> None:
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.add_init_script(
            """
            const nameless = { kind: "videoinput", deviceId: "", label: "" };
            navigator.mediaDevices.enumerateDevices = async () => [nameless];
            const refuse = () => { throw new DOMException("", "NotAllowedError"); };
            navigator.mediaDevices.getUserMedia = async () => refuse();
            """
        )
        page.goto(f"{server.http_url}/webcaster")
        page.click("#name-devices")
        expect(page.locator("#devices-hint")).to_contain_text("may not use the camera")


@pytest.mark.parametrize(
    ("cameras", "present", "taken", "following"),
    [
        ([["a", ""], ["b", ""], ["c", ""]], "a", "", "b"),
        ([["a", ""], ["b", ""], ["c", ""]], "c", "", "a"),
        ([["a", ""], ["b", ""], ["c", ""]], "a", "b", "c"),
        ([["a", ""], ["b", ""]], "a", "b", None),
        ([["a", ""]], "a", "", None),
        ([["a", ""], ["b", ""]], "gone", "", "a"),
        # A phone has several that look the same way.
        ([["a", "user"], ["b", "user"], ["c", "environment"], ["d", "environment"]], "a", "", "c"),
        ([["a", "user"], ["b", "user"], ["c", "environment"], ["d", "environment"]], "d", "", "a"),
        ([["a", "user"], ["b", "user"]], "a", "", "b"),
        ([["", ""], ["", ""]], "", "", None),
    ],
)  # fmt: skip
def test_the_next_camera(
    plain: Page, cameras: list[list[str]], present: str, taken: str, following: str | None
) -> None:
    script = """
    async ([cameras, ...more]) => {
      const { nextCamera } = await import("/dashboard/webcaster/devices.js");
      return nextCamera(cameras.map(([id, facing]) => ({ id, facing })), ...more)?.id ?? null;
    }
    """
    assert plain.evaluate(script, [cameras, present, taken]) == following


@pytest.fixture(scope="module")
def plain(browser: Browser, guarded: RunningServer) -> Iterator[Page]:
    """The page, with nothing done yet."""
    page = browser.new_page()
    page.goto(f"{guarded.http_url}/webcaster")
    yield page
    page.close()


def test_how_loud_it_is(server: RunningServer, browser: Browser) -> None:
    page = PublishingPage(browser, server)
    page.wait_for("live")
    words, level = page.page.locator("#sound-words"), page.page.get_by_role("meter", name="Sound")
    expect(words).to_have_text("Sound is sent.")
    expect(level).to_have_attribute("aria-valuetext", re.compile(r"^\u2212\d+ dB$"))
    assert -45 < page.page.evaluate(LEVEL) < 0
    page.page.click("#mute-audio")
    expect(words).to_have_text("Muted: silence is sent.")
    expect(level).to_have_attribute("aria-valuetext", "silent")
    page.page.click("#mute-audio")
    expect(words).to_have_text("Sound is sent.")
    expect(page.page.locator("#microphone-meter")).to_be_hidden()
    page.stop()
    expect(level).to_have_attribute("aria-valuetext", "Not measured")
    expect(words).to_contain_text("while sound is sent")


def test_silence_and_distortion_are_told(server: RunningServer, browser: Browser) -> None:
    # The browser's own microphone beeps as loud as it can.
    page = publish(browser, server)
    words = page.page.locator("#sound-words")
    expect(words).to_contain_text("Too loud")
    page.page.evaluate("() => microphones.at(-1).dispatchEvent(new Event('ended'))")
    expect(words).to_have_text("Silence is sent.")
    page.stop()
    page.page.uncheck("#microphone")
    page.page.click("#start")
    page.wait_for("live")
    expect(words).to_have_text("Silence is sent.")
    expect(page.page.locator("#microphone-device")).to_be_disabled()
    page.stop()


def test_a_page_that_nobody_sees_does_not_listen(server: RunningServer, browser: Browser) -> None:
    page = PublishingPage(browser, server)
    page.wait_for("live")
    page.page.evaluate(COUNT_LOOKS)
    page.page.wait_for_function("() => looks > 2")
    page.page.evaluate(HIDE, True)
    page.page.evaluate("() => { looks = 0; }")
    page.page.wait_for_timeout(SHORT_WAIT_MS)
    assert page.page.evaluate("looks") == 0
    page.page.evaluate(HIDE, False)
    page.page.wait_for_function("() => looks > 2")
    page.stop()
    page.page.evaluate("() => { looks = 0; }")
    page.page.wait_for_timeout(SHORT_WAIT_MS)
    assert page.page.evaluate("looks") == 0


def test_with_less_motion_it_looks_less_often(server: RunningServer, browser: Browser) -> None:
    page = PublishingPage(browser, server)
    page.page.emulate_media(reduced_motion="reduce")
    page.wait_for("live")
    page.page.evaluate(HIDE, True)
    page.page.evaluate(HIDE, False)
    page.page.evaluate(COUNT_LOOKS)
    page.page.wait_for_timeout(1_300)
    assert 1 <= page.page.evaluate("looks") <= 3
    expect(page.page.locator("#sound-words")).to_have_text("Sound is sent.")
    page.stop()


def test_the_microphone_beside_other_sound(server: RunningServer, browser: Browser) -> None:
    sounding = """
    navigator.mediaDevices.getDisplayMedia = async () => {
      const canvas = document.createElement("canvas");
      canvas.getContext("2d").fillRect(0, 0, 9, 9);
      const sound = new AudioContext().createMediaStreamDestination();
      return new MediaStream([...canvas.captureStream(5).getTracks(), ...sound.stream.getTracks()]);
    };
    """
    page = PublishingPage(
        browser, server, script=REMEMBER_MICROPHONES + sounding, source="screen", stream_name="program"
    )
    page.wait_for("live")
    beside = page.page.get_by_role("meter", name="Microphone")
    expect(beside).to_have_attribute("aria-valuetext", re.compile("dB|silent"))
    page.page.select_option("#microphone-device", label=MICROPHONE)
    page.page.wait_for_function("(name) => microphones.at(-1).label === name", arg=MICROPHONE)
    expect(page.page.locator("#sound-words")).to_contain_text("Too loud")
    page.page.select_option("#source", "picture")
    expect(beside).to_be_hidden()
    expect(page.page.locator("#camera")).to_be_disabled()
    page.stop()


def test_a_stream_that_the_dashboard_chose(guarded: RunningServer, browser: Browser, stream: Any) -> None:
    with arriving(browser, guarded, guarded.admin_key, stream["id"]) as (page, requests):
        name = page.locator("#stream-name")
        expect(page.locator(NAME)).to_have_text(stream["name"])
        expect(name).to_have_value(stream["name"])
        for field in (name, page.locator("#stream-url")):
            expect(field).to_have_js_property("readOnly", True)
            assert field.input_value() in (stream["name"], guarded.stream_url)
        for _ in range(2):
            page.click("#start")
            expect(page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
            page.click("#stop")
            expect(page.locator("#status")).to_have_attribute("data-state", "stopped")
        made = [one for one in requests if one.url.endswith("/tokens")]
        assert len(made) == 1, "one token is enough"
        token = made[0].response().json()["token"]  # type: ignore[union-attr]
        assert token not in page.content()
        assert page.locator("#token").input_value() == ""
        assert page.evaluate("Object.values(localStorage)") == []
        # It has ended meanwhile.
        ask(guarded, "DELETE", f"/keys/{made[0].response().json()['id']}")  # type: ignore[union-attr]
        page.wait_for_timeout(6_000)  # A server may know a key for 5 s.
        page.click("#start")
        expect(page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
        page.click("#stop")
        page.get_by_role("link", name="Back to its page").click()
        expect(page).to_have_url(f"{guarded.http_url}/streams/{stream['id']}")


def test_a_key_that_may_only_look(guarded: RunningServer, browser: Browser, stream: Any) -> None:
    key = ask(guarded, "POST", "/keys", {"name": "viewer", "role": "read-only"})["key"]
    token = ask(guarded, "POST", f"/streams/{stream['id']}/tokens", {})["token"]
    with arriving(browser, guarded, key, stream["id"]) as (page, _):
        expect(page.locator(NAME)).to_have_text(stream["name"])
        page.click("#start")
        expect(page.locator("#headline")).to_have_text("Your key may not publish")
        expect(page.locator("#detail")).to_contain_text("Ask an admin for a key of the role user")
        page.fill("#token", token)
        page.click("#start")
        expect(page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
        page.click("#stop")


def test_a_sign_in_that_has_ended(guarded: RunningServer, browser: Browser, stream: Any) -> None:
    with arriving(browser, guarded, None, stream["id"], autostart="1") as (page, _):
        expect(page.locator("#headline")).to_have_text("You are not signed in")
        expect(page.locator("#stream-url")).to_have_value("")
        other = page.context.new_page()
        other.goto(page.get_by_role("link", name="Sign in").evaluate("(link) => link.href"))
        other.get_by_label("Key").fill(guarded.admin_key)
        other.get_by_role("button", name="Sign in").click()
        expect(other).to_have_url(f"{guarded.http_url}/streams/{stream['id']}")
        page.click("#start")
        expect(page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
        expect(page.get_by_role("link", name="Back to its page")).to_be_visible()
        page.click("#stop")


def test_a_sign_in_that_ends_meanwhile(guarded: RunningServer, browser: Browser, stream: Any) -> None:
    with arriving(browser, guarded, guarded.admin_key, stream["id"]) as (page, _):
        expect(page.locator(NAME)).to_have_text(stream["name"])
        page.context.clear_cookies()
        page.click("#start")
        expect(page.locator("#headline")).to_have_text("You are not signed in")
        expect(page.get_by_role("link", name="Sign in")).to_be_visible()
        expect(page.locator(NAME)).to_have_text(stream["name"])


@pytest.mark.parametrize("stream_id", ["nowhere", "..", "a/b?c"])
def test_a_stream_that_does_not_exist(guarded: RunningServer, browser: Browser, stream_id: str) -> None:
    with arriving(browser, guarded, guarded.admin_key, stream_id) as (page, _):
        expect(page.locator("#headline")).to_have_text("There is no such stream")
        page.click("#start")
        expect(page.locator("#headline")).to_have_text("There is no such stream")
        page.get_by_role("link", name="Open the dashboard").click()
        expect(page).to_have_url(f"{guarded.http_url}/")


def test_a_server_that_is_away(guarded: RunningServer, browser: Browser, stream: Any) -> None:
    def away(page: Page) -> None:
        page.route("**/v1/streams/*", lambda route: route.abort())

    with arriving(browser, guarded, guarded.admin_key, stream["id"], script=away) as (page, _):
        expect(page.locator("#headline")).to_have_text("The server cannot be reached")
        page.unroute("**/v1/streams/*")
        page.click("#start")
        expect(page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
        page.click("#stop")


def test_below_a_path_of_a_proxy(browser: Browser, guarded: RunningServer, stream: Any) -> None:
    outside = f"{guarded.http_url}/whipway"

    def forward(route: Route) -> None:
        route.continue_(url=route.request.url.replace(outside, guarded.http_url))

    astray: list[str] = []

    def refuse(route: Route) -> None:
        if "/p/webrtc/" in route.request.url:  # The session: the server was not told of the path before it.
            route.continue_()
            return
        astray.append(route.request.url)
        route.abort()

    def below(page: Page) -> None:
        page.route(f"{guarded.http_url}/**", refuse)
        page.route(f"{outside}/**", forward)  # The last one that fits is asked first.

    with arriving(browser, guarded, guarded.admin_key, stream["id"], script=below, path="/whipway") as (
        page,
        _,
    ):
        page.click("#start")
        expect(page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
        page.click("#stop")
        expect(page.locator("#status")).to_have_attribute("data-state", "stopped")
        assert astray == []
        for link, path in (
            ("Back to its page", f"/streams/{stream['id']}"),
            ("Dashboard", "/"),
            ("Whipway", "/"),
        ):
            found = page.get_by_role("link", name=link, exact=True)
            assert found.evaluate("(link) => link.href") == f"{outside}{path}"


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_nothing_sticks_out(guarded: RunningServer, browser: Browser, stream: Any, width: int) -> None:
    with arriving(browser, guarded, guarded.admin_key, stream["id"]) as (page, _):
        page.set_viewport_size({"width": width, "height": 800})
        expect(page.locator(NAME)).to_have_text(stream["name"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(APART)


def publish(browser: Browser, server: RunningServer, *, script: str = "", **query: str) -> PublishingPage:
    """A page that is on air with a camera and a microphone."""
    values = {"source": "camera", "stream_name": "program", **query}
    page = PublishingPage(browser, server, script=REMEMBER_MICROPHONES + script, **values)
    expect(page.page.locator("#headline")).to_have_text("On air", timeout=TIMEOUT_MS)
    return page


@contextmanager
def arriving(
    browser: Browser,
    server: RunningServer,
    key: str | None,
    stream_id: str,
    *,
    script: Callable[[Page], None] = lambda page: None,
    path: str = "",
    **query: str,
) -> Iterator[tuple[Page, list[Request]]]:
    """The page of somebody who comes from the dashboard, and what it has asked; signed in with this key."""
    requests: list[Request] = []
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.on("request", lambda request: requests.append(request))
        if key is not None:
            context.add_cookies([cookie(server, key)])
        script(page)
        values = {"stream": stream_id, "source": "picture", "resolution": "640x360", **query}
        pairs = "&".join(f"{name}={value.replace('?', '%3F')}" for name, value in values.items())
        page.goto(f"{server.http_url}{path}/webcaster?{pairs}")
        yield page, requests


@cache
def cookie(server: RunningServer, key: str) -> Any:
    """Of somebody with this key. How often an address may sign in is limited."""
    answer = request(
        f"{server.http_url}/v1/sign-in", "POST", json.dumps({"key": key}), Content_Type="application/json"
    )
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    return {"name": name, "value": value, "url": server.http_url}


def ask(server: RunningServer, method: str, path: str, body: Any = None) -> Any:
    """Of the API, as an admin."""
    headers = {"Authorization": f"Bearer {server.admin_key}", "Content_Type": "application/json"}
    answer = request(
        f"{server.http_url}/v1{path}", method, None if body is None else json.dumps(body), **headers
    )
    assert answer.status < 300, answer
    return answer.json if answer.text else None


def wait_for(page: Page, script: str, value: str) -> None:
    """Wait until a script says this."""
    page.wait_for_function(f"(value) => ({script})() === value", arg=value, timeout=TIMEOUT_MS)
