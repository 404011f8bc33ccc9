"""The console's page of one stream, with a real server and real publishers."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from tests.interop.chromium import TIMEOUT_MS, PublishingPage, chromium
from tests.interop.processes import Program, running, wait_until
from tools.server import RunningServer

from whipway.pool.standing import WORKER_LOST
from whipway.relay.sinks.backoff import POLICIES
from whipway.session.events import EndReason
from whipway.session.traffic_light import SLOW_SENTENCE, TOO_MUCH
from whipway.session.warnings import WarningCode
from whipway.streams.sessions import LOST

pytestmark = pytest.mark.interop

SOON_MS = 5_000
"""In which a page shows what the server knows."""
SECONDS = 5.0
"""By then a publisher has done what it was asked for."""
CHARTS_MS = 15_000
"""Until there are two points for a line."""
WIDTHS = (1280, 390, 360)
COOKIES: dict[tuple[str, str], Any] = {}
"""By server and role."""
WORDS = """
async ([module, name, ...all]) => (await import(`/dashboard/console/${module}.js`))[name](...all)
"""
STREAM: dict[str, Any] = {"state": "live", "publisher": {"kind": "whip", "client": "192.0.2.1"}}
SINK = {"id": "1", "stream_url": "rtmp://one.example/app", "stream_name": "program", "state": "publishing"}
GREEN = {"color": "green", "reasons": []}
SNAPSHOT: dict[str, Any] = {
    "state": "live", "video": "live", "audio": "live", "warnings": [], "sinks": [SINK],
    "quality": {"light": GREEN, "cap": None, "limited_by": None},
}  # fmt: skip


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program) as browser:
        yield browser


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for all tests here: each has a stream of its own."""
    database = tmp_path_factory.mktemp("console") / "whipway.db"
    with RunningServer(database__url=f"sqlite:///{database}") as running_server:
        yield running_server


