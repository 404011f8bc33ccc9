"""A session and a client on a virtual network: minutes of a stream, its accidents, and all of its ends."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from tests.network.virtual import Network, Path, Show, make_network
from tests.peers.whip_client import WhipClient, picture, sound

from whipway.failures import DropReason
from whipway.protocol.rtcp.packets import ReceiverReport, SourceDescription
from whipway.protocol.rtp.packet import serialize_packet
from whipway.protocol.srtp import MAX_STREAMS
from whipway.session.events import Connected, EndReason
from whipway.session.feedback import MAX_KEYFRAME_AGE
from whipway.session.receiver import SWITCH_INTERVAL
from whipway.session.session import SessionState, Timeouts

ELSEWHERE = ("198.51.100.9", 50_000)
RTP_TICK_US = 12
"""1/90000 s, rounded up."""


def connect(client: WhipClient | None = None, **paths: Path) -> Network:
    """A network on which the handshake is through."""
    network = make_network(client, **paths)
    network.run(0.5)
    assert [type(event) for event in network.events] == [Connected]
    assert network.session.state is SessionState.LIVE
    return network


def play(seconds: float, client: WhipClient | None = None, **paths: Path) -> tuple[Network, Show]:
    network = connect(client, **paths)
    show = Show(network)
    show.play(seconds)
    return network, show


def assert_everything_arrived(network: Network, show: Show) -> None:
    assert [unit.nals for unit in network.pictures] == show.pictures
    assert [frame.payload for frame in network.sounds] == show.sounds


def assert_times_are_those_of_the_clock(network: Network, start: float) -> None:
    """The first frame of all is at 0, the others where the sender's clock put them."""
    for index, unit in enumerate(network.pictures):
        assert unit.time_us == pytest.approx(index * 1_000_000 / 30 + start, abs=RTP_TICK_US)
        assert unit.keyframe == (unit.nals[0][0] & 0x1F == 7)
    for index, frame in enumerate(network.sounds):
        assert frame.time_us == pytest.approx(index * 20_000 + start, abs=RTP_TICK_US)


class TestStream:
    def test_a_clean_network(self):
        network, show = play(70.0)
        assert len(show.pictures) == 2100
        assert len(show.sounds) == 3500
        assert_everything_arrived(network, show)
        assert_times_are_those_of_the_clock(network, 0.0)
        assert network.session.drops() == {}

    def test_nothing_waits_on_a_clean_network(self):
        network = connect()
        network.client.send("audio", sound(1), network.now)
        network.client.send_picture(picture(1, keyframe=True), network.now)
        sent = network.now
        network.run(1.0)
        assert network.times[1:] == [pytest.approx(sent + 0.02)] * 2

    @pytest.mark.parametrize(
        "path",
        [Path(jitter=0.05), Path(duplication=0.3), Path(jitter=0.1, duplication=0.1)],
        ids=["reordering", "duplication", "both"],
    )
    def test_disorder_changes_nothing(self, path):
        network = connect()
        show = Show(network)
        # The first packet that comes is taken for the first that was sent.
        show.play(0.1, rest=0.0)
        network.up = path
        show.play(40.0)
        assert_everything_arrived(network, show)
        reasons = set(network.session.drops())
        assert reasons == ({DropReason.SRTP_REPLAY} if path.duplication else set())
        sounds = [frame.time_us for frame in network.sounds]
        assert [later - earlier for earlier, later in pairwise(sounds)] == [20_000] * (len(sounds) - 1)
        # With reports the two clocks agree again, whatever jitter did to their first packets.
        offset = network.pictures[-30].time_us - network.sounds[-50].time_us
        assert abs(offset) <= 1_000 + 2 * RTP_TICK_US

    def test_sender_reports_bring_late_video_back_in_time(self):
        network = connect()
        Show(network, video_delay=0.15).play(40.0)
        offsets = [
            network.pictures[30 * second].time_us - network.sounds[50 * second].time_us
            for second in range(39)
        ]
        assert offsets[0] == pytest.approx(150_000, abs=1_000)
        assert all(later <= earlier for earlier, later in pairwise(offsets))
        assert offsets[-1] == pytest.approx(0, abs=2 * RTP_TICK_US)

    @pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
    @pytest.mark.parametrize("kinds", [("audio", "video"), ("video", "audio"), ("audio",), ("video",)])
    @pytest.mark.parametrize("names", [(True, True), (True, False), (False, True), (False, False)])
    def test_every_kind_of_offer(self, setup, kinds, names):
        announces_ssrcs, names_mids = names
        client = WhipClient(kinds, setup=setup, announces_ssrcs=announces_ssrcs, names_mids=names_mids)
        network, show = play(0.5, client)
        assert len(network.pictures) == (15 if "video" in kinds else 0)
        assert len(network.sounds) == (25 if "audio" in kinds else 0)
        assert_everything_arrived(network, show)

    def test_a_sender_whose_ssrcs_are_not_those_announced(self):
        client = WhipClient()
        network = make_network(client)
        network.run(0.5)
        for source in client.sources.values():
            source.ssrc ^= 1
        show = Show(network)
        show.play(3.0)
        assert_everything_arrived(network, show)
        assert {track.ssrc for track in network.session.receiver.tracks} == {
            source.ssrc for source in client.sources.values()
        }

    def test_the_reports_tell_the_sender_what_arrived(self):
        network, _ = play(10.0)
        network.run(1.0)
        reports = [packet for _, packet in network.client.received if isinstance(packet, ReceiverReport)]
        last = {block.ssrc: block for report in reports for block in report.reports}
        for source in network.client.sources.values():
            block = last[source.ssrc]
            assert block.highest_sequence & 0xFFFF == (source.sequence - 1) & 0xFFFF
            assert (block.fraction_lost, block.cumulative_lost) == (0, 0)
            assert block.last_sender_report != 0
            assert 0 < block.delay_since_last_sender_report < 2 << 16
        names = {
            chunk
            for _, packet in network.client.received
            if isinstance(packet, SourceDescription)
            for chunk in packet.chunks
        }
        assert len(names) == 1
        assert 10 <= len(reports) <= 14


