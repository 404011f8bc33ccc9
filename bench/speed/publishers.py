"""N publishers in one loop: one socket each, one epoll, one agenda, no task or thread per stream.

The wait is a `select` on the epoll itself, whose timeout is exact to some 50 µs; that of epoll has whole
milliseconds. All that is done per packet is in `sender` and `protector`.
"""

import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic, process_time
from typing import Final

from pylibsrtp import Error, Session

from bench.speed.agenda import Agenda
from bench.speed.clocks import first_start
from bench.speed.connecting import Connecting
from bench.speed.material import SOUND_INTERVAL, Material
from bench.speed.protector import Protector, make_opener
from bench.speed.sender import Sender, picture_due
from bench.speed.times import Times
from bench.speed.whip import Answered, WhipRequests
from whipway.failures import ParseError
from whipway.protocol.dtls import generate_certificate

BURST_PACKETS: Final = 24
BURST_INTERVAL: Final = 0.002
"""Seconds between bursts of one picture: 100 Mbit/s, as a publisher in the same house has it."""
REPORT_INTERVAL: Final = 1.0
HANDSHAKE_INTERVAL: Final = 0.02
"""Seconds between two looks at the timers of ICE and DTLS."""
SETUP_TIMEOUT: Final = 15.0
"""Seconds for all to connect; then those that have go on alone."""
GATHER_TIMEOUT: Final = 3.0
"""Seconds for which those that are connected wait for the others before they send: a server that is full of
media would be slow to connect the rest, and one that hears nothing would end them."""
FLUSH_TIME: Final = 0.3
"""Seconds between the last picture and DELETE: what was lost may still be asked for."""
MAX_DATAGRAM_BYTES: Final = 2048
FIRST_MEDIA_BYTE: Final = 128
BARE_PROFILE: Final = "SRTP_AEAD_AES_128_GCM"
_MAX_FAILURES: Final = 8


def stream_ssrcs(stream: int, *, audio: bool) -> dict[str, int]:
    """By kind of media, in the offer's order."""
    video = {"video": 0x20000000 + stream}
    return {"audio": 0x10000000 + stream, **video} if audio else video


def bare_key(ssrc: int) -> bytes:
    """Master key and salt of a stream that nobody negotiates: 16 and 12 bytes."""
    return sha256((ssrc & 0xFFFF).to_bytes(4, "big")).digest()[:28]


@dataclass(slots=True)
class Stream:
    """One publisher."""

    number: int
    ssrcs: dict[str, int]
    connecting: Connecting | None = None
    sock: socket.socket | None = None
    sender: Sender | None = None
    session_url: str = ""
    posted_at: float = 0.0
    connected_at: float = 0.0
    is_over: bool = False


@dataclass(slots=True)
class Outcome:
    """What is not in the streams' own counts."""

    failures: list[str] = field(default_factory=list)
    failed: int = 0
    profile: str = ""
    running_at: float = 0.0
    seconds: float = 0.0
    """For which media went on, once all streams had begun."""
    cpu_seconds: float = 0.0
    """Of this process, over these."""
    late: list[float] = field(default_factory=list)
    """Seconds, of each picture over these."""


