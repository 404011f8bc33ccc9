"""What a slow RTMP server does to a stream, and how the publisher is made to send less: `make bench-adapt`.

Chromium sends 2 Mbit/s of noise through a real server to a relay that reads only so fast and hands on to
the server's own origin (`tests.peers.slow_rtmp`). Everything runs in real time, a row takes less than a
minute. The first rows are a session each, with a relay that is slow from the beginning; the last ones are
one session in which it becomes slow, and fast again. Nothing is asserted: the table is what happened. Needs
Chromium, which Playwright drives.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from playwright.sync_api import Browser
from tests.interop.chromium import chromium
from tests.interop.studio import MICROPHONE, Source, Studio
from tests.peers.slow_rtmp import SlowRelay, slowed
from tools.server import RunningServer

BITRATE = 2_000_000
NOISE = Source("canvas", 640, 360, rate=25, noise=True)
INTERVAL_MS = 200
"""Between two looks at the session's status, which the worker itself takes every 250 ms."""
GRACE = 5.0
"""Seconds after each change of the rate, in which the publisher does not know yet."""
SHORT_QUEUE_MS = 500
STEADY_SHARE = 1 / 3
"""Of a phase, at its end: by then it has settled."""

COLUMNS = (
    *("takes", "from", "cap", "video", "gets", "share", "queue", "q. start", "dropped", "d. start"),
    *("settles", "changes", "limited by"),
)


class Phase(NamedTuple):
    """For so many seconds the relay reads so many bits a second."""

    bitrate: int
    seconds: float


class Look(NamedTuple):
    """What was seen at one moment; `at` in seconds since the phase began."""

    at: float
    cap: int | None
    limited_by: str | None
    video_bitrate: int
    acknowledged_bytes: int
    queue_ms: int
    dropped: int


@dataclass
class Outcome:
    """One phase. Bitrates in bits a second."""

    takes: int
    before: int | None
    """What the relay took in the phase before this one."""
    cap: int | None
    """In the last third, the mean; None if there was none at some time."""
    video: int
    gets: int
    """What the relay's TCP acknowledged in the last third, sound and all."""
    queue_ms: int
    """The longest after `GRACE`."""
    first_queue_ms: int
    """And in it."""
    dropped: int
    """Pictures after `GRACE`."""
    first_dropped: int
    settles_in: float
    """Seconds until the queue was short, and stayed so."""
    changes: int
    """Of the cap."""
    limited_by: str | None
    """At the end."""


def judge(looks: Sequence[Look], phase: Phase, before: int | None) -> Outcome:
    """Sum up one phase."""
    early = [look for look in looks if look.at < GRACE]
    late = [look for look in looks if look.at >= GRACE]
    steady = [look for look in looks if look.at >= phase.seconds * (1 - STEADY_SHARE)]
    caps = [look.cap for look in steady]
    long = [look.at for look in looks if look.queue_ms > SHORT_QUEUE_MS]
    sent = (steady[-1].acknowledged_bytes - steady[0].acknowledged_bytes) * 8
    return Outcome(
        takes=phase.bitrate,
        before=before,
        cap=None if None in caps else round(mean(cap for cap in caps if cap is not None)),
        video=round(mean(look.video_bitrate for look in steady)),
        gets=round(sent / (steady[-1].at - steady[0].at)),
        queue_ms=max(look.queue_ms for look in late),
        first_queue_ms=max(look.queue_ms for look in early),
        dropped=late[-1].dropped - early[-1].dropped,
        first_dropped=early[-1].dropped - early[0].dropped,
        settles_in=max(long, default=0.0),
        changes=sum(one.cap != other.cap for one, other in zip(looks, looks[1:], strict=False)),
        limited_by=looks[-1].limited_by,
    )


def measure(browser: Browser, server: RunningServer, phases: Sequence[Phase]) -> list[Outcome]:
    """Publish through all phases of one session."""
    with slowed(server.rtmp_port, phases[0].bitrate) as relay:
        studio = Studio(browser, server)
        studio.add_source("noise", NOISE)
        studio.add_source("microphone", MICROPHONE)
        studio.add_sender("sound", "microphone")
        studio.add_sender("picture", "noise", [{"maxBitrate": BITRATE}])
        studio.publish(stream_url=f"rtmp://127.0.0.1:{relay.port}/live")
        studio.wait_for_status("sinks", 0, "state", value="publishing")
        outcomes: list[Outcome] = []
        for phase in phases:
            looks = watch(studio, relay, phase)
            outcomes.append(judge(looks, phase, outcomes[-1].takes if outcomes else None))
        relay.bitrate = None
        studio.stop()
        studio.page.context.close()
    return outcomes


def watch(studio: Studio, relay: SlowRelay, phase: Phase) -> list[Look]:
    """Let one phase go by."""
    relay.bitrate = phase.bitrate
    began = time.monotonic()
    looks: list[Look] = []
    while not looks or looks[-1].at < phase.seconds:
        looks.append(look_at(studio.status(), time.monotonic() - began))
        studio.page.wait_for_timeout(INTERVAL_MS)
    return looks


def look_at(status: dict[str, Any], at: float) -> Look:
    """What counts of a session's status."""
    quality, sink = status["quality"], status["sinks"][0]
    return Look(
        at,
        quality["cap"],
        quality["limited_by"],
        quality["measured"]["video_bitrate"],
        sink["bytes"],
        sink["queue_ms"],
        sink["frames_dropped"],
    )


def row(it: Outcome) -> str:
    """One line of the table; bitrates in kbit/s, times in seconds."""
    return _line(
        (
            _kbit(it.takes),
            _kbit(it.before),
            _kbit(it.cap),
            _kbit(it.video),
            _kbit(it.gets),
            "-" if it.cap is None else f"{100 * it.gets / it.takes:.0f}%",
            f"{it.queue_ms / 1000:.2f}",
            f"{it.first_queue_ms / 1000:.2f}",
            it.dropped,
            it.first_dropped,
            f"{it.settles_in:.1f}",
            it.changes,
            it.limited_by or "-",
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print each row as it is known, and write the JSON that was asked for."""
    options = _parse(arguments)
    program = shutil.which("chromium") or sys.exit("chromium is not installed")
    steady = [[Phase(1000 * kbit, options.seconds)] for kbit in options.kbit]
    change = [
        Phase(3_000_000, options.seconds / 2),
        Phase(600_000, options.seconds),
        Phase(3_000_000, options.seconds),
    ]
    print(f"\nChromium sends {_kbit(BITRATE)} kbit/s and sound; policy {options.policy}")
    print(_line(COLUMNS), flush=True)
    outcomes: list[Outcome] = []
    with RunningServer(quality__policy=options.policy) as server, chromium(program) as browser:
        for phases in [*steady, *([] if options.quick else [change])]:
            for outcome in measure(browser, server, phases):
                outcomes.append(outcome)
                print(row(outcome), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in outcomes], indent=1) + "\n")


def _kbit(bitrate: int | None) -> str:
    return "-" if bitrate is None else f"{bitrate / 1000:.0f}"


def _line(cells: Iterable[object]) -> str:
    return " ".join(f"{cell!s:>8}" for cell in cells)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.adapt", description="Streams to slow servers.")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each row (default 40)")
    parser.add_argument("--kbit", type=int, nargs="+", default=[3000, 1000, 600, 300], help="what is taken")
    parser.add_argument("--quick", action="store_true", help="without the session that changes")
    parser.add_argument("--policy", default="follow-slowest", help="quality.policy; off: for comparison")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
