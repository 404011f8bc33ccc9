from typing import Any

from whipway.worker.totals import COUNTS, Totals


def track(kind: str, **counts: int) -> dict[str, Any]:
    return {"kind": kind, **dict.fromkeys(("packets", "bytes", "lost", "repaired", "frames"), 0), **counts}


def sink(state: str = "publishing", **counts: int) -> dict[str, Any]:
    return {"state": state, **dict.fromkeys(("bytes", "frames", "frames_dropped", "reconnects"), 0), **counts}


def session(*sinks: dict[str, Any], reason: str | None = None, **drops: int) -> dict[str, Any]:
    tracks = [track("video", packets=5, bytes=500, lost=2, repaired=1, frames=3), track("audio", frames=9)]
    return {"reason": reason, "tracks": tracks, "sinks": list(sinks), "drops": drops}


def test_before_the_first_session_all_is_nothing() -> None:
    nothing = {"drops": {}, "sinks": {}, "sessions_started": 0, "sessions_ended": {}}
    assert Totals().describe([]) == dict.fromkeys(COUNTS, 0) | nothing


def test_what_is_over_and_what_lives_are_added_up() -> None:
    totals = Totals()
    totals.sessions = 3
    totals.add_session(session(sink("closed", bytes=100, frames=3, reconnects=1), reason="deleted", late=1))
    totals.add_sink(sink("closed", bytes=10, frames_dropped=4))
    living = [session(sink(bytes=1), sink("retrying"), late=2, aged=1), session(sink())]
    assert totals.describe(living) == {
        "packets_received": 15,
        "bytes_received": 1500,
        "packets_lost": 6,
        "packets_repaired": 3,
        "video_frames": 9,
        "audio_frames": 27,
        "bytes_sent": 111,
        "frames_sent": 3,
        "frames_dropped": 4,
        "sink_reconnects": 1,
        "drops": {"aged": 1, "late": 3},
        "sinks": {"publishing": 2, "retrying": 1},
        "sessions_started": 3,
        "sessions_ended": {"deleted": 1},
    }


def test_asking_twice_counts_nothing_twice() -> None:
    totals = Totals()
    totals.add_session(session(reason="silence"))
    assert totals.describe([session()]) == totals.describe([session()])
