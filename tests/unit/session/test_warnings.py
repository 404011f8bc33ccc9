"""Each warning: when it stands, when it does not, and that it goes with its cause."""

from dataclasses import replace

import pytest
from tests.network.virtual import Network, Show, make_network
from tests.peers.whip_client import WhipClient

from whipway.session.snapshot import describe_session
from whipway.session.warnings import (
    MAX_QUIET,
    MAX_REPORT_AGE,
    WarningCode,
    find_warnings,
)


def play(seconds: float = 2.0, client: WhipClient | None = None, **how: object) -> tuple[Network, Show]:
    network = make_network(client)
    network.run(0.5)
    show = Show(network, **how)  # type: ignore[arg-type]
    show.play(seconds)
    return network, show


def codes(network: Network, later: float = 0.0) -> list[WarningCode]:
    warnings = find_warnings(network.session, network.now + later)
    assert all(detail.strip() for _, detail in warnings)
    return [code for code, _ in warnings]


def details(network: Network) -> dict[WarningCode, str]:
    return dict(find_warnings(network.session, network.now))


def test_nothing_is_wrong():
    network, _ = play(20.0)
    assert codes(network) == []


def test_before_the_connection_there_is_nothing_to_say():
    network = make_network(WhipClient(checks=False))
    assert find_warnings(network.session, 9.0) == []


class TestKeyframes:
    def test_too_far_apart(self):
        network, show = play(5.5, group=150, obeys=False)
        assert WarningCode.KEYFRAME_INTERVAL in codes(network)
        show.group = 30
        show.until_keyframe = 0
        show.play(3.0)
        assert WarningCode.KEYFRAME_INTERVAL not in codes(network)

    def test_none_at_all(self):
        network, show = play(4.3, group=100_000, obeys=False)
        assert WarningCode.KEYFRAME_INTERVAL not in codes(network)
        show.play(0.4)
        assert "over 4 s" in details(network)[WarningCode.KEYFRAME_INTERVAL]

    @pytest.mark.parametrize(("group", "told"), [(126, None), (150, " 5.0 s ")])
    def test_it_is_told_to_a_tenth_of_a_second(self, group, told):
        network, show = play(0.0, group=group, obeys=False)
        seen = set()
        for _ in range(40):
            show.play(0.5, rest=0.0)
            seen.add(details(network).get(WarningCode.KEYFRAME_INTERVAL))
        assert len(seen) <= 3  # It does not change with every look.
        last = details(network).get(WarningCode.KEYFRAME_INTERVAL)
        assert last is None if told is None else told in str(last)
        assert told or seen == {None}

    def test_not_while_nothing_comes(self):
        network, show = play(9.0, group=100_000, obeys=False)
        asked = len(network.requests)
        assert {WarningCode.KEYFRAME_INTERVAL, WarningCode.REQUESTS_IGNORED} <= set(codes(network))
        network.run(57.0)
        assert set(codes(network)) == {WarningCode.NO_AUDIO, WarningCode.NO_VIDEO}
        assert len(network.requests) <= asked + 1
        show.until_keyframe = 0
        show.group = 60
        show.play(5.0)
        assert WarningCode.KEYFRAME_INTERVAL not in codes(network)

    def test_a_browser_that_pauses_did_nothing_wrong(self):
        network, show = play(9.0)
        network.run(57.0)
        show.until_keyframe = 0
        show.play(6.0)
        assert codes(network) == []

    def test_requests_are_ignored(self):
        network, show = play(8.0, group=100_000, obeys=False)
        assert WarningCode.REQUESTS_IGNORED in codes(network)
        show.obeys = True
        show.play(8.0)
        assert WarningCode.REQUESTS_IGNORED not in codes(network)

    def test_requests_are_ignored_by_a_sender_of_them_every_four_seconds(self):
        network, show = play(0.0, group=120, obeys=False)
        show.play(16.0)
        assert codes(network) == [WarningCode.REQUESTS_IGNORED]

    def test_a_sender_of_them_every_two_seconds_needs_no_requests(self):
        network, _ = play(12.0, group=60, obeys=False)
        assert WarningCode.REQUESTS_IGNORED not in codes(network)


