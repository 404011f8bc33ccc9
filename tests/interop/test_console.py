"""The console in a real browser, as people use it: sign in, create a stream, find it again, watch over it."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, ViewportSize, expect
from tests.interop.chromium import TIMEOUT_MS, chromium
from tests.interop.steady_publisher import publishing, request
from tools.server import RunningServer

pytestmark = pytest.mark.interop

DESKTOP, PHONE = (1280, 900), (360, 740)
MANY = 60
"""Streams: more than a page of 50."""
SOON_MS = 3_000
EXPECTED_ERRORS = re.compile("status of (401|403|404|503)|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE")
"""The browser's own words for what the console understands."""
LOW_CONTRASTS = """
() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const over = (top, ground) => {
    const share = top[3] ?? 1;
    return [0, 1, 2].map((part) => top[part] * share + ground[part] * (1 - share));
  };
  const groundOf = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.unshift(parse(getComputedStyle(at).backgroundColor));
    }
    return layers.reduce((ground, layer) => over(layer, ground), [255, 255, 255]);
  };
  const light = (color) => {
    const linear = color.map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement: element, textContent: words } = texts.currentNode;
    const isShown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    const isExempt = element.closest(":disabled, .screen, .visually-hidden, .skip, option");
    if (!words.trim() || !isShown || isExempt) continue;
    const ground = groundOf(element);
    const ink = over(parse(getComputedStyle(element).color), ground);
    const [brighter, darker] = [light(ink), light(ground)].sort((a, b) => b - a);
    const contrast = (brighter + 0.05) / (darker + 0.05);
    if (contrast < 4.5) found.push(`${words.trim()}: ${contrast.toFixed(2)}`);
  }
  return found;
}
"""
NAMELESS = """
() => [...document.querySelectorAll("a[href], button, input, select")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length))
  .map((one) => one.outerHTML)
"""


class Api:
    """What a program asks the server, beside the page."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        text = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self._server.admin_key}", "Content_Type": "application/json"}
        answer = request(f"{self._server.http_url}/v1{path}", method, text, **headers)
        assert answer.status < 300, answer
        return answer.json if answer.text else None

    def create(self, *tags: str) -> Any:
        """A stream."""
        return self("POST", "/streams", {"tags": tags})


class Console:
    """Opens pages of the console. A key signs in once: how often an address may do so is limited."""

    def __init__(self, browser: Browser, server: RunningServer) -> None:
        self._browser = browser
        self._server = server
        self._signed_in: dict[str, Any] = {}

    @contextmanager
    def page(self, path: str = "/", *, key: str | None = None, **options: Any) -> Iterator[Page]:
        """A page of somebody with this key, or an admin's; in the end without complaints of the browser."""
        state = self._state(key or self._server.admin_key)
        with self.stranger(path, storage_state=state, **options) as page:
            yield page

    @contextmanager
    def stranger(self, path: str = "/", *, size: tuple[int, int] = DESKTOP, **options: Any) -> Iterator[Page]:
        """A page of somebody who has not signed in."""
        complaints: list[str] = []

        def note(message: ConsoleMessage) -> None:
            if message.type == "error" and not EXPECTED_ERRORS.search(message.text):
                complaints.append(message.text)

        viewport = ViewportSize(width=size[0], height=size[1])
        context = self._browser.new_context(base_url=self._server.http_url, viewport=viewport, **options)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        try:
            yield page
        finally:
            context.close()
        assert not complaints

    def _state(self, key: str) -> Any:
        if key not in self._signed_in:
            with self.stranger() as page:
                sign_in(page, key)
                self._signed_in[key] = page.context.storage_state()
        return self._signed_in[key]


def sign_in(page: Page, key: str) -> None:
    """With the form that is shown."""
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def heading(page: Page, words: str) -> None:
    """Wait for the view of this name."""
    expect(page.get_by_role("heading", level=1, name=words)).to_be_visible()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    file = tmp_path_factory.mktemp("console") / "whipway.db"
    with RunningServer(database__url=f"sqlite:///{file}") as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program) as browser:
        yield browser


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Api:
    return Api(server)


