from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.relay.sinks.walk import ACTIONS, ANY_STEP, LIMIT, check_sink
from tests.unit.relay.sinks.wire import (
    AAC,
    AUDIO_HEADER,
    CHALLENGE,
    METADATA,
    OPUS_HEADER,
    START,
    VIDEO_HEADER,
    WRONG_PASSWORD,
    Source,
    Wire,
    check_media,
    close,
    cue,
    filler,
    hang_up,
    keyframe,
    new_server,
    picture,
    shy_server,
    sound,
    stream,
)

from whipway.protocol.rtmp import amf0, messages
from whipway.protocol.rtmp.authentication import Authenticator
from whipway.protocol.rtmp.client import STEP_TIMEOUT
from whipway.protocol.rtmp.messages import ControlEvent, Message, MessageType
from whipway.protocol.rtmp.server import ServerConnection
from whipway.relay.sinks import hold, tag_queue
from whipway.relay.sinks.attempt import PIECE_BYTES
from whipway.relay.sinks.backoff import MAX_CHALLENGES, POLICIES
from whipway.relay.sinks.hold import PICTURE_WAIT
from whipway.relay.sinks.progress import STALL_TIMEOUT
from whipway.relay.sinks.sink import (
    DROPS_INTERVAL,
    PROOF_INTERVAL,
    STABLE_TIME,
    WATCH_INTERVAL,
    AudioChoice,
    CloseConnection,
    FormatChanged,
    KeyframeWanted,
    OpenConnection,
    PicturesDropped,
    SinkChanged,
    SinkState,
)
from whipway.relay.sinks.standing import TRANSITIONS, Failure, Step
from whipway.relay.sinks.tag_queue import MAX_QUEUE_MS, MAX_SOUND_MS
from whipway.relay.tags import OPUS


def at_opening(**arguments: object) -> Wire:
    return Wire(**arguments)  # type: ignore[arg-type]


def at_asking(**arguments: object) -> Wire:
    wire = at_opening(**arguments)
    wire.accepts = False
    return wire.connect()


def at_accepted(**arguments: object) -> Wire:
    wire = at_opening(**arguments)
    return wire.connect()


def publish(wire: Wire) -> Wire:
    """From a wanted connection to publishing."""
    wire.connect().push([*START, keyframe(0)])
    wire.note()
    assert wire.sink.state is SinkState.PUBLISHING
    return wire


def at_publishing(**arguments: object) -> Wire:
    return publish(at_opening(**arguments))


def at_waiting(**arguments: object) -> Wire:
    return at_opening(**arguments).refuse()


def accept(wire: Wire) -> None:
    assert isinstance(wire.server, ServerConnection)
    wire.server.accept_publish()
    wire.run()


def times(messages: list[Message]) -> list[int]:
    return [message.timestamp for message in messages]


class Patient(Authenticator):
    """One that believes that the next connect may fare better, whatever the server says."""

    def take_rejection(self, description: str, now: float) -> bool:
        return True


# The table.

AT: dict[Step, Callable[..., Wire]] = {
    Step.OPENING: at_opening,
    Step.ASKING: at_asking,
    Step.ACCEPTED: at_accepted,
    Step.PUBLISHING: at_publishing,
    Step.WAITING: at_waiting,
}


def challenge(wire: Wire) -> None:
    """Let a connection that is being made end at a server that asks who it is."""
    wire.refuse().advance(0.5)
    wire.make_server = shy_server(CHALLENGE)
    wire.connect()


def refuse_for_good(wire: Wire) -> None:
    wire.refuse("egress_refused", "not there")


def turn_away(wire: Wire) -> None:
    wire.refuse().advance(0.5)
    wire.make_server = shy_server(WRONG_PASSWORD)
    wire.connect()


