"""Loss and its repair: what is asked for, what comes back, and that nothing wrong is ever handed on.

Chance comes from seeds, so that every run is the same. The bounds are wide: `bench.loss` tells how good it
is.
"""

from dataclasses import replace
from itertools import count, groupby, pairwise
from random import Random

import pytest
from bench.trial import Case, run
from tests.network.virtual import Network, Path, Show, is_media, make_network
from tests.peers.whip_client import PPS, SPS, WhipClient, picture

from whipway.failures import DropReason
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtcp.remb import BitrateEstimate
from whipway.protocol.rtcp.twcc import TransportFeedback
from whipway.protocol.rtp.nack import MAX_UNANSWERED, MAX_WAIT, REORDER_WAIT
from whipway.session.receiver import SWITCH_INTERVAL
from whipway.session.session import SessionState

FOREVER = 1_000_000
"""A group of pictures that does not end."""
ROUND_TRIP = 0.04
REPAIRS = ("rtx", "same")
SLACK = 0.05
"""Seconds: a picture's interval, in which a loss at the end of one is not yet noticed, and rounding."""


class Losing:
    """A path's `drops`: loses packets of one source by their sequence numbers, the first `times` copies."""

    def __init__(self, ssrc: int, *numbers: int, times: int = 1) -> None:
        self._left = {(ssrc, number & 0xFFFF): times for number in numbers}

    def __call__(self, data: bytes) -> bool:
        key = (int.from_bytes(data[8:12], "big"), int.from_bytes(data[2:4], "big"))
        if data[0] & 0xC0 != 0x80 or self._left.get(key, 0) == 0:
            return False
        self._left[key] -= 1
        return True


def connect(repair: str, kinds: tuple[str, ...] = ("video",), **changes) -> tuple[Network, Show]:
    """A network after its handshake and one second of stream without loss."""
    client = WhipClient(kinds, repair=repair, **changes)
    network = make_network(client)
    network.run(0.5)
    # So short that the server never asks because of a key frame's age, whatever pauses a test makes.
    show = Show(network, group=30)
    show.play(1.0)
    assert network.session.state is SessionState.LIVE
    assert_whole_and_in_order(network, show)
    return network, show


def requests_since(network: Network, moment: float) -> list[float]:
    """When a key frame was asked for."""
    return [at for at in network.requests if at > moment]


def lose_next(network: Network, *offsets: int, times: int = 1) -> list[int]:
    """Lose the packets of video that are so many after the next; return their sequence numbers."""
    source = network.client.sources["video"]
    numbers = [(source.sequence + offset) & 0xFFFF for offset in offsets]
    network.up.drops = Losing(source.ssrc, *numbers, times=times)
    return numbers


def indexes(network: Network, show: Show) -> list[int]:
    """Which pictures were handed on; a unit that is not byte for byte one of those sent is a KeyError."""
    index_of = {tuple(nals): index for index, nals in enumerate(show.pictures)}
    return [index_of[tuple(unit.nals)] for unit in network.pictures]


def assert_whole_and_in_order(network: Network, show: Show) -> None:
    assert indexes(network, show) == list(range(len(show.pictures)))


def times_of(network: Network, kind: type) -> list[float]:
    """When each unit of this kind was handed on."""
    return [at for at, event in zip(network.times, network.events, strict=True) if isinstance(event, kind)]


def longest_stall(network: Network) -> float:
    """The longest time in which no picture was handed on."""
    times = times_of(network, AccessUnit)
    return max(later - earlier for earlier, later in pairwise(times))


