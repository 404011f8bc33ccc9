import pytest
from tests.peers.rtmp_client import HOST

from whipway.relay.quality import Policy
from whipway.session.session import Timeouts
from whipway.worker.messages import DescribeWorker, WorkerDescribed
from whipway.worker.rules import SessionRules
from whipway.worker.setup import SinkSetup, WorkerSetup, parse_setup
from whipway.worker.sockets import bind_media

pytestmark = pytest.mark.anyio

SINKS = SinkSetup(["public", "10.0.0.0/8"], [("127.0.0.1", 1935)], ["*.test"], "pass", 2.5, 3)
RULES = SessionRules(Timeouts(1.0, 2.0, 3.0, 4.0), True, 3, Policy.OFF, 70_000)


def test_it_is_the_same_after_the_crossing() -> None:
    setup = WorkerSetup(2, 7, -1, [(HOST, 8202), ("::1", 8202)], RULES, SINKS, "debug", "json")
    again = parse_setup(setup.serialize())
    assert again == setup
    assert isinstance(again.rules.policy, Policy) and isinstance(again.rules.timeouts, Timeouts)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"number": "two"}'])
def test_what_is_no_setup_is_a_bug(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_setup(data)


@pytest.mark.parametrize("has_tcp", [True, False])
async def test_the_worker_that_is_made_of_it(has_tcp: bool) -> None:
    udp, tcp = bind_media(HOST, 0, tcp=has_tcp)
    port = udp.getsockname()[1]
    setup = WorkerSetup(
        0, udp.detach(), tcp.detach() if tcp else -1, [(HOST, port)], RULES, SINKS, "info", "json"
    )
    worker = setup.make_worker(lambda event: None)
    await worker.start()
    assert isinstance(worker.handle(DescribeWorker()), WorkerDescribed)
    assert (worker._tcp is not None) is has_tcp
    assert worker._rules == RULES and worker._sinks.max_sinks == 3
    worker.close()


def test_rules_that_cannot_be_read() -> None:
    with pytest.raises(ValueError):
        SinkSetup(["no host!"], [], [], "", 0.0, 1).make_factory()