class TestLoss:
    @pytest.mark.parametrize("path", [Path(loss=0.01), Path(loss=0.05), Path(loss=0.01, jitter=0.03)])
    def test_after_a_gap_nothing_until_the_next_idr(self, path):
        network, show = play(40.0, up=path)
        sent = {frozenset(nals): index for index, nals in enumerate(show.pictures)}
        # A unit that is not byte for byte one of those sent is a KeyError.
        arrived = [sent[frozenset(unit.nals)] for unit in network.pictures]
        assert arrived == sorted(set(arrived))
        assert 0.2 * len(show.pictures) < len(arrived) < len(show.pictures)
        for before, unit, index in zip(arrived, network.pictures[1:], arrived[1:], strict=False):
            assert index == before + 1 or unit.keyframe
        assert network.pictures[0].keyframe
        assert DropReason.H264_INCOMPLETE in network.session.drops()

    @pytest.mark.parametrize("missing", [0, 1, 2])
    def test_a_beginning_without_its_parameter_sets_is_none(self, missing):
        """SPS, PPS and the picture come in packets of their own; nothing says that there was one before."""
        network = connect(WhipClient(("video",), announces_ssrcs=False))
        network.client.send_picture(picture(0, keyframe=True, size=1000), network.now)
        datagrams = [data for data, _ in network.client.datagrams_to_send()]
        for data in datagrams[:missing] + datagrams[missing + 1 :]:
            network.inject(data)
        asked = len(network.requests)
        show = Show(network, group=100_000, until_keyframe=99_999)
        show.play(2.0)
        assert len(network.requests) == asked + 1
        assert network.pictures[0].keyframe
        assert [unit.nals for unit in network.pictures] == show.pictures[-len(network.pictures) :]
        assert len(network.pictures) >= 45

    def test_lost_audio_is_only_missing(self):
        network, show = play(30.0, WhipClient(("audio",)), up=Path(loss=0.05))
        index_of = {payload: index for index, payload in enumerate(show.sounds)}
        arrived = [index_of[frame.payload] for frame in network.sounds]
        [track] = network.session.receiver.tracks
        assert arrived == sorted(set(arrived))
        assert len(arrived) == track.units == len(show.sounds) - track.lost
        assert 0 < track.lost < 0.1 * len(show.sounds)
        for frame, index in zip(network.sounds, arrived, strict=True):
            assert frame.time_us == network.sounds[0].time_us + (index - arrived[0]) * 20_000

    def test_reports_tell_of_loss(self):
        network, _ = play(10.0, WhipClient(("audio",)), up=Path(loss=0.2))
        reports = [packet for _, packet in network.client.received if isinstance(packet, ReceiverReport)]
        blocks = [block for report in reports for block in report.reports]
        fractions = [block.fraction_lost for block in blocks]
        assert sum(fractions) / len(fractions) == pytest.approx(0.2 * 256, rel=0.3)
        assert blocks[-1].cumulative_lost == pytest.approx(100, rel=0.3)

    def test_an_idr_is_asked_for_at_once_then_less_and_less_often(self):
        network = connect(WhipClient(("video",)))
        show = Show(network, group=100_000, obeys=False)
        show.play(1.0)
        asked = len(network.requests)
        lose_a_picture(network, show)
        lost_at = network.now
        show.play(20.0)
        requests = network.requests[asked:]
        # One round trip after the packets behind the gap had waited for what is missing.
        assert requests[0] == pytest.approx(lost_at + 0.2 + 0.04, abs=0.05)
        gaps = [later - earlier for earlier, later in pairwise(requests)]
        assert gaps == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0], abs=0.01)
        assert len(network.pictures) == 30
        show.obeys = True
        show.play(1.0)
        assert network.pictures[30].keyframe
        assert len(network.pictures) == 30 + 30

    def test_who_sends_no_key_frames_by_itself_is_asked_for_them(self):
        network = connect(WhipClient(("video",)))
        show = Show(network, group=100_000)
        asked = len(network.requests)
        show.play(20.0)
        times = network.requests[asked:]
        assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx(
            [MAX_KEYFRAME_AGE] * (len(times) - 1), abs=0.15
        )
        assert sum(picture.keyframe for picture in network.pictures) >= 7

    def test_who_sends_them_every_two_seconds_is_not_asked(self):
        network = connect(WhipClient(("video",)))
        show = Show(network, group=60)
        begun = network.now
        show.play(20.0)
        assert [at for at in network.requests if begun + 0.5 < at < begun + 20.0] == []

    def test_another_loss_is_another_matter(self):
        """The back-off of a request that was answered must not delay the next one."""
        network = connect(WhipClient(("video",)))
        show = Show(network, group=100_000, obeys=False)
        show.play(1.0)
        lose_a_picture(network, show)
        show.play(9.0)
        show.obeys = True
        show.play(0.2)
        asked = len(network.requests)
        assert not network.session.receiver.tracks[0].needs_keyframe
        lose_a_picture(network, show)
        lost_at = network.now
        show.play(1.0)
        assert network.requests[asked] == pytest.approx(lost_at + 0.24, abs=0.3)
        assert network.pictures[-1].nals == show.pictures[-1]

    def test_what_comes_after_it_was_given_up_is_late(self):
        network = connect()
        show = Show(network)
        show.play(1.0)
        network.client.send("audio", sound(1000), network.now)
        [(late, _)] = network.client.datagrams_to_send()
        show.play(1.0)
        network.inject(late)
        assert network.session.drops() == {DropReason.RTP_LATE: 1}
        assert_everything_arrived(network, show)


