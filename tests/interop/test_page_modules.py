"""Parts of the page that can be tried by themselves, in the browser they are made for."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Error, Page
from tests.interop.chromium import chromium
from tests.peers.status_server import EVENTS, JSON, STATUS_PATH, StatusServer, Way, status_server

from whipway.relay.sinks.backoff import POLICIES

pytestmark = pytest.mark.interop

TURN = "turn:turn.example.com?transport=udp"
USER = {"username": "user", "credential": "pass"}
WITH_USER = 'username="user"; credential="pass"'

RECOVER = """
async (taken) => {
  const { Recovery } = await import("/dashboard/webcaster/recovery.js");
  window.recovery?.stop();
  const times = window.times = [];
  const began = Date.now();
  const note = (what) => times.push([what, Math.round((Date.now() - began) / 10) * 10]);
  const attempt = async () => { note("try"); return taken; };
  window.recovery = new Recovery(attempt, () => note("give up"));
}
"""
FOLLOW = """
async (path) => {
  const { SessionStatus } = await import("/dashboard/webcaster/session_status.js");
  const { request } = await import("/dashboard/shared/whip_http.js");
  window.followed?.stop();
  const told = window.told = [];
  const url = new URL(path, document.baseURI);
  window.followed = new SessionStatus(url, request, (status) => told.push(status));
  followed.follow();
}
"""
READ_EVENTS = """
async (pieces) => {
  const { readEvents } = await import("/dashboard/shared/event_stream.js");
  const body = new ReadableStream({ start(controller) {
    for (const piece of pieces) controller.enqueue(Uint8Array.from(atob(piece), (one) => one.charCodeAt(0)));
    controller.close();
  } });
  const events = [];
  for await (const event of readEvents(body)) events.push(event);
  return events;
}
"""
VIEW = (
    'async ([sink, snapshot]) => (await import("/dashboard/shared/sink_wording.js")).sinkView(sink, snapshot)'
)
SHOW = (
    'async ([sinks, size]) => (await import("/dashboard/webcaster/sinks_view.js")).showSinks(sinks, { size })'
)
FAR_AWAY = "2100-01-01"
"""The clock of the page stands still there, but for the steps that a test lets it take."""
SILENCE, PAUSE = 5_000, 1_000
"""Milliseconds after which the page takes a stream of events for cut off; between two questions."""
SHORT_WAIT_MS = 20
SINK: dict[str, Any] = {
    "id": "1",
    "stream_url": "rtmp://live.example.com:1935/app",
    "stream_name": "program",
    "state": "connecting",
    "reason": None,
    "detail": "",
    "attempt": 1,
    "next_try_in": None,
    "reconnects": 0,
    "audio": {"choice": "auto", "codec": "aac", "bitrate": 128_000},
    "frames_dropped": 0,
    "bitrate": 0,
    "queue_ms": 0,
    "since_progress": None,
    "publishing_for": None,
}
ON_AIR = {**SINK, "state": "publishing", "bitrate": 2_130_000, "since_progress": 0.1, "publishing_for": 133.4}
RETRYING = {
    **SINK, "state": "retrying", "reason": "unreachable", "detail": "Connection refused", "next_try_in": 3.2
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[StatusServer]:
    with status_server() as server:
        yield server


@pytest.fixture(scope="module")
def page(chromium_program: str, server: StatusServer) -> Iterator[Page]:
    with chromium(chromium_program) as browser:
        page = browser.new_page()
        page.clock.install()
        page.goto(server.url)
        page.clock.pause_at(FAR_AWAY)
        yield page


@pytest.fixture
def follow(page: Page, server: StatusServer) -> Iterator[Callable[[Way], None]]:
    """Begins to follow the server's made-up status, told in this way."""

    def begin(way: Way) -> None:
        server.way, server.told = way, {"state": "live", "number": 1}
        server.asked.clear()
        server.has_ended.clear()
        page.evaluate(FOLLOW, STATUS_PATH)

    yield begin
    page.evaluate("window.followed?.stop()")
    until(page, lambda: server.open_streams == 0)


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
    script = 'async (header) => (await import("/dashboard/shared/link_header.js")).readIceServers(header)'
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
      const { hasRelay, readIceServers } = await import("/dashboard/shared/link_header.js");
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


