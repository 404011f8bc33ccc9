import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.peers import h264, opus
from tests.peers.rtmp_client import HOST, RtmpPlayer, RtmpPublisher
from tests.peers.rtmp_server import listening
from tests.peers.tcp_client import TcpClient
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient

from whipway.failures import DropReason
from whipway.media import flv
from whipway.origin.server import OriginServer
from whipway.protocol.rtmp.server import PublishEnded, PublishRequested, ServerConnection
from whipway.relay.muxer import Muxer
from whipway.relay.sink import SinkState
from whipway.session.events import EndReason
from whipway.session.session import Session, Timeouts
from whipway.worker import routes
from whipway.worker import worker as worker_module
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import (
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    Event,
    IceNotUpdated,
    IceUpdated,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    UnknownSession,
    UpdateIce,
    WorkerDescribed,
)
from whipway.worker.sockets import bind_media, bind_tcp
from whipway.worker.worker import Worker

pytestmark = pytest.mark.anyio

OFFERS = Path(__file__).parents[2] / "data" / "offers"


@pytest.fixture(scope="module")
def pictures() -> list[list[bytes]]:
    return h264.encode(320, 180, 3)


@pytest.fixture(scope="module")
def sounds() -> list[bytes]:
    return opus.encode(12)


class Served:
    """A worker with an RTMP origin to publish to."""

    def __init__(self, origin: OriginServer, rtmp_port: int) -> None:
        self.origin = origin
        self.rtmp_port = rtmp_port
        self.events: list[Event] = []
        udp, tcp = bind_media(HOST, 0, tcp=True)
        self.worker = Worker(
            udp,
            announced=[(HOST, udp.getsockname()[1])],
            post_event=self.events.append,
            setup_timeout=5.0,
            silence_timeout=5.0,
            takeover_after=2.0,
            egress=EgressPolicy([HOST]),
            tcp_listener=tcp,
        )
        self.clients: list[UdpClient | TcpClient] = []
        self.is_closed = False

    def create(
        self,
        session_id: str,
        offer: str,
        *,
        name: str | None = None,
        url: str | None = None,
        takes_over: bool = False,
    ) -> object:
        name, url = name or session_id, url or f"rtmp://{HOST}:{self.rtmp_port}/live"
        key = f"{url}/{name}"
        return self.worker.handle(CreateSession(session_id, offer, name, url, 128_000, key, takes_over))

    async def client(
        self, session_id: str = "one", machine: WhipClient | None = None, **target: Any
    ) -> UdpClient:
        """A client with a session of this id, connecting."""
        machine = machine or WhipClient()
        created = self.create(session_id, machine.offer, **target)
        assert isinstance(created, SessionCreated) and created.session_id == session_id
        client = UdpClient.start(machine, created.answer)
        self.clients.append(client)
        return client

    async def live(self, session_id: str = "one", **target: str) -> UdpClient:
        """A client whose stream the RTMP server has taken."""
        client = await (await self.client(session_id, **target)).connected()
        await until(lambda: f"live/{session_id}" in self.origin.streams)
        return client

    async def player(self, name: str = "one") -> RtmpPlayer:
        player = await RtmpPlayer.connect(self.rtmp_port, name)
        await player.wait_for_status("NetStream.Play.Start")
        return player

    def describe(self, session_id: str = "one") -> dict[str, object]:
        reply = self.worker.handle(DescribeSession(session_id))
        assert isinstance(reply, SessionDescribed)
        return dict(reply.snapshot)

    async def ended(self, count: int = 1) -> SessionEnded:
        """The last of so many events."""
        await until(lambda: len(self.events) == count)
        return self.events[-1]

    @property
    def is_empty(self) -> bool:
        """Whether the worker has forgotten every session."""
        worker = self.worker
        return not (
            worker._broadcasts or worker._routes._by_ufrag or worker._routes._by_address or worker._by_stream
        )


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    origin = OriginServer()
    listener = bind_tcp(HOST, 0)
    await origin.start(listener)
    served = Served(origin, listener.getsockname()[1])
    await served.worker.start()
    yield served
    if not served.is_closed:
        served.worker.close()
    assert served.is_empty
    for client in served.clients:
        client.close()
    await origin.stop()


