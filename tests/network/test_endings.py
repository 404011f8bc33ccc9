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
NO_HELLO = bytes((HANDSHAKE, 0xFE, 0xFD)) + bytes(10)
"""A record that is not authentic: nothing in a handshake is."""
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


class TestTakeover:
    """When another publisher may have the stream (`Session.is_silent`)."""

    def test_media_that_broke_off(self):
        network = live()
        Show(network).play(1.0, rest=0.0)
        network.run(WAY)
        lose_everything(network)
        heard = network.session.transport.last_heard
        assert not network.session.is_silent(heard + 1.99)
        assert network.session.is_silent(heard + 2.0)

    def test_it_is_as_long_as_it_is_set_to(self):
        network = live(takeover=0.5)
        Show(network).play(0.2, rest=0.0)
        heard = network.session.transport.last_heard
        assert not network.session.is_silent(heard + 0.49)
        assert network.session.is_silent(heard + 0.5)

    def test_who_is_muted_is_heard_by_consent_checks_alone(self):
        network = live()
        network.run(1.0)
        network.client.check(network.now)
        network.run(WAY)
        # Nothing may come from here on up to the end by silence.
        heard = network.session.transport.last_heard
        for seconds in (1.5, 2.5, 4.99):
            assert not network.session.is_silent(heard + seconds)

    def test_who_changes_networks_keeps_the_stream(self):
        network = live()
        show = Show(network)
        show.play(1.0, rest=0.0)
        up, network.up = network.up, Path(drops=lambda data: True)
        network.run(1.3)
        assert not network.session.is_silent(network.now)
        network.up = up
        move(network)
        assert not network.session.is_silent(network.now)

    def test_who_never_came_is_as_silent_as_the_session_is_old(self):
        session = make_network(WhipClient(checks=False)).session
        assert not session.is_silent(1.99)
        assert session.is_silent(2.0)

    @BOTH_ROLES
    def test_a_handshake_that_goes_on_is_a_sign_of_life(self, setup):
        """OpenSSL repeats a lost flight after a second."""
        network = make_network(WhipClient(setup=setup))
        network.down.drops = lambda data: data[0] == HANDSHAKE
        network.run(0.5)
        network.client.checks = False
        assert network.session.state is SessionState.CONNECTING
        network.up.drops = lambda data: data[0] < 4
        network.run_until(1.9)
        assert not network.session.is_silent(network.now)
        network.session.receive_datagram(NO_HELLO, network.client.address, 1.9)
        assert not network.session.is_silent(3.89)
        assert network.session.is_silent(3.9)

    def test_a_handshake_from_an_address_without_a_check_is_none(self):
        network = make_network(WhipClient(checks=False))
        network.session.receive_datagram(NO_HELLO, ELSEWHERE, 1.0)
        assert network.session.is_silent(2.0)


class TestReplays:
    """A check that somebody recorded on the way."""

    def replay(self, network: Network, check: bytes, seconds: int) -> None:
        for _ in range(seconds):
            network.inject(check, ELSEWHERE)
            network.run(1.0)

    def test_it_does_not_lead_the_feedback_away(self):
        network = live()
        check = network.client.stun()
        network.inject(check)
        home, received = network.client.address, len(network.client.received)
        self.replay(network, check, 3)
        assert network.session.transport.remote_address == home
        assert len(network.client.received) > received
        assert network.session.drops() == {DropReason.STUN_REPLAY: 3}

    @pytest.mark.parametrize("addr", [ELSEWHERE, None], ids=["elsewhere", "forged source"])
    def test_it_does_not_keep_a_dead_session_alive(self, addr):
        network = live()
        check = network.client.stun()
        network.inject(check)
        lose_everything(network)
        heard = network.session.transport.last_heard
        for _ in range(10):
            network.inject(check, addr)
            network.run(1.0)
        assert network.ended.reason is EndReason.SILENCE
        assert network.times[-1] == pytest.approx(heard + 5.0)

    def test_feedback_follows_media_to_a_path_of_lower_priority(self):
        network = live()
        network.client.address = ELSEWHERE
        network.inject(network.client.stun(nominates=False))
        received = len(network.client.received)
        Show(network).play(2.0)
        assert network.session.transport.remote_address == ELSEWHERE
        assert len(network.client.received) >= received + 2


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