@pytest.mark.parametrize(
    ("header", "target"),
    [
        (None, None),
        ("", None),
        ('</other>; rel="urn:whipway:sinks"', None),
        ('<stun:a>; rel="ice-server", </s/status>; rel="urn:whipway:status"', "http://a.example/s/status"),
        ("<https://b.example/x>; rel=urn:whipway:status", "https://b.example/x"),
        ('<status>; rel="next URN:Whipway:Status", <no>; rel="urn:whipway:status"', "http://a.example/p/status"),
        ("<https://:1/>; rel=urn:whipway:status", None),
    ],
)  # fmt: skip
def test_where_the_status_is(page: Page, header: str | None, target: str | None) -> None:
    script = """
    async (header) => {
      const { readTarget } = await import("/dashboard/shared/link_header.js");
      return readTarget(header, "urn:whipway:status", "http://a.example/p/s")?.href ?? null;
    }
    """
    assert page.evaluate(script, header) == target


@pytest.mark.parametrize(
    ("pieces", "events"),
    [
        ([b""], []),
        ([b"data: 1\n\n"], [("message", "1")]),
        ([b"retry: 1\nid: 2\n\nevent: end\ndata:1\ndata: 2\n\n"], [("end", "1\n2")]),
        ([b"event:status\r", b"\nda", b"ta: 1\r\n\r", b"\ndata\r\n\r\n"], [("status", "1"), ("message", "")]),
        ([b":\n: data: 1\nevent: lost\n\ndata:  a: b\n\n"], [("message", " a: b")]),
        ([b"data: \xe2\x82", b"\xac\n\n"], [("message", "\u20ac")]),
        ([b"data: 1\n\ndata: 2\n"], [("message", "1")]),
    ],
)  # fmt: skip
def test_server_sent_events(page: Page, pieces: list[bytes], events: list[tuple[str, str]]) -> None:
    read = page.evaluate(READ_EVENTS, [b64encode(piece).decode() for piece in pieces])
    assert [(event["type"], event["data"]) for event in read] == events


@pytest.mark.parametrize("without_end", [b"data: ", b"data: 1\ndata: "])
def test_an_event_without_end_is_not_kept(page: Page, without_end: bytes) -> None:
    too_long = without_end * 170_000
    with pytest.raises(Error, match="has no end"):
        page.evaluate(READ_EVENTS, [b64encode(too_long).decode()])


def test_the_status_comes_by_events(page: Page, server: StatusServer, follow: Callable[[Way], None]) -> None:
    follow("events")
    until(page, lambda: len(told(page)) == 1)
    server.told = {"state": "live", "number": 2}
    until(page, lambda: len(told(page)) == 2)
    assert [one["body"]["number"] for one in told(page)] == [1, 2]
    assert server.asked == [EVENTS]


def test_a_stream_that_was_cut_off_is_opened_again(
    page: Page, server: StatusServer, follow: Callable[[Way], None]
) -> None:
    follow("cut")
    until(page, lambda: len(told(page)) == 2)
    assert server.asked == [EVENTS, JSON], "it was not asked at once"
    step(page, PAUSE)
    until(page, lambda: len(told(page)) == 4)
    assert server.asked == [EVENTS, JSON] * 2


def test_a_stream_that_brings_nothing_is_replaced_by_questions(
    page: Page, server: StatusServer, follow: Callable[[Way], None]
) -> None:
    follow("held back")
    until(page, lambda: server.open_streams == 1)
    assert told(page) == []
    step(page, SILENCE)
    until(page, lambda: len(told(page)) == 1)
    until(page, lambda: server.open_streams == 0)
    for number in (2, 3):
        server.told = {"state": "live", "number": number}
        step(page, PAUSE)
        until(page, lambda number=number: len(told(page)) == number)
    assert [one["body"]["number"] for one in told(page)] == [1, 2, 3]
    assert server.asked == [EVENTS, JSON, JSON, JSON]


