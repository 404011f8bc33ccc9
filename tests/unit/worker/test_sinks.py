import asyncio
from typing import Any

import pytest
from tests.peers.rtmp_client import HOST
from tests.peers.rtmp_server import listening
from tests.peers.waiting import until
from tests.unit.worker.serving import boom, make_sinks

from whipway.media import flv
from whipway.protocol.rtmp.messages import PASS_PROPERTY
from whipway.protocol.rtmp.server import MediaReceived, PublishEnded, PublishRequested
from whipway.relay.quality import SinkLoad
from whipway.relay.sinks.sink import SinkChanged, SinkState
from whipway.relay.tags import OPUS, AudioCodec, AudioFormat, Tag, TagKind
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import FIRST_SINK
from whipway.worker.sink_driver import DriverEvent
from whipway.worker.sinks import BroadcastSink, SinkFactory, Sinks, SinkSpec
from whipway.worker.tls import TlsContexts

pytestmark = pytest.mark.anyio

AAC = AudioFormat(AudioCodec.AAC, 64_000)
HEADER = Tag(TagKind.AUDIO, 0, flv.aac_sequence_header(b"\x11\x90"), header=True, audio=AAC)


def sound(number: int) -> Tag:
    return Tag(TagKind.AUDIO, number * 20, flv.aac_frame(b"%d" % number), audio=AAC)


def target(name: str = "one", port: int = 9, audio: str = "aac", **parts: str) -> SinkSpec:
    """Nobody listens at port 9."""
    url = f"rtmp://{parts.get('user', '')}{HOST}:{port}/live{parts.get('query', '')}"
    return SinkSpec(name, url, audio, 64_000, "none", f"key of {name}")


class Told:
    """Sinks, and what happened to them."""

    def __init__(self, factory: SinkFactory | None = None) -> None:
        self.events: list[tuple[str, DriverEvent]] = []
        self.sinks = Sinks(factory or make_sinks(), lambda sink, event: self.events.append((sink.id, event)))

    def states(self) -> list[str]:
        return [sink["state"] for sink in self.sinks.describe()]

    def close(self) -> None:
        self.sinks.close()


@pytest.fixture
async def told() -> Any:
    told = Told()
    yield told
    told.close()


async def test_nothing_connects_before_it_is_started(told: Told) -> None:
    async with listening() as listener:
        told.sinks.add(target(port=listener.port), ())
        told.sinks.push([HEADER, sound(0)])
        for _ in range(5):
            await asyncio.sleep(0)
        assert listener.connections == [] and told.events == []
        told.sinks.start()
        server = await listener.connection()
        await until(lambda: server.events)
        assert server.events[0] == PublishRequested("live", "one", "", 1)


async def test_sound_goes_to_every_sink(told: Told) -> None:
    async with listening() as listener:
        for name in ("one", "two", "three"):
            told.sinks.add(target(name, listener.port), ())
        told.sinks.start()
        await until(lambda: sum(bool(each.events) for each in listener.connections) == 3)
        # The third one is added while the stream goes on.
        told.sinks.push([HEADER, sound(0)])
        late = told.sinks.add(target("late", listener.port), [HEADER])
        server = await listener.connection(4)
        await until(lambda: server.events)
        for number in range(1, 4):
            told.sinks.push([sound(number)])
        bodies = [flv.aac_frame(b"%d" % number) for number in range(4)]
        for each in listener.connections:
            await until(lambda each=each: each.payloads[-1:] == bodies[-1:])
            assert flv.read_audio(each.payloads[0]).part is flv.Part.HEADER
            assert each.payloads[-3:] == bodies[-3:]
        await until(lambda: told.states() == ["publishing"] * 4)
        assert late.id == "4" and late.describe()["frames"] == 0
        # What was seen when they were described is told in the loop's next turn.
        await until(
            lambda: {number for number, event in told.events if isinstance(event, SinkChanged)} == set("1234")
        )


