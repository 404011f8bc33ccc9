"""Chromium on the publishing page, driven by Playwright, with a look at its connection from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Error, Page, Response, expect, sync_playwright
from tools.server import RunningServer

ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
TIMEOUT_MS = 20_000
CRASH_TIMEOUT_MS = 500
"""The command has no answer."""
SETTLED_POLLS = 4
"""So many looks in a row without a new picture: whatever was in the encoder is out."""
POLL_INTERVAL_MS = 100

REMEMBER_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...parameters) {
    super(...parameters);
    window.connections.push(this);
  }
};
window.videoSender = () => window.connections.at(-1).getTransceivers()
  .find((one) => one.receiver.track.kind === "video").sender;
"""
VIDEO_STATISTICS = """
async () => [...(await videoSender().getStats()).values()].find((entry) => entry.type === "outbound-rtp")
"""
SCALE_DOWN = """
async (factor) => {
  const parameters = videoSender().getParameters();
  parameters.degradationPreference = "maintain-resolution";
  parameters.encodings[0].scaleResolutionDownBy = factor;
  await videoSender().setParameters(parameters);
}
"""
ONLY_VP8 = """
const setCodecPreferences = RTCRtpTransceiver.prototype.setCodecPreferences;
RTCRtpTransceiver.prototype.setCodecPreferences = function (codecs) {
  setCodecPreferences.call(this, codecs.filter((codec) => codec.mimeType === "video/VP8"));
};
"""
NOISE = """
navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1280, 720];
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  let chance = 1;
  setInterval(() => {
    for (let at = 0; at < pixels.length; at += 8) {
      chance = (chance * 1664525 + 1013904223) | 0;
      pixels.fill(0xff404040 + (chance & 0x3f3f3f), at, at + 8);
    }
    context.putImageData(image, 0, 0);
  }, 40);
  const sound = new AudioContext().createMediaStreamDestination();
  return new MediaStream([...canvas.captureStream(25).getTracks(), ...sound.stream.getTracks()]);
};
"""
"""A camera whose picture takes any bitrate there is."""


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """Run the browser for the length of a `with` block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class PublishingPage:
    """The page `/` of a server, publishing its generated picture from the moment it is open."""

    def __init__(self, browser: Browser, server: RunningServer, *, script: str = "", **query: str) -> None:
        self.context: BrowserContext = browser.new_context()
        self.page: Page = self.context.new_page()
        self.session_url = ""
        """Known once the server has taken the offer."""
        self.page.on("response", self._note_response)
        self.page.add_init_script(REMEMBER_CONNECTIONS + script)
        values = {"source": "picture", "resolution": "640x360", "autostart": "1", **query}
        self.page.goto(f"{server.http_url}/?{urlencode(values)}")

    def wait_for(self, state: str) -> str:
        """Wait until the page is in this state; return what it then tells."""
        status = self.page.locator("#status")
        expect(status).to_have_attribute("data-state", state, timeout=TIMEOUT_MS)
        return status.inner_text()

    def publish_for(self, seconds: float) -> None:
        """Let it go on."""
        self.page.wait_for_timeout(seconds * 1000)

    def wait_for_height(self, height: int) -> None:
        """Wait until pictures of this height are sent."""
        self._poll(lambda: self.video_statistics().get("frameHeight") == height, f"pictures {height} high")

    def scale_down(self, factor: float) -> None:
        """Send the picture so many times smaller, and let the browser not change that by itself."""
        self.page.evaluate(SCALE_DOWN, factor)

    def hold_video(self) -> int:
        """Take the picture away but leave the connection up; return how many pictures were sent."""
        self.page.evaluate("() => videoSender().replaceTrack(null)")
        counts: list[int] = []

        def settled() -> bool:
            counts.append(self.video_statistics()["framesSent"])
            return counts[-SETTLED_POLLS:] == [counts[-1]] * SETTLED_POLLS

        self._poll(settled, "the last picture")
        return counts[-1]

    def stop(self) -> None:
        """Press Stop and wait for the page to say so."""
        self.page.click("#stop")
        self.wait_for("stopped")

    def leave(self, way: str) -> None:
        """Be gone: "close" its context, or "crash" its process, which then says goodbye to nobody."""
        if way == "close":
            self.context.close()
            return
        session = self.context.new_cdp_session(self.page)
        try:
            session.send("Page.crash", timeout=CRASH_TIMEOUT_MS)
        except Error:
            pass  # Nobody is left to answer.

    def video_statistics(self) -> dict[str, Any]:
        """The outbound-rtp entry of getStats()."""
        statistics: dict[str, Any] = self.page.evaluate(VIDEO_STATISTICS)
        return statistics

    def sent_bitrate(self, seconds: float) -> float:
        """The bits a second of video that are sent in a moment from now."""
        before = self.video_statistics()
        self.publish_for(seconds)
        after = self.video_statistics()
        elapsed = (after["timestamp"] - before["timestamp"]) / 1000
        return float(after["bytesSent"] - before["bytesSent"]) * 8 / elapsed

    def _poll(self, condition: Any, what: str) -> None:
        for _ in range(TIMEOUT_MS // POLL_INTERVAL_MS):
            if condition():
                return
            self.page.wait_for_timeout(POLL_INTERVAL_MS)
        raise AssertionError(f"{what}: not within {TIMEOUT_MS} ms")

    def _note_response(self, response: Response) -> None:
        if response.request.method == "POST" and response.status == 201:
            self.session_url = response.headers["location"]