def send(
    client: UdpClient | TcpClient, pictures: list[list[bytes]], sounds: list[bytes], start: float = 0.0
) -> None:
    """Send pictures and sounds as if they were captured from `start` on."""
    for number, nals in enumerate(pictures):
        client.machine.send_picture(nals, start + number / 30)
    for number, payload in enumerate(sounds):
        client.machine.send("audio", payload, start + number / 50)
    client.flush()


async def test_what_a_client_sends_is_published(served: Served, pictures, sounds) -> None:
    client = await served.live("one", name="one?passcode=abc")
    player = await served.player()
    send(client, pictures, sounds)
    await until(lambda: sum(body[:1] in b"\x17\x27" for body in player.bodies) == 1 + len(pictures))
    await until(lambda: sum(body[:2] == b"\xaf\x01" for body in player.bodies) >= 4)
    assert (player.metadata[0]["width"], player.metadata[0]["height"]) == (320.0, 180.0)
    assert any(flv.is_audio_sequence_header(body) for body in player.bodies)
    video = [body for body in player.bodies if body[:1] in b"\x17\x27"]
    assert flv.is_video_sequence_header(video[0])
    assert video[1:] == [flv.avc_frame(nals, number == 0) for number, nals in enumerate(pictures)]


async def test_the_target_hears_the_arguments_of_the_name_and_the_url_and_nobody_else(served: Served) -> None:
    async with listening() as listener:
        await served.client("one", name="one?passcode=abc", url=f"rtmp://{HOST}:{listener.port}/app?token=x")
        server = await listener.connection()
        await until(lambda: server.events)
        assert server.events == [PublishRequested("app", "one", "passcode=abc&token=x", 1)]
        assert "abc" not in str(served.describe()) and served.describe()["stream_name"] == "one"
        served.worker.handle(EndSession("one", "deleted"))


async def test_a_post_alone_publishes_nothing(served: Served) -> None:
    assert isinstance(served.create("one", WhipClient().offer), SessionCreated)
    snapshot = served.describe()
    assert snapshot["state"] == "connecting"
    assert snapshot["sinks"] == []
    assert served.origin.connections == set()


async def test_a_live_session_describes_itself(served: Served, pictures, sounds) -> None:
    client = await served.live()
    send(client, pictures, sounds)
    await until(lambda: served.describe()["size"] == (320, 180))
    snapshot = served.describe()
    assert (snapshot["state"], snapshot["reason"]) == ("live", None)
    [sink] = snapshot["sinks"]
    assert sink["state"] == "publishing"
    assert sink["frames"] == len(pictures)
    assert sink["bytes"] > 3000


async def test_delete_ends_the_stream_at_once(served: Served, pictures, sounds) -> None:
    client = await served.live()
    player = await served.player()
    send(client, pictures, sounds)
    await until(lambda: player.bodies)
    reply = served.worker.handle(EndSession("one", "deleted"))
    assert isinstance(reply, SessionEnded)
    assert (reply.session_id, reply.reason) == ("one", EndReason.DELETED)
    assert reply.snapshot["state"] == "ended"
    assert served.is_empty
    await player.wait_for_status("NetStream.Play.UnpublishNotify")
    assert served.worker.handle(EndSession("one", "deleted")) == UnknownSession("one")
    assert served.worker.handle(DescribeSession("one")) == UnknownSession("one")
    assert served.events == []


@pytest.mark.parametrize("goodbye", [WhipClient.close, WhipClient.send_goodbye], ids=["close_notify", "BYE"])
async def test_a_client_may_end_it(served: Served, goodbye, pictures, sounds) -> None:
    client = await served.live()
    send(client, pictures, sounds)
    await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))
    goodbye(client.machine)
    client.flush()
    ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.CLIENT_CLOSED)
    assert ended.snapshot["sinks"][0]["state"] == "closed"
    await until(lambda: not served.origin.connections)


async def test_nobody_waits_for_a_client_that_does_not_come(served: Served, monkeypatch) -> None:
    served.worker._timeouts = served.worker._timeouts.__class__(setup=0.05)
    served.create("one", WhipClient().offer)
    ended = await served.ended()
    assert ended.reason == EndReason.SETUP_TIMEOUT
    assert served.is_empty
    await until(lambda: served.worker._tick_timer is None)


