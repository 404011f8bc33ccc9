"""A long publish from Chromium: does anything grow?

Starts a server, publishes the page's test picture, and prints every half minute what the server holds: its
memory, and what waits in the buffers of the session. Needs Chromium, which Playwright drives.
"""

import argparse
import json
import shutil
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.interop.chromium import PublishingPage, chromium
from tools.server import RunningServer

INTERVAL = 30.0
COLUMNS = ("minute", "RSS MB", "frames", "packets", "lost", "waiting", "backlog B", "open files", "fps")


def resident_mb(process_id: int) -> float:
    """Resident memory of a process, in MB (Linux)."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process_id}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def read_status(url: str) -> dict[str, Any]:
    """The snapshot of a session."""
    with urllib.request.urlopen(f"{url}/status", timeout=5.0) as response:
        status: dict[str, Any] = json.load(response)
        return status


def row(server: RunningServer, status: dict[str, Any], minute: float, fps: float) -> tuple[str, ...]:
    """One line of the table."""
    process_id = server.process_id
    tracks = status["tracks"]
    return (
        f"{minute:.1f}",
        f"{resident_mb(process_id):.1f}",
        str(sum(track["frames"] for track in tracks)),
        str(sum(track["packets"] for track in tracks)),
        str(sum(track["lost"] for track in tracks)),
        str(sum(track["waiting"] for track in tracks)),
        str(sum(sink["backlog_bytes"] for sink in status["sinks"])),
        str(len(list(Path(f"/proc/{process_id}/fd").iterdir()))),
        f"{fps:.1f}",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--interval", type=float, default=INTERVAL, help="seconds between two lines")
    options = parser.parse_args()
    program = shutil.which("chromium") or sys.exit("chromium is not installed")
    with RunningServer() as server, chromium(program) as browser:
        page = PublishingPage(browser, server, stream_name="soak", resolution="1280x720")
        page.wait_for("live")
        print("  ".join(f"{column:>10}" for column in COLUMNS))
        began = time.monotonic()
        before, before_at = 0, began
        while time.monotonic() < began + options.minutes * 60:
            page.publish_for(options.interval)
            status = read_status(page.session_url)
            now = time.monotonic()
            pictures = sum(track["frames"] for track in status["tracks"] if track["kind"] == "video")
            fps = (pictures - before) / (now - before_at)
            before, before_at = pictures, now
            cells = row(server, status, (now - began) / 60, fps)
            print("  ".join(f"{cell:>10}" for cell in cells), flush=True)
        print(json.dumps(status, indent=2))
        page.stop()


if __name__ == "__main__":
    main()
