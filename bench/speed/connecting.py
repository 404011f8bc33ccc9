"""The client of one WHIP session up to its SRTP keys, sans-IO: offer, ICE checks, DTLS.

One candidate pair, nominated by the first check. Wire formats and DTLS are the server's own modules, as in
the clients of the tests; nothing here runs while media flow, but a check for consent every few seconds.
"""

from collections.abc import Callable
from typing import Final

from bench.speed.protector import TRANSPORT_ID
from whipway.protocol.dtls import Certificate, DtlsConnected, DtlsFailed, DtlsTransport, Fingerprint
from whipway.protocol.stun import BINDING, Attribute, Message, MessageClass

VIDEO_PAYLOAD_TYPE: Final = 102
AUDIO_PAYLOAD_TYPE: Final = 111
CHECK_INTERVAL: Final = 0.25
"""Seconds between checks until one is answered."""
CONSENT_INTERVAL: Final = 4.0
"""Seconds between checks after that (RFC 7675, 5.1: about five)."""
_PRIORITY: Final = (2130706431).to_bytes(4, "big")
_TRANSPORT_URI: Final = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
_PASSWORD: Final = "a+password+of+this+side"  # noqa: S105
_MAX_STUN_BYTE, _MAX_DTLS_BYTE = 3, 63
_AUDIO: Final = (
    f"rtpmap:{AUDIO_PAYLOAD_TYPE} opus/48000/2",
    f"fmtp:{AUDIO_PAYLOAD_TYPE} minptime=10;stereo=1;sprop-stereo=1;useinbandfec=1",
)
_VIDEO: Final = (
    f"rtpmap:{VIDEO_PAYLOAD_TYPE} H264/90000",
    f"rtcp-fb:{VIDEO_PAYLOAD_TYPE} nack",
    f"rtcp-fb:{VIDEO_PAYLOAD_TYPE} nack pli",
    f"rtcp-fb:{VIDEO_PAYLOAD_TYPE} ccm fir",
    f"fmtp:{VIDEO_PAYLOAD_TYPE} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
)
_MEDIA: Final = {"audio": (AUDIO_PAYLOAD_TYPE, _AUDIO), "video": (VIDEO_PAYLOAD_TYPE, _VIDEO)}


class Connecting:
    """`ssrcs` has one for each kind of media that is offered: "audio", "video"."""

    def __init__(
        self, certificate: Certificate, number: int, ssrcs: dict[str, int], random: Callable[[int], bytes]
    ) -> None:
        self._certificate = certificate
        self._ufrag = f"p{number:05}"
        self._ssrcs = ssrcs
        self._random = random
        self._username = b""
        self._key = b""
        self._dtls: DtlsTransport | None = None
        self._datagrams: list[bytes] = []
        self._is_checked = False
        self._check_at = 0.0
        self.server = ("", 0)
        self.keys: DtlsConnected | None = None
        """Once connected."""
        self.failure = ""

    @property
    def offer(self) -> str:
        """The body of the POST."""
        lines = [
            *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"),
            f"a=group:BUNDLE {' '.join(self._ssrcs)}",
        ]
        for kind, ssrc in self._ssrcs.items():
            payload_type, codec = _MEDIA[kind]
            lines += [f"m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}", "c=IN IP4 0.0.0.0"]
            attributes = [
                *(f"mid:{kind}", "sendonly", "rtcp-mux", "rtcp-rsize", "setup:actpass"),
                *(f"ice-ufrag:{self._ufrag}", f"ice-pwd:{_PASSWORD}"),
                f"fingerprint:sha-256 {self._certificate.fingerprint}",
                f"extmap:{TRANSPORT_ID} {_TRANSPORT_URI}",
                *codec,
                f"rtcp-fb:{payload_type} transport-cc",
                f"ssrc:{ssrc} cname:bench",
            ]
            lines += [f"a={attribute}" for attribute in attributes]
        return "".join(f"{line}\r\n" for line in lines)

    def take_answer(self, answer: str, now: float) -> None:
        """Learn where the server is, and check at once."""
        lines = answer.splitlines()
        values = dict(line[2:].split(":", 1) for line in lines if line.startswith("a=") and ":" in line)
        candidates = [line.split() for line in lines if line.startswith("a=candidate:")]
        candidate = next(each for each in candidates if each[2].lower() == "udp")
        self.server = (candidate[4], int(candidate[5]))
        self._username = f"{values['ice-ufrag']}:{self._ufrag}".encode()
        self._key = values["ice-pwd"].encode()
        algorithm, digest = values["fingerprint"].split()
        self._dtls = DtlsTransport(
            self._certificate,
            is_client=values["setup"] == "passive",
            fingerprints=[Fingerprint(algorithm, bytes.fromhex(digest.replace(":", "")))],
        )
        self._check_at = now

    def receive_datagram(self, data: bytes, now: float) -> None:
        """A STUN response or a DTLS record."""
        assert self._dtls is not None
        if data[0] <= _MAX_STUN_BYTE:
            if not self._is_checked:
                self._is_checked = True
                self._check_at = now + CONSENT_INTERVAL
                self._dtls.start(now)
        elif data[0] <= _MAX_DTLS_BYTE:
            self._dtls.receive_datagram(data)
            self._take_events(self._dtls)

    def handle_timeout(self, now: float) -> None:
        """Check, and repeat what DTLS wants to."""
        if now >= self._check_at:
            self._datagrams.append(self._check())
            self._check_at = now + (CONSENT_INTERVAL if self._is_checked else CHECK_INTERVAL)
        if self._dtls is not None and (at := self._dtls.deadline(now)) is not None and at <= now:
            self._dtls.handle_timeout(now)
            self._take_events(self._dtls)

    def deadline(self, now: float) -> float:
        """When `handle_timeout` is wanted."""
        at = self._dtls.deadline(now) if self._dtls is not None else None
        return self._check_at if at is None else min(at, self._check_at)

    def datagrams_to_send(self) -> list[bytes]:
        """All of them to `server`."""
        datagrams, self._datagrams = self._datagrams, []
        # A Finished goes before the media that it permits.
        return (self._dtls.datagrams_to_send() if self._dtls is not None else []) + datagrams

    def _check(self) -> bytes:
        attributes: dict[int, bytes] = {
            Attribute.USERNAME: self._username,
            Attribute.PRIORITY: _PRIORITY,
            Attribute.ICE_CONTROLLING: bytes(8),
            Attribute.USE_CANDIDATE: b"",
        }
        return Message(MessageClass.REQUEST, BINDING, self._random(12), attributes).serialize(self._key)

    def _take_events(self, dtls: DtlsTransport) -> None:
        for event in dtls.events():
            if isinstance(event, DtlsConnected):
                self.keys = event
            else:
                self.failure = event.reason if isinstance(event, DtlsFailed) else "closed by the server"