MOVES: dict[tuple[Step, Step], Callable[[Wire], object]] = {
    (Step.OPENING, Step.ASKING): lambda wire: setattr(wire, "accepts", False) or wire.connect(),
    (Step.OPENING, Step.WAITING): Wire.refuse,
    (Step.OPENING, Step.FAILED): refuse_for_good,
    (Step.ASKING, Step.ACCEPTED): accept,
    (Step.ASKING, Step.OPENING): challenge,
    (Step.ASKING, Step.WAITING): hang_up,
    (Step.ASKING, Step.FAILED): turn_away,
    (Step.ACCEPTED, Step.PUBLISHING): lambda wire: wire.push([*START, keyframe(0)]).note(),
    (Step.ACCEPTED, Step.WAITING): hang_up,
    (Step.ACCEPTED, Step.FAILED): refuse_for_good,
    (Step.PUBLISHING, Step.WAITING): hang_up,
    (Step.PUBLISHING, Step.FAILED): refuse_for_good,
    (Step.WAITING, Step.OPENING): lambda wire: wire.advance(0.5),
    (Step.WAITING, Step.FAILED): lambda wire: wire.advance(0.4),
    **{(step, Step.CLOSED): close for step in AT},
}


def test_the_whole_table_is_covered() -> None:
    assert MOVES.keys() == {(before, after) for before, steps in TRANSITIONS.items() for after in steps}


@pytest.mark.parametrize("move", MOVES, ids=lambda move: f"{move[0].name}-{move[1].name}")
def test_each_step_of_the_table(move: tuple[Step, Step]) -> None:
    before, after = move
    wire = AT[before](**({"give_up_after": 0.3} if move == (Step.WAITING, Step.FAILED) else {}))
    assert wire.sink._standing.step is before
    MOVES[move](wire)
    assert wire.sink._standing.step is after
    described = wire.describe()
    if after in (Step.WAITING, Step.FAILED):
        assert described["reason"] in POLICIES
        assert described["detail"]
    assert (described["next_try_in"] is not None) == (after is Step.WAITING)
    assert (wire.sink.deadline() is None) == (after in (Step.OPENING, Step.FAILED, Step.CLOSED))


@pytest.mark.parametrize("step", [Step.FAILED, Step.CLOSED])
def test_nothing_comes_after_the_end(step: Step) -> None:
    wire = at_publishing()
    MOVES[Step.PUBLISHING, step](wire)
    wire.events.clear()
    state = wire.sink.state
    wire.push(stream(0, 100))
    wire.sink.connected(wire.now)
    wire.sink.receive_data(b"late", wire.now)
    wire.sink.receive_eof(wire.now)
    wire.sink.set_writable(True)
    wire.sink.note_progress(10, 0, wire.now)
    wire.sink.handle_timeout(wire.now + 100)
    wire.refuse().run()
    close(wire)
    assert wire.events == []
    assert wire.sink.data_to_send() == []
    assert wire.sink.state is state


# Connecting.


def test_a_new_sink_wants_a_connection_and_a_key_frame() -> None:
    wire = at_opening()
    assert wire.events == [OpenConnection(), KeyframeWanted()] and not wire.sink.has_events
    assert wire.sink.state is wire.sink.standing.state is SinkState.CONNECTING
    assert wire.sink.deadline() is None
    assert wire.describe() == {
        "state": "connecting",
        "reason": None,
        "detail": "",
        "attempt": 1,
        "next_try_in": None,
        "reconnects": 0,
        "audio": {"choice": "aac", "codec": "aac", "bitrate": 128_000},
        "filler": "none",
        "bytes": 0,
        "frames": 0,
        "frames_dropped": 0,
        "bitrate": 0,
        "queue_ms": 0,
        "queue_bytes": 0,
        "since_progress": None,
        "publishing_for": None,
    }


def test_the_publisher_is_told_whose_server_it_is() -> None:
    wire = at_opening()
    wire.connect(is_own=True)
    wire.refuse().advance(1.0).connect()
    assert wire.is_own == [True, False]


