"""What a worker has received and sent in all, for metrics: counts that only grow.

Sessions and sinks count for themselves (`describe`). What is over is added up here as it was at last; what
lives is added when somebody asks. So nothing is counted twice, and nothing per packet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Described = Mapping[str, Any]

_OF_TRACKS = {
    "packets_received": "packets",
    "bytes_received": "bytes",
    "packets_lost": "lost",
    "packets_repaired": "repaired",
}
_OF_SINKS = {
    "bytes_sent": "bytes",
    "frames_sent": "frames",
    "frames_dropped": "frames_dropped",
    "sink_reconnects": "reconnects",
}
COUNTS = (*_OF_TRACKS, "video_frames", "audio_frames", *_OF_SINKS)


class Totals:
    """Adds up what is over, and what lives when it is asked for."""

    def __init__(self) -> None:
        self.sessions = 0
        """That there ever were."""
        self._counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._drops: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()

    @property
    def bytes_received(self) -> int:
        """By sessions that are over."""
        return self._counts["bytes_received"]

    def add_session(self, snapshot: Described) -> None:
        """A session is over; its last snapshot."""
        _count_session(snapshot, self._counts, self._drops)
        self._ends[str(snapshot["reason"])] += 1

    def add_sink(self, sink: Described) -> None:
        """A sink was removed from a session that goes on; its last description."""
        _count_sink(sink, self._counts)

    def describe(self, living: Iterable[Described]) -> dict[str, Any]:
        """Every count with the sessions that live: `COUNTS`, and what else belongs to them."""
        counts, drops, sinks = Counter(self._counts), Counter(self._drops), Counter[str]()
        for snapshot in living:
            _count_session(snapshot, counts, drops)
            sinks.update(sink["state"] for sink in snapshot["sinks"])
        return {
            **counts,
            "drops": dict(sorted(drops.items())),
            "sinks": dict(sorted(sinks.items())),
            "sessions_started": self.sessions,
            "sessions_ended": dict(sorted(self._ends.items())),
        }


def _count_session(snapshot: Described, counts: Counter[str], drops: Counter[str]) -> None:
    for track in snapshot["tracks"]:
        for name, member in _OF_TRACKS.items():
            counts[name] += track[member]
        counts[f"{track['kind']}_frames"] += track["frames"]
    for sink in snapshot["sinks"]:
        _count_sink(sink, counts)
    drops.update(snapshot["drops"])


def _count_sink(sink: Described, counts: Counter[str]) -> None:
    for name, member in _OF_SINKS.items():
        counts[name] += sink[member]