class TestNoLoss:
    @pytest.mark.parametrize("repair", REPAIRS)
    def test_nothing_is_held_and_nothing_is_asked_for(self, repair):
        client = WhipClient(repair=repair, transport_cc=True, remb=True, answers_reference_times=True)
        network = make_network(client, tick=0.02)
        network.run(0.5)
        show = Show(network)
        show.play(20.0)
        assert_whole_and_in_order(network, show)
        times = times_of(network, AccessUnit)
        assert times == pytest.approx([at + network.up.delay for at in show.sent_at])
        assert client.nacks == client.repeated == []
        assert network.session.drops() == {}

    def test_what_was_not_agreed_on_is_not_asked_for(self):
        network, show = connect("none")
        lose_next(network, 4)
        show.play(2.0)
        assert network.client.nacks == []
        assert requests_since(network, 2.0)
        assert network.pictures[-1].nals == show.pictures[-1]


class TestOneLoss:
    @pytest.mark.parametrize("repair", REPAIRS)
    @pytest.mark.parametrize("offset", [0, 1, 2, 3, 4, 5])
    def test_exactly_that_packet_is_asked_for_and_repaired(self, repair, offset):
        network, show = connect(repair)
        [number] = lose_next(network, offset)
        lost_at = network.now
        show.play(2.0)
        [nack] = network.client.nacks
        assert nack.ssrc == network.client.sources["video"].ssrc
        assert nack.numbers == (number,)
        assert nack.at <= lost_at + 0.1 + ROUND_TRIP + SLACK
        assert [number for _, number in network.client.repeated] == [number]
        assert_whole_and_in_order(network, show)
        assert requests_since(network, 1.0) == []
        [track] = network.session.receiver.tracks
        assert (track.lost, track.repaired) == (0, 1)
        assert longest_stall(network) <= 0.5 + ROUND_TRIP + 2 * SLACK

    @pytest.mark.parametrize("repair", REPAIRS)
    def test_the_last_packet_of_a_picture_is_missed_with_the_next_one(self, repair):
        network, show = connect(repair)
        # The next picture is a key frame: SPS, PPS, and three fragments.
        lose_next(network, 4)
        begun = network.now
        show.play(1.0)
        assert network.client.nacks[0].at == pytest.approx(begun + 1 / 30 + ROUND_TRIP, abs=0.01)
        assert_whole_and_in_order(network, show)

    @pytest.mark.parametrize("repair", REPAIRS)
    def test_a_burst_is_asked_for_at_once(self, repair):
        network, show = connect(repair)
        numbers = lose_next(network, *range(4, 30))
        show.play(2.0)
        assert [nack.numbers for nack in network.client.nacks] == [tuple(numbers)]
        assert_whole_and_in_order(network, show)
        assert requests_since(network, 1.0) == []

    @pytest.mark.parametrize("repair", REPAIRS)
    @pytest.mark.parametrize("count", [1, 2, 7, 40])
    def test_the_sequence_number_wraps_meanwhile(self, repair, count):
        network = make_network(WhipClient(("video",), repair=repair))
        network.run(0.5)
        source = network.client.sources["video"]
        source.sequence = 0xFFFF - 110
        show = Show(network, group=30)
        show.play(0.9, rest=0.0)
        first = 0x10000 - count // 2
        network.up.drops = Losing(source.ssrc, *range(first, first + count))
        show.play(2.0)
        assert_whole_and_in_order(network, show)
        asked = [number for nack in network.client.nacks for number in nack.numbers]
        assert asked == [number & 0xFFFF for number in range(first, first + count)]

    def test_sound_is_not_held_up_by_a_picture(self):
        network, show = connect("rtx", ("audio", "video"))
        lose_next(network, 0)
        heard = len(network.sounds)
        begun = network.now
        show.play(1.0)
        assert [frame.payload for frame in network.sounds] == show.sounds
        times = times_of(network, AudioFrame)
        assert times[heard:] == pytest.approx([begun + index / 50 + 0.02 for index in range(50)])