async def test_one_that_is_removed_touches_no_other(told: Told) -> None:
    async with listening() as listener:
        told.sinks.add(target("one", listener.port), ())
        told.sinks.add(target("two", listener.port), ())
        told.sinks.start()
        await until(lambda: sum(bool(each.events) for each in listener.connections) == 2)
        removed = told.sinks.remove("1")
        assert removed is not None and removed.describe()["state"] == "closed"
        assert told.sinks.find("1") is None and told.sinks.remove("1") is None
        gone, stays = sorted(listener.connections, key=lambda each: each.events[0].name)  # type: ignore[attr-defined]
        await until(lambda: gone.lost)
        assert isinstance(gone.events[-1], PublishEnded)
        told.sinks.push([HEADER, sound(0)])
        await until(lambda: stays.payloads)
        assert not any(isinstance(event, MediaReceived) for event in gone.events)


async def test_no_id_comes_again(told: Told) -> None:
    assert told.sinks.add(target(), ()).id == FIRST_SINK
    assert [told.sinks.add(target(), ()).id for _ in range(2)] == ["2", "3"]
    for sink_id in "123":
        assert told.sinks.remove(sink_id) is not None
    assert told.sinks.add(target(), ()).id == "4"


async def test_they_have_failed_when_all_have() -> None:
    told = Told(make_sinks("public"))  # Refused for good: this machine is not the public.
    assert not told.sinks.have_failed
    told.sinks.add(target(), ())
    told.sinks.start()
    assert not told.sinks.have_failed
    await until(lambda: told.sinks.have_failed)
    assert told.sinks.formats() == set()
    waiting = told.sinks.add(target("two"), ())
    assert not told.sinks.have_failed and not waiting.has_failed
    await until(lambda: told.sinks.have_failed)
    failures = [event for _, event in told.events if isinstance(event, SinkChanged)]
    assert {event.reason for event in failures if event.state is SinkState.FAILED} == {"egress_refused"}
    told.close()
    assert told.states() == ["failed"] * 2


async def test_no_more_than_there_may_be() -> None:
    told = Told(make_sinks(max_sinks=2))
    told.sinks.add(target(), ())
    assert not told.sinks.is_full
    told.sinks.add(target("two"), ())
    assert told.sinks.is_full
    told.close()


async def test_the_formats_are_those_that_they_want(told: Told) -> None:
    for audio in ("aac", "opus", "auto"):
        told.sinks.add(target(audio=audio), ())
    assert told.sinks.formats() == {AAC, OPUS}


async def test_what_it_says_of_itself(told: Told) -> None:
    spec = target("/one?key=S3CRET0", user="me:S3CRET1@", query="?token=S3CRET2")
    sink = told.sinks.add(spec, ())
    description = sink.describe()
    assert {key: description[key] for key in ("id", "stream_name", "stream_url", "state", "detail")} == {
        "id": "1",
        "stream_name": "one",
        "stream_url": f"rtmp://{HOST}:9/live",
        "state": "connecting",
        "detail": "",
    }
    assert sink.logged_name == "one"
    assert "S3CRET" not in str(description)
    assert told.sinks.describe() == [description]
    told.sinks.start()
    await until(lambda: sink.describe()["detail"])
    assert (sink.describe()["state"], sink.describe()["reason"]) == ("retrying", "unreachable")


@pytest.mark.parametrize(
    ("host", "name", "url"),
    [
        ("127.0.0.1", "live_12345_abcdefghijkl", "rtmp://127.0.0.1:1935/live/abcd-efgh-ijkl-mnop"),
        ("rtmp.example", "live_123…", "rtmp://rtmp.example:1935/live/abcd-efg…"),
    ],
)
async def test_keys_that_go_to_another_machine_are_not_shown(
    told: Told, host: str, name: str, url: str
) -> None:
    """Whoever manages the session sees all sinks, whoever added them."""
    spec = SinkSpec(
        "live_12345_abcdefghijkl?a=b",
        f"rtmp://{host}/live/abcd-efgh-ijkl-mnop?c=d",
        "aac",
        64_000,
        "none",
        "key",
    )
    description = told.sinks.add(spec, ()).describe()
    assert (description["stream_name"], description["stream_url"]) == (name, url)


async def test_a_sink_that_waits_for_its_session_has_no_load(told: Told) -> None:
    sink = told.sinks.add(SinkSpec("one", f"rtmp://{HOST}/live", "aac", 64_000, "none", "key"), ())
    assert told.sinks.loads() == [SinkLoad(sink.id, False, 0, 0, 0)]


