"""Chromium with a page of our own: several sources, switched while they are live, and every picture noted.

The page (studio.html) looks at what its encoders give out: RTP time, size, parameter sets and a checksum of
each picture. `take` finds these again in a recording.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page
from tests.interop.steady_publisher import Answer, request
from tools.server import RunningServer

HTML = Path(__file__).with_name("studio.html")
STREAM = "program"
TIMEOUT_MS = 60_000
"""Nobody waits for it but where something is broken."""
POLL_INTERVAL_MS = 50
SETTLED_POLLS = 10
"""So many looks in a row without a new picture: whatever was in the encoders is out."""
VIDEO_CLOCK = 90
"""Ticks a millisecond."""


@dataclass(frozen=True)
class Source:
    """Where a track comes from: the "camera" or "microphone" of the browser, or a painted "canvas"."""

    kind: str
    width: int = 640
    height: int = 360
    rate: int = 30
    color: str = "#204080"
    noise: bool = False
    """A picture that takes any bitrate there is, instead of one colour."""


CAMERA = Source("camera")
MICROPHONE = Source("microphone")
SCREEN = Source("canvas", 1280, 720)


class Picture(NamedTuple):
    """One encoded picture, as it left the encoder."""

    sender: str
    index: int
    """Counted per sender and SSRC."""
    ssrc: int
    time: int
    """RTP timestamp."""
    left_ms: float
    """When it left the encoder, by the clock of the page."""
    is_key: bool
    size: tuple[int, int]
    length: int
    """Bytes."""
    parameter_sets: tuple[bytes, ...]
    checksum: int

    @property
    def track(self) -> tuple[str, int]:
        return self.sender, self.ssrc


class Studio:
    """The page. Give it sources, name what sends them, and `publish`."""

    def __init__(self, browser: Browser, server: RunningServer) -> None:
        self.session_url = ""
        self.answer = ""
        self.headers: dict[str, str] = {}
        self._server = server
        # Of the server's origin, so that it may ask the server; and by HTTP from loopback, so that it may
        # have a camera.
        self.page: Page = browser.new_context().new_page()
        url = f"{server.http_url}/studio"
        self.page.route(url, lambda route: route.fulfill(content_type="text/html", body=HTML.read_text()))
        self.page.goto(url)

    def add_source(self, name: str, source: Source) -> None:
        self.page.evaluate("([name, source]) => addSource(name, source)", [name, asdict(source)])

    def add_sender(self, name: str, source: str | None, encodings: Sequence[Mapping[str, Any]] = ()) -> None:
        """A transceiver of its own, for video if it has no source yet; rids in `encodings`: simulcast."""
        arguments = [name, source, [dict(encoding) for encoding in encodings]]
        self.page.evaluate("([name, source, encodings]) => addSender(name, source, encodings)", arguments)

    def post(self, stream_name: str = STREAM, **query: str) -> dict[str, Any]:
        """POST the offer, and take the answer if there is one; status, headers and text of the response."""
        values = {"stream_name": stream_name, "stream_url": self._server.stream_url, **query}
        url = f"{self._server.http_url}/p/webrtc?{urlencode(values)}"
        response: dict[str, Any] = self.page.evaluate("(url) => publish(url)", url)
        return response

    def publish(self, stream_name: str = STREAM, **query: str) -> None:
        """Have a session: the offer is accepted, and the browser accepts the answer."""
        answer = self.post(stream_name, **query)
        assert answer["status"] == 201, answer["text"]
        self.answer, self.headers = answer["text"], answer["headers"]
        self.session_url = self.headers["location"]

    def mid(self, name: str) -> str:
        mid: str = self.page.evaluate("(name) => mid(name)", name)
        return mid

    def replace(self, sender: str, source: str | None) -> None:
        self.page.evaluate("([sender, source]) => replace(sender, source)", [sender, source])

    def enable(self, source: str, enabled: bool) -> None:
        self.page.evaluate("([source, enabled]) => enable(source, enabled)", [source, enabled])

    def end_source(self, source: str) -> None:
        """As when a camera is unplugged."""
        self.page.evaluate("(source) => endSource(source)", source)

    def set_encoding(self, sender: str, index: int = 0, **changes: Any) -> None:
        script = "([sender, index, changes]) => setEncoding(sender, index, changes)"
        self.page.evaluate(script, [sender, index, changes])

    def statistics(self, sender: str) -> list[dict[str, Any]]:
        """The outbound-rtp entries of getStats(), one for each encoding."""
        entries: list[dict[str, Any]] = self.page.evaluate("(name) => statistics(name)", sender)
        return entries

    def pictures(self, *senders: str) -> list[Picture]:
        """All that left the encoders of these senders so far, sender by sender in the order they left."""
        found = []
        for sender in senders:
            counts: dict[int, int] = {}
            for entry in self.page.evaluate("(name) => sent[name]", sender):
                ssrc, time, left, is_key, width, height, size, sets, checksum = entry
                index = counts[ssrc] = counts.get(ssrc, -1) + 1
                known = tuple(bytes.fromhex(each) for each in sets)
                size_px = (width, height)
                found.append(Picture(sender, index, ssrc, time, left, is_key, size_px, size, known, checksum))
        return found

    def count(self, sender: str) -> int:
        """How many pictures or packets of sound left its encoders so far."""
        count: int = self.page.evaluate("(name) => sent[name].length", sender)
        return count

    def wait_for_more(self, sender: str, count: int) -> None:
        """Wait until so many more left."""
        goal = self.count(sender) + count
        self.poll(lambda: self.count(sender) >= goal, f"{count} more of {sender}")

    def wait_for_status(self, *path: str | int, value: Any) -> dict[str, Any]:
        """Wait until this place of the status has this value; return all of the status."""
        return self.wait_for(lambda status: _at(status, path) == value, f"{path} = {value!r}")

    def wait_for(self, condition: Any, what: str) -> dict[str, Any]:
        """Wait until `condition(status)` is true; return the status."""
        latest: dict[str, Any] = {}

        def fulfilled() -> bool:
            nonlocal latest
            latest = self.status()
            return bool(condition(latest))

        try:
            self.poll(fulfilled, what)
        except AssertionError as late:
            raise AssertionError(f"{late}: {latest}") from None
        return latest

    def poll(self, condition: Any, what: str) -> None:
        for _ in range(TIMEOUT_MS // POLL_INTERVAL_MS):
            if condition():
                return
            self.page.wait_for_timeout(POLL_INTERVAL_MS)
        raise AssertionError(f"{what}: not within {TIMEOUT_MS} ms")

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.ask("status").json
        return status

    def ask(self, below: str, method: str = "GET", body: str | None = None) -> Answer:
        """Ask for something below the session URL."""
        return request(f"{self.session_url}/{below}", method, body, Content_Type="application/json")

    def stop(self, *senders: str) -> dict[str, Any]:
        """Let what these senders have in their encoders out, then end the session; return its last status."""
        for sender in senders:
            self.replace(sender, None)
        counts: list[list[int]] = []

        def settled() -> bool:
            counts.append([self.count(sender) for sender in senders])
            return counts[-SETTLED_POLLS:] == [counts[-1]] * SETTLED_POLLS and self._all_left(senders)

        self.poll(settled, "the last picture")
        assert request(self.session_url, "DELETE").status == 200
        return self.status()

    def _all_left(self, senders: Sequence[str]) -> bool:
        """What came out of the encoders is in the network."""
        return all(
            sum(entry["framesSent"] for entry in self.statistics(sender)) == self.count(sender)
            for sender in senders
        )


def _at(status: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        status = status[step]
    return status
