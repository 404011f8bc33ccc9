"""The lite ICE agent, checked by a peer made of nothing but STUN messages."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.failures import DropReason, ParseError
from whipway.protocol.ice import (
    MAX_TRANSACTIONS,
    MAX_VALIDATED_ADDRESSES,
    SELECTION_TIMEOUT,
    AddressSelected,
    IceAgent,
    generate_credentials,
)
from whipway.protocol.stun import (
    BINDING,
    Attribute,
    Message,
    MessageClass,
    parse_message,
    serialize_xor_address,
    verify_integrity,
)

UFRAG, PWD, REMOTE_UFRAG = "local+/1", "a password of 24 letters", "peer"
HOME = ("192.0.2.7", 40000)
MOBILE = ("198.51.100.9", 50000)
TRANSACTION_ID = b"0123456789ab"
TRANSACTIONS = count()
HOST, RELAY = 2130706431, 16777215  # PRIORITY of a host and of a relayed candidate, RFC 8445 section 5.1.2


def make_agent() -> IceAgent:
    return IceAgent(ufrag=UFRAG, pwd=PWD, remote_ufrag=REMOTE_UFRAG)


def check(
    *,
    username: str | None = f"{UFRAG}:{REMOTE_UFRAG}",
    key: str | None = PWD,
    priority: int | None = HOST,
    nominate: bool = False,
    role: int = Attribute.ICE_CONTROLLING,
    more: dict[int, bytes] | None = None,
    id: bytes | None = None,
) -> bytes:
    """A connectivity check as a full, controlling agent sends it, by default in a transaction of its own."""
    attributes: dict[int, bytes] = {role: bytes(8)}
    if username is not None:
        attributes[Attribute.USERNAME] = username.encode()
    if priority is not None:
        attributes[Attribute.PRIORITY] = priority.to_bytes(4, "big")
    if nominate:
        attributes[Attribute.USE_CANDIDATE] = b""
    transaction_id = id or next(TRANSACTIONS).to_bytes(12, "big")
    message = Message(MessageClass.REQUEST, BINDING, transaction_id, attributes | (more or {}))
    return message.serialize(None if key is None else key.encode())


def answer(agent: IceAgent, data: bytes, addr=HOME, now: float = 0.0, *, key: str = PWD) -> Message:
    """The one response to `data`, which went back to where it came from, properly protected."""
    agent.receive_datagram(data, addr, now)
    [(response, destination)] = agent.datagrams_to_send()
    assert destination is addr
    assert verify_integrity(response, key.encode())
    message = parse_message(response)
    assert (message.method, message.transaction_id) == (BINDING, data[8:20])
    assert Attribute.FINGERPRINT in message.attributes
    return message


def assert_untouched(agent: IceAgent) -> None:
    assert agent.datagrams_to_send() == []
    assert agent.events() == []
    assert agent.selected is None
    assert agent.last_check is None
    assert not agent.is_validated(HOME)


class TestChecks:
    @pytest.mark.parametrize(
        "addr", [HOME, ("2001:db8::7", 40000, 0, 0), ("fe80::1%2", 9, 0, 2)], ids=["ipv4", "ipv6", "scoped"]
    )
    def test_success_says_where_it_came_from(self, addr):
        agent = make_agent()
        response = answer(agent, check(id=TRANSACTION_ID), addr, 5.0)
        assert response.message_class is MessageClass.SUCCESS
        mapped = serialize_xor_address(addr[0].partition("%")[0], addr[1], TRANSACTION_ID)
        assert response.attributes[Attribute.XOR_MAPPED_ADDRESS] == mapped
        assert agent.is_validated(addr)
        assert agent.selected == addr
        assert agent.last_check == 5.0

    def test_priority_and_role_may_be_missing(self):
        request = Message(
            MessageClass.REQUEST,
            BINDING,
            TRANSACTION_ID,
            {Attribute.USERNAME: f"{UFRAG}:{REMOTE_UFRAG}".encode()},
        )
        assert answer(make_agent(), request.serialize(PWD.encode())).message_class is MessageClass.SUCCESS

    def test_consent_is_the_last_check(self):
        agent = make_agent()
        for now in (1.0, 6.0, 11.5):
            answer(agent, check(), HOME, now)
            assert agent.last_check == now

    def test_outputs_are_handed_out_once(self):
        agent = make_agent()
        answer(agent, check())
        assert agent.events() == [AddressSelected(HOME)]
        assert agent.events() == []
        assert agent.datagrams_to_send() == []


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (check(username=f"other:{REMOTE_UFRAG}"), DropReason.STUN_UNKNOWN_USER),
            (check(username=f"{UFRAG}:other"), DropReason.STUN_UNKNOWN_USER),
            (check(username=None), DropReason.STUN_UNKNOWN_USER),
            (check(key="another password"), DropReason.STUN_INTEGRITY),
            (check(key=None), DropReason.STUN_INTEGRITY),
            (check(more={Attribute.PRIORITY: b"12345"}), DropReason.STUN_MALFORMED),
            (
                Message(MessageClass.REQUEST, 0x003, TRANSACTION_ID, {}).serialize(PWD.encode()),
                DropReason.STUN_MALFORMED,
            ),
            (check()[:-1], DropReason.STUN_MALFORMED),
        ],
        ids=["user", "remote user", "no user", "key", "no key", "priority", "method", "cut"],
    )
    def test_dropped_in_silence(self, data, reason):
        agent = make_agent()
        with pytest.raises(ParseError) as caught:
            agent.receive_datagram(data, HOME, 1.0)
        assert caught.value.reason is reason
        assert_untouched(agent)

    @pytest.mark.parametrize("kind", [MessageClass.INDICATION, MessageClass.SUCCESS, MessageClass.ERROR])
    def test_all_but_requests_are_ignored(self, kind):
        agent = make_agent()
        agent.receive_datagram(Message(kind, BINDING, TRANSACTION_ID, {}).serialize(), HOME, 1.0)
        assert_untouched(agent)

    def test_a_controlled_peer_is_told_to_switch(self):
        agent = make_agent()
        response = answer(agent, check(role=Attribute.ICE_CONTROLLED))
        assert response.message_class is MessageClass.ERROR
        assert response.attributes[Attribute.ERROR_CODE] == b"\0\0\x04\x57Role Conflict"
        assert_untouched(agent)

    def test_unknown_comprehension_required_attributes_are_listed(self):
        agent = make_agent()
        response = answer(agent, check(more={0x7777: b"", 0x0003: b"abcd", 0xC057: b"\0\0\0\1"}))
        assert response.message_class is MessageClass.ERROR
        assert response.attributes[Attribute.ERROR_CODE] == b"\0\0\x04\x14Unknown Attribute"
        assert response.attributes[Attribute.UNKNOWN_ATTRIBUTES] == b"\x77\x77\x00\x03"
        assert_untouched(agent)


class TestSelection:
    """The rules of the module's docstring, by their numbers there."""

    def test_1_first_address_at_once_and_kept(self):
        agent = make_agent()
        answer(agent, check(priority=RELAY), HOME, 0.0)
        answer(agent, check(priority=HOST), MOBILE, 1.0)
        assert agent.events() == [AddressSelected(HOME)]
        assert agent.is_validated(MOBILE)

    def test_2_nomination_beats_what_is_not_nominated(self):
        agent = make_agent()
        answer(agent, check(priority=HOST), HOME, 0.0)
        answer(agent, check(priority=RELAY, nominate=True), MOBILE, 1.0)
        answer(agent, check(priority=HOST), HOME, 99.0)
        assert agent.events() == [AddressSelected(HOME), AddressSelected(MOBILE)]

    def test_3_aggressive_nomination_ends_with_the_highest_priority(self):
        agent = make_agent()
        answer(agent, check(priority=RELAY, nominate=True), MOBILE, 0.0)
        answer(agent, check(priority=HOST, nominate=True), HOME, 0.1)
        for now in (0.2, 4.0, 8.0, 12.0):
            answer(agent, check(priority=RELAY, nominate=True), MOBILE, now)
            answer(agent, check(priority=HOST, nominate=True), HOME, now + 0.1)
        assert agent.events() == [AddressSelected(MOBILE), AddressSelected(HOME)]

    def test_3_a_rebound_nat_moves_at_once(self):
        agent = make_agent()
        answer(agent, check(nominate=True), HOME, 0.0)
        answer(agent, check(nominate=True), (HOME[0], 40001), 0.5)
        assert agent.selected == (HOME[0], 40001)

    def test_3_a_lower_priority_wins_when_the_peer_moved_on(self):
        agent = make_agent()
        answer(agent, check(priority=HOST, nominate=True), HOME, 0.0)
        answer(agent, check(priority=RELAY, nominate=True), MOBILE, SELECTION_TIMEOUT)
        assert agent.selected == HOME
        # Checks without nomination do not hold the place.
        answer(agent, check(priority=HOST), HOME, SELECTION_TIMEOUT)
        answer(agent, check(priority=RELAY, nominate=True), MOBILE, SELECTION_TIMEOUT + 0.5)
        assert agent.selected == MOBILE

    def test_4_a_silent_address_that_was_never_nominated_gives_way(self):
        agent = make_agent()
        answer(agent, check(), HOME, 0.0)
        answer(agent, check(), HOME, 3.0)
        answer(agent, check(), MOBILE, 3.0 + SELECTION_TIMEOUT)
        assert agent.selected == HOME
        answer(agent, check(), MOBILE, 3.5 + SELECTION_TIMEOUT)
        assert agent.selected == MOBILE

    def test_4_a_nominated_address_does_not_without_a_nomination(self):
        agent = make_agent()
        answer(agent, check(), HOME, 0.0)
        answer(agent, check(nominate=True), HOME, 1.0)
        answer(agent, check(), MOBILE, 60.0)
        assert agent.events() == [AddressSelected(HOME)]