def test_what_came_meanwhile_goes_out_when_the_server_accepts() -> None:
    wire = at_asking(headers=START)
    wire.push([keyframe(1000), sound(1005), picture(1040)])
    assert wire.describe()["queue_ms"] == 40
    assert wire.describe()["queue_bytes"] > 100
    accept(wire)
    assert times(wire.media) == [0, 1000, 1000, 1000, 1005, 1040]
    assert wire.count(KeyframeWanted) == 1
    assert amf0.decode(wire.media[0].payload) == ["onMetaData", {"width": 320.0}]
    assert wire.describe()["queue_bytes"] == 0
    assert wire.describe()["frames"] == 2


def test_a_server_that_accepts_with_nothing_held_waits_for_a_key_frame() -> None:
    wire = at_accepted(headers=START)
    assert wire.count(KeyframeWanted) == 2
    wire.push([sound(10), picture(20), sound(30)])
    assert wire.media == []
    wire.push([keyframe(60), sound(50), picture(100)])
    assert times(wire.media) == [0, 60, 60, 60, 100]


def test_a_stream_without_pictures_begins_with_sound() -> None:
    wire = at_accepted(headers=[METADATA, AUDIO_HEADER])
    wire.push([sound(500)])
    assert times(wire.media) == [0, 500, 500]


def test_a_stream_whose_pictures_stay_away_begins_with_sound() -> None:
    wire = at_accepted(headers=START)
    # Before there is anything to begin with, nothing is waited for.
    wire.advance(60.0).push([picture(0), sound(1)])
    wire.advance(PICTURE_WAIT - 0.1).push([sound(20)])
    assert wire.media == []
    assert wire.count(KeyframeWanted) == 2
    wire.advance(0.1).push([sound(40), picture(50), keyframe(60)])
    assert times(wire.media) == [0, 1, 1, 1, 20, 40, 60]
    assert wire.count(KeyframeWanted) == 3
    assert wire.describe()["frames_dropped"] == 0


def test_sound_that_came_early_is_no_reason_to_hurry() -> None:
    wire = at_asking(headers=START)
    wire.push([sound(0)]).advance(PICTURE_WAIT)
    accept(wire)
    # Muted meanwhile: the picture may come right behind the first sound.
    wire.advance(PICTURE_WAIT).push([sound(20)])
    assert wire.media == []
    wire.advance(PICTURE_WAIT).push([sound(40)])
    assert times(wire.media) == [0, 0, 0, 0, 20, 40]


def test_a_beginning_with_too_large_a_picture_has_another_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_queue, "MAX_QUEUE_BYTES", 1000)
    wire = at_asking(headers=START)
    wire.push([keyframe(0, size=1000)])
    assert wire.count(KeyframeWanted) == 1
    accept(wire)
    assert times(wire.media) == [0, 0, 0]
    assert wire.count(KeyframeWanted) == 2
    wire.push([picture(40), keyframe(80)])
    assert times(wire.media)[3:] == [80]
    assert wire.describe()["frames_dropped"] == 2


def test_sound_of_other_formats_is_for_other_sinks() -> None:
    wire = at_publishing()
    wire.push([OPUS_HEADER, sound(1, OPUS), sound(2), cue(3)])
    assert times(wire.media)[4:] == [2, 3]


def test_an_answer_that_does_not_come_fails_the_try() -> None:
    wire = at_asking()
    assert wire.sink.deadline() == STEP_TIMEOUT
    wire.advance(STEP_TIMEOUT)
    assert wire.changes == [(SinkState.RETRYING, "timeout")]
    assert wire.events[-2:] == [
        CloseConnection(),
        SinkChanged(SinkState.RETRYING, "timeout", "no answer to publish in time"),
    ]


def test_a_server_that_accepts_and_hangs_up_in_one_breath() -> None:
    wire = at_asking(headers=START)
    wire.push([keyframe(0)])
    assert isinstance(wire.server, ServerConnection)
    wire.server.accept_publish()
    wire.server.close()
    wire.run()
    assert wire.sink.state is SinkState.RETRYING
    assert wire.describe()["reason"] == "closed_by_peer"
    # What nobody took is there for the next connection.
    wire.accepts = True
    wire.advance(1.0).connect()
    assert times(wire.media) == [0, 0, 0, 0]


