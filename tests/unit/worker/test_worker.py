import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.peers.rtmp_client import HOST, RtmpPublisher
from tests.peers.rtmp_server import RtmpServer, listening
from tests.peers.tcp_client import TcpClient
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.unit.worker.serving import Served, make_sinks, send

from whipway.failures import DropReason
from whipway.media import flv
from whipway.protocol.rtcp.feedback import PictureLossIndication
from whipway.protocol.rtmp.server import PublishRequested, ServerConnection
from whipway.relay.muxer import Muxer
from whipway.session.events import EndReason
from whipway.session.session import Session, Timeouts
from whipway.worker import rounds, routes
from whipway.worker.messages import (
    AddSink,
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    IceNotUpdated,
    IceUpdated,
    LoadMeasured,
    MetadataSent,
    RemoveSink,
    Request,
    SendMetadata,
    SessionCreated,
    SessionEnded,
    SessionRefused,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    StopWorker,
    UnknownSession,
    UnknownSink,
    UpdateIce,
    WorkerDescribed,
    WorkerStopped,
)
from whipway.worker.rules import SessionRules
from whipway.worker.sockets import bind_media
from whipway.worker.worker import Worker

pytestmark = pytest.mark.anyio

OFFERS = Path(__file__).parents[2] / "data" / "offers"


def plis(client: UdpClient) -> list[PictureLossIndication]:
    """The requests for a key frame that a client has got."""
    return [packet for _, packet in client.machine.received if isinstance(packet, PictureLossIndication)]


def video(server: RtmpServer) -> list[bytes]:
    return [payload for payload in server.payloads if payload[:1] in b"\x17\x27"]


async def test_what_a_client_sends_is_published(served: Served, pictures, sounds) -> None:
    client = await served.live("one", name="one?passcode=abc")
    player = await served.player()
    send(client, pictures, sounds)
    await until(lambda: sum(body[:1] in b"\x17\x27" for body in player.bodies) == 1 + len(pictures))
    await until(lambda: sum(body[:2] == b"\xaf\x01" for body in player.bodies) >= 4)
    assert (player.metadata[0]["width"], player.metadata[0]["height"]) == (320.0, 180.0)
    assert any(flv.read_audio(body).part is flv.Part.HEADER for body in player.bodies)
    video = [body for body in player.bodies if body[:1] in b"\x17\x27"]
    assert flv.read_video(video[0]).part is flv.Part.HEADER
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
    [sink] = snapshot["sinks"]
    assert (sink["id"], sink["state"], sink["bytes"]) == ("1", "connecting", 0)
    assert served.origin.connections == set()


async def test_a_live_session_describes_itself(served: Served, pictures, sounds) -> None:
    client = await served.live()
    send(client, pictures, sounds)
    await until(lambda: served.describe()["size"] == (320, 180))
    snapshot = served.describe()
    assert (snapshot["state"], snapshot["reason"]) == ("live", None)
    sink = await until(lambda: served.sinks()["1"]["state"] == "publishing" and served.sinks()["1"])
    assert sink["frames"] == len(pictures)
    assert sink["bytes"] > 3000
    assert (sink["stream_name"], sink["stream_url"]) == ("one", served.url)


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
    assert served.ends == []


@pytest.mark.parametrize("goodbye", [WhipClient.close, WhipClient.send_goodbye], ids=["close_notify", "BYE"])
async def test_a_client_may_end_it(served: Served, goodbye, pictures, sounds) -> None:
    client = await served.live()
    send(client, pictures, sounds)
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
    goodbye(client.machine)
    client.flush()
    ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.CLIENT_CLOSED)
    assert ended.snapshot["sinks"][0]["state"] == "closed"
    await until(lambda: not served.origin.connections)


async def test_nobody_waits_for_a_client_that_does_not_come(served: Served, monkeypatch) -> None:
    served.worker._rules = SessionRules(Timeouts(setup=0.05))
    served.create("one", WhipClient().offer)
    ended = await served.ended()
    assert ended.reason == EndReason.SETUP_TIMEOUT
    assert served.is_empty
    await until(lambda: not served.worker._rounds.is_ticking)