class TestLostRequests:
    @pytest.mark.parametrize("repair", REPAIRS)
    def test_a_lost_request_is_repeated_after_about_a_round_trip(self, repair):
        network, show = connect(repair, answers_reference_times=True)
        show.play(5.0)
        [number] = lose_next(network, 1)
        lost = []

        def lose_the_first(data: bytes) -> bool:
            if network.up.lost and not lost:
                lost.append(network.now)
                return True
            return False

        network.down.drops = lose_the_first
        show.play(2.0)
        [nack] = network.client.nacks
        assert nack.numbers == (number,)
        # It came half a round trip after it was sent.
        assert ROUND_TRIP <= nack.at - ROUND_TRIP / 2 - lost[0] <= 2 * ROUND_TRIP
        assert_whole_and_in_order(network, show)
        assert requests_since(network, 1.0) == []

    @pytest.mark.parametrize("repair", REPAIRS)
    def test_a_lost_repair_is_asked_for_again(self, repair):
        network, show = connect(repair, answers_reference_times=True)
        show.play(5.0)
        [number] = lose_next(network, 1, times=1 if repair == "rtx" else 3)
        rtx = network.client.sources["video"].rtx
        if rtx is not None:
            also = Losing(rtx.ssrc, rtx.sequence, rtx.sequence + 1)
            first = network.up.drops
            network.up.drops = lambda data: first(data) or also(data)
        show.play(2.0)
        assert [nack.numbers for nack in network.client.nacks] == [(number,)] * 3
        gaps = [later.at - earlier.at for earlier, later in pairwise(network.client.nacks)]
        assert all(ROUND_TRIP <= gap <= 2 * ROUND_TRIP for gap in gaps)
        assert_whole_and_in_order(network, show)
        assert requests_since(network, 1.0) == []


class TestGivingUp:
    def test_who_never_answers_is_waited_for_once_then_asked_for_a_key_frame(self):
        network, show = connect("ignored")
        show.until_keyframe = FOREVER
        handed_on = len(network.pictures)
        [number] = lose_next(network, 1)
        lost_at = network.now
        show.play(2.0)
        assert len(network.client.nacks) >= 2
        assert {nack.numbers for nack in network.client.nacks} == {(number,)}
        [asked_at] = requests_since(network, lost_at)
        assert asked_at <= lost_at + MAX_WAIT + ROUND_TRIP + SLACK
        arrived = indexes(network, show)
        # Nothing between the picture that was hit and the one that was asked for.
        assert arrived[:handed_on] == list(range(handed_on))
        assert arrived[handed_on] > handed_on + 1
        assert network.pictures[handed_on].keyframe
        assert arrived[handed_on:] == list(range(arrived[handed_on], len(show.pictures)))
        assert longest_stall(network) <= 0.5 + MAX_WAIT + 2 * ROUND_TRIP + SLACK

    def test_nothing_is_handed_on_while_no_key_frame_comes(self):
        network, show = connect("ignored")
        show.obeys, show.until_keyframe = False, FOREVER
        begun = network.now
        handed_on = len(network.pictures)
        lose_next(network, 1)
        show.play(6.0)
        assert len(network.pictures) == handed_on
        assert len(requests_since(network, begun)) >= 3
        show.obeys = True
        show.play(1.0)
        assert network.pictures[handed_on].keyframe
        assert network.pictures[-1].nals == show.pictures[-1]

    def test_who_never_answers_is_no_longer_waited_for(self):
        network, show = connect("ignored")
        for _ in range(MAX_UNANSWERED + 1):
            lose_next(network, 1)
            show.play(2.0, rest=0.0)
        show.until_keyframe = FOREVER
        lose_next(network, 1)
        lost_at = network.now
        show.play(2.0)
        assert requests_since(network, lost_at)[0] <= lost_at + REORDER_WAIT + ROUND_TRIP + SLACK
        assert network.pictures[-1].nals == show.pictures[-1]

    @pytest.mark.parametrize("repair", REPAIRS)
    def test_a_repair_that_comes_after_it_was_given_up_changes_nothing(self, repair):
        network, show = connect(repair)
        [number] = lose_next(network, 1)
        network.client.repair, before = "ignored", network.client.repair
        show.play(3.0)
        network.client.repair = before
        arrived = list(network.pictures)
        network.client.repeat("video", number)
        network.run(0.5)
        assert network.pictures == arrived
        show.play(1.0)
        assert indexes(network, show) == sorted(set(indexes(network, show)))
        reason = DropReason.RTP_DUPLICATE if repair == "rtx" else DropReason.RTP_LATE
        assert network.session.drops()[reason] == 1

    def test_an_outage_ends_with_a_key_frame(self):
        """Two seconds of nothing: senders do not have that any more, so nobody waits for it."""
        network, show = connect("rtx")
        network.up.loss = 1.0
        show.play(2.0, rest=0.0)
        network.up.loss = 0.0
        back_at = network.now
        handed_on = len(network.pictures)
        show.play(3.0)
        assert network.pictures[handed_on].keyframe
        assert network.pictures[-1].nals == show.pictures[-1]
        resumed_at = next(
            at
            for at, event in zip(network.times, network.events, strict=True)
            if event is network.pictures[handed_on]
        )
        assert resumed_at <= back_at + 2 * ROUND_TRIP + 0.5 + SLACK


