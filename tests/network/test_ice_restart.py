"""ICE restarts in the middle of a stream: nobody who watches it notices (RFC 8445, section 9)."""

from functools import partial

import pytest
from tests.network.virtual import Path, Show, make_network
from tests.peers.whip_client import WhipClient

from whipway.failures import DropReason
from whipway.protocol.ice import Address
from whipway.protocol.rtcp.packets import ReceiverReport
from whipway.session.events import Connected, EndReason
from whipway.session.ice_session import IceUpdate, StaleTag
from whipway.session.session import CONSENT_TIMEOUT, SessionState, Timeouts

MOBILE = ("198.51.100.9", 50_000)
SIGNALLING = 0.03
"""Seconds from the answer to PATCH until the client reads it."""


class Stream:
    """A show on a connected network, whose client can restart ICE while it goes on."""

    def __init__(self, client: WhipClient | None = None, **paths: Path) -> None:
        self.network = make_network(client or WhipClient(repair="rtx"), tick=0.02, **paths)
        self.client = self.network.client
        self.session = self.network.session
        self.home = self.client.address
        self.network.run(0.5)
        assert self.session.state is SessionState.LIVE
        # No key frame is asked for only because the last one is long ago.
        self.show = Show(self.network, group=30)
        self.play(2.0)

    def play(self, seconds: float) -> None:
        self.show.play(seconds, rest=0.0)

    def restart(self, address: Address = MOBILE) -> IceUpdate:
        """PATCH, and its answer, which the client has not read yet."""
        self.client.next_address = address
        return self.session.ice.update(self.client.restart(), ["*"])

    def take(self, update: IceUpdate) -> None:
        self.client.take_restart(update.fragment, self.network.now)

    def assert_unharmed(self) -> None:
        """All that was sent has come, once and in order, and no key frame but the first was asked for."""
        self.network.run(1.0)
        assert [unit.nals for unit in self.network.pictures] == self.show.pictures
        assert [frame.payload for frame in self.network.sounds] == self.show.sounds
        assert len(self.network.requests) == 1
        assert [type(event) for event in self.network.events].count(Connected) == 1
        assert self.session.state is SessionState.LIVE

    def reports_since(self, moment: float) -> int:
        return sum(isinstance(each, ReceiverReport) for at, each in self.client.received if at >= moment)


def test_the_old_path_stays():
    stream = Stream()
    update = stream.restart()
    stream.play(1.0)
    # Nothing has changed yet: the client has not even read the answer.
    assert stream.session.transport.remote_address == stream.home
    stream.take(update)
    stream.play(3.0)
    assert stream.client.address == stream.session.transport.remote_address == MOBILE
    assert stream.reports_since(stream.network.now - 2.5) >= 2
    stream.assert_unharmed()
    assert stream.session.drops() == {}


DEATHS = [
    "long before",
    "before the answer",
    "before the check",
    "with the check on its way",
    "when it is over",
]


@pytest.mark.parametrize("death", DEATHS)
def test_the_old_path_dies(death):
    """Whatever comes first, its end or that of the restart: what was lost meanwhile is sent again."""
    stream = Stream(WhipClient(("video",), repair="rtx"))
    die = partial(stream.network.dead.add, stream.home)
    if death == "long before":
        die()
        stream.play(0.1)
    update = stream.restart()
    if death == "before the answer":
        die()
    stream.play(SIGNALLING)
    if death == "before the check":
        die()
    stream.take(update)
    stream.play(0.01)
    if death == "with the check on its way":
        die()
    stream.play(0.1)
    assert stream.client.address == stream.session.transport.remote_address == MOBILE
    die()
    stream.play(3.0)
    assert stream.reports_since(stream.network.now - 2.5) >= 2
    stream.assert_unharmed()


def test_the_same_address_with_new_credentials():
    stream = Stream()
    stream.take(stream.restart(stream.home))
    stream.play(12.0)
    assert stream.client.pending is None
    stream.assert_unharmed()
    assert stream.session.drops() == {}


def test_media_are_there_before_the_check():
    """A client that moves at once, as soon as it has new credentials; its checks are lost at first."""
    stream = Stream()
    update = stream.restart()
    stream.client.address = MOBILE
    stream.network.up.drops = lambda data: data[0] < 4
    stream.take(update)
    stream.play(0.4)
    stream.network.up.drops = lambda data: False
    stream.play(3.0)
    assert stream.session.transport.remote_address == MOBILE
    stream.assert_unharmed()


