"""The publishing end of an RTMP connection (RTMP 1.0, section 7.2; FCPublish and its kin by use).

A `Publisher` is a stream machine: bytes, time and end of connection in, bytes and events out. It opens

    C0 C1 ──► S0 S1 S2 ──► C2, connect ──► _result ──► releaseStream, FCPublish, createStream
          ──► _result ──► publish ──► onStatus NetStream.Publish.Start: media may be sent

and from then on is told data, audio and video as bodies of RTMP messages. A server that refuses, misbehaves,
is silent or goes away yields one `Failed`; whether to try again is decided by the owner. A server that asks
for a user name and password wants another connection for each answer: `authentication` knows what to say.

Left out: AMF3, redirects. Enhanced RTMP's `fourCcList` is not sent unless the owner adds it: it lists what a
client can receive, which for a publisher is nothing, and some servers refuse what they do not know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final, TypeAlias

from whipway.failures import ParseError
from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.amf0 import Value
from whipway.protocol.rtmp.authentication import Authenticator, is_about_authentication
from whipway.protocol.rtmp.handshake import ClientHandshake
from whipway.protocol.rtmp.link import COMMAND_MAX_BYTES, OUT_CHUNK_SIZE, WINDOW_BYTES, Link
from whipway.protocol.rtmp.messages import Command, Message, MessageType

STEP_TIMEOUT = 10.0
"""Seconds for each answer of the server before it publishes; a webhook behind it may need a few."""
FLASH_VERSION: Final = "FMLE/3.0 (compatible; Whipway)"
"""Servers know publishers by "FMLE/"."""

_AUDIO_CODECS: Final = 0x0400
"""SUPPORT_SND_AAC (section 7.2.1.1)."""
_VIDEO_CODECS: Final = 0x0080
"""SUPPORT_VID_H264."""
_CONNECT: Final = 1
_RELEASE_STREAM: Final = 2
_FC_PUBLISH: Final = 3
_CREATE_STREAM: Final = 4
_PUBLISH: Final = 5
"""Transaction ids, in the order of sending."""


class FailureReason(StrEnum):
    """Why a publisher came to its end. The value is for snapshots and the API."""

    REFUSED = "refused"
    BAD_NAME = "bad_name"
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    CLOSED_BY_PEER = "closed_by_peer"
    CLOSED_EARLY = "closed_early"
    """Closed before it took media: that is how some servers say no."""
    CHALLENGED = "challenged"
    """Connect again with the same `Authenticator`, which knows now what the server wants to hear."""
    UNAUTHORIZED = "unauthorized"
    """The user name or password is wrong or missing: trying again will not help."""


_FAILURES: Final[dict[str, FailureReason]] = {
    "NetStream.Publish.BadName": FailureReason.BAD_NAME,
    "NetStream.Unpublish.Success": FailureReason.CLOSED_BY_PEER,
    "NetConnection.Connect.Closed": FailureReason.CLOSED_BY_PEER,
    "NetConnection.Connect.AppShutdown": FailureReason.CLOSED_BY_PEER,
    "NetConnection.Connect.Rejected": FailureReason.REFUSED,
    "NetConnection.Connect.InvalidApp": FailureReason.REFUSED,
    "NetStream.Publish.Denied": FailureReason.REFUSED,
}
"""Status codes that end it whatever their level. Others do when their level is "error"."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """The server takes media from now on."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection is of no use any more: write what is left, close it. `detail` is for people."""

    reason: FailureReason
    detail: str


Event: TypeAlias = Publishing | Failed


class State(Enum):
    """What a publisher waits for."""

    HANDSHAKING = auto()
    CONNECTING = auto()
    CREATING_STREAM = auto()
    REQUESTING = auto()
    PUBLISHING = auto()
    FAILED = auto()
    CLOSED = auto()


_TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.HANDSHAKING: frozenset({State.CONNECTING, State.FAILED, State.CLOSED}),
    State.CONNECTING: frozenset({State.CREATING_STREAM, State.FAILED, State.CLOSED}),
    State.CREATING_STREAM: frozenset({State.REQUESTING, State.FAILED, State.CLOSED}),
    State.REQUESTING: frozenset({State.PUBLISHING, State.FAILED, State.CLOSED}),
    State.PUBLISHING: frozenset({State.FAILED, State.CLOSED}),
    State.FAILED: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
_AWAITED: Final[dict[State, str]] = {
    State.HANDSHAKING: "answer to the handshake",
    State.CONNECTING: "answer to connect",
    State.CREATING_STREAM: "answer to createStream",
    State.REQUESTING: "answer to publish",
}
"""The states with a deadline, and what did not come when it passes."""
_ASKED: Final = frozenset({State.CONNECTING, State.CREATING_STREAM, State.REQUESTING})
"""The server has been told the application, and perhaps the name, and has not accepted it yet."""
_OVER: Final = frozenset({State.FAILED, State.CLOSED})