class TestNeedlessRepairs:
    def test_rtx_of_packets_that_came(self):
        network, show = connect("rtx")
        source = network.client.sources["video"]
        for back in (1, 2, 3, 1, 50):
            network.client.repeat("video", source.sequence - back)
            show.play(0.5)
        assert_whole_and_in_order(network, show)
        assert network.session.drops() == {DropReason.RTP_DUPLICATE: 5}
        assert network.client.nacks == []

    def test_the_same_packets_once_more(self):
        network, show = connect("same")
        source = network.client.sources["video"]
        for back in (1, 2, 3, 1, 50):
            network.client.repeat("video", source.sequence - back)
            show.play(0.5)
        assert_whole_and_in_order(network, show)
        assert network.session.drops() == {DropReason.SRTP_REPLAY: 5}
        assert network.client.nacks == []

    def test_each_repair_twice(self):
        network, show = connect("rtx")
        lose_next(network, 1, 7, 20)
        show.play(0.4, rest=0.0)
        for _, number in list(network.client.repeated):
            network.client.repeat("video", number)
        show.play(1.0)
        assert len(network.client.repeated) == 6
        assert_whole_and_in_order(network, show)
        assert network.session.drops() == {DropReason.RTP_DUPLICATE: 3}

    def test_rtx_that_only_pads(self):
        """Senders probe for bandwidth with it; without an original number there is nothing to repeat."""
        network, show = connect("rtx")
        lose_next(network, 1)
        for _ in range(20):
            network.client.send_rtx(b"", padding=255)
            show.play(0.1, rest=0.0)
        show.play(0.5)
        assert_whole_and_in_order(network, show)
        assert network.session.drops() == {DropReason.RTP_EMPTY: 20}

    def test_rtx_of_garbage(self):
        network, show = connect("rtx")
        source, random = network.client.sources["video"], Random(5)
        for _ in range(300):
            number = (source.sequence + random.randrange(-200, 3000)) & 0xFFFF
            network.client.send_rtx(number.to_bytes(2, "big") + random.randbytes(random.randrange(60)))
        network.client.send_rtx(b"\x00")
        show.play(3.0)
        assert_whole_and_in_order(network, show)
        assert network.session.drops().keys() <= {
            DropReason.RTP_DUPLICATE,
            DropReason.RTP_MALFORMED,
            DropReason.RTP_EMPTY,
        }
        assert network.client.nacks == []

    def test_disorder_with_repairs(self):
        network, show = connect("rtx")
        network.up = Path(jitter=0.1, duplication=0.1)
        show.play(20.0)
        assert_whole_and_in_order(network, show)
        assert requests_since(network, 1.0) == []


def other_picture(index: int, keyframe: bool) -> list[bytes]:
    return picture(index + 5000, keyframe=keyframe)


