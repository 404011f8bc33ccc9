"""ICE, DTLS and SRTP as one, each step by hand."""

import pytest
from tests.network.virtual import SERVER, make_network
from tests.peers.whip_client import WhipClient, sound

from whipway.failures import DropReason, ParseError
from whipway.protocol.dtls import HELLO_REPEATS, DtlsClosed
from whipway.protocol.rtcp.packets import ReceiverReport
from whipway.protocol.rtp.packet import parse_packet
from whipway.session.events import Connected, Ended, EndReason
from whipway.session.transport import MAX_FLIGHT_TIME, Transport

ELSEWHERE = ("198.51.100.9", 50_000)
EARLY = (b"\x80" + bytes(30), ELSEWHERE, 0.0)
FORGED_RECORD = b"\x17\xfe\xfd\x00\x01" + bytes(6) + b"\x00\x20" + bytes(32)


def make_pair(**fields) -> tuple[Transport, WhipClient]:
    network = make_network(WhipClient(**fields))
    return network.session.transport, network.client


def to_transport(transport: Transport, client: WhipClient, now: float) -> int:
    client.handle_timeout(now)
    datagrams = client.datagrams_to_send()
    for data, _ in datagrams:
        receive = transport.receive_stun if data[0] < 4 else transport.receive_dtls
        receive(data, client.address, now)
    return len(datagrams)


def to_client(transport: Transport, client: WhipClient, now: float) -> int:
    datagrams = transport.datagrams_to_send()
    for data, addr in datagrams:
        assert addr == client.address
        client.receive_datagram(data, SERVER, now)
    return len(datagrams)


def connect(now: float = 1.0, **fields) -> tuple[Transport, WhipClient]:
    transport, client = make_pair(**fields)
    while to_transport(transport, client, now) + to_client(transport, client, now):
        pass
    assert transport.events() == [Connected("SRTP_AEAD_AES_128_GCM")]
    assert client.srtp is not None
    return transport, client


def dropped(operation, *arguments) -> DropReason:
    with pytest.raises(ParseError) as caught:
        operation(*arguments)
    return caught.value.reason


def test_before_anything():
    transport, client = make_pair()
    assert transport.last_heard is None
    assert transport.remote_address is None
    assert not transport.is_validated(client.address)
    assert transport.deadline(0.0) is None
    assert transport.datagrams_to_send() == []
    assert transport.events() == []
    transport.handle_timeout(5.0)
    transport.close()
    assert transport.datagrams_to_send() == []


class TestIce:
    def test_a_check_tells_where_the_client_is(self):
        transport, client = make_pair()
        to_transport(transport, client, 3.0)
        assert transport.last_heard == 3.0
        assert transport.remote_address == client.address
        assert transport.is_validated(client.address)
        [(response, addr)] = transport.datagrams_to_send()
        assert addr == client.address
        client.receive_datagram(response, SERVER, 3.0)

    def test_a_wrong_check_tells_nothing(self):
        transport, client = make_pair()
        stun = client.stun(key=b"guessed")
        assert dropped(transport.receive_stun, stun, client.address, 3.0) is DropReason.STUN_INTEGRITY
        # An indication is legal, and proves nothing.
        transport.receive_stun(b"\x00\x11\x00\x00\x21\x12\xa4\x42" + bytes(12), client.address, 3.0)
        assert transport.last_heard is None
        assert transport.datagrams_to_send() == []

    def test_the_handshake_begins_once(self):
        transport, client = make_pair(setup="passive", speaks_dtls=False)
        transport.receive_stun(client.stun(), client.address, 0.0)
        assert [data[0] for data, _ in transport.datagrams_to_send()] == [1, 22]
        transport.receive_stun(client.stun(), ELSEWHERE, 0.0)
        assert transport.remote_address == ELSEWHERE
        assert [data[0] for data, _ in transport.datagrams_to_send()] == [1]


