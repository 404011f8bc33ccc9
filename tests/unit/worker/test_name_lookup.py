import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest
import structlog
from tests.peers.waiting import until

from whipway.worker import name_lookup
from whipway.worker.name_lookup import (
    MAX_CHECKS,
    MAX_LOOKUPS,
    MAX_LOOKUPS_OF_DOMAIN,
    MAX_LOOKUPS_OF_SESSION,
    MAX_REMEMBERED,
    NameLookup,
    RememberedNames,
    look_up,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Dns:
    """Names of `stuck.…` are not answered until `answer` is called; each name's address is itself."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.daemons: list[bool] = []
        self._answered = threading.Event()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        self.daemons.append(threading.current_thread().daemon)
        if host.startswith("stuck"):
            self._answered.wait(10.0)
        if host.startswith("missing"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        if host.startswith("broken"):
            raise ZeroDivisionError
        return [host]

    def answer(self) -> None:
        self._answered.set()


@pytest.fixture
def dns() -> Iterator[Dns]:
    dns = Dns()
    yield dns
    dns.answer()


def stuck(number: int) -> str:
    return f"stuck.domain{number}.example"


async def begin(lookup: NameLookup, count: int, *, check: bool) -> list[asyncio.Task[Sequence[str]]]:
    """Lookups of names that are not answered, each in a domain of its own, under way."""
    find = lookup.find_for_check if check else lookup.find
    before = len(lookup._running)
    tasks = [asyncio.create_task(find(stuck(before + number), 1935)) for number in range(count)]
    await until(lambda: len(lookup._running) == before + count)
    return tasks


async def finish(dns: Dns, tasks: list[asyncio.Task[Sequence[str]]]) -> None:
    dns.answer()
    await asyncio.gather(*tasks)


async def test_a_name_is_looked_up_in_a_thread_that_nobody_waits_for(dns: Dns) -> None:
    lookup = NameLookup(dns)
    assert await lookup.find("rtmp.example", 1935) == ["rtmp.example"]
    assert await lookup.find_for_check("rtmp.example", 1935) == ["rtmp.example"]
    assert dns.daemons == [True, True] and lookup._running == {} and lookup._checks == set()


@pytest.mark.parametrize("check", [True, False])
async def test_what_goes_wrong_is_told(dns: Dns, check: bool) -> None:
    lookup = NameLookup(dns)
    with pytest.raises(socket.gaierror, match="no such name"):
        await (lookup.find_for_check if check else lookup.find)("missing.example", 1935)
    assert lookup._running == {} and lookup._checks == set()


async def test_a_bug_in_the_thread_keeps_no_place(dns: Dns) -> None:
    lookup = NameLookup(dns)
    with structlog.testing.capture_logs() as logs, pytest.raises(OSError, match="the lookup failed"):
        await lookup.find("broken.example", 1935)
    assert lookup._running == {}
    assert [entry["event"] for entry in logs] == ["name lookup failed"]


async def test_without_threads_there_is_no_answer(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    lookup = NameLookup(dns)
    with pytest.raises(OSError, match="can't start"):
        await lookup.find_for_check("rtmp.example", 1935)
    assert lookup._running == {} and lookup._checks == set()


async def test_those_who_ask_for_one_name_share_the_answer(dns: Dns) -> None:
    lookup = NameLookup(dns)
    tasks = [asyncio.create_task(lookup.find_for_check(stuck(1), 1935)) for _ in range(40)]
    tasks += [asyncio.create_task(lookup.find(stuck(1), 443)) for _ in range(40)]
    await until(lambda: dns.asked)
    tasks[0].cancel()  # Who gives up does so for itself.
    await finish(dns, tasks[1:])
    assert dns.asked == [stuck(1)] and lookup._running == {}


async def test_a_place_is_free_when_the_thread_has_ended(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_lookup, "LOOKUP_TIMEOUT", 0.02)
    lookup = NameLookup(dns)
    with pytest.raises(OSError, match="not resolved in 0 s") as caught:
        await lookup.find(stuck(1), 1935)
    assert not isinstance(caught.value, TimeoutError)
    assert list(lookup._running) == [stuck(1)]
    dns.answer()
    await until(lambda: not lookup._running)


async def test_checks_leave_places_for_sinks(dns: Dns) -> None:
    lookup = NameLookup(dns)
    checks = await begin(lookup, MAX_CHECKS, check=True)
    with pytest.raises(OSError, match="too many names"):
        await lookup.find_for_check("rtmp.example", 1935)
    # At once, and for names that nobody has begun with.
    assert await lookup.find("rtmp.example", 1935) == ["rtmp.example"]
    await finish(dns, checks)
    await lookup.find_for_check("rtmp.example", 1935)


async def test_the_threads_of_the_event_loop_stay_free(dns: Dns) -> None:
    """The callback's host is looked up in them, and the keys of tokens are."""
    lookup = NameLookup(dns)
    sinks = await begin(lookup, MAX_LOOKUPS, check=False)
    async with asyncio.timeout(5.0):
        assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert await asyncio.to_thread(threading.active_count) > MAX_LOOKUPS
    await finish(dns, sinks)


async def test_sinks_wait_for_a_place_and_checks_do_not(dns: Dns) -> None:
    lookup = NameLookup(dns)
    sinks = await begin(lookup, MAX_LOOKUPS, check=False)
    waiting = [asyncio.create_task(lookup.find("rtmp.example", 1935)) for _ in range(2)]
    given_up = asyncio.create_task(lookup.find("another.example", 1935))
    await until(lambda: len(lookup._waiting) == 3)
    with pytest.raises(OSError, match="too many names"):
        await lookup.find_for_check("rtmp.example", 1935)
    given_up.cancel()
    await finish(dns, sinks)
    assert await asyncio.gather(*waiting) == [["rtmp.example"]] * 2
    assert dns.asked.count("rtmp.example") == 1 and "another.example" not in dns.asked
    assert lookup._running == {} and lookup._waiting == set()


async def test_waiting_for_a_place_has_an_end(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = NameLookup(dns)
    sinks = await begin(lookup, MAX_LOOKUPS, check=False)
    monkeypatch.setattr(name_lookup, "LOOKUP_TIMEOUT", 0.02)
    with pytest.raises(OSError, match="not resolved"):
        await lookup.find("rtmp.example", 1935)
    await finish(dns, sinks)


async def test_no_session_takes_all_places(dns: Dns) -> None:
    lookup = NameLookup(dns)
    evil = [asyncio.create_task(lookup.find(stuck(number), 1935, asker="evil")) for number in range(16)]
    await until(lambda: len(lookup._waiting) == 16 - MAX_LOOKUPS_OF_SESSION)
    assert len(lookup._running) == len(lookup._askers) == MAX_LOOKUPS_OF_SESSION
    for asker in ("good", None):
        assert await lookup.find("rtmp.example", 1935, asker=asker) == ["rtmp.example"]
    # What somebody looks up already takes no place.
    shared = asyncio.create_task(lookup.find(stuck(0), 1935, asker="good"))
    await finish(dns, [*evil, shared])
    assert lookup._askers == {} and len(dns.asked) == 16 + 2


async def test_a_sessions_other_sinks_wait_for_their_turn(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = NameLookup(dns)
    one = [asyncio.create_task(lookup.find(stuck(number), 1935, asker="one")) for number in range(4)]
    await until(lambda: len(lookup._running) == MAX_LOOKUPS_OF_SESSION)
    waiting = asyncio.create_task(lookup.find("rtmp.example", 1935, asker="one"))
    await until(lambda: lookup._waiting)
    dns.answer()
    assert await waiting == ["rtmp.example"]
    await asyncio.gather(*one)


async def test_no_domain_takes_all_places(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = NameLookup(dns)
    names = [f"stuck{number}.evil.example" for number in range(MAX_LOOKUPS)]
    tasks = [asyncio.create_task(lookup.find(name, 1935)) for name in names]
    await until(lambda: len(lookup._waiting) == MAX_LOOKUPS - MAX_LOOKUPS_OF_DOMAIN)
    with pytest.raises(OSError, match="too many names"):
        await lookup.find_for_check("other.evil.example", 1935)
    assert await lookup.find_for_check("rtmp.good.example", 1935) == ["rtmp.good.example"]
    await finish(dns, tasks)


@pytest.mark.parametrize("domain", ["evil.example", "co.uk", "com.br"])
async def test_checks_leave_places_of_a_domain_to_sinks(dns: Dns, domain: str) -> None:
    lookup = NameLookup(dns)
    names = [f"stuck{number}.{domain}" for number in range(MAX_LOOKUPS_OF_DOMAIN // 2)]
    tasks = [asyncio.create_task(lookup.find_for_check(name, 1935)) for name in names]
    await until(lambda: len(lookup._running) == len(names))
    if domain == "evil.example":
        with pytest.raises(OSError, match="too many names"):
            await lookup.find_for_check(f"other.{domain}", 1935)
    else:  # Everybody's, below which each name has an owner.
        assert await lookup.find_for_check(f"live.other.{domain}", 1935) == [f"live.other.{domain}"]
    assert await lookup.find(f"rtmp.{domain}", 1935) == [f"rtmp.{domain}"]
    await finish(dns, tasks)


def test_a_loop_that_is_gone_is_told_nothing(dns: Dns) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(NameLookup(dns).find(stuck(1), 1935))
    while not dns.asked:
        loop.run_until_complete(asyncio.sleep(0))
    [thread] = [each for each in threading.enumerate() if each.name == "name lookup"]
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    dns.answer()
    thread.join(5.0)
    assert not thread.is_alive()


STUCK_PROGRAM = """
import asyncio, threading
from whipway.worker.name_lookup import NameLookup
async def main():
    asyncio.create_task(NameLookup(lambda host: threading.Event().wait()).find("a", 1))
    await asyncio.sleep(0)
asyncio.run(main())
"""


def test_a_stuck_lookup_does_not_keep_the_program() -> None:
    subprocess.run([sys.executable, "-c", STUCK_PROGRAM], check=True, timeout=10.0)


def test_the_resolver_of_the_system_is_asked() -> None:
    assert set(look_up("localhost")) & {"127.0.0.1", "::1"}


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_what_dns_cannot_know_does_not_resolve(host: str) -> None:
    with pytest.raises(OSError, match="no name that DNS"):
        look_up(host)


# What a session was told


class Answers:
    """Names with their answers; an error is raised."""

    def __init__(self, **found: Sequence[str] | OSError) -> None:
        self.found: dict[str, Sequence[str] | OSError] = dict(found)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        found = self.found[host]
        if isinstance(found, OSError):
            raise found
        return found


async def test_the_last_good_answer_stands_in_for_none() -> None:
    answers = Answers(rtmp=["192.0.2.1"])
    names = RememberedNames(answers)
    assert await names.find("rtmp", 1935) == ["192.0.2.1"]
    answers.found["rtmp"] = ["192.0.2.2", "192.0.2.3"]
    assert await names.find("rtmp", 1935) == ["192.0.2.2", "192.0.2.3"]
    answers.found["rtmp"] = OSError("the name was not resolved in 5 s")
    for _ in range(2):
        assert await names.find("rtmp", 1935) == ["192.0.2.2", "192.0.2.3"]


async def test_without_a_good_answer_there_is_none() -> None:
    names = RememberedNames(answers := Answers(rtmp=OSError("no such name")))
    for _ in range(2):
        with pytest.raises(OSError, match="no such name"):
            await names.find("rtmp", 1935)
    # Nor is it good that a name has no address any more.
    for found in (["192.0.2.1"], []):
        answers.found["rtmp"] = found
        assert await names.find("rtmp", 1935) == found
    answers.found["rtmp"] = OSError("no such name")
    with pytest.raises(OSError, match="no such name"):
        await names.find("rtmp", 1935)


async def test_answers_that_are_kept_are_few() -> None:
    answers = Answers()
    names = RememberedNames(answers)
    for number in range(MAX_REMEMBERED + 1):
        answers.found[f"{number}"] = ["192.0.2.1"]
        await names.find(f"{number}", 1935)
        await names.find("0", 1935)
    for host in answers.found:
        answers.found[host] = OSError("no such name")
    assert len(names._known) == MAX_REMEMBERED
    assert await names.find("0", 1935) == ["192.0.2.1"]
    with pytest.raises(OSError, match="no such name"):
        await names.find("1", 1935)
