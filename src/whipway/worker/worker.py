"""The media worker: one UDP socket, TCP connections beside it, the sessions behind them, and the gateway's
requests.

Datagrams are taken in bounded batches; each one goes to its session (`routes` knows which) by plain calls,
and every session touched is drained once at the end of the batch. One timer serves all sessions.
"""

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import assert_never

import structlog

from whipway.failures import DropReason, ParseError
from whipway.media.transcoder import Transcoder
from whipway.protocol.dtls import generate_certificate
from whipway.protocol.ice import TCP_ADDRESS_PARTS, Address
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.url import loggable_name, parse_rtmp_url
from whipway.protocol.sdp.answer import NegotiationError, TrackDescription
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.relay.muxer import Muxer
from whipway.relay.sink import Sink, SinkEvent
from whipway.session.acceptance import accept_offer
from whipway.session.events import Ended, EndReason
from whipway.session.ice_session import StaleTag
from whipway.session.session import Timeouts
from whipway.worker.broadcast import Broadcast, Names
from whipway.worker.concealment import make_concealer
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import (
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    Event,
    IceNotUpdated,
    IceUpdated,
    Reply,
    Request,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    UnknownSession,
    UpdateIce,
    WorkerDescribed,
)
from whipway.worker.routes import FIRST_STUN_BYTE_MAX, Routes
from whipway.worker.sink_connection import SinkConnection
from whipway.worker.tcp_media import TcpMedia

MAX_BATCH = 128
"""Datagrams taken in one turn: about a millisecond of work, so that TCP and HTTP get theirs."""
MAX_DATAGRAM_BYTES = 2048
TICK_INTERVAL = 0.02
"""Seconds between two looks at the sessions' deadlines: one timer for all instead of one each."""
STRAY_SILENCE = 1.0
"""Seconds. Packets from an unknown address may be of a client that has not been heard for so long."""
BUSY = (
    "another session is publishing this stream: wait until it ends, DELETE its session URL,"
    ' or set session.on_conflict = "takeover"'
)

log = structlog.get_logger("worker")