class TestDtls:
    @pytest.mark.parametrize("setup", ["active", "passive"])
    def test_both_roles(self, setup):
        transport, client = connect(setup=setup)
        assert transport.last_heard == 1.0
        transport.close()
        to_client(transport, client, 2.0)
        assert isinstance(client.events()[-1], DtlsClosed)

    def test_only_validated_addresses_may_speak(self):
        transport, client = make_pair()
        to_transport(transport, client, 0.0)
        hello = b"\x16\xfe\xfd" + bytes(40)
        assert dropped(transport.receive_dtls, hello, ELSEWHERE, 0.0) is DropReason.UNKNOWN_ADDRESS
        assert dropped(transport.receive_dtls, hello, client.address, 0.0) is DropReason.DTLS_MALFORMED

    def test_a_hello_is_repeated_to_wherever_the_client_is(self):
        transport, client = make_pair(setup="passive", speaks_dtls=False)
        transport.receive_stun(client.stun(), client.address, 1.0)
        [_, (hello, _)] = transport.datagrams_to_send()
        transport.receive_stun(client.stun(), ELSEWHERE, 1.01)
        transport.datagrams_to_send()
        assert transport.deadline(1.01) == 1.0 + HELLO_REPEATS[0]
        transport.handle_timeout(1.02)
        assert transport.datagrams_to_send() == []
        transport.handle_timeout(1.0 + HELLO_REPEATS[0])
        assert transport.datagrams_to_send() == [(hello, ELSEWHERE)]

    def test_a_failure_is_the_end(self):
        transport, client = make_pair(fingerprint=":".join(["00"] * 32))
        while to_transport(transport, client, 0.0) + to_client(transport, client, 0.0):
            pass
        assert transport.events() == [Ended(EndReason.DTLS_FAILED, "fingerprint mismatch")]
        assert dropped(transport.unprotect_rtp, *EARLY) is DropReason.SRTP_BEFORE_DTLS

    def test_the_client_closes(self):
        transport, client = connect()
        client.close()
        to_transport(transport, client, 2.0)
        assert transport.events() == [Ended(EndReason.CLIENT_CLOSED, "the client closed its connection")]
        assert transport.events() == []

    def test_a_record_that_may_be_forged_is_not_a_sign_of_life(self):
        transport, client = connect(now=1.0)
        transport.receive_dtls(FORGED_RECORD, client.address, 2.0)
        assert transport.last_heard == 1.0
        # But it may be one.
        assert transport.last_seen == 2.0
        assert transport.events() == []


class TestWhereTheClientIs:
    """ICE says it, and media that came from elsewhere since say it better."""

    def send(self, transport: Transport, client: WhipClient, addr, now: float) -> None:
        client.send("audio", sound(1), now)
        [(data, _)] = client.datagrams_to_send()
        transport.unprotect_rtp(data, addr, now)

    def test_media_from_another_address_are_followed_once_it_is_validated(self):
        transport, client = connect(now=1.0)
        self.send(transport, client, ELSEWHERE, 2.0)
        assert transport.remote_address == client.address
        # Without nomination it is not selected.
        lower = client.stun(nominates=False)
        transport.receive_stun(lower, ELSEWHERE, 3.0)
        transport.datagrams_to_send()
        assert transport.remote_address == ELSEWHERE
        transport.close()
        assert {addr for _, addr in transport.datagrams_to_send()} == {ELSEWHERE}

    def test_a_selection_that_is_newer_than_the_media_is_believed(self):
        transport, client = connect(now=1.0)
        self.send(transport, client, client.address, 2.0)
        transport.receive_stun(client.stun(), ELSEWHERE, 3.0)
        assert transport.remote_address == ELSEWHERE
        self.send(transport, client, client.address, 4.0)
        assert transport.remote_address == client.address

    def test_a_check_that_is_played_back_is_no_sign_of_life(self):
        transport, client = make_pair()
        check = client.stun()
        transport.receive_stun(check, client.address, 1.0)
        assert dropped(transport.receive_stun, check, ELSEWHERE, 2.0) is DropReason.STUN_REPLAY
        assert (transport.last_heard, transport.last_seen) == (1.0, 1.0)
        transport.receive_stun(check, client.address, 3.0)
        assert (transport.last_heard, transport.last_seen) == (1.0, 3.0)

    def test_a_restart_moves_it_at_once_and_what_was_on_its_way_is_taken(self):
        network = make_network(WhipClient(setup="passive", speaks_dtls=False))
        transport, client = network.session.transport, network.client
        transport.receive_stun(client.stun(), client.address, 1.0)
        client.take_restart(network.session.ice.update(client.restart(), ["*"]).fragment, 1.0)
        assert client.pending is not None
        transport.datagrams_to_send()
        assert transport.remote_address == client.address
        transport.receive_stun(client.stun(client.pending.username, client.pending.key), ELSEWHERE, 2.0)
        assert transport.remote_address == ELSEWHERE
        hello = b"\x16\xfe\xfd" + bytes(40)
        assert dropped(transport.receive_dtls, hello, client.address, 2.0) is DropReason.DTLS_MALFORMED
        assert dropped(transport.receive_dtls, hello, ("203.0.113.9", 1), 2.0) is DropReason.UNKNOWN_ADDRESS

    def test_media_from_before_a_restart_are_not_followed(self):
        network = make_network()
        network.run(1.0)
        transport, client = network.session.transport, network.client
        client.take_restart(network.session.ice.update(client.restart(), ["*"]).fragment, 1.0)
        assert client.pending is not None
        transport.receive_stun(client.stun(client.pending.username, client.pending.key), ELSEWHERE, 2.0)
        self.send(transport, client, client.address, 3.0)
        assert transport.remote_address == ELSEWHERE


