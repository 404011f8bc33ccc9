"""N publishers by WHIP in one process; one line of JSON at the end.

    python -m bench.speed.publish --whip 'http://127.0.0.1:8080/p/webrtc?stream_name=s{n}&stream_url=…' \
        --streams 40 --seconds 10

The figures of its own health tell whether this program was the bottleneck: how late pictures were sent, and
the CPU it took.
"""

import argparse
import gc
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.speed.figures import MS, spread_ms
from bench.speed.material import load_material
from bench.speed.publishers import Publishers
from bench.speed.sender import Counts
from bench.speed.times import STREAMS, Times


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish; 1 if no stream connected."""
    options = _parse(arguments)
    times = Times(options.table) if options.table else None
    publishers = Publishers(
        options.streams,
        load_material(),
        times,
        audio=options.audio == "opus",
        announce=_announce,
        at_once=options.at_once,
        connect_only=options.connect_only,
    )
    # The material lives for ever, and what comes after it has no cycles.
    gc.freeze()
    try:
        if options.bare:
            host, _, port = options.bare.rpartition(":")
            publishers.send_bare((host, int(port)), options.seconds)
        else:
            publishers.publish(options.whip, options.seconds, options.parallel)
    finally:
        if times is not None:
            times.close()
    report = describe(publishers)
    print(json.dumps(report), flush=True)
    return 0 if report["connected"] else 1


def describe(publishers: Publishers) -> dict[str, Any]:
    """The figures; times in milliseconds, `cpu_percent` of one core while all streams ran."""
    outcome, streams = publishers.outcome, publishers.streams
    senders = [stream.sender for stream in streams if stream.sender is not None]
    sums = {name: sum(getattr(each.counts, name) for each in senders) for name in asdict(Counts())}
    connects = [each.connected_at - each.posted_at for each in streams if each.connected_at]
    span = max((each.connected_at for each in streams), default=0.0) - min(
        (each.posted_at for each in streams if each.posted_at), default=0.0
    )
    return {
        "streams": len(streams),
        "connected": len(senders),
        "failed": outcome.failed,
        "failures": outcome.failures,
        "profile": outcome.profile,
        "seconds": round(outcome.seconds, 3),
        **sums,
        "late_ms": spread_ms(outcome.late),
        "cpu_percent": round(100 * outcome.cpu_seconds / outcome.seconds, 1) if outcome.seconds else 0.0,
        "connect_ms": spread_ms(connects),
        "connects_per_second": round(len(connects) / span, 1) if connects and span > 0 else 0.0,
        "connect_span_ms": round(span * MS, 1) if connects else 0.0,
    }


def _announce() -> None:
    print("running", file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.speed.publish", description="N publishers by WHIP."
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--whip", help="URL to POST to; {n} is the stream's number")
    where.add_argument("--bare", metavar="HOST:PORT", help="send SRTP to a bare loop instead")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="of media, once all streams run")
    parser.add_argument("--audio", choices=("none", "opus"), default="none")
    parser.add_argument("--table", type=Path, help="file with the times of sending, for the sink")
    parser.add_argument("--at-once", action="store_true", help="each stream begins when it is connected")
    parser.add_argument("--connect-only", action="store_true", help="send no media")
    parser.add_argument("--parallel", type=int, default=8, help="POSTs at a time (default 8)")
    options = parser.parse_args(arguments)
    if not 0 < options.streams <= STREAMS:
        parser.error(f"--streams is 1 to {STREAMS}")
    return options


if __name__ == "__main__":
    sys.exit(main())
