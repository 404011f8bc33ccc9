"""The machine's own part: states, deadlines, ends, and counting. Streams are in tests/network."""

from math import inf

import pytest
from tests.network.virtual import Network, Path, Show, make_network
from tests.peers.whip_client import WhipClient, picture, sound

from whipway.failures import DropReason
from whipway.protocol.rtcp.packets import Goodbye
from whipway.protocol.rtp.nack import REORDER_WAIT
from whipway.session.events import Connected, Ended, EndReason
from whipway.session.feedback import REPORT_INTERVAL
from whipway.session.session import SessionState, Timeouts


def connect(client: WhipClient | None = None) -> Network:
    network = make_network(client)
    network.run(0.5)
    return network


class TestStates:
    def test_connecting_live_ended(self):
        network = make_network()
        session = network.session
        assert (session.state, session.ended) == (SessionState.CONNECTING, None)
        network.run(0.5)
        assert (session.state, session.ended) == (SessionState.LIVE, None)
        assert network.events == [Connected("SRTP_AEAD_AES_128_GCM")]
        session.end(EndReason.DELETED, "why")
        assert (session.state, session.ended) == (SessionState.ENDED, Ended(EndReason.DELETED, "why"))
        assert session.events() == [session.ended]
        assert session.events() == []

    @pytest.mark.parametrize(
        "ask",
        [
            lambda session, now: session.request_keyframe(),
            lambda session, now: session.limit_video(300_000),
            lambda session, now: session.inputs.want_thumbnail("video", now + 3.0),
        ],
        ids=["a key frame", "a limit", "a thumbnail"],
    )
    def test_what_is_asked_for_is_due_at_once(self, ask):
        """The deadline is known before, and another one afterwards."""
        network = connect(WhipClient(remb=True))
        show = Show(network)
        show.play(1.9)
        session, now = network.session, network.now
        session.handle_timeout(now)
        assert (session.deadline(now) or 0.0) > now
        ask(session, now)
        assert (session.deadline(now) or inf) <= now

    def test_the_same_limit_again_is_no_news(self):
        network = connect(WhipClient(remb=True))
        network.session.limit_video(300_000)
        network.run(0.5)
        before = network.session.deadline(network.now)
        network.session.limit_video(300_000)
        assert network.session.deadline(network.now) == before

    @pytest.mark.parametrize("reason", list(EndReason))
    def test_the_first_end_is_final(self, reason):
        session = make_network().session
        session.end(reason)
        session.end(EndReason.INTERNAL_ERROR)
        session.close()
        assert session.events() == [Ended(reason)]

    def test_after_the_end_nothing_is_taken(self):
        network = connect()
        network.session.end(EndReason.DELETED)
        network.session.events()
        network.session.datagrams_to_send()
        network.session.receive_datagram(b"\xff\xff", network.client.address, network.now)
        network.session.receive_datagram(network.client.stun(), network.client.address, network.now)
        network.session.handle_timeout(network.now + 100.0)
        assert network.session.events() == []
        assert network.session.datagrams_to_send() == []
        assert network.session.drops() == {}

    def test_goodbye_from_the_client(self):
        network = connect()
        client = network.client
        client.send("audio", sound(1), 0.0)
        client.send_rtcp(Goodbye((client.sources["audio"].ssrc,)).serialize())
        for data, _ in client.datagrams_to_send():
            network.inject(data)
        assert network.ended.reason is EndReason.CLIENT_CLOSED

    def test_a_report_from_the_client_is_no_goodbye(self):
        network = connect()
        network.client.send_reports(0.0)
        for data, _ in network.client.datagrams_to_send():
            network.inject(data)
        assert network.session.state is SessionState.LIVE
        assert network.session.drops() == {}

    def test_close_notify_from_the_client(self):
        network = connect()
        network.client.close()
        network.run(0.1)
        assert network.ended.reason is EndReason.CLIENT_CLOSED

    def test_a_client_that_is_not_the_one_of_the_offer(self):
        network = connect(WhipClient(fingerprint=":".join(["00"] * 32)))
        assert network.events == [Ended(EndReason.DTLS_FAILED, "fingerprint mismatch")]