class TestSrtp:
    def test_nothing_opens_before_the_handshake(self):
        transport, _ = make_pair()
        assert dropped(transport.unprotect_rtp, *EARLY) is DropReason.SRTP_BEFORE_DTLS
        assert dropped(transport.unprotect_rtcp, b"\x80" + bytes(30), 0.0) is DropReason.SRTP_BEFORE_DTLS

    def test_rtp(self):
        transport, client = connect()
        client.send("audio", sound(1), 0.0)
        [(data, _)] = client.datagrams_to_send()
        assert parse_packet(transport.unprotect_rtp(data, ELSEWHERE, 2.0)).payload == sound(1)
        assert transport.last_heard == 2.0
        assert (transport.media_at, transport.media_address) == (2.0, ELSEWHERE)
        assert dropped(transport.unprotect_rtp, data, client.address, 3.0) is DropReason.SRTP_REPLAY
        client.send("audio", sound(2), 0.0)
        [(data, _)] = client.datagrams_to_send()
        forged = data[:-1]
        assert dropped(transport.unprotect_rtp, forged, client.address, 3.0) is DropReason.SRTP_AUTHENTICATION
        assert transport.last_heard == transport.media_at == 2.0
        assert transport.media_address == ELSEWHERE

    def test_rtcp_in_both_directions(self):
        transport, client = connect()
        report = ReceiverReport(7)
        client.send_rtcp(report.serialize())
        [(data, _)] = client.datagrams_to_send()
        assert transport.unprotect_rtcp(data, 2.0) == report.serialize()
        assert transport.last_heard == 2.0
        assert dropped(transport.unprotect_rtcp, data, 3.0) is DropReason.SRTP_REPLAY
        client.receive_datagram(transport.protect_rtcp(report.serialize()), SERVER, 4.0)
        assert client.received == [(4.0, report)]


@pytest.mark.parametrize("setup", ["actpass", "passive"])
def test_the_handshake_measures_the_round_trip(setup: str):
    transport, client = make_pair(setup=setup)
    assert transport.round_trip is None
    now = 1.0
    # Each way takes 40 ms, and hellos that are repeated meanwhile answer nothing.
    for _ in range(10):
        to_transport(transport, client, now)
        client.handle_timeout(now + 0.03)
        now += 0.04
        to_client(transport, client, now)
        now += 0.04
    assert client.srtp is not None
    assert transport.round_trip == pytest.approx(0.08)


def test_a_flight_that_was_repeated_measures_nothing():
    transport, client = make_pair(setup="passive")  # So that this side's hello is repeated.
    to_transport(transport, client, 1.0)
    to_client(transport, client, 1.0)
    for now in (1.04, 1.2):
        transport.handle_timeout(now)
        to_client(transport, client, now)
    to_transport(transport, client, 1.25)
    assert transport.round_trip is None


def test_a_slow_answer_measures_nothing():
    transport, client = make_pair()
    now = 1.0
    while client.srtp is None:
        to_transport(transport, client, now)
        now += 2 * MAX_FLIGHT_TIME
        to_client(transport, client, now - MAX_FLIGHT_TIME)
    assert transport.round_trip is None


def test_the_last_media_of_a_path_that_was_left():
    transport, client = connect()
    transport.unprotect_rtp(media(client), ELSEWHERE, 1.5)
    # Nobody validated that address.
    assert transport.remote_address == client.address
    transport.receive_stun(client.stun(nominates=False), ELSEWHERE, 1.6)
    transport.unprotect_rtp(media(client), ELSEWHERE, 1.7)
    assert transport.remote_address == ELSEWHERE
    for now in (2.5, 3.5, 4.5):
        transport.receive_stun(client.stun(), client.address, now)
    assert transport.remote_address == client.address


def media(client: WhipClient) -> bytes:
    client.send("audio", sound(1), 0.0)
    [(data, _)] = client.datagrams_to_send()
    return data