class Worker:
    """Carries out the gateway's requests on one UDP socket and one that listens for TCP, if there is one.

    Both ports are announced as the same number. Belongs to one event loop.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        announced: Sequence[tuple[str, int]],
        post_event: Callable[[Event], None],
        setup_timeout: float,
        silence_timeout: float,
        takeover_after: float,
        egress: EgressPolicy,
        tcp_listener: socket.socket | None = None,
    ) -> None:
        self.drops: Counter[DropReason] = Counter()
        self._socket = sock
        self._tcp = TcpMedia(tcp_listener, self._receive_tcp, self.drops) if tcp_listener else None
        transports = ("udp", "tcp") if tcp_listener else ("udp",)
        # UDP first: who looks at one candidate alone, as ffmpeg does, looks at this one.
        self._candidates = [HostCandidate(*host, transport) for transport in transports for host in announced]
        self._egress = egress
        self._post_event = post_event
        self._timeouts = Timeouts(setup_timeout, silence_timeout, takeover_after)
        self._certificate = generate_certificate()
        self._broadcasts: dict[str, Broadcast] = {}
        self._routes = Routes(self.drops, self._tcp)
        self._by_stream: dict[str, Broadcast] = {}
        self._loop = asyncio.get_running_loop()
        self._tick_timer: asyncio.TimerHandle | None = None
        self._strays = 0  # that were looked into
        self._closed = False
        self._loop.add_reader(sock, self._on_readable)

    async def start(self) -> None:
        """Begin to accept TCP connections, if there is a socket for them."""
        if self._tcp is not None:
            await self._tcp.start()

    def handle(self, message: Request) -> Reply:
        """Carry out one request."""
        match message:
            case CreateSession():
                return self._create(message)
            case EndSession(session_id, reason):
                return self._end(session_id, EndReason(reason))
            case UpdateIce():
                return self._update_ice(message)
            case DescribeSession(session_id):
                broadcast = self._broadcasts.get(session_id)
                if broadcast is None:
                    return UnknownSession(session_id)
                return SessionDescribed(session_id, broadcast.describe(self._loop.time()))
            case DescribeWorker():
                return WorkerDescribed({reason.value: count for reason, count in sorted(self.drops.items())})
            case _:
                assert_never(message)

    def close(self) -> None:
        """End every session politely and stop. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for broadcast in list(self._broadcasts.values()):
            self._end_safely(broadcast, EndReason.SHUTDOWN, "the server is stopping")
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._tcp is not None:
            self._tcp.close()
        if self._tick_timer is not None:
            self._tick_timer.cancel()

    def _create(self, request: CreateSession) -> Reply:
        if self._closed:
            return SessionRefused(request.session_id, "draining", "the server is stopping")
        try:
            accepted = accept_offer(
                request.offer,
                certificate=self._certificate,
                candidates=self._candidates,
                timeouts=self._timeouts,
                random=os.urandom,
                now=self._loop.time(),
            )
        except ParseError as error:
            return SessionRefused(request.session_id, "malformed", error.detail)
        except NegotiationError as error:
            return SessionRefused(request.session_id, error.kind.value, error.detail)
        holder = self._by_stream.get(request.stream_key)
        may_take = request.takes_over or holder is None or holder.session.is_silent(self._loop.time())
        if not may_take:
            return SessionRefused(request.session_id, "busy", BUSY)
        broadcast = Broadcast(
            accepted.session,
            _make_muxer(accepted.tracks, request.audio_bitrate),
            lambda on_event: _open_sink(request, on_event, self._egress),
            self._send,
            self._forget,
            _make_names(request),
            make_concealer(request.stream_name, parse_rtmp_url(request.stream_url)),
        )
        if holder is not None:
            # Not before everything that may be refused or go wrong. The RTMP server hears of this end first:
            # the new session publishes once its client is connected, which takes the answer at least.
            self._end_safely(holder, EndReason.REPLACED, "a new publisher took over the stream")
        self._broadcasts[request.session_id] = broadcast
        self._routes.follow(broadcast)
        self._by_stream[request.stream_key] = broadcast
        if self._tick_timer is None:
            self._tick_timer = self._loop.call_later(TICK_INTERVAL, self._tick)
        return SessionCreated(request.session_id, accepted.answer, accepted.session.ice.etag)

    def _update_ice(self, request: UpdateIce) -> Reply:
        broadcast = self._broadcasts.get(request.session_id)
        if broadcast is None:
            return UnknownSession(request.session_id)
        try:
            update = broadcast.update_ice(request.fragment, request.if_match, self._loop.time())
        except ParseError as error:
            return IceNotUpdated(request.session_id, "malformed", error.detail)
        except StaleTag as error:
            return IceNotUpdated(request.session_id, "stale", str(error))
        self._routes.follow(broadcast)
        return IceUpdated(request.session_id, update.etag, update.fragment)

    def _end(self, session_id: str, reason: EndReason) -> Reply:
        broadcast = self._broadcasts.get(session_id)
        if broadcast is None:
            return UnknownSession(session_id)
        self._end_safely(broadcast, reason)
        return self._last_words(broadcast, Ended(reason))

    def _end_safely(self, broadcast: Broadcast, reason: EndReason, detail: str = "") -> None:
        try:
            broadcast.end(reason, detail)
        except Exception:
            self._fail(broadcast)

    def _forget(self, broadcast: Broadcast, ended: Ended) -> None:
        del self._broadcasts[broadcast.session_id]
        del self._by_stream[broadcast.names.stream_key]
        self._routes.forget(broadcast)
        if ended.reason is not EndReason.DELETED:  # That one is told by the reply.
            self._post_event(self._last_words(broadcast, ended))

    def _last_words(self, broadcast: Broadcast, ended: Ended) -> SessionEnded:
        snapshot = broadcast.describe(self._loop.time())
        return SessionEnded(broadcast.session_id, ended.reason.value, ended.detail, snapshot)

    def _on_readable(self) -> None:
        now = self._loop.time()
        receive = self._socket.recvfrom
        batch: list[tuple[bytes, Address]] = []
        for _ in range(MAX_BATCH):
            try:
                batch.append(receive(MAX_DATAGRAM_BYTES))
            except BlockingIOError:
                break
            except OSError:
                continue  # An ICMP error of something sent earlier; the next call reads on.
        self._take(batch, now)

    def _receive_tcp(self, datagrams: list[bytes], addr: Address) -> None:
        self._take([(data, addr) for data in datagrams], self._loop.time())

    def _take(self, batch: list[tuple[bytes, Address]], now: float) -> None:
        find = self._routes.find
        touched: dict[Broadcast, None] = {}
        for data, addr in batch:
            broadcast = find(data, addr)
            if broadcast is None:
                continue
            try:
                broadcast.session.receive_datagram(data, addr, now)
            except Exception:
                self._fail(broadcast)
            if data[0] <= FIRST_STUN_BYTE_MAX and broadcast.session_id in self._broadcasts:
                # At once, not after the batch: DTLS often comes right behind the check.
                self._routes.learn(broadcast, addr, now)
            touched[broadcast] = None
        for broadcast in touched:
            self._pump(broadcast)

    def _pump(self, broadcast: Broadcast) -> None:
        try:
            broadcast.pump()
        except Exception:
            self._fail(broadcast)

    def _fail(self, broadcast: Broadcast) -> None:
        """A bug: one traceback, this session ends, the others never notice."""
        log.exception("session failed", session=broadcast.session_id[:8])
        if broadcast.session_id in self._broadcasts:
            with contextlib.suppress(
                Exception
            ):  # The same bug once more; everything is released all the same.
                broadcast.end(EndReason.INTERNAL_ERROR, "an error inside the server")

    def _attribute_strays(self, now: float) -> None:
        """Tell the session that packets from an unknown address may be meant for, if it can only be one."""
        strays = self.drops[DropReason.UNKNOWN_ADDRESS]
        if strays == self._strays:
            return
        self._strays = strays
        sessions = [broadcast.session for broadcast in self._broadcasts.values()]
        silent = [each for each in sessions if (each.silent_for(now) or 0.0) >= STRAY_SILENCE]
        if len(silent) == 1:
            silent[0].note_stray(now)

    def _tick(self) -> None:
        now = self._loop.time()
        self._attribute_strays(now)
        for broadcast in list(self._broadcasts.values()):
            try:
                deadline = broadcast.session.deadline(now)
                if deadline is None or deadline > now:
                    continue
                broadcast.session.handle_timeout(now)
            except Exception:
                self._fail(broadcast)
            self._pump(broadcast)
        self._tick_timer = self._loop.call_later(TICK_INTERVAL, self._tick) if self._broadcasts else None

    def _send(self, data: bytes, addr: Address) -> None:
        if len(addr) == TCP_ADDRESS_PARTS and self._tcp is not None:
            self._tcp.send(data, addr)
            return
        try:
            self._socket.sendto(data, addr)
        except OSError:
            pass  # Full buffer or unreachable: as good as lost on the way, and repeated as such.


def _make_muxer(tracks: Sequence[TrackDescription], audio_bitrate: int) -> Muxer:
    kinds = {track.kind: track for track in tracks}
    video = kinds.get("video")
    return Muxer(
        has_video=video is not None,
        make_transcoder=(lambda: Transcoder(bitrate=audio_bitrate)) if "audio" in kinds else None,
        parameter_sets=video.sprop_parameter_sets if video else (),
    )


def _make_names(request: CreateSession) -> Names:
    return Names(
        request.session_id,
        request.stream_name.partition("?")[0],
        request.stream_key,
        loggable_name(request.stream_name, request.stream_url),
    )


def _open_sink(
    request: CreateSession, on_event: Callable[[SinkEvent], None], egress: EgressPolicy
) -> SinkConnection:
    url = parse_rtmp_url(request.stream_url)
    publisher = Publisher(
        app=url.app,
        tc_url=url.tc_url,
        stream_name=request.stream_name,
        random=os.urandom,
        now=asyncio.get_running_loop().time(),
    )
    return SinkConnection(Sink(publisher), url, on_event, egress)