async def test_a_refusing_target_ends_the_session_with_its_words(served: Served) -> None:
    holder = await RtmpPublisher.connect(served.rtmp_port, "taken")
    assert holder.publishing
    await served.client("one", name="taken")
    ended = await served.ended()
    assert ended.reason == EndReason.SINK_FAILED
    assert ended.detail == "NetStream.Publish.BadName: The stream is published already."
    assert ended.snapshot["sinks"][0]["state"] == "failed"
    await holder.close()


async def test_the_words_of_a_target_hold_no_secrets(served: Served, monkeypatch) -> None:
    words = "Stream live/one?key=S3CRET0 of rtmp://host/live?pass=S3CRET1 is busy"
    refuse = ServerConnection.refuse_publish
    monkeypatch.setattr(
        ServerConnection,
        "refuse_publish",
        lambda machine, code, description: refuse(machine, code, words),
    )
    holder = await RtmpPublisher.connect(served.rtmp_port, "one")
    url = f"rtmp://{HOST}:{served.rtmp_port}/live?pass=S3CRET1"
    with structlog.testing.capture_logs() as logs:
        await served.client("one", name="one?key=S3CRET0", url=url)
        ended = await served.ended()
    assert ended.detail == "NetStream.Publish.BadName: Stream live/one?… of rtmp://host/live?… is busy"
    # The origin, which has been made to repeat them, is another server as a rule.
    said = [entry for entry in logs if entry["event"] != "connection closed"]
    assert [entry["event"] for entry in said] == ["client connected", "sink failed"]
    assert "S3CRET" not in f"{ended}{said}"
    await holder.close()


async def test_an_unreachable_target_ends_the_session(served: Served) -> None:
    await served.client("one", url=f"rtmp://{HOST}:9/live")
    ended = await served.ended()
    assert ended.reason == EndReason.SINK_FAILED
    assert ended.detail.startswith("no connection to the RTMP server")


async def test_a_target_that_goes_away_ends_the_session(served: Served, pictures, sounds) -> None:
    client = await served.live()
    send(client, pictures, sounds)
    await served.origin.stop()
    ended = await served.ended()
    assert ended.reason == EndReason.SINK_FAILED
    # What is on its way still finds nobody.
    send(client, pictures, sounds, 1.0)
    await until(lambda: served.worker.drops[DropReason.UNKNOWN_ADDRESS])


@pytest.mark.parametrize(
    ("offer", "kind"),
    [("this is no SDP", "malformed"), ((OFFERS / "firefox_without_h264.sdp").read_text(), "unsupported")],
)
async def test_a_refused_offer_leaves_nothing(served: Served, offer: str, kind: str) -> None:
    refused = served.create("one", offer)
    assert isinstance(refused, SessionRefused)
    assert (refused.session_id, refused.kind) == ("one", kind)
    assert refused.detail
    assert served.is_empty


async def test_unreadable_parameter_sets_in_an_offer_do_not_matter(served: Served) -> None:
    offer = WhipClient().offer.replace(
        "packetization-mode=1", "packetization-mode=1;sprop-parameter-sets=Z/8="
    )
    assert isinstance(served.create("one", offer), SessionCreated)


async def test_strangers_are_counted_and_harm_nobody(served: Served, pictures, sounds) -> None:
    client = await served.live()
    waiting = served.create("two", WhipClient().offer)
    assert isinstance(waiting, SessionCreated)
    stranger = UdpClient.start(WhipClient(checks=False), waiting.answer)
    served.clients.append(stranger)
    for data in (b"", b"\x80" * 100, b"\x16" * 100, b"\xff", stranger.machine.stun(b"nobody:peer"), b"\x00"):
        stranger.send(data)
    drops = served.worker.drops
    await until(lambda: drops.total() == 6)
    assert drops == {
        DropReason.UNKNOWN_DATAGRAM: 1,
        DropReason.UNKNOWN_ADDRESS: 3,
        DropReason.STUN_UNKNOWN_USER: 2,
    }
    # Nor does nonsense from the client itself.
    for data in (b"", b"\xff" * 50, b"\x80" * 50):
        client.send(data)
    send(client, pictures, sounds)
    await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))


