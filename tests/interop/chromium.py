"""Chromium on the publishing page, driven by Playwright, with a look at its connection from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Error, Page, Response, Route, expect, sync_playwright
from tools.server import RunningServer

ARGUMENTS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
CAMERA_ALLOWED = "--use-fake-ui-for-media-stream"
"""To all pages. Others do not learn this computer's addresses, but get names under `.local` for them."""
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
SELECTED_PAIR = """
async () => {
  const report = await connections.at(-1).getStats();
  const transport = [...report.values()].find((entry) => entry.type === "transport");
  const pair = report.get(transport?.selectedCandidatePairId);
  const [local, remote] = [report.get(pair?.localCandidateId), report.get(pair?.remoteCandidateId)];
  return pair && { pair, local, remote };
}
"""
LOCAL_CANDIDATES = """
async () => {
  const report = await connections.at(-1).getStats();
  return [...report.values()].filter((entry) => entry.type === "local-candidate");
}
"""
REMEMBER_STATES = """
() => {
  const status = document.querySelector("#status");
  window.states = [status.dataset.state];
  const observer = new MutationObserver(() => states.push(status.dataset.state));
  observer.observe(status, { attributeFilter: ["data-state"] });
}
"""
REMEMBER_PICTURES = """
window.pictureTimes = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration) {
    super({ ...configuration, encodedInsertableStreams: true });
  }
  addTransceiver(track, init) {
    const transceiver = super.addTransceiver(track, init);
    const { readable, writable } = transceiver.sender.createEncodedStreams();
    const note = (frame, controller) => {
      if (track.kind === "video") pictureTimes.push(frame.getMetadata().rtpTimestamp);
      controller.enqueue(frame);
    };
    readable.pipeThrough(new TransformStream({ transform: note })).pipeTo(writable);
    return transceiver;
  }
};
"""
"""A script for `PublishingPage`: `picture_times_ms` tells of every picture from the first one on."""
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
def chromium(program: str, *arguments: str, camera_allowed: bool = True) -> Iterator[Browser]:
    """Run the browser for the length of a `with` block, with more arguments if given."""
    every = [*ARGUMENTS, *([CAMERA_ALLOWED] if camera_allowed else []), *arguments]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=every)
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
        self.responses: list[Response] = []
        """All that came from the server."""
        self.page.on("response", self._note_response)
        self.page.add_init_script(REMEMBER_CONNECTIONS + script)
        values = {"source": "picture", "resolution": "640x360", "autostart": "1", **query}
        self.page.goto(f"{server.http_url}/webcaster?{urlencode(values)}")

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

    def selected_pair(self) -> dict[str, dict[str, Any]]:
        """The candidates that media goes by, from getStats(): "local" and "remote", and their "pair"."""
        pair: dict[str, dict[str, Any]] = self.page.evaluate(SELECTED_PAIR)
        assert pair, "no pair of candidates is selected"
        return pair

    def local_candidates(self) -> list[dict[str, Any]]:
        """All that the browser has gathered, from getStats(): it hides some from the description."""
        candidates: list[dict[str, Any]] = self.page.evaluate(LOCAL_CANDIDATES)
        return candidates

    def remember_states(self) -> None:
        """From now on; `states` tells."""
        self.page.evaluate(REMEMBER_STATES)

    def states(self) -> list[str]:
        """The states of the page since `remember_states`; each showing counts, also of the same."""
        states: list[str] = self.page.evaluate("() => states")
        return states

    def picture_times_ms(self) -> list[float]:
        """When each encoded picture was taken, from the first one on (see `REMEMBER_PICTURES`)."""
        ticks: list[int] = self.page.evaluate("pictureTimes")
        return [((tick - ticks[0]) & 0xFFFFFFFF) / 90 for tick in ticks]

    def change_network(self) -> None:
        """Let the browser say that it is in a network again."""
        self.page.evaluate("() => dispatchEvent(new Event('online'))")

    def wait_for_restart(self, before: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Wait until media goes by other ICE credentials than those of the pair `before`; return its pair."""
        latest = before

        def restarted() -> bool:
            nonlocal latest
            latest = self.page.evaluate(SELECTED_PAIR) or before
            return bool(latest["local"]["usernameFragment"] != before["local"]["usernameFragment"])

        self._poll(restarted, "an ICE restart")
        return latest

    def answers(self, method: str) -> list[Response]:
        """What the server answered to requests with this method."""
        return [one for one in self.responses if one.request.method == method]

    def refuse(self, method: str, times: int) -> None:
        """Answer the next requests with this method by 503, in the server's place."""
        left = times

        def answer(route: Route) -> None:
            nonlocal left
            if route.request.method == method and left > 0:
                left -= 1
                route.fulfill(status=503)
            else:
                route.continue_()

        self.page.route("**/p/webrtc/*", answer)

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
        self.responses.append(response)
        if response.request.method == "POST" and response.status == 201:
            self.session_url = response.headers["location"]
