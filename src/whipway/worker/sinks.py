"""The sinks of one broadcast: what each is told apart by, how it is made, what it says of itself.

A sink is named as soon as it is asked for and connects once it is started, which is when the client has
connected: a POST alone must not make a stream appear anywhere. What an RTMP server says may repeat the
publisher's secrets, so it leaves here only through the sink's `conceal`.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

from whipway.protocol.rtmp.amf0 import Value
from whipway.protocol.rtmp.authentication import Authenticator
from whipway.protocol.rtmp.client import Publisher
from whipway.protocol.rtmp.messages import FOUR_CC_LIST, PASS_PROPERTY
from whipway.protocol.rtmp.url import RtmpUrl, cut_name, is_loopback_host, loggable_name, parse_rtmp_url
from whipway.relay.quality import SinkLoad
from whipway.relay.sinks.sink import AudioChoice, Sink, SinkState
from whipway.relay.sinks.sound_choice import OPUS_FOUR_CC
from whipway.relay.tags import AudioFormat, Tag
from whipway.worker.concealment import make_concealer
from whipway.worker.egress import EgressPolicy
from whipway.worker.sink_driver import DriverEvent, SinkDriver
from whipway.worker.tls import TlsContexts

FREEZE = "freeze"
"""The filler that repeats the last key frame."""


class SinkSpec(NamedTuple):
    """Where a stream is to go, and how; the fields are those of CreateSession and AddSink."""

    stream_name: str
    stream_url: str
    audio: str
    audio_bitrate: int
    filler: str
    stream_key: str


class SinkFactory:
    """Makes sinks as this server's settings want them.

    `own_pass` is told to the embedded origin and to nobody else: by it the origin knows its own server.
    `give_up_after` as for `Sink`; `max_sinks` is the most that one broadcast may have.
    """

    def __init__(
        self,
        egress: EgressPolicy,
        tls: TlsContexts,
        *,
        own_pass: str = "",
        give_up_after: float = 0.0,
        max_sinks: int = 16,
    ) -> None:
        self.max_sinks = max_sinks
        self._egress = egress
        self._tls = tls
        self._own_pass = own_pass
        self._give_up_after = give_up_after

    def for_session(self) -> "SinkFactory":
        """The same for the sinks of one session, which share what it may look up."""
        factory = copy(self)
        factory._egress = self._egress.for_session()
        return factory

    def make_machine(self, spec: SinkSpec, url: RtmpUrl, headers: Sequence[Tag], now: float) -> Sink:
        """A sink that wants to connect; `headers` are those of the stream that it comes to."""
        authenticator = Authenticator(url.user, url.password, os.urandom)
        # Enhanced RTMP: servers that name their codecs may do so only for clients that name theirs. Who wants
        # plain AAC says nothing, as clients always did.
        codecs: dict[str, Value] = {} if spec.audio == AudioChoice.AAC else {FOUR_CC_LIST: [OPUS_FOUR_CC]}

        def make_publisher(now: float, is_own: bool) -> Publisher:
            return Publisher(
                app=url.app,
                tc_url=url.tc_url,
                stream_name=spec.stream_name,
                random=os.urandom,
                now=now,
                authenticator=authenticator,
                connect_values=codecs | ({PASS_PROPERTY: self._own_pass} if is_own else {}),
            )

        return Sink(
            make_publisher=make_publisher,
            audio=AudioChoice(spec.audio),
            audio_bitrate=spec.audio_bitrate,
            random=random.random,
            filler=spec.filler == FREEZE,
            give_up_after=self._give_up_after,
            now=now,
            headers=headers,
        )

    def drive(self, machine: Sink, url: RtmpUrl, on_event: Callable[[DriverEvent], None]) -> SinkDriver:
        """Have a sink connect."""
        return SinkDriver(machine, url, on_event, self._egress, self._tls)


class BroadcastSink:
    """One sink and what it is known by. ValueError for a spec whose URL cannot be read."""

    def __init__(self, sink_id: str, spec: SinkSpec, factory: SinkFactory) -> None:
        self.id = sink_id
        self.spec = spec
        self._url = parse_rtmp_url(spec.stream_url)
        self.logged_name = loggable_name(spec.stream_name, spec.stream_url)
        """The stream's name as logs may hold it, and answers: another token may have added the sink."""
        self._shown_url = _shown(self._url)
        self.conceal = make_concealer(spec.stream_name, self._url)
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._machine = factory.make_machine(spec, self._url, (), self._loop.time())
        self._driver: SinkDriver | None = None

    @property
    def format(self) -> AudioFormat:
        """The sound that it wants now."""
        return self._machine.format

    @property
    def has_failed(self) -> bool:
        """Whether it has given up for good."""
        return self._machine.state is SinkState.FAILED

    @property
    def attempt(self) -> int:
        """The number of the try that it is at, counted since all was well."""
        return self._machine.tries

    @property
    def wants_filler(self) -> bool:
        """Whether it gets pictures while the publisher sends none."""
        return self.spec.filler == FREEZE and not self.has_failed

    def load(self) -> SinkLoad:
        """What the server takes at this moment, and what waits for it."""
        # A few times a second for every sink: not by way of `describe`.
        handed_over = 0
        if self._driver is not None:
            self._driver.note_progress()
            handed_over = self._driver.waiting_bytes
        machine = self._machine
        waiting, is_publishing = machine.waiting, machine.state is SinkState.PUBLISHING
        return SinkLoad(
            self.id, is_publishing, waiting.ms, waiting.bytes + handed_over, machine.bytes_arrived
        )

    def start(self, headers: Sequence[Tag], on_event: Callable[[DriverEvent], None]) -> None:
        """Connect, and tell what happens from now on."""
        # Made anew: whatever it measures begins with the first attempt.
        self._machine = self._factory.make_machine(self.spec, self._url, headers, self._loop.time())
        self._driver = self._factory.drive(self._machine, self._url, on_event)

    def push(self, tags: list[Tag]) -> None:
        """Send tags, those of them that are for this sink."""
        if self._driver is not None:
            self._driver.push(tags)

    def close(self) -> None:
        """End its publish politely; nothing is told any more."""
        if self._driver is not None:
            self._driver.close()
        else:
            self._machine.close(self._loop.time())

    def standing(self) -> dict[str, Any]:
        """What it is and in which state, without its figures and without secrets."""
        change = self._machine.standing
        return {
            "id": self.id,
            "stream_name": self.logged_name,
            "stream_url": self._shown_url,
            "state": change.state.value,
            "reason": change.reason,
            "detail": self.conceal(change.detail),
        }

    def describe(self) -> dict[str, Any]:
        """Plain data for the API, without secrets; true at this moment."""
        if self._driver is not None:
            self._driver.note_progress()
        description = self._machine.describe(self._loop.time())
        return {
            "id": self.id,
            "stream_name": self.logged_name,
            "stream_url": self._shown_url,
            **description,
            "detail": self.conceal(description["detail"]),
        }