def test_b_frames():
    network, _ = play(1.0)
    [(code, _)] = find_warnings(network.session, network.now, has_b_frames=True)
    assert code is WarningCode.B_FRAMES
    [warning] = describe_session(network.session, network.now, has_b_frames=True)["warnings"]
    assert warning["code"] == "b_frames"


class TestAudio:
    def test_it_stays_away(self):
        network, _ = play(1.0)
        assert WarningCode.NO_AUDIO not in codes(network, MAX_QUIET - 1)
        assert WarningCode.NO_AUDIO in codes(network, MAX_QUIET)

    def test_it_never_came(self):
        network = make_network()
        network.run(0.5)
        assert codes(network, MAX_QUIET) == [WarningCode.NO_AUDIO, WarningCode.NO_VIDEO]
        warnings = [find_warnings(network.session, network.now + later) for later in (6.0, 60.0)]
        assert warnings[0] == warnings[1]
        assert "over 5 s" in warnings[0][0].detail

    def test_it_was_not_offered(self):
        network, _ = play(1.0, WhipClient(("video",)))
        assert WarningCode.NO_AUDIO not in codes(network, 60.0)


class TestVideo:
    def test_it_stays_away(self):
        network, _ = play(1.0)
        assert WarningCode.NO_VIDEO not in codes(network, MAX_QUIET - 1)
        assert WarningCode.NO_VIDEO in codes(network, MAX_QUIET)

    def test_it_was_not_offered(self):
        network, _ = play(1.0, WhipClient(("audio",)))
        assert WarningCode.NO_VIDEO not in codes(network, 60.0)


class TestReports:
    def test_they_stay_away(self):
        network, show = play(3.0)
        for _ in range(25):  # As if some were lost that come every 5 s.
            show.play(1.0, rest=0.0)  # Too short for a report.
        assert WarningCode.NO_SENDER_REPORT not in codes(network)
        for _ in range(8):
            show.play(1.0, rest=0.0)
        assert codes(network).count(WarningCode.NO_SENDER_REPORT) == 2

    def test_who_sends_nothing_has_nothing_to_report(self):
        network, _ = play(3.0)
        assert WarningCode.NO_SENDER_REPORT not in codes(network, 2 * MAX_REPORT_AGE)

    def test_of_a_track_that_never_sent(self):
        network = make_network()
        network.run(0.5)
        assert WarningCode.NO_SENDER_REPORT not in codes(network, 60.0)


@pytest.mark.parametrize(
    ("losses", "told"), [((0.049, 0.05), None), ((0.01, 0.12), "12%"), ((0.08, 0.06), "8%")]
)
def test_loss_is_told_once_for_all_tracks(losses, told):
    network, _ = play(1.0)
    for track, loss in zip(network.session.receiver.tracks, losses, strict=True):
        track.loss = loss
    warnings = find_warnings(network.session, network.now)
    assert [code for code, _ in warnings] == ([WarningCode.LOSS] if told else [])
    assert told is None or told in warnings[0].detail


class TestProfile:
    @pytest.mark.parametrize(
        ("announced", "warns"), [("42e01f", False), ("42001f", False), ("64001f", True), (None, False)]
    )
    def test_it_differs_from_the_offer(self, announced, warns):
        network, _ = play(1.0, WhipClient(("video",)))
        [track] = network.session.receiver.tracks
        track.description = replace(track.description, profile_level_id=announced)
        assert (WarningCode.PROFILE_DIFFERS in codes(network)) == warns

    def test_not_before_a_parameter_set_came(self):
        network = make_network(WhipClient(("video",)))
        network.run(0.5)
        assert WarningCode.PROFILE_DIFFERS not in codes(network)