async def test_a_sink_that_gave_up_ends_the_session_with_its_words(served: Served) -> None:
    served.worker._sinks = make_sinks(give_up_after=0.05)
    holder = await RtmpPublisher.connect(served.rtmp_port, "taken")
    assert holder.publishing
    await served.client("one", name="taken")
    ended = await served.ended()
    assert ended.reason == EndReason.SINK_FAILED
    [sink] = ended.snapshot["sinks"]
    assert (sink["state"], sink["reason"]) == ("failed", "bad_name")
    assert "The stream is published already" in ended.detail
    await holder.close()


async def test_the_words_of_a_target_hold_no_secrets(served: Served, monkeypatch) -> None:
    served.worker._sinks = make_sinks(give_up_after=0.05)
    words = "Stream live/one?key=S3CRET0 of rtmp://host/live?pass=S3CRET1 is busy"
    refuse = ServerConnection.refuse_publish
    monkeypatch.setattr(
        ServerConnection,
        "refuse_publish",
        lambda machine, code, description: refuse(machine, code, words),
    )
    holder = await RtmpPublisher.connect(served.rtmp_port, "one")
    url = f"rtmp://user:S3CRET2@{HOST}:{served.rtmp_port}/live?pass=S3CRET1"
    with structlog.testing.capture_logs() as logs:
        await served.client("one", name="one?key=S3CRET0", url=url)
        ended = await served.ended()
    assert "Stream live/one?… of rtmp://host/live?… is busy" in ended.detail
    # The origin, which has been made to repeat them, is another server as a rule.
    said = [entry for entry in logs if entry["log_level"] != "debug" and "role" not in entry]
    assert "sink failed" in [entry["event"] for entry in said]
    assert "S3CRET" not in f"{served.events}{[entry for entry in said if 'sink' in entry['event']]}"
    await holder.close()


async def test_a_target_that_goes_away_costs_the_session_nothing(served: Served, pictures, sounds) -> None:
    async with listening() as listener:
        url = f"rtmp://{HOST}:{listener.port}/live"
        client = await (await served.client(url=url)).connected()
        send(client, pictures, sounds)
        await until(lambda: served.sinks()["1"]["state"] == "publishing")
    await until(lambda: served.sinks()["1"]["state"] == "retrying")
    assert served.describe()["state"] == "live" and served.ends == []
    async with listening(port=listener.port) as again:
        await again.connection()
        send(client, pictures, sounds, 1.0)
        await until(lambda: served.sinks()["1"]["state"] == "publishing")
        assert served.sinks()["1"]["reconnects"] >= 1
        served.worker.handle(EndSession("one", "deleted"))


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
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))


@pytest.mark.parametrize("silent", [["one"], ["one", "two"]], ids=["one", "two"])
async def test_who_moved_without_a_check_is_told_so(
    served: Served, monkeypatch, pictures, silent: list[str]
) -> None:
    """Where it cannot be anybody else."""
    monkeypatch.setattr(rounds, "STRAY_SILENCE", 0.1)
    served.worker._rules = SessionRules(Timeouts(silence=1.0))
    clients = [await served.live(name) for name in silent]
    for client in clients:
        client.close()
        served.clients.remove(client)
    moved = UdpClient(clients[0].machine)
    served.clients.append(moved)
    clients[0].machine.checks = False
    await until(lambda: all(served.describe(name)["silent_for"] > 0.1 for name in silent))
    while not served.ends:
        send(moved, pictures[:1], [])
        await asyncio.sleep(0.02)
    assert served.ends[0].reason == EndReason.SILENCE
    assert ("no ICE check" in served.ends[0].detail) == (len(silent) == 1)


async def test_a_client_may_change_its_address(served: Served, monkeypatch, pictures, sounds) -> None:
    monkeypatch.setattr(routes, "MAX_ADDRESSES", 3)
    first = await served.live()
    machine = first.machine
    for number in range(3):
        moved = UdpClient(machine)
        served.clients.append(moved)
        machine.check(asyncio.get_running_loop().time())
        send(moved, pictures if number == 2 else [], [])
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
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
    await until(lambda: served.sinks()["1"]["frames"] == 1)
    for _ in range(2 * routes.MAX_ADDRESSES):
        elsewhere = UdpClient(client.machine)
        served.clients.append(elsewhere)
        elsewhere.send(client.machine.stun())
    [broadcast] = served.worker._broadcasts.values()
    await until(lambda: len(broadcast.addresses) == routes.MAX_ADDRESSES)
    send(client, pictures[1:], sounds[1:], start=1.0)
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))


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
    await until(lambda: served.sinks()["1"]["frames"] == 1)
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
    await until(lambda: served.sinks()["1"]["frames"] == 4 * len(pictures))
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
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
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
    await until(lambda: served.sinks()["1"]["frames"] == 2 * len(pictures))


