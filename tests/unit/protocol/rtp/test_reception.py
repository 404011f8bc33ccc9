"""Reception statistics, against the formulas of RFC 3550, A.3 and A.8."""

import pytest

from whipway.protocol.rtp.reception import Reception, ReceptionStatistics
from whipway.protocol.rtp.sequence import MAX_JUMP


def receive(statistics: ReceptionStatistics, *sequences: int) -> None:
    for sequence in sequences:
        statistics.received(sequence, 0, 0.0)


def report(statistics: ReceptionStatistics, now: float = 0.0) -> Reception:
    reception = statistics.report(now)
    assert reception is not None
    return reception


def test_nothing_received_needs_no_report() -> None:
    statistics = ReceptionStatistics(90_000)
    assert statistics.report(0.0) is None
    receive(statistics, 5)
    assert report(statistics) == Reception(0, 0, 5, 0, 0, 0)
    assert statistics.report(0.0) is None


def test_loss_is_reported_per_interval_and_in_all() -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 1, 2, 3, 5)
    assert report(statistics)[:3] == (256 // 5, 1, 5)
    receive(statistics, 6, 7, 8, 9)
    assert report(statistics)[:3] == (0, 1, 9)
    receive(statistics, 13)
    assert report(statistics)[:3] == (3 * 256 // 4, 4, 13)


def test_reordered_packets_are_not_lost() -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 1, 3, 2, 4)
    assert report(statistics)[:3] == (0, 0, 4)


def test_duplicates_make_the_loss_negative_but_not_the_fraction() -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 1, 2, 2, 2)
    assert report(statistics)[:3] == (0, -2, 2)


def test_a_late_packet_after_its_report_gives_no_negative_fraction() -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 1, 3)
    assert report(statistics)[:2] == (256 // 3, 1)
    receive(statistics, 2)
    assert report(statistics)[:2] == (0, 0)


def test_the_highest_sequence_has_32_bits() -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 65_535, 65_536)
    assert report(statistics).highest_sequence == 0x10000
    statistics = ReceptionStatistics(90_000)
    receive(statistics, -1)
    assert report(statistics).highest_sequence == 0xFFFFFFFF


def test_cumulative_loss_keeps_within_24_bits() -> None:
    statistics = ReceptionStatistics(90_000)
    for sequence in range(0, 0x800000 + 5 * MAX_JUMP, MAX_JUMP):
        receive(statistics, sequence)
    reception = report(statistics)
    assert (reception.fraction_lost, reception.cumulative_lost) == (255, 0x7FFFFF)


@pytest.mark.parametrize("start", [30_000, -30_000])
def test_a_restart_begins_the_counts_anew(start: int) -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 1, 2, 9)
    receive(statistics, start, start + 1, start + 2)
    assert report(statistics)[:3] == (0, 0, (start + 2) & 0xFFFFFFFF)


def test_a_lone_packet_far_away_does_not_count() -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 1, 2, 30_000, 3)
    assert report(statistics)[:3] == (0, 0, 3)


def test_jitter_follows_the_formula() -> None:
    statistics = ReceptionStatistics(8000)
    expected = 0.0
    transits = [0.010, 0.014, 0.009, 0.030, 0.010]
    for i, transit in enumerate(transits):
        statistics.received(i, 160 * i, 0.020 * i + transit)
        if i:
            expected += (abs(transit - transits[i - 1]) * 8000 - expected) / 16
    assert report(statistics).jitter == int(expected) == 23


def test_a_steady_source_has_no_jitter() -> None:
    statistics = ReceptionStatistics(48_000)
    for i in range(100):
        statistics.received(i, 960 * i, 7.0 + 0.020 * i)
    assert report(statistics).jitter == 0


def test_wraps_and_switches_of_the_timestamp_are_not_jitter() -> None:
    statistics = ReceptionStatistics(48_000)
    for i in range(40):
        jump = 1_000_000_000 if i >= 30 else 0
        statistics.received(i, (0xFFFFFFFF - 9600 + 960 * i + jump) & 0xFFFFFFFF, 0.020 * i)
    assert report(statistics).jitter == 0


def test_last_sender_report_as_in_figure_2_of_rfc_3550() -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 1)
    statistics.sender_report(0xB44DB705_20000000, 100.0)
    reception = report(statistics, now=105.25)
    assert reception.last_sender_report == 0xB7052000
    assert reception.delay_since_last_sender_report == 0x00054000


def test_a_very_old_sender_report_keeps_within_32_bits() -> None:
    statistics = ReceptionStatistics(90_000)
    receive(statistics, 1)
    statistics.sender_report(1 << 32, 0.0)
    assert report(statistics, now=1e6).delay_since_last_sender_report == 0xFFFFFFFF