def test_automatic_sound_is_what_the_server_takes() -> None:
    wire = at_asking(audio=AudioChoice.AUTO)
    assert wire.sink.format == OPUS
    assert wire.count(FormatChanged) == 0
    accept(wire)
    wire.push([VIDEO_HEADER, OPUS_HEADER, keyframe(0), sound(1), sound(2, OPUS)])
    assert [message.type_id for message in wire.media] == [8, 9, 9, 8]


def test_automatic_sound_changes_when_the_server_takes_no_opus() -> None:
    wire = at_opening(audio=AudioChoice.AUTO, headers=[VIDEO_HEADER, OPUS_HEADER, AUDIO_HEADER])
    wire.lists_codecs = False
    wire.push([keyframe(0), sound(1, OPUS), sound(2)])
    wire.connect()
    assert wire.count(FormatChanged) == 1
    assert wire.sink.format == AAC
    wire.push([sound(3)])
    assert [message.payload for message in wire.media] == [
        AUDIO_HEADER.payload,
        VIDEO_HEADER.payload,
        keyframe(0).payload,
        sound(3).payload,
    ]
    # It is remembered: the next connection begins with it.
    wire.refuse().advance(1.0)
    wire.push([keyframe(2000), sound(2001)]).connect()
    assert wire.count(FormatChanged) == 1
    assert times(wire.media) == [2000, 2000, 2000, 2001]


# Publishing.


def test_publishing_is_said_when_media_arrive_and_not_before() -> None:
    wire = at_accepted(headers=START)
    wire.advance(1.0)
    wire.reads = False
    wire.push([keyframe(0)])
    assert wire.sink.deadline() == wire.now + PROOF_INTERVAL
    wire.advance(5.0)
    assert wire.sink.state is SinkState.CONNECTING
    assert wire.changes == []
    wire.reads = True
    wire.run().note()
    assert wire.changes == [(SinkState.PUBLISHING, None)]
    assert wire.sink.deadline() == wire.now + WATCH_INTERVAL


def test_a_deadline_that_nobody_heeds_is_put_off() -> None:
    wire = at_publishing()
    due = wire.sink.deadline()
    assert due is not None
    wire.sink.handle_timeout(due - 0.5)
    assert wire.sink.deadline() == due
    wire.sink.handle_timeout(due)
    assert wire.sink.deadline() == due + WATCH_INTERVAL


def test_an_acknowledgement_by_rtmp_will_do() -> None:
    wire = at_accepted(headers=START)
    wire.push([keyframe(0)])
    assert wire.sink.state is SinkState.CONNECTING
    assert isinstance(wire.server, ServerConnection)
    wire.server._link.send(messages.acknowledgement(wire.sent))
    wire.run()
    assert wire.sink.state is SinkState.PUBLISHING


def test_a_publishing_sink_says_how_it_fares() -> None:
    wire = at_publishing()
    for second in range(1, 6):
        wire.push(stream(second * 1000, second * 1000 + 1000)).advance(1.0)
    wire.now += 0.25
    described = wire.describe()
    assert described["state"] == "publishing"
    assert described["publishing_for"] == 5.25
    assert described["since_progress"] == 0.25
    assert described["frames"] == 126
    assert described["bytes"] == wire.sink.bytes_arrived == wire.sent
    assert 5000 < described["bitrate"] < 50_000


def test_late_headers_go_on_in_order() -> None:
    wire = at_publishing()
    wire.push([METADATA, VIDEO_HEADER._replace(timestamp_ms=40), keyframe(40)])
    assert times(wire.media)[4:] == [0, 40, 40]


# Slow and silent servers.


def stick(wire: Wire) -> Wire:
    """TCP takes nothing any more, and the transport is full."""
    wire.reads = False
    wire.capacity = -1
    return wire.push([sound(1)])