def test_feedback_follows_media_that_come_over_a_new_pair_which_is_not_nominated_yet():
    stream = Stream()
    stream.take(stream.restart())
    pending = stream.client.pending
    assert pending is not None
    pending.next_check = None
    stream.network.inject(stream.client.stun(pending.username, pending.key, nominates=False), MOBILE)
    assert stream.session.transport.remote_address == stream.home
    stream.client.address = MOBILE
    stream.network.dead.add(stream.home)
    stream.play(0.1)
    assert stream.session.transport.remote_address == MOBILE
    assert len(stream.session.ice.ufrags) == 2
    stream.assert_unharmed()


def test_a_restart_that_comes_to_nothing():
    """The client never checks with what it asked for: the session goes on as it was, as long as it likes."""
    stream = Stream()
    ufrags = stream.session.ice.ufrags
    stream.restart()
    stream.play(20.0)
    assert stream.session.transport.remote_address == stream.home
    assert stream.session.ice.ufrags[:1] == ufrags
    stream.assert_unharmed()
    assert stream.session.drops() == {}


def test_a_second_restart_before_the_first_is_through():
    stream = Stream()
    first, pending = stream.restart(), stream.client.pending
    stream.take(first)
    stream.network.drain()  # Its first check is on its way when the second restart is made.
    second = stream.restart()
    stream.take(second)
    stream.play(2.0)
    assert stream.client.ufrag == "peer2" and stream.client.address == MOBILE
    assert stream.session.ice.generation == 2 and len(stream.session.ice.ufrags) == 1
    assert pending is not None
    stream.network.inject(stream.client.stun(pending.username, pending.key), stream.home)
    assert stream.session.transport.remote_address == MOBILE
    stream.assert_unharmed()
    assert set(stream.session.drops()) == {DropReason.STUN_UNKNOWN_USER}


@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.05, 0.07])
@pytest.mark.parametrize("setup", ["active", "passive"])
def test_a_restart_while_the_session_is_still_connecting(setup, after):
    network = make_network(WhipClient(setup=setup))
    network.run(after)
    assert network.session.state is SessionState.CONNECTING
    network.client.next_address = MOBILE
    update = network.session.ice.update(network.client.restart(), ["*"])
    network.client.take_restart(update.fragment, network.now)
    network.run(3.0)
    assert network.session.state is SessionState.LIVE
    assert network.session.transport.remote_address == MOBILE
    show = Show(network)
    show.play(2.0)
    assert [unit.nals for unit in network.pictures] == show.pictures


def test_the_first_check_of_all_may_be_one_of_a_restart():
    client = WhipClient(checks=False)
    network = make_network(client)
    client.checks = True
    update = network.session.ice.update(client.restart(), ["*"])
    client.take_restart(update.fragment, 0.0)
    network.run(0.5)
    assert network.session.state is SessionState.LIVE


def test_a_check_that_is_played_back_changes_nothing():
    stream = Stream()
    old = stream.client.stun()
    stream.network.inject(old)
    update = stream.restart()
    pending = stream.client.pending
    assert pending is not None
    # While it is pending, and from another address.
    stream.network.inject(old, ("203.0.113.99", 1))
    assert stream.session.drops() == {DropReason.STUN_REPLAY: 1}
    stream.take(update)
    new = stream.client.stun(pending.username, pending.key)
    stream.network.inject(new, MOBILE)
    stream.play(1.0)
    for data in (old, new):
        for addr in (stream.home, ("203.0.113.99", 1)):
            stream.network.inject(data, addr)
    transport = stream.session.transport
    assert transport.remote_address == MOBILE
    assert not transport.is_validated(stream.home) and not transport.is_validated(("203.0.113.99", 1))
    stream.play(1.0)
    stream.assert_unharmed()
    assert stream.session.drops() == {DropReason.STUN_REPLAY: 3, DropReason.STUN_UNKNOWN_USER: 2}


def test_media_that_still_come_from_the_old_address_are_taken():
    stream = Stream()
    stream.client.send("audio", b"\xfc\xff\xfe", stream.network.now)
    late = [data for data, _ in stream.client.datagrams_to_send()]
    stream.show.sounds.append(b"\xfc\xff\xfe")
    stream.take(stream.restart())
    stream.network.run(0.1)
    assert stream.session.transport.remote_address == MOBILE
    for data in late:
        stream.network.inject(data, stream.home)
    assert stream.session.transport.remote_address == MOBILE
    stream.assert_unharmed()