async def test_a_session_that_nobody_knows_is_not_described(served: Served) -> None:
    assert served.worker.handle(DescribeSession("one")) == UnknownSession("one")
    served.worker.drops[DropReason.UNKNOWN_ADDRESS] = 3
    described = served.worker.handle(DescribeWorker())
    assert isinstance(described, WorkerDescribed)
    assert (described.drops, described.sessions) == ({"unknown_address": 3}, 0)


async def test_what_it_receives_counts_beyond_the_end_of_a_session(served: Served, pictures, sounds) -> None:
    send(await served.live(), pictures, sounds)
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
    received = served.worker._received_bytes()
    assert received == sum(track["bytes"] for track in served.describe()["tracks"]) > 0
    served.worker.handle(EndSession("one", "deleted"))
    assert served.worker._received_bytes() == received


async def test_it_tells_its_load(served: Served) -> None:
    await until(lambda: any(isinstance(event, LoadMeasured) for event in served.events))


async def test_a_worker_that_is_stopped_tells_every_end(served: Served) -> None:
    served.create("one", WhipClient().offer)
    served.create("two", WhipClient().offer)
    assert served.worker.handle(StopWorker()) == WorkerStopped()
    assert [(event.session_id, event.reason) for event in served.ends] == [
        ("one", EndReason.SHUTDOWN),
        ("two", EndReason.SHUTDOWN),
    ]
    refused = served.create("three", WhipClient().offer)
    assert isinstance(refused, SessionRefused) and refused.kind == "draining"


async def test_a_worker_without_tcp(served: Served) -> None:
    udp, _ = bind_media(HOST, 0, tcp=False)
    worker = Worker(
        udp,
        announced=[(HOST, udp.getsockname()[1])],
        post_event=served.events.append,
        rules=SessionRules(),
        sinks=make_sinks(),
    )
    await worker.start()
    request = CreateSession(
        "one", WhipClient().offer, "one", "rtmp://x/live", "aac", 128_000, "none", "one", False
    )
    created = worker.handle(request)
    assert isinstance(created, SessionCreated) and " tcp " not in created.answer
    worker.close()


async def test_where_streams_may_not_be_sent_is_the_sinks_to_tell(served: Served) -> None:
    served.worker._sinks = make_sinks("public")
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
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
    assert served.describe()["drops"][DropReason.H264_MALFORMED] == 1


async def test_a_snapshot_tells_how_long_the_client_has_been_silent(served: Served) -> None:
    served.create("two", WhipClient().offer)
    assert served.describe("two")["silent_for"] is None
    await served.live()
    assert 0.0 <= served.describe()["silent_for"] < 5.0


@pytest.mark.parametrize(
    ("target", "name"),
    [(Session, "receive_datagram"), (Session, "handle_timeout"), (Session, "deadline"), (Muxer, "push")],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_bug_costs_one_session_and_one_traceback(
    served: Served, pictures, sounds, target: type, name: str
) -> None:
    victim, witness = await served.live("one"), await served.live("two")
    with structlog.testing.capture_logs() as logs:
        break_it = served.break_muxer if target is Muxer else served.break_session
        break_it("one", name)
        send(victim, pictures, sounds)
        ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.INTERNAL_ERROR)
    failures = [entry for entry in logs if entry["event"] == "session failed"]
    assert len(failures) == 1 and failures[0]["exc_info"]
    assert "one" not in served.worker._broadcasts
    send(witness, pictures, sounds)
    await until(lambda: served.sinks("two")["1"]["frames"] == len(pictures))
    await until(lambda: "live/one" not in served.origin.streams)


