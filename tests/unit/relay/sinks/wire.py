"""A sink, the tags of a stream, and real RTMP server machines at the other end of a wire under control."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from whipway.protocol.rtmp import amf0, messages
from whipway.protocol.rtmp.authentication import Authenticator
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.handshake import ServerHandshake
from whipway.protocol.rtmp.link import COMMAND_MAX_BYTES, Link
from whipway.protocol.rtmp.messages import Message, MessageType
from whipway.protocol.rtmp.server import MediaReceived, PublishRequested, ServerConnection
from whipway.relay.sinks.sink import (
    AudioChoice,
    CloseConnection,
    OpenConnection,
    Sink,
    SinkChanged,
    SinkEvent,
    SinkState,
)
from whipway.relay.tags import OPUS, AudioCodec, AudioFormat, Tag, TagKind

AAC = AudioFormat(AudioCodec.AAC, 128_000)
METADATA_BODY = amf0.encode("@setDataFrame", "onMetaData", {"width": 320.0})
METADATA = Tag(TagKind.METADATA, 0, METADATA_BODY, header=True, audio=AAC)
AUDIO_HEADER = Tag(TagKind.AUDIO, 0, b"\xaf\x00\x11\x90", header=True, audio=AAC)
OPUS_HEADER = Tag(TagKind.AUDIO, 0, b"\x90OpusOpusHead", header=True, audio=OPUS)
VIDEO_HEADER = Tag(TagKind.VIDEO, 0, b"\x17\x00\x00\x00\x00config", header=True)
START = [METADATA, AUDIO_HEADER, VIDEO_HEADER]


def keyframe(timestamp: int, size: int = 100) -> Tag:
    return Tag(TagKind.VIDEO, timestamp, b"\x17\x01\x00\x00\x00" + bytes(size), keyframe=True)


def filler(timestamp: int) -> Tag:
    return keyframe(timestamp)._replace(filler=True)


def picture(timestamp: int, size: int = 10) -> Tag:
    return Tag(TagKind.VIDEO, timestamp, b"\x27\x01\x00\x00\x00" + bytes(size))


def sound(timestamp: int, audio: AudioFormat = AAC, size: int = 10) -> Tag:
    start = b"\xaf\x01" if audio.codec is AudioCodec.AAC else b"\x91Opus"
    return Tag(TagKind.AUDIO, timestamp, start + bytes(size), audio=audio)


def cue(timestamp: int) -> Tag:
    return Tag(TagKind.DATA, timestamp, amf0.encode("onCuePoint", {"name": "cue"}))


def stream(start_ms: int, end_ms: int) -> list[Tag]:
    """25 pictures a second, one in 25 a key frame, 50 sounds."""
    tags = []
    for time in range(start_ms, end_ms, 20):
        if time % 40 == 0:
            tags.append(keyframe(time) if time % 1000 == 0 else picture(time))
        tags.append(sound(time))
    return tags


CHALLENGE = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
WRONG_PASSWORD = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=x"


class Doorman:
    """A server that knows one answer to connect, and it is no."""

    def __init__(self, description: str) -> None:
        self._link = Link(ServerHandshake(bytes), COMMAND_MAX_BYTES)
        self._description = description

    def receive_data(self, data: bytes, now: float) -> None:
        for message in self._link.receive(data):
            assert messages.parse_command(message).name == "connect"
            status = {
                "level": "error",
                "code": "NetConnection.Connect.Rejected",
                "description": self._description,
            }
            self._link.send(messages.command("_error", 1, None, status))

    def data_to_send(self) -> list[bytes]:
        return self._link.data_to_send()

    def events(self) -> list[object]:
        return []


Server: TypeAlias = ServerConnection | Doorman


def new_server(now: float) -> Server:
    return ServerConnection(random=bytes, now=now)


def shy_server(description: str) -> Callable[[float], Server]:
    return lambda now: Doorman(description)


class Wire:
    """Drives a sink as its driver does. The other side is `server`; None: there is no connection.

    `accepts`: publish is granted at once. `reads`: the server takes what is sent; else TCP fills up.
    `capacity`: how much may wait before the transport asks for a pause.
    """

    def __init__(self, audio: AudioChoice = AudioChoice.AAC, **arguments: Any) -> None:
        self.now = 0.0
        self.accepts = self.reads = self.lists_codecs = True
        self.capacity = 64 * 1024
        self.make_server: Callable[[float], Server] = new_server
        self.server: Server | None = None
        self.connections: list[list[Message]] = []
        self.events: list[SinkEvent] = []
        self.is_wanted = False
        """An OpenConnection has not been answered yet."""
        self.sent = self.taken = 0
        """On this connection."""
        self.unsent: list[bytes] = []
        self.largest_piece = 0
        self._is_paused = False
        self.authenticator = Authenticator("user", "password", bytes)
        self.is_own: list[bool] = []
        self.sink = Sink(
            make_publisher=self._make_publisher,
            audio=audio,
            audio_bitrate=AAC.bitrate,
            **{"random": lambda: 0.0, "now": 0.0, **arguments},
        )
        self.run()

    # What the driver does.

    def connect(self, is_own: bool = False) -> "Wire":
        self.is_wanted = False
        self.server = self.make_server(self.now)
        self.connections.append([])
        self._forget_connection()
        self.sink.connected(self.now, is_own)
        return self.run()

    def refuse(self, reason: str = "unreachable", detail: str = "no route") -> "Wire":
        """The connection cannot be made, or breaks."""
        self.is_wanted = False
        self.server = None
        self._forget_connection()
        self.sink.connection_failed(reason, detail, self.now)
        return self.run()

    def push(self, tags: Sequence[Tag]) -> "Wire":
        self.sink.push(tags, self.now)
        return self.run()

    def note(self) -> "Wire":
        self.sink.note_progress(self.taken, self.sent - self.taken, self.now)
        return self.run()

    def advance(self, seconds: float) -> "Wire":
        """Let time pass, doing what is due on the way."""
        end = self.now + seconds
        while (due := self.sink.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.note()
            self.sink.handle_timeout(self.now)
            self.run()
        self.now = end
        return self

    def run(self) -> "Wire":
        """Carry bytes both ways until nobody has any."""
        moved = True
        while moved:
            for event in self.sink.events():
                self._handle(event)
            moved = self._write() or self._answer()
        return self

    # What tests look at.

    @property
    def media(self) -> list[Message]:
        """What the server got on the last connection."""
        return self.connections[-1]

    @property
    def changes(self) -> list[tuple[SinkState, str | None]]:
        """State and reason of each SinkChanged so far."""
        return [(event.state, event.reason) for event in self.events if isinstance(event, SinkChanged)]

    def count(self, kind: type[SinkEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def describe(self) -> dict[str, Any]:
        return self.sink.describe(self.now)

    # Inside.

    def _make_publisher(self, now: float, is_own: bool) -> Publisher:
        self.is_own.append(is_own)
        return Publisher(
            app="live",
            tc_url="rtmp://host:1935/live",
            stream_name="one?key=x",
            random=bytes,
            now=now,
            authenticator=self.authenticator,
        )

    def _forget_connection(self) -> None:
        self.sent = self.taken = 0
        self.unsent = []
        self._is_paused = False

    def _handle(self, event: SinkEvent) -> None:
        self.events.append(event)
        if isinstance(event, OpenConnection):
            assert self.server is None and not self.is_wanted
            self.is_wanted = True
        elif isinstance(event, CloseConnection):
            assert self.server is not None
            self._write()
            self.server = None
            self._forget_connection()

    def _write(self) -> bool:
        """Whether anything was carried to the server."""
        while data := self.sink.data_to_send():
            assert self.server is not None, "bytes for nobody"
            self.unsent += data
            size = sum(map(len, data))
            self.largest_piece = max(self.largest_piece, size)
            self.sent += size
            self._pace()
        unsent = self.unsent
        if self.server is None or not self.reads or not unsent:
            return False
        self.unsent = []
        for data in unsent:
            self.taken += len(data)
            self.server.receive_data(data, self.now)
        self._pace()
        return True

    def _pace(self) -> None:
        """Pause and resume, as transports do."""
        is_full = not self.reads and sum(map(len, self.unsent)) > self.capacity
        if is_full != self._is_paused:
            self._is_paused = is_full
            self.sink.set_writable(not is_full)

    def _answer(self) -> bool:
        """Whether anything was carried to the sink."""
        server = self.server
        if server is None:
            return False
        for event in server.events():
            if isinstance(event, MediaReceived):
                self.connections[-1].append(event.message)
            elif isinstance(event, PublishRequested) and self.accepts:
                assert isinstance(server, ServerConnection)
                server.accept_publish()
        data = b"".join(server.data_to_send())
        if not self.lists_codecs:
            data = data.replace(b"fourCcList", b"threeCcLis")
        if data:
            self.sink.receive_data(data, self.now)
        return bool(data)


def hang_up(wire: Wire) -> None:
    wire.sink.receive_eof(wire.now)
    wire.run()


def close(wire: Wire) -> None:
    wire.sink.close(wire.now)
    wire.run()


class Source:
    """A session whose pictures are numbered, so that what arrives tells what is missing before it."""

    def __init__(self) -> None:
        self._time = self._number = self._version = 0
        self._wants_keyframe = True
        self._keyframe: Tag | None = None

    def start(self) -> list[Tag]:
        """The headers, of a new version."""
        self._version += 1
        self._wants_keyframe = True
        self._keyframe = None
        video = VIDEO_HEADER._replace(payload=self._body(b"\x17\x00"))
        metadata = [METADATA, METADATA._replace(audio=OPUS)]
        headers = (AUDIO_HEADER, OPUS_HEADER, video)
        return metadata + [header._replace(timestamp_ms=self._time) for header in headers]

    def play(self, milliseconds: int, size: int) -> list[Tag]:
        """Pictures of `size` bytes, one in 25 a key frame, and sound in two formats."""
        tags = []
        for _ in range(0, milliseconds, 40):
            self._time += 40
            self._number += 1
            keyframe = self._wants_keyframe or self._number % 25 == 0
            self._wants_keyframe = False
            body = self._body(b"\x17\x01" if keyframe else b"\x27\x01") + bytes(size)
            tags.append(Tag(TagKind.VIDEO, self._time, body, keyframe))
            if keyframe:
                self._keyframe = tags[-1]
            tags += [sound(self._time - 7), sound(self._time - 7, OPUS)]
        return tags

    def listen(self, milliseconds: int) -> list[Tag]:
        """Sound alone, as of a camera that is dark."""
        times = range(self._time + 20, self._time + milliseconds, 20)
        self._time += milliseconds
        return [sound(time, audio) for time in times for audio in (AAC, OPUS)]

    def freeze(self) -> list[Tag]:
        """The last key frame again, a second later."""
        if self._keyframe is None:
            return []
        self._time += 1000
        self._wants_keyframe = True
        return [self._keyframe._replace(timestamp_ms=self._time, filler=True)]

    def _body(self, start: bytes) -> bytes:
        return start + bytes(3) + bytes([self._version]) + self._number.to_bytes(4, "big")


def check_media(media: list[Message], *, filler: bool = False) -> None:
    """What one server got, from its first message on, can be played without a fault.

    `filler`: a key frame may come again.
    """
    version = number = None
    numbers: set[int] = set()
    last_time = last_sound = -1
    for message in media:
        body = message.payload
        if message.type_id == MessageType.AUDIO:
            assert message.timestamp >= last_sound
            last_sound = message.timestamp
        elif message.type_id == MessageType.VIDEO and body[1] == 0:
            version, number = body[5], None
        elif message.type_id == MessageType.VIDEO:
            assert body[5] == version, "a picture without its header"
            assert body[0] == 0x17 or number == int.from_bytes(body[6:10], "big") - 1, "a gap"
            assert message.timestamp > last_time
            number, last_time = int.from_bytes(body[6:10], "big"), message.timestamp
            assert filler or number not in numbers, "a filler for one that wants none"
            numbers.add(number)
    if media:
        assert media[0].type_id == MessageType.DATA
        assert media[1].type_id == MessageType.AUDIO
        formats = {message.payload[0] >> 4 for message in media if message.type_id == MessageType.AUDIO}
        assert len(formats) == 1
