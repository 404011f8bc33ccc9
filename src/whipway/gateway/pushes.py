"""Streams of the embedded origin that are sent on to other RTMP servers: the push URLs of RTMP publishers.

The sink is the same as that of a WHIP session (`relay.sinks`), with its queues, its patience and its limits
of where it may go. It stands here as a player of the origin, which takes every message and changes none. Only
this ring knows both the origin and the workers' sinks.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from whipway.origin.live import HEADERS, LiveStream, Packet, PacketKind
from whipway.protocol.rtmp import amf0
from whipway.protocol.rtmp.messages import MessageType
from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.relay.sinks.sink import AudioChoice, SinkChanged, SinkState
from whipway.relay.tags import AudioCodec, AudioFormat, Tag, TagKind
from whipway.worker.concealment import make_concealer
from whipway.worker.sink_driver import DriverEvent, SinkBroken
from whipway.worker.sinks import SinkFactory, SinkSpec

AS_IT_IS = AudioFormat(AudioCodec.AAC, 128_000)
"""The sound that the sink is told to want; whatever comes bears this name."""
_SET_DATA_FRAME = amf0.encode("@setDataFrame")
"""What a publisher writes before metadata, and the origin's players do not get."""
_KINDS = {MessageType.VIDEO: TagKind.VIDEO, MessageType.AUDIO: TagKind.AUDIO}

log = structlog.get_logger("pushes")


class OriginPushes:
    """All that are sent on, one target for each stream. Keys are APP/NAME."""

    def __init__(self, streams: Mapping[str, LiveStream], sinks: SinkFactory) -> None:
        """`streams`: those of the origin at any time."""
        self._streams = streams
        self._sinks = sinks
        self._pushes: dict[str, _Push] = {}

    def push(self, key: str, stream_url: str, stream_name: str) -> None:
        """Send a stream on to one RTMP server, until `stop_push` or its end. It has to be published now."""
        self.stop_push(key)
        stream = self._streams.get(key)
        if stream is not None:
            push = self._pushes[key] = _Push(self._sinks, key, stream_url, stream_name, self._end)
            stream.join(push)

    def stop_push(self, key: str) -> None:
        """Send it on no more, if it is."""
        if push := self._pushes.get(key):
            self._end(push)

    def close(self) -> None:
        """Send nothing on any more."""
        for key in list(self._pushes):
            self.stop_push(key)

    def _end(self, push: "_Push") -> None:
        if self._pushes.get(push.key) is push:
            del self._pushes[push.key]
        if push.key in self._streams:
            self._streams[push.key].leave(push)
        push.close()


class _Push:
    """One player of the origin that is a sink."""

    def __init__(
        self,
        sinks: SinkFactory,
        key: str,
        stream_url: str,
        stream_name: str,
        on_end: "Callable[[_Push], None]",
    ) -> None:
        self.key = key
        self._on_end = on_end
        url = parse_rtmp_url(stream_url)
        spec = SinkSpec(stream_name, stream_url, AudioChoice.AAC, AS_IT_IS.bitrate, "none", key)
        factory = sinks.for_session()
        machine = factory.make_machine(spec, url, (), asyncio.get_running_loop().time())
        self._conceal = make_concealer(stream_name, url)
        self._driver = factory.drive(machine, url, self._on_event)

    def deliver(self, packets: Sequence[Packet]) -> None:
        """Take what the publisher sent, of the main picture and sound."""
        try:
            self._driver.push([_to_tag(packet) for packet in packets if packet.track == 0])
        except Exception:
            # Who calls is the publisher's connection, which has nothing to do with it.
            log.exception("push failed", stream=self.key)
            self._on_end(self)

    def stream_ended(self) -> None:
        """The publisher is gone."""
        self._on_end(self)

    def close(self) -> None:
        """End the publish there."""
        self._driver.close()

    def _on_event(self, event: DriverEvent) -> None:
        match event:
            case SinkBroken():
                self._on_end(self)
            case SinkChanged(state, reason, detail):
                is_trouble = state in (SinkState.RETRYING, SinkState.FAILED)
                write = log.warning if is_trouble else log.info
                write(f"push {state}", stream=self.key, reason=reason, detail=self._conceal(detail))
            case _:
                pass  # The publisher can be asked for nothing.


def _to_tag(packet: Packet) -> Tag:
    message = packet.message
    kind, payload = _KINDS.get(MessageType(message.type_id), TagKind.DATA), message.payload
    if packet.kind is PacketKind.METADATA:
        kind, payload = TagKind.METADATA, _SET_DATA_FRAME + payload
    return Tag(
        kind,
        message.timestamp,
        payload,
        keyframe=packet.kind is PacketKind.KEYFRAME,
        header=packet.kind in HEADERS,
        audio=AS_IT_IS if kind in (TagKind.AUDIO, TagKind.METADATA) else None,
    )
