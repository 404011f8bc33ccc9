"""Firefox without a window, driven by Marionette, the protocol it has built in.

A message is its length in decimal digits, a colon, and JSON: `[0, id, command, parameters]` to the browser,
`[1, id, error, result]` from it. Playwright drives only a Firefox of its own make.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.interop.processes import POLL_INTERVAL, free_port, running, wait_for_listener

TIMEOUT = 20.0

PREFERENCES = {
    # Nothing but this machine: everything else would go to a proxy that is not there.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1",
    "network.proxy.allow_hijacking_localhost": False,
    "network.dns.disabled": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "app.normandy.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    # A page may begin to make sound without a click.
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "browser.shell.checkDefaultBrowser": False,
}


class Firefox:
    """A browser with one page."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._receive()  # It begins, with a word about itself.
        self._command("WebDriver:NewSession", {})

    def open(self, url: str) -> None:
        """Load a page."""
        self._command("WebDriver:Navigate", {"url": url})

    def evaluate(self, script: str, *arguments: str) -> Any:
        """Run the body of a function in the page; return what it returns, or its promise comes to."""
        return self._command("WebDriver:ExecuteScript", {"script": script, "args": arguments})["value"]

    def wait_for_status(self, state: str) -> str:
        """Wait until the publishing page is in this state; return what it then tells."""
        deadline = time.monotonic() + TIMEOUT
        script = "const it = document.querySelector('#status'); return [it.dataset.state, it.innerText]"
        while True:
            now, told = self.evaluate(script)
            if now == state:
                return str(told)
            assert time.monotonic() < deadline, f"the page is {now!r}: {told}"
            time.sleep(POLL_INTERVAL)

    def _command(self, name: str, parameters: dict[str, Any]) -> Any:
        message = json.dumps([0, 1, name, parameters]).encode()
        self._connection.sendall(b"%d:%b" % (len(message), message))
        _, _, error, result = self._receive()
        assert error is None, error
        return result

    def _receive(self) -> Any:
        while (length := self._received.partition(b":"))[1] == b"" or len(length[2]) < int(length[0]):
            received = self._connection.recv(65_536)
            assert received, "the browser is gone"
            self._received += received
        size = int(length[0])
        self._received = length[2][size:]
        return json.loads(length[2][:size])


@contextmanager
def firefox(program: str, folder: Path) -> Iterator[Firefox]:
    """Run the browser for the length of a `with` block, with its files in `folder`."""
    port = free_port()
    preferences = {**PREFERENCES, "marionette.port": port}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
    profile = folder / "profile"
    profile.mkdir()
    (profile / "user.js").write_text("".join(lines))
    arguments = [program, "--headless", "--no-remote", "--profile", str(profile), "--marionette"]
    with running([*arguments, "about:blank"], folder / "firefox.log", folder=folder) as browser:
        wait_for_listener(port, browser, TIMEOUT)
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            yield Firefox(connection)
