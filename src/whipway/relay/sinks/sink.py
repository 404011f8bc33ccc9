"""One RTMP output of a session, over all its connections.

A stream machine without a connection of its own: it asks its driver for one, and again as long as `Backoff`
says so. Each is an `Attempt` around a `Publisher`, and what belongs to it ends with it. While no server takes
media, `Hold` keeps what the next one begins with, at the times it has in the session. `Standing` has the
steps of all this. How far TCP has come is told by the driver: media that arrive make the sink "publishing",
media that do not arrive end the connection after a while.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, assert_never

from whipway.protocol.rtmp.client import Failed, FailureReason, Publisher, Publishing
from whipway.relay.sinks.attempt import Attempt
from whipway.relay.sinks.backoff import Backoff
from whipway.relay.sinks.events import (
    CloseConnection,
    FormatChanged,
    KeyframeWanted,
    OpenConnection,
    PicturesDropped,
    SinkEvent,
)
from whipway.relay.sinks.hold import Hold
from whipway.relay.sinks.sound_choice import OPUS_FOUR_CC, AudioChoice, SoundChoice
from whipway.relay.sinks.standing import Failure, SinkChanged, SinkState, Standing, Step, seconds
from whipway.relay.sinks.tag_queue import TagQueue
from whipway.relay.sinks.traffic import Traffic
from whipway.relay.tags import AudioFormat, Tag

__all__ = [
    "AudioChoice",
    "CloseConnection",
    "FormatChanged",
    "KeyframeWanted",
    "OpenConnection",
    "PicturesDropped",
    "Sink",
    "SinkChanged",
    "SinkEvent",
    "SinkState",
]

STABLE_TIME: Final = 10.0
"""Seconds of publishing after which all is well and earlier failures are forgotten."""
PROOF_INTERVAL: Final = 0.1
"""Seconds between looks at TCP until media are seen to arrive."""
WATCH_INTERVAL: Final = 1.0
"""And afterwards."""
DROPS_INTERVAL: Final = 10.0
"""Seconds at least from one word of pictures that were left out to the next."""


class Sink:
    """Fed with tags, and with what its driver hears of the connection. After each call: events, then data."""

    def __init__(
        self,
        *,
        make_publisher: Callable[[float, bool], Publisher],
        audio: AudioChoice,
        audio_bitrate: int,
        random: Callable[[], float],
        give_up_after: float = 0.0,
        now: float,
        headers: Sequence[Tag] = (),
        filler: bool = False,
    ) -> None:
        """`make_publisher(now, is_own)` gives a machine for a new connection; `is_own`: to our own origin.

        `random()` is in [0, 1). `give_up_after`: seconds without publishing after which no more is tried, 0:
        never. `headers`: what the stream's headers are so far. `filler`: while pictures stay away, it takes
        what the session has in their place.
        """
        self._make_publisher = make_publisher
        self._sound = SoundChoice(audio, audio_bitrate)
        self._takes_filler = filler
        self._standing = Standing()
        self._hold = Hold(self._sound.formats)
        self._traffic = Traffic()
        self._backoff = Backoff(random, give_up_after, now)
        self._attempt: Attempt | None = None
        self._due = now
        """When to act in this step: to try again, or to look at TCP."""
        self._drops_told = 0
        self._drops_due = now
        """When to tell of more at the earliest."""
        self._last_progress: float | None = None
        self._last_words: list[bytes] = []
        self._events: list[SinkEvent] = [OpenConnection(), KeyframeWanted()]
        self.push(headers, now)

    # The driver's side.

    def connected(self, now: float, is_own: bool = False) -> None:
        """The connection that was asked for is there."""
        if self._standing.step is Step.OPENING:
            self._attempt = Attempt(self._make_publisher(now, is_own), self._traffic)
            self._enter(Step.ASKING, now)

    def connection_failed(self, reason: str, detail: str, now: float) -> None:
        """The connection could not be made, or is lost. `reason`: a word of `backoff.POLICIES`."""
        failure = Failure(reason, detail)
        if self._standing.step is Step.ASKING and reason == "connection_lost":
            # Some servers say no by hanging up; how that ends the connection is a matter of chance.
            failure = self._talking.hang_up()
        if self._standing.step is Step.OPENING or self._attempt is not None:
            self._fail(failure, now, is_lost=True)

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes from the server. Never raises for what is in them."""
        if (attempt := self._attempt) is None:
            return
        attempt.receive(data, now)
        self._choose_format(attempt)
        if attempt.progress.note_rtmp(attempt.publisher.acknowledged_bytes, now):
            self._progressed(now)
        self._take_events(attempt, now)
        if attempt is self._attempt and attempt.is_flooded:
            self._fail(Failure("too_slow", "the server asks without taking the answers"), now)

    def receive_eof(self, now: float) -> None:
        """The server closed the connection."""
        if (attempt := self._attempt) is not None:
            attempt.publisher.receive_eof()
            self._take_events(attempt, now)

    def set_writable(self, writable: bool) -> None:
        """Whether the transport takes more; it does when the connection is new."""
        if self._attempt is not None:
            self._attempt.set_writable(writable)

    def note_progress(self, acknowledged_bytes: int, unsent_bytes: int, now: float) -> None:
        """How many bytes the server's TCP has acknowledged on this connection, and how many it has not.

        Wanted at `deadline()`, and welcome at any time.
        """
        if (attempt := self._attempt) is None:
            return
        progress = attempt.progress
        before = progress.acknowledged_bytes
        progressed = progress.note_tcp(acknowledged_bytes, unsent_bytes, now)
        self._traffic.arrived(progress.acknowledged_bytes - before, now)
        if progressed:
            self._progressed(now)
        self._watch_on(now)
        if progress.is_stalled(now):
            self._fail(Failure("stalled", "the server takes nothing any more"), now)

    def data_to_send(self) -> list[bytes]:
        """Bytes for the connection. There may be more at once: call until there are none, or it is full."""
        if self._attempt is not None:
            return self._attempt.data_to_send()
        data, self._last_words = self._last_words, []
        return data

    def deadline(self) -> float | None:
        """When `handle_timeout` is wanted, and with a connection `note_progress` before it."""
        match self._standing.step:
            case Step.ASKING:
                return self._talking.publisher.deadline()
            case Step.ACCEPTED | Step.PUBLISHING | Step.WAITING:
                return self._due
            case _:
                return None

    def handle_timeout(self, now: float) -> None:
        """To be called at `deadline()`, or at any time."""
        match self._standing.step:
            case Step.ASKING:
                attempt = self._talking
                attempt.publisher.handle_timeout(now)
                self._take_events(attempt, now)
            case Step.ACCEPTED | Step.PUBLISHING if now >= self._due:
                self._watch_on(now)
            case Step.WAITING if self._backoff.gives_up(now):
                assert self._standing.failure is not None  # It is what is waited after.
                self._give_up(self._standing.failure, now)
            case Step.WAITING if now >= self._due:
                self._try_again(now)

    @property
    def has_events(self) -> bool:
        """Whether something happened since the last call of `events`."""
        return bool(self._events)

    def events(self) -> list[SinkEvent]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def close(self, now: float) -> None:
        """End the publish politely: write what `data_to_send` gives, then close the connection.

        No event follows, nor any try. A sink that has failed remains so.
        """
        if not self._standing.is_over:
            self._drop_attempt()
            self._hold.clear()
            self._enter(Step.CLOSED, now)
        self._events = []

    # The session's side.

    @property
    def state(self) -> SinkState:
        """Where it stands."""
        return self._standing.state

    @property
    def failure(self) -> Failure | None:
        """Why the last try came to nothing; None once media arrive again."""
        return self._standing.failure

    @property
    def tries(self) -> int:
        """The number of the try that it is at, counted since all was well."""
        return self._backoff.tries

    @property
    def format(self) -> AudioFormat:
        """The sound that it wants now."""
        return self._sound.format

    @property
    def waiting(self) -> TagQueue | Hold:
        """What the server has not been given yet: how many `ms` of the stream, and `bytes` of memory."""
        attempt = self._attempt
        return attempt.queue if attempt is not None and attempt.has_begun else self._hold

    @property
    def bytes_arrived(self) -> int:
        """What the server's TCP has acknowledged, over all connections."""
        return self._traffic.bytes

    def push(self, tags: Sequence[Tag], now: float) -> None:
        """Take the session's next tags, of which those in other formats of sound are for other sinks."""
        if self._standing.is_over:
            return
        audio = self._sound.format
        for tag in tags:
            if tag.header:
                self._hold.keep_header(tag)
            if (tag.audio is None or tag.audio == audio) and (self._takes_filler or not tag.filler):
                self._pass_on(tag, now)
        self._tell_drops(now)
        if self._attempt is not None and self._attempt.queue.is_overfull:
            self._fail(Failure("too_slow", "the server does not even take the sound"), now)

    @property
    def standing(self) -> SinkChanged:
        """Its state, and why it failed last if that still matters."""
        return self._standing.change()

    def describe(self, now: float) -> dict[str, Any]:
        """Plain data for the API. `bytes` and `bitrate` are of what the server's TCP has acknowledged."""
        progress = self._last_progress
        waiting = self.waiting
        return {
            **self._standing.describe(now),
            **self._traffic.describe(now),
            "attempt": self.tries,
            "next_try_in": seconds(self._due - now) if self._standing.step is Step.WAITING else None,
            "audio": self._sound.describe(),
            "filler": "freeze" if self._takes_filler else "none",
            "queue_ms": waiting.ms,
            "queue_bytes": waiting.bytes,
            "since_progress": None if progress is None else seconds(now - progress),
        }

    # Media.

    def _pass_on(self, tag: Tag, now: float) -> None:
        attempt = self._attempt
        if attempt is not None and attempt.has_begun:
            if not attempt.push(tag, now):
                self._events.append(KeyframeWanted())
            return
        if not tag.header:
            self._hold.push(tag)
        if self._standing.step is Step.ACCEPTED:
            attempt = self._talking
            # Not by what was held when the server accepted: the publisher may have been muted since.
            if attempt.ready_since is None and not self._hold.is_empty:
                attempt.ready_since = now
            self._begin_if_ready(attempt, now)

    def _begin_if_ready(self, attempt: Attempt, now: float) -> None:
        waited = 0.0 if attempt.ready_since is None else now - attempt.ready_since
        if tags := self._hold.take(self.format, waited):
            if not attempt.begin(tags, now):
                self._events.append(KeyframeWanted())
            self._watch_on(now)

    def _tell_drops(self, now: float) -> None:
        if self._traffic.frames_dropped > self._drops_told and now >= self._drops_due:
            self._drops_told = self._traffic.frames_dropped
            self._drops_due = now + DROPS_INTERVAL
            self._events.append(PicturesDropped(self._drops_told))

    def _choose_format(self, attempt: Attempt) -> None:
        if self._sound.learn(attempt.publisher.takes(OPUS_FOUR_CC)):
            self._hold.drop_sound_but(self.format)
            self._events.append(FormatChanged())

    # Steps.

    @property
    def _talking(self) -> Attempt:
        """The connection, in a step that has one."""
        assert self._attempt is not None
        return self._attempt

    def _enter(self, step: Step, now: float, failure: Failure | None = None) -> None:
        self._events += self._standing.enter(step, now, failure)

    def _take_events(self, attempt: Attempt, now: float) -> None:
        for event in attempt.publisher.events():
            match event:
                case Publishing():
                    self._accepted(attempt, now)
                case Failed(FailureReason.CHALLENGED, detail):
                    self._answer_challenge(detail, now)
                case Failed(reason, detail):
                    self._fail(Failure(reason.value, detail), now)
                case _:
                    assert_never(event)

    def _accepted(self, attempt: Attempt, now: float) -> None:
        self._enter(Step.ACCEPTED, now)
        self._watch_on(now)
        self._begin_if_ready(attempt, now)
        if not attempt.has_begun:
            self._events.append(KeyframeWanted())

    def _answer_challenge(self, detail: str, now: float) -> None:
        if not self._backoff.challenged():
            self._fail(Failure("unauthorized", f"{detail}, again and again"), now)
            return
        self._drop_attempt()
        self._enter(Step.OPENING, now)
        self._events += [CloseConnection(), OpenConnection()]

    def _progressed(self, now: float) -> None:
        self._last_progress = now
        if self._standing.step is Step.ACCEPTED:
            self._enter(Step.PUBLISHING, now)
        elif now - self._standing.publishing_since >= STABLE_TIME:
            self._backoff.reset()

    def _watch_on(self, now: float) -> None:
        """Look at TCP again in a while."""
        is_proven = self._standing.step is Step.PUBLISHING
        self._due = now + (WATCH_INTERVAL if is_proven else PROOF_INTERVAL)

    def _fail(self, failure: Failure, now: float, *, is_lost: bool = False) -> None:
        """The end of a try. `is_lost`: there is no connection (any more) that could be closed."""
        if self._standing.step is Step.PUBLISHING:
            self._backoff.published(now)
        self._drop_attempt()
        if is_lost:
            self._last_words = []
        else:
            self._events.append(CloseConnection())
        due = self._backoff.next_try(failure.reason, now)
        if due is None:
            self._give_up(failure, now)
        else:
            self._due = due
            self._enter(Step.WAITING, now, failure)

    def _give_up(self, failure: Failure, now: float) -> None:
        if self._backoff.gives_up(now):
            # In front: what a server said was cut to a length, secrets cut with it are found at the end.
            failure = Failure(failure.reason, f"given up after too long without success: {failure.detail}")
        self._hold.clear()
        self._enter(Step.FAILED, now, failure)

    def _try_again(self, now: float) -> None:
        self._backoff.tries += 1
        self._enter(Step.OPENING, now)
        self._events += [self._standing.change(), OpenConnection()]

    def _drop_attempt(self) -> None:
        """Part with the connection. What waited there is the beginning of the next one."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._last_words = attempt.close()
            self._traffic.disconnected()
            self._hold.put_back(attempt.queue.drain())
