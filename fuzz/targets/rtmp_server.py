"""Whatever bytes come in whatever reads, whatever the owner decides meanwhile: the server end raises
nothing, its events come in a legal order, it has a deadline whenever it waits for the peer, and what it
keeps and what it answers is bounded by what it got."""

from enum import IntEnum
from functools import partial
from random import Random

from fuzz.rtmp import HANDSHAKE, Traffic, drive, peer_bytes, raw, sent
from fuzz.script import Script
from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.link import COMMAND_MAX_BYTES
from whipway.protocol.rtmp.messages import Message, MessageType
from whipway.protocol.rtmp.server import (
    HELD_MAX_BYTES,
    Closed,
    Event,
    MediaReceived,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    ServerConnection,
    State,
)

WAITS_FOR_PEER = {State.HANDSHAKING, State.CONNECTING, State.CONNECTED, State.ENDED}
MEDIA = Message(MessageType.VIDEO, 1, 40, b"\x17\x01")


class Step(IntEnum):
    """What may happen to a connection."""

    BYTES = 0
    ACCEPT = 1
    REFUSE = 2
    WAIT = 3
    END = 4
    CLOSE = 5


class Owner:
    """Drives one connection and checks it after every step."""

    def __init__(self) -> None:
        self.machine = ServerConnection(random=Random(1).randbytes, now=0.0, max_message_bytes=2**20)
        self.events: list[Event] = []
        self._traffic = Traffic()
        self._now = 0.0
        self._accepted = self._closed = False

    def feed(self, data: bytes) -> None:
        self._traffic.receive(data)
        self.machine.receive_data(data, self._now)
        self.check()
        self._traffic.send(self.machine.data_to_send())

    def step(self, script: Script) -> None:
        match Step(script.choose(len(Step))):
            case Step.BYTES:
                self.feed(peer_bytes(script))
            case Step.ACCEPT:
                self._decide(accepts=True)
            case Step.REFUSE:
                self._decide(accepts=False)
            case Step.WAIT:
                self._now += script.number() / 8
                self.machine.handle_timeout(self._now)
            case Step.END if self.machine.state is State.PLAYING:
                self.machine.end_play(self._now)
                self.events += [PlayEnded(), *self.machine.events()]
            case Step.END:
                self.machine.receive_eof()
            case Step.CLOSE:
                self.check()
                self.machine.close()
                self._closed = True
        self.check()
        self.machine.data_to_send()

    def _decide(self, accepts: bool) -> None:
        machine = self.machine
        if machine.state is State.PUBLISH_REQUESTED:
            self._accepted = accepts
            machine.accept_publish() if accepts else machine.refuse_publish()
        elif machine.state is State.PLAY_REQUESTED:
            self._accepted = accepts
            machine.accept_play() if accepts else machine.refuse_play()
        elif machine.state is State.PLAYING:
            machine.send_media(MEDIA)

    def check(self) -> None:
        new = self.machine.events()
        assert not (new and self._closed)
        self.events += new
        kinds = [type(event) for event in self.events]
        assert sum(kind in (PublishRequested, PlayRequested) for kind in kinds) <= 1
        assert sum(kind in (PublishEnded, PlayEnded) for kind in kinds) <= self._accepted
        assert Closed not in kinds[:-1]
        assert PublishEnded not in kinds or MediaReceived not in kinds[kinds.index(PublishEnded) :]
        assert self._accepted or MediaReceived not in kinds
        assert (self.machine.deadline() is not None) is (self.machine.state in WAITS_FOR_PEER)
        held = sum(len(event.message.payload) for event in self.machine._held)
        assert held <= HELD_MAX_BYTES
        assert self.machine._link._reader._held_bytes <= 2 * max(COMMAND_MAX_BYTES, 2**20)


def target(data: bytes) -> bool:
    """Whether the handshake is over already, and a list of steps."""
    owner = Owner()
    drive(owner, data)
    return owner.machine.state not in (State.HANDSHAKING, State.CONNECTING, State.CLOSED)


_peer = partial(sent, Step.BYTES)


def seeds() -> list[bytes]:
    connect = messages.command("connect", 1, {"app": "live?key=x", "tcUrl": "rtmp://host/live"})
    create = messages.command("createStream", 2, None)
    publish = messages.command("publish", 3, None, "name?key=y", "live", stream_id=1)
    play = messages.command("play", 3, None, "name", stream_id=1)
    control = [
        messages.window_ack_size(100),
        messages.set_peer_bandwidth(5000, messages.BandwidthLimit.SOFT),
        messages.user_control(messages.ControlEvent.PING_REQUEST, 7),
        messages.set_chunk_size(128),
    ]
    metadata = messages.data_message("@setDataFrame", "onMetaData", {"width": 1.0}, stream_id=1)
    end = messages.command("deleteStream", 4, None, 1)
    start = b"\x01" + _peer(connect, create)
    accept, media = bytes((Step.ACCEPT,)), _peer(metadata, MEDIA)
    publishing = start + _peer(publish) + media + accept + media
    playing = start + _peer(*control, play) + accept
    return [
        b"\0" + bytes((Step.BYTES,)) + raw(HANDSHAKE) + _peer(connect),
        start,
        publishing,
        publishing + _peer(end),
        start + _peer(publish, end) + accept,
        playing + accept,
        playing + bytes((Step.END, Step.WAIT, 1)),
    ]