@pytest.fixture(scope="module")
def console(browser: Browser, server: RunningServer) -> Console:
    return Console(browser, server)


@pytest.fixture(scope="module")
def many(api: Api) -> str:
    """A tag that many streams have."""
    for _ in range(MANY):
        api.create("many")
    return "many"


def test_signing_in_leads_where_one_wanted_to_go(console: Console, server: RunningServer) -> None:
    with console.stranger("/streams?state=live") as page:
        heading(page, "Sign in")
        expect(page.get_by_label("Key")).to_be_focused()
        expect(page.get_by_role("navigation", name="Main")).to_be_hidden()
        sign_in(page, server.admin_key)
        heading(page, "Streams")
        expect(page).to_have_url(re.compile(r"/streams\?state=live$"))
        expect(page.get_by_role("checkbox", name="Live")).to_be_checked()
        page.reload()
        heading(page, "Streams")
        cookie = page.context.cookies()[0]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert server.admin_key not in json.dumps(page.context.storage_state())


def test_a_wrong_key(console: Console) -> None:
    with console.stranger() as page:
        page.get_by_label("Key").fill("wk_wrong")
        page.get_by_label("Key").press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not known here")
        expect(page.get_by_label("Key")).to_be_focused()
        expect(page.get_by_label("Key")).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_signing_in_leads_nowhere_else(console: Console, elsewhere: str) -> None:
    with console.page(f"/sign-in?next={quote(elsewhere, safe='')}") as page:
        heading(page, "Live")