class TestValidatedAddresses:
    def test_the_table_is_bounded_and_forgets_the_least_recent(self):
        agent = make_agent()
        others = [("203.0.113.5", port) for port in range(1, MAX_VALIDATED_ADDRESSES + 1)]
        answer(agent, check(), HOME, 0.0)
        for addr in others[:-1]:
            answer(agent, check(), addr, 1.0)
        answer(agent, check(), others[0], 1.0)
        answer(agent, check(), others[-1], 1.0)
        # The selected address stays although it is the oldest, others[0] was renewed, so others[1] went.
        assert [addr for addr in [HOME, *others] if not agent.is_validated(addr)] == [others[1]]


class TestTransactions:
    def test_a_retransmission_is_answered_and_no_news(self):
        agent = make_agent()
        data = check()
        answer(agent, data, HOME, 1.0)
        answer(agent, check(nominate=True), MOBILE, 2.0)
        assert answer(agent, data, HOME, 3.0).message_class is MessageClass.SUCCESS
        assert (agent.last_check, agent.selected, agent.selected_at) == (2.0, MOBILE, 2.0)

    @pytest.mark.parametrize("role", [Attribute.ICE_CONTROLLING, Attribute.ICE_CONTROLLED])
    def test_what_is_played_back_from_elsewhere_is_dropped(self, role):
        agent = make_agent()
        data = check(nominate=True, role=role)
        answer(agent, data, HOME, 1.0)
        before = (agent.selected, agent.last_check)
        agent.events()
        for now in (1.0, 2.0, 100.0):
            with pytest.raises(ParseError) as caught:
                agent.receive_datagram(data, MOBILE, now)
            assert caught.value.reason is DropReason.STUN_REPLAY
        assert (agent.datagrams_to_send(), agent.events()) == ([], [])
        assert (agent.selected, agent.last_check) == before
        assert not agent.is_validated(MOBILE)

    def test_the_memory_is_bounded_and_forgets_the_oldest(self):
        agent = make_agent()
        recorded = [check() for _ in range(MAX_TRANSACTIONS + 1)]
        for data in recorded:
            answer(agent, data, HOME)
        for data in recorded[1:]:
            with pytest.raises(ParseError):
                agent.receive_datagram(data, MOBILE, 1.0)
        answer(agent, recorded[0], MOBILE)