class TestSources:
    def test_another_ssrc_while_packets_of_the_old_one_are_missing(self):
        network, show = connect("rtx")
        source = network.client.sources["video"]
        lose_next(network, 1)
        network.client.repair = "ignored"
        show.play(0.2, rest=0.0)
        network.client.sources["video"] = replace(source, ssrc=source.ssrc ^ 1, sequence=5, rtx=None)
        network.client.repair = "none"
        network.run(SWITCH_INTERVAL)
        again = Show(network, draw=other_picture)
        again.play(2.0)
        assert [unit.nals for unit in network.pictures[-len(again.pictures) :]] == again.pictures
        assert network.session.receiver.tracks[0].ssrc == source.ssrc ^ 1

    def test_a_repair_of_the_old_ssrc_is_not_taken_for_one_of_the_new(self):
        """The new source uses the very numbers of the old one, and the same one is missing."""
        network, show = connect("rtx", ("audio", "video"))
        client = network.client
        old = client.sources["video"]
        new = replace(old, ssrc=old.ssrc ^ 1, rtx=replace(old.rtx, ssrc=old.rtx.ssrc ^ 1))
        show.play(1.0)
        client.send_goodbye("video")
        network.run(0.2)
        client.sources["video"] = new = replace(new, sequence=old.sequence - 60)
        again = Show(network, draw=other_picture)
        client.repair = "ignored"
        again.play(0.1, rest=0.0)
        [number] = lose_next(network, 1)
        again.play(0.1, rest=0.0)
        held = len(network.pictures)
        # The old source repeats what it once sent under that number.
        [sent] = [
            each
            for (ssrc, each_number), each in client._sent.packets.items()
            if (ssrc, each_number) == (old.ssrc, number)
        ]
        client.sources["video"] = old
        client.send_rtx(number.to_bytes(2, "big") + sent.packet.payload, timestamp=sent.packet.timestamp)
        client.sources["video"] = new
        again.play(0.1, rest=0.0)
        assert len(network.pictures) == held
        client.repair = "rtx"
        again.play(2.0)
        assert [unit.nals for unit in network.pictures] == show.pictures + again.pictures
        assert network.session.drops() == {DropReason.RTP_UNKNOWN_TRACK: 1}


class TestStreams:
    """Real pictures, as the worker drives a session; twenty seconds each."""

    @pytest.mark.parametrize("repair", REPAIRS)
    @pytest.mark.parametrize(
        ("loss", "burst", "intact"), [(0.05, 1.0, 0.98), (0.2, 1.0, 0.5), (0.05, 10.0, 0.9)]
    )
    def test_what_is_handed_on_is_what_was_sent(self, repair, loss, burst, intact):
        outcome = run(Case(loss, burst, round_trip=0.05, seconds=20.0, repair=repair))
        assert outcome.damaged == outcome.decoder_errors == outcome.wrong_pictures == 0
        assert outcome.intact >= intact * outcome.sent
        assert outcome.repaired > 0
        assert outcome.gap < 5.0

    @pytest.mark.parametrize("repair", ["ignored", "none"])
    def test_without_any_repair(self, repair):
        outcome = run(Case(0.01, 1.0, round_trip=0.05, seconds=20.0, repair=repair))
        assert outcome.is_sound
        assert 0 < outcome.intact < outcome.sent
        assert outcome.keyframe_requests > 0
        assert (outcome.nacks > 0) == (repair == "ignored")