def lose_a_picture(network: Network, show: Show) -> None:
    before, network.up = network.up, Path(loss=1.0)
    show.play(1 / 30, rest=0.0)
    network.up = before


class TestSources:
    def test_a_restarted_encoder_goes_on_with_another_ssrc(self):
        network, show = play(3.0)
        for source in network.client.sources.values():
            source.ssrc, source.sequence, source.start = source.ssrc ^ 7, 5, source.start ^ 0x40000000
        network.run(SWITCH_INTERVAL)
        again = Show(network)
        again.play(3.0)
        assert [unit.nals for unit in network.pictures] == show.pictures + again.pictures
        assert [frame.payload for frame in network.sounds] == show.sounds + again.sounds
        for units in (network.pictures, network.sounds):
            times = [unit.time_us for unit in units]
            assert times == sorted(times)
            assert times[-1] == pytest.approx(7_470_000, abs=50_000)

    def test_after_bye_another_ssrc_is_followed_at_once(self):
        network, show = play(1.0)
        network.client.send_goodbye("video")
        network.run(0.1)
        network.client.sources["video"].ssrc ^= 7
        again = Show(network)
        again.play(1.0)
        assert [unit.nals for unit in network.pictures] == show.pictures + again.pictures
        assert network.session.state is SessionState.LIVE

    def test_the_second_layer_of_a_simulcast_does_not_mix_with_the_first(self):
        network = connect(WhipClient(announces_ssrcs=False))
        show = Show(network)
        video = network.client.sources["video"]
        layers = [video, replace(video, ssrc=video.ssrc ^ 1, sequence=video.sequence + 3)]
        for index in range(60):
            nals = picture(index, keyframe=index == 0)
            show.pictures.append(nals)
            for layer, content in zip(
                layers, (nals, picture(index + 1000, keyframe=index == 0)), strict=True
            ):
                network.client.sources["video"] = layer
                network.client.send_picture(content, network.now)
            network.run(1 / 30)
        network.run(1.0)
        assert_everything_arrived(network, show)
        assert network.session.drops()[DropReason.RTP_UNKNOWN_TRACK] == layers[1].packets


