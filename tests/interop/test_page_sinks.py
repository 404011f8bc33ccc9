"""The publishing page says where the stream goes, and "On air" only while an RTMP server takes it."""

import json
import re
import socket
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Locator, Route, expect
from tests.interop.chromium import TIMEOUT_MS, PublishingPage, chromium
from tools.server import RunningServer

pytestmark = pytest.mark.interop

STREAM = "program"
TOKEN = "open-sesame"
EVENTS = "text/event-stream"
LINKED = re.compile(r'<([^>]*)>\s*;\s*rel="([^"]*)"')
TRYING = re.compile(r"Trying again (in \d+ s|now): the RTMP server refused the connection")
NOWHERE = "192.0.2.1"
"""RFC 5737: for documentation only."""
SOON_MS = 3_000
"""Much less than the page waits for a connection."""
ON_AIR_MS = 30_000
"""An attempt may come only after the longest pause of 15 s."""


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program) as browser:
        yield browser


def test_the_stream_is_on_air(server: RunningServer, browser: Browser) -> None:
    page = PublishingPage(browser, server, stream_name=STREAM)
    page.wait_for("live")
    expect_headline(page, "On air")
    expect(page.page.locator("#badge")).to_be_visible()
    row = rows(page)
    expect(row).to_have_count(1)
    expect(row).to_contain_text(f"{server.stream_url}/{STREAM}")
    expect(row).to_contain_text(re.compile(r"On air for 00:\d\d"))
    expect(row).to_contain_text(re.compile(r"[1-9][\d.]* [kM]bit/s, AAC 128 kbit/s, \d+ ms waiting"))
    assert statuses(page) == [EVENTS], "it was asked for again"
    page.stop()
    expect(row).to_have_count(0)
    expect(page.page.locator("#badge")).to_be_hidden()


@pytest.mark.parametrize(("choice", "sound"), [("auto", "Opus"), ("opus", "Opus"), ("aac", "AAC 128 kbit/s")])
def test_the_sound_is_chosen(server: RunningServer, browser: Browser, choice: str, sound: str) -> None:
    page = PublishingPage(browser, server, stream_name=STREAM, audio=choice)
    expect_headline(page, "On air")
    expect(rows(page)).to_contain_text(f", {sound}, ")
    page.stop()


def test_a_target_that_is_down_is_not_on_air_until_it_is_up(server: RunningServer, browser: Browser) -> None:
    port = free_port()
    target = f"rtmp://user:secret-word@127.0.0.1:{port}/live"
    page = PublishingPage(browser, server, stream_name=f"{STREAM}?key=secret-key", stream_url=target)
    page.wait_for("live")
    expect_headline(page, "Not on air")
    row = rows(page)
    expect(row).to_contain_text(TRYING)
    expect(row).to_contain_text(f"rtmp://127.0.0.1:{port}/live/{STREAM}")
    expect(page.page.locator("#badge")).to_be_hidden()
    expect(page.page.locator("#sinks-news")).to_have_text(
        f"rtmp://127.0.0.1:{port}/live/{STREAM}: trying again, the RTMP server refused the connection."
    )
    said = page.page.locator(".stage, .targets").all_inner_texts()
    assert not any("secret" in each for each in said), said
    with RunningServer(rtmp__port=str(port)):
        expect_headline(page, "On air", timeout=ON_AIR_MS)
        expect(row).to_contain_text("On air for")
        expect(page.page.locator("#sinks-news")).to_have_text("")
    expect_headline(page, "Not on air")
    expect(row).to_contain_text("Trying again")
    page.stop()


def test_targets_come_and_go(server: RunningServer, browser: Browser) -> None:
    page = PublishingPage(browser, server, stream_name=STREAM)
    expect_headline(page, "On air")
    sinks = links(page)["urn:whipway:sinks"]
    target = quote(f"rtmp://127.0.0.1:{free_port()}/live", safe="")
    added = call("POST", f"{sinks}?stream_name=second&stream_url={target}")
    expect_headline(page, "On air at 1 of 2 targets")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).last).to_contain_text(TRYING)
    call("DELETE", f"{sinks}/{added['id']}")
    expect_headline(page, "On air")
    expect(rows(page)).to_have_count(1)
    assert statuses(page) == [EVENTS], "it was asked for again"
    page.stop()