def test_tags_wait_for_a_slow_server_and_go_out_in_pieces() -> None:
    wire = stick(at_publishing())
    tags = [picture(time, size=20_000) for time in range(40, 1000, 40)]
    wire.push(tags)
    described = wire.describe()
    assert described["queue_ms"] == 920
    assert described["queue_bytes"] > 24 * 20_000
    assert described["frames_dropped"] == 0
    wire.reads = True
    wire.largest_piece = 0
    wire.run()
    assert times(wire.media)[-24:] == [tag.timestamp_ms for tag in tags]
    assert wire.largest_piece < PIECE_BYTES + 20_100
    assert wire.describe()["queue_bytes"] == 0


def test_a_slow_server_misses_pictures_up_to_the_newest_key_frame() -> None:
    wire = stick(at_publishing())
    wire.push(stream(1000, 4100))
    described = wire.describe()
    assert described["frames_dropped"] == 75
    assert wire.count(KeyframeWanted) == 2
    wire.reads = True
    wire.run()
    got = [message for message in wire.media if message.type_id == MessageType.VIDEO]
    assert times(got)[2:] == [4000, 4040, 4080]
    heard = [message for message in wire.media if message.type_id == MessageType.AUDIO]
    assert times(heard)[2:] == list(range(1000, 4100, 20))


def test_pictures_left_out_are_told_now_and_then() -> None:
    wire = stick(at_publishing())
    told: list[int] = []
    for start in range(1000, 9000, 1000):
        wire.push(stream(start, start + 1000))
        told += [event.count for event in wire.events if isinstance(event, PicturesDropped)]
        wire.events.clear()
    assert told == [75]
    wire.reads = True
    wire.run().advance(DROPS_INTERVAL - 0.1).push([sound(9000)])
    assert wire.events == []
    wire.advance(0.1).push([sound(9020)]).push([sound(9040)])
    assert wire.events == [PicturesDropped(wire.describe()["frames_dropped"])]
    assert wire.describe()["frames_dropped"] > 75


def test_a_slow_server_without_a_newer_key_frame_has_one_asked_for() -> None:
    wire = stick(at_publishing())
    wire.push([picture(time) for time in range(40, MAX_QUEUE_MS + 80, 40)])
    assert wire.count(KeyframeWanted) == 2
    wire.push([picture(MAX_QUEUE_MS + 80), picture(MAX_QUEUE_MS + 120)])
    assert wire.count(KeyframeWanted) == 3
    dropped = wire.describe()["frames_dropped"]
    wire.reads = True
    wire.run()
    wire.push([picture(4000), keyframe(4040), picture(4080)])
    assert times(wire.media)[-2:] == [4040, 4080]
    assert wire.describe()["frames_dropped"] == dropped + 1


def test_a_server_that_does_not_take_the_sound_is_left() -> None:
    wire = stick(at_publishing())
    wire.push([sound(time) for time in range(20, MAX_SOUND_MS + 60, 20)])
    assert wire.changes[-1] == (SinkState.RETRYING, "too_slow")
    assert wire.server is None


def test_a_server_that_takes_nothing_is_left_after_a_while() -> None:
    wire = at_publishing()
    wire.reads = False
    wire.push([picture(40)]).advance(STALL_TIMEOUT - WATCH_INTERVAL)
    assert wire.sink.state is SinkState.PUBLISHING
    wire.advance(2 * WATCH_INTERVAL)
    assert wire.changes[-1] == (SinkState.RETRYING, "stalled")
    assert wire.count(CloseConnection) == 1


def test_a_server_that_accepts_and_takes_nothing_was_never_publishing() -> None:
    wire = at_accepted(headers=START)
    wire.reads = False
    wire.push([keyframe(0)]).advance(STALL_TIMEOUT + PROOF_INTERVAL)
    assert wire.changes == [(SinkState.RETRYING, "stalled")]


def test_a_stream_that_pauses_is_no_stall() -> None:
    wire = at_publishing().advance(100.0)
    wire.push([picture(40)]).advance(5.0)
    assert wire.sink.state is SinkState.PUBLISHING
    assert wire.describe()["since_progress"] == pytest.approx(4.0, abs=1.0)


