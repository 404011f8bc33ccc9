"""What `/metrics` tells of the media workers; all of it has the label `worker`.

A worker that was lost and started again counts from 0: Prometheus takes that for a restart, and `rate` and
`increase` go on. Of one that cannot be asked there is only what is known without it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from whipway.pool.standing import WORKER_LOST, WorkerStanding
from whipway.worker.messages import WorkerDescribed

SINK_STATES = ("connecting", "publishing", "retrying", "failed")
"""All are told, so that a state without sinks reads 0 and not nothing."""

Family = type[GaugeMetricFamily | CounterMetricFamily]
Answering = Mapping[int, WorkerDescribed]
"""The workers that can be asked, by their numbers."""

_COUNTERS = {
    "packets_received": ("whipway_received_packets", "RTP packets that sessions received"),
    "bytes_received": ("whipway_received_bytes", "Bytes of RTP that sessions received"),
    "packets_lost": ("whipway_lost_packets", "RTP packets that never came"),
    "packets_repaired": ("whipway_repaired_packets", "RTP packets that came when they were asked for again"),
    "bytes_sent": ("whipway_sent_bytes", "Bytes that RTMP servers have acknowledged"),
    "frames_sent": ("whipway_sent_frames", "Pictures that were sent to RTMP servers"),
    "frames_dropped": ("whipway_dropped_frames", "Pictures left out since an RTMP server took too little"),
    "sink_reconnects": ("whipway_sink_reconnects", "How often a sink was publishing again after a failure"),
    "sessions_started": ("whipway_sessions_started", "Sessions that there ever were"),
}


def worker_families(workers: Sequence[WorkerStanding]) -> Iterator[Metric]:
    """All that is told of these workers."""
    answering = {worker.number: worker.described for worker in workers if worker.described is not None}
    yield from _of_standings(workers)
    yield from _of_processes(answering)
    yield from _of_media(answering)
    lost = {worker.number: worker.lost_sessions for worker in workers}
    yield _split(
        CounterMetricFamily,
        "whipway_sessions_ended",
        "Sessions by why they ended",
        "reason",
        {number: {WORKER_LOST: count, **_ends(answering.get(number))} for number, count in lost.items()},
    )


def _of_standings(workers: Sequence[WorkerStanding]) -> Iterator[Metric]:
    is_up = {worker.number: float(worker.described is not None) for worker in workers}
    yield _plain(GaugeMetricFamily, "whipway_worker_up", "Whether the worker can be asked", is_up)
    restarts = {worker.number: worker.restarts for worker in workers}
    text = "How often the worker was lost and started anew"
    yield _plain(CounterMetricFamily, "whipway_worker_restarts", text, restarts)


def _of_processes(workers: Answering) -> Iterator[Metric]:
    lag = {number: worker.loop_lag for number, worker in workers.items()}
    text = "Worst delay of the event loop lately"
    yield _plain(GaugeMetricFamily, "whipway_worker_loop_lag_seconds", text, lag)
    spent = {number: worker.cpu_seconds for number, worker in workers.items()}
    text = "CPU time of the worker's process"
    yield _plain(CounterMetricFamily, "whipway_worker_cpu_seconds", text, spent)
    load = {number: worker.cpu_load for number, worker in workers.items()}
    text = "What the worker's process takes of one core lately"
    yield _plain(GaugeMetricFamily, "whipway_worker_cpu_ratio", text, load)


def _of_media(workers: Answering) -> Iterator[Metric]:
    sessions = {number: worker.sessions for number, worker in workers.items()}
    yield _plain(GaugeMetricFamily, "whipway_sessions", "Sessions", sessions)
    totals = {number: worker.totals for number, worker in workers.items()}
    for member, (name, text) in _COUNTERS.items():
        counts = {number: total[member] for number, total in totals.items()}
        yield _plain(CounterMetricFamily, name, text, counts)
    frames = {
        number: {kind: total[f"{kind}_frames"] for kind in ("video", "audio")}
        for number, total in totals.items()
    }
    yield _split(CounterMetricFamily, "whipway_received_frames", "Pictures and sounds", "kind", frames)
    sinks = {number: dict.fromkeys(SINK_STATES, 0) | total["sinks"] for number, total in totals.items()}
    yield _split(GaugeMetricFamily, "whipway_sinks", "RTMP outputs of sessions, by state", "state", sinks)
    drops = {
        number: Counter(worker.drops) + Counter(worker.totals["drops"]) for number, worker in workers.items()
    }
    text = "Datagrams and media left out, by reason"
    yield _split(CounterMetricFamily, "whipway_drops", text, "reason", drops)


def _ends(worker: WorkerDescribed | None) -> Mapping[str, int]:
    ends: Mapping[str, int] = worker.totals["sessions_ended"] if worker else {}
    return ends


def _plain(kind: Family, name: str, text: str, values: Mapping[int, float]) -> Metric:
    """One number of each worker."""
    family = kind(name, text, labels=["worker"])
    for number, value in values.items():
        family.add_metric([str(number)], value)
    return family


def _split(
    kind: Family, name: str, text: str, label: str, values: Mapping[int, Mapping[str, float]]
) -> Metric:
    """Several numbers of each worker, by one more label."""
    family = kind(name, text, labels=["worker", label])
    for number, split in values.items():
        for each, value in sorted(split.items()):
            family.add_metric([str(number), each], value)
    return family
