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
from whipway.protocol.sdp.answer import NegotiationError
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.relay.muxer import Muxer
from whipway.relay.quality import QualityControl
from whipway.session.acceptance import accept_offer
from whipway.session.events import Ended, EndReason
from whipway.session.ice_session import StaleTag
from whipway.worker.broadcast import Broadcast, Names
from whipway.worker.claims import Claims
from whipway.worker.messages import (
    AddSink,
    CreateSession,
    DescribeSession,
    DescribeWorker,
    EndSession,
    GetKeyframe,
    IceNotUpdated,
    IceUpdated,
    LoadMeasured,
    MetadataSent,
    RemoveSink,
    Reply,
    Request,
    RequestKeyframe,
    SelectInput,
    SendMetadata,
    SessionChanged,
    SessionCreated,
    SessionDescribed,
    SessionEnded,
    SessionRefused,
    SessionRequest,
    SetQuality,
    SinkAdded,
    SinkRefused,
    SinkRemoved,
    StopWorker,
    StreamKept,
    StreamYielded,
    UnknownSession,
    UnknownSink,
    UpdateIce,
    WorkerDescribed,
    WorkerEvent,
    WorkerStopped,
    YieldStream,
)
from whipway.worker.rounds import Rounds
from whipway.worker.routes import Routes
from whipway.worker.rules import SessionRules
from whipway.worker.sinks import SinkFactory
from whipway.worker.tcp_media import TcpMedia
from whipway.worker.totals import Totals
from whipway.worker.udp_reader import UdpReader
from whipway.worker.video_requests import control_video
from whipway.worker.vitals import Vitals

