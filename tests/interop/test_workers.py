"""Media workers as processes: one that is killed takes its own sessions with it and nothing else; the server
drains, stops, and leaves no process behind.

No assertion depends on how busy the machine is: what must come has half a minute, and nothing must come soon.
"""

import json
import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.interop.chromium import chromium
from tests.interop.processes import wait_until
from tests.interop.recording import read_flv
from tests.interop.steady_publisher import Answer, SteadyPublisher, check_whole, publishing, request
from tests.interop.take import recorded
from tests.interop.test_console import Console
from tests.peers.whip_client import WhipClient
from tools.server import RunningServer

pytestmark = pytest.mark.interop

PATIENCE = 30.0
PATIENCE_MS = PATIENCE * 1000
MAX_TRIES = 12
"""Sessions until two are on different workers: each is placed by what its worker has to do just then."""


log = logging.getLogger(__name__)
"""For how long things took, of which nothing is asserted: `pytest -o log_cli=true -o log_cli_level=INFO`."""


class House:
    """A server with several workers, and what its API says of them."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.processes: set[int] = set()
        """Of all workers that were ever seen."""
        self._names = map("other-{}".format, count())

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Answer:
        """The API below `/v1`, as an administrator."""
        text = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self.server.admin_key}", "Content_Type": "application/json"}
        return request(f"{self.server.http_url}/v1{path}", method, text, **headers)

    @property
    def workers(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.ask("/workers").json["items"]
        self.processes |= {worker["process_id"] for worker in items if worker["process_id"]}
        return items

    def worker_of(self, publisher: SteadyPublisher) -> int:
        """Whose port is in the answer."""
        ports = set(re.findall(r"^a=candidate:\S+ \d+ udp \d+ \S+ (\d+) ", publisher.answer.text, re.M))
        [number] = [worker["id"] for worker in self.workers if str(worker["port"]) in ports]
        return int(number)

    def stream(self, name: str) -> tuple[str, str]:
        """State and reason of a stream; a name that was never live has no record."""
        streams = self.ask(f"/streams?name={name}").json["items"]  # Names that have it in them.
        return next(((each["state"], each["reason"]) for each in streams if each["name"] == name), ("", ""))

    def offer(self, name: str) -> Answer:
        """Ask for a session, and do nothing with it."""
        return request(self.server.whip_url(name), "POST", WhipClient().offer, Content_Type="application/sdp")

    def wait_for_worker(self, number: int, **members: Any) -> dict[str, Any]:
        """Wait until a worker is like this."""

        def is_so() -> bool:
            worker = self.workers[number]
            return all(worker[name] == value for name, value in members.items())

        wait_until(is_so, PATIENCE, f"worker {number} with {members}")
        return self.workers[number]

    def publish_apart(self, stack: ExitStack, one: SteadyPublisher) -> tuple[SteadyPublisher, str]:
        """Publish until one is on another worker than this session; that one and its name."""
        for name in islice(self._names, MAX_TRIES):
            other = stack.enter_context(publishing(self.server.whip_url(name)))
            if self.worker_of(other) != self.worker_of(one):
                return other, name
        raise AssertionError("all sessions are on one worker")


@contextmanager
def housed(**settings: str) -> Iterator[House]:
    """Run a server; none of its processes outlives it."""
    with RunningServer(**{"workers": "2", **settings}) as server:
        house = House(server)
        assert len({worker["process_id"] for worker in house.workers} | {server.process_id}) == 3
        yield house
    wait_for_end_of(house.processes)


def wait_for_end_of(processes: set[int]) -> None:
    wait_until(lambda: not any(map(is_alive, processes)), PATIENCE, f"the end of {processes}")


def is_alive(process: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def wait_for_state(publisher: SteadyPublisher, state: str) -> dict[str, Any]:
    """Wait until a session is in this state; its snapshot."""
    wait_until(lambda: publisher.status()["state"] == state, PATIENCE, f"a session that is {state}")
    return dict(publisher.status())


def metric(server: RunningServer, line: str) -> float:
    """One sample."""
    text = request(f"{server.http_url}/metrics").text
    [value] = re.findall(rf"^{re.escape(line)} (\S+)$", text, re.M)
    return float(value)


# One is killed


def test_a_killed_worker_takes_its_own_sessions_only(rtmpdump: str, tmp_path: Path) -> None:
    with housed() as house, recorded(rtmpdump, house.server, tmp_path, "kept") as take, ExitStack() as stack:
        kept = stack.enter_context(publishing(house.server.whip_url("kept")))
        lost, name = house.publish_apart(stack, kept)
        number = house.worker_of(lost)
        wait_until(lambda: house.stream(name)[0] == "live", PATIENCE, "the stream live")
        before = house.wait_for_worker(number, state="running", restarts=0, sessions=1)
        sent_before = len(kept.sent)

        os.kill(before["process_id"], signal.SIGKILL)
        killed_at = time.monotonic()
        status = wait_for_state(lost, "ended")
        log.info("end told after %.2f s", time.monotonic() - killed_at)
        assert status["reason"] == "worker_lost"
        assert status["detail"].startswith("worker lost: ") and "SIGKILL" in status["detail"]
        assert {sink["state"] for sink in status["sinks"]} == {"closed"}
        assert request(lost.session_url, "DELETE").status == 410
        wait_until(lambda: house.stream(name) == ("ended", "worker_lost"), PATIENCE, "the stream's end")

        # At once, wherever there is room, under the same name.
        again = stack.enter_context(publishing(house.server.whip_url(name)))
        wait_for_state(again, "live")
        wait_until(lambda: house.stream(name)[0] == "live", PATIENCE, "the stream live again")
        after = house.wait_for_worker(number, state="running", restarts=1)
        log.info("replaced after %.2f s", time.monotonic() - killed_at)
        assert after["process_id"] != before["process_id"]
        assert (after["port"], after["lost_sessions"]) == (before["port"], 1)
        # It takes sessions as before.
        newcomer, _ = house.publish_apart(stack, kept)
        wait_for_state(newcomer, "live")

        assert metric(house.server, f'whipway_worker_restarts_total{{worker="{number}"}}') == 1
        ended = f'whipway_sessions_ended_total{{reason="worker_lost",worker="{number}"}}'
        assert metric(house.server, ended) == 1
        assert request(f"{house.server.http_url}/readyz").status == 200
        other = house.workers[1 - number]
        assert (other["restarts"], other["lost_sessions"]) == (0, 0)
        kept.send_for(1)
        sent_after = len(kept.sent)
        kept.send_for(1)
        assert (kept.status()["state"], kept.sink()["frames_dropped"]) == ("live", 0)
    numbers = check_whole(kept, read_flv(take.path))
    assert numbers[0] < sent_before < sent_after <= numbers[-1]


def test_the_dashboard_tells_of_a_killed_worker(chromium_program: str) -> None:
    with housed() as house, chromium(chromium_program) as browser, ExitStack() as stack:
        publisher = stack.enter_context(publishing(house.server.whip_url("program")))
        number = house.worker_of(publisher)
        wait_until(lambda: house.stream("program")[0] == "live", PATIENCE, "the stream live")
        page = stack.enter_context(Console(browser, house.server).page())
        worker = page.get_by_role("region", name="Media workers").get_by_role("listitem").nth(number)
        expect(worker).to_contain_text("Running")
        expect(worker).to_contain_text("Restarts0")
        page.get_by_role("link", name="program").click()
        expect(page.get_by_text("Published by WHIP")).to_be_visible()

        os.kill(house.workers[number]["process_id"], signal.SIGKILL)
        words = "The media worker that carried it died; publish again."
        expect(page.get_by_text(words).first).to_be_visible(timeout=PATIENCE_MS)
        house.wait_for_worker(number, state="running", restarts=1)
        page.get_by_role("link", name="Live").first.click()
        expect(worker).to_contain_text("Running", timeout=PATIENCE_MS)
        expect(worker).to_contain_text("Restarts1")
        expect(worker).to_contain_text("Sessions lost1")


def test_a_worker_that_hangs_for_a_while(rtmpdump: str, tmp_path: Path) -> None:
    # Who is silent is given up later than the worker goes on.
    patient = {"session__silence_timeout": "60"}
    with (
        housed(**patient) as house,
        recorded(rtmpdump, house.server, tmp_path, "kept") as take,
        ExitStack() as stack,
    ):
        kept = stack.enter_context(publishing(house.server.whip_url("kept")))
        stuck, name = house.publish_apart(stack, kept)
        wait_for_state(stuck, "live")
        wait_until(lambda: house.stream(name)[0] == "live", PATIENCE, "the stream live")
        number = house.worker_of(stuck)
        process = house.workers[number]["process_id"]
        try:
            os.kill(process, signal.SIGSTOP)
            hung = house.wait_for_worker(number, sessions=None)
            assert (hung["state"], hung["process_id"], hung["restarts"]) == ("running", process, 0)
            assert metric(house.server, f'whipway_worker_up{{worker="{number}"}}') == 0
            assert request(f"{house.server.http_url}/readyz").status == 200
            # What was known of its session is told, and what others have goes on.
            assert stuck.status()["state"] == "live"
            assert {"kept", name} <= {each["stream_name"] for each in house.ask("/sessions").json["items"]}
            newcomer = stack.enter_context(publishing(house.server.whip_url("newcomer")))
            assert house.worker_of(newcomer) != number
            wait_for_state(newcomer, "live")
            sent = len(kept.sent)
        finally:
            os.kill(process, signal.SIGCONT)
        house.wait_for_worker(number, sessions=1, restarts=0)
        assert house.stream(name)[0] == "live"
        stuck.wait_for_sink("publishing")
        assert request(stuck.session_url, "DELETE").status == 200
        wait_until(lambda: house.stream(name) == ("ended", "deleted"), PATIENCE, "the end of the stream")
        kept.send_for(1)
    numbers = check_whole(kept, read_flv(take.path))
    assert numbers[0] < sent < numbers[-1]


# The server stops


def test_draining_lets_sessions_go_on_until_a_second_signal(rtmpdump: str, tmp_path: Path) -> None:
    with (
        housed(session__drain_timeout="600") as house,
        recorded(rtmpdump, house.server, tmp_path, "program") as take,
        ExitStack() as stack,
    ):
        publisher = stack.enter_context(publishing(house.server.whip_url("program")))
        other, _ = house.publish_apart(stack, publisher)
        wait_for_state(publisher, "live")
        wait_for_state(other, "live")
        os.kill(house.server.process_id, signal.SIGTERM)
        wait_until(lambda: {each["state"] for each in house.workers} == {"draining"}, PATIENCE, "draining")
        refused = house.offer("late")
        assert (refused.status, refused.json["code"]) == (503, "draining")
        assert int(refused.headers["Retry-After"]) > 0
        assert request(f"{house.server.http_url}/readyz").status == 503
        assert {publisher.status()["state"], other.status()["state"]} == {"live"}
        sent = len(publisher.sent)
        publisher.send_for(1)

        os.kill(house.server.process_id, signal.SIGTERM)
        asked_at = time.monotonic()
        check_polite_end(house.server, [publisher, other])
        log.info("ended after %.2f s", time.monotonic() - asked_at)
    assert house.server.exit_status == 0
    assert set(ends(house.server)) == {"shutdown"} and len(ends(house.server)) >= 2
    numbers = check_whole(publisher, read_flv(take.path))
    assert numbers[0] < sent < numbers[-1]


def test_draining_ends_when_its_time_is_over() -> None:
    with housed(session__drain_timeout="1") as house, ExitStack() as stack:
        publisher = stack.enter_context(publishing(house.server.whip_url("program")))
        wait_for_state(publisher, "live")
        os.kill(house.server.process_id, signal.SIGTERM)
        check_polite_end(house.server, [publisher])
    assert (house.server.exit_status, ends(house.server)) == (0, ["shutdown"])


def test_no_worker_outlives_a_server_that_was_killed() -> None:
    with housed() as house, publishing(house.server.whip_url("program")) as publisher:
        wait_for_state(publisher, "live")
        os.kill(house.server.process_id, signal.SIGKILL)
        killed_at = time.monotonic()
        wait_for_end_of(house.processes)
        log.info("workers ended after %.2f s", time.monotonic() - killed_at)


def check_polite_end(server: RunningServer, publishers: list[SteadyPublisher]) -> None:
    """Wait until the server has ended; all of these were told."""
    wait_until(lambda: not is_alive(server.process_id), PATIENCE, "the end of the server")
    wait_until(lambda: all(each.is_closed for each in publishers), PATIENCE, "a word of the end")


def ends(server: RunningServer) -> list[str]:
    """Why sessions ended, as the log has it."""
    return [entry["reason"] for entry in server.log if entry.get("event") == "session ended"]


# A stream goes out once, whichever worker has it


def test_a_stream_has_one_session_over_all_workers() -> None:
    with housed() as house, ExitStack() as stack:
        one = stack.enter_context(publishing(house.server.whip_url("one")))
        other, other_name = house.publish_apart(stack, one)
        wait_for_state(one, "live")
        for _ in range(3):
            busy = house.offer("one")
            assert (busy.status, busy.json["code"]) == (409, "stream_busy")
        busy = other.add_sink("one", house.server.stream_url)
        assert (busy.status, busy.json["code"]) == (409, "stream_busy")
        # What an added sink has is taken as well, until it is removed.
        added = other.add_sink("more", house.server.stream_url)
        assert added.status == 201
        assert one.add_sink("more", house.server.stream_url).status == 409
        assert house.offer("more").status == 409
        assert request(added.headers["Location"], "DELETE").status == 200
        assert one.add_sink("more", house.server.stream_url).status == 201
        assert {one.status()["state"], other.status()["state"]} == {"live"}
        # And of those that are over nothing is left.
        other.stop()
        assert one.add_sink(other_name, house.server.stream_url).status == 201


def test_a_stream_is_taken_over_from_another_worker(rtmpdump: str, tmp_path: Path) -> None:
    with (
        housed(session__on_conflict="takeover") as house,
        recorded(rtmpdump, house.server, tmp_path, "added") as take,
        ExitStack() as stack,
    ):
        one = stack.enter_context(publishing(house.server.whip_url("one")))
        other, _ = house.publish_apart(stack, one)
        # An added sink by an added sink: the sessions go on.
        assert one.add_sink("added", house.server.stream_url).status == 201
        one.wait_for_sink("publishing", 1)
        one.send_for(1)
        assert other.add_sink("added", house.server.stream_url).status == 201
        other.wait_for_sink("publishing", 1)
        assert [sink["stream_name"] for sink in one.status()["sinks"]] == ["one"]
        # A session by a session.
        again = stack.enter_context(publishing(house.server.whip_url("one")))
        ended = wait_for_state(one, "ended")
        assert ended["reason"] == "replaced"
        wait_for_state(again, "live")
        # A session by an added sink.
        assert other.add_sink("one", house.server.stream_url).status == 201
        ended = wait_for_state(again, "ended")
        assert ended["reason"] == "replaced"
        wait_until(lambda: house.stream("one")[0] == "live", PATIENCE, "the stream live by a sink")
        assert wait_for_state(other, "live")["reason"] is None
    assert read_flv(take.path)
