"""A browser's own EventSource on a session's status: it comes back by itself, and must know when not to."""

import json
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser
from tests.interop.chromium import PublishingPage, chromium
from tools.server import RunningServer

pytestmark = pytest.mark.interop

FOLLOW = """
async (url) => {
  window.told = [];
  window.source = new EventSource(url);
  for (const type of ["status", "end"]) source.addEventListener(type, ({ data }) => told.push([type, data]));
}
"""


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program) as browser:
        yield browser


def test_it_stays_away_after_the_end(server: RunningServer, browser: Browser) -> None:
    page = PublishingPage(browser, server, stream_name="followed")
    page.wait_for("live")
    watcher = browser.new_context().new_page()
    watcher.goto(f"{server.http_url}/webcaster")
    answers: list[int] = []
    # The browser asks for the page's icon, too, when it likes.
    status = f"{page.session_url}/status"
    watcher.on("response", lambda each: answers.append(each.status) if each.url == status else None)
    watcher.evaluate(FOLLOW, status)
    watcher.wait_for_function("() => told.length > 0")
    with urlopen(Request(page.session_url, method="DELETE"), timeout=10.0) as response:
        assert response.status == 200
    watcher.wait_for_function("() => source.readyState === EventSource.CLOSED")
    assert answers == [200, 204]
    told = watcher.evaluate("() => told")
    assert [kind for kind, _ in told].count("end") == 1 and told[-1][0] == "end"
    assert json.loads(told[-1][1])["state"] == "ended"
    watcher.context.close()
    page.context.close()