class Publishers:
    """`announce` is called when every stream that could connect sends pictures."""

    def __init__(
        self,
        count: int,
        material: Material,
        times: Times | None,
        *,
        audio: bool,
        at_once: bool = False,
        connect_only: bool = False,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        """`at_once`: each stream begins as soon as it is connected, wherever the others are. `connect_only`:
        none sends anything."""
        self.streams = [Stream(number, stream_ssrcs(number, audio=audio)) for number in range(count)]
        self.outcome = Outcome()
        self._material = material
        self._times = times
        self._announce = announce
        self._at_once = at_once or connect_only
        self._connect_only = connect_only
        self._waiting: list[tuple[Stream, Protector, Session]] = []
        """Connected, and not begun."""
        self._agenda = Agenda()
        self._epoll = select.epoll()
        self._by_fd: dict[int, Stream] = {}
        self._origin = 0.0
        self._is_stopping = False
        self._late: list[float] | None = None

    # The two ways in

    def publish(self, url: str, seconds: float, parallel: int) -> None:
        """By WHIP, to `url` with {n} in it; then media for `seconds`, and DELETE."""
        requests = WhipRequests(parallel, self._note_post)
        self._epoll.register(requests.fileno(), select.EPOLLIN)
        certificate = generate_certificate()
        for stream in self.streams:
            stream.connecting = Connecting(certificate, stream.number, stream.ssrcs, os.urandom)
            requests.post(stream.number, url.replace("{n}", str(stream.number)), stream.connecting.offer)
        try:
            self._run_until(self._have_all_begun, monotonic() + SETUP_TIMEOUT, requests)
            self._run_media(seconds, requests)
            urls = [
                stream.session_url for stream in self.streams if stream.session_url and not stream.is_over
            ]
            for failure in requests.delete_all(urls):
                self._note_failure(failure)
        finally:
            requests.close()
            self._close()

    def send_bare(self, address: tuple[str, int], seconds: float) -> None:
        """To an address, with keys that both sides know: no ICE, no DTLS, no feedback."""
        try:
            for stream in self.streams:
                self._open(stream, address)
                protector = Protector(BARE_PROFILE, bare_key(stream.ssrcs["video"]))
                self._begin(stream, protector, None)
            self._run_until(self._have_all_begun, monotonic() + SETUP_TIMEOUT)
            self._run_media(seconds)
        finally:
            self._close()

    # The loop

    def _run_media(self, seconds: float, requests: WhipRequests | None = None) -> None:
        outcome = self.outcome
        if not any(stream.sender for stream in self.streams):
            return
        self._late = outcome.late
        outcome.running_at, cpu = monotonic(), process_time()
        self._announce()
        self._run_until(self._are_all_over, outcome.running_at + seconds, requests)
        outcome.seconds = monotonic() - outcome.running_at
        outcome.cpu_seconds = process_time() - cpu
        self._is_stopping = True
        self._run_until(self._are_all_over, monotonic() + FLUSH_TIME, requests)

    def _run_until(
        self, is_done: Callable[[], bool], deadline: float, requests: WhipRequests | None = None
    ) -> None:
        agenda, epoll = self._agenda, self._epoll
        while (now := monotonic()) < deadline and not is_done():
            readable, _, _ = select.select([epoll], (), (), min(agenda.wait(now), deadline - now))
            agenda.run(monotonic)
            if not readable:
                continue
            for fd, _ in epoll.poll(0):
                stream = self._by_fd.get(fd)
                if stream is not None:
                    self._receive(stream)
                elif requests is not None:
                    for answered in requests.answers():
                        self._take_answer(answered)

    def _have_all_begun(self) -> bool:
        now = monotonic()
        return all(
            stream.is_over or (stream.sender is not None and stream.sender.started <= now)
            for stream in self.streams
        )

    def _are_all_over(self) -> bool:
        return all(stream.is_over for stream in self.streams)

    # Connecting

    def _note_post(self, stream: int, at: float) -> None:
        if self._times is not None:
            self._times.note_post(stream, at)

    def _take_answer(self, answered: Answered) -> None:
        stream = self.streams[answered.stream]
        stream.posted_at = answered.posted_at
        if answered.failure or stream.connecting is None:
            self._end(stream, answered.failure)
            return
        stream.session_url = answered.session_url
        stream.connecting.take_answer(answered.answer, monotonic())
        self._open(stream, stream.connecting.server)
        self._advance(0.0, stream)

    def _open(self, stream: Stream, address: tuple[str, int]) -> None:
        stream.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stream.sock.setblocking(False)
        stream.sock.connect(address)
        self._by_fd[stream.sock.fileno()] = stream
        self._epoll.register(stream.sock.fileno(), select.EPOLLIN)

    def _receive(self, stream: Stream) -> None:
        assert stream.sock is not None
        while not stream.is_over:
            try:
                data = stream.sock.recv(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                # Nobody listens at the other end any more.
                self._end(stream, f"recv: {error!r}")
                return
            try:
                self._take_datagram(stream, data)
            except (Error, ParseError) as error:
                self._note_failure(f"received: {error}")

    def _take_datagram(self, stream: Stream, data: bytes) -> None:
        if data[0] >= FIRST_MEDIA_BYTE:
            if stream.sender is not None:
                stream.sender.receive_rtcp(data, monotonic())
        elif stream.connecting is not None:
            stream.connecting.receive_datagram(data, monotonic())
            self._flush(stream)

    def _advance(self, _due: float, stream: Stream) -> None:
        """What ICE and DTLS do by the clock."""
        if stream.connecting is None or stream.is_over:
            return
        now = monotonic()
        stream.connecting.handle_timeout(now)
        self._flush(stream)
        # During the handshake every datagram may bring another deadline.
        deadline = stream.connecting.deadline(now) if stream.connected_at else now + HANDSHAKE_INTERVAL
        self._agenda.add(max(deadline, now + HANDSHAKE_INTERVAL), self._advance, stream)

    def _flush(self, stream: Stream) -> None:
        connecting = stream.connecting
        assert connecting is not None and stream.sock is not None
        try:
            for datagram in connecting.datagrams_to_send():
                stream.sock.send(datagram)
        except OSError as error:
            self._end(stream, f"send: {error!r}")
        if connecting.failure:
            self._end(stream, f"DTLS: {connecting.failure}")
        elif not stream.connected_at and (keys := connecting.keys) is not None:
            stream.connected_at = monotonic()
            self.outcome.profile = keys.profile
            protector = Protector(keys.profile, keys.local_key)
            self._gather(stream, protector, make_opener(keys.profile, keys.remote_key))

    def _end(self, stream: Stream, failure: str) -> None:
        if not stream.is_over:
            stream.is_over = True
            self.outcome.failed += 1
            self._note_failure(failure)
            self._begin_gathered()

    def _note_failure(self, failure: str) -> None:
        if len(self.outcome.failures) < _MAX_FAILURES:
            self.outcome.failures.append(failure)

    def _gather(self, stream: Stream, protector: Protector, opener: Session) -> None:
        """Begin when the others are connected as well, or if they are not in time."""
        if self._at_once or self._origin:
            self._begin(stream, protector, opener)
            return
        if not self._waiting:
            self._agenda.add(monotonic() + GATHER_TIMEOUT, self._begin_waiting, None)
        self._waiting.append((stream, protector, opener))
        self._begin_gathered()

    def _begin_gathered(self) -> None:
        if self._waiting and all(stream.connected_at or stream.is_over for stream in self.streams):
            self._begin_waiting(0.0, None)

    def _begin_waiting(self, _due: float, _: None) -> None:
        waiting, self._waiting = self._waiting, []
        for stream, protector, opener in waiting:
            self._begin(stream, protector, opener)

    # Media

    def _begin(self, stream: Stream, protector: Protector, opener: Session | None) -> None:
        assert stream.sock is not None
        now = monotonic()
        self._origin = self._origin or now
        start = now if self._at_once else first_start(stream.number, len(self.streams), self._origin, now)
        stream.sender = sender = Sender(
            stream.number, self._material, stream.ssrcs, protector, opener, stream.sock.send, start
        )
        if self._connect_only:
            return
        self._agenda.add(start, self._send_picture, stream)
        self._agenda.add(start + 0.01, self._send_reports, stream)
        if sender.has_sound:
            self._agenda.add(start, self._send_sound, stream)

    def _send_picture(self, due: float, stream: Stream) -> None:
        sender = stream.sender
        if sender is None or stream.is_over or self._is_stopping:
            return
        if self._late is not None:
            self._late.append(monotonic() - due)
        sender.begin_picture()
        self._agenda.add(picture_due(sender), self._send_picture, stream)
        self._send_burst(due, stream)

    def _send_burst(self, due: float, stream: Stream) -> None:
        sender = stream.sender
        if sender is None or stream.is_over:
            return
        if not sender.send_burst(BURST_PACKETS):
            self._agenda.add(due + BURST_INTERVAL, self._send_burst, stream)
        elif self._times is not None:
            self._times.note_picture(stream.number, sender.counts.pictures - 1, monotonic())

    def _send_sound(self, due: float, stream: Stream) -> None:
        if stream.sender is not None and not stream.is_over and not self._is_stopping:
            stream.sender.send_sound()
            self._agenda.add(
                stream.sender.started + stream.sender.counts.sounds * SOUND_INTERVAL, self._send_sound, stream
            )

    def _send_reports(self, due: float, stream: Stream) -> None:
        if stream.sender is not None and not stream.is_over and not self._is_stopping:
            stream.sender.send_reports(monotonic())
            self._agenda.add(due + REPORT_INTERVAL, self._send_reports, stream)

    def _close(self) -> None:
        for stream in self.streams:
            if stream.sock is not None:
                stream.sock.close()
        self._epoll.close()
