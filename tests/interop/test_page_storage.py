"""What the publishing page leaves behind in the browser: a name, and nobody's secrets."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from tests.interop.chromium import PublishingPage, chromium
from tools.server import RunningServer

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program) as browser:
        yield browser


def test_arguments_are_not_remembered(server: RunningServer, browser: Browser) -> None:
    page = PublishingPage(browser, server, stream_name="program?passcode=abc")
    page.wait_for("live")
    assert page.page.evaluate("() => Object.values(localStorage)") == ["program"]
    page.stop()
    page.page.goto(f"{server.http_url}/webcaster")
    assert page.page.locator("#stream-name").input_value() == "program"