def test_a_stream_is_created_and_its_address_copied(console: Console, api: Api) -> None:
    with console.page(permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("link", name=re.compile("Create")).first.click()
        heading(page, "Create a stream")
        page.get_by_label("Tags", exact=True).fill("cup final")
        page.keyboard.press("Enter")
        page.get_by_label("Tags", exact=True).fill("taken along")
        page.get_by_role("button", name="Create", exact=True).click()
        heading(page, "Your stream is ready")
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        name = page.locator("#created-name").inner_text()
        (stream,) = api("GET", f"/streams?name={name}")["items"]
        assert stream["tags"] == ["cup final", "taken along"]
        page.get_by_role("button", name="Copy: WHIP address").click()
        expect(page.get_by_text("Copied", exact=True).first).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == stream["ingest"]["whip"]["url"]
        start = page.get_by_role("link", name="Start in the browser")
        expect(start).to_have_attribute("href", re.compile(f"/webcaster\\?stream={stream['id']}$"))
        page.get_by_role("link", name="To the page of the stream").click()
        expect(page).to_have_url(re.compile(f"/streams/{stream['id']}$"))
        heading(page, name)


def test_the_new_stream_says_when_it_is_live(console: Console, api: Api, server: RunningServer) -> None:
    stream = api.create()
    with console.page(f"/streams/{stream['id']}/start") as page:
        now = page.get_by_role("region", name="Now")
        expect(now).to_contain_text("Created")
        with publishing(server.whip_url(stream["name"])):
            expect(now).to_contain_text("Live", timeout=SOON_MS)
            expect(page.locator("#news")).to_have_text("The stream is live")
        expect(now).to_contain_text("Ended", timeout=SOON_MS)


def test_what_is_live_is_seen_at_once(console: Console, api: Api, server: RunningServer) -> None:
    stream = api.create("on-air")
    with console.page() as page:
        heading(page, "Live")
        card = page.get_by_role("listitem").filter(has=page.get_by_role("link", name=stream["name"]))
        tile = page.get_by_role("link", name="Live 1")
        expect(card).to_have_count(0)
        with publishing(server.whip_url(stream["name"])):
            expect(card).to_contain_text("on-air", timeout=SOON_MS)
            expect(tile).to_be_visible()
            expect(card).to_contain_text(re.compile(r"Live 00:\d\d"))
            expect(card).to_contain_text(re.compile(r"[kM]bit/s, [1-9]\d* fps"), timeout=TIMEOUT_MS)
            expect(card.locator("img")).to_be_visible()
            card.get_by_role("link").click()
            heading(page, stream["name"])
            page.go_back()
            expect(card).to_be_visible()
        expect(card).to_have_count(0, timeout=SOON_MS)


def test_the_list_is_filtered_and_its_address_says_how(console: Console, api: Api, many: str) -> None:
    odd = api.create("odd", many)
    api("POST", f"/streams/{odd['id']}/lock")
    with console.page("/streams") as page:
        rows = page.get_by_role("rowgroup").last.get_by_role("row")
        words = page.get_by_role("navigation", name="Pages").get_by_role("status")
        page.get_by_label("With the tag", exact=True).fill("od")
        expect(page.locator("datalist option")).to_have_attribute("value", "odd")
        page.get_by_label("With the tag", exact=True).fill("odd")
        page.keyboard.press("Enter")
        expect(words).to_have_text("1 stream")
        expect(page).to_have_url(re.compile(r"\?tag=odd$"))
        expect(rows).to_contain_text([odd["name"]])
        page.get_by_role("button", name="Only those with the tag many").click()
        expect(page).to_have_url(re.compile(r"\?tag=odd&tag=many$"))
        page.get_by_role("button", name="Remove the tag odd").click()
        expect(words).to_have_text(f"1 to 50 of {MANY + 1} streams")
        page.get_by_role("checkbox", name="Locked").check(force=True)
        expect(words).to_have_text("1 stream")
        expect(page).to_have_url(re.compile(r"\?state=locked&tag=many$"))
        page.get_by_label("Name or id").fill("no such name")
        expect(page.get_by_text("No stream is like that.")).to_be_visible()
        page.get_by_label("Name or id").fill(odd["name"][3:9].upper())
        expect(rows).to_contain_text([odd["name"]])
        page.reload()
        expect(rows).to_contain_text([odd["name"]])
        expect(page.get_by_role("checkbox", name="Locked")).to_be_checked()
        expect(page.get_by_label("Name or id")).to_have_value(odd["name"][3:9].upper())


def test_the_list_has_pages(console: Console, many: str) -> None:
    with console.page(f"/streams?tag={many}&state=created") as page:
        words = page.get_by_role("navigation", name="Pages").get_by_role("status")
        rows = page.get_by_role("rowgroup").last.get_by_role("row")
        expect(words).to_have_text(f"1 to 50 of {MANY} streams")
        first = rows.first.inner_text()
        following, previous = (page.get_by_role("button", name=name) for name in ("Next", "Previous"))
        expect(previous).to_be_disabled()
        following.focus()
        page.keyboard.press("Enter")
        expect(words).to_have_text(f"51 to {MANY} of {MANY} streams")
        expect(rows).to_have_count(MANY - 50)
        # The button that went away does not take the keyboard's place in the page with it.
        expect(previous).to_be_focused()
        expect(page).to_have_url(re.compile("page=2$"))
        page.go_back()
        expect(words).to_have_text(f"1 to 50 of {MANY} streams")
        assert rows.first.inner_text().split()[0] == first.split()[0]
        page.get_by_label("On a page").select_option("25")
        expect(rows).to_have_count(25)
        expect(page).to_have_url(re.compile("size=25$"))
        page.goto(f"/streams?tag={many}&state=created&page=99")
        expect(words).to_have_text(f"51 to {MANY} of {MANY} streams")


def test_the_way_back_leads_to_where_one_was(console: Console, many: str) -> None:
    with console.page(f"/streams?tag={many}") as page:
        page.get_by_role("row").nth(40).scroll_into_view_if_needed()
        assert page.evaluate("scrollY") > 500
        page.get_by_role("row").nth(40).get_by_role("link").click()
        expect(page.get_by_role("heading", name="What to do")).to_be_visible()
        assert page.evaluate("scrollY") == 0
        page.go_back()
        expect(page.get_by_role("row").nth(40)).to_be_in_viewport(timeout=TIMEOUT_MS)


def test_the_list_changes_by_itself(console: Console, api: Api) -> None:
    stream = api.create("changing")
    with console.page("/streams?tag=changing") as page:
        row = page.get_by_role("row").filter(has_text=stream["name"])
        expect(row).to_contain_text("Created")
        api("POST", f"/streams/{stream['id']}/lock")
        expect(row).to_contain_text("Locked", timeout=SOON_MS)
        other = api.create("changing")
        expect(page.get_by_role("row").filter(has_text=other["name"])).to_be_visible(timeout=SOON_MS)
        api("DELETE", f"/streams/{stream['id']}")
        expect(row).to_have_count(0, timeout=SOON_MS)


def test_the_keyboard_alone(console: Console) -> None:
    with console.page() as page:
        heading(page, "Live")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Create a stream")).to_be_focused()
        tabs = page.get_by_role("navigation", name="Main")
        tabs.get_by_role("link", name="Streams").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1, name="Streams")).to_be_focused()
        expect(page).to_have_title("Streams · Whipway")
        expect(tabs.get_by_role("link", name="Streams")).to_have_attribute("aria-current", "page")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        expect(page.get_by_role("checkbox", name="Live")).to_be_focused()
        page.keyboard.press("Space")
        expect(page).to_have_url(re.compile("state=live$"))


