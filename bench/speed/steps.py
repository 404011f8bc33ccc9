"""One step of the measuring: what was run, and what came of it. Plain values, for the tables and for JSON."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

MAX_LATENCY_MS = 20.0
"""99th percentile of added latency, above which a step has failed."""
MAX_LATE_MS = 5.0
"""99th percentile of the publishers' own lateness, above which they or the machine were the limit."""
MIN_IDLE = 0.05
"""Share of the machine, below which it was the limit."""

NAMES = {"video": "video only", "aac": "video and AAC", "opus": "video and Opus"}
"""Of each mode of a stream."""
QUERIES = {"video": "", "aac": "&audio=aac", "opus": "&audio=opus"}
"""What the POST's query asks for."""


class Plan(NamedTuple):
    """What to run: `mode` is one of NAMES, `seconds` those that are measured, behind `warm_up`."""

    mode: str
    streams: int
    workers: int
    seconds: float
    warm_up: float


class Window(NamedTuple):
    """Shares of a core over the measured seconds; `idle` and `steal` are of all cores together.

    `overflows`: datagrams that found the buffer of their socket full, of the server or of anybody else.
    """

    seconds: float
    workers: float
    server: float
    publishers: float
    sink: float
    others: float
    """Everybody else on the machine."""
    idle: float
    steal: float
    overflows: int = 0


class MemoryGrowth(NamedTuple):
    """KiB of all workers, from none to all sessions."""

    resident: int
    proportional: int
    private: int


@dataclass(frozen=True, slots=True)
class Step:
    """Streams through the server."""

    plan: Plan
    window: Window
    empty: MemoryGrowth
    grown: MemoryGrowth
    loop_lag_ms: float
    """The worst of the last seconds of the worst worker."""
    started_in: float
    """Seconds from the server's start to its first answer."""
    publish: dict[str, Any]
    """The publishers' own figures."""
    sink: dict[str, Any]
    """The sink's."""
    machine_cores: int

    @property
    def cpu_per_stream(self) -> float:
        """Of the workers, in % of a core."""
        return 100 * self.window.workers / self.plan.streams

    @property
    def server_cpu_per_stream(self) -> float:
        """Of all processes of the server."""
        return 100 * self.window.server / self.plan.streams

    @property
    def p99(self) -> float:
        """Milliseconds of added latency."""
        return float(self.sink["latency_ms"]["p99"])

    @property
    def lost(self) -> int:
        """Pictures that did not come whole, once and in order."""
        return int(self.publish["pictures"]) - int(self.sink["pictures"])

    @property
    def failure(self) -> str:
        """Why the server did not carry so many streams; "" if it did."""
        if self.publish["connected"] < self.plan.streams or self.publish["failed"]:
            return f"only {self.publish['connected'] - self.publish['failed']} streams went through"
        if self.lost:
            overflows = self.window.overflows
            return f"{self.lost} pictures lost" + f", {overflows} datagrams overflowed" * bool(overflows)
        if self.p99 > MAX_LATENCY_MS:
            return f"p99 {self.p99:.0f} ms"
        return ""

    @property
    def limit(self) -> str:
        """What else was at its end; "" if it was the server alone."""
        reasons = []
        if self.window.publishers > 0.9:
            reasons.append("the publishers' process had no CPU left")
        if self.window.sink > 0.9:
            reasons.append("the sink's process had no CPU left")
        if self.window.idle < MIN_IDLE * self.machine_cores:
            reasons.append("the machine had no CPU left")
        if self.publish["late_ms"]["p99"] > MAX_LATE_MS:
            reasons.append(f"pictures were sent late (p99 {self.publish['late_ms']['p99']:.0f} ms)")
        return ", ".join(reasons)

    @property
    def is_sound(self) -> bool:
        """Whether the figures are those of this load: it was there, in time, and went through."""
        return not self.failure and self.publish["late_ms"]["p99"] <= MAX_LATE_MS

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.plan._asdict(),
            "cpu_percent_per_stream": round(self.cpu_per_stream, 3),
            "server_cpu_percent_per_stream": round(self.server_cpu_per_stream, 3),
            "latency_ms": self.sink["latency_ms"],
            "lost": self.lost,
            "is_sound": self.is_sound,
            "failure": self.failure,
            "limit": self.limit,
            "loop_lag_ms": self.loop_lag_ms,
            "started_in": round(self.started_in, 3),
            "window": {name: round(value, 4) for name, value in self.window._asdict().items()},
            "memory_kib": {"empty": self.empty._asdict(), "grown": self.grown._asdict()},
            "publish": self.publish,
            "sink": self.sink,
        }


@dataclass(frozen=True, slots=True)
class BareStep:
    """The same packets through the bare loop. `cpu` is a share of a core."""

    streams: int
    audio: bool
    cpu: float
    packets: int
    late_p99_ms: float

    @property
    def cpu_per_stream(self) -> float:
        """In % of a core."""
        return 100 * self.cpu / self.streams

    @property
    def is_sound(self) -> bool:
        """Whether the packets came in time."""
        return self.late_p99_ms <= MAX_LATE_MS

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"cpu_percent_per_stream": round(self.cpu_per_stream, 4)}


@dataclass(frozen=True, slots=True)
class Starts:
    """What happens at the beginning of a session, in milliseconds, and connects a second."""

    first_picture_p50_ms: float
    first_picture_max_ms: float
    starts: int
    connects_per_second: dict[int, float]
    """By number of workers."""
    connect_sessions: int

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