BUSY = (
    "another session has this stream: wait until it ends, DELETE its session URL,"
    ' or set session.on_conflict = "takeover"'
)
BUSY_ALREADY = "this session has a sink for that stream already: DELETE it first"
FULL = "this session has as many sinks as it is set to take"

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
        post_event: Callable[[WorkerEvent], None],
        rules: SessionRules,
        sinks: SinkFactory,
        tcp_listener: socket.socket | None = None,
    ) -> None:
        self.drops: Counter[DropReason] = Counter()
        self._socket = sock
        self._tcp = TcpMedia(tcp_listener, self._receive_tcp, self.drops) if tcp_listener else None
        transports = ("udp", "tcp") if tcp_listener else ("udp",)
        # UDP first: who looks at one candidate alone, as ffmpeg does, looks at this one.
        self._candidates = [HostCandidate(*host, transport) for transport in transports for host in announced]
        self._post_event = post_event
        self._rules = rules
        self._sinks = sinks
        self._certificate = generate_certificate()
        self._broadcasts: dict[str, Broadcast] = {}
        self._routes = Routes(self.drops, self._tcp)
        self._totals = Totals()
        self._claims = Claims(self._replace, self._fail, self._totals.add_sink)
        self._changed: set[str] = set()  # Sessions of which the gateway is to be told so.
        self._loop = asyncio.get_running_loop()
        self._rounds = Rounds(self._broadcasts, self._routes, self.drops, self._fail)
        self._vitals = Vitals(self._received_bytes, self._post_load)
        self._closed = False
        self._reader = UdpReader(sock, self._rounds.take)

    async def start(self) -> None:
        """Begin to accept TCP connections, if there is a socket for them, and to measure."""
        self._vitals.start()
        if self._tcp is not None:
            await self._tcp.start()

    def handle(self, message: Request) -> Reply:
        """Carry out one request."""
        match message:
            case CreateSession():
                return self._create(message)
            case DescribeWorker():
                return self._describe()
            case YieldStream(stream_key):
                is_free = self._claims.yield_stream(message)
                return StreamYielded(stream_key) if is_free else StreamKept(stream_key, BUSY)
            case StopWorker():
                self.close()
                return WorkerStopped()
            case _:
                broadcast = self._broadcasts.get(message.session_id)
                if broadcast is None:
                    return UnknownSession(message.session_id)
                broadcast.quiet_until = 0.0
                try:
                    return self._handle(message, broadcast)
                except Exception:
                    self._fail(broadcast)
                    return UnknownSession(message.session_id)

    def close(self) -> None:
        """End every session politely and stop. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._vitals.stop()
        for broadcast in list(self._broadcasts.values()):
            self._end_safely(broadcast, EndReason.SHUTDOWN, "the server is stopping")
        self._reader.close()
        self._socket.close()
        if self._tcp is not None:
            self._tcp.close()
        self._rounds.close()

    def _create(self, request: CreateSession) -> Reply:
        if self._closed:
            return SessionRefused(request.session_id, "draining", "the server is stopping")
        try:
            accepted = accept_offer(
                request.offer,
                certificate=self._certificate,
                candidates=self._candidates,
                timeouts=self._rules.timeouts,
                max_video=self._rules.max_video,
                random=os.urandom,
                now=self._loop.time(),
            )
        except ParseError as error:
            return SessionRefused(request.session_id, "malformed", error.detail)
        except NegotiationError as error:
            return SessionRefused(request.session_id, error.kind.value, error.detail)
        if not self._claims.may_take(request):
            return SessionRefused(request.session_id, "busy", BUSY)
        broadcast = Broadcast(
            accepted.session,
            _make_muxer(accepted.tracks, self._rules.silent_audio),
            self._sinks,
            self._send,
            self._note_change,
            self._forget,
            Names(request.session_id, request.stream_name.partition("?")[0]),
            QualityControl(self._rules.policy, self._rules.min_video_bitrate),
        )
        # After everything that may be refused or go wrong: it may end another session. The RTMP server hears
        # of that end first: this one publishes once its client is connected, which takes the answer at least.
        self._claims.add_sink(request, broadcast)
        self._broadcasts[request.session_id] = broadcast
        self._totals.sessions += 1
        self._routes.follow(broadcast)
        self._rounds.start()
        snapshot = broadcast.describe(self._loop.time())
        return SessionCreated(request.session_id, accepted.answer, accepted.session.ice.etag, snapshot)

    def _handle(self, message: SessionRequest, broadcast: Broadcast) -> Reply:
        """Carry out what is asked of one session."""
        match message:
            case AddSink():
                return self._add_sink(message, broadcast)
            case RemoveSink(session_id, sink_id):
                sink = self._claims.remove_sink(broadcast, sink_id)
                return SinkRemoved(session_id, sink) if sink else UnknownSink(session_id, sink_id)
            case SendMetadata(session_id, handler, payload):
                broadcast.send_metadata(handler, payload)
                return MetadataSent(session_id)
            case SelectInput() | SetQuality() | RequestKeyframe() | GetKeyframe():
                return control_video(message, broadcast, self._loop.time())
            case EndSession(_, reason):
                return self._end(broadcast, EndReason(reason))
            case UpdateIce():
                return self._update_ice(message, broadcast)
            case DescribeSession(session_id):
                return SessionDescribed(session_id, broadcast.describe(self._loop.time()))
            case _:
                assert_never(message)

    def _add_sink(self, request: AddSink, broadcast: Broadcast) -> Reply:
        if not broadcast.has_room:
            return SinkRefused(request.session_id, "full", FULL)
        if self._claims.has(request.stream_key, broadcast):
            return SinkRefused(request.session_id, "busy", BUSY_ALREADY)
        if not self._claims.may_take(request):
            return SinkRefused(request.session_id, "busy", BUSY)
        return SinkAdded(request.session_id, self._claims.add_sink(request, broadcast))

    def _replace(self, broadcast: Broadcast) -> None:
        self._end_safely(broadcast, EndReason.REPLACED, "a new publisher took over the stream")

    def _describe(self) -> WorkerDescribed:
        now = self._loop.time()
        living = [broadcast.describe(now) for broadcast in self._broadcasts.values()]
        return WorkerDescribed(
            {reason.value: count for reason, count in sorted(self.drops.items())},
            len(living),
            self._totals.describe(living),
            self._vitals.loop_lag,
            self._vitals.cpu_seconds,
            self._vitals.cpu_load,
            self._vitals.bitrate,
        )

    def _received_bytes(self) -> int:
        living = (track for each in self._broadcasts.values() for track in each.session.receiver.tracks)
        return self._totals.bytes_received + sum(track.bytes for track in living)

    def _post_load(self) -> None:
        self._post_event(LoadMeasured(self._vitals.cpu_load, self._vitals.bitrate))

    def _update_ice(self, request: UpdateIce, broadcast: Broadcast) -> Reply:
        try:
            update = broadcast.update_ice(request.fragment, request.if_match, self._loop.time())
        except ParseError as error:
            return IceNotUpdated(request.session_id, "malformed", error.detail)
        except StaleTag as error:
            return IceNotUpdated(request.session_id, "stale", str(error))
        self._routes.follow(broadcast)
        return IceUpdated(request.session_id, update.etag, update.fragment)

    def _end(self, broadcast: Broadcast, reason: EndReason) -> Reply:
        self._end_safely(broadcast, reason)
        return self._last_words(broadcast, Ended(reason))

    def _end_safely(self, broadcast: Broadcast, reason: EndReason, detail: str = "") -> None:
        try:
            broadcast.end(reason, detail)
        except Exception:
            self._fail(broadcast)

    def _forget(self, broadcast: Broadcast, ended: Ended) -> None:
        del self._broadcasts[broadcast.session_id]
        self._claims.forget(broadcast)
        self._routes.forget(broadcast)
        last_words = self._last_words(broadcast, ended)
        self._totals.add_session(last_words.snapshot)
        if ended.reason is not EndReason.DELETED:  # That one is told by the reply.
            self._post_event(last_words)

    def _note_change(self, broadcast: Broadcast) -> None:
        if not self._changed:
            # One event for all that happens in this turn.
            self._loop.call_soon(self._post_changes)
        self._changed.add(broadcast.session_id)

    def _post_changes(self) -> None:
        for session_id in self._changed & self._broadcasts.keys():
            self._post_event(SessionChanged(session_id, *self._broadcasts[session_id].standing()))
        self._changed.clear()

    def _last_words(self, broadcast: Broadcast, ended: Ended) -> SessionEnded:
        snapshot = broadcast.describe(self._loop.time())
        return SessionEnded(broadcast.session_id, ended.reason.value, ended.detail, snapshot)

    def _receive_tcp(self, datagrams: list[bytes], addr: Address) -> None:
        self._rounds.take([(data, addr) for data in datagrams], self._loop.time())

    def _fail(self, broadcast: Broadcast) -> None:
        """A bug: one traceback, this session ends, the others never notice."""
        log.exception("session failed", session=broadcast.session_id[:8])
        if broadcast.session_id in self._broadcasts:
            with contextlib.suppress(
                Exception
            ):  # The same bug once more; everything is released all the same.
                broadcast.end(EndReason.INTERNAL_ERROR, "an error inside the server")

    def _send(self, data: bytes, addr: Address) -> None:
        if len(addr) == TCP_ADDRESS_PARTS and self._tcp is not None:
            self._tcp.send(data, addr)
            return
        try:
            self._socket.sendto(data, addr)
        except OSError:
            pass  # Full buffer or unreachable: as good as lost on the way, and repeated as such.


def _make_muxer(tracks: Sequence[TrackDescription], silent_audio: bool) -> Muxer:
    # Of several inputs the first, which goes on air first: a cut to another one brings its sets along.
    kinds = {track.kind: track for track in reversed(tracks)}
    video = kinds.get("video")
    return Muxer(
        has_video=video is not None,
        has_audio="audio" in kinds,
        make_transcoder=lambda bitrate: Transcoder(bitrate=bitrate),
        silent_audio=silent_audio,
        parameter_sets=video.sprop_parameter_sets if video else (),
    )