class Console:
    """Somebody who is signed in, and a stream that was just created."""

    def __init__(self, browser: Browser, server: RunningServer, *, role: str = "admin") -> None:
        self._server = server
        self.context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.context.add_cookies([self._cookie(role)])
        self.stream = self.ask("POST", "/v1/streams", tags=[])

    @property
    def path(self) -> str:
        return f"/v1/streams/{self.stream['id']}"

    @property
    def name(self) -> str:
        return str(self.stream["name"])

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """What the API answers to somebody with the first key."""
        headers = {"Authorization": f"Bearer {self._server.admin_key}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body else None
        request = Request(self._server.http_url + path, data, headers, method=method)
        with urlopen(request, timeout=SECONDS) as response:
            return json.loads(response.read() or b"null")

    def _cookie(self, role: str) -> Any:
        """Of a sign-in. There may be few of them a minute, so that the tests share one for each role."""
        found = COOKIES.get((self._server.http_url, role))
        if found is None:
            key = self._server.admin_key
            if role != "admin":
                key = self.ask("POST", "/v1/keys", name=role, role=role)["key"]
            answer = self.context.request.post(f"{self._server.http_url}/v1/sign-in", data={"key": key})
            assert answer.ok, answer.text()
            [found] = self.context.cookies()
            COOKIES[self._server.http_url, role] = found
        return found

    def open(self) -> Page:
        """The page of the stream."""
        self.page.goto(f"{self._server.http_url}/streams/{self.stream['id']}")
        expect(self.page.get_by_role("heading", level=1)).to_have_text(self.name)
        return self.page

    def expect_state(self, word: str, timeout: float = TIMEOUT_MS) -> None:
        expect(self.page.locator(".tally-word")).to_have_text(word, timeout=timeout)

    def confirm(self, action: str) -> None:
        """Say yes to the question that was asked."""
        self.page.get_by_role("dialog").get_by_role("button", name=action, exact=True).click()

    def panel(self, title: str) -> Locator:
        return self.page.get_by_role("region", name=title, exact=True)


@pytest.fixture
def admin(browser: Browser, console: RunningServer) -> Iterator[Console]:
    with someone(browser, console, "admin") as person:
        yield person


@contextmanager
def someone(browser: Browser, server: RunningServer, role: str) -> Iterator[Console]:
    """A person of this role, who sees no error of a script."""
    person = Console(browser, server, role=role)
    try:
        yield person
        assert person.errors == []
    finally:
        person.context.close()


@contextmanager
def publishing(
    browser: Browser, server: RunningServer, person: Console, **query: str
) -> Iterator[PublishingPage]:
    """Another browser window, which publishes the stream."""
    publisher = PublishingPage(browser, server, stream_name=person.name, **query)
    try:
        publisher.wait_for("live")
        yield publisher
    finally:
        publisher.context.close()


@contextmanager
def rtmp_publisher(program: str, person: Console, output: Path) -> Iterator[Program]:
    """ffmpeg, publishing the stream by RTMP."""
    target = person.stream["ingest"]["rtmp"]
    arguments = [
        *(program, "-nostdin", "-hide_banner", "-loglevel", "warning", "-re"),
        *("-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine=frequency=440"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "50"),
        *("-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-f", "flv", f"{target['url']}/{target['streamname']}"),
    ]  # fmt: skip
    with running(arguments, output) as running_program:
        yield running_program


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_stream_is_live_and_ends_before_ones_eyes(
    browser: Browser, console: RunningServer, admin: Console
) -> None:
    page = admin.open()
    admin.expect_state("Not live yet")
    expect(admin.panel("What to do")).to_contain_text("Start in the browser.")
    start = page.get_by_role("link", name="Start in the browser")
    expect(start).to_have_attribute("href", re.compile(rf"/webcaster\?stream={admin.stream['id']}$"))
    page.evaluate("window.isTheSame = true")
    with publishing(browser, console, admin) as publisher:
        admin.expect_state("Live", SOON_MS)
        expect(page.locator(".hero-detail")).to_have_text("Published by WHIP from 127.0.0.1.")
        expect(page.locator(".tally-since")).to_have_text(re.compile(r"\d\d:\d\d"))
        expect(page.locator(".verdict")).to_have_attribute("data-color", re.compile("green|yellow|red"))
        expect(page.locator(".hero dl")).to_contain_text(re.compile(r"640x360, \d+ fps"), timeout=TIMEOUT_MS)
        sink = page.locator(".sinks-panel li")
        expect(sink).to_contain_text(f"{console.stream_url}/{admin.name}")
        expect(sink).to_contain_text(re.compile(r"On air for \d\d:\d\d"))
        expect(start).to_be_hidden()
        publisher.stop()
        admin.expect_state("Ended", SOON_MS)
    expect(page.locator(".hero-detail")).to_have_text("The publisher stopped.")
    history = page.locator(".history li")
    expect(history).to_have_count(3)
    expect(history).to_contain_text(["Ended", "Live", "Created"])
    expect(page.locator("#news")).to_contain_text("The stream is ended.")
    assert page.evaluate("isTheSame"), "the page was loaded anew"


def test_picture_and_charts_fill_by_themselves(
    browser: Browser, console: RunningServer, admin: Console
) -> None:
    page = admin.open()
    with publishing(browser, console, admin):
        picture = page.get_by_role("img", name=f"Latest key frame of {admin.name}")
        expect(picture).to_be_visible(timeout=TIMEOUT_MS)
        wait_until(lambda: picture.evaluate("(image) => image.naturalWidth") > 0, SECONDS, "a picture")
        first = picture.get_attribute("src")
        expect(picture).not_to_have_attribute("src", first or "", timeout=TIMEOUT_MS)
        charts = admin.panel("The last ten minutes")
        expect(charts.locator(".chart-line")).to_have_count(5, timeout=CHARTS_MS)
        summary = charts.locator(".chart .visually-hidden").first
        expect(summary).to_have_text(re.compile(r"Bitrate: last [\d.]+ [kM]bit/s, from .* to .*, mean .*\."))
        charts.get_by_text("The same as a table").click()
        cells = charts.get_by_role("row").nth(1).get_by_role("cell")
        expect(cells.first).to_have_text(re.compile("bit/s"))
        # Whoever points at one chart reads all of them at that moment.
        charts.locator(".chart-plot").first.hover(position={"x": 20, "y": 40})
        expect(charts.locator(".chart-cross")).to_have_count(5)


def test_a_hidden_page_asks_for_no_pictures(browser: Browser, console: RunningServer, admin: Console) -> None:
    page = admin.open()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def previews() -> int:
        return sum(url.endswith("/preview") for url in asked)

    with publishing(browser, console, admin):
        admin.expect_state("Live")
        wait_until(lambda: page.wait_for_timeout(100) or previews() > 1, TIMEOUT_MS / 1000, "pictures")
        page.evaluate(
            """() => {
              Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
              document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )
        page.wait_for_timeout(500)
        before = len(asked)
        page.wait_for_timeout(6_000)
        assert asked[before:] == []


def test_the_quality_is_capped(browser: Browser, console: RunningServer, admin: Console) -> None:
    page = admin.open()
    with publishing(browser, console, admin) as publisher:
        admin.expect_state("Live")
        slider = page.get_by_role("slider", name="Upper limit of the video")
        expect(slider).to_have_attribute("aria-valuetext", "No limit")
        slider.focus()
        page.keyboard.press("Home")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        expect(slider).to_have_attribute("aria-valuetext", "300 kbit/s")
        limit = page.locator("#limit-words")
        expect(limit).to_have_text("Held at 300 kbit/s, as asked here.", timeout=SOON_MS)
        expect(slider).to_be_focused()
        expect(publisher.page.locator("#limit-words")).to_have_text("Held at 300 kbit/s, as asked here.")
        # Somebody else asks for something that is no step of the slider.
        [session] = admin.ask("GET", "/v1/sessions")["items"]
        admin.ask("PUT", f"/v1/sessions/{session['id']}/quality", max_video_bitrate=440_000)
        expect(slider).to_have_attribute("aria-valuetext", "440 kbit/s", timeout=SOON_MS)
        page.keyboard.press("End")
        expect(limit).to_have_text("Nothing holds it down.", timeout=SOON_MS)
        page.get_by_label("When a target is too slow").select_option("off")
        wait_until(
            lambda: policy(admin) == "off" or page.wait_for_timeout(50), SECONDS, "another policy"
        )  # fmt: skip
        publisher.stop()


def test_a_key_frame_is_asked_for(browser: Browser, console: RunningServer, admin: Console) -> None:
    page = admin.open()
    with publishing(browser, console, admin) as publisher:
        admin.expect_state("Live")
        before = publisher.video_statistics()["keyFramesEncoded"]
        page.get_by_role("button", name="Key frame now").click()
        expect(admin.panel("Quality")).to_contain_text("The publisher was asked for a key frame.")
        wait_until(lambda: publisher.video_statistics()["keyFramesEncoded"] > before, SECONDS, "a key frame")
        publisher.stop()


def test_targets_come_and_go(browser: Browser, console: RunningServer, admin: Console) -> None:
    page = admin.open()
    with publishing(browser, console, admin) as publisher:
        admin.expect_state("Live")
        panel = admin.panel("Where it goes")
        rows = panel.get_by_role("listitem")
        expect(rows).to_have_count(1)
        add_target(admin, console.stream_url, "second")
        expect(rows).to_have_count(2)
        second = rows.filter(has_text=f"{console.stream_url}/second")
        expect(second).to_contain_text("On air for", timeout=TIMEOUT_MS)
        # One that is down: what is wrong, and what to do.
        port = free_port()
        add_target(admin, f"rtmp://user:secret-word@127.0.0.1:{port}/live", "third")
        todo = admin.panel("What to do").get_by_role("listitem").filter(has_text=f"127.0.0.1:{port}")
        expect(todo).to_contain_text("the RTMP server refused the connection", timeout=TIMEOUT_MS)
        expect(todo).to_contain_text("Check the address, that the RTMP server runs")
        expect(page.locator(".verdict")).to_have_attribute("data-color", re.compile("yellow|red"))
        assert "secret" not in page.locator("body").inner_text()
        panel.get_by_role("button", name=f"Remove rtmp://127.0.0.1:{port}/live/third").click()
        page.keyboard.press("Escape")
        expect(rows).to_have_count(3)
        for name in (f"rtmp://127.0.0.1:{port}/live/third", f"{console.stream_url}/second"):
            panel.get_by_role("button", name=f"Remove {name}").click()
            admin.confirm("Remove")
            expect(panel.get_by_role("button", name=f"Remove {name}")).to_have_count(0)
        expect(todo).to_have_count(0)
        expect(rows).to_contain_text("On air for")
        publisher.stop()


def test_a_target_that_is_refused(browser: Browser, console: RunningServer, admin: Console) -> None:
    admin.open()
    with publishing(browser, console, admin) as publisher:
        admin.expect_state("Live")
        add_target(admin, "rtmp://192.0.2.1/live", "program")
        trouble = admin.panel("Where it goes").get_by_role("status")
        expect(trouble).to_contain_text(re.compile(r"\(HTTP 4\d\d\)"))
        expect(admin.page.locator("#sink-url")).to_be_focused()
        publisher.stop()


def test_another_input_goes_on_air(browser: Browser, console: RunningServer, admin: Console) -> None:
    page = admin.open()
    expect(page.locator(".inputs-panel")).to_be_hidden()
    with publishing(browser, console, admin, also="picture") as publisher:
        panel = admin.panel("What is on air")
        rows = panel.get_by_role("listitem")
        expect(rows).to_have_count(2, timeout=TIMEOUT_MS)
        expect(rows.first).to_have_attribute("data-standing", "on")
        expect(panel.get_by_role("img")).to_have_count(2, timeout=TIMEOUT_MS)
        panel.get_by_role("button", name="Put on air: Picture 2").click()
        expect(rows.nth(1)).to_have_attribute("data-standing", "on", timeout=TIMEOUT_MS)
        expect(page.locator("#news")).to_contain_text("Picture 2 is on air.")
        publisher.stop()


def test_stop_lock_unlock_delete(browser: Browser, console: RunningServer, admin: Console) -> None:
    page = admin.open()
    press = lambda name: page.get_by_role("button", name=name, exact=True).click()  # noqa: E731
    with publishing(browser, console, admin):
        admin.expect_state("Live")
        press("Stop")
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_focused()
        press("Lock")
        expect(page.get_by_role("dialog")).to_contain_text("Its viewers see it end.")
        admin.confirm("Lock")
        admin.expect_state("Locked", SOON_MS)
    expect(admin.panel("Publish it")).to_contain_text("nobody can publish it")
    refused = PublishingPage(browser, console, stream_name=admin.name)
    refused.wait_for("failed")
    refused.context.close()
    press("Unlock")
    admin.expect_state("Ended", SOON_MS)
    with publishing(browser, console, admin):
        admin.expect_state("Live")
        press("Stop")
        admin.confirm("Stop")
        admin.expect_state("Ended", SOON_MS)
    expect(page.locator(".hero-detail")).to_have_text("It was stopped here.")
    press("Delete")
    expect(page.get_by_role("dialog")).to_contain_text(admin.name)
    admin.confirm("Delete")
    expect(page).to_have_url(f"{console.http_url}/streams")
    page.go_back()
    expect(page.locator("main")).to_contain_text("This stream was deleted")


def test_a_stream_that_is_deleted_elsewhere(admin: Console) -> None:
    page = admin.open()
    admin.expect_state("Not live yet")
    admin.ask("DELETE", admin.path)
    expect(page.locator("main")).to_contain_text("This stream was deleted", timeout=SOON_MS)
    expect(page.get_by_role("link", name="All streams")).to_be_visible()


def test_a_publisher_by_rtmp(debian_ffmpeg: str, admin: Console, tmp_path: Path) -> None:
    page = admin.open()
    with rtmp_publisher(debian_ffmpeg, admin, tmp_path / "ffmpeg"):
        admin.expect_state("Live")
        expect(page.locator(".hero-detail")).to_have_text("Published by RTMP from 127.0.0.1.")
        expect(page.locator(".hero dl")).to_contain_text("640x360, 25 fps", timeout=TIMEOUT_MS)
        expect(page.get_by_role("img", name="Latest key frame")).to_be_visible(timeout=TIMEOUT_MS)
        expect(admin.panel("Quality")).to_contain_text("An RTMP publisher sets its quality itself")
        expect(admin.panel("Where it goes")).to_contain_text("It comes by RTMP")
        # What RTMP does not tell has no chart.
        expect(admin.panel("The last ten minutes").locator(".chart-line")).to_have_count(2, timeout=CHARTS_MS)
        expect(page.locator(".chart:visible")).to_have_count(2)
        expect(page.locator(".verdict")).to_have_attribute("data-color", "green")
        page.get_by_role("button", name="Stop", exact=True).click()
        admin.confirm("Stop")
        admin.expect_state("Ended", SOON_MS)


def test_tags_and_push_url(browser: Browser, console: RunningServer, admin: Console) -> None:
    page = admin.open()
    details = admin.panel("Details")
    with publishing(browser, console, admin) as publisher:
        admin.expect_state("Live")
        for tag in ("sport", "cup final"):
            details.get_by_label("Tags", exact=True).fill(tag)
            page.keyboard.press("Enter")
        wait_until(
            lambda: admin.ask("GET", admin.path)["tags"] == ["sport", "cup final"], SECONDS, "the tags"
        )
        details.get_by_role("button", name="Remove the tag sport").click()
        wait_until(lambda: admin.ask("GET", admin.path)["tags"] == ["cup final"], SECONDS, "one tag")
        admin.ask("PATCH", admin.path, tags=["from elsewhere"])
        expect(details.locator(".tag")).to_have_text(re.compile("from elsewhere"), timeout=SOON_MS)
        # Pushed on at once, and shown without its key.
        details.get_by_text("Change it").click()
        details.get_by_label("New push URL").fill("http://no.example/")
        page.keyboard.press("Enter")
        expect(details.get_by_role("status").filter(has_text="HTTP 422")).to_be_visible()
        details.get_by_label("New push URL").fill(f"{console.stream_url}/pushed-key")
        page.keyboard.press("Enter")
        expect(details.locator(".address")).to_have_text(f"{console.stream_url}/****", timeout=SOON_MS)
        rows = admin.panel("Where it goes").get_by_role("listitem")
        expect(rows).to_have_count(2, timeout=TIMEOUT_MS)
        details.get_by_role("button", name="Remove", exact=True).click()
        admin.confirm("Remove")
        expect(rows).to_have_count(1, timeout=TIMEOUT_MS)
        publisher.stop()


def test_addresses_codes_and_tokens(admin: Console) -> None:
    page = admin.open()
    admin.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel = admin.panel("Publish it")
    expect(panel.locator("#whip-url")).to_have_text(admin.stream["ingest"]["whip"]["url"])
    panel.get_by_role("button", name="Copy: WHIP address").click()
    assert page.evaluate("navigator.clipboard.readText()") == admin.stream["ingest"]["whip"]["url"]
    expect(panel.locator("#rtmp-url")).to_have_text(admin.stream["ingest"]["rtmp"]["url"])
    expect(panel.locator("#rtmp-name")).to_have_text(admin.name)
    for title in ("WHIP address", "RTMP address", "Address to play"):
        panel.get_by_text(f"{title} as a QR code").click()
        code = panel.get_by_role("img", name=f"{title} as a QR code")
        wait_until(
            lambda code=code: (
                code.evaluate("(image) => image.complete && image.naturalWidth") > 0
                or page.wait_for_timeout(50)
            ),
            SECONDS,
            "a code",
        )
    panel.get_by_text("Token for a publisher").click()
    panel.get_by_label("It is good for").select_option("3600")
    panel.get_by_role("button", name="Make a token").click()
    expect(panel.locator("#token")).to_have_text(re.compile(r"^wk_\S{20,}$"))
    panel.get_by_text("Set up OBS").click()
    expect(panel.get_by_role("listitem")).to_have_count(4)


@pytest.mark.parametrize("role", ["user", "read-only"])
def test_what_a_role_may_not_do_is_not_offered(browser: Browser, console: RunningServer, role: str) -> None:
    with someone(browser, console, role) as person, publishing(browser, console, person) as publisher:
        page = person.open()
        person.expect_state("Live")
        for name in ("Stop", "Lock", "Delete"):
            expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
        expect(page.locator("main")).to_contain_text("Only an admin may stop, lock and delete streams.")
        expect(page.locator(".sinks-panel li")).to_have_count(1)
        is_editor = role == "user"
        expect(page.get_by_text("Add a target")).to_be_visible(visible=is_editor)
        expect(page.get_by_role("button", name="Key frame now")).to_be_visible(visible=is_editor)
        expect(page.get_by_role("slider")).to_be_enabled(enabled=is_editor)
        for words in ("Token for a publisher", "Change it"):
            expect(page.get_by_text(words)).to_have_count(int(is_editor))
        expect(page.get_by_role("button", name=re.compile("^Remove "))).to_have_count(int(is_editor))
        publisher.stop()


def test_silence_of_the_server_is_told(admin: Console) -> None:
    page = admin.open()
    admin.expect_state("Not live yet")
    page.route("**/live", lambda route: route.abort())
    page.evaluate(
        """() => {
          for (const isHidden of [true, false]) {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
            document.dispatchEvent(new Event("visibilitychange"));
          }
        }"""
    )
    banner = page.locator(".banner")
    place = below_name(page, ".hero")
    expect(banner).to_contain_text("No word from the server", timeout=TIMEOUT_MS)
    expect(page.locator(".verdict-words")).to_have_text("Not known")
    assert below_name(page, ".hero") == place, "the page jumped"
    page.unroute("**/live")
    expect(banner).to_be_hidden(timeout=TIMEOUT_MS)
    expect(page.locator(".verdict-words")).to_have_text("Not live")


@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_as_wide_as_the_window(
    browser: Browser, console: RunningServer, admin: Console, width: int
) -> None:
    page = admin.open()
    page.set_viewport_size({"width": width, "height": 844})
    with publishing(browser, console, admin, also="picture") as publisher:
        admin.expect_state("Live")
        expect(page.locator(".inputs-panel li")).to_have_count(2)
        for summary in page.locator("summary:visible").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        publisher.stop()


def test_nothing_moves_when_something_goes_wrong(
    browser: Browser, console: RunningServer, admin: Console
) -> None:
    page = admin.open()
    with publishing(browser, console, admin) as publisher:
        admin.expect_state("Live")
        expect(admin.panel("The last ten minutes").locator(".chart-line")).to_have_count(5, timeout=CHARTS_MS)
        before = below_name(page, "#cap")
        add_target(admin, f"rtmp://127.0.0.1:{free_port()}/live", "nobody")
        expect(admin.panel("What to do").get_by_role("listitem")).not_to_have_count(0)
        assert below_name(page, "#cap") == before
        publisher.stop()


# What is said, without a server's doing.


@pytest.fixture(scope="module")
def modules(browser: Browser, console: RunningServer) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(f"{console.http_url}/sign-in")
    yield page
    page.close()


def issues(page: Page, snapshot: dict[str, Any] | None, **live: Any) -> list[dict[str, str]]:
    """What is wrong with a stream."""
    session = None if snapshot is None else {"id": "1", "snapshot": {**SNAPSHOT, **snapshot}}
    told = {"stream": STREAM, "session": session, "rtmp": None, **live}
    found: list[dict[str, str]] = page.evaluate(WORDS, ["warnings", "findIssues", told])
    return found


def light(color: str, *reasons: str) -> dict[str, Any]:
    """A quality with this traffic light."""
    return {"quality": {**SNAPSHOT["quality"], "light": {"color": color, "reasons": reasons}}}


def test_all_is_well(modules: Page) -> None:
    assert issues(modules, {}) == []
    live = {"stream": STREAM, "session": {"id": "1", "snapshot": SNAPSHOT}, "rtmp": None}
    verdict = modules.evaluate(WORDS, ["warnings", "verdictOf", live, []])
    assert verdict == {"color": "green", "headline": "All is well"}


@pytest.mark.parametrize(
    "sentence", [*(rule.sentence.format(1) for rule in TOO_MUCH), SLOW_SENTENCE.format(0.9)]
)
def test_there_is_something_to_do_about_every_reason_of_the_light(modules: Page, sentence: str) -> None:
    [issue] = issues(modules, light("red", sentence))
    assert issue["level"] == "red"
    assert issue["what"] == f"{sentence}."
    assert issue["todo"], sentence


@pytest.mark.parametrize("code", WarningCode)
def test_there_is_something_to_do_about_every_warning(modules: Page, code: WarningCode) -> None:
    [issue] = issues(modules, {"warnings": [{"code": code, "detail": "It is so"}]})
    assert issue["what"] == "It is so."
    assert issue["todo"], code


@pytest.mark.parametrize("reason", POLICIES)
def test_there_is_something_to_do_about_every_failure_of_a_target(modules: Page, reason: str) -> None:
    failed = {**SINK, "id": "2", "state": "retrying", "reason": reason, "detail": "It is so"}
    [issue] = issues(modules, {"sinks": [SINK, failed]})
    assert issue["level"] == "yellow"
    assert issue["todo"], reason
    [issue] = issues(modules, {"sinks": [failed]})
    assert issue["level"] == "red", "nobody gets it"


def test_one_cause_is_told_once_and_the_graver_first(modules: Page) -> None:
    warnings = [
        {"code": "b_frames", "detail": "The encoder sends B-frames"},
        {"code": "loss", "detail": "The network loses 12% of the packets"},
    ]
    found = issues(modules, {"warnings": warnings, **light("red", "The network loses 12.0% of the packets")})
    assert [(issue["cause"], issue["level"]) for issue in found] == [("loss", "red"), ("b_frames", "yellow")]
    silent = light("red", "Neither picture nor sound has come for 3 s")
    assert [issue["cause"] for issue in issues(modules, {"video": "muted", **silent})] == ["silence"]


@pytest.mark.parametrize(
    ("snapshot", "what"),
    [
        ({"video": "muted"}, "No picture comes: the publisher has muted its camera."),
        ({"audio": "muted"}, "No sound comes: the publisher has muted its microphone."),
        ({"sinks": []}, "This stream has no target: nobody gets it."),
        ({"quality": {"light": GREEN, "cap": 512_000, "limited_by": "sink 1"}},
         "Held at 512 kbit/s: rtmp://one.example/app/program cannot take more."),
        ({"warnings": [{"code": "of_a_later_server", "detail": "It hums"}]}, "It hums."),
    ],
)  # fmt: skip
def test_what_else_is_worth_a_word(modules: Page, snapshot: dict[str, Any], what: str) -> None:
    [issue] = issues(modules, snapshot)
    assert (issue["level"], issue["what"]) == ("yellow", what)


def test_what_is_judged_of_rtmp(modules: Page) -> None:
    assert issues(modules, None, rtmp={"bitrate": 1_000_000}) == []
    assert issues(modules, None, rtmp={"bitrate": None}) == []
    [issue] = issues(modules, None, rtmp={"bitrate": 0})
    assert issue["level"] == "red"
    assert issues(modules, light("red", "RTT"), stream={**STREAM, "state": "ended"}) == []


def test_who_listens_hears_no_figures(modules: Page) -> None:
    first, second = (
        issues(modules, light("red", f"Packets take {each} ms there and back"))[0] for each in (312, 318)
    )
    assert first["what"] != second["what"]
    assert first["topic"] == second["topic"]


@pytest.mark.parametrize(
    "reason", [*EndReason, "unpublished", "stopped", "locked", "restart", LOST, WORKER_LOST]
)
def test_there_are_words_for_every_end(modules: Page, reason: str) -> None:
    words = modules.evaluate(WORDS, ["state_words", "endWords", reason])
    assert " " in words
    assert "_" not in words


@pytest.mark.parametrize(
    ("highest", "top"), [(500_000, 500_000), (2_100_000, 3_000_000), (30, 30), (0.02, 0.02), (0.6, 0.6)]
)
def test_an_axis_has_few_round_steps(modules: Page, highest: float, top: float) -> None:
    axis = modules.evaluate(WORDS, ["chart_scale", "axisOf", highest])
    assert axis["top"] == pytest.approx(top)
    assert 3 <= len(axis["ticks"]) <= 5
    assert (axis["ticks"][0], axis["ticks"][-1]) == (0, pytest.approx(top))


def test_a_line_breaks_where_nothing_is_known(modules: Page) -> None:
    def points(*pairs: tuple[int, float | None]) -> list[dict[str, float | None]]:
        return [{"at": at, "value": value} for at, value in pairs]

    known = points((0, 1), (5, 2), (10, None), (15, 3), (40, 4))
    parts = modules.evaluate(WORDS, ["chart_scale", "partsOf", known, 5])
    assert [[point["at"] for point in part] for part in parts] == [[0, 5], [15], [40]]
    assert modules.evaluate(WORDS, ["chart_scale", "nearestTo", known, 12, 5])["at"] == 15
    assert modules.evaluate(WORDS, ["chart_scale", "nearestTo", known, 25, 5]) is None
    summary = modules.evaluate(WORDS, ["chart_scale", "summaryOf", known])
    assert summary == {"now": 4, "least": 1, "most": 4, "mean": 2.5}
    assert modules.evaluate(WORDS, ["chart_scale", "summaryOf", points((0, None))]) is None


def below_name(page: Page, place: str) -> float:
    """How far below the name of the stream something is, in pixels."""
    boxes = [page.locator(where).bounding_box() for where in (".stream-name", place)]
    name, found = (box["y"] if box else 0.0 for box in boxes)
    return found - name


def policy(person: Console) -> str:
    """The policy of the only session."""
    [session] = [
        one for one in person.ask("GET", "/v1/sessions")["items"]
        if (one["stream"] or {}).get("id") == person.stream["id"]
    ]  # fmt: skip
    return str(person.ask("GET", f"/v1/sessions/{session['id']}/quality")["asked"]["policy"])


def add_target(person: Console, url: str, name: str) -> None:
    """By the form."""
    panel = person.panel("Where it goes")
    if not panel.locator("details").evaluate("(details) => details.open"):
        panel.get_by_text("Add a target").click()
    panel.get_by_label("RTMP address").fill(url)
    panel.get_by_label("Stream name or key there").fill(name)
    panel.get_by_role("button", name="Add target").click()