@pytest.mark.parametrize("silent", [["one"], ["one", "two"]], ids=["one", "two"])
async def test_who_moved_without_a_check_is_told_so(
    served: Served, monkeypatch, pictures, silent: list[str]
) -> None:
    """Where it cannot be anybody else."""
    monkeypatch.setattr(worker_module, "STRAY_SILENCE", 0.1)
    served.worker._timeouts = Timeouts(silence=1.0)
    clients = [await served.live(name) for name in silent]
    for client in clients:
        client.close()
        served.clients.remove(client)
    moved = UdpClient(clients[0].machine)
    served.clients.append(moved)
    clients[0].machine.checks = False
    await until(lambda: all(served.describe(name)["silent_for"] > 0.1 for name in silent))
    while not served.events:
        send(moved, pictures[:1], [])
        await asyncio.sleep(0.02)
    assert served.events[0].reason == EndReason.SILENCE
    assert ("no ICE check" in served.events[0].detail) == (len(silent) == 1)


async def test_a_client_may_change_its_address(served: Served, monkeypatch, pictures, sounds) -> None:
    monkeypatch.setattr(routes, "MAX_ADDRESSES", 3)
    first = await served.live()
    machine = first.machine
    for number in range(3):
        moved = UdpClient(machine)
        served.clients.append(moved)
        machine.check(asyncio.get_running_loop().time())
        send(moved, pictures if number == 2 else [], [])
    await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))
    [broadcast] = served.worker._broadcasts.values()
    assert len(broadcast.addresses) == 3
    assert set(served.worker._routes._by_address) == set(broadcast.addresses)


async def test_a_check_played_back_from_elsewhere_routes_nothing(served: Served, pictures, sounds) -> None:
    client = await served.live()
    check = client.machine.stun()
    client.send(check)
    elsewhere = UdpClient(client.machine)
    served.clients.append(elsewhere)
    elsewhere.send(check)
    await until(lambda: served.describe()["drops"].get(DropReason.STUN_REPLAY))
    [broadcast] = served.worker._broadcasts.values()
    assert len(broadcast.addresses) == 1


async def test_checks_from_many_addresses_cut_nobody_off(served: Served, pictures, sounds) -> None:
    client = await served.live()
    send(client, pictures[:1], sounds[:1])
    await until(lambda: served.describe()["sinks"][0]["frames"] == 1)
    for _ in range(2 * routes.MAX_ADDRESSES):
        elsewhere = UdpClient(client.machine)
        served.clients.append(elsewhere)
        elsewhere.send(client.machine.stun())
    [broadcast] = served.worker._broadcasts.values()
    await until(lambda: len(broadcast.addresses) == routes.MAX_ADDRESSES)
    send(client, pictures[1:], sounds[1:], start=1.0)
    await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))


async def test_an_address_stays_with_the_session_that_is_heard_from_there(
    served: Served, monkeypatch, pictures, sounds
) -> None:
    client = await served.live()
    created = served.create("two", WhipClient().offer)
    assert isinstance(created, SessionCreated)
    other = UdpClient.start(WhipClient(checks=False), created.answer)
    served.clients.append(other)
    # The answers are not for this client: leave them where they are.
    asyncio.get_running_loop().remove_reader(client._socket)
    client.send(other.machine.stun())
    send(client, pictures[:1], sounds[:1])
    await until(lambda: served.describe()["sinks"][0]["frames"] == 1)
    # Once it is silent there, the address may be somebody else's.
    monkeypatch.setattr(routes, "ADDRESS_HOLD", 0.0)
    routed = set(served.worker._routes._by_address.values())
    client.send(other.machine.stun())
    await until(lambda: set(served.worker._routes._by_address.values()) != routed)


# ICE: trickled candidates, restarts, TCP


def update(served: Served, fragment: str, *tags: str) -> object:
    return served.worker.handle(UpdateIce("one", fragment, list(tags)))


async def test_trickled_candidates_are_counted(served: Served) -> None:
    machine = WhipClient()
    created = served.create("one", machine.offer)
    assert isinstance(created, SessionCreated) and created.etag
    fragment = machine.trickle("1 1 udp 1 192.0.2.7 9 typ host", "1 1 udp 1 a.local 9 typ host")
    assert update(served, fragment, created.etag) == IceUpdated("one", "", "")
    ice = served.describe()["ice"]
    assert ice == {"generation": 0, "candidates": 1, "candidates_discarded": 1, "path": None}


