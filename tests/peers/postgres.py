"""A PostgreSQL server of the tests' own, on a free port of loopback, in a folder that goes with it.

It is started when a test first asks for it and ended with the tests. Where PostgreSQL is not installed, the
test is skipped; with INTEROP=required in the environment it fails.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NoReturn

import asyncpg
import pytest

USER = "whipway"
PASSWORD = "s3cret-of-tests"
PACKAGE_FOLDER = Path("/usr/lib/postgresql")
"""Debian keeps the server's programs off the path, in a folder for each version."""
SERVICE_ACCOUNT = "postgres"
"""The server refuses to run as root."""
START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0
POLL_INTERVAL = 0.05
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
}


class Cluster:
    """A running server."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._account = _account()
        self._folder = Path(mkdtemp(prefix="whipway-postgres-"))
        self._numbers = count(1)
        self.port = _free_port()
        self.left: list[str] = []
        """URLs of databases with tables and without rows, which nobody uses any more (`databases`)."""
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the server, and return when it serves."""
        self._make()
        self._server = self._start()
        self._wait_until_it_serves(self._server)

    def url(self, name: str, password: str = PASSWORD) -> str:
        """Of one of its databases."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{name}"

    async def create(self) -> str:
        """The URL of a new, empty database, which lasts as long as the server."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    async def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        await self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The URL of an empty database, which is dropped at the end."""
        url = await self.create()
        try:
            yield url
        finally:
            await self.drop(url)

    async def execute(self, statement: str) -> None:
        """Run a statement outside of any transaction."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def stop(self) -> None:
        """End the server at once, and leave nothing behind."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)  # Without waiting for clients.
            self._server.wait(STOP_TIMEOUT)
        shutil.rmtree(self._folder)

    def _make(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        for path in (self._folder, password) if self._account else ():
            shutil.chown(path, SERVICE_ACCOUNT)
        self._run(
            "initdb",
            f"--username={USER}",
            f"--pwfile={password}",
            f"--pgdata={self._folder / 'data'}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )

    def _start(self) -> subprocess.Popen[bytes]:
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(self._folder)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        # Should the tests be killed, the server ends as well.
        command = ["setpriv", "--pdeathsig=INT", self._programs / "postgres", "-D", self._folder / "data"]
        with (self._folder / "log").open("wb") as log:
            return subprocess.Popen(
                [*command, *options], stdout=log, stderr=log, cwd=self._folder, **self._account
            )

    def _wait_until_it_serves(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        # The program answers 0 when connections are taken.
        while self._run("pg_isready", "--host=127.0.0.1", f"--port={self.port}", check=False):
            assert server.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(POLL_INTERVAL)

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        return subprocess.run(
            [self._programs / program, *arguments],
            check=check,
            capture_output=True,
            cwd=self._folder,
            **self._account,
        ).returncode


@cache
def running_cluster() -> Cluster:
    """The server of this run of tests."""
    programs = _programs()
    if programs is None:
        _missing("PostgreSQL is not installed: apt install postgresql")
    cluster = Cluster(programs)
    atexit.register(cluster.stop)
    cluster.start()
    return cluster


def _programs() -> Path | None:
    """The folder of the newest version that is installed."""
    folders = sorted(PACKAGE_FOLDER.glob("*/bin"), key=lambda folder: int(folder.parent.name))
    on_path = shutil.which("initdb")
    return folders[-1] if folders else Path(on_path).parent if on_path else None


def _missing(what: str) -> NoReturn:
    if os.environ.get("INTEROP") == "required":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def _account() -> dict[str, Any]:
    """As whom to run the programs."""
    return {"user": SERVICE_ACCOUNT, "group": SERVICE_ACCOUNT, "extra_groups": []} if os.getuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