class TestTime:
    def test_setup_has_an_end(self):
        session = make_network(WhipClient(checks=False), timeouts=Timeouts(setup=3.0)).session
        assert session.deadline(0.0) == 3.0
        session.handle_timeout(2.9)
        assert session.state is SessionState.CONNECTING
        session.handle_timeout(3.0)
        assert session.ended is not None
        assert session.ended.reason is EndReason.SETUP_TIMEOUT
        assert session.deadline(3.0) is None

    def test_the_text_tells_how_far_it_came(self):
        texts = []
        for checks in (False, True):
            network = make_network(WhipClient(checks=checks, speaks_dtls=False))
            network.run(11.0)
            assert network.ended.reason is EndReason.SETUP_TIMEOUT
            texts.append(network.ended.detail)
        assert "ICE" in texts[0]
        assert "DTLS" in texts[1]

    def test_silence_has_an_end(self):
        session = connect().session
        heard = session.transport.last_heard
        assert heard is not None
        session.handle_timeout(heard + 4.9)
        assert session.state is SessionState.LIVE
        session.handle_timeout(heard + 5.0)
        assert session.ended == Ended(EndReason.SILENCE, "nothing came from the client for 5 s")

    def test_when_it_was_heard_last_and_from_where(self):
        network = make_network(client=WhipClient(checks=False))
        assert not network.session.was_heard_since(0.0)
        network = connect()
        heard = network.session.transport.last_heard
        assert network.session.was_heard_since(heard)
        assert not network.session.was_heard_since(heard + 0.001)

    def test_how_long_it_has_been_silent(self):
        session = make_network(client=WhipClient(checks=False)).session
        assert session.silent_for(7.0) is None
        session = connect().session
        heard = session.transport.last_heard
        assert session.silent_for(heard + 3.0) == pytest.approx(3.0)

    def test_when_its_stream_may_be_anothers(self):
        network = make_network(WhipClient(checks=False), timeouts=Timeouts(takeover=1.0))
        assert [network.session.is_silent(now) for now in (0.99, 1.0)] == [False, True]
        network = connect()
        heard = network.session.transport.last_heard
        # Without media it is heard of by consent checks alone.
        assert not network.session.is_silent(heard + 4.9)
        network.client.send("audio", sound(1), 0.0)
        [(data, _)] = network.client.datagrams_to_send()
        network.inject(data)
        assert [network.session.is_silent(network.now + pause) for pause in (1.99, 2.0)] == [False, True]

    def test_strays_that_came_while_it_was_silent_are_told_of(self):
        session = connect().session
        heard = session.transport.last_heard
        session.note_stray(heard + 1.0)
        session.handle_timeout(heard + 5.0)
        assert session.ended == Ended(
            EndReason.SILENCE,
            "nothing came from the client for 5 s; packets came from an address that no ICE check came from",
        )

    def test_strays_before_it_fell_silent_are_not_its_own(self):
        network = connect()
        network.session.note_stray(network.now)
        network.run(5.0)
        network.client.checks, network.up.drops = False, lambda data: True
        network.run(20.0)
        assert network.ended == Ended(EndReason.SILENCE, "nothing came from the client for 5 s")

    def test_deadlines_of_the_parts(self):
        network = connect(WhipClient(("audio",)))
        session, client = network.session, network.client
        [reported_at] = {at for at, _ in client.received}
        # Sent at connecting, received after the way down.
        assert session.deadline(network.now) == pytest.approx(reported_at - 0.02 + REPORT_INTERVAL)
        client.send("audio", sound(1), 0.0)
        client.packet("audio", b"", 0.0)
        client.send("audio", sound(3), 0.0)
        for data, _ in client.datagrams_to_send():
            network.inject(data)
        assert session.deadline(network.now) == network.now + REORDER_WAIT
        session.handle_timeout(network.now + REORDER_WAIT)
        [frame] = session.events()
        assert frame.payload == sound(3)

    def test_reports_begin_with_the_connection(self):
        network = make_network()
        network.session.handle_timeout(0.0)
        assert network.session.datagrams_to_send() == []
        network.run(1.0)
        assert network.client.received != []


class TestCounting:
    def test_drops_of_all_parts_are_summed(self):
        network = connect()
        client = network.client
        network.inject(b"\xff\xff")
        client.send_picture(picture(1, keyframe=False), 0.0)
        client.send("audio", b"", 0.0)
        client.send("audio", b"\x03", 0.0, payload_type=50)
        for data, _ in client.datagrams_to_send():
            network.inject(data)
        assert network.session.drops() == {
            DropReason.UNKNOWN_DATAGRAM: 1,
            DropReason.H264_AWAITING_IDR: 1,
            DropReason.RTP_EMPTY: 1,
            DropReason.RTP_UNKNOWN_TRACK: 1,
        }
        # A copy: who reads it cannot change it.
        network.session.drops().clear()
        assert network.session.drops().total() == 4


def test_who_takes_the_pictures_may_ask_for_a_key_frame():
    network = connect()
    show = Show(network, group=100_000)
    show.play(1.0, rest=0.0)
    asked = len(network.requests)
    network.session.request_keyframe()
    show.play(0.5)
    assert len(network.requests) == asked + 1
    assert network.pictures[-1].nals == show.pictures[-1]
    assert sum(picture.keyframe for picture in network.pictures) == 2


def test_a_handshake_that_measured_nothing():
    network = make_network(down=Path(delay=0.7))
    network.run(4.0)
    assert network.session.state is SessionState.LIVE
    assert not network.session.receiver.round_trip.is_measured