@pytest.mark.parametrize("way", ["json", "busy"])
def test_a_server_without_streams_is_asked(
    page: Page, server: StatusServer, follow: Callable[[Way], None], way: Way
) -> None:
    follow(way)
    until(page, lambda: len(told(page)) == 1)
    step(page, PAUSE)
    until(page, lambda: len(told(page)) == 2)
    assert server.asked == [EVENTS, JSON, JSON]


def test_a_stream_that_falls_silent_is_opened_again(
    page: Page, server: StatusServer, follow: Callable[[Way], None]
) -> None:
    follow("events")
    until(page, lambda: len(told(page)) == 1)
    step(page, SILENCE)
    until(page, lambda: server.asked == [EVENTS, JSON])
    step(page, PAUSE)
    until(page, lambda: server.asked == [EVENTS, JSON, EVENTS])


def test_after_the_end_the_last_status_is_asked_for(
    page: Page, server: StatusServer, follow: Callable[[Way], None]
) -> None:
    follow("events")
    until(page, lambda: len(told(page)) == 1)
    # What a stream says last is not trusted to have come.
    server.has_ended.set()
    until(page, lambda: len(told(page)) == 2)
    assert server.asked == [EVENTS, JSON]


def test_a_status_that_is_gone(page: Page, server: StatusServer, follow: Callable[[Way], None]) -> None:
    follow("gone")
    until(page, lambda: len(told(page)) == 1)
    assert told(page) == [{"gone": True, "detail": "It never existed"}]


def test_no_word_from_the_server(page: Page, follow: Callable[[Way], None]) -> None:
    page.route(f"**{STATUS_PATH}", lambda route: route.abort())
    try:
        follow("events")
        until(page, lambda: told(page) == [{}])
    finally:
        page.unroute(f"**{STATUS_PATH}")


def test_nothing_is_told_after_the_stop(
    page: Page, server: StatusServer, follow: Callable[[Way], None]
) -> None:
    follow("events")
    until(page, lambda: len(told(page)) == 1)
    page.evaluate("followed.stop()")
    until(page, lambda: server.open_streams == 0)
    step(page, 60_000)
    assert (len(told(page)), server.asked) == (1, [EVENTS])


@pytest.mark.parametrize(
    ("sink", "size", "lamp", "state", "figures"),
    [
        (SINK, None, "busy", "Waiting for the first picture", ""),
        (SINK, [640, 360], "busy", "Connecting to the RTMP server", ""),
        (ON_AIR, [640, 360], "on", "On air for 02:13",
         "2.1 Mbit/s, AAC 128 kbit/s, 0 ms waiting, 0 pictures dropped"),
        ({**ON_AIR, "audio": {"choice": "auto", "codec": "opus", "bitrate": 0}, "queue_ms": 412.6,
          "frames_dropped": 1, "reconnects": 2, "since_progress": 3.9}, [640, 360],
         "on", "On air, but nothing was taken for 3 s",
         "2.1 Mbit/s, Opus, 413 ms waiting, 1 picture dropped, 2 reconnects"),
        ({**ON_AIR, "since_progress": 60.0}, [640, 360], "on", "On air for 02:13",
         "2.1 Mbit/s, AAC 128 kbit/s, 0 ms waiting, 0 pictures dropped"),
        (RETRYING, [640, 360], "busy", "Trying again in 4 s: the RTMP server refused the connection",
         "Connection refused."),
        ({**RETRYING, "detail": "No route to host", "next_try_in": None, "attempt": 3, "frames_dropped": 7},
         None, "busy", "Trying again now: the RTMP server cannot be reached",
         "No route to host. Try 3. 7 pictures dropped."),
        ({**SINK, "reason": "bad_name"}, [640, 360], "busy",
         "Trying again now: the RTMP server says that the name is taken", ""),
        ({**SINK, "state": "failed", "reason": "unauthorized", "detail": "code=403 need auth"}, [640, 360],
         "bad", "Given up: the RTMP server wants another user or password", "code=403 need auth."),
        ({**SINK, "state": "closed"}, [640, 360], "off", "Ended", ""),
        ({**SINK, "state": "closed", "reason": "stalled"}, [640, 360], "off",
         "Ended: the RTMP server takes nothing any more", ""),
        # Words of a later server.
        ({**SINK, "state": "failed", "reason": "out_of_ink"}, None, "bad", "Given up: out of ink", ""),
        ({**SINK, "state": "thinking_hard"}, None, "off", "Thinking hard.", ""),
    ],
)  # fmt: skip
def test_a_target_in_words(
    page: Page, sink: dict[str, Any], size: list[int] | None, lamp: str, state: str, figures: str
) -> None:
    view = page.evaluate(VIEW, [sink, {"size": size}])
    target = "rtmp://live.example.com:1935/app/program"
    assert view == {"target": target, "lamp": lamp, "state": state, "figures": figures}