def test_signing_out(console: Console, api: Api) -> None:
    key = api("POST", "/keys", {"name": "Leaver", "role": "admin"})["key"]
    with console.page("/streams", key=key) as page:
        heading(page, "Streams")
        page.get_by_role("button", name="Sign out").click()
        heading(page, "Sign in")
        expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
        page.go_back()
        heading(page, "Sign in")
        assert page.request.get("/v1/streams").status == 401


def test_a_key_that_is_revoked_signs_out(console: Console, api: Api, server: RunningServer) -> None:
    made = api("POST", "/keys", {"name": "Short", "role": "admin"})
    with console.page("/streams?state=ended", key=made["key"]) as page:
        heading(page, "Streams")
        api("DELETE", f"/keys/{made['id']}")
        page.get_by_role("link", name="Sessions").click()
        heading(page, "Sign in")
        expect(page.get_by_text("Your sign-in has ended")).to_be_visible()
        sign_in(page, server.admin_key)
        heading(page, "Sessions")


def test_who_may_only_look(console: Console, api: Api, server: RunningServer) -> None:
    key = api("POST", "/keys", {"name": "Wall", "role": "read-only"})["key"]
    stream = api.create()
    with console.page("/streams", key=key) as page, publishing(server.whip_url(stream["name"])):
        heading(page, "Streams")
        expect(page.get_by_text("Read only")).to_be_visible()
        expect(page.get_by_role("link", name="Create a stream")).to_have_count(0)
        expect(page.get_by_role("link", name="Settings")).to_have_count(0)
        page.goto("/create")
        expect(page.get_by_text("may look at streams, and not create any")).to_be_visible()
        page.goto("/settings")
        expect(page.get_by_text("for admins")).to_be_visible()
        page.goto("/sessions")
        expect(page.get_by_role("row").filter(has_text=stream["name"])).to_be_visible()
        expect(page.get_by_role("button", name="End")).to_have_count(0)


def test_a_session_is_ended(console: Console, api: Api, server: RunningServer) -> None:
    stream = api.create()
    with console.page("/sessions") as page:
        row = page.get_by_role("row").filter(has_text=stream["name"])
        heading(page, "Sessions")
        expect(row).to_have_count(0)
        with publishing(server.whip_url(stream["name"])):
            expect(row).to_contain_text("Live", timeout=SOON_MS)
            expect(row).to_contain_text("127.0.0.1")
            row.get_by_role("button", name="End").click()
            expect(page.get_by_role("dialog")).to_contain_text(stream["name"])
            page.get_by_role("button", name="End it").click()
            expect(row).to_have_count(0)


