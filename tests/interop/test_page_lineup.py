"""What the page sends, tried without a server: sources, senders with their limits, requests to a session."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Route
from tests.interop.chromium import chromium
from tests.peers.status_server import StatusServer, status_server

pytestmark = pytest.mark.interop

TWO_CAMERAS = "--use-fake-device-for-media-stream=device-count=2"
OFF_AIR_BITRATE = 150_000
CAP = 800_000
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540000000"
    "0049454e44ae426082"
)
"""A picture, of one pixel."""
SETTINGS = {"width": 320, "height": 180, "frameRate": 10, "microphone": False}
CONNECT = """
async ([pictures, simulcast]) => {
  const { Senders } = await import("/dashboard/webcaster/senders.js");
  const { createOffer } = await import("/dashboard/webcaster/offer.js");
  const pen = document.createElement("canvas").getContext("2d");
  setInterval(() => pen.fillRect(0, 0, Math.random() * 300, 9), 100);
  const canvases = Array.from({ length: pictures }, () => pen.canvas.captureStream(10));
  const videos = canvases.map((stream) => stream.getVideoTracks()[0]);
  const [audio] = new AudioContext().createMediaStreamDestination().stream.getAudioTracks();
  window.peers?.forEach((peer) => peer.close());
  const [near, far] = window.peers = [new RTCPeerConnection(), new RTCPeerConnection()];
  window.senders = new Senders(near, { audio, videos }, { simulcast });
  const offer = await createOffer(near);
  await near.setLocalDescription(offer);
  await far.setRemoteDescription(offer);
  await far.setLocalDescription();
  const takesAll = "a=rid:h recv\\r\\na=rid:m recv\\r\\na=rid:l recv\\r\\na=simulcast:recv h;m;l\\r\\n";
  const sections = far.localDescription.sdp.replace(/a=(rid|simulcast):.*\\r\\n/g, "").split(/(?=m=)/);
  const isTaken = (section) => simulcast && section.startsWith("m=video");
  const rewritten = sections.map((section) => (isTaken(section) ? section + takesAll : section));
  await near.setRemoteDescription({ type: "answer", sdp: rewritten.join("") });
  return offer.sdp;
}
"""
LIMITS = """
() => peers[0].getTransceivers().map(({ mid, sender }) => {
  const { encodings } = sender.getParameters();
  return [mid, encodings.map(({ rid, active, maxBitrate }) => [rid ?? "", active, maxBitrate ?? null])];
})
"""
OPEN = """
async ([source, also]) => {
  const { Lineup } = await import("/dashboard/webcaster/lineup.js");
  window.lineup?.stop();
  window.lineup = new Lineup();
  window.gone = [];
  lineup.addEventListener("gone", ({ detail }) => gone.push([detail.place, detail.kind]));
  await lineup.open({ ...SETTINGS, source, also });
  window.sent = [];
  lineup.publishBy({
    replaceVideo: async (place, track) => sent.push([place, track?.id ?? null]),
    replaceAudio: async (track) => sent.push(["audio", track.id]),
  });
}
""".replace("SETTINGS", json.dumps(SETTINGS))
ONE_CAMERA = """
() => {
  const enumerate = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
  navigator.mediaDevices.enumerateDevices = async () => {
    const devices = await enumerate();
    return devices.filter(({ kind }) => kind === "videoinput").slice(0, 1);
  };
}
"""
CHANGE = f"([place, kind]) => lineup.change(place, kind, {json.dumps(SETTINGS)})"
TRACK = "(place) => lineup.at(place).stream.getVideoTracks()[0].id"
CAMERAS = "[0, 1].map((place) => lineup.at(place).stream.getVideoTracks()[0].getSettings().deviceId)"
CONTROL = """
async ([links, work]) => {
  const { SessionControl } = await import("/dashboard/webcaster/session_control.js");
  const { request } = await import("/dashboard/shared/whip_http.js");
  const response = await fetch("/made-up/created");
  const made = { url: response.url, headers: new Headers({ Link: links }) };
  const token = { Authorization: "Bearer word" };
  const asked = (url, init) => request(url, { ...init, headers: { ...init.headers, ...token } });
  const control = new SessionControl(made, new URL("/made-up/session", location), asked);
  return (new Function("control", `return ${work}`))(control);
}
"""
OWN_LINKS = (
    '</made-up/session/input>; rel="urn:whipway:inputs", '
    '</made-up/session/quality>; rel="urn:whipway:quality"'
)


@pytest.fixture(scope="module")
def browser(chromium_program: str) -> Iterator[Browser]:
    with chromium(chromium_program, TWO_CAMERAS) as browser:
        yield browser


@pytest.fixture(scope="module")
def peer() -> Iterator[StatusServer]:
    with status_server() as peer:
        yield peer


@pytest.fixture(scope="module")
def page(browser: Browser, peer: StatusServer) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(peer.url)
    yield page
    page.close()


def test_each_picture_is_an_input(page: Page) -> None:
    offer = page.evaluate(CONNECT, [2, False])
    assert re.findall(r"^m=(\w+)", offer, re.MULTILINE) == ["audio", "video", "video"]
    assert len(set(re.findall(r"^a=msid:(\S+)", offer, re.MULTILINE))) == 1
    assert "simulcast" not in offer
    assert page.evaluate("senders.mids") == ["1", "2"]


def test_the_lesser_of_two_limits_is_taken(page: Page) -> None:
    page.evaluate(CONNECT, [2, False])
    assert limits(page) == {"0": [["", True, None]], "1": [["", True, None]], "2": [["", True, None]]}
    page.evaluate("senders.limit({ videoBitrate: 2e6, audioBitrate: 64e3, frameRate: 25 })")
    full = {"0": [["", True, 64_000]], "1": [["", True, 2_000_000]], "2": [["", True, 2_000_000]]}
    assert limits(page) == full
    obey(page, (None, True), (OFF_AIR_BITRATE, False))
    assert limits(page) == {**full, "2": [["", True, OFF_AIR_BITRATE]]}
    obey(page, (CAP, True), (5_000_000, False))
    assert limits(page) == {**full, "1": [["", True, CAP]]}
    page.evaluate("senders.limit({ videoBitrate: 500000 })")
    assert limits(page)["1"] == [["", True, 500_000]]
    page.evaluate("senders.limit({ videoBitrate: 2e6 })")
    obey(page, (None, True), (None, False))
    assert limits(page) == full


def test_limits_wait_for_each_other(page: Page) -> None:
    # Parameters that were read before somebody else set some are refused by the browser.
    page.evaluate(CONNECT, [2, False])
    page.evaluate(
        "Promise.all([1e6, 9e5, 8e5].map((videoBitrate, index) => Promise.all("
        "[senders.limit({ videoBitrate }), senders.obey([{ mid: '2', asked_bitrate: 1e5 * (index + 1) }])])))"
    )
    assert limits(page)["1"] == [["", True, 800_000]]
    assert limits(page)["2"] == [["", True, 300_000]]


def test_three_sizes_are_offered_and_one_is_left_off_the_air(page: Page) -> None:
    offer = page.evaluate(CONNECT, [2, True])
    assert re.findall(r"^a=(simulcast:.*)\r", offer, re.MULTILINE) == ["simulcast:send h;m;l"] * 2
    page.evaluate("senders.limit({ videoBitrate: 2e6 })")
    full = [["h", True, 2_000_000], ["m", True, 800_000], ["l", True, 300_000]]
    assert [limits(page)[mid] for mid in "12"] == [full, full]
    obey(page, (1_000_000, True), (OFF_AIR_BITRATE, False))
    off_air = [["h", False, OFF_AIR_BITRATE], ["m", False, OFF_AIR_BITRATE], ["l", True, OFF_AIR_BITRATE]]
    assert limits(page)["1"] == [["h", True, 1_000_000], ["m", True, 800_000], ["l", True, 300_000]]
    assert limits(page)["2"] == off_air
    # What is to go on air may need any of its layers.
    obey(page, (1_000_000, True), (1_000_000, False), wanted="2")
    assert [active for _, active, _ in limits(page)["2"]] == [True] * 3


def test_both_sources_have_their_places(page: Page) -> None:
    page.evaluate(OPEN, ["camera", "picture"])
    assert page.evaluate("lineup.media.videos.map((track) => track.id)") == [track(page, 0), track(page, 1)]
    assert page.evaluate("[0, 1].map((place) => lineup.nameOf(place))") == ["Camera", "Test picture"]
    before = track(page, 0)
    page.evaluate(CHANGE, [0, "picture"])
    assert page.evaluate("lineup.nameOf(1)") == "Second test picture"
    assert page.evaluate("sent[0]") == [0, track(page, 0)] != [0, before]
    assert page.evaluate("sent[1][0]") == "audio"
    page.evaluate(CHANGE, [1, ""])
    assert page.evaluate("sent[2]") == [1, None]
    assert page.evaluate("[lineup.nameOf(1), lineup.at(1)]") == ["Nothing", None]
    assert page.evaluate("lineup.media.videos.length") == 1


def test_a_muted_picture_is_not_sent_and_muted_sound_is_silence(page: Page) -> None:
    page.evaluate(OPEN, ["picture", "camera"])
    page.evaluate("lineup.mute('audio', true)")
    assert page.evaluate("sent") == []
    assert page.evaluate("lineup.media.audio.enabled") is False
    page.evaluate("lineup.mute('video', true)")
    assert page.evaluate("sent.splice(0)") == [[0, None], [1, None]]
    live = "[0, 1].map((place) => lineup.at(place).stream.getVideoTracks()[0].readyState)"
    assert page.evaluate(live) == ["live", "live"], "a source was let go"
    page.evaluate(CHANGE, [0, "camera"])
    assert page.evaluate("sent.splice(0)[0]") == [0, None], "another source was not muted"
    assert page.evaluate("lineup.media.audio.enabled") is False
    page.evaluate("lineup.mute('video', false)")
    assert page.evaluate("sent") == [[0, track(page, 0)], [1, track(page, 1)]]


def test_two_cameras_are_two(page: Page) -> None:
    page.evaluate(OPEN, ["camera", "camera"])
    first, second = page.evaluate(CAMERAS)
    assert first and second and first != second
    assert page.evaluate("lineup.nameOf(1)") == "Second camera"


def test_a_second_camera_that_is_missing(browser: Browser, peer: StatusServer) -> None:
    page = browser.new_page()
    page.goto(peer.url)
    page.evaluate(ONE_CAMERA)
    words = page.evaluate(
        f"""async () => {{
          const {{ failureWords }} = await import("/dashboard/webcaster/wording.js");
          return ({OPEN})(["camera", "camera"]).then(() => null, failureWords);
        }}"""
    )
    page.close()
    assert words[0] == "The second camera could not be opened"
    assert words[1].startswith("No second camera was found.")


def test_what_did_not_open_leaves_the_present_source(page: Page) -> None:
    page.evaluate(OPEN, ["picture", "camera"])
    before = [track(page, place) for place in (0, 1)]
    page.evaluate("() => { navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new Error()); }")
    for place in (0, 1):
        with pytest.raises(Error):
            page.evaluate(CHANGE, [place, "screen"])
    assert [track(page, place) for place in (0, 1)] == before
    assert page.evaluate("sent") == []


def test_a_source_that_ends_by_itself_is_told(page: Page) -> None:
    page.evaluate(OPEN, ["picture", "picture"])
    page.evaluate("lineup.at(1).stream.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    assert page.evaluate("gone") == [[1, "picture"]]
    page.evaluate("() => { window.old = lineup.at(0); }")
    page.evaluate(CHANGE, [0, "camera"])
    page.evaluate("old.stream.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    assert page.evaluate("gone") == [[1, "picture"]]


@pytest.mark.parametrize(
    ("work", "asked", "body"),
    [
        ("control.putOnAir('2')", "PUT /made-up/session/input", {"mid": "2"}),
        ("control.setQuality({ max_video_bitrate: null })", "PUT /made-up/session/quality",
         {"max_video_bitrate": None}),
        ("control.setQuality({ layer: 'h' })", "PUT /made-up/session/quality", {"layer": "h"}),
        ("control.requestKeyframe()", "POST /made-up/session/keyframe", None),
        ("control.picture('a/b')", "GET /made-up/session/input/a%2Fb/thumbnail", None),
    ],
)  # fmt: skip
def test_what_is_asked_of_a_session(page: Page, work: str, asked: str, body: Any) -> None:
    requests = []

    def answer(route: Route) -> None:
        request = route.request
        requests.append((f"{request.method} {request.url.removeprefix(origin(page))}", request.post_data))
        assert request.headers["authorization"] == "Bearer word"
        route.fulfill(status=204)

    page.route("**/made-up/session/**", answer)
    try:
        page.evaluate(CONTROL, [OWN_LINKS, f"({work}).then(() => true)"])
    finally:
        page.unroute("**/made-up/session/**")
    [(found, sent)] = requests
    assert (found, json.loads(sent) if sent else None) == (asked, body)


def test_a_picture_of_an_input(page: Page) -> None:
    thumbnail = "**/made-up/session/input/1/thumbnail"
    size = "control.picture('1').then((blob) => blob?.size ?? null)"
    status = 200

    def answer(route: Route) -> None:
        if status:
            route.fulfill(status=status, body=PIXEL if status == 200 else b"")
        else:
            route.abort()

    page.route(thumbnail, answer)
    assert page.evaluate(CONTROL, [OWN_LINKS, size]) == len(PIXEL)
    for status in (204, 404, 0):  # noqa: B007 - the answers above read it.
        assert page.evaluate(CONTROL, [OWN_LINKS, size]) is None
    page.unroute(thumbnail)


@pytest.mark.parametrize(
    ("links", "able"),
    [
        ("", [False, False]),
        ('</made-up/session/quality>; rel="urn:whipway:quality"', [False, True]),
        # The token is not for others.
        ('<https://b.example/input>; rel="urn:whipway:inputs"', [False, False]),
    ],
)
def test_what_a_server_can_do(page: Page, links: str, able: list[bool]) -> None:
    assert page.evaluate(CONTROL, [links, "[control.takesInputs, control.hasQuality]"]) == able


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": 404, "problem": {"detail": "no input 7"}},
         "The server did not do it. No input 7. (HTTP 404)"),
        ({"status": 429, "problem": {"title": "Too many requests"}},
         "The server did not do it. Too many requests. (HTTP 429)"),
        ({"host": "a.example"}, "The server was not asked: it cannot be reached."),
    ],
)  # fmt: skip
def test_why_it_was_not_done(page: Page, facts: dict[str, Any], words: str) -> None:
    script = """
    async (facts) => {
      const { controlWords } = await import("/dashboard/webcaster/wording.js");
      const { WhipError } = await import("/dashboard/shared/whip_http.js");
      return controlWords(new WhipError("refused", facts));
    }
    """
    assert page.evaluate(script, facts) == words


def limits(page: Page) -> dict[str, Any]:
    """What each encoding may send, by the mid."""
    return dict(page.evaluate(LIMITS))


def obey(page: Page, *asked: tuple[int | None, bool], wanted: str | None = None) -> None:
    """Ask this of the inputs, beginning with mid 1; and whether they are on air."""
    inputs = [
        {"mid": str(place), "asked_bitrate": bitrate, "on_air": on_air}
        for place, (bitrate, on_air) in enumerate(asked, 1)
    ]
    page.evaluate("([inputs, wanted]) => senders.obey(inputs, wanted)", [inputs, wanted])


def track(page: Page, place: int) -> str:
    """The id of the picture that is in this place."""
    found: str = page.evaluate(TRACK, place)
    return found


def origin(page: Page) -> str:
    return str(page.evaluate("location.origin"))
