"""Simulcast: which layers of a video are offered, and which of them are taken (RFC 8853, 5; RFC 8851).

A media description names its layers by `a=rid`, and says by `a=simulcast` that they are one source, sent
several times side by side. `parse_rid` and `parse_simulcast` read the two lines, `answer_layers` says what is
received of them. Lines that cannot be read are passed over (RFC 8851, 6.2.2): a source without layers is
simply sent once. Left out on purpose: restrictions, by which a sender tells beforehand what its layers will
be (the parameter sets in the stream count); layers that need another one to be decoded; pausing (RFC 7728).
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple

from whipway.protocol.sdp import grammar
from whipway.protocol.sdp.grammar import malformed

MAX_LAYERS = 4
"""Of one media description: the first ones offered. Browsers send three at most."""

# RFC 8851, 10; of any length there, but RFC 8852, 3 has only this much room for it in packets.
_RID = r"[A-Za-z0-9_-]{1,255}+"
_STREAMS = rf"~?{_RID}(?:[,;]~?{_RID})*+"
_RID_LINE = re.compile(rf"({_RID}) ++(send|recv)(?: ++([ -~]+))?")
_SIMULCAST_LINE = re.compile(rf"(send|recv) ++({_STREAMS})(?: ++(?!\1)(?:send|recv) ++({_STREAMS}))?")


class RidDirection(StrEnum):
    """RFC 8851, 4: seen from whoever wrote the description."""

    SEND = "send"
    RECV = "recv"


class Rid(NamedTuple):
    """`a=rid` (RFC 8851, 4) without its restrictions."""

    id: str
    direction: RidDirection
    payload_types: tuple[int, ...] = ()
    """`pt=`: those that the layer is limited to; without it all of the media description."""

    def serialize(self) -> str:
        """The value of an `a=rid` line."""
        limit = f" pt={','.join(map(str, self.payload_types))}" if self.payload_types else ""
        return f"{self.id} {self.direction}{limit}"


Streams = tuple[tuple[str, ...], ...]
"""The layers in one direction, each as the ids of its alternatives, the preferred one first."""


class Simulcast(NamedTuple):
    """`a=simulcast` (RFC 8853, 5.1) without the marks of what is paused."""

    send: Streams = ()
    recv: Streams = ()

    def serialize(self) -> str:
        """The value of an `a=simulcast` line; empty if there are no layers in either direction."""
        lists = (("send", self.send), ("recv", self.recv))
        return " ".join(f"{way} {';'.join(map(','.join, streams))}" for way, streams in lists if streams)


def parse_rid(value: str) -> Rid:
    """See `Rid`. ParseError also for a layer that cannot be decoded by itself (`depend`)."""
    match = _RID_LINE.fullmatch(value)
    if match is None:
        raise malformed("not a valid rid")
    parameters = grammar.parse_parameters(match[3] or "")
    if "depend" in parameters:
        raise malformed("a rid that depends on others")
    formats = parameters["pt"].split(",", grammar.MAX_FORMATS) if "pt" in parameters else ()
    payload_types = dict.fromkeys(map(grammar.parse_payload_type, formats))
    return Rid(match[1], RidDirection(match[2]), tuple(payload_types))


def parse_simulcast(value: str) -> Simulcast:
    """See `Simulcast`."""
    match = _SIMULCAST_LINE.fullmatch(value)
    if match is None:
        raise malformed("not a valid simulcast")
    first, second = _split_streams(match[2]), _split_streams(match[3])
    return Simulcast(first, second) if match[1] == "send" else Simulcast(second, first)


def _split_streams(text: str | None) -> Streams:
    # RFC 8853, 5.1: "~" stands before a layer that is paused at first. It is taken like the others, and the
    # answer has no such mark (5.3.2), for which both sides would need the messages of RFC 7728 that wake it.
    lists = text.replace("~", "").split(";") if text else ()
    return tuple(tuple(alternatives.split(",")) for alternatives in lists)


def answer_layers(rids: Sequence[Rid], simulcast: Simulcast, accepted: Collection[int]) -> tuple[Rid, ...]:
    """The layers to receive, in the order of the offer's `a=simulcast`; empty where it has none to send.

    `accepted` are the payload types of codecs that are taken. RFC 8853, 5.3.2: of alternatives the answer may
    keep what it likes, here the first one that can be received, and it may have fewer layers than the offer.
    """
    usable = _usable(rids, accepted)
    # What is taken out is not taken again: a layer may be named twice, but is sent once.
    layers = (
        next((usable.pop(id) for id in alternatives if id in usable), None) for alternatives in simulcast.send
    )
    return tuple(filter(None, layers))[:MAX_LAYERS]


def _usable(rids: Sequence[Rid], accepted: Collection[int]) -> dict[str, Rid]:
    # RFC 8851, 6.2.2: "In the case of a duplicate, the entire "a=rid" line, and all "a=rid" lines with
    # rid-ids that duplicate this line, are discarded".
    count = Counter(rid.id for rid in rids)
    answered = (_answer(rid, accepted) for rid in rids if count[rid.id] == 1)
    return {rid.id: rid for rid in answered if rid}


def _answer(rid: Rid, accepted: Collection[int]) -> Rid | None:
    """RFC 8851, 6.3: the direction is reversed, and of the payload types those are kept that are taken."""
    payload_types = tuple(each for each in rid.payload_types if each in accepted)
    if rid.direction is not RidDirection.SEND or (rid.payload_types and not payload_types):
        return None
    return Rid(rid.id, RidDirection.RECV, payload_types)
