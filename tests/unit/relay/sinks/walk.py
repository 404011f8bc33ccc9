"""Anything that can happen to a sink, to be done in any order, and what holds after each step."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from tests.unit.relay.sinks.wire import (
    CHALLENGE,
    WRONG_PASSWORD,
    Server,
    Source,
    Wire,
    hang_up,
    new_server,
    shy_server,
)

from whipway.protocol.rtmp import messages
from whipway.protocol.rtmp.server import ServerConnection
from whipway.relay.sinks.attempt import PIECE_BYTES
from whipway.relay.sinks.backoff import POLICIES
from whipway.relay.sinks.sink import SinkState
from whipway.relay.sinks.standing import Step
from whipway.relay.sinks.tag_queue import MAX_SOUND_MS
from whipway.relay.tags import Tag


def check_sink(wire: Wire) -> None:
    described = wire.describe()
    assert described["queue_bytes"] <= LIMIT
    assert described["queue_ms"] <= MAX_SOUND_MS
    assert wire.largest_piece < PIECE_BYTES + LIMIT
    assert (described["reason"] is None) == (described["detail"] == "")
    step = wire.sink._standing.step
    assert step is not Step.FAILED or described["reason"] in POLICIES
    assert step is not Step.WAITING or (described["reason"] in POLICIES and described["next_try_in"] <= 15)
    # It always goes on: by time, by the answer of the driver, or never more.
    assert wire.is_wanted == (step is Step.OPENING)
    assert (wire.sink.deadline() is None) == (step in (Step.OPENING, Step.FAILED, Step.CLOSED))


def reach_server(wire: Wire, make_server: Callable[[float], Server]) -> None:
    """Connect, at the next try if it has to be."""
    if wire.server is None and wire.sink.state in LIVE:
        wire.advance(0 if wire.is_wanted else 15)
    if wire.is_wanted:
        wire.make_server = make_server
        wire.connect()


def fail(wire: Wire, reason: str) -> None:
    if wire.is_wanted or wire.server is not None:
        wire.refuse(reason)
        assert wire.sink.state in (SinkState.RETRYING, SinkState.FAILED)


def play(wire: Wire, tags: list[Tag]) -> None:
    for tag in tags:
        wire.push([tag])


def say_status(wire: Wire, code: str) -> None:
    if isinstance(wire.server, ServerConnection):
        wire.server._link.send(messages.on_status("status", code, "Said.", stream_id=1))
        wire.run()


def set_reading(wire: Wire, reads: bool) -> None:
    wire.reads = reads
    wire.capacity = 0 if reads else -1
    wire.run()


def send_bytes(wire: Wire, data: bytes) -> None:
    wire.sink.receive_data(data, wire.now)
    wire.run()


LIMIT = 1024 * 1024
"""In place of 8 MiB, so that it is met."""
LIVE = {SinkState.CONNECTING, SinkState.PUBLISHING, SinkState.RETRYING}
CODES = ["NetStream.Publish.BadName", "NetStream.Publish.Denied", "NetStream.Unpublish.Success", "Nonsense"]
ACTIONS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Wire, Source, Any], object]]] = {
    "connect": (st.none(), lambda wire, source, _: reach_server(wire, new_server)),
    "play": (
        st.tuples(st.sampled_from([40, 500, 4000]), st.sampled_from([10, 30_000])),
        lambda wire, source, span: play(wire, source.play(*span)),
    ),
    "time": (st.sampled_from([0.01, 0.5, 3.0, 30.0]), lambda wire, source, value: wire.advance(value)),
    "read": (st.booleans(), lambda wire, source, value: set_reading(wire, value)),
    "challenge": (
        st.sampled_from([CHALLENGE] * 5 + [WRONG_PASSWORD]),
        lambda wire, source, value: reach_server(wire, shy_server(value)),
    ),
    "codecs": (st.booleans(), lambda wire, source, value: setattr(wire, "lists_codecs", value)),
    "decide": (st.booleans(), lambda wire, source, value: setattr(wire, "accepts", value)),
    "fail": (
        st.sampled_from([reason for reason in POLICIES if POLICIES[reason]]),
        lambda wire, source, value: fail(wire, value),
    ),
    "freeze": (st.none(), lambda wire, source, _: wire.push(source.freeze())),
    "start": (st.none(), lambda wire, source, _: wire.push(source.start())),
    "listen": (
        st.sampled_from([100, 4000, 11_000]),
        lambda wire, source, value: wire.push(source.listen(value)),
    ),
    "status": (st.sampled_from(CODES), lambda wire, source, value: say_status(wire, value)),
    "bytes": (st.binary(max_size=20), lambda wire, source, value: send_bytes(wire, value)),
    "hang up": (st.none(), lambda wire, source, _: hang_up(wire)),
}
OFTEN = ["connect", "play", "play", "time", "read"] * 4
"""What brings a sink on; most of the others end a connection."""
ANY_STEP = st.sampled_from([*ACTIONS, *OFTEN]).flatmap(
    lambda name: st.tuples(st.just(name), ACTIONS[name][0])
)
