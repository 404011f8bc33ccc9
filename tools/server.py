"""A Whipway server in a process of its own, on free loopback ports."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from whipway.config import ENV_PREFIX

START_TIMEOUT = 15.0
STOP_TIMEOUT = 10.0


class RunningServer:
    """Start with `with`; inside, `http_url`, `stream_url` and `admin_key` are known. `log` holds the log."""

    def __init__(self, **settings: str) -> None:
        self.http_url = ""
        self.stream_url = ""
        self.admin_key = ""
        self.log: list[dict[str, Any]] = []
        self.started_in = 0.0
        self._settings = {
            "http.port": "0",
            "media.port": "0",
            "rtmp.port": "0",
            # One process is quicker to start, and most that is tried here is the same with several.
            "workers": "0",
            # How busy this machine is must not decide on who gets in.
            "session.max_worker_load": "0",
            "database.url": "sqlite://",
            # RTMP servers of tests listen here as well.
            "egress.allow": "127.0.0.1",
            "log.format": "json",
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> "RunningServer":
        flags = [part for key, value in self._settings.items() for part in ("--set", f"{key}={value}")]
        # What is set for a server elsewhere on this machine, or for the tests, is not meant for this one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "whipway", "serve", *flags],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log)
        self._reader.start()
        try:
            self._read_addresses(began + START_TIMEOUT)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.started_in = time.monotonic() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None and self._reader is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def exit_status(self) -> int | None:
        """Known after the end."""
        return self._process.returncode if self._process else None

    @property
    def process_id(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def rtmp_port(self) -> int:
        """Where the embedded origin listens."""
        port = urlsplit(self.stream_url).port
        assert port is not None
        return port

    def whip_url(self, stream_name: str, stream_url: str | None = None) -> str:
        """Where to publish `stream_name`, by default to the embedded origin."""
        query = f"stream_name={stream_name}&stream_url={stream_url or self.stream_url}"
        return f"{self.http_url}/p/webrtc?{query}"

    def play_url(self, stream_name: str) -> str:
        """Where the embedded origin plays `stream_name`."""
        return f"{self.stream_url}/{stream_name}"

    def wait_for_log(self, event: str, timeout: float = 10.0) -> dict[str, Any]:
        """The first log entry named `event`, with the time it was read at as "read_at"."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for entry in list(self.log):
                if entry.get("event") == event:
                    return entry
            time.sleep(0.01)
        raise TimeoutError(f"the server did not log {event!r}: {self.log}")

    def _read_addresses(self, deadline: float) -> None:
        assert self._process is not None and self._process.stdout is not None
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if match := re.search(r"Page\s+(\S+)/$", line):
                self.http_url = match[1]
            if match := re.search(r"Admin key\s+(\S+)", line):
                self.admin_key = match[1]
            if match := re.search(r"Play URL\s+(\S+)/[^/]+$", line):
                self.stream_url = match[1]
                return
            if time.monotonic() > deadline:
                break
        raise RuntimeError(f"the server did not start: {''.join(lines)} {self.log}")

    def _read_log(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        with self._process.stderr as errors:
            for line in errors:
                try:
                    entry = json.loads(line)
                except ValueError:
                    entry = {"event": line.rstrip()}
                entry["read_at"] = time.monotonic()
                self.log.append(entry)
