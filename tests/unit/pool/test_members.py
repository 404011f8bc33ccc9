import asyncio
import os

import pytest
from tests.peers.rtmp_client import HOST
from tests.unit.worker.serving import make_sinks

from whipway.pool import members
from whipway.pool.members import LocalMember
from whipway.worker.messages import DescribeWorker, Event, LoadMeasured, SessionChanged, WorkerDescribed
from whipway.worker.rules import SessionRules
from whipway.worker.sockets import bind_udp
from whipway.worker.worker import Worker

pytestmark = pytest.mark.anyio


def member() -> LocalMember:
    udp = bind_udp(HOST, 0)
    return LocalMember(
        8200,
        lambda post: Worker(
            udp, announced=[(HOST, 8200)], post_event=post, rules=SessionRules(), sinks=make_sinks()
        ),
    )


async def test_a_worker_in_this_process() -> None:
    local = member()
    events: list[Event] = []
    local.take_event = lambda member, event: events.append(event)
    await local.start()
    assert (local.process_id, local.number, local.port, local.is_ready) == (os.getpid(), 0, 8200, True)
    assert isinstance(await local.request(DescribeWorker()), WorkerDescribed)
    local._link.post_event(LoadMeasured(0.5, 2.0))
    local._link.post_event(SessionChanged("a", "live", []))
    assert (local.load.cpu, local.load.bitrate) == (0.5, 2.0)
    assert events == [SessionChanged("a", "live", [])]
    await local.stop()
    assert local.worker._closed


async def test_who_is_not_heard_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    local = member()
    is_quiet = members.Member.is_quiet.fget
    assert is_quiet is not None
    assert not is_quiet(local)
    monkeypatch.setattr(members, "QUIET_TIME", -1.0)
    assert is_quiet(local)
    # Its timers and who asks share one loop.
    assert not local.is_quiet
    local._take(LoadMeasured(0.0, 0.0))
    assert local.quiet_for < asyncio.get_running_loop().time()
    await local.stop()
