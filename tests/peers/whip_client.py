"""A WHIP client in small, sans-IO: offer, ICE checks, DTLS, SRTP, and whatever a test wants to have sent.

It has the verbs of the machines it talks to; `addr` in what it sends is where the server is, `address` is
where itself is seen. It is a full ICE agent with one candidate pair, which it nominates at once, and a
sender of H.264 and Opus that sends what it is told when it is told. What the server's RTCP says is recorded
in `received`. Taken from the project itself are only STUN, DTLS, SRTP and the packet formats.

What a browser's sender does beyond that is switched on by fields: it repairs what NACK asks for (`repair`),
numbers all its packets for transport-wide feedback, and answers reference times. It also restarts ICE
(`restart`, `take_restart`): media go on over the old path until a check on the new one was answered.
"""

from dataclasses import dataclass, field
from random import Random

from tests.peers.h264 import packetize
from tests.peers.retransmission import (
    HISTORY_PACKETS,
    History,
    Nack,
    ReferenceTime,
    read_nacks,
    read_reference_times,
    write_delays,
)

from whipway.protocol.dtls import (
    Certificate,
    DtlsConnected,
    DtlsEvent,
    DtlsTransport,
    Fingerprint,
    generate_certificate,
)
from whipway.protocol.ice import Address
from whipway.protocol.rtcp.feedback import FullIntraRequest, PictureLossIndication
from whipway.protocol.rtcp.packets import (
    Goodbye,
    ReceiverReport,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    parse_compound,
    seconds_to_ntp,
)
from whipway.protocol.rtp.packet import ONE_BYTE_PROFILE, Packet, serialize_packet
from whipway.protocol.srtp import SrtpSession
from whipway.protocol.stun import BINDING, Attribute, Message, MessageClass, parse_message, verify_integrity

CERTIFICATE = generate_certificate()
HOST_PRIORITY = 2130706431
CHECK_INTERVAL = 0.5
"""Seconds between checks until one is answered."""
CONSENT_INTERVAL = 5.0
"""Seconds between checks after that (RFC 7675, section 5.1)."""
WALLCLOCK = 3_900_000_000.0
"""NTP seconds at the sender's second 0."""
MID_EXTENSION_ID = 4
TRANSPORT_EXTENSION_ID = 3
TRANSPORT_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
RTX_PAYLOAD_TYPE = 103
REPORT_EPOCH_MASK = 0xFFFFFFFF
"""LSR and DLSR are 32 bits of 1/65536 s (RFC 3550, 6.4.1)."""

SPS = bytes.fromhex("6742c00bd9014184")
PPS = bytes.fromhex("68cb83cb20")