def test_a_server_that_asks_without_end_is_left() -> None:
    wire = stick(at_publishing())
    for _ in range(5):
        for _ in range(1000):
            assert isinstance(wire.server, ServerConnection)
            wire.server._link.send(messages.user_control(ControlEvent.PING_REQUEST, 1))
        wire.run()
        if wire.server is None:
            break
    assert wire.changes[-1] == (SinkState.RETRYING, "too_slow")
    assert wire.describe()["detail"] == "the server asks without taking the answers"


def test_a_server_that_hangs_up_when_asked_says_no() -> None:
    wire = at_asking().refuse("connection_lost", "reset")
    assert wire.sink.failure is not None
    assert wire.sink.failure.reason == "closed_early"
    assert "instead of" in wire.sink.failure.detail
    assert wire.count(CloseConnection) == 0


# Fillers.


def test_fillers_are_for_sinks_that_want_them() -> None:
    for wants in (False, True):
        wire = at_publishing(filler=wants)
        wire.push([filler(2000), sound(2001), filler(3000), keyframe(3500)])
        assert times(wire.media)[4:] == ([2000, 2001, 3000, 3500] if wants else [2001, 3500])
        assert wire.describe()["filler"] == ("freeze" if wants else "none")
        assert wire.describe()["frames"] == (4 if wants else 2)


def test_a_server_that_accepts_while_pictures_stay_away_begins_with_a_filler() -> None:
    wire = at_publishing(filler=True)
    wire.refuse("connection_lost", "reset")
    wire.push([picture(40), filler(2000), sound(2001), filler(3000)]).advance(0.5).connect()
    assert times(wire.media) == [0, 2000, 2000, 2000, 2001, 3000]
    wire.push([keyframe(3500), picture(3540)])
    assert times(wire.media)[6:] == [3500, 3540]
    assert wire.describe()["frames_dropped"] == 0


def test_a_server_whose_sink_wants_no_filler_begins_without_one() -> None:
    wire = at_publishing().refuse("connection_lost", "reset")
    wire.push([filler(2000), sound(2001), filler(3000)]).advance(0.5).connect()
    wire.push([sound(3001), filler(4000)])
    assert wire.media == []
    wire.advance(PICTURE_WAIT).push([filler(6000), sound(6001)])
    assert times(wire.media) == [0, 3001, 3001, 3001, 6001]
    wire.push([filler(7000), keyframe(7500)])
    assert times(wire.media)[5:] == [7500]


# Trying again.


def test_a_broken_sink_tries_again_and_says_so() -> None:
    wire = at_publishing()
    wire.advance(1.0).push([picture(1000)]).advance(1.0)
    assert wire.describe()["bitrate"] > 0
    assert (wire.sink.failure, wire.sink.tries) == (None, 1)
    wire.refuse("connection_lost", "reset")
    assert wire.sink.failure == Failure("connection_lost", "reset")
    assert wire.events[-1] == SinkChanged(SinkState.RETRYING, "connection_lost", "reset")
    assert wire.count(CloseConnection) == 0
    described = wire.describe()
    assert described["next_try_in"] == 0.5
    assert described["bitrate"] == 0
    assert wire.sink.deadline() == wire.now + 0.5
    wire.advance(0.4)
    assert not wire.is_wanted
    wire.advance(0.1)
    assert wire.is_wanted
    assert wire.events[-2:] == [
        SinkChanged(SinkState.RETRYING, "connection_lost", "reset"),
        OpenConnection(),
    ]
    assert wire.describe()["attempt"] == wire.sink.tries == 2
    wire.connect()
    assert wire.sink.state is SinkState.RETRYING
    wire.push([keyframe(3000)]).note()
    assert wire.changes[-1] == (SinkState.PUBLISHING, None)
    assert wire.sink.failure is None
    described = wire.describe()
    assert described["reconnects"] == 1
    assert described["reason"] is None
    assert described["detail"] == ""
    assert times(wire.media) == [0, 3000, 3000, 3000]