class TestAddresses:
    def test_the_client_moves(self):
        network, show = play(2.0)
        network.client.address = ELSEWHERE
        network.client.check(network.now)
        heard = len(network.client.received)
        show.play(3.0)
        assert_everything_arrived(network, show)
        assert network.session.transport.remote_address == ELSEWHERE
        assert len(network.client.received) >= heard + 3

    def test_the_client_moves_and_media_is_there_before_the_check(self):
        network, show = play(2.0)
        network.client.address = ELSEWHERE
        show.play(6.0)
        assert_everything_arrived(network, show)
        assert network.session.transport.remote_address == ELSEWHERE


class TestEnds:
    def test_goodbye(self):
        network, show = play(1.0)
        network.client.send_goodbye()
        network.run(1.0)
        assert network.ended.reason is EndReason.CLIENT_CLOSED
        assert "goodbye" in network.ended.detail
        assert_everything_arrived(network, show)

    def test_goodbye_of_one_track_is_not_the_end(self):
        network, _ = play(1.0)
        network.client.send_goodbye("audio")
        network.run(1.0)
        assert network.session.state is SessionState.LIVE
        network.client.send_goodbye("video")
        network.run(1.0)
        assert network.ended.reason is EndReason.CLIENT_CLOSED

    @pytest.mark.parametrize("setup", ["active", "passive"])
    def test_close_notify(self, setup):
        network, show = play(1.0, WhipClient(setup=setup))
        network.client.close()
        network.run(1.0)
        assert network.ended.reason is EndReason.CLIENT_CLOSED
        assert "closed" in network.ended.detail
        assert_everything_arrived(network, show)

    @pytest.mark.parametrize("setup", ["active", "passive"])
    def test_wrong_fingerprint(self, setup):
        client = WhipClient(setup=setup, fingerprint=":".join(["AB"] * 32))
        network = make_network(client)
        network.run(1.0)
        assert network.ended.reason is EndReason.DTLS_FAILED
        assert network.ended.detail == "fingerprint mismatch"
        assert len(network.events) == 1

    def test_silence(self):
        network, _ = play(1.0)
        network.up.drops = lambda data: True
        # What is on its way has arrived; the last of it was a consent check or a packet.
        heard = network.session.transport.last_heard
        network.run(20.0)
        assert network.ended.reason is EndReason.SILENCE
        assert network.times[-1] == pytest.approx(heard + 5.0)
        assert "5 s" in network.ended.detail

    def test_a_client_that_only_keeps_its_consent_stays(self):
        network = connect()
        network.run(120.0)
        assert network.session.state is SessionState.LIVE

    def test_forged_datagrams_are_not_a_sign_of_life(self):
        network, _ = play(1.0)
        record = b"\x17\xfe\xfd\x00\x01" + bytes(6) + b"\x00\x20" + bytes(32)
        network.client.checks, network.up.drops = False, lambda data: True
        for _ in range(12):
            network.inject(record)
            network.inject(b"\x80\x66" + bytes(60))
            network.inject(b"\x80\xc8" + bytes(60))
            network.inject(network.client.stun(key=b"guessed"))
            network.run(0.5)
        assert network.ended.reason is EndReason.SILENCE

    def test_no_check_ever_comes(self):
        network = make_network(WhipClient(checks=False), timeouts=Timeouts(setup=7.0))
        network.run(20.0)
        assert network.ended.reason is EndReason.SETUP_TIMEOUT
        assert "ICE" in network.ended.detail
        assert network.times == [7.0]

    @pytest.mark.parametrize("setup", ["active", "passive"])
    def test_checks_but_no_dtls(self, setup):
        network = make_network(WhipClient(setup=setup, speaks_dtls=False))
        network.run(20.0)
        assert network.ended.reason is EndReason.SETUP_TIMEOUT
        assert "DTLS" in network.ended.detail
        assert network.times == [10.0]

    @pytest.mark.parametrize("connected", [False, True])
    def test_shutdown(self, connected):
        network = make_network()
        network.run(1.0 if connected else 0.0)
        network.session.close()
        network.run(1.0)
        assert network.ended.reason is EndReason.SHUTDOWN
        # The client learns of it by close_notify.
        assert [type(event).__name__ for event in network.client.events()] == (
            ["DtlsConnected", "DtlsClosed"] if connected else []
        )

    def test_nothing_follows_the_end(self):
        network, _ = play(1.0)
        network.client.send_picture(picture(1, keyframe=True), network.now)
        leftover = network.client.datagrams_to_send()
        network.session.end(EndReason.DELETED, "by request")
        network.session.end(EndReason.SINK_FAILED)
        for data, _ in leftover:
            network.inject(data)
        network.client.check(network.now)
        network.session.handle_timeout(network.now)
        network.run(30.0)
        assert network.ended.reason is EndReason.DELETED
        assert network.session.deadline(network.now) is None
        assert network.session.datagrams_to_send() == []


