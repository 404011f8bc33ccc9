"""Whatever datagrams come from wherever, authentic ones included, and however often ICE restarts: the agent
raises nothing but ParseError, answers only who knows a password in force, with it, at the very address that
asked and with one datagram each, selects only addresses it validated, and remembers a bounded number of them.
The newest password is always in force, and there are never more than two."""

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

RAW, SIGNED, REPLAYED, RESTART, SIGNED_BEFORE = range(5)
"""Bytes as they are; a check with a transaction id of its own; one with the id of the check before; new
credentials, no datagram; a check with a generation of credentials that is not the newest."""

Credentials = tuple[str, str, str]


def _credentials(generation: int) -> Credentials:
    return f"here{generation}", f"the password of this side {generation}", f"there{generation}"


def _make_agent(ufrag: str, pwd: str, remote_ufrag: str) -> IceAgent:
    return IceAgent(ufrag=ufrag, pwd=pwd, remote_ufrag=remote_ufrag)


def target(data: bytes) -> bool:
    agent, newest = _make_agent(*_credentials(0)), 0
    script, now, checks = Script(data), 0.0, 0
    while script:
        kind = script.choose(5)
        addr = (f"192.0.2.{script.choose(32)}", 4000)
        now += script.number() / 16
        told = script.block()
        if kind == RESTART:
            newest += 1
            ufrag, pwd, remote_ufrag = _credentials(newest)
            agent.restart(ufrag=ufrag, pwd=pwd, remote_ufrag=remote_ufrag)
            continue
        checks += kind in (SIGNED, SIGNED_BEFORE)
        generation = max(newest - script.choose(4), 0) if kind == SIGNED_BEFORE else newest
        datagram = told if kind == RAW else _sign(told, checks, generation)
        _receive(agent, datagram, addr, now)
        assert _credentials(newest)[0] in agent.ufrags and len(agent.ufrags) <= 2
    return agent.selected is not None


def _receive(agent: IceAgent, datagram: bytes, addr: tuple[str, int], now: float) -> None:
    before = agent.selected
    in_force = [_credentials(int(ufrag.removeprefix("here")))[1].encode() for ufrag in agent.ufrags]
    try:
        agent.receive_datagram(datagram, addr, now)
    except ParseError:
        assert agent.datagrams_to_send() == [] and agent.events() == []
        return
    for answer, to in agent.datagrams_to_send()[:1]:
        assert to == addr and len(answer) <= MAX_MESSAGE_BYTES + 100
        [key] = [key for key in in_force if verify_integrity(datagram, key)]
        assert verify_integrity(answer, key)
        assert parse_message(answer).transaction_id == datagram[8:20]
    assert agent.datagrams_to_send() == []
    assert [event.addr for event in agent.events()] == ([addr] if agent.selected != before else [])
    assert agent.selected is None or agent.is_validated(agent.selected)
    tables = [agent._former, *(generation.validated for generation in agent._generations())]
    assert all(len(table) <= MAX_VALIDATED_ADDRESSES for table in tables)


def _sign(attributes: bytes, number: int = 0, generation: int = 0) -> bytes:
    """A check by the real peer that also has `attributes`: each a type in two bytes and a block."""
    script = Script(attributes)
    ufrag, pwd, remote_ufrag = _credentials(generation)
    told: dict[int, bytes] = {Attribute.USERNAME: f"{ufrag}:{remote_ufrag}".encode()}
    while script:
        told.setdefault(script.number(2), script.block())
    message = Message(MessageClass.REQUEST, BINDING, number.to_bytes(12, "big"), told)
    return message.serialize(pwd.encode())


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
    restart = bytes((RESTART, 0, 1)) + block(b"")
    before = bytes((SIGNED_BEFORE, 3, 1)) + signed[1] + b"\x01"
    together += [checks[1] + restart + checks[0] + before + checks[1] + before, (restart + checks[1]) * 3]
    return [checks[0], checks[1], b"".join(checks), raw, *together]