async def test_what_cannot_be_taken_changes_nothing(served: Served) -> None:
    machine = WhipClient()
    assert update(served, machine.trickle(), "*") == UnknownSession("one")
    served.create("one", machine.offer)
    routes_before = dict(served.worker._routes._by_ufrag)
    malformed = update(served, "nonsense", "*")
    assert isinstance(malformed, IceNotUpdated) and (malformed.kind, malformed.session_id) == (
        "malformed",
        "one",
    )
    assert "line 1" in malformed.detail
    stale = update(served, machine.restart(), "another")
    assert isinstance(stale, IceNotUpdated) and stale.kind == "stale" and "restarted" in stale.detail
    assert served.worker._routes._by_ufrag == routes_before
    served.worker.handle(EndSession("one", "deleted"))
    assert update(served, machine.trickle(), "*") == UnknownSession("one")


async def test_a_restart_moves_a_stream_to_another_socket(served: Served, pictures, sounds) -> None:
    client = await served.live()
    machine, old = client.machine, served.worker._routes._by_ufrag.copy()
    send(client, pictures, sounds)
    restarted = update(served, machine.restart(), "*")
    assert isinstance(restarted, IceUpdated) and restarted.etag
    both = served.worker._routes._by_ufrag
    assert len(both) == 2 and both.items() > old.items()
    # What is sent meanwhile goes the old way.
    send(client, pictures, [], start=1.0)
    moved = UdpClient(machine)
    served.clients.append(moved)
    machine.take_restart(restarted.fragment, asyncio.get_running_loop().time())
    moved.run()
    await until(lambda: machine.pending is None)
    assert len(both) == 1 and not both.keys() & old.keys()
    send(moved, pictures, [], start=2.0)
    # And what was late on the old way is taken as well.
    send(client, pictures, [], start=3.0)
    await until(lambda: served.describe()["sinks"][0]["frames"] == 4 * len(pictures))
    assert served.describe()["ice"]["generation"] == 1


async def test_restarts_without_end_stay_small(served: Served) -> None:
    machine = WhipClient()
    served.create("one", machine.offer)
    for _ in range(500):
        assert isinstance(update(served, machine.restart(), "*"), IceUpdated)
    assert len(served.worker._routes._by_ufrag) == 2


async def test_a_stream_by_tcp(served: Served, pictures, sounds) -> None:
    machine = WhipClient()
    created = served.create("one", machine.offer)
    assert isinstance(created, SessionCreated)
    client = await (await TcpClient.start(machine, created.answer)).connected()
    served.clients.append(client)
    await until(lambda: "live/one" in served.origin.streams)
    send(client, pictures, sounds)
    await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))
    await until(lambda: machine.received)
    assert served.describe()["ice"]["path"] == "tcp"
    # The session's end is told over the connection, and is the connection's as well.
    served.worker.handle(EndSession("one", "deleted"))
    await until(lambda: client.is_lost)
    assert [type(event).__name__ for event in machine.events()][-1] == "DtlsClosed"


async def test_from_udp_to_tcp_by_a_restart(served: Served, pictures, sounds) -> None:
    client = await served.live()
    machine = client.machine
    send(client, pictures, sounds)
    restarted = update(served, machine.restart(), "*")
    assert isinstance(restarted, IceUpdated) and " tcptype passive\r\n" in restarted.fragment
    moved = TcpClient(machine)
    await asyncio.get_running_loop().create_connection(lambda: moved, *machine.server)
    served.clients.append(moved)
    machine.take_restart(restarted.fragment, asyncio.get_running_loop().time())
    moved.run()
    await until(lambda: machine.pending is None)
    assert served.describe()["ice"]["path"] == "tcp"
    send(moved, pictures, [], start=1.0)
    await until(lambda: served.describe()["sinks"][0]["frames"] == 2 * len(pictures))