def test_keys_are_made_and_revoked(console: Console, server: RunningServer) -> None:
    with console.page("/settings") as page:
        form = page.get_by_role("form", name="Make a key")
        form.get_by_label("Name").fill("Studio")
        form.get_by_label("Role").select_option("user")
        form.get_by_role("button").click()
        key = page.locator(".secret code").inner_text()
        assert key.startswith("wk_")
        row = page.get_by_role("row").filter(has_text="Studio")
        expect(row).to_contain_text("User")
        with console.page(key=key) as other:
            expect(other.get_by_text("Studio")).to_be_visible()
        page.reload()
        expect(row).to_be_visible()
        expect(page.get_by_text(key)).to_have_count(0)
        row.get_by_role("button", name="Revoke Studio").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(row).to_have_count(0)
        answer = request(f"{server.http_url}/v1/me", Authorization=f"Bearer {key}")
        assert answer.status == 401


def test_webhooks_are_added_tested_and_deleted(console: Console, server: RunningServer) -> None:
    address = f"{server.http_url}/healthz/none"
    with console.page("/settings") as page:
        form = page.get_by_role("form", name="Add a webhook")
        form.get_by_label("Address").fill(address)
        form.get_by_label("Is told of").select_option("stream.*")
        form.get_by_role("button").click()
        expect(page.locator(".secret code")).to_contain_text("whsec_")
        row = page.get_by_role("listitem").filter(has_text=address)
        expect(row).to_contain_text("Told of stream.*")
        row.get_by_role("button", name="Test").click()
        expect(row.get_by_role("status")).to_contain_text(re.compile("It answered 4.. instead of 2xx"))
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)


def test_the_organisation_is_named(console: Console, api: Api) -> None:
    with console.page("/settings") as page:
        panel = page.get_by_role("region", name="Organisation")
        expect(panel.get_by_label("Name", exact=True)).to_have_value("Whipway")
        panel.get_by_label("Name", exact=True).fill("Example Broadcasting")
        panel.get_by_role("button", name="Save").click()
        expect(panel.get_by_text("Saved")).to_be_visible()
    assert api("GET", "/organisation")["name"] == "Example Broadcasting"


def test_what_is_not_there(console: Console) -> None:
    with console.page(f"/streams/{'0' * 8}-0000-4000-8000-{'0' * 12}/start") as page:
        expect(page.get_by_role("alert")).to_contain_text("(HTTP 404)")


def test_a_server_that_does_not_answer(console: Console) -> None:
    with console.page("/streams") as page:
        heading(page, "Streams")
        page.route("**/v1/sessions*", lambda route: route.fulfill(status=503, body="{}"))
        page.get_by_role("link", name="Sessions").click()
        expect(page.get_by_text("(HTTP 503)")).to_be_visible()
        page.unroute("**/v1/sessions*")
        expect(page.get_by_text("(HTTP 503)")).to_have_count(0, timeout=TIMEOUT_MS)


def test_a_server_that_starts_anew(browser: Browser, tmp_path: Path) -> None:
    settings = {"http__port": str(free_port()), "database__url": f"sqlite:///{tmp_path}/whipway.db"}
    with ExitStack() as running:
        server = running.enter_context(RunningServer(**settings))
        api = Api(server)
        with Console(browser, server).page("/streams?tag=later") as page:
            expect(page.get_by_text("No stream is like that.")).to_be_visible()
            running.close()
            notice = page.get_by_text("There is no connection to the server")
            expect(notice).to_be_visible(timeout=TIMEOUT_MS)
            with RunningServer(**settings):
                stream = api.create("later")
                expect(page.get_by_role("row").filter(has_text=stream["name"])).to_be_visible(
                    timeout=TIMEOUT_MS
                )
                expect(notice).to_have_count(0)