class TestCongestionFeedback:
    def test_every_packet_is_reported_to_who_numbers_them(self):
        client = WhipClient(repair="rtx", transport_cc=True)
        network = make_network(client, tick=0.02)
        network.run(0.5)
        first = client._transport_sequence
        network.up.loss = 0.1
        Show(network).play(10.0)
        reports = [packet for _, packet in client.received if isinstance(packet, TransportFeedback)]
        seen = {}
        for report in reports:
            for index, arrival in enumerate(report.arrivals):
                number = (report.base_sequence + index) & 0xFFFF
                seen[number] = seen.get(number, False) or arrival is not None
        numbers = [number & 0xFFFF for number in range(first, client._transport_sequence)]
        told = [seen.get(number, False) for number in numbers]
        assert told.count(True) == pytest.approx(0.9 * len(numbers), rel=0.05)
        assert [report.feedback_count for report in reports] == [
            index & 0xFF for index in range(len(reports))
        ]
        assert not [packet for _, packet in client.received if isinstance(packet, BitrateEstimate)]

    def test_who_does_not_is_told_a_bitrate(self):
        network, show = connect("rtx", remb=True)
        network.up.loss = 0.3
        show.play(10.0)
        received = network.client.received
        estimates = [packet for _, packet in received if isinstance(packet, BitrateEstimate)]
        assert len(estimates) >= 8
        assert estimates[-1].bitrate < estimates[0].bitrate
        assert {each.ssrcs for each in estimates} == {(network.client.sources["video"].ssrc,)}

    def test_the_round_trip_is_measured_without_loss(self):
        network, show = connect("rtx", answers_reference_times=True)
        show.play(5.0)
        assert network.session.receiver.round_trip.is_measured
        assert network.session.receiver.round_trip.seconds == pytest.approx(ROUND_TRIP, abs=0.002)


class TestPath:
    """The network itself."""

    @pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
    @pytest.mark.parametrize("burst", [1.0, 3.0, 10.0])
    def test_bursts_have_their_length_and_loss_its_share(self, loss, burst):
        random = Random(11)
        path = Path(loss=loss, burst=burst)
        fates = [path.loses(b"\x80", random.random) for _ in range(300_000)]
        assert path.sent == len(fates)
        assert path.lost == sum(fates) == pytest.approx(loss * len(fates), rel=0.15)
        runs = [len(list(run)) for is_lost, run in groupby(fates) if is_lost]
        expected = burst if burst > 1.0 else 1 / (1 - loss)
        assert sum(runs) / len(runs) == pytest.approx(expected, rel=0.1)

    def test_only_media_are_lost_by_chance(self):
        path = Path(loss=1.0)
        assert not path.loses(b"\x16", lambda: 0.0)
        assert path.loses(b"\x80", lambda: 0.0)

    def test_with_a_tick_a_deadline_waits_for_it(self):
        network = make_network(WhipClient(checks=False), tick=0.02)
        network.run(20.0)
        [at] = network.times
        assert 10.0 <= at <= 10.0 + 0.021


class TestBeginning:
    """The first packets of the stream are lost, and some of the others."""

    @staticmethod
    def draw(index: int, keyframe: bool) -> list[bytes]:
        """A picture of six slices, each in a packet of its own."""
        slices = [
            bytes((0x65 if keyframe else 0x41, 0x88 if number == 0 else 0x48 - number))
            + index.to_bytes(4, "big")
            + bytes((number + 1,)) * 700
            for number in range(6)
        ]
        return [SPS, PPS, *slices] if keyframe else slices

    @pytest.mark.parametrize("repair", ["rtx", "same"])
    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("lost_at_first", [1, 3, 51])
    def test_nothing_mutilated_is_handed_on(self, repair: str, seed: int, lost_at_first: int):
        path = Path(delay=0.1)
        client = WhipClient(("video",), repair=repair)
        network = make_network(client, up=path, down=Path(delay=0.1), seed=seed, tick=0.005)
        network.run(2.0)
        ssrc = client.sources["video"].ssrc.to_bytes(4, "big")
        numbers = count(1)
        path.drops = lambda data: is_media(data) and data[8:12] == ssrc and next(numbers) <= lost_at_first
        path.loss = 0.01
        show = Show(network, group=8, draw=self.draw)
        show.play(3.0, rest=2.0)
        sent = {tuple(nals): index for index, nals in enumerate(show.pictures)}
        # A unit that is not one of those sent is a KeyError.
        arrived = [(sent[tuple(unit.nals)], unit.keyframe) for unit in network.pictures]
        assert len(arrived) > 40
        assert all(later == before + 1 or key for (before, _), (later, key) in pairwise(arrived))