@pytest.mark.parametrize("reason", POLICIES)
def test_there_are_words_for_every_reason(page: Page, reason: str) -> None:
    view = page.evaluate(VIEW, [{**SINK, "state": "failed", "reason": reason}, None])
    assert len(view["state"]) > len(f"Given up: {reason}") + 10, view["state"]


@pytest.mark.parametrize(
    ("sinks", "air"),
    [
        ([], ("off", "Not on air", None)),
        ([SINK, RETRYING], ("off", "Not on air", None)),
        ([ON_AIR], ("on", "On air", 133.4)),
        ([ON_AIR, {**ON_AIR, "publishing_for": 7}], ("on", "On air", 133.4)),
        ([RETRYING, ON_AIR, SINK], ("part", "On air at 1 of 3 targets", 133.4)),
    ],
)
def test_on_air_is_said_of_what_is_published(
    page: Page, sinks: list[dict[str, Any]], air: tuple[str, str, float | None]
) -> None:
    script = 'async (sinks) => (await import("/dashboard/shared/sink_wording.js")).airOf(sinks)'
    found = page.evaluate(script, sinks)
    assert (found["air"], found["headline"], found["seconds"]) == air


def test_a_count_down_is_seen_and_not_heard(page: Page) -> None:
    page.evaluate(SHOW, [[RETRYING], None])
    page.evaluate(
        """() => {
          window.heard = 0;
          for (const region of document.querySelectorAll("[role=status], [aria-live]:not([aria-live=off])")) {
            const observer = new MutationObserver(() => { heard += 1; });
            observer.observe(region, { childList: true, characterData: true, subtree: true });
          }
        }"""
    )
    row = page.locator("#sinks li")
    for attempt, seconds in ((1, 2.1), (1, 1.1), (1, None), (2, 7.9)):
        page.evaluate(SHOW, [[{**RETRYING, "attempt": attempt, "next_try_in": seconds}], None])
    assert "Trying again in 8 s" in row.inner_text()
    assert page.evaluate("heard") == 0
    news = page.locator("#sinks-news")
    assert news.inner_text() == (
        "rtmp://live.example.com:1935/app/program: trying again, the RTMP server refused the connection."
    )
    page.evaluate(SHOW, [[ON_AIR], [640, 360]])
    assert page.evaluate("heard") == 1
    assert news.inner_text() == ""