@pytest.mark.parametrize(
    ("page_query", "page_path", "list_path"),
    [
        ("", "/streams", "/v1/streams?limit=50&offset=0"),
        ("?state=live&state=dead&tag=a%26b&tag=a%26b&name=+x", "/streams?state=live&tag=a%26b&name=+x",
         "/v1/streams?state=live&tag=a%26b&name=+x&limit=50&offset=0"),
        ("?size=25&page=3", "/streams?size=25&page=3", "/v1/streams?limit=25&offset=50"),
        ("?size=7&page=0", "/streams", "/v1/streams?limit=50&offset=0"),
        ("?size=x&page=1.5", "/streams", "/v1/streams?limit=50&offset=0"),
    ],
)  # fmt: skip
def test_what_the_address_of_a_list_means(
    console: Console, page_query: str, page_path: str, list_path: str
) -> None:
    script = """async (query) => {
      const { readQuery, pageOf, listOf } = await import("/dashboard/console/stream_query.js");
      const wanted = readQuery(new URLSearchParams(query));
      return [pageOf(wanted), listOf(wanted)];
    }"""
    with console.stranger() as page:
        assert page.evaluate(script, page_query) == [page_path, list_path]


def test_tags_are_text(console: Console, api: Api) -> None:
    api.create("<img src=x onerror=document.title='bad'>", "text-only")
    with console.page("/streams?tag=text-only") as page:
        expect(page.get_by_role("button", name="<img src=x")).to_be_visible()
        expect(page).to_have_title("Streams · Whipway")


def worker(number: int, **changes: Any) -> dict[str, Any]:
    """One as the API has it, at work."""
    members = {"id": number, "state": "running", "process_id": 4000 + number, "port": 8200 + number}
    members |= {"restarts": 0, "lost_sessions": 0, "sessions": 12, "bitrate_in": 25_130_000}
    members |= {"bytes_in": 1, "bytes_out": 1, "loop_lag_ms": 1.44, "cpu_percent": 31.4, "drops": {}}
    return members | changes


AWAY = dict.fromkeys(
    ("sessions", "bitrate_in", "bytes_in", "bytes_out", "loop_lag_ms", "cpu_percent", "drops")
)
"""What nobody knows of a worker that cannot be asked."""
WORKERS = [
    worker(0),
    worker(1, cpu_percent=74, state="draining"),
    worker(2, cpu_percent=93.4, restarts=1, lost_sessions=3, bitrate_in=1_234_000_000, sessions=1044),
    worker(3, state="starting", process_id=None, restarts=2, lost_sessions=13, **AWAY),
    worker(4, state="starting", **AWAY),
    worker(5, **AWAY),
]


def tell_of(page: Page, workers: list[dict[str, Any]] | None) -> None:
    """Have the page hear this of workers from now on; None: that nobody can say."""
    status, body = (503, "{}") if workers is None else (200, json.dumps({"items": workers}))
    page.route("**/v1/workers", lambda route: route.fulfill(status=status, body=body))


def test_each_worker_is_shown_as_it_is(console: Console) -> None:
    with console.page("/streams") as page:
        tell_of(page, WORKERS)
        page.get_by_role("link", name="Live", exact=True).first.click()
        panel = page.get_by_role("region", name="Media workers")
        cards = panel.get_by_role("listitem")
        expect(panel).to_contain_text("3 of 6 running")
        expect(cards).to_contain_text(
            ["Running", "Draining", "Running", "Starting anew", "Starting", "Does not answer"]
        )
        expect(cards.nth(0)).to_contain_text("Port 8200, process 4000")
        for words in ("31 %", "Sessions12", "25.1 Mbit/s", "1.4 ms", "Restarts0", "Sessions lost0"):
            expect(cards.nth(0)).to_contain_text(words)
        for words in ("Port 8203, no process", "Sessions–", "Restarts2", "Sessions lost13"):
            expect(cards.nth(3)).to_contain_text(words)
        loads = [panel.get_by_role("meter", name=f"CPU of worker {each}") for each in (0, 2, 3)]
        for load, value, words in zip(loads, ("31", "93", "0"), ("31 %", "93 %", "Not known"), strict=True):
            expect(load).to_have_attribute("aria-valuenow", value)
            expect(load).to_have_attribute("aria-valuetext", words)

        # It changes by itself, and who listens hears of it.
        tell_of(page, [worker(0, state="starting", lost_sessions=1, **AWAY), *WORKERS[1:3]])
        expect(cards).to_have_count(3, timeout=TIMEOUT_MS)
        expect(cards.nth(0)).to_contain_text("Starting anew")
        expect(panel).to_contain_text("2 of 3 running")
        expect(page.locator("#news")).to_have_text("Worker 0: Starting anew")
        tell_of(page, None)
        expect(panel).to_contain_text("what is shown here is old", timeout=TIMEOUT_MS)
        expect(cards).to_have_count(3)
        tell_of(page, WORKERS)
        expect(cards).to_have_count(6, timeout=TIMEOUT_MS)
        expect(panel).not_to_contain_text("is old")


