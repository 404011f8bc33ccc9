"""The serving end of an RTMP connection, for one publisher or one player (RTMP 1.0, section 7.2).

A `ServerConnection` is a stream machine: bytes, time and end of connection in, bytes and events out. Its
owner decides about a `PublishRequested` or `PlayRequested` by `accept_…` or `refuse_…`, takes the media of a
publisher as events, and gives media to players by `send_media`, or serialised once for all by
`serialize_for_players` and `send_serialized`.

Owners need not hurry: media of a publisher that does not wait for the answer are kept, up to a limit. A
decision that comes after the peer has gone does nothing. Every accepted publish or play ends with one
`PublishEnded` or `PlayEnded`, unless the owner ends it.

Left out: more than one stream a connection; seek, pause, receiveAudio, receiveVideo (all ignored); AMF3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final, TypeAlias

from whipway.failures import ParseError
from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.chunk import MAX_MESSAGE_BYTES, serialize_message
from whipway.protocol.rtmp.handshake import ServerHandshake
from whipway.protocol.rtmp.link import COMMAND_MAX_BYTES, OUT_CHUNK_SIZE, WINDOW_BYTES, Link, chunk_stream_of
from whipway.protocol.rtmp.messages import BandwidthLimit, Command, ControlEvent, Message, MessageType

STEP_TIMEOUT: Final = 10.0
"""Seconds for the handshake, for connect, for publish or play, and for going away after the end."""
STREAM_ID: Final = 1
"""The one message stream of every connection, so that serialised media fit all players."""
HELD_MAX_BYTES: Final = 1024 * 1024
"""Media kept before `accept_publish`: some tenths of a second at any usual bit rate."""

_BAD_NAME: Final = "NetStream.Publish.BadName"
_NOT_FOUND: Final = "NetStream.Play.StreamNotFound"


class CloseReason(StrEnum):
    """Why a connection came to its end. The value is for logs and snapshots."""

    REFUSED = "refused"
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    CLOSED_BY_PEER = "closed_by_peer"


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """rtmp://host/APP/NAME?QUERY: both without slashes at their ends. Answer with accept or refuse."""

    app: str
    name: str
    query: str
    stream_id: int


@dataclass(frozen=True, slots=True)
class PlayRequested:
    """As `PublishRequested`, for a player."""

    app: str
    name: str
    query: str
    stream_id: int


@dataclass(frozen=True, slots=True)
class MediaReceived:
    """Audio (type 8), video (9) or data (18, "@setDataFrame" stripped) of an accepted publisher."""

    message: Message


@dataclass(frozen=True, slots=True)
class PublishEnded:
    """The publisher is done, or gone."""


@dataclass(frozen=True, slots=True)
class PlayEnded:
    """The player is done, or gone."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Write what is left and close the connection. `detail` is for people."""

    reason: CloseReason
    detail: str


Event: TypeAlias = PublishRequested | PlayRequested | MediaReceived | PublishEnded | PlayEnded | Closed


class State(Enum):
    """How far the peer has come."""

    HANDSHAKING = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    PUBLISH_REQUESTED = auto()
    PUBLISHING = auto()
    PLAY_REQUESTED = auto()
    PLAYING = auto()
    ENDED = auto()
    CLOSED = auto()


_TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.HANDSHAKING: frozenset({State.CONNECTING, State.CLOSED}),
    State.CONNECTING: frozenset({State.CONNECTED, State.CLOSED}),
    State.CONNECTED: frozenset({State.PUBLISH_REQUESTED, State.PLAY_REQUESTED, State.CLOSED}),
    State.PUBLISH_REQUESTED: frozenset({State.PUBLISHING, State.ENDED, State.CLOSED}),
    State.PUBLISHING: frozenset({State.ENDED, State.CLOSED}),
    State.PLAY_REQUESTED: frozenset({State.PLAYING, State.ENDED, State.CLOSED}),
    State.PLAYING: frozenset({State.ENDED, State.CLOSED}),
    State.ENDED: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
_AWAITED: Final[dict[State, str]] = {
    State.HANDSHAKING: "handshake",
    State.CONNECTING: "connect",
    State.CONNECTED: "publish or play",
    State.ENDED: "end of the connection",
}
"""The states with a deadline, and what did not come when it passes."""
_OVER: Final = frozenset({State.ENDED, State.CLOSED})
_MEDIA: Final = frozenset({MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA, MessageType.DATA_AMF3})