def test_what_waited_from_the_last_key_frame_on_begins_the_next_connection() -> None:
    wire = stick(at_publishing())
    new_header = VIDEO_HEADER._replace(timestamp_ms=2000, payload=b"\x17\x00\x00\x00\x00new")
    wire.push([keyframe(1000), sound(1010), new_header, keyframe(2000), sound(2010), picture(2040)])
    wire.refuse("connection_lost", "reset")
    wire.reads = True
    wire.push([picture(2080)]).advance(0.5).connect()
    assert times(wire.media) == [0, 2000, 2000, 2000, 2010, 2040, 2080]
    assert wire.media[2].payload == new_header.payload


def test_pictures_of_another_size_while_a_server_is_asked_lose_none() -> None:
    wire = at_asking(headers=START)
    new_header = VIDEO_HEADER._replace(timestamp_ms=40, payload=b"\x17\x00\x00\x00\x00new")
    wire.push([keyframe(0), new_header, keyframe(40), picture(80)])
    accept(wire)
    assert times(wire.media) == [0, 0, 0, 0, 40, 40, 80]
    assert wire.media[4].payload == new_header.payload


def test_failures_are_slowly_forgotten() -> None:
    """A server that accepts and drops at once is not hammered; one that ran well for a while is."""
    wire = at_opening(headers=START)
    waits = []
    for uptime in (0.0, 1.0, 5.0, STABLE_TIME + 1, 0.0):
        wire.connect()
        time = round(wire.now * 1000)
        wire.push([keyframe(time)]).note()
        assert wire.sink.state is SinkState.PUBLISHING
        for _ in range(int(uptime)):
            time += 1000
            wire.push([picture(time)]).advance(1.0)
        wire.refuse("connection_lost", "reset")
        waits.append(wire.describe()["next_try_in"])
        wire.advance(waits[-1])
    assert waits == [0.5, 1.0, 2.0, 0.5, 1.0]


@pytest.mark.parametrize(("uptime", "wait"), [(9.9, 1.0), (10.0, 0.5)])
def test_ten_seconds_of_publishing_are_enough(uptime: float, wait: float) -> None:
    wire = at_publishing().refuse("connection_lost", "reset").advance(0.5)
    wire.connect().push([keyframe(40)]).note()
    assert wire.sink.tries == 2
    wire.advance(uptime).push([picture(80)]).note()
    assert wire.sink.tries == (1 if wait == 0.5 else 2)
    wire.refuse("connection_lost", "reset")
    assert wire.describe()["next_try_in"] == wait


def test_a_stall_is_no_time_of_success() -> None:
    wire = at_opening()
    publish(wire).refuse("connection_lost", "reset").advance(0.5)
    wire.connect().push([keyframe(40)]).note()
    wire.reads = False
    wire.push([picture(80)]).advance(STALL_TIMEOUT)
    assert wire.describe()["reason"] == "stalled"
    assert wire.describe()["next_try_in"] == 1.0


@pytest.mark.parametrize(
    ("code", "reason", "wait"), [("BadName", "bad_name", 1.0), ("Denied", "refused", 2.0)]
)
def test_refusals_have_their_own_time(code: str, reason: str, wait: float) -> None:
    wire = at_asking()
    assert isinstance(wire.server, ServerConnection)
    wire.server.refuse_publish(f"NetStream.Publish.{code}", "No.")
    wire.run()
    described = wire.describe()
    assert (described["reason"], described["next_try_in"]) == (reason, wait)
    assert described["detail"] == f"NetStream.Publish.{code}: No."


def test_a_server_that_hangs_up_instead_of_an_answer_has_refused() -> None:
    wire = at_asking()
    hang_up(wire)
    assert wire.describe()["reason"] == "closed_early"


def test_a_challenge_is_answered_at_once_and_is_no_failure() -> None:
    wire = at_opening()
    wire.make_server = shy_server(CHALLENGE)
    wire.authenticator = Patient(None, None, bytes)
    for _ in range(MAX_CHALLENGES):
        wire.events.clear()
        wire.connect()
        assert wire.events == [CloseConnection(), OpenConnection()]
        assert wire.sink.state is SinkState.CONNECTING
    assert wire.describe()["attempt"] == 1
    wire.connect()
    assert wire.sink.state is SinkState.FAILED
    described = wire.describe()
    assert described["reason"] == "unauthorized"
    assert described["detail"] == "the server asks for a user name and password, again and again"


