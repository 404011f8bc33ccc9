"""Whatever datagrams come from wherever, authentic ones included: the ICE agent raises nothing but
ParseError, answers only who knows the password, at the very address that asked and with one datagram each,
selects only addresses it validated, and remembers a bounded number of them."""

from fuzz.script import Script, block
from whipway.failures import ParseError
from whipway.protocol.ice import MAX_VALIDATED_ADDRESSES, IceAgent
from whipway.protocol.stun import (
    BINDING,
    MAX_MESSAGE_BYTES,
    Attribute,
    Message,
    MessageClass,
    parse_message,
    verify_integrity,
)

KEY = b"the password of this side"
USERNAME = b"here:there"
RAW, SIGNED, REPLAYED = range(3)
"""Bytes as they are; a check with a transaction id of its own; one with the id of the check before."""


def target(data: bytes) -> bool:
    agent = IceAgent(ufrag="here", pwd=KEY.decode(), remote_ufrag="there")
    script, now, checks = Script(data), 0.0, 0
    while script:
        kind = script.choose(3)
        addr = (f"192.0.2.{script.choose(32)}", 4000)
        now += script.number() / 16
        datagram = script.block()
        if kind != RAW:
            checks += kind == SIGNED
            datagram = _sign(datagram, checks)
        _receive(agent, datagram, addr, now)
    return agent.selected is not None


def _receive(agent: IceAgent, datagram: bytes, addr: tuple[str, int], now: float) -> None:
    before = agent.selected
    try:
        agent.receive_datagram(datagram, addr, now)
    except ParseError:
        assert agent.datagrams_to_send() == [] and agent.events() == []
        return
    for answer, to in agent.datagrams_to_send()[:1]:
        assert to == addr and len(answer) <= MAX_MESSAGE_BYTES + 100
        assert verify_integrity(datagram, KEY) and verify_integrity(answer, KEY)
        assert parse_message(answer).transaction_id == datagram[8:20]
    assert agent.datagrams_to_send() == []
    assert [event.addr for event in agent.events()] == ([addr] if agent.selected != before else [])
    assert agent.selected is None or agent.is_validated(agent.selected)
    assert len(agent._validated) <= MAX_VALIDATED_ADDRESSES


def _sign(attributes: bytes, number: int = 0) -> bytes:
    """A check by the real peer that also has `attributes`: each a type in two bytes and a block."""
    script = Script(attributes)
    told: dict[int, bytes] = {Attribute.USERNAME: USERNAME}
    while script:
        told.setdefault(script.number(2), script.block())
    return Message(MessageClass.REQUEST, BINDING, number.to_bytes(12, "big"), told).serialize(KEY)


def _attribute(name: int, value: bytes) -> bytes:
    return name.to_bytes(2, "big") + block(value)


def seeds() -> list[bytes]:
    priority = _attribute(Attribute.PRIORITY, bytes((110, 0, 1, 255)))
    nominate = _attribute(Attribute.USE_CANDIDATE, b"")
    unknown = _attribute(0x0042, b"unknown")
    conflict = _attribute(Attribute.ICE_CONTROLLED, bytes(8))
    signed = [block(told) for told in (priority, priority + nominate, unknown, conflict)]
    checks = [bytes((SIGNED, index, 16)) + told for index, told in enumerate(signed)]
    raw = bytes((RAW, 1, 1)) + block(_sign(priority + nominate))
    away = b"".join(bytes((SIGNED, index, 1)) + signed[0] for index in range(20))
    replayed = bytes((REPLAYED, 9, 1)) + signed[1]
    together = [checks[1] + away, checks[0] * 2 + checks[1], checks[1] + replayed + checks[1]]
    return [checks[0], checks[1], b"".join(checks), raw, *together]
