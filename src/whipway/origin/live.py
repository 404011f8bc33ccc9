"""One live stream at the origin: what a late player needs, and its players.

Everything since the last key frame is kept (the group of pictures), with metadata and both sequence
headers, so that a player that comes late sees a picture at once. Where several pictures or sounds are sent
together (Enhanced RTMP v2, multitrack) each has headers of its own, and the main picture says where a group
begins. Every message is serialized once, for all players; those that came together are handed on together. No
I/O here: players are anything with a `deliver` method.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from whipway.media import flv
from whipway.origin.gate import Gate, Verdict
from whipway.protocol.rtmp import amf0
from whipway.protocol.rtmp.messages import Message, MessageType
from whipway.protocol.rtmp.server import serialize_for_players

MAX_GROUP_BYTES = 16 * 1024 * 1024
"""About 55 s of 2 Mbit/s with audio. A group that grows past it is forgotten: late players then wait."""
PACKET_OVERHEAD_BYTES = 512
"""What a kept message costs besides its bytes, so that a group of tiny ones is bounded as well."""
MAX_TRACKS = 16
"""Pictures, and sounds, whose headers are kept."""
MAX_TRACK_HEADER_BYTES = 16 * 1024
"""Of one beside the main ones: decoder configurations have some hundred bytes."""
MAX_PLAYER_BACKLOG_BYTES = 4 * 1024 * 1024
"""Some seconds of a good picture; a player further behind had better start again at a key frame."""


class PacketKind(Enum):
    """What a media message means for somebody who starts to play."""

    METADATA = "metadata"
    VIDEO_HEADER = "video_header"
    VIDEO_INFORMATION = "video_information"
    """Colours. Sent once, like a header."""
    AUDIO_HEADER = "audio_header"
    AUDIO_INFORMATION = "audio_information"
    """Which channel is for which loudspeaker."""
    KEYFRAME = "keyframe"
    """Of the main picture."""
    VIDEO = "video"
    AUDIO = "audio"
    DATA = "data"
    """Cue points, texts and the like: of the moment, like a picture."""


_METADATA_NAME = amf0.encode("onMetaData")
_VIDEO_KINDS = {
    flv.Part.HEADER: PacketKind.VIDEO_HEADER,
    flv.Part.INFORMATION: PacketKind.VIDEO_INFORMATION,
    flv.Part.KEYFRAME: PacketKind.KEYFRAME,
}
_AUDIO_KINDS = {
    flv.Part.HEADER: PacketKind.AUDIO_HEADER,
    flv.Part.INFORMATION: PacketKind.AUDIO_INFORMATION,
}
HEADERS = (
    PacketKind.METADATA,
    PacketKind.VIDEO_HEADER,
    PacketKind.VIDEO_INFORMATION,
    PacketKind.AUDIO_HEADER,
    PacketKind.AUDIO_INFORMATION,
)

PICTURES = (PacketKind.KEYFRAME, PacketKind.VIDEO)
FRAMES = (*PICTURES, PacketKind.AUDIO)


class Packet(NamedTuple):
    """A media message, what it is, and its bytes as every player gets them."""

    kind: PacketKind
    track: int
    """Which of several pictures or sounds: 0 is the main one or the only one."""
    message: Message
    data: bytes


class PlayerSlot(Protocol):
    """What a stream needs of a player."""

    def deliver(self, packets: Sequence[Packet]) -> None:
        """Take the next packets, in order; there is at least one."""
        ...

    def stream_ended(self) -> None:
        """The publisher is gone."""
        ...


def make_packet(message: Message) -> Packet:
    """Look at a media message once, and serialize it once."""
    return Packet(*_look_at(message), message, serialize_for_players(message))


def admit(gate: Gate, packet: Packet, backlog_bytes: int, now: float) -> Verdict:
    """What to do with the next packet for a player that has so much before it."""
    return gate.admit(
        video=packet.kind in PICTURES,
        keyframe=packet.kind is PacketKind.KEYFRAME,
        header=packet.kind in HEADERS,
        backlog_bytes=backlog_bytes,
        now=now,
    )


class LiveStream:
    """A published name. `publish` takes messages, `join` and `leave` are for players."""

    def __init__(self) -> None:
        self.players: dict[PlayerSlot, bool] = {}
        """Each player, and whether it still waits for a key frame before video makes sense to it."""
        self._headers: dict[PacketKind, dict[int, Message]] = {kind: {} for kind in HEADERS}
        """Of each kind those of its tracks; the main one, or the only one, is 0."""
        self._group: list[Packet] = []
        self.group_bytes = 0
        """About what a player gets at once when it joins."""
        self.bytes_in = 0
        """Of media and headers, so far."""
        self.bytes_out = 0
        """The same, to all players together, as far as it was handed to them."""
        self.pictures = 0
        self.has_frames = False
        """Whether there was a picture or sound."""

    @property
    def keyframe(self) -> bytes | None:
        """The body of the last key frame that is still kept; None: there is none."""
        return self._group[0].message.payload if self._group else None

    def header(self, kind: PacketKind) -> bytes | None:
        """The body of the main picture's, or the main sound's, header of this kind."""
        header = self._headers[kind].get(0)
        return header.payload if header else None

    def publish(self, messages: Sequence[Message]) -> None:
        """Remember messages as far as late players need them, and hand them to everybody."""
        packets = [make_packet(message) for message in messages]
        for packet in packets:
            self._remember(packet)
            self.bytes_in += len(packet.message.payload)
            self.bytes_out += len(packet.message.payload) * len(self.players)
            self.pictures += packet.kind in PICTURES
            self.has_frames = self.has_frames or packet.kind in FRAMES
        for player, waits in list(self.players.items()):
            if not waits:
                player.deliver(packets)
            elif playable := self._for_who_waits(player, packets):
                player.deliver(playable)

    def join(self, player: PlayerSlot) -> None:
        """Start a player: headers, then everything since the last key frame, then live."""
        self.players[player] = not self._group
        if self._group:
            start = self._group[0].message.timestamp
        else:
            headers = (header for tracks in self._headers.values() for header in tracks.values())
            start = max((header.timestamp for header in headers), default=0)
        packets = []
        for kind in HEADERS:
            # FFmpeg's players take metadata for a header at time 0 only, else for a stream of data.
            at = 0 if kind is PacketKind.METADATA else start
            for header in self._headers[kind].values():
                packets.append(make_packet(header._replace(timestamp=at)))
        if packets or self._group:
            player.deliver(packets + self._group)

    def leave(self, player: PlayerSlot) -> None:
        """Forget a player; unknown ones are ignored."""
        self.players.pop(player, None)

    def end(self) -> None:
        """Tell everybody that the publisher is gone."""
        for player in list(self.players):
            player.stream_ended()
        self.players.clear()

    def _for_who_waits(self, player: PlayerSlot, packets: list[Packet]) -> list[Packet]:
        """The packets that make sense to a player without a key frame; with one, it waits no longer."""
        playable: list[Packet] = []
        for number, packet in enumerate(packets):
            if packet.kind is PacketKind.KEYFRAME:
                self.players[player] = False
                return playable + packets[number:]
            if packet.kind is not PacketKind.VIDEO:
                playable.append(packet)
        return playable

    def _remember(self, packet: Packet) -> None:
        if packet.kind in HEADERS:
            self._remember_header(packet)
            return
        if packet.kind is PacketKind.KEYFRAME:
            self._forget_group()
        elif not self._group:
            return
        self._group.append(packet)
        self.group_bytes += len(packet.data) + PACKET_OVERHEAD_BYTES
        if self.group_bytes > MAX_GROUP_BYTES:
            self._forget_group()

    def _remember_header(self, packet: Packet) -> None:
        is_main = packet.track == 0
        if is_main or (packet.track < MAX_TRACKS and len(packet.message.payload) <= MAX_TRACK_HEADER_BYTES):
            self._headers[packet.kind][packet.track] = packet.message
        if packet.kind is PacketKind.VIDEO_HEADER and is_main:
            # What came before cannot be decoded with the new header.
            self._forget_group()

    def _forget_group(self) -> None:
        self._group.clear()
        self.group_bytes = 0


def _look_at(message: Message) -> tuple[PacketKind, int]:
    """What it is, and of which track."""
    if message.type_id == MessageType.VIDEO:
        part, track = flv.read_video(message.payload)
        if part is flv.Part.KEYFRAME and track:
            return PacketKind.VIDEO, track
        return _VIDEO_KINDS.get(part, PacketKind.VIDEO), track
    if message.type_id == MessageType.AUDIO:
        part, track = flv.read_audio(message.payload)
        return _AUDIO_KINDS.get(part, PacketKind.AUDIO), track
    is_metadata = message.payload.startswith(_METADATA_NAME)
    return (PacketKind.METADATA if is_metadata else PacketKind.DATA), 0
