"""Two publishers of one stream, on real sockets."""

import asyncio
from pathlib import Path

import pytest
import structlog
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import listening
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.unit.worker.serving import Served, make_sinks, send

from whipway.protocol.rtmp.server import PublishEnded
from whipway.session.events import EndReason
from whipway.session.session import Timeouts
from whipway.worker.messages import (
    EndSession,
    SessionCreated,
    SessionRefused,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    StreamKept,
    StreamYielded,
    YieldStream,
)
from whipway.worker.rules import SessionRules

pytestmark = pytest.mark.anyio

OFFERS = Path(__file__).parents[2] / "data" / "offers"


async def test_a_live_stream_is_not_given_away(served: Served, pictures, sounds) -> None:
    client = await served.live()
    refused = served.create("two", WhipClient().offer, name="one")
    assert isinstance(refused, SessionRefused) and refused.kind == "busy"
    for way_out in ("wait", "DELETE", "session.on_conflict"):
        assert way_out in refused.detail
    send(client, pictures, sounds)
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
    assert set(served.worker._broadcasts) == {"one"} and served.ends == []


async def test_a_live_stream_is_taken_over_where_that_is_wanted(served: Served, pictures, sounds) -> None:
    first = await served.live()
    player = await served.player()
    send(first, pictures, sounds)
    await until(lambda: player.bodies)
    second = await served.client("two", name="one", takes_over=True)
    ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.REPLACED)
    assert ended.detail == "a new publisher took over the stream"
    assert (ended.snapshot["state"], ended.snapshot["reason"]) == ("ended", "replaced")
    # Both are told: the old client by close_notify, the players by the end of the old publish.
    await until(lambda: [type(event).__name__ for event in first.machine.events()][-1:] == ["DtlsClosed"])
    await player.wait_for_status("NetStream.Play.UnpublishNotify")
    await second.connected()
    await until(lambda: "live/one" in served.origin.streams)
    again = await served.player()
    send(second, pictures, sounds)
    await until(lambda: served.sinks("two")["1"]["frames"] == len(pictures))
    await until(lambda: again.bodies)
    assert len(served.ends) == 1


async def test_the_old_publish_is_over_before_the_answer(served: Served) -> None:
    async with listening() as listener:
        url = f"rtmp://{HOST}:{listener.port}/live"
        await (await served.client("one", name="one", url=url)).connected()
        server = await listener.connection()
        await until(lambda: server.events)
        driver = served.worker._broadcasts["one"]._sinks.find("1")._driver
        assert isinstance(
            served.create("two", WhipClient().offer, name="one", url=url, takes_over=True), SessionCreated
        )
        assert driver.machine.state == "closed"
        await until(lambda: server.lost)
        assert isinstance(server.events[-1], PublishEnded)


@pytest.mark.parametrize("came", [False, True], ids=["never came", "fell silent"])
async def test_a_silent_session_gives_way(served: Served, pictures, sounds, came: bool) -> None:
    served.worker._rules = SessionRules(Timeouts(takeover=0.1))
    if came:
        client = await served.live()
        send(client, pictures, sounds)
        await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
        client.close()
        served.clients.clear()
    else:
        served.create("one", WhipClient().offer)
    assert isinstance(served.create("two", WhipClient().offer, name="one"), SessionRefused)
    async with asyncio.timeout(5):
        while not isinstance(served.create("two", WhipClient().offer, name="one"), SessionCreated):
            await asyncio.sleep(0.01)
    ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.REPLACED)
    silent_for = ended.snapshot["silent_for"]
    assert silent_for >= 0.1 if came else silent_for is None


@pytest.mark.parametrize("offer", ["this is no SDP", (OFFERS / "firefox_without_h264.sdp").read_text()])
async def test_a_refused_offer_ends_nobody(served: Served, offer: str) -> None:
    served.create("one", WhipClient().offer)
    refused = served.create("two", offer, name="one", takes_over=True)
    assert isinstance(refused, SessionRefused) and refused.kind != "busy"
    assert set(served.worker._broadcasts) == {"one"} and served.ends == []


async def test_a_bug_while_the_old_one_ends_does_not_cost_the_new_one(served: Served) -> None:
    await served.live()
    served.break_muxer("one", "flush")
    second = await served.client("two", name="one", takes_over=True)
    assert [(event.session_id, event.reason) for event in served.ends] == [("one", EndReason.REPLACED)]
    await second.connected()
    assert set(served.worker._broadcasts) == {"two"}


async def test_the_stream_is_free_after_every_end(served: Served) -> None:
    served.create("one", WhipClient().offer)
    served.worker.handle(EndSession("one", "deleted"))
    assert isinstance(served.create("two", WhipClient().offer, name="one"), SessionCreated)
    assert isinstance(served.create("three", WhipClient().offer), SessionCreated)


async def test_a_stream_is_let_go_for_another_workers_session(served: Served) -> None:
    key = f"{served.url}/one"
    await served.live()
    kept = served.worker.handle(YieldStream(key, False))
    assert isinstance(kept, StreamKept) and "busy" not in kept.detail and "session" in kept.detail
    assert served.ends == []
    assert served.worker.handle(YieldStream(key, True)) == StreamYielded(key)
    assert [(event.session_id, event.reason) for event in served.ends] == [("one", EndReason.REPLACED)]
    # Nobody has it any more, which is as good.
    assert served.worker.handle(YieldStream(key, False)) == StreamYielded(key)