async def test_a_session_that_nobody_knows_is_not_described(served: Served) -> None:
    assert served.worker.handle(DescribeSession("one")) == UnknownSession("one")
    served.worker.drops[DropReason.UNKNOWN_ADDRESS] = 3
    assert served.worker.handle(DescribeWorker()) == WorkerDescribed({"unknown_address": 3})


async def test_a_worker_without_tcp(served: Served) -> None:
    udp, _ = bind_media(HOST, 0, tcp=False)
    worker = Worker(
        udp,
        announced=[(HOST, udp.getsockname()[1])],
        post_event=served.events.append,
        setup_timeout=5.0,
        silence_timeout=5.0,
        takeover_after=2.0,
        egress=EgressPolicy(),
    )
    await worker.start()
    request = CreateSession("one", WhipClient().offer, "one", "rtmp://x/live", 128_000, "one", False)
    created = worker.handle(request)
    assert isinstance(created, SessionCreated) and " tcp " not in created.answer
    worker.close()


async def test_where_streams_may_not_be_sent_is_the_sinks_to_tell(served: Served) -> None:
    served.worker._egress = EgressPolicy()
    await served.client()
    ended = await served.ended()
    assert ended.reason == EndReason.SINK_FAILED and "egress.allow" in ended.detail


async def test_a_packet_that_is_not_opus_costs_only_itself(served: Served, pictures, sounds) -> None:
    client = await served.live()
    # Well formed as RFC 6716 wants it, but no decoder makes sense of it; and one that is not.
    send(client, pictures, [b"\x7f\x00", *sounds])
    await until(lambda: served.describe()["drops"].get(DropReason.OPUS_MALFORMED))
    assert served.describe()["state"] == "live"


async def test_parameter_sets_nobody_can_read_cost_their_picture_only(served: Served, pictures) -> None:
    client = await served.live()
    broken = [b"\x67\xff", *pictures[0]]
    send(client, [broken, *pictures[1:], *pictures], [])
    await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))
    assert served.describe()["drops"][DropReason.H264_MALFORMED] == 1


# Two publishers of one stream


async def test_a_live_stream_is_not_given_away(served: Served, pictures, sounds) -> None:
    client = await served.live()
    refused = served.create("two", WhipClient().offer, name="one")
    assert isinstance(refused, SessionRefused) and refused.kind == "busy"
    for way_out in ("wait", "DELETE", "session.on_conflict"):
        assert way_out in refused.detail
    send(client, pictures, sounds)
    await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))
    assert set(served.worker._broadcasts) == {"one"} and served.events == []


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
    await until(lambda: served.describe("two")["sinks"][0]["frames"] == len(pictures))
    await until(lambda: again.bodies)
    assert len(served.events) == 1


async def test_the_old_publish_is_over_before_the_answer(served: Served) -> None:
    async with listening() as listener:
        url = f"rtmp://{HOST}:{listener.port}/live"
        await (await served.client("one", name="one", url=url)).connected()
        server = await listener.connection()
        await until(lambda: server.events)
        [connection] = [each._sink for each in served.worker._broadcasts.values()]
        assert isinstance(
            served.create("two", WhipClient().offer, name="one", url=url, takes_over=True), SessionCreated
        )
        assert connection.machine.state is SinkState.CLOSED and connection.transport.is_closing()
        await until(lambda: server.lost)
        assert isinstance(server.events[-1], PublishEnded)


@pytest.mark.parametrize("came", [False, True], ids=["never came", "fell silent"])
async def test_a_silent_session_gives_way(served: Served, pictures, sounds, came: bool) -> None:
    served.worker._timeouts = Timeouts(takeover=0.1)
    if came:
        client = await served.live()
        send(client, pictures, sounds)
        await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))
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
    assert set(served.worker._broadcasts) == {"one"} and served.events == []


async def test_a_bug_while_the_old_one_ends_does_not_cost_the_new_one(served: Served, monkeypatch) -> None:
    await served.live()
    monkeypatch.setattr(served.worker._broadcasts["one"]._muxer, "flush", boom)
    second = await served.client("two", name="one", takes_over=True)
    assert [(event.session_id, event.reason) for event in served.events] == [("one", EndReason.REPLACED)]
    await second.connected()
    assert set(served.worker._broadcasts) == {"two"}