def test_rows_stay_where_they_are(page: Page) -> None:
    page.evaluate(SHOW, [[ON_AIR, {**RETRYING, "id": "2"}, {**SINK, "id": "3"}], [640, 360]])
    page.evaluate("() => { window.rows = [...document.querySelectorAll('#sinks li')]; }")
    page.evaluate(SHOW, [[{**ON_AIR, "bitrate": 1_000_000}, {**ON_AIR, "id": "3"}], [640, 360]])
    kept = page.evaluate("[...document.querySelectorAll('#sinks li')].map((row) => rows.indexOf(row))")
    assert kept == [0, 2]
    assert "1.0 Mbit/s" in page.locator("#sinks li").first.inner_text()
    page.evaluate(SHOW, [[], None])
    assert "nobody gets it" in page.locator("#sinks-hint").inner_text()


def test_what_is_old_is_called_old(page: Page) -> None:
    page.evaluate(SHOW, [[ON_AIR], [640, 360]])
    page.evaluate('async () => (await import("/dashboard/webcaster/sinks_view.js")).showSinksAsOld()')
    assert page.locator("#sinks-hint").inner_text() == "No word from the server: what is shown here is old."
    page.evaluate(SHOW, [[ON_AIR], [640, 360]])
    assert page.locator("#sinks-hint").inner_text() == ""


def test_what_servers_say_is_text(page: Page) -> None:
    page.evaluate(SHOW, [[{**RETRYING, "detail": "<b>bold</b>"}], None])
    assert page.locator("#sinks b").count() == 0
    assert "<b>bold</b>" in page.locator("#sinks").inner_text()


@pytest.mark.parametrize(
    ("target", "play"),
    [
        ("rtmp://host/app/", "rtmp://host/app/name"),
        ("rtmps://user:pass@host:443/app", "rtmps://host:443/app/name"),
        ("rtmp://user:p%40ss@[2001:db8::1]/app?key=1", "rtmp://[2001:db8::1]/app/name"),
    ],
)
def test_the_play_address_holds_no_secrets(page: Page, target: str, play: str) -> None:
    script = (
        'async (target) => (await import("/dashboard/webcaster/settings.js")).playUrl(target, "name?key=1")'
    )
    assert page.evaluate(script, target) == play


@pytest.mark.parametrize(
    ("target", "taken"),
    [("rtmps://host/app", True), ("rtmp://user:pass@host:80/app", True), ("https://host/app", False)],
)
def test_the_target_field(page: Page, target: str, taken: bool) -> None:
    page.locator("#stream-url").evaluate("(field, target) => { field.value = target; }", target)
    assert page.locator("#stream-url").evaluate("(field) => field.checkValidity()") is taken


@pytest.mark.parametrize(
    ("choice", "audio"), [("", ""), ("aac", "&audio=aac"), ("opus", "&audio=opus"), ("auto", "&audio=auto")]
)
def test_a_choice_of_sound(page: Page, choice: str, audio: str) -> None:
    page.locator("#audio").evaluate(
        """(field, choice) => {
          document.querySelector("#stream-name").value = "program";
          document.querySelector("#stream-url").value = "rtmp://host/app";
          field.value = choice;
          field.dispatchEvent(new Event("input"));
        }""",
        choice,
    )
    address = page.locator("#whip-url").inner_text()
    assert address.partition("?")[2] == f"stream_name=program&stream_url=rtmp%3A%2F%2Fhost%2Fapp{audio}"


def until(page: Page, condition: Callable[[], bool]) -> None:
    """Wait, with the page's clock standing still."""
    for _ in range(500):
        if condition():
            return
        page.wait_for_timeout(SHORT_WAIT_MS)
    raise AssertionError("it did not come about")


def step(page: Page, milliseconds: int) -> None:
    """Let the page's clock go on."""
    page.wait_for_timeout(SHORT_WAIT_MS)  # What came before sets its timers first.
    page.clock.run_for(milliseconds)


def told(page: Page) -> list[Any]:
    """What was told of the status that is followed."""
    everything: list[Any] = page.evaluate("told")
    return everything


def times(page: Page, *, seconds: int) -> list[Any]:
    """What happened, and after how many milliseconds, by the time that this many more seconds have gone."""
    page.clock.run_for(seconds * 1000)
    happened: list[Any] = page.evaluate("times")
    return happened