_CODECS = {
    "audio": ("111", ["rtpmap:111 opus/48000/2", "fmtp:111 minptime=10;useinbandfec=1"]),
    "video": (
        "102",
        [
            "rtpmap:102 H264/90000",
            "rtcp-fb:102 nack pli",
            "fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ],
    ),
}
_CLOCK_RATES = {"audio": 48_000, "video": 90_000}
_ROLES = {"active": "passive", "passive": "active"}


def media_kind(mid: str) -> str:
    """ "video" of "video2"."""
    return mid.rstrip("0123456789")


def picture(index: int, *, keyframe: bool, size: int = 2500) -> list[bytes]:
    """An access unit unlike every other: one slice of `size` bytes, with parameter sets if it is an IDR."""
    header = bytes((0x65 if keyframe else 0x41, 0x88)) + index.to_bytes(4, "big")
    body = Random(index).randbytes(size - len(header)).replace(b"\0", b"\1")
    return [SPS, PPS, header + body] if keyframe else [header + body]


def sound(index: int) -> bytes:
    """An Opus packet unlike every other: one CELT frame of 20 ms."""
    return bytes((31 << 3 | 4,)) + index.to_bytes(4, "big") + bytes(80)


@dataclass
class Source:
    """One track as it is sent."""

    mid: str
    payload_type: int
    clock_rate: int
    ssrc: int
    sequence: int
    start: int
    """RTP timestamp of the sender's second 0."""
    extension: bytes = b""
    rtx: "Source | None" = None
    """The source that repeats packets of this one (RFC 4588)."""
    packets: int = 0
    octets: int = 0

    def timestamp(self, at: float) -> int:
        """RTP timestamp of what was captured at the sender's second `at`."""
        return (self.start + round(at * self.clock_rate)) & 0xFFFFFFFF


@dataclass
class Restart:
    """Credentials that no check was answered for yet."""

    ufrag: str
    pwd: str
    username: bytes = b""
    key: bytes = b""
    next_check: float | None = None


@dataclass
class WhipClient:
    """`kinds` are the media descriptions in their order, several of a kind numbered ("video", "video2"), and
    their mids. `setup` is the offer's `a=setup`.
    """

    kinds: tuple[str, ...] = ("audio", "video")
    setup: str = "actpass"
    announces_ssrcs: bool = True
    names_mids: bool = True
    certificate: Certificate = CERTIFICATE
    fingerprint: str = ""
    """What the offer says; by default the truth."""
    checks: bool = True
    """Whether ICE checks are sent."""
    speaks_dtls: bool = True
    seed: int = 1
    address: Address = ("192.0.2.7", 40_000)
    transport: str = "udp"
    """Of the server's candidate that is used."""
    repair: str = "none"
    """What NACK is offered for video and how it is answered: "rtx" (on an SSRC of its own), "same" (the very
    same packet once more), "ignored" (offered, and never answered), "none" (not offered)."""
    history: int = HISTORY_PACKETS
    """How many packets are kept to be sent again."""
    ignores_hasty: bool = True
    """Does not repeat a packet that it repeated less than a round trip ago."""
    transport_cc: bool = False
    """Numbers its packets across all sources, and offers feedback on them."""
    remb: bool = False
    """Offers to be told a bitrate."""
    answers_reference_times: bool = False
    """Its reports answer those of the server that ask for the round trip (RFC 3611, 4.4 and 4.5)."""
    received: list[tuple[float, RtcpPacket]] = field(default_factory=list)
    """Each RTCP packet that came, with its time."""
    nacks: list[Nack] = field(default_factory=list)
    """Each NACK that came, one for each datagram and source."""
    requests: list[float] = field(default_factory=list)
    """When a key frame was asked for."""
    repeated: list[tuple[float, int]] = field(default_factory=list)
    """When a packet was sent again, and its sequence number."""

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self.ufrag, self.pwd = "peer", "a+password+of+this+side"
        self.sources = {kind: self._make_source(kind) for kind in self.kinds}
        if self.repair == "rtx" and "video" in self.sources:
            self.sources["video"].rtx = self._make_rtx(self.sources["video"])
        self.server: Address = ("", 0)
        self.srtp: SrtpSession | None = None
        self.round_trip = 0.0
        """Seconds, by the server's last report."""
        self._now = 0.0
        self._sent = History(self.history)
        self._transport_sequence = 0xFFFF - 500
        self._reference_times: dict[int, ReferenceTime] = {}
        self.next_address: Address | None = None
        """Where checks come from while ICE restarts, and everything after that; None: where it always was."""
        self.old_address: Address | None = None
        self.pending: Restart | None = None
        self._restarts = 0
        self._keys: list[bytes] = []
        self._checks: list[bytes] = []
        self._is_checked = False
        self._next_check: float | None = None
        self._datagrams: list[bytes] = []
        self._events: list[DtlsEvent] = []

    def _make_source(self, kind: str) -> Source:
        extension = (
            bytes((MID_EXTENSION_ID << 4 | len(kind) - 1,)) + kind.encode() if self.names_mids else b""
        )
        return Source(
            mid=kind,
            payload_type=int(_CODECS[media_kind(kind)][0]),
            clock_rate=_CLOCK_RATES[media_kind(kind)],
            ssrc=self._random.getrandbits(32),
            # Wraps within the first minute, so that every longer test has a wrap.
            sequence=0xFFFF - self._random.randrange(1000),
            start=0xFFFFFFFF - self._random.randrange(_CLOCK_RATES[media_kind(kind)] * 20),
            extension=extension,
        )

    def _make_rtx(self, source: Source) -> Source:
        return Source(
            mid=source.mid,
            payload_type=RTX_PAYLOAD_TYPE,
            clock_rate=source.clock_rate,
            ssrc=self._random.getrandbits(32),
            # Wraps among the first repetitions.
            sequence=0xFFFF - 5,
            start=source.start,
            extension=source.extension,
        )

    # Signalling

    @property
    def offer(self) -> str:
        """The offer's body."""
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(self.kinds)}"]
        for kind, source in self.sources.items():
            formats, attributes = _CODECS[media_kind(kind)]
            if source.rtx:
                formats = f"{formats} {RTX_PAYLOAD_TYPE}"
            lines += [f"m={media_kind(kind)} 9 UDP/TLS/RTP/SAVPF {formats}", "c=IN IP4 0.0.0.0"]
            attributes = [
                f"mid:{source.mid}",
                "sendonly",
                "rtcp-mux",
                f"setup:{self.setup}",
                f"ice-ufrag:{self.ufrag}",
                f"ice-pwd:{self.pwd}",
                f"fingerprint:sha-256 {self.fingerprint or self.certificate.fingerprint}",
                *attributes,
                *self._feedback_attributes(kind, source),
            ]
            if self.names_mids:
                attributes.append(f"extmap:{MID_EXTENSION_ID} urn:ietf:params:rtp-hdrext:sdes:mid")
            if self.announces_ssrcs:
                attributes += self._ssrc_attributes(source)
            lines += [f"a={attribute}" for attribute in attributes]
        return "".join(f"{line}\r\n" for line in lines)

    def _feedback_attributes(self, kind: str, source: Source) -> list[str]:
        """What is offered beyond PLI."""
        attributes = []
        if media_kind(kind) == "video" and self.repair != "none":
            attributes.append(f"rtcp-fb:{source.payload_type} nack")
        if source.rtx:
            attributes += [
                f"rtpmap:{RTX_PAYLOAD_TYPE} rtx/{source.clock_rate}",
                f"fmtp:{RTX_PAYLOAD_TYPE} apt={source.payload_type}",
            ]
        if media_kind(kind) == "video" and self.remb:
            attributes.append(f"rtcp-fb:{source.payload_type} goog-remb")
        if self.transport_cc:
            attributes += [
                f"rtcp-fb:{source.payload_type} transport-cc",
                f"extmap:{TRANSPORT_EXTENSION_ID} {TRANSPORT_URI}",
            ]
        return attributes

    def _ssrc_attributes(self, source: Source) -> list[str]:
        attributes = [f"ssrc:{source.ssrc} cname:peer"]
        if source.rtx:
            attributes.insert(0, f"ssrc-group:FID {source.ssrc} {source.rtx.ssrc}")
            attributes.append(f"ssrc:{source.rtx.ssrc} cname:peer")
        return attributes

    def take_answer(self, answer: str, now: float) -> None:
        """Learn where the server is and begin to check."""
        values = _attributes(answer)
        self._username = f"{values['ice-ufrag']}:{self.ufrag}".encode()
        self._key = values["ice-pwd"].encode()
        self._keys = [self._key]
        candidates = [line.split() for line in answer.splitlines() if line.startswith("a=candidate:")]
        candidate = next(each for each in candidates if each[2] == self.transport)
        self.server = (candidate[4], int(candidate[5]))
        algorithm, digest = values["fingerprint"].split()
        self._dtls = DtlsTransport(
            self.certificate,
            is_client=_ROLES[values["setup"]] == "active",
            fingerprints=[Fingerprint(algorithm, bytes.fromhex(digest.replace(":", "")))],
        )
        self._next_check = now if self.checks else None

    def trickle(self, *candidates: str) -> str:
        """The fragment that tells of these candidates, in the words of `a=candidate`."""
        return self._fragment(self.ufrag, self.pwd, candidates)

    def restart(self, *candidates: str) -> str:
        """New credentials, and the fragment that restarts ICE with them. An earlier restart is given up."""
        self._restarts += 1
        self.pending = Restart(f"peer{self._restarts}", f"a+password+of+restart+{self._restarts}")
        return self._fragment(self.pending.ufrag, self.pending.pwd, candidates)

    def take_restart(self, fragment: str, now: float) -> None:
        """Learn the server's new credentials, and begin to check from `next_address`."""
        assert self.pending is not None
        values = _attributes(fragment)
        self.pending.username = f"{values['ice-ufrag']}:{self.pending.ufrag}".encode()
        self.pending.key = values["ice-pwd"].encode()
        self._keys.append(self.pending.key)
        self.pending.next_check = now if self.checks else None

    def _fragment(self, ufrag: str, pwd: str, candidates: tuple[str, ...]) -> str:
        lines = [
            "a=ice-options:trickle ice2",
            f"a=group:BUNDLE {' '.join(self.kinds)}",
            f"m={media_kind(self.kinds[0])} 9 UDP/TLS/RTP/SAVPF 0",
            f"a=mid:{self.kinds[0]}",
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{pwd}",
            *(f"a=candidate:{candidate}" for candidate in candidates),
            "a=end-of-candidates",
        ]
        return "".join(f"{line}\r\n" for line in lines)

    # The verbs

    def receive_datagram(self, data: bytes, addr: Address, now: float) -> None:
        """Take what came from the server."""
        assert addr == self.server
        self._now = now
        if data[0] < 4:
            self._take_response(data, now)
        elif data[0] < 64:
            if self.speaks_dtls:
                self._dtls.receive_datagram(data)
                self._take_dtls_events()
        else:
            assert self.srtp is not None
            self._take_feedback(self.srtp.unprotect_rtcp(data), now)

    def handle_timeout(self, now: float) -> None:
        """Check, and repeat what DTLS wants to."""
        self._now = now
        if self._next_check is not None and self._next_check <= now:
            self.check(now)
        if (pending := self.pending) is not None and pending.next_check is not None:
            if pending.next_check <= now:
                self._checks.append(self.stun(pending.username, pending.key))
                pending.next_check = now + CHECK_INTERVAL
        if self.speaks_dtls and (at := self._dtls.deadline(now)) is not None and at <= now:
            self._dtls.handle_timeout(now)
            self._take_dtls_events()

    def deadline(self, now: float) -> float | None:
        """When `handle_timeout` is wanted."""
        wanted = [self._next_check, self._dtls.deadline(now) if self.speaks_dtls else None]
        if self.pending is not None:
            wanted.append(self.pending.next_check)
        return min((at for at in wanted if at is not None), default=None)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """What to send, all of it to the server."""
        datagrams, self._datagrams = self._datagrams, []
        # DTLS first: a Finished goes before the media that it permits.
        handshake = self._dtls.datagrams_to_send() if self.speaks_dtls else []
        return [(data, self.server) for data in handshake + datagrams]

    def checks_to_send(self) -> list[tuple[bytes, Address]]:
        """Checks with the credentials of a restart, and where they come from."""
        checks, self._checks = self._checks, []
        return [(data, self.next_address or self.address) for data in checks]

    def events(self) -> list[DtlsEvent]:
        """What became of DTLS since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Send close_notify."""
        self._dtls.close()

    # ICE and DTLS

    def check(self, now: float) -> None:
        """Send a connectivity check, and the next one when it is time."""
        self._datagrams.append(self.stun())
        self._next_check = now + (CONSENT_INTERVAL if self._is_checked else CHECK_INTERVAL)

    def stun(
        self, username: bytes | None = None, key: bytes | None = None, *, nominates: bool = True
    ) -> bytes:
        """A check; by default one that nominates, with the right credentials."""
        attributes: dict[int, bytes] = {
            Attribute.USERNAME: self._username if username is None else username,
            Attribute.PRIORITY: HOST_PRIORITY.to_bytes(4, "big"),
            Attribute.ICE_CONTROLLING: bytes(8),
        }
        if nominates:
            attributes[Attribute.USE_CANDIDATE] = b""
        message = Message(MessageClass.REQUEST, BINDING, self._random.randbytes(12), attributes)
        return message.serialize(self._key if key is None else key)

    def _take_response(self, data: bytes, now: float) -> None:
        assert parse_message(data).message_class is MessageClass.SUCCESS
        [key] = [key for key in self._keys if verify_integrity(data, key)]
        if self.pending is not None and key == self.pending.key:
            self._finish_restart(self.pending)
        elif key != self._key:
            return
        if not self._is_checked:
            self._is_checked = True
            self._next_check = now + CONSENT_INTERVAL
            if self.speaks_dtls:
                self._dtls.start(now)

    def _finish_restart(self, restart: Restart) -> None:
        self.old_address, self.address = self.address, self.next_address or self.address
        self.next_address = self.pending = None
        self.ufrag, self.pwd = restart.ufrag, restart.pwd
        self._username, self._key = restart.username, restart.key
        if self._next_check is not None:
            self._next_check = self._now + CONSENT_INTERVAL

    def _take_dtls_events(self) -> None:
        for event in self._dtls.events():
            self._events.append(event)
            if isinstance(event, DtlsConnected):
                self.srtp = SrtpSession(event.profile, event.local_key, event.remote_key)

    # Feedback

    def _take_feedback(self, data: bytes, now: float) -> None:
        for packet in parse_compound(data, feedback=True):
            self.received.append((now, packet))
            match packet:
                case PictureLossIndication() | FullIntraRequest():
                    self.requests.append(now)
                case ReceiverReport(_, reports):
                    self._measure_round_trip([(each[5], each[6]) for each in reports if each[5]], now)
        for time in read_reference_times(data, now):
            self._reference_times[time.ssrc] = time
        for nack in read_nacks(data, now):
            self.nacks.append(nack)
            if self.repair in ("rtx", "same"):
                self._answer(nack)

    def _measure_round_trip(self, times: list[tuple[int, int]], now: float) -> None:
        """RFC 3550, 6.4.1: now less the report's way (DLSR) less the time of our report (LSR)."""
        middle = seconds_to_ntp(WALLCLOCK + now) >> 16
        for last_report, delay in times:
            # A report is stamped with the time of the show, which may be a little ahead of the network's.
            elapsed = (middle - last_report - delay) & REPORT_EPOCH_MASK
            self.round_trip = elapsed / 65536 if elapsed < 1 << 31 else 0.0

    def _answer(self, nack: Nack) -> None:
        round_trip = self.round_trip if self.ignores_hasty else 0.0
        for number in nack.numbers:
            sent = self._sent.take(nack.ssrc, number, nack.at, round_trip=round_trip)
            if sent is not None:
                self._repeat(sent.packet, sent.datagram)

    def repeat(self, kind: str, number: int) -> None:
        """Send a packet of a track again that nobody asked for; `number` is its sequence number."""
        sent = self._sent.packets[self.sources[kind].ssrc, number & 0xFFFF]
        self._repeat(sent.packet, sent.datagram)

    def _repeat(self, packet: Packet, datagram: bytes) -> None:
        self.repeated.append((self._now, packet.sequence_number))
        if self.repair == "rtx":
            # RFC 4588, 4: the original sequence number goes before the payload.
            payload = packet.sequence_number.to_bytes(2, "big") + packet.payload
            self.send_rtx(payload, timestamp=packet.timestamp, marker=packet.marker)
        else:
            self._datagrams.append(datagram)

    def send_rtx(self, payload: bytes, *, padding: int = 0, **changes: object) -> None:
        """Send a packet on the source that repeats video; an empty payload with padding probes the path."""
        rtx = self.sources["video"].rtx
        assert rtx is not None
        self.send_rtp(serialize_packet(self._next(rtx, payload, 0.0)._replace(**changes), padding))  # type: ignore[arg-type]

    # Media. `at` is in seconds of the sender's clock: when it was captured.

    def send_picture(self, nals: list[bytes], at: float, kind: str = "video") -> None:
        """Send an access unit of a track."""
        payloads = packetize(nals)
        for index, payload in enumerate(payloads):
            self.send(kind, payload, at, marker=index == len(payloads) - 1)

    def send(self, kind: str, payload: bytes, at: float, *, padding: int = 0, **changes: object) -> None:
        """Send an RTP packet of a track; `changes` are to the fields of `Packet`."""
        packet = self.packet(kind, payload, at, **changes)
        self.send_rtp(serialize_packet(packet, padding))
        if self.repair != "none":
            self._sent.add(packet, self._datagrams[-1], self._now)

    def packet(self, kind: str, payload: bytes, at: float, **changes: object) -> Packet:
        """The next packet of a track."""
        return self._next(self.sources[kind], payload, at)._replace(**changes)  # type: ignore[arg-type]

    def _next(self, source: Source, payload: bytes, at: float) -> Packet:
        extension = source.extension
        if self.transport_cc:
            number = (self._transport_sequence & 0xFFFF).to_bytes(2, "big")
            extension += bytes((TRANSPORT_EXTENSION_ID << 4 | 1,)) + number
            self._transport_sequence += 1
        profile = ONE_BYTE_PROFILE if extension else 0
        packet = Packet(
            payload_type=source.payload_type,
            marker=False,
            sequence_number=source.sequence & 0xFFFF,
            timestamp=source.timestamp(at),
            ssrc=source.ssrc,
            payload=payload,
            extension=extension,
            profile=profile,
        )
        source.sequence += 1
        source.packets += 1
        source.octets += len(payload)
        return packet

    def send_rtp(self, data: bytes) -> None:
        """Send these bytes as SRTP."""
        assert self.srtp is not None
        self._datagrams.append(self.srtp.protect_rtp(data))

    def send_rtcp(self, data: bytes) -> None:
        """Send these bytes as SRTCP."""
        assert self.srtp is not None
        self._datagrams.append(self.srtp.protect_rtcp(data))

    def send_reports(self, at: float) -> None:
        """Send a sender report for each track, and what is owed to the server's own."""
        for source in self.sources.values():
            ntp = seconds_to_ntp(WALLCLOCK + at)
            report = SenderReport(source.ssrc, ntp, source.timestamp(at), source.packets, source.octets)
            self.send_rtcp(report.serialize() + SourceDescription(((source.ssrc, "peer"),)).serialize())
        if self.answers_reference_times and self._reference_times:
            ssrc = next(iter(self.sources.values())).ssrc
            times = list(self._reference_times.values())
            self.send_rtcp(ReceiverReport(ssrc).serialize() + write_delays(ssrc, times, at))
            self._reference_times = {}

    def send_goodbye(self, *kinds: str) -> None:
        """Send BYE for some tracks, by default for all."""
        ssrcs = tuple(self.sources[kind].ssrc for kind in kinds or self.kinds)
        self.send_rtcp(Goodbye(ssrcs, "done").serialize())


def _attributes(text: str) -> dict[str, str]:
    """Attributes with a value, of each name the last one."""
    return dict(line[2:].split(":", 1) for line in text.splitlines() if line.startswith("a=") and ":" in line)