def test_a_challenge_that_was_answered_is_forgotten() -> None:
    wire = at_opening()
    for _ in range(MAX_CHALLENGES + 1):
        wire.make_server = shy_server(CHALLENGE)
        wire.connect()
        wire.make_server = new_server
        wire.connect()
        assert wire.sink._standing.step is Step.ACCEPTED
        wire.refuse("connection_lost", "reset").advance(15.0)
    assert wire.is_wanted


def test_a_sink_gives_up_when_it_was_told_to() -> None:
    wire = at_opening(give_up_after=2.0)
    while wire.sink.state is not SinkState.FAILED:
        wire.refuse().advance(1.0)
    assert wire.now <= 3.0
    assert wire.describe()["detail"] == "given up after too long without success: no route"
    assert wire.describe()["reason"] == "unreachable"
    assert not wire.is_wanted


def test_the_time_to_give_up_starts_at_the_end_of_success() -> None:
    wire = at_publishing(give_up_after=2.0)
    wire.advance(60.0).refuse("connection_lost", "reset")
    assert wire.sink.state is SinkState.RETRYING
    wire.advance(0.5).refuse().advance(1.4)
    assert wire.sink.state is SinkState.RETRYING


# The end.


def test_close_ends_the_publish_politely() -> None:
    wire = at_publishing()
    wire.push([picture(40)])
    events = len(wire.events)
    wire.sink.close(wire.now)
    words = b"".join(wire.sink.data_to_send())
    assert b"FCUnpublish" in words and b"deleteStream" in words
    assert wire.sink.data_to_send() == []
    assert wire.sink.state is SinkState.CLOSED
    assert wire.sink.events() == []
    assert len(wire.events) == events


def test_at_the_end_nothing_is_kept() -> None:
    for end in (close, refuse_for_good):
        wire = at_opening(headers=START).push([keyframe(0)])
        assert wire.describe()["queue_bytes"] > 0
        end(wire)
        assert wire.describe()["queue_bytes"] == 0


def test_a_failed_sink_stays_failed() -> None:
    wire = at_opening()
    refuse_for_good(wire)
    close(wire)
    assert wire.sink.state is SinkState.FAILED
    assert wire.describe()["detail"] == "not there"


# Anything, in any order.

MUCH_AT_ONCE = [("connect", None), ("play", (40, 10)), ("play", (4000, 30_000))]


@settings(max_examples=50, deadline=None)
@example(AudioChoice.AAC, 0.0, False, [("decide", False), ("connect", None), ("play", (4000, 30_000))])
@example(AudioChoice.AAC, 0.0, False, MUCH_AT_ONCE)
@example(
    AudioChoice.AAC, 0.0, False, [("connect", None), ("play", (40, 10)), ("read", False), MUCH_AT_ONCE[-1]]
)
@given(
    choice=st.sampled_from(AudioChoice),
    give_up_after=st.sampled_from([0.0, 60.0]),
    takes_filler=st.booleans(),
    steps=st.lists(ANY_STEP, min_size=10),
)
def test_whatever_happens(
    choice: AudioChoice, give_up_after: float, takes_filler: bool, steps: list[tuple[str, Any]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tag_queue, "MAX_QUEUE_BYTES", LIMIT)
        patch.setattr(hold, "MAX_QUEUE_BYTES", LIMIT)
        source = Source()
        wire = Wire(choice, give_up_after=give_up_after, filler=takes_filler, headers=source.start())
        for name, value in steps:
            ACTIONS[name][1](wire, source, value)
            check_sink(wire)
        for media in wire.connections:
            check_media(media, filler=takes_filler)
        close(wire)
        assert wire.sink.state in (SinkState.CLOSED, SinkState.FAILED)
