"""How soon a session is over, and what does not end it: moves, lost handshakes, forgeries."""

import time
from itertools import product

import pytest
from tests.network.virtual import Network, Path, Show, make_network
from tests.peers.whip_client import WhipClient, picture

from whipway.failures import DropReason
from whipway.session.events import Connected, EndReason
from whipway.session.session import SessionState, Timeouts

ELSEWHERE = ("198.51.100.9", 50_000)
WAY = 0.02
"""Seconds from one end to the other."""
HANDSHAKE, ALERT = 22, 21
"""DTLS content types (RFC 6347, section 4.1)."""
BOTH_ROLES = pytest.mark.parametrize("setup", ["active", "passive"])


def live(client: WhipClient | None = None, **timeouts: float) -> Network:
    """A network on which a second of a show was played."""
    network = make_network(client, timeouts=Timeouts(**timeouts))
    network.run(0.5)
    Show(network).play(1.0)
    assert network.session.state is SessionState.LIVE
    return network


def move(network: Network) -> None:
    """The client goes to another address and checks from there."""
    network.client.address = ELSEWHERE
    network.client.check(network.now)
    network.run(0.1)
    assert network.session.transport.remote_address == ELSEWHERE


def lose_everything(network: Network) -> None:
    network.up.drops = lambda data: True


GOODBYES = pytest.mark.parametrize(
    "goodbye", [WhipClient.close, WhipClient.send_goodbye], ids=["DTLS", "RTCP"]
)


class TestAtOnce:
    @GOODBYES
    @pytest.mark.parametrize("moved", [False, True], ids=["at home", "elsewhere"])
    def test_a_goodbye_ends_the_session_on_arrival(self, goodbye, moved):
        network = live()
        if moved:
            move(network)
        said = network.now
        goodbye(network.client)
        network.run(1.0)
        assert network.ended.reason is EndReason.CLIENT_CLOSED
        assert network.times[-1] == pytest.approx(said + WAY)

    @BOTH_ROLES
    @pytest.mark.parametrize("reason", [EndReason.DELETED, EndReason.REPLACED, EndReason.SINK_FAILED])
    def test_the_client_hears_of_an_end_that_is_not_its_own(self, setup, reason):
        network = live(WhipClient(setup=setup))
        network.client.events()
        network.session.end(reason, "why")
        network.run(WAY)
        assert network.ended.reason is reason
        assert [type(event).__name__ for event in network.client.events()] == ["DtlsClosed"]

    def test_a_session_that_was_replaced_takes_nothing_more(self):
        network = live()
        pictures = len(network.pictures)
        network.client.send_picture(picture(1, keyframe=True), network.now)
        network.drain()
        network.session.end(EndReason.REPLACED)
        network.run(30.0)
        assert len(network.pictures) == pictures
        assert network.ended.reason is EndReason.REPLACED


class TestSilence:
    @pytest.mark.parametrize("silence", [0.6, 5.0, 60.0])
    def test_it_may_last_as_long_as_it_is_set_to(self, silence):
        network = live(silence=silence)
        network.client.send_reports(0.0)
        lose_at = network.now + WAY
        network.run(WAY)
        lose_everything(network)
        network.run(2 * silence)
        assert network.ended.reason is EndReason.SILENCE
        assert network.ended.detail == f"nothing came from the client for {silence:g} s"
        assert network.times[-1] == pytest.approx(lose_at + silence)

    @pytest.mark.parametrize("setup", [0.3, 10.0, 60.0])
    def test_a_setup_may_last_as_long_as_it_is_set_to(self, setup):
        network = make_network(WhipClient(speaks_dtls=False), timeouts=Timeouts(setup=setup))
        network.run(2 * setup)
        assert network.ended.reason is EndReason.SETUP_TIMEOUT
        assert network.times == [setup]

    @GOODBYES
    def test_a_goodbye_that_is_lost_is_silence(self, goodbye):
        network = live()
        lose_everything(network)
        goodbye(network.client)
        network.run(6.0)
        assert network.ended.reason is EndReason.SILENCE

    def test_who_moves_and_is_not_heard_again_is_silent(self):
        network = live()
        move(network)
        heard = network.session.transport.last_heard
        lose_everything(network)
        network.run(20.0)
        assert network.ended.reason is EndReason.SILENCE
        assert network.times[-1] == pytest.approx(heard + 5.0)

    def test_a_break_shorter_than_that_is_survived_elsewhere(self):
        network = live()
        up, network.up = network.up, Path(drops=lambda data: True)
        network.run(4.0)
        network.up = up
        move(network)
        pictures = len(network.pictures)
        Show(network).play(1.0)
        assert network.session.state is SessionState.LIVE
        assert len(network.pictures) == pictures + 30


class TestForgeries:
    def test_a_goodbye_that_is_not_the_clients_ends_nothing(self):
        network = live()
        network.client.send_goodbye()
        [(goodbye, _)] = network.client.datagrams_to_send()
        network.inject(goodbye[:-1] + bytes((goodbye[-1] ^ 1,)), ELSEWHERE)
        assert network.session.state is SessionState.LIVE
        assert network.session.drops() == {DropReason.SRTP_AUTHENTICATION: 1}

    @pytest.mark.parametrize("epoch", [0, 1])
    @pytest.mark.parametrize("alert", [b"\x01\x00", b"\x02\x28"], ids=["close_notify", "handshake_failure"])
    def test_an_alert_that_is_not_the_clients_ends_nothing(self, epoch, alert):
        """RFC 6347, section 4.1.2.7: a record that is not authentic is dropped in silence."""
        network = live()
        record = bytes((ALERT, 0xFE, 0xFD)) + epoch.to_bytes(2, "big") + (9).to_bytes(6, "big")
        network.inject(record + len(alert).to_bytes(2, "big") + alert)
        Show(network).play(0.5)
        assert network.session.state is SessionState.LIVE

    def test_a_close_notify_from_an_address_without_a_check_ends_nothing(self):
        network = live()
        network.client.close()
        [(close_notify, _)] = network.client.datagrams_to_send()
        network.inject(close_notify, ELSEWHERE)
        assert network.session.state is SessionState.LIVE
        assert network.session.drops() == {DropReason.UNKNOWN_ADDRESS: 1}


def test_lost_flights_of_the_handshake_only_delay_it():
    """OpenSSL's timer runs on real time, so the one second that it waits is a real one, for all of them."""
    paths = []
    for setup, direction in product(("active", "passive"), ("up", "down")):
        network = make_network(WhipClient(setup=setup), up=Path(), down=Path())
        path: Path = getattr(network, direction)
        path.drops = lambda data: data[0] == HANDSHAKE
        network.run(0.6)
        assert network.session.state is SessionState.CONNECTING
        paths.append((network, path))
    time.sleep(1.0)
    for network, path in paths:
        path.drops = lambda data: False
        network.run(1.2)
        assert [type(event) for event in network.events] == [Connected]
        show = Show(network)
        show.play(0.5)
        assert [unit.nals for unit in network.pictures] == show.pictures