class TestHandshake:
    def test_a_lost_hello_is_sent_again_soon(self):
        hellos = []

        def lose_the_first(data: bytes) -> bool:
            if data[0] == 22:
                hellos.append(data)
            return len(hellos) == 1 and data[0] == 22

        network = make_network(WhipClient(setup="passive"), down=Path(drops=lose_the_first))
        network.run(0.5)
        assert hellos[1] == hellos[0]
        assert [type(event) for event in network.events] == [Connected]
        # The check's way, 30 ms until the repetition, two round trips of the handshake.
        assert network.times == [pytest.approx(0.02 + 0.03 + 0.08)]

    @pytest.mark.parametrize("setup", ["active", "passive"])
    def test_a_client_far_away(self, setup):
        network, show = play_far(setup)
        assert_everything_arrived(network, show)

    def test_the_silence_timeout_begins_with_the_connection(self):
        """One check, a slow handshake: the check may be older than the silence that is allowed."""
        client = WhipClient(setup="active")
        network = make_network(client, timeouts=Timeouts(setup=10.0, silence=2.0))
        network.up.drops = lambda data: data[0] < 4 and network.now > 0.0
        network.up.delay = 0.9
        network.run(4.0)
        assert network.session.state is SessionState.LIVE
        network.run(4.0)
        assert network.ended.reason is EndReason.SILENCE

    def test_media_that_overtakes_the_end_of_the_handshake_is_counted(self):
        network = make_network()
        network.run(0.05)
        assert network.session.state is SessionState.CONNECTING
        network.inject(b"\x80\x66" + bytes(100))
        network.inject(b"\x80\xc8" + bytes(100))
        network.run(0.5)
        assert network.session.state is SessionState.LIVE
        assert network.session.drops() == {DropReason.SRTP_BEFORE_DTLS: 2}


def play_far(setup: str) -> tuple[Network, Show]:
    network = make_network(WhipClient(setup=setup), up=Path(delay=0.4), down=Path(delay=0.4))
    network.run(3.0)
    show = Show(network)
    show.play(2.0)
    network.run(0.5)
    return network, show


# What a session drops while a stream goes on, and why

Make = Callable[[WhipClient], Iterable[bytes]]


def sent(client: WhipClient) -> list[bytes]:
    return [data for data, _ in client.datagrams_to_send()]


def numbered(kind: str, payload: bytes, **changes) -> Make:
    """A packet of a track, which leaves no gap in its numbers."""

    def make(client: WhipClient) -> list[bytes]:
        client.send(kind, payload, 0.0, **changes)
        return sent(client)

    return make