NEW = ("fresh+/2", "another password, as long", "peer2")


def restarted(*, selected: bool = True) -> IceAgent:
    """An agent with a nominated address, that was told of new credentials at second 1."""
    agent = make_agent()
    if selected:
        answer(agent, check(nominate=True), HOME, 0.5)
        agent.events()
    restart(agent)
    return agent


def restart(agent: IceAgent, generation=NEW) -> None:
    agent.restart(ufrag=generation[0], pwd=generation[1], remote_ufrag=generation[2])


def check_again(generation=NEW, **options) -> bytes:
    """A check with the credentials of a restart."""
    return check(username=f"{generation[0]}:{generation[2]}", key=generation[1], **options)


def refusal(agent: IceAgent, data: bytes, addr=HOME) -> DropReason:
    with pytest.raises(ParseError) as caught:
        agent.receive_datagram(data, addr, 50.0)
    assert agent.datagrams_to_send() == []
    return caught.value.reason


class TestRestart:
    def test_nothing_changes_until_the_new_credentials_nominate(self):
        agent = restarted()
        assert agent.ufrags == (UFRAG, NEW[0])
        answer(agent, check_again(priority=HOST), MOBILE, 2.0, key=NEW[1])
        answer(agent, check(), HOME, 3.0)
        assert (agent.selected, agent.selected_at, agent.last_check) == (HOME, 0.5, 3.0)
        assert agent.events() == []
        assert agent.is_validated(HOME) and agent.is_validated(MOBILE)
        # Not even long after the last nomination.
        answer(agent, check_again(priority=HOST), MOBILE, 60.0, key=NEW[1])
        assert agent.selected == HOME

    def test_a_nomination_replaces_everything_whatever_its_priority(self):
        agent = restarted()
        answer(agent, check_again(priority=RELAY, nominate=True), MOBILE, 2.0, key=NEW[1])
        assert agent.events() == [AddressSelected(MOBILE)]
        assert (agent.selected, agent.selected_at, agent.ufrags) == (MOBILE, 2.0, (NEW[0],))
        assert agent.is_validated(MOBILE) and not agent.is_validated(HOME)
        assert agent.was_validated(MOBILE) and agent.was_validated(HOME)
        assert refusal(agent, check(nominate=True)) is DropReason.STUN_UNKNOWN_USER
        # From now on the four rules count once more.
        answer(agent, check_again(priority=HOST, nominate=True), HOME, 2.1, key=NEW[1])
        answer(agent, check_again(priority=RELAY, nominate=True), MOBILE, 2.2, key=NEW[1])
        assert (agent.selected, agent.selected_at) == (HOME, 2.1)

    def test_the_same_address_is_selected_anew_without_an_event(self):
        agent = restarted()
        answer(agent, check_again(nominate=True), HOME, 2.0, key=NEW[1])
        assert (agent.selected, agent.selected_at, agent.events()) == (HOME, 2.0, [])

    def test_before_there_was_an_address_any_check_will_do(self):
        agent = restarted(selected=False)
        answer(agent, check_again(), MOBILE, 2.0, key=NEW[1])
        assert agent.events() == [AddressSelected(MOBILE)]
        assert agent.ufrags == (NEW[0],)
        agent = restarted(selected=False)
        answer(agent, check(), HOME, 2.0)
        assert (agent.selected, agent.ufrags) == (HOME, (UFRAG, NEW[0]))

    def test_a_second_restart_replaces_the_first(self):
        agent = restarted()
        answer(agent, check_again(), MOBILE, 2.0, key=NEW[1])
        newest = ("newest/3", "the third password, longer", "peer3")
        restart(agent, newest)
        assert agent.ufrags == (UFRAG, newest[0])
        assert not agent.is_validated(MOBILE) and agent.is_validated(HOME)
        assert refusal(agent, check_again(nominate=True), MOBILE) is DropReason.STUN_UNKNOWN_USER
        answer(agent, check(), HOME, 3.0)
        answer(agent, check_again(newest, nominate=True), MOBILE, 4.0, key=newest[1])
        assert (agent.selected, agent.ufrags) == (MOBILE, (newest[0],))

    @pytest.mark.parametrize(
        ("username", "key"),
        [
            (f"{NEW[0]}:{NEW[2]}", PWD),
            (f"{UFRAG}:{REMOTE_UFRAG}", NEW[1]),
            (f"{NEW[0]}:{REMOTE_UFRAG}", NEW[1]),
            (f"{UFRAG}:{NEW[2]}", PWD),
        ],
    )
    def test_credentials_do_not_mix(self, username, key):
        agent = restarted()
        reason = refusal(agent, check(username=username, key=key, nominate=True), MOBILE)
        assert reason in (DropReason.STUN_INTEGRITY, DropReason.STUN_UNKNOWN_USER)
        assert (agent.selected, agent.ufrags) == (HOME, (UFRAG, NEW[0]))

    def test_refusals_speak_the_language_of_the_check(self):
        agent = restarted()
        response = answer(
            agent, check_again(role=Attribute.ICE_CONTROLLED, nominate=True), MOBILE, 2.0, key=NEW[1]
        )
        assert response.message_class is MessageClass.ERROR
        assert (agent.selected, agent.ufrags) == (HOME, (UFRAG, NEW[0]))

    def test_checks_of_both_generations_are_remembered(self):
        agent = restarted()
        old, new = check(nominate=True), check_again(nominate=True)
        answer(agent, old, HOME, 2.0)
        assert refusal(agent, old, MOBILE) is DropReason.STUN_REPLAY
        answer(agent, new, HOME, 3.0, key=NEW[1])
        assert refusal(agent, new, MOBILE) is DropReason.STUN_REPLAY
        assert refusal(agent, old, MOBILE) is DropReason.STUN_UNKNOWN_USER
        # As a retransmission it is still answered.
        answer(agent, new, HOME, 4.0, key=NEW[1])
        assert (agent.selected, agent.last_check) == (HOME, 3.0)

    def test_both_generations_of_addresses_are_bounded(self):
        agent = restarted()
        others = [("203.0.113.5", port) for port in range(2 * MAX_VALIDATED_ADDRESSES)]
        for addr in others:
            answer(agent, check(), addr, 1.0)
            answer(agent, check_again(), (addr[0], addr[1] + 1000), 1.0, key=NEW[1])
        assert sum(map(agent.is_validated, others)) == MAX_VALIDATED_ADDRESSES - 1
        assert (
            sum(agent.is_validated((host, port + 1000)) for host, port in others) == MAX_VALIDATED_ADDRESSES
        )
        assert agent.is_validated(HOME)

    def test_thousands_of_restarts_leave_no_trace(self):
        agent = restarted()
        for number in range(3000):
            generation = (f"ufrag{number}", f"a password of some length {number}", f"peer{number}")
            restart(agent, generation)
            answer(
                agent,
                check_again(generation, nominate=number % 3 == 0),
                (HOME[0], number),
                1.0,
                key=generation[1],
            )
        assert len(agent.ufrags) <= 2
        assert sum(agent.was_validated((HOME[0], number)) for number in range(3000)) <= 3