async def test_the_application_is_shown_in_full(told: Told) -> None:
    """Its first part is the same for all of a service's users."""
    spec = SinkSpec("one", "rtmps://rtmp.example/a-long-application/short", "aac", 64_000, "none", "key")
    shown = told.sinks.add(spec, ()).describe()["stream_url"]
    assert shown == "rtmps://rtmp.example:443/a-long-application/short"


async def test_sinks_of_one_session_share_what_they_may_look_up() -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        if len(asked) > 2:
            raise OSError("DNS is gone")
        return [HOST]

    factory = SinkFactory(EgressPolicy([HOST], resolve=resolve), TlsContexts())
    told, other = Told(factory), Told(factory)
    one, two = told.sinks._factory, other.sinks._factory
    assert one is not two and one._egress is not two._egress
    assert await one._egress.addresses("rtmp.example", 1935) == [HOST]
    assert await two._egress.addresses("other.example", 1935) == [HOST]
    assert await one._egress.addresses("rtmp.example", 1935) == [HOST]
    with pytest.raises(OSError, match="DNS is gone"):
        await two._egress.addresses("rtmp.example", 1935)


async def test_what_a_server_says_is_told_without_secrets(told: Told) -> None:
    sink = told.sinks.add(target("one?key=S3CRET0"), ())
    sink._machine.connection_failed("connection_lost", "one?key=S3CRET0 is gone", 0.0)
    assert sink.describe()["detail"] == "one?… is gone"


@pytest.mark.parametrize("is_own", [True, False])
async def test_the_pass_is_for_the_own_origin_alone(is_own: bool) -> None:
    async with listening() as listener:
        own = [(HOST, listener.port)] if is_own else []
        told = Told(SinkFactory(EgressPolicy([HOST], own=own), TlsContexts(), own_pass="sesame"))
        told.sinks.add(target(port=listener.port), ())
        told.sinks.start()
        server = await listener.connection()
        await until(lambda: server.events)
        assert server.machine.connect_text(PASS_PROPERTY) == ("sesame" if is_own else "")
        told.close()


async def test_patience_begins_with_the_first_attempt() -> None:
    told = Told(make_sinks(give_up_after=0.05))
    sink = told.sinks.add(target(), ())
    sink._machine.handle_timeout(asyncio.get_running_loop().time() + 10.0)
    told.sinks.start()
    assert not sink.has_failed
    await until(lambda: sink.has_failed)
    told.close()


async def test_a_url_that_cannot_be_read_is_no_sink(told: Told) -> None:
    with pytest.raises(ValueError, match="must begin with rtmp"):
        told.sinks.add(target()._replace(stream_url="http://host/live"), ())
    assert told.sinks.describe() == []


async def test_all_are_closed_even_if_one_cannot_be(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    sinks = [told.sinks.add(target(name), ()) for name in ("one", "two", "three")]
    with monkeypatch.context() as patched:
        patched.setattr(sinks[1], "close", boom)
        with pytest.raises(RuntimeError):
            told.close()
    assert told.states() == ["closed", "connecting", "closed"]


async def test_sinks_may_go_while_tags_are_pushed(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        told.sinks.add(target(name), ())

    def leave(sink: BroadcastSink, tags: list[Tag]) -> None:
        told.sinks.remove(sink.id)

    monkeypatch.setattr(BroadcastSink, "push", leave)
    told.sinks.push([HEADER])
    assert told.sinks.describe() == []


@pytest.mark.parametrize(("audio", "listed"), [("aac", False), ("opus", True), ("auto", True)])
async def test_who_may_get_opus_is_told_that_it_could_come(told: Told, audio: str, listed: bool) -> None:
    async with listening() as listener:
        told.sinks.add(target(port=listener.port, audio=audio), ())
        told.sinks.start()
        server = (await listener.connection()).machine
        await until(lambda: server.connect_text("app"))
        command = server._connect_command
        assert command is not None
        assert isinstance(command.args[0], dict)
        assert command.args[0].get("fourCcList") == (["Opus"] if listed else None)
