"""Runs one step: a server, a sink and publishers in processes of their own, and reads what it cost them."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

from tools.server import RunningServer

from bench.speed.material import load_material
from bench.speed.procfs import MachineTimes, cpu_seconds, family, machine_times, memory, overflows
from bench.speed.programs import Program, run_program, table_path
from bench.speed.publishers import Publishers
from bench.speed.steps import QUERIES, BareStep, MemoryGrowth, Plan, Step, Window
from bench.speed.times import Times

SETTINGS = {
    "limits.posts_per_minute": "100000",
    "limits.deletes_per_minute": "100000",
    "limits.sessions_per_address": "0",
    "session.max_worker_load": "0",
    "egress.allow": "127.0.0.1",
    "log.level": "warning",
}
"""Nothing may be refused: where the end is, is what is asked."""
SETTLE_TIME = 0.5
"""Seconds from the start of a server to the look at its memory."""
START_TIMEOUT = 10.0
POLL_INTERVAL = 0.05
START_INTERVAL = 0.2
"""Seconds between the single starts on an idle server."""
START_MEDIA = 0.15
"""Seconds of media of each."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs, and the sink that its streams go to."""

    server: RunningServer
    sink: Program
    sink_port: int

    def whip_url(self, mode: str) -> str:
        """With {n} for the number of a stream."""
        query = f"stream_name=bench-{{n}}&stream_url=rtmp://127.0.0.1:{self.sink_port}/live{QUERIES[mode]}"
        return f"{self.server.http_url}/p/webrtc?{query}"

    def workers(self) -> list[dict[str, Any]]:
        """As the API tells of them."""
        request = Request(
            f"{self.server.http_url}/v1/workers",
            headers={"Authorization": f"Bearer {self.server.admin_key}"},
        )
        with urlopen(request, timeout=5.0) as response:
            items: list[dict[str, Any]] = json.load(response)["items"]
            return items

    def worker_ids(self) -> list[int]:
        """Of the processes that carry media, once all run: the server's own, if it has no others."""
        deadline = time.monotonic() + START_TIMEOUT
        while any(item["state"] == "starting" for item in self.workers()):
            if time.monotonic() > deadline:
                raise TimeoutError("a worker did not start")
            time.sleep(POLL_INTERVAL)
        return sorted({item["process_id"] for item in self.workers()})


@contextmanager
def serving(workers: int, table: object, *, warm_up: int) -> Iterator[Served]:
    """A fresh server and a sink."""
    with Program("sink", "--table", table, "--warm-up", warm_up) as sink:
        port = int(sink.wait_for("listening on"))
        with RunningServer(**SETTINGS, workers=str(workers)) as server:
            yield Served(server, sink, port)


def measure(plan: Plan) -> Step:
    """One step through the server."""
    table = table_path("step")
    try:
        with serving(plan.workers, table, warm_up=round(plan.warm_up * 25)) as served:
            return _measure(plan, served, table)
    finally:
        table.unlink(missing_ok=True)


def _measure(plan: Plan, served: Served, table: object) -> Step:
    time.sleep(SETTLE_TIME)
    workers = served.worker_ids()
    empty = MemoryGrowth(*memory(workers))
    whole = plan.warm_up + plan.seconds
    audio = "none" if plan.mode == "video" else "opus"
    arguments = ("--whip", served.whip_url(plan.mode), "--streams", plan.streams, "--table", table)
    # A little more than is measured: the last look is at full load.
    with Program("publish", *arguments, "--seconds", whole + 0.5, "--audio", audio) as publish:
        publish.wait_for("running")
        time.sleep(plan.warm_up)
        meter = Meter(workers, family(served.server.process_id), publish.process_id, served.sink.process_id)
        time.sleep(plan.seconds)
        window = meter.read()
        grown = MemoryGrowth(*memory(workers))
        lags = [item.get("loop_lag_ms") or 0.0 for item in served.workers()]
        published = publish.finish(timeout=60.0)
    return Step(
        plan=plan,
        window=window,
        empty=empty,
        grown=grown,
        loop_lag_ms=max(lags, default=0.0),
        started_in=served.server.started_in,
        publish=published,
        sink=served.sink.finish(stop=True),
        machine_cores=os.cpu_count() or 1,
    )


class Meter:
    """CPU times from now on, of the server's workers, of all its processes, and of everybody else."""

    def __init__(self, workers: list[int], server: list[int], publishers: int, sink: int) -> None:
        self._groups = (workers, server, [publishers], [sink])
        self._began = time.monotonic()
        self._machine = machine_times()
        self._overflows = overflows()
        self._before = [cpu_seconds(group) for group in self._groups]

    def read(self) -> Window:
        """Over the time that has passed."""
        elapsed = time.monotonic() - self._began
        machine = machine_times()
        workers, server, publishers, sink = (
            (cpu_seconds(group) - before) / elapsed
            for group, before in zip(self._groups, self._before, strict=True)
        )
        passed = MachineTimes(*(now - then for now, then in zip(machine, self._machine, strict=True)))
        return Window(
            seconds=elapsed,
            workers=workers,
            server=server,
            publishers=publishers,
            sink=sink,
            others=max(0.0, passed.busy / elapsed - server - publishers - sink),
            idle=passed.idle / elapsed,
            steal=passed.steal / elapsed,
            overflows=overflows() - self._overflows,
        )


def measure_bare(streams: int, *, audio: bool, seconds: float, warm_up: float) -> BareStep:
    """One step through the bare loop."""
    with Program("bare") as bare:
        address = f"127.0.0.1:{bare.wait_for('listening on')}"
        arguments = ("--bare", address, "--streams", streams, "--seconds", warm_up + seconds + 0.3)
        with Program("publish", *arguments, "--audio", "opus" if audio else "none") as publish:
            publish.wait_for("running")
            time.sleep(warm_up)
            before, began = cpu_seconds([bare.process_id]), time.monotonic()
            time.sleep(seconds)
            cpu = (cpu_seconds([bare.process_id]) - before) / (time.monotonic() - began)
            published = publish.finish()
        return BareStep(streams, audio, cpu, bare.finish(stop=True)["packets"], published["late_ms"]["p99"])


def measure_first_pictures(starts: int, workers: int) -> dict[str, Any]:
    """Single publishers, one after the other, on a server that has nothing else to do: the sink's figures."""
    path = table_path("starts")
    material = load_material()
    try:
        with serving(workers, path, warm_up=0) as served, Times(path) as times:
            time.sleep(SETTLE_TIME)
            for _ in range(starts):
                single = Publishers(1, material, times, audio=False, at_once=True)
                single.publish(served.whip_url("video"), START_MEDIA, parallel=1)
                time.sleep(START_INTERVAL)
            return served.sink.finish(stop=True)
    finally:
        path.unlink(missing_ok=True)


def measure_connects(sessions: int, workers: int) -> dict[str, Any]:
    """All at once, without media: the publishers' figures."""
    path = table_path("connects")
    try:
        with serving(workers, path, warm_up=0) as served:
            time.sleep(SETTLE_TIME)
            arguments = ("--whip", served.whip_url("video"), "--streams", sessions, "--seconds", 0.2)
            return run_program("publish", [*arguments, "--connect-only", "--parallel", 16], timeout=60.0)
    finally:
        path.unlink(missing_ok=True)