def test_trickled_candidates_change_nothing_on_the_way():
    stream = Stream()
    etag = stream.session.ice.etag
    fragment = stream.client.trickle("1 1 udp 1 198.51.100.9 9 typ host", "2 1 udp 1 x.local 9 typ host")
    assert stream.session.ice.update(fragment, [etag]) == IceUpdate()
    stream.play(1.0)
    stream.assert_unharmed()
    stream.restart()
    with pytest.raises(StaleTag):
        stream.session.ice.update(fragment, [etag])


def test_restarts_do_not_prolong_the_set_up():
    network = make_network(WhipClient(checks=False), timeouts=Timeouts(setup=3.0, silence=2.0))
    network.run(0.5)
    while network.session.ended is None:
        now = network.now
        assert network.session.update_ice(network.client.restart(), ["*"], now).etag
        network.run(0.1)
    assert network.ended.reason is EndReason.SETUP_TIMEOUT
    assert network.times[-1] == pytest.approx(3.0)


def test_who_restarts_has_the_time_of_one_more_silence():
    network = make_network(WhipClient(), timeouts=Timeouts(setup=3.0, silence=2.0))
    network.run(0.5)
    network.up.drops = lambda data: True
    network.run(1.5)
    restarted = network.now
    assert network.session.update_ice(network.client.restart(), ["*"], restarted).etag
    etag = network.session.ice.etag
    network.run(1.5)
    # Candidates are no sign of a new path.
    network.session.update_ice("a=end-of-candidates\r\n", [etag], network.now)
    assert network.session.ended is None
    network.run(1.0)
    assert network.ended.reason is EndReason.SILENCE
    assert network.times[-1] == pytest.approx(restarted + 2.0, abs=0.05)


def test_restarts_alone_keep_no_session_alive():
    """RFC 7675, section 5.1: no more is sent 30 s after the last sign that somebody there wants it."""
    stream = Stream()
    network, session = stream.network, stream.session
    network.dead.add(stream.home)
    stream.play(0.1)  # What was on its way is there.
    heard = session.transport.last_heard
    while network.now < heard + CONSENT_TIMEOUT:
        assert session.ended is None
        assert session.update_ice(stream.client.restart(), ["*"], network.now).etag
        stream.play(0.9)
    stream.play(0.1)
    assert network.ended.reason is EndReason.SILENCE
    assert network.times[-1] == pytest.approx(heard + CONSENT_TIMEOUT, abs=0.05)


def test_a_long_silence_is_not_cut_short_by_the_end_of_consent():
    network = make_network(WhipClient(), timeouts=Timeouts(silence=40.0))
    network.run(0.5)
    network.up.drops = lambda data: True
    heard = network.session.transport.last_heard
    network.run(39.0)
    assert network.session.update_ice(network.client.restart(), ["*"], network.now).etag
    assert network.session.ended is None
    network.run(2.0)
    assert network.times[-1] == pytest.approx(heard + 40.0, abs=0.05)


def test_the_answer_to_a_restart_is_lost():
    """The client asks again with the same fragment, and only then learns the server's credentials."""
    stream = Stream()
    stream.client.next_address = MOBILE
    fragment = stream.client.restart()
    lost = stream.session.ice.update(fragment, ["*"])
    stream.play(1.0)
    stream.take(stream.session.ice.update(fragment, ["*"]))
    stream.play(1.0)
    assert stream.session.transport.remote_address == MOBILE
    assert (stream.session.ice.etag, stream.session.ice.generation) == (lost.etag, 1)
    stream.assert_unharmed()
    assert stream.session.drops() == {}


def test_a_client_that_restarts_all_the_time():
    stream = Stream()
    for number in range(300):
        address = (MOBILE[0], MOBILE[1] + number)
        stream.take(stream.restart(address))
        stream.play(0.02 * (number % 5))
    stream.play(1.0)
    assert stream.session.ice.generation == 300
    assert len(stream.session.ice.ufrags) == 1
    assert stream.session.transport.remote_address == address
    stream.assert_unharmed()


def test_a_restart_on_a_network_that_loses():
    stream = Stream(WhipClient(("video",), repair="rtx"))
    stream.network.up.loss = stream.network.down.loss = 0.02
    for address in (MOBILE, stream.home, MOBILE):
        stream.take(stream.restart(address))
        stream.play(5.0)
        assert stream.session.transport.remote_address == address
    stream.network.up.loss = stream.network.down.loss = 0.0
    stream.play(1.0)
    stream.assert_unharmed()