class ServerConnection:
    """One connection of a publisher or player."""

    def __init__(
        self, *, random: Callable[[int], bytes], now: float, max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        """`random(n)` gives n bytes. `max_message_bytes` bounds one frame of a publisher."""
        self._max_message_bytes = max_message_bytes
        self._link = Link(ServerHandshake(random), COMMAND_MAX_BYTES)
        self._events: list[Event] = []
        self._state = State.HANDSHAKING
        self._now = now
        self._deadline: float | None = now + STEP_TIMEOUT
        self._connect_command = Command("", 0.0, [])
        self._app = self._app_query = ""
        self._held: list[MediaReceived] = []
        self._held_bytes = 0

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes from the peer. Never raises for what is in them."""
        self._now = now
        if self._state is State.CLOSED:
            return
        try:
            received = self._link.receive(data)
            if self._state is State.HANDSHAKING and self._link.ready:
                self._enter(State.CONNECTING)
            for message in received:
                self._receive_message(message)
        except ParseError as error:
            self._finish(CloseReason.PROTOCOL, str(error))

    def receive_eof(self) -> None:
        """The peer closed the connection, or it broke."""
        self._finish(CloseReason.CLOSED_BY_PEER, "the peer closed the connection")

    def handle_timeout(self, now: float) -> None:
        """Call at `deadline()`, or at any time."""
        self._now = now
        if self._deadline is not None and now >= self._deadline:
            self._finish(CloseReason.TIMEOUT, f"no {_AWAITED[self._state]} in time")

    def deadline(self) -> float | None:
        """When `handle_timeout` is to be called; None while the owner decides and while media flow."""
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
        if self._state is State.PLAYING:
            self._send_play_end()
        elif self._state is State.PUBLISHING:
            self._send_status("status", "NetConnection.Connect.Closed", "Closed by the server.")
        if self._state is not State.CLOSED:
            self._enter(State.CLOSED)
        self._events = []

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    def connect_text(self, key: str) -> str:
        """A text property of the peer's connect; empty without one, and before connect."""
        return messages.connect_text(self._connect_command, key)

    # Decisions of the owner. RuntimeError when nothing was requested.

    def accept_publish(self) -> None:
        """Let the publisher start; media that came early follow as events."""
        if self._decides(State.PUBLISH_REQUESTED):
            self._enter(State.PUBLISHING)
            self._link.set_max_message_bytes(self._max_message_bytes)
            self._send_control(ControlEvent.STREAM_BEGIN)
            self._send_status("status", "NetStream.Publish.Start", "Publishing.")
            self._events += self._held
            self._held = []

    def refuse_publish(self, code: str = _BAD_NAME, description: str = "The name is taken.") -> None:
        """Send an error; `Closed` follows."""
        if self._decides(State.PUBLISH_REQUESTED):
            self._refuse(code, description)

    def accept_play(self) -> None:
        """Let the player start; media may be sent from now on."""
        if self._decides(State.PLAY_REQUESTED):
            self._enter(State.PLAYING)
            self._send_control(ControlEvent.STREAM_BEGIN)
            self._send_status("status", "NetStream.Play.Reset", "Reset.")
            self._send_status("status", "NetStream.Play.Start", "Playing.")
            self.send_media(messages.data_message("|RtmpSampleAccess", True, True, stream_id=STREAM_ID))

    def refuse_play(self, code: str = _NOT_FOUND, description: str = "There is no such stream.") -> None:
        """Send an error; `Closed` follows."""
        if self._decides(State.PLAY_REQUESTED):
            self._refuse(code, description)

    def send_media(self, message: Message) -> None:
        """Send audio, video or data to the player. Raises RuntimeError unless playing."""
        self.send_serialized(serialize_for_players(message))

    def send_serialized(self, data: bytes) -> None:
        """Send the output of `serialize_for_players`. Raises RuntimeError unless playing."""
        if self._state is not State.PLAYING:
            raise RuntimeError(f"cannot send media while {self._state.name}")
        self._link.send_serialized(data)

    def end_play(self, now: float) -> None:
        """Tell the player that the stream is over; it has some seconds to go. RuntimeError unless playing."""
        if self._state is not State.PLAYING:
            raise RuntimeError(f"cannot end a play while {self._state.name}")
        self._now = now
        self._send_play_end()
        self._enter(State.ENDED)

    def _send_play_end(self) -> None:
        # ffmpeg and librtmp stop at the first status, others at StreamEOF or at Play.Stop.
        self._send_status("status", "NetStream.Play.UnpublishNotify", "The stream is over.")
        self._send_control(ControlEvent.STREAM_EOF)
        self._send_status("status", "NetStream.Play.Stop", "Stopped.")

    def _decides(self, requested: State) -> bool:
        if self._state is not requested and self._state not in _OVER:
            raise RuntimeError(f"nothing to decide while {self._state.name}")
        return self._state is requested

    def _refuse(self, code: str, description: str) -> None:
        self._send_status("error", code, description)
        self._finish(CloseReason.REFUSED, f"{code}: {description}")

    def _enter(self, state: State) -> None:
        assert state in _TRANSITIONS[self._state], f"{self._state} to {state}"
        self._state = state
        self._deadline = self._now + STEP_TIMEOUT if state in _AWAITED else None

    def _finish(self, reason: CloseReason, detail: str) -> None:
        if self._state is not State.CLOSED:
            self._end_stream()
            self._enter(State.CLOSED)
            self._events.append(Closed(reason, detail))

    def _end_stream(self) -> None:
        """The event that an accepted publish or play ends with."""
        self._held = []
        if self._state is State.PUBLISHING:
            self._events.append(PublishEnded())
        elif self._state is State.PLAYING:
            self._events.append(PlayEnded())

    def _send_status(self, level: str, code: str, description: str) -> None:
        self._link.send(messages.on_status(level, code, description, stream_id=STREAM_ID))

    def _send_control(self, event: ControlEvent) -> None:
        self._link.send(messages.user_control(event, STREAM_ID))

    def _receive_message(self, message: Message) -> None:
        if self._state is State.CLOSED:
            return
        if message.type_id in _MEDIA:
            self._receive_media(message)
        elif message.type_id in (MessageType.COMMAND, MessageType.COMMAND_AMF3):
            command = messages.parse_command(message)
            handler = _COMMANDS.get(command.name)
            if (self._state is State.CONNECTING) != (command.name == "connect"):
                self._finish(CloseReason.PROTOCOL, f"{command.name[:32]!r} while {self._state.name}")
            elif handler is not None:
                handler(self, command)

    def _receive_media(self, message: Message) -> None:
        if message.type_id not in (MessageType.AUDIO, MessageType.VIDEO):
            message = messages.published_data(message)
        if self._state is State.PUBLISHING:
            self._events.append(MediaReceived(message))
        elif self._state is State.PUBLISH_REQUESTED:
            self._hold(MediaReceived(message))

    def _hold(self, media: MediaReceived) -> None:
        # An empty message costs memory too: count what a list entry and its objects take.
        self._held_bytes += len(media.message.payload) + 256
        if self._held_bytes > HELD_MAX_BYTES:
            self._finish(CloseReason.PROTOCOL, "too much media before publish was accepted")
        else:
            self._held.append(media)

    def _connect(self, command: Command) -> None:
        app, _, self._app_query = messages.connect_app(command).partition("?")
        self._connect_command = command
        self._app = app.strip("/")
        self._link.send_window_ack_size(WINDOW_BYTES)
        self._link.send(messages.set_peer_bandwidth(WINDOW_BYTES, BandwidthLimit.DYNAMIC))
        self._link.send(messages.set_chunk_size(OUT_CHUNK_SIZE))
        self._link.send(messages.connect_success(command))
        self._link.set_max_message_bytes(min(self._max_message_bytes, HELD_MAX_BYTES))
        self._enter(State.CONNECTED)

    def _acknowledge(self, command: Command) -> None:
        """Of releaseStream and its kin nothing depends on the answer, but clients warn when there is none."""
        self._answer(command, None, None)

    def _create_stream(self, command: Command) -> None:
        self._answer(command, None, STREAM_ID)

    def _answer(self, command: Command, *values: object) -> None:
        # A transaction id of 0 asks for no answer.
        if command.transaction_id:
            self._link.send(messages.command("_result", command.transaction_id, *values))

    def _publish(self, command: Command) -> None:
        self._request(command, State.PUBLISH_REQUESTED, PublishRequested, _BAD_NAME)

    def _play(self, command: Command) -> None:
        self._request(command, State.PLAY_REQUESTED, PlayRequested, _NOT_FOUND)

    def _request(
        self, command: Command, state: State, event: type[PublishRequested | PlayRequested], refusal: str
    ) -> None:
        name, _, query = messages.stream_name(command).partition("?")
        name = name.strip("/")
        if self._state is not State.CONNECTED:
            self._finish(CloseReason.PROTOCOL, "more than one stream")
        elif not name:
            self._refuse(refusal, "A stream must have a name.")
        else:
            # Arguments put behind the app ("live?key=x") join those behind the name.
            query = "&".join(part for part in (query, self._app_query) if part)
            self._enter(state)
            self._events.append(event(self._app, name, query, STREAM_ID))

    def _end(self, _command: Command) -> None:
        if self._state in (State.CONNECTED, State.ENDED):
            return
        if self._state is State.PUBLISHING:
            self._send_status("status", "NetStream.Unpublish.Success", "Unpublished.")
        self._end_stream()
        self._enter(State.ENDED)


_COMMANDS: Final[dict[str, Callable[[ServerConnection, Command], None]]] = {
    "connect": ServerConnection._connect,
    "releaseStream": ServerConnection._acknowledge,
    "FCPublish": ServerConnection._acknowledge,
    "FCSubscribe": ServerConnection._acknowledge,
    "getStreamLength": ServerConnection._acknowledge,
    "_checkbw": ServerConnection._acknowledge,
    "createStream": ServerConnection._create_stream,
    "publish": ServerConnection._publish,
    "play": ServerConnection._play,
    "FCUnpublish": ServerConnection._end,
    "closeStream": ServerConnection._end,
    "deleteStream": ServerConnection._end,
}
"""Section 7.2, and the commands encoders send besides. Others are ignored."""


def serialize_for_players(message: Message) -> bytes:
    """The bytes of one media message for every player, whatever was sent to it before.

    The message stream is set to `STREAM_ID`, the chunk stream follows from the type, and the chunk size is
    `OUT_CHUNK_SIZE`, which each connection announces in its answer to connect.
    """
    message = message._replace(stream_id=STREAM_ID)
    return serialize_message(message, chunk_stream_of(message), OUT_CHUNK_SIZE)