async def test_the_stream_is_free_after_every_end(served: Served) -> None:
    served.create("one", WhipClient().offer)
    served.worker.handle(EndSession("one", "deleted"))
    assert isinstance(served.create("two", WhipClient().offer, name="one"), SessionCreated)
    assert isinstance(served.create("three", WhipClient().offer), SessionCreated)


async def test_a_snapshot_tells_how_long_the_client_has_been_silent(served: Served) -> None:
    served.create("two", WhipClient().offer)
    assert served.describe("two")["silent_for"] is None
    await served.live()
    assert 0.0 <= served.describe()["silent_for"] < 5.0


def boom(*_: object, **__: object) -> None:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("target", "name"),
    [(Session, "receive_datagram"), (Session, "handle_timeout"), (Session, "deadline"), (Muxer, "push")],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_bug_costs_one_session_and_one_traceback(
    served: Served, monkeypatch, pictures, sounds, target: type, name: str
) -> None:
    victim, witness = await served.live("one"), await served.live("two")
    victims = vars(served.worker._broadcasts["one"])
    with structlog.testing.capture_logs() as logs:
        monkeypatch.setattr(victims["_muxer"] if target is Muxer else victims["session"], name, boom)
        send(victim, pictures, sounds)
        ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.INTERNAL_ERROR)
    failures = [entry for entry in logs if entry["event"] == "session failed"]
    assert len(failures) == 1 and failures[0]["exc_info"]
    assert "one" not in served.worker._broadcasts
    send(witness, pictures, sounds)
    await until(lambda: served.describe("two")["sinks"][0]["frames"] == len(pictures))
    await until(lambda: "live/one" not in served.origin.streams)


async def test_a_bug_at_delete_does_not_keep_the_session(served: Served, monkeypatch) -> None:
    await served.live()
    monkeypatch.setattr(served.worker._broadcasts["one"]._muxer, "flush", boom)
    ended = served.worker.handle(EndSession("one", "deleted"))
    assert isinstance(ended, SessionEnded) and ended.reason == EndReason.DELETED
    assert served.is_empty
    await until(lambda: not served.origin.connections)


async def test_a_bug_at_the_very_end_still_releases_the_session(served: Served, monkeypatch) -> None:
    client = await served.live()
    monkeypatch.setattr(served.worker._broadcasts["one"]._muxer, "flush", boom)
    client.machine.close()
    client.flush()
    ended = await served.ended()
    assert ended.reason == EndReason.CLIENT_CLOSED
    assert served.is_empty
    await until(lambda: not served.origin.connections)


async def test_a_closed_worker_takes_nobody(served: Served) -> None:
    served.worker.close()
    served.worker.close()
    refused = served.create("one", WhipClient().offer)
    assert refused == SessionRefused("one", "draining", "the server is stopping")


async def test_a_bug_at_shutdown_does_not_stop_it(served: Served, monkeypatch) -> None:
    await served.live("one")
    await served.live("two")
    monkeypatch.setattr(served.worker._broadcasts["one"]._muxer, "flush", boom)
    served.is_closed = True
    served.worker.close()
    assert {event.session_id for event in served.events} == {"one", "two"}
    assert {event.reason for event in served.events} == {EndReason.SHUTDOWN}
    await until(lambda: not served.origin.connections)


async def test_a_socket_that_fails_now_and_then_costs_nothing(served: Served, pictures, sounds) -> None:
    """ICMP errors come up at the next call, whoever they were about; a full buffer is a lost datagram."""

    class Moody:
        calls = lost = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def recvfrom(self, size: int) -> tuple[bytes, Any]:
            self.calls += 1
            if self.calls % 3 == 0:
                raise ConnectionRefusedError
            return real.recvfrom(size)

        def sendto(self, data: bytes, addr: Any) -> None:
            if data[0] < 64:  # Reports may be lost.
                real.sendto(data, addr)
            else:
                self.lost += 1
                raise BlockingIOError

    real = served.worker._socket
    served.worker._socket = moody = Moody()  # type: ignore[assignment]
    client = await served.live()
    send(client, pictures, sounds)
    await until(lambda: served.describe()["sinks"][0]["frames"] == len(pictures))
    await until(lambda: moody.lost)
    assert client.machine.received == []