class TestCredentials:
    def test_sizes_and_alphabet(self):
        numbers = count()
        ufrag, pwd = generate_credentials(lambda size: bytes((next(numbers) * 37) & 255 for _ in range(size)))
        # RFC 8839 section 5.4: ice-ufrag has 4 to 256 ice-chars, ice-pwd 22 to 256.
        assert (len(ufrag), len(pwd)) == (8, 24)
        assert all(char.isascii() and (char.isalnum() or char in "+/") for char in ufrag + pwd)

    def test_every_random_byte_counts(self):
        assert generate_credentials(bytes) != generate_credentials(lambda size: bytes(size - 1) + b"\1")


@given(
    st.binary(max_size=64)
    | st.tuples(st.integers(0, len(check()) - 9), st.integers(1, 255)).map(
        lambda change: bytes(
            byte ^ (change[1] if index == change[0] else 0) for index, byte in enumerate(check())
        )
    )
)
def test_no_other_bytes_get_in(data):
    agent = make_agent()
    try:
        agent.receive_datagram(data, HOME, 1.0)
    except ParseError as error:
        assert error.reason in (
            DropReason.STUN_MALFORMED,
            DropReason.STUN_UNKNOWN_USER,
            DropReason.STUN_INTEGRITY,
        )
    assert_untouched(agent)