@pytest.mark.parametrize("way", ["abort", "refuse"])
def test_without_events_the_page_asks(server: RunningServer, browser: Browser, way: str) -> None:
    def answer(route: Route) -> None:
        if route.request.headers["accept"] != EVENTS:
            route.continue_()
        elif way == "abort":
            route.abort()
        else:
            route.fulfill(status=503)

    page = PublishingPage(browser, server, stream_name=STREAM, autostart="0")
    page.page.route("**/status", answer)
    start(page)
    expect_headline(page, "On air")
    sinks = links(page)["urn:whipway:sinks"]
    call("DELETE", f"{sinks}/1")
    expect_headline(page, "Not on air")
    expect(page.page.locator("#sinks-hint")).to_contain_text("nobody gets it")
    assert statuses(page).count(EVENTS) <= 1
    page.stop()


def test_the_token_goes_along(browser: Browser) -> None:
    # Without it there would be no telling where the stream goes: the status is for those who may touch it.
    token = {"hash": f"sha256:{sha256(TOKEN.encode()).hexdigest()}", "streams": ["*"]}
    with RunningServer(auth__tokens=json.dumps([token])) as server:
        page = PublishingPage(browser, server, stream_name=STREAM)
        page.wait_for("failed")
        expect(page.page.locator("#sinks-hint")).to_contain_text("once you publish")
        page.page.fill("#token", TOKEN)
        page.page.click("#start")
        expect_headline(page, "On air")
        assert statuses(page) == [EVENTS]
        page.stop()


def test_the_end_comes_at_once(server: RunningServer, browser: Browser) -> None:
    page = PublishingPage(browser, server, stream_name=STREAM)
    expect_headline(page, "On air")
    urlopen(Request(page.session_url, method="DELETE"), timeout=5).close()
    told = page.wait_for("failed")
    assert "The server ended the stream" in told
    assert "It was stopped from elsewhere." in told
    expect(page.page.locator("#badge")).to_be_hidden()
    expect(rows(page)).to_contain_text("Ended")


def test_an_end_before_the_connection_comes_at_once(browser: Browser) -> None:
    with RunningServer(media__public_addresses=NOWHERE) as server:
        page = PublishingPage(browser, server, stream_name=STREAM)
        page.wait_for("connecting")
        expect(rows(page)).to_contain_text("Waiting for the first picture")
        urlopen(Request(page.session_url, method="DELETE"), timeout=5).close()
        expect(page.page.locator("#headline")).to_have_text("The server ended the stream", timeout=SOON_MS)


def test_who_gives_up_says_why(browser: Browser) -> None:
    with RunningServer(sink__give_up_after="1") as server:
        target = f"rtmp://127.0.0.1:{free_port()}/live"
        page = PublishingPage(browser, server, stream_name=STREAM, stream_url=target)
        told = page.wait_for("failed")
        assert "The server ended the stream" in told
        expect(rows(page)).to_contain_text("Given up: the RTMP server refused the connection")


def expect_headline(page: PublishingPage, words: str, timeout: int = TIMEOUT_MS) -> None:
    """Wait for it."""
    expect(page.page.locator("#headline")).to_have_text(words, timeout=timeout)


def start(page: PublishingPage) -> None:
    """Press Start, once the page knows where its server wants streams to go."""
    expect(page.page.locator("#whip-url")).to_contain_text("stream_url=rtmp")
    page.page.click("#start")


def rows(page: PublishingPage) -> Locator:
    """Of the list of targets."""
    return page.page.locator("#sinks li")


def statuses(page: PublishingPage) -> list[str]:
    """What each request for the status accepted."""
    return [one.request.headers["accept"] for one in page.responses if one.url.endswith("/status")]


def links(page: PublishingPage) -> dict[str, str]:
    """Addresses in the Link headers of the 201, by their relation."""
    [created] = [one for one in page.answers("POST") if one.status == 201]
    values = [header["value"] for header in created.headers_array() if header["name"].lower() == "link"]
    return {relation: target for value in values for target, relation in LINKED.findall(value)}


def call(method: str, url: str) -> dict[str, Any]:
    """Ask the server; returns the JSON of its answer, if it has some."""
    with urlopen(Request(url, method=method), timeout=5) as response:
        answer: dict[str, Any] = json.loads(response.read() or b"{}")
    return answer


def free_port() -> int:
    """Nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port
