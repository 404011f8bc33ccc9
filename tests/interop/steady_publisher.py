"""A WHIP client that sends a known picture at a steady pace, and speaks to its session's URL meanwhile.

Every access unit is known byte by byte, so that a recording tells which of them came: browsers and ffmpeg
tell neither. It runs in a thread of its own, so that tests can wait and look at files beside it.
"""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from tests.interop.processes import wait_until
from tests.interop.recording import FlvTag, pictures
from tests.peers import opus, x264
from tests.peers.udp_client import UdpClient
from tests.peers.whip_client import WhipClient

from whipway.protocol.dtls import DtlsClosed

RATE = 25
GROUP = 25
"""Pictures from one key frame to the next: a second."""
ACCESS_UNITS = 500
"""Sent again and again: the first one is a key frame. Twenty seconds."""
OPUS_PACKETS = 200
PACKET_SECONDS = 0.02
CONNECT_TIMEOUT = 10.0
REQUEST_TIMEOUT = 15.0
DROPPED_NALS = (9, 12)
"""Access unit delimiters and filler data, which have no place in FLV."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def request(url: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
    """Ask by HTTP; errors are answers as well."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(url, body.encode() if body is not None else None, named, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=REQUEST_TIMEOUT) as response:
            return Answer(response.status, response.headers, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read().decode())


class SteadyPublisher:
    """A session under way. `sent` holds the access units so far, as FLV bodies hold them."""

    def __init__(self, session_url: str, answer: Answer, machine: WhipClient) -> None:
        self.session_url = session_url
        self.answer = answer
        self.sent: list[bytes] = []
        self._machine = machine
        self._is_closed = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def status(self) -> Any:
        """The session's snapshot."""
        return request(f"{self.session_url}/status").json

    def sink(self, number: int = 0) -> Any:
        """One of its sinks, in the order they were added."""
        return self.status()["sinks"][number]

    def add_sink(self, stream_name: str, stream_url: str, **parameters: str) -> Answer:
        """Ask for one more RTMP server."""
        query = urlencode({"stream_name": stream_name, "stream_url": stream_url, **parameters})
        return request(f"{self.session_url}/sink?{query}", "POST")

    def wait_for_sink(self, state: str, number: int = 0, timeout: float = 20.0) -> Any:
        """Wait until a sink is in this state."""
        wait_until(lambda: self.sink(number)["state"] == state, timeout, f"sink {number} {state}")
        return self.sink(number)

    def send_for(self, seconds: float) -> None:
        """Wait until so much more has been sent."""
        goal = len(self.sent) + round(seconds * RATE)
        wait_until(lambda: len(self.sent) >= goal, seconds + CONNECT_TIMEOUT, "pictures sent")

    @property
    def is_closed(self) -> bool:
        """Whether the server has said goodbye (close_notify)."""
        self._is_closed |= any(isinstance(event, DtlsClosed) for event in self._machine.events())
        return self._is_closed

    def start(self) -> None:
        """Connect, and begin to send."""
        self._thread.start()
        wait_until(lambda: self.sent, CONNECT_TIMEOUT, "the first picture")

    def stop(self) -> None:
        """End the session politely, if the server is still there."""
        with suppress(OSError):
            request(self.session_url, "DELETE")
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        client = UdpClient.start(self._machine, self.answer.text)
        try:
            await client.connected()
            await self._send(client)
        finally:
            client.close()

    async def _send(self, client: UdpClient) -> None:
        loop = asyncio.get_running_loop()
        began, units, sounds = loop.time(), _access_units(), _sounds()
        packets = 0
        while not self._stop.is_set():
            passed = loop.time() - began
            while len(self.sent) / RATE <= passed:
                nals = units[len(self.sent) % len(units)]
                self._machine.send_picture(nals, len(self.sent) / RATE)
                self.sent.append(_flv_body(nals))
            while packets * PACKET_SECONDS <= passed:
                if "audio" in self._machine.kinds:
                    self._machine.send("audio", sounds[packets % len(sounds)], packets * PACKET_SECONDS)
                packets += 1
            client.flush()
            await asyncio.sleep(PACKET_SECONDS / 2)


@contextmanager
def publishing(
    whip_url: str, kinds: tuple[str, ...] = ("audio", "video"), **headers: str
) -> Iterator[SteadyPublisher]:
    """Publish for the length of a `with` block; inside, pictures are on their way."""
    machine = WhipClient(kinds=kinds)
    answer = request(whip_url, "POST", machine.offer, Content_Type="application/sdp", **headers)
    assert answer.status == 201, answer.text
    publisher = SteadyPublisher(answer.headers["Location"], answer, machine)
    try:
        publisher.start()
        yield publisher
    finally:
        publisher.stop()


def received(publisher: SteadyPublisher, tags: list[FlvTag], since: int = 0) -> list[int]:
    """The numbers of the access units in a recording, none before `since`.

    Pictures repeat after `ACCESS_UNITS`: the first one is taken for the earliest that fits, and every other
    one for the next that does.
    """
    numbers: list[int] = []
    position = since
    for tag in pictures(tags):
        position = publisher.sent.index(tag.body[5:], position) + 1
        numbers.append(position - 1)
    return numbers


def check_whole(publisher: SteadyPublisher, tags: list[FlvTag], since: int = 0) -> list[int]:
    """A recording begins with a key frame and has every access unit from there on; return their numbers."""
    numbers = received(publisher, tags, since)
    assert pictures(tags)[0].is_keyframe
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), numbers
    return numbers


@cache
def _access_units() -> list[list[bytes]]:
    return [unit.nals for unit in x264.encode(ACCESS_UNITS, rate=RATE, group=GROUP)]


@cache
def _sounds() -> list[bytes]:
    return opus.encode(OPUS_PACKETS)


def _flv_body(nals: list[bytes]) -> bytes:
    """NAL units with lengths in front, behind the five bytes of the tag's head (FLV, E.4.3.1)."""
    kept = [nal for nal in nals if nal[0] & 0x1F not in DROPPED_NALS]
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in kept)