async def test_a_stream_of_an_added_sink_is_let_go_alone(served: Served) -> None:
    await served.live()
    served.add_sink("one", "two")
    assert served.worker.handle(YieldStream(f"{served.url}/two", True)) == StreamYielded(f"{served.url}/two")
    assert list(served.sinks()) == ["1"] and served.ends == []


# Streams of added sinks


async def add_sink(served: Served, session_id: str, name: str, **more: bool) -> str:
    added = served.add_sink(session_id, name, **more)
    assert isinstance(added, SinkAdded)
    return str(added.sink["id"])


async def test_the_stream_of_an_added_sink_is_not_given_away(served: Served) -> None:
    served.create("one", WhipClient().offer)
    await add_sink(served, "one", "two")
    refused = served.create("two", WhipClient().offer)
    assert isinstance(refused, SessionRefused) and refused.kind == "busy"
    served.create("three", WhipClient().offer)
    for name in ("one", "two"):
        busy = served.add_sink("three", name)
        assert isinstance(busy, SinkRefused) and (busy.session_id, busy.kind) == ("three", "busy")
    assert set(served.sinks()) == {"1", "2"} and set(served.sinks("three")) == {"1"}


async def test_who_takes_the_stream_of_an_added_sink_takes_that_sink_alone(served: Served) -> None:
    await served.live()
    second = await add_sink(served, "one", "two")
    await until(lambda: "live/two" in served.origin.streams)
    with structlog.testing.capture_logs() as logs:
        client = await served.client("two", takes_over=True)
    assert [(entry["session"], entry["sink"]) for entry in logs if entry["event"] == "sink replaced"] == [
        ("one", second)
    ]
    assert set(served.sinks()) == {"1"} and served.ends == []
    await until(lambda: "live/two" not in served.origin.streams)
    await client.connected()
    await until(lambda: "live/two" in served.origin.streams)
    # By another sink too.
    third = await add_sink(served, "one", "three")
    assert third == "3"
    await add_sink(served, "two", "three", takes_over=True)
    assert set(served.sinks()) == {"1"} and set(served.sinks("two")) == {"1", "2"}


async def test_a_sink_may_take_the_stream_of_a_session(served: Served) -> None:
    await served.live("one")
    served.create("two", WhipClient().offer)
    await add_sink(served, "two", "one", takes_over=True)
    ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.REPLACED)


@pytest.mark.parametrize("name", ["one", "two"])
async def test_a_session_has_each_stream_once(served: Served, name: str) -> None:
    served.create("one", WhipClient().offer)
    await add_sink(served, "one", "two")
    refused = served.add_sink("one", name, takes_over=True)
    assert isinstance(refused, SinkRefused) and refused.kind == "busy" and "already" in refused.detail
    assert set(served.sinks()) == {"1", "2"}


@pytest.mark.parametrize("sink_id", ["1", "2"])
async def test_the_stream_of_a_removed_sink_is_free(served: Served, sink_id: str) -> None:
    served.create("one", WhipClient().offer)
    await add_sink(served, "one", "two")
    assert isinstance(served.remove_sink("one", sink_id), SinkRemoved)
    name = {"1": "one", "2": "two"}[sink_id]
    assert isinstance(served.create("other", WhipClient().offer, name=name), SessionCreated)
    assert served.ends == []
    served.worker.handle(EndSession("one", "deleted"))
    # What the one had, and the other has now, is not lost with the one.
    assert isinstance(served.create("third", WhipClient().offer, name=name), SessionRefused)


async def test_the_added_sinks_of_a_silent_session_give_way(served: Served) -> None:
    served.worker._rules = SessionRules(Timeouts(takeover=0.0))
    served.create("one", WhipClient().offer)
    await add_sink(served, "one", "two")
    assert isinstance(served.create("two", WhipClient().offer), SessionCreated)
    assert set(served.sinks()) == {"1"} and served.ends == []


async def test_an_added_sink_that_gave_up_gives_way(served: Served) -> None:
    served.worker._sinks = make_sinks(give_up_after=0.05)
    await served.live()
    url = f"rtmp://{HOST}:9/live"
    assert isinstance(served.add_sink("one", "two", url), SinkAdded)
    assert isinstance(served.create("two", WhipClient().offer, url=url), SessionRefused)
    await until(lambda: served.sinks()["2"]["state"] == "failed")
    assert isinstance(served.create("two", WhipClient().offer, url=url), SessionCreated)
    assert set(served.sinks()) == {"1"}


async def test_a_first_sink_that_gave_up_keeps_its_stream_until_it_is_removed(served: Served) -> None:
    served.worker._sinks = make_sinks(give_up_after=0.05)
    url = f"rtmp://{HOST}:9/live"
    await (await served.client(url=url)).connected()
    await add_sink(served, "one", "two")
    await until(lambda: served.sinks()["1"]["state"] == "failed")
    # The session is about this stream, and goes on: taking it would have to end the session.
    assert isinstance(served.create("three", WhipClient().offer, name="one", url=url), SessionRefused)
    assert isinstance(served.remove_sink("one", "1"), SinkRemoved)
    assert isinstance(served.create("three", WhipClient().offer, name="one", url=url), SessionCreated)
    assert served.ends == []


async def test_a_bug_while_a_sink_is_replaced_costs_its_session(served: Served) -> None:
    served.create("one", WhipClient().offer)
    await add_sink(served, "one", "two")
    served.break_muxer("one", "set_formats")
    assert isinstance(served.create("two", WhipClient().offer, takes_over=True), SessionCreated)
    ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.INTERNAL_ERROR)
    assert isinstance(served.create("three", WhipClient().offer, name="two"), SessionRefused)
