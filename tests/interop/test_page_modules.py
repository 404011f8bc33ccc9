"""Parts of the page that can be tried by themselves, in the browser they are made for."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page
from tests.interop.chromium import chromium
from tools.server import RunningServer

pytestmark = pytest.mark.interop

TURN = "turn:turn.example.com?transport=udp"
USER = {"username": "user", "credential": "pass"}
WITH_USER = 'username="user"; credential="pass"'

RECOVER = """
async (taken) => {
  const { Recovery } = await import("/dashboard/recovery.js");
  window.recovery?.stop();
  const times = window.times = [];
  const began = Date.now();
  const note = (what) => times.push([what, Math.round((Date.now() - began) / 10) * 10]);
  const attempt = async () => { note("try"); return taken; };
  window.recovery = new Recovery(attempt, () => note("give up"));
}
"""
FAR_AWAY = "2100-01-01"
"""The clock of the page stands still there, but for the steps that a test lets it take."""


@pytest.fixture(scope="module")
def page(chromium_program: str) -> Iterator[Page]:
    with RunningServer() as server, chromium(chromium_program) as browser:
        page = browser.new_page()
        page.clock.install()
        page.goto(server.http_url)
        page.clock.pause_at(FAR_AWAY)
        yield page


@pytest.mark.parametrize(
    ("header", "servers"),
    [
        (None, []),
        ("nonsense", []),
        ('<stun:a>; rel="ice-server"', [{"urls": "stun:a"}]),
        ('<stun:a>; rel=ice-server, <b:>;REL="ice-server"', [{"urls": "stun:a"}]),
        ('<stuns:a>;REL="next Ice-Server"', [{"urls": "stuns:a"}]),
        (f'<{TURN}>; rel="ice-server"; {WITH_USER}; credential-type="password"', [{"urls": TURN, **USER}]),
        (
            f'<{TURN}>;credential="a,\\"b\\\\;c" ;rel=ice-server;flag; Username = u; username=second',
            [{"urls": TURN, "username": "u", "credential": 'a,"b\\;c'}],
        ),
        (f'<{TURN},x>; rel=ice-server; {WITH_USER}, , <stun:b>; rel=ice-server',
         [{"urls": f"{TURN},x", **USER}, {"urls": "stun:b"}]),
        # What a browser would refuse, and with it all the others.
        (f"<{TURN}>; rel=ice-server, <stun:b>; rel=ice-server", [{"urls": "stun:b"}]),
        (f"<{TURN}>; rel=ice-server; {WITH_USER}; credential-type=oauth", []),
        ('<https://example.com/>; rel="ice-server"', []),
        ('<stun:a>; rel="urn:ietf:params:whip:ext:example"', []),
        ("<stun:a>", []),
    ],
)  # fmt: skip
def test_ice_servers_of_a_link_header(page: Page, header: str | None, servers: list[dict[str, str]]) -> None:
    script = 'async (header) => (await import("/dashboard/link_header.js")).readIceServers(header)'
    assert page.evaluate(script, header) == servers


def test_refused_tries_are_repeated_with_pauses(page: Page) -> None:
    page.evaluate(RECOVER, False)
    page.evaluate("recovery.broken({ patient: true })")
    tries = [1_500, 2_500, 4_500, 8_500, 16_500]
    assert times(page, seconds=60) == [*(["try", at] for at in tries), ["give up", 16_500]]


def test_tries_end_with_the_interruption(page: Page) -> None:
    page.evaluate(RECOVER, False)
    page.evaluate("recovery.broken({ patient: true })")
    assert times(page, seconds=1) == []
    page.evaluate("recovery.healed()")
    assert times(page, seconds=60) == []
    page.evaluate("recovery.broken({ patient: false })")
    assert len(times(page, seconds=2)) == 2
    page.evaluate("recovery.stop()")
    assert len(times(page, seconds=60)) == 2


def test_nothing_starts_after_the_stop(page: Page) -> None:
    page.evaluate(RECOVER, False)
    page.evaluate("recovery.stop()")
    page.evaluate("recovery.networkChanged()")
    page.evaluate("recovery.broken({ patient: false })")
    assert times(page, seconds=60) == []


@pytest.mark.parametrize(
    ("header", "relays"),
    [
        (None, False),
        ("<stun:a>; rel=ice-server", False),
        (f"<{TURN}>; rel=ice-server", False),
        (f"<stun:a>; rel=ice-server, <{TURN}>; rel=ice-server; {WITH_USER}", True),
        (f"<TURNS:a>; rel=ice-server; {WITH_USER}", True),
    ],
)
def test_a_relay_among_the_ice_servers(page: Page, header: str | None, relays: bool) -> None:
    script = """
    async (header) => {
      const { hasRelay, readIceServers } = await import("/dashboard/link_header.js");
      return hasRelay(readIceServers(header));
    }
    """
    assert page.evaluate(script, header) is relays


def test_a_restart_that_was_taken_gets_time_to_work(page: Page) -> None:
    page.evaluate(RECOVER, True)
    page.evaluate("recovery.broken({ patient: false })")
    assert times(page, seconds=5) == [["try", 0], ["try", 4_000]]


def test_a_change_of_network_is_no_interruption(page: Page) -> None:
    page.evaluate(RECOVER, True)
    page.evaluate("recovery.networkChanged()")
    assert times(page, seconds=60) == [["try", 0]]


def times(page: Page, *, seconds: int) -> list[Any]:
    """What happened, and after how many milliseconds, by the time that this many more seconds have gone."""
    page.clock.run_for(seconds * 1000)
    happened: list[Any] = page.evaluate("times")
    return happened
