"""Chromium in networks that are not kind: UDP goes only by a relay or not at all, addresses change.

Each time the recording of what left by RTMP holds every picture that the browser has sent.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.interop.checks import check_nearly_in_sync, check_played
from tests.interop.chromium import REMEMBER_PICTURES, PublishingPage, chromium
from tests.interop.processes import free_port, running, wait_for_clients, wait_until
from tests.interop.recording import pictures, read_flv
from tests.interop.turn import Credentials, turn_server
from tools.lossy_relay import LossyRelay
from tools.player import Played, play
from tools.server import RunningServer

pytestmark = pytest.mark.interop

STREAM = "program"
SIZE = (640, 360)
SECONDS = 5.0
END_TIMEOUT = 10.0
NO_UDP = "--webrtc-ip-handling-policy=disable_non_proxied_udp"
MAX_SLEW = 0.02
"""How much faster or slower than its clock a picture may come, to be together with its sound again."""
ROUNDING_MS = 2
MIN_PACKETS = 50
"""In a second: 25 pictures, and 50 packets of sound."""
PATIENT = "20"
"""Seconds of silence that the server bears: the client may wait some between its tries."""


class Recording:
    """What rtmpdump writes down of a stream; complete once the block of `recording` is left."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, *, sent: int) -> None:
        """Every picture is there, decodes, and comes with its sound."""
        assert len(pictures(read_flv(self.path))) == sent > 0
        played = Played()
        play(str(self.path), played)
        check_played(played, frames=sent, size=SIZE)
        check_nearly_in_sync(played)

    def check_times(self, taken_ms: list[float]) -> None:
        """Every picture is as far from the one before as when the browser took them."""
        times = [tag.timestamp_ms for tag in pictures(read_flv(self.path))]
        assert len(times) == len(taken_ms)
        for wrote, took in zip(pairwise(times), pairwise(taken_ms), strict=True):
            apart = took[1] - took[0]
            assert abs(wrote[1] - wrote[0] - apart) <= MAX_SLEW * apart + ROUNDING_MS, (wrote, took)


@contextmanager
def recording(program: str, server: RunningServer, folder: Path) -> Iterator[Recording]:
    """Record the stream from before its begin to its end, which must come within the block."""
    file = folder / "recording.flv"
    dump = [program, "--live", "--quiet", "--rtmp", server.play_url(STREAM), "--flv", str(file)]
    with running(dump, folder / "rtmpdump.log") as recorder:
        wait_for_clients(server.rtmp_port, 1)
        yield Recording(file)
        assert recorder.wait(END_TIMEOUT) == 0


@pytest.mark.parametrize(
    ("credentials", "transport", "user"),
    [
        pytest.param(Credentials(secret="shared"), "udp", r"\d{10}:\w.*", id="secret"),
        pytest.param(Credentials(username="someone", credential='a,"b'), "tcp", "someone", id="pair"),
    ],
)
def test_everything_goes_by_a_relay(
    chromium_program: str,
    turn_program: str,
    rtmpdump: str,
    tmp_path: Path,
    credentials: Credentials,
    transport: str,
    user: str,
) -> None:
    with (
        turn_server(turn_program, tmp_path, credentials) as turn,
        # Without ICE over TCP the server's one way in is UDP.
        RunningServer(ice__servers=turn.ice_servers(transport), media__tcp="false") as server,
        chromium(chromium_program) as browser,
        recording(rtmpdump, server, tmp_path) as recorded,
    ):
        page = PublishingPage(browser, server, stream_name=STREAM, relay="1")
        page.wait_for("live")
        sent = publish(page, SECONDS)
        local = page.selected_pair()["local"]
        page.stop()
        wait_until(lambda: "peer usage:" in turn.log, END_TIMEOUT, "the end of the allocation")
    assert (local["candidateType"], local["relayProtocol"]) == ("relay", transport)
    assert local["port"] in turn.relay_ports
    recorded.check(sent=sent)
    # "sp" counts the packets from the relay to its peers: at least one for each picture.
    usage = re.search(rf"peer usage: realm=<turn.test>, username=<{user}>, .* sp=(\d+),", turn.log)
    assert usage is not None, turn.log
    assert int(usage[1]) > sent


def test_a_relay_that_nobody_names_is_not_waited_for(server: RunningServer, chromium_program: str) -> None:
    with chromium(chromium_program) as browser:
        page = PublishingPage(browser, server, stream_name=STREAM, relay="1")
        began = time.monotonic()
        told = page.wait_for("failed")
        took = time.monotonic() - began
        wait_until(lambda: reasons(server) == ["deleted"], END_TIMEOUT, "the end of the session")
    assert "names no relay" in told and "relay=1" in told
    # Far from the 15 s after which a path is given up.
    assert took < 10.0