def test_workers_that_keep_one_waiting_keep_nothing_else(console: Console) -> None:
    with console.page("/streams") as page:
        page.route("**/v1/workers", lambda _: None)
        page.get_by_role("link", name="Live", exact=True).first.click()
        heading(page, "Live")
        expect(page.locator(".tile-number").first).to_have_text(re.compile(r"\d"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_workers_are_readable_and_have_names(console: Console, scheme: str, size: tuple[int, int]) -> None:
    with console.page("/streams", size=size, color_scheme=scheme) as page:
        tell_of(page, WORKERS)
        page.goto("/")
        expect(page.get_by_text("Worker 5")).to_be_visible()
        page.wait_for_timeout(400)
        assert page.evaluate(LOW_CONTRASTS) == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


VIEWS = ["/", "/streams", "/create", "/sessions", "/settings"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everything_is_readable_and_has_a_name(
    console: Console, many: str, scheme: str, size: tuple[int, int]
) -> None:
    with console.page(size=size, color_scheme=scheme) as page:
        for path in VIEWS:
            page.goto(path)
            page.wait_for_load_state("load")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.wait_for_timeout(300)
            assert page.evaluate(LOW_CONTRASTS) == [], path
            assert page.evaluate(NAMELESS) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path
            expect(page.get_by_role("main")).to_have_count(1)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_form_to_sign_in_is_readable(console: Console, size: tuple[int, int]) -> None:
    for scheme in ("light", "dark"):
        with console.stranger(size=size, color_scheme=scheme) as page:
            heading(page, "Sign in")
            assert page.evaluate(LOW_CONTRASTS) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_below_a_path_of_a_proxy(browser: Browser) -> None:
    port = free_port()
    outside = f"http://127.0.0.1:{port}/whipway"
    with RunningServer(http__port=str(port), http__public_url=outside) as server:

        def forward(route: Route) -> None:
            """As a proxy does: the server hears nothing of the path that it is below."""
            route.continue_(url=f"http://127.0.0.1:{port}{route.request.url.removeprefix(outside)}")

        with closing(browser.new_context()) as context:
            page = context.new_page()
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.route(f"{outside}/**", forward)
            page.goto(f"{outside}/streams?state=live")
            sign_in(page, server.admin_key)
            heading(page, "Streams")
            expect(page).to_have_url(f"{outside}/streams?state=live")
            page.get_by_role("link", name="Create a stream").click()
            page.get_by_role("button", name="Create", exact=True).click()
            heading(page, "Your stream is ready")
            expect(page).to_have_url(re.compile(rf"^{re.escape(outside)}/streams/[0-9a-f-]+/start$"))
            expect(page.locator("#whip-url")).to_contain_text(f"{outside}/p/webrtc?")
            start = page.get_by_role("link", name="Start in the browser")
            expect(start).to_have_attribute("href", re.compile(rf"^{re.escape(outside)}/webcaster\?"))
            page.reload()
            heading(page, "Your stream is ready")
            page.get_by_role("link", name="To the page of the stream").click()
            expect(page.get_by_text("Not live yet")).to_be_visible()
            assert [each for each in asked if not each.startswith(f"{outside}/")] == []


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