async def test_a_bug_at_delete_does_not_keep_the_session(served: Served) -> None:
    await served.live()
    served.break_muxer("one", "flush")
    ended = served.worker.handle(EndSession("one", "deleted"))
    assert isinstance(ended, SessionEnded) and ended.reason == EndReason.DELETED
    assert served.is_empty
    await until(lambda: not served.origin.connections)


async def test_a_bug_at_the_very_end_still_releases_the_session(served: Served) -> None:
    client = await served.live()
    served.break_muxer("one", "flush")
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


async def test_a_bug_at_shutdown_does_not_stop_it(served: Served) -> None:
    await served.live("one")
    await served.live("two")
    served.break_muxer("one", "flush")
    served.is_closed = True
    served.worker.close()
    assert {event.session_id for event in served.ends} == {"one", "two"}
    assert {event.reason for event in served.ends} == {EndReason.SHUTDOWN}
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
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
    await until(lambda: moody.lost)
    assert client.machine.received == []


# What the gateway is told of changes


async def test_changes_of_one_turn_are_told_once(served: Served) -> None:
    served.create("one", WhipClient().offer)
    served.add_sink("one", "two")
    served.add_sink("one", "three")
    assert served.events == []
    await asyncio.sleep(0)
    assert served.changed() == ["one"]
    served.remove_sink("one", "2")
    await asyncio.sleep(0)
    assert served.changed() == ["one", "one"]


async def test_a_change_of_what_is_over_is_not_told(served: Served) -> None:
    served.create("one", WhipClient().offer)
    served.worker.handle(EndSession("one", "deleted"))
    served.create("two", WhipClient().offer)
    await asyncio.sleep(0)
    assert served.changed() == ["two"]


async def test_what_becomes_of_a_session_is_told(served: Served, pictures, sounds) -> None:
    client = await served.client()
    await asyncio.sleep(0)
    served.events.clear()
    await client.connected()
    await until(lambda: served.events)
    served.events.clear()
    send(client, pictures, sounds)
    await until(lambda: served.sinks()["1"]["state"] == "publishing")
    await until(lambda: "one" in served.changed())


# Sinks, as the gateway asks for them


async def test_a_session_has_the_sinks_that_it_was_given(served: Served) -> None:
    served.create("one", WhipClient().offer)
    added = served.add_sink("one", "two?key=S3CRET", "rtmp://user:S3CRET@host/app?x=S3CRET", audio="opus")
    assert isinstance(added, SinkAdded) and added.session_id == "one"
    assert added.sink["id"] == "2" and added.sink["state"] == "connecting"
    assert (added.sink["stream_name"], added.sink["stream_url"]) == ("two", "rtmp://host:1935/app")
    assert "S3CRET" not in f"{added}{served.describe()}"
    assert list(served.sinks()) == ["1", "2"]
    removed = served.remove_sink("one", "2")
    assert isinstance(removed, SinkRemoved) and removed.sink["id"] == "2"
    assert removed.sink["state"] == "closed"
    assert list(served.sinks()) == ["1"]
    # No id comes again.
    again = served.add_sink("one", "two")
    assert isinstance(again, SinkAdded) and again.sink["id"] == "3"


async def test_no_more_sinks_than_are_set(served: Served) -> None:
    served.worker._sinks = make_sinks(max_sinks=2)
    served.create("one", WhipClient().offer)
    assert isinstance(served.add_sink("one", "two"), SinkAdded)
    refused = served.add_sink("one", "three")
    assert isinstance(refused, SinkRefused) and refused.kind == "full" and refused.detail
    served.remove_sink("one", "1")
    assert isinstance(served.add_sink("one", "three"), SinkAdded)


async def test_a_session_has_one_sink_for_a_stream_in_whatever_state(served: Served) -> None:
    served.create("one", WhipClient().offer)
    assert isinstance(served.add_sink("one", "two"), SinkAdded)
    refused = served.add_sink("one", "two")
    assert isinstance(refused, SinkRefused) and refused.kind == "busy"
    # Not that it publishes: nothing is connected yet.
    assert refused.detail == "this session has a sink for that stream already: DELETE it first"
    served.remove_sink("one", "2")
    assert isinstance(served.add_sink("one", "two"), SinkAdded)


