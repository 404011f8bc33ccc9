from whipway.relay.sinks.traffic import Traffic


def test_nothing_has_no_rate() -> None:
    assert Traffic().describe(5.0) == {"bytes": 0, "frames": 0, "frames_dropped": 0, "bitrate": 0}


def test_a_steady_stream_has_its_rate() -> None:
    traffic = Traffic()
    for second in range(100):
        traffic.arrived(1000, float(second))
    assert traffic.bytes == 100_000
    assert traffic.bitrate(99.0) == 8000


def test_many_notes_are_few_samples() -> None:
    traffic = Traffic()
    for number in range(100_000):
        traffic.arrived(1, number / 1000)
        assert len(traffic._samples) <= 13
    assert 7900 <= traffic.bitrate(99.999) <= 8100


def test_the_first_moment_is_no_rate() -> None:
    traffic = Traffic()
    traffic.arrived(0, 0.0)
    traffic.arrived(1000, 0.001)
    assert traffic.bitrate(0.001) == 8000


def test_the_rate_of_a_stream_that_stands_falls() -> None:
    traffic = Traffic()
    for second in range(6):
        traffic.arrived(1000, float(second))
    for second in range(6, 9):
        traffic.arrived(0, float(second))
    assert traffic.bitrate(8.0) == 3200
    assert traffic.bitrate(20.0) == 0


def test_without_a_connection_there_is_no_rate() -> None:
    traffic = Traffic()
    for second in range(6):
        traffic.arrived(1000, float(second))
    traffic.disconnected()
    assert traffic.bitrate(5.0) == 0
    assert traffic.bytes == 6000