def _shown(url: RtmpUrl) -> str:
    """A URL for answers: where it leads elsewhere, what follows the application may be a key."""
    if is_loopback_host(url.host):
        return url.shown
    scheme, nothing, server, app, *more = url.shown.split("/")
    return "/".join((scheme, nothing, server, app, *map(cut_name, more)))


class Sinks:
    """The sinks of one broadcast. `on_event` is called with what happens to each, once they are started."""

    def __init__(self, factory: SinkFactory, on_event: Callable[[BroadcastSink, DriverEvent], None]) -> None:
        self._factory = factory.for_session()
        self._on_event = on_event
        self._by_id: dict[str, BroadcastSink] = {}
        self._count = 0  # of all that there ever were: an id never comes again
        self._is_started = False

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another."""
        return len(self._by_id) >= self._factory.max_sinks

    @property
    def have_failed(self) -> bool:
        """Whether there are sinks, and none that may still publish."""
        return bool(self._by_id) and all(sink.has_failed for sink in self._by_id.values())

    def formats(self) -> set[AudioFormat]:
        """The sound that they want now."""
        return {sink.format for sink in self._by_id.values() if not sink.has_failed}

    @property
    def want_filler(self) -> bool:
        """Whether any of them gets pictures while the publisher sends none."""
        return any(sink.wants_filler for sink in self._by_id.values())

    def loads(self) -> list[SinkLoad]:
        """What each of them takes, the first one first."""
        return [sink.load() for sink in self._by_id.values()]

    def add(self, spec: SinkSpec, headers: Sequence[Tag]) -> BroadcastSink:
        """Make one more. It connects at once if the others have."""
        self._count += 1
        sink = BroadcastSink(str(self._count), spec, self._factory)
        self._by_id[sink.id] = sink
        if self._is_started:
            self._start(sink, headers)
        return sink

    def remove(self, sink_id: str) -> BroadcastSink | None:
        """Close one and forget it; None: there is none of this id."""
        sink = self._by_id.pop(sink_id, None)
        if sink is not None:
            sink.close()
        return sink

    def find(self, sink_id: str) -> BroadcastSink | None:
        """The one of this id."""
        return self._by_id.get(sink_id)

    def start(self) -> None:
        """Have them connect, and those that come later too."""
        self._is_started = True
        for sink in list(self._by_id.values()):
            self._start(sink, ())

    def push(self, tags: list[Tag]) -> None:
        """Send tags."""
        # A sink that fails meanwhile may end all of them, and the broadcast.
        for sink in list(self._by_id.values()):
            sink.push(tags)

    def close(self) -> None:
        """Close all, even if a bug gets in between."""
        with contextlib.ExitStack() as stack:
            for sink in self._by_id.values():
                stack.callback(sink.close)

    def standing(self) -> list[Mapping[str, Any]]:
        """How each of them stands, in the order in which they came."""
        return [sink.standing() for sink in self._by_id.values()]

    def describe(self) -> list[dict[str, Any]]:
        """Plain data of each, in the order in which they came."""
        return [sink.describe() for sink in self._by_id.values()]

    def _start(self, sink: BroadcastSink, headers: Sequence[Tag]) -> None:
        sink.start(headers, lambda event: self._on_event(sink, event))