class Publisher:
    """One try to publish one stream over one connection."""

    def __init__(
        self,
        *,
        app: str,
        tc_url: str,
        stream_name: str,
        random: Callable[[int], bytes],
        now: float,
        authenticator: Authenticator | None = None,
        connect_values: Mapping[str, Value] | None = None,
    ) -> None:
        """`app` and `tc_url` as the URL has them: "live" and "rtmp://host:port/live".

        `stream_name` goes out as it is and may carry arguments ("NAME?passcode=abc"). `random(n)` gives n
        bytes. `authenticator` is shared by all connections of one sink; without one there is no user.
        `connect_values` are more properties of connect.
        """
        self._app = app
        self._tc_url = tc_url
        self._stream_name = stream_name
        self._authenticator = authenticator or Authenticator(None, None, random)
        self._connect_values = connect_values or {}
        self._taken_codecs: frozenset[str] | None = None
        self._link = Link(ClientHandshake(random), COMMAND_MAX_BYTES)
        self._events: list[Event] = []
        self._state = State.HANDSHAKING
        self._deadline: float | None = now + STEP_TIMEOUT
        self._stream_id: int | None = None

    # Verbs.

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes from the server. Never raises for what is in them."""
        if self._state in _OVER:
            return
        try:
            received = self._link.receive(data)
            if self._state is State.HANDSHAKING and self._link.ready:
                self._connect(now)
            for message in received:
                self._receive_message(message, now)
        except ParseError as error:
            self._fail(FailureReason.PROTOCOL, str(error))

    def receive_eof(self) -> None:
        """The server closed the connection, or it broke."""
        awaited = _AWAITED.get(self._state)
        instead = f" instead of an {awaited}" if awaited else ""
        self._fail_closed(f"the server closed the connection{instead}")

    def handle_timeout(self, now: float) -> None:
        """Call at `deadline()`, or at any time."""
        if self._deadline is not None and now >= self._deadline:
            self._fail(FailureReason.TIMEOUT, f"no {_AWAITED[self._state]} in time")

    def deadline(self) -> float | None:
        """When `handle_timeout` is to be called; None while publishing and at the end."""
        return self._deadline

    def data_to_send(self) -> list[bytes]:
        """Drain what is to be written, in order."""
        return self._link.data_to_send()

    def events(self) -> list[Event]:
        """Drain what happened, in order."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """End it politely: write what `data_to_send` gives, then close the connection. No event follows."""
        if self._state not in _OVER and self._stream_id is not None:
            self._link.send(messages.command("FCUnpublish", 0, None, self._stream_name))
            self._link.send(messages.command("deleteStream", 0, None, self._stream_id))
        if self._state is not State.CLOSED:
            self._enter(State.CLOSED)
        self._events = []

    # Media.

    def takes(self, four_cc: str) -> bool | None:
        """Whether the server says it takes a codec of Enhanced RTMP; None before its answer to connect."""
        return None if self._taken_codecs is None else messages.takes_codec(self._taken_codecs, four_cc)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def acknowledged_bytes(self) -> int:
        """How many bytes the server says it received, modulo 2**32; 0 when it never says."""
        return self._link.peer_acknowledged_bytes

    def send_data(self, timestamp_ms: int, payload: bytes) -> None:
        """Send AMF0 values ("@setDataFrame", "onMetaData", …). Raises RuntimeError unless publishing."""
        self._send_media(MessageType.DATA, timestamp_ms, payload)

    def send_audio(self, timestamp_ms: int, payload: bytes) -> None:
        """Send the body of one FLV audio tag. Raises RuntimeError unless publishing."""
        self._send_media(MessageType.AUDIO, timestamp_ms, payload)

    def send_video(self, timestamp_ms: int, payload: bytes) -> None:
        """Send the body of one FLV video tag. Raises RuntimeError unless publishing."""
        self._send_media(MessageType.VIDEO, timestamp_ms, payload)

    def _send_media(self, type_id: MessageType, timestamp_ms: int, payload: bytes) -> None:
        self._link.send(Message(type_id, self._media_stream(), timestamp_ms & 0xFFFFFFFF, payload))

    def _media_stream(self) -> int:
        if self._state is not State.PUBLISHING or self._stream_id is None:
            raise RuntimeError(f"cannot send media while {self._state.name}")
        return self._stream_id

    # Steps.

    def _enter(self, state: State, now: float = 0.0) -> None:
        assert state in _TRANSITIONS[self._state], f"{self._state} to {state}"
        self._state = state
        self._deadline = now + STEP_TIMEOUT if state in _AWAITED else None

    def _fail(self, reason: FailureReason, detail: str) -> None:
        if self._state not in _OVER:
            self._enter(State.FAILED)
            self._events.append(Failed(reason, detail))

    def _fail_closed(self, detail: str) -> None:
        # nginx-rtmp says no in this way, to an unknown app and on behalf of a webhook.
        early = self._state in _ASKED
        self._fail(FailureReason.CLOSED_EARLY if early else FailureReason.CLOSED_BY_PEER, detail)

    def _connect(self, now: float) -> None:
        query = self._authenticator.query(self._app, now)
        if query:
            query = f"{'&' if '?' in self._app else '?'}{query}"
        values: dict[str, Value] = {
            "app": self._app + query,
            "type": "nonprivate",
            "flashVer": FLASH_VERSION,
            "tcUrl": self._tc_url + query,
            "fpad": False,
            "capabilities": 15.0,
            "audioCodecs": float(_AUDIO_CODECS),
            "videoCodecs": float(_VIDEO_CODECS),
            "videoFunction": 1.0,
            **self._connect_values,
        }
        self._link.send(messages.command("connect", _CONNECT, values))
        self._enter(State.CONNECTING, now)

    def _create_stream(self, now: float) -> None:
        # ffmpeg as a server takes nothing but connect as its first message: all else waits until here.
        self._link.send(messages.set_chunk_size(OUT_CHUNK_SIZE))
        self._link.send_window_ack_size(WINDOW_BYTES)
        self._link.send(messages.command("releaseStream", _RELEASE_STREAM, None, self._stream_name))
        self._link.send(messages.command("FCPublish", _FC_PUBLISH, None, self._stream_name))
        self._link.send(messages.command("createStream", _CREATE_STREAM, None))
        self._enter(State.CREATING_STREAM, now)

    def _publish(self, answer: Command, now: float) -> None:
        match answer.args:
            case [_, float(stream_id), *_] if 0 <= stream_id <= 0xFFFFFFFF:
                self._stream_id = int(stream_id)
            case _:
                self._fail(FailureReason.PROTOCOL, "no stream id in the answer to createStream")
                return
        publish = messages.command(
            "publish", _PUBLISH, None, self._stream_name, "live", stream_id=self._stream_id
        )
        self._link.send(publish)
        self._enter(State.REQUESTING, now)

    # Answers.

    def _receive_message(self, message: Message, now: float) -> None:
        if message.type_id not in (MessageType.COMMAND, MessageType.COMMAND_AMF3) or self._state in _OVER:
            return
        command = messages.parse_command(message)
        match command.name:
            case "_result":
                self._receive_result(command, now)
            case "_error":
                self._receive_error(command, now)
            case "onStatus":
                self._receive_status(command, now)
            case "close":
                self._fail_closed("the server sent close")
            case _:
                pass  # onBWDone, onFCPublish and other news that need no answer.

    def _receive_result(self, command: Command, now: float) -> None:
        if self._state is State.CONNECTING and command.transaction_id == _CONNECT:
            if not self._refused(command, now):
                self._authenticator.forget()
                self._taken_codecs = messages.taken_codecs(command)
                self._create_stream(now)
        elif self._state is State.CREATING_STREAM and command.transaction_id == _CREATE_STREAM:
            self._publish(command, now)

    def _receive_error(self, command: Command, now: float) -> None:
        # Servers that do not know releaseStream or FCPublish say so, and publish all the same.
        if command.transaction_id in (_CONNECT, _CREATE_STREAM, _PUBLISH) and not self._refused(command, now):
            self._fail(FailureReason.REFUSED, str(messages.parse_status(command)) or "the server refused")

    def _receive_status(self, command: Command, now: float) -> None:
        if self._refused(command, now) or self._state is not State.REQUESTING:
            return
        if messages.parse_status(command).code == "NetStream.Publish.Start":
            self._enter(State.PUBLISHING, now)
            self._events.append(Publishing())

    def _refused(self, command: Command, now: float) -> bool:
        """Fail when the status in `command` is a bad one."""
        status = messages.parse_status(command)
        if self._state is State.CONNECTING and is_about_authentication(status.description):
            self._authenticate(status.description, now)
            return True
        reason = _FAILURES.get(status.code)
        if reason is None and status.level == "error":
            started = self._state is State.PUBLISHING
            reason = FailureReason.CLOSED_BY_PEER if started else FailureReason.REFUSED
        if reason is not None:
            self._fail(reason, str(status) or "the server sent an error without a code")
        return reason is not None

    def _authenticate(self, description: str, now: float) -> None:
        if self._authenticator.take_rejection(description, now):
            self._fail(FailureReason.CHALLENGED, "the server asks for a user name and password")
        else:
            self._fail(FailureReason.UNAUTHORIZED, self._authenticator.refusal)
