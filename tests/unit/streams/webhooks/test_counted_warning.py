from structlog.testing import capture_logs

from whipway.streams.webhooks.counted_warning import WARNING_INTERVAL, CountedWarning


def test_the_first_is_written_at_once_and_the_others_are_summed_up() -> None:
    now = 100.0
    warning = CountedWarning("x", "it broke", lambda: now)
    with capture_logs() as logs:
        warning.add(reason="a")
        warning.add(2, reason="b")
        now += WARNING_INTERVAL - 0.1
        warning.add()
        now += 0.1
        warning.add(reason="d")
    assert logs == [
        {"log_level": "warning", "event": "it broke", "count": 1, "reason": "a"},
        {"log_level": "warning", "event": "it broke", "count": 4, "reason": "d"},
    ]