async def test_sinks_that_are_not_there(served: Served) -> None:
    for request in (
        RemoveSink("one", "1"),
        SendMetadata("one", "onMetaData", {}),
        AddSink("one", "two", "rtmp://host/live", "aac", 128_000, "none", "two", False),
    ):
        assert served.worker.handle(request) == UnknownSession("one")
    served.create("one", WhipClient().offer)
    assert served.remove_sink("one", "2") == UnknownSink("one", "2")


async def test_a_sink_that_comes_late_begins_with_a_key_frame(served: Served, pictures, sounds) -> None:
    client = await served.live()
    send(client, pictures, sounds)
    await until(lambda: served.sinks()["1"]["frames"] == len(pictures))
    asked = len(plis(client))
    async with listening() as listener:
        served.add_sink("one", "two", f"rtmp://{HOST}:{listener.port}/live")
        server = await listener.connection()
        await until(lambda: len(plis(client)) > asked)
        # What comes before the key frame is of no use to it.
        send(client, pictures[1:], [], 1.0)
        send(client, pictures, sounds, 2.0)
        await until(lambda: len(video(server)) > len(pictures))
        assert flv.read_video(video(server)[0]).part is flv.Part.HEADER
        assert video(server)[1:] == [flv.avc_frame(nals, not number) for number, nals in enumerate(pictures)]
        # The clock is the session's.
        assert server.media[-1].timestamp > 1000
        served.worker.handle(SendMetadata("one", "onCuePoint", {"name": "goal"}))
        await until(lambda: any(b"onCuePoint" in payload for payload in server.payloads))
        served.remove_sink("one", "2")
        await until(lambda: server.lost)
    assert served.sinks()["1"]["state"] == "publishing" and served.ends == []


async def test_broken_sinks_say_why_and_harm_no_other(served: Served, pictures, sounds) -> None:
    holder = await RtmpPublisher.connect(served.rtmp_port, "taken")
    client = await served.client()
    for name in ("two", "three", "taken"):
        served.add_sink("one", name)
    served.add_sink("one", "nowhere", f"rtmp://{HOST}:9/live")
    await client.connected()
    healthy = {"one": "1", "two": "2", "three": "3"}
    await until(lambda: {f"live/{name}" for name in healthy} <= set(served.origin.streams))
    players = [await served.player(name) for name in healthy]
    send(client, pictures, sounds)
    expected = [flv.avc_frame(nals, not number) for number, nals in enumerate(pictures)]
    for player in players:
        await until(
            lambda player=player: [body for body in player.bodies if body[:1] in b"\x17\x27"][1:] == expected
        )
    await until(lambda: all(served.sinks()[number]["state"] == "publishing" for number in healthy.values()))
    broken = [served.sinks()[number] for number in "45"]
    assert [(sink["state"], sink["reason"]) for sink in broken] == [
        ("retrying", "bad_name"),
        ("retrying", "unreachable"),
    ]
    assert served.describe()["state"] == "live"
    await holder.close()


async def test_silence_where_a_track_is_wanted(served: Served, pictures) -> None:
    served.worker._rules = SessionRules(silent_audio=True)
    client = await served.live(machine=WhipClient(kinds=("video",)))
    player = await served.player()
    send(client, pictures, [])
    await until(lambda: any(flv.read_audio(body).part is flv.Part.HEADER for body in player.bodies))


async def test_metadata_is_taken_at_any_time(served: Served) -> None:
    served.create("one", WhipClient().offer)
    assert served.worker.handle(SendMetadata("one", "onMetaData", {"a": 1})) == MetadataSent("one")


@pytest.mark.parametrize(
    "request_",
    [AddSink("one", "two", "rtmp://host/live", "aac", 128_000, "none", "two", False), RemoveSink("one", "1")],
    ids=lambda request: type(request).__name__,
)
async def test_a_bug_in_a_request_costs_its_session(served: Served, request_: Request) -> None:
    served.create("one", WhipClient().offer)
    served.create("other", WhipClient().offer)
    served.break_muxer("one", "set_formats")
    with structlog.testing.capture_logs() as logs:
        assert served.worker.handle(request_) == UnknownSession("one")
    assert [entry["event"] for entry in logs] == ["session failed"]
    ended = await served.ended()
    assert (ended.session_id, ended.reason) == ("one", EndReason.INTERNAL_ERROR)
    assert isinstance(served.create("one", WhipClient().offer), SessionCreated)
