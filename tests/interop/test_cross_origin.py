"""A page of another origin publishes by `fetch` alone: what the browser lets it send and read decides.

All of RFC 9725 that a page can use goes this way: preflights, a bearer token, the headers of the 201,
trickled candidates, an ICE restart, problem documents. Where its origin is not listed, it gets nothing.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.interop.chromium import chromium
from tests.interop.processes import wait_until
from tools.server import RunningServer

pytestmark = pytest.mark.interop

STREAM = "program"
TOKEN = "correct-horse-battery-staple"
TOKENS = json.dumps([{"hash": f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}", "streams": ["*"]}])
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
OFFER = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
ICE_SERVERS = json.dumps([{"urls": ["stun:127.0.0.1:9"]}])
HTML = Path(__file__).with_name("cross_origin.html")
TIMEOUT = 10.0


@dataclass
class Reply:
    """What the page could read, names of headers in lower case; `error`: the browser kept all of it."""

    status: int
    headers: dict[str, str]
    text: str
    error: str

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document."""
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.text)
        return problem


@dataclass
class ForeignPage:
    """The page, and what it does."""

    page: Page

    def request(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: str | None = None
    ) -> Reply:
        """By `fetch`."""
        script = "([method, url, headers, body]) => request(method, url, headers, body ?? undefined)"
        return Reply(**self.page.evaluate(script, [method, url, headers or {}, body]))

    def offer(self, **options: bool) -> tuple[str, str]:
        """The offer without candidates, and the same with all that were gathered."""
        offer = self.page.evaluate("(options) => offer(options)", options)
        return offer["sdp"], offer["gathered"]

    def answer(self, sdp: str) -> None:
        """Take it."""
        self.page.evaluate("(sdp) => answer(sdp)", sdp)

    def wait_for_connection(self, ufrag: str) -> None:
        """ICE and DTLS are through, and media goes by these credentials."""

        def connected() -> bool:
            self.page.wait_for_timeout(50)
            return bool(self.page.evaluate("async () => [state(), await ufrag()]") == ["connected", ufrag])

        wait_until(connected, TIMEOUT, "a connection")


def test_a_listed_page_publishes(chromium_program: str) -> None:
    with (
        page_origin() as origin,
        RunningServer(http__cors_origins=origin, auth__tokens=TOKENS, ice__servers=ICE_SERVERS) as server,
        chromium(chromium_program, camera_allowed=False) as browser,
    ):
        page = open_page(browser, origin)
        offer, gathered = page.offer()
        session, etag, answer = create_session(page, server, offer)
        trickle(page, session, etag, gathered)
        page.answer(answer)
        page.wait_for_connection(ufrag_of(offer))
        restart(page, session, etag, answer)
        read_errors(page, session)

        deleted = page.request("DELETE", session, AUTHORIZED)
        assert (deleted.status, deleted.text) == (200, "")
        assert server.wait_for_log("session ended")["reason"] == "deleted"


def test_an_unlisted_page_gets_nothing(chromium_program: str) -> None:
    with (
        page_origin() as origin,
        RunningServer(http__cors_origins="https://studio.example.com") as server,
        chromium(chromium_program) as browser,
    ):
        page = open_page(browser, origin)
        offer, _ = page.offer()
        posted = page.request("POST", server.whip_url(STREAM), OFFER, offer)
        read = page.request("GET", f"{server.http_url}/p/webrtc/status.json")
    assert (posted.error, read.error) == ("TypeError", "TypeError")
    assert not any(entry["event"] == "session created" for entry in server.log), "the POST went out"


def create_session(page: ForeignPage, server: RunningServer, offer: str) -> tuple[str, str, str]:
    """POST without and with the token; returns the session's URL, its entity tag and the answer."""
    refused = page.request("POST", server.whip_url(STREAM), OFFER, offer)
    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    created = page.request("POST", server.whip_url(STREAM), {**OFFER, **AUTHORIZED}, offer)
    assert created.status == 201
    assert created.headers["content-type"] == "application/sdp"
    assert created.headers["location"].startswith(f"{server.http_url}/p/webrtc/")
    assert re.fullmatch(r'"[^"]+"', created.headers["etag"])
    links = created.headers["link"].split(", ")
    assert '<stun:127.0.0.1:9>; rel="ice-server"' in links
    assert f'<{created.headers["location"]}/status>; rel="urn:whipway:status"' in links
    return created.headers["location"], created.headers["etag"], created.text


def trickle(page: ForeignPage, session: str, etag: str, gathered: str) -> None:
    """Send the candidates that the browser has gathered; they have names under `.local`, not addresses."""
    candidates = re.findall(r"a=candidate:.*", gathered)
    assert any(".local " in candidate for candidate in candidates), candidates
    body = fragment(gathered)
    headers = {**FRAGMENT, **AUTHORIZED}
    taken = page.request("PATCH", session, {**headers, "If-Match": etag}, body)
    assert (taken.status, taken.text) == (204, "")
    assert "etag" not in taken.headers
    stale = page.request("PATCH", session, {**headers, "If-Match": '"another"'}, body)
    assert stale.status == 412
    missing = page.request("PATCH", session, headers, body)
    assert missing.status == 428


def restart(page: ForeignPage, session: str, etag: str, answer: str) -> None:
    """New credentials on both sides, and the connection lives on."""
    offer, gathered = page.offer(iceRestart=True)
    restarted = page.request(
        "PATCH", session, {**FRAGMENT, **AUTHORIZED, "If-Match": "*"}, fragment(gathered)
    )
    assert restarted.status == 200
    assert restarted.headers["content-type"].startswith("application/trickle-ice-sdpfrag")
    assert re.fullmatch(r'"[^"]+"', restarted.headers["etag"])
    assert restarted.headers["etag"] != etag
    for name in ("ice-ufrag", "ice-pwd"):
        (new,) = re.findall(rf"a={name}:\S+", restarted.text)
        assert new not in answer
        answer = re.sub(rf"a={name}:\S+", new, answer)
    page.answer(answer)
    page.wait_for_connection(ufrag_of(offer))


def read_errors(page: ForeignPage, session: str) -> None:
    """Problem documents, as pages of this origin read them."""
    unknown = page.request("DELETE", session[:-4] + "0000", AUTHORIZED)
    assert (unknown.status, unknown.problem["code"]) == (404, "session_unknown")
    typed = page.request("PATCH", session, {"Content-Type": "text/plain", "If-Match": "*", **AUTHORIZED}, "a")
    assert typed.status == 415
    assert typed.headers["accept-patch"] == "application/trickle-ice-sdpfrag"


def ufrag_of(sdp: str) -> str:
    """Of its first section."""
    found = re.search(r"a=ice-ufrag:(\S+)", sdp)
    assert found is not None, sdp
    return found[1]


def fragment(sdp: str) -> str:
    """RFC 8840, section 9: what an offer with one section says about ICE."""
    kept = ("a=group:BUNDLE", "m=", "a=mid:", "a=ice-", "a=candidate:")
    lines = [line for line in sdp.splitlines() if line.startswith(kept)]
    return "".join(f"{line}\r\n" for line in [*lines, "a=end-of-candidates"])


def open_page(browser: Browser, origin: str) -> ForeignPage:
    page = browser.new_page()
    page.goto(f"{origin}/")
    return ForeignPage(page)


@contextmanager
def page_origin() -> Iterator[str]:
    """Serve the page; yields its origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = HTML.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
