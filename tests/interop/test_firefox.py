"""Firefox as Debian builds it has no H.264: the page says so, and its offer is refused with the reason."""

from pathlib import Path

import pytest
from tests.interop.firefox import firefox
from tools.server import RunningServer

pytestmark = pytest.mark.interop

OFFER = """
const connection = new RTCPeerConnection();
for (const kind of ["audio", "video"]) connection.addTransceiver(kind, { direction: "sendonly" });
return connection.setLocalDescription().then(() => connection.localDescription.sdp);
"""
POST = """
const headers = { "Content-Type": "application/sdp" };
return fetch(arguments[0], { method: "POST", headers, body: arguments[1] }).then(async (response) => ({
  status: response.status, type: response.headers.get("Content-Type"), problem: await response.json(),
}));
"""


def test_without_h264_it_is_refused_in_words(
    server: RunningServer, firefox_program: str, tmp_path: Path
) -> None:
    with firefox(firefox_program, tmp_path) as browser:
        browser.open(f"{server.http_url}/webcaster?source=picture&autostart=1&stream_name=program")
        told = browser.wait_for_status("failed")
        offer = browser.evaluate(OFFER)
        refused = browser.evaluate(POST, server.whip_url("program"), offer)
    assert "This browser cannot send H.264" in told
    assert "VP8/90000" in offer
    assert "H264" not in offer
    assert (refused["status"], refused["type"]) == (422, "application/problem+json")
    assert refused["problem"]["title"] == "The offer cannot be accepted"
    assert "VP8" in refused["problem"]["detail"]
    assert "H264 is needed" in refused["problem"]["detail"]
    assert not any(entry["event"] == "session created" for entry in server.log)
