"""A worker on real sockets with an RTMP origin to publish to, and what tests do with it."""

from typing import Any

from tests.peers.rtmp_client import HOST, RtmpPlayer
from tests.peers.tcp_client import TcpClient
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient

from whipway.origin.server import OriginServer
from whipway.session.session import Timeouts
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import (
    AddSink,
    CreateSession,
    DescribeSession,
    RemoveSink,
    SessionChanged,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    WorkerEvent,
)
from whipway.worker.rules import SessionRules
from whipway.worker.sinks import SinkFactory
from whipway.worker.sockets import bind_media
from whipway.worker.tls import TlsContexts
from whipway.worker.worker import Worker


def make_sinks(*allowed: str, **settings: Any) -> SinkFactory:
    """A factory of sinks that go to this machine, unless told otherwise."""
    return SinkFactory(EgressPolicy(allowed or (HOST,)), TlsContexts(), **settings)


class StandIn:
    """Passes for an object some of whose methods are others: of a compiled class none can be replaced."""

    def __init__(self, real: object, **methods: object) -> None:
        self._real = real
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Served:
    """A worker with an RTMP origin to publish to."""

    def __init__(self, origin: OriginServer, rtmp_port: int) -> None:
        self.origin = origin
        self.rtmp_port = rtmp_port
        self.events: list[WorkerEvent] = []
        udp, tcp = bind_media(HOST, 0, tcp=True)
        self.worker = Worker(
            udp,
            announced=[(HOST, udp.getsockname()[1])],
            post_event=self.events.append,
            rules=SessionRules(Timeouts(setup=5.0, silence=5.0, takeover=2.0), max_video=4),
            sinks=make_sinks(),
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
        filler: str = "none",
        takes_over: bool = False,
    ) -> object:
        name, url = name or session_id, url or self.url
        return self.worker.handle(
            CreateSession(session_id, offer, name, url, "aac", 128_000, filler, f"{url}/{name}", takes_over)
        )

    @property
    def url(self) -> str:
        """The origin's."""
        return f"rtmp://{HOST}:{self.rtmp_port}/live"

    def add_sink(
        self,
        session_id: str,
        name: str,
        url: str | None = None,
        *,
        takes_over: bool = False,
        audio: str = "aac",
    ) -> object:
        url = url or self.url
        return self.worker.handle(
            AddSink(session_id, name, url, audio, 128_000, "none", f"{url}/{name}", takes_over)
        )

    def remove_sink(self, session_id: str, sink_id: str) -> object:
        return self.worker.handle(RemoveSink(session_id, sink_id))

    def sinks(self, session_id: str = "one") -> dict[str, dict[str, Any]]:
        """The sinks of a session by id."""
        return {sink["id"]: sink for sink in self.describe(session_id)["sinks"]}  # type: ignore[attr-defined]

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

    async def live(self, session_id: str = "one", **target: Any) -> UdpClient:
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

    @property
    def ends(self) -> list[SessionEnded]:
        """The ends that were told."""
        return [event for event in self.events if isinstance(event, SessionEnded)]

    def changed(self) -> list[str]:
        """The sessions of which the gateway was told that they have changed, in this order."""
        return [event.session_id for event in self.events if isinstance(event, SessionChanged)]

    async def ended(self) -> SessionEnded:
        """The one end that was told."""
        await until(lambda: self.ends)
        [ended] = self.ends
        return ended

    def break_session(self, session_id: str, method: str) -> None:
        """Have a method of its session's machine raise."""
        broadcast: Any = self.worker._broadcasts[session_id]
        broadcast.session = StandIn(broadcast.session, **{method: boom})

    def break_muxer(self, session_id: str, method: str) -> None:
        """Have a method of its muxer raise."""
        broadcast: Any = self.worker._broadcasts[session_id]
        broadcast._muxer = StandIn(broadcast._muxer, **{method: boom})

    @property
    def is_empty(self) -> bool:
        """Whether the worker has forgotten every session."""
        worker = self.worker
        return not (
            worker._broadcasts or worker._routes._by_ufrag or worker._routes._by_address or worker._claims
        )


def send(
    client: UdpClient | TcpClient, pictures: list[list[bytes]], sounds: list[bytes], start: float = 0.0
) -> None:
    """Send pictures and sounds as if they were captured from `start` on."""
    for number, nals in enumerate(pictures):
        client.machine.send_picture(nals, start + number / 30)
    for number, payload in enumerate(sounds):
        client.machine.send("audio", payload, start + number / 50)
    client.flush()


def boom(*_: object, **__: object) -> None:
    raise RuntimeError("a bug")
