"""Whatever bytes come in whatever reads, over however many connections of one sink: the publishing end raises
nothing, says once that it publishes and once that it failed, has a deadline until it publishes, and what it
keeps and what it answers is bounded by what it got. It never connects again without end for want of the right
password."""

from enum import IntEnum
from functools import partial
from random import Random

from fuzz.rtmp import HANDSHAKE, Traffic, drive, peer_bytes, raw, sent
from fuzz.script import Script
from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.authentication import MAX_QUESTIONS, Authenticator
from whipway.protocol.rtmp.client import Event, Failed, FailureReason, Publisher, Publishing, State
from whipway.protocol.rtmp.link import COMMAND_MAX_BYTES

WAITS = {State.HANDSHAKING, State.CONNECTING, State.CREATING_STREAM, State.REQUESTING}


class Step(IntEnum):
    """What may happen to a publisher."""

    BYTES = 0
    MEDIA = 1
    WAIT = 2
    END = 3
    CLOSE = 4
    CONNECT = 5


class Owner:
    """Drives one publisher and checks it after every step."""

    def __init__(self) -> None:
        self._random = Random(1).randbytes
        self._authenticator = Authenticator("user", "password", self._random)
        self._now = 0.0
        self._questions = 0
        self.connect()

    def connect(self) -> None:
        self.machine = Publisher(
            app="live",
            tc_url="rtmp://host/live",
            stream_name="name",
            random=self._random,
            now=self._now,
            authenticator=self._authenticator,
        )
        self._events: list[Event] = []
        self._traffic = Traffic()

    def feed(self, data: bytes) -> None:
        self._traffic.receive(data)
        self.machine.receive_data(data, self._now)
        self.check()
        self._traffic.send(self.machine.data_to_send())

    def step(self, script: Script) -> None:
        match Step(script.choose(len(Step))):
            case Step.BYTES:
                self.feed(peer_bytes(script))
            case Step.MEDIA if self.machine.state is State.PUBLISHING:
                self.machine.send_data(script.number(4), b"\x02\x00\x0aonMetaData\x05")
                self.machine.send_video(script.number(4), b"\x17\x01")
                self.machine.send_audio(script.number(4), b"\xaf\x01")
            case Step.WAIT:
                self._now += script.number() / 8
                self._questions = 0
                self.machine.handle_timeout(self._now)
            case Step.END:
                self.machine.receive_eof()
            case Step.CLOSE:
                self.check()
                self.machine.close()
                assert self.machine.events() == []
            case Step.CONNECT if self.machine.state is State.FAILED:
                challenged = any(
                    isinstance(event, Failed) and event.reason is FailureReason.CHALLENGED
                    for event in self._events
                )
                self._questions = self._questions + 1 if challenged else 0
                assert self._questions <= MAX_QUESTIONS
                self.connect()
                self.feed(HANDSHAKE)
        self.check()
        self.machine.data_to_send()

    def check(self) -> None:
        self._events += self.machine.events()
        kinds = [type(event) for event in self._events]
        assert kinds in ([], [Publishing], [Failed], [Publishing, Failed])
        assert (self.machine.deadline() is not None) is (self.machine.state in WAITS)
        assert Publishing in kinds or self.machine.state is not State.PUBLISHING
        assert (Failed in kinds) is (self.machine.state is State.FAILED) or self.machine.state is State.CLOSED
        assert (self.machine.takes("Opus") is None) or self.machine.state is not State.CONNECTING
        assert self.machine._link._reader._held_bytes <= 2 * COMMAND_MAX_BYTES


def target(data: bytes) -> bool:
    """Whether the handshake is over already, and a list of steps."""
    owner = Owner()
    drive(owner, data)
    return owner.machine.state not in (State.HANDSHAKING, State.FAILED, State.CLOSED)


_peer = partial(sent, Step.BYTES)


def seeds() -> list[bytes]:
    connected = messages.connect_success(messages.Command("connect", 1.0, []))
    unknown = messages.command("_error", 2, None, {"level": "error", "code": "NetConnection.Call.Failed"})
    created = messages.command("_result", 4, None, 1)
    started = messages.on_status("status", "NetStream.Publish.Start", "Go.", stream_id=1)
    control = [
        messages.window_ack_size(100),
        messages.set_peer_bandwidth(5000, messages.BandwidthLimit.SOFT),
        messages.set_chunk_size(4096),
        messages.user_control(messages.ControlEvent.PING_REQUEST, 7),
    ]
    asked, challenged = (
        messages.command("_error", 1, None, {"level": "error", "description": description})
        for description in (
            "[ code=403 need auth; authmod=adobe ]",
            "[ authmod=adobe ] : ?reason=needauth&user=user&salt=a&challenge=b&opaque=c",
        )
    )
    again = bytes((Step.CONNECT,))
    start = b"\x01" + _peer(*control[:2], connected)
    publishing = start + _peer(unknown, created, control[3], started)
    return [
        b"\0" + bytes((Step.BYTES,)) + raw(HANDSHAKE),
        start,
        publishing,
        publishing + bytes((Step.MEDIA,)) + bytes(8) + bytes((Step.WAIT, 255)),
        b"\x01" + _peer(connected, messages.command("onBWDone", 0, None), *control),
        b"\x01" + _peer(asked) + again + _peer(challenged) + again + _peer(connected, created, started),
    ]