def stray(first: int = 0x80, **changes) -> Make:
    """A packet of no track: of an SSRC that nobody knows, unless `changes` say otherwise."""

    def make(client: WhipClient) -> list[bytes]:
        packet = client.packet("audio", sound(1), 0.0)._replace(ssrc=5)
        client.sources["audio"].sequence -= 1
        data = serialize_packet(packet._replace(**changes))
        client.send_rtp(bytes((data[0] & 0x1F | first,)) + data[1:])
        return sent(client)

    return make


def rtcp(data: bytes) -> Make:
    def make(client: WhipClient) -> list[bytes]:
        client.send_rtcp(data)
        return sent(client)

    return make


def forged(client: WhipClient) -> list[bytes]:
    [data] = stray()(client)
    return [data[:-1] + bytes((data[-1] ^ 1,))]


def replayed(client: WhipClient) -> list[bytes]:
    source = client.sources["audio"]
    return stray(ssrc=source.ssrc, sequence_number=(source.sequence - 3) & 0xFFFF)(client)


def many_sources(client: WhipClient) -> list[bytes]:
    return [data for ssrc in range(MAX_STREAMS) for data in stray(ssrc=ssrc)(client)]


GARBAGE: list[tuple[dict[DropReason, int], Make]] = [
    ({DropReason.UNKNOWN_DATAGRAM: 3}, lambda client: [b"\x40\x00of TURN", b"?", b"\xff" * 1200]),
    ({DropReason.STUN_MALFORMED: 1}, lambda client: [client.stun()[:-4]]),
    ({DropReason.STUN_UNKNOWN_USER: 1}, lambda client: [client.stun(username=b"who:me")]),
    ({DropReason.STUN_INTEGRITY: 1}, lambda client: [client.stun(key=b"guessed")]),
    ({DropReason.DTLS_MALFORMED: 1}, lambda client: [b"\x16\xfe\xfd" + bytes(30)]),
    ({}, lambda client: [b"\x17\xfe\xfd\x00\x01" + bytes(6) + b"\x00\x20" + bytes(32)]),
    ({DropReason.SRTP_AUTHENTICATION: 1}, forged),
    ({DropReason.SRTP_AUTHENTICATION: 2}, lambda client: [b"\x80\xc8" + bytes(40), b"\x80\x66"]),
    ({DropReason.SRTP_REPLAY: 1}, replayed),
    # Audio and video are two of those that are allowed.
    ({DropReason.SRTP_SSRC_LIMIT: 2, DropReason.RTP_UNKNOWN_TRACK: MAX_STREAMS - 2}, many_sources),
    ({DropReason.RTP_MALFORMED: 1}, stray(first=0xA0)),
    ({DropReason.RTP_UNKNOWN_TRACK: 1}, stray()),
    ({DropReason.RTP_UNKNOWN_TRACK: 1}, stray(payload_type=50)),
    ({DropReason.RTP_EMPTY: 1}, numbered("audio", b"")),
    ({DropReason.RTP_EMPTY: 1}, numbered("video", b"", padding=255)),
    ({DropReason.RTCP_MALFORMED: 1}, rtcp(b"\x80\xc8\x00\x09" + bytes(12))),
    ({DropReason.OPUS_MALFORMED: 1}, numbered("audio", b"\x03")),
]


@pytest.mark.parametrize(("drops", "make"), GARBAGE, ids=[" ".join(drops) for drops, _ in GARBAGE])
def test_garbage_is_counted_and_harms_nothing(drops, make):
    network, show = play(1.0)
    for data in make(network.client):
        network.inject(data)
    show.play(1.0)
    assert_everything_arrived(network, show)
    assert network.session.drops() == drops


def test_strangers_are_counted_and_harm_nothing():
    network, show = play(1.0)
    network.inject(b"\x16\xfe\xfd" + bytes(30), ELSEWHERE)
    network.inject(network.client.stun(key=b"guessed"), ELSEWHERE)
    network.inject(b"\x80\x66" + bytes(60), ELSEWHERE)
    show.play(1.0)
    assert_everything_arrived(network, show)
    assert network.session.transport.remote_address == network.client.address
    assert network.session.drops() == {
        DropReason.UNKNOWN_ADDRESS: 1,
        DropReason.STUN_INTEGRITY: 1,
        DropReason.SRTP_AUTHENTICATION: 1,
    }