def test_without_udp_it_publishes_by_tcp(
    server: RunningServer, chromium_program: str, rtmpdump: str, tmp_path: Path
) -> None:
    with (
        chromium(chromium_program, NO_UDP) as browser,
        recording(rtmpdump, server, tmp_path) as recorded,
    ):
        page = PublishingPage(browser, server, stream_name=STREAM)
        page.wait_for("live")
        sent = publish(page, SECONDS)
        pair = page.selected_pair()
        gathered = page.local_candidates()
        page.stop()
    assert pair["local"]["protocol"] == pair["remote"]["protocol"] == "tcp"
    assert {candidate["protocol"] for candidate in gathered} == {"tcp"}, "it has sockets for UDP"
    recorded.check(sent=sent)


def test_ice_restarts_while_live(
    server: RunningServer, chromium_program: str, rtmpdump: str, tmp_path: Path
) -> None:
    with (
        chromium(chromium_program) as browser,
        recording(rtmpdump, server, tmp_path) as recorded,
    ):
        page = PublishingPage(browser, server, script=REMEMBER_PICTURES, stream_name=STREAM)
        page.wait_for("live")
        page.remember_states()
        etags = [page.answers("POST")[0].headers["etag"]]
        pairs = [page.selected_pair()]
        for _ in range(2):
            page.publish_for(1.0)
            page.change_network()
            pairs.append(page.wait_for_restart(pairs[-1]))
            etags.append(check_restart(page))
        sent = publish(page, 3.0)
        states = page.states()
        taken = page.picture_times_ms()
        page.stop()
    assert len(set(etags)) == 3
    for side in ("local", "remote"):
        assert len({pair[side]["usernameFragment"] for pair in pairs}) == 3
    assert set(states) == {"live"}
    recorded.check(sent=sent)
    recorded.check_times(taken)
    assert sum(entry["event"] == "session created" for entry in server.log) == 1
    assert sum(entry["event"] == "publish started" for entry in server.log) == 1


@pytest.mark.parametrize(
    ("refusals", "settings"),
    [
        pytest.param(0, {}, id="at-once"),
        pytest.param(2, {"session__silence_timeout": PATIENT}, id="after-two-refusals"),
    ],
)
def test_a_dead_path_is_left_by_an_ice_restart(
    chromium_program: str, refusals: int, settings: dict[str, str]
) -> None:
    with nat(**settings) as (server, network), chromium(chromium_program) as browser:
        page = PublishingPage(browser, server, stream_name=STREAM)
        page.wait_for("live")
        page.refuse("PATCH", refusals)
        before = page.selected_pair()
        network.forget_clients()
        page.wait_for("connecting")
        page.wait_for("live")
        after = page.wait_for_restart(before)
        check_restart(page)
        assert [answer.status for answer in page.answers("PATCH")] == [503] * refusals + [200]
        received = network.to_server.passed
        page.publish_for(1.0)
        page.stop()
    assert before["local"]["port"] != after["local"]["port"]
    assert network.to_server.passed - received > MIN_PACKETS
    assert sum(entry["event"] == "publish started" for entry in server.log) == 1


class ForgetfulNat(LossyRelay):
    """Nothing passes any more, in neither direction, for the clients it was told to forget; new ones do."""

    _forgotten: frozenset[object] = frozenset()

    def forget_clients(self) -> None:
        """Those of this moment."""
        done = threading.Event()

        def forget() -> None:
            self._forgotten = frozenset([*self._clients, *self._clients.values()])
            done.set()

        self._loop.call_soon_threadsafe(forget)
        assert done.wait(END_TIMEOUT)

    def _forward(self, direction, sock, data, to) -> None:  # type: ignore[no-untyped-def]
        if sock not in self._forgotten and to not in self._forgotten:
            super()._forward(direction, sock, data, to)


@contextmanager
def nat(**settings: str) -> Iterator[tuple[RunningServer, ForgetfulNat]]:
    """A server whose clients come through a NAT."""
    port = free_port()
    with (
        ForgetfulNat(port) as network,
        RunningServer(
            media__port=str(port),
            media__public_port=str(network.port),
            media__tcp="false",
            **settings,
        ) as server,
    ):
        yield server, network


def publish(page: PublishingPage, seconds: float) -> int:
    """Let it publish; return how many pictures it has sent by then, with all of them out."""
    page.scale_down(1)
    page.publish_for(seconds)
    return page.hold_video()


def reasons(server: RunningServer) -> list[str]:
    """Why sessions ended."""
    return [entry["reason"] for entry in server.log if entry["event"] == "session ended"]


def check_restart(page: PublishingPage) -> str:
    """RFC 9725, section 4.3.3, of the newest restart; returns the new entity tag."""
    response = page.answers("PATCH")[-1]
    request = response.request
    assert request.url == page.session_url
    assert request.headers["if-match"] == "*"
    assert response.status == 200
    assert response.headers["content-type"].startswith("application/trickle-ice-sdpfrag")
    return response.headers["etag"]
